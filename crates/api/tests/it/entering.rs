//! Into an account and out of it, over HTTP.

use convene_accounts::session::End;
use serde_json::{Value, json};

use crate::common::{self, POLICY, Person, World, device, phone};

fn registration(phone: &str, code: &str) -> Value {
    json!({ "phone": phone, "code": code, "display_name": "Ana", "consent": POLICY, "device": { "id": device(1) } })
}

fn by_code(phone: &str, code: &str) -> Value {
    json!({ "phone": phone, "code": code, "device": { "id": device(1) } })
}

fn by_password(phone: &str, password: &str) -> Value {
    json!({ "phone": phone, "password": password, "device": { "id": device(1) } })
}

async fn refresh(world: &World, token: &str) -> common::Answer {
    world.post("/v1/auth/refresh", "", json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn registering_takes_a_code_a_name_and_the_policy() {
    let world = World::start().await;
    let code = world.code(&phone(1), "register", &device(1)).await;
    let with = |field: &str, value: Value| {
        let mut body = registration(&phone(1), &code);
        body[field] = value;
        body
    };
    let path = "/v1/auth/register";
    world.post(path, "", with("consent", json!("0"))).await.refused(403, "consent_needed");
    world.post(path, "", with("display_name", json!(" "))).await.refused(422, "bad_name");
    world.post(path, "", with("password", json!("12345678"))).await.refused(422, "weak_password");
    world.post(path, "", with("phone", json!("911"))).await.refused(422, "bad_phone");
    world.post(path, "", with("device", json!({ "id": "short" }))).await.refused(400, "malformed");
    world.post(path, "", with("code", json!(1))).await.refused(400, "malformed");
    world.post(path, "", with("code", json!("000000"))).await.refused(422, "bad_code");

    let made = world.post(path, "", with("password", json!("correct horse"))).await.expect(201);
    assert_eq!(made.body["account"]["phone"], phone(1));
    assert_eq!(made.body["account"]["has_password"], true);
    assert_eq!(made.body["account"]["consent_needed"], false);
    let ana = Person::from(&made, &phone(1), &device(1));
    assert_eq!(world.get("/v1/me", &ana.access).await.expect(200).body["display_name"], "Ana");
    // A code is good once.
    world.post(path, "", registration(&phone(1), &code)).await.refused(422, "bad_code");
}

#[tokio::test]
async fn people_come_back_by_code_or_by_password() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let again = world.sign_in(&ana.phone, &device(2)).await;
    assert_eq!(again.account, ana.account);
    assert_ne!(again.session, ana.session);
    // As people dial it: the region is CN.
    let entered = world.post("/v1/auth/sign-in", "", by_password("138 0000 0001", "correct horse")).await.expect(200);
    assert_eq!(entered.body["account"]["id"], ana.account);
    world.post("/v1/auth/sign-in", "", by_password(&ana.phone, "wrong horse")).await.refused(401, "bad_credentials");
    world
        .post("/v1/auth/sign-in", "", json!({ "phone": ana.phone, "device": { "id": device(1) } }))
        .await
        .refused(400, "malformed");
    // A code is for its purpose.
    let code = world.code(&ana.phone, "cancel", &device(1)).await;
    world.post("/v1/auth/sign-in", "", by_code(&ana.phone, &code)).await.refused(422, "bad_code");
}

#[tokio::test]
async fn what_a_proved_number_is_told() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let code = world.code(&phone(2), "sign_in", &device(1)).await;
    world.post("/v1/auth/sign-in", "", by_code(&phone(2), &code)).await.refused(404, "no_account");
    let code = world.code(&ana.phone, "register", &device(3)).await;
    world.post("/v1/auth/register", "", registration(&ana.phone, &code)).await.refused(409, "account_exists");
}

