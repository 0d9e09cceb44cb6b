//! Sections to text, the parts that answers and offers share.

use convene_types::Codec;
use rtc_sdp::description::common::{Address, Attribute, ConnectionInformation};
use rtc_sdp::description::media::{MediaName, RangedPort};
use rtc_sdp::description::session::{Origin, TimeDescription};
use rtc_sdp::{MediaDescription, SessionDescription};

use super::MAX_MESSAGE_BYTES;
use super::codec::{CodecParams, Feedback};
use super::negotiator::Options;
use super::outgoing::Outgoing;
use super::section::Section;
use super::transport::Description;

/// What differs between an answer and an offer.
pub(super) struct Style {
    /// Ours.
    pub description: Description,
    /// Grows with each description (RFC 3264 §8).
    pub version: u64,
    /// Print `a=group:BUNDLE`.
    pub bundle: bool,
    /// Print `a=extmap-allow-mixed`.
    pub allow_mixed: bool,
}

/// Direction of a section from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    pub sends: bool,
    pub receives: bool,
}

impl Direction {
    fn name(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }
}

/// Attribute lines under construction.
#[derive(Default)]
struct Lines(Vec<Attribute>);

impl Lines {
    fn flag(&mut self, key: &str) {
        self.0.push(Attribute::new(key.to_owned(), None));
    }

    fn value(&mut self, key: &str, value: impl Into<String>) {
        self.0.push(Attribute::new(key.to_owned(), Some(value.into())));
    }
}

/// A whole description. `direction` is asked for each accepted section.
pub(super) fn description(
    options: &Options,
    style: &Style,
    sections: &[Section],
    direction: impl Fn(&Section) -> Direction,
) -> String {
    let mut lines = Lines::default();
    let accepted = || sections.iter().filter(|section| !section.rejected);
    if style.bundle {
        let mids = accepted().fold("BUNDLE".to_owned(), |group, section| format!("{group} {}", section.mid));
        lines.value("group", mids);
    }
    if style.allow_mixed {
        lines.flag("extmap-allow-mixed");
    }
    lines.value("msid-semantic", " WMS *");
    lines.flag("ice-lite"); // RFC 8839 §5.3: session level only
    // RFC 9143 §7.1.3: candidates belong to the section that carries the transport, the first accepted one.
    let tagged = accepted().next().map(|section| section.mid);
    let media = sections.iter().map(|section| match section.rejected {
        true => rejected(section),
        false => accepted_media(options, style, section, direction(section), tagged == Some(section.mid)),
    });
    let session = SessionDescription {
        origin: Origin {
            username: "-".to_owned(),
            session_id: options.session_id,
            session_version: style.version,
            network_type: "IN".to_owned(),
            address_type: "IP4".to_owned(),
            unicast_address: "127.0.0.1".to_owned(), // RFC 8829 §5.2.1: a meaningless address
        },
        session_name: "-".to_owned(),
        time_descriptions: vec![TimeDescription::default()],
        attributes: lines.0,
        media_descriptions: media.collect(),
        ..SessionDescription::default()
    };
    session.to_string()
}

fn media(section: &Section, port: isize, formats: Vec<String>, attributes: Vec<Attribute>) -> MediaDescription {
    let address = Address { address: "0.0.0.0".to_owned(), ttl: None, range: None };
    MediaDescription {
        media_name: MediaName {
            media: section.wire.media.clone(),
            port: RangedPort { value: port, range: None },
            protos: section.wire.protos.clone(),
            formats,
        },
        connection_information: Some(ConnectionInformation {
            network_type: "IN".to_owned(),
            address_type: "IP4".to_owned(),
            address: Some(address),
        }),
        attributes,
        ..MediaDescription::default()
    }
}

/// RFC 3264 §6: port 0, the formats mean nothing.
fn rejected(section: &Section) -> MediaDescription {
    let mut lines = Lines::default();
    // A placeholder (see `parse`) stands for a mid that the client did not give.
    if !section.mid.as_str().starts_with('?') {
        lines.value("mid", section.mid.as_str());
    }
    lines.flag("inactive");
    media(section, 0, section.wire.formats.clone(), lines.0)
}

fn accepted_media(
    options: &Options,
    style: &Style,
    section: &Section,
    direction: Direction,
    tagged: bool,
) -> MediaDescription {
    let mut lines = Lines::default();
    if tagged {
        candidates(&mut lines, options);
    }
    lines.value("ice-ufrag", &*options.ufrag);
    lines.value("ice-pwd", &*options.pwd);
    lines.value("ice-options", "trickle");
    lines.value("fingerprint", &*options.fingerprint);
    // RFC 8842 §5.3: we answer as the DTLS server; an offer must say actpass (RFC 8829 §5.2.1), handle_answer insists.
    let (setup, codecs) = match style.description {
        Description::Offer => ("actpass", &*section.wire.offered_codecs),
        Description::Answer => ("passive", answered(section, direction)),
    };
    lines.value("setup", setup);
    lines.value("mid", section.mid.as_str());
    let Some(_kind) = section.kind.media() else {
        lines.value("sctp-port", "5000"); // RFC 8841 §5: the default of every browser
        lines.value("max-message-size", MAX_MESSAGE_BYTES.to_string());
        return media(section, 9, section.wire.formats.clone(), lines.0);
    };
    for (id, kind) in &section.wire.extmaps {
        lines.value("extmap", format!("{id} {}", kind.uri()));
    }
    lines.flag(direction.name());
    let outgoing = section.outgoing.as_ref().or(section.reserved.as_ref()).filter(|_outgoing| direction.sends);
    if let Some(outgoing) = outgoing {
        lines.value("msid", format!("{} {}", section.stream(outgoing), outgoing.msid.track));
    }
    lines.flag("rtcp-mux");
    if section.wire.rtcp_rsize {
        lines.flag("rtcp-rsize");
    }
    let ours = if direction.sends { Feedback::SENDING } else { Feedback::RECEIVING };
    let formats = codec_lines(&mut lines, codecs, |offered| match style.description {
        Description::Offer => offered.and(ours),
        Description::Answer => offered.and(ours).without_substitutes(),
    });
    simulcast(&mut lines, section, direction);
    if let Some(outgoing) = outgoing {
        let repaired = codecs.iter().any(|codec| codec.rtx.is_some());
        sources(&mut lines, outgoing, section.stream(outgoing), repaired);
    }
    media(section, 9, formats, lines.0)
}

