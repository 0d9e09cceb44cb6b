//! Uploads under way: a local file each, synced before its offset is claimed, so that an upload goes on after a crash.

mod room;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::Code;
use convene_types::UserId;
use rustc_hash::FxHashMap;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::spawn_blocking;

use super::{failed, key_of};
use crate::ops::{NewUpload, Upload};
pub(super) use room::Announced;

/// When to begin an upload again that is being taken away: a commit and a file later.
const END_RETRY_MS: u32 = 500;
/// What one read of a hash takes at a time.
const HASH_CHUNK_BYTES: usize = 256 * 1024;

pub(super) type Id = [u8; 16];

/// An upload under way.
#[derive(Debug)]
pub(super) struct Underway {
    pub(super) user: UserId,
    staged: Arc<Mutex<Staged>>,
    /// Held by the commit that is under way.
    commits: Arc<Mutex<()>>,
    /// It has made room for another one, and is about to be gone. Set while nobody works on it.
    ended: AtomicBool,
}

pub(super) type Slot = Arc<Underway>;

/// Its file, and how far it is.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) upload: Upload,
    pub(super) path: PathBuf,
    /// Bytes that are safe. Who brings a later piece waits for it here.
    pub(super) safe: watch::Sender<u64>,
    /// The whole content matches its hash.
    pub(super) checked: bool,
    /// The file is there, and was looked at.
    open: bool,
    /// When somebody worked on it last.
    touched: Instant,
}

#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    open: std::sync::Mutex<Entries>,
}

type Entries = FxHashMap<Id, Entry>;

#[derive(Debug)]
struct Entry {
    content: Content,
    size: u64,
    /// `None`: a place is kept for it.
    slot: Option<Slot>,
}

/// Whose upload of what it is: there is one row of it at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Content {
    user: UserId,
    sha256: [u8; 32],
    voice: bool,
}

impl Content {
    fn of(new: &NewUpload) -> Self {
        Self { user: new.user, sha256: new.sha256, voice: new.voice }
    }
}

impl Staging {
    /// Files that belong to no open upload go.
    pub(super) fn open(folder: &Path, known: &[Id]) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let names: Vec<_> = known.iter().map(key_of).collect();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder: folder.into(), open: std::sync::Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it is held, and nobody waits for a disk.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a place for an upload, if `admit` says so: however many begin at once, each counts those before it. Where it
    /// does not, others of the user make room that nobody has worked on for `idle`. They have ended then, and the caller takes
    /// them away.
    pub(super) fn reserve(
        &self,
        new: &NewUpload,
        idle: Duration,
        admit: impl Fn(Announced) -> Result<(), Refusal>,
    ) -> Result<(Place<'_>, Vec<Id>), Refusal> {
        let mut open = self.lock();
        let ended = room::make(&open, new, idle, admit)?;
        open.insert(new.id, Entry { content: Content::of(new), size: new.size, slot: None });
        Ok((Place { staging: self, id: new.id }, ended))
    }

    pub(super) fn get(&self, id: &Id) -> Option<Slot> {
        self.lock().get(id)?.slot.clone()
    }

    /// The upload goes on.
    pub(super) fn resume(&self, upload: Upload) -> Slot {
        let mut open = self.lock();
        if let Some(slot) = open.get(&upload.id).and_then(|entry| entry.slot.as_ref()) {
            return Arc::clone(slot);
        }
        let (id, user, size) = (upload.id, upload.user, upload.size);
        let content = Content { user, sha256: upload.sha256, voice: upload.voice };
        let path = self.folder.join(key_of(&id));
        let (safe, touched) = (watch::Sender::new(0), Instant::now());
        let staged = Staged { upload, path, safe, checked: false, open: false, touched };
        let (staged, ended) = (Arc::new(Mutex::new(staged)), AtomicBool::new(false));
        let slot = Arc::new(Underway { user, staged, commits: Arc::default(), ended });
        open.insert(id, Entry { content, size, slot: Some(Arc::clone(&slot)) });
        slot
    }

    /// Leaves the file where it is.
    pub(super) fn forget(&self, id: &Id) {
        self.lock().remove(id);
    }

    /// Takes the file away.
    pub(super) async fn remove(&self, id: &Id) {
        self.forget(id);
        let path = self.folder.join(key_of(id));
        if let Err(error) = run(move || std::fs::remove_file(path)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an upload's file stays");
        }
    }
}

/// A place for an upload that begins. Dropped: it is free again, unless the upload has taken it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    staging: &'a Staging,
    id: Id,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.staging.lock();
        if open.get(&self.id).is_some_and(|entry| entry.slot.is_none()) {
            open.remove(&self.id);
        }
    }
}

impl Underway {
    /// Waits for whoever works on it. The file is there then.
    pub(super) async fn lock(&self) -> Result<tokio::sync::MutexGuard<'_, Staged>, Refusal> {
        let mut staged = self.staged.lock().await;
        if self.has_ended() {
            return Err(ending());
        }
        staged.open().await.map_err(failed)?;
        staged.touched = Instant::now();
        Ok(staged)
    }

    /// For one commit at a time. `None`: one is under way.
    pub(super) fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.commits).try_lock_owned().ok()
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Staged {
    pub(super) fn offset(&self) -> u64 {
        *self.safe.borrow()
    }

    /// Makes the file, or finds how far it is.
    async fn open(&mut self) -> io::Result<()> {
        if self.open {
            return Ok(());
        }
        let path = self.path.clone();
        let there = run(move || {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            // The file's name has to outlast a crash as well.
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
            Ok(file.metadata()?.len())
        });
        self.safe.send_replace(there.await?.min(self.upload.size));
        self.open = true;
        Ok(())
    }

    /// Appends, and syncs. On failure the file is as it was.
    pub(super) async fn append(&mut self, data: Bytes) -> io::Result<()> {
        let (path, offset, size) = (self.path.clone(), self.offset(), data.len() as u64);
        run(move || {
            let file = OpenOptions::new().write(true).open(path)?;
            let written = file.write_all_at(&data, offset).and_then(|()| file.sync_data());
            written.inspect_err(|_| {
                // What was written in part would look like a longer upload after a restart.
                let _ = file.set_len(offset);
            })
        })
        .await?;
        self.safe.send_replace(offset.saturating_add(size));
        self.touched = Instant::now(); // a slow disk is no rest
        Ok(())
    }

    /// Begins again with nothing.
    pub(super) async fn clear(&mut self) -> io::Result<()> {
        let path = self.path.clone();
        run(move || OpenOptions::new().write(true).open(path)?.set_len(0)).await?;
        self.safe.send_replace(0);
        Ok(())
    }
}

/// Of an upload that has ended and is not gone yet.
fn ending() -> Refusal {
    Refusal::later(Code::Unavailable, "the upload makes room: begin it again", END_RETRY_MS)
}

/// SHA-256 of a file.
pub(super) async fn hash(path: PathBuf) -> io::Result<[u8; 32]> {
    run(move || {
        let (file, mut context) = (File::open(path)?, digest::Context::new(&digest::SHA256));
        let (mut chunk, mut at) = (vec![0; HASH_CHUNK_BYTES], 0);
        loop {
            let read = file.read_at(&mut chunk, at)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            context.update(bytes);
            at += read as u64;
        }
        Ok(super::to_id(context.finish()))
    })
    .await
}

/// A piece of a file.
pub(super) async fn read(path: PathBuf, range: Range<u64>) -> io::Result<Bytes> {
    run(move || {
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        File::open(path)?.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    })
    .await
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
