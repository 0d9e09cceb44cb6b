//! Threads that answer questions, each with a connection of its own, from one bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::Options;
use super::stats::Stats;
use crate::engine::Place;
use crate::error::StoreError;
use crate::reader::Reader;

pub(super) type Question = Box<dyn FnOnce(&mut Reader) + Send>;

#[derive(Debug)]
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Question>,
    stopped: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("max", &self.max).finish_non_exhaustive()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Question> {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.questions.pop_front() {
                return Some(question);
            }
            if state.stopped {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Readers {
    pub(super) fn start(place: &Place, options: &Options, stats: &Arc<Stats>) -> Result<Self, StoreError> {
        let queue = Queue { state: Mutex::default(), filled: Condvar::new(), max: options.max_queued_reads };
        let queue = Arc::new(queue);
        let mut threads = Vec::new();
        for number in 0..options.readers.max(1) {
            let reader = Reader::open(place)?;
            let (queue, stats, place) = (Arc::clone(&queue), Arc::clone(stats), place.clone());
            let thread = thread::Builder::new().name(format!("store-reader-{number}"));
            let thread = thread.spawn(move || run(reader, &place, &queue, &stats));
            threads.push(thread.map_err(|source| StoreError::Files { doing: "starting a reader", source })?);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// False: the queue is full, or stopped.
    pub(super) fn push(&self, question: Question) -> bool {
        let mut state = self.queue.lock();
        if state.stopped || state.questions.len() >= self.queue.max {
            return false;
        }
        state.questions.push_back(question);
        self.queue.filled.notify_one();
        true
    }

    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.queue.filled.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.lock().stopped = true;
        self.queue.filled.notify_all();
    }
}

fn run(mut reader: Reader, place: &Place, queue: &Queue, stats: &Stats) {
    while let Some(question) = queue.pop() {
        Stats::add(&stats.reads, 1);
        if catch_unwind(AssertUnwindSafe(|| question(&mut reader))).is_ok() {
            continue;
        }
        // Its transaction may be open still: a fresh connection takes over.
        Stats::add(&stats.panics, 1);
        match Reader::open(place) {
            Ok(fresh) => reader = fresh,
            Err(error) => tracing::error!(%error, "a reader could not be replaced"),
        }
    }
}
