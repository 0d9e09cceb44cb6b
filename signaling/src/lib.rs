//! convene-signaling

mod http;
mod livekit;
pub mod rooms;
pub mod token;
mod twirp;
mod whip;
