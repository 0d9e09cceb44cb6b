//! One device, by the step.

use std::time::{Duration, Instant};

use convene_proto::im::{self, Code, Role, body::Kind};
use convene_types::{ClientId, ConvId, Seq, UserId};

use crate::replica::{Change, GAP_WAIT, KEPT, Output, Progress, Replica, Request};

const ME: UserId = UserId(7);
const CONV: ConvId = ConvId(1);

fn text(text: &str) -> im::Body {
    im::Body { kind: Some(Kind::Text(im::Text { text: text.into() })), ..im::Body::default() }
}

fn event(seq: u64) -> im::Event {
    im::Event { conv: CONV.0, seq, ord: seq, sender: 8, body: Some(text("x")), ..im::Event::default() }
}

fn deliver(from: u64, to: u64) -> im::Deliver {
    im::Deliver { conv: CONV.0, from, to, events: (from + 1..=to).map(event).collect() }
}

/// A replica that has synced one conversation, whose head is 10.
fn synced() -> (Replica, Instant) {
    let (mut replica, now) = (Replica::new(ME), Instant::now());
    replica.handle_connected();
    let delta = im::ConversationDelta {
        conv: CONV.0,
        head: 10,
        head_ord: 10,
        read_seq: 10,
        read_ord: 10,
        role: Role::Member.into(),
        ..im::ConversationDelta::default()
    };
    replica.handle_sync_reply(im::SyncReply { conversations: vec![delta], bump: 1, ..im::SyncReply::default() }, now);
    requests(&mut replica);
    (replica, now)
}

fn requests(replica: &mut Replica) -> Vec<Request> {
    let request = |output| match output {
        Output::Request(request) => Some(request),
        Output::Change(_) => None,
    };
    std::iter::from_fn(|| replica.poll()).filter_map(request).collect()
}

fn fetch(after: u64, before: u64) -> Request {
    Request::Fetch(im::Fetch { conv: CONV.0, after, before, backward: false, limit: 500 })
}

#[test]
fn i06_a_hole_is_fetched_after_half_a_second_and_not_shown_past() {
    let (mut replica, now) = synced();
    replica.handle_deliver(deliver(12, 14), now);
    assert_eq!(requests(&mut replica), []);
    assert_eq!(replica.poll_timeout(), Some(now + GAP_WAIT));
    let conversation = replica.conversation(CONV).unwrap();
    assert_eq!((conversation.cursor(), conversation.unread()), (Seq(10), 4), "counted, not shown");
    assert!(conversation.event(Seq(13)).is_none());

    replica.handle_timeout(now + GAP_WAIT - Duration::from_millis(1));
    assert_eq!(requests(&mut replica), []);
    replica.handle_timeout(now + GAP_WAIT);
    assert_eq!(requests(&mut replica), [fetch(10, 13)]);
    let page = deliver(10, 12);
    let page = im::FetchReply { conv: CONV.0, from: 10, to: 12, events: page.events, head: 14, head_ord: 14, floor: 0 };
    replica.handle_fetch_reply(page, now + GAP_WAIT);
    assert_eq!(replica.conversation(CONV).unwrap().cursor(), Seq(14));
    assert_eq!(replica.poll_timeout(), None);
}

#[test]
fn a_hole_that_fills_by_itself_costs_no_request() {
    let (mut replica, now) = synced();
    replica.handle_deliver(deliver(11, 12), now);
    replica.handle_deliver(deliver(10, 11), now);
    replica.handle_timeout(now + GAP_WAIT * 2);
    assert_eq!(requests(&mut replica), []);
    assert_eq!(replica.conversation(CONV).unwrap().cursor(), Seq(12));
}

#[test]
fn what_waits_behind_a_hole_is_bounded() {
    let (mut replica, now) = synced();
    (11..2000).for_each(|from| replica.handle_deliver(deliver(from, from + 1), now));
    // Dropped, and asked for without waiting any longer.
    let asked = requests(&mut replica);
    assert!(matches!(asked[..], [Request::Fetch(_)]), "{asked:?}");
    assert_eq!(replica.conversation(CONV).unwrap().unread(), 1990);
}

#[test]
fn a_delivery_that_is_not_whole_is_fetched_instead() {
    let (mut replica, now) = synced();
    let mut missing = deliver(10, 13);
    missing.events.remove(1);
    let foreign = im::Deliver { events: vec![im::Event { conv: 99, ..event(11) }], ..deliver(10, 11) };
    let backward = im::Deliver { from: 12, to: 10, ..deliver(10, 10) };
    for bad in [missing, foreign, backward] {
        replica.handle_deliver(bad, now);
        assert_eq!(replica.conversation(CONV).unwrap().cursor(), Seq(10));
    }
    replica.handle_timeout(now + GAP_WAIT);
    assert_eq!(requests(&mut replica), [fetch(10, 0)]);
}

