//! Moves the WAL into the database beside the writer, so that no commit waits for it.
//!
//! A passive checkpoint never blocks the writer, but it cannot begin a WAL again that is written to all the time: that takes
//! a gap between two commits, and it copies and syncs what is not yet in the database before. So this thread goes over it
//! until little is left, has the file synced, and tells the writer that now it costs little. Where nothing is left it sleeps
//! until something is written.

use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::signals::Signals;
use super::stats::Stats;
use crate::engine::Place;
use crate::error::StoreError;

/// How often a WAL that is written to is looked at; one that did not grow since is moved, however short.
const EVERY: Duration = Duration::from_millis(200);
/// One that grows is moved in pieces of this size. The pages that every message changes then go into the database once for
/// hundreds of commits, and commits wait less often for a disk that is busy with the database.
const PIECE_BYTES: u64 = 16 * 1024 * 1024;
/// A frame of the WAL is a page and its header.
const FRAME_HEADER_BYTES: u64 = 24;
/// Passes in a row: each finds what was written during the one before.
const MAX_PASSES: usize = 4;
/// So much may be left to the writer: a millisecond of copying.
const LITTLE_BYTES: u64 = 512 * 1024;
/// A shorter WAL is not worth a gap: all senders wait for it, some tens of milliseconds on a slow disk. Under full load this
/// one is written in four seconds, so that fewer than one send in a hundred meets a gap.
const WORTH_BYTES: u64 = 96 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Thread {
    signals: Arc<Signals>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The database's file, for syncing. Kept open for as long as the store is there: closing it would take away the locks
    /// that SQLite holds on the same file in this process (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    _file: Option<Arc<File>>,
}

impl Thread {
    pub(super) fn start(place: &Place, stats: &Arc<Stats>, signals: &Arc<Signals>) -> Result<Self, StoreError> {
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
        let (stats, signals) = (Arc::clone(stats), Arc::clone(signals));
        let work = Work { conn, file: file.clone(), frame, stats, signals: Arc::clone(&signals), seen: 0 };
        let thread = thread::Builder::new().name("store-checkpoint".into()).spawn(move || work.run());
        let thread = thread.map_err(|source| StoreError::Files { doing: "starting the checkpoints", source })?;
        Ok(Self { signals, thread: Mutex::new(Some(thread)), _file: file })
    }

    pub(super) fn stop(&self) {
        self.signals.stop();
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.signals.stop();
    }
}

struct Work {
    conn: Connection,
    file: Option<Arc<File>>,
    frame: u64,
    stats: Arc<Stats>,
    signals: Arc<Signals>,
    /// Bytes of the WAL at the last look.
    seen: u64,
}

/// Bytes of the WAL.
struct Wal {
    all: u64,
    /// Not yet in the database.
    left: u64,
}

impl Work {
    fn run(mut self) {
        while self.signals.rest(EVERY) {
            if self.look() {
                self.signals.wait_for_writes();
            }
        }
    }

    /// Moves what is due. True: until something is written there is nothing to do.
    fn look(&mut self) -> bool {
        // Either fails as with a full disk: commits fail then too and say so.
        let wal = match self.wal("NOOP") {
            Ok(wal) => wal,
            Err(error) => {
                tracing::debug!(%error, "looking at the write-ahead log");
                return false;
            }
        };
        let grows = std::mem::replace(&mut self.seen, wal.all) != wal.all;
        let nothing = wal.left == 0 && (wal.all < WORTH_BYTES || self.signals.restarts());
        let early = grows && (1..PIECE_BYTES).contains(&wal.left);
        if !nothing && !early {
            self.checkpoint();
        }
        nothing
    }

    fn checkpoint(&self) {
        for _ in 0..MAX_PASSES {
            let wal = match self.wal("PASSIVE") {
                Ok(wal) => wal,
                Err(error) => return tracing::debug!(%error, "checkpoint"),
            };
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
                return self.signals.restart();
            }
        }
    }

    /// What is in the WAL after a checkpoint of this kind.
    fn wal(&self, kind: &str) -> rusqlite::Result<Wal> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (all, moved) = self.conn.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], read)?;
        let bytes = |frames: i64| u64::try_from(frames).unwrap_or(0).saturating_mul(self.frame);
        let wal = Wal { all: bytes(all), left: bytes(all.saturating_sub(moved)) };
        self.stats.wal_bytes.store(wal.all, Relaxed);
        Ok(wal)
    }
}
