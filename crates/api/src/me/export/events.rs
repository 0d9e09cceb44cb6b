//! What happened in a conversation, in words and in JSON.

use convene_proto::im::{self, Event, body::Kind};
use serde_json::{Value, json};

use super::html;

/// An event as an export shows it.
pub(super) struct Shown {
    /// A word that stays.
    kind: &'static str,
    /// What was said, or what happened.
    text: String,
    /// A file that belongs to it.
    pub(super) blob: Option<im::BlobRef>,
}

/// Finds the name of a user.
pub(super) type Names<'a> = &'a mut dyn FnMut(u64) -> String;

/// What an event says.
pub(super) fn shown(event: &Event, names: Names<'_>) -> Shown {
    let kind = event.body.as_ref().and_then(|body| body.kind.as_ref());
    let target = event.body.as_ref().map_or(0, |body| body.target);
    let plain = |kind, text: &str| Shown { kind, text: text.to_owned(), blob: None };
    match kind {
        Some(Kind::Text(said)) => plain("text", &said.text),
        Some(Kind::Voice(voice)) => {
            let text = format!("voice message, {} s", voice.duration_ms.div_ceil(1000));
            Shown { kind: "voice", text, blob: voice.blob.clone() }
        }
        Some(Kind::Image(image)) => Shown { kind: "image", text: image.caption.clone(), blob: image.blob.clone() },
        Some(Kind::File(file)) => Shown { kind: "file", text: file.caption.clone(), blob: file.blob.clone() },
        Some(Kind::Location(place)) => plain("location", &place.label),
        Some(Kind::Card(card)) => plain("card", &format!("card of {}: {}", names(card.user), card.note)),
        Some(Kind::Custom(custom)) => plain("custom", &custom.fallback),
        Some(Kind::Edit(edit)) => plain("edit", &format!("changed {target}: {}", edit.text)),
        Some(Kind::Recall(_)) => plain("recall", &format!("took back {target}")),
        Some(Kind::React(react)) => {
            plain("react", &format!("{} {} {target}", react.emoji, if react.remove { "taken from" } else { "on" }))
        }
        Some(Kind::Pin(_)) => plain("pin", &format!("pinned or unpinned {target}")),
        Some(Kind::Members(change)) => plain("members", &members(change, names)),
        Some(Kind::Group(change)) => Shown { kind: "group", text: group(change), blob: change.avatar.clone() },
        Some(Kind::Mute(mute)) => plain("mute", &format!("who may write: {}", list(&mute.users, names))),
        Some(Kind::Call(call)) => plain("call", &format!("call, {} s", call.duration_ms.div_ceil(1000))),
        Some(Kind::Erase(_)) => plain("erase", "messages were erased"),
        Some(Kind::Tombstone(_)) => plain("tombstone", "taken back or erased"),
        None => plain("unknown", ""),
    }
}

fn list(users: &[u64], names: Names<'_>) -> String {
    users.iter().map(|user| names(*user)).collect::<Vec<_>>().join(", ")
}

fn members(change: &im::MemberChange, names: Names<'_>) -> String {
    let of = |members: &[im::Member]| members.iter().map(|member| member.user).collect::<Vec<_>>();
    let parts = [("added", of(&change.add)), ("removed", change.remove.clone()), ("role of", of(&change.role))];
    let said = parts.into_iter().filter(|(_, users)| !users.is_empty());
    said.map(|(what, users)| format!("{what} {}", list(&users, names))).collect::<Vec<_>>().join("; ")
}

fn group(change: &im::GroupChange) -> String {
    let mut parts = Vec::new();
    parts.extend(change.title.as_ref().map(|title| format!("title: {title}")));
    parts.extend(change.announcement.as_ref().map(|text| format!("announcement: {text}")));
    parts.extend(change.muted.map(|muted| if muted { "only admins write" } else { "all write" }.to_owned()));
    parts.extend(change.dissolved.map(|_| "dissolved".to_owned()));
    parts.join("; ")
}

/// For programs. `file`: where it is in the archive; none: there is none, or it was left out.
pub(super) fn json(event: &Event, shown: &Shown, sender: &str, file: Option<&str>) -> Value {
    let body = event.body.as_ref();
    json!({
        "seq": event.seq,
        "at_ms": event.at_ms,
        "sender": event.sender,
        "sender_name": sender,
        "kind": shown.kind,
        "text": shown.text,
        "target": body.map_or(0, |body| body.target),
        "reply_to": body.map_or(0, |body| body.reply_to),
        "file": file,
        "file_name": shown.blob.as_ref().map(|blob| blob.name.as_str()),
    })
}

/// For people.
pub(super) fn row(event: &Event, shown: &Shown, sender: &str, file: Option<&str>) -> String {
    let (at, sender, said) = (html::clock(event.at_ms), html::text(sender), html::text(&shown.text));
    let name = |blob: &im::BlobRef| html::text(if blob.name.is_empty() { "file" } else { &blob.name });
    let link = match (&shown.blob, file) {
        (Some(blob), Some(path)) => format!(" <a href=\"../{}\">{}</a>", html::text(path), name(blob)),
        (Some(blob), None) => format!(" {} <small>(left out)</small>", name(blob)),
        (None, _) => String::new(),
    };
    let seq = event.seq;
    format!("<li id=\"{seq}\" value=\"{seq}\"><time>{at}</time> <b>{sender}</b> {said}{link}</li>\n")
}
