//! Sending to a worker that sleeps in `poll`: a bounded queue, and a wake-up after each entry.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::Command;
use crate::handle::Error;

/// Commands waiting for one worker. When it is full, callers wait: the worker's media has precedence.
pub(crate) const MAX_PENDING_COMMANDS: usize = 4096;

/// The sending half of a worker's queue.
#[derive(Clone)]
pub(crate) struct WorkerSender {
    queue: mpsc::Sender<Command>,
    waker: Arc<mio::Waker>,
}

impl WorkerSender {
    pub(crate) fn new(queue: mpsc::Sender<Command>, waker: Arc<mio::Waker>) -> Self {
        Self { queue, waker }
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        self.queue.send(command).await.map_err(|_| Error::Closed)?;
        // A failed wake-up only delays the command until the worker's next timer, so it is no error of the caller's.
        let _ = self.waker.wake();
        Ok(())
    }
}
