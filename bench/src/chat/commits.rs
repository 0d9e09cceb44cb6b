//! The same schema on SQLite as it comes: one thread commits what waits as one transaction, and answers. SQLite syncs each
//! commit before the next one begins, and moves the WAL into the database by itself. What is gained over this is the store's
//! own: syncs and checkpoints beside the writer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use convene_store::{Engine, Op};
use tokio::sync::{mpsc, oneshot};

use crate::chat::closed_loop::{self, Round};
use crate::chat::engine::{self, Layout};
use crate::cpu;

/// Operations of one transaction, as in the store.
const MAX_BATCH: usize = 512;

type Waiting = (Op, oneshot::Sender<()>);

/// One round on the database at `path`, which nobody else has open, and the CPU time of the thread that commits.
pub async fn round(
    path: &Path,
    layout: &Arc<Layout>,
    tasks: usize,
    body: usize,
    span: Duration,
) -> Result<(Round, Duration)> {
    let (queue, queued) = mpsc::channel(tasks);
    let mut database = engine::open(path)?;
    let committer = std::thread::spawn(move || commit(&mut database, queued));
    let layout = Arc::clone(layout);
    let round = closed_loop::run(tasks, span, move |task, turn| {
        let (queue, layout) = (queue.clone(), Arc::clone(&layout));
        async move {
            let (done, durable) = oneshot::channel();
            queue.send((layout.append(task, turn, body)?, done)).await.context("the committer is gone")?;
            durable.await.context("the committer failed")
        }
    })
    .await;
    let cpu = committer.join().ok().context("the committer panicked")??;
    Ok((round?, cpu))
}

fn commit(database: &mut Engine, mut queued: mpsc::Receiver<Waiting>) -> Result<Duration> {
    let mut batch = Vec::new();
    while queued.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let (ops, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        engine::apply(database, ops)?;
        // A task that no longer waits has failed elsewhere.
        for done in waiting {
            let _ = done.send(());
        }
    }
    cpu::of_this_thread()
}