/// The codecs that an answer names. A section on which nothing flows has to have one (RFC 3264 §6.1), and the next offer brings
/// all of them again: clients keep sections in reserve, and all the codecs of a browser on each make the answer longer than
/// what TCP sends at once (RFC 6928), which costs a join a round trip.
fn answered(section: &Section, direction: Direction) -> &[CodecParams] {
    let idle = !direction.sends && !direction.receives;
    let one = section.codecs.iter().find(|codec| codec.codec != Codec::Red).filter(|_codec| idle);
    one.map_or(&section.codecs, std::slice::from_ref)
}

/// RFC 8839 §5.1: host candidates for component 1. Earlier ones are preferred (RFC 8445 §5.1.2.1).
fn candidates(lines: &mut Lines, options: &Options) {
    for candidate in candidate_values(options) {
        lines.value("candidate", candidate);
    }
    lines.flag("end-of-candidates");
}

/// Values of `a=candidate`.
pub(super) fn candidate_values(options: &Options) -> impl Iterator<Item = String> {
    let udp = (0..u16::MAX).zip(&options.candidates).map(|(index, addr)| {
        let foundation = u32::from(index) + 1;
        format!("{foundation} 1 udp {} {} {} typ host", priority(126, index), addr.ip(), addr.port())
    });
    // RFC 6544 §4.2: below UDP, where lost packets delay nothing. A lower type preference puts it there whatever the client
    // makes of local preferences; §4.5: the foundation differs from that of UDP.
    let tcp = (0..u16::MAX).zip(&options.tcp_candidates).map(|(index, addr)| {
        let foundation = u32::from(index) + 1_001;
        format!("{foundation} 1 tcp {} {} {} typ host tcptype passive", priority(90, index), addr.ip(), addr.port())
    });
    udp.chain(tcp)
}

/// RFC 8445 §5.1.2.1, component 1.
fn priority(type_preference: u32, index: u16) -> u32 {
    (type_preference << 24) | (u32::from(u16::MAX - index) << 8) | 255
}

/// `a=rtpmap`, `a=rtcp-fb` and `a=fmtp` of each codec and its RTX; returns the formats of the `m=` line.
fn codec_lines(lines: &mut Lines, codecs: &[CodecParams], feedback: impl Fn(Feedback) -> Feedback) -> Vec<String> {
    let mut formats = Vec::with_capacity(codecs.len() * 2);
    for codec in codecs {
        let pt = codec.pt.0;
        formats.push(pt.to_string());
        let (name, clock) = (codec.codec.name(), codec.codec.clock_rate());
        match codec.channels {
            0 | 1 => lines.value("rtpmap", format!("{pt} {name}/{clock}")),
            channels => lines.value("rtpmap", format!("{pt} {name}/{clock}/{channels}")),
        }
        for value in feedback(codec.feedback).values() {
            lines.value("rtcp-fb", format!("{pt} {value}"));
        }
        if !codec.fmtp.is_empty() {
            lines.value("fmtp", format!("{pt} {}", codec.fmtp));
        }
        if let Some(rtx) = codec.rtx {
            formats.push(rtx.0.to_string());
            lines.value("rtpmap", format!("{} rtx/{clock}", rtx.0));
            lines.value("fmtp", format!("{} apt={pt}", rtx.0));
        }
    }
    formats
}

/// RFC 8853 §5.3.2: the layers that we take, under the names that the client gave.
fn simulcast(lines: &mut Lines, section: &Section, direction: Direction) {
    if !direction.receives || section.rids.is_empty() {
        return;
    }
    let rids: Vec<&str> = section.rids.iter().map(|rid| rid.as_str()).collect();
    for rid in &rids {
        lines.value("rid", format!("{rid} recv"));
    }
    lines.value("simulcast", format!("recv {}", rids.join(";")));
}

/// RFC 5576. The CNAME is the stream token: what is in one stream is played in sync.
fn sources(lines: &mut Lines, outgoing: &Outgoing, cname: &str, repaired: bool) {
    let (media, rtx) = (outgoing.ssrc, outgoing.rtx_ssrc);
    if repaired {
        lines.value("ssrc-group", format!("FID {media} {rtx}"));
    }
    lines.value("ssrc", format!("{media} cname:{cname}"));
    if repaired {
        lines.value("ssrc", format!("{rtx} cname:{cname}"));
    }
}
