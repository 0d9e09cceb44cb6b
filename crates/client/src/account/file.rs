//! The file of a sign-in: replaced as a whole, readable for its owner alone; and a lock, so that of all programs on a
//! directory one at a time renews it. Everything here waits for the disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::kept::Kept;
use crate::error::Error;

const NAME: &str = "sign-in.json";
const NEXT: &str = "sign-in.next";
const LOCK: &str = "sign-in.lock";
/// How long somebody else may have the lock: several answers that do not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Held by whoever changes the sign-in of a directory; gone with the process at the latest.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "locked for as long as it is open")] File);

/// Waits until it is one's turn.
pub(super) async fn lock(dir: &Path) -> Result<Lock, Error> {
    let begun = Instant::now();
    let dir = dir.to_path_buf();
    let (file, path) = blocking(move || {
        std::fs::create_dir_all(&dir).map_err(|error| failed(&dir, &error))?;
        let path = dir.join(LOCK);
        let file = private().write(true).create(true).truncate(false).open(&path);
        Ok((file.map_err(|error| failed(&path, &error))?, path))
    })
    .await?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => tokio::time::sleep(GLANCE).await,
            Err(TryLockError::WouldBlock) => return Err(Error::Busy("another program has the sign-in for too long")),
            Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
        }
    }
}

/// What is kept, if anybody is signed in.
pub(super) fn read(dir: &Path) -> Result<Option<Kept>, Error> {
    let path = dir.join(NAME);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let damaged = |error| Error::File(format!("{}: no sign-in: {error}", path.display()));
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

/// Durable when this returns; at any moment before, the file is the old one or the new one, whole.
pub(super) fn write(dir: &Path, kept: &Kept) -> Result<(), Error> {
    let (next, path) = (dir.join(NEXT), dir.join(NAME));
    let text = serde_json::to_vec_pretty(kept).map_err(|error| Error::File(error.to_string()))?;
    let replace = || {
        // What a crash left may have been made readable for others.
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private().write(true).create_new(true).open(&next)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        sync(dir)
    };
    replace().map_err(|error| failed(&path, &error))
}

pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    let path = dir.join(NAME);
    match std::fs::remove_file(&path).and_then(|()| sync(dir)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Names are durable when their directory is.
fn sync(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// For nobody but its owner.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::File(format!("{}: {error}", path.display()))
}

/// Runs what waits for the disk beside what must not.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::File(error.to_string())))
}
