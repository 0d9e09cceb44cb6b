//! So many tasks, each of which does the next thing when the one before is done. The same driver loads the plain log, the
//! store and the server, so that their figures can be divided by each other.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::chat::stats::Latency;

/// What one round did.
#[derive(Clone, Debug)]
pub struct Round {
    /// Things done by the end of the span, per second.
    pub per_s: f64,
    /// How many.
    pub done: u64,
    /// How long each took.
    pub latency: Latency,
}

/// Runs `tasks` of `work(task, turn)` for `span`. The first failure ends the run.
pub async fn run<W, F>(tasks: usize, span: Duration, work: W) -> Result<Round>
where
    W: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let latency = Arc::new(Mutex::new(Latency::default()));
    let start = Instant::now();
    let until = start + span;
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (work, latency) = (work.clone(), latency.clone());
            tokio::spawn(async move {
                let mut turn = 0;
                while Instant::now() < until {
                    let began = Instant::now();
                    work(task, turn).await?;
                    latency.lock().record(began.elapsed());
                    turn += 1;
                }
                anyhow::Ok(turn)
            })
        })
        .collect();
    collect(start, running, &latency).await
}

/// Waits for the tasks that began at `start`; each answers how many things it did.
pub(super) async fn collect(
    start: Instant,
    running: Vec<JoinHandle<Result<u64>>>,
    latency: &Mutex<Latency>,
) -> Result<Round> {
    let mut done = 0;
    for task in running {
        done += task.await.context("a task of the load panicked")??;
    }
    let latency = latency.lock().clone();
    Ok(Round { per_s: done as f64 / start.elapsed().as_secs_f64(), done, latency })
}
