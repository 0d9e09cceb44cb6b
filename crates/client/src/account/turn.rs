//! The right to change a sign-in: one has it at a time, in this process and among all programs on the directory. Whatever is
//! written goes through here.
//!
//! Tokens that the server has given and the disk has not taken are kept in memory: in place of those in the file, which the
//! server takes for stolen from the next minute on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::file::{self, Lock};
use super::keeper::Keeper;
use super::kept::{Kept, Tokens, now_ms};
use super::rest::Failure;
use crate::error::Error;
use crate::net::http::Stream;

/// How long a lost answer is asked for again. With the last attempt it stays below the minute of the server
/// (`convene_accounts::session::GRACE_S`); a later one would end the sign-in.
const REPEATED_FOR: Duration = Duration::from_secs(45);
/// Before the second of these attempts; before each further one twice as long, up to the longest. Shorter asks a server that
/// restarts in vain.
const PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(4);
/// What is said of a sign-in that has ended, unless the server says more than that.
const OVER: &str = "it was ended on another device, the password was changed, or it was not used for long";
/// Of these, what the server says is told.
const TELLING: [&str; 2] = ["account_disabled", "session_stolen"];

/// A renewal that could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// The refresh token that it took, which is that of the file unless somebody else has written since.
    spent: String,
    kept: Kept,
}

/// See above.
pub(super) struct Turn {
    keeper: Arc<Keeper>,
    unwritten: OwnedMutexGuard<Option<Unwritten>>,
    _lock: Lock,
}

impl Turn {
    pub(super) fn new(keeper: Arc<Keeper>, unwritten: OwnedMutexGuard<Option<Unwritten>>, lock: Lock) -> Self {
        Self { keeper, unwritten, _lock: lock }
    }

    /// What is kept, if anybody is signed in: on the disk, or what belongs there.
    pub(super) async fn read(&self) -> Result<Option<Kept>, Error> {
        let kept = self.keeper.read().await?;
        Ok(kept.map(|kept| match &*self.unwritten {
            Some(renewed) if renewed.spent == kept.refresh_token => {
                renewed.kept.clone().for_organisation(kept.organisation)
            }
            Some(_) | None => kept,
        }))
    }

    /// In place of whatever was kept.
    pub(super) async fn write(&mut self, kept: Kept) -> Result<(), Error> {
        let dir = self.keeper.dir().to_path_buf();
        file::blocking(move || file::write(&dir, &kept)).await?;
        *self.unwritten = None;
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Error> {
        let dir = self.keeper.dir().to_path_buf();
        file::blocking(move || file::remove(&dir)).await?;
        *self.unwritten = None;
        Ok(())
    }

    /// Whether what it reads is on the disk.
    pub(super) fn is_written(&self) -> bool {
        self.unwritten.is_none()
    }

    /// Has what was read on the disk, renewed if there is a line to ask over. To be carried to its end.
    pub(super) async fn settle(&mut self, kept: Kept, line: Option<Stream>) -> Result<Kept, Error> {
        if !self.is_written() {
            self.write(kept.clone()).await?;
        }
        let Some(line) = line else { return Ok(kept) };
        match self.refresh(&kept.refresh_token, Some(line)).await {
            Ok(tokens) => {
                let spent = kept.refresh_token.clone();
                let kept = kept.renewed(tokens, now_ms());
                // Not used before it is written: a second renewal with what is on the disk would be a theft.
                *self.unwritten = Some(Unwritten { spent, kept: kept.clone() });
                self.write(kept.clone()).await?;
                Ok(kept)
            }
            Err(Failure::Over { code, text }) => {
                self.remove().await?;
                let told = TELLING.contains(&code.as_str());
                Err(Error::SignedOut(if told { text } else { OVER.to_owned() }))
            }
            Err(Failure::Lost(error) | Failure::Other(error)) => Err(error),
        }
    }

    /// Asks until there is an answer, if the server may have heard it once. `line`: to ask over first.
    async fn refresh(&self, token: &str, mut line: Option<Stream>) -> Result<Tokens, Failure> {
        let (mut heard, mut pause) = (None, PAUSE);
        loop {
            let began = Instant::now();
            let failure = match self.keeper.rest.refresh(token, line.take()).await {
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
    pub(super) async fn sign_out(mut self) -> Result<(), Error> {
        let Some(kept) = self.read().await? else { return Ok(()) };
        self.remove().await?;
        let spent = !kept.is_good(None, now_ms());
        if spent {
            return self.end_spent(&kept.refresh_token).await;
        }
        match self.keeper.rest.sign_out(&kept.access_token).await {
            // The clock was changed, or it is over.
            Err(Error::Account { .. }) => self.end_spent(&kept.refresh_token).await,
            done => done,
        }
    }

    async fn end_spent(&self, refresh_token: &str) -> Result<(), Error> {
        match self.refresh(refresh_token, None).await {
            Ok(tokens) => self.keeper.rest.sign_out(tokens.access()).await,
            Err(Failure::Over { .. }) => Ok(()),
            Err(Failure::Lost(error) | Failure::Other(error)) => Err(error),
        }
    }
}
