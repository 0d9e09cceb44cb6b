//! Who gets into the rooms of people.

use convene_accounts::apikey::room_prefix;
use convene_signaling::rooms::LeaveReason;
use serde_json::{Value, json};

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn people_open_their_rooms_where_a_join_makes_none() {
    let world = World::without_auto_create().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let of_call = format!("/v1/calls/{}/join", call["id"].as_str().unwrap());
    for path in [of_call, format!("/v1/rooms/{conv}/join")] {
        let seat = world.post(&bo, &path, Value::Null).await.expect(200);
        world.take_seat(&seat).await.unwrap();
    }
    let (key, _) = world.key(&ana, world.org(), &["rooms"]).await;
    let other = world.seat_by_key(&key, &format!("{}standup", room_prefix(world.org())), "bot");
    assert_eq!(world.take_seat(&other).await.err().as_deref(), Some("room_not_found"), "for others nothing changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_told_that_the_seat_is_gone() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let seat = world.post(&bo, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    assert_eq!(world.validate(&seat).await, (200, "success".to_owned()));
    world.post(&bo, "/v1/auth/sign-out", Value::Null).await.expect(204);
    let (status, text) = world.validate(&seat).await;
    assert!(status == 403 && text.starts_with("seat_gone"), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_takes_nobodys_place() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let path = format!("/v1/rooms/{}/join", world.direct(&ana, &bo).await);
    let seat = world.post(&bo, &path, Value::Null).await.expect(200);
    let (_, mut sitting) = world.take_seat(&seat).await.unwrap();
    // The same seat by another sign-in on that device: it is the first one that somebody sits there with.
    let again = world.sign_in(&bo, 2).await;
    let other = world.post(&again, &path, Value::Null).await.expect(200);
    assert_eq!(world.validate(&other).await.0, 200);
    world.post(&bo, "/v1/auth/sign-out", Value::Null).await.expect(204);
    assert_eq!(sitting.left().await, LeaveReason::Removed);
}
