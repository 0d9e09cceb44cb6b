//! One WebRTC peer, sans-I/O, on webrtc-rs' `rtc-*` layers: ICE-lite, a DTLS server, SRTP, SDP, data channels.
//!
//! ```text
//!             handle_offer / create_answer            sections, attach
//!   SDP  ────────────────────────────────> sdp ───────────────────────────> caller
//!                                           │ credentials, fingerprint
//!   datagrams ──> handle_stun / handle_dtls ──> transport ──> app data ──> sctp ──> channel events
//!             ──> unprotect_rtp (in place)  ──> plaintext RTP ──> sources: SSRC to section and layer
//! ```
//!
//! Invariants: this crate never reads a clock and owns no socket; SDP, ICE, DTLS and SRTP types appear in no other crate;
//! nothing here panics on bytes from the network; state made for a stranger is bounded.

mod drop_reason;
mod peer;
pub mod sctp;
pub mod sdp;
pub mod sources;
pub mod transport;

pub use drop_reason::DropReason;
pub use peer::{Event, Options, Peer};
