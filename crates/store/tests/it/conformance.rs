//! What every backend of the store has to pass: each test names the invariant it holds to, and runs against [`Engine`] and
//! [`Reader`] in memory and on a file.

use convene_proto::im::{self, Code, Role, body::Kind};
use convene_store::{Op, Outcome, StoreError};
use convene_types::{ConvId, Seq, Useq, UserId};
use prost::Message as _;

use crate::common::{self, World, both, client, code, text};

#[test]
fn i1_seqs_are_dense_and_survive_refusals() {
    both(|world| {
        let conv = world.group(1, &[2]);
        for n in 0..20 {
            world.send(1, conv, n, text("a")).unwrap();
            assert_eq!(code(&world.send(3, conv, n, text("stranger"))), Code::UnknownConversation);
            assert_eq!(code(&world.send(1, conv, 1000 + n, text(""))), Code::Malformed);
        }
        let log = world.log(1, conv);
        let seqs: Vec<_> = log.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=21).collect::<Vec<_>>());
        assert_eq!(world.reader().integrity_check().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn i3_a_retry_is_the_same_event_and_other_content_a_conflict() {
    both(|world| {
        let (conv, other) = (world.group(1, &[2]), world.group(1, &[2]));
        let first = world.send(1, conv, 7, text("a")).unwrap();
        for _ in 0..3 {
            let again = world.send(1, conv, 7, text("a")).unwrap();
            assert!(again.duplicate && again.event.is_empty());
            assert_eq!((again.seq, again.ord, again.at_ms), (first.seq, first.ord, first.at_ms));
        }
        assert_eq!(code(&world.send(1, conv, 7, text("b"))), Code::Conflict);
        assert_eq!(code(&world.send(1, other, 7, text("a"))), Code::Conflict);
        // Another sender's client ids are their own.
        assert!(!world.send(2, conv, 7, text("b")).unwrap().duplicate);
        // Within one batch too.
        let op = || world.append_op(1, conv, 8, text("c"));
        let batch = vec![op(), op(), world.append_op(1, conv, 8, text("d"))];
        let results = world.engine.apply(batch, 5).unwrap();
        assert!(matches!(&results[0], Ok(Outcome::Appended(appended)) if !appended.duplicate));
        assert!(matches!(&results[1], Ok(Outcome::Appended(appended)) if appended.duplicate));
        assert_eq!(results[2].as_ref().unwrap_err().code, Code::Conflict);
        // Whoever has left since still learns what became of it.
        let removal = im::MemberChange { remove: vec![2], ..Default::default() };
        let late = world.send(2, conv, 9, text("e")).unwrap();
        world.send(1, conv, 10, Kind::Members(removal)).unwrap();
        assert_eq!(world.send(2, conv, 9, text("e")).unwrap().seq, late.seq);
        assert_eq!(code(&world.send(2, conv, 11, text("f"))), Code::NotAMember);
    });
}

#[test]
fn i3_a_create_is_repeatable_and_two_users_have_one_direct_conversation() {
    both(|world| {
        let create = |maker, n, kind, title: &str, other| world_create(maker, n, kind, title, other);
        let group = create(1, 1, im::ConversationKind::Group, "t", 2);
        let (conv, duplicate) = world.create(group.clone()).unwrap();
        assert!(!duplicate);
        assert_eq!(world.create(group).unwrap(), (conv, true));
        let other = create(1, 1, im::ConversationKind::Group, "u", 2);
        assert_eq!(code(&world.create(other)), Code::Conflict);

        let (direct, duplicate) = world.create(create(1, 2, im::ConversationKind::Direct, "", 2)).unwrap();
        assert!(!duplicate && direct != conv);
        assert_eq!(world.create(create(2, 1, im::ConversationKind::Direct, "", 1)).unwrap(), (direct, true));
        assert_eq!(code(&world.create(create(1, 3, im::ConversationKind::Direct, "", 99))), Code::UnknownUser);
        let peers = [(1, 2), (2, 1)];
        for (user, peer) in peers {
            let delta = world.sync(user, im::Sync::default()).into_iter().find(|delta| delta.conv == direct.0).unwrap();
            assert_eq!((delta.peer, delta.head, delta.role()), (peer, 1, Role::Member));
        }
    });
}

fn world_create(maker: u64, n: u64, kind: im::ConversationKind, title: &str, other: u64) -> Op {
    let (org, client_id) = (common::ORG, client(n));
    Op::Create { org, maker: UserId(maker), client_id, kind, title: title.into(), members: vec![UserId(other)] }
}

#[test]
fn i4_acks_of_one_batch_stand_in_its_order() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let batch: Vec<_> = (0..50).map(|n| world.append_op(1 + n % 2, conv, n, text("a"))).collect();
        let results = world.engine.apply(batch, 5).unwrap();
        let seqs: Vec<_> = results.iter().map(|result| common::appended(result).seq.0).collect();
        assert_eq!(seqs, (2..52).collect::<Vec<_>>());
    });
}

