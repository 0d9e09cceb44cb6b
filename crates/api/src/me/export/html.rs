//! Pages that a browser shows: what people wrote is text in them and nothing else.

use std::fmt::Write as _;

/// What stands above and below each page.
const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'\">\
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
time,small{color:#666}li{margin:.4rem 0;overflow-wrap:anywhere;white-space:pre-wrap}dt{font-weight:600}</style>";

const DAY_S: i64 = 24 * 60 * 60;

/// The beginning of a page.
pub(super) fn head(title: &str) -> String {
    let title = text(title);
    format!("{HEAD}<title>{title}</title><h1>{title}</h1>\n")
}

/// Text as it stands in a page, also between quotes.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A moment, UTC, as `2026-02-03 04:05:06`.
pub(super) fn clock(at_ms: i64) -> String {
    let s = at_ms.div_euclid(1000);
    let (days, of_day) = (s.div_euclid(DAY_S), s.rem_euclid(DAY_S));
    let (year, month, day) = date(days);
    let mut text = String::new();
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // A String takes whatever it is given.
    let _ = write!(text, "{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}");
    text
}

/// The Gregorian date of a day since 1970: years begin in March, so that the leap day is their last, and repeat after 400.
fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days.saturating_add(719_468); // since 0000-03-01
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_calendars_have_them() {
        let rows = [
            (0, "1970-01-01 00:00:00"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_709_251_199_999, "2024-02-29 23:59:59"),
            (1_709_251_200_000, "2024-03-01 00:00:00"),
            (4_102_444_800_000, "2100-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
        ];
        for (at_ms, want) in rows {
            assert_eq!(clock(at_ms), want);
        }
    }

    #[test]
    fn what_people_wrote_is_text() {
        let shown = text("<script>alert('x')</script> \"&\"");
        assert_eq!(shown, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;&quot;");
    }
}
