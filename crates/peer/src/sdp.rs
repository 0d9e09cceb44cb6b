//! Offer/answer (RFC 8829, RFC 3264) for a server with one transport: what was agreed, section by section.
//!
//! Two roles. *Answerer*: the client always offers (LiveKit v1, WHIP, WHEP, the publisher side of LiveKit v0).
//! *Offerer*: the server offers what the client subscribes to (the subscriber side of LiveKit v0). Either way the server
//! is ICE-lite and the DTLS server, everything is bundled on one transport, and section order never changes.
//!
//! ```text
//! ClientOffer::read -> handle_offer -> attach/detach -> answer            answerer
//! attach/detach -> create_offer -> ClientAnswer::read -> handle_answer    offerer
//!         sections(): what each m= section carries now
//! ```
//!
//! Text is parsed by rtc-sdp, whose types do not leave this module, in whatever thread has it; negotiating is a media thread's.
//! Not here: who may publish or subscribe, SSRC demultiplexing (`sources`), candidates of the client (an ICE-lite agent waits for
//! checks, RFC 8445 §2.5).
//!
//! Invariants: a refused description changes nothing; no I/O, no clock, no randomness.

mod answer;
mod codec;
mod error;
mod frag;
mod lines;
mod negotiator;
mod offer;
mod outgoing;
mod parse;
mod print;
mod section;
mod transport;

pub use codec::{CodecParams, Feedback, match_codec};
pub use error::SdpError;
pub use frag::Fragment;
pub use negotiator::{Negotiator, OfferChange, Options};
pub use outgoing::{Attach, Msid, Outgoing};
pub use parse::{ClientAnswer, ClientOffer};
pub use section::{Section, SectionKind};

/// Longest description that is read. A Chromium video section is about 5 KiB and one for audio 1 KiB, so this holds a full
/// [`MAX_SECTIONS`] call; more would only make a hostile offer dearer.
pub const MAX_SDP_BYTES: usize = 1024 * 1024;

/// Sections of one transport: 256 subscribed, the client's own, and its data. Each costs a kilobyte or two here and several in
/// every further offer.
pub const MAX_SECTIONS: usize = 272;

/// Lines of a description, for each section on average and for the session. A Chromium video section with all codecs, simulcast and
/// candidates has 200 to 240, one for audio 50. Each is two strings to the parser, and may be three bytes to the client.
pub const MAX_LINES_PER_SECTION: usize = 256;

/// Longest `m=` line. All payload types there are take 500 bytes, those of a browser 250.
pub const MAX_MEDIA_LINE_BYTES: usize = 1024;

/// Of these, the last are not spent on pictures that the client is to receive: it may want to share its screen, and an offer with
/// too many sections is refused whole. Fewer leave no room for camera, microphone and screen with backup codecs.
pub const KEPT_SECTIONS: usize = 8;

/// Attachments waiting for a section. More than [`MAX_SECTIONS`] could never be placed.
pub const MAX_PENDING: usize = MAX_SECTIONS;

/// SSRCs that one section may name: three simulcast layers with RTX and room for clients that list more.
pub const MAX_SSRCS: usize = 32;

/// Simulcast layers of one section; browsers send at most three.
pub const MAX_RIDS: usize = 4;

/// Longest `a=fmtp` kept. It is repeated to every subscriber; the longest that a browser sends is under 100 bytes.
pub const MAX_FMTP_BYTES: usize = 256;

/// Largest SCTP user message that we take (`a=max-message-size`, RFC 8841 §6), as LiveKit and Chromium announce it.
pub const MAX_MESSAGE_BYTES: u32 = 262_144;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
