//! Groups that are too large or too busy for every event to be pushed: how busy they are, and where their heads are.

use std::time::{Duration, Instant};

use convene_types::{ConvId, Ordinal, Seq};
use rustc_hash::FxHashMap;

/// Head bumps of a conversation come at this pace at most: 5 Hz is faster than anybody reads.
pub(super) const HEAD_EVERY: Duration = Duration::from_millis(200);
/// Busyness is counted over this time, and a busy group stays so for as long.
const WINDOW: Duration = Duration::from_secs(1);

/// What members of such a group are told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: Seq,
    pub(super) ord: Ordinal,
    /// How far retention has come, if it has done anything since the last bump.
    pub(super) swept: Seq,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Heads {
    busy: FxHashMap<ConvId, Busy>,
    waiting: FxHashMap<ConvId, Head>,
    max_per_window: usize,
}

#[derive(Clone, Copy, Debug)]
struct Busy {
    since: Instant,
    deliveries: usize,
    heads_until: Option<Instant>,
}

impl Heads {
    /// More deliveries a second than this, and a group gets head bumps.
    pub(super) fn new(max_per_window: usize) -> Self {
        Self { busy: FxHashMap::default(), waiting: FxHashMap::default(), max_per_window }
    }

    /// So many outboxes got something from this conversation.
    pub(super) fn count(&mut self, conv: ConvId, deliveries: usize, now: Instant) {
        let fresh = Busy { since: now, deliveries: 0, heads_until: None };
        let busy = self.busy.entry(conv).or_insert(fresh);
        if now.duration_since(busy.since) >= WINDOW {
            *busy = Busy { heads_until: busy.heads_until, ..fresh };
        }
        busy.deliveries += deliveries;
        if busy.deliveries > self.max_per_window {
            busy.heads_until = Some(now + WINDOW);
        }
    }

    /// Whether the conversation gets head bumps at this time.
    pub(super) fn is_busy(&self, conv: ConvId, now: Instant) -> bool {
        self.busy.get(&conv).and_then(|busy| busy.heads_until).is_some_and(|until| now < until)
    }

    /// The conversation's head is here: told with the next round.
    pub(super) fn wait(&mut self, conv: ConvId, head: Head) {
        let waiting = self.waiting.entry(conv).or_default();
        *waiting = Head { swept: waiting.swept.max(head.swept), ..head };
    }

    /// Whether a round is due.
    pub(super) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The heads to tell, and what is no longer busy is forgotten.
    pub(super) fn round(&mut self, now: Instant) -> Vec<(ConvId, Head)> {
        self.forget(now);
        self.waiting.drain().collect()
    }

    /// Forgets what is no longer busy.
    pub(super) fn forget(&mut self, now: Instant) {
        self.busy.retain(|_, busy| {
            now.duration_since(busy.since) < WINDOW || busy.heads_until.is_some_and(|until| now < until)
        });
    }

    /// Conversations that are counted.
    pub(super) fn len(&self) -> usize {
        self.busy.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_group_calms_down() {
        let (mut heads, conv, start) = (Heads::new(100), ConvId(1), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        heads.count(conv, 60, at(0));
        assert!(!heads.is_busy(conv, at(1)));
        heads.count(conv, 60, at(1500));
        assert!(!heads.is_busy(conv, at(1500)), "60 in each of two seconds");
        heads.count(conv, 60, at(1600));
        assert!(heads.is_busy(conv, at(1601)) && heads.is_busy(conv, at(2599)));
        assert!(!heads.is_busy(conv, at(2600)));
        heads.forget(at(3000));
        assert_eq!(heads.len(), 0);
    }

    #[test]
    fn the_latest_head_is_told_once() {
        let mut heads = Heads::new(1);
        let head = |seq, swept| Head { seq: Seq(seq), ord: Ordinal(3), swept: Seq(swept) };
        heads.wait(ConvId(1), head(4, 2));
        heads.wait(ConvId(1), head(5, 0));
        assert_eq!(heads.round(Instant::now()), [(ConvId(1), head(5, 2))]);
        assert!(!heads.any());
    }
}
