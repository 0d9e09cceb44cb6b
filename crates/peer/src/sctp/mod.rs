//! [`Channels`]: the data channels of one peer (RFC 8831, RFC 8832) over DTLS application data, sans-I/O.
//!
//! What goes in and out are SCTP packets; `transport` wraps them in DTLS records. What a message means is not known here.
//! Called by `peer.rs` only.
//!
//! ```text
//!   DTLS data --> handle_packet --> Link (SCTP) --> DCEP, messages --> poll_event
//!   DTLS data <-- poll_packet   <-- Link (SCTP) <-- outbox         <-- open, send, close_channel
//! ```
//!
//! Channels the peer negotiated out of band (`negotiated: true`) are not supported: a user message on a stream that no
//! DATA_CHANNEL_OPEN began resets that stream.

mod channel;
mod dcep;
mod drain;
mod link;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use channel::{Channel, State};
use dcep::{Limit, Message, Reliability};
use link::{Link, Ppid, Write};

/// Largest message either way, as our SDP says in `a=max-message-size`. Chromium's own limit; LiveKit cuts at 15 kB.
/// Raising it lets one message hold the ordered channel for longer.
pub const MAX_MESSAGE_BYTES: usize = 262_144;
/// Bytes that wait or are under way to the peer over all its channels. A peer slower than what is sent to it costs at most
/// this much memory; lower, and a burst of large messages is refused on a path with a long round trip.
pub const MAX_BUFFERED_BYTES: usize = 4 * 1024 * 1024;
/// What a channel never resends is not taken where it would wait for longer than this, and SCTP's time-out: it would come too
/// late, and so would what comes behind it.
pub const MAX_WAIT: Duration = Duration::from_millis(200);
/// So little may wait however long: receivers delay their SACK of a lone message by 200 ms (RFC 9260 §6.2).
const FEW_BYTES: usize = 8 * 1024;
/// Channels of one peer at a time. LiveKit uses 3 to 6.
pub const MAX_CHANNELS: usize = 64;
/// SCTP streams at a time, of channels or not yet: what a peer that never sends a DATA_CHANNEL_OPEN can make us remember.
const MAX_STREAMS: usize = 2 * MAX_CHANNELS;
/// Received bytes that wait for missing ones; also the window we announce. Four of the largest messages.
const MAX_RECEIVE_BYTES: u32 = 1024 * 1024;
/// Highest stream id we use: libwebrtc accepts 0..=1023.
const MAX_STREAM_ID: u16 = 1023;

/// A channel of one [`Channels`]; the SCTP stream id under it. A closed channel's id may be used again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(u16);

impl ChannelId {
    /// The SCTP stream id (what a browser shows as `RTCDataChannel.id`).
    #[must_use]
    pub fn stream_id(self) -> u16 {
        self.0
    }
}

/// What happened on the data channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A channel can be used: the peer opened it, or it acknowledged ours.
    Opened {
        /// Which.
        id: ChannelId,
        /// Its label.
        label: String,
    },
    /// A complete message.
    Message {
        /// On which channel.
        id: ChannelId,
        /// Whether the sender called it a string. Not checked for UTF-8.
        text: bool,
        /// The bytes; may be empty.
        payload: Bytes,
    },
    /// A channel is gone, closed by either side. Not sent for channels that [`Event::Failed`] ends.
    Closed {
        /// Which.
        id: ChannelId,
    },
    /// The association was aborted, shut down by the peer or broken by it. All channels are gone; sent once.
    Failed,
}

/// Why a channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`MAX_CHANNELS`] are open.
    #[error("too many data channels")]
    TooMany,
    /// The label is longer than 256 bytes.
    #[error("data channel label is too long")]
    LabelTooLong,
    /// The association has ended.
    #[error("sctp association has ended")]
    Ended,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such channel, or it is closing.
    #[error("no such data channel")]
    NoSuchChannel,
    /// The peer has not acknowledged it yet.
    #[error("data channel is not open yet")]
    NotOpen,
    /// More than [`MAX_BUFFERED_BYTES`] would wait.
    #[error("data channel buffer is full")]
    Full,
    /// On a channel that never resends it would wait for longer than [`MAX_WAIT`].
    #[error("data channel is behind")]
    Behind,
    /// Longer than the peer accepts, or than [`MAX_MESSAGE_BYTES`].
    #[error("message is too large")]
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The peer's INIT has not come, or the handshake is under way.
    Waiting,
    Up,
    /// [`Channels::close`] was called; SHUTDOWN is under way.
    Closing,
    Down,
}

/// The data channels of one peer.
pub struct Channels {
    link: Link,
    phase: Phase,
    channels: BTreeMap<u16, Channel>,
    /// RFC 8832 §6: the DTLS client opens even streams, the server odd ones.
    parity: u16,
    next_id: u16,
    events: VecDeque<Event>,
}

impl Channels {
    /// Waits for the peer's INIT. We are the DTLS server.
    #[must_use]
    pub fn new(_now: Instant) -> Self {
        Self::with_link(Link::new(), 1)
    }

