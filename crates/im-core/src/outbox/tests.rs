use std::collections::BTreeMap;

use proptest::prelude::*;

use convene_types::UserId;

use super::*;

const SMALL: Limits = Limits { control_bytes: 64, event_bytes: 200, user_bytes: 64, frames: 16, hints: 4, dirty: 3 };

/// A frame that says what it covers.
fn frame(conv: u64, from: u64, to: u64) -> Bytes {
    Bytes::from([conv, from, to].into_iter().flat_map(u64::to_be_bytes).collect::<Vec<_>>())
}

fn read(frame: &Bytes) -> (u64, u64, u64) {
    let number = |at: usize| u64::from_be_bytes(frame[at..at + 8].try_into().unwrap());
    (number(0), number(8), number(16))
}

/// A device behind an outbox, and the logs as the store has them.
struct Rig {
    outbox: Outbox,
    heads: BTreeMap<u64, u64>,
    cursors: BTreeMap<u64, u64>,
    useq: u64,
    device_useq: u64,
    too_slow: bool,
    open: Option<(ConvId, u64)>,
    open_user: Option<u64>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let (heads, cursors) = (BTreeMap::new(), BTreeMap::new());
        let outbox = Outbox::new(limits);
        Self { outbox, heads, cursors, useq: 0, device_useq: 0, too_slow: false, open: None, open_user: None }
    }

    fn append(&mut self, conv: u64, count: u64) {
        let head = self.heads.entry(conv).or_default();
        let from = *head;
        *head += count;
        self.outbox.push_event(ConvId(conv), Seq(from), Seq(*head), &frame(conv, from, *head));
    }

    fn append_user(&mut self) {
        self.useq += 1;
        self.outbox.push_user(Useq(self.useq - 1), Useq(self.useq), &frame(0, self.useq - 1, self.useq));
    }

    /// Covers (from, to]: never past a hole.
    fn deliver(&mut self, conv: u64, from: u64, to: u64) {
        let cursor = if conv == 0 { &mut self.device_useq } else { self.cursors.entry(conv).or_default() };
        assert!(from <= *cursor, "a hole in {conv}: at {cursor}, got ({from}, {to}]");
        *cursor = to.max(*cursor);
    }

    fn pop(&mut self) -> bool {
        match self.outbox.pop() {
            None => return false,
            Some(Out::Control(frame) | Out::Bulk(frame) | Out::Event { frame, .. }) => {
                let (conv, from, to) = read(&frame);
                self.deliver(conv, from, to);
            }
            Some(Out::Hint(_)) => {}
            Some(Out::RepairConv { conv, after }) => {
                assert_eq!(self.open.replace((conv, after.0)), None, "two repairs at once");
            }
            Some(Out::RepairUser { after }) => assert_eq!(self.open_user.replace(after.0), None),
            Some(Out::TooSlow) => {
                self.too_slow = true;
                return false;
            }
        }
        true
    }

    /// The store's read of a repair under way: at most two events.
    fn repair(&mut self) -> bool {
        if let Some(after) = self.open_user.take() {
            self.deliver(0, after, self.useq);
            self.outbox.user_repaired(Useq(self.useq));
            return true;
        }
        let Some((conv, after)) = self.open.take() else { return false };
        let head = self.heads[&conv.0];
        let to = head.min(after + 2);
        self.deliver(conv.0, after, to);
        self.outbox.repaired(conv, Seq(to), Rest::Unknown);
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64, u64),
    User,
    Pop,
    Repair,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..6, 1_u64..4).prop_map(|(conv, count)| Step::Append(conv, count)),
        1 => Just(Step::User),
        3 => Just(Step::Pop),
        1 => Just(Step::Repair),
    ]
}

proptest! {
    #[test]
    fn i16_no_event_is_lost_and_memory_is_bounded(steps in prop::collection::vec(step(), 0..200)) {
        let mut rig = Rig::new(SMALL);
        for step in steps {
            match step {
                Step::Append(conv, count) => rig.append(conv, count),
                Step::User => rig.append_user(),
                Step::Pop => { rig.pop(); }
                Step::Repair => { rig.repair(); }
            }
            prop_assert!(rig.outbox.queued_bytes() <= SMALL.event_bytes + SMALL.user_bytes);
        }
        while rig.pop() || rig.repair() {}
        if !rig.too_slow {
            prop_assert!(rig.outbox.is_idle());
            prop_assert_eq!(&rig.cursors, &rig.heads);
            prop_assert_eq!(rig.device_useq, rig.useq);
        }
    }
}

#[test]
fn a_stalled_device_is_caught_up_from_the_store() {
    let mut rig = Rig::new(SMALL);
    (0..1000).for_each(|_| rig.append(1, 1));
    assert!(rig.outbox.queued_bytes() <= SMALL.event_bytes);
    while rig.pop() || rig.repair() {}
    assert_eq!(rig.cursors[&1], 1000);
    assert!(rig.outbox.is_idle());
    // From here on it is fed from memory again.
    let repairs = rig.outbox.stats().repairs;
    rig.append(1, 1);
    while rig.pop() {}
    assert_eq!((rig.cursors[&1], rig.outbox.stats().repairs), (1001, repairs));
}

#[test]
fn more_dirty_conversations_than_the_book_has_room_for_end_the_session() {
    let mut rig = Rig::new(SMALL);
    (0..200).for_each(|at| rig.append(1 + at % 20, 1));
    assert!(!rig.pop());
    assert!(rig.too_slow);
    assert_eq!(rig.outbox.queued_bytes(), 0);
    assert_eq!(rig.outbox.pop(), Some(Out::TooSlow));
}

