//! Keeps a sign-in usable: answers access tokens, and renews them one at a time, whoever asks and from however many
//! programs.
//!
//! A refresh token is good once, and its use gives the next one. The server answers the one before the latest once more, but
//! for a minute only, and takes a later use for that of a thief, which ends the sign-in. So a renewal is carried to its end
//! from the moment at which it may leave: whoever asked may go ([`Keeper::idle`] waits for it), an answer that was lost is
//! asked for again at once, and the next token is on the disk before anything is done with it. Up to that moment nothing is
//! at risk, and what nobody waits for any more is not begun.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, oneshot};

use super::file;
use super::kept::{Kept, now_ms};
use super::rest::Rest;
use super::turn::{Turn, Unwritten};
use crate::error::Error;
use crate::net::http::Stream;

/// How often it is renewed while a client is connected, which may be for months: one that nobody renews ends after 30 days
/// (`convene_accounts::session::IDLE_S`). More often writes to the disk more often.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A sign-in in a directory.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(super) rest: Rest,
    dir: PathBuf,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) allow_insecure: bool,
    /// See [`RENEWAL`].
    pub(crate) renewal: Duration,
    /// One at a time in this process; within, what could not be written yet.
    turn: Arc<Mutex<Option<Unwritten>>>,
    /// Had by whatever must not be cut off.
    at_risk: Mutex<()>,
}

impl Keeper {
    pub(super) fn new(rest: Rest, dir: PathBuf, roots: Vec<CertificateDer<'static>>, allow_insecure: bool) -> Self {
        let (turn, at_risk) = (Arc::default(), Mutex::default());
        Self { rest, dir, roots, allow_insecure, renewal: RENEWAL, turn, at_risk }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// An access token that is good for a while. `stale`: one that was just refused. Whoever asks may go before it is there.
    pub(crate) async fn token(self: &Arc<Self>, stale: Option<String>) -> Result<String, Error> {
        let (asker, token) = oneshot::channel();
        // Of its own: one that is not waited for at the moment has nobody else wait for its turn.
        tokio::spawn(self.clone().answer(stale, asker));
        token.await.unwrap_or_else(|_| Err(Error::Token("it was not asked for to the end".to_owned())))
    }

    async fn answer(self: Arc<Self>, stale: Option<String>, mut asker: oneshot::Sender<Result<String, Error>>) {
        let ready = tokio::select! {
            biased;
            () = asker.closed() => return,
            ready = self.prepare(stale.as_deref()) => ready,
        };
        let kept = match ready {
            Ok((turn, kept, None)) if turn.is_written() => Ok(kept),
            Ok((mut turn, kept, line)) => {
                let _at_risk = self.at_risk.lock().await;
                // In this order: whoever has gone by now may have found nothing at risk.
                if asker.is_closed() {
                    return;
                }
                turn.settle(kept, line).await
            }
            Err(error) => Err(error),
        };
        let _ = asker.send(kept.map(|kept| kept.access_token)); // whoever asked may have gone
    }

    /// What is kept, and a line to the server if it has to be renewed. Nothing is at risk until something is said there.
    async fn prepare(self: &Arc<Self>, stale: Option<&str>) -> Result<(Turn, Kept, Option<Stream>), Error> {
        let turn = self.turn().await?;
        let kept = turn.read().await?.ok_or_else(nobody)?;
        let line = if kept.is_good(stale, now_ms()) { None } else { Some(self.rest.line().await?) };
        Ok((turn, kept, line))
    }

    /// Waits for a renewal that may have left. Those who asked and have gone before this is called have none that leaves
    /// after it.
    pub(crate) async fn idle(&self) {
        drop(self.at_risk.lock().await);
    }

    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, Error> {
        let unwritten = self.turn.clone().lock_owned().await;
        Ok(Turn::new(self.clone(), unwritten, file::lock(&self.dir).await?))
    }

    /// The file. While one has a turn, [`Turn::read`] knows better.
    pub(super) async fn read(&self) -> Result<Option<Kept>, Error> {
        let dir = self.dir.clone();
        let kept = file::blocking(move || file::read(&dir)).await?;
        kept.map(|kept| kept.is_of(&self.rest.server).map(|()| kept)).transpose()
    }
}

/// Nobody has signed in, or they have signed out.
pub(super) fn nobody() -> Error {
    Error::SignedOut("nobody is signed in here".to_owned())
}
