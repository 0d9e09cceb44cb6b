//! What the end of a sign-in does to calls, and what it does not.

use convene_im::wire::{self as im, Code};
use serde_json::{Value, json};

use super::phone::Phone;
use super::standing;
use super::world::{Person, World, until};

/// Ends a sign-in, and waits until all that follows from it is done: ends are carried out one after another.
async fn sign_out(world: &World, who: &Person, other: &Person) {
    world.post(who, "/v1/auth/sign-out", Value::Null).await.expect(204);
    let mut phone = Phone::open(world, &other.access, &other.device).await;
    world.post(other, "/v1/auth/sign-out", Value::Null).await.expect(204);
    assert_eq!(phone.goodbye().await, Code::Revoked);
}

/// A call between two, which both have answered and neither is in the room of: its path, and how the second one stands.
async fn answered(world: &World, ana: &Person, bo: &Person) -> (String, Phone) {
    let conv = world.direct(ana, bo).await;
    let phone = Phone::open(world, &ana.access, &ana.device).await;
    let call = world.post(ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    world.post(bo, &format!("{path}/accept"), Value::Null).await.expect(200);
    (path, phone)
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_hangs_up_on_nobody_else() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let eve = world.founder(9, "elsewhere").await;
    let (path, mut phone) = answered(&world, &ana, &bo).await;
    // Devices are named by clients: this one is named as the one of somebody who is in a call.
    let same = world.sign_in(&eve, 2).await;
    assert_eq!(same.device, bo.device);
    sign_out(&world, &same, &eve).await;
    assert_eq!(world.get(&ana, &path).await.expect(200)["outcome"], "ringing", "which is: it goes on");
    let again = world.sign_in(&bo, 2).await;
    let marker = world.sign_in(&bo, 23).await;
    sign_out(&world, &bo, &marker).await;
    assert_eq!(world.get(&ana, &path).await.expect(200)["outcome"], "ringing", "still signed in on that device");

    world.post(&again, "/v1/auth/sign-out", Value::Null).await.expect(204);
    let over = phone.call_state(|state| state.outcome() != im::CallOutcome::Ringing).await;
    assert_eq!(standing(&over, bo.user), im::CallStanding::Left);
    until(async || world.get(&ana, &path).await.expect(200)["outcome"] == "ended").await;
}
