//! API keys, webhooks and the access log over the real router.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_accounts::apikey::KeyScopes;
use convene_outbound::{Client, Courier, CourierOptions, Reach};
use convene_store::orgs::{Change, Op, Outcome};
use convene_types::{AccountId, OrgId};
use serde_json::{Value, json};

use crate::common::{Person, World};

async fn found(world: &World, name: &str, owner: &Person) -> OrgId {
    let owner = AccountId(owner.account);
    let change = Change::Found { name: name.into(), title: name.into(), owner };
    let op = Op { org: OrgId(0), by: owner, address: String::new(), change, once: None };
    match world.api.change(op).await {
        Ok(Outcome::Joined { org, .. }) => org,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_good_until_it_is_revoked() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = found(&world, "acme", &ana).await;
    let keys = format!("/v1/organisations/{org}/keys");
    let wanted = json!({ "title": "backend", "scopes": ["rooms", "audit"] });
    world.post(&keys, "", wanted.clone()).await.refused(401, "unauthenticated");
    world.post(&keys, &bo.access, wanted.clone()).await.refused(404, "not_found");
    world.get(&keys, &bo.access).await.refused(404, "not_found");
    world.get("/v1/organisations/x/keys", &ana.access).await.refused(404, "not_found");
    for wrong in [json!([]), json!(["all"]), json!(["rooms", "x"])] {
        let body = json!({ "title": "backend", "scopes": wrong });
        world.post(&keys, &ana.access, body).await.refused(422, "bad_value");
    }
    world.post(&keys, &ana.access, json!({ "title": "", "scopes": ["rooms"] })).await.refused(422, "bad_name");
    let made = world.post(&keys, &ana.access, wanted).await.expect(201);
    let (id, secret) = (made.text("id"), made.text("secret"));
    assert_eq!(made.text("room_prefix"), format!("o{org}:"));
    let good = |world: &World| world.api.keyring().find(&id);
    let (key, known) = good(&world).unwrap();
    assert!(key.org == org && key.scopes.has(KeyScopes::AUDIT) && !key.scopes.has(KeyScopes::DIRECTORY));
    assert_eq!(known, secret);
    let listed = world.get(&keys, &ana.access).await.expect(200).body;
    assert!(!listed.to_string().contains(&secret), "{listed}");
    assert_eq!((listed["keys"][0]["id"].as_str(), listed["keys"][0]["revoked_s"].is_null()), (Some(id.as_str()), true));
    // The same key, and the same secret, after a restart: nothing of it is in the database.
    let world = world.restart().await;
    assert_eq!(good(&world), Some((key, secret.clone())));
    let (audit, token) = (format!("/v1/organisations/{org}/audit"), World::signed(&id, &secret));
    world.get(&audit, &token).await.expect(200);
    world.get(&audit, &World::signed(&id, "guess")).await.refused(401, "unauthenticated");
    let one = format!("{keys}/{id}");
    world.call(&format!("DELETE {one}"), &bo.access, Value::Null).await.refused(404, "not_found");
    world.call(&format!("DELETE {keys}/ck_0"), &ana.access, Value::Null).await.refused(404, "not_found");
    world.call(&format!("DELETE {one}"), &ana.access, Value::Null).await.expect(204);
    assert_eq!(good(&world), None);
    world.get(&audit, &token).await.refused(401, "unauthenticated");
    world.call(&format!("DELETE {one}"), &ana.access, Value::Null).await.refused(404, "not_found");
    let world = world.restart().await;
    assert_eq!(good(&world), None);
}

#[tokio::test]
async fn a_key_that_is_asked_for_again_is_the_same_and_has_the_same_secret() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let keys = format!("/v1/organisations/{}/keys", found(&world, "acme", &ana).await);
    let wanted = json!({ "title": "backend", "scopes": ["directory"] });
    let ask = async |once: &str, body: &Value| {
        world.with(&format!("POST {keys}"), &ana.access, &[("idempotency-key", once)], body.clone()).await
    };
    let first = ask("one", &wanted).await.expect(201);
    let again = ask("one", &wanted).await.expect(201);
    assert_eq!(first.body, again.body);
    assert!(!first.text("secret").is_empty());
    ask("one", &json!({ "title": "other", "scopes": ["directory"] })).await.refused(409, "conflict");
    let second = ask("two", &wanted).await.expect(201);
    assert_ne!(second.text("id"), first.text("id"));
    assert_eq!(world.get(&keys, &ana.access).await.body["keys"].as_array().unwrap().len(), 2);
    // Asked for again after its end, it does not come back.
    world.call(&format!("DELETE {keys}/{}", first.text("id")), &ana.access, Value::Null).await.expect(204);
    assert_eq!(ask("one", &wanted).await.expect(201).body, first.body);
    assert!(world.api.keyring().find(&first.text("id")).is_none());
}

