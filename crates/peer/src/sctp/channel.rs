//! [`Channel`]: the state of one data channel and what waits to be written to its SCTP stream.

use std::collections::VecDeque;

use bytes::Bytes;

use super::dcep::{Limit, Message, Reliability};
use super::drain::Drain;
use super::link::{Link, Ppid, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Ours, and the peer has not acknowledged it.
    Connecting,
    Open,
    /// To be reset once the outbox is empty.
    Closing,
    /// The reset is with SCTP; gone when the peer has reset its side.
    Resetting,
}

pub(super) struct Channel {
    pub(super) label: String,
    pub(super) state: State,
    pub(super) outbox: Outbox,
    /// Of a channel that never resends.
    pub(super) drain: Drain,
    reliability: Reliability,
    /// Whether the SCTP stream exists. Ours come into being when the association is up.
    has_stream: bool,
}

impl Channel {
    /// One we open: DATA_CHANNEL_OPEN is the first thing on it.
    pub(super) fn ours(label: &str, reliability: Reliability) -> Self {
        let open = Message::Open { reliability, label: label.to_owned() };
        Self::new(label, reliability, State::Connecting, &open)
    }

    /// One the peer opened: DATA_CHANNEL_ACK is the first thing on it.
    pub(super) fn theirs(label: &str, reliability: Reliability) -> Self {
        Self { has_stream: true, ..Self::new(label, reliability, State::Open, &Message::Ack) }
    }

    fn new(label: &str, reliability: Reliability, state: State, first: &Message) -> Self {
        let mut outbox = Outbox::default();
        outbox.push(Ppid::Control, first.to_vec().into());
        Self { label: label.to_owned(), state, outbox, drain: Drain::default(), reliability, has_stream: false }
    }

    pub(super) fn never_resends(&self) -> bool {
        self.reliability.limit == Limit::Retransmits(0)
    }

    /// Gives SCTP what it takes. False when the channel is gone: closed before its stream existed.
    pub(super) fn write_waiting(&mut self, link: &mut Link, id: u16) -> bool {
        if !self.has_stream {
            if self.state == State::Closing {
                return false;
            }
            self.has_stream = link.open_stream(id, self.reliability);
        }
        while let Some((ppid, payload)) = self.outbox.front() {
            match link.write(id, ppid, payload) {
                Write::Taken | Write::Refused => self.outbox.pop(),
                Write::Blocked => break,
            }
        }
        if self.state == State::Closing && self.outbox.is_empty() && link.reset_stream(id) {
            self.state = State::Resetting;
        }
        true
    }
}

/// Messages in order. Holds something only while the stream's last reset is under way or before the association is up:
/// otherwise SCTP takes everything at once. Bounded by the caller.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<(Ppid, Bytes)>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, ppid: Ppid, payload: Bytes) {
        self.bytes = self.bytes.saturating_add(payload.len());
        self.queue.push_back((ppid, payload));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn front(&self) -> Option<(Ppid, &Bytes)> {
        self.queue.front().map(|(ppid, payload)| (*ppid, payload))
    }

    fn pop(&mut self) {
        if let Some((_, payload)) = self.queue.pop_front() {
            self.bytes = self.bytes.saturating_sub(payload.len());
        }
    }
}