#[test]
fn i04_own_messages_keep_their_order_over_refusals_and_cuts() {
    let (mut replica, now) = synced();
    let id = |n: u8| ClientId([n; 16]);
    (1..=3).for_each(|n| replica.send(id(n), CONV, text("x")).unwrap());
    replica.send(id(4), ConvId(2), text("x")).unwrap();
    let ids = |requests: Vec<Request>| -> Vec<u8> {
        requests
            .iter()
            .map(|request| match request {
                Request::Send(send) => send.client_id[0],
                Request::Fetch(_) | Request::Sync(_) => panic!("{request:?}"),
            })
            .collect()
    };
    assert_eq!(ids(requests(&mut replica)), [1, 4], "one at a time, in each conversation");
    let first = Request::Send(im::Send { client_id: vec![1; 16].into(), ..im::Send::default() });
    let flood = im::Error { code: Code::Flood.into(), retry_after_ms: 300, ..im::Error::default() };
    replica.handle_refused(&first, &flood, now);
    assert_eq!(ids(requests(&mut replica)), []);
    replica.handle_timeout(now + Duration::from_millis(300));
    assert_eq!(ids(requests(&mut replica)), [1]);
    replica.handle_disconnected();
    replica.handle_connected();
    assert_eq!(ids(requests(&mut replica)), [1, 4], "under the same ids");
    let muted = im::Error { code: Code::Muted.into(), ..im::Error::default() };
    replica.handle_refused(&first, &muted, now);
    assert_eq!(ids(requests(&mut replica)), [2], "a message that cannot go does not hold the others up");
    let refused: Vec<_> = replica.outgoing().map(|outgoing| outgoing.progress).collect();
    assert_eq!(refused[0], Progress::Refused(Code::Muted));
    assert!(!replica.discard(id(2)), "it may be in the log already");
    assert!(replica.discard(id(1)));
}

#[test]
fn i05_an_own_message_stays_in_the_list_until_the_log_has_it() {
    let (mut replica, now) = synced();
    replica.send(ClientId([1; 16]), CONV, text("x")).unwrap();
    requests(&mut replica);
    let ack = im::Ack { client_id: vec![1; 16].into(), conv: CONV.0, seq: 11, ord: 11, ..im::Ack::default() };
    replica.handle_ack(&ack, now);
    assert_eq!(replica.outgoing().next().unwrap().progress, Progress::Acked(Seq(11)));
    assert_eq!(replica.conversation(CONV).unwrap().unread(), 0, "who sends has read");
    replica.handle_deliver(deliver(10, 11), now);
    assert_eq!(replica.outgoing().count(), 0);
}

#[test]
fn a_head_is_fetched_when_it_is_shown() {
    let (mut replica, now) = synced();
    replica.handle_head(&im::Head { conv: CONV.0, seq: 700, ord: 600, swept: 0 });
    assert_eq!(replica.conversation(CONV).unwrap().unread(), 590);
    assert_eq!(replica.poll_timeout(), None);
    assert_eq!(requests(&mut replica), []);
    replica.show(CONV, now);
    replica.show(CONV, now);
    assert_eq!(requests(&mut replica), [fetch(10, 0)], "once");
    let page = |from: u64, to: u64| {
        let events = deliver(from, to).events;
        im::FetchReply { conv: CONV.0, from, to, events, head: 700, head_ord: 600, floor: 0 }
    };
    replica.handle_fetch_reply(page(10, 500), now);
    assert_eq!(requests(&mut replica), [fetch(500, 0)], "the rest follows");
    replica.handle_fetch_reply(page(500, 700), now);
    assert_eq!((requests(&mut replica), replica.poll_timeout()), (vec![], None));
}

#[test]
fn a_server_that_was_set_back_is_synced_from_nothing() {
    let (mut replica, now) = synced();
    let error = im::Error { code: Code::BeyondHead.into(), ..im::Error::default() };
    replica.handle_refused(&Request::Sync(im::Sync::default()), &error, now);
    let outputs: Vec<_> = std::iter::from_fn(|| replica.poll()).collect();
    assert!(outputs.contains(&Output::Change(Change::Forgotten(CONV))), "{outputs:?}");
    assert!(outputs.contains(&Output::Request(Request::Sync(im::Sync::default()))), "{outputs:?}");
    assert!(replica.conversation(CONV).is_none());
}

