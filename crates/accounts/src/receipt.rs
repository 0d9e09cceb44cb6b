//! Receipts of erasure: what somebody keeps whose account has ended. It says which account and when, and is signed, so that
//! the operator can tell a true one years later without having kept anything about the person.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use convene_types::AccountId;

const CONTEXT: &[u8] = b"convene erasure 1";

/// Signs and checks.
#[derive(Clone)]
pub struct ReceiptKey(hmac::Key);

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiptKey(..)")
    }
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Whose account.
    pub account: AccountId,
    /// Seconds since 1970.
    pub at_s: u64,
}

impl ReceiptKey {
    /// From 32 random bytes that only the server has.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// `a17.1700000000.` and a tag.
    #[must_use]
    pub fn receipt(&self, erased: Erased) -> String {
        let text = said(erased);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &signed(&text))))
    }

    /// What a receipt says, if it is one of this server's.
    #[must_use]
    pub fn check(&self, receipt: &str) -> Option<Erased> {
        let (text, tag) = receipt.trim().rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, &signed(text), &tag).ok()?;
        let (account, at_s) = text.strip_prefix('a')?.split_once('.')?;
        Some(Erased { account: AccountId(account.parse().ok()?), at_s: at_s.parse().ok()? })
    }
}

fn said(Erased { account, at_s }: Erased) -> String {
    format!("a{account}.{at_s}")
}

fn signed(text: &str) -> Vec<u8> {
    [CONTEXT, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_of_one_account_one_time_and_one_server() {
        let (key, other) = (ReceiptKey::new(&[1; 32]), ReceiptKey::new(&[2; 32]));
        let erased = Erased { account: AccountId(17), at_s: 1_700_000_000 };
        let receipt = key.receipt(erased);
        assert!(receipt.starts_with("a17.1700000000."), "{receipt}");
        assert_eq!(key.check(&format!(" {receipt}\n")), Some(erased));
        assert_eq!(other.check(&receipt), None);
        for wrong in ["", ".", "a17", &receipt.replace("a17", "a18"), &receipt.replace("1700", "1701"), &receipt[1..]] {
            assert_eq!(key.check(wrong), None, "{wrong}");
        }
    }
}
