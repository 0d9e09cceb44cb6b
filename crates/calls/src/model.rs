//! What calls are told and written down with: who is in one and how they stand, how it begins, how it ends.

use convene_types::{CallId, ConvId, DeviceId, OrgId, UserId};

/// People that one call rings. Each change is told to all of them, so the cost grows with the square.
pub const MAX_RUNG: usize = 100;

/// How somebody stands in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// All their devices ring.
    Ringing,
    /// In the call, or about to be.
    Accepted,
    /// Said no.
    Declined,
    /// Was in another call.
    Busy,
    /// Did not answer in time, or the caller gave up.
    Missed,
    /// Was in the call.
    Left,
    /// Was sent away.
    Removed,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Somebody had answered.
    Ended,
    /// Nobody answered in time.
    Missed,
    /// All who could said no.
    Declined,
    /// The caller gave up before anybody answered.
    Cancelled,
    /// All were in other calls.
    Busy,
    /// The server stopped, and nobody came back.
    Interrupted,
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// How.
    pub outcome: Outcome,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// Somebody in a call. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// How they stand.
    pub standing: Standing,
    /// Where they answered.
    pub device: Option<DeviceId>,
    /// When they first came into the room.
    pub joined_ms: Option<i64>,
    /// When they last left it.
    pub left_ms: Option<i64>,
    /// Holds a seat in the room.
    pub(crate) present: bool,
    /// When they answered.
    pub(crate) accepted_ms: i64,
}

/// One device of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
}

/// What a call begins with.
#[derive(Clone, Debug)]
pub struct New {
    /// Its name, unlike any other.
    pub id: CallId,
    /// Where all of this happens.
    pub org: OrgId,
    /// The conversation it belongs to.
    pub conv: ConvId,
    /// Between two.
    pub direct: bool,
    /// Who calls, and where.
    pub caller: Device,
    /// Begun with camera.
    pub video: bool,
    /// Who is rung. The caller is left out.
    pub callees: Vec<UserId>,
}

/// Why something is not done. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It has ended, or never was.
    #[error("the call is over")]
    Over,
    /// Was not called, or was sent away.
    #[error("not in this call")]
    NotInvited,
    /// Another device of theirs has answered.
    #[error("answered on another device")]
    AnsweredElsewhere,
    /// There is nothing to decline, to cancel or to hang up.
    #[error("not while it stands like this")]
    NotNow,
    /// They are in another call.
    #[error("in another call")]
    InAnother(CallId),
    /// The conversation has a call.
    #[error("the conversation has a call already")]
    Exists(CallId),
    /// Nobody to call, or too many.
    #[error("nobody to call, or more than {MAX_RUNG}")]
    Count,
    /// More calls than the server keeps.
    #[error("too many calls")]
    Full,
}

impl Person {
    /// Somebody as they were kept.
    #[must_use]
    pub const fn kept(
        standing: Standing,
        device: Option<DeviceId>,
        joined_ms: Option<i64>,
        left_ms: Option<i64>,
    ) -> Self {
        Self { joined_ms, left_ms, ..person(standing, device, 0) }
    }

    /// Is out of it, and of the room.
    pub(crate) fn leave(&mut self, standing: Standing, now_ms: i64) {
        self.standing = standing;
        if std::mem::take(&mut self.present) {
            self.left_ms = Some(now_ms);
        }
    }
}

/// Somebody who stands like this from now on.
pub(crate) const fn person(standing: Standing, device: Option<DeviceId>, now_ms: i64) -> Person {
    Person { standing, device, joined_ms: None, left_ms: None, present: false, accepted_ms: now_ms }
}
