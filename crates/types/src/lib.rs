//! Names and quantities that every other crate speaks in: ids, RTP numbers, codecs, rates.
//!
//! Invariant: this crate holds no logic beyond conversion, never reads a clock, and depends on nothing of ours.

mod chat;
mod codec;
mod ids;
mod label;
mod rate;
mod seq;

pub use chat::{
    AccountId, Bump, CallId, ClientId, ConvId, DeptId, DeviceId, InviteId, Ordinal, OrgId, PositionId, Seq, SessionId,
    Useq, UserId,
};
pub use codec::{Codec, MediaKind};
pub use ids::{PeerId, RoomId, TrackId};
pub use label::{Label, LabelError, Mid, Rid};
pub use rate::Bitrate;
pub use seq::{ExtSeq, Pt, SeqNo, Ssrc};
