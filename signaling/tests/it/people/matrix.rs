//! Who may do what with calls, rooms and conversations: every route of this module by everybody, against a table. The table
//! is compared with the document that the routers make, so that a route without a row fails.

use convene_accounts::role::{Role, Scopes};
use convene_store::orgs::Change;
use convene_types::{AccountId, DeptId};
use serde_json::{Value, json};

use super::world::{Answer, Person, World};

const CAST: [&str; 8] =
    ["anonymous", "other organisation", "removed", "colleague", "scoped admin", "member", "group admin", "group owner"];

/// Statuses in the order of [`CAST`].
type Row = (&'static str, [u16; 8]);

/// Scoped admins administer the organisation: in a conversation that they are not in they have no part.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("POST /v1/calls", [401, 404, 404, 404, 404, 201, 201, 201]),
    ("GET /v1/calls/{id}", [401, 404, 404, 404, 404, 200, 200, 200]),
    ("POST /v1/calls/{id}/accept", [401, 404, 404, 404, 404, 200, 200, 200]),
    ("POST /v1/calls/{id}/decline", [401, 404, 404, 404, 404, 200, 200, 200]),
    // Only the caller does that, whatever the others are; and who is rung has nothing to hang up.
    ("POST /v1/calls/{id}/cancel", [401, 404, 404, 404, 404, 409, 409, 409]),
    ("POST /v1/calls/{id}/hangup", [401, 404, 404, 404, 404, 409, 409, 409]),
    ("POST /v1/calls/{id}/join", [401, 404, 404, 404, 404, 200, 200, 200]),
    ("POST /v1/rooms/{conversation}/join", [401, 404, 404, 404, 404, 200, 200, 200]),
    // Who has no seat anywhere is asked which organisation they mean.
    ("GET /v1/conversations", [401, 200, 400, 200, 200, 200, 200, 200]),
    ("POST /v1/conversations", [401, 404, 400, 201, 201, 201, 201, 201]),
    ("PATCH /v1/conversations/{id}", [401, 404, 404, 404, 404, 403, 204, 204]),
    ("DELETE /v1/conversations/{id}", [401, 404, 404, 404, 404, 403, 403, 204]),
    ("GET /v1/conversations/{id}/members", [401, 404, 404, 404, 404, 200, 200, 200]),
    ("POST /v1/conversations/{id}/members", [401, 404, 404, 404, 404, 403, 204, 204]),
    ("DELETE /v1/conversations/{id}/members/{user}", [401, 404, 404, 404, 404, 403, 204, 204]),
    ("PATCH /v1/conversations/{id}/members/{user}", [401, 404, 404, 404, 404, 403, 204, 204]),
    // The last owner names another one first.
    ("POST /v1/conversations/{id}/leave", [401, 404, 404, 404, 404, 204, 204, 409]),
    // The department is one in which everybody here stands but the first three.
    ("POST /v1/organisations/{org}/departments/{department}/group", [401, 404, 404, 200, 200, 200, 200, 200]),
];

struct Target {
    world: World,
    founder: Person,
    owner: Person,
    victim: Person,
    newcomer: Person,
    dept: DeptId,
    next: std::cell::Cell<u32>,
}

impl Target {
    async fn new() -> Self {
        let world = World::new().await;
        let (founder, owner) = (world.person(1).await, world.person(2).await);
        let (victim, newcomer) = (world.person(3).await, world.person(4).await);
        let dept = world.department(founder.account, DeptId(0), "Sales").await;
        world.set_policy(founder.account, |policy| policy.department_groups = true).await;
        Self { world, founder, owner, victim, newcomer, dept, next: std::cell::Cell::new(10) }
    }

    fn number(&self) -> u32 {
        self.next.replace(self.next.get() + 1)
    }

