//! One `m=` section as it was agreed.

use convene_rtp::ext::{Kind, Map};
use convene_types::{Codec, MediaKind, Mid, Pt, Rid, Ssrc, TrackId};

use super::codec::{CodecParams, Feedback};
use super::outgoing::Outgoing;

/// What a section carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
    /// Data channels.
    Application,
    /// Something we do not speak; always rejected.
    Other,
}

impl SectionKind {
    /// The media kind, for audio and video.
    #[must_use]
    pub const fn media(self) -> Option<MediaKind> {
        match self {
            Self::Audio => Some(MediaKind::Audio),
            Self::Video => Some(MediaKind::Video),
            Self::Application | Self::Other => None,
        }
    }
}

impl From<MediaKind> for SectionKind {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// See the module. Its index in `Negotiator::sections` never changes.
#[derive(Clone, Debug)]
pub struct Section {
    /// `a=mid`.
    pub mid: Mid,
    /// Audio, video or data.
    pub kind: SectionKind,
    /// Port 0: refused by one side, or stopped.
    pub rejected: bool,
    /// The client sends here.
    pub receiving: bool,
    /// The last finished offer/answer says that we send here, so that packets of `outgoing` will be taken. Always set on
    /// a reserved section.
    pub sending: bool,
    /// Media codecs in the client's order of preference, RTX folded in.
    pub codecs: Vec<CodecParams>,
    /// Header extensions agreed; see [`Section::egress_exts`] for those to send with.
    pub exts: Map,
    /// Simulcast layers that the client sends, in the order of its `a=simulcast`; empty: no simulcast.
    pub rids: Vec<Rid>,
    /// Stream and track token of the client's `a=msid`; the track token is empty where the client gave none.
    pub msid: Option<(String, String)>,
    /// SSRCs that the client announced (media and RTX), in its order.
    pub ssrcs: Vec<Ssrc>,
    /// `a=ssrc-group:FID`: media SSRC and its RTX SSRC.
    pub fid: Vec<(Ssrc, Ssrc)>,
    /// What we send here.
    pub outgoing: Option<Outgoing>,
    /// Generic NACK agreed for some codec.
    pub nack: bool,
    /// PLI agreed for some codec.
    pub pli: bool,
    /// Transport-wide feedback wanted by the client for what it sends here.
    pub twcc: bool,
    /// As the client offered it, or as we offer it.
    pub(super) wire: Wire,
    /// Answerer: the codec that goes first, whatever the client prefers.
    pub(super) prefer: Option<Codec>,
    /// The track that the client last learnt to be here. While it differs from `outgoing`, a negotiation is due.
    pub(super) announced: Option<TrackId>,
    /// Offerer: the track that the offer under way names here.
    pub(super) offered: Option<TrackId>,
    /// Offerer: the first track that was offered here, whose id the client's receiver has from then on.
    pub(super) first: Option<TrackId>,
    /// Always answered as sending, with these, whether something is attached or not.
    pub(super) reserved: Option<Outgoing>,
}

/// Parts of a section that only its text form needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    /// `audio`, `video`, `application`, …
    pub media: String,
    /// `UDP/TLS/RTP/SAVPF` in pieces.
    pub protos: Vec<String>,
    /// Formats of the `m=` line, repeated when the section is rejected.
    pub formats: Vec<String>,
    /// The client takes part in BUNDLE with it.
    pub bundled: bool,
    /// `a=rtcp-rsize`.
    pub rtcp_rsize: bool,
    /// `a=extmap` lines that we keep: id and kind, in the client's order.
    pub extmaps: Vec<(u8, Kind)>,
    /// The client wants to receive here.
    pub remote_receives: bool,
    /// Application: the client's `a=sctp-port`.
    pub sctp_port: u16,
    /// Application: the largest message that the client takes.
    pub max_message_bytes: u32,
    /// Offerer: every codec of this section's offers; `codecs` is what the client chose of them.
    pub offered_codecs: Vec<CodecParams>,
}

impl Section {
    pub(super) fn empty(mid: Mid, kind: SectionKind) -> Self {
        Self {
            mid,
            kind,
            rejected: false,
            receiving: false,
            sending: false,
            codecs: Vec::new(),
            exts: Map::new(),
            rids: Vec::new(),
            msid: None,
            ssrcs: Vec::new(),
            fid: Vec::new(),
            outgoing: None,
            nack: false,
            pli: false,
            twcc: false,
            wire: Wire::default(),
            prefer: None,
            announced: None,
            offered: None,
            first: None,
            reserved: None,
        }
    }

