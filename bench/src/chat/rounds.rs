//! Durability, in alternating rounds: the disk, a plain log, SQLite as it comes, the store, the server; and again. Figures of
//! one round are divided by each other, so a neighbour that slows the machine for a while slows both sides of a ratio. Nobody
//! is bound to a core: the store's one writer and the transport in front of it run beside each other, as they do in service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use convene_store::Store;
use serde::Serialize;

use crate::chat::closed_loop::Round;
use crate::chat::engine::{self, BODY_BYTES, Layout};
use crate::chat::node::{DATABASE, Node, Place};
use crate::chat::send::Load;
use crate::chat::session::Session;
use crate::chat::stats::{Latency, Spread};
use crate::chat::{commits, disk, plain_log, send};
use crate::cpu;

/// Sends under way: one of each sender, and eight.
const TASKS: [usize; 2] = [engine::SENDERS, engine::SENDERS * 8];

/// Sends a second of the paced load: what an organisation of some ten thousand says in its busiest minutes.
const PACED_PER_S: u32 = 1_000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Alternations.
    pub rounds: usize,
    /// Of each part of a round.
    pub span: Duration,
}

/// What durability costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Durability {
    /// Messages in the store before.
    pub stored: u64,
    /// Middle of a 4 KiB append and fdatasync.
    pub fdatasync_p50_ms: Spread,
    /// The slow ones of them.
    pub fdatasync_p99_ms: Spread,
    /// A plain log with 64 under way.
    pub plain_log: Figures,
    /// The same schema on SQLite as it comes, with 64 under way.
    pub sqlite_64: Figures,
    /// The same with 512 under way.
    pub sqlite_512: Figures,
    /// The store with 64 under way.
    pub engine_64: Figures,
    /// The store with 512 under way.
    pub engine_512: Figures,
    /// Sends over QUIC with 64 under way.
    pub send_64: Figures,
    /// Sends over QUIC with 512 under way.
    pub send_512: Figures,
    /// Sends over QUIC, a thousand a second of 64 senders.
    pub send_paced: Figures,
    /// `send_64` / `sqlite_64`, per second.
    pub send_per_sqlite_64: Spread,
    /// `send_512` / `sqlite_512`, per second.
    pub send_per_sqlite_512: Spread,
    /// `send_64` / `engine_64`, per second.
    pub send_ratio_64: Spread,
    /// `send_512` / `engine_512`, per second.
    pub send_ratio_512: Spread,
    /// 99th percentile of `send_64` / that of fdatasync.
    pub send_p99_per_fdatasync_p99: Spread,
    /// The same of `send_paced`.
    pub paced_p99_per_fdatasync_p99: Spread,
}

/// One kind of load over the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Durable messages per second.
    pub per_s: Spread,
    /// Middle of the time until one is durable.
    pub p50_ms: Spread,
    /// Of 99 in 100.
    pub p99_ms: Spread,
    /// Of 999 in 1,000.
    pub p999_ms: Spread,
    /// CPU time of one: of the log's or store's threads, of the server.
    pub cpu_us: Spread,
}

/// What is loaded.
struct Bench<'a> {
    scratch: &'a Path,
    /// The database of SQLite as it comes.
    plain: PathBuf,
    node: Node,
    sessions: Arc<Vec<Session>>,
    store: Store,
    layout: Arc<Layout>,
}

/// One part of a round, with the CPU time that it took.
type Measured = (Round, Duration);

/// What was measured, round after round.
#[derive(Default)]
struct Rounds {
    probes: Vec<Latency>,
    plain_log: Vec<Measured>,
    paced: Vec<Measured>,
    /// For each of [`TASKS`].
    closed: [Closed; 2],
}

/// So many under way.
#[derive(Default)]
struct Closed {
    sqlite: Vec<Measured>,
    engine: Vec<Measured>,
    send: Vec<Measured>,
}

