//! A large organisation, made through the store's writer in large transactions: accounts, a tree of departments, and members
//! who have come into each by a link.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use convene_accounts::invitation::{link_hash, link_token};
use convene_accounts::vault::Lookup;
use convene_store::accounts;
use convene_store::orgs::{self, Change, Invited, JoinBy};
use convene_store::{Engine, EngineOptions, Op, Outcome};
use convene_types::{AccountId, DeptId, OrgId};

/// Its name in the store.
pub const NAME: &str = "large";
/// Operations of one transaction.
const BATCH: usize = 4_000;
/// Departments right below each other one.
const BREADTH: usize = 8;
/// How long the links are good, in seconds.
const VALID_FOR_S: u64 = 24 * 60 * 60;
/// Frequent family names and characters of given names; 曾 and 单 have several readings.
const FAMILY: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林曾单";
const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文建国红玲飞";

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Members.
    pub members: usize,
    /// Departments.
    pub departments: usize,
}

/// Makes it at `path`, where no file is.
pub fn fill(path: &Path, size: Size) -> Result<()> {
    let mut fill = Fill { engine: Engine::open(path, EngineOptions::default()).context("opening the store")? };
    let accounts = fill.accounts(size.members)?;
    let owner = *accounts.first().context("an organisation has an owner")?;
    let found = Change::Found { name: NAME.to_owned(), title: "Large".to_owned(), owner };
    let made = fill.orgs(OrgId(0), vec![(AccountId(0), found)])?;
    let Some(orgs::Outcome::Joined { org, .. }) = made.first() else { bail!("no organisation: {made:?}") };
    let departments = fill.departments(*org, size.departments)?;
    fill.members(*org, &accounts, &departments)?;
    // What is copied has to be in one file.
    ensure!(fill.engine.empty_wal()?, "the WAL of {} could not be emptied", path.display());
    Ok(())
}

struct Fill {
    engine: Engine,
}

impl Fill {
    fn accounts(&mut self, count: usize) -> Result<Vec<AccountId>> {
        let mut made = Vec::with_capacity(count);
        let create = |n: usize| accounts::Op::Create {
            lookup: Lookup(key(n)),
            sealed: vec![0; 49], // what a sealed number has
            display_name: person(n),
            password: None,
        };
        while made.len() < count {
            let until = count.min(made.len() + BATCH);
            let batch = (made.len()..until).map(|n| Op::Account(create(n))).collect();
            for outcome in self.apply(batch)? {
                let Outcome::Account(Ok(accounts::Outcome::Created(id))) = outcome else {
                    bail!("no account: {outcome:?}")
                };
                made.push(id);
            }
        }
        Ok(made)
    }

    /// Level by level: those above are there first.
    fn departments(&mut self, org: OrgId, count: usize) -> Result<Vec<DeptId>> {
        let mut made = vec![DeptId(0)];
        while made.len() <= count {
            let until = count.min(BREADTH * made.len());
            let add = |n: usize| {
                let parent = *made.get(n / BREADTH).context("levels come in order")?;
                Ok((AccountId(0), Change::AddDepartment { parent, name: format!("Department {n}"), rank: 0 }))
            };
            let batch = (made.len() - 1..until).map(add).collect::<Result<Vec<_>>>()?;
            for outcome in self.orgs(org, batch)? {
                let orgs::Outcome::Department(id) = outcome else { bail!("no department: {outcome:?}") };
                made.push(id);
            }
        }
        Ok(made.split_off(1))
    }

    /// The first account has founded it; the others are spread evenly.
    fn members(&mut self, org: OrgId, accounts: &[AccountId], departments: &[DeptId]) -> Result<()> {
        let guests = accounts.get(1..).unwrap_or_default();
        let share = guests.len().div_ceil(departments.len().max(1)).max(1);
        let mut batch = Vec::new();
        for (n, (group, dept)) in guests.chunks(share).zip(departments).enumerate() {
            let hash = link_hash(&link_token(&key(n)))?;
            let whom = Invited::Link { hash, uses: u32::try_from(group.len())? };
            let invite = Change::Invite { whom, sealed: None, dept: *dept, ask: false, valid_for_s: VALID_FOR_S };
            batch.push((AccountId(0), invite));
            batch.extend(group.iter().map(|account| (*account, Change::Join(JoinBy::Link(hash)))));
            if batch.len() >= BATCH {
                self.orgs(org, std::mem::take(&mut batch))?;
            }
        }
        self.orgs(org, batch).map(drop)
    }

    fn orgs(&mut self, org: OrgId, changes: Vec<(AccountId, Change)>) -> Result<Vec<orgs::Outcome>> {
        let op = |(by, change)| Op::Org(orgs::Op { org, by, address: String::new(), change, once: None });
        let outcomes = self.apply(changes.into_iter().map(op).collect())?;
        let made = outcomes.into_iter().map(|outcome| {
            let Outcome::Org(Ok(made)) = outcome else { bail!("refused: {outcome:?}") };
            Ok(made)
        });
        made.collect()
    }

    fn apply(&mut self, batch: Vec<Op>) -> Result<Vec<Outcome>> {
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let outcomes = self.engine.apply(batch, now_ms)?;
        let taken = outcomes.into_iter().map(|outcome| outcome.map_err(|refusal| anyhow::anyhow!("{refusal:?}")));
        taken.collect()
    }
}

/// Three characters, mixed so that neighbours have little in common.
fn person(n: usize) -> String {
    if n == 1 {
        return "张伟明".to_owned(); // who is asked for by name, in an organisation of any size
    }
    let pick = |of: &str, n: usize| of.chars().nth(n % of.chars().count()).unwrap_or('王');
    let (family, one) = (n.wrapping_mul(2_654_435_761) >> 7, n.wrapping_mul(40_503) >> 3);
    [pick(FAMILY, family), pick(GIVEN, one), pick(GIVEN, n.wrapping_mul(9_973) >> 5)].into_iter().collect()
}

fn key(n: usize) -> [u8; 32] {
    let mut key = [0xaa; 32];
    let (front, _) = key.split_at_mut(size_of::<usize>());
    front.copy_from_slice(&n.to_be_bytes());
    key
}
