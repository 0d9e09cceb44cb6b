//! Organisations over HTTP: who comes in and how, what they are called and where they stand, what is kept of it.

use std::time::Duration;

use convene_accounts::role::Role;
use convene_api::Change;
use convene_store::orgs::{self, Outcome};
use convene_types::{AccountId, OrgId};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::common::{self, Person, World};

/// An owner, a member, and their organisation.
async fn two(world: &World) -> (u64, Person, Person) {
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    (org, ana, bo)
}

fn member(org: u64, of: &Person) -> String {
    format!("/v1/organisations/{org}/members/{}", of.account)
}

#[tokio::test]
async fn founding_inviting_and_leaving() {
    let world = World::start().await;
    let mut changes = world.api.changes();
    let (org, ana, bo) = two(&world).await;
    let mine = world.get("/v1/organisations", &bo.access).await.expect(200);
    assert_eq!(mine.body["organisations"][0]["title"], "Acme");
    assert_eq!(mine.body["organisations"][0]["role"], "member");
    assert_eq!(world.get(&format!("/v1/organisations/{org}"), &ana.access).await.expect(200).number("members"), 2);

    // The last owner stays until there is another one.
    let leave = format!("/v1/organisations/{org}/leave");
    world.post(&leave, &ana.access, Value::Null).await.refused(409, "last_owner");
    world.set_role(org, &ana, &bo, json!({ "role": "owner" })).await;
    world.post(&leave, &ana.access, Value::Null).await.expect(204);
    world.get(&format!("/v1/organisations/{org}"), &ana.access).await.refused(404, "not_found");

    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        let mut about = ("other", 0);
        if let Change::Joined { account, .. } = &change {
            about = ("joined", account.0);
        } else if let Change::Role { account, .. } = &change {
            about = ("role", account.0);
        } else if let Change::Removed { account, .. } = &change {
            about = ("removed", account.0);
        }
        told.push(about);
    }
    assert_eq!(told, [("joined", ana.account), ("joined", bo.account), ("role", bo.account), ("removed", ana.account)]);
}

#[tokio::test]
async fn an_invitation_by_number_is_for_its_holder_and_does_not_tell_who_has_an_account() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let path = format!("/v1/organisations/{org}/invitations");
    let eve = world.register(3, "Eve").await;
    let known = world.post(&path, &ana.access, json!({ "phone": eve.phone })).await.expect(201);
    let unknown = world.post(&path, &ana.access, json!({ "phone": common::phone(4) })).await.expect(201);
    assert_eq!((&known.body["link_token"], &unknown.body["link_token"]), (&Value::Null, &Value::Null));
    world.post(&path, &bo.access, json!({ "phone": eve.phone })).await.refused(403, "forbidden");

    let listed = world.get(&path, &ana.access).await.expect(200);
    let numbers: Vec<_> =
        listed.body["invitations"].as_array().unwrap().iter().map(|row| row["phone"].clone()).collect();
    assert_eq!(numbers, [json!(common::phone(4)), json!(eve.phone)]);
    let own = world.get("/v1/me/invitations", &eve.access).await.expect(200);
    assert_eq!(own.body["invitations"][0]["title"], "Acme");

    let accept = |id: u64| format!("/v1/me/invitations/{id}/accept");
    let id = known.number("id");
    world.post(&accept(id), &bo.access, Value::Null).await.refused(410, "invitation_ended");
    world.post(&accept(id), &eve.access, Value::Null).await.expect(200);
    world.post(&accept(id), &eve.access, Value::Null).await.refused(410, "invitation_ended");
    let withdraw = format!("DELETE {path}/{}", unknown.number("id"));
    world.call(&withdraw, &ana.access, Value::Null).await.expect(204);
    world.call(&withdraw, &ana.access, Value::Null).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_link_lets_in_whoever_has_it_or_asks_first() {
    let world = World::start().await;
    let (org, ana, _) = two(&world).await;
    let path = format!("/v1/organisations/{org}/invitations");
    world.post(&path, &ana.access, json!({ "uses": 0 })).await.refused(422, "bad_value");
    world.post(&path, &ana.access, json!({})).await.refused(400, "malformed");
    let open = world.post(&path, &ana.access, json!({ "uses": 1 })).await.expect(201).text("link_token");
    let (cy, di) = (world.register(3, "Cy").await, world.register(4, "Di").await);
    let accept = async |who: &Person, token: &str| {
        world.post("/v1/invitations/accept", &who.access, json!({ "link_token": token })).await
    };
    accept(&cy, "cvi_nothing").await.refused(410, "invitation_ended");
    accept(&cy, &open).await.expect(200);
    accept(&di, &open).await.refused(410, "invitation_ended");

    let asks = json!({ "uses": 9, "needs_approval": true });
    let asking = world.post(&path, &ana.access, asks).await.expect(201).text("link_token");
    let request = accept(&di, &asking).await.expect(200).number("request");
    accept(&di, &asking).await.refused(409, "conflict");
    let listed = world.get(&format!("/v1/organisations/{org}/join-requests"), &ana.access).await.expect(200);
    assert_eq!(listed.body["requests"][0]["display_name"], "Di");
    let decide = format!("/v1/organisations/{org}/join-requests/{request}");
    world.post(&decide, &cy.access, json!({ "approve": true })).await.refused(403, "forbidden");
    world.post(&decide, &ana.access, json!({ "approve": true })).await.expect(204);
    world.post(&decide, &ana.access, json!({ "approve": false })).await.refused(409, "already_decided");
    world.get(&member(org, &di), &di.access).await.expect(200);
}

