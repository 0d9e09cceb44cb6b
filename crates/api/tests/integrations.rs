//! API keys, webhooks and the access log over the real router.

#![cfg(test)]

mod common;

use std::time::{Duration, Instant};

use common::{Person, World};
use convene_accounts::apikey::KeyScopes;
use convene_store::orgs::{Change, Op, Outcome};
use convene_types::{AccountId, OrgId};
use serde_json::{Value, json};

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
    let presented = format!("{id}.{secret}");
    let key = world.api.keyring().check(&presented).unwrap();
    assert!(key.org == org && key.scopes.has(KeyScopes::AUDIT) && !key.scopes.has(KeyScopes::DIRECTORY));
    let listed = world.get(&keys, &ana.access).await.expect(200).body;
    assert!(!listed.to_string().contains(&secret), "{listed}");
    assert_eq!((listed["keys"][0]["id"].as_str(), listed["keys"][0]["revoked_s"].is_null()), (Some(id.as_str()), true));
    // The same key, and the same secret, after a restart: nothing of it is in the database.
    let world = world.restart().await;
    assert_eq!(world.api.keyring().check(&presented), Some(key));
    let one = format!("{keys}/{id}");
    world.call(&format!("DELETE {one}"), &bo.access, Value::Null).await.refused(404, "not_found");
    world.call(&format!("DELETE {keys}/ck_0"), &ana.access, Value::Null).await.refused(404, "not_found");
    world.call(&format!("DELETE {one}"), &ana.access, Value::Null).await.expect(204);
    assert_eq!(world.api.keyring().check(&presented), None);
    world.call(&format!("DELETE {one}"), &ana.access, Value::Null).await.refused(404, "not_found");
    let world = world.restart().await;
    assert_eq!(world.api.keyring().check(&presented), None);
}

#[tokio::test]
async fn without_a_courier_there_are_no_webhooks() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let hooks = format!("/v1/organisations/{}/webhooks", found(&world, "acme", &ana).await);
    let body = json!({ "url": "https://example.com/", "key": "ck_0", "events": ["rooms"] });
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
