//! The shape of a body: required fields, ranges, lengths. No state, so it can run before anything is loaded.

use convene_proto::im::{self, Code, body::Kind};
use convene_proto::limits::{
    MAX_ANNOUNCEMENT_BYTES, MAX_CHANGED_MEMBERS, MAX_CUSTOM_BYTES, MAX_CUSTOM_TYPE_BYTES, MAX_EMOJI_BYTES,
    MAX_FILE_NAME_BYTES, MAX_MENTIONS, MAX_PREVIEW_BYTES, MAX_TEXT_BYTES, MAX_TITLE_BYTES, MAX_WAVEFORM_POINTS,
};
use convene_types::{Seq, UserId};

use super::Needs;
use super::kinds::{is_message, kind_number};
use crate::model::Refusal;

/// SHA-256.
const BLOB_ID_BYTES: usize = 32;
/// Longest name of a place: as a group's title.
const MAX_LABEL_BYTES: usize = MAX_TITLE_BYTES;
/// Longest name of a call.
const MAX_CALL_ID_BYTES: usize = 64;
/// Most people a call record lists: as many as one event of members.
const MAX_PARTICIPANTS: usize = MAX_CHANGED_MEMBERS;
/// Most ranges of one `Erase`: 20 bytes each at worst, so that it fits into a frame many times.
const MAX_RANGES: usize = 500;
/// 90 and 180 degrees in the unit of the wire.
const MAX_LATITUDE_E7: u32 = 900_000_000;
const MAX_LONGITUDE_E7: u32 = 1_800_000_000;

/// Looks at a body alone, and says what [`super::decide`] needs to judge it.
pub fn check(body: &im::Body) -> Result<Needs, Refusal> {
    let Some(kind) = &body.kind else { return Err(malformed("a body of no known kind")) };
    references(body)?;
    let mut needs = Needs { target: (body.target != 0).then_some(Seq(body.target)), ..Needs::default() };
    needs.users.extend(body.mentions.iter().copied().map(UserId));
    match kind {
        Kind::Text(text) => said(&text.text)?,
        Kind::Voice(voice) => {
            at_most("waveform", voice.waveform.len(), MAX_WAVEFORM_POINTS)?;
            blob(voice.blob.as_ref(), &mut needs)?;
        }
        Kind::Image(image) => {
            at_most("preview", image.preview.len(), MAX_PREVIEW_BYTES)?;
            at_most("caption", image.caption.len(), MAX_TEXT_BYTES)?;
            blob(image.blob.as_ref(), &mut needs)?;
        }
        Kind::File(file) => {
            at_most("caption", file.caption.len(), MAX_TEXT_BYTES)?;
            blob(file.blob.as_ref(), &mut needs)?;
        }
        Kind::Location(location) => place(location)?,
        Kind::Card(card) => {
            at_most("note", card.note.len(), MAX_TEXT_BYTES)?;
            needs.users.push(user(card.user)?);
        }
        Kind::Custom(custom) => own(custom)?,
        Kind::Edit(edit) => at_most("text", edit.text.len(), MAX_TEXT_BYTES)?,
        Kind::React(react) => {
            required(!react.emoji.is_empty(), "a reaction without emoji")?;
            at_most("emoji", react.emoji.len(), MAX_EMOJI_BYTES)?;
        }
        Kind::Members(change) => members(change, &mut needs)?,
        Kind::Group(change) => group(change, &mut needs)?,
        Kind::Mute(mute) => {
            required(!mute.users.is_empty() && mute.until_ms >= 0, "a mute of nobody, or of the past")?;
            at_most("users", mute.users.len(), MAX_CHANGED_MEMBERS)?;
            needs.users = mute.users.iter().copied().map(user).collect::<Result<_, _>>()?;
        }
        Kind::Call(call) => {
            at_most("call id", call.call_id.len(), MAX_CALL_ID_BYTES)?;
            at_most("participants", call.participants.len(), MAX_PARTICIPANTS)?;
        }
        Kind::Erase(erase) => ranges(erase)?,
        Kind::Recall(_) | Kind::Pin(_) | Kind::Tombstone(_) => {}
    }
    unique(&mut needs.users);
    Ok(needs)
}

/// The fields beside the kind.
fn references(body: &im::Body) -> Result<(), Refusal> {
    let done_to_another = matches!(body.kind, Some(Kind::Edit(_) | Kind::Recall(_) | Kind::React(_) | Kind::Pin(_)));
    required(done_to_another == (body.target != 0), "a target that is missing, or has no place here")?;
    let message = is_message(kind_number(body));
    required(message || body.reply_to == 0, "only a message answers one")?;
    required(message || (body.mentions.is_empty() && !body.mention_all), "only a message calls members")?;
    required(!body.mentions.contains(&0), "user 0")?;
    at_most("mentions", body.mentions.len(), MAX_MENTIONS)
}

