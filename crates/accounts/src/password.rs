//! Passwords: argon2id, kept as PHC strings. `signaling` calls it on a thread that may block, a bounded number at a time:
//! each hash takes 19 MiB and some 20 ms.
//!
//! Invariant: checking takes as long for a number without account as for one with: [`verify`] hashes in either case.

use std::fmt;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};

use crate::error::{Code, Refusal};

/// KiB a hash. OWASP Password Storage Cheat Sheet: 19 MiB with two passes, one lane. More costs the server, less the people.
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over the memory.
pub const PASSES: u32 = 2;
/// Lanes.
pub const LANES: u32 = 1;
/// NIST SP 800-63B §5.1.1.2.
pub const MIN_CHARS: usize = 8;
/// Longer than anybody types; hashing costs the same at any length.
pub const MAX_CHARS: usize = 128;
/// The same in bytes, checked before anything is counted.
const MAX_BYTES: usize = 4 * MAX_CHARS;
/// Most memory of a stored hash that is still computed: a damaged row must not take the server's memory.
const MAX_STORED_KIB: u32 = 256 * 1024;
/// Most passes of a stored hash.
const MAX_STORED_PASSES: u32 = 16;

/// The first that are tried, of eight characters or more.
const COMMON: &[&str] = &[
    "password",
    "password1",
    "password123",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "12345678",
    "123456789",
    "1234567890",
    "0123456789",
    "87654321",
    "11111111",
    "00000000",
    "88888888",
    "66666666",
    "12341234",
    "11223344",
    "147258369",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "1qaz2wsx",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "q1w2e3r4",
    "asdfghjk",
    "asdfghjkl",
    "zxcvbnm1",
    "abcd1234",
    "abc12345",
    "abcdefgh",
    "a1234567",
    "a12345678",
    "a123456789",
    "iloveyou",
    "iloveyou1",
    "5201314a",
    "woaini1314",
    "woaini520",
    "admin123",
    "administrator",
    "welcome1",
    "letmein1",
    "sunshine",
    "football",
    "baseball",
    "princess",
    "superman",
    "trustno1",
    "changeme",
    "changeit",
];

