//! A measurement: the directory of an organisation with 100,000 members in 5,000 departments.
//!
//! `cargo test --release -p convene-api --test large -- --ignored --nocapture`

#![cfg(test)]

mod common;

use std::time::{Duration, Instant};

use common::{Person, World};
use convene_accounts::invitation::{link_hash, link_token};
use convene_accounts::profile::Edit;
use convene_accounts::vault::Lookup;
use convene_accounts::verification::Tag;
use convene_store::accounts::{self, Device, Entry, Then};
use convene_store::orgs::{Change, Invited, JoinBy, Op, Outcome};
use convene_types::{AccountId, DeptId, DeviceId, OrgId, SessionId};
use tokio::task::JoinSet;

const MEMBERS: u64 = 100_000;
const DEPARTMENTS: u64 = 5_000;
/// Operations under way at a time.
const AT_ONCE: u64 = 500;
const ROUNDS: usize = 200;
const FAMILY: &[char] = &[
    '王', '李', '张', '刘', '陈', '杨', '黄', '赵', '吴', '周', '徐', '孙', '马', '朱', '胡', '郭', '何', '林', '曾',
    '单',
];
const GIVEN: &[char] = &[
    '伟', '芳', '娜', '敏', '静', '丽', '强', '磊', '军', '洋', '勇', '艳', '杰', '娟', '涛', '明', '超', '秀', '霞',
    '平', '刚', '桂', '英', '华', '文', '建', '国', '红', '玲', '飞',
];

fn pick(of: &[char], n: u64) -> char {
    of[usize::try_from(n).unwrap() % of.len()]
}

fn name(n: u64) -> String {
    let family = pick(FAMILY, n.wrapping_mul(2_654_435_761) >> 7);
    let (one, two) = (pick(GIVEN, n.wrapping_mul(40_503) >> 3), pick(GIVEN, n.wrapping_mul(9_973) >> 5));
    format!("{family}{one}{two}")
}

fn key(n: u64) -> [u8; 32] {
    let mut key = [0xaa; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

fn id(n: u64) -> [u8; 16] {
    (u128::from(n) + 1_000).to_be_bytes()
}

async fn account(world: &World, n: u64) -> AccountId {
    let (lookup, tag) = (Lookup(key(n)), Tag(key(n)));
    let (sealed, display_name) = (vec![0; 49], name(n));
    let device = Device { id: DeviceId(id(n)), ..Device::default() };
    let entry = Entry { device, session: SessionId(id(n)), seed: id(n) };
    let then = Then::Register { sealed, display_name, password: None, consent: "1".into(), entry };
    let (purpose, subjects) = (then.purpose(), Vec::new());
    world.store.account(accounts::Op::SendCode { lookup, purpose, tag, subjects: Vec::new() }).await.unwrap();
    let entered = world.store.account(accounts::Op::EnterCode { lookup, tag, subjects, then }).await.unwrap();
    let accounts::Outcome::SignedIn { session, .. } = entered else { panic!("{entered:?}") };
    session.account
}

async fn change(world: &World, org: u64, by: AccountId, change: Change) -> Outcome {
    world.store.org(Op { org: OrgId(org), by, address: String::new(), change, once: None }).await.unwrap()
}

async fn build(world: &'static World) -> (Person, u64) {
    let owner = world.register(1, "Owner").await;
    let org = world.found(&owner, "Large").await;
    let by = AccountId(owner.account);
    let mut depts = vec![0];
    for n in 0..DEPARTMENTS {
        let parent = DeptId(depts[usize::try_from(n / 8).unwrap()]);
        let add = Change::AddDepartment { parent, name: format!("Department {n}"), rank: 0 };
        let Outcome::Department(id) = change(world, org, by, add).await else { panic!() };
        depts.push(id.0);
    }
    let mut hashes = Vec::new();
    for n in 0..MEMBERS / 10_000 {
        let hash = link_hash(&link_token(&key(n))).unwrap();
        let whom = Invited::Link { hash, uses: 10_000 };
        change(world, org, by, Change::Invite { whom, sealed: None, dept: DeptId(0), ask: false, valid_for_s: 3_600 })
            .await;
        hashes.push(hash);
    }
    let mut tasks = JoinSet::new();
    for n in 0..MEMBERS {
        let hash = hashes[usize::try_from(n / 10_000).unwrap()];
        let dept = depts[usize::try_from(1 + n % DEPARTMENTS).unwrap()];
        tasks.spawn(async move {
            let member = account(world, n).await;
            change(world, 0, member, Change::Join(JoinBy::Link(hash))).await;
            let edit = Edit { places: Some(vec![(dept, None)]), ..Edit::default() };
            change(world, org, by, Change::Edit { account: member, edit }).await;
        });
        if n % AT_ONCE == AT_ONCE - 1 {
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        }
    }
    (owner, org)
}

async fn measure(world: &World, who: &Person, what: &str, path: &str) -> Duration {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let answer = world.get(path, &who.access).await.expect(200);
        times.push(began.elapsed());
        rows = answer.body["members"].as_array().or(answer.body["departments"].as_array()).map_or(0, Vec::len);
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100];
    println!("{what:36} {rows:5} rows  median {:6.2} ms  p95 {:6.2} ms", ms(at(50)), ms(at(95)));
    at(50)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_rate() {
    let world: &'static World = Box::leak(Box::new(World::start().await));
    let began = Instant::now();
    let (owner, org) = build(world).await;
    println!("built in {:.0} s", began.elapsed().as_secs_f64());
    // Somebody who sees all, and somebody who sees a department and what is below.
    let member = world.register(2, "Looker").await;
    world.let_in(org, &owner, &member).await;
    let base = format!("/v1/organisations/{org}");
    let top = world.get(&format!("{base}/departments?parent=0"), &owner.access).await.body["departments"][1]["id"]
        .to_string();
    let place = serde_json::json!({ "places": [{ "department": top.parse::<u64>().unwrap() }] });
    world.call(&format!("PATCH {base}/members/{}", member.account), &owner.access, place).await.expect(200);
    for directory in ["everybody", "department"] {
        world.set_policy(org, &owner, serde_json::json!({ "directory": directory, "meetings": "everybody" })).await;
        println!("policy: {directory}");
        for (what, path) in [
            ("first page", format!("{base}/members")),
            ("page of a department", format!("{base}/members?department={top}")),
            ("pinyin, many: zhang", format!("{base}/directory?q=zhang")),
            ("pinyin, few: zhangweim", format!("{base}/directory?q=zhangweim")),
            ("initials: zwm", format!("{base}/directory?q=zwm")),
            ("one letter: z", format!("{base}/directory?q=z")),
            ("characters: 张伟", format!("{base}/directory?q=%E5%BC%A0%E4%BC%9F")),
            ("departments below one", format!("{base}/departments?parent={top}")),
            ("all departments", format!("{base}/departments")),
        ] {
            measure(world, &member, what, &path).await;
        }
    }
}
