//! The access log of members, as administrators read it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Person, World};

/// Entries are written within a second; so long is waited for them.
const DEADLINE: Duration = Duration::from_secs(20);

async fn entries(world: &World, path: &str, by: &Person, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let wait = async {
        loop {
            let page = world.get(path, &by.access).await.expect(200).body;
            let entries = page["entries"].as_array().unwrap().clone();
            if enough(&entries) {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("in time")
}

#[tokio::test]
async fn who_may_audit_sees_what_members_ask_for_and_is_seen_doing_so() {
    let world = World::start().await;
    let (ana, bo, cy, dan) = (
        world.register(1, "Ana").await,
        world.register(2, "Bo").await,
        world.register(3, "Cy").await,
        world.register(4, "Dan").await,
    );
    let (org, other) = (world.found(&ana, "Acme").await, world.found(&cy, "Other").await);
    for guest in [&bo, &dan] {
        world.let_in(org, &ana, guest).await;
    }
    world.set_role(org, &ana, &dan, json!({ "role": "admin", "scopes": ["audit"] })).await;
    let path = format!("/v1/organisations/{org}/accesses");
    world.get("/v1/me/devices", &bo.access).await.expect(200);
    world.get("/v1/me/devices", &cy.access).await.expect(200);
    let has = |entries: &[Value], account: u64| {
        entries.iter().any(|entry| entry["account"] == account && entry["endpoint"] == "GET /v1/me/devices")
    };
    let seen = entries(&world, &path, &dan, |entries| has(entries, bo.account)).await;
    // Only of those who are in it.
    assert!(seen.iter().all(|entry| entry["account"] != cy.account), "{seen:?}");
    assert!(has(
        &entries(&world, &format!("/v1/organisations/{other}/accesses"), &cy, |all| has(all, cy.account)).await,
        cy.account
    ));
    let of = format!("{path}?account={}", bo.account);
    assert!(entries(&world, &of, &dan, |all| !all.is_empty()).await.iter().all(|entry| entry["account"] == bo.account));
    let strangers = world.get(&format!("{path}?account={}", cy.account), &dan.access).await.expect(200);
    assert_eq!(strangers.body["entries"], json!([]));
    // In pages, each entry once.
    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let page = world.get(&format!("{path}?limit=2{cursor}"), &dan.access).await.expect(200).body;
        found.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["at_s"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(found.len() >= 3 && found.is_sorted_by(|a, b| a >= b), "{found:?}");
    for (who, status, code) in [(&bo, 403, "forbidden"), (&cy, 404, "not_found")] {
        world.get(&path, &who.access).await.refused(status, code);
    }
    let log = world.get(&format!("/v1/organisations/{org}/audit"), &ana.access).await.expect(200);
    let record = &log.body["records"][0];
    assert_eq!((&record["act"], &record["actor"]), (&json!("accesses.read"), &json!(dan.account)));
    // What they did before they came is not the organisation's.
    world
        .call(&format!("DELETE /v1/organisations/{org}/members/{}", bo.account), &ana.access, Value::Null)
        .await
        .expect(204);
    assert_eq!(world.get(&of, &dan.access).await.expect(200).body["entries"], json!([]));
}
