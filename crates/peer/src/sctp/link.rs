//! [`Link`]: one SCTP association on `sctp-proto`, with streams and payload protocol ids, without data channels.
//!
//! `sctp-proto` and not its sibling `rtc-sctp`: there the 1 s floor of the retransmission time-out is a private constant
//! and 1.2 MB at 5 % loss takes 3-7 s. Its types stay inside this file.
//!
//! Invariant: we never send INIT. Every WebRTC stack sends one of its own (a controlling aiortc, dcsctp and pion always),
//! so waiting avoids the collision of RFC 9260 §5.2.1, which `sctp-proto`'s endpoint cannot route to one association.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Error, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use super::dcep::{Limit, Reliability};
use super::window::{Window, first_chunk};
use super::{MAX_MESSAGE_BYTES, MAX_RECEIVE_BYTES};

/// Retransmission time-out before the first round trip is measured: 3 s by RFC 9260 §16, 500 ms in libwebrtc's dcsctp.
const RTO_INITIAL_MS: u64 = 500;
/// Floor of the retransmission time-out. In the simulation of tests.rs, 1 MB each way at 5 % loss takes 1.4 s at 2 ms of
/// round trip with this floor, 2.2 s with 220 ms and 8.5 s with the RFC's 1 s. The price: it is below the 200 ms by which
/// a receiver may delay its SACK (RFC 9260 §6.2), so a lone message after a burst can be sent twice.
const RTO_MIN_MS: u64 = 120;
/// Ceiling of the time-out: a peer that comes back after an outage hears from us within this time.
const RTO_MAX_MS: u64 = 3_000;
/// How soon a FORWARD TSN may be repeated: it may have been lost.
const FORWARD_AGAIN: Duration = Duration::from_millis(100);
/// Associations begun by INITs with different tags before one is established. One is the rule; a peer that gave up and
/// began anew needs another. Each costs a few KiB until the session ends.
const MAX_INITS: usize = 8;
/// The path under DTLS moves with ICE; SCTP must not see that, so its address never changes.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000));

/// What a user message or control message is (RFC 8831 §8, RFC 8832 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ppid {
    Control,
    Text,
    TextEmpty,
    Binary,
    BinaryEmpty,
    Unknown,
}

/// What happened to the association or to one of its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Established,
    /// The peer used a stream id for the first time.
    StreamOpened,
    Readable(u16),
    /// The peer has reset its direction; ours follows by itself (RFC 8831 §6.7).
    StreamReset(u16),
    /// Our reset of this stream was refused or never answered.
    StreamResetFailed(u16),
    /// Abort, shutdown or protocol error. Nothing works after it.
    Lost,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Taken; delivery is up to SCTP.
    Taken,
    /// Not possible while the stream's reset is under way.
    Blocked,
    /// Can never be sent.
    Refused,
}

pub(super) struct Link {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    inits: usize,
    established: bool,
    lost: bool,
    window: Window,
    /// SCTP found chunks of DATA in a packet where none are.
    deceived: bool,
    max_send_bytes: u32,
    packets: VecDeque<Bytes>,
    /// The FORWARD TSN that was sent last, and when.
    forwarded: Option<(Bytes, Instant)>,
}

impl Link {
    pub(super) fn new() -> Self {
        let mut server = ServerConfig::new();
        server.transport = transport_config();
        Self {
            endpoint: Endpoint::new(Arc::new(EndpointConfig::new()), Some(Arc::new(server))),
            association: None,
            inits: 0,
            established: false,
            lost: false,
            window: Window::default(),
            deceived: false,
            max_send_bytes: MAX_MESSAGE_BYTES as u32,
            packets: VecDeque::new(),
            forwarded: None,
        }
    }

    /// The side that sends INIT: the client of the tests.
    #[cfg(test)]
    pub(super) fn initiating() -> Self {
        let mut link = Self::new();
        let mut client = sctp_proto::ClientConfig::new();
        client.transport = transport_config();
        link.association = link.endpoint.connect(client, PEER).ok();
        link
    }