#[test]
fn i7_whatever_changed_since_the_bump_is_in_the_next_sync() {
    both(|world| {
        let convs: Vec<_> = (0..10).map(|_| world.group(1, &[2])).collect();
        let mut bump = 0;
        for round in 0..30_u64 {
            let touched = convs[(round % 7) as usize];
            world.send(2, touched, 100 + round, text("a")).unwrap();
            let (deltas, next) = world.sync_from(1, im::Sync { bump, ..im::Sync::default() });
            let got: Vec<_> = deltas.iter().map(|delta| delta.conv).collect();
            if bump > 0 {
                assert_eq!(got, [touched.0]);
            } else {
                assert_eq!((got.len(), got[0]), (10, touched.0));
            }
            bump = next;
        }
        let (deltas, same) = world.sync_from(1, im::Sync { bump, ..im::Sync::default() });
        assert_eq!((deltas.len(), same), (0, bump));
        let beyond = world.reader().sync(UserId(1), &im::Sync { bump: bump + 1, ..im::Sync::default() });
        assert_eq!(code(&beyond.unwrap()), Code::BeyondHead);
    });
}

#[test]
fn i7_a_large_sync_comes_in_frames_and_within_its_budget() {
    both(|world| {
        let convs: Vec<_> = (0..40).map(|_| world.group(1, &[2])).collect();
        let long = "x".repeat(3000);
        for (n, conv) in (0_u64..).zip(&convs) {
            for k in 0..10 {
                world.send(2, *conv, 1000 + n * 10 + k, text(&long)).unwrap();
            }
        }
        let request = im::Sync { budget: 200_000, ..im::Sync::default() };
        let frames = world.reader().sync(UserId(1), &request).unwrap().unwrap();
        assert!(frames.len() > 3);
        let (last, before) = frames.split_last().unwrap();
        assert!(before.iter().all(|frame| frame.more && frame.bump == 0) && !last.more && last.bump > 0);
        let framed = |frame: &im::SyncReply| {
            convene_proto::frame::of(1, im::frame::Body::SyncReply(frame.clone())).encoded_len()
        };
        assert!(frames.iter().all(|frame| framed(frame) <= convene_proto::limits::MAX_FRAME_BYTES));
        let deltas: Vec<_> = frames.iter().flat_map(|frame| &frame.conversations).collect();
        assert_eq!(deltas.len(), 40);
        let bytes: usize = deltas.iter().flat_map(|delta| &delta.events).map(im::Event::encoded_len).sum();
        assert!(bytes > 150_000 && bytes < 205_000, "{bytes}");
        for delta in deltas {
            let seqs: Vec<_> = delta.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (delta.from + 1..=delta.to).collect::<Vec<_>>());
            assert_eq!((delta.to, delta.limited), (delta.head, delta.from > 0));
        }
    });
}

#[test]
fn i9_unread_is_what_the_log_counts() {
    both(|world| {
        let conv = world.group(1, &[2, 4]);
        world.send(1, conv, 1, text("a")).unwrap();
        world.send(1, conv, 2, text("b")).unwrap();
        world.send(1, conv, 3, Kind::React(im::React { emoji: "x".into(), remove: false })).unwrap_err();
        let react = im::Body {
            kind: Some(Kind::React(im::React { emoji: "x".into(), remove: false })),
            target: 2,
            ..Default::default()
        };
        world.send_body(4, conv, 4, react).unwrap();
        assert_eq!(world.unread(2, conv), 2);
        assert_eq!(world.unread(1, conv), 0);
        // One's own event, whatever its kind, moves the cursor.
        assert_eq!(world.unread(4, conv), 0);
        world.read(2, conv, 2).unwrap();
        assert_eq!(world.unread(2, conv), 1);
        // Who comes in later has nothing unread, with history or without.
        for (user, with_history) in [(5, false), (6, true)] {
            let add = vec![im::Member { user, with_history, ..Default::default() }];
            world.send(1, conv, 10 + user, Kind::Members(im::MemberChange { add, ..Default::default() })).unwrap();
            assert_eq!(world.unread(user, conv), 0);
        }
        world.send(1, conv, 20, text("c")).unwrap();
        for (user, unread) in [(1, 0), (2, 2), (4, 1), (5, 1), (6, 1)] {
            assert_eq!(world.unread(user, conv), unread, "user {user}");
            assert_eq!(world.unread(user, conv), world.recount(user, conv), "user {user}");
        }
    });
}

