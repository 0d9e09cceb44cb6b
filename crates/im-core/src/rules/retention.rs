//! What an organisation's retention takes out of a log: which bodies, up to where, and how much of it in one step.
//!
//! Taken is what people said: messages, their edits, reactions. What the log says of the conversation stays: who came and
//! went, titles, roles, pins, erasures, without which a client that comes by later would not stand where the others do; and
//! records of calls, which tell that one spoke and nothing of what. An edit goes with its message, wherever it stands: it
//! has the same text. The time of events does not fall along a log, so what is too old is a beginning of it, and one number
//! says how far retention has come.
//!
//! Not here: which organisation keeps messages for how long (`convene-accounts`), and carrying it out (`convene-store`).

use convene_proto::im::{self, body::Kind};
use convene_types::Seq;

use super::erase::is_erasable;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Bodies of one step: some milliseconds in which nobody else's send is acknowledged. Each may be a range of its own, so
/// this has to stay within what one `Erase` may name.
const MAX_BODIES: usize = 400;
/// Events that one step looks at: logs may have long parts in which nothing is left to take.
const MAX_EVENTS: u64 = 2_000;

/// What was said before this is too old where messages are kept for `days`. Whole days (UTC) go at once, so that a log gets
/// no more than a few erasures a day: each is an event of it. So a message goes within a day after its time.
#[must_use]
pub fn cutoff_ms(now_ms: i64, days: u32) -> i64 {
    now_ms.div_euclid(DAY_MS).saturating_sub(days.into()).saturating_mul(DAY_MS)
}

/// Whether retention takes a body.
#[must_use]
pub const fn is_swept(body: &im::Body) -> bool {
    is_erasable(body) && !matches!(body.kind, Some(Kind::Call(_)))
}

/// When an event is said to have happened. An erasure by retention bears the time of the event before it: nobody did
/// anything, and lists of conversations are sorted by that time.
#[must_use]
pub fn time_of(body: &im::Body, now_ms: i64, last_ms: i64) -> i64 {
    match &body.kind {
        Some(Kind::Erase(erase)) if erase.reason() == im::EraseReason::Retention => last_ms,
        _ => now_ms.max(last_ms),
    }
}

/// One step: takes events in from where the last one ended.
#[derive(Clone, Debug)]
pub struct Sweep {
    before_ms: i64,
    from: Seq,
    to: Seq,
    ranges: Vec<im::SeqRange>,
    /// The last range may go on: nothing that stays was met since.
    open: bool,
    edits: Vec<Seq>,
    taken: usize,
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is behind the sweep: offer the next one.
    In,
    /// It is not old enough, and neither is any that follows.
    Young,
    /// The step is full. The next one begins with this event.
    Full,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// Retention has come to here.
    pub to: Seq,
    /// The event to append, if there is anything to erase.
    pub erase: Option<im::Body>,
    /// Bodies that go.
    pub bodies: usize,
}

impl Sweep {
    /// A step over events behind `from` that happened before `before_ms`.
    #[must_use]
    pub fn new(from: Seq, before_ms: i64) -> Self {
        Self { before_ms, from, to: from, ranges: Vec::new(), open: false, edits: Vec::new(), taken: 0 }
    }

    /// The event to offer next.
    #[must_use]
    pub fn wanted(&self) -> Seq {
        self.to.next()
    }

    /// Offers the next event, and where the edits of it are that still have their text.
    pub fn take(&mut self, event: &im::Event, edits: &[Seq]) -> Taken {
        if event.at_ms >= self.before_ms {
            return Taken::Young;
        }
        if self.to.0.saturating_sub(self.from.0) >= MAX_EVENTS {
            return Taken::Full;
        }
        let body = event.body.as_ref();
        let goes = body.is_some_and(is_swept);
        if self.taken + self.edits.len() + usize::from(goes) + edits.len() > MAX_BODIES {
            if self.taken + self.edits.len() == 0 {
                // More edits of one message than a step takes: they go first, and the message when they are gone.
                self.edits.extend(edits.iter().take(MAX_BODIES));
            }
            return Taken::Full;
        }
        // Edits go even where their message went before, by another hand.
        self.edits.extend(edits);
        if goes {
            self.put(event.seq);
            self.taken += 1;
        } else if body.is_some_and(is_erasable) {
            self.open = false; // inside of a range it would be erased
        }
        self.to = Seq(event.seq);
        Taken::In
    }