/// A password as typed. Not shown by `Debug`.
#[derive(Clone)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// For checking: only bounded.
    pub fn typed(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_BYTES { Err(Code::BadCredentials.into()) } else { Ok(Self(text.to_owned())) }
    }

    /// For setting. `personal` are texts that it must not contain: name, digits of the number.
    pub fn chosen(text: &str, personal: &[&str]) -> Result<Self, Refusal> {
        if text.len() > MAX_BYTES || !(MIN_CHARS..=MAX_CHARS).contains(&text.chars().count()) {
            return Err(Code::WeakPassword.into());
        }
        let lower = text.to_lowercase();
        let mut chars = lower.chars();
        let first = chars.next();
        let same = chars.all(|c| Some(c) == first);
        let mine = personal.iter().any(|own| own.chars().count() >= 4 && lower.contains(&own.to_lowercase()));
        if same || mine || COMMON.contains(&lower.as_str()) {
            return Err(Code::WeakPassword.into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Hashes for storing. `salt` has to be random.
pub fn hash(password: &Password, salt: &[u8; 16]) -> Result<String, Refusal> {
    let made = hasher(MEMORY_KIB)?.hash_password_with_salt(password.0.as_bytes(), salt);
    made.map(|hash| hash.to_string()).map_err(|_| Code::Internal.into())
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Right {
        /// It was hashed with other parameters than today's: hash and store it again.
        rehash: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

/// Checks a password against a stored hash. `None`: no such account, or one without password; takes as long all the same.
pub fn verify(password: &Password, stored: Option<&str>) -> Result<Verdict, Refusal> {
    let Some(stored) = stored.and_then(|text| PasswordHash::new(text).ok()).filter(is_affordable) else {
        hash(password, &[0; 16])?;
        return Ok(Verdict::Wrong);
    };
    let right = hasher(MEMORY_KIB)?.verify_password(password.0.as_bytes(), &stored).is_ok();
    Ok(if right { Verdict::Right { rehash: !is_current(&stored) } } else { Verdict::Wrong })
}

fn hasher(memory_kib: u32) -> Result<Argon2<'static>, Refusal> {
    let params = Params::new(memory_kib, PASSES, LANES, None).map_err(|_| Code::Internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn is_affordable(stored: &PasswordHash) -> bool {
    Params::try_from(stored).is_ok_and(|params| {
        params.m_cost() <= MAX_STORED_KIB && params.t_cost() <= MAX_STORED_PASSES && params.p_cost() <= 16
    })
}

fn is_current(stored: &PasswordHash) -> bool {
    let same = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES);
    stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
        && Params::try_from(stored).is_ok_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::typed(text).unwrap()
    }

    #[test]
    fn what_was_set_is_right_and_nothing_else() {
        let stored = hash(&password("correct horse"), &[5; 16]).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(verify(&password("correct horse"), Some(&stored)), Ok(Verdict::Right { rehash: false }));
        for wrong in ["correct horsf", "", "correct horse "] {
            assert_eq!(verify(&password(wrong), Some(&stored)), Ok(Verdict::Wrong), "{wrong:?}");
        }
        assert_eq!(verify(&password("correct horse"), None), Ok(Verdict::Wrong));
    }

    #[test]
    fn a_hash_of_other_days_is_made_again() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap());
        let other =
            Argon2::new(Algorithm::Argon2i, Version::V0x13, Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap());
        for hasher in [weak, other] {
            let stored = hasher.hash_password_with_salt(b"correct horse", &[1; 16]).unwrap().to_string();
            assert_eq!(verify(&password("correct horse"), Some(&stored)), Ok(Verdict::Right { rehash: true }));
            assert_eq!(verify(&password("wrong horse"), Some(&stored)), Ok(Verdict::Wrong));
        }
    }

    #[test]
    fn a_damaged_row_is_wrong_and_takes_no_memory() {
        let salt = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let rows = [
            String::new(),
            "x".into(),
            format!("$argon2id$v=19$m=4194304,t=2,p=1{salt}"),
            format!("$argon2id$v=19$m=8,t=4000000000,p=1{salt}"),
        ];
        for stored in rows {
            assert_eq!(verify(&password("correct horse"), Some(&stored)), Ok(Verdict::Wrong), "{stored}");
        }
    }

    /// Time itself is the machine's; what is checked is that both ways compute one hash of today's parameters.
    #[test]
    fn an_account_that_is_not_there_takes_as_long() {
        let stored = hash(&password("correct horse"), &[5; 16]).unwrap();
        let took = |stored: Option<&str>| {
            let started = std::time::Instant::now();
            for _ in 0..4 {
                assert_eq!(verify(&password("wrong"), stored), Ok(Verdict::Wrong));
            }
            started.elapsed()
        };
        took(None);
        let (none, some) = (took(None), took(Some(&stored)));
        // A look-up that hashes nothing is a thousand times faster; a busy machine is not.
        assert!(none * 10 > some && some * 10 > none, "{none:?} {some:?}");
    }

    #[test]
    fn weak_passwords_are_refused() {
        let long = "x1".repeat(65);
        let rows = [
            "",
            "short",
            "1234567",
            "Password",
            "QWERTYUIOP",
            "aaaaaaaaaa",
            "\u{6211}\u{6211}\u{6211}\u{6211}",
            "xx13800138000",
            "AnaAnaBanana9",
            &long,
        ];
        for text in rows {
            let refused = Password::chosen(text, &["13800138000", "anaa"]).map(|_| ()).unwrap_err();
            assert_eq!(refused.code, Code::WeakPassword, "{text}");
        }
        for text in ["correct horse", "\u{6211}\u{662f}\u{4e2d}\u{56fd}\u{4eba}\u{6c11}\u{5927}\u{5b66}", "ana is 8"] {
            assert!(Password::chosen(text, &["13800138000", "ana"]).is_ok(), "{text}");
        }
        assert_eq!(format!("{:?}", password("secret")), "Password(..)");
    }
}
