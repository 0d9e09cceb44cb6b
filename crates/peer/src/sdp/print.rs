//! Sections to text, the parts that answers and offers share.
//!
//! Written straight into one string: a call of a hundred is 300 KB of text for each of its clients whenever somebody comes, and
//! that is a media thread's time. Through rtc-sdp's structs, two strings a line, it took three times as long.

use std::fmt::{Display, Write};

use convene_types::Codec;

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

/// A description under construction (RFC 8866 §9).
struct Text(String);

impl Text {
    fn put(&mut self, part: impl Display) {
        let _ = write!(self.0, "{part}"); // writing into a string cannot fail
    }

    fn line(&mut self, line: impl Display) {
        self.put(line);
        self.0.push_str("\r\n");
    }

    fn flag(&mut self, key: &str) {
        self.line(format_args!("a={key}"));
    }

    fn value(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("a={key}:{value}"));
    }

    /// The `m=` line, and the `c=` line, which has to be there and says nothing where ICE finds the addresses.
    fn media<F: Display>(&mut self, section: &Section, port: u16, formats: impl Iterator<Item = F>) {
        self.put(format_args!("m={} {port} {}", section.wire.media, section.wire.protos.join("/")));
        for format in formats {
            self.put(format_args!(" {format}"));
        }
        self.line("\r\nc=IN IP4 0.0.0.0");
    }
}

/// What is asked for at first: a section with the codecs of a browser.
const SECTION_BYTES: usize = 2_048;

/// A whole description. `direction` is asked for each accepted section.
pub(super) fn description(
    options: &Options,
    style: &Style,
    sections: &[Section],
    direction: impl Fn(&Section) -> Direction,
) -> String {
    let mut text = Text(String::with_capacity(SECTION_BYTES * (sections.len() + 1)));
    text.line("v=0");
    // RFC 8829 §5.2.1: a meaningless address.
    text.line(format_args!("o=- {} {} IN IP4 127.0.0.1", options.session_id, style.version));
    text.line("s=-");
    text.line("t=0 0");
    let accepted = || sections.iter().filter(|section| !section.rejected);
    if style.bundle {
        text.put("a=group:BUNDLE");
        for section in accepted() {
            text.put(format_args!(" {}", section.mid));
        }
        text.line("");
    }
    if style.allow_mixed {
        text.flag("extmap-allow-mixed");
    }
    text.value("msid-semantic", " WMS *");
    text.flag("ice-lite"); // RFC 8839 §5.3: session level only
    // RFC 9143 §7.1.3: candidates belong to the section that carries the transport, the first accepted one.
    let tagged = accepted().next().map(|section| section.mid);
    for section in sections {
        match section.rejected {
            true => rejected(&mut text, section),
            false => {
                accepted_media(&mut text, options, style, section, direction(section), tagged == Some(section.mid))
            }
        }
    }
    text.0
}

/// RFC 3264 §6: port 0, the formats mean nothing.
fn rejected(text: &mut Text, section: &Section) {
    text.media(section, 0, section.wire.formats.iter());
    // A placeholder (see `parse`) stands for a mid that the client did not give.
    if !section.mid.as_str().starts_with('?') {
        text.value("mid", section.mid);
    }
    text.flag("inactive");
}

