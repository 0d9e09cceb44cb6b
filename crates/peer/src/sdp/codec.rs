//! Codecs of a section: what `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` say of one payload type, and which codec of a
//! subscriber can take what a publisher sends.

use convene_types::{Codec, Pt};

/// Feedback that a codec was offered with (RFC 4585 §4.2, RFC 5104, transport-wide-cc, REMB).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// `nack`.
    pub nack: bool,
    /// `nack pli`.
    pub pli: bool,
    /// `ccm fir`.
    pub fir: bool,
    /// `transport-cc`.
    pub transport_cc: bool,
    /// `goog-remb`.
    pub remb: bool,
}

impl Feedback {
    /// What we take part in as the receiver of a stream.
    pub(super) const RECEIVING: Self = Self { nack: true, pli: true, fir: true, transport_cc: true, remb: true };
    /// What we want from a receiver of our streams. Transport-wide feedback is what we estimate with; REMB serves clients
    /// that have nothing else.
    pub(super) const SENDING: Self = Self { nack: true, pli: true, fir: true, transport_cc: true, remb: true };

    const NAMES: [&'static str; 5] = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];

    /// Takes note of one `a=rtcp-fb` value; unknown ones are left out of our answer.
    pub(super) fn add(&mut self, value: &str) {
        match value {
            "nack" => self.nack = true,
            "nack pli" => self.pli = true,
            "ccm fir" => self.fir = true,
            "transport-cc" => self.transport_cc = true,
            "goog-remb" => self.remb = true,
            _unknown => {}
        }
    }

    /// What both have.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            nack: self.nack && other.nack,
            pli: self.pli && other.pli,
            fir: self.fir && other.fir,
            transport_cc: self.transport_cc && other.transport_cc,
            remb: self.remb && other.remb,
        }
    }

    /// Without what is there for those who lack something that both have: REMB beside transport-wide feedback, FIR beside PLI.
    pub(super) fn without_substitutes(self) -> Self {
        Self { remb: self.remb && !self.transport_cc, fir: self.fir && !self.pli, ..self }
    }

    /// What either has.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            nack: self.nack || other.nack,
            pli: self.pli || other.pli,
            fir: self.fir || other.fir,
            transport_cc: self.transport_cc || other.transport_cc,
            remb: self.remb || other.remb,
        }
    }

    /// The values to print.
    pub(super) fn values(self) -> impl Iterator<Item = &'static str> {
        let flags = [self.remb, self.transport_cc, self.fir, self.nack, self.pli];
        Self::NAMES.into_iter().zip(flags).filter_map(|(name, set)| set.then_some(name))
    }
}

/// One codec of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecParams {
    /// Payload type of the media.
    pub pt: Pt,
    /// What it is.
    pub codec: Codec,
    /// Value of `a=fmtp` after the payload type; empty: none.
    pub fmtp: String,
    /// Payload type of its RTX (RFC 4588), where negotiated.
    pub rtx: Option<Pt>,
    /// Channels as `a=rtpmap` says; 1 where it says nothing.
    pub channels: u8,
    /// Feedback offered for it.
    pub feedback: Feedback,
}

/// Value of one `key=value` parameter of an fmtp line. Names compare without case (RFC 6838 §4.3).
pub(super) fn fmtp_value<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
        let matches = key.trim().eq_ignore_ascii_case(name);
        matches.then_some(value.trim())
    })
}

/// The codec of `subscriber` that can be sent what `publisher` sends, without any change to the payload.
///
/// An exact format match wins; otherwise a receiver of a larger profile takes a smaller one (H.264). Levels are not
/// compared: browsers announce a low one and decode more.
#[must_use]
pub fn match_codec<'a>(publisher: &CodecParams, subscriber: &'a [CodecParams]) -> Option<&'a CodecParams> {
    let grade = |candidate: &CodecParams| fit(publisher, candidate);
    // `min_by_key` keeps the first of equals, which is the one that the subscriber prefers.
    subscriber.iter().filter_map(|c| grade(c).map(|grade| (grade, c))).min_by_key(|(grade, _)| *grade).map(|(_, c)| c)
}

/// 0: same format; larger: decodable, but not what was asked for; `None`: not decodable.
fn fit(publisher: &CodecParams, subscriber: &CodecParams) -> Option<u8> {
    if publisher.codec != subscriber.codec || publisher.channels != subscriber.channels {
        return None;
    }
    let same = |name, default| {
        let of = |fmtp| fmtp_value(fmtp, name).unwrap_or(default);
        of(&publisher.fmtp).eq_ignore_ascii_case(of(&subscriber.fmtp)).then_some(0)
    };
    match publisher.codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Vp8 => Some(0),
        // RFC 2198 §3: every block names its payload type inside the payload, which is forwarded as it is.
        Codec::Red => (publisher.fmtp == subscriber.fmtp).then_some(0),
        Codec::Vp9 => same("profile-id", "0"), // RFC 9628 §6.1
        Codec::H264 => h264_fit(&publisher.fmtp, &subscriber.fmtp),
        Codec::H265 => same("profile-id", "1"), // RFC 7798 §7.1
        Codec::Av1 => same("profile", "0"),     // AV1 RTP payload format §7.2.1
    }
}

