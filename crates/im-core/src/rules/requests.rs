//! Requests that are no appends: making a conversation, reading, personal settings.

use convene_proto::im::{self, Code, ConversationKind, Role, body::Kind};
use convene_proto::limits::{MAX_ANNOUNCEMENT_BYTES, MAX_CHANGED_MEMBERS, MAX_TITLE_BYTES};
use convene_types::{Seq, UserId};

use super::check::{at_most, malformed, required};
use crate::model::{Member, Policy, Refusal};

/// Do not disturb, for ever.
const FOR_EVER_MS: i64 = -1;

/// Looks at a `Create`: answers the others, each once, without the maker.
pub fn check_create(
    maker: UserId,
    kind: ConversationKind,
    title: &str,
    members: &[UserId],
    policy: &Policy,
) -> Result<Vec<UserId>, Refusal> {
    required(!members.contains(&UserId(0)), "user 0")?;
    at_most("members", members.len(), MAX_CHANGED_MEMBERS)?;
    let mut others: Vec<_> = members.iter().copied().filter(|user| *user != maker).collect();
    others.sort_unstable();
    others.dedup();
    match kind {
        ConversationKind::Direct => {
            required(others.len() == 1, "a direct conversation has one other")?;
            required(title.is_empty(), "a direct conversation has no title")?;
        }
        ConversationKind::Group => {
            at_most("title", title.len(), MAX_TITLE_BYTES)?;
            if others.len() >= policy.max_members as usize {
                return Err(Refusal::new(Code::TooManyMembers, format!("at most {} members", policy.max_members)));
            }
        }
        ConversationKind::Unspecified => return Err(malformed("a conversation of no kind")),
    }
    Ok(others)
}

/// The body of a conversation's first event, sent by its maker: everybody in it. A title needs no event of its own,
/// since the conversation begins with it.
#[must_use]
pub fn founding(maker: UserId, kind: ConversationKind, others: &[UserId]) -> im::Body {
    let makers = if kind == ConversationKind::Group { Role::Owner } else { Role::Member };
    let entry = |user: UserId, role: Role| im::Member {
        user: user.0,
        role: role.into(),
        with_history: true,
        ..im::Member::default()
    };
    let add = std::iter::once(entry(maker, makers)).chain(others.iter().map(|user| entry(*user, Role::Member)));
    let change = im::MemberChange { add: add.collect(), ..im::MemberChange::default() };
    im::Body { kind: Some(Kind::Members(change)), ..im::Body::default() }
}

/// Where a `Read` moves the cursor: it never falls, and never passes what its user may see. `None`: nowhere.
pub fn check_read(member: &Member, head: Seq, seq: Seq) -> Result<Option<Seq>, Refusal> {
    if seq > member.ceiling.map_or(head, |ceiling| ceiling.min(head)) {
        return Err(Refusal::new(Code::BeyondHead, "a cursor beyond the head"));
    }
    Ok((seq > member.read).then_some(seq))
}

/// Looks at a user's settings for a conversation.
pub fn check_settings(settings: &im::Settings) -> Result<(), Refusal> {
    required(settings.conv != 0, "settings for no conversation")?;
    required(settings.muted_until_ms.is_none_or(|until| until >= FOR_EVER_MS), "a time before 1970")?;
    at_most("draft", settings.draft.as_ref().map_or(0, String::len), MAX_ANNOUNCEMENT_BYTES)
}
