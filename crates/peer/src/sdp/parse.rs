//! Text of the client to sections: [`ClientOffer`] and [`ClientAnswer`]. Knows nothing of what was agreed before.

use std::io::Cursor;

use convene_rtp::ext::Kind;
use convene_types::{Codec, Mid, Pt, Rid};
use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaName;
use rtc_sdp::{MediaDescription, SessionDescription};

use super::codec::{CodecParams, Feedback, fmtp_value};
use super::error::SdpError;
use super::section::{Section, SectionKind};
use super::transport::{Description, RemoteTransport};
use super::{
    MAX_FMTP_BYTES, MAX_LINES_PER_SECTION, MAX_MEDIA_LINE_BYTES, MAX_SDP_BYTES, MAX_SECTIONS, MAX_SSRCS, lines,
    transport,
};

/// An offer of the client, read. Reading is most of what an offer costs (13 ns a byte, so 4 ms for a call of a hundred), and
/// needs nothing of the transport: whoever receives the text reads it, so that no media waits for that.
#[derive(Debug)]
pub struct ClientOffer(pub(super) Remote);

/// An answer of the client, read; see [`ClientOffer`].
#[derive(Debug)]
pub struct ClientAnswer(pub(super) Remote);

impl ClientOffer {
    /// Reads an offer. Unknown attributes are passed over; what cannot be used at all is an error.
    pub fn read(text: &str) -> Result<Self, SdpError> {
        read(text, Description::Offer).map(Self)
    }
}

impl ClientAnswer {
    /// Reads an answer, as [`ClientOffer::read`] an offer.
    pub fn read(text: &str) -> Result<Self, SdpError> {
        read(text, Description::Answer).map(Self)
    }
}

/// A whole description.
#[derive(Debug)]
pub(super) struct Remote {
    /// The client's end of the transport, or why it cannot be used.
    pub transport: Result<RemoteTransport, SdpError>,
    /// The client has a BUNDLE group.
    pub bundle: bool,
    /// `a=extmap-allow-mixed` (RFC 8285 §6).
    pub allow_mixed: bool,
    /// In order.
    pub media: Vec<RemoteMedia>,
}

/// One section of it.
#[derive(Debug)]
pub(super) struct RemoteMedia {
    /// What it says, as if nothing had been agreed before. `receiving` and `rejected` are the client's wish.
    pub section: Section,
    /// `a=mid` was there.
    pub has_mid: bool,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
}

fn read(text: &str, description: Description) -> Result<Remote, SdpError> {
    let parsed = parse(text)?;
    let bundle = bundle_group(&parsed.attributes);
    let direction = Direction::of(&parsed.attributes).unwrap_or(Direction::SEND_RECV); // RFC 8866 §6.7
    let mut media = Vec::with_capacity(parsed.media_descriptions.len());
    let allow_mixed = has(&parsed.attributes, "extmap-allow-mixed");
    // Levels that may hold the transport: the session, then every accepted section.
    let mut levels = vec![parsed.attributes];
    for MediaDescription { media_name, attributes, .. } in parsed.media_descriptions {
        let read = read_media(media_name, &attributes, direction, bundle.as_deref(), media.len())?;
        levels.extend((!read.section.rejected).then_some(attributes));
        media.push(read);
    }
    check_mids(&media)?;
    let levels: Vec<&[Attribute]> = levels.iter().map(Vec::as_slice).collect();
    Ok(Remote { transport: transport::read(&levels, description), allow_mixed, bundle: bundle.is_some(), media })
}

fn parse(text: &str) -> Result<SessionDescription, SdpError> {
    if text.len() > MAX_SDP_BYTES {
        return Err(SdpError::new("sdp_too_large", format!("longer than {MAX_SDP_BYTES} bytes")));
    }
    check_shape(text)?;
    check_line_ends(text)?;
    SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
        .map_err(|error| SdpError::new("sdp_malformed", format!("{:.120}", error.to_string())))
}