    fn put(&mut self, seq: u64) {
        match self.ranges.last_mut().filter(|_| self.open) {
            Some(range) => range.last = seq,
            None => self.ranges.push(im::SeqRange { first: seq, last: seq }),
        }
        self.open = true;
    }

    /// What is to be done.
    #[must_use]
    pub fn finish(mut self) -> Swept {
        let to = self.to;
        // Those before `to` were offered as well.
        self.edits.retain(|seq| *seq > to);
        self.edits.sort_unstable();
        self.edits.dedup();
        let beyond = self.edits.iter().map(|seq| im::SeqRange { first: seq.0, last: seq.0 });
        let bodies = self.taken + beyond.len();
        let ranges: Vec<_> = self.ranges.into_iter().chain(beyond).collect();
        let erase = im::Erase { ranges, reason: im::EraseReason::Retention.into() };
        let body = im::Body { kind: Some(Kind::Erase(erase.clone())), ..im::Body::default() };
        Swept { to, erase: (!erase.ranges.is_empty()).then_some(body), bodies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: i64 = 10;
    const BEFORE: i64 = 20;

    fn event(seq: u64, at_ms: i64, kind: Kind) -> im::Event {
        im::Event {
            seq,
            at_ms,
            body: Some(im::Body { kind: Some(kind), ..im::Body::default() }),
            ..im::Event::default()
        }
    }

    fn text() -> Kind {
        Kind::Text(im::Text { text: "x".into() })
    }

    fn ranges(swept: &Swept) -> Vec<(u64, u64)> {
        let Some(Kind::Erase(erase)) = swept.erase.as_ref().and_then(|body| body.kind.as_ref()) else {
            return Vec::new();
        };
        assert_eq!(erase.reason(), im::EraseReason::Retention);
        erase.ranges.iter().map(|range| (range.first, range.last)).collect()
    }

    #[test]
    fn whole_days_go_and_never_too_early() {
        for (now, days, cutoff) in [
            (10 * DAY_MS, 1, 9 * DAY_MS),
            (10 * DAY_MS + 1, 1, 9 * DAY_MS),
            (11 * DAY_MS - 1, 1, 9 * DAY_MS),
            (11 * DAY_MS, 1, 10 * DAY_MS),
            (10 * DAY_MS, 36_500, -36_490 * DAY_MS),
            (-1, 1, -2 * DAY_MS),
        ] {
            assert_eq!(cutoff_ms(now, days), cutoff, "{now} {days}");
            assert!(now - cutoff >= i64::from(days) * DAY_MS, "{now} {days}: too early");
        }
    }

    #[test]
    fn what_was_said_goes_and_what_happened_stays() {
        let said = [
            text(),
            Kind::Voice(im::Voice::default()),
            Kind::Image(im::Image::default()),
            Kind::File(im::File::default()),
            Kind::Location(im::Location::default()),
            Kind::Card(im::Card::default()),
            Kind::Custom(im::Custom::default()),
            Kind::Edit(im::Edit::default()),
            Kind::React(im::React::default()),
        ];
        let happened = [
            Kind::Call(im::CallRecord::default()),
            Kind::Members(im::MemberChange::default()),
            Kind::Group(im::GroupChange::default()),
            Kind::Mute(im::MemberMute::default()),
            Kind::Pin(im::Pin::default()),
            Kind::Recall(im::Recall {}),
            Kind::Erase(im::Erase::default()),
            Kind::Tombstone(im::Tombstone::default()),
        ];
        let swept = |kind: &Kind| is_swept(&im::Body { kind: Some(kind.clone()), ..im::Body::default() });
        assert!(said.iter().all(swept) && !happened.iter().any(swept));
    }

    #[test]
    fn records_of_calls_are_in_no_range() {
        let mut sweep = Sweep::new(Seq(3), BEFORE);
        let kinds = [
            Kind::Members(im::MemberChange::default()),
            text(),
            Kind::Pin(im::Pin::default()),
            text(),
            Kind::Call(im::CallRecord::default()),
            text(),
            Kind::Call(im::CallRecord::default()),
        ];
        for (at, kind) in kinds.into_iter().enumerate() {
            let seq = sweep.wanted();
            assert_eq!(seq, Seq(4 + at as u64));
            assert_eq!(sweep.take(&event(seq.0, OLD, kind), &[]), Taken::In);
        }
        assert_eq!(sweep.take(&event(11, BEFORE, text()), &[]), Taken::Young);
        let swept = sweep.finish();
        assert_eq!((swept.to, swept.bodies, ranges(&swept)), (Seq(10), 3, vec![(5, 7), (9, 9)]));
    }

    #[test]
    fn edits_go_with_their_message() {
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        assert_eq!(sweep.take(&event(1, OLD, text()), &[Seq(2), Seq(9), Seq(7)]), Taken::In);
        assert_eq!(sweep.take(&event(2, OLD, Kind::Edit(im::Edit::default())), &[]), Taken::In);
        assert_eq!(sweep.take(&event(3, BEFORE, text()), &[]), Taken::Young);
        let swept = sweep.finish();
        assert_eq!((swept.to, swept.bodies, ranges(&swept)), (Seq(2), 4, vec![(1, 2), (7, 7), (9, 9)]));
    }

    #[test]
    fn edits_go_where_their_message_went_before() {
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        assert_eq!(sweep.take(&event(1, OLD, Kind::Tombstone(im::Tombstone::default())), &[Seq(5)]), Taken::In);
        let swept = sweep.finish();
        assert_eq!((swept.to, swept.bodies, ranges(&swept)), (Seq(1), 1, vec![(5, 5)]));
    }

    #[test]
    fn nothing_to_take_is_no_event() {
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        assert_eq!(sweep.take(&event(1, OLD, Kind::Group(im::GroupChange::default())), &[]), Taken::In);
        assert_eq!(sweep.finish(), Swept { to: Seq(1), erase: None, bodies: 0 });
        assert_eq!(Sweep::new(Seq(7), BEFORE).finish().to, Seq(7));
    }

    #[test]
    fn a_step_is_bounded_and_always_gets_on() {
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        let mut taken = 0;
        while sweep.take(&event(sweep.wanted().0, OLD, text()), &[]) == Taken::In {
            taken += 1;
        }
        assert_eq!((taken, sweep.finish().bodies), (MAX_BODIES, MAX_BODIES));
        let many: Vec<_> = (10..1_000).map(Seq).collect();
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        assert_eq!(sweep.take(&event(1, OLD, text()), &many), Taken::Full);
        let swept = sweep.finish();
        assert_eq!((swept.to, swept.bodies, ranges(&swept).len()), (Seq(0), MAX_BODIES, MAX_BODIES));
        let mut sweep = Sweep::new(Seq(0), BEFORE);
        let mut events = 0;
        while sweep.take(&event(sweep.wanted().0, OLD, Kind::Pin(im::Pin::default())), &[]) == Taken::In {
            events += 1;
        }
        assert_eq!((events, sweep.finish().to), (MAX_EVENTS, Seq(MAX_EVENTS)));
    }

    #[test]
    fn an_erasure_by_retention_moves_no_conversation_up() {
        let erase = |reason: im::EraseReason| {
            let erase = im::Erase { reason: reason.into(), ..im::Erase::default() };
            im::Body { kind: Some(Kind::Erase(erase)), ..im::Body::default() }
        };
        assert_eq!(time_of(&erase(im::EraseReason::Retention), 50, 40), 40);
        assert_eq!(time_of(&erase(im::EraseReason::Account), 50, 40), 50);
        assert_eq!(time_of(&erase(im::EraseReason::Account), 30, 40), 40, "time does not fall along a log");
    }
}
