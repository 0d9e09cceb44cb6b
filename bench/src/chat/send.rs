//! Durable sends over QUIC: each sender has one session, and several of its sends may be under way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::chat::closed_loop::{self, Round};
use crate::chat::engine::{self, Layout};
use crate::chat::net::Net;
use crate::chat::paced;
use crate::chat::session::{Opening, Session, client_id};

/// One session for each sender of the layout.
pub async fn sessions(net: &Net) -> Result<Arc<Vec<Session>>> {
    let mut sessions = Vec::new();
    for number in 0..engine::SENDERS {
        sessions.push(Session::open(net, number, &engine::sender(number), Opening::default()).await?);
    }
    Ok(Arc::new(sessions))
}

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// So many sends are under way at any time.
    UnderWay(usize),
    /// So many are begun a second, by all senders together.
    PerSecond(u32),
}

/// One round of this load, over the conversations of the layout in turn.
pub async fn round(
    sessions: &Arc<Vec<Session>>,
    layout: &Arc<Layout>,
    load: Load,
    body: usize,
    span: Duration,
) -> Result<Round> {
    let (sessions, layout) = (sessions.clone(), layout.clone());
    let work = move |task, turn| one(sessions.clone(), layout.clone(), task, turn, body);
    match load {
        Load::UnderWay(tasks) => closed_loop::run(tasks, span, work).await,
        Load::PerSecond(per_s) => paced::run(engine::SENDERS, per_s, span, work).await,
    }
}

async fn one(sessions: Arc<Vec<Session>>, layout: Arc<Layout>, task: usize, turn: u64, body: usize) -> Result<()> {
    let (sender, conv) = layout.pick(task, turn);
    let session = sessions.get(sender).context("no session for a sender")?;
    session.send_text(conv, client_id(), engine::text(turn, body)).await?;
    Ok(())
}
