//! What a client may cost before and after it is let in. Each refusal has a name and is counted by it.
//!
//! Not here: how much of what it says is read ([`crate::rooms::Budget`]).

use std::time::Duration;

/// Bytes of a join request after inflation: an offer of 20 kB in practice. 1000:1 is what gzip can do, so a 36 kB query
/// would otherwise become 36 MB.
pub(super) const MAX_JOIN_REQUEST_BYTES: usize = 512 * 1024;

/// Tracks announced inside a join request.
pub(super) const MAX_JOIN_TRACKS: usize = 32;

/// Capabilities that a client may have, which everybody is told. The protocol has a handful; those beyond are left out.
pub(super) const MAX_CAPABILITIES: usize = 32;

/// Sids a client may name in one subscription or settings message.
pub(super) const MAX_SIDS_PER_MESSAGE: usize = 4_096;

/// A client that takes no bytes for this long is cut; it may resume.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two pings of a client, in seconds; it is told so in the join.
pub(super) const PING_INTERVAL_S: i32 = 5;
/// Without any message of ours for this long the client reconnects, in seconds; it is told so in the join.
pub(super) const PING_TIMEOUT_S: i32 = 15;
/// Without any message of the client for this long its connection is cut. Longer than the client's own time-out, so that
/// a client whose page is throttled in the background is not cut first.
pub(super) const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
