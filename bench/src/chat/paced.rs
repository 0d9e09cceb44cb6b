//! So many tasks that each do a thing at fixed times, whether the machine keeps up or not: how long things take under a load
//! that is not the most there can be.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use parking_lot::Mutex;

use crate::chat::closed_loop::{self, Round};
use crate::chat::stats::Latency;

/// Runs `tasks` of `work(task, turn)` for `span`, all together `per_s` a second. What begins late because the one before it
/// took too long is timed from when it should have begun. The first failure ends the run.
pub async fn run<W, F>(tasks: usize, per_s: u32, span: Duration, work: W) -> Result<Round>
where
    W: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let latency = Arc::new(Mutex::new(Latency::default()));
    let apart = Duration::from_secs(1) / per_s.max(1);
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (work, latency) = (work.clone(), latency.clone());
            tokio::spawn(async move {
                let mut due = start + apart * task as u32;
                let mut turn = 0;
                while due < start + span {
                    let late = Instant::now() > due;
                    tokio::time::sleep_until(due.into()).await;
                    // The timer's own millisecond is none of the server's.
                    let began = if late { due } else { Instant::now() };
                    work(task, turn).await?;
                    latency.lock().record(began.elapsed());
                    due += apart * tasks as u32;
                    turn += 1;
                }
                anyhow::Ok(turn)
            })
        })
        .collect();
    closed_loop::collect(start, running, &latency).await
}