#[test]
fn i10_read_cursors_only_rise_and_stay_within_the_head() {
    both(|world| {
        let conv = world.group(1, &[2]);
        for n in 0..5 {
            world.send(1, conv, n, text("a")).unwrap();
        }
        let useq = world.useq(2);
        assert_eq!(world.read(2, conv, 4).unwrap(), (Seq(4), true));
        assert_eq!(world.useq(2), useq + 1);
        assert_eq!(world.read(2, conv, 3).unwrap(), (Seq(4), false));
        assert_eq!(world.read(2, conv, 4).unwrap(), (Seq(4), false));
        assert_eq!(world.useq(2), useq + 1, "no entry unless it rises");
        for seq in [7, u64::MAX] {
            assert_eq!(code(&world.read(2, conv, seq)), Code::BeyondHead);
        }
        assert_eq!(code(&world.read(3, conv, 1)), Code::UnknownConversation);
        let cursors = vec![im::Cursor { conv: conv.0, seq: 7 }];
        let beyond = world.reader().sync(UserId(2), &im::Sync { cursors, ..im::Sync::default() }).unwrap();
        assert_eq!(code(&beyond), Code::BeyondHead);
        let beyond = world.reader().user_events_after(UserId(2), Useq(u64::MAX), 1000).unwrap();
        assert_eq!(code(&beyond), Code::BeyondHead);
    });
}

#[test]
fn i11_receipts_are_counted_exactly_in_a_large_group() {
    both(|world| {
        let conv = world.group(1, &[]);
        let mut all = Vec::new();
        for n in 0..1200_u64 {
            all.push(world.user(&format!("r{n}")));
        }
        for (n, chunk) in (0_u64..).zip(all.chunks(400)) {
            let add = chunk.iter().map(|user| im::Member { user: *user, with_history: true, ..Default::default() });
            let change = im::MemberChange { add: add.collect(), ..Default::default() };
            world.send(1, conv, 500 + n, Kind::Members(change)).unwrap();
        }
        let seq = world.send(1, conv, 1, text("a")).unwrap().seq;
        for user in all.iter().step_by(3) {
            world.read(*user, conv, seq.0).unwrap();
        }
        // Not one of those it was meant for, though they can read it.
        let late = world.user("late");
        let add = vec![im::Member { user: late, with_history: true, ..Default::default() }];
        world.send(1, conv, 2, Kind::Members(im::MemberChange { add, ..Default::default() })).unwrap();
        world.read(late, conv, seq.0).unwrap();
        let remove = vec![all[0]];
        world.send(1, conv, 3, Kind::Members(im::MemberChange { remove, ..Default::default() })).unwrap();

        let ask = |limit, after, unread| im::GetReceipts { conv: conv.0, seq: seq.0, after, limit, unread };
        let receipts = world.reader().receipts(UserId(1), &ask(0, 0, false)).unwrap().unwrap();
        assert_eq!((receipts.members, receipts.readers, receipts.users.len()), (1199, 399, 0));
        for (unread, want) in [(false, 399), (true, 800)] {
            let (mut got, mut after) = (Vec::new(), 0);
            loop {
                let page = world.reader().receipts(UserId(1), &ask(150, after, unread)).unwrap().unwrap();
                got.extend(page.users);
                if !page.more {
                    break;
                }
                after = *got.last().unwrap();
            }
            assert_eq!(got.len(), want);
        }
        assert_eq!(code(&world.reader().receipts(UserId(3), &ask(0, 0, false)).unwrap()), Code::UnknownConversation);
    });
}

