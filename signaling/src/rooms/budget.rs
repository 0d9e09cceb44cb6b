//! How much of what a participant says over its signaling connection is read, and when. It belongs to the seat: were it of the
//! connection, whoever resumes again and again would never be limited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_sfu::MAX_SDP_BYTES;
use parking_lot::Mutex;

/// Bytes of one message from a client. The longest SDP and its envelope fit; raising it lets each client hold more of our
/// memory.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_SDP_BYTES + 256 * 1024;

/// Messages a client may send in one burst: a join with twenty tracks, and the trickle of a resume, are about 150.
const MESSAGE_BURST: f64 = 500.0;
/// Messages a second a client may send for long. Clients in calls send fewer than five.
const MESSAGES_PER_SECOND: f64 = 100.0;

/// Bytes of messages, unpacked, that are read in one burst: ten of the longest offers that browsers make. SDP costs a core 15 ms a
/// megabyte if it is honest, 80 if it is the dearest that is taken, and a media thread 5.
const BYTE_BURST: f64 = 8.0 * 1024.0 * 1024.0;
/// Bytes a second that are read for long: two offers of a client that sees and hears everybody of 128. Such an offer takes a browser
/// about as long to make.
const BYTES_PER_SECOND: f64 = 1.5 * 1024.0 * 1024.0;

/// The budget of a seat, shared by its connections: the one that is there, and the one that it replaces.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<MessageBudget>>);

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(MessageBudget::new(now))))
    }

    /// Whether one more message is within the limit.
    pub(crate) fn take(&self, now: Instant, bytes: usize) -> bool {
        self.0.lock().take(now, bytes)
    }

    /// When the next message may be read, if not at once. It is at most a second away.
    pub(crate) fn reads_from(&self) -> Option<Instant> {
        self.0.lock().reads_from()
    }
}

/// Counts messages and their bytes: two buckets that drip. Whoever sends too many is cut; what is too long is not refused but read
/// later, as an honest client may have to say much when a hundred people come at once.
#[derive(Debug)]
struct MessageBudget {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl MessageBudget {
    fn new(now: Instant) -> Self {
        Self { messages: MESSAGE_BURST, bytes: BYTE_BURST, at: now }
    }

    /// Whether one more message is within the limit.
    fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now); // a connection that is being replaced may be a moment behind
        self.messages = (self.messages + elapsed * MESSAGES_PER_SECOND).min(MESSAGE_BURST);
        self.bytes = (self.bytes + elapsed * BYTES_PER_SECOND).min(BYTE_BURST) - bytes.min(MAX_MESSAGE_BYTES) as f64;
        if self.messages < 1.0 {
            return false;
        }
        self.messages -= 1.0;
        true
    }

    /// When the next message may be read, if not at once. It is at most a second away.
    fn reads_from(&self) -> Option<Instant> {
        (self.bytes < 0.0).then(|| self.at + Duration::from_secs_f64(-self.bytes / BYTES_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut budget = MessageBudget::new(start);
        let passed = (0..1_000).filter(|_| budget.take(start, 100)).count();
        assert_eq!(passed, 500);
        assert!(!budget.take(start + Duration::from_millis(5), 100));
        assert!(budget.take(start + Duration::from_millis(20), 100));
        let passed = (0..1_000).filter(|_| budget.take(start + Duration::from_secs(60), 100)).count();
        assert_eq!(passed, 500, "time gives no more than a burst");
    }

    /// Sends as fast as it is read: how many messages of this length in so many seconds.
    fn sent(bytes: usize, seconds: u64) -> usize {
        let start = Instant::now();
        let (mut budget, mut now, mut count) = (MessageBudget::new(start), start, 0);
        while now < start + Duration::from_secs(seconds) {
            assert!(budget.take(now, bytes), "nobody is cut for the length of what they send");
            count += 1;
            let read = budget.reads_from().unwrap_or(now);
            assert!(read - now <= Duration::from_secs(1), "nor kept waiting for long");
            now = read.max(now + Duration::from_millis(10));
        }
        count
    }

    #[test]
    fn what_is_long_is_read_later() {
        assert_eq!(sent(1024, 10), 1_000, "as many as may be");
        assert_eq!(sent(MAX_SDP_BYTES, 1), 10);
        assert!(sent(MAX_SDP_BYTES, 60) <= 100, "8 MB and 1.5 a second");
    }

    /// A room that 128 come to in 13 s, camera and microphone of each one after the other: 3 KB more in the next offer, which is
    /// made once the last is answered. Half of them go on to switch something on and off.
    #[test]
    fn whoever_sees_a_crowd_come_is_neither_cut_nor_left_behind() {
        let start = Instant::now();
        let change = |n: u32| start + n * Duration::from_millis(50);
        let (mut budget, mut now, mut seen, mut latest, mut offers) =
            (MessageBudget::new(start), start, 0, start - start, 0);
        while seen < 1_024 {
            now = now.max(change(seen + 1));
            latest = latest.max(now - change(seen + 1));
            while seen < 1_024 && change(seen + 1) <= now {
                seen += 1;
            }
            let bytes = 10_000 + 3_000 * usize::try_from(seen.min(256)).unwrap();
            for bytes in [100, bytes] {
                assert!(budget.take(now, bytes));
            }
            offers += 1;
            now = budget.reads_from().unwrap_or(now).max(now + Duration::from_millis(50));
        }
        println!("{offers} offers, at most {latest:?} late");
        assert!(latest < Duration::from_secs(1));
    }
}
