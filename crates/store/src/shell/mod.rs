//! Threads and queues around the engine: one writer, one that syncs behind it, some readers, one that checkpoints. `im` and
//! `server` call it.
//!
//! Every queue is bounded. A full one answers UNAVAILABLE at once, and nothing was stored: the client tries again with the
//! same client id.

mod checkpoint;
mod checkup;
mod durable;
mod file;
mod outbox;
mod readers;
mod signals;
mod stats;
mod syncer;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use convene_im_core::model::{Policy, Refusal};
use tokio::sync::oneshot;

use crate::accounts;
use crate::engine::{Engine, EngineOptions, Place};
use crate::error::{StoreError, unavailable};
use crate::ops::{Op, Outcome};
use crate::orgs;
use crate::reader::Reader;
use crate::webhooks;
use durable::Durable;
use readers::Readers;
use stats::Stats;
use syncer::{Disk, Syncer, Wal};
use writer::{Job, Writer};

pub use file::DatabaseFile;
pub use outbox::Outbox;
pub use stats::StatsSnapshot;

/// How a store works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file. It is made where there is none.
    pub path: PathBuf,
    /// Limits of the rules.
    pub policy: Policy,
    /// Connections that read.
    pub readers: usize,
    /// Operations that may wait for the writer. At 20,000/s the last of 8,192 waits 0.4 s; beyond that a refusal is the
    /// better answer.
    pub max_queued_writes: usize,
    /// Questions that may wait for a reader.
    pub max_queued_reads: usize,
    /// Operations of one transaction. More makes commits rarer, and the first of a batch wait longer.
    pub max_batch: usize,
}

impl Options {
    /// Defaults for a database at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            policy: Policy::default(),
            readers: 4,
            max_queued_writes: 8_192,
            max_queued_reads: 4_096,
            max_batch: 512,
        }
    }
}

/// The store at work. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    readers: Readers,
    durable: Arc<Durable>,
    stats: Arc<Stats>,
    outbox: Arc<Outbox>,
    /// Dropped last: it holds a file open.
    checkpoints: checkpoint::Thread,
}

impl Store {
    /// Opens the database and starts the threads. A damaged file is an error.
    pub fn start(options: Options) -> Result<Self, StoreError> {
        Self::start_on(options, Wal::open)
    }

    fn start_on<D: Disk>(
        options: Options,
        disk: impl FnOnce(&Place) -> Result<D, StoreError>,
    ) -> Result<Self, StoreError> {
        checkup::before_start(&Place::File(options.path.clone()))?;
        let engine_options =
            EngineOptions { policy: options.policy, checkpoints_elsewhere: true, syncs_elsewhere: true };
        let engine = Engine::open(&options.path, engine_options)?;
        let place = engine.place().clone();
        let stats = Arc::new(Stats::default());
        let readers = Readers::start(&place, &options, &stats)?;
        let signals = Arc::default();
        let checkpoints = checkpoint::Thread::start(&place, &stats, &signals)?;
        let (durable, outbox) = (Arc::default(), Arc::default());
        let syncer = Syncer::start(disk(&place)?, &durable, &stats, &outbox)?;
        let writer = Writer::start(engine, &options, syncer, &durable, &stats, signals)?;
        Ok(Self { inner: Arc::new(Inner { writer, readers, durable, stats, outbox, checkpoints }) })
    }

    /// Hands an operation to the writer and returns at once. `done` runs in the order of the commits on the thread that
    /// syncs, when it is on the disk, and must be quick. When the queue is full it runs right here, with UNAVAILABLE.
    pub fn write(&self, op: Op, done: impl FnOnce(Result<Outcome, Refusal>) + Send + 'static) {
        let job = Job::Op(Box::new(op), Box::new(done));
        if let Err(Job::Op(_, done)) = self.inner.writer.push(job) {
            Stats::add(&self.inner.stats.writes_refused, 1);
            done(Err(unavailable()));
        }
    }

    /// The same for who can wait.
    pub async fn write_async(&self, op: Op) -> Result<Outcome, Refusal> {
        let (tx, rx) = oneshot::channel();
        // Nobody waits any more: the operation happened all the same.
        self.write(op, move |result| drop(tx.send(result)));
        rx.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// Changes something about people.
    pub async fn account(&self, op: accounts::Op) -> Result<accounts::Outcome, convene_accounts::Refusal> {
        match self.write_async(Op::Account(op)).await {
            Ok(Outcome::Account(answer)) => answer,
            // The writer answers in kind; what it cannot take it refuses as a whole.
            Ok(_) | Err(_) => Err(later()),
        }
    }

    /// Changes something about an organisation.
    pub async fn org(&self, op: orgs::Op) -> Result<orgs::Outcome, convene_accounts::Refusal> {
        match self.write_async(Op::Org(op)).await {
            Ok(Outcome::Org(answer)) => answer,
            Ok(_) | Err(_) => Err(later()),
        }
    }

    /// Changes something about webhooks.
    pub async fn webhook(&self, op: webhooks::Op) -> Result<webhooks::Enqueued, convene_accounts::Refusal> {
        match self.write_async(Op::Webhook(op)).await {
            Ok(Outcome::Webhook(enqueued)) => Ok(enqueued),
            Ok(_) | Err(_) => Err(later()),
        }
    }

    /// Tells when something waits for webhooks.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    /// Asks something about people or organisations on one of the reading threads.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, convene_accounts::Refusal> {
        self.read(move |reader| ask(reader).map(Ok)).await.map_err(|_| later())
    }

    /// Asks a question on one of the reading threads. A full queue or a failing database answers UNAVAILABLE. What the
    /// answer shows is on the disk.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<Result<T, Refusal>, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tx, rx) = oneshot::channel();
        let (stats, durable) = (Arc::clone(&self.inner.stats), Arc::clone(&self.inner.durable));
        let job = move |reader: &mut Reader| {
            let result = ask(reader).unwrap_or_else(|error| {
                Stats::add(&stats.failed_reads, 1);
                tracing::error!(%error, "the store could not answer");
                Err(unavailable())
            });
            drop(tx.send((result, durable.begun())));
        };
        if !self.inner.readers.push(Box::new(job)) {
            Stats::add(&self.inner.stats.reads_refused, 1);
            return Err(unavailable());
        }
        let Ok((result, seen)) = rx.await else { return Err(unavailable()) };
        if !self.inner.durable.reached(seen).await {
            Stats::add(&self.inner.stats.failed_reads, 1);
            return Err(unavailable());
        }
        result
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.inner.stats.snapshot()
    }

    /// Runs `work` on the writer's thread between two batches: maintenance, and faults for tests. False: the queue is full.
    pub fn with_engine(&self, work: impl FnOnce(&mut Engine) + Send + 'static) -> bool {
        self.inner.writer.push(Job::Engine(Box::new(work))).is_ok()
    }

    /// Writes what is queued, refuses what comes later, and waits for the threads. Blocks.
    pub fn stop(&self) {
        self.inner.checkpoints.stop();
        self.inner.writer.stop();
        self.inner.readers.stop();
    }
}

fn later() -> convene_accounts::Refusal {
    convene_accounts::Refusal::later(convene_accounts::Code::Unavailable, 1)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
