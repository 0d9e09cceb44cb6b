//! Reading just enough SDP to tell a trickled candidate from an ICE restart.

/// Lines that are looked at in a fragment. A client sends one line a candidate; hosts with dozens of addresses exist.
const MAX_LINES: usize = 1024;

/// ICE credentials as an SDP or an SDP fragment names them first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ice {
    pub(super) ufrag: String,
    pub(super) pwd: String,
}

/// The first ICE credentials of an SDP text. Every bundled section repeats the same.
pub(super) fn ice(sdp: &str) -> Option<Ice> {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name)).filter(|v| !v.is_empty());
    Some(Ice { ufrag: value("a=ice-ufrag:")?.to_owned(), pwd: value("a=ice-pwd:")?.to_owned() })
}

/// Checks that a text is an `application/trickle-ice-sdpfrag` (RFC 8840 §9): attribute and media lines, credentials
/// among them. What the candidates say is nothing to an ICE-lite agent: it answers checks and sends none (RFC 8445 §2.5).
pub(super) fn parse(fragment: &str) -> Option<Ice> {
    let mut lines = fragment.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let known = lines.by_ref().take(MAX_LINES).all(|line| line.starts_with("a=") || line.starts_with("m="));
    if known && lines.next().is_none() { ice(fragment) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_name_their_credentials() {
        let long = format!("a=ice-ufrag:u\r\na=ice-pwd:p\r\n{}", "a=candidate:1\r\n".repeat(MAX_LINES));
        let rows = [
            (
                "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uY\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 ::1 9 typ host\r\n",
                true,
            ),
            ("a=ice-ufrag:EsAw\na=ice-pwd:P2uY\n", true),
            ("a=ice-ufrag:EsAw\r\n", false),
            ("a=ice-pwd:P2uY\r\n", false),
            ("a=ice-ufrag:\r\na=ice-pwd:P2uY\r\n", false),
            ("v=0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uY\r\n", false),
            ("hello", false),
            ("", false),
            (long.as_str(), false),
        ];
        for (text, good) in rows {
            assert_eq!(parse(text).is_some(), good, "{text}");
        }
        let want = Ice { ufrag: "EsAw".into(), pwd: "P2uY".into() };
        assert_eq!(parse(rows[0].0), Some(want));
    }
}
