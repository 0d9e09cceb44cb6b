//! What kinds of events there are, by the field number they have in `Body.kind`.

use convene_proto::im::{self, body::Kind};

/// Field number of a text, and so on: as `im.proto` has them.
pub const TEXT: u32 = 1;
pub(super) const IMAGE: u32 = 3;
pub(super) const FILE: u32 = 4;
pub(super) const CUSTOM: u32 = 7;
/// Field number of an edit.
pub const EDIT: u32 = 16;
/// Field number of a change of members.
pub const MEMBERS: u32 = 20;
/// Field number of a change of the group.
pub const GROUP: u32 = 21;
/// Field number of a call record.
pub const CALL: u32 = 23;
/// Field number of what erasure leaves.
pub const TOMBSTONE: u32 = 25;

/// The field number of a body's kind; 0 if it has none that this build knows.
#[must_use]
pub const fn kind_number(body: &im::Body) -> u32 {
    let Some(kind) = &body.kind else { return 0 };
    match kind {
        Kind::Text(_) => TEXT,
        Kind::Voice(_) => 2,
        Kind::Image(_) => IMAGE,
        Kind::File(_) => FILE,
        Kind::Location(_) => 5,
        Kind::Card(_) => 6,
        Kind::Custom(_) => CUSTOM,
        Kind::Edit(_) => EDIT,
        Kind::Recall(_) => 17,
        Kind::React(_) => 18,
        Kind::Pin(_) => 19,
        Kind::Members(_) => MEMBERS,
        Kind::Group(_) => GROUP,
        Kind::Mute(_) => 22,
        Kind::Call(_) => CALL,
        Kind::Erase(_) => 24,
        Kind::Tombstone(_) => TOMBSTONE,
    }
}

/// Whether this kind is something said: what can be replied to, pinned, recalled.
#[must_use]
pub const fn is_message(kind: u32) -> bool {
    matches!(kind, TEXT..=CUSTOM)
}

/// Whether the event counts as unread. A tombstone does not say; the `ord` beside it still does.
#[must_use]
pub const fn is_countable(body: &im::Body) -> bool {
    match &body.kind {
        Some(Kind::Custom(custom)) => !custom.silent,
        // That a phone rings is not yet something to have missed: the record of the call is, once it is over.
        Some(Kind::Call(call)) => call.outcome != im::CallOutcome::Ringing as i32,
        _ => is_message(kind_number(body)),
    }
}
