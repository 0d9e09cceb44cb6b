//! The offerer: sections of our own for what the client subscribes to, and the client's answers.

use convene_rtp::ext::{Kind, Map};
use convene_types::{Codec, MediaKind, Mid, Pt};

use super::codec::{CodecParams, Feedback, fmtp_value};
use super::error::SdpError;
use super::negotiator::{Negotiator, OfferChange, Role};
use super::outgoing::Attachment;
use super::parse::{ClientAnswer, Remote};
use super::print::{self, Direction, Style};
use super::section::{Section, SectionKind};
use super::transport::Description;
use super::{KEPT_SECTIONS, MAX_MESSAGE_BYTES, MAX_SECTIONS};

/// Extensions of our audio sections. Ids mean the same in every section (RFC 8843 §9.2 with RFC 8285 §6).
const AUDIO_EXTS: [(u8, Kind); 4] =
    [(1, Kind::Mid), (2, Kind::AudioLevel), (3, Kind::AbsCaptureTime), (9, Kind::TransportCc)];
/// Extensions of our video sections. Not abs-send-time: whoever takes our offers has transport-wide feedback.
const VIDEO_EXTS: [(u8, Kind); 8] = [
    (1, Kind::Mid),
    (3, Kind::AbsCaptureTime),
    (4, Kind::VideoOrientation),
    (5, Kind::PlayoutDelay),
    (6, Kind::DependencyDescriptor),
    (7, Kind::ColorSpace),
    (8, Kind::VideoContentType),
    (9, Kind::TransportCc),
];

/// The first section of every offer: data channels.
pub(super) fn application() -> Option<Section> {
    let mut section = Section::empty("0".parse().ok()?, SectionKind::Application);
    section.wire.media = "application".to_owned();
    section.wire.protos = ["UDP", "DTLS", "SCTP"].map(str::to_owned).to_vec();
    section.wire.formats = vec!["webrtc-datachannel".to_owned()];
    section.wire.bundled = true;
    section.wire.sctp_port = 5000;
    section.wire.max_message_bytes = MAX_MESSAGE_BYTES;
    Some(section)
}

/// Puts a track into a free section or a new one, with the codecs that its publisher has.
pub(super) fn place(state: &mut Negotiator, attachment: Attachment) -> Result<Mid, Attachment> {
    let codecs = state.pts.assign(&attachment.codecs, attachment.kind);
    if codecs.is_empty() {
        return Err(attachment);
    }
    let Some(section) = free_section(&mut state.sections, attachment.kind) else { return Err(attachment) };
    section.wire.formats = codecs.iter().map(|codec| codec.pt.0.to_string()).collect();
    section.wire.offered_codecs = codecs.clone();
    section.codecs = codecs;
    section.outgoing = Some(attachment.outgoing.clone());
    let mid = section.mid;
    state.attached.push(attachment);
    Ok(mid)
}

/// Pictures leave the last sections to voices.
fn free_section(sections: &mut Vec<Section>, kind: MediaKind) -> Option<&mut Section> {
    let most = match kind {
        MediaKind::Audio => MAX_SECTIONS,
        MediaKind::Video => MAX_SECTIONS - KEPT_SECTIONS,
    };
    let index = match sections.iter().position(|section| section.is_free(kind)) {
        Some(index) => index,
        None if sections.len() < most => {
            sections.push(new_section(sections.len(), kind)?);
            sections.len() - 1
        }
        None => return None,
    };
    sections.get_mut(index)
}

fn new_section(index: usize, kind: MediaKind) -> Option<Section> {
    let mut section = Section::empty(index.to_string().parse().ok()?, kind.into());
    section.wire.media = kind.to_string();
    section.wire.protos = ["UDP", "TLS", "RTP", "SAVPF"].map(str::to_owned).to_vec();
    section.wire.bundled = true;
    section.wire.rtcp_rsize = true;
    section.wire.remote_receives = true;
    section.wire.extmaps = match kind {
        MediaKind::Audio => AUDIO_EXTS.to_vec(),
        MediaKind::Video => VIDEO_EXTS.to_vec(),
    };
    for (id, kind) in &section.wire.extmaps {
        section.exts.set(*kind, *id);
    }
    Some(section)
}