#[tokio::test]
async fn refresh_tokens_are_used_once() {
    let world = World::start().await;
    let mut ends = world.api.ends();
    let ana = world.register(1, "Ana").await;
    let first = refresh(&world, &ana.refresh).await.expect(200);
    // An answer that was lost is given once more, the very same.
    let again = refresh(&world, &ana.refresh).await.expect(200);
    assert_eq!(first.text("refresh_token"), again.text("refresh_token"));
    let second = refresh(&world, &first.text("refresh_token")).await.expect(200);
    world.get("/v1/me", &second.text("access_token")).await.expect(200);

    // A thief has the first one.
    refresh(&world, &ana.refresh).await.refused(401, "session_stolen");
    assert_eq!(ends.try_recv().unwrap().why, End::Stolen);
    for token in [&ana.access, &second.text("access_token")] {
        world.get("/v1/me", token).await.refused(401, "session_ended");
    }
    refresh(&world, &second.text("refresh_token")).await.refused(401, "session_ended");
    for wrong in
        ["", "cvr_", &ana.refresh.replace("cvr_", "cvr_A"), &format!("{}A", &ana.refresh[..ana.refresh.len() - 1])]
    {
        refresh(&world, wrong).await.refused(401, "session_ended");
    }
}

#[tokio::test]
async fn resetting_the_password_ends_what_was_open() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let code = world.code(&ana.phone, "reset", &device(2)).await;
    let body = |code: &str, password: &str| json!({ "phone": ana.phone, "code": code, "password": password, "device": { "id": device(2) } });
    world.post("/v1/auth/reset", "", body(&code, "short")).await.refused(422, "weak_password");
    world.post("/v1/auth/reset", "", body("000000", "battery staple")).await.refused(422, "bad_code");
    let reset = world.post("/v1/auth/reset", "", body(&code, "battery staple")).await.expect(200);
    world.get("/v1/me", &ana.access).await.refused(401, "session_ended");
    world.get("/v1/me", &reset.text("access_token")).await.expect(200);
    world.post("/v1/auth/sign-in", "", by_password(&ana.phone, "correct horse")).await.refused(401, "bad_credentials");
    world.post("/v1/auth/sign-in", "", by_password(&ana.phone, "battery staple")).await.expect(200);
}

#[tokio::test]
async fn signing_out_holds_at_once_and_after_a_restart() {
    let world = World::start().await;
    let mut ends = world.api.ends();
    let ana = world.register(1, "Ana").await;
    let phone = world.sign_in(&ana.phone, &device(2)).await;
    world.post("/v1/auth/sign-out", &ana.access, Value::Null).await.expect(204);
    let ended = ends.try_recv().unwrap();
    assert_eq!((ended.account.0, ended.why), (ana.account, End::SignedOut));
    world.get("/v1/me", &ana.access).await.refused(401, "session_ended");
    refresh(&world, &ana.refresh).await.refused(401, "session_ended");
    world.get("/v1/me", &phone.access).await.expect(200);

    let world = world.restart().await;
    world.get("/v1/me", &ana.access).await.refused(401, "session_ended");
    world.get("/v1/me", &phone.access).await.expect(200);
}

#[tokio::test]
async fn no_token_is_no_person() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let cut = &ana.access[..ana.access.len() - 2];
    for token in ["", "nonsense", cut, &ana.refresh] {
        let refused = world.get("/v1/me", token).await.refused(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    world
        .with("GET /v1/me", "", &[("authorization", &format!("Basic {}", ana.access))], Value::Null)
        .await
        .refused(401, "unauthenticated");
    world
        .with("GET /v1/me", "", &[("authorization", &format!("bearer  {}", ana.access))], Value::Null)
        .await
        .expect(200);
}

#[tokio::test]
async fn refusals_are_counted_by_their_code() {
    let world = World::start().await;
    for _ in 0..3 {
        world.get("/v1/me", "").await.refused(401, "unauthenticated");
    }
    assert_eq!(world.metrics.refused.with_label_values(&["unauthenticated"]).get(), 3);
}
