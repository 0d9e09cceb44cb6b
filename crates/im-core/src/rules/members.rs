//! Members in, out, or with another role: the ranks, the size of the group, and its last owner.

use convene_proto::im::{self, Code, Role};
use convene_types::UserId;

use super::decide::{at_least, forbidden, is_self, known, member, outranks, unknown_user};
use super::{Actor, Context, MemberEffect};
use crate::model::Refusal;

/// How many there are after the event.
struct Tally {
    members: i64,
    owners: i64,
}

/// Judges each entry; takes out of `change` what changes nothing.
pub(super) fn decide(ctx: &Context<'_>, change: &mut im::MemberChange) -> Result<Vec<MemberEffect>, Refusal> {
    let mut effects = Vec::new();
    let mut tally = Tally { members: i64::from(ctx.conv.members), owners: i64::from(ctx.conv.owners) };
    remove(ctx, change, &mut tally, &mut effects)?;
    roles(ctx, change, &mut tally, &mut effects)?;
    add(ctx, change, &mut tally, &mut effects)?;
    if effects.is_empty() {
        return Err(forbidden("it is so already"));
    }
    if !change.add.is_empty() && tally.members > i64::from(ctx.policy.max_members) {
        return Err(Refusal::new(Code::TooManyMembers, format!("at most {} members", ctx.policy.max_members)));
    }
    // The server may have to take an account away; a group that lost its last owner so is not locked in for that.
    let bereft = ctx.conv.owners > 0 && tally.owners <= 0 && tally.members > 0;
    if bereft && matches!(ctx.actor, Actor::User(_)) {
        return Err(Refusal::new(Code::LastOwner, "the last owner names another first"));
    }
    Ok(effects)
}

fn remove(
    ctx: &Context<'_>,
    change: &im::MemberChange,
    tally: &mut Tally,
    effects: &mut Vec<MemberEffect>,
) -> Result<(), Refusal> {
    for user in change.remove.iter().copied().map(UserId) {
        if !is_self(ctx, user) {
            at_least(ctx, Role::Admin)?;
        }
        let (_, held) = member(ctx, user).ok_or_else(|| unknown_user(user))?;
        if !is_self(ctx, user) {
            outranks(ctx, held)?;
        }
        tally.members -= 1;
        tally.owners -= i64::from(held == Role::Owner);
        effects.push(MemberEffect::Remove { user });
    }
    Ok(())
}

fn roles(
    ctx: &Context<'_>,
    change: &mut im::MemberChange,
    tally: &mut Tally,
    effects: &mut Vec<MemberEffect>,
) -> Result<(), Refusal> {
    let mut entries = Vec::with_capacity(change.role.len());
    for entry in change.role.drain(..) {
        at_least(ctx, Role::Owner)?;
        let (user, role) = (UserId(entry.user), entry.role());
        let (_, held) = member(ctx, user).ok_or_else(|| unknown_user(user))?;
        if held == role {
            continue;
        }
        tally.owners += i64::from(role == Role::Owner) - i64::from(held == Role::Owner);
        effects.push(MemberEffect::Role { user, role });
        entries.push(im::Member { user: user.0, role: role.into(), ..im::Member::default() });
    }
    change.role = entries;
    Ok(())
}

fn add(
    ctx: &Context<'_>,
    change: &mut im::MemberChange,
    tally: &mut Tally,
    effects: &mut Vec<MemberEffect>,
) -> Result<(), Refusal> {
    let mut entries = Vec::with_capacity(change.add.len());
    for entry in change.add.drain(..) {
        at_least(ctx, Role::Admin)?;
        let user = UserId(entry.user);
        known(ctx, user)?;
        let role = if entry.role() == Role::Unspecified { Role::Member } else { entry.role() };
        if role > Role::Member {
            at_least(ctx, Role::Owner)?;
        }
        // Two admins adding the same people at once is no mistake of either.
        if member(ctx, user).is_some() {
            continue;
        }
        tally.members += 1;
        tally.owners += i64::from(role == Role::Owner);
        effects.push(MemberEffect::Add { user, role, with_history: entry.with_history });
        let with_history = entry.with_history;
        entries.push(im::Member { user: user.0, role: role.into(), with_history, ..im::Member::default() });
    }
    change.add = entries;
    Ok(())
}
