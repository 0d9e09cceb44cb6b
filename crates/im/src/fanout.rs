//! From the store's commits to the outboxes of everybody who is online.
//!
//! The answer to a send comes this way too: it is put into the sender's outbox when a shard takes the event in, and the
//! sender's session is woken once for both, so that they leave in one packet. The writer's thread wakes a shard, not each
//! sender: to wake a task from another thread costs more than to write its answer.
//!
//! A conversation belongs to one shard (a task), so its order is kept. A shard works on its conversations in turn and on
//! each for a slice of its members, so that a huge group delays no other (I17). An event is encoded once; what has queued
//! of one conversation goes out as one frame. Members are cached, and kept right by what each event says of joins and
//! leaves; each member's floor is checked (I13).
//!
//! Bounded: when a shard holds [`MAX_QUEUED_BYTES`], [`Fanout::is_full`] says so and sends to its conversations are refused
//! before they reach the store.

mod heads;
mod members;
mod pass;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use convene_im_core::outbox::HintKey;
use convene_proto::im;
use convene_store::{Appended, Store};
use convene_telemetry::Metrics;
use convene_types::{ConvId, Ordinal, Seq, UserId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::hub::Hub;
use crate::options::Limits;
use crate::session::Session;
use worker::Worker;

/// Events that one shard holds. At 300 bytes each it is 50,000 of them, more than a second of the store's best.
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// What an event costs besides its bytes.
const JOB_BYTES: usize = 128;

/// One thing to tell the members of a conversation.
#[derive(Debug)]
pub(crate) enum Job {
    /// An event that was committed.
    Appended(Event),
    /// Something that may be lost.
    Hint(Hint),
}

/// An event that was committed.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) conv: ConvId,
    pub(crate) seq: Seq,
    pub(crate) ord: Ordinal,
    /// How far retention has come, where this is what it did.
    pub(crate) swept: Seq,
    /// The encoded event.
    pub(crate) bytes: Bytes,
    pub(crate) added: Vec<(UserId, Seq)>,
    pub(crate) removed: Vec<UserId>,
    pub(crate) committed: Instant,
    /// For who sent it.
    pub(crate) answer: Option<Box<Answer>>,
}

/// What a sender waits for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) session: Arc<Session>,
    pub(crate) rid: u64,
    pub(crate) ack: im::Ack,
}

/// Something that may be lost.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) conv: ConvId,
    /// Not told to them again; and when they are no member nobody is told.
    pub(crate) from: Option<UserId>,
    /// Told to nobody in groups with more members.
    pub(crate) most_members: usize,
    pub(crate) key: HintKey,
    pub(crate) frame: Bytes,
}

impl Job {
    fn conv(&self) -> ConvId {
        match self {
            Self::Appended(event) => event.conv,
            Self::Hint(hint) => hint.conv,
        }
    }

    fn bytes(&self) -> usize {
        JOB_BYTES
            + match self {
                Self::Appended(event) => event.bytes.len(),
                Self::Hint(hint) => hint.frame.len(),
            }
    }
}

impl Event {
    pub(crate) fn new(appended: Appended, answer: Option<Box<Answer>>) -> Self {
        let Appended { conv, seq, ord, event, added, removed, swept, .. } = appended;
        Self { conv, seq, ord, swept, bytes: event, added, removed, committed: Instant::now(), answer }
    }
}

/// The shards.
pub(crate) struct Fanout {
    shards: Vec<Arc<Shard>>,
}

/// What waits for one worker.
#[derive(Default)]
struct Shard {
    inbox: Mutex<Inbox>,
    wake: Notify,
    /// Bytes of jobs that are not done.
    queued: AtomicUsize,
}

#[derive(Default)]
struct Inbox {
    jobs: Vec<Job>,
    loaded: Vec<(ConvId, Loaded)>,
}

/// Members with their floors, as the store has them; `None` when it cannot be read.
type Loaded = Option<Vec<(UserId, Seq)>>;

/// What the workers need.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
}

impl Fanout {
    /// Starts the workers. They end with the returned tasks.
    pub(crate) fn start(parts: &Parts, shards: usize) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let shards: Vec<_> = (0..shards.max(1)).map(|_| Arc::new(Shard::default())).collect();
        let work = |shard: &Arc<Shard>| Worker::new(Arc::clone(shard), parts.clone(), shards.len()).run();
        let tasks = shards.iter().map(|shard| tokio::spawn(work(shard))).collect();
        (Self { shards }, tasks)
    }

    /// Takes a job. Called on the store's writer thread in commit order: must be quick.
    pub(crate) fn push(&self, job: Job) {
        let Some(shard) = self.shard(job.conv()) else { return };
        shard.queued.fetch_add(job.bytes(), Ordering::Relaxed);
        shard.inbox.lock().jobs.push(job);
        shard.wake.notify_one();
    }

    /// Whether this conversation's shard is so far behind that nothing should be added.
    pub(crate) fn is_full(&self, conv: ConvId) -> bool {
        self.shard(conv).is_some_and(|shard| shard.queued.load(Ordering::Relaxed) > MAX_QUEUED_BYTES)
    }

    fn shard(&self, conv: ConvId) -> Option<&Arc<Shard>> {
        let count = u64::try_from(self.shards.len()).unwrap_or(1).max(1);
        self.shards.get(usize::try_from(spread(conv) % count).unwrap_or(0))
    }
}

/// Conversation ids may be consecutive: Fibonacci hashing spreads them.
pub(crate) fn spread(conv: ConvId) -> u64 {
    conv.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