#[tokio::test]
async fn profiles_are_edited_as_the_policy_says() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let policy = json!({ "fields": [{ "field": "email", "edit": "approval" }, { "field": "workplace", "edit": "locked" }],
        "directory": "everybody", "meetings": "everybody" });
    world.set_policy(org, &ana, policy).await;
    let edit =
        async |who: &Person, body: Value| world.call(&format!("PATCH {}", member(org, &bo)), &who.access, body).await;
    edit(&bo, json!({ "workplace": "here" })).await.refused(403, "field_locked");
    edit(&bo, json!({ "email": "nonsense" })).await.refused(422, "bad_value");
    let edited = edit(&bo, json!({ "about": "hello", "email": "bo@example.org" })).await.expect(200);
    assert_eq!((&edited.body["member"]["about"], &edited.body["member"]["email"]), (&json!("hello"), &json!("")));
    assert_eq!(edited.body["waiting"]["edit"], json!({ "email": "bo@example.org" }));
    let request = edited.body["waiting"]["id"].as_u64().unwrap();
    // What waits is between the member and the administrators.
    assert_eq!(world.get(&member(org, &bo), &ana.access).await.body["waiting"], Value::Null);

    let requests = format!("/v1/organisations/{org}/edit-requests");
    world.get(&requests, &bo.access).await.refused(403, "forbidden");
    assert_eq!(world.get(&requests, &ana.access).await.expect(200).body["requests"][0]["account"], bo.account);
    world
        .post(&format!("{requests}/{request}"), &bo.access, json!({ "approve": true }))
        .await
        .refused(403, "forbidden");
    let mut changes = world.api.changes();
    world.post(&format!("{requests}/{request}"), &ana.access, json!({ "approve": true })).await.expect(204);
    assert!(matches!(changes.try_recv(), Ok(Change::Profile { account, .. }) if account.0 == bo.account));
    assert_eq!(world.get(&member(org, &bo), &ana.access).await.body["member"]["email"], "bo@example.org");

    // Taken back by who asked.
    let again = edit(&bo, json!({ "email": "bob@example.org" })).await.expect(200);
    let request = again.body["waiting"]["id"].as_u64().unwrap();
    world.post(&format!("{requests}/{request}"), &bo.access, json!({ "approve": false })).await.expect(204);
    world
        .post(&format!("{requests}/{request}"), &ana.access, json!({ "approve": true }))
        .await
        .refused(409, "already_decided");
    edit(&ana, json!({ "workplace": "there", "display_name": "Bo B" })).await.expect(200);
}

