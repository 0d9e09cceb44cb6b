//! Catching up after an absence: one Sync by somebody with thousands of conversations, some of which have changed.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use convene_proto::im;
use convene_proto::im::frame::Body;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::chat::engine;
use crate::chat::node::Node;
use crate::chat::session::{Opening, Session, client_id};
use crate::chat::stats::Spread;

/// Messages under way at once while conversations change.
const WINDOW: usize = 64;

/// One Sync on an open session, repeated: the cursors are the client's, so it can ask again.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CatchUp {
    /// Conversations that changed.
    pub changed: usize,
    /// Conversations of this user.
    pub conversations: usize,
    /// From the request to the last frame of the reply, on the wall clock.
    pub wall_ms: Spread,
    /// Server CPU time.
    pub cpu_ms: Spread,
    /// Events in the reply; the other conversations come as stubs.
    pub events: usize,
    /// Frames of the reply.
    pub frames: usize,
}

/// Makes a user with `changes.last()` groups; then lets them change, up to each of `changes` (ascending).
pub async fn run(node: &Node, changes: &[usize], rounds: usize) -> Result<Vec<CatchUp>> {
    let reader = Session::open(&node.net, 0, "reader", Opening::default()).await?;
    let writer = Arc::new(Session::open(&node.net, 1, "writer", Opening::default()).await?);
    let conversations = changes.last().copied().unwrap_or_default();
    let mut groups = Vec::new();
    for number in 0..conversations {
        groups.push(writer.create_group(client_id(), &format!("group {number}"), vec![reader.me]).await?);
    }
    let first = sync(&reader, im::Sync::default()).await?;
    ensure!(first.deltas.len() >= conversations, "{} of {conversations} conversations came", first.deltas.len());
    let cursors = first.deltas.iter().map(|delta| im::Cursor { conv: delta.conv, seq: delta.head }).collect();
    let request = im::Sync { useq: first.useq, bump: first.bump, cursors, ..im::Sync::default() };

    let (mut report, mut done) = (Vec::new(), 0);
    for &changed in changes {
        change(&writer, groups.get(done..changed).context("changes do not ascend")?).await?;
        done = changed;
        node.settle().await;
        report.push(measure(node, &reader, &request, (changed, conversations), rounds).await?);
    }
    Ok(report)
}

async fn measure(
    node: &Node,
    reader: &Session,
    request: &im::Sync,
    (changed, conversations): (usize, usize),
    rounds: usize,
) -> Result<CatchUp> {
    let (mut wall, mut cpu, mut events, mut frames) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..rounds {
        let (cpu_before, start) = (node.cpu()?, Instant::now());
        let reply = sync(reader, request.clone()).await?;
        wall.push(start.elapsed().as_secs_f64() * 1e3);
        node.settle().await;
        cpu.push((node.cpu()? - cpu_before).as_secs_f64() * 1e3);
        ensure!(reply.deltas.len() == changed, "{} conversations came, {changed} changed", reply.deltas.len());
        events = reply.deltas.iter().map(|delta| delta.events.len()).sum();
        frames = reply.frames;
    }
    Ok(CatchUp { changed, conversations, wall_ms: Spread::of(wall), cpu_ms: Spread::of(cpu), events, frames })
}

/// One message into each.
async fn change(writer: &Arc<Session>, groups: &[u64]) -> Result<()> {
    let mut sending = JoinSet::new();
    for &conv in groups {
        let writer = writer.clone();
        sending.spawn(async move { writer.send_text(conv, client_id(), engine::text(conv, 300)).await });
        if sending.len() >= WINDOW {
            sending.join_next().await.context("nothing under way")?.context("a send panicked")??;
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent.context("a send panicked")??;
    }
    Ok(())
}

struct Reply {
    deltas: Vec<im::ConversationDelta>,
    useq: u64,
    bump: u64,
    frames: usize,
}

async fn sync(session: &Session, request: im::Sync) -> Result<Reply> {
    let mut reply = Reply { deltas: Vec::new(), useq: request.useq, bump: request.bump, frames: 0 };
    for body in session.ask_all(Body::Sync(request)).await? {
        let Body::SyncReply(part) = body else { bail!("no SyncReply but {body:?}") };
        reply.deltas.extend(part.conversations);
        reply.useq = reply.useq.max(part.useq_to);
        reply.bump = reply.bump.max(part.bump);
        reply.frames += 1;
    }
    Ok(reply)
}