#[test]
fn i17_a_busy_conversation_starves_no_other_ones_repair() {
    let mut rig = Rig::new(SMALL);
    (0..30).for_each(|_| rig.append(1, 1));
    rig.append(2, 1);
    // Conversation 1 grows faster than its repair goes.
    for _ in 0..60 {
        rig.append(1, 4);
        rig.pop();
        rig.repair();
    }
    assert_eq!(rig.cursors.get(&2), Some(&1));
}

#[test]
fn a_user_taken_out_while_dirty_is_not_repaired_for_ever() {
    let mut outbox = Outbox::new(SMALL);
    (0..20).for_each(|at| outbox.push_event(ConvId(1), Seq(at), Seq(at + 1), &frame(1, at, at + 1)));
    let after = loop {
        match outbox.pop() {
            Some(Out::Event { .. }) => {}
            Some(Out::RepairConv { after, .. }) => break after,
            other => panic!("{other:?}"),
        }
    };
    // The store shows this user nothing above 15.
    outbox.repaired(ConvId(1), after.max(Seq(15)), Rest::Nothing);
    assert!(outbox.is_idle());
    assert_eq!(outbox.pop(), None);
}

#[test]
fn the_users_log_is_owed_until_all_of_it_was_written() {
    let mut outbox = Outbox::new(SMALL);
    (0..20).for_each(|at| outbox.push_user(Useq(at), Useq(at + 1), &frame(0, at, at + 1)));
    let after = loop {
        match outbox.pop() {
            Some(Out::RepairUser { after }) => break after,
            Some(Out::Control(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    // The store could not be read; then it gave a part; then all.
    for to in [after, Useq(12)] {
        outbox.user_repaired(to);
        assert_eq!(outbox.pop(), Some(Out::RepairUser { after: to }));
    }
    outbox.user_repaired(Useq(20));
    assert!(outbox.is_idle());
}

#[test]
fn what_is_pushed_during_a_repair_is_repaired_too() {
    let mut outbox = Outbox::new(SMALL);
    (0..20).for_each(|at| outbox.push_event(ConvId(1), Seq(at), Seq(at + 1), &frame(1, at, at + 1)));
    while !matches!(outbox.pop(), Some(Out::RepairConv { .. })) {}
    outbox.push_event(ConvId(1), Seq(20), Seq(21), &frame(1, 20, 21));
    assert_eq!(outbox.pop(), None, "one repair at a time, and no frame past it");
    // The read had begun before the push.
    outbox.repaired(ConvId(1), Seq(20), Rest::Nothing);
    assert_eq!(outbox.pop(), Some(Out::RepairConv { conv: ConvId(1), after: Seq(20) }));
    outbox.repaired(ConvId(1), Seq(21), Rest::Unknown);
    assert!(outbox.is_idle());
}

#[test]
fn replies_have_a_limit_of_their_own() {
    let mut outbox = Outbox::new(SMALL);
    (0..20).for_each(|at| outbox.push_event(ConvId(1), Seq(at), Seq(at + 1), &frame(1, at, at + 1)));
    assert!(outbox.push_control(frame(0, 0, 1)));
    assert!(outbox.push_control(frame(0, 1, 2)));
    assert!(!outbox.push_control(frame(0, 2, 3)));
    assert_eq!(outbox.pop(), Some(Out::Control(frame(0, 0, 1))), "replies overtake events");
}

#[test]
fn hints_are_coalesced_and_dropped() {
    let mut outbox = Outbox::new(SMALL);
    let hint = |n: u8| Bytes::copy_from_slice(&[n]);
    outbox.push_hint(HintKey::Head(ConvId(9)), hint(0));
    for user in 0..10 {
        outbox.push_hint(HintKey::Presence(UserId(user)), hint(1));
        outbox.push_hint(HintKey::Presence(UserId(user)), hint(2));
    }
    let got: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
    assert_eq!(got, [0, 2, 2, 2].map(|n| Out::Hint(hint(n))));
    assert_eq!(outbox.stats().hints_dropped, 10 + 7);
}

#[test]
fn a_blob_waits_for_everything_else() {
    let mut outbox = Outbox::new(Limits::default());
    let piece = |n| frame(9, n, n);
    assert!(outbox.push_bulk(piece(1)) && outbox.push_bulk(piece(2)));
    assert!(!outbox.is_idle() && outbox.queued_bytes() == 48);
    assert!(outbox.push_control(frame(0, 0, 1)));
    outbox.push_event(ConvId(1), Seq(0), Seq(1), &frame(1, 0, 1));
    outbox.push_hint(HintKey::Presence(UserId(1)), frame(0, 0, 2));
    assert_eq!(outbox.pop(), Some(Out::Control(frame(0, 0, 1))));
    assert_eq!(outbox.pop(), Some(Out::Event { conv: ConvId(1), frame: frame(1, 0, 1) }));
    assert_eq!(outbox.pop(), Some(Out::Hint(frame(0, 0, 2))));
    assert_eq!(outbox.pop(), Some(Out::Bulk(piece(1))));
    // What comes in the midst of it goes first.
    outbox.push_event(ConvId(1), Seq(1), Seq(2), &frame(1, 1, 2));
    assert_eq!(outbox.pop(), Some(Out::Event { conv: ConvId(1), frame: frame(1, 1, 2) }));
    assert_eq!(outbox.pop(), Some(Out::Bulk(piece(2))));
    assert!(outbox.is_idle() && outbox.pop().is_none());
}

#[test]
fn a_blob_has_a_bound() {
    let mut outbox = Outbox::new(SMALL);
    assert!((0..2).all(|n| outbox.push_bulk(frame(9, n, n))));
    assert!(!outbox.push_bulk(frame(9, 3, 3)), "64 bytes are all there is room for");
}
