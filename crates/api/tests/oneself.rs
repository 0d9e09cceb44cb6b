//! The account itself: password, policy, number, sessions, devices, its end.

#![cfg(test)]

mod common;

use std::time::{Duration, Instant};

use common::{World, device, phone};
use convene_accounts::session::End;
use serde_json::{Value, json};

#[tokio::test]
async fn another_password_takes_the_one_so_far_and_ends_the_other_sessions() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let other = world.sign_in(&ana.phone, &device(2)).await;
    let mut ends = world.api.ends();
    let set = async |current: Option<&str>, new: &str| {
        world.call("PUT /v1/me/password", &ana.access, json!({ "current": current, "new": new })).await
    };
    set(None, "battery staple").await.refused(401, "bad_credentials");
    set(Some("wrong"), "battery staple").await.refused(401, "bad_credentials");
    set(Some("correct horse"), "13800000001").await.refused(422, "weak_password");
    set(Some("correct horse"), "battery staple").await.expect(204);
    assert_eq!(ends.try_recv().unwrap().why, End::PasswordChanged);
    world.get("/v1/me", &other.access).await.refused(401, "session_ended");
    world.get("/v1/me", &ana.access).await.expect(200);
}

#[tokio::test]
async fn agreeing_to_the_policy() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    world.call("PUT /v1/me/consent", &ana.access, json!({ "version": "7" })).await.refused(403, "consent_needed");
    world.call("PUT /v1/me/consent", &ana.access, json!({ "version": common::POLICY })).await.expect(204);
}

#[tokio::test]
async fn the_number_moves_with_a_code_to_the_new_one() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let change = async |phone: &str, code: &str| {
        world.call("PUT /v1/me/number", &ana.access, json!({ "phone": phone, "code": code })).await
    };
    let taken = world.code(&bo.phone, "rebind", &device(9)).await;
    change(&bo.phone, &taken).await.refused(409, "account_exists");
    let code = world.code(&phone(3), "rebind", &device(10)).await;
    change(&phone(4), &code).await.refused(422, "bad_code");
    change(&phone(3), &code).await.expect(204);
    assert_eq!(world.get("/v1/me", &ana.access).await.body["phone"], phone(3));
    assert_eq!(world.sign_in(&phone(3), &device(11)).await.account, ana.account);
    // The old one is free.
    assert_ne!(world.register(1, "Cy").await.account, ana.account);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let other = world.sign_in(&ana.phone, &device(2)).await;
    let bo = world.register(3, "Bo").await;
    let listed = world.get("/v1/me/sessions", &ana.access).await.expect(200);
    let sessions = listed.body["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &json!(ana.session)));

    let end =
        async |token: &str, id: &str| world.call(&format!("DELETE /v1/me/sessions/{id}"), token, Value::Null).await;
    end(&bo.access, &other.session).await.refused(404, "not_found");
    end(&ana.access, "nonsense").await.refused(404, "not_found");
    end(&ana.access, &other.session).await.expect(204);
    end(&ana.access, &other.session).await.refused(404, "not_found");
    world.get("/v1/me", &other.access).await.refused(401, "session_ended");
}

#[tokio::test]
async fn devices_are_listed_and_forgotten() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let other = world.sign_in(&ana.phone, &device(2)).await;
    let bo = world.register(3, "Bo").await;
    let listed = world.get("/v1/me/devices", &ana.access).await.expect(200);
    let devices = listed.body["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    let here = devices.iter().find(|device| device["current"] == true).unwrap();
    assert_eq!((&here["id"], &here["model"]), (&json!(ana.device), &json!("Pixel 9")));

    let path = format!("DELETE /v1/me/devices/{}", other.device);
    world.call(&path, &bo.access, Value::Null).await.refused(404, "not_found");
    world.call(&path, &ana.access, Value::Null).await.expect(204);
    world.call(&path, &ana.access, Value::Null).await.refused(404, "not_found");
    world.get("/v1/me", &other.access).await.refused(401, "session_ended");
}

#[tokio::test]
async fn a_cancelled_account_is_gone_and_its_number_free() {
    let world = World::start().await;
    let mut ends = world.api.ends();
    let ana = world.register(1, "Ana").await;
    let cancel = async |code: &str| world.post("/v1/me/cancel", &ana.access, json!({ "code": code })).await;
    cancel("000000").await.refused(422, "bad_code");
    let code = world.code(&ana.phone, "cancel", &device(2)).await;
    let receipt = cancel(&code).await.expect(200).text("receipt");
    assert!(receipt.starts_with(&format!("a{}.", ana.account)), "{receipt}");
    assert_eq!(ends.try_recv().unwrap().why, End::Erased);
    world.get("/v1/me", &ana.access).await.refused(401, "session_ended");
    world.post("/v1/auth/refresh", "", json!({ "refresh_token": ana.refresh })).await.refused(401, "session_ended");
    let next = world.register(1, "Ana").await;
    assert_ne!(next.account, ana.account);
}

/// The other half of a change is done after the commit: whoever hangs up in between must not leave a token good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hangs_up_has_ended_the_session_all_the_same() {
    let world = World::start().await;
    for n in 1..=10 {
        let ana = world.register(n, "Ana").await;
        let other = world.sign_in(&ana.phone, &device(100 + n)).await;
        let path = format!("DELETE /v1/me/sessions/{}", other.session);
        let cut = tokio::time::timeout(Duration::ZERO, world.call(&path, &ana.access, Value::Null)).await;
        let began = Instant::now();
        while world.get("/v1/me", &other.access).await.status != 401 {
            assert!(began.elapsed() < Duration::from_secs(10), "its token is good still: {cut:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.get("/v1/me", &ana.access).await.expect(200);
    }
}
