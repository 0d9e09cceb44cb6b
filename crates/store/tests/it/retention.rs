//! What every backend of the store has to pass about retention: what goes, what stays, and who learns of it.

use convene_im_core::rules::{EDIT, cutoff_ms};
use convene_proto::im::{self, Code, body::Kind};
use convene_store::{Engine, EngineOptions, Op, Outcome, Reader};
use convene_types::{CallId, ConvId, OrgId, Seq, UserId};
use rustc_hash::FxHashMap;

use crate::common::{ORG, World, both, client, code, text};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Something is done on a day.
fn on(world: &mut World, day: i64, op: Op) -> Outcome {
    world.engine.apply(vec![op], day * DAY_MS + 1).unwrap().pop().unwrap().unwrap()
}

fn say(world: &mut World, day: i64, (actor, conv): (u64, ConvId), body: im::Body) -> Seq {
    let n = world.log(1, conv).len() as u64 + 10_000 * conv.0;
    let op = Op::Append { org: ORG, actor: UserId(actor), client_id: client(n), conv, body };
    let Outcome::Appended(appended) = on(world, day, op) else { panic!() };
    appended.seq
}

fn of(kind: Kind) -> im::Body {
    im::Body { kind: Some(kind), ..im::Body::default() }
}

fn at(target: Seq, kind: Kind) -> im::Body {
    im::Body { target: target.0, ..of(kind) }
}

/// Sweeps what is older than `days` on a day, in as many steps as it takes. Answers how many bodies went, and how many
/// events say so.
fn sweep(world: &mut World, day: i64, conv: ConvId, days: u32) -> (usize, usize) {
    let before_ms = cutoff_ms(day * DAY_MS, days);
    let (mut all, mut events) = (0, 0);
    loop {
        let Outcome::Swept { appended, bodies, more } = on(world, day, Op::Sweep { conv, before_ms }) else { panic!() };
        all += bodies;
        events += usize::from(appended.is_some());
        if !more {
            return (all, events);
        }
    }
}

/// Where tombstones of retention are, and of what.
fn gone(world: &World, user: u64, conv: ConvId) -> Vec<(u64, u32)> {
    let left = |event: &im::Event| {
        let Kind::Tombstone(left) = event.body.as_ref()?.kind.as_ref()? else { return None };
        (left.reason() == im::EraseReason::Retention).then_some((event.seq, left.kind))
    };
    world.log(user, conv).iter().filter_map(left).collect()
}

fn group(world: &mut World, day: i64) -> ConvId {
    let n = world.reader().conversations_of(UserId(1)).unwrap().len() as u64;
    let (kind, members) = (im::ConversationKind::Group, vec![UserId(2), UserId(3)]);
    let op =
        Op::Create { org: ORG, maker: UserId(1), client_id: client(1 << 50 | n), kind, title: "g".into(), members };
    let Outcome::Created { conv, .. } = on(world, day, op) else { panic!() };
    conv
}

#[test]
fn i14_what_was_said_before_goes_and_everything_keeps_its_place() {
    both(|world| {
        let conv = group(world, 100);
        let secret = "correct horse battery staple";
        let first = say(world, 100, (1, conv), of(text(secret)));
        let kept_edit = |text: &str| Kind::Edit(im::Edit { text: text.into() });
        let reaction =
            say(world, 100, (2, conv), at(first, Kind::React(im::React { emoji: "+".into(), remove: false })));
        let pin = say(world, 100, (1, conv), at(first, Kind::Pin(im::Pin::default())));
        let record = im::CallRecord { outcome: im::CallOutcome::Ended.into(), ..im::CallRecord::default() };
        let call = on(world, 100, Op::Call { org: ORG, conv, id: CallId([3; 16]), record });
        assert!(matches!(call, Outcome::Appended(_)));
        let title = im::GroupChange { title: Some("h".into()), ..im::GroupChange::default() };
        say(world, 100, (1, conv), of(Kind::Group(title)));
        // Said on the day after, of a message of the day before.
        let edit = say(world, 101, (1, conv), at(first, kept_edit(&format!("{secret} edited"))));
        let young = say(world, 101, (2, conv), of(text("young")));
        on(world, 101, Op::Read { user: UserId(3), conv, seq: pin });
        let unread = [1, 2, 3].map(|user| world.unread(user, conv));
        let before = world.delta(3, conv);

        assert_eq!(sweep(world, 102, conv, 2).0, 0, "two days are not over");
        assert_eq!(sweep(world, 103, conv, 2), (3, 1));
        let want = [(first.0, 1), (reaction.0, 18), (edit.0, EDIT)];
        assert_eq!(gone(world, 2, conv), want, "but for the call, the pin, the title, and what is young");
        let log = world.log(2, conv);
        assert_eq!(log.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=young.0 + 1).collect::<Vec<_>>());
        assert!(log.windows(2).all(|pair| pair[0].ord <= pair[1].ord && pair[0].at_ms <= pair[1].at_ms));
        assert_eq!([1, 2, 3].map(|user| world.unread(user, conv)), unread, "nothing is read or unread by it");
        let after = world.delta(3, conv);
        assert_eq!((after.read_seq, after.head_ord, after.at_ms), (before.read_seq, before.head_ord, before.at_ms));
        assert_eq!((after.swept, after.head), (edit.0 - 1, young.0 + 1));
        assert_eq!(world.reader().integrity_check().unwrap(), Vec::<String>::new());
        // Nothing can be done to it any more, and nobody learns from a retry what it was.
        let op = Op::Append { org: ORG, actor: UserId(1), client_id: client(7), conv, body: at(first, kept_edit("x")) };
        let refused = world.engine.apply(vec![op], 103 * DAY_MS).unwrap().pop().unwrap();
        assert_eq!(code(&refused), Code::BadTarget);
        world.assert_not_on_disk(secret);
        // Again: nothing. Later: only what has become old since, and no event for what retention itself wrote.
        assert_eq!(sweep(world, 103, conv, 2), (0, 0));
        assert_eq!(sweep(world, 104, conv, 2), (1, 1));
        assert_eq!(sweep(world, 200, conv, 2), (0, 0));
        assert_eq!(sweep(world, 300, conv, 2), (0, 0));
    });
}

