//! How much may be written to a stream whose transport takes more than the path does, as TCP does: it keeps megabytes, and
//! fills whatever queue the path has.
//!
//! The transport is asked how the path is when what it was last found good for has been written, and again a part of a
//! round trip later while that is on its way: an answer to a request of a few packets costs no question.

use std::time::{Duration, Instant};

use crate::window::{Path, Window};

/// Written before the transport is asked for the first time. Most answers are smaller.
const FIRST_BYTES: u64 = 16 * 1024;
/// Written at a time where the transport cannot say.
const BLIND_BYTES: u64 = 1024 * 1024;
/// Less room than a packet's is waited with until there is more.
const LEAST_BYTES: u64 = 1400;
/// Between two questions.
const SOONEST: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_millis(25);
/// After so many without anything new, a second and more as where a player is paused, it is asked seldom.
const MAX_VAIN: u32 = 50;
const SELDOM: Duration = Duration::from_millis(200);

/// What a transport knows.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Of its path.
    pub path: Path,
    /// Bytes that were written and are not acknowledged, whether they were sent or not.
    pub under_way: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Write, this many bytes at most.
    Write(u64),
    /// Ask the transport, and say it to [`Ahead::found`].
    Ask,
    /// Wait until then.
    Wait(Instant),
}

/// The writer of one stream.
#[derive(Clone, Debug)]
pub struct Ahead {
    window: Window,
    room: u64,
    next: Option<Instant>,
    /// As the transport said at last, and how often it has said so.
    under_way: u64,
    vain: u32,
}

impl Ahead {
    /// A stream on which nothing was written.
    pub fn new(now: Instant) -> Self {
        Self { window: Window::new(now), room: FIRST_BYTES, next: None, under_way: 0, vain: 0 }
    }

    /// What to do. `now` is only asked for when it matters.
    pub fn turn(&self, now: impl FnOnce() -> Instant) -> Turn {
        if self.room > 0 {
            return Turn::Write(self.room);
        }
        match self.next.filter(|&next| now() < next) {
            Some(next) => Turn::Wait(next),
            None => Turn::Ask,
        }
    }

    /// So much was written.
    pub fn wrote(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// What the transport said. `None`: it cannot say.
    pub fn found(&mut self, found: Option<Found>, now: Instant) {
        let Some(Found { path, under_way }) = found else {
            (self.room, self.next) = (BLIND_BYTES, None);
            return;
        };
        self.room = self.window.at(path, now).saturating_sub(under_way);
        if self.room < LEAST_BYTES && under_way > 0 {
            self.room = 0;
        }
        self.vain = if under_way == self.under_way { self.vain.saturating_add(1) } else { 0 };
        self.under_way = under_way;
        let pause = if self.vain > MAX_VAIN { SELDOM } else { (path.rtt / 2).clamp(SOONEST, LATEST) };
        self.next = Some(now + pause);
    }
}

#[cfg(test)]
mod tests;
