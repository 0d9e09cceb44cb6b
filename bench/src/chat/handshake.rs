//! Sessions opened and closed: from nothing, and with a ticket of the session before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::chat::node::Node;
use crate::chat::session::{Opening, Session};

/// Handshakes under way at once.
const WINDOW: usize = 32;
/// Users that sign in, again and again: so many that nobody comes back while their last session is open.
const USERS: usize = 1024;
/// How long a session stays open, so that its tickets arrive. Others are opened meanwhile.
const TICKETS: Duration = Duration::from_millis(150);

/// Opening sessions: handshake, Hello, Welcome.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Handshakes {
    /// Sessions opened per second, clients on one core.
    pub per_s: f64,
    /// Server CPU time of one, its end included.
    pub cpu_us: f64,
    /// Share of them that were resumed, and whose early data the server took.
    pub early: f64,
}

/// Opens and closes `count` sessions.
pub async fn run(node: &Node, count: usize, resume: bool) -> Result<Handshakes> {
    // Users are made by their first session, and tickets come with it.
    round(node, USERS, resume).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (cpu_before, start) = (node.cpu()?, Instant::now());
    let early = round(node, count, resume).await?;
    let elapsed = start.elapsed().saturating_sub(TICKETS); // the last ones open nothing any more
    tokio::time::sleep(Duration::from_millis(500)).await; // the server's end of it
    let cpu = node.cpu()? - cpu_before;
    ensure!(resume || early == 0, "sessions without tickets were resumed");
    Ok(Handshakes {
        per_s: count as f64 / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        early: early as f64 / count as f64,
    })
}

/// Returns how many were resumed.
async fn round(node: &Node, count: usize, resume: bool) -> Result<usize> {
    let (mut sessions, window) = (JoinSet::new(), Arc::new(Semaphore::new(WINDOW)));
    for number in 0..count {
        let (net, turn) = (node.net.clone(), window.clone().acquire_owned().await?);
        sessions.spawn(async move {
            let (user, opening) = (number % USERS, Opening { resume, events: None });
            let session = Session::open(&net, user, &format!("visitor{user}"), opening).await?;
            drop(turn);
            tokio::time::sleep(TICKETS).await;
            anyhow::Ok(session.early)
        });
    }
    let mut early = 0;
    while let Some(done) = sessions.join_next().await {
        early += usize::from(done.context("a handshake")??);
    }
    Ok(early)
}