#[test]
fn i13_nothing_below_the_floor_or_above_the_ceiling_is_seen() {
    both(|world| {
        let conv = world.group(1, &[2]);
        world.send(1, conv, 1, text("before")).unwrap();
        let add = vec![im::Member { user: 4, ..Default::default() }];
        let floor = world.send(1, conv, 2, Kind::Members(im::MemberChange { add, ..Default::default() })).unwrap();
        assert_eq!(floor.added, [(UserId(4), Seq(2))]);
        world.send(1, conv, 3, text("within")).unwrap();
        let remove = vec![4];
        let end = world.send(1, conv, 4, Kind::Members(im::MemberChange { remove, ..Default::default() })).unwrap();
        assert_eq!(end.removed, [UserId(4)]);
        world.send(1, conv, 5, text("after")).unwrap();

        let want = [3, 4, 5];
        let seqs = |events: &[im::Event]| events.iter().map(|event| event.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&world.log(4, conv)), want);
        let request = im::Fetch { conv: conv.0, backward: true, before: 100, ..im::Fetch::default() };
        let page = world.reader().fetch(UserId(4), &request).unwrap().unwrap();
        assert_eq!((seqs(&page.events), page.head, page.head_ord, page.floor), (want.to_vec(), 5, 2, 2));
        let (to, events) = world.reader().events_after(UserId(4), conv, Seq(0), 10_000).unwrap().unwrap();
        assert_eq!((to, events.len()), (Seq(5), 3));
        let delta = world.sync(4, im::Sync::default()).pop().unwrap();
        assert_eq!((seqs(&delta.events), delta.head, delta.role()), (want.to_vec(), 5, Role::Unspecified));
        let beyond = world.reader().fetch(UserId(4), &im::Fetch { conv: conv.0, after: 6, ..Default::default() });
        assert_eq!(code(&beyond.unwrap()), Code::BeyondHead);
        assert_eq!(code(&world.read(4, conv, 6)), Code::BeyondHead);
        // Nor is anything of them told apart from what does not exist.
        for conv in [conv, ConvId(99)] {
            let fetch = im::Fetch { conv: conv.0, ..Default::default() };
            let refusal = world.reader().fetch(UserId(3), &fetch).unwrap().unwrap_err();
            assert_eq!((refusal.code, refusal.text.as_ref()), (Code::UnknownConversation, "no such conversation"));
        }
        // Somebody who comes again keeps nothing of the earlier stay.
        let add = vec![im::Member { user: 4, ..Default::default() }];
        world.send(1, conv, 6, Kind::Members(im::MemberChange { add, ..Default::default() })).unwrap();
        assert_eq!(seqs(&world.log(4, conv)), [7]);
        // A former member is not told of changes any more.
        let remove = vec![4];
        world.send(1, conv, 7, Kind::Members(im::MemberChange { remove, ..Default::default() })).unwrap();
        let (_, bump) = world.sync_from(4, im::Sync::default());
        world.send(1, conv, 8, text("later")).unwrap();
        assert_eq!(world.sync_from(4, im::Sync { bump, ..Default::default() }).0.len(), 0);
    });
}

#[test]
fn i13_another_organisation_is_another_world() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let stranger = world.user_of("elsewhere", "ann");
        let found =
            world.reader().find_users(UserId(stranger), &im::FindUsers { ids: vec![1, 2], names: vec!["u1".into()] });
        assert_eq!(found.unwrap().unwrap().users.len(), 0);
        let add = vec![im::Member { user: stranger, ..Default::default() }];
        let added = world.send(1, conv, 1, Kind::Members(im::MemberChange { add, ..Default::default() }));
        assert_eq!(code(&added), Code::UnknownUser);
    });
}

#[test]
fn i14_erasure_leaves_every_seq_and_no_payload() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let secret = "correct horse battery staple";
        let first = world.send(1, conv, 1, text(secret)).unwrap();
        let edit = im::Body {
            kind: Some(Kind::Edit(im::Edit { text: format!("{secret} edited") })),
            target: first.seq.0,
            ..Default::default()
        };
        world.send_body(1, conv, 2, edit).unwrap();
        let kept = world.send(2, conv, 3, text("kept")).unwrap();
        let before = world.unread(2, conv);
        let recall = im::Body { kind: Some(Kind::Recall(im::Recall {})), target: first.seq.0, ..Default::default() };
        world.send_body(1, conv, 4, recall.clone()).unwrap();

        let log = world.log(2, conv);
        assert_eq!(log.len(), 5);
        let tombstones: Vec<_> = log
            .iter()
            .filter_map(|event| match &event.body.as_ref()?.kind {
                Some(Kind::Tombstone(left)) => Some((event.seq, left.kind, left.reason())),
                _ => None,
            })
            .collect();
        let recalled = im::EraseReason::Recalled;
        assert_eq!(tombstones, [(2, 1, recalled), (3, 16, recalled)]);
        assert_eq!((log[3].seq, world.unread(2, conv)), (kept.seq.0, before));
        // A retry of what was erased is still the same event, and a recall cannot be recalled.
        assert!(world.send(1, conv, 1, text(secret)).unwrap().duplicate);
        assert_eq!(code(&world.send_body(1, conv, 5, recall)), Code::BadTarget);
        world.assert_not_on_disk(secret);
        // By range, as retention does it.
        let erase =
            im::Erase { ranges: vec![im::SeqRange { first: 1, last: 5 }], reason: im::EraseReason::Retention.into() };
        assert_eq!(code(&world.send(1, conv, 6, Kind::Erase(erase.clone()))), Code::Forbidden);
        world.send(0, conv, 7, Kind::Erase(erase)).unwrap();
        let log = world.log(2, conv);
        assert_eq!(log.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let Some(Kind::Tombstone(left)) = log[3].body.clone().unwrap().kind else { panic!() };
        assert_eq!(left.reason(), im::EraseReason::Retention);
        let huge = im::Erase { ranges: vec![im::SeqRange { first: 1, last: u64::MAX }], reason: 2 };
        assert_eq!(code(&world.send(0, conv, 8, Kind::Erase(huge))), Code::BadTarget);
    });
}