#[test]
fn i07_a_refused_sync_is_asked_for_again_whatever_comes_in_meanwhile() {
    let (mut replica, now) = synced();
    replica.handle_disconnected();
    let hello = replica.handle_connected();
    let error = im::Error { code: Code::Unavailable.into(), retry_after_ms: 700, ..im::Error::default() };
    replica.handle_refused(&Request::Sync(hello.clone()), &error, now);
    // One's own log goes on without a hole, as after a read that went out with the hello.
    let useq = replica.position().0.0;
    let event = im::UserEvent { useq: useq + 1, ..im::UserEvent::default() };
    replica.handle_deliver_user(im::DeliverUser { from: useq, to: useq + 1, events: vec![event] }, now);
    assert_eq!(requests(&mut replica), []);
    let again = replica.poll_timeout().expect("it is due again");
    assert_eq!(again - now, Duration::from_millis(700));
    replica.handle_timeout(again);
    assert_eq!(requests(&mut replica), [Request::Sync(im::Sync { useq: useq + 1, ..hello })]);
    assert_eq!((requests(&mut replica), replica.poll_timeout()), (vec![], None));
}

#[test]
fn i05_a_late_sync_tells_of_settings_that_nothing_newer_has_changed() {
    let (mut replica, now) = (Replica::new(ME), Instant::now());
    replica.handle_connected();
    let settings = |conv, pinned| im::Settings { conv, pinned: Some(pinned), ..im::Settings::default() };
    // A push overtakes the reply, and concerns one of its two conversations.
    let event = im::UserEvent { useq: 2, at_ms: 1, kind: Some(im::user_event::Kind::Settings(settings(1, false))) };
    replica.handle_deliver_user(im::DeliverUser { from: 1, to: 2, events: vec![event] }, now);
    let delta = |conv| im::ConversationDelta { conv, settings: Some(settings(conv, true)), ..Default::default() };
    let user_events = vec![im::UserEvent { useq: 1, ..im::UserEvent::default() }];
    let conversations = vec![delta(1), delta(2)];
    replica.handle_sync_reply(im::SyncReply { useq_to: 1, user_events, conversations, ..Default::default() }, now);
    let pinned = |conv| replica.conversation(ConvId(conv)).unwrap().state().settings.pinned;
    assert_eq!((pinned(1), pinned(2)), (Some(false), Some(true)));
}

#[test]
fn i05_a_sync_that_events_overtook_tells_what_was_missed_before_them() {
    let (mut replica, now) = synced();
    let members = |seq, change| im::Event {
        body: Some(im::Body { kind: Some(Kind::Members(change)), ..im::Body::default() }),
        ..event(seq)
    };
    let other = im::Member { user: 9, role: Role::Member.into(), ..im::Member::default() };
    // Out, then in again without history while the title changed; an event comes before the reply that was made before it.
    let push = |useq, kind| im::UserEvent { useq, at_ms: 1, kind: Some(kind) };
    let left = push(1, im::user_event::Kind::Left(im::Left { conv: CONV.0, seq: 10 }));
    let joined = push(2, im::user_event::Kind::Joined(im::Joined { conv: CONV.0, floor: 20 }));
    replica.handle_deliver_user(im::DeliverUser { from: 0, to: 2, events: vec![left, joined] }, now);
    let add = |member: im::Member| im::MemberChange { add: vec![member], ..im::MemberChange::default() };
    let me = im::Member { user: ME.0, ..other };
    for (seq, change) in [(21, add(me)), (22, add(other))] {
        let deliver = im::Deliver { conv: CONV.0, from: seq - 1, to: seq, events: vec![members(seq, change)] };
        replica.handle_deliver(deliver, now);
    }
    let delta = im::ConversationDelta {
        conv: CONV.0,
        head: 21,
        head_ord: 21,
        floor: 20,
        title: "new".into(),
        role: Role::Member.into(),
        member_count: 5,
        ..im::ConversationDelta::default()
    };
    let reply = im::SyncReply {
        useq_from: 2,
        useq_to: 2,
        conversations: vec![delta],
        bump: 2,
        more: false,
        ..Default::default()
    };
    replica.handle_sync_reply(reply, now);
    let state = replica.conversation(CONV).unwrap().state();
    assert_eq!((state.title.as_str(), state.member_count, state.head), ("new", 6, Seq(22)));
}

