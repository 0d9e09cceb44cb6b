//! The limit: messages appended to a plain file in batches, each batch durable before it is acknowledged. No index, no
//! sequence, no retry: what a store costs is its distance from this.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, oneshot};

use crate::chat::closed_loop::{self, Round};
use crate::cpu;

/// Most messages of one batch.
const MAX_BATCH: usize = 4096;
/// Conversation, seq, sender, client id and time, as a log would have them in front of a body.
const HEADER_BYTES: usize = 48;

/// Where the tasks wait.
type Waiting = oneshot::Sender<()>;

/// One round with a writer thread, and the CPU time of that thread.
pub async fn round(directory: &Path, tasks: usize, body: usize, span: Duration) -> Result<(Round, Duration)> {
    let path = directory.join("plain.log");
    let file = File::create(&path).context("making the plain log")?;
    let (queue, queued) = mpsc::channel(MAX_BATCH);
    let writer = std::thread::spawn(move || write(file, queued, &vec![0x5a; HEADER_BYTES + body]));
    let round = closed_loop::run(tasks, span, move |_, _| {
        let queue = queue.clone();
        async move {
            let (done, durable) = oneshot::channel();
            queue.send(done).await.context("the plain log's writer is gone")?;
            durable.await.context("the plain log's writer failed")
        }
    })
    .await;
    let cpu = writer.join().ok().context("the plain log's writer panicked")??;
    std::fs::remove_file(path).context("removing the plain log")?;
    Ok((round?, cpu))
}

fn write(mut file: File, mut queued: mpsc::Receiver<Waiting>, record: &[u8]) -> Result<Duration> {
    let (mut batch, mut bytes) = (Vec::new(), Vec::new());
    while queued.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        bytes.clear();
        batch.iter().for_each(|_| bytes.extend_from_slice(record));
        file.write_all(&bytes).context("appending to the plain log")?;
        file.sync_data().context("fdatasync of the plain log")?;
        // A task that no longer waits has failed elsewhere.
        for done in batch.drain(..) {
            let _ = done.send(());
        }
    }
    cpu::of_this_thread()
}
