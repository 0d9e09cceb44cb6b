//! Seats that are looked at because time has passed, and those of which the store knows nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use convene_im::wire::{self as im, body::Kind};
use convene_signaling::rooms::{LeaveReason, ParticipantChange, Permission, RoomHandle};
use convene_store::Op;
use convene_types::{ClientId, ConvId, UserId};
use serde_json::{Value, json};

use super::world::{Person, Sitting, World, until};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Two in a group, the second of whom has a seat in its room.
struct Two {
    ana: Person,
    bo: Person,
    conv: u64,
    seat: Value,
}

async fn two(world: &World) -> Two {
    let (ana, bo): (Person, Person) = (world.person(1).await, world.person(2).await);
    let group = json!({"kind": "group", "title": "Team", "members": [bo.user]});
    let conv = world.post(&ana, "/v1/conversations", group).await.expect(201)["id"].as_u64().unwrap();
    let seat = world.post(&bo, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    Two { ana, bo, conv, seat }
}

async fn mute(world: &World, two: &Two, until_ms: i64) {
    let path = format!("/v1/conversations/{}/members/{}", two.conv, two.bo.user);
    world.patch(&two.ana, &path, json!({"muted_until_ms": until_ms})).await.expect(204);
}

/// A mute of which nobody is told: as if the store had not answered whom it was told to.
async fn mute_unseen(world: &World, two: &Two) {
    let mute = im::MemberMute { users: vec![two.bo.user], until_ms: i64::MAX };
    let body = im::Body { kind: Some(Kind::Mute(mute)), ..im::Body::default() };
    let (actor, client_id, conv) = (UserId(two.ana.user), ClientId(rand::random()), ConvId(two.conv));
    world.at(now_ms(), vec![Op::Append { org: world.org(), actor, client_id, conv, body }]).await;
}

/// Somebody who sits in the room and is silent until `until_ms`.
async fn silenced(world: &World, until_ms: i64) -> (Value, RoomHandle, Sitting) {
    let two = two(world).await;
    let (room, sitting) = world.take_seat(&two.seat).await.unwrap();
    mute(world, &two, until_ms).await;
    (two.seat, room, sitting)
}

async fn may_speak(room: &RoomHandle, sitting: &Sitting) -> bool {
    room.participant(&sitting.identity).await.unwrap().permission.can_publish
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_ends_in_the_room_when_it_was_said() {
    let world = World::new().await;
    let until_ms = now_ms() + 3_000;
    let (_, room, sitting) = silenced(&world, until_ms).await;
    until(async || now_ms() >= until_ms || !may_speak(&room, &sitting).await).await;
    until(async || now_ms() >= until_ms && may_speak(&room, &sitting).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_takes_nobodys_seat() {
    let world = World::new().await;
    let until_ms = now_ms() + 1_500;
    let (seat, room, mut sitting) = silenced(&world, until_ms).await;
    until(async || now_ms() >= until_ms || !may_speak(&room, &sitting).await).await;
    world.lose_store();
    // Newcomers are told to come again, not to stay away.
    assert_eq!(world.take_seat(&seat).await.err().as_deref(), Some("unavailable"));
    assert_eq!(world.validate(&seat).await.0, 503);
    assert_eq!(world.whip(&seat).await, 503);
    // Seats are looked at each second: at this one too, now that the mute is over.
    let looked_ms = until_ms + 2 * i64::try_from(Duration::from_secs(1).as_millis()).unwrap();
    until(async || now_ms() >= looked_ms).await;
    assert!(sitting.is_seated());
    room.participant(&sitting.identity).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_takes_nobodys_seat() {
    let world = World::new().await;
    let seat = two(&world).await.seat;
    let (_, sitting) = world.take_seat(&seat).await.unwrap();
    let reads = world.hold_reads().await;
    let all = async {
        assert_eq!(world.validate(&seat).await.0, 503);
        assert_eq!(world.take_seat(&seat).await.err().as_deref(), Some("unavailable"));
        // Who is there takes their place again, long before it is given away.
        world.resume(&seat, &sitting).await.unwrap()
    };
    let (room, mut resumed) = tokio::time::timeout(Duration::from_secs(15), all).await.expect("answered in time");
    drop(reads);
    assert!(resumed.is_seated());
    room.participant(&resumed.identity).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_as_a_mute_ends_may_speak() {
    let world = World::new().await;
    let until_ms = now_ms() + 1_500;
    let (seat, room, sitting) = silenced(&world, until_ms).await;
    until(async || now_ms() >= until_ms || !may_speak(&room, &sitting).await).await;
    until(async || now_ms() >= until_ms).await;
    // As a rule before seats that are due are looked at, each second.
    let (room, resumed) = world.resume(&seat, &sitting).await.unwrap();
    until(async || may_speak(&room, &resumed).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_that_comes_while_somebody_joins_holds() {
    let world = World::new().await;
    let two = two(&world).await;
    let entered = world.enter(&two.seat).await.unwrap();
    mute_unseen(&world, &two).await;
    let (room, sitting) = world.admit(entered).await.unwrap();
    assert!(!sitting.may_publish && !may_speak(&room, &sitting).await);
    mute(&world, &two, 0).await;
    until(async || may_speak(&room, &sitting).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_that_was_missed_holds_from_a_resume_on() {
    let world = World::new().await;
    let two = two(&world).await;
    let (_, sitting) = world.take_seat(&two.seat).await.unwrap();
    mute_unseen(&world, &two).await;
    assert!(sitting.may_publish);
    let (room, resumed) = world.resume(&two.seat, &sitting).await.unwrap();
    assert!(!resumed.may_publish);
    mute(&world, &two, 0).await;
    until(async || may_speak(&room, &resumed).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_took_away_stays_away() {
    let world = World::new().await;
    let two = two(&world).await;
    let (room, sitting) = world.take_seat(&two.seat).await.unwrap();
    let change = |permission: Permission| ParticipantChange { permission: Some(permission), ..Default::default() };
    let silent = Permission { can_publish: false, can_subscribe: false, ..Permission::default() };
    room.update_participant(&sitting.identity, change(silent)).await.unwrap();
    let (room, resumed) = world.resume(&two.seat, &sitting).await.unwrap();
    assert!(!resumed.may_publish, "their seat lets them do what it did");
    // A mute takes what they may send, and nothing else is given back.
    let deaf = Permission { can_subscribe: false, ..Permission::default() };
    room.update_participant(&sitting.identity, change(deaf)).await.unwrap();
    mute(&world, &two, i64::MAX).await;
    until(async || !may_speak(&room, &resumed).await).await;
    assert!(!room.participant(&resumed.identity).await.unwrap().permission.can_subscribe);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sat_in_a_room_that_is_over_takes_nobodys_seat_in_the_next() {
    let world = World::new().await;
    let two = two(&world).await;
    let of_ana = world.post(&two.ana, &format!("/v1/rooms/{}/join", two.conv), Value::Null).await.expect(200);
    // Bo's seat becomes known when the room is over already, and Ana is the first in the next one, as he was in this.
    let entered = world.enter(&two.seat).await.unwrap();
    world.end_room(&two.seat).await;
    let (_, mut ana) = world.take_seat(&of_ana).await.unwrap();
    world.settle(entered).await.unwrap();
    let path = format!("/v1/conversations/{}/members/{}", two.conv, two.bo.user);
    world.delete(&two.ana, &path).await.expect(204);
    // What happens to a conversation is carried out in order: the mute comes after the removal.
    let cy: Person = world.person(3).await;
    let members = json!({"users": [cy.user]});
    world.post(&two.ana, &format!("/v1/conversations/{}/members", two.conv), members).await.expect(204);
    let of_cy = world.post(&cy, &format!("/v1/rooms/{}/join", two.conv), Value::Null).await.expect(200);
    let (room, cy_sits) = world.take_seat(&of_cy).await.unwrap();
    let mute = json!({"muted_until_ms": i64::MAX});
    let path = format!("/v1/conversations/{}/members/{}", two.conv, cy.user);
    world.patch(&two.ana, &path, mute).await.expect(204);
    until(async || !may_speak(&room, &cy_sits).await).await;
    assert!(ana.is_seated());
    room.participant(&ana.identity).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_first_and_was_looked_at_last_has_not_the_seat() {
    let world = World::new().await;
    let two = two(&world).await;
    let first = world.enter(&two.seat).await.unwrap();
    let second = world.enter(&two.seat).await.unwrap();
    let (room, sitting) = world.admit(second).await.unwrap();
    world.settle(first).await.unwrap();
    mute(&world, &two, i64::MAX).await;
    until(async || !may_speak(&room, &sitting).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slow_takes_the_seat_of_who_was_removed() {
    let world = World::new().await;
    let two = two(&world).await;
    let (_, mut sitting) = world.take_seat(&two.seat).await.unwrap();
    let slow = world.slow_reads(Duration::from_millis(2_500));
    let path = format!("/v1/conversations/{}/members/{}", two.conv, two.bo.user);
    world.delete(&two.ana, &path).await.expect(204);
    let left = tokio::time::timeout(Duration::from_secs(10), sitting.left()).await;
    drop(slow);
    assert_eq!(left.expect("out in time"), LeaveReason::Removed);
}