#[tokio::test]
async fn what_is_made_while_nothing_can_be_read_is_answered_as_made_and_told_later() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let policy = json!({ "fields": [{ "field": "email", "edit": "approval" }],
        "directory": "everybody", "meetings": "everybody" });
    world.set_policy(org, &ana, policy).await;
    let edit = json!({ "email": "bo@example.org" });
    let asked = world.call(&format!("PATCH {}", member(org, &bo)), &bo.access, edit).await.expect(200);
    let request = asked.body["waiting"]["id"].as_u64().unwrap();

    let mut changes = world.api.changes();
    let held = world.refuse_reads().await;
    let decide = format!("/v1/organisations/{org}/edit-requests/{request}");
    world.post(&decide, &ana.access, json!({ "approve": true })).await.expect(204);
    let (account, by) = (AccountId(bo.account), AccountId(ana.account));
    let change = orgs::Change::SetRole { account, role: Role::Owner };
    let op = orgs::Op { org: OrgId(org), by, address: String::new(), change, once: None };
    assert_eq!(world.api.change(op).await.unwrap(), Outcome::Done);
    assert!(changes.try_recv().is_err(), "nothing can be read for it yet");

    drop(held);
    let mut next = async || timeout(Duration::from_secs(20), changes.recv()).await.unwrap().unwrap();
    let mut told = [next().await, next().await];
    told.sort_by_key(|told| matches!(told, Change::Role { .. }));
    let [Change::Profile { account: edited, .. }, Change::Role { account: raised, role, .. }] = &told else {
        panic!("{told:?}")
    };
    assert_eq!((edited, raised, role), (&account, &account, &Role::Owner));
}

#[tokio::test]
async fn departments_and_positions() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let top = world.add(org, &ana, "departments", json!({ "name": "Sales" })).await;
    let low = world.add(org, &ana, "departments", json!({ "name": "North", "parent": top, "rank": 2 })).await;
    let head = world.add(org, &ana, "positions", json!({ "name": "Head" })).await;
    let path = format!("/v1/organisations/{org}/departments");
    world.post(&path, &ana.access, json!({ "name": "Sales" })).await.refused(409, "name_taken");
    let change = async |id: u64, body: Value| world.call(&format!("PUT {path}/{id}"), &ana.access, body).await;
    change(top, json!({ "name": "Sales", "parent": low })).await.refused(409, "department_cycle");
    change(low, json!({ "name": "South", "parent": top })).await.expect(204);
    let places = json!({ "places": [{ "department": low, "position": head }] });
    world.call(&format!("PATCH {}", member(org, &bo)), &ana.access, places).await.expect(200);
    world.call(&format!("DELETE {path}/{low}"), &ana.access, Value::Null).await.refused(409, "department_not_empty");

    let tree = world.get(&path, &bo.access).await.expect(200);
    let shown: Vec<_> = tree.body["departments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].clone(), row["members"].clone(), row["total"].clone()))
        .collect();
    assert_eq!(shown, [(json!("Sales"), json!(0), json!(1)), (json!("South"), json!(1), json!(1))]);
    let tag = tree.header("etag").to_owned();
    let same =
        world.with(&format!("GET {path}"), &bo.access, &[("if-none-match", &tag)], Value::Null).await.expect(304);
    assert_eq!((same.header("etag"), &same.body), (tag.as_str(), &Value::Null));
    let below = world.get(&format!("{path}?parent={top}"), &bo.access).await.expect(200);
    assert_eq!(below.body["departments"].as_array().unwrap().len(), 1);
    let inside = world.get(&format!("/v1/organisations/{org}/members?department={low}"), &ana.access).await.expect(200);
    assert_eq!(inside.body["members"][0]["account"], bo.account);

    let positions = format!("/v1/organisations/{org}/positions");
    assert_eq!(world.get(&positions, &bo.access).await.expect(200).body["positions"][0]["name"], "Head");
    world.call(&format!("PUT {positions}/{head}"), &ana.access, json!({ "name": "Boss" })).await.expect(204);
    world.call(&format!("DELETE {positions}/{head}"), &ana.access, Value::Null).await.expect(204);
    assert_eq!(
        world.get(&member(org, &bo), &bo.access).await.body["member"]["places"],
        json!([{ "department": low, "position": null }])
    );
}

#[tokio::test]
async fn a_policy_is_replaced_only_as_it_was_read() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let path = format!("/v1/organisations/{org}/policy");
    let policy = |days: u32| json!({ "directory": "everybody", "meetings": "admins", "retention_days": days });
    let set = async |who: &Person, tag: &[(&str, &str)], days: u32| {
        world.with(&format!("PUT {path}"), &who.access, tag, policy(days)).await
    };
    let tag = world.get(&path, &ana.access).await.expect(200).header("etag").to_owned();
    set(&ana, &[], 30).await.refused(400, "malformed");
    set(&bo, &[("if-match", &tag)], 30).await.refused(403, "forbidden");
    set(&ana, &[("if-match", &tag)], 0).await.refused(422, "bad_value");
    let next = set(&ana, &[("if-match", &tag)], 30).await.expect(204).header("etag").to_owned();
    set(&ana, &[("if-match", &tag)], 60).await.refused(412, "stale");
    set(&ana, &[("if-match", &next)], 60).await.expect(204);
    assert_eq!(world.get(&path, &bo.access).await.expect(200).number("retention_days"), 60);
}