fn accepted_media(
    text: &mut Text,
    options: &Options,
    style: &Style,
    section: &Section,
    direction: Direction,
    tagged: bool,
) {
    // RFC 8842 §5.3: we answer as the DTLS server; an offer must say actpass (RFC 8829 §5.2.1), handle_answer insists.
    let (setup, codecs) = match style.description {
        Description::Offer => ("actpass", &*section.wire.offered_codecs),
        Description::Answer => ("passive", answered(section, direction)),
    };
    let is_media = section.kind.media().is_some();
    let pts = codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx]).flatten().map(|pt| pt.0);
    match is_media {
        true => text.media(section, 9, pts),
        false => text.media(section, 9, section.wire.formats.iter()),
    }
    if tagged {
        candidates(text, options);
    }
    text.value("ice-ufrag", &options.ufrag);
    text.value("ice-pwd", &options.pwd);
    text.value("ice-options", "trickle");
    text.value("fingerprint", &options.fingerprint);
    text.value("setup", setup);
    text.value("mid", section.mid);
    if !is_media {
        text.value("sctp-port", 5000); // RFC 8841 §5: the default of every browser
        text.value("max-message-size", MAX_MESSAGE_BYTES);
        return;
    }
    for (id, kind) in &section.wire.extmaps {
        text.value("extmap", format_args!("{id} {}", kind.uri()));
    }
    text.flag(direction.name());
    let outgoing = section.outgoing.as_ref().or(section.reserved.as_ref()).filter(|_outgoing| direction.sends);
    if let Some(outgoing) = outgoing {
        text.value("msid", format_args!("{} {}", section.stream(outgoing), outgoing.msid.track));
    }
    text.flag("rtcp-mux");
    if section.wire.rtcp_rsize {
        text.flag("rtcp-rsize");
    }
    let ours = if direction.sends { Feedback::SENDING } else { Feedback::RECEIVING };
    codec_lines(text, codecs, |offered| match style.description {
        Description::Offer => offered.and(ours),
        Description::Answer => offered.and(ours).without_substitutes(),
    });
    simulcast(text, section, direction);
    if let Some(outgoing) = outgoing {
        let repaired = codecs.iter().any(|codec| codec.rtx.is_some());
        sources(text, outgoing, section.stream(outgoing), repaired);
    }
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
fn candidates(text: &mut Text, options: &Options) {
    for candidate in candidate_values(options) {
        text.value("candidate", candidate);
    }
    text.flag("end-of-candidates");
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

/// `a=rtpmap`, `a=rtcp-fb` and `a=fmtp` of each codec and its RTX.
fn codec_lines(text: &mut Text, codecs: &[CodecParams], feedback: impl Fn(Feedback) -> Feedback) {
    for codec in codecs {
        let pt = codec.pt.0;
        let (name, clock) = (codec.codec.name(), codec.codec.clock_rate());
        match codec.channels {
            0 | 1 => text.value("rtpmap", format_args!("{pt} {name}/{clock}")),
            channels => text.value("rtpmap", format_args!("{pt} {name}/{clock}/{channels}")),
        }
        for value in feedback(codec.feedback).values() {
            text.value("rtcp-fb", format_args!("{pt} {value}"));
        }
        if !codec.fmtp.is_empty() {
            text.value("fmtp", format_args!("{pt} {}", codec.fmtp));
        }
        if let Some(rtx) = codec.rtx {
            text.value("rtpmap", format_args!("{} rtx/{clock}", rtx.0));
            text.value("fmtp", format_args!("{} apt={pt}", rtx.0));
        }
    }
}

/// RFC 8853 §5.3.2: the layers that we take, under the names that the client gave.
fn simulcast(text: &mut Text, section: &Section, direction: Direction) {
    if !direction.receives || section.rids.is_empty() {
        return;
    }
    let rids: Vec<&str> = section.rids.iter().map(|rid| rid.as_str()).collect();
    for rid in &rids {
        text.value("rid", format_args!("{rid} recv"));
    }
    text.value("simulcast", format_args!("recv {}", rids.join(";")));
}

/// RFC 5576. The CNAME is the stream token: what is in one stream is played in sync.
fn sources(text: &mut Text, outgoing: &Outgoing, cname: &str, repaired: bool) {
    let (media, rtx) = (outgoing.ssrc, outgoing.rtx_ssrc);
    if repaired {
        text.value("ssrc-group", format_args!("FID {media} {rtx}"));
    }
    text.value("ssrc", format_args!("{media} cname:{cname}"));
    if repaired {
        text.value("ssrc", format_args!("{rtx} cname:{cname}"));
    }
}
