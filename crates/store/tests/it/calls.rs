//! What every backend of the store has to pass about calls: event and row are one, and each is written once.

use convene_proto::im::{self, CallOutcome, Code, body::Kind};
use convene_store::{Appended, Op, Outcome};
use convene_types::{CallId, ConvId, UserId};

use crate::common::{self, ORG, World, both, code};

const CALL: CallId = CallId([7; 16]);

fn record(outcome: CallOutcome) -> im::CallRecord {
    im::CallRecord { call_id: "07".repeat(16), outcome: outcome.into(), caller: 1, ..im::CallRecord::default() }
}

fn write(world: &mut World, conv: ConvId, outcome: CallOutcome) -> Result<Appended, Code> {
    match world.one(Op::Call { org: ORG, conv, id: CALL, record: record(outcome) }) {
        Ok(Outcome::Appended(appended)) => Ok(appended),
        other => Err(code(&other)),
    }
}

#[test]
fn a_call_is_two_events_and_one_row() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let begun = write(world, conv, CallOutcome::Ringing).unwrap();
        let open = world.reader().open_calls().unwrap();
        assert_eq!(open.iter().map(|call| (call.begun.id, call.begun.conv)).collect::<Vec<_>>(), [(CALL, conv)]);
        assert!(write(world, conv, CallOutcome::Ringing).unwrap().duplicate, "I3");

        let ended = write(world, conv, CallOutcome::Ended).unwrap();
        assert_eq!((ended.seq.0, ended.ord.0), (begun.seq.0 + 1, begun.ord.0 + 1), "that it rang counts for nothing");
        assert!(write(world, conv, CallOutcome::Ended).unwrap().duplicate, "I3");
        assert_eq!(write(world, conv, CallOutcome::Missed).unwrap_err(), Code::Conflict, "it ended in one way");
        assert_eq!(world.reader().open_calls().unwrap(), []);
        let found = world.reader().call(CALL).unwrap().unwrap();
        assert_eq!((found.org, found.record.outcome()), (ORG, CallOutcome::Ended));
        assert_eq!(world.delta(2, conv).head_ord, ended.ord.0);
        assert_eq!(world.reader().call(CallId([8; 16])).unwrap(), None);
    });
}

#[test]
fn how_a_call_stands_is_kept_until_it_is_over() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let state = im::CallState { version: 3, ..im::CallState::default() };
        let keep = |world: &mut World, version| {
            let state = im::CallState { version, ..state.clone() };
            assert!(matches!(world.one(Op::KeepCall { id: CALL, state }), Ok(Outcome::Done)));
        };
        keep(world, 1); // of a call that never was: nothing happens
        write(world, conv, CallOutcome::Ringing).unwrap();
        let kept = |world: &mut World| {
            let open = world.reader().open_calls().unwrap();
            open.into_iter().map(|call| (call.kind, call.state.map(|state| state.version))).collect::<Vec<_>>()
        };
        assert_eq!(kept(world), [(im::ConversationKind::Group, None)]);
        keep(world, 2);
        keep(world, 3);
        assert_eq!(kept(world), [(im::ConversationKind::Group, Some(3))]);
        write(world, conv, CallOutcome::Ended).unwrap();
        keep(world, 4);
        assert_eq!(kept(world), []);
        assert_eq!(world.reader().call(CALL).unwrap().unwrap().record.outcome(), CallOutcome::Ended);
    });
}

#[test]
fn the_end_of_a_call_is_written_down_though_the_group_is_no_more() {
    both(|world| {
        let conv = world.group(1, &[2]);
        write(world, conv, CallOutcome::Ringing).unwrap();
        let change = im::GroupChange { dissolved: Some(true), ..im::GroupChange::default() };
        assert!(world.send(1, conv, 1, Kind::Group(change)).unwrap().standing, "whoever holds a seat is told");
        write(world, conv, CallOutcome::Ended).unwrap();
        assert_eq!(world.reader().open_calls().unwrap(), []);
        assert_eq!(code(&world.send(1, conv, 2, common::text("x"))), Code::Dissolved);
    });
}

#[test]
fn what_changes_who_may_speak_is_told_from_what_does_not() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let title =
            |title: &str| Kind::Group(im::GroupChange { title: Some(title.into()), ..im::GroupChange::default() });
        let muted = Kind::Group(im::GroupChange { muted: Some(true), ..im::GroupChange::default() });
        let leave = Kind::Members(im::MemberChange { remove: vec![2], ..im::MemberChange::default() });
        let rows = [(common::text("x"), false), (title("t"), false), (muted, true), (leave, true)];
        for (n, (kind, want)) in rows.into_iter().enumerate() {
            assert_eq!(world.send(1, conv, n as u64, kind.clone()).unwrap().standing, want, "{kind:?}");
        }
        assert_eq!(world.reader().conversations(UserId(1)).unwrap().len(), 1);
    });
}