/// Runs all rounds on copies of the store at `source`: for the server, for the store without a transport, and for SQLite as
/// it comes.
pub async fn run(place: &Place, scratch: &Path, source: &Path, stored: u64, extent: Extent) -> Result<Durability> {
    let (served, bare, plain) = (scratch.join("served"), scratch.join("bare"), scratch.join("plain"));
    for directory in [&served, &bare, &plain] {
        std::fs::create_dir_all(directory)?;
        std::fs::copy(source, directory.join(DATABASE)).context("copying the store")?;
    }
    let node = Node::start(place, &served)?;
    let sessions = send::sessions(&node.net).await?;
    let layout = Arc::new(engine::prepare(&bare.join(DATABASE), 0)?);
    let store = engine::start(&bare.join(DATABASE))?;
    let bench = Bench { scratch, plain: plain.join(DATABASE), node, sessions, store, layout };
    let mut all = Rounds::default();
    for _ in 0..extent.rounds {
        all.probes.push(bench.probe(extent.span / 2)?);
        all.plain_log.push(bench.plain_log(extent.span).await?);
        all.paced.push(bench.send(Load::PerSecond(PACED_PER_S), extent.span).await?);
        for (tasks, closed) in TASKS.into_iter().zip(&mut all.closed) {
            closed.sqlite.push(bench.sqlite(tasks, extent.span).await?);
            closed.engine.push(bench.engine(tasks, extent.span).await?);
            closed.send.push(bench.send(Load::UnderWay(tasks), extent.span).await?);
        }
    }
    Ok(report(stored, &all))
}

impl Bench<'_> {
    fn probe(&self, span: Duration) -> Result<Latency> {
        disk::probe(self.scratch, span)
    }

    async fn plain_log(&self, span: Duration) -> Result<Measured> {
        plain_log::round(self.scratch, engine::SENDERS, BODY_BYTES, span).await
    }

    async fn sqlite(&self, tasks: usize, span: Duration) -> Result<Measured> {
        commits::round(&self.plain, &self.layout, tasks, BODY_BYTES, span).await
    }

    async fn engine(&self, tasks: usize, span: Duration) -> Result<Measured> {
        // Every thread of this process but the one that makes the load belongs to the store.
        let others = || anyhow::Ok(cpu::of_process(std::process::id())?.saturating_sub(cpu::of_this_thread()?));
        let before = others()?;
        let round = engine::round(&self.store, &self.layout, tasks, BODY_BYTES, span).await?;
        Ok((round, others()?.saturating_sub(before)))
    }

    async fn send(&self, load: Load, span: Duration) -> Result<Measured> {
        let before = self.node.cpu()?;
        let round = send::round(&self.sessions, &self.layout, load, BODY_BYTES, span).await?;
        Ok((round, self.node.cpu()? - before))
    }
}

fn report(stored: u64, all: &Rounds) -> Durability {
    let [with_64, with_512] = &all.closed;
    let p99 = |latency: &Latency| latency.quantile_ms(0.99);
    let over_probe = |rounds: &[Measured]| {
        Spread::of(rounds.iter().zip(&all.probes).map(|((round, _), probe)| p99(&round.latency) / p99(probe)))
    };
    Durability {
        stored,
        fdatasync_p50_ms: Spread::of(all.probes.iter().map(|probe| probe.quantile_ms(0.5))),
        fdatasync_p99_ms: Spread::of(all.probes.iter().map(p99)),
        plain_log: figures(&all.plain_log),
        sqlite_64: figures(&with_64.sqlite),
        sqlite_512: figures(&with_512.sqlite),
        engine_64: figures(&with_64.engine),
        engine_512: figures(&with_512.engine),
        send_64: figures(&with_64.send),
        send_512: figures(&with_512.send),
        send_paced: figures(&all.paced),
        send_per_sqlite_64: ratio(&with_64.send, &with_64.sqlite),
        send_per_sqlite_512: ratio(&with_512.send, &with_512.sqlite),
        send_ratio_64: ratio(&with_64.send, &with_64.engine),
        send_ratio_512: ratio(&with_512.send, &with_512.engine),
        send_p99_per_fdatasync_p99: over_probe(&with_64.send),
        paced_p99_per_fdatasync_p99: over_probe(&all.paced),
    }
}

fn figures(rounds: &[Measured]) -> Figures {
    let quantile = |share| Spread::of(rounds.iter().map(|(round, _)| round.latency.quantile_ms(share)));
    Figures {
        per_s: Spread::of(rounds.iter().map(|(round, _)| round.per_s)),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        p999_ms: quantile(0.999),
        cpu_us: Spread::of(rounds.iter().map(|(round, cpu)| cpu.as_secs_f64() * 1e6 / round.done.max(1) as f64)),
    }
}

fn ratio(over: &[Measured], under: &[Measured]) -> Spread {
    Spread::of(over.iter().zip(under).map(|((over, _), (under, _))| over.per_s / under.per_s))
}
