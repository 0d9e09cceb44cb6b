//! Groups of departments follow who stands there.

use convene_store::Store;
use convene_store::orgs::Change;
use convene_types::{AccountId, DeptId};
use serde_json::{Value, json};

use super::world::{Person, World, members, placing, until};

/// Waits until these are in a group, and nobody else.
async fn has(world: &World, conv: u64, people: &[&Person]) {
    let mut want: Vec<_> = people.iter().map(|person| person.user).collect();
    want.sort_unstable();
    until(async || world.members(conv).await == want).await;
}

async fn group(world: &World, who: &Person, dept: DeptId) -> u64 {
    let path = format!("/v1/organisations/{}/departments/{dept}/group", world.org());
    world.post(who, &path, Value::Null).await.expect(200)["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_into_a_department_or_leaves_it_does_so_in_its_group() {
    let world = World::new().await;
    let ana = world.person(1).await;
    let (bo, cy, dan) = (world.person(2).await, world.person(3).await, world.person(4).await);
    let sales = world.department(ana.account, DeptId(0), "Sales").await;
    let north = world.department(ana.account, sales, "North").await;
    let other = world.department(ana.account, DeptId(0), "Other").await;
    world.place(ana.account, &bo, &[sales]).await;
    world.place(ana.account, &cy, &[north]).await;
    let path = format!("/v1/organisations/{}/departments/{sales}/group", world.org());
    world.post(&bo, &path, Value::Null).await.refused(403, "forbidden");
    world.set_policy(ana.account, |policy| policy.department_groups = true).await;
    // Made when it is asked for, by whoever stands there; those who stand there by then are in it, below it too.
    world.post(&dan, &path, Value::Null).await.refused(404, "not_found");
    let conv = group(&world, &bo, sales).await;
    assert_eq!(world.members(conv).await, [bo.user, cy.user]);
    assert_eq!(group(&world, &cy, sales).await, conv);
    // Comes, moves away, comes back.
    world.place(ana.account, &dan, &[north]).await;
    has(&world, conv, &[&bo, &cy, &dan]).await;
    world.place(ana.account, &dan, &[other]).await;
    has(&world, conv, &[&bo, &cy]).await;
    world.place(ana.account, &dan, &[other, sales]).await;
    has(&world, conv, &[&bo, &cy, &dan]).await;
    // The whole department moves away, and back.
    let moved = |parent| Change::ChangeDepartment { id: north, parent, name: "North".into(), rank: 0 };
    world.change(ana.account, moved(other)).await;
    has(&world, conv, &[&bo, &dan]).await;
    world.change(ana.account, moved(sales)).await;
    has(&world, conv, &[&bo, &cy, &dan]).await;
    // Out of the organisation.
    world.change(ana.account, Change::Remove { account: AccountId(cy.account) }).await;
    has(&world, conv, &[&bo, &dan]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_on_their_own_stays_out_and_a_guest_stays_in() {
    let world = World::new().await;
    let ana = world.person(1).await;
    let (bo, cy, guest) = (world.person(2).await, world.person(3).await, world.person(4).await);
    let sales = world.department(ana.account, DeptId(0), "Sales").await;
    world.set_policy(ana.account, |policy| policy.department_groups = true).await;
    for person in [&bo, &cy] {
        world.place(ana.account, person, &[sales]).await;
    }
    let conv = group(&world, &bo, sales).await;
    let members = format!("/v1/conversations/{conv}/members");
    world.post(&bo, &members, json!({"users": [guest.user]})).await.expect(204);
    world.post(&cy, &format!("/v1/conversations/{conv}/leave"), Value::Null).await.expect(204);
    // Something happens: nobody is put back, nobody is thrown out.
    world.place(ana.account, &ana, &[sales]).await;
    has(&world, conv, &[&ana, &bo, &guest]).await;
    // Once they have stood elsewhere, they come as anybody does.
    world.place(ana.account, &cy, &[]).await;
    world.follows(sales).await;
    world.place(ana.account, &cy, &[sales]).await;
    has(&world, conv, &[&ana, &bo, &cy, &guest]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_it_on_puts_in_who_stands_there_and_a_start_makes_up_for_what_was_missed() {
    let world = World::new().await;
    let ana = world.person(1).await;
    let (bo, cy, dan) = (world.person(2).await, world.person(3).await, world.person(4).await);
    let sales = world.department(ana.account, DeptId(0), "Sales").await;
    world.set_policy(ana.account, |policy| policy.department_groups = true).await;
    world.place(ana.account, &bo, &[sales]).await;
    let conv = group(&world, &bo, sales).await;
    world.set_policy(ana.account, |policy| policy.department_groups = false).await;
    world.place(ana.account, &cy, &[sales]).await;
    world.set_policy(ana.account, |policy| policy.department_groups = true).await;
    has(&world, conv, &[&bo, &cy]).await;
    // Nobody is told of this one.
    let op = world.op(ana.account, placing(&dan, &[sales]));
    let silently = async |store: &Store| {
        store.org(op).await.unwrap();
        assert_eq!(members(store, conv).await, [bo.user, cy.user]);
    };
    let world = world.restart_after(silently).await;
    has(&world, conv, &[&bo, &cy, &dan]).await;
    // Dissolved, it is forgotten: the next one who asks makes another one.
    world.delete(&bo, &format!("/v1/conversations/{conv}")).await.expect(204);
    let next = group(&world, &cy, sales).await;
    assert_ne!(next, conv);
    has(&world, next, &[&bo, &cy, &dan]).await;
}
