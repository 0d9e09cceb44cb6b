//! What the writer and the thread that checkpoints tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something was written since the thread last rested.
    written: bool,
    /// The thread sleeps until something is: whoever writes wakes it. Nobody else pays for that.
    waits: bool,
    /// The writer should begin the WAL again.
    restart: bool,
    stopped: bool,
}

impl Signals {
    /// Something was written to the WAL.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        state.written = true;
        if std::mem::take(&mut state.waits) {
            self.changed.notify_one();
        }
    }

    /// Has the writer begin the WAL again.
    pub(super) fn restart(&self) {
        self.lock().restart = true;
    }

    /// Whether the writer was told to and has not.
    pub(super) fn restarts(&self) -> bool {
        self.lock().restart
    }

    /// Whether the WAL is to be begun again: once.
    pub(super) fn take_restart(&self) -> bool {
        std::mem::take(&mut self.lock().restart)
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Sleeps for so long. False: it is over. What is written from here on is new to [`Self::wait_for_writes`].
    pub(super) fn rest(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        let mut state = self.lock();
        while !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.written = false;
        !state.stopped
    }

    /// Sleeps until something was written, or it is over.
    pub(super) fn wait_for_writes(&self) {
        let mut state = self.lock();
        while !state.written && !state.stopped {
            state.waits = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    /// A thread that waits for writes, and does by now.
    fn waiter(signals: &Arc<Signals>) -> JoinHandle<()> {
        let waiter = thread::spawn({
            let signals = Arc::clone(signals);
            move || signals.wait_for_writes()
        });
        while !signals.lock().waits {
            thread::yield_now();
        }
        waiter
    }

    #[test]
    fn a_write_wakes_whoever_waits_and_nothing_else_does() {
        let signals = Arc::new(Signals::default());
        let waits = waiter(&signals);
        signals.restart();
        thread::sleep(SHORT);
        assert!(!waits.is_finished(), "that is for the writer");
        assert!(signals.restarts() && signals.take_restart() && !signals.take_restart());
        signals.written();
        waits.join().unwrap();
        assert!(!signals.lock().waits, "the next write wakes nobody");
    }

    #[test]
    fn a_write_between_the_look_and_the_wait_is_heard_of() {
        let signals = Signals::default();
        signals.written();
        assert!(signals.rest(SHORT) && !signals.lock().written, "the look that follows sees it");
        signals.written(); // while it looks
        signals.wait_for_writes();
    }

    #[test]
    fn a_stop_ends_every_sleep() {
        let signals = Arc::new(Signals::default());
        let waits = waiter(&signals);
        signals.stop();
        waits.join().unwrap();
        let begun = Instant::now();
        assert!(!signals.rest(LONG) && begun.elapsed() < LONG);
    }
}
