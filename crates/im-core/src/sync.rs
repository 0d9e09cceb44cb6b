//! Which conversations get how many events in the reply to a `Sync`: fair within a byte budget, and all of them where all
//! fit (I8), each conversation within one frame. A plan only; the store reads what [`Plan::next_read`] names and says how much that was.
//!
//! Two rounds. In the first each conversation may fill its share of what is left, so that a flood in one leaves the
//! others their newest messages. In the second those that were cut off get the rest, most recently changed first.

use convene_proto::im;
use convene_proto::limits::MAX_SYNC_BYTES;
use convene_types::{ConvId, Seq};

/// Conversations with events, if the client does not say.
const DEFAULT_TOP: u32 = 50;
/// Newest events of a conversation that the client does not know, if it does not say.
const DEFAULT_PER_CONV: u32 = 20;
/// And at most.
const MAX_PER_CONV: u32 = 200;
/// Bytes of events, if the client does not say.
const DEFAULT_BUDGET: u32 = 256 * 1024;
/// Bytes of events of one conversation: with title, announcement and draft they still fit into one frame.
const MAX_CONV_BYTES: usize = 32 * 1024;

/// A conversation that changed since the client's last sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which one.
    pub conv: ConvId,
    /// Its newest event, as this user may see it.
    pub head: Seq,
    /// Hidden from the user up to here.
    pub floor: Seq,
    /// Where the client stands, if it says so.
    pub cursor: Option<Seq>,
}

/// Events to read: the newest of (after, to], at most so many and so many bytes, without a hole from `to` down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Of which conversation.
    pub conv: ConvId,
    /// Exclusive.
    pub after: Seq,
    /// Inclusive. Below the head in the second round: these go before those of the first.
    pub to: Seq,
    /// At most so many events.
    pub max_events: usize,
    /// At most so many bytes of encoded events.
    pub max_bytes: usize,
    index: usize,
}

/// What the reply says of one conversation's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub conv: ConvId,
    /// The reply covers (from, to] of it; nothing if they are equal.
    pub from: Seq,
    /// The head.
    pub to: Seq,
    /// Events that the client has not were left out below `from`.
    pub limited: bool,
}

/// The plan of one reply.
#[derive(Debug)]
pub struct Plan {
    parts: Vec<Entry>,
    left_bytes: usize,
    /// Conversations of this round that had their turn.
    at: usize,
    second_round: bool,
}

#[derive(Debug)]
struct Entry {
    head: Head,
    from: Seq,
    left_events: usize,
    left_bytes: usize,
}

impl Entry {
    /// The client has everything up to here, or will never see it.
    fn has(&self) -> Seq {
        self.head.cursor.map_or(self.head.floor, |cursor| cursor.max(self.head.floor))
    }

    fn wants(&self) -> bool {
        self.from > self.has() && self.left_events > 0 && self.left_bytes > 0
    }
}

impl Plan {
    /// `heads`: every conversation that changed, most recently changed first.
    #[must_use]
    pub fn new(request: &im::Sync, heads: &[Head]) -> Self {
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let top = or(request.top, DEFAULT_TOP) as usize;
        let per_conv = or(request.per_conv, DEFAULT_PER_CONV).min(MAX_PER_CONV) as usize;
        let entry = |(at, head): (usize, &Head)| {
            // Whoever says where it stands wants all that follows.
            let wanted = if head.cursor.is_some() { usize::MAX } else { per_conv };
            let left_events = if at < top { wanted } else { 0 };
            Entry { head: *head, from: head.head, left_events, left_bytes: MAX_CONV_BYTES }
        };
        let left_bytes = or(request.budget, DEFAULT_BUDGET).min(MAX_SYNC_BYTES) as usize;
        let parts = heads.iter().enumerate().map(entry).collect();
        Self { parts, left_bytes, at: 0, second_round: false }
    }

    /// What to read next; then call [`Plan::filled`]. `None`: the reply is complete.
    pub fn next_read(&mut self) -> Option<Read> {
        while self.left_bytes > 0 {
            let rest = self.parts.get(self.at..).unwrap_or_default();
            let Some(ahead) = rest.iter().position(Entry::wants) else {
                if self.second_round {
                    return None;
                }
                (self.second_round, self.at) = (true, 0);
                continue;
            };
            let wanting = rest.iter().filter(|entry| entry.wants()).count();
            let share = if self.second_round { 1 } else { wanting };
            let index = self.at + ahead;
            self.at = index + 1;
            let entry = self.parts.get(index)?;
            return Some(Read {
                conv: entry.head.conv,
                after: entry.has(),
                to: entry.from,
                max_events: entry.left_events,
                max_bytes: (self.left_bytes / share.max(1)).min(entry.left_bytes),
                index,
            });
        }
        None
    }

