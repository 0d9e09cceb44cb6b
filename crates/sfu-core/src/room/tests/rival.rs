//! Somebody else's download on the same path: a sender by CUBIC (RFC 9438) that always has more to send, in a queue without
//! fairness.

use std::collections::VecDeque;

use super::link::Wire;

const SEGMENT: u64 = 1_500;
/// Of RFC 9438 §4.1 and §4.6.
const SCALE: f64 = 0.4;
const BETA: f64 = 0.7;
const START: f64 = 10.0;

#[derive(Debug)]
pub(super) struct Rival {
    /// In segments.
    window: f64,
    /// Of the window when the queue last overflowed, and when that was.
    most: f64,
    since_ms: Option<u64>,
    in_flight: u32,
    /// When each segment under way is told of, and whether it arrived.
    told: VecDeque<(u64, bool)>,
    got: u64,
}

impl Rival {
    pub(super) fn new() -> Self {
        Self { window: START, most: f64::INFINITY, since_ms: None, in_flight: 0, told: VecDeque::new(), got: 0 }
    }

    /// What has arrived.
    pub(super) fn kbit(&self) -> f64 {
        (self.got * SEGMENT * 8) as f64 / 1e3
    }

    /// A millisecond passes.
    pub(super) fn tick(&mut self, ms: u64, wire: &mut Wire) {
        while let Some((_, arrived)) = self.told.pop_front_if(|(at, _)| *at <= ms) {
            self.in_flight -= 1;
            if arrived { self.grow(ms) } else { self.shrink(ms, wire.link.delay_ms) }
        }
        while f64::from(self.in_flight) < self.window {
            let departs_us = wire.enqueue(ms, SEGMENT);
            // What is lost shows with what arrives behind it.
            let at_us = departs_us.unwrap_or(wire.free_at_us) + 2 * wire.link.delay_ms * 1_000;
            self.told.push_back((at_us / 1_000 + 1, departs_us.is_some()));
            self.in_flight += 1;
            if departs_us.is_none() {
                break; // acknowledgements clock it
            }
        }
    }

    fn grow(&mut self, ms: u64) {
        self.got += 1;
        let Some(since_ms) = self.since_ms else {
            self.window += 1.0; // slow start
            return;
        };
        let back = (self.most * (1.0 - BETA) / SCALE).cbrt();
        let target = SCALE * ((ms - since_ms) as f64 / 1e3 - back).powi(3) + self.most;
        self.window += ((target - self.window) / self.window).clamp(0.0, 0.5);
    }

    fn shrink(&mut self, ms: u64, delay_ms: u64) {
        // Once for all that one overflow lost.
        if self.since_ms.is_none_or(|since| ms > since + 2 * delay_ms + 500) {
            (self.most, self.since_ms) = (self.window, Some(ms));
            self.window = (self.window * BETA).max(2.0);
        }
    }
}
