//! Whether a handshake is done. Until it is, what arrives is early data, which somebody may have recorded and play again.
//! Here is only the answer; what depends on it is in [`crate::quic`] and [`crate::hub`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

/// Resolves when the handshake is done, to false when it failed. Any number of tasks may wait, and any may look.
#[derive(Clone)]
pub(crate) struct Confirmed {
    outcome: Shared<BoxFuture<'static, bool>>,
    /// Held while `outcome` is polled. `Shared` says "not yet" while another task polls it, and a request that came behind
    /// the handshake would pass for early data. It is held for as long as that task takes to look at the connection.
    turn: Arc<Mutex<()>>,
}

impl Confirmed {
    /// Of a handshake that `outcome` waits for.
    pub(crate) fn when(outcome: impl Future<Output = bool> + Send + 'static) -> Self {
        Self { outcome: outcome.boxed().shared(), turn: Arc::default() }
    }

    /// Of a handshake that was waited for.
    pub(crate) fn done() -> Self {
        Self::when(std::future::ready(true))
    }

    /// Whether it is done at this moment.
    pub(crate) fn is_done(&self) -> bool {
        self.clone().now_or_never() == Some(true)
    }
}

impl Future for Confirmed {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let turn = Arc::clone(&self.turn);
        let _turn = turn.lock();
        self.outcome.poll_unpin(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Long enough for a thread that has nothing to wait for; who has to wait is still waiting then.
    const A_WHILE: Duration = Duration::from_millis(100);

    #[test]
    fn who_looks_while_another_task_finds_out_is_told_the_truth() {
        let (begin, begun) = channel();
        let (release, released) = channel();
        let confirmed = Confirmed::when(poll_fn(move |_| {
            begin.send(()).unwrap();
            released.recv().unwrap();
            Poll::Ready(true)
        }));
        let first = confirmed.clone();
        let first = thread::spawn(move || first.is_done());
        begun.recv().unwrap();
        let (tell, told) = channel();
        thread::spawn(move || tell.send(confirmed.is_done()).unwrap());
        assert_eq!(told.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout), "answered before it was known");
        release.send(()).unwrap();
        assert!(first.join().unwrap());
        assert!(told.recv().unwrap());
    }

    #[test]
    fn it_is_known_once_and_for_all() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let confirmed = Confirmed::when(receiver.map(|result| result == Ok(true)));
        assert!(!confirmed.is_done());
        sender.send(true).unwrap();
        assert!(confirmed.is_done() && confirmed.is_done());
        assert!(Confirmed::done().is_done());
        assert!(!Confirmed::when(std::future::ready(false)).is_done(), "it failed");
    }
}
