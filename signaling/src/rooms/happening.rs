//! What happens in rooms, for those who are told of it outside: the calls of people, webhooks. A room says it once, in its
//! order; whoever listens is never waited for.

use super::model::{ParticipantInfo, RoomInfo, TrackInfo};

/// Happenings that one listener may be behind with: a node full of people that restarts its rooms. Whoever is further behind
/// is told how many were missed.
pub const MAX_HAPPENINGS: usize = 8_192;

/// Something happened in a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// As the room is now.
    pub room: RoomInfo,
    /// What.
    pub what: What,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The room is open.
    Started,
    /// It is no more.
    Finished,
    /// This identity holds a seat. Nothing is connected yet.
    Seated(String),
    /// This identity holds it no more.
    Unseated(String),
    /// Somebody is connected.
    Joined(Box<ParticipantInfo>),
    /// Somebody who was connected is out.
    Left(Box<ParticipantInfo>),
    /// Others know of a track.
    Published(Box<ParticipantInfo>, Box<TrackInfo>),
    /// It is gone.
    Unpublished(Box<ParticipantInfo>, Box<TrackInfo>),
}
