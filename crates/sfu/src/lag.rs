//! How far a worker is behind its socket, and when video that waited there is not worth forwarding any more.
//!
//! A worker with more to do than time reads what has waited, later and later, until the kernel's buffer is full and drops
//! whatever comes, audio as well. So video goes first: once the socket has not been empty for [`LATE`], that of the rooms which
//! take most of the time (`overload`) is thrown away unopened until the socket is empty, and again after [`STRICT`] for as long
//! as the trouble lasts. Its publishers see it lost and send less. What gives way for longer is said by `shed`.

use std::time::{Duration, Instant};

/// A worker that was held up, by another process or a burst of joins, catches up within this time and loses nothing.
const LATE: Duration = Duration::from_millis(400);

/// The same once it was late: what audio waits at most, and what a jitter buffer is used to.
const STRICT: Duration = Duration::from_millis(40);

/// So long without anything late, and the trouble is over.
pub(crate) const OVER_AFTER: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lag {
    /// What came before has been read.
    read_up_to: Instant,
    late_at: Option<Instant>,
}

impl Lag {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { read_up_to: now, late_at: None }
    }

    /// The socket is empty, or was when it was last asked.
    pub(crate) const fn caught_up(&mut self, now: Instant) {
        self.read_up_to = now;
    }

    /// Whether anything was late in this time.
    pub(crate) fn was_late(&self, now: Instant, within: Duration) -> bool {
        self.late_at.is_some_and(|at| now.saturating_duration_since(at) < within)
    }

    /// Whether what is read now may have waited for too long. `more`: more than that was waiting. Where nothing was, the worker
    /// was held up by others, and forwarding the little there is costs no time.
    pub(crate) fn is_late(&mut self, now: Instant, more: bool) -> bool {
        let patience = if self.was_late(now, OVER_AFTER) { STRICT } else { LATE };
        let late = now.saturating_duration_since(self.read_up_to) >= patience && more;
        if late {
            self.late_at = Some(now);
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_at_first_after_a_while_then_soon_until_it_is_over() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lag = Lag::new(start);
        // (ms, whether more was waiting, whether what is read is late)
        let rows = [
            (399, true, false),
            (500, false, false),
            (899, true, false),
            (900, true, true),
            (910, true, true),
            (920, false, false),
            (959, true, false),
            (960, true, true),
            (1_500, false, false),
            (1_600, true, true),
            (1_700, false, false),
            (3_600, false, false),
            (3_999, true, false),
            (4_000, true, true),
        ];
        for (ms, more, late) in rows {
            assert_eq!(lag.is_late(at(ms), more), late, "{ms}");
            if !more {
                lag.caught_up(at(ms));
            }
        }
    }
}
