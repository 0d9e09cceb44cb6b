//! [`Peer`]: one WebRTC transport as the SFU sees it.
//!
//! It joins the three parts that know nothing of each other: [`transport`](crate::transport) (datagrams to plaintext),
//! [`sdp`](crate::sdp) (what was agreed) and [`sctp`](crate::sctp) (data channels over DTLS application data).
//! It is not a forwarder: RTP goes through [`Peer::unprotect_rtp`] and [`Peer::protect_rtp`] in place, in the caller's
//! buffers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_rtp::ext::Kind;
use convene_rtp::packet::View;
use convene_types::{Codec, Mid, SeqNo, Ssrc, TrackId};

use crate::DropReason;
use crate::sctp::{self, ChannelId, Channels, SendError};
use crate::sdp::{self, Attach, ClientAnswer, ClientOffer, Fragment, Negotiator, OfferChange, SdpError, Section};
use crate::sources::{Hints, Source, Sources};
use crate::transport::ice::Credentials;
use crate::transport::{self, FailReason, Fingerprint, Identity, SealError, Transmit, Transport};

/// What a peer is made of.
#[derive(Clone)]
pub struct Options {
    /// The process's certificate.
    pub identity: Arc<Identity>,
    /// Host candidates for the SDP, over UDP.
    pub candidates: Vec<SocketAddr>,
    /// Where TCP connections are accepted (RFC 6544, passive).
    pub tcp_candidates: Vec<SocketAddr>,
    /// In front of each ICE ufrag, for whoever accepts those connections; below 4,096.
    pub tag: u16,
    /// See [`sdp::Options::reserve_sections`].
    pub reserve_sections: bool,
    /// `o=` session id, unique per peer.
    pub session_id: u64,
    /// We offer and the client answers (subscriber transport of LiveKit's two-connection mode).
    pub we_offer: bool,
}

/// What a peer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first path, or a move to another one.
    Path(SocketAddr),
    /// DTLS is done: media can be sealed and opened.
    Secured,
    /// A data channel is usable.
    ChannelOpen(String),
    /// A message, with the label of its channel.
    Message(String, Bytes),
    /// It cannot go on.
    Failed(FailReason),
    /// The client closed DTLS.
    Closed,
}

/// One WebRTC transport; see the module.
pub struct Peer {
    transport: Transport,
    sdp: Negotiator,
    sources: Sources,
    channels: Channels,
    labels: Vec<(ChannelId, String, bool)>,
    events: VecDeque<Event>,
    tag: u16,
}

impl Peer {
    /// A peer that nothing is agreed with yet.
    #[must_use]
    pub fn new(options: Options, now: Instant) -> Self {
        let local = Credentials::tagged(options.tag);
        let sdp = sdp::Options {
            ufrag: local.ufrag.clone(),
            pwd: local.pwd.clone(),
            fingerprint: options.identity.fingerprint().to_owned(),
            candidates: options.candidates,
            tcp_candidates: options.tcp_candidates,
            reserve_sections: options.reserve_sections,
            session_id: options.session_id,
        };
        Self {
            transport: Transport::new(&options.identity, local, now),
            sdp: if options.we_offer { Negotiator::offerer(sdp) } else { Negotiator::new(sdp) },
            sources: Sources::new(),
            channels: Channels::new(now),
            labels: Vec::new(),
            events: VecDeque::new(),
            tag: options.tag,
        }
    }

