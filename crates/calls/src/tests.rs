//! The life of a call by table, and by chance: whatever comes in whatever order, one consistent record comes out.

use convene_types::{CallId, ConvId, DeviceId, OrgId, UserId};
use proptest::prelude::*;

use crate::{Book, Call, Device, ENTER_MS, MAX_RUNG, New, Outcome, Person, RETURN_MS, RING_MS, Refusal, Standing};

const T: i64 = 1_700_000_000_000;
const ANA: u64 = 1;
const BO: u64 = 2;
const CY: u64 = 3;

fn on(user: u64, device: u8) -> Device {
    Device { user: UserId(user), device: DeviceId([device; 16]) }
}

fn new(callees: &[u64], direct: bool) -> New {
    New {
        id: CallId([9; 16]),
        org: OrgId(1),
        conv: ConvId(5),
        direct,
        caller: on(ANA, 1),
        video: false,
        callees: callees.iter().copied().map(UserId).collect(),
    }
}

fn call(callees: &[u64]) -> Call {
    Call::begin(new(callees, callees.len() == 1), |_| false, T).unwrap()
}

fn outcome(call: &Call) -> Option<Outcome> {
    call.over.map(|over| over.outcome)
}

#[test]
fn an_answer_counts_once_and_stops_the_other_devices() {
    let mut call = call(&[BO]);
    assert_eq!(call.standing(UserId(BO)), Some(Standing::Ringing));
    call.accept(on(BO, 2), T + 1).unwrap();
    let version = call.version;
    assert_eq!(call.accept(on(BO, 3), T + 1), Err(Refusal::AnsweredElsewhere), "two accepts race");
    assert_eq!(call.accept(on(BO, 2), T + 2), Ok(()), "a retry");
    assert_eq!(call.version, version, "neither changes anything");
    assert_eq!(call.people[&UserId(BO)].device, Some(DeviceId([2; 16])));
    assert!(call.entered(on(ANA, 1), T + 5) && call.entered(on(BO, 2), T + 10));
    assert!(!call.entered(on(BO, 3), T + 11), "a device that did not answer");
    call.hang_up(UserId(ANA), T + 1_001).unwrap();
    assert_eq!((outcome(&call), call.duration_ms()), (Some(Outcome::Ended), 1_000));
    let bo = &call.people[&UserId(BO)];
    assert_eq!((bo.standing, bo.joined_ms, bo.left_ms), (Standing::Left, Some(T + 10), Some(T + 1_001)));
    assert_eq!(call.hang_up(UserId(BO), T + 1_002), Err(Refusal::Over));
}

/// What happens, how the call ends, how Bo and Cy stand then.
type Row = (&'static str, &'static [u64], fn(&mut Call), Option<Outcome>, Standing, Option<Standing>);

