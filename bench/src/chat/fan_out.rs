//! One message to everybody in a large group, and many messages to everybody in a smaller one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use convene_proto::im;
use serde::Serialize;

use crate::chat::engine;
use crate::chat::node::Node;
use crate::chat::session::{Session, client_id};
use crate::chat::stats::Spread;

/// Members that come into a group with one event.
const MEMBERS_PER_EVENT: usize = 400;
/// Messages under way at once while many are sent: enough to keep the server busy, few enough that no queue overflows.
const WINDOW: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// One message to a group whose members are all online.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FanOut {
    /// Online members.
    pub members: usize,
    /// From the send to the last arrival, on the wall clock.
    pub last_ms: Spread,
    /// Server CPU time from the send to the last arrival.
    pub cpu_last_ms: Spread,
    /// Server CPU time until everything about it is done.
    pub cpu_ms: Spread,
    /// The same per member.
    pub cpu_us_per_member: f64,
}

/// Messages to a group whose members are all online, as fast as they arrive.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Deliveries {
    /// Online members.
    pub members: usize,
    /// Events delivered per second.
    pub per_s: f64,
    /// Server CPU time of one, sending and storing included.
    pub cpu_us: f64,
}

/// Everybody's session, all members of one group.
pub struct Group {
    sessions: Vec<Session>,
    conv: u64,
    /// Deliveries that one message leads to.
    per_message: u64,
}

impl Group {
    /// Opens `members` sessions and makes a group of them.
    pub async fn make(node: &Node, members: usize) -> Result<Self> {
        let mut sessions = node.open(0..members, |number| format!("member{number}")).await?;
        sessions.sort_by_key(|session| session.me);
        let (owner, others) = sessions.split_first().context("a group needs somebody")?;
        let ids: Vec<u64> = others.iter().map(|session| session.me).collect();
        let mut chunks = ids.chunks(MEMBERS_PER_EVENT);
        let first = chunks.next().unwrap_or_default().to_vec();
        let conv = owner.create_group(client_id(), "everybody", first).await?;
        for chunk in chunks {
            owner.send(conv, client_id(), adding(chunk)).await?;
            node.settle().await;
        }
        let before = node.settle().await;
        owner.send_text(conv, client_id(), engine::text(0, 300)).await?;
        let per_message = node.settle().await - before;
        // The sender's own device may or may not be among them.
        let all = members as u64;
        ensure!((all - 1..=all).contains(&per_message), "one message led to {per_message} deliveries to {all} members");
        Ok(Self { sessions, conv, per_message })
    }

    /// One message at a time.
    pub async fn fan_out(&self, node: &Node, rounds: usize) -> Result<FanOut> {
        let (mut last, mut cpu_last, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let (before, cpu_before, start) = (node.settle().await, node.cpu()?, Instant::now());
            let arrived = node.net.tally.wait_for(before + self.per_message, PATIENCE);
            let arrived = async { anyhow::Ok((arrived.await?, node.cpu()?)) };
            let (sent, arrived) = tokio::join!(self.send(round as u64), arrived);
            sent?;
            let (at, cpu_at) = arrived?;
            last.push((at - start).as_secs_f64() * 1e3);
            cpu_last.push((cpu_at - cpu_before).as_secs_f64() * 1e3);
            node.settle().await;
            cpu.push((node.cpu()? - cpu_before).as_secs_f64() * 1e3);
        }
        let (members, cpu_ms) = (self.sessions.len(), Spread::of(cpu));
        Ok(FanOut {
            members,
            last_ms: Spread::of(last),
            cpu_last_ms: Spread::of(cpu_last),
            cpu_ms,
            cpu_us_per_member: cpu_ms.median * 1e3 / members as f64,
        })
    }

    /// Many messages: the next is sent when the one [`WINDOW`] before has arrived everywhere.
    pub async fn deliveries(&self, node: &Node, span: Duration) -> Result<Deliveries> {
        let (before, cpu_before, start) = (node.settle().await, node.cpu()?, Instant::now());
        let mut sent = 0;
        while start.elapsed() < span {
            self.send(sent).await?;
            sent += 1;
            let due = sent.saturating_sub(WINDOW) * self.per_message;
            node.net.tally.wait_for(before + due, PATIENCE).await?;
        }
        let total = sent * self.per_message;
        let last = node.net.tally.wait_for(before + total, PATIENCE).await?;
        let cpu = node.cpu()? - cpu_before;
        Ok(Deliveries {
            members: self.sessions.len(),
            per_s: total as f64 / (last - start).as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / total as f64,
        })
    }

    async fn send(&self, number: u64) -> Result<()> {
        let sender = self.sessions.first().context("a group without sessions")?;
        sender.send_text(self.conv, client_id(), engine::text(number, 300)).await?;
        Ok(())
    }
}

fn adding(users: &[u64]) -> im::Body {
    let member = |user: &u64| im::Member { user: *user, role: im::Role::Member.into(), ..im::Member::default() };
    let change = im::MemberChange { add: users.iter().map(member).collect(), ..im::MemberChange::default() };
    im::Body { kind: Some(im::body::Kind::Members(change)), ..im::Body::default() }
}
