//! [`Negotiator`]: the state that offers and answers change, and where outgoing tracks are put.

use std::net::SocketAddr;

use convene_types::{Codec, MediaKind, Mid, TrackId};

use super::codec::match_codec;
use super::error::SdpError;
use super::offer::{Choice, PtTable};
use super::outgoing::{Attach, Attachment, Outgoing};
use super::parse::{ClientAnswer, ClientOffer};
use super::section::{Section, SectionKind};
use super::transport::RemoteTransport;
use super::{KEPT_SECTIONS, MAX_PENDING, MAX_SECTIONS, answer, offer};

/// Our end of the transport.
#[derive(Clone, Debug)]
pub struct Options {
    /// ICE ufrag; see [`Negotiator::set_local_ice`].
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// `sha-256 AB:CD:…` of our certificate.
    pub fingerprint: String,
    /// Host candidates over UDP, the best first.
    pub candidates: Vec<SocketAddr>,
    /// Passive host candidates over TCP (RFC 6544), the best first; each comes after all over UDP.
    pub tcp_candidates: Vec<SocketAddr>,
    /// WHEP: answer every section that the client receives on as sending, with an SSRC and msid of its own, so that a
    /// later `attach` needs no negotiation. Nothing is received from such a client.
    pub reserve_sections: bool,
    /// `o=` session id. Unique per transport; reserved SSRCs are derived from it.
    pub session_id: u64,
}

/// What a description of the client changed beside the sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferChange {
    /// The client has other ICE credentials than before (RFC 8839 §4.4.1.1.1). The caller makes new ones of its own
    /// and calls [`Negotiator::set_local_ice`] before it asks for the answer.
    pub ice_restarted: bool,
}

/// Which side offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The client.
    Answerer,
    /// We.
    Offerer,
}

/// See the module.
#[derive(Debug)]
pub struct Negotiator {
    pub(super) options: Options,
    pub(super) role: Role,
    pub(super) sections: Vec<Section>,
    /// Wanted, but without a section.
    pub(super) pending: Vec<Attachment>,
    /// What is attached to a section, by key: kept so that it can be put elsewhere when the client stops that section.
    pub(super) attached: Vec<Attachment>,
    pub(super) remote: Option<RemoteTransport>,
    /// `o=` version of the next description.
    pub(super) version: u64,
    /// The client's description has a BUNDLE group.
    pub(super) bundle: bool,
    pub(super) allow_mixed: bool,
    /// Offerer: sections in the offer that waits for its answer.
    pub(super) awaiting: Option<usize>,
    /// Offerer: payload types given out.
    pub(super) pts: PtTable,
    /// Offerer: what the client's answers have taken and left out.
    pub(super) choice: Choice,
}

