//! When a room task looks at its deadlines: soon after something has happened, and when one is due; never while nothing
//! happens and nothing is due, so that a thousand rooms in which people only talk wake nobody.

use std::time::{Duration, Instant};

/// How long after something has happened. Many things happen together, and to look is to go over everybody; seats and
/// empty rooms live that much longer at most.
const SOON: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Clock {
    at: Option<Instant>,
}

impl Clock {
    /// Of a room that has just begun.
    pub(super) fn new(now: Instant) -> Self {
        Self { at: Some(now + SOON) }
    }

    /// When to look. `None`: not before something has happened.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.at
    }

    /// Something has happened.
    pub(super) fn handle_news(&mut self, now: Instant) {
        let soon = now + SOON;
        self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
    }

    /// The room was looked at; its next deadline is this.
    pub(super) fn handle_look(&mut self, now: Instant, next: Option<Instant>) {
        self.at = next.map(|at| at.max(now + SOON));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_what_happens_and_at_deadlines_and_else_never() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut clock = Clock::new(start);
        assert_eq!(clock.poll_timeout(), Some(at(1.0)), "it begins with a look");
        clock.handle_look(at(1.0), None);
        assert_eq!(clock.poll_timeout(), None, "nothing is due");

        clock.handle_news(at(5.0));
        clock.handle_news(at(5.5));
        assert_eq!(clock.poll_timeout(), Some(at(6.0)), "what happens meanwhile puts it off no further");
        clock.handle_look(at(6.0), Some(at(26.0)));
        assert_eq!(clock.poll_timeout(), Some(at(26.0)));
        clock.handle_news(at(7.0));
        assert_eq!(clock.poll_timeout(), Some(at(8.0)), "before the deadline");
        clock.handle_look(at(8.0), Some(at(8.0)));
        assert_eq!(clock.poll_timeout(), Some(at(9.0)), "not again and again");
    }
}
