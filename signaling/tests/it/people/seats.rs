//! Seats that are looked at because time has passed, and those of which the store knows nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use convene_signaling::rooms::RoomHandle;
use serde_json::{Value, json};

use super::world::{Person, Sitting, World, until};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Two in a group, the second of whom has a seat in its room and is silent until `until_ms`.
async fn silenced(world: &World, until_ms: i64) -> (Value, RoomHandle, Sitting) {
    let (ana, bo): (Person, Person) = (world.person(1).await, world.person(2).await);
    let group = json!({"kind": "group", "title": "Team", "members": [bo.user]});
    let conv = world.post(&ana, "/v1/conversations", group).await.expect(201)["id"].as_u64().unwrap();
    let seat = world.post(&bo, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    let (room, sitting) = world.take_seat(&seat).await.unwrap();
    let path = format!("/v1/conversations/{conv}/members/{}", bo.user);
    world.patch(&ana, &path, json!({"muted_until_ms": until_ms})).await.expect(204);
    (seat, room, sitting)
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