pub(super) fn create_offer(state: &mut Negotiator) -> String {
    let superseded = state.awaiting.replace(state.sections.len()).is_some();
    for section in &mut state.sections {
        // The client may have applied the offer that this one replaces: it knows of both tracks until it answers.
        if superseded {
            section.announced = section.offered.or(section.announced);
        }
        section.offered = section.outgoing.as_ref().map(|outgoing| outgoing.key);
        section.first = section.first.or(section.offered);
    }
    let version = state.next_version();
    let style = Style { description: Description::Offer, version, bundle: true, allow_mixed: true };
    let direction = |section: &Section| Direction { sends: section.outgoing.is_some(), receives: false };
    print::description(&state.options, &style, &state.sections, direction)
}

pub(super) fn handle_answer(
    state: &mut Negotiator,
    ClientAnswer(answer): ClientAnswer,
) -> Result<OfferChange, SdpError> {
    let Some(offered) = state.awaiting.filter(|_count| state.role == Role::Offerer) else {
        return Err(SdpError::new("sdp_no_offer", "no offer waits for an answer"));
    };
    check_matches(state.sections.get(..offered).unwrap_or_default(), &answer)?;
    let remote = answer.transport?;
    let change = state.check_remote(&remote)?;

    // Nothing fails from here on.
    for (section, media) in state.sections.iter_mut().zip(answer.media).take(offered) {
        state.choice.note(section, &media.section);
        apply(section, media.section);
    }
    let lost: Vec<_> = state.sections.iter_mut().filter(|s| s.rejected).filter_map(|s| s.outgoing.take()).collect();
    for outgoing in lost {
        // The client has no codec for it: another section would end the same way, so it does not wait for one.
        state.attached.retain(|attached| attached.outgoing.key != outgoing.key);
    }
    state.remote = Some(remote);
    state.awaiting = None;
    state.place_pending();
    Ok(change)
}

/// RFC 8829 §5.3.1: an answer has the sections of the offer in their order.
fn check_matches(sections: &[Section], answer: &Remote) -> Result<(), SdpError> {
    if sections.len() != answer.media.len() {
        return Err(SdpError::new("sdp_section_count", "the answer has another number of sections than the offer"));
    }
    for (ours, theirs) in sections.iter().zip(&answer.media) {
        let named = theirs.has_mid || !theirs.section.rejected;
        if ours.kind != theirs.section.kind || (named && ours.mid != theirs.section.mid) {
            return Err(SdpError::new("sdp_mid_changed", format!("section {} is not at its place", ours.mid)));
        }
    }
    if answer.media.iter().all(|media| media.section.rejected) {
        return Err(SdpError::new("sdp_nothing_acceptable", "every section is rejected"));
    }
    Ok(())
}

/// What the client chose of one section.
fn apply(section: &mut Section, answer: Section) {
    let known = |codec: &CodecParams| section.wire.offered_codecs.iter().any(|ours| ours.codec == codec.codec);
    let codecs: Vec<CodecParams> = answer.codecs.into_iter().filter(known).collect();
    section.rejected |= answer.rejected || (section.kind.media().is_some() && codecs.is_empty());
    section.announced = section.offered.take();
    section.sending = false;
    if section.rejected {
        section.announced = None;
        return;
    }
    section.wire.sctp_port = answer.wire.sctp_port;
    section.wire.max_message_bytes = answer.wire.max_message_bytes;
    let mut exts = Map::new();
    for (id, kind) in section.wire.extmaps.iter().filter(|(id, kind)| answer.exts.id(*kind) == Some(*id)) {
        exts.set(*kind, *id);
    }
    section.exts = exts;
    let carried = section.outgoing.as_ref().map(|outgoing| outgoing.key);
    section.sending = answer.wire.remote_receives && carried.is_some() && carried == section.announced;
    // A track that was put here after the offer has codecs of its own, which the next answer is about.
    if carried == section.announced {
        section.codecs = codecs;
    }
    section.refresh_flags();
}

/// What the client's answers say of its decoders.
#[derive(Debug, Default)]
pub(super) struct Choice {
    taken: Vec<Codec>,
    left_out: Vec<Codec>,
}

impl Choice {
    /// `section` is still as it was offered.
    fn note(&mut self, section: &Section, answer: &Section) {
        let carried = section.outgoing.as_ref().map(|outgoing| outgoing.key);
        // Another track was put here since: these are not the codecs that the client has answered.
        if carried.is_none() || carried != section.offered {
            return;
        }
        for codec in section.wire.offered_codecs.iter().map(|offered| offered.codec) {
            let takes = !answer.rejected && answer.codecs.iter().any(|answered| answered.codec == codec);
            let list = if takes { &mut self.taken } else { &mut self.left_out };
            if !list.contains(&codec) {
                list.push(codec);
            }
        }
    }

