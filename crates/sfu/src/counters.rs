//! What one worker counted since the last sample. Plain integers on the packet path; handed to the registry each second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_telemetry::Metrics;

use crate::socket::Sent;

pub(crate) struct Counters {
    pub(crate) panics: u64,
    pub(crate) datagrams_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) datagrams_out: u64,
    pub(crate) bytes_out: u64,
    drops: Vec<(&'static str, u64)>,
    slept: Duration,
    last_sample: Instant,
    index: usize,
    metrics: Arc<Metrics>,
}

impl Counters {
    pub(crate) fn new(index: usize, metrics: Arc<Metrics>, now: Instant) -> Self {
        Self {
            panics: 0,
            datagrams_in: 0,
            bytes_in: 0,
            datagrams_out: 0,
            bytes_out: 0,
            drops: Vec::new(),
            slept: Duration::ZERO,
            last_sample: now,
            index,
            metrics,
        }
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.datagrams_in += 1;
        self.bytes_in += bytes as u64;
    }

    pub(crate) fn sent(&mut self, outcome: Sent, datagrams: usize, bytes: usize) {
        match outcome {
            Sent::Yes => {
                self.datagrams_out += datagrams as u64;
                self.bytes_out += bytes as u64;
            }
            Sent::Dropped => self.add_drop("send_refused", datagrams as u64),
        }
    }

    pub(crate) fn dropped(&mut self, reason: &'static str) {
        self.add_drop(reason, 1);
    }

    /// A few dozen reasons at most, and the frequent ones move to the front by being first seen: a scan is enough.
    fn add_drop(&mut self, reason: &'static str, count: u64) {
        match self.drops.iter_mut().find(|(known, _)| std::ptr::eq(*known, reason) || *known == reason) {
            Some((_, total)) => *total += count,
            None => self.drops.push((reason, count)),
        }
    }

    pub(crate) fn slept(&mut self, time: Duration) {
        self.slept += time;
    }

    pub(crate) fn next_sample(&self, interval: Duration) -> Instant {
        self.last_sample + interval
    }

    pub(crate) fn sample_due(&self, now: Instant, interval: Duration) -> bool {
        now >= self.next_sample(interval)
    }
}
