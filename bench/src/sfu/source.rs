//! What publishers send: frames of equal packets at an even pace.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;

use crate::client::Media;
use crate::fleet::{Fleet, READ_EVERY};

/// Sequence numbers go round after this many.
const SEQS: usize = 1 << 16;

/// Frames that are sent in a row at most before sockets are read again.
const MOST_AT_ONCE: usize = 64;

/// Who sends what to whom.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rooms, all alike.
    pub rooms: usize,
    /// Publishers of a room, one stream each.
    pub publishers: usize,
    /// Subscribers of a room, who get every stream of it.
    pub subscribers: usize,
    /// Audio or video.
    pub media: Media,
    /// Packets sent back to back: one video frame; 1 for audio.
    pub burst: usize,
    /// RTP packet size in bytes, tag not counted.
    pub packet_bytes: usize,
    /// The first half of a frame's packets is a byte shorter, as libwebrtc cuts frames.
    pub uneven: bool,
    /// Packets out per second that the pace of all publishers together aims at.
    pub target_pps: u64,
}

impl Load {
    /// Streams that leave the server.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.rooms * self.publishers * self.subscribers
    }

    /// Bursts a second of each publisher.
    #[must_use]
    pub fn bursts_per_s(&self) -> f64 {
        self.target_pps as f64 / (self.streams() * self.burst) as f64
    }
}

/// The publishers of a fleet, taking turns evenly.
pub struct Source {
    load: Load,
    key: Vec<u8>,
    delta: Vec<u8>,
    /// Of each publisher: its next number and timestamp.
    numbers: Vec<(u16, u32)>,
    next: usize,
    /// When the first publisher sent which number; for the latency.
    sent: Vec<Option<Instant>>,
    /// Arrivals are timed: sockets are read as soon as something is there.
    pub timed: bool,
    /// Frames that are late are sent all at once, so that what is asked for is sent however busy this core is.
    pub catches_up: bool,
}

impl Source {
    /// Not begun.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let payload = load.packet_bytes - 12;
        let mut key = vec![0x5a; payload];
        let mut delta = key.clone();
        if load.media == Media::Video {
            // RFC 7741 §4.2: S=1 PID=0; §4.3 and RFC 6386 §9.1: a key frame's tag, start code and size (64x64).
            let head = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 64, 0, 64, 0];
            key.splice(..head.len(), head);
            delta.splice(..1, [0x00]);
        }
        let numbers = vec![(1, 1); load.rooms * load.publishers];
        Self { load, key, delta, numbers, next: 0, sent: vec![None; SEQS], timed: false, catches_up: false }
    }

    /// Sends at pace and receives meanwhile; packets that subscribers should get of it.
    pub fn run(&mut self, fleet: &mut Fleet, span: Duration) -> Result<u64> {
        let interval = Duration::from_secs_f64(1.0 / (self.load.bursts_per_s() * self.numbers.len() as f64));
        let start = Instant::now();
        let (mut next, mut sent) = (start, 0);
        while start.elapsed() < span {
            let now = Instant::now();
            let most = if self.catches_up { MOST_AT_ONCE } else { 1 };
            for _ in 0..most {
                if now < next {
                    break;
                }
                next += interval;
                self.send_frame(fleet)?;
                sent += (self.load.burst * self.load.subscribers) as u64;
            }
            let wait = next.saturating_duration_since(now);
            match self.timed {
                true => fleet.turn(wait.min(Duration::from_millis(1)))?,
                false => fleet.look(wait.min(READ_EVERY))?,
            }
        }
        Ok(sent)
    }

    /// Of whom.
    #[must_use]
    pub const fn load(&self) -> Load {
        self.load
    }

    /// When the first publisher sent a number last.
    #[must_use]
    pub fn sent_at(&self, seq: u16) -> Option<Instant> {
        self.sent.get(usize::from(seq)).copied().flatten()
    }

    fn send_frame(&mut self, fleet: &mut Fleet) -> Result<()> {
        let place = self.next;
        self.next = (place + 1) % self.numbers.len();
        let publisher = fleet.publisher(place).context("no such publisher")?;
        let (seq, ts) = self.numbers.get_mut(place).context("no such publisher")?;
        *ts = ts.wrapping_add(if self.load.media == Media::Video { 3_000 } else { 960 });
        let now = Instant::now();
        for index in 0..self.load.burst {
            let mut payload = if index == 0 { self.key.clone() } else { self.delta.clone() };
            if self.load.uneven && index < self.load.burst / 2 {
                payload.pop();
            }
            if let Some(tail) = payload.last_chunk_mut() {
                *tail = seq.to_be_bytes(); // a receiver that opens it learns how numbers were moved
            }
            if place == 0
                && let Some(sent) = self.sent.get_mut(usize::from(*seq))
            {
                *sent = Some(now);
            }
            publisher.write(*seq, *ts, index + 1 == self.load.burst, Bytes::from(payload))?;
            *seq = seq.wrapping_add(1);
        }
        publisher.pump();
        Ok(())
    }
}