#[test]
fn how_calls_end() {
    let rows: &[Row] = &[
        (
            "declined",
            &[BO],
            |call| call.decline(UserId(BO), T).unwrap(),
            Some(Outcome::Declined),
            Standing::Declined,
            None,
        ),
        (
            "cancelled",
            &[BO],
            |call| call.cancel(UserId(ANA), T).unwrap(),
            Some(Outcome::Cancelled),
            Standing::Missed,
            None,
        ),
        (
            "the caller hangs up",
            &[BO],
            |call| call.hang_up(UserId(ANA), T).unwrap(),
            Some(Outcome::Cancelled),
            Standing::Missed,
            None,
        ),
        (
            "nobody heard it",
            &[BO],
            |call| assert!(call.handle_timeout(T + RING_MS)),
            Some(Outcome::Missed),
            Standing::Missed,
            None,
        ),
        ("not yet", &[BO], |call| assert!(!call.handle_timeout(T + RING_MS - 1)), None, Standing::Ringing, None),
        ("removed", &[BO], |call| assert!(call.remove(UserId(BO), T)), Some(Outcome::Missed), Standing::Removed, None),
        (
            "one of two declines",
            &[BO, CY],
            |call| call.decline(UserId(BO), T).unwrap(),
            None,
            Standing::Declined,
            Some(Standing::Ringing),
        ),
        (
            "one declines, one does not hear it",
            &[BO, CY],
            |call| {
                call.decline(UserId(BO), T).unwrap();
                assert!(call.handle_timeout(T + RING_MS));
            },
            Some(Outcome::Missed),
            Standing::Declined,
            Some(Standing::Missed),
        ),
        (
            "a group goes on without its caller, and rings on",
            &[BO, CY],
            |call| {
                call.accept(on(BO, 2), T).unwrap();
                call.hang_up(UserId(ANA), T).unwrap();
            },
            None,
            Standing::Accepted,
            Some(Standing::Ringing),
        ),
        (
            "the last one leaves while it rings on",
            &[BO, CY],
            |call| {
                call.accept(on(BO, 2), T).unwrap();
                call.hang_up(UserId(ANA), T).unwrap();
                call.hang_up(UserId(BO), T).unwrap();
            },
            Some(Outcome::Ended),
            Standing::Left,
            Some(Standing::Missed),
        ),
        (
            "who declined comes after all",
            &[BO, CY],
            |call| {
                call.decline(UserId(BO), T).unwrap();
                call.join(on(BO, 7), T).unwrap();
            },
            None,
            Standing::Accepted,
            Some(Standing::Ringing),
        ),
        (
            "who answered never came",
            &[BO],
            |call| {
                call.accept(on(BO, 2), T).unwrap();
                assert!(call.entered(on(ANA, 1), T));
                assert!(!call.handle_timeout(T + ENTER_MS - 1));
                assert!(call.handle_timeout(T + ENTER_MS));
            },
            Some(Outcome::Ended),
            Standing::Left,
            None,
        ),
        (
            "the room was lost for good",
            &[BO],
            |call| {
                call.accept(on(BO, 2), T).unwrap();
                assert!(call.entered(on(ANA, 1), T) && call.entered(on(BO, 2), T));
                call.exited(on(BO, 2), T);
                assert!(!call.handle_timeout(T + RETURN_MS - 1));
                assert!(call.handle_timeout(T + RETURN_MS));
            },
            Some(Outcome::Ended),
            Standing::Left,
            None,
        ),
        (
            "the room was lost and found again",
            &[BO],
            |call| {
                call.accept(on(BO, 2), T).unwrap();
                assert!(call.entered(on(ANA, 1), T) && call.entered(on(BO, 2), T));
                call.exited(on(BO, 2), T);
                assert!(call.entered(on(BO, 2), T + RETURN_MS - 1));
                assert!(!call.handle_timeout(T + 9 * RETURN_MS));
            },
            None,
            Standing::Accepted,
            None,
        ),
    ];
    for (name, callees, act, want, bo, cy) in rows {
        let mut call = call(callees);
        act(&mut call);
        assert_eq!(outcome(&call), *want, "{name}");
        assert_eq!(call.standing(UserId(BO)), Some(*bo), "{name}");
        assert_eq!(call.standing(UserId(CY)), *cy, "{name}");
    }
}

#[test]
fn what_is_refused() {
    let mut call = call(&[BO]);
    assert_eq!(call.accept(on(CY, 1), T), Err(Refusal::NotInvited));
    assert_eq!(call.accept(on(ANA, 2), T), Err(Refusal::AnsweredElsewhere), "the caller is in it");
    assert_eq!(call.cancel(UserId(BO), T), Err(Refusal::NotNow));
    assert_eq!(call.hang_up(UserId(BO), T), Err(Refusal::NotNow), "decline it");
    call.accept(on(BO, 2), T).unwrap();
    assert_eq!(call.cancel(UserId(ANA), T), Err(Refusal::NotNow), "hang up");
    assert_eq!(call.decline(UserId(BO), T), Err(Refusal::NotNow));
    assert_eq!(call.join(on(BO, 3), T), Err(Refusal::AnsweredElsewhere));
    assert!(call.remove(UserId(BO), T) && !call.remove(UserId(BO), T));
    assert_eq!(call.join(on(BO, 2), T), Err(Refusal::Over));
    let mut group = super::tests::call(&[BO, CY]);
    assert!(group.remove(UserId(BO), T));
    assert_eq!(group.join(on(BO, 2), T), Err(Refusal::NotInvited), "sent away is sent away");
    let many: Vec<_> = (2..MAX_RUNG as u64 + 3).collect();
    for callees in [&[][..], &[ANA], &many] {
        assert_eq!(Call::begin(new(callees, false), |_| false, T).unwrap_err(), Refusal::Count);
    }
}

