//! Retention of an organisation's policy, from HTTP to the devices. Time is the test's: what is old was written so.

use std::time::{SystemTime, UNIX_EPOCH};

use convene_im::wire::{self as im, body::Kind, frame::Body};
use convene_store::{Op, Outcome};
use convene_types::{ClientId, ConvId, UserId};

use super::phone::Phone;
use super::world::{Person, World};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn today() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn say(world: &World, who: &Person, conv: u64, text: &str) -> Op {
    let body = im::Body { kind: Some(Kind::Text(im::Text { text: text.into() })), ..im::Body::default() };
    let client_id = ClientId(rand::random());
    Op::Append { org: world.org(), actor: UserId(who.user), client_id, conv: ConvId(conv), body }
}

fn seqs(outcomes: &[Outcome]) -> Vec<u64> {
    let seq = |outcome: &Outcome| {
        let Outcome::Appended(appended) = outcome else { panic!("{outcome:?}") };
        appended.seq.0
    };
    outcomes.iter().map(seq).collect()
}

/// What a device that comes anew sees of the conversation: seqs of texts, and of what retention left.
async fn seen(phone: &mut Phone, conv: u64) -> (Vec<u64>, Vec<u64>) {
    let fetch = im::Fetch { conv, ..im::Fetch::default() };
    let Body::FetchReply(page) = phone.request(Body::Fetch(fetch)).await else { panic!("no page") };
    let (mut texts, mut gone) = (Vec::new(), Vec::new());
    for event in page.events {
        match event.body.and_then(|body| body.kind) {
            Some(Kind::Text(_)) => texts.push(event.seq),
            Some(Kind::Tombstone(left)) if left.reason() == im::EraseReason::Retention => gone.push(event.seq),
            _ => {}
        }
    }
    (texts, gone)
}

async fn set_retention(world: &World, owner: &Person, days: Option<u32>) {
    world.set_policy(owner.account, |policy| policy.retention_days = days).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_organisation_keeps_no_longer_goes_from_every_device() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let now = today();
    let create = Op::Create {
        org: world.org(),
        maker: UserId(ana.user),
        client_id: ClientId([1; 16]),
        kind: im::ConversationKind::Direct,
        title: String::new(),
        members: vec![UserId(bo.user)],
    };
    let made = world.at(now - 50 * DAY_MS, vec![create]).await;
    let Some(Outcome::Created { conv, .. }) = made.first() else { panic!("{made:?}") };
    let conv = conv.0;
    let old = world.at(now - 40 * DAY_MS, vec![say(&world, &ana, conv, "old"), say(&world, &bo, conv, "as old")]).await;
    let young = world.at(now - DAY_MS, vec![say(&world, &ana, conv, "young")]).await;
    let (old, young) = (seqs(&old), seqs(&young));
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;

    assert_eq!(world.sweep(now).await, 0, "no retention, nothing goes");
    set_retention(&world, &ana, Some(30)).await;
    // Another organisation's messages are its own.
    let eve = world.founder(9, "elsewhere").await;
    assert_ne!(eve.user, ana.user);
    assert_eq!(world.sweep(now).await, 2);
    // Who is online is told by an event of the log.
    let told = phone.event(conv, |kind| matches!(kind, Kind::Erase(_))).await;
    let Some(Kind::Erase(erase)) = told.body.and_then(|body| body.kind) else { panic!() };
    assert_eq!(erase.reason(), im::EraseReason::Retention);
    assert_eq!(erase.ranges, [im::SeqRange { first: old[0], last: old[1] }]);
    assert_eq!((told.sender, told.seq), (0, young[0] + 1));
    // Who comes later finds what is left, and is told how far retention has come.
    let other = world.sign_in(&bo, 22).await;
    let mut tablet = Phone::open(&world, &other.access, &other.device).await;
    assert_eq!(seen(&mut tablet, conv).await, (young.clone(), old.clone()));
    let Body::SyncReply(reply) = tablet.request(Body::Sync(im::Sync::default())).await else { panic!("no reply") };
    let delta = reply.conversations.iter().find(|delta| delta.conv == conv).unwrap();
    assert_eq!((delta.swept, delta.head_ord - delta.read_ord), (old[1], 1), "one is unread, as before");
    // Days later, and with a shorter time.
    assert_eq!(world.sweep(now + 2 * DAY_MS).await, 0);
    assert_eq!(world.sweep(now + 31 * DAY_MS).await, 1);
    assert_eq!(seen(&mut tablet, conv).await, (Vec::new(), [old, young].concat()));
    set_retention(&world, &ana, None).await;
    assert_eq!(world.sweep(now + 99 * DAY_MS).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_goes_on_after_a_restart() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    set_retention(&world, &ana, Some(1)).await;
    let ops = (0..900).map(|n| say(&world, &ana, conv, &format!("{n}"))).collect();
    let said = seqs(&world.at(today(), ops).await);
    // One step, and the process is gone.
    let step = Op::Sweep { conv: ConvId(conv), before_ms: i64::MAX };
    let outcomes = world.at(today(), vec![step]).await;
    let Some(Outcome::Swept { bodies, more: true, .. }) = outcomes.first() else { panic!("{outcomes:?}") };
    let world = world.restart().await;
    let rest = world.sweep(today() + 3 * DAY_MS).await;
    assert_eq!(u64::try_from(*bodies).unwrap() + rest, said.len() as u64);
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let (texts, gone) = seen(&mut phone, conv).await;
    assert!(texts.is_empty() && !gone.is_empty());
}
