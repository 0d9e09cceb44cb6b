//! What a client may cost before and after it is let in. Each refusal has a name and is counted by it.

use std::time::{Duration, Instant};

use crate::rooms::MAX_SDP_BYTES;

/// Bytes of one WebSocket message from a client. The longest SDP and its envelope fit; raising it lets each client hold more
/// of our memory.
pub(super) const MAX_FRAME_BYTES: usize = MAX_SDP_BYTES + 256 * 1024;

/// Bytes of a join request after inflation: an offer of 20 kB in practice. 1000:1 is what gzip can do, so a 36 kB query
/// would otherwise become 36 MB.
pub(super) const MAX_JOIN_REQUEST_BYTES: usize = 512 * 1024;

/// Tracks announced inside a join request.
pub(super) const MAX_JOIN_TRACKS: usize = 32;

/// Capabilities that a client may have, which everybody is told. The protocol has a handful; those beyond are left out.
pub(super) const MAX_CAPABILITIES: usize = 32;

/// Messages a client may send in one burst: a join with twenty tracks, and the trickle of a resume, are about 150.
const MESSAGE_BURST: f64 = 500.0;
/// Messages a second a client may send for long. Clients in calls send fewer than five.
const MESSAGES_PER_SECOND: f64 = 100.0;

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

/// Counts messages: a bucket that drips.
pub(super) struct MessageBudget {
    left: f64,
    at: Instant,
}

impl MessageBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: MESSAGE_BURST, at: now }
    }

    /// Whether one more message is within the limit.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + elapsed * MESSAGES_PER_SECOND).min(MESSAGE_BURST);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut budget = MessageBudget::new(start);
        let passed = (0..1_000).filter(|_| budget.take(start)).count();
        assert_eq!(passed, 500);
        assert!(!budget.take(start + Duration::from_millis(5)));
        assert!(budget.take(start + Duration::from_millis(20)));
        let passed = (0..1_000).filter(|_| budget.take(start + Duration::from_secs(60))).count();
        assert_eq!(passed, 500, "time gives no more than a burst");
    }
}
