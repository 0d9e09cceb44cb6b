//! Why the control plane says no.

/// A refused request. [`Error::code`] is stable and may be shown to clients.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No room of that name is open, and rooms are not made by joining.
    #[error("requested room does not exist")]
    RoomNotFound,
    /// No such participant in the room.
    #[error("participant does not exist")]
    ParticipantNotFound,
    /// No such track in the room.
    #[error("track does not exist")]
    TrackNotFound,
    /// The room's own limit of participants.
    #[error("room is full")]
    RoomFull,
    /// The participant's grants do not cover it.
    #[error("not allowed: {0}")]
    NotAllowed(&'static str),
    /// A named limit of the server.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// An argument that cannot be used.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// A name or number that has to be unique is in use.
    #[error("already in use: {0}")]
    Taken(&'static str),
    /// The transport mode has no such operation.
    #[error("the participant's transport has no such operation")]
    WrongMode,
    /// The room ended while it was asked.
    #[error("room is closed")]
    Closed,
    /// The server stops and lets nobody in.
    #[error("server is shutting down")]
    Draining,
    /// The media plane said no.
    #[error(transparent)]
    Media(#[from] convene_sfu::Error),
}

impl Error {
    /// A stable code for clients and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RoomNotFound => "room_not_found",
            Self::ParticipantNotFound => "participant_not_found",
            Self::TrackNotFound => "track_not_found",
            Self::RoomFull => "room_full",
            Self::NotAllowed(_) => "not_allowed",
            Self::Limit(limit) => limit,
            Self::Invalid(_) => "invalid_argument",
            Self::Taken(_) => "already_in_use",
            Self::WrongMode => "wrong_mode",
            Self::Closed => "room_closed",
            Self::Draining => "draining",
            Self::Media(error) => error.code(),
        }
    }
}
