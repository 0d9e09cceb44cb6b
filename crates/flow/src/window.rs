//! How much of a blob may wait in a connection to be sent or acknowledged.
//!
//! A transport fills whatever queue the path has until it overflows, and on a slow path that queue is seconds long: what
//! people write meanwhile waits in it, and so does a call over the same path. A window that follows the round trip keeps
//! the queue short. The rule is that of FAST TCP (Wei, Jin, Low, Hegde, 2006), once a round trip: the window that would
//! make the round trip what it should be, and half of the way towards it.
//!
//! Who gives way to a queue that others keep full gets nothing: when the round trip stays long whatever the window is, the
//! transport's own congestion control decides alone for a while.

use std::time::{Duration, Instant};

/// Longest queue of our making. Below, a path that varies by itself (radio) would look full.
const QUEUE: Duration = Duration::from_millis(100);
/// A queue that short may be one round trip's chance: the window grows as fast as the transport's own.
const SHORT: Duration = Duration::from_millis(40);
/// Fewest bytes: three packets. More would be a long queue by itself where a path takes 300 kbit/s.
const MIN_BYTES: u64 = 4 * 1024;
/// Bytes of the first round trip: RFC 9002 §7.2 lets a dozen packets go.
const FIRST_BYTES: u64 = 32 * 1024;
/// Most bytes: at 100 ms round trip they allow 160 Mbit/s.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// As many round trips stay long before others are to blame. A queue of our own is halved in two to three.
const PATIENCE: u32 = 12;
/// How long they are then not given way to.
const TRUCE: Duration = Duration::from_secs(30);
/// Longest round trip that is believed.
const LONGEST: Duration = Duration::from_secs(10);
/// What was learnt of the path is not believed when nothing has moved for so long.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// What the transport knows of its path.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Smoothed round trip.
    pub rtt: Duration,
    /// Bytes that congestion control allows to be under way.
    pub congestion_window: u64,
}

/// The window of a connection.
#[derive(Clone, Debug)]
pub struct Window {
    bytes: u64,
    /// The shortest round trip seen. Not the shortest ever: paths change, and a queue that was there before is not ours.
    /// It is no worse for what an older blob left in the queue, because the first bytes are few.
    base: Duration,
    /// When the next step is due.
    next: Instant,
    /// Round trips in a row that were far too long.
    long: u32,
    /// Others keep the queue full until then.
    truce: Option<Instant>,
}

impl Window {
    /// Nothing is known of the path yet.
    pub fn new(now: Instant) -> Self {
        Self { bytes: FIRST_BYTES, base: Duration::MAX, next: now, long: 0, truce: None }
    }

    /// Bytes that may wait in the connection.
    pub fn at(&mut self, path: Path, now: Instant) -> u64 {
        if now > self.next + FORGOTTEN {
            *self = Self::new(now);
        }
        // As much again as is under way, so that there is always something to send.
        let most = path.congestion_window.saturating_mul(2).clamp(MIN_BYTES, MAX_BYTES);
        if self.truce.is_some_and(|end| now < end) {
            self.next = now;
            return most;
        }
        if now >= self.next {
            let rtt = path.rtt.min(LONGEST);
            self.next = now + rtt;
            self.step(rtt, now);
        }
        self.bytes = self.bytes.min(most);
        self.bytes
    }

    fn step(&mut self, rtt: Duration, now: Instant) {
        self.base = self.base.min(rtt);
        let wanted = self.base + QUEUE;
        self.long = if rtt > wanted + QUEUE / 2 { self.long.saturating_add(1) } else { 0 };
        if self.long > PATIENCE {
            (self.long, self.truce) = (0, Some(now + TRUCE));
        }
        if rtt < self.base + SHORT {
            self.bytes = self.bytes.saturating_mul(2);
            return;
        }
        let share = wanted.as_secs_f64() / rtt.as_secs_f64();
        self.bytes = (self.bytes as f64 * share.mul_add(0.5, 0.5)) as u64;
        self.bytes = self.bytes.max(MIN_BYTES);
    }
}

#[cfg(test)]
mod tests;