fn courier(world: &World) -> Courier {
    let client = |reach| Client::new(reach).unwrap();
    Courier::new(CourierOptions {
        store: world.store.clone(),
        keyring: world.api.keyring().clone(),
        keys: HashMap::new(),
        own: client(Reach::Anywhere),
        others: client(Reach::Public),
        metrics: Arc::clone(&world.metrics),
    })
}

#[tokio::test]
async fn a_webhook_that_is_asked_for_again_is_the_same() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let base = format!("/v1/organisations/{}", found(&world, "acme", &ana).await);
    drop(world.api.clone().with_courier(courier(&world)));
    let key = json!({ "title": "backend", "scopes": ["rooms"] });
    let key = world.post(&format!("{base}/keys"), &ana.access, key).await.expect(201).text("id");
    let hooks = format!("{base}/webhooks");
    let wanted = |url: &str| json!({ "url": url, "key": key, "events": ["calls", "messages"] });
    let ask = async |token: &str, once: &str, body: Value| {
        world.with(&format!("POST {hooks}"), token, &[("idempotency-key", once)], body).await
    };
    let first = ask(&ana.access, "one", wanted("https://example.com/hook")).await.expect(201).body;
    assert_eq!(first["events"], json!(["calls", "messages"]));
    assert_eq!(ask(&ana.access, "one", wanted("https://example.com/hook")).await.expect(201).body, first);
    ask(&ana.access, "one", wanted("https://example.com/other")).await.refused(409, "conflict");
    ask(&ana.access, "two", wanted("http://example.com/hook")).await.refused(422, "bad_value");
    ask(&bo.access, "one", wanted("https://example.com/hook")).await.refused(404, "not_found");
    assert_eq!(world.get(&hooks, &ana.access).await.expect(200).body, json!({ "webhooks": [first] }));
    world.call(&format!("DELETE {hooks}/{}", first["id"]), &ana.access, Value::Null).await.expect(204);
    // It was made then, and is gone.
    ask(&ana.access, "one", wanted("https://example.com/hook")).await.refused(404, "not_found");
}

#[tokio::test]
async fn keys_end_with_their_organisation() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let (acme, other) = (found(&world, "acme", &ana).await, found(&world, "other", &bo).await);
    let scopes = json!(["directory"]);
    let (ours, theirs) = (world.program(acme.0, &ana, scopes.clone()).await, world.program(other.0, &bo, scopes).await);
    let (here, there) = (format!("/v1/organisations/{acme}/members"), format!("/v1/organisations/{other}/members"));
    world.get(&here, &ours).await.expect(200);
    let dissolve = format!("/v1/organisations/{acme}/dissolve");
    world.post(&dissolve, &ana.access, json!({ "title": "acme" })).await.expect(204);
    world.get(&here, &ours).await.refused(401, "unauthenticated");
    world.get(&there, &theirs).await.expect(200);
    let world = world.restart().await;
    world.get(&here, &ours).await.refused(401, "unauthenticated");
    world.get(&there, &theirs).await.expect(200);
}

