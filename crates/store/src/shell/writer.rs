//! The writer's thread: takes all that is queued, up to a bound, as one transaction, and hands the answers to `syncer`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use convene_im_core::model::Refusal;
use convene_proto::im::Code;

use super::durable::Durable;
use super::signals::Signals;
use super::stats::Stats;
use super::syncer::{Batch, Done, Syncer, answer};
use super::{Options, now_ms};
use crate::engine::Engine;
use crate::error::{StoreError, refuse, unavailable};
use crate::ops::{Op, Outcome};

/// Above it a commit waits for a checkpoint, however much is left of it: a longer WAL makes reads slower and the disk fuller.
const MAX_WAL_BYTES: u64 = 256 * 1024 * 1024;
/// How long all senders wait for the reads that keep a WAL that long from beginning again. Where there are always some, none
/// of them long, no moment is without one; so long a wait sees the end of each.
const FORCED_PATIENCE: Duration = Duration::from_millis(100);
/// How long a WAL is left alone that could not begin again. Whoever reads for longer than the patience reads for minutes, as a
/// backup does, and should cost room on the disk, not sends: a fiftieth of their time at most. Longer, and what was erased
/// stays on the disk for longer once the reader is gone.
const REST: Duration = Duration::from_secs(5);
/// How soon erased payload leaves the WAL when nothing else is written.
const IDLE: Duration = Duration::from_millis(200);

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
    pub(super) fn start(
        engine: Engine,
        options: &Options,
        syncer: Syncer,
        durable: &Arc<Durable>,
        stats: &Arc<Stats>,
        signals: Arc<Signals>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(options.max_queued_writes);
        let (max_batch, durable, stats) = (options.max_batch.max(1), Arc::clone(durable), Arc::clone(stats));
        let state = Thread { engine, jobs, max_batch, syncer, durable, stats, signals, rests_until: None };
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
    syncer: Syncer,
    durable: Arc<Durable>,
    stats: Arc<Stats>,
    signals: Arc<Signals>,
    /// A reader was in the way of the WAL: until then it is not tried again.
    rests_until: Option<Instant>,
}

impl Thread {
    fn run(mut self) {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(job) => Ok(job),
                None if self.engine.has_erased() => self.jobs.recv_timeout(self.rest(Instant::now()).max(IDLE)),
                None => self.jobs.recv().map_err(RecvTimeoutError::from),
            };
            match first {
                Ok(Job::Op(op, done)) => held = self.batch(*op, done),
                Ok(Job::Engine(work)) => self.maintain(work),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.restart_wal(Duration::ZERO),
            }
            self.signals.written();
        }
        self.syncer.stop();
        // What came in behind the stop.
        for job in self.jobs.try_iter() {
            if let Job::Op(_, done) = job {
                done(Err(unavailable()));
            }
        }
        let emptied = self.engine.empty_wal();
        self.note(emptied);
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
        if self.durable.fails() {
            waiting.into_iter().for_each(|done| answer(done, Err(unavailable()), &self.stats));
        } else {
            self.carry_out(ops, waiting);
            self.bound_wal();
        }
        other
    }

    fn carry_out(&mut self, ops: Vec<Op>, waiting: Vec<Done>) {
        let results = self.apply(ops);
        let batch = Batch {
            commit: self.durable.begun(),
            answers: waiting.into_iter().zip(results).collect(),
            enqueued: self.engine.take_enqueued(),
            no_webhooks: self.engine.has_no_webhooks(),
        };
        if let Err(batch) = self.syncer.push(batch) {
            // Its thread has ended, by a bug: nothing is brought to the disk any more.
            self.durable.failed();
            batch.refuse(&self.stats);
        }
    }

    fn bound_wal(&mut self) {
        if self.signals.take_restart() {
            // Costs nothing where a reader is in the way, and is asked for again.
            let restarted = self.engine.restart_wal(Duration::ZERO);
            self.note(restarted);
        } else if self.stats.wal_bytes.load(Relaxed) > MAX_WAL_BYTES && self.rest(Instant::now()).is_zero() {
            Stats::add(&self.stats.forced_checkpoints, 1);
            self.restart_wal(FORCED_PATIENCE);
        }
    }

    /// How long the WAL is to be left alone.
    fn rest(&self, now: Instant) -> Duration {
        self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
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
        let (engine, durable) = (&mut self.engine, &self.durable);
        let result = catch_unwind(AssertUnwindSafe(|| engine.apply_announced(ops, now_ms(), || durable.begin())));
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

    /// Begins the WAL again, or leaves it alone for a while.
    fn restart_wal(&mut self, patience: Duration) {
        let restarted = self.engine.restart_wal(patience);
        self.rests_until = (!self.note(restarted)).then(|| Instant::now() + REST);
    }

    /// Whether it was done.
    fn note(&self, done: Result<bool, StoreError>) -> bool {
        match done {
            Ok(true) => self.stats.wal_bytes.store(0, Relaxed),
            // Somebody reads.
            Ok(false) => {}
            Err(ref error) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
        }
        matches!(done, Ok(true))
    }
}

#[cfg(test)]
mod tests;
