//! The transport part of a description: ICE credentials, fingerprint, DTLS role. One for all sections, as all are
//! bundled; RFC 8859 §5 lets a client write it in the session, in the first bundled section, or in every section.

use rtc_sdp::description::common::Attribute;

use super::error::SdpError;

/// What the client said of its end of the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteTransport {
    pub ufrag: String,
    pub pwd: String,
    /// `sha-256 AB:CD:…`, upper case.
    pub fingerprint: String,
}

/// Our side of the exchange, which decides which `a=setup` of the client is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Description {
    /// The client offers.
    Offer,
    /// The client answers.
    Answer,
}

/// Reads the transport from the levels given, first match wins: session, then the accepted sections in order.
pub(super) fn read(levels: &[&[Attribute]], description: Description) -> Result<RemoteTransport, SdpError> {
    let first = |key| levels.iter().find_map(|level| value(level, key));
    if levels.iter().any(|level| level.iter().any(|line| line.key == "ice-lite")) {
        // RFC 8445 §6.1.1: of two lite agents none sends checks.
        return Err(SdpError::new("sdp_ice_lite", "both ends are ICE-lite"));
    }
    check_setup(first("setup"), description)?;
    let (Some(ufrag), Some(pwd)) = (first("ice-ufrag"), first("ice-pwd")) else {
        return Err(SdpError::new("sdp_no_ice", "no ICE credentials"));
    };
    check_credentials(ufrag, pwd)?;
    let fingerprint = levels.iter().flat_map(|level| level.iter()).filter(|line| line.key == "fingerprint");
    let Some(fingerprint) = fingerprint.filter_map(|line| line.value.as_deref()).find_map(sha256) else {
        return Err(SdpError::new("sdp_no_fingerprint", "no usable sha-256 fingerprint"));
    };
    Ok(RemoteTransport { ufrag: ufrag.to_owned(), pwd: pwd.to_owned(), fingerprint })
}

/// Value of the first line with this key.
pub(super) fn value<'a>(lines: &'a [Attribute], key: &str) -> Option<&'a str> {
    lines.iter().find(|line| line.key == key).and_then(|line| line.value.as_deref())
}

/// RFC 8842 §5: we are always the passive side, so the client must be able to be the active one.
fn check_setup(setup: Option<&str>, description: Description) -> Result<(), SdpError> {
    match (setup, description) {
        // RFC 4145 §4: an offer or answer without the line means `active`.
        (None | Some("active"), Description::Offer | Description::Answer) | (Some("actpass"), Description::Offer) => {
            Ok(())
        }
        (Some(other), Description::Offer | Description::Answer) => {
            Err(SdpError::new("sdp_setup", format!("a=setup:{other:.16} leaves no role for a DTLS server")))
        }
    }
}

/// RFC 8839 §5.4: 4..=256 and 22..=256 characters of the ICE alphabet.
pub(super) fn check_credentials(ufrag: &str, pwd: &str) -> Result<(), SdpError> {
    // Some clients put `-`, `_` or `=` into them (base64url, uuid): harmless, as they are compared byte by byte. A colon
    // would make the STUN USERNAME ambiguous.
    let good = |text: &str, min| {
        let chars = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        chars && (min..=256).contains(&text.len())
    };
    if good(ufrag, 4) && good(pwd, 22) {
        return Ok(());
    }
    Err(SdpError::new("sdp_bad_ice", "ICE credentials have a wrong length or alphabet"))
}

/// RFC 8122 §5. Other hashes are left out: every client also sends sha-256, and one hash is one less to check.
fn sha256(value: &str) -> Option<String> {
    let (hash, digits) = value.split_once(' ')?;
    let pairs = digits.trim().split(':');
    let hex = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    let good = hash.eq_ignore_ascii_case("sha-256") && pairs.clone().count() == 32 && pairs.clone().all(hex);
    good.then(|| format!("sha-256 {}", digits.trim().to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UFRAG: &str = "a+/4";
    const PWD: &str = "0123456789012345678901";

    fn lines(setup: &str, ufrag: &str, pwd: &str, fingerprint: &str) -> Vec<Attribute> {
        [("setup", setup), ("ice-ufrag", ufrag), ("ice-pwd", pwd), ("fingerprint", fingerprint)]
            .map(|(key, value)| Attribute::new(key.into(), Some(value.into())))
            .to_vec()
    }

    #[test]
    fn reads_and_refuses() {
        let good = format!("SHA-256 {}", ["ab"; 32].join(":"));
        let short = format!("sha-256 {}", ["ab"; 31].join(":"));
        let (offer, answer) = (Description::Offer, Description::Answer);
        let rows = [
            (offer, lines("actpass", UFRAG, PWD, &good), Ok(())),
            (offer, lines("active", UFRAG, PWD, &good), Ok(())),
            (offer, lines("passive", UFRAG, PWD, &good), Err("sdp_setup")),
            (offer, lines("holdconn", UFRAG, PWD, &good), Err("sdp_setup")),
            (answer, lines("active", UFRAG, PWD, &good), Ok(())),
            (answer, lines("actpass", UFRAG, PWD, &good), Err("sdp_setup")),
            (answer, lines("passive", UFRAG, PWD, &good), Err("sdp_setup")),
            (offer, lines("actpass", "abc", PWD, &good), Err("sdp_bad_ice")),
            (offer, lines("actpass", "a:bc", PWD, &good), Err("sdp_bad_ice")),
            (offer, lines("actpass", UFRAG, "short", &good), Err("sdp_bad_ice")),
            (offer, lines("actpass", UFRAG, &"x".repeat(257), &good), Err("sdp_bad_ice")),
            (offer, lines("actpass", UFRAG, PWD, &short), Err("sdp_no_fingerprint")),
            (offer, lines("actpass", UFRAG, PWD, "sha-1 ab"), Err("sdp_no_fingerprint")),
            (offer, Vec::new(), Err("sdp_no_ice")),
        ];
        for (description, lines, want) in rows {
            let got = read(&[&[], &lines], description).map(|_| ()).map_err(|error| error.code);
            assert_eq!(got, want, "{lines:?}");
        }
        let read = read(&[&lines("active", UFRAG, PWD, &good)], offer).unwrap();
        assert_eq!(read.fingerprint, format!("sha-256 {}", ["AB"; 32].join(":")));
    }
}