#[test]
fn i09_a_floor_that_came_with_a_push_gets_its_ordinal_from_the_sync() {
    let (mut replica, now) = synced();
    let kind = im::user_event::Kind::Joined(im::Joined { conv: CONV.0, floor: 20 });
    let joined = im::UserEvent { useq: 1, at_ms: 1, kind: Some(kind) };
    replica.handle_deliver_user(im::DeliverUser { from: 0, to: 1, events: vec![joined] }, now);
    let delta = im::ConversationDelta {
        conv: CONV.0,
        head: 22,
        head_ord: 22,
        floor: 20,
        floor_ord: 20,
        read_seq: 20,
        read_ord: 20,
        role: Role::Member.into(),
        ..im::ConversationDelta::default()
    };
    replica.handle_sync_reply(im::SyncReply { conversations: vec![delta], bump: 2, ..Default::default() }, now);
    let conversation = replica.conversation(CONV).unwrap();
    let state = conversation.state();
    assert_eq!((conversation.unread(), state.floor_ord, state.read_ord), (2, 20, 20));
}

#[test]
fn i09_joining_again_with_history_takes_the_floor_away_with_its_ordinal() {
    let (mut replica, now) = synced();
    let joined = |useq, floor| {
        let kind = im::user_event::Kind::Joined(im::Joined { conv: CONV.0, floor });
        let event = im::UserEvent { useq, at_ms: 1, kind: Some(kind) };
        im::DeliverUser { from: useq - 1, to: useq, events: vec![event] }
    };
    replica.handle_deliver_user(joined(1, 10), now);
    replica.handle_deliver(deliver(10, 11), now);
    assert_eq!(replica.conversation(CONV).unwrap().state().floor_ord, 10);
    replica.handle_deliver_user(joined(2, 0), now);
    let state = replica.conversation(CONV).unwrap().state();
    assert_eq!((state.floor, state.floor_ord), (Seq(0), 0));
}

#[test]
fn i05_after_a_restart_an_earlier_erasure_still_gives_its_reason() {
    let (mut replica, now) = (Replica::new(ME), Instant::now());
    replica.handle_connected();
    let erase = |seq, reason: im::EraseReason| {
        let erase = im::Erase { ranges: vec![im::SeqRange { first: 1, last: 1 }], reason: reason.into() };
        im::Event { body: Some(im::Body { kind: Some(Kind::Erase(erase)), ..im::Body::default() }), ..event(seq) }
    };
    let page = |from, events: Vec<im::Event>| {
        let to = from + events.len() as u64;
        im::FetchReply { conv: CONV.0, from, to, events, head: 3, head_ord: 3, floor: 0 }
    };
    // What was said, and the later of two erasures.
    let delta = im::ConversationDelta { conv: CONV.0, head: 3, from: 2, to: 3, ..im::ConversationDelta::default() };
    let delta = im::ConversationDelta { events: vec![erase(3, im::EraseReason::Account)], ..delta };
    replica.handle_sync_reply(im::SyncReply { conversations: vec![delta], ..im::SyncReply::default() }, now);
    replica.handle_fetch_reply(page(0, vec![event(1)]), now);
    let conversation = replica.conversation(CONV).unwrap();
    let events = [1, 3].map(|seq| conversation.event(Seq(seq)).unwrap().clone()).to_vec();
    let saved = crate::replica::Saved { rows: vec![conversation.row()], events, ..Default::default() };
    let mut replica = Replica::restore(ME, saved);
    replica.handle_fetch_reply(page(1, vec![erase(2, im::EraseReason::Retention)]), now);
    let left = replica.conversation(CONV).unwrap().event(Seq(1)).unwrap().body.clone().unwrap().kind;
    let Some(Kind::Tombstone(left)) = left else { panic!("{left:?}") };
    assert_eq!(left.reason(), im::EraseReason::Retention);
}