#[test]
fn a_book_knows_who_is_busy_and_one_call_a_conversation() {
    let mut book = Book::default();
    let first = book.begin(new(&[BO], true), T).unwrap();
    assert_eq!(book.begin(New { id: CallId([8; 16]), ..new(&[BO], true) }, T), Err(Refusal::Exists(first.id)));
    let other = |id: u8, caller, callee| New {
        id: CallId([id; 16]),
        conv: ConvId(id.into()),
        caller: on(caller, 1),
        ..new(&[callee], true)
    };
    assert_eq!(book.begin(other(7, ANA, CY), T), Err(Refusal::InAnother(first.id)));
    let busy = book.begin(other(6, CY, ANA), T).unwrap();
    assert_eq!(outcome(&busy), Some(Outcome::Busy));
    assert!(book.get(busy.id).is_none(), "it is over");
    // Bo only rings, so a second call rings too.
    let second = book.begin(other(4, CY, BO), T).unwrap();
    assert_eq!(second.standing(UserId(BO)), Some(Standing::Ringing));
    assert_eq!(book.with(UserId(BO)).count(), 2);
    let changed = book.change(first.id, |call| call.accept(on(BO, 2), T)).unwrap().unwrap();
    assert_eq!(book.change(first.id, |call| call.accept(on(BO, 2), T)), Ok(None), "nothing to tell");
    assert!(changed.has(UserId(BO)));
    assert_eq!(book.call_of(UserId(BO), second.id), Some(first.id));
    let due = book.handle_timeout(T + RING_MS);
    assert_eq!(due.iter().map(|call| call.id).collect::<Vec<_>>(), [second.id]);
    assert!(book.change(first.id, |call| call.hang_up(UserId(BO), T)).unwrap().unwrap().over.is_some());
    assert_eq!(book.change(first.id, |call| call.hang_up(UserId(BO), T)), Err(Refusal::Over));
    assert_eq!((book.all().count(), book.of_conversation(ConvId(5))), (0, None));
}

/// What the next server makes of a call, from what is told of it.
fn restarted(call: Call, now_ms: i64) -> Call {
    let kept = |person: &Person| Person::kept(person.standing, person.device, person.joined_ms, person.left_ms);
    let people = call.people.iter().map(|(user, person)| (*user, kept(person))).collect();
    Call { people, interrupted: false, ..call }.resumed(now_ms)
}

#[test]
fn a_call_goes_on_after_a_stop_of_the_server() {
    let mut before = call(&[BO]);
    before.accept(on(BO, 2), T + 1).unwrap();
    assert!(before.entered(on(ANA, 1), T + 2) && before.entered(on(BO, 2), T + 2));
    let at = T + 60_000;
    let after = || restarted(before.clone(), at);
    assert!(after().version > before.version + 100, "devices may know of more than was kept");
    let back = |who: &[Device]| {
        let mut call = after();
        assert!(who.iter().all(|by| call.entered(*by, at + RETURN_MS - 1)));
        assert!(!call.handle_timeout(at + RETURN_MS - 1), "not yet");
        call.handle_timeout(at + RETURN_MS);
        call
    };
    let mut both = back(&[on(ANA, 1), on(BO, 2)]);
    assert_eq!(outcome(&both), None);
    both.hang_up(UserId(ANA), T + 90_001).unwrap();
    assert_eq!((outcome(&both), both.duration_ms()), (Some(Outcome::Ended), 90_000));
    assert_eq!(outcome(&back(&[on(BO, 2)])), Some(Outcome::Ended), "one of two");
    let nobody = back(&[]);
    assert_eq!((outcome(&nobody), nobody.duration_ms()), (Some(Outcome::Interrupted), 0), "nobody knows when it ended");
    assert!(!after().entered(on(BO, 3), at), "another device than the one that answered");
}

