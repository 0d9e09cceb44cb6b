//! The control plane of rooms: who is in, what they publish, who receives what. Neutral of any wire protocol: the
//! LiveKit adapter, the Twirp API, WHIP and WHEP all speak to [`Registry`] and [`RoomHandle`].
//!
//! ```text
//!  adapters ──Command──> room task ──> convene_sfu::Room (media plane)
//!           <──Notice───  (State)  <── convene_sfu::Event
//! ```
//!
//! Invariant: one tokio task owns all state of a room ([`state::State`], a pure machine); no lock is held anywhere, every
//! queue is bounded.

mod actor;
mod budget;
mod clock;
mod command;
mod counts;
mod data;
mod error;
mod handle;
mod happening;
mod history;
mod ids;
mod model;
mod notice;
mod registry;
mod request;
mod state;

pub use budget::Budget;
pub(crate) use budget::MAX_MESSAGE_BYTES;
pub use data::{DataFormat, DataSender, Stamped};
pub use error::Error;
pub use handle::RoomHandle;
pub use happening::{Happening, MAX_HAPPENINGS, What};
pub use history::{History, RETENTION_HOURS, Sample, Stay, TrackLog};
pub use model::*;
pub use notice::{DataHandle, MAX_NOTICES, Notice, SubscriptionError};
pub use registry::{Options, Registry};
pub use request::*;