/// Reading costs by the line and by the format, not by the byte: each becomes strings of its own. They are counted before that.
fn check_shape(text: &str) -> Result<(), SdpError> {
    let sections = || text.split('\n').filter(|line| line.starts_with("m="));
    let count = sections().count();
    if count > MAX_SECTIONS {
        return Err(SdpError::new("sdp_too_many_sections", format!("more than {MAX_SECTIONS} media sections")));
    }
    let most = MAX_LINES_PER_SECTION * (count + 1);
    if text.bytes().filter(|byte| *byte == b'\n').count() > most {
        return Err(SdpError::new("sdp_too_many_lines", format!("more than {most} lines in {count} media sections")));
    }
    if sections().any(|line| line.len() > MAX_MEDIA_LINE_BYTES) {
        let reason = format!("a media line is longer than {MAX_MEDIA_LINE_BYTES} bytes");
        return Err(SdpError::new("sdp_long_media_line", reason));
    }
    Ok(())
}

/// Parts of a client's text are repeated to other clients, whose parsers may take a lone CR for a line end.
pub(super) fn check_line_ends(text: &str) -> Result<(), SdpError> {
    let body = text.replace("\r\n", "\n");
    match body.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        None => Ok(()),
        Some(found) => Err(SdpError::new("sdp_malformed", format!("control character {found:?}"))),
    }
}

fn bundle_group(attributes: &[Attribute]) -> Option<Vec<String>> {
    let groups = attributes.iter().filter(|line| line.key == "group").filter_map(|line| line.value.as_deref());
    let mids = groups.filter_map(|group| group.strip_prefix("BUNDLE")).next()?;
    // Each section looks for its own among them.
    Some(mids.split_whitespace().take(MAX_SECTIONS).map(str::to_owned).collect())
}

/// Mids name sections, in RTP packets as well: each must be there once (RFC 9143 §7).
fn check_mids(media: &[RemoteMedia]) -> Result<(), SdpError> {
    let mut mids: Vec<Mid> = media.iter().filter(|media| media.has_mid).map(|media| media.section.mid).collect();
    mids.sort_unstable();
    if mids.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(SdpError::new("sdp_duplicate_mid", "two sections have the same mid"));
    }
    let unnamed = media.iter().any(|media| !media.has_mid && !media.section.rejected);
    if unnamed {
        return Err(SdpError::new("sdp_no_mid", "a section has no a=mid"));
    }
    Ok(())
}

fn read_media(
    name: MediaName,
    attributes: &[Attribute],
    session_direction: Direction,
    bundle: Option<&[String]>,
    index: usize,
) -> Result<RemoteMedia, SdpError> {
    let mid = transport::value(attributes, "mid");
    // Only a rejected section may go without a mid; `?` cannot start a client's (RFC 5888 §4: a token).
    let label = mid.map_or_else(|| format!("?{index}").parse::<Mid>(), str::parse);
    let label = label.map_err(|error| SdpError::new("sdp_bad_mid", error.to_string()))?;
    let mut section = Section::empty(label, kind_of(&name.media));
    // RFC 9143 §7.2: without a group only one section can live on our one transport.
    section.wire.bundled = match (bundle, mid) {
        (None, _any) => index == 0,
        (Some(mids), Some(mid)) => mids.iter().any(|bundled| bundled == mid),
        (Some(_mids), None) => false,
    };
    section.wire.rtcp_rsize = has(attributes, "rtcp-rsize");
    section.wire.media = name.media;
    section.wire.protos = name.protos;
    section.wire.formats = name.formats;
    // RFC 9143 §6: port 0 with bundle-only is no refusal.
    let stopped = name.port.value == 0 && !has(attributes, "bundle-only");
    fill(&mut section, attributes, Direction::of(attributes).unwrap_or(session_direction));
    section.rejected |= stopped || !section.wire.bundled;
    if section.rejected {
        section.receiving = false;
        section.wire.remote_receives = false;
    }
    Ok(RemoteMedia { section, has_mid: mid.is_some(), rtcp_mux: has(attributes, "rtcp-mux") })
}

fn has(attributes: &[Attribute], key: &str) -> bool {
    attributes.iter().any(|line| line.key == key)
}

fn kind_of(media: &str) -> SectionKind {
    match media {
        "audio" => SectionKind::Audio,
        "video" => SectionKind::Video,
        "application" => SectionKind::Application,
        _other => SectionKind::Other,
    }
}

fn fill(section: &mut Section, attributes: &[Attribute], direction: Direction) {
    match section.kind {
        SectionKind::Audio | SectionKind::Video => fill_media(section, attributes, direction),
        SectionKind::Application => fill_application(section, attributes),
        SectionKind::Other => section.rejected = true,
    }
}