#[test]
fn i14_what_retention_took_goes_where_its_events_are_not_known() {
    let (mut replica, now) = synced();
    let edit = im::Body { target: 3, kind: Some(Kind::Edit(im::Edit { text: "y".into() })), ..im::Body::default() };
    let call = im::Body { kind: Some(Kind::Call(im::CallRecord::default())), ..im::Body::default() };
    let mut events: Vec<_> = (1..=10).map(event).collect();
    (events[4].body, events[8].body) = (Some(call), Some(edit));
    let page = |from: u64, to: u64, events: &[im::Event]| {
        let events = events[from as usize..to as usize].to_vec();
        im::FetchReply { conv: CONV.0, from, to, events, head: 10, head_ord: 10, floor: 0 }
    };
    replica.handle_fetch_reply(page(2, 10, &events), now);
    while replica.poll().is_some() {}
    // Much was said meanwhile, the erasure among it: only the newest comes.
    let delta = im::ConversationDelta {
        conv: CONV.0,
        head: 90,
        head_ord: 80,
        read_seq: 10,
        read_ord: 10,
        role: Role::Member.into(),
        swept: 6,
        limited: true,
        from: 89,
        to: 90,
        events: vec![event(90)],
        ..im::ConversationDelta::default()
    };
    let reply = im::SyncReply { conversations: vec![delta], bump: 2, ..im::SyncReply::default() };
    replica.handle_sync_reply(reply, now);
    let changes: Vec<_> = std::iter::from_fn(|| replica.poll()).collect();
    let kind = |replica: &Replica, seq| {
        let body = replica.conversation(CONV).unwrap().event(Seq(seq)).unwrap().body.clone().unwrap();
        let kind = body.kind.unwrap();
        if let Kind::Tombstone(left) = kind { Err((left.kind, left.reason())) } else { Ok(kind) }
    };
    for (seq, was) in [(3, 1), (4, 1), (6, 1), (9, crate::rules::EDIT)] {
        assert_eq!(kind(&replica, seq), Err((was, im::EraseReason::Retention)), "{seq}");
        assert!(changes.contains(&Output::Change(Change::Event(CONV, Seq(seq)))), "{seq} is written");
    }
    assert!(matches!(kind(&replica, 5), Ok(Kind::Call(_))), "a record of a call stays");
    assert!([7, 8, 10].iter().all(|seq| matches!(kind(&replica, *seq), Ok(Kind::Text(_)))));
    let conversation = replica.conversation(CONV).unwrap();
    assert_eq!((conversation.unread(), conversation.row().delta.swept), (70, 6));
    // A page that was read before the sweep, and came after it.
    replica.handle_fetch_reply(page(0, 3, &events), now);
    assert_eq!(kind(&replica, 1), Err((1, im::EraseReason::Retention)));
    // So it is after a restart; and an erasure that was earlier still gives its reason.
    let conversation = replica.conversation(CONV).unwrap();
    let events = (1..=10).map(|seq| conversation.event(Seq(seq)).unwrap().clone()).collect();
    let saved = crate::replica::Saved { rows: vec![conversation.row()], events, ..Default::default() };
    let mut replica = Replica::restore(ME, saved);
    let recall = im::Body { target: 4, kind: Some(Kind::Recall(im::Recall {})), ..im::Body::default() };
    let recall = im::Event { body: Some(recall), ..event(11) };
    let reply = im::FetchReply { from: 10, to: 11, events: vec![recall], ..page(0, 0, &[]) };
    replica.handle_fetch_reply(reply, now);
    assert_eq!(kind(&replica, 4), Err((1, im::EraseReason::Recalled)));
}

#[test]
fn i14_members_of_a_busy_group_learn_with_its_head_what_retention_took() {
    let (mut replica, now) = synced();
    replica.handle_deliver(deliver(10, 12), now);
    while replica.poll().is_some() {}
    replica.handle_head(&im::Head { conv: CONV.0, seq: 700, ord: 600, swept: 11 });
    let changes: Vec<_> = std::iter::from_fn(|| replica.poll()).collect();
    assert!(changes.contains(&Output::Change(Change::Event(CONV, Seq(11)))), "{changes:?}");
    assert!(!changes.contains(&Output::Change(Change::Event(CONV, Seq(12)))), "{changes:?}");
}

#[test]
fn a_long_log_is_kept_to_its_newest_part_until_somebody_scrolls_up() {
    let (mut replica, now) = synced();
    let known = |replica: &Replica| {
        let window = replica.conversation(CONV).unwrap().newest();
        assert_eq!(window.events().count() as u64, window.to.0 - window.from.0, "without a hole");
        (window.from.0, window.to.0)
    };
    let last = 10 + 2 * KEPT;
    replica.handle_deliver(deliver(10, last - 1), now);
    assert_eq!(known(&replica), (10, last - 1));
    replica.handle_deliver(deliver(last - 1, last), now);
    assert_eq!(known(&replica), (last - KEPT, last));
    let changes: Vec<_> = std::iter::from_fn(|| replica.poll()).collect();
    assert!(changes.contains(&Output::Change(Change::Hidden(CONV, Seq(last - KEPT)))));
    assert_eq!(replica.conversation(CONV).unwrap().row().spans, [(Seq(last - KEPT), Seq(last))]);

    assert!(replica.load_older(CONV, Seq(last)));
    let older = Request::Fetch(im::Fetch { after: 0, before: last - KEPT + 1, backward: true, conv: CONV.0, limit: 0 });
    assert_eq!(requests(&mut replica), [older]);
    replica.handle_deliver(deliver(last, last + 2 * KEPT), now);
    assert_eq!(known(&replica), (last - KEPT, last + 2 * KEPT), "it is in use");
}
