//! What becomes of those who may no more when the one who ends what they have open has missed it.

use convene_accounts::apikey::{KeyId, room_prefix};
use convene_accounts::profile::Edit;
use convene_im::wire::Code;
use convene_signaling::rooms::LeaveReason;
use convene_store::orgs::Change;
use convene_types::{AccountId, DeptId};
use futures_util::future::join_all;
use serde_json::Value;

use super::phone::Phone;
use super::world::World;

/// More than a listener may be behind with.
const MANY: i32 = 4_200;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_no_more_is_out_also_if_that_was_missed() {
    let world = World::new().await;
    let (ana, bo, cy) = (world.person(1).await, world.person(2).await, world.person(3).await);
    let conv = world.direct(&ana, &cy).await;
    let (org, prefix) = (world.org(), room_prefix(world.org()));
    let (key, _) = world.key(&ana, org, &["rooms"]).await;
    let (_, mut bot) = world.take_seat(&world.seat_by_key(&key, &format!("{prefix}standup"), "bot")).await.unwrap();
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let mut staying = Phone::open(&world, &cy.access, &cy.device).await;
    let seat = world.post(&cy, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    let (_, mut seated) = world.take_seat(&seat).await.unwrap();
    let dept = world.department(ana.account, DeptId(0), "Sales").await;

    // Whose name changes is shown anew in the room. For that a line is written, and then the store is asked: it does not
    // answer before all of the rest has happened.
    let edit = Edit { display_name: Some("Cyrus".to_owned()), ..Edit::default() };
    let renaming = world.change(ana.account, Change::Edit { account: AccountId(cy.account), edit });
    let (_, writes) = tokio::join!(renaming, async { world.hold_writes() });
    let reads = world.hold_reads().await;
    drop(writes);
    world.change(ana.account, Change::Remove { account: AccountId(bo.account) }).await;
    world.change(ana.account, Change::EndKey { id: KeyId::parse(&key).unwrap() }).await;
    let moved = |rank: i32| Change::ChangeDepartment { id: dept, parent: DeptId(0), name: "Sales".into(), rank };
    join_all((0..MANY).map(|rank| world.change(ana.account, moved(rank)))).await;
    drop(reads);

    assert_eq!(phone.goodbye().await, Code::Revoked);
    assert_eq!(bot.left().await, LeaveReason::Removed);
    staying.ping().await;
    assert!(seated.is_seated());
}
