//! Bytes as signatures want them: hex, hashes, percent-encoding, dates. Used by the signers.

use aws_lc_rs::{digest, hmac};

const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
}

/// RFC 3986 §2.1, leaving the unreserved characters of §2.3.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `2023-10-26`, in UTC.
pub(crate) fn date(unix_s: u64) -> String {
    let (year, month, day) = civil(unix_s / SECONDS_OF_A_DAY);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2023-10-26T10:22:32Z`.
pub(crate) fn iso8601(unix_s: u64) -> String {
    let of_day = unix_s % SECONDS_OF_A_DAY;
    format!("{}T{:02}:{:02}:{:02}Z", date(unix_s), of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Year, month and day of a day since 1970. Counts in eras of 400 years that begin in March, so that the leap day is the
/// last of its year.
fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 1 March 0000
    const ERA: u64 = 146_097;
    let days = day.saturating_add(DAYS_TO_1970);
    let (era, of_era) = (days / ERA, days % ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era.saturating_add(era.saturating_mul(400)).saturating_add(u64::from(month <= 2));
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_known_seconds() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_551_113_065, "2019-02-25T16:44:25Z"),
            (1_698_315_752, "2023-10-26T10:22:32Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (unix_s, want) in rows {
            assert_eq!(iso8601(unix_s), want);
        }
    }

    #[test]
    fn percent_leaves_what_is_unreserved() {
        assert_eq!(percent("AZaz09-_.~"), "AZaz09-_.~");
        assert_eq!(percent("a b*c+d/e=&\u{e9}"), "a%20b%2Ac%2Bd%2Fe%3D%26%C3%A9");
    }

    proptest! {
        /// A day after a day is the next day, or the first of the next month.
        #[test]
        fn days_follow_each_other(day in 0_u64..200_000) {
            let ((year, month, of_month), next) = (civil(day), civil(day + 1));
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
            let (first, new_year) = ((year, month + 1, 1), (year + 1, 1, 1));
            prop_assert!(next == (year, month, of_month + 1) || (next == first && of_month >= 28) || (next == new_year && of_month == 31));
        }
    }
}
