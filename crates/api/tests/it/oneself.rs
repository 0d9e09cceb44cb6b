//! The account itself: password, policy, number, sessions, devices, its end.

use std::time::{Duration, Instant};

use convene_accounts::session::End;
use serde_json::{Value, json};

use crate::common::{self, World, device, phone};

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
    let (ana, bo) = (world.register_with(1, "Ana", "correct horse").await, world.register(2, "Bo").await);
    let change = async |phone: &str, code: &str| {
        let body = json!({ "phone": phone, "code": code, "password": "correct horse" });
        world.call("PUT /v1/me/number", &ana.access, body).await
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

/// A phone that lies about is signed in. Whoever finds it does not get the account.
#[tokio::test]
async fn the_number_does_not_move_for_whoever_has_found_the_phone() {
    let world = World::start().await;
    let (ana, bo) = (world.register_with(1, "Ana", "correct horse").await, world.register(2, "Bo").await);
    let change = async |who: &common::Person, body: Value| world.call("PUT /v1/me/number", &who.access, body).await;
    let code = world.code(&phone(3), "rebind", &device(10)).await;
    change(&ana, json!({ "phone": phone(3), "code": code })).await.refused(403, "proof_needed");
    let wrong = json!({ "phone": phone(3), "code": code, "password": "wrong horse" });
    change(&ana, wrong).await.refused(401, "bad_credentials");
    // Bo has no password: a code to the number so far, and of that account.
    let own = world.code(&bo.phone, "rebind", &device(11)).await;
    let with = |password: Value, current: &str| json!({ "phone": phone(3), "code": code, "password": password, "current_code": current });
    change(&bo, with(json!("anything"), "000000")).await.refused(422, "bad_code");
    change(&ana, with(Value::Null, &own)).await.refused(422, "bad_code");
    // A wrong code to the new number does not use the other one up.
    let body = json!({ "phone": phone(3), "code": "000000", "current_code": own });
    change(&bo, body).await.refused(422, "bad_code");
    change(&bo, with(Value::Null, &own)).await.expect(204);
    assert_eq!(world.get("/v1/me", &bo.access).await.body["phone"], phone(3));
    change(&bo, with(Value::Null, &own)).await.refused(422, "bad_code");
}

#[tokio::test]
async fn ones_name_changes_where_policies_let_and_others_know_one_by_it() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let mut orgs = Vec::new();
    for (title, edit) in [("Free", "free"), ("Asking", "approval"), ("Locked", "locked"), ("Other name", "free")] {
        let org = world.found(&ana, title).await;
        world.let_in(org, &ana, &bo).await;
        let rule = json!({ "field": "display_name", "edit": edit });
        let policy = json!({ "directory": "everybody", "meetings": "everybody", "fields": [rule] });
        world.set_policy(org, &ana, policy).await;
        orgs.push(org);
    }
    let member = |org: u64| format!("/v1/organisations/{org}/members/{}", bo.account);
    let nick = json!({ "display_name": "Bobby" });
    world.call(&format!("PATCH {}", member(orgs[3])), &bo.access, nick).await.expect(200);
    let mut changes = world.api.changes();
    let edited = world.call("PATCH /v1/me", &bo.access, json!({ "display_name": "Bo Li" })).await.expect(200);
    assert_eq!(edited.body["display_name"], "Bo Li");
    for (org, want) in orgs.iter().zip(["Bo Li", "Bo", "Bo", "Bobby"]) {
        let shown = world.get(&member(*org), &ana.access).await.expect(200);
        assert_eq!(shown.body["member"]["display_name"], want, "{org}");
    }
    let waiting = world.get(&member(orgs[1]), &bo.access).await.expect(200);
    assert_eq!(waiting.body["waiting"]["edit"]["display_name"], "Bo Li");
    assert!(
        matches!(changes.try_recv().unwrap(), convene_api::Change::Profile { account, .. } if account.0 == bo.account)
    );
    world.call("PATCH /v1/me", &bo.access, json!({ "display_name": "" })).await.refused(422, "bad_name");
    world.call("PATCH /v1/me", &bo.access, json!({ "phone": "+8613800000009" })).await.refused(400, "malformed");
}

#[tokio::test]
async fn who_asked_to_be_let_in_takes_it_back() {
    let world = World::start().await;
    let (ana, bo, cy) = (world.register(1, "Ana").await, world.register(2, "Bo").await, world.register(3, "Cy").await);
    let org = world.found(&ana, "Acme").await;
    let fields = json!({ "uses": 5, "needs_approval": true });
    let link = world.post(&format!("/v1/organisations/{org}/invitations"), &ana.access, fields).await.expect(201);
    let body = json!({ "link_token": link.text("link_token") });
    let id = world.post("/v1/invitations/accept", &bo.access, body.clone()).await.expect(200).number("request");
    let own = world.get("/v1/me/join-requests", &bo.access).await.expect(200);
    assert_eq!(own.body["requests"][0]["id"], id);
    assert_eq!(own.body["requests"][0]["title"], "Acme");
    assert_eq!(world.get("/v1/me/join-requests", &cy.access).await.body["requests"], json!([]));
    let path = format!("DELETE /v1/me/join-requests/{id}");
    world.call(&path, &cy.access, Value::Null).await.refused(404, "not_found");
    world.call(&path, &bo.access, Value::Null).await.expect(204);
    world.call(&path, &bo.access, Value::Null).await.refused(409, "already_decided");
    let decide = format!("POST /v1/organisations/{org}/join-requests/{id}");
    world.call(&decide, &ana.access, json!({ "approve": true })).await.refused(409, "already_decided");
    let log = world.get(&format!("/v1/organisations/{org}/audit"), &ana.access).await.expect(200);
    assert_eq!(log.body["records"][0]["act"], "request.withdraw");
    // And asks again.
    world.post("/v1/invitations/accept", &bo.access, body).await.expect(200);
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

/// A hash of a number is a number for whoever has the key: none stays.
#[tokio::test]
async fn no_hash_of_an_erased_number_stays() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await; // used up
    let other = world.found(&ana, "Other").await;
    for (org, number) in [(other, bo.phone.clone()), (org, phone(3))] {
        let path = format!("/v1/organisations/{org}/invitations");
        world.post(&path, &ana.access, json!({ "phone": number })).await.expect(201);
    }
    world.code(&bo.phone, "sign_in", &device(4)).await;
    let code = world.code(&bo.phone, "cancel", &device(2)).await;
    assert_eq!(world.count("SELECT count(*) FROM invitations WHERE number IS NOT NULL"), 3);
    world.post("/v1/me/cancel", &bo.access, json!({ "code": code })).await.expect(200);
    // That of somebody else is there still.
    assert_eq!(world.count("SELECT count(*) FROM invitations WHERE number IS NOT NULL"), 1);
    assert_eq!(world.count("SELECT count(*) FROM challenges"), 0);
}
