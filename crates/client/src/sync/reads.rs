//! Read cursors on their way to the server: each is told until it is confirmed, by this session or a later one.
//!
//! What is not confirmed is in the database (`db::outbox`); this is what of it the present connection has not been asked
//! yet. Not here: whether a cursor rises, which is the replica's to say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long they rest at least when the server refused one for the time being.
const PAUSE: Duration = Duration::from_secs(1);

/// Those to be told, the highest of each conversation.
#[derive(Debug, Default)]
pub(super) struct Reads {
    waiting: BTreeMap<u64, u64>,
    rest_until: Option<Instant>,
}

impl Reads {
    /// A connection begins: everything that is not confirmed is to be told.
    pub(super) fn begin(&mut self, unconfirmed: Vec<(u64, u64)>) {
        *self = Self { waiting: unconfirmed.into_iter().collect(), rest_until: None };
    }

    /// The connection is gone.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn push(&mut self, conv: u64, seq: u64) {
        let waiting = self.waiting.entry(conv).or_default();
        *waiting = seq.max(*waiting);
    }

    /// The server takes this one later, perhaps.
    pub(super) fn refused(&mut self, conv: u64, seq: u64, retry_after: Duration, now: Instant) {
        self.push(conv, seq);
        self.rest_until = Some(now + retry_after.max(PAUSE));
    }

    /// The next one to tell, unless they rest.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(u64, u64)> {
        self.wake(now);
        if self.rest_until.is_some() { None } else { self.waiting.pop_first() }
    }

    /// Ends the rest, if it is over.
    pub(super) fn wake(&mut self, now: Instant) {
        self.rest_until = self.rest_until.filter(|until| *until > now);
    }

    /// When they have rested.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.rest_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_each_is_told_and_a_refused_one_rests() {
        let now = Instant::now();
        let mut reads = Reads::default();
        reads.begin(vec![(1, 5), (2, 7)]);
        reads.push(1, 4);
        reads.push(2, 9);
        assert_eq!((reads.pop(now), reads.deadline()), (Some((1, 5)), None));
        reads.refused(1, 5, Duration::ZERO, now);
        let rows = [(0, None), (999, None), (1000, Some((1, 5))), (1000, Some((2, 9))), (1000, None)];
        for (ms, want) in rows {
            assert_eq!(reads.pop(now + Duration::from_millis(ms)), want, "after {ms} ms");
        }
        reads.push(3, 1);
        reads.end();
        assert_eq!(reads.pop(now), None);
    }
}
