//! Whether this actor may append this body at this time, and what it changes.

use convene_proto::im::{self, Code, ConversationKind, Role, body::Kind};
use convene_types::{Seq, UserId};

use super::kinds::{FILE, IMAGE, TEXT, is_countable, is_message};
use super::{Actor, Context, Decision, Effects, Erasure, MemberEffect, members};
use crate::model::{Member, Refusal, Target};

/// Judges a body that passed [`super::check`], with everything loaded that it asked for.
pub fn decide(ctx: &Context<'_>, mut body: im::Body) -> Result<Decision, Refusal> {
    enter(ctx, &body)?;
    settle_references(ctx, &mut body)?;
    let effects = match &mut body.kind {
        None => return Err(Refusal::new(Code::Malformed, "a body of no known kind")),
        Some(Kind::Text(_) | Kind::Voice(_) | Kind::Image(_) | Kind::File(_) | Kind::Location(_) | Kind::Custom(_)) => {
            may_speak(ctx).map(|()| Effects::default())?
        }
        Some(Kind::Card(card)) => {
            may_speak(ctx)?;
            known(ctx, UserId(card.user))?;
            Effects::default()
        }
        Some(Kind::Edit(edit)) => may_edit(ctx, edit).map(|()| Effects::default())?,
        Some(Kind::Recall(_)) => Effects { erase: Some(recall(ctx)?), ..Effects::default() },
        Some(Kind::React(_)) => message(ctx).map(|_| Effects::default())?,
        Some(Kind::Pin(_)) => {
            message(ctx)?;
            if !in_direct(ctx) {
                at_least(ctx, Role::Admin)?;
            }
            Effects::default()
        }
        Some(Kind::Members(change)) => {
            only_group(ctx)?;
            Effects { members: members::decide(ctx, change)?, ..Effects::default() }
        }
        Some(Kind::Group(change)) => group(ctx, change)?,
        Some(Kind::Mute(mute)) => Effects { members: mute_members(ctx, mute)?, ..Effects::default() },
        Some(Kind::Call(_)) => only_server(ctx).map(|()| Effects::default())?,
        Some(Kind::Erase(erase)) => {
            only_server(ctx)?;
            if erase.ranges.iter().any(|range| range.last > ctx.conv.head.0) {
                return Err(bad_target("a range beyond the head"));
            }
            Effects { erase: Erasure::of(&body), ..Effects::default() }
        }
        Some(Kind::Tombstone(_)) => return Err(forbidden("a tombstone is never sent")),
    };
    Ok(Decision { countable: is_countable(&body), body, effects })
}

/// What no kind is exempt from.
fn enter(ctx: &Context<'_>, body: &im::Body) -> Result<(), Refusal> {
    if let Actor::User(member) = ctx.actor
        && member.role.is_none()
    {
        return Err(Refusal::new(Code::NotAMember, "no member of this conversation any more"));
    }
    // Erasure goes on after the end: the law does not end with a group. And the call that was on is written down.
    if ctx.conv.dissolved && !matches!(body.kind, Some(Kind::Erase(_) | Kind::Call(_))) {
        return Err(Refusal::new(Code::Dissolved, "this conversation was dissolved"));
    }
    Ok(())
}

fn settle_references(ctx: &Context<'_>, body: &mut im::Body) -> Result<(), Refusal> {
    if body.reply_to != 0 && !visible(ctx, Seq(body.reply_to)) {
        return Err(bad_target("no such event to answer"));
    }
    if body.mention_all && !in_direct(ctx) {
        at_least(ctx, Role::Admin)?;
    }
    // Somebody who has just left is no reason to refuse a message: they are called no more, that is all.
    let mut called = Vec::with_capacity(body.mentions.len());
    for user in body.mentions.drain(..) {
        if !called.contains(&user) && member(ctx, UserId(user)).is_some() {
            called.push(user);
        }
    }
    body.mentions = called;
    Ok(())
}

fn may_speak(ctx: &Context<'_>) -> Result<(), Refusal> {
    let Actor::User(member) = ctx.actor else { return Ok(()) };
    if member.muted_until_ms > ctx.now_ms {
        return Err(Refusal::new(Code::Muted, "muted here"));
    }
    if ctx.conv.muted && !in_direct(ctx) && role(ctx) < Role::Admin {
        return Err(Refusal::new(Code::Muted, "only admins may send here"));
    }
    Ok(())
}

fn may_edit(ctx: &Context<'_>, edit: &im::Edit) -> Result<(), Refusal> {
    let target = message(ctx)?;
    if !matches!(target.kind, TEXT | IMAGE | FILE) {
        return Err(bad_target("this kind of message has no text"));
    }
    if target.sender != actor(ctx) {
        return Err(forbidden("only its sender edits a message"));
    }
    if target.kind == TEXT && edit.text.is_empty() {
        return Err(Refusal::new(Code::Malformed, "a text without text: recall it"));
    }
    may_speak(ctx)?;
    in_time(ctx, target, ctx.policy.edit_window_ms)
}

