//! Whom people find, and whom they do not.

use serde_json::{Value, json};

use crate::common::{self, Person, World};

fn names(answer: &common::Answer) -> Vec<String> {
    let rows = answer.body["members"].as_array().unwrap();
    rows.iter().map(|row| row["display_name"].as_str().unwrap().to_owned()).collect()
}

async fn find(world: &World, org: u64, who: &Person, q: &str) -> Vec<String> {
    // As a browser writes it.
    let q: String = q.bytes().map(|byte| format!("%{byte:02x}")).collect();
    names(&world.get(&format!("/v1/organisations/{org}/directory?q={q}"), &who.access).await.expect(200))
}

/// An organisation with an owner, and people with these names.
async fn people(world: &World, named: &[&str]) -> (u64, Person, Vec<Person>) {
    let owner = world.register(100, "Owner").await;
    let org = world.found(&owner, "Acme").await;
    let mut people = Vec::new();
    for (n, name) in (1..).zip(named) {
        let person = world.register(n, name).await;
        world.let_in(org, &owner, &person).await;
        people.push(person);
    }
    (org, owner, people)
}

async fn stand(world: &World, org: u64, owner: &Person, who: &Person, department: u64) {
    let path = format!("PATCH /v1/organisations/{org}/members/{}", who.account);
    world.call(&path, &owner.access, json!({ "places": [{ "department": department }] })).await.expect(200);
}