/// RFC 6184 §8.1: a receiver of packetization-mode 1 takes mode 0 as well, not the other way round.
fn h264_fit(publisher: &str, subscriber: &str) -> Option<u8> {
    let mode = |fmtp| fmtp_value(fmtp, "packetization-mode").unwrap_or("0");
    let mode_grade = match (mode(publisher), mode(subscriber)) {
        (sent, taken) if sent == taken => 0,
        ("0", "1") => 1,
        _other => return None,
    };
    let (sent, taken) = (H264Profile::of(publisher)?, H264Profile::of(subscriber)?);
    let profile_grade = match (sent, taken) {
        (sent, taken) if sent == taken => 0,
        (H264Profile::ConstrainedBaseline, H264Profile::Baseline) => 2,
        (H264Profile::ConstrainedBaseline, H264Profile::Main) => 4,
        (H264Profile::ConstrainedBaseline | H264Profile::Main | H264Profile::ConstrainedHigh, H264Profile::High) => 6,
        _other => return None,
    };
    Some(profile_grade + mode_grade)
}

/// Profiles of RFC 6184 §8.1 table 5 that are seen in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    High,
    ConstrainedHigh,
    /// Anything else: matches the same two bytes only.
    Other(u8, u8),
}

impl H264Profile {
    /// Of a whole fmtp value; `None`: a malformed profile-level-id.
    fn of(fmtp: &str) -> Option<Self> {
        // RFC 6184 §8.1: without the parameter it is Baseline, level 1.
        let text = fmtp_value(fmtp, "profile-level-id").unwrap_or("420010");
        if text.len() != 6 {
            return None;
        }
        let bits = u32::from_str_radix(text, 16).ok()?;
        let [_, idc, iop, _level] = bits.to_be_bytes();
        Some(match (idc, iop) {
            (0x42, iop) if iop & 0x4f == 0x40 => Self::ConstrainedBaseline,
            (0x4d, iop) if iop & 0x8f == 0x80 => Self::ConstrainedBaseline,
            (0x58, iop) if iop & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            (0x42, iop) if iop & 0x4f == 0x00 => Self::Baseline,
            (0x58, iop) if iop & 0xcf == 0x80 => Self::Baseline,
            (0x4d, iop) if iop & 0xaf == 0x00 => Self::Main,
            (0x64, 0x00) => Self::High,
            (0x64, 0x0c) => Self::ConstrainedHigh,
            (idc, iop) => Self::Other(idc, iop),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pt: u8, codec: Codec, fmtp: &str) -> CodecParams {
        let feedback = Feedback::default();
        CodecParams { pt: Pt(pt), codec, fmtp: fmtp.into(), rtx: None, channels: 1, feedback }
    }

    #[test]
    fn matches_formats() {
        let chromium = [
            params(96, Codec::Vp8, ""),
            params(98, Codec::Vp9, "profile-id=0"),
            params(100, Codec::Vp9, "profile-id=2"),
            params(102, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
            params(104, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
            params(106, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
            params(108, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
            params(127, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
            params(112, Codec::H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
            params(45, Codec::Av1, "level-idx=5;profile=0;tier=0"),
            params(49, Codec::H265, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"),
        ];
        let rows: [(Codec, &str, Option<u8>); 16] = [
            (Codec::Vp8, "", Some(96)),
            (Codec::Vp8, "max-fr=30", Some(96)),
            (Codec::Vp9, "", Some(98)),
            (Codec::Vp9, "profile-id=2", Some(100)),
            (Codec::Vp9, "profile-id=1", None),
            (Codec::H264, "packetization-mode=1;profile-level-id=42e01f", Some(106)),
            (Codec::H264, "profile-level-id=42e034; packetization-mode=1", Some(106)),
            (Codec::H264, "PROFILE-LEVEL-ID=42C01E;packetization-mode=1", Some(106)),
            (Codec::H264, "packetization-mode=0;profile-level-id=42e01f", Some(108)),
            (Codec::H264, "", Some(104)),
            (Codec::H264, "packetization-mode=0;profile-level-id=640c1f", Some(112)),
            (Codec::H264, "packetization-mode=1;profile-level-id=f4001f", None),
            (Codec::H264, "packetization-mode=1;profile-level-id=zz001f", None),
            (Codec::Av1, "", Some(45)),
            (Codec::Av1, "profile=1", None),
            (Codec::H265, "profile-id=2", None),
        ];
        for (codec, fmtp, want) in rows {
            let got = match_codec(&params(1, codec, fmtp), &chromium).map(|found| found.pt.0);
            assert_eq!(got, want, "{codec:?} {fmtp}");
        }
    }

    #[test]
    fn audio_needs_the_same_channels() {
        let stereo = CodecParams { channels: 2, ..params(111, Codec::Opus, "minptime=10") };
        let mono = params(111, Codec::Opus, "");
        assert_eq!(match_codec(&stereo, std::slice::from_ref(&stereo)), Some(&stereo));
        assert_eq!(match_codec(&stereo, &[mono]), None);
        let red = CodecParams { channels: 2, ..params(63, Codec::Red, "111/111") };
        let other = CodecParams { fmtp: "109/109".into(), ..red };
        assert_eq!(match_codec(&red, std::slice::from_ref(&other)), None);
        assert_eq!(match_codec(&red, &[other, red.clone()]), Some(&red));
    }

    #[test]
    fn feedback_prints_what_it_read() {
        let mut feedback = Feedback::default();
        for value in ["nack", "nack pli", "ack rpsi", "transport-cc", "goog-remb", "ccm fir"] {
            feedback.add(value);
        }
        assert_eq!(feedback, Feedback::RECEIVING);
        let sending = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];
        assert_eq!(feedback.and(Feedback::SENDING).values().collect::<Vec<_>>(), sending);
        assert_eq!(feedback.without_substitutes().values().collect::<Vec<_>>(), ["transport-cc", "nack", "nack pli"]);
        let old = Feedback { nack: true, fir: true, remb: true, ..Feedback::default() };
        assert_eq!(old.without_substitutes(), old);
    }
}
