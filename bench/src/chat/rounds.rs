//! Durability, in alternating rounds: the disk, a plain log, the store, the server; and again. Figures of one round are
//! divided by each other, so a neighbour that slows the machine for a while slows both sides of a ratio. Nobody is bound to
//! a core: the store's one writer and the transport in front of it run beside each other, as they do in service.

use std::path::Path;
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
use crate::chat::{disk, plain_log, send};
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
    node: Node,
    sessions: Arc<Vec<Session>>,
    store: Store,
    layout: Arc<Layout>,
}

/// One part of a round, with the CPU time that it took.
type Measured = (Round, Duration);

/// Runs all rounds on two copies of the store at `source`: one for the server, one for the store without a transport.
pub async fn run(place: &Place, scratch: &Path, source: &Path, stored: u64, extent: Extent) -> Result<Durability> {
    let (served, bare) = (scratch.join("served"), scratch.join("bare"));
    for directory in [&served, &bare] {
        std::fs::create_dir_all(directory)?;
        std::fs::copy(source, directory.join(DATABASE)).context("copying the store")?;
    }
    let node = Node::start(place, &served)?;
    let sessions = send::sessions(&node.net).await?;
    let layout = Arc::new(engine::prepare(&bare.join(DATABASE), 0)?);
    let store = engine::start(&bare.join(DATABASE))?;
    let bench = Bench { scratch, node, sessions, store, layout };
    let mut probes = Vec::new();
    let (mut plain, mut paced) = (Vec::new(), Vec::new());
    let (mut engine, mut send) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..extent.rounds {
        probes.push(bench.probe(extent.span / 2)?);
        plain.push(bench.plain_log(extent.span).await?);
        paced.push(bench.send(Load::PerSecond(PACED_PER_S), extent.span).await?);
        for ((tasks, engine), send) in TASKS.into_iter().zip(&mut engine).zip(&mut send) {
            engine.push(bench.engine(tasks, extent.span).await?);
            send.push(bench.send(Load::UnderWay(tasks), extent.span).await?);
        }
    }
    Ok(report(stored, &probes, &plain, &engine, &send, &paced))
}

impl Bench<'_> {
    fn probe(&self, span: Duration) -> Result<Latency> {
        disk::probe(self.scratch, span)
    }

    async fn plain_log(&self, span: Duration) -> Result<Measured> {
        plain_log::round(self.scratch, engine::SENDERS, BODY_BYTES, span).await
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

fn report(
    stored: u64,
    probes: &[Latency],
    plain: &[Measured],
    engine: &[Vec<Measured>; 2],
    send: &[Vec<Measured>; 2],
    paced: &[Measured],
) -> Durability {
    let ([engine_64, engine_512], [send_64, send_512]) = (engine, send);
    let p99 = |latency: &Latency| latency.quantile_ms(0.99);
    let over_probe = |rounds: &[Measured]| {
        Spread::of(rounds.iter().zip(probes).map(|((round, _), probe)| p99(&round.latency) / p99(probe)))
    };
    Durability {
        stored,
        fdatasync_p50_ms: Spread::of(probes.iter().map(|probe| probe.quantile_ms(0.5))),
        fdatasync_p99_ms: Spread::of(probes.iter().map(p99)),
        plain_log: figures(plain),
        engine_64: figures(engine_64),
        engine_512: figures(engine_512),
        send_64: figures(send_64),
        send_512: figures(send_512),
        send_paced: figures(paced),
        send_ratio_64: ratio(send_64, engine_64),
        send_ratio_512: ratio(send_512, engine_512),
        send_p99_per_fdatasync_p99: over_probe(send_64),
        paced_p99_per_fdatasync_p99: over_probe(paced),
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
