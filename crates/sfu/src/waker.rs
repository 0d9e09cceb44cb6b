//! Sending to a worker that may sleep in `poll`: a bounded queue, and a wake-up where it does sleep.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use tokio::sync::mpsc;

use crate::command::Command;
use crate::handle::Error;

/// Commands waiting for one worker. When it is full, callers wait: the worker's media has precedence.
pub(crate) const MAX_PENDING_COMMANDS: usize = 4096;

/// Wakes a worker. While it is awake, which it is most of the time under load, that costs no system call.
#[derive(Debug)]
pub(crate) struct Waker {
    poll: mio::Waker,
    /// The worker sleeps, or is about to look for the last time whether there is something to do.
    dozes: AtomicBool,
}

impl Waker {
    /// Of the worker that has this `poll`.
    pub(crate) fn new(registry: &mio::Registry, token: mio::Token) -> io::Result<Self> {
        Ok(Self { poll: mio::Waker::new(registry, token)?, dozes: AtomicBool::new(false) })
    }

    /// For the worker: it goes to sleep, unless its queues, which it looks into after this, have something.
    pub(crate) fn doze(&self) {
        self.dozes.store(true, Ordering::Relaxed);
        // With the fence in `wake`: one of both sees what the other has written, so that nothing is queued unseen.
        fence(Ordering::SeqCst);
    }

    /// For the worker: it is awake, and looks into its queues before it sleeps again.
    pub(crate) fn awake(&self) {
        self.dozes.store(false, Ordering::Relaxed);
    }

    /// For who has queued something.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.dozes.swap(false, Ordering::Relaxed) {
            // A failed wake-up only delays what was queued until the worker's next timer.
            let _ = self.poll.wake();
        }
    }
}

/// The sending half of a worker's queue.
#[derive(Clone)]
pub(crate) struct WorkerSender {
    queue: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl WorkerSender {
    pub(crate) fn new(queue: mpsc::Sender<Command>, waker: Arc<Waker>) -> Self {
        Self { queue, waker }
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        self.queue.send(command).await.map_err(|_| Error::Closed)?;
        self.waker.wake();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TOKEN: mio::Token = mio::Token(7);

    /// Whether `poll` was woken.
    fn slept_through(poll: &mut mio::Poll) -> bool {
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.is_empty()
    }

    #[test]
    fn only_who_sleeps_is_woken_and_once() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), TOKEN).unwrap();
        waker.wake();
        assert!(slept_through(&mut poll), "it was awake");
        waker.doze();
        waker.wake();
        assert!(!slept_through(&mut poll));
        waker.wake();
        assert!(slept_through(&mut poll), "it was woken before");
        waker.doze();
        waker.awake();
        waker.wake();
        assert!(slept_through(&mut poll), "it woke by itself");
    }

    #[test]
    fn nothing_is_queued_unseen() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), TOKEN).unwrap());
        let (queue, mut inbox) = mpsc::channel(1);
        let far = Arc::clone(&waker);
        let sender = std::thread::spawn(move || {
            for number in 0..20_000_u32 {
                queue.blocking_send(number).unwrap();
                far.wake();
            }
        });
        let (mut events, mut next) = (mio::Events::with_capacity(1), 0);
        while next < 20_000 {
            waker.doze();
            // Long enough that whoever is not woken fails: the sender waits for room, so nobody else wakes it.
            let timeout = if inbox.is_empty() { Duration::from_secs(20) } else { Duration::ZERO };
            poll.poll(&mut events, Some(timeout)).unwrap();
            assert!(timeout.is_zero() || !events.is_empty(), "{next} was queued and nobody was woken");
            waker.awake();
            while let Ok(number) = inbox.try_recv() {
                assert_eq!(number, next);
                next += 1;
            }
        }
        sender.join().unwrap();
    }
}