fn fill_application(section: &mut Section, attributes: &[Attribute]) {
    // RFC 8841 §4.2 and §7: the format names what runs over SCTP.
    let sctp = section.wire.protos.iter().any(|proto| proto == "SCTP");
    let channels = section.wire.formats.iter().any(|format| format == "webrtc-datachannel");
    section.rejected = !(sctp && channels);
    let number = |key| transport::value(attributes, key).and_then(|value| value.trim().parse::<u64>().ok());
    section.wire.sctp_port = number("sctp-port").and_then(|port| port.try_into().ok()).unwrap_or(5000);
    // RFC 8841 §6.1: absent means 64 KiB, 0 any size.
    section.wire.max_message_bytes = match number("max-message-size") {
        None => 65_536,
        Some(0) => u32::MAX,
        Some(bytes) => bytes.try_into().unwrap_or(u32::MAX),
    };
}

fn fill_media(section: &mut Section, attributes: &[Attribute], direction: Direction) {
    section.codecs = codecs(section, attributes);
    // RFC 5764 §8, RFC 8834: DTLS-SRTP with feedback, whatever stands before it.
    let secure = matches!(section.wire.protos.last().map(String::as_str), Some("SAVPF" | "SAVP"));
    section.rejected = section.codecs.is_empty() || !secure;
    section.receiving = direction.sends;
    section.wire.remote_receives = direction.receives;
    let values = |key| attributes.iter().filter(move |line| line.key == key).filter_map(|line| line.value.as_deref());
    for (id, kind) in values("extmap").filter_map(lines::extmap) {
        // First come, first kept: a client that gives one id to two extensions would make the second unreadable.
        if ACCEPTED_EXTS.contains(&kind) && section.exts.id(kind).is_none() && section.exts.kind(id).is_none() {
            section.exts.set(kind, id);
            section.wire.extmaps.push((id, kind));
        }
    }
    if direction.sends {
        fill_sources(section, values);
    }
}

/// What the client says of the streams that it sends here.
fn fill_sources<'a, I>(section: &mut Section, values: impl Fn(&'static str) -> I)
where
    I: Iterator<Item = &'a str>,
{
    section.rids = layers(values("simulcast"), values("rid"));
    let per_source = || values("ssrc").filter_map(lines::ssrc);
    for (ssrc, _attribute) in per_source() {
        if section.ssrcs.len() < MAX_SSRCS && !section.ssrcs.contains(&ssrc) {
            section.ssrcs.push(ssrc);
        }
    }
    section.fid = values("ssrc-group").filter_map(lines::fid).take(MAX_SSRCS).collect();
    // Clients of the plan-B days give the msid per SSRC only.
    let legacy = || per_source().find_map(|(_ssrc, attribute)| attribute.strip_prefix("msid:").and_then(lines::msid));
    section.msid = values("msid").find_map(lines::msid).or_else(legacy);
}

/// Layers that are both in `a=simulcast` and described by an `a=rid`, each once.
fn layers<'a>(mut simulcast: impl Iterator<Item = &'a str>, rid_lines: impl Iterator<Item = &'a str>) -> Vec<Rid> {
    let Some(simulcast) = simulcast.next() else { return Vec::new() };
    let known: Vec<Rid> = rid_lines.filter_map(lines::rid_send).collect();
    let mut layers: Vec<Rid> = Vec::new();
    for rid in lines::simulcast_send(simulcast) {
        if known.contains(&rid) && !layers.contains(&rid) {
            layers.push(rid);
        }
    }
    layers
}

/// Extensions that we agree to. Left out: video-layers-allocation and video-timing, which cost the client bytes in every
/// frame and have no reader here.
const ACCEPTED_EXTS: [Kind; 12] = [
    Kind::Mid,
    Kind::Rid,
    Kind::RepairedRid,
    Kind::AudioLevel,
    Kind::TransportCc,
    Kind::AbsSendTime,
    Kind::AbsCaptureTime,
    Kind::VideoOrientation,
    Kind::PlayoutDelay,
    Kind::DependencyDescriptor,
    Kind::ColorSpace,
    Kind::VideoContentType,
];

/// What the lines of one section say of one payload type.
#[derive(Default)]
struct PtLines<'a> {
    rtpmap: Option<lines::RtpMap<'a>>,
    fmtp: &'a str,
    feedback: Feedback,
}

/// Formats of a section that are read: there are 128 payload types (RFC 3550 §5.1), and a line may have a hundred thousand.
const MAX_FORMATS: usize = 128;