fn recall(ctx: &Context<'_>) -> Result<Erasure, Refusal> {
    let target = message(ctx)?;
    let by_admin = !in_direct(ctx) && role(ctx) >= Role::Admin;
    if !by_admin && !matches!(ctx.actor, Actor::Server) {
        if target.sender != actor(ctx) {
            return Err(forbidden("only its sender or an admin recalls a message"));
        }
        in_time(ctx, target, ctx.policy.recall_window_ms)?;
    }
    let seq = target.seq;
    let ranges = vec![im::SeqRange { first: seq.0, last: seq.0 }];
    Ok(Erasure { ranges, edits_of: Some(seq), reason: im::EraseReason::Recalled })
}

fn group(ctx: &Context<'_>, change: &im::GroupChange) -> Result<Effects, Refusal> {
    only_group(ctx)?;
    at_least(ctx, Role::Admin)?;
    let dissolved = change.dissolved == Some(true);
    if dissolved {
        at_least(ctx, Role::Owner)?;
    }
    Ok(Effects {
        title: change.title.clone(),
        announcement: change.announcement.clone(),
        muted: change.muted,
        dissolved,
        avatar: change.avatar.clone(),
        ..Effects::default()
    })
}

fn mute_members(ctx: &Context<'_>, mute: &mut im::MemberMute) -> Result<Vec<MemberEffect>, Refusal> {
    only_group(ctx)?;
    at_least(ctx, Role::Admin)?;
    mute.users.sort_unstable();
    mute.users.dedup();
    let mut effects = Vec::with_capacity(mute.users.len());
    for user in mute.users.iter().copied().map(UserId) {
        let (_, held) = member(ctx, user).ok_or_else(|| unknown_user(user))?;
        outranks(ctx, held)?;
        effects.push(MemberEffect::Mute { user, until_ms: mute.until_ms });
    }
    Ok(effects)
}

/// The target, if it is a message that the actor can see and nobody has taken back.
fn message<'a>(ctx: &Context<'a>) -> Result<&'a Target, Refusal> {
    let target = ctx.target.filter(|target| visible(ctx, target.seq) && is_message(target.kind));
    target.ok_or_else(|| bad_target("no message there that this can be done to"))
}

fn visible(ctx: &Context<'_>, seq: Seq) -> bool {
    let floor = match ctx.actor {
        Actor::User(member) => member.floor,
        Actor::Server => Seq(0),
    };
    seq > floor && seq <= ctx.conv.head
}

fn in_time(ctx: &Context<'_>, target: &Target, window_ms: i64) -> Result<(), Refusal> {
    // A server's own messages have no time limit for the server.
    let late = ctx.now_ms.saturating_sub(target.at_ms) > window_ms && !matches!(ctx.actor, Actor::Server);
    if late { Err(Refusal::new(Code::TooLate, "the time for this is over")) } else { Ok(()) }
}

fn actor(ctx: &Context<'_>) -> UserId {
    match ctx.actor {
        Actor::User(member) => member.user,
        Actor::Server => UserId(0),
    }
}

/// The actor's role. The server ranks as an owner.
pub(super) fn role(ctx: &Context<'_>) -> Role {
    match ctx.actor {
        Actor::User(member) => member.role.unwrap_or(Role::Unspecified),
        Actor::Server => Role::Owner,
    }
}

pub(super) fn at_least(ctx: &Context<'_>, wanted: Role) -> Result<(), Refusal> {
    if role(ctx) >= wanted { Ok(()) } else { Err(forbidden("the role does not allow it")) }
}

/// Nobody changes somebody of their own role or above, but for owners.
pub(super) fn outranks(ctx: &Context<'_>, held: Role) -> Result<(), Refusal> {
    let may = role(ctx) == Role::Owner || (role(ctx) == Role::Admin && held < Role::Admin);
    if may { Ok(()) } else { Err(forbidden("their role is not below")) }
}

pub(super) fn known<'a>(ctx: &Context<'a>, user: UserId) -> Result<Option<&'a Member>, Refusal> {
    let found = ctx.users.iter().find(|(known, _)| *known == user);
    found.map(|(_, member)| member.as_ref()).ok_or_else(|| unknown_user(user))
}

/// A present member and their role.
pub(super) fn member<'a>(ctx: &Context<'a>, user: UserId) -> Option<(&'a Member, Role)> {
    let member = known(ctx, user).ok().flatten()?;
    Some((member, member.role?))
}

pub(super) fn is_self(ctx: &Context<'_>, user: UserId) -> bool {
    matches!(ctx.actor, Actor::User(member) if member.user == user)
}

fn in_direct(ctx: &Context<'_>) -> bool {
    ctx.conv.kind == ConversationKind::Direct
}

fn only_group(ctx: &Context<'_>) -> Result<(), Refusal> {
    if in_direct(ctx) { Err(forbidden("not in a direct conversation")) } else { Ok(()) }
}

fn only_server(ctx: &Context<'_>) -> Result<(), Refusal> {
    match ctx.actor {
        Actor::Server => Ok(()),
        Actor::User(_) => Err(forbidden("the server alone writes this")),
    }
}

pub(super) fn forbidden(text: &'static str) -> Refusal {
    Refusal::new(Code::Forbidden, text)
}

fn bad_target(text: &'static str) -> Refusal {
    Refusal::new(Code::BadTarget, text)
}

pub(super) fn unknown_user(user: UserId) -> Refusal {
    Refusal::new(Code::UnknownUser, format!("user {user} is not there"))
}
