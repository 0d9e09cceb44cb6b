//! The thread that brings commits to the disk and tells those who wait, in the order of the commits. While it waits for the
//! disk, the writer carries out the next batch.
//!
//! A sync that fails proves that something is not on the disk, and one that succeeds afterwards does not prove that it is:
//! the kernel forgets what it could not write (<https://wiki.postgresql.org/wiki/Fsync_Errors>). So after a failure nothing is
//! answered and nothing more is written until the whole WAL has been moved into the database, that was synced, and the WAL
//! begins again.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use convene_im_core::model::Refusal;
use rusqlite::{Connection, OpenFlags};

use super::durable::Durable;
use super::outbox::Outbox;
use super::stats::Stats;
use crate::engine::{self, Place};
use crate::error::{StoreError, unavailable};
use crate::ops::Outcome;
use crate::webhooks::Enqueued;

/// Batches that may wait for the sync under way; then the writer waits. More of them would be smaller ones, and each writes
/// pages that it shares with the next.
const MAX_WAITING: usize = 1;
/// How often a failing disk is tried again.
const RETRY: Duration = Duration::from_millis(200);

pub(super) type Done = Box<dyn FnOnce(Result<Outcome, Refusal>) + Send>;

/// A batch that is committed.
pub(super) struct Batch {
    /// Its last commit; of an earlier batch, if it changed nothing.
    pub(super) commit: u64,
    pub(super) answers: Vec<(Done, Result<Outcome, Refusal>)>,
    /// What it put into the outbox of webhooks, ...
    pub(super) enqueued: Enqueued,
    /// ... and whether there are no endpoints at all.
    pub(super) no_webhooks: bool,
}

/// Where commits are brought to.
pub(super) trait Disk: Send + 'static {
    /// Returns when all that was written before is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// The same after a sync has failed. False: somebody is in the way, try again.
    fn rescue(&mut self) -> Result<bool, StoreError>;
}

/// Answers to writes, and where the answers come from.
pub(super) struct Syncer {
    batches: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(
        disk: impl Disk,
        durable: &Arc<Durable>,
        stats: &Arc<Stats>,
        outbox: &Arc<Outbox>,
    ) -> Result<Self, StoreError> {
        let (batches, waiting) = sync_channel(MAX_WAITING);
        let (durable, stats, outbox) = (Arc::clone(durable), Arc::clone(stats), Arc::clone(outbox));
        let state = Thread { waiting, disk, durable, stats, outbox };
        let thread = thread::Builder::new().name("store-syncer".into()).spawn(move || state.run());
        let thread = thread.map_err(|source| StoreError::Files { doing: "starting the syncs", source })?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// Has a batch answered when it is on the disk. Waits where too many wait already. Gives it back if the thread has ended.
    pub(super) fn push(&self, batch: Batch) -> Result<(), Batch> {
        match &self.batches {
            Some(batches) => batches.send(batch).map_err(|error| error.0),
            None => Err(batch),
        }
    }

    /// Brings the rest to the disk, and waits until it is answered.
    pub(super) fn stop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Batch {
    /// For those whose writes may be on the disk and may be not: they try again with the same client id.
    pub(super) fn refuse(self, stats: &Stats) {
        self.answers.into_iter().for_each(|(done, _)| answer(done, Err(unavailable()), stats));
    }
}

/// Tells somebody. If they panic, they lose their own answer and nobody else's.
pub(super) fn answer(done: Done, result: Result<Outcome, Refusal>, stats: &Stats) {
    if result.is_err() {
        Stats::add(&stats.refusals, 1);
    }
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        Stats::add(&stats.panics, 1);
    }
}

struct Thread<D> {
    waiting: Receiver<Batch>,
    disk: D,
    durable: Arc<Durable>,
    stats: Arc<Stats>,
    outbox: Arc<Outbox>,
}

impl<D: Disk> Thread<D> {
    fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut batches = vec![first];
            batches.extend(self.waiting.try_iter());
            if self.sync(&batches) || self.rescue(&mut batches) {
                self.durable.synced(batches.last().map_or(0, |batch| batch.commit));
                batches.into_iter().for_each(|batch| self.answer(batch));
            } else {
                batches.into_iter().for_each(|batch| batch.refuse(&self.stats));
            }
        }
    }

    fn sync(&mut self, batches: &[Batch]) -> bool {
        if batches.last().is_none_or(|batch| self.durable.holds(batch.commit)) {
            return true; // they have changed nothing
        }
        let begun = Instant::now();
        let synced = self.disk.sync();
        self.stats.synced(begun.elapsed());
        synced
            .inspect_err(|error| {
                Stats::add(&self.stats.failed_syncs, 1);
                tracing::error!(%error, "what was written is not known to be on the disk");
            })
            .is_ok()
    }

    /// After a failed sync: tries until everything is on the disk. False: the store was stopped before.
    fn rescue(&mut self, batches: &mut Vec<Batch>) -> bool {
        self.durable.failed();
        loop {
            match self.disk.rescue() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the disk still fails"),
            }
            match self.waiting.recv_timeout(RETRY) {
                Ok(batch) => batches.push(batch), // was under way: the writer begins no more
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn answer(&self, batch: Batch) {
        self.outbox.note(batch.enqueued, batch.no_webhooks);
        batch.answers.into_iter().for_each(|(done, result)| answer(done, result, &self.stats));
    }
}

/// The write-ahead log of a database.
pub(super) struct Wal {
    /// `None`: in memory.
    file: Option<File>,
    conn: Connection,
}

impl Wal {
    /// Of a database that is open already: the file is there, and stays for as long as the database is open. What a
    /// process that was killed has left in it is on the disk then.
    pub(super) fn open(place: &Place) -> Result<Self, StoreError> {
        let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let file = match place {
            Place::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push("-wal");
                // SQLite keeps no locks on this file, so that closing it takes none away.
                let opened = File::open(name).and_then(|file| file.sync_data().map(|()| file));
                Some(opened.map_err(|source| StoreError::Files { doing: "syncing the write-ahead log", source })?)
            }
            Place::Memory(_) => None,
        };
        Ok(Self { file, conn })
    }
}

impl Disk for Wal {
    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// The WAL has to begin again: whoever reads it after a power cut stops at what could not be written, and would find
    /// nothing of what comes behind that.
    fn rescue(&mut self) -> Result<bool, StoreError> {
        Ok(engine::empty_wal(&self.conn)?)
    }
}

#[cfg(test)]
mod tests;