    /// A section may be refused for another reason than its codecs: what was taken once, the client has.
    pub(super) fn lacks(&self) -> impl Iterator<Item = Codec> {
        self.left_out.iter().copied().filter(|codec| !self.taken.contains(codec))
    }
}

/// Payload types of our offers. One format has one payload type in every section of the transport (RFC 9143 §10.1.1).
#[derive(Debug, Default)]
pub(super) struct PtTable(Vec<CodecParams>);

impl PtTable {
    /// The publisher's codecs under our payload types; RTX for all video. A codec that finds no free payload type, or
    /// RED whose Opus got another one, is left out.
    fn assign(&mut self, publisher: &[CodecParams], kind: MediaKind) -> Vec<CodecParams> {
        let fallback = [fallback(kind)];
        let publisher = if publisher.is_empty() { fallback.as_slice() } else { publisher };
        // RED names the payload type of its Opus, so that one has to be known first.
        let (red, plain): (Vec<_>, Vec<_>) = publisher.iter().partition(|codec| codec.codec == Codec::Red);
        let mut assigned: Vec<CodecParams> = Vec::with_capacity(publisher.len());
        for codec in plain.into_iter().chain(red) {
            if let Some(codec) = self.assign_one(codec)
                && !assigned.contains(&codec)
            {
                assigned.push(codec);
            }
        }
        assigned
    }

    fn assign_one(&mut self, codec: &CodecParams) -> Option<CodecParams> {
        let fmtp = canonical_fmtp(codec);
        if codec.codec == Codec::Red {
            let inner = fmtp.split('/').next().and_then(|pt| pt.parse().ok())?;
            self.0.iter().find(|known| known.codec == Codec::Opus && known.pt == Pt(inner))?;
        }
        let same =
            |known: &&CodecParams| known.codec == codec.codec && known.channels == codec.channels && known.fmtp == fmtp;
        if let Some(known) = self.0.iter().find(same) {
            return Some(known.clone());
        }
        let pt = match codec.codec {
            Codec::Pcmu => Pt(0), // RFC 3551 §6
            Codec::Pcma => Pt(8),
            Codec::Opus | Codec::Red | Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::H265 | Codec::Av1 => {
                self.free_pt(codec.pt, None)?
            }
        };
        let video = codec.codec.kind() == MediaKind::Video;
        let rtx = if video { Some(self.free_pt(codec.rtx.unwrap_or(pt), Some(pt))?) } else { None };
        let feedback = match codec.codec.kind() {
            MediaKind::Video => Feedback::RECEIVING,
            MediaKind::Audio => Feedback { transport_cc: true, ..Feedback::default() },
        };
        let codec = CodecParams { pt, codec: codec.codec, fmtp, rtx, channels: codec.channels, feedback };
        self.0.push(codec.clone());
        Some(codec)
    }

    /// The publisher's own number where it is free: then most packets keep theirs. Else the dynamic range, then the
    /// unassigned one (RFC 3551 §6; 64..=95 would look like RTCP, RFC 5761 §4).
    fn free_pt(&self, wanted: Pt, taken: Option<Pt>) -> Option<Pt> {
        let dynamic = |pt: &Pt| matches!(pt.0, 35..=63 | 96..=127);
        let free = |pt: &Pt| Some(*pt) != taken && self.0.iter().all(|known| known.pt != *pt && known.rtx != Some(*pt));
        let candidates = std::iter::once(wanted).filter(dynamic).chain((96..=127).chain(35..=63).map(Pt));
        candidates.into_iter().find(free)
    }
}

/// Publishers write the same format in many ways; what does not concern a receiver is levelled, to spend one payload
/// type on it.
fn canonical_fmtp(codec: &CodecParams) -> String {
    match codec.codec {
        Codec::Opus => "minptime=10;useinbandfec=1".to_owned(),
        Codec::Vp8 | Codec::Pcmu | Codec::Pcma => String::new(),
        Codec::Vp9 => format!("profile-id={}", fmtp_value(&codec.fmtp, "profile-id").unwrap_or("0")),
        Codec::Red | Codec::H264 | Codec::H265 | Codec::Av1 => codec.fmtp.clone(),
    }
}

/// For a track whose publisher has not negotiated yet: what every client has.
fn fallback(kind: MediaKind) -> CodecParams {
    let (pt, codec, channels) = match kind {
        MediaKind::Audio => (111, Codec::Opus, 2),
        MediaKind::Video => (96, Codec::Vp8, 1),
    };
    CodecParams { pt: Pt(pt), codec, fmtp: String::new(), rtx: None, channels, feedback: Feedback::default() }
}