    /// Stream token of what we send here; see [`Msid::reused`].
    ///
    /// [`Msid::reused`]: super::Msid::reused
    pub(super) fn stream<'a>(&self, outgoing: &'a Outgoing) -> &'a str {
        let Outgoing { key, msid, .. } = outgoing;
        let reused = self.first.is_some_and(|first| first != *key);
        msid.reused.as_ref().filter(|_stream| reused).unwrap_or(&msid.stream)
    }

    /// The codec with this media payload type.
    #[must_use]
    pub fn codec(&self, pt: Pt) -> Option<&CodecParams> {
        self.codecs.iter().find(|codec| codec.pt == pt)
    }

    /// The codec whose RTX has this payload type.
    #[must_use]
    pub fn rtx_of(&self, pt: Pt) -> Option<&CodecParams> {
        self.codecs.iter().find(|codec| codec.rtx == Some(pt))
    }

    /// Header extensions for packets that we send here: what was agreed without those that name a sender's own layers.
    /// Of the two that serve bandwidth estimation, the one that the client answers to.
    #[must_use]
    pub fn egress_exts(&self) -> Map {
        let mut map = self.exts;
        for kind in [Kind::Rid, Kind::RepairedRid, Kind::VideoLayersAllocation] {
            map.set(kind, 0);
        }
        let all = self.feedback().and(Feedback::SENDING);
        if !all.transport_cc {
            map.set(Kind::TransportCc, 0);
        }
        if !all.remb || map.id(Kind::TransportCc).is_some() {
            map.set(Kind::AbsSendTime, 0);
        }
        map
    }

    /// Whether an attachment of this kind can be put here.
    pub(super) fn is_free(&self, kind: MediaKind) -> bool {
        let settled = self.announced.is_none() && self.offered.is_none();
        let open = !self.rejected && self.wire.remote_receives && self.outgoing.is_none();
        open && settled && self.kind.media() == Some(kind)
    }

    /// Detached, but the client does not know yet: libwebrtc reports a new track only after it saw the section inactive.
    pub(super) fn is_cooling(&self, kind: MediaKind) -> bool {
        let told = self.announced.is_some() || self.offered.is_some();
        let open = !self.rejected && self.wire.remote_receives && self.outgoing.is_none();
        told && open && self.kind.media() == Some(kind)
    }

    /// What some codec has.
    fn feedback(&self) -> Feedback {
        self.codecs.iter().fold(Feedback::default(), |all, codec| all.or(codec.feedback))
    }

    /// Audio that the client only sends is asked for again where it is lost, although no browser offers `nack` for Opus: all
    /// of them, and aiortc, repeat it when they are asked, and who does not ignores it (RFC 4585 §3.6.2). It is repeated
    /// under its own SRTP index, there being no RTX for it, so both must be the same to the byte: AES-GCM gives its
    /// authentication key away where an index is used for two packets. So what a client writes anew into each
    /// transmission, transport-wide number and send time, is left out here; video has them. `true`: it may be asked for.
    fn make_repeatable(&mut self) -> bool {
        let only_sends = self.receiving && !self.wire.remote_receives;
        let feedback = self.wire.protos.last().is_some_and(|profile| profile == "SAVPF");
        if self.kind != SectionKind::Audio || !only_sends || !feedback {
            return false;
        }
        for kind in [Kind::TransportCc, Kind::AbsSendTime] {
            self.exts.set(kind, 0);
            self.wire.extmaps.retain(|(_, known)| *known != kind);
        }
        for codec in &mut self.codecs {
            (codec.feedback.transport_cc, codec.feedback.remb) = (false, false);
        }
        true
    }

    /// Puts the preferred codec in front: a client sends with the first codec of the answer (RFC 8829 §4.2.6).
    pub(super) fn order_codecs(&mut self) {
        if let Some(prefer) = self.prefer {
            self.codecs.sort_by_key(|params| params.codec != prefer); // stable: the others keep their order
        }
    }

    /// Works out the flags that follow from codecs and extensions.
    pub(super) fn refresh_flags(&mut self) {
        let repeats = self.make_repeatable();
        let all = self.feedback();
        self.nack = all.nack || repeats;
        self.pli = all.pli;
        self.twcc = self.receiving && all.transport_cc && self.exts.id(Kind::TransportCc).is_some();
    }
}
