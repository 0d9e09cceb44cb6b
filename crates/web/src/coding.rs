//! How a file was packed when the client was built, and what a browser takes.

/// Content codings (RFC 9110 §8.4.1), the smallest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// RFC 7932. Browsers take it over HTTPS only.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Those that `Accept-Encoding` takes, the smallest first (RFC 9110 §12.5.3). Which one somebody likes better is not
    /// asked: all of them cost us nothing.
    #[must_use]
    pub fn accepted(header: &str) -> Vec<Self> {
        [Self::Brotli, Self::Gzip].into_iter().filter(|coding| takes(header, coding.name())).collect()
    }

    /// Of the packed file beside the one at `path`.
    pub(crate) fn name_of(self, path: &str) -> String {
        let ending = match self {
            Self::Brotli => "br",
            Self::Gzip => "gz",
        };
        format!("{path}.{ending}")
    }
}

/// By its own name, or else by `*`; unless with a weight of 0.
fn takes(header: &str, coding: &str) -> bool {
    let find = |wanted: &str| {
        header.split(',').find_map(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, "q=1"));
            let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
            name.trim().eq_ignore_ascii_case(wanted).then(|| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
        })
    };
    find(coding).or_else(|| find("*")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_takes() {
        use Coding::{Brotli, Gzip};
        let rows: [(&str, &[Coding]); 10] = [
            ("gzip, deflate, br, zstd", &[Brotli, Gzip]),
            ("gzip, deflate", &[Gzip]),
            ("GZIP;Q=0.5", &[Gzip]),
            ("br;q=0, gzip;q=0.001", &[Gzip]),
            ("*", &[Brotli, Gzip]),
            ("*;q=0.1, gzip;q=0", &[Brotli]),
            ("identity", &[]),
            ("", &[]),
            ("gzip;q=x, br;;", &[]),
            ("brotli, gzipped", &[]),
        ];
        for (header, want) in rows {
            assert_eq!(Coding::accepted(header), want, "{header}");
        }
    }
}
