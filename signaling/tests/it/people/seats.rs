//! Seats that are looked at because time has passed.

use std::time::{SystemTime, UNIX_EPOCH};

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
