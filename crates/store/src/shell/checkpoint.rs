//! Moves the WAL into the database beside the writer, so that no commit waits for it.
//!
//! A passive checkpoint never blocks the writer, but it cannot begin a WAL again that is written to all the time: that takes
//! a gap between two commits, and it copies and syncs what is not yet in the database before. So this thread goes over it
//! until little is left, has the file synced, and tells the writer that now it costs little.

use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::stats::Stats;
use crate::engine::Place;
use crate::error::StoreError;

/// Often enough that a checkpoint has little to do, rarely enough that pages written again and again go once.
const EVERY: Duration = Duration::from_millis(200);
/// A frame of the WAL is a page and its header.
const FRAME_HEADER_BYTES: u64 = 24;
/// Passes in a row: each finds what was written during the one before.
const MAX_PASSES: usize = 4;
/// So much may be left to the writer: a millisecond of copying.
const LITTLE_BYTES: u64 = 512 * 1024;
/// A shorter WAL is not worth a gap: under full load this one is written in a second.
const WORTH_BYTES: u64 = 24 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Thread {
    stop: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
    /// The database's file, for syncing. Kept open for as long as the store is there: closing it would take away the locks
    /// that SQLite holds on the same file in this process (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    _file: Option<Arc<File>>,
}

impl Thread {
    /// `restart` is raised when the writer should begin the WAL again.
    pub(super) fn start(place: &Place, stats: &Arc<Stats>, restart: &Arc<AtomicBool>) -> Result<Self, StoreError> {
        let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let frame = u64::try_from(page).unwrap_or(0) + FRAME_HEADER_BYTES;
        let file = match place {
            Place::File(path) => {
                let opened = File::options().read(true).write(true).open(path);
                Some(Arc::new(opened.map_err(|source| StoreError::Files { doing: "opening the database", source })?))
            }
            Place::Memory(_) => None,
        };
        let work = Work { conn, file: file.clone(), frame, stats: Arc::clone(stats), restart: Arc::clone(restart) };
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                work.run();
            }
        });
        let thread = thread.map_err(|source| StoreError::Files { doing: "starting the checkpoints", source })?;
        Ok(Self { stop: Mutex::new(Some((stop, thread))), _file: file })
    }

    pub(super) fn stop(&self) {
        if let Some((stop, thread)) = self.stop.lock().ok().and_then(|mut stop| stop.take()) {
            drop(stop);
            let _ = thread.join();
        }
    }
}

struct Work {
    conn: Connection,
    file: Option<Arc<File>>,
    frame: u64,
    stats: Arc<Stats>,
    restart: Arc<AtomicBool>,
}

/// Bytes of the WAL.
struct Wal {
    all: u64,
    /// Not yet in the database.
    left: u64,
}

impl Work {
    fn run(&self) {
        for _ in 0..MAX_PASSES {
            let wal = match self.pass() {
                Ok(wal) => wal,
                // As with a full disk: commits fail then too and say so.
                Err(error) => return tracing::debug!(%error, "checkpoint"),
            };
            self.stats.wal_bytes.store(wal.all, Relaxed);
            Stats::add(&self.stats.checkpoints, 1);
            if wal.left == 0 && wal.all < WORTH_BYTES {
                return; // the next commit begins it again by itself
            }
            // SQLite syncs when nothing is left, which under load is in the writer's gap: all at once.
            if let Some(Err(error)) = self.file.as_deref().map(File::sync_data) {
                return tracing::debug!(%error, "syncing the database");
            }
            if wal.all < WORTH_BYTES {
                return;
            }
            if wal.left <= LITTLE_BYTES {
                return self.restart.store(true, Relaxed);
            }
        }
    }

    fn pass(&self) -> rusqlite::Result<Wal> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (all, moved) = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?;
        let bytes = |frames: i64| u64::try_from(frames).unwrap_or(0).saturating_mul(self.frame);
        Ok(Wal { all: bytes(all), left: bytes(all.saturating_sub(moved)) })
    }
}