#[tokio::test]
async fn a_program_sees_the_whole_directory_and_nothing_of_a_person() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    // Members see their own department only, and this one is hidden from them.
    let hidden = world.add(org, &ana, "departments", json!({ "name": "Board" })).await;
    let policy = json!({ "directory": "department", "hidden": [hidden], "meetings": "everybody" });
    world.set_policy(org, &ana, policy).await;
    let edit = json!({ "places": [{ "department": hidden }] });
    let anas = format!("/v1/organisations/{org}/members/{}", ana.account);
    world.call(&format!("PATCH {anas}"), &ana.access, edit).await.expect(200);
    world.get(&anas, &bo.access).await.refused(404, "not_found");
    let key = world.program(org, &ana, json!(["directory"])).await;
    let seen = world.get(&anas, &key).await.expect(200).body;
    assert_eq!((seen["member"]["display_name"].as_str(), &seen["waiting"]), (Some("Ana"), &Value::Null));
    let listed = world.get(&format!("/v1/organisations/{org}/members"), &key).await.expect(200).body;
    assert_eq!(listed["members"].as_array().unwrap().len(), 2);
    let found = world.get(&format!("/v1/organisations/{org}/directory?q=ana"), &key).await.expect(200).body;
    assert_eq!(found["members"].as_array().unwrap().len(), 1);
    world.get(&format!("/v1/organisations/{org}/audit"), &key).await.refused(403, "key_not_allowed");
    world.get("/v1/me", &key).await.refused(403, "key_not_allowed");
    world.get("/v1/organisations/x/members", &key).await.refused(404, "not_found");
}

#[tokio::test]
async fn without_a_courier_there_are_no_webhooks() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let hooks = format!("/v1/organisations/{}/webhooks", found(&world, "acme", &ana).await);
    let key = format!("ck_{}", "0".repeat(32));
    let body = json!({ "url": "https://example.com/", "key": key, "events": ["rooms", "calls", "messages"] });
    world.post(&hooks, &ana.access, body).await.refused(503, "unavailable");
    assert_eq!(world.get(&hooks, &ana.access).await.expect(200).body, json!({ "webhooks": [] }));
    world.call(&format!("DELETE {hooks}/1"), &ana.access, Value::Null).await.refused(404, "not_found");
}

#[tokio::test]
async fn people_read_what_was_done_with_their_account() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let agent = [("user-agent", "convene-test/1")];
    world.with("GET /v1/me/sessions", &ana.access, &agent, Value::Null).await.expect(200);
    world.get("/v1/me", "forged").await.refused(401, "unauthenticated");
    world.call("PUT /v1/me/consent", &ana.access, json!({ "version": "7" })).await.refused(403, "consent_needed");
    world.get("/v1/me", &bo.access).await.expect(200);
    let began = Instant::now();
    let entries = loop {
        let body = world.get("/v1/me/access-log", &ana.access).await.expect(200).body;
        let entries = body["entries"].as_array().unwrap().clone();
        if entries.iter().any(|entry| entry["endpoint"] == "PUT /v1/me/consent") {
            break entries;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let find = |endpoint: &str| entries.iter().find(|entry| entry["endpoint"] == endpoint);
    let listed = find("GET /v1/me/sessions").unwrap();
    assert_eq!((listed["client"].as_str(), listed["status"].as_u64()), (Some("convene-test/1"), Some(200)));
    assert_eq!(find("PUT /v1/me/consent").unwrap()["code"], "consent_needed");
    assert_eq!(find("POST /v1/auth/register").unwrap()["status"], 201);
    // Bo's and a stranger's are not hers.
    assert!(find("GET /v1/me").is_none());
    world.get("/v1/me/access-log?before=x", &ana.access).await.refused(400, "malformed");
    assert_eq!(world.get("/v1/me/access-log?before=0", &ana.access).await.expect(200).body, json!({ "entries": [] }));
}
