//! Lists come in pages. A cursor says where the next one begins; it is a text to hand back, and nothing to read.

use convene_accounts::{Code, Refusal};
use convene_store::After;
use serde::Deserialize;
use utoipa::IntoParams;

/// Rows of a page unless said otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// Rows of a page at most: some 100 KiB.
const MAX_LIMIT: u32 = 200;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// `next` of the page before; without it the first page.
    #[param(max_length = 256)]
    pub cursor: Option<String>,
    /// Rows of a page, 50 unless said otherwise.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

impl Paging {
    /// Rows of this page.
    pub fn rows(&self) -> Result<u32, Refusal> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let wrong = || Refusal::saying(Code::Malformed, "A page has 1 to 200 rows.");
        (1..=MAX_LIMIT).contains(&limit).then_some(limit).ok_or_else(wrong)
    }

    /// The number behind which, or before which, it begins.
    pub fn number(&self) -> Result<Option<u64>, Refusal> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Some).ok_or_else(wrong_cursor)
    }

    /// The place in a sorted list behind which it begins.
    pub(crate) fn after(&self) -> Result<After, Refusal> {
        let Some(text) = &self.cursor else { return Ok(After::default()) };
        read(text).ok_or_else(wrong_cursor)
    }
}

fn wrong_cursor() -> Refusal {
    Refusal::saying(Code::Malformed, "This cursor was not given by this list.")
}

/// `account-key`, the key in hex digits.
pub(crate) fn cursor(after: &After) -> String {
    let key: String = after.key.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{key}", after.account)
}

fn read(text: &str) -> Option<After> {
    let (account, key) = text.split_once('-')?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(key.len() / 2);
    for pair in key.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
    }
    let digits = account.bytes().all(|byte| byte.is_ascii_digit());
    Some(After { account: account.parse().ok().filter(|_| digits)?, key: String::from_utf8(bytes).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_others_are_refused() {
        for (key, account) in [("", 0), ("zhang", 17), ("张", u64::MAX)] {
            let after = After { key: key.into(), account };
            assert_eq!(read(&cursor(&after)), Some(after));
        }
        for wrong in ["", "-", "1", "1-0", "1-zz", "+1-00", "1-ff", "x-00"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pages_are_bounded() {
        let page = |limit, cursor: &str| Paging { limit, cursor: Some(cursor.into()) };
        assert_eq!(page(None, "1").rows().unwrap(), DEFAULT_LIMIT);
        assert_eq!(page(Some(200), "1").rows().unwrap(), 200);
        assert!(page(Some(0), "1").rows().is_err() && page(Some(201), "1").rows().is_err());
        assert_eq!(page(None, "17").number().unwrap(), Some(17));
        assert!(page(None, "+17").number().is_err() && page(None, "").number().is_err());
    }
}
