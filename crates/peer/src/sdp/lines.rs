//! Values of single `a=` lines. Each function takes the text after the colon and says `None` for what it cannot read:
//! such a line is then as if it were not there.

use convene_rtp::ext::Kind;
use convene_types::{Pt, Rid, Ssrc};

use super::MAX_RIDS;

/// `a=rtpmap:<pt> <name>/<clock>[/<channels>]` (RFC 8866 §6.6).
pub(super) struct RtpMap<'a> {
    pub pt: Pt,
    pub name: &'a str,
    pub clock_rate: u32,
    pub channels: u8,
}

pub(super) fn rtpmap(value: &str) -> Option<RtpMap<'_>> {
    let (pt, encoding) = value.split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let (name, clock_rate) = (parts.next()?, parts.next()?.parse().ok()?);
    let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
    Some(RtpMap { pt: payload_type(pt)?, name, clock_rate, channels })
}

/// A payload type that can share a port with RTCP: RFC 5761 §4 keeps 64..=95 out.
pub(super) fn payload_type(text: &str) -> Option<Pt> {
    let pt: u8 = text.parse().ok()?;
    (pt <= 63 || (96..=127).contains(&pt)).then_some(Pt(pt))
}

/// `<pt> <rest>`, the form of `a=fmtp` and `a=rtcp-fb`. `*` (all payload types) is `None` inside.
pub(super) fn for_payload_type(value: &str) -> Option<(Option<Pt>, &str)> {
    let (pt, rest) = value.split_once(' ')?;
    match pt {
        "*" => Some((None, rest.trim())),
        pt => Some((Some(payload_type(pt)?), rest.trim())),
    }
}

/// `a=extmap:<id>[/<direction>] <uri> …` (RFC 8285 §5). Id 15 is reserved in the one-byte form, 0 always.
pub(super) fn extmap(value: &str) -> Option<(u8, Kind)> {
    let (id, rest) = value.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok().filter(|id| !matches!(id, 0 | 15))?;
    Some((id, Kind::from_uri(rest.split_whitespace().next()?)?))
}

/// `a=msid:<stream>[ <track>]` (RFC 8830 §2); the track is empty where it is left out.
pub(super) fn msid(value: &str) -> Option<(String, String)> {
    let mut tokens = value.split_whitespace();
    let stream = tokens.next()?;
    Some((stream.to_owned(), tokens.next().unwrap_or_default().to_owned()))
}

/// `a=ssrc:<ssrc> <attribute>` (RFC 5576 §4.1).
pub(super) fn ssrc(value: &str) -> Option<(Ssrc, &str)> {
    let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
    Some((Ssrc(ssrc.parse().ok()?), attribute))
}

/// `a=ssrc-group:FID <media> <rtx>` (RFC 5576 §4.2, RFC 4588 §8).
pub(super) fn fid(value: &str) -> Option<(Ssrc, Ssrc)> {
    let mut tokens = value.split_whitespace();
    if tokens.next()? != "FID" {
        return None;
    }
    let mut next = || tokens.next()?.parse().ok().map(Ssrc);
    Some((next()?, next()?))
}

/// Layers that `a=simulcast` sends, in its order (RFC 8853 §5.1). Of alternatives the first is taken; a leading `~`
/// (starts paused) is no part of the name.
pub(super) fn simulcast_send(value: &str) -> Vec<Rid> {
    let mut tokens = value.split_whitespace();
    while let Some(direction) = tokens.next() {
        let list = tokens.next().unwrap_or_default();
        if direction == "send" {
            let layers = list.split(';').filter_map(|layer| layer.split(',').next());
            let rids = layers.filter_map(|rid| rid.trim_start_matches('~').parse().ok());
            return rids.take(MAX_RIDS).collect();
        }
    }
    Vec::new()
}

/// `a=rid:<rid> send …` (RFC 8851 §4).
pub(super) fn rid_send(value: &str) -> Option<Rid> {
    let mut tokens = value.split_whitespace();
    let rid = tokens.next()?.parse().ok()?;
    (tokens.next()? == "send").then_some(rid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_avoid_rtcp() {
        let rows =
            [("0", true), ("63", true), ("64", false), ("95", false), ("96", true), ("127", true), ("128", false)];
        for (text, ok) in rows {
            assert_eq!(payload_type(text).is_some(), ok, "{text}");
        }
        assert!(payload_type("").is_none() && payload_type("-1").is_none() && payload_type("256").is_none());
    }

    #[test]
    fn reads_simulcast() {
        let rows: [(&str, &[&str]); 7] = [
            ("send q;h;f", &["q", "h", "f"]),
            ("recv a send h;q", &["h", "q"]),
            ("send ~q;h,x;f", &["q", "h", "f"]),
            ("recv q;h;f", &[]),
            ("send", &[]),
            ("", &[]),
            ("send 1;2;3;4;5;6", &["1", "2", "3", "4"]),
        ];
        for (value, want) in rows {
            let got = simulcast_send(value);
            assert_eq!(got.iter().map(|rid| rid.as_str()).collect::<Vec<_>>(), want, "{value}");
        }
    }

    #[test]
    fn reads_extmaps() {
        let rows = [
            ("4 urn:ietf:params:rtp-hdrext:sdes:mid", Some((4, Kind::Mid))),
            ("4/sendrecv urn:ietf:params:rtp-hdrext:sdes:mid", Some((4, Kind::Mid))),
            ("0 urn:ietf:params:rtp-hdrext:sdes:mid", None),
            ("15 urn:ietf:params:rtp-hdrext:sdes:mid", None),
            ("256 urn:ietf:params:rtp-hdrext:sdes:mid", None),
            ("2 urn:ietf:params:rtp-hdrext:toffset", None),
            ("2", None),
        ];
        for (value, want) in rows {
            assert_eq!(extmap(value), want, "{value}");
        }
    }

    #[test]
    fn reads_ssrcs_and_msids() {
        assert_eq!(ssrc("4294967295 cname:x y"), Some((Ssrc(u32::MAX), "cname:x y")));
        assert_eq!(ssrc("4294967296 cname:x"), None);
        assert_eq!(fid("FID 1 2"), Some((Ssrc(1), Ssrc(2))));
        assert_eq!(fid("SIM 1 2"), None);
        assert_eq!(fid("FID 1"), None);
        assert_eq!(msid("- track"), Some(("-".into(), "track".into())));
        assert_eq!(msid("stream"), Some(("stream".into(), String::new())));
        assert_eq!(msid(" "), None);
    }
}