    /// Somebody new, who stands where the column says.
    async fn actor(&self, who: &str) -> Person {
        let (world, n) = (&self.world, self.number());
        if who == "other organisation" {
            return world.founder(n, &format!("elsewhere-{n}")).await;
        }
        let person = world.person(n).await;
        let account = AccountId(person.account);
        match who {
            "removed" => {
                world.change(self.founder.account, Change::Remove { account }).await;
            }
            "scoped admin" => {
                let role = Role::Admin(Scopes::all());
                world.change(self.founder.account, Change::SetRole { account, role }).await;
                world.place(self.founder.account, &person, &[self.dept]).await;
            }
            _ => world.place(self.founder.account, &person, &[self.dept]).await,
        }
        person
    }

    /// A group that nobody has acted on, and how the actor stands in it.
    async fn group(&self, who: &str, actor: &Person, caller: &Person) -> u64 {
        let maker = if who == "group owner" { actor } else { &self.owner };
        let mut members = vec![self.victim.user, caller.user];
        if matches!(who, "member" | "group admin") {
            members.push(actor.user);
        }
        let body = json!({"kind": "group", "title": "Team", "members": members});
        let made = self.world.post(maker, "/v1/conversations", body).await.expect(201);
        let conv = made["id"].as_u64().unwrap();
        if who == "group admin" {
            let path = format!("/v1/conversations/{conv}/members/{}", actor.user);
            self.world.patch(maker, &path, json!({"role": "admin"})).await.expect(204);
        }
        conv
    }

    async fn ask(&self, route: &str, who: &str) -> Answer {
        let world = &self.world;
        let (actor, caller) = (self.actor(who).await, world.person(self.number()).await);
        let conv = self.group(who, &actor, &caller).await;
        let id = if route.contains("/calls/{id}") {
            let call = world.post(&caller, "/v1/calls", json!({"conversation": conv})).await.expect(201);
            call["id"].as_str().unwrap().to_owned()
        } else {
            conv.to_string()
        };
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{id}", &id).replace("{conversation}", &id);
        let path = path.replace("{user}", &self.victim.user.to_string());
        let path = path.replace("{org}", &world.org().to_string()).replace("{department}", &self.dept.to_string());
        let access = if who == "anonymous" { "" } else { &actor.access };
        world.call(method, access, &path, self.body(route, conv)).await
    }

    fn body(&self, route: &str, conv: u64) -> Value {
        match route {
            "POST /v1/calls" => json!({"conversation": conv}),
            "POST /v1/conversations" => json!({"kind": "group", "title": "New", "members": [self.victim.user]}),
            "PATCH /v1/conversations/{id}" => json!({"title": "Another"}),
            "POST /v1/conversations/{id}/members" => json!({"users": [self.newcomer.user]}),
            "PATCH /v1/conversations/{id}/members/{user}" => json!({"muted_until_ms": i64::MAX}),
            _ => Value::Null,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_every_route_and_no_other() {
    let [mut all, accounts] = World::new().await.routes().await;
    all.retain(|route| !accounts.contains(route));
    all.sort();
    let mut rows: Vec<_> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    rows.sort();
    assert_eq!(rows, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_what_the_table_says() {
    let (target, mut wrong) = (Target::new().await, Vec::new());
    for (route, statuses) in TABLE {
        for (who, status) in CAST.iter().zip(statuses) {
            let answer = target.ask(route, who).await;
            if answer.status() != *status {
                wrong.push(format!("{route} by {who}: {} and not {status}: {}", answer.status(), answer.body()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a group admin may not: make others admins, and touch the owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_admin_does_not_rise() {
    let target = Target::new().await;
    let (admin, caller) = (target.actor("group admin").await, target.world.person(target.number()).await);
    let conv = target.group("group admin", &admin, &caller).await;
    let member = |user: u64| format!("/v1/conversations/{conv}/members/{user}");
    for (user, change) in [
        (target.victim.user, json!({"role": "admin"})),
        (admin.user, json!({"role": "owner"})),
        (target.owner.user, json!({"role": "member"})),
        (target.owner.user, json!({"muted_until_ms": i64::MAX})),
    ] {
        target.world.patch(&admin, &member(user), change).await.refused(403, "forbidden");
    }
    target.world.delete(&admin, &member(target.owner.user)).await.refused(403, "forbidden");
}