#[tokio::test]
async fn people_are_found_by_name_pinyin_and_initials() {
    let world = World::start().await;
    let (org, _, people) = people(&world, &["张伟明", "章文", "Ana de Souza", "单丽"]).await;
    let me = &people[0];
    for (q, want) in [
        ("张", &["张伟明"][..]),
        ("zhang", &["张伟明", "章文"]),
        ("ZHANG W", &["张伟明", "章文"]),
        ("zw", &["章文", "张伟明"]),
        ("zwm", &["张伟明"]),
        ("wei", &["张伟明"]),
        ("souza", &["Ana de Souza"]),
        ("shanl", &["单丽"]),
        ("danl", &["单丽"]),
        ("nobody", &[]),
        ("'", &[]),
        ("", &[]),
    ] {
        let mut found = find(&world, org, me, q).await;
        let mut want: Vec<_> = want.iter().map(|name| (*name).to_owned()).collect();
        found.sort();
        want.sort();
        assert_eq!(found, want, "{q}");
    }
    world.get(&format!("/v1/organisations/{org}/directory"), &me.access).await.refused(400, "malformed");
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let world = World::start().await;
    let named: Vec<String> = (0..7).map(|n| format!("Zoe {}", char::from(b'a' + n))).collect();
    let (org, owner, _) = people(&world, &named.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (path, most) in [("members?", 8), ("directory?q=z&", 7)] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/organisations/{org}/{path}limit=3{cursor}");
            let page = world.get(&path, &owner.access).await.expect(200);
            found.extend(names(&page));
            let Some(next) = page.body["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut once = found.clone();
        once.dedup();
        assert_eq!((found.len(), once.len()), (most, most), "{path} {found:?}");
        assert!(found.is_sorted(), "{found:?}");
    }
    for wrong in ["limit=0", "limit=201", "limit=x", "cursor=1", "cursor=x-00"] {
        world.get(&format!("/v1/organisations/{org}/members?{wrong}"), &owner.access).await.refused(400, "malformed");
    }
}

#[tokio::test]
async fn a_number_finds_its_holder_where_the_policy_lets() {
    let world = World::start().await;
    let (org, owner, people) = people(&world, &["Ana", "Bo"]).await;
    let stranger = world.register(50, "Stranger").await;
    assert_eq!(find(&world, org, &owner, &people[1].phone).await, ["Bo"]);
    assert_eq!(find(&world, org, &owner, "138 0000 0002").await, ["Bo"]);
    assert!(find(&world, org, &people[0], &people[1].phone).await.is_empty());
    let policy = json!({ "directory": "everybody", "meetings": "everybody", "find_by_number": true });
    world.set_policy(org, &owner, policy).await;
    assert_eq!(find(&world, org, &people[0], &people[1].phone).await, ["Bo"]);
    // Who is not in the organisation has no number there; part of a number finds nobody.
    for nobody in [stranger.phone.as_str(), "+8613900000000", "1380000", "+86138000000"] {
        assert!(find(&world, org, &people[0], nobody).await.is_empty(), "{nobody}");
    }
}

#[tokio::test]
async fn what_the_policy_hides_is_found_by_no_way() {
    let world = World::start().await;
    let (org, owner, people) = people(&world, &["Ana", "Bo", "Cy"]).await;
    let sales = world.add(org, &owner, "departments", json!({ "name": "Sales" })).await;
    let board = world.add(org, &owner, "departments", json!({ "name": "Board" })).await;
    stand(&world, org, &owner, &people[0], sales).await;
    stand(&world, org, &owner, &people[1], sales).await;
    stand(&world, org, &owner, &people[2], board).await;
    let policy = |directory: &str, hidden: &[u64]| json!({ "directory": directory, "hidden": hidden, "meetings": "everybody", "find_by_number": true });
    for hiding in [policy("department", &[]), policy("everybody", &[board])] {
        world.set_policy(org, &owner, hiding).await;
        let (ana, cy) = (&people[0], &people[2]);
        assert!(find(&world, org, ana, "cy").await.is_empty());
        assert!(find(&world, org, ana, &cy.phone).await.is_empty());
        assert_eq!(find(&world, org, ana, "bo").await, ["Bo"]);
        assert_eq!(find(&world, org, &owner, "cy").await, ["Cy"]);
        let listed = names(&world.get(&format!("/v1/organisations/{org}/members"), &ana.access).await);
        assert!(listed.contains(&"Bo".to_owned()) && !listed.contains(&"Cy".to_owned()), "{listed:?}");
        let path = format!("/v1/organisations/{org}/members?department={board}");
        assert!(names(&world.get(&path, &ana.access).await.expect(200)).is_empty());
        let path = format!("/v1/organisations/{org}/members/{}", cy.account);
        world.get(&path, &ana.access).await.refused(404, "not_found");
        world
            .call(&format!("PUT /v1/me/contacts/{org}/{}", cy.account), &ana.access, json!({}))
            .await
            .refused(404, "not_found");
        let tree = world.get(&format!("/v1/organisations/{org}/departments"), &ana.access).await.expect(200);
        let shown: Vec<_> =
            tree.body["departments"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect();
        assert_eq!(shown, [sales]);
    }
}

#[tokio::test]
async fn the_address_book() {
    let world = World::start().await;
    let (org, owner, people) = people(&world, &["Ana", "Bo"]).await;
    let (ana, bo) = (&people[0], &people[1]);
    let stranger = world.register(50, "Stranger").await;
    let entry = |who: &Person| format!("/v1/me/contacts/{org}/{}", who.account);
    world.call(&format!("PUT {}", entry(bo)), &ana.access, json!({ "note": "met in May" })).await.expect(204);
    world.call(&format!("PUT {}", entry(&owner)), &ana.access, json!({})).await.expect(204);
    world.call(&format!("PUT {}", entry(&stranger)), &ana.access, json!({})).await.refused(404, "not_found");
    world.call(&format!("PUT {}", entry(bo)), &stranger.access, json!({})).await.refused(404, "not_found");
    let first = world.get("/v1/me/contacts?limit=1", &ana.access).await.expect(200);
    let second =
        world.get(&format!("/v1/me/contacts?limit=1&cursor={}", first.text("next")), &ana.access).await.expect(200);
    let mut notes = vec![first.body["contacts"][0]["note"].clone(), second.body["contacts"][0]["note"].clone()];
    notes.sort_by_key(Value::to_string);
    assert_eq!(notes, [json!(""), json!("met in May")]);
    world.call(&format!("DELETE {}", entry(bo)), &ana.access, Value::Null).await.expect(204);
    world.call(&format!("DELETE {}", entry(bo)), &ana.access, Value::Null).await.refused(404, "not_found");
    assert_eq!(world.get("/v1/me/contacts", &ana.access).await.body["contacts"].as_array().unwrap().len(), 1);
}