    pub(super) fn receive(&mut self, now: Instant, packet: &[u8]) {
        // A delayed repeat of the INIT ends an established association in sctp-proto. A true restart (RFC 9260 §5.2.2)
        // does not exist here: it would come with a new DTLS association.
        if self.lost || (self.established && is_init(packet)) {
            return;
        }
        let Some(datas) = self.window.admit(packet) else { return };
        match self.endpoint.handle(now, PEER, None, None, Bytes::copy_from_slice(packet)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.window.note_init(packet);
                self.adopt(handle, association);
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((own, association)) = &mut self.association
                    && *own == handle
                {
                    let before = association.stats().get_num_datas();
                    association.handle_event(event);
                    // It goes by what it has read of a chunk, not by its length: more may be hidden behind that.
                    self.deceived |= association.stats().get_num_datas() > before.saturating_add(datas);
                }
            }
            None => {}
        }
    }

    /// A new tag before anything is established: the peer has begun anew.
    fn adopt(&mut self, handle: AssociationHandle, mut association: Association) {
        association.set_max_send_message_size(self.max_send_bytes);
        self.association = Some((handle, association));
        self.inits = self.inits.saturating_add(1);
        if self.inits >= MAX_INITS {
            self.endpoint.reject_new_associations();
        }
    }

    /// Moves what SCTP wants to send into the queue of [`Link::poll_packet`].
    pub(super) fn flush(&mut self, now: Instant) {
        let Some((_, association)) = &mut self.association else { return };
        while let Some(transmit) = association.poll_transmit(now) {
            match transmit.payload {
                Payload::RawEncode(packets) => {
                    packets.iter().for_each(|packet| self.window.note_sent(packet));
                    let forwarded = &mut self.forwarded;
                    self.packets.extend(packets.into_iter().filter(|packet| !repeats(forwarded, now, packet)));
                }
                Payload::PartialDecode(_) => {} // a received packet; never given out
            }
        }
    }

    pub(super) fn poll_packet(&mut self) -> Option<Bytes> {
        self.packets.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.deceived) {
            self.lost = true;
            return Some(Event::Lost);
        }
        let (_, association) = self.association.as_mut()?;
        while let Some(event) = association.poll() {
            let event = match event {
                sctp_proto::Event::Connected => {
                    self.established = true;
                    self.endpoint.reject_new_associations();
                    Some(Event::Established)
                }
                sctp_proto::Event::HandshakeFailed { .. } | sctp_proto::Event::AssociationLost { .. } => {
                    self.lost = true;
                    Some(Event::Lost)
                }
                sctp_proto::Event::Stream(StreamEvent::Opened { .. }) => {
                    let _ = association.accept_stream(); // only empties its queue: streams are found by id
                    Some(Event::StreamOpened)
                }
                sctp_proto::Event::Stream(event) => stream_event(&event),
                sctp_proto::Event::DataChannelStatsFinal(_) | sctp_proto::Event::DatagramReceived | _ => None,
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref().filter(|_| !self.lost).and_then(|(_, association)| association.poll_timeout())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association
            && !self.lost
        {
            association.handle_timeout(now);
        }
    }

    /// RFC 8841 §6.1: what the peer's `a=max-message-size` allows us to send.
    pub(super) fn set_max_send_bytes(&mut self, bytes: usize) {
        self.max_send_bytes = u32::try_from(bytes.min(MAX_MESSAGE_BYTES)).unwrap_or(MAX_MESSAGE_BYTES as u32);
        if let Some((_, association)) = &mut self.association {
            association.set_max_send_message_size(self.max_send_bytes);
        }
    }

    pub(super) fn max_send_bytes(&self) -> usize {
        self.max_send_bytes as usize
    }

    /// Makes a stream of ours. False while an earlier stream of this id is still being reset.
    pub(super) fn open_stream(&mut self, id: u16, reliability: Reliability) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        association.open_stream(id, PayloadProtocolIdentifier::Binary).is_ok() && self.set_reliability(id, reliability)
    }

    /// True if the stream exists.
    pub(super) fn set_reliability(&mut self, id: u16, reliability: Reliability) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        let (kind, value) = match reliability.limit {
            Limit::None => (ReliabilityType::Reliable, 0),
            Limit::Retransmits(count) => (ReliabilityType::Rexmit, count),
            Limit::LifetimeMs(lifetime) => (ReliabilityType::Timed, lifetime),
        };
        association.stream(id).is_ok_and(|mut s| s.set_reliability_params(!reliability.ordered, kind, value).is_ok())
    }

    pub(super) fn write(&mut self, id: u16, ppid: Ppid, payload: &[u8]) -> Write {
        let Some((_, association)) = &mut self.association else { return Write::Blocked };
        let Ok(mut stream) = association.stream(id) else { return Write::Blocked };
        match stream.write_with_ppi(payload, ppid.to_wire()) {
            Ok(_) => Write::Taken,
            Err(Error::ErrOutboundPacketTooLarge) => Write::Refused,
            Err(_) => Write::Blocked,
        }
    }

    /// The next complete message of a stream.
    pub(super) fn read(&mut self, id: u16) -> Option<(Ppid, Bytes)> {
        let (_, association) = self.association.as_mut()?;
        let message = association.stream(id).ok()?.read_sctp().ok()??;
        let mut payload = vec![0; message.len()];
        let len = message.read(&mut payload).ok()?;
        payload.truncate(len);
        Some((Ppid::from_wire(message.ppi), payload.into()))
    }

    /// Ends a stream once what was written to it is acknowledged (RFC 6525). False if it does not exist or cannot yet.
    pub(super) fn reset_stream(&mut self, id: u16) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        association.stream(id).is_ok_and(|mut stream| stream.close().is_ok())
    }

    pub(super) fn buffered_bytes(&mut self, id: u16) -> usize {
        let Some((_, association)) = &mut self.association else { return 0 };
        association.stream(id).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    /// After how long what is not acknowledged counts as lost: the round trip and how much it varies (RFC 9260 §6.3.1).
    pub(super) fn time_out(&self) -> Duration {
        // What it is called there is not what it is.
        self.association.as_ref().map_or(Duration::ZERO, |(_, association)| association.rtt())
    }

    pub(super) fn stream_count(&self) -> usize {
        self.association.as_ref().map_or(0, |(_, association)| association.stream_ids().len())
    }

    /// Sends what is queued, then SHUTDOWN. False if there is nothing to shut down.
    pub(super) fn shutdown(&mut self) -> bool {
        self.association.as_mut().is_some_and(|(_, association)| association.shutdown().is_ok())
    }
}

