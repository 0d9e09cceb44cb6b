//! How conversations and messages look on a terminal. Pure: text in, text out.
//!
//! Whatever others wrote is stripped of control characters: a message must not move the cursor or set a title.

use convene_client::im::{self, Body, body::Kind};
use convene_client::{Conversation, Message, Outgoing, Progress};

/// Columns of a waveform.
const BARS: usize = 32;
/// Ticks of one second.
const DAY_S: i64 = 24 * 60 * 60;

/// Finds the name to show for a user.
pub(super) type Names<'a> = &'a dyn Fn(u64) -> String;

/// The line of a conversation in the list.
pub(super) fn conversation(conversation: &Conversation, names: Names<'_>) -> String {
    let unread = if conversation.unread > 0 { format!("({})", conversation.unread) } else { String::new() };
    let last = conversation.last.as_ref().map(|message| brief(message, names)).unwrap_or_default();
    format!("{:>6}  {:<24} {unread:>6}  {last}", conversation.conv, title(conversation, names))
}

/// Title of a group, or the other's name.
pub(super) fn title(conversation: &Conversation, names: Names<'_>) -> String {
    match conversation.state.kind {
        im::ConversationKind::Group => plain(&conversation.state.title),
        im::ConversationKind::Direct | im::ConversationKind::Unspecified => names(conversation.state.peer.0),
    }
}

fn brief(message: &Message, names: Names<'_>) -> String {
    let text = body(message, names);
    let first = text.lines().next().unwrap_or_default();
    let cut: String = first.chars().take(60).collect();
    format!("{}: {cut}", names(message.event.sender))
}

/// A message with its number, time and sender.
pub(super) fn message(message: &Message, names: Names<'_>) -> String {
    let event = &message.event;
    let sender = if event.sender == 0 { "server".to_owned() } else { names(event.sender) };
    let mut line = format!("{:>5} {} {sender}: {}", event.seq, clock(event.at_ms), body(message, names));
    for (emoji, users) in &message.folded.reactions {
        line.push_str(&format!(
            "  {}{}",
            plain(emoji),
            if users.len() > 1 { users.len().to_string() } else { String::new() }
        ));
    }
    if message.folded.pinned {
        line.push_str("  [pinned]");
    }
    line
}

/// A message that is not in the log yet.
pub(super) fn outgoing(row: &Outgoing) -> String {
    let state = match row.state {
        Progress::Uploading => "uploading".to_owned(),
        Progress::Ready => "waiting".to_owned(),
        Progress::Acknowledged => "sent".to_owned(),
        Progress::Failed => format!("failed: {}", row.text),
    };
    let text = kind(row.body.kind.as_ref(), &|user| format!("user {user}"));
    format!("    - {} me: {text}  [{state}]", clock(row.at_ms))
}

fn body(message: &Message, names: Names<'_>) -> String {
    let empty = Body::default();
    let body = message.event.body.as_ref().unwrap_or(&empty);
    let reply = if body.reply_to == 0 { String::new() } else { format!("(to {}) ", body.reply_to) };
    match &message.folded.edited {
        Some((text, _)) => format!("{reply}{} (edited)", plain(text)),
        None => format!("{reply}{}", kind(body.kind.as_ref(), names)),
    }
}

