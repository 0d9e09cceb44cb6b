//! Who may do what: every route by everybody, against a table. The table is compared with the document that the router
//! itself makes, so that a route without a row fails.
//!
//! Each row has an organisation of its own, and each cell things of its own to act on.

use serde_json::{Value, json};

use crate::common::{self, Answer, Person, World};

/// What stands in the place of an id.
struct Target {
    world: World,
    org: u64,
    owner: Person,
    /// Whom a token speaks for, and the token.
    cast: Vec<(&'static str, String)>,
    eve: Person,
    next: std::cell::Cell<u32>,
}

const CAST: [&str; 9] = [
    "anonymous",
    "other organisation",
    "removed",
    "member",
    "admin departments",
    "admin members",
    "owner",
    "key with scopes",
    "key without",
];

/// Statuses in the order of [`CAST`].
type Row = (&'static str, [u16; 9]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Without a token: the body that is sent here is empty, and that is what is refused.
    ("POST /v1/auth/codes", [400; 9]),
    ("POST /v1/auth/register", [400; 9]),
    ("POST /v1/auth/sign-in", [400; 9]),
    ("POST /v1/auth/reset", [400; 9]),
    ("POST /v1/auth/refresh", [400; 9]),
    // Of oneself.
    ("POST /v1/auth/sign-out", [401, 204, 204, 204, 204, 204, 204, 403, 403]),
    ("GET /v1/me", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("PATCH /v1/me", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    // What is sent is no picture, and signed is nothing.
    ("PUT /v1/me/avatar", [401, 422, 422, 422, 422, 422, 422, 403, 403]),
    ("DELETE /v1/me/avatar", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("GET /v1/pictures/{account}/{name}", [404; 9]),
    ("POST /v1/me/export", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("GET /v1/me/join-requests", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("DELETE /v1/me/join-requests/{request}", [401, 404, 404, 404, 404, 404, 404, 403, 403]),
    ("PUT /v1/me/password", [401, 204, 204, 204, 204, 204, 204, 403, 403]),
    ("PUT /v1/me/consent", [401, 204, 204, 204, 204, 204, 204, 403, 403]),
    ("PUT /v1/me/number", [401, 422, 422, 422, 422, 422, 422, 403, 403]),
    ("POST /v1/me/cancel", [401, 422, 422, 422, 422, 422, 422, 403, 403]),
    ("GET /v1/me/access-log", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("GET /v1/me/sessions", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("DELETE /v1/me/sessions/{id}", [401, 404, 404, 404, 404, 404, 404, 403, 403]),
    ("GET /v1/me/devices", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("DELETE /v1/me/devices/{id}", [401, 404, 404, 404, 404, 404, 404, 403, 403]),
    ("GET /v1/me/invitations", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("POST /v1/me/invitations/{invitation}/accept", [401, 410, 410, 410, 410, 410, 410, 403, 403]),
    ("POST /v1/invitations/accept", [401, 410, 410, 410, 410, 410, 410, 403, 403]),
    ("GET /v1/me/contacts", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("PUT /v1/me/contacts/{org}/{account}", [401, 404, 404, 204, 204, 204, 204, 403, 403]),
    ("DELETE /v1/me/contacts/{org}/{account}", [401, 404, 404, 404, 404, 404, 404, 403, 403]),
    // Of an organisation.
    ("GET /v1/organisations", [401, 200, 200, 200, 200, 200, 200, 403, 403]),
    ("POST /v1/organisations", [401, 201, 201, 201, 201, 201, 201, 403, 403]),
    ("GET /v1/organisations/{org}", [401, 404, 404, 200, 200, 200, 200, 403, 403]),
    ("PATCH /v1/organisations/{org}", [401, 404, 404, 403, 403, 403, 204, 403, 403]),
    // With the organisation its keys are gone.
    ("POST /v1/organisations/{org}/dissolve", [401, 404, 404, 403, 403, 403, 204, 401, 401]),
    ("POST /v1/organisations/{org}/leave", [401, 404, 404, 204, 204, 204, 409, 403, 403]),
    ("GET /v1/organisations/{org}/members", [401, 404, 404, 200, 200, 200, 200, 200, 403]),
    ("GET /v1/organisations/{org}/members/{account}", [401, 404, 404, 200, 200, 200, 200, 200, 403]),
    ("PATCH /v1/organisations/{org}/members/{account}", [401, 404, 404, 403, 403, 200, 200, 403, 403]),
    ("DELETE /v1/organisations/{org}/members/{account}", [401, 404, 404, 403, 403, 204, 204, 403, 403]),
    ("PUT /v1/organisations/{org}/members/{account}/role", [401, 404, 404, 403, 403, 403, 204, 403, 403]),
    ("GET /v1/organisations/{org}/directory", [401, 404, 404, 200, 200, 200, 200, 200, 403]),
    ("GET /v1/organisations/{org}/departments", [401, 404, 404, 200, 200, 200, 200, 200, 403]),
    ("POST /v1/organisations/{org}/departments", [401, 404, 404, 403, 201, 403, 201, 403, 403]),
    ("PUT /v1/organisations/{org}/departments/{department}", [401, 404, 404, 403, 204, 403, 204, 403, 403]),
    ("DELETE /v1/organisations/{org}/departments/{department}", [401, 404, 404, 403, 204, 403, 204, 403, 403]),
    ("GET /v1/organisations/{org}/positions", [401, 404, 404, 200, 200, 200, 200, 200, 403]),
    ("POST /v1/organisations/{org}/positions", [401, 404, 404, 403, 201, 403, 201, 403, 403]),
    ("PUT /v1/organisations/{org}/positions/{position}", [401, 404, 404, 403, 204, 403, 204, 403, 403]),
    ("DELETE /v1/organisations/{org}/positions/{position}", [401, 404, 404, 403, 204, 403, 204, 403, 403]),
    ("GET /v1/organisations/{org}/invitations", [401, 404, 404, 403, 403, 200, 200, 403, 403]),
    ("POST /v1/organisations/{org}/invitations", [401, 404, 404, 403, 403, 201, 201, 403, 403]),
    ("DELETE /v1/organisations/{org}/invitations/{invitation}", [401, 404, 404, 403, 403, 204, 204, 403, 403]),
    ("GET /v1/organisations/{org}/join-requests", [401, 404, 404, 403, 403, 200, 200, 403, 403]),
    ("POST /v1/organisations/{org}/join-requests/{request}", [401, 404, 404, 403, 403, 204, 204, 403, 403]),
    ("GET /v1/organisations/{org}/edit-requests", [401, 404, 404, 403, 403, 200, 200, 403, 403]),
    ("POST /v1/organisations/{org}/edit-requests/{request}", [401, 404, 404, 403, 403, 204, 204, 403, 403]),
    ("GET /v1/organisations/{org}/policy", [401, 404, 404, 200, 200, 200, 200, 403, 403]),
    ("PUT /v1/organisations/{org}/policy", [401, 404, 404, 403, 403, 204, 204, 403, 403]),
    ("GET /v1/organisations/{org}/accesses", [401, 404, 404, 403, 403, 403, 200, 403, 403]),
    ("GET /v1/organisations/{org}/audit", [401, 404, 404, 403, 403, 403, 200, 200, 403]),
    ("GET /v1/organisations/{org}/audit/check", [401, 404, 404, 403, 403, 403, 200, 200, 403]),
    ("GET /v1/organisations/{org}/keys", [401, 404, 404, 403, 403, 403, 200, 403, 403]),
    ("POST /v1/organisations/{org}/keys", [401, 404, 404, 403, 403, 403, 201, 403, 403]),
    ("DELETE /v1/organisations/{org}/keys/{id}", [401, 404, 404, 403, 403, 403, 404, 403, 403]),
    ("GET /v1/organisations/{org}/webhooks", [401, 404, 404, 403, 403, 403, 200, 403, 403]),
    // Nothing here sends webhooks.
    ("POST /v1/organisations/{org}/webhooks", [401, 503, 503, 503, 503, 503, 503, 403, 403]),
    ("DELETE /v1/organisations/{org}/webhooks/{id}", [401, 404, 404, 403, 403, 403, 404, 403, 403]),
    ("POST /v1/organisations/{org}/webhooks/{id}/test", [401, 404, 404, 403, 403, 403, 404, 403, 403]),
];

impl Target {
    async fn new() -> Self {
        let world = World::start().await;
        let owner = world.register(1, "Owner").await;
        let org = world.found(&owner, "Acme").await;
        let mut cast = vec![(CAST[0], String::new())];
        let mut people = Vec::new();
        for (n, name) in (2..).zip(&CAST[1..6]) {
            let person = world.register(n, name).await;
            match *name {
                "other organisation" => drop(world.found(&person, "Other").await),
                _ => world.let_in(org, &owner, &person).await,
            }
            let path = format!("DELETE /v1/organisations/{org}/members/{}", person.account);
            match *name {
                "removed" => drop(world.call(&path, &owner.access, Value::Null).await.expect(204)),
                "admin departments" => {
                    world.set_role(org, &owner, &person, json!({ "role": "admin", "scopes": ["departments"] })).await
                }
                "admin members" => {
                    world.set_role(org, &owner, &person, json!({ "role": "admin", "scopes": ["members"] })).await
                }
                _ => {}
            }
            cast.push((name, person.access.clone()));
            people.push(person);
        }
        cast.push((CAST[6], owner.access.clone()));
        for (name, scopes) in [(CAST[7], json!(["directory", "audit"])), (CAST[8], json!(["rooms"]))] {
            cast.push((name, world.program(org, &owner, scopes).await));
        }
        Self { world, org, owner, cast, eve: people.swap_remove(0), next: std::cell::Cell::new(100) }
    }

    async fn somebody(&self) -> Person {
        let n = self.next.get();
        self.next.set(n + 1);
        self.world.register(n, &format!("Somebody {n}")).await
    }

    async fn member(&self) -> Person {
        let person = self.somebody().await;
        self.world.let_in(self.org, &self.owner, &person).await;
        person
    }

    /// Something of this kind, which nobody has acted on.
    async fn make(&self, route: &str, placeholder: &str) -> String {
        let (world, org, owner) = (&self.world, self.org, &self.owner);
        let fresh = format!("Fresh {}", self.next.replace(self.next.get() + 1));
        match placeholder {
            "org" => org.to_string(),
            "account" => self.member().await.account.to_string(),
            "department" => world.add(org, owner, "departments", json!({ "name": fresh })).await.to_string(),
            "position" => world.add(org, owner, "positions", json!({ "name": fresh })).await.to_string(),
            "invitation" => {
                world.add(org, owner, "invitations", json!({ "phone": "+8613955550000" })).await.to_string()
            }
            "request" if route.contains("join") => {
                let fields = json!({ "uses": 1, "needs_approval": true });
                let path = format!("/v1/organisations/{org}/invitations");
                let link = world.post(&path, &owner.access, fields).await.expect(201).text("link_token");
                let body = json!({ "link_token": link });
                let asked = world.post("/v1/invitations/accept", &self.somebody().await.access, body).await;
                asked.expect(200).number("request").to_string()
            }
            "request" => {
                let member = self.member().await;
                let department = world.add(org, owner, "departments", json!({ "name": fresh })).await;
                let path = format!("PATCH /v1/organisations/{org}/members/{}", member.account);
                let edit = json!({ "places": [{ "department": department }] });
                let edited = world.call(&path, &member.access, edit).await.expect(200);
                edited.body["waiting"]["id"].to_string()
            }
            "id" if route.contains("/keys/") => format!("ck_{}", "0".repeat(32)),
            "id" if route.contains("/webhooks/") => "999".to_owned(),
            // A session or a device that is nobody's.
            "id" => "00".repeat(16),
            "name" => "00".repeat(32),
            other => panic!("say in here what {other} is"),
        }
    }

    /// A body that is good.
    fn body(&self, route: &str) -> Value {
        let fresh = format!("Made {}", self.next.replace(self.next.get() + 1));
        let (_, path) = route.split_once(' ').unwrap();
        match (route.split(' ').next().unwrap(), path.rsplit('/').next().unwrap()) {
            ("GET" | "DELETE", _) => Value::Null,
            (_, "codes" | "register" | "sign-in" | "reset" | "refresh") => json!({}),
            ("POST", "keys") => json!({ "title": fresh, "scopes": ["rooms"] }),
            ("POST", "webhooks") => {
                let key = format!("ck_{}", "0".repeat(32));
                json!({ "url": "https://example.com/hook", "key": key, "events": ["rooms"] })
            }
            (_, "sign-out" | "leave" | "test" | "export") | ("POST", "accept")
                if !path.starts_with("/v1/invitations") =>
            {
                Value::Null
            }
            (_, "accept") => json!({ "link_token": "cvi_none" }),
            (_, "password") => json!({ "new": "correct horse battery" }),
            (_, "consent") => json!({ "version": common::POLICY }),
            (_, "number") => json!({ "phone": "+8613955551111", "code": "000000", "current_code": "000000" }),
            (_, "cancel") => json!({ "code": "000000" }),
            (_, "role") => json!({ "role": "admin", "scopes": ["audit"] }),
            (_, "policy") => {
                json!({ "directory": "division", "meetings": "everybody", "find_by_number": self.next.get().is_multiple_of(2) })
            }
            (_, "{request}") => json!({ "approve": false }),
            (_, "invitations") => json!({ "uses": 1 }),
            (_, "dissolve") => json!({ "title": "Acme" }),
            ("PATCH", "{account}") => json!({ "workplace": fresh }),
            ("PATCH", "me") => json!({ "display_name": fresh }),
            (_, "{account}") => json!({ "note": fresh }),
            (_, "organisations" | "{org}") => json!({ "title": fresh }),
            _ => json!({ "name": fresh }),
        }
    }

    async fn ask(&self, route: &str, token: &str) -> Answer {
        let mut what = route.to_owned();
        while let Some((before, rest)) = what.clone().split_once('{') {
            let (placeholder, after) = rest.split_once('}').unwrap();
            what = format!("{before}{}{after}", self.make(route, placeholder).await);
        }
        if what.ends_with("/directory") {
            what.push_str("?q=a");
        }
        let path = format!("/v1/organisations/{}/policy", self.org);
        let tag = self.world.get(&path, &self.owner.access).await.header("etag").to_owned();
        let headers = if what.starts_with("PUT") && what.ends_with("/policy") {
            vec![("if-match", tag.as_str())]
        } else {
            vec![]
        };
        self.world.with(&what, token, &headers, self.body(route)).await
    }
}

async fn described() -> Vec<String> {
    let document = World::start().await.get("/v1/openapi.json", "").await.expect(200).body;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        routes.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    routes.sort();
    routes
}

#[tokio::test]
async fn the_table_has_every_route_and_no_other() {
    let mut rows: Vec<_> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    rows.sort();
    assert_eq!(rows, described().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_the_table_says() {
    let mut wrong = Vec::new();
    for (route, statuses) in TABLE {
        let target = Target::new().await;
        for ((name, token), status) in target.cast.iter().zip(statuses) {
            let answer = target.ask(route, token).await;
            if answer.status.as_u16() != *status {
                wrong.push(format!("{route} by {name}: {} and not {status}: {}", answer.status, answer.body));
            } else if name.starts_with("key") && *status == 403 && answer.body["code"] != "key_not_allowed" {
                wrong.push(format!("{route} by {name}: {}", answer.body));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// With one's own organisation in the path and ids of another one's behind it, nothing is there: not even what is.
#[tokio::test]
async fn ids_of_another_organisation_are_no_ids() {
    let target = Target::new().await;
    let eve = &target.eve;
    let theirs =
        target.world.get("/v1/organisations", &eve.access).await.body["organisations"][0]["id"].as_u64().unwrap();
    let mut walked = 0;
    for (route, _) in TABLE.iter().filter(|(route, _)| route.contains("{org}") && route.matches('{').count() == 2) {
        let (head, tail) = route.split_once("{org}").unwrap();
        let (middle, rest) = tail.split_once('{').unwrap();
        let (placeholder, after) = rest.split_once('}').unwrap();
        let (foreign, unknown) = (target.make(route, placeholder).await, "999999999");
        let mut answers = Vec::new();
        for id in [foreign.as_str(), unknown] {
            let what = format!("{head}{theirs}{middle}{id}{after}");
            answers
                .push(target.world.call(&what, &eve.access, target.body(route)).await.refused(404, "not_found").body);
        }
        assert_eq!(answers[0], answers[1], "{route}");
        walked += 1;
    }
    assert!(walked >= 11, "{walked}");
    // Ids in bodies as well.
    let world = &target.world;
    let foreign = target.make("", "department").await.parse::<u64>().unwrap();
    let member = format!("/v1/organisations/{theirs}/members/{}", eve.account);
    let place = json!({ "places": [{ "department": foreign }] });
    world.call(&format!("PATCH {member}"), &eve.access, place).await.refused(404, "not_found");
    let path = format!("/v1/organisations/{theirs}/departments");
    world.post(&path, &eve.access, json!({ "name": "x", "parent": foreign })).await.refused(404, "not_found");
    let path = format!("/v1/organisations/{theirs}/invitations");
    world.post(&path, &eve.access, json!({ "uses": 1, "department": foreign })).await.refused(404, "not_found");
    let path = format!("/v1/organisations/{theirs}/members?department={foreign}");
    assert_eq!(world.get(&path, &eve.access).await.expect(200).body["members"], json!([]));
    let path = format!("/v1/organisations/{theirs}/departments?parent={foreign}");
    assert_eq!(world.get(&path, &eve.access).await.expect(200).body["departments"], json!([]));
}

/// A key reads its own organisation; another one is not there for it, whatever its scopes.
#[tokio::test]
async fn keys_of_another_organisation_find_nothing() {
    let target = Target::new().await;
    let theirs = target.world.get("/v1/organisations", &target.eve.access).await;
    let theirs = theirs.body["organisations"][0]["id"].as_u64().unwrap();
    let key = target.world.program(theirs, &target.eve, json!(["directory", "audit", "rooms"])).await;
    let mut walked = 0;
    for (route, statuses) in TABLE.iter().filter(|(_, statuses)| statuses[7] == 200) {
        target.ask(route, &key).await.refused(404, "not_found");
        assert_eq!(statuses[8], 403, "{route}");
        walked += 1;
    }
    assert_eq!(walked, 7);
}