impl Ppid {
    fn to_wire(self) -> PayloadProtocolIdentifier {
        match self {
            Self::Control => PayloadProtocolIdentifier::Dcep,
            Self::Text => PayloadProtocolIdentifier::String,
            Self::TextEmpty => PayloadProtocolIdentifier::StringEmpty,
            Self::Binary => PayloadProtocolIdentifier::Binary,
            Self::BinaryEmpty => PayloadProtocolIdentifier::BinaryEmpty,
            Self::Unknown => PayloadProtocolIdentifier::Unknown,
        }
    }

    fn from_wire(ppid: PayloadProtocolIdentifier) -> Self {
        match ppid {
            PayloadProtocolIdentifier::Dcep => Self::Control,
            PayloadProtocolIdentifier::String => Self::Text,
            PayloadProtocolIdentifier::StringEmpty => Self::TextEmpty,
            PayloadProtocolIdentifier::Binary => Self::Binary,
            PayloadProtocolIdentifier::BinaryEmpty => Self::BinaryEmpty,
            PayloadProtocolIdentifier::Unknown => Self::Unknown,
        }
    }
}

fn transport_config() -> Arc<TransportConfig> {
    let config = TransportConfig::default()
        .with_max_receive_buffer_size(MAX_RECEIVE_BYTES)
        .with_max_receive_message_size(MAX_MESSAGE_BYTES as u32)
        .with_max_send_message_size(MAX_MESSAGE_BYTES as u32)
        // ICE consent decides when a silent peer is gone, SCTP never does.
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(RTO_INITIAL_MS)
        .with_rto_min_ms(RTO_MIN_MS)
        .with_rto_max_ms(RTO_MAX_MS);
    Arc::new(config)
}

fn stream_event(event: &StreamEvent) -> Option<Event> {
    match *event {
        StreamEvent::Readable { id } => Some(Event::Readable(id)),
        StreamEvent::Finished { id } => Some(Event::StreamReset(id)),
        StreamEvent::ResetFailed { id, .. } => Some(Event::StreamResetFailed(id)),
        StreamEvent::Opened { .. }
        | StreamEvent::Writable { .. }
        | StreamEvent::ResetComplete { .. }
        | StreamEvent::Stopped { .. }
        | StreamEvent::Available
        | StreamEvent::BufferedAmountLow { .. }
        | StreamEvent::BufferedAmountHigh { .. }
        | _ => None,
    }
}

/// Whether a packet is the FORWARD TSN again that was sent a moment ago.
///
/// sctp-proto answers each SACK with one, and peers answer each with a SACK (RFC 3758 §3.6): what is under way grows with
/// every round trip. §3.5 F2 lets them be delayed.
fn repeats(forwarded: &mut Option<(Bytes, Instant)>, now: Instant, packet: &Bytes) -> bool {
    const CHUNK_FORWARD_TSN: u8 = 192;
    if first_chunk(packet) != Some(CHUNK_FORWARD_TSN) {
        return false;
    }
    if forwarded.as_ref().is_some_and(|(last, at)| last == packet && now < *at + FORWARD_AGAIN) {
        return true;
    }
    *forwarded = Some((packet.clone(), now));
    false
}

/// RFC 9260 §8.5.1 A: only a packet with an INIT chunk has verification tag 0.
fn is_init(packet: &[u8]) -> bool {
    const CHUNK_INIT: u8 = 1;
    packet.get(4..8) == Some(&[0; 4]) && first_chunk(packet) == Some(CHUNK_INIT)
}