    /// What checks name this peer by; another one after an ICE restart.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.transport.local_credentials().ufrag
    }

    /// Where media goes.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.transport.remote()
    }

    /// Takes an offer of the client; ask for [`Peer::create_answer`] next.
    pub fn handle_offer(&mut self, now: Instant, offer: ClientOffer) -> Result<OfferChange, SdpError> {
        let change = self.sdp.handle_offer(offer)?;
        self.take_remote(now, change)?;
        Ok(change)
    }

    /// The answer to the last offer.
    pub fn create_answer(&mut self) -> String {
        self.sdp.answer()
    }

    /// Our offer. The first one opens our data channels as well.
    pub fn create_offer(&mut self, now: Instant, ice_restart: bool) -> String {
        if ice_restart {
            self.restart_local_ice(now);
        }
        self.sdp.create_offer()
    }

    /// Takes the client's answer to our last offer.
    pub fn handle_answer(&mut self, now: Instant, answer: ClientAnswer) -> Result<(), SdpError> {
        self.sdp.handle_answer(answer)?;
        // Other credentials in an answer belong to the restart that our offer made.
        self.take_remote(now, OfferChange::default())
    }

    /// Codecs that the client was offered and has never taken.
    pub fn lacks(&self) -> impl Iterator<Item = Codec> {
        self.sdp.lacks()
    }

    /// A trickle or restart fragment of WHIP or WHEP (RFC 8840): `Some` is the reply to a restart.
    pub fn handle_fragment(&mut self, now: Instant, text: &str) -> Result<Option<String>, SdpError> {
        let change = self.sdp.handle_fragment(&Fragment::parse(text)?)?;
        if !change.ice_restarted {
            return Ok(None);
        }
        self.restart_local_ice(now);
        Ok(Some(self.sdp.fragment()))
    }

    /// The media sections agreed.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        self.sdp.sections()
    }

    /// Has the client send with this codec in a section; see [`Negotiator::prefer`].
    pub fn prefer(&mut self, mid: Mid, codec: Codec) {
        self.sdp.prefer(mid, codec);
    }

    /// Wants a track sent; see [`Negotiator::attach`].
    pub fn attach(&mut self, wanted: Attach<'_>) {
        self.sdp.attach(wanted);
    }

    /// Wants a track no longer sent. `true`: one that waited has its section (a reserved one) and may be sent at once.
    pub fn detach(&mut self, track: TrackId) -> bool {
        let freed = self.sdp.detach(track).and_then(|mid| self.sdp.section(mid));
        freed.is_some_and(|section| section.sending && section.outgoing.is_some())
    }

    /// Audio and video sections that the client has to offer for tracks that wait.
    #[must_use]
    pub fn missing_sections(&self) -> (u32, u32) {
        self.sdp.pending()
    }

    /// Whether an offer is due, whoever makes it.
    #[must_use]
    pub fn needs_negotiation(&self) -> bool {
        self.sdp.needs_negotiation()
    }

    /// Takes a STUN datagram. `Ok` means that its sender proved to know our password.
    pub fn handle_stun(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Result<(), DropReason> {
        self.transport.handle_stun(now, from, packet)?;
        self.settle(now);
        Ok(())
    }

    /// Takes a DTLS datagram.
    pub fn handle_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DropReason> {
        let outcome = self.transport.handle_dtls(now, from, datagram);
        self.settle(now);
        outcome
    }

    /// Opens an SRTP packet in place; length of the plaintext.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        self.transport.unprotect_rtp(packet)
    }

    /// Opens an SRTCP packet in place; length of the plaintext.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        self.transport.unprotect_rtcp(packet)
    }

    /// Reads a little of each cache line that [`Self::protect_rtp`] needs, so that they are there when it is called:
    /// what is `depth` pointers away, at most 2.
    #[must_use]
    pub fn touch(&self, depth: usize) -> u64 {
        self.transport.touch(depth)
    }

    /// Seals `packet[..length]` in place; `packet` has room for the tag. Returns the sealed length.
    pub fn protect_rtp(&mut self, packet: &mut [u8], length: usize) -> Result<usize, SealError> {
        self.transport.protect_rtp(packet, length)
    }

    /// The highest sequence number sealed with this SSRC: whoever uses the SSRC again goes on after it.
    #[must_use]
    pub fn last_sealed(&self, ssrc: Ssrc) -> Option<SeqNo> {
        self.transport.last_sealed(ssrc)
    }

    /// Seals a compound RTCP packet.
    pub fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.transport.protect_rtcp(plain)
    }

    /// An authenticated packet came from here: it is the path from now on.
    pub fn move_path(&mut self, now: Instant, to: SocketAddr) {
        self.transport.move_path(now, to);
        self.settle(now);
    }

    /// Which section and layer an authenticated packet belongs to.
    pub fn resolve(&mut self, view: &View<'_>) -> Option<Source> {
        if let Some(source) = self.sources.lookup(view.ssrc()) {
            return Some(source);
        }
        // BUNDLE: one id means one kind in all sections (RFC 8843 §9.2), so any section's map reads the packet.
        let sections = self.sdp.sections();
        let extension = |kind| {
            let id = sections.iter().filter(|section| section.receiving).find_map(|section| section.exts.id(kind))?;
            view.extension(id)
        };
        let hints = Hints {
            ssrc: view.ssrc(),
            pt: view.pt(),
            mid: extension(Kind::Mid),
            rid: extension(Kind::Rid),
            repaired_rid: extension(Kind::RepairedRid),
        };
        self.sources.bind(sections, &hints)
    }

    /// Opens a data channel of ours; [`Event::ChannelOpen`] follows.
    pub fn open_channel(&mut self, now: Instant, label: &str, ordered: bool, max_retransmits: Option<u16>) -> bool {
        let Ok(id) = self.channels.open(now, label, ordered, max_retransmits) else { return false };
        self.labels.push((id, label.to_owned(), false));
        self.settle(now);
        true
    }

    /// Whether a channel of this label can be written to.
    #[must_use]
    pub fn channel_is_open(&self, label: &str) -> bool {
        self.labels.iter().any(|(_, known, open)| *open && known == label)
    }

    /// Sends a binary message over the channel of this label.
    pub fn send(&mut self, now: Instant, label: &str, payload: &[u8]) -> Result<(), SendError> {
        let outcome = self.channels.send(now, self.open_channel_of(label)?, false, payload);
        self.settle(now);
        outcome
    }

    /// The same for what is of use only with what was sent before: see [`Channels::send_late`].
    ///
    /// [`Channels::send_late`]: crate::sctp::Channels::send_late
    pub fn send_late(&mut self, now: Instant, label: &str, payload: &[u8]) -> Result<(), SendError> {
        let outcome = self.channels.send_late(now, self.open_channel_of(label)?, false, payload);
        self.settle(now);
        outcome
    }

    fn open_channel_of(&self, label: &str) -> Result<ChannelId, SendError> {
        let channel = self.labels.iter().find(|(_, known, open)| *open && known == label);
        channel.map(|(id, _, _)| *id).ok_or(SendError::NoSuchChannel)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transport.poll_transmit()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Peer::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.transport.poll_timeout(), self.channels.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        self.channels.handle_timeout(now);
        self.settle(now);
    }

    /// Says goodbye; poll the last datagrams after it.
    pub fn close(&mut self, now: Instant) {
        self.channels.close(now);
        self.settle(now);
        self.transport.close(now);
    }

    /// What a description of the client means for the transport.
    fn take_remote(&mut self, now: Instant, change: OfferChange) -> Result<(), SdpError> {
        if change.ice_restarted {
            self.restart_local_ice(now);
        }
        if let Some(fingerprint) = self.sdp.remote_fingerprint() {
            let parsed = Fingerprint::parse(fingerprint).ok_or_else(|| {
                SdpError::new("sdp_bad_fingerprint", "a=fingerprint is malformed or of an unknown hash")
            })?;
            if !self.transport.set_remote(now, parsed) {
                return Err(SdpError::new("sdp_other_fingerprint", "another certificate needs another connection"));
            }
        }
        if let Some(bytes) = self.sdp.max_message_bytes() {
            self.channels.set_peer_max_message_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        self.sources.update(self.sdp.sections());
        self.settle(now);
        Ok(())
    }

    fn restart_local_ice(&mut self, now: Instant) {
        let local = Credentials::tagged(self.tag);
        self.sdp.set_local_ice(&local.ufrag, &local.pwd);
        self.transport.restart_ice(now, local);
    }

    /// Carries packets between DTLS and SCTP, and events to the caller, until nothing moves.
    fn settle(&mut self, now: Instant) {
        while let Some(data) = self.transport.poll_app() {
            self.channels.handle_packet(now, &data);
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push_back(match event {
                transport::Event::PathSelected(addr) | transport::Event::PathMoved(addr) => Event::Path(addr),
                transport::Event::Secured { .. } => Event::Secured,
                transport::Event::Failed(reason) => Event::Failed(reason),
                transport::Event::Closed => Event::Closed,
            });
        }
        while let Some(event) = self.channels.poll_event() {
            self.handle_channel_event(event);
        }
        while let Some(packet) = self.channels.poll_packet() {
            self.transport.send_app(&packet);
        }
    }

    fn handle_channel_event(&mut self, event: sctp::Event) {
        match event {
            sctp::Event::Opened { id, label } => {
                self.labels.retain(|(known, _, _)| *known != id);
                self.labels.push((id, label.clone(), true));
                self.events.push_back(Event::ChannelOpen(label));
            }
            sctp::Event::Message { id, payload, .. } => {
                let label = self.labels.iter().find(|(known, _, _)| *known == id).map(|(_, label, _)| label.clone());
                if let Some(label) = label {
                    self.events.push_back(Event::Message(label, payload));
                }
            }
            sctp::Event::Closed { id } => self.labels.retain(|(known, _, _)| *known != id),
            // Media does not depend on SCTP: the peer stays, without channels.
            sctp::Event::Failed => self.labels.clear(),
        }
    }
}