#[test]
fn a_call_that_rings_rings_on_after_a_stop_of_the_server() {
    let mut call = restarted(call(&[BO]), T + RING_MS / 2);
    assert_eq!(call.timeout_ms(), Some(T + RING_MS), "no longer than it would have");
    let mut missed = call.clone();
    assert!(missed.handle_timeout(T + RING_MS));
    assert_eq!(outcome(&missed), Some(Outcome::Missed));
    call.accept(on(BO, 2), T + RING_MS - 1).unwrap();
    let mut book = Book::default();
    assert!(
        book.resume(call.clone()) && !book.resume(Call { id: CallId([8; 16]), ..call.clone() }),
        "one a conversation"
    );
    assert_eq!(book.of_conversation(call.conv).map(|call| call.id), Some(call.id));
}

fn act(call: &mut Call, (what, user, device): (u8, u64, u8), now_ms: i64) {
    let by = on(user, device);
    match what {
        0 => call.accept(by, now_ms).is_ok(),
        1 => call.decline(by.user, now_ms).is_ok(),
        2 => call.cancel(by.user, now_ms).is_ok(),
        3 => call.hang_up(by.user, now_ms).is_ok(),
        4 => call.join(by, now_ms).is_ok(),
        5 => call.remove(by.user, now_ms),
        6 => call.entered(by, now_ms),
        7 => {
            call.exited(by, now_ms);
            true
        }
        8 => call.handle_timeout(now_ms),
        _ => {
            let stops = call.over.is_none();
            if stops {
                *call = restarted(call.clone(), now_ms);
            }
            stops
        }
    };
}

fn check(call: &Call, now_ms: i64) -> Result<(), TestCaseError> {
    let count = |standing| call.people.values().filter(|person| person.standing == standing).count();
    prop_assert!(call.over.is_some() || count(Standing::Ringing) + count(Standing::Accepted) > 0);
    for person in call.people.values() {
        prop_assert!(person.standing != Standing::Accepted || person.device.is_some());
        prop_assert!(person.left_ms.is_none() || person.joined_ms <= person.left_ms);
    }
    if let Some(over) = call.over {
        prop_assert_eq!(count(Standing::Ringing) + count(Standing::Accepted), 0);
        let answered = matches!(over.outcome, Outcome::Ended | Outcome::Interrupted);
        prop_assert_eq!(answered, call.answered_ms.is_some());
        prop_assert!(over.at_ms <= now_ms && call.started_ms <= over.at_ms);
        prop_assert!(call.answered_ms.is_none_or(|at| call.started_ms <= at && at <= over.at_ms));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_of_inputs_ends_in_one_record(
        direct in any::<bool>(),
        inputs in prop::collection::vec((0_u8..10, 1_u64..5, 1_u8..4, 0_i64..30_000), 1..60),
    ) {
        let callees: &[u64] = if direct { &[BO] } else { &[BO, CY] };
        let mut call = Call::begin(new(callees, direct), |_| false, T).unwrap();
        let mut now_ms = T;
        for (what, user, device, pause) in inputs {
            now_ms += pause;
            let before = call.clone();
            act(&mut call, (what, user, device), now_ms);
            check(&call, now_ms)?;
            prop_assert!(before.over.is_none() || before == call, "what is over changed");
            prop_assert!(call.version > before.version || before.over == call.over && before.people.iter().all(
                |(user, person)| call.standing(*user) == Some(person.standing)), "changed and told nobody");
        }
        // With nobody in the room, time alone ends it.
        for user in 1..5 {
            for device in 1..4 {
                call.exited(on(user, device), now_ms);
            }
        }
        while let Some(at) = call.timeout_ms() {
            now_ms = now_ms.max(at);
            prop_assert!(call.handle_timeout(now_ms));
        }
        prop_assert!(call.over.is_some());
        check(&call, now_ms)?;
    }
}