#[tokio::test]
async fn what_was_done_is_on_record() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let path = format!("/v1/organisations/{org}/audit");
    world.get(&path, &bo.access).await.refused(403, "forbidden");
    world.set_role(org, &ana, &bo, json!({ "role": "admin", "scopes": ["audit"] })).await;
    let first = world.get(&format!("{path}?limit=2"), &bo.access).await.expect(200);
    let acts = |answer: &common::Answer| -> Vec<String> {
        answer.body["records"].as_array().unwrap().iter().map(|row| row["act"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(acts(&first), ["member.role", "member.join"]);
    let second = world.get(&format!("{path}?limit=2&cursor={}", first.text("next")), &bo.access).await.expect(200);
    assert_eq!(acts(&second), ["invitation.make", "organisation.found"]);
    assert_eq!(second.body["next"], Value::Null);
    // No number is in it.
    assert!(!format!("{}{}", first.body, second.body).contains(bo.phone.trim_start_matches("+86")));

    let checked = world.get(&format!("{path}/check"), &bo.access).await.expect(200);
    assert_eq!((&checked.body["sound"], checked.number("records")), (&json!(true), 4));
    world.damage("DELETE FROM audit WHERE number = 2");
    let checked = world.get(&format!("{path}/check"), &bo.access).await.expect(200);
    assert_eq!((&checked.body["sound"], &checked.body["fault"]), (&json!(false), &json!("audit record 2 is missing")));
}

#[tokio::test]
async fn a_dissolved_organisation_is_gone() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let path = format!("/v1/organisations/{org}/dissolve");
    let mut changes = world.api.changes();
    world.post(&path, &bo.access, json!({ "title": "Acme" })).await.refused(403, "forbidden");
    world.post(&path, &ana.access, json!({ "title": "Other" })).await.refused(422, "bad_value");
    world.post(&path, &ana.access, json!({ "title": "Acme" })).await.expect(204);
    assert!(matches!(changes.try_recv(), Ok(Change::Dissolved { org: told }) if told.0 == org));
    for who in [&ana, &bo] {
        world.get(&format!("/v1/organisations/{org}"), &who.access).await.refused(404, "not_found");
        assert_eq!(world.get("/v1/organisations", &who.access).await.expect(200).body["organisations"], json!([]));
    }
}

#[tokio::test]
async fn a_repeated_creation_makes_one_thing() {
    let world = World::start().await;
    let (org, ana, bo) = two(&world).await;
    let key = [("idempotency-key", "2f1c")];
    let make = async |who: &Person, what: &str, body: Value| {
        world.with(&format!("POST /v1/organisations/{org}/{what}"), &who.access, &key, body).await
    };
    let first = make(&ana, "departments", json!({ "name": "Sales" })).await.expect(201);
    let again = make(&ana, "departments", json!({ "name": "Sales" })).await.expect(201);
    assert_eq!(first.body, again.body);
    make(&ana, "departments", json!({ "name": "Other" })).await.refused(409, "conflict");
    make(&ana, "positions", json!({ "name": "Sales" })).await.refused(409, "conflict");
    // Somebody else's key is another one.
    make(&bo, "departments", json!({ "name": "Sales" })).await.refused(403, "forbidden");
    let world = world.restart().await;
    let path = format!("POST /v1/organisations/{org}/departments");
    let after = world.with(&path, &ana.access, &key, json!({ "name": "Sales" })).await.expect(201);
    assert_eq!(first.body, after.body);
    // A link is answered with the same secret.
    let path = format!("POST /v1/organisations/{org}/invitations");
    let key = [("idempotency-key", "other")];
    let link = world.with(&path, &ana.access, &key, json!({ "uses": 3 })).await.expect(201);
    let again = world.with(&path, &ana.access, &key, json!({ "uses": 3 })).await.expect(201);
    assert_eq!(link.body, again.body);
    assert_ne!(
        link.body["link_token"],
        world.post(path.trim_start_matches("POST "), &ana.access, json!({ "uses": 3 })).await.expect(201).body["link_token"]
    );
    world.with(&path, &ana.access, &[("idempotency-key", "")], json!({ "uses": 3 })).await.refused(400, "malformed");
}