/// One pass over the lines, then one over the formats, so that a hostile section costs no more than its length.
fn codecs(section: &Section, attributes: &[Attribute]) -> Vec<CodecParams> {
    let mut table: Vec<PtLines<'_>> = Vec::new();
    table.resize_with(128, PtLines::default);
    let mut wildcard = Feedback::default();
    for line in attributes {
        let Some(value) = line.value.as_deref() else { continue };
        read_codec_line(&mut table, &mut wildcard, &line.key, value);
    }
    let mut codecs: Vec<CodecParams> = Vec::new();
    let mut repairs: Vec<(Pt, Pt)> = Vec::new();
    for pt in section.wire.formats.iter().take(MAX_FORMATS).filter_map(|format| lines::payload_type(format)) {
        let Some(lines) = table.get(usize::from(pt.0)) else { continue };
        if let Some(apt) = rtx_apt(lines) {
            repairs.push((pt, apt));
        } else if let Some(codec) = codec(pt, lines, wildcard, section.kind)
            && codecs.iter().all(|known| known.pt != pt)
        {
            codecs.push(codec);
        }
    }
    for (rtx, apt) in repairs {
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.pt == apt) {
            codec.rtx = codec.rtx.or(Some(rtx));
        }
    }
    codecs
}

fn read_codec_line<'a>(table: &mut [PtLines<'a>], wildcard: &mut Feedback, key: &str, value: &'a str) {
    match key {
        "rtpmap" => {
            let Some(map) = lines::rtpmap(value) else { return };
            let Some(entry) = table.get_mut(usize::from(map.pt.0)) else { return };
            entry.rtpmap = Some(map);
        }
        "fmtp" => {
            let Some((Some(pt), fmtp)) = lines::for_payload_type(value) else { return };
            let Some(entry) = table.get_mut(usize::from(pt.0)) else { return };
            entry.fmtp = fmtp;
        }
        "rtcp-fb" => match lines::for_payload_type(value) {
            None => {}
            Some((None, feedback)) => wildcard.add(feedback),
            Some((Some(pt), feedback)) => {
                let Some(entry) = table.get_mut(usize::from(pt.0)) else { return };
                entry.feedback.add(feedback);
            }
        },
        _other => {}
    }
}

/// RFC 4588 §8.1: the payload type that this RTX repairs.
fn rtx_apt(lines: &PtLines<'_>) -> Option<Pt> {
    let is_rtx = lines.rtpmap.as_ref().is_some_and(|map| map.name.eq_ignore_ascii_case("rtx"));
    // The line is gone through for each format of this number, of which there may be many.
    if !is_rtx || lines.fmtp.len() > MAX_FMTP_BYTES {
        return None;
    }
    lines::payload_type(fmtp_value(lines.fmtp, "apt")?)
}

/// `None` for what we do not forward: FEC, comfort noise, telephone events, unknown codecs.
fn codec(pt: Pt, lines: &PtLines<'_>, wildcard: Feedback, kind: SectionKind) -> Option<CodecParams> {
    let (codec, channels) = match (&lines.rtpmap, pt.0) {
        (Some(map), _pt) => {
            let codec = Codec::from_name(map.name).filter(|codec| codec.clock_rate() == map.clock_rate)?;
            (codec, map.channels)
        }
        // RFC 3551 §6: static payload types need no rtpmap.
        (None, 0) => (Codec::Pcmu, 1),
        (None, 8) => (Codec::Pcma, 1),
        (None, _dynamic) => return None,
    };
    let fits = kind.media() == Some(codec.kind()) && lines.fmtp.len() <= MAX_FMTP_BYTES;
    fits.then(|| {
        let feedback = lines.feedback.or(wildcard);
        CodecParams { pt, codec, fmtp: lines.fmtp.to_owned(), rtx: None, channels, feedback }
    })
}

/// Direction of a section, from the client's side.
#[derive(Clone, Copy)]
struct Direction {
    sends: bool,
    receives: bool,
}

impl Direction {
    const SEND_RECV: Self = Self { sends: true, receives: true };

    fn of(attributes: &[Attribute]) -> Option<Self> {
        attributes.iter().find_map(|line| match line.key.as_str() {
            "sendrecv" => Some(Self::SEND_RECV),
            "sendonly" => Some(Self { sends: true, receives: false }),
            "recvonly" => Some(Self { sends: false, receives: true }),
            "inactive" => Some(Self { sends: false, receives: false }),
            _other => None,
        })
    }
}