fn kind(kind: Option<&Kind>, names: Names<'_>) -> String {
    match kind {
        Some(Kind::Text(text)) => plain(&text.text),
        Some(Kind::Voice(voice)) => {
            let bars = convene_client::bars(&voice.waveform, BARS);
            format!("[voice {}] {bars}", length(voice.duration_ms))
        }
        Some(Kind::Image(image)) => format!("[picture {}x{}] {}", image.width, image.height, plain(&image.caption)),
        Some(Kind::File(file)) => {
            let blob = file.blob.clone().unwrap_or_default();
            format!("[file {}, {}] {}", plain(&blob.name), size(blob.size), plain(&file.caption))
        }
        Some(Kind::Location(place)) => format!("[place {}]", plain(&place.label)),
        Some(Kind::Card(card)) => format!("[card of {}] {}", names(card.user), plain(&card.note)),
        Some(Kind::Custom(custom)) => plain(&custom.fallback),
        Some(Kind::Members(change)) => members(change, names),
        Some(Kind::Group(change)) => group(change),
        Some(Kind::Mute(_)) => "* changed who may write".to_owned(),
        Some(Kind::Call(call)) => format!("* call, {}", length(call.duration_ms)),
        Some(Kind::Tombstone(left)) => match left.reason() {
            im::EraseReason::Recalled => "* taken back".to_owned(),
            im::EraseReason::Unspecified
            | im::EraseReason::Retention
            | im::EraseReason::Account
            | im::EraseReason::Moderation => "* erased".to_owned(),
        },
        Some(Kind::Edit(_) | Kind::Recall(_) | Kind::React(_) | Kind::Pin(_) | Kind::Erase(_)) => String::new(),
        None => "* something this version does not know".to_owned(),
    }
}

fn members(change: &im::MemberChange, names: Names<'_>) -> String {
    let mut parts = Vec::new();
    let list = |users: Vec<u64>| users.into_iter().map(names).collect::<Vec<_>>().join(", ");
    if !change.add.is_empty() {
        parts.push(format!("added {}", list(change.add.iter().map(|member| member.user).collect())));
    }
    if !change.remove.is_empty() {
        parts.push(format!("removed {}", list(change.remove.clone())));
    }
    if !change.role.is_empty() {
        parts.push(format!("changed the role of {}", list(change.role.iter().map(|member| member.user).collect())));
    }
    format!("* {}", parts.join(", "))
}

fn group(change: &im::GroupChange) -> String {
    let mut parts = Vec::new();
    parts.extend(change.title.as_ref().map(|title| format!("title: {}", plain(title))));
    parts.extend(change.announcement.as_ref().map(|text| format!("announcement: {}", plain(text))));
    parts.extend(change.muted.map(|muted| if muted { "only admins may write" } else { "all may write" }.to_owned()));
    parts.extend(change.dissolved.map(|_| "dissolved".to_owned()));
    parts.extend(change.avatar.as_ref().map(|_| "another picture".to_owned()));
    format!("* {}", parts.join(", "))
}

/// Without anything that a terminal would obey (C0, DEL, C1), and on one line.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

/// Time of day, UTC.
fn clock(at_ms: i64) -> String {
    let s = at_ms.div_euclid(1000).rem_euclid(DAY_S);
    format!("{:02}:{:02}", s / 3600, s / 60 % 60)
}

fn length(ms: u32) -> String {
    let s = ms.div_ceil(1000);
    format!("{}:{:02}", s / 60, s % 60)
}

pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use convene_client::Folded;

    use super::*;

    fn text(text: &str) -> Message {
        let body = Body { kind: Some(Kind::Text(im::Text { text: text.to_owned() })), ..Body::default() };
        let event = im::Event { seq: 7, sender: 3, at_ms: 3_723_000, body: Some(body), ..im::Event::default() };
        Message { event, folded: Folded::default() }
    }

    fn names(user: u64) -> String {
        format!("u{user}")
    }

    #[test]
    fn a_message_shows_number_time_and_sender() {
        assert_eq!(message(&text("hello"), &names), "    7 01:02 u3: hello");
        let edited = Folded { edited: Some(("better".to_owned(), 0)), ..Folded::default() };
        assert_eq!(message(&Message { folded: edited, ..text("hello") }, &names), "    7 01:02 u3: better (edited)");
    }

    #[test]
    fn what_others_write_moves_no_cursor() {
        assert_eq!(plain("a\x1b[2Jb\r\nc\u{9b}d\x07"), "a[2Jb cd");
        assert_eq!(plain("täglich 日本 🎉"), "täglich 日本 🎉");
    }

    #[test]
    fn sizes_and_lengths_are_short() {
        let rows = [(999, "999 B"), (10_000, "10 kB"), (12_345_678, "12 MB")];
        for (bytes, want) in rows {
            assert_eq!(size(bytes), want);
        }
        assert_eq!((length(61_001), length(0)), ("1:02".to_owned(), "0:00".to_owned()));
    }
}
