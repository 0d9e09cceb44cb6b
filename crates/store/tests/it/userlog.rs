//! The user's own log when it is long: what is kept of it, and who starts over.

use std::time::Instant;

use convene_im_core::Refusal;
use convene_im_core::replica::{Output, Replica, Request, Saved};
use convene_proto::im::{self, Code};
use convene_store::Op;
use convene_types::{Bump, ConvId, Useq, UserId};

use crate::common::{World, both, code};

/// Of whom is asked here.
const BO: UserId = UserId(2);
/// Entries that are kept, at least.
const KEPT: u64 = 10_000;

/// Entries of Bo's log; each carries a draft of so many bytes.
fn write(world: &mut World, conv: ConvId, entries: u64, bytes: usize) {
    let settings = im::Settings { conv: conv.0, draft: Some("d".repeat(bytes)), ..im::Settings::default() };
    let op = Op::Settings { user: BO, settings };
    let mut left = usize::try_from(entries).unwrap();
    while left > 0 {
        let some = left.min(500);
        assert!(world.engine.apply(vec![op.clone(); some], 1).unwrap().iter().all(Result::is_ok));
        left -= some;
    }
}

fn ask(world: &World, request: &im::Sync) -> Result<Vec<im::SyncReply>, Refusal> {
    world.reader().sync(BO, request).unwrap()
}

fn from(useq: u64, bump: u64) -> im::Sync {
    im::Sync { useq, bump, ..im::Sync::default() }
}

fn useqs(frames: &[im::SyncReply]) -> Vec<u64> {
    frames.iter().flat_map(|frame| &frame.user_events).map(|event| event.useq).collect()
}

#[test]
fn whoever_is_too_far_behind_starts_over_and_everybody_else_is_told_all() {
    both(|world| {
        let conv = world.group(1, &[2]);
        write(world, conv, KEPT + 50, 1);
        let head = world.useq(2);
        for (useq, bump) in [(0, 1), (1, 0), (1, 1), (head - KEPT - 1, 1)] {
            assert_eq!(code(&ask(world, &from(useq, bump))), Code::BeyondHead, "{useq} {bump}");
        }
        let frames = ask(world, &from(head - KEPT, 1)).unwrap();
        assert_eq!(useqs(&frames), (head - KEPT + 1..=head).collect::<Vec<_>>());
        let frames = ask(world, &from(0, 0)).unwrap();
        assert_eq!((frames[0].useq_from, frames[0].useq_to, useqs(&frames).len()), (head, head, 0));
    });
}

#[test]
fn few_entries_of_many_bytes_are_as_far_behind() {
    both(|world| {
        let conv = world.group(1, &[2]);
        write(world, conv, 900, 4_096);
        let all = (1..=world.useq(2)).collect::<Vec<_>>();
        for bump in [0, 1] {
            assert_eq!(useqs(&ask(world, &from(0, bump)).unwrap()), all);
        }
        write(world, conv, 600, 4_096);
        assert_eq!(code(&ask(world, &from(0, 1))), Code::BeyondHead);
        assert_eq!(useqs(&ask(world, &from(0, 0)).unwrap()).len(), 0);
    });
}

#[test]
fn a_copy_that_was_far_behind_is_whole_after_it_has_started_over() {
    both(|world| {
        let conv = world.group(1, &[2]);
        write(world, conv, KEPT + 1, 1);
        let (now, position) = (Instant::now(), (Useq(world.useq(2)), Bump(world.sync_from(2, from(0, 0)).1)));
        let mut copy = Replica::restore(BO, Saved { useq: Useq(1), bump: Bump(1), ..Saved::default() });
        let mut asked = vec![copy.handle_connected()];
        let mut refused = 0;
        while let Some(request) = asked.pop() {
            match ask(world, &request) {
                Ok(frames) => frames.into_iter().for_each(|frame| copy.handle_sync_reply(frame, now)),
                Err(refusal) => {
                    refused += 1;
                    let error = im::Error { code: refusal.code.into(), ..im::Error::default() };
                    copy.handle_refused(&Request::Sync(request), &error, now);
                }
            }
            while let Some(output) = copy.poll() {
                if let Output::Request(Request::Sync(request)) = output {
                    asked.push(request);
                }
            }
        }
        assert_eq!((refused, copy.position()), (1, position));
        let draft = copy.conversation(conv).unwrap().state().settings.draft.as_deref();
        assert_eq!(draft, Some("d"));
    });
}

#[test]
fn what_nobody_is_sent_any_more_is_not_kept() {
    both(|world| {
        let conv = world.group(1, &[2]);
        write(world, conv, 3 * KEPT, 1);
        let first = world.reader().user_events_after(BO, Useq(0), 1).unwrap().unwrap().1[0].useq;
        let head = world.useq(2);
        assert!((KEPT..KEPT + 1_000).contains(&(head - first + 1)), "{first} to {head}");
        let frames = ask(world, &from(head - KEPT, 1)).unwrap();
        assert_eq!(useqs(&frames).len() as u64, KEPT, "all that somebody may still ask for");
    });
}
