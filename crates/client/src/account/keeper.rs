//! Keeps a sign-in usable: answers access tokens, and renews them one at a time, whoever asks and from however many
//! programs.
//!
//! A refresh token is good once, and its use gives the next one. The server answers the one before the latest once more, but
//! for a minute only, and takes a later use for that of a thief, which ends the sign-in. So a renewal that was asked for is
//! carried to its end: whoever asked may go ([`Keeper::idle`] waits for it), an answer that was lost is asked for again
//! at once, and the next token is on the disk before anything is done with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::file::{self, Lock};
use super::kept::{Kept, Tokens, now_ms};
use super::rest::{Failure, Rest};
use crate::error::Error;

/// How long a lost answer is asked for again. With the last attempt it stays below the minute of the server
/// (`convene_accounts::session::GRACE_S`); a later one would end the sign-in.
const REPEATED_FOR: Duration = Duration::from_secs(45);
/// Before the second of these attempts; before each further one twice as long, up to the longest. Shorter asks a server that
/// restarts in vain.
const PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(4);
/// How often it is renewed while a client is connected, which may be for months: one that nobody renews ends after 30 days
/// (`convene_accounts::session::IDLE_S`). More often writes to the disk more often.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);
/// What is said of a sign-in that has ended, unless the server says more than that.
const OVER: &str = "it was ended on another device, the password was changed, or it was not used for long";
/// Of these, what the server says is told.
const TELLING: [&str; 2] = ["account_disabled", "session_stolen"];

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
    turn: Arc<Mutex<Option<Kept>>>,
}

/// The right to change a sign-in.
pub(super) struct Turn {
    unwritten: OwnedMutexGuard<Option<Kept>>,
    _lock: Lock,
}

impl Keeper {
    pub(super) fn new(rest: Rest, dir: PathBuf, roots: Vec<CertificateDer<'static>>, allow_insecure: bool) -> Self {
        Self { rest, dir, roots, allow_insecure, renewal: RENEWAL, turn: Arc::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// An access token that is good for a while. `stale`: one that was just refused. Whoever asks may go before it is there.
    pub(crate) async fn token(self: &Arc<Self>, stale: Option<String>) -> Result<String, Error> {
        let turn = self.turn.clone().lock_owned().await;
        let keeper = self.clone();
        let renewal = tokio::spawn(async move {
            let mut turn = Turn { unwritten: turn, _lock: file::lock(&keeper.dir).await? };
            keeper.current(&mut turn, stale.as_deref()).await.map(|kept| kept.access_token)
        });
        renewal.await.unwrap_or_else(|error| Err(Error::Token(error.to_string())))
    }

    /// Waits for a renewal that is on its way.
    pub(crate) async fn idle(&self) {
        drop(self.turn.lock().await);
    }

    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let unwritten = self.turn.clone().lock_owned().await;
        Ok(Turn { unwritten, _lock: file::lock(&self.dir).await? })
    }

    pub(super) async fn read(&self) -> Result<Option<Kept>, Error> {
        let dir = self.dir.clone();
        let kept = file::blocking(move || file::read(&dir)).await?;
        kept.map(|kept| kept.is_of(&self.rest.server).map(|()| kept)).transpose()
    }

    pub(super) async fn write(&self, kept: Kept) -> Result<(), Error> {
        let dir = self.dir.clone();
        file::blocking(move || file::write(&dir, &kept)).await
    }

    async fn remove(&self) -> Result<(), Error> {
        let dir = self.dir.clone();
        file::blocking(move || file::remove(&dir)).await
    }

    /// The sign-in with an access token that is good.
    async fn current(&self, turn: &mut Turn, stale: Option<&str>) -> Result<Kept, Error> {
        let mut kept = self.read().await?.ok_or_else(nobody)?;
        if let Some(unwritten) = turn.unwritten.take().filter(|unwritten| unwritten.session_id == kept.session_id) {
            kept = self.keep(turn, unwritten).await?;
        }
        if kept.is_good(stale, now_ms()) {
            return Ok(kept);
        }
        match self.refresh(&kept.refresh_token).await {
            Ok(tokens) => self.keep(turn, kept.renewed(tokens, now_ms())).await,
            Err(Failure::Over { code, text }) => {
                self.remove().await?;
                let told = TELLING.contains(&code.as_str());
                Err(Error::SignedOut(if told { text } else { OVER.to_owned() }))
            }
            Err(Failure::Lost(error) | Failure::Other(error)) => Err(error),
        }
    }

    /// What cannot be written is kept in memory, and not used: a second renewal with what is on the disk would be a theft.
    async fn keep(&self, turn: &mut Turn, kept: Kept) -> Result<Kept, Error> {
        *turn.unwritten = Some(kept.clone());
        self.write(kept.clone()).await?;
        *turn.unwritten = None;
        Ok(kept)
    }

    /// Asks until there is an answer, if the server may have heard it once.
    async fn refresh(&self, token: &str) -> Result<Tokens, Failure> {
        let (mut heard, mut pause) = (None, PAUSE);
        loop {
            let began = Instant::now();
            let failure = match self.rest.refresh(token).await {
                Ok(tokens) => return Ok(tokens),
                Err(over @ Failure::Over { .. }) => return Err(over),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Lost(_)) {
                heard.get_or_insert(began);
            }
            if heard.is_none_or(|heard| heard.elapsed() > REPEATED_FOR) {
                return Err(failure);
            }
            tracing::debug!(?failure, "a renewal is asked for again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Forgets it here, at once, and then at the server.
    pub(super) async fn sign_out(&self) -> Result<(), Error> {
        let mut turn = self.turn().await?;
        let Some(kept) = self.read().await? else { return Ok(()) };
        let kept = turn.unwritten.take().unwrap_or(kept);
        self.remove().await?;
        let spent = !kept.is_good(None, now_ms());
        if spent {
            return self.end_spent(&kept.refresh_token).await;
        }
        match self.rest.sign_out(&kept.access_token).await {
            // The clock was changed, or it is over.
            Err(Error::Account { .. }) => self.end_spent(&kept.refresh_token).await,
            done => done,
        }
    }

    async fn end_spent(&self, refresh_token: &str) -> Result<(), Error> {
        match self.refresh(refresh_token).await {
            Ok(tokens) => self.rest.sign_out(tokens.access()).await,
            Err(Failure::Over { .. }) => Ok(()),
            Err(Failure::Lost(error) | Failure::Other(error)) => Err(error),
        }
    }
}

/// Nobody has signed in, or they have signed out.
pub(super) fn nobody() -> Error {
    Error::SignedOut("nobody is signed in here".to_owned())
}
