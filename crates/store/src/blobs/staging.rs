//! Uploads under way: a local file each, synced before its offset is claimed, so that an upload goes on after a crash.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_types::UserId;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::key_of;
use crate::ops::Upload;

/// What one read of a hash takes at a time.
const HASH_CHUNK_BYTES: usize = 256 * 1024;

pub(super) type Id = [u8; 16];

/// One upload.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) upload: Upload,
    pub(super) path: PathBuf,
    /// Bytes that are safe. Who brings a later piece waits for it here.
    pub(super) safe: watch::Sender<u64>,
    /// The whole content matches its hash.
    pub(super) checked: bool,
}

pub(super) type Slot = Arc<tokio::sync::Mutex<Staged>>;

#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    open: Mutex<FxHashMap<Id, Entry>>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    user: UserId,
    sha256: [u8; 32],
    size: u64,
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
        Ok(Self { folder: folder.into(), open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Id, Entry>> {
        // Nothing panics while it is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes announced by this user, and by all, without this content.
    pub(super) fn announced(&self, user: UserId, sha256: &[u8; 32]) -> (u64, u64) {
        let open = self.lock();
        let sum = |own_only: bool| {
            let counted = open.values().filter(|entry| entry.user != user || entry.sha256 != *sha256);
            counted.filter(|entry| !own_only || entry.user == user).map(|entry| entry.size).fold(0, u64::saturating_add)
        };
        (sum(true), sum(false))
    }

    pub(super) fn get(&self, id: &Id) -> Option<Slot> {
        self.lock().get(id).map(|entry| Arc::clone(&entry.slot))
    }

    /// The upload goes on where its file ends.
    pub(super) fn resume(&self, upload: Upload) -> io::Result<Slot> {
        let mut open = self.lock();
        if let Some(entry) = open.get(&upload.id) {
            return Ok(Arc::clone(&entry.slot));
        }
        let path = self.folder.join(key_of(&upload.id));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        let offset = file.metadata()?.len().min(upload.size);
        // The file's name has to outlast a crash as well.
        File::open(&self.folder)?.sync_all()?;
        let (id, user, sha256, size) = (upload.id, upload.user, upload.sha256, upload.size);
        let slot = Arc::new(tokio::sync::Mutex::new(Staged {
            upload,
            path,
            safe: watch::Sender::new(offset),
            checked: false,
        }));
        open.insert(id, Entry { slot: Arc::clone(&slot), user, sha256, size });
        Ok(slot)
    }

    /// Takes the file away.
    pub(super) fn remove(&self, id: &Id) {
        self.lock().remove(id);
        if let Err(error) = std::fs::remove_file(self.folder.join(key_of(id)))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an upload's file stays");
        }
    }
}

impl Staged {
    pub(super) fn offset(&self) -> u64 {
        *self.safe.borrow()
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
