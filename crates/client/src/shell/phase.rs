//! Where a client stands between no connection and an open session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_proto::im::Frame;
use tokio::task::JoinHandle;

use crate::config::TokenSource;
use crate::error::Error;
use crate::net::KEEP_ALIVE;
use crate::net::dial::Dialer;
use crate::net::link::Link;

/// How long a token may take to come.
const TOKEN: Duration = Duration::from_secs(30);
/// With a request open, silence of this length means that the way is gone. Above several retransmissions.
const SILENCE: Duration = Duration::from_secs(10);
/// With nothing open, the keep-alive's answer is due: its interval and a margin.
const IDLE_SILENCE: Duration = KEEP_ALIVE.saturating_add(Duration::from_secs(18));
/// A server that speaks but does not answer one request: connecting again repeats it.
const UNANSWERED: Duration = Duration::from_secs(30);

/// The steps.
pub(super) enum Phase {
    /// No connection until then; `None`: until told.
    Waiting(Option<Instant>),
    Token(Task<Result<String, Error>>),
    Connecting(Task<Result<Link, Error>>, Vec<Frame>),
    Open(Open),
}

/// A task that ends with whoever waits for it.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Ends it; it has ended when this returns.
    async fn end(mut self) {
        if !self.0.is_finished() {
            self.0.abort();
            let _ = (&mut self.0).await; // whatever it came to
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What happened to a connection or on the way to one.
pub(super) enum LinkEvent {
    /// It is time to connect.
    Due,
    Token(Result<String, Error>),
    Connected(Result<Box<Link>, Error>, Vec<Frame>),
    Frame(Frame),
    Lost(String),
}

impl Phase {
    /// `stale`: the token that was refused.
    pub(super) fn token(tokens: TokenSource, stale: Option<String>) -> Self {
        Self::Token(Task(tokio::spawn(async move {
            let late = |_| Err(Error::Token(format!("none came within {} s", TOKEN.as_secs())));
            tokio::time::timeout(TOKEN, tokens.ask(stale)).await.unwrap_or_else(late)
        })))
    }

    pub(super) fn connect(dialer: Arc<Dialer>, flight: Vec<Frame>, at_once: bool) -> Self {
        let frames = flight.clone();
        Self::Connecting(Task(tokio::spawn(async move { dialer.connect(&frames, at_once).await })), flight)
    }

    /// Ends it. Nobody asks for a token when this returns.
    pub(super) async fn end(self) {
        match self {
            Self::Token(task) => task.end().await,
            Self::Waiting(_) | Self::Connecting(..) | Self::Open(_) => {}
        }
    }

    /// The next thing that happens. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> LinkEvent {
        match self {
            Self::Waiting(until) => {
                super::sleep_until(*until).await;
                LinkEvent::Due
            }
            Self::Token(task) => {
                LinkEvent::Token((&mut task.0).await.unwrap_or_else(|error| Err(Error::Token(error.to_string()))))
            }
            Self::Connecting(task, flight) => {
                let link = (&mut task.0).await.unwrap_or_else(|error| Err(Error::Lost(error.to_string())));
                LinkEvent::Connected(link.map(Box::new), std::mem::take(flight))
            }
            Self::Open(open) => match open.link.incoming.recv().await {
                Some(frame) => LinkEvent::Frame(frame),
                None => LinkEvent::Lost(open.link.sender.reason()),
            },
        }
    }
}

/// An open connection, and when something was last heard over it.
pub(super) struct Open {
    pub(super) link: Link,
    heard: u64,
    heard_at: Instant,
}

impl Open {
    pub(super) fn new(link: Link) -> Self {
        let heard = link.sender.heard();
        Self { link, heard, heard_at: Instant::now() }
    }

    /// Why the connection is to be given up, if it is. `waiting`: since when a request waits for its answer.
    pub(super) fn silence(&mut self, waiting: Option<Instant>, now: Instant) -> Option<&'static str> {
        let heard = self.link.sender.heard();
        if heard != self.heard {
            (self.heard, self.heard_at) = (heard, now);
        }
        verdict(now.saturating_duration_since(self.heard_at), waiting.map(|since| now.saturating_duration_since(since)))
    }
}

fn verdict(silent: Duration, waiting: Option<Duration>) -> Option<&'static str> {
    match waiting {
        Some(waiting) if waiting > UNANSWERED => Some("the server does not answer"),
        Some(waiting) if waiting > SILENCE && silent > SILENCE => Some("no answer"),
        Some(_) | None if silent > IDLE_SILENCE => Some("the server has gone silent"),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_a_connection_and_patience_does_not() {
        let s = Duration::from_secs;
        let rows = [
            (s(0), None, None),
            (s(40), None, None),
            (s(46), None, Some("the server has gone silent")),
            (s(9), Some(s(20)), None),
            (s(11), Some(s(5)), None),
            (s(11), Some(s(11)), Some("no answer")),
            (s(0), Some(s(29)), None),
            (s(0), Some(s(31)), Some("the server does not answer")),
        ];
        for (silent, waiting, want) in rows {
            assert_eq!(verdict(silent, waiting), want, "{silent:?} {waiting:?}");
        }
    }
}