#[test]
fn i16_a_refusal_leaves_no_trace_and_takes_nothing_else_with_it() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let before = world.dump();
        for (user, kind, want) in [
            (3, text("a"), Code::UnknownConversation),
            (1, text(""), Code::Malformed),
            (2, Kind::Members(im::MemberChange { remove: vec![1], ..Default::default() }), Code::Forbidden),
            (1, Kind::Members(im::MemberChange { remove: vec![1], ..Default::default() }), Code::LastOwner),
            (1, Kind::File(im::File { blob: Some(common::blob_ref(1)), ..Default::default() }), Code::UnknownBlob),
        ] {
            assert_eq!(code(&world.send(user, conv, 1, kind)), want);
        }
        assert_eq!(world.dump(), before);
        let batch = vec![
            world.append_op(1, conv, 1, text("a")),
            world.append_op(3, conv, 1, text("b")),
            world.append_op(1, conv, 1, text("c")),
            world.append_op(2, conv, 1, text("d")),
        ];
        let results = world.engine.apply(batch, 5).unwrap();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
        assert_eq!(world.log(1, conv).len(), 3);
    });
}

#[test]
fn i16_a_failed_transaction_leaves_no_trace_and_the_engine_goes_on() {
    both(|world| {
        let conv = world.group(1, &[2]);
        world.engine.empty_wal().unwrap();
        let before = world.dump();
        world.engine.set_max_pages(1).unwrap();
        let long = "x".repeat(16_000);
        // Cached rows change along with the batch: what was rolled back must not stay in them.
        let batch: Vec<_> = (0..64).map(|n| world.append_op(1, conv, n, text(&long))).collect();
        let error = world.engine.apply(batch, 5).unwrap_err();
        assert!(matches!(&error, StoreError::Database(_)) && error.is_passing(), "{error}");
        assert_eq!(world.dump(), before);
        assert_eq!(world.log(1, conv).len(), 1);
        world.engine.set_max_pages(0).unwrap();
        for n in 0..64 {
            assert_eq!(world.send(1, conv, n, text(&long)).unwrap().seq.0, n + 2);
        }
        assert_eq!(world.reader().integrity_check().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn settings_merge_and_are_one_entry_of_the_own_log() {
    both(|world| {
        let conv = world.group(1, &[2]);
        let apply = |world: &mut World, settings: im::Settings| {
            world.one(Op::Settings { user: UserId(2), settings }).map(|_| ())
        };
        apply(world, im::Settings { conv: conv.0, pinned: Some(true), ..Default::default() }).unwrap();
        apply(world, im::Settings { conv: conv.0, draft: Some("d".into()), ..Default::default() }).unwrap();
        let delta = world.sync(2, im::Sync::default()).pop().unwrap();
        let want = im::Settings { conv: conv.0, pinned: Some(true), draft: Some("d".into()), ..Default::default() };
        assert_eq!(delta.settings, Some(want));
        assert_eq!(code(&apply(world, im::Settings { conv: 99, ..Default::default() })), Code::UnknownConversation);
        let (to, events) = world.reader().user_events_after(UserId(2), Useq(0), 10_000).unwrap().unwrap();
        assert_eq!((to, events.len()), (Useq(3), 3), "joined, and two settings");
        let useqs: Vec<_> = events.iter().map(|event| event.useq).collect();
        assert_eq!(useqs, [1, 2, 3]);
    });
}