fn said(text: &str) -> Result<(), Refusal> {
    required(!text.is_empty(), "a text without text")?;
    at_most("text", text.len(), MAX_TEXT_BYTES)
}

fn blob(blob: Option<&im::BlobRef>, needs: &mut Needs) -> Result<(), Refusal> {
    let Some(blob) = blob else { return Err(malformed("without blob")) };
    required(blob.id.len() == BLOB_ID_BYTES, "a blob id of another length than 32")?;
    at_most("name", blob.name.len(), MAX_FILE_NAME_BYTES)?;
    // A name that a careless client would save to: no path in it.
    required(!blob.name.contains(['/', '\\', '\0']), "a file name with a path")?;
    needs.blobs.push(blob.id.clone());
    Ok(())
}

fn place(location: &im::Location) -> Result<(), Refusal> {
    let there = location.latitude_e7.unsigned_abs() <= MAX_LATITUDE_E7
        && location.longitude_e7.unsigned_abs() <= MAX_LONGITUDE_E7;
    required(there, "a place that is not on Earth")?;
    at_most("label", location.label.len(), MAX_LABEL_BYTES)
}

fn own(custom: &im::Custom) -> Result<(), Refusal> {
    required(!custom.r#type.is_empty(), "a custom message without type")?;
    at_most("type", custom.r#type.len(), MAX_CUSTOM_TYPE_BYTES)?;
    at_most("data", custom.data.len(), MAX_CUSTOM_BYTES)?;
    at_most("fallback", custom.fallback.len(), MAX_TEXT_BYTES)
}

fn members(change: &im::MemberChange, needs: &mut Needs) -> Result<(), Refusal> {
    let changed = change.add.iter().chain(&change.role).map(|member| member.user);
    let changed: Vec<_> = changed.chain(change.remove.iter().copied()).collect();
    required(!changed.is_empty(), "a change of no member")?;
    at_most("members", changed.len(), MAX_CHANGED_MEMBERS)?;
    required(change.role.iter().all(|member| member.role() != im::Role::Unspecified), "a change to no role")?;
    // An unknown number would read as unspecified, and so as a plain member.
    let known = change.add.iter().all(|member| im::Role::try_from(member.role).is_ok());
    required(known, "a role that is not known")?;
    needs.users = changed.iter().copied().map(user).collect::<Result<_, _>>()?;
    unique(&mut needs.users);
    required(needs.users.len() == changed.len(), "the same member twice")
}

fn group(change: &im::GroupChange, needs: &mut Needs) -> Result<(), Refusal> {
    if let Some(title) = &change.title {
        required(!title.is_empty(), "an empty title")?;
        at_most("title", title.len(), MAX_TITLE_BYTES)?;
    }
    if let Some(announcement) = &change.announcement {
        at_most("announcement", announcement.len(), MAX_ANNOUNCEMENT_BYTES)?;
    }
    required(change.dissolved != Some(false), "a group cannot be brought back")?;
    if change.avatar.is_some() {
        blob(change.avatar.as_ref(), needs)?;
    }
    required(*change != im::GroupChange::default(), "a change of nothing")
}

fn ranges(erase: &im::Erase) -> Result<(), Refusal> {
    at_most("ranges", erase.ranges.len(), MAX_RANGES)?;
    let sound = erase.ranges.iter().all(|range| range.first >= 1 && range.first <= range.last);
    required(sound && !erase.ranges.is_empty(), "ranges that are empty")?;
    required(erase.reason() != im::EraseReason::Unspecified, "without reason")
}

fn user(id: u64) -> Result<UserId, Refusal> {
    required(id != 0, "user 0")?;
    Ok(UserId(id))
}

fn unique(users: &mut Vec<UserId>) {
    users.sort_unstable();
    users.dedup();
}

pub(super) fn malformed(text: &'static str) -> Refusal {
    Refusal::new(Code::Malformed, text)
}

pub(super) fn required(condition: bool, text: &'static str) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(malformed(text)) }
}

pub(super) fn at_most(what: &str, len: usize, most: usize) -> Result<(), Refusal> {
    if len <= most { Ok(()) } else { Err(Refusal::new(Code::TooLong, format!("{what}: {len}, at most {most}"))) }
}
