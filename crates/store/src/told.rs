//! What webhooks say of members, calls and messages, in JSON. Of rooms they tell in LiveKit's format, which `signaling` writes.

use convene_proto::im::{self, body::Kind};
use convene_types::{ConvId, OrgId};
use serde_json::{Value, json};

/// Something of the audit log that happened to a member.
pub(crate) struct MemberAct<'a> {
    pub(crate) org: OrgId,
    /// Its number in the audit log.
    pub(crate) number: i64,
    pub(crate) at_s: u64,
    pub(crate) actor: String,
    /// `member.role`.
    pub(crate) act: &'a str,
    pub(crate) target: &'a str,
}

pub(crate) fn member(act: &MemberAct<'_>) -> String {
    let MemberAct { org, number, at_s, actor, act, target } = act;
    let body = json!({
        "event": act.replace('.', "_"),
        "id": format!("EV_o{org}_{number}"),
        "createdAt": at_s.to_string(),
        "organisation": org.0,
        "actor": actor,
        "target": target,
    });
    body.to_string()
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It rings.
    Started,
    /// The first one has answered.
    Answered,
    /// It is over.
    Ended,
}

impl Moment {
    const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Answered => "answered",
            Self::Ended => "ended",
        }
    }
}

/// A call and what is written down of it. Said again it has the same id.
#[must_use]
pub fn call(org: OrgId, conv: ConvId, moment: Moment, record: &im::CallRecord, at_ms: i64) -> String {
    let person = |person: &im::CallPerson| {
        json!({
            "user": person.user,
            "standing": standing(person),
            "device_id": hex(&person.device_id),
            "joined_ms": person.joined_ms,
            "left_ms": person.left_ms,
        })
    };
    let body = json!({
        "event": format!("call_{}", moment.name()),
        "id": format!("EV_{}_{}", record.call_id, moment.name()),
        "createdAt": (at_ms / 1_000).to_string(),
        "organisation": org.0,
        "conversation": conv.0,
        "call": {
            "id": record.call_id,
            "caller": record.caller,
            "video": record.video,
            "outcome": outcome(record),
            "started_ms": record.started_ms,
            "duration_ms": record.duration_ms,
            "participants": record.participants,
            "people": record.people.iter().map(person).collect::<Vec<_>>(),
        },
    });
    body.to_string()
}

/// How a call stands: `ringing`, `ended`, `missed`...
#[must_use]
pub fn outcome(record: &im::CallRecord) -> String {
    word(record.outcome().as_str_name(), "CALL_OUTCOME_")
}

/// How somebody stands in a call: `accepted`, `left`...
#[must_use]
pub fn standing(person: &im::CallPerson) -> String {
    word(person.standing().as_str_name(), "CALL_STANDING_")
}

fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

/// Whether this is something that people say to each other. Calls and members are told of by themselves.
pub(crate) const fn is_message(body: &im::Body) -> bool {
    matches!(
        body.kind,
        Some(
            Kind::Text(_)
                | Kind::Voice(_)
                | Kind::Image(_)
                | Kind::File(_)
                | Kind::Location(_)
                | Kind::Card(_)
                | Kind::Custom(_)
                | Kind::Edit(_)
                | Kind::Recall(_)
        )
    )
}

/// A message as it stands in the log at this moment: what was recalled has no content any more.
pub(crate) fn message(org: OrgId, event: &im::Event) -> String {
    let body = event.body.clone().unwrap_or_default();
    let (kind, content) = body.kind.as_ref().map_or(ERASED, content);
    let body = json!({
        "event": "message",
        "id": format!("EV_o{org}_c{}_{}", event.conv, event.seq),
        "createdAt": (event.at_ms / 1_000).to_string(),
        "organisation": org.0,
        "conversation": event.conv,
        "message": {
            "seq": event.seq,
            "sender": event.sender,
            "sent_ms": event.at_ms,
            "kind": kind,
            "content": content,
            "target": body.target,
            "reply_to": body.reply_to,
            "mentions": body.mentions,
            "mention_all": body.mention_all,
        },
    });
    body.to_string()
}

const ERASED: (&str, Value) = ("erased", Value::Null);

fn content(kind: &Kind) -> (&'static str, Value) {
    match kind {
        Kind::Text(im::Text { text }) => ("text", json!({ "text": text })),
        Kind::Voice(voice) => ("voice", json!({ "blob": blob(voice.blob.as_ref()), "duration_ms": voice.duration_ms })),
        Kind::Image(im::Image { blob: of, width, height, caption, .. }) => {
            ("image", json!({ "blob": blob(of.as_ref()), "width": width, "height": height, "caption": caption }))
        }
        Kind::File(file) => ("file", json!({ "blob": blob(file.blob.as_ref()), "caption": file.caption })),
        Kind::Location(im::Location { latitude_e7, longitude_e7, label, accuracy_m }) => {
            let place = json!({ "latitude_e7": latitude_e7, "longitude_e7": longitude_e7, "label": label, "accuracy_m": accuracy_m });
            ("location", place)
        }
        Kind::Card(im::Card { user, note }) => ("card", json!({ "user": user, "note": note })),
        Kind::Custom(im::Custom { r#type, data, fallback, .. }) => {
            ("custom", json!({ "type": r#type, "data": hex(data), "fallback": fallback }))
        }
        Kind::Edit(im::Edit { text }) => ("edit", json!({ "text": text })),
        Kind::Recall(im::Recall {}) => ("recall", Value::Null),
        Kind::Tombstone(_) => ERASED,
        // Not told of: see `is_message`.
        Kind::React(_) | Kind::Pin(_) | Kind::Members(_) | Kind::Group(_) => ("other", Value::Null),
        Kind::Mute(_) | Kind::Call(_) | Kind::Erase(_) => ("other", Value::Null),
    }
}

/// Its id is what `/im/blobs` serves it by.
fn blob(blob: Option<&im::BlobRef>) -> Value {
    let Some(im::BlobRef { id, size, mime, name }) = blob else { return Value::Null };
    json!({ "id": hex(id), "size": size, "mime": mime, "name": name })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
