//! Passwords are hashed on threads that may block, a few at a time: each takes 19 MiB and some 20 ms of a core.

use std::time::Duration;

use convene_accounts::password::{self, Password, Verdict};
use convene_accounts::{Code, Refusal};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Hashes at a time: media and chat need the other cores.
const AT_ONCE: usize = 2;
/// Longest wait for a turn. By then some hundred others are in front: better to be told so.
const PATIENCE: Duration = Duration::from_secs(3);
/// Seconds until they may have been worked off.
const RETRY_S: u64 = 5;

pub(crate) struct Hashing(Semaphore);

impl Hashing {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }

    /// For storing.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Refusal> {
        let _turn = self.turn().await?;
        let salt: [u8; 16] = rand::random();
        blocking(move || password::hash(&password, &salt)).await
    }

    /// Compares with what is stored. Takes as long when nothing is.
    pub(crate) async fn verify(&self, password: Password, stored: Option<String>) -> Result<Verdict, Refusal> {
        let _turn = self.turn().await?;
        blocking(move || password::verify(&password, stored.as_deref())).await
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let turn = timeout(PATIENCE, self.0.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| Refusal::later(Code::Unavailable, RETRY_S))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Code::Internal.into()))
}
