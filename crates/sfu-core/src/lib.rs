//! Who gets which packet, rewritten how: one [`Room`] of publishers, tracks, layers and subscribers.
//!
//! ```text
//! decrypted RTP -> Room::handle_rtp -> layer (unwrap, close gaps, NACK, reception) -> history + batch
//!                                                                                      |
//! Room::next_subscriber -> Room::write: pick by layer, number by munge, copy + patch -> plaintext RTP to seal
//! Room::handle_rtcp <- SR of publishers, NACK/PLI/FIR/RR of subscribers
//!                      TWCC feedback, REMB -> bwe (what the path carries) -> allocate (layers and pauses)
//! Room::poll_rtcp   -> NACK/PLI/TWCC/RR to publishers, SR+SDES to subscribers
//! ```
//!
//! A packet is stored once per layer; what waits for a flush is a list of references into that history, walked once
//! per subscriber. A forwarded packet costs one copy and no allocation, hash or lock.
//!
//! Invariants: this crate never reads a clock, opens no socket, knows no SRTP, SDP or ICE, and does not panic on any
//! bytes. A subscriber's SSRC never sees one sequence number with two contents, because an SRTP nonce is made of it.

mod allocate;
mod bwe;
mod ceiling;
mod config;
mod cut;
mod drop_reason;
mod event;
mod floor;
mod flow;
mod gaps;
mod history;
mod hold;
mod layer;
mod loss;
mod loudest;
mod meta;
mod munge;
mod nack;
mod pace;
mod pacer;
mod part;
mod playout;
mod pli;
mod publisher;
mod quality;
mod queue;
mod reception;
mod redundancy;
mod remb;
mod repairs;
mod room;
mod shape;
mod share;
mod speakers;
mod spec;
mod sr;
mod stamp;
mod stats;
mod subscriber;
mod subscription;
#[cfg(test)]
mod testing;
mod track;
mod trim;
mod twcc;
mod uplink;
mod volume;
mod window;
mod write;

pub use ceiling::Ceiling;
pub use config::Config;
pub use drop_reason::Drop;
pub use event::{Event, Speaker};
pub use flow::Flow;
pub use quality::{Grade, Rating};
pub use room::{Again, Moved, Room, Show, Sink};
pub use spec::{Egress, PtMap, RedPts, RtpIn, TrackSpec};
pub use stats::Stats;