    fn with_link(link: Link, parity: u16) -> Self {
        let (channels, events) = (BTreeMap::new(), VecDeque::new());
        Self { link, phase: Phase::Waiting, channels, parity, next_id: parity, events }
    }

    /// Sets what the peer's SDP allows us to send; 65,536 is to be passed where it says nothing, [`MAX_MESSAGE_BYTES`] is
    /// assumed until this is called, and 0 means "any size" (RFC 8841 §6.1).
    pub fn set_peer_max_message_bytes(&mut self, bytes: usize) {
        self.link.set_max_send_bytes(if bytes == 0 { MAX_MESSAGE_BYTES } else { bytes });
    }

    /// Whether the SCTP handshake is done and the association still stands.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Takes one SCTP packet. Garbage is dropped.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        if self.phase != Phase::Down {
            self.link.receive(now, packet);
            self.settle(now);
        }
    }

    /// The next SCTP packet to send. To be drained after every other call.
    pub fn poll_packet(&mut self) -> Option<Bytes> {
        self.link.poll_packet()
    }

    /// The next event. To be drained after every other call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Channels::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Down { None } else { self.link.poll_timeout() }
    }

    /// Retransmits and acknowledges what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase != Phase::Down {
            self.link.handle_timeout(now);
            self.settle(now);
        }
    }

    /// Opens a channel, at once or when the association is up. [`Event::Opened`] says when it can be used.
    /// `max_retransmits` of `None` is reliable.
    pub fn open(
        &mut self,
        now: Instant,
        label: &str,
        ordered: bool,
        max_retransmits: Option<u16>,
    ) -> Result<ChannelId, OpenError> {
        if matches!(self.phase, Phase::Closing | Phase::Down) {
            return Err(OpenError::Ended);
        }
        if label.len() > dcep::MAX_LABEL_BYTES {
            return Err(OpenError::LabelTooLong);
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(OpenError::TooMany);
        }
        let id = self.free_id();
        let limit = max_retransmits.map_or(Limit::None, |count| Limit::Retransmits(count.into()));
        self.channels.insert(id, Channel::ours(label, Reliability { ordered, limit }));
        self.settle(now);
        Ok(ChannelId(id))
    }

    /// Sends a message, or keeps it until SCTP can. On an error nothing of it was sent.
    pub fn send(&mut self, now: Instant, id: ChannelId, text: bool, payload: &[u8]) -> Result<(), SendError> {
        if self.is_behind(now, id) {
            return Err(SendError::Behind);
        }
        self.send_late(now, id, text, payload)
    }

    /// The same for what is of use only with what was sent before: taken however late it comes.
    pub fn send_late(&mut self, now: Instant, id: ChannelId, text: bool, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > self.link.max_send_bytes() {
            return Err(SendError::TooLarge);
        }
        let full = self.buffered_bytes().saturating_add(payload.len()) > MAX_BUFFERED_BYTES;
        let channel = self.channels.get_mut(&id.0).ok_or(SendError::NoSuchChannel)?;
        match channel.state {
            State::Closing | State::Resetting => return Err(SendError::NoSuchChannel),
            State::Connecting => return Err(SendError::NotOpen),
            State::Open if full => return Err(SendError::Full),
            State::Open => {}
        }
        // RFC 8831 §6.6: SCTP has no empty messages; one byte of any value stands for none under its own PPID.
        let (ppid, payload) = match (text, payload.is_empty()) {
            (true, true) => (Ppid::TextEmpty, &[0][..]),
            (true, false) => (Ppid::Text, payload),
            (false, true) => (Ppid::BinaryEmpty, &[0][..]),
            (false, false) => (Ppid::Binary, payload),
        };
        if !channel.outbox.is_empty() || self.link.write(id.0, ppid, payload) == Write::Blocked {
            channel.outbox.push(ppid, Bytes::copy_from_slice(payload));
        }
        if channel.never_resends() {
            channel.drain.give(payload.len());
        }
        self.settle(now);
        Ok(())
    }

    /// Whether what is sent now on a channel that never resends would come too late.
    fn is_behind(&mut self, now: Instant, id: ChannelId) -> bool {
        let Some(channel) = self.channels.get_mut(&id.0).filter(|channel| channel.never_resends()) else {
            return false;
        };
        let waiting = self.link.buffered_bytes(id.0).saturating_add(channel.outbox.bytes());
        let time_out = self.link.time_out();
        let wait = channel.drain.wait(now, waiting, time_out);
        waiting > FEW_BYTES && wait.is_some_and(|wait| wait > time_out + MAX_WAIT)
    }

    /// Closes one channel after what was sent on it has arrived (RFC 8831 §6.7). [`Event::Closed`] follows when the peer has
    /// closed its side as well.
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id.0)
            && channel.state != State::Resetting
        {
            channel.state = State::Closing;
            self.settle(now);
        }
    }

    /// Shuts the association down after what was sent has arrived. No event follows.
    pub fn close(&mut self, now: Instant) {
        self.channels.clear();
        self.events.clear();
        self.phase = if self.phase == Phase::Up && self.link.shutdown() { Phase::Closing } else { Phase::Down };
        self.settle(now);
    }

    /// Bytes that wait or are under way to the peer, over all channels.
    #[must_use]
    pub fn buffered_bytes(&mut self) -> usize {
        let link = &mut self.link;
        self.channels.iter().map(|(&id, channel)| link.buffered_bytes(id).saturating_add(channel.outbox.bytes())).sum()
    }

    /// Ids are taken in turn, so that an id whose reset is still under way is not met again soon.
    fn free_id(&mut self) -> u16 {
        loop {
            let id = self.next_id;
            self.next_id = if id.saturating_add(2) > MAX_STREAM_ID { self.parity } else { id.saturating_add(2) };
            // Ends: there are 512 ids of our parity and at most MAX_CHANNELS in use.
            if !self.channels.contains_key(&id) {
                return id;
            }
        }
    }

    /// Handles what SCTP has to say and gives it what waits, until neither has anything left.
    fn settle(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.link.poll_event() {
                idle = false;
                self.handle_link_event(event);
            }
            if self.phase == Phase::Up {
                self.write_waiting();
            }
            self.link.flush(now);
            if idle {
                return;
            }
        }
    }

    fn handle_link_event(&mut self, event: link::Event) {
        match event {
            link::Event::Established => self.phase = Phase::Up,
            link::Event::StreamOpened => {
                if self.link.stream_count() > MAX_STREAMS {
                    self.fail();
                }
            }
            link::Event::Readable(id) => {
                while let Some((ppid, payload)) = self.link.read(id) {
                    self.handle_message(id, ppid, payload);
                }
            }
            link::Event::StreamReset(id) | link::Event::StreamResetFailed(id) => {
                if self.channels.remove(&id).is_some() {
                    self.events.push_back(Event::Closed { id: ChannelId(id) });
                }
            }
            link::Event::Lost => self.fail(),
        }
    }

    fn fail(&mut self) {
        let silent = matches!(self.phase, Phase::Closing | Phase::Down);
        self.phase = Phase::Down;
        self.channels.clear();
        if !silent {
            self.events.push_back(Event::Failed);
        }
    }

    fn handle_message(&mut self, id: u16, ppid: Ppid, payload: Bytes) {
        // While waiting as well: reordered DATA may come before the COOKIE-ECHO that it followed.
        if matches!(self.phase, Phase::Closing | Phase::Down) {
            return;
        }
        match ppid {
            Ppid::Control => self.handle_control(id, &payload),
            Ppid::Text => self.handle_user_message(id, true, payload),
            Ppid::TextEmpty => self.handle_user_message(id, true, Bytes::new()),
            Ppid::Binary => self.handle_user_message(id, false, payload),
            Ppid::BinaryEmpty => self.handle_user_message(id, false, Bytes::new()),
            Ppid::Unknown => {}
        }
    }

    fn handle_user_message(&mut self, id: u16, text: bool, payload: Bytes) {
        let Some(channel) = self.channels.get_mut(&id) else {
            self.link.reset_stream(id);
            return;
        };
        match channel.state {
            State::Closing | State::Resetting => {}
            State::Connecting => {
                // RFC 8832 §6: any message on the stream tells as much as the ACK that was overtaken or lost.
                self.acknowledged(id);
                self.events.push_back(Event::Message { id: ChannelId(id), text, payload });
            }
            State::Open => self.events.push_back(Event::Message { id: ChannelId(id), text, payload }),
        }
    }

    fn handle_control(&mut self, id: u16, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(Message::Ack) => self.acknowledged(id),
            Ok(Message::Open { reliability, label }) => self.opened_by_peer(id, reliability, label),
            Err(_) => self.refuse(id),
        }
    }

    fn acknowledged(&mut self, id: u16) {
        if let Some(channel) = self.channels.get_mut(&id)
            && channel.state == State::Connecting
        {
            channel.state = State::Open;
            self.events.push_back(Event::Opened { id: ChannelId(id), label: channel.label.clone() });
        }
    }

    fn opened_by_peer(&mut self, id: u16, reliability: Reliability, label: String) {
        // RFC 8832 §6: an OPEN on a stream in use, or of the wrong parity, closes the channel.
        let wrong = id % 2 == self.parity || self.channels.contains_key(&id);
        if wrong || self.channels.len() >= MAX_CHANNELS {
            return self.refuse(id);
        }
        self.link.set_reliability(id, reliability);
        self.channels.insert(id, Channel::theirs(&label, reliability));
        self.events.push_back(Event::Opened { id: ChannelId(id), label });
    }

    fn refuse(&mut self, id: u16) {
        match self.channels.get_mut(&id) {
            Some(channel) if channel.state != State::Resetting => channel.state = State::Closing,
            Some(_) => {}
            None => {
                self.link.reset_stream(id);
            }
        }
    }

    fn write_waiting(&mut self) {
        let link = &mut self.link;
        let events = &mut self.events;
        self.channels.retain(|&id, channel| {
            let kept = channel.write_waiting(link, id);
            if !kept {
                events.push_back(Event::Closed { id: ChannelId(id) });
            }
            kept
        });
    }
}
