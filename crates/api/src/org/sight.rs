//! Whom somebody sees in the directory of an organisation: what its policy says, put to members, departments and pages.

use convene_accounts::department::{Place, ROOT, Tree};
use convene_accounts::policy::{Directory, Policy, Who};
use convene_accounts::role::{Act, Role};
use convene_store::orgs::{Member, Seat};
use convene_store::{After, Reader, SEES_ALL, Sees, StoreError, Stretch};
use convene_types::{AccountId, DeptId, OrgId};

/// Rows that are looked at for one page. Who sees little of a large organisation gets short pages, and goes on with the next
/// cursor; more rows take longer than anybody should wait for a reader.
const MAX_LOOKED: u32 = 4_000;
/// Rows that are read at a time when most may be hidden: what is read beyond the page is read for nothing.
const STRIDE: u32 = 100;
/// Who sees no more people than this, in no more departments, is shown a page of just those: to read them all takes some
/// milliseconds, to find them among 100,000 others takes many times that.
const MAX_FEW: usize = 500;
const MAX_FEW_DEPARTMENTS: usize = 64;

/// What one member sees.
pub(crate) struct Sight {
    org: OrgId,
    account: AccountId,
    role: Role,
    depts: Vec<DeptId>,
    policy: Policy,
    /// None: there is nothing that the policy hides from them.
    tree: Option<Tree>,
}

impl Sight {
    /// Of this member.
    pub(crate) fn of(reader: &mut Reader, seat: &Seat) -> Result<Self, StoreError> {
        // Gone in between: nothing of it is found any more.
        let (policy, _) = reader.policy(seat.org)?.unwrap_or_default();
        let open = policy.directory == Directory::Everybody && policy.hidden.is_empty();
        let all = open || seat.role.may(Act::ManageMembers);
        let tree = if all { None } else { Some(reader.tree(seat.org)?) };
        Ok(Self { org: seat.org, account: seat.account, role: seat.role, depts: seat.depts.clone(), policy, tree })
    }

    /// Whether they may find people by their number.
    pub(crate) fn finds_numbers(&self) -> bool {
        self.policy.find_by_number || self.role.may(Act::ManageMembers)
    }

    /// Whether they see this member.
    pub(crate) fn sees(&self, member: &Member) -> bool {
        self.sees_who(member.account, &member.places)
    }

    fn sees_who(&self, account: AccountId, places: &[Place]) -> bool {
        let depts: Vec<_> = places.iter().map(|place| place.dept).collect();
        account == self.account || self.sees_place(&depts)
    }

    fn sees_place(&self, depts: &[DeptId]) -> bool {
        let who = Who { role: self.role, depts: &self.depts };
        self.tree.as_ref().is_none_or(|tree| self.policy.sees(who, depts, tree))
    }

    /// Departments that they see: with somebody in it whom they may see, and what those stand below. None: all.
    pub(crate) fn departments(&self) -> Option<Vec<DeptId>> {
        let tree = self.tree.as_ref()?;
        let mut seen: Vec<DeptId> = Vec::new();
        for dept in tree.branch(ROOT) {
            if self.depts.contains(&dept) || self.sees_place(&[dept]) {
                seen.extend(tree.path(dept));
            }
        }
        seen.sort_unstable();
        seen.dedup();
        Some(seen)
    }

    /// The departments, where they were read to tell who is seen.
    pub(crate) fn into_tree(self) -> Option<Tree> {
        self.tree
    }

    /// All whom they see, if those are few.
    pub(crate) fn few(&self, reader: &mut Reader) -> Result<Option<Vec<Member>>, StoreError> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let top = |dept: &DeptId| match self.policy.directory {
            Directory::Division => tree.path(*dept).first().copied().unwrap_or(ROOT),
            Directory::Department | Directory::Everybody => *dept,
        };
        let tops: Vec<_> = self.depts.iter().map(top).collect();
        // Who stands nowhere may see whoever stands nowhere, and those may be many.
        if self.policy.directory == Directory::Everybody || tops.is_empty() || tops.contains(&ROOT) {
            return Ok(None);
        }
        let mut depts: Vec<_> = tops.into_iter().flat_map(|top| tree.branch(top)).collect();
        depts.sort_unstable();
        depts.dedup();
        if depts.len() > MAX_FEW_DEPARTMENTS {
            return Ok(None);
        }
        let mut found: Vec<Member> = reader.member(self.org, self.account)?.into_iter().collect();
        for dept in depts {
            let left = MAX_FEW.saturating_sub(found.len()).saturating_add(1);
            let limit = u32::try_from(left).unwrap_or(u32::MAX);
            found.extend(reader.members_in(self.org, dept, &After::default(), limit, SEES_ALL)?.members());
            if found.len() > MAX_FEW {
                return Ok(None);
            }
        }
        found.sort_by_key(|member| member.account.0);
        found.dedup_by_key(|member| member.account.0);
        found.retain(|member| self.sees(member));
        Ok(Some(found))
    }

    /// A page of those whom they see.
    pub(crate) fn page(
        &self,
        rows: u32,
        mut after: After,
        mut read: impl FnMut(&After, u32, Sees<'_>) -> Result<Stretch, StoreError>,
    ) -> Result<(Vec<Member>, Option<After>), StoreError> {
        let most = usize::try_from(rows).unwrap_or(usize::MAX);
        let stride = if self.tree.is_none() { rows } else { STRIDE };
        let (mut page, mut looked) = (Vec::new(), 0);
        while looked < MAX_LOOKED {
            let stretch = read(&after, stride, &|account, places| self.sees_who(account, places))?;
            looked = looked.saturating_add(stride);
            for (at, member) in stretch.rows {
                if page.len() == most {
                    return Ok((page, Some(after)));
                }
                after = at;
                page.extend(member);
            }
            let Some(next) = stretch.next else { return Ok((page, None)) };
            after = next;
            if page.len() == most {
                break;
            }
        }
        Ok((page, Some(after)))
    }
}

/// A page of few people, by what `key` says of each; who has none is left out.
pub(crate) fn page_of(
    few: Vec<Member>,
    rows: u32,
    after: &After,
    key: impl Fn(&Member) -> Option<String>,
) -> (Vec<Member>, Option<After>) {
    let place = |member: Member| {
        let at = After { key: key(&member)?, account: member.account.0 };
        ((&at.key, at.account) > (&after.key, after.account)).then_some((at, member))
    };
    let mut found: Vec<_> = few.into_iter().filter_map(place).collect();
    found.sort_by(|(a, _), (b, _)| (&a.key, a.account).cmp(&(&b.key, b.account)));
    let most = usize::try_from(rows).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|(at, _)| at.clone());
    (found.into_iter().map(|(_, member)| member).collect(), next)
}
