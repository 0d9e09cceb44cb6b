//! One sender, one receiver: so many messages under way, each followed from the send to its arrival.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::mpsc;

use crate::chat::closed_loop::Round;
use crate::chat::stats::Latency;

/// Longer than any message takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps `window` messages under way for `span`. `send(n)` sends one that names its number, `arrivals` are the numbers as
/// they come. Numbers begin at `first`.
pub async fn run(
    window: usize,
    span: Duration,
    first: u64,
    mut send: impl AsyncFnMut(u64) -> Result<()>,
    arrivals: &mut mpsc::UnboundedReceiver<u64>,
) -> Result<Round> {
    let (mut under_way, mut latency, mut next) = (HashMap::new(), Latency::default(), first);
    let start = Instant::now();
    loop {
        while start.elapsed() < span && under_way.len() < window {
            under_way.insert(next, Instant::now());
            send(next).await?;
            next += 1;
        }
        if under_way.is_empty() {
            break;
        }
        let arrived = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
        let number = arrived.ok().context("a message did not arrive")?.context("the receiver's connection ended")?;
        let sent = under_way.remove(&number);
        ensure!(sent.is_some() || number < first, "message {number} arrived twice, or was never sent");
        if let Some(sent) = sent {
            latency.record(sent.elapsed());
        }
    }
    let done = next - first;
    Ok(Round { per_s: done as f64 / start.elapsed().as_secs_f64(), done, latency })
}