impl Negotiator {
    /// The client offers.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_role(options, Role::Answerer)
    }

    /// We offer; the first section is the one for data channels.
    #[must_use]
    pub fn offerer(options: Options) -> Self {
        let mut negotiator = Self::with_role(options, Role::Offerer);
        negotiator.sections.extend(offer::application());
        negotiator
    }

    fn with_role(options: Options, role: Role) -> Self {
        Self {
            options,
            role,
            sections: Vec::new(),
            pending: Vec::new(),
            attached: Vec::new(),
            remote: None,
            version: 1,
            bundle: role == Role::Offerer,
            allow_mixed: false,
            awaiting: None,
            pts: PtTable::default(),
            choice: Choice::default(),
        }
    }

    /// Takes an offer of the client. Attachments that wait are put into free sections. Ask for the [`answer`] next.
    ///
    /// [`answer`]: Negotiator::answer
    pub fn handle_offer(&mut self, offer: ClientOffer) -> Result<OfferChange, SdpError> {
        answer::handle_offer(self, offer)
    }

    /// The answer to the last offer. From here on the client knows what is attached.
    pub fn answer(&mut self) -> String {
        answer::answer(self)
    }

    /// An offer with everything attached. Ends any earlier offer that was not answered.
    pub fn create_offer(&mut self) -> String {
        offer::create_offer(self)
    }

    /// Takes the client's answer to the last [`Negotiator::create_offer`].
    pub fn handle_answer(&mut self, answer: ClientAnswer) -> Result<OfferChange, SdpError> {
        offer::handle_answer(self, answer)
    }

    /// Offerer: codecs that the client was offered and has never taken.
    pub fn lacks(&self) -> impl Iterator<Item = Codec> {
        self.choice.lacks()
    }

    /// Replaces our ICE credentials in every further description.
    pub fn set_local_ice(&mut self, ufrag: impl Into<String>, pwd: impl Into<String>) {
        self.options.ufrag = ufrag.into();
        self.options.pwd = pwd.into();
    }

    /// Replaces the candidates in every further description.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>) {
        self.options.candidates = candidates;
    }

    /// The client's ICE ufrag and password.
    #[must_use]
    pub fn remote_ice(&self) -> Option<(&str, &str)> {
        self.remote.as_ref().map(|remote| (&*remote.ufrag, &*remote.pwd))
    }

    /// `sha-256 AB:CD:…` of the client's certificate, upper case.
    #[must_use]
    pub fn remote_fingerprint(&self) -> Option<&str> {
        self.remote.as_ref().map(|remote| &*remote.fingerprint)
    }

    /// Whether data channels were agreed.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.data().is_some()
    }

    /// The client's SCTP port (RFC 8841 §5).
    #[must_use]
    pub fn sctp_port(&self) -> Option<u16> {
        self.data().map(|section| section.wire.sctp_port)
    }

    /// The largest message that the client takes, in bytes (RFC 8841 §6).
    #[must_use]
    pub fn max_message_bytes(&self) -> Option<u32> {
        self.data().map(|section| section.wire.max_message_bytes)
    }

    fn data(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == SectionKind::Application && !section.rejected)
    }

    /// All sections in the order of the description, rejected ones included.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Has the client send with this codec here, from the next answer on, if it offers it.
    pub fn prefer(&mut self, mid: Mid, codec: Codec) {
        if let Some(section) = self.sections.iter_mut().find(|section| section.mid == mid) {
            section.prefer = Some(codec);
            section.order_codecs();
        }
    }

    /// The section with this mid, unless it is rejected.
    #[must_use]
    pub fn section(&self, mid: Mid) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid && !section.rejected)
    }

    /// The section that carries this track.
    #[must_use]
    pub fn carrier(&self, key: TrackId) -> Option<&Section> {
        self.sections.iter().find(|section| section.outgoing.as_ref().is_some_and(|outgoing| outgoing.key == key))
    }

    /// Puts a track into a section that the client receives on. `None`: there is none yet; the track waits and the next
    /// offer places it. Packets may flow once [`Section::sending`] is set; read the SSRCs to use from
    /// [`Section::outgoing`].
    ///
    /// A section whose client can decode the publisher's codecs is preferred. Where none can, any free one is taken:
    /// asking such a client for more sections would never end. With [`MAX_PENDING`] tracks waiting it is refused.
    pub fn attach(&mut self, wanted: Attach<'_>) -> Option<Mid> {
        if let Some(section) = self.carrier(wanted.track) {
            return Some(section.mid);
        }
        self.pending.retain(|waiting| waiting.outgoing.key != wanted.track);
        match self.place(wanted.into()) {
            Ok(mid) => Some(mid),
            Err(attachment) => {
                if self.pending.len() < MAX_PENDING {
                    self.pending.push(attachment);
                }
                None
            }
        }
    }

    /// Takes a track away. Its section, returned here, goes inactive with the next description and can then carry
    /// another track.
    pub fn detach(&mut self, key: TrackId) -> Option<Mid> {
        self.pending.retain(|waiting| waiting.outgoing.key != key);
        self.attached.retain(|attached| attached.outgoing.key != key);
        let carries = |section: &&mut Section| section.outgoing.as_ref().is_some_and(|outgoing| outgoing.key == key);
        let section = self.sections.iter_mut().find(carries)?;
        section.outgoing = None;
        section.sending = section.reserved.is_some() && section.sending;
        let mid = section.mid;
        self.place_pending();
        Some(mid)
    }

    /// Audio and video sections that the client has to offer for the tracks that wait; as the offerer always none.
    /// Sections about to be freed are counted as there, and no more are asked for than [`MAX_SECTIONS`] allows, without
    /// [`KEPT_SECTIONS`] for what the client may want to send. Voices go before pictures.
    #[must_use]
    pub fn pending(&self) -> (u32, u32) {
        let missing = |kind| {
            let waiting = self.pending.iter().filter(|waiting| waiting.kind == kind).count();
            waiting.saturating_sub(self.sections.iter().filter(|section| section.is_cooling(kind)).count())
        };
        let room = match self.role {
            Role::Answerer => (MAX_SECTIONS - KEPT_SECTIONS).saturating_sub(self.sections.len()),
            Role::Offerer => 0,
        };
        let audio = missing(MediaKind::Audio).min(room);
        let video = missing(MediaKind::Video).min(room - audio);
        (u32::try_from(audio).unwrap_or(u32::MAX), u32::try_from(video).unwrap_or(u32::MAX))
    }

    /// Whether the client's picture differs from ours, so that an offer (whoever makes it) is due.
    #[must_use]
    pub fn needs_negotiation(&self) -> bool {
        let stale = |section: &Section| {
            let wanted = section.outgoing.as_ref().map(|outgoing| outgoing.key);
            !section.rejected && section.reserved.is_none() && section.announced != wanted
        };
        self.pending() != (0, 0) || self.sections.iter().any(stale)
    }

    /// Puts every waiting track that has a place there.
    pub(super) fn place_pending(&mut self) {
        for attachment in std::mem::take(&mut self.pending) {
            if let Err(attachment) = self.place(attachment) {
                self.pending.push(attachment);
            }
        }
    }

    fn place(&mut self, attachment: Attachment) -> Result<Mid, Attachment> {
        match self.role {
            Role::Answerer => self.place_in_offered(attachment),
            Role::Offerer => offer::place(self, attachment),
        }
    }

    /// Sections that the client only receives on go first: on one that it may also send on, it may mean to publish.
    fn place_in_offered(&mut self, attachment: Attachment) -> Result<Mid, Attachment> {
        let decodes = |section: &Section| {
            attachment.codecs.is_empty()
                || attachment.codecs.iter().any(|codec| match_codec(codec, &section.codecs).is_some())
        };
        let free = |(_, section): &(usize, &Section)| section.is_free(attachment.kind);
        let free = || self.sections.iter().enumerate().filter(free);
        let best = free().find(|(_, section)| !section.receiving && decodes(section));
        // Codecs are compared one by one: of all sections only where none is as good as can be.
        let best = best.or_else(|| free().min_by_key(|(_, section)| (!decodes(section), section.receiving)));
        let Some(section) = best.map(|(index, _)| index).and_then(|index| self.sections.get_mut(index)) else {
            return Err(attachment);
        };
        section.outgoing = Some(match &section.reserved {
            Some(reserved) => Outgoing { key: attachment.outgoing.key, ..reserved.clone() },
            None => attachment.outgoing.clone(),
        });
        let mid = section.mid;
        self.attached.push(attachment);
        Ok(mid)
    }

    /// Takes what a section sends off it and lets it wait for another one.
    pub(super) fn displace(&mut self, outgoing: &Outgoing) {
        if let Some(index) = self.attached.iter().position(|attached| attached.outgoing.key == outgoing.key) {
            self.pending.push(self.attached.swap_remove(index));
        }
    }

    /// Takes over the client's transport. RFC 8842 §4: another certificate would be another DTLS association, which one
    /// transport never has.
    pub(super) fn check_remote(&self, remote: &RemoteTransport) -> Result<OfferChange, SdpError> {
        let Some(known) = &self.remote else { return Ok(OfferChange::default()) };
        if known.fingerprint != remote.fingerprint {
            return Err(SdpError::new("sdp_fingerprint_changed", "the fingerprint differs from the first one"));
        }
        let ice_restarted = known.ufrag != remote.ufrag || known.pwd != remote.pwd;
        Ok(OfferChange { ice_restarted })
    }

    pub(super) fn next_version(&mut self) -> u64 {
        let version = self.version;
        self.version = self.version.wrapping_add(1);
        version
    }
}