#[test]
fn i7_whoever_syncs_learns_of_it_and_whoever_has_left_too() {
    both(|world| {
        let (quiet, busy) = (group(world, 10), group(world, 10));
        say(world, 10, (1, quiet), of(text("a")));
        let remove = im::MemberChange { remove: vec![3], ..im::MemberChange::default() };
        let left = say(world, 10, (1, quiet), of(Kind::Members(remove)));
        for _ in 0..30 {
            say(world, 10, (1, quiet), of(text("a")));
        }
        say(world, 20, (1, busy), of(text("b")));
        let bumps = [1, 3].map(|user| world.sync_from(user, im::Sync::default()).1);
        sweep(world, 20, quiet, 5);
        for (user, bump, swept, head) in [(1, bumps[0], 33, 34), (3, bumps[1], left.0, left.0)] {
            let (deltas, _) = world.sync_from(user, im::Sync { bump, ..im::Sync::default() });
            let told: Vec<_> = deltas.iter().map(|delta| (delta.conv, delta.swept, delta.head)).collect();
            assert_eq!(told, [(quiet.0, swept, head)], "user {user}");
        }
        // What retention did does not come before what somebody said.
        let order: Vec<_> = world.sync(1, im::Sync::default()).iter().map(|delta| delta.conv).collect();
        assert_eq!(order, [busy.0, quiet.0]);
    });
}

#[test]
fn i16_a_long_log_goes_in_steps_and_a_crash_between_them_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let open = || Engine::open(&path, EngineOptions::default()).unwrap();
    let mut world = World::new(open(), None);
    let conv = group(&mut world, 1);
    let mut batch = Vec::new();
    for n in 0..1_000 {
        batch.push(world.append_op(1, conv, n, text("old")));
    }
    world.engine.apply(batch, DAY_MS).unwrap().into_iter().for_each(|result| assert!(result.is_ok()));
    let (mut steps, mut last) = (0, Seq(0));
    loop {
        // The process dies after each step, and another one takes over.
        let op = Op::Sweep { conv, before_ms: 5 * DAY_MS };
        let Ok(Outcome::Swept { appended, bodies, more }) = world.engine.apply(vec![op], 9 * DAY_MS).unwrap().remove(0)
        else {
            panic!()
        };
        world.engine = open();
        steps += 1;
        let event = appended.expect("something to take");
        assert!(bodies <= 500 && event.swept > last, "{bodies} at once, up to {:?}", event.swept);
        last = event.swept;
        let (log, head) = (gone(&world, 2, conv), world.delta(2, conv));
        assert_eq!((log.len() as u64, head.swept), ((last.0 - 1).min(1_000), last.0));
        if !more {
            break;
        }
    }
    assert!(steps > 1 && gone(&world, 2, conv).len() == 1_000);
    assert_eq!(world.reader().integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn conversations_are_found_page_by_page_and_only_where_something_is_too_old() {
    both(|world| {
        let convs: Vec<_> = (0..1_100).map(|_| group(world, 10)).collect();
        world.user_of("elsewhere", "ann");
        let mut reader = world.reader();
        let all = |reader: &mut Reader, cutoffs: &[(u64, i64)]| {
            let cutoffs: FxHashMap<_, _> = cutoffs.iter().map(|(org, day)| (OrgId(*org), day * DAY_MS)).collect();
            let (mut found, mut after, mut pages) = (Vec::new(), Some(ConvId(0)), 0);
            while let Some(from) = after {
                let page = reader.overdue(from, &cutoffs).unwrap();
                found.extend(page.convs.into_iter().map(|(conv, org)| {
                    assert_eq!(org, ORG);
                    conv
                }));
                (after, pages) = (page.next, pages + 1);
            }
            (found, pages)
        };
        assert_eq!(all(&mut reader, &[(ORG.0, 11)]), (convs.clone(), 2));
        assert_eq!(all(&mut reader, &[(ORG.0, 10)]), (Vec::new(), 2), "nothing is old");
        assert_eq!(all(&mut reader, &[(2, 99)]), (Vec::new(), 2), "another organisation's");
        // The founding stays, but retention has been there.
        assert_eq!(sweep(world, 20, convs[0], 5), (0, 0));
        assert_eq!(all(&mut world.reader(), &[(ORG.0, 11)]).0, convs[1..]);
    });
}
