//! The writer's thread: takes all that is queued, up to a bound, as one transaction, then tells those who wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use convene_im_core::model::Refusal;
use convene_proto::im::Code;

use super::outbox::Outbox;
use super::stats::Stats;
use super::{Options, now_ms};
use crate::engine::Engine;
use crate::error::{StoreError, refuse, unavailable};
use crate::ops::{Op, Outcome};

/// Above it a commit waits for a checkpoint, however much is left of it: a longer WAL makes reads slower and the disk fuller.
const MAX_WAL_BYTES: u64 = 256 * 1024 * 1024;
/// How long all senders wait for a read that keeps a long WAL from beginning again.
const FORCED_PATIENCE: Duration = Duration::from_secs(1);
/// How soon erased payload leaves the WAL when nothing else is written.
const IDLE: Duration = Duration::from_millis(200);

type Done = Box<dyn FnOnce(Result<Outcome, Refusal>) + Send>;
type Results = Vec<Result<Outcome, Refusal>>;

pub(super) enum Job {
    Op(Box<Op>, Done),
    Engine(Box<dyn FnOnce(&mut Engine) + Send>),
    Stop,
}

#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// `restart`: see `checkpoint`.
    pub(super) fn start(
        engine: Engine,
        options: &Options,
        stats: &Arc<Stats>,
        outbox: &Arc<Outbox>,
        restart: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(options.max_queued_writes);
        let (max_batch, stats, outbox) = (options.max_batch.max(1), Arc::clone(stats), Arc::clone(outbox));
        let state = Thread { engine, jobs, max_batch, stats, outbox, restart };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || state.run());
        let thread = thread.map_err(|source| StoreError::Files { doing: "starting the writer", source })?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Gives the job back when the queue is full or the thread has ended.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    pub(super) fn stop(&self) {
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // Waits for room in the queue; fails only if the thread has ended.
            let _ = self.queue.send(Job::Stop);
            let _ = thread.join();
        }
    }
}

struct Thread {
    engine: Engine,
    jobs: Receiver<Job>,
    max_batch: usize,
    stats: Arc<Stats>,
    outbox: Arc<Outbox>,
    restart: Arc<AtomicBool>,
}

impl Thread {
    fn run(mut self) {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(job) => Ok(job),
                None => self.jobs.recv_timeout(IDLE),
            };
            match first {
                Ok(Job::Op(op, done)) => held = self.batch(*op, done),
                Ok(Job::Engine(work)) => self.maintain(work),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.engine.has_erased() => self.empty_wal(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // What came in behind the stop.
        for job in self.jobs.try_iter() {
            if let Job::Op(_, done) = job {
                done(Err(unavailable()));
            }
        }
        self.empty_wal();
    }

    /// Carries out what is queued behind the first one. Answers the job that is none for a batch.
    fn batch(&mut self, op: Op, done: Done) -> Option<Job> {
        let (mut ops, mut waiting, mut other) = (vec![op], vec![done], None);
        while ops.len() < self.max_batch {
            match self.jobs.try_recv() {
                Ok(Job::Op(op, done)) => {
                    ops.push(*op);
                    waiting.push(done);
                }
                Ok(job @ (Job::Engine(_) | Job::Stop)) => {
                    other = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        let results = self.apply(ops);
        self.outbox.note(self.engine.take_enqueued(), self.engine.has_no_webhooks());
        for (done, result) in waiting.into_iter().zip(results) {
            if result.is_err() {
                Stats::add(&self.stats.refusals, 1);
            }
            // Whoever panics in there loses their own answer.
            if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                Stats::add(&self.stats.panics, 1);
            }
        }
        if self.restart.swap(false, Relaxed) {
            self.restart_wal(Duration::ZERO);
        } else if self.stats.wal_bytes.load(Relaxed) > MAX_WAL_BYTES {
            Stats::add(&self.stats.forced_checkpoints, 1);
            self.restart_wal(FORCED_PATIENCE);
        }
        other
    }

    /// One transaction. If it fails for another reason than the disk, some operation in it cannot be stored: then each
    /// gets a transaction of its own, and only that one is refused.
    fn apply(&mut self, ops: Vec<Op>) -> Results {
        let again = ops.clone();
        match self.try_apply(ops) {
            Ok(results) => results,
            Err(error) if error.is_passing() || again.len() == 1 => {
                let answer =
                    if error.is_passing() { unavailable() } else { refuse(Code::Internal, "a mistake of the server") };
                vec![Err(answer); again.len()]
            }
            Err(_) => again.into_iter().flat_map(|op| self.apply(vec![op])).collect(),
        }
    }

    fn try_apply(&mut self, ops: Vec<Op>) -> Result<Results, StoreError> {
        let (count, begun) = (ops.len(), Instant::now());
        let engine = &mut self.engine;
        let result = catch_unwind(AssertUnwindSafe(|| engine.apply(ops, now_ms())));
        let result = result.unwrap_or_else(|_| {
            Stats::add(&self.stats.panics, 1);
            self.engine.reset();
            Err(StoreError::Stopped)
        });
        match &result {
            Ok(_) => self.stats.committed(count, begun.elapsed()),
            Err(error) => {
                Stats::add(&self.stats.failed_batches, 1);
                tracing::error!(%error, ops = count, "a batch was rolled back");
            }
        }
        result
    }

    fn maintain(&mut self, work: Box<dyn FnOnce(&mut Engine) + Send>) {
        let engine = &mut self.engine;
        if catch_unwind(AssertUnwindSafe(|| work(engine))).is_err() {
            Stats::add(&self.stats.panics, 1);
            self.engine.reset();
        }
    }

    /// Bounds the WAL. What was erased has to leave it all the same (I14).
    fn restart_wal(&mut self, patience: Duration) {
        let erased = self.engine.has_erased();
        let done = if erased { self.engine.empty_wal() } else { self.engine.restart_wal(patience) };
        self.note(done);
    }

    fn empty_wal(&mut self) {
        let done = self.engine.empty_wal();
        self.note(done);
    }

    fn note(&self, done: Result<bool, StoreError>) {
        match done {
            Ok(true) => self.stats.wal_bytes.store(0, Relaxed),
            // A long read is in the way. The next batch tries again.
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
        }
    }
}