    /// The reply has the events (from, `read.to`], which took so many bytes. `from == read.to`: none fitted.
    pub fn filled(&mut self, read: &Read, from: Seq, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        let Some(entry) = self.parts.get_mut(read.index) else { return };
        let count = usize::try_from(entry.from.0.saturating_sub(from.0)).unwrap_or(usize::MAX);
        entry.left_events = entry.left_events.saturating_sub(count);
        entry.left_bytes = entry.left_bytes.saturating_sub(bytes);
        entry.from = entry.from.min(from);
    }

    /// What the reply says, in the order of the heads.
    #[must_use]
    pub fn finish(&self) -> Vec<Part> {
        let part = |entry: &Entry| Part {
            conv: entry.head.conv,
            from: entry.from,
            to: entry.head.head,
            limited: entry.from > entry.has(),
        };
        self.parts.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads from logs whose events take `sizes` bytes.
    fn run(plan: &mut Plan, size: impl Fn(ConvId, u64) -> usize) -> usize {
        let mut used = 0;
        while let Some(read) = plan.next_read() {
            let (mut from, mut bytes, mut events) = (read.to, 0, 0);
            while from > read.after && events < read.max_events && bytes + size(read.conv, from.0) <= read.max_bytes {
                bytes += size(read.conv, from.0);
                from = Seq(from.0 - 1);
                events += 1;
            }
            used += bytes;
            plan.filled(&read, from, bytes);
        }
        used
    }

    fn head(conv: u64, head: u64, cursor: Option<u64>) -> Head {
        Head { conv: ConvId(conv), head: Seq(head), floor: Seq(0), cursor: cursor.map(Seq) }
    }

    #[test]
    fn a_flood_in_one_leaves_the_others_their_newest() {
        let heads = [head(1, 100_000, Some(0)), head(2, 30, Some(20)), head(3, 500, None)];
        let mut plan = Plan::new(&im::Sync::default(), &heads);
        run(&mut plan, |_, _| 200);
        let [flood, calm, unknown] = plan.finish().try_into().unwrap();
        assert!(flood.limited && flood.from > Seq(99_000), "{flood:?}");
        assert_eq!((calm.from, calm.limited), (Seq(20), false));
        assert_eq!((unknown.from, unknown.limited), (Seq(480), true));
    }

    #[test]
    fn stubs_beyond_the_top() {
        let heads = [head(1, 9, None), head(2, 9, None), head(3, 9, Some(9))];
        let mut plan = Plan::new(&im::Sync { top: 1, ..im::Sync::default() }, &heads);
        run(&mut plan, |_, _| 100);
        let limited: Vec<_> = plan.finish().iter().map(|part| (part.from.0, part.limited)).collect();
        assert_eq!(limited, [(0, false), (9, true), (9, false)]);
    }

    proptest! {
        #[test]
        fn i08_what_fits_comes_in_one_trip(
            logs in prop::collection::vec((0_u64..60, prop::option::of(0_u64..60), 1_usize..3000), 1..12),
            budget in 1_000_u32..200_000,
        ) {
            let heads: Vec<_> = logs.iter().enumerate()
                .map(|(at, (len, cursor, _))| head(at as u64, *len, cursor.map(|c| c.min(*len)))).collect();
            let size = |conv: ConvId, _| logs[conv.0 as usize].2;
            let request = im::Sync { budget, per_conv: 200, ..im::Sync::default() };
            let mut plan = Plan::new(&request, &heads);
            let used = run(&mut plan, size);
            prop_assert!(used <= budget as usize);
            let owed = heads.iter().map(|head| (head.head.0 - head.cursor.map_or(0, |c| c.0)) as usize * size(head.conv, 0));
            let fits = owed.clone().all(|bytes| bytes <= MAX_CONV_BYTES);
            if fits && owed.sum::<usize>() <= budget as usize {
                prop_assert!(plan.finish().iter().all(|part| !part.limited));
            }
            for (part, head) in plan.finish().iter().zip(&heads) {
                prop_assert_eq!(part.to, head.head);
                prop_assert!(part.from >= head.cursor.unwrap_or_default() && part.from <= part.to);
                prop_assert_eq!(part.limited, part.from > head.cursor.unwrap_or_default());
            }
        }
    }
}
