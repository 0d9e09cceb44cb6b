//! Moves the WAL into the database beside the writer, so that no commit waits for it.
//!
//! A passive checkpoint never blocks the writer, but it cannot empty a WAL that is written to all the time: the writer does
//! that at a bound, see `writer`.

use std::sync::Arc;
use std::sync::Mutex;
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

#[derive(Debug)]
pub(super) struct Thread {
    stop: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Thread {
    pub(super) fn start(place: &Place, stats: &Arc<Stats>) -> Result<Self, StoreError> {
        let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let frame = u64::try_from(page).unwrap_or(0) + FRAME_HEADER_BYTES;
        let (stop, stopped) = sync_channel(1);
        let stats = Arc::clone(stats);
        let thread = thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                checkpoint(&conn, frame, &stats);
            }
        });
        let thread = thread.map_err(|source| StoreError::Files { doing: "starting the checkpoints", source })?;
        Ok(Self { stop: Mutex::new(Some((stop, thread))) })
    }

    pub(super) fn stop(&self) {
        if let Some((stop, thread)) = self.stop.lock().ok().and_then(|mut stop| stop.take()) {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn checkpoint(conn: &Connection, frame: u64, stats: &Stats) {
    let result: rusqlite::Result<i64> = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    match result {
        Ok(frames) => {
            stats.wal_bytes.store(u64::try_from(frames).unwrap_or(0).saturating_mul(frame), Relaxed);
            Stats::add(&stats.checkpoints, 1);
        }
        // As with a full disk: commits fail then too and say so.
        Err(error) => tracing::debug!(%error, "checkpoint"),
    }
}
