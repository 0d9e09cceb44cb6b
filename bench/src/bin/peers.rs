//! The same load on Convene and on Prosody with its message archive, side by side in alternating rounds: one sender, one
//! receiver, from the send to the arrival. `make bench-peers` installs Prosody and runs this.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use convene_bench::chat::closed_loop::Round;
use convene_bench::chat::engine::{BODY_BYTES, text};
use convene_bench::chat::node::{Cores, Node, Place};
use convene_bench::chat::prosody::{HOST, PASSWORD, Prosody, USERS};
use convene_bench::chat::report::show;
use convene_bench::chat::session::{Opening, Session, client_id};
use convene_bench::chat::stats::Spread;
use convene_bench::chat::{disk, pair, xmpp};
use convene_bench::cpu;
use convene_proto::im;
use serde::Serialize;
use tokio::sync::mpsc;

/// Cores: the servers have the first, the load generator the second.
const CORES: Cores = Cores { server: 0, clients: 1 };
/// Messages under way.
const WINDOWS: [usize; 2] = [1, 64];

/// Convene beside Prosody.
#[derive(Parser)]
struct Args {
    /// Alternations.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each part of a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where both servers keep their data: on a disk, not in memory.
    #[arg(long, default_value = "target/bench-chat")]
    dir: PathBuf,
    /// First port of our server (it takes N, N+1, N+2, N+3, N+10).
    #[arg(long, default_value_t = 28_080)]
    port_base: u16,
    /// Prosody's port.
    #[arg(long, default_value_t = 28_122)]
    prosody_port: u16,
    /// The server binary.
    #[arg(long, default_value = "target/release/convene")]
    binary: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

/// One server under one load. Keys are stable; see bench/README.md.
#[derive(Serialize)]
struct Row {
    server: &'static str,
    window: usize,
    delivered_per_s: Spread,
    p50_ms: Spread,
    p99_ms: Spread,
    cpu_us: Spread,
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
    /// Messages that Prosody was sent, and rows in its archive.
    prosody_sent: u64,
    prosody_archived: u64,
}

/// A round and the server's CPU time in it.
type Measured = (Round, Duration);

fn main() -> Result<()> {
    let args = Args::parse();
    cpu::pin(CORES.clients);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let report = runtime.block_on(measure(&args))?;
    print(&report, args.json)
}

async fn measure(args: &Args) -> Result<Report> {
    let scratch = disk::scratch(&args.dir)?;
    let place = Place { binary: args.binary.clone(), port_base: args.port_base, cores: Some(CORES) };
    let mut ours = Ours::start(&place, &scratch.path().join("convene")).await?;
    let mut theirs = Theirs::start(&scratch.path().join("prosody"), args.prosody_port).await?;
    let span = Duration::from_secs_f64(args.seconds);
    let mut measured = WINDOWS.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..args.rounds {
        for (window, (convene, prosody)) in WINDOWS.into_iter().zip(&mut measured) {
            prosody.push(theirs.round(window, span).await?);
            convene.push(ours.round(window, span).await?);
        }
    }
    let mut rows = Vec::new();
    for (window, (convene, prosody)) in WINDOWS.into_iter().zip(&measured) {
        rows.extend([row("convene", window, convene), row("prosody", window, prosody)]);
    }
    Ok(Report { rows, prosody_sent: theirs.sent, prosody_archived: theirs.server.archived()? })
}

/// Two users of a direct group on our server.
struct Ours {
    node: Node,
    sender: Arc<Session>,
    _receiver: Session,
    conv: u64,
    arrivals: mpsc::UnboundedReceiver<u64>,
    sent: u64,
}

impl Ours {
    async fn start(place: &Place, directory: &std::path::Path) -> Result<Self> {
        let node = Node::start(place, directory)?;
        let (events, mut arriving) = mpsc::unbounded_channel();
        let receiver = Session::open(&node.net, 0, USERS[1], Opening { events: Some(events), ..Opening::default() });
        let receiver = receiver.await?;
        let sender = Arc::new(Session::open(&node.net, 1, USERS[0], Opening::default()).await?);
        let conv = sender.create_direct(client_id(), receiver.me).await?;
        let (numbers, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = arriving.recv().await {
                number(&event).map(|number| numbers.send(number));
            }
        });
        Ok(Self { node, sender, _receiver: receiver, conv, arrivals, sent: 0 })
    }

    async fn round(&mut self, window: usize, span: Duration) -> Result<Measured> {
        let (before, conv, sender) = (self.node.cpu()?, self.conv, self.sender.clone());
        let send = async |number| {
            let (sender, text) = (sender.clone(), text(number, BODY_BYTES));
            // A send that is refused does not arrive, which ends the run.
            tokio::spawn(async move { sender.send_text(conv, client_id(), text).await });
            Ok(())
        };
        let round = pair::run(window, span, self.sent, send, &mut self.arrivals).await?;
        self.sent += round.done;
        Ok((round, self.node.cpu()? - before))
    }
}

/// Two users of Prosody.
struct Theirs {
    server: Prosody,
    sender: xmpp::Sender,
    _receiver: xmpp::Sender,
    arrivals: mpsc::UnboundedReceiver<u64>,
    sent: u64,
}

impl Theirs {
    async fn start(directory: &std::path::Path, port: u16) -> Result<Self> {
        let server = Prosody::start(directory, port, CORES.server)?;
        let (numbers, arrivals) = mpsc::unbounded_channel();
        let (nowhere, _) = mpsc::unbounded_channel();
        let sender = xmpp::sign_in(server.address, HOST, USERS[0], PASSWORD, nowhere).await?;
        let receiver = xmpp::sign_in(server.address, HOST, USERS[1], PASSWORD, numbers).await?;
        Ok(Self { server, sender, _receiver: receiver, arrivals, sent: 0 })
    }

    async fn round(&mut self, window: usize, span: Duration) -> Result<Measured> {
        let before = self.server.cpu()?;
        let (sender, to) = (&mut self.sender, format!("{}@{HOST}", USERS[1]));
        let send = async |number| sender.send(&to, number, &text(number, BODY_BYTES)).await;
        let round = pair::run(window, span, self.sent, send, &mut self.arrivals).await?;
        self.sent += round.done;
        Ok((round, self.server.cpu()? - before))
    }
}

/// The number at the beginning of a text.
fn number(event: &im::Event) -> Option<u64> {
    let Some(im::body::Kind::Text(text)) = event.body.as_ref()?.kind.as_ref() else { return None };
    text.text.split_whitespace().next()?.parse().ok()
}

fn row(server: &'static str, window: usize, rounds: &[Measured]) -> Row {
    let quantile = |share| Spread::of(rounds.iter().map(|(round, _)| round.latency.quantile_ms(share)));
    Row {
        server,
        window,
        delivered_per_s: Spread::of(rounds.iter().map(|(round, _)| round.per_s)),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        cpu_us: Spread::of(rounds.iter().map(|(round, cpu)| cpu.as_secs_f64() * 1e6 / round.done.max(1) as f64)),
    }
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    writeln!(out, "one sender, one receiver, {BODY_BYTES} B, until it arrives; of the rounds: min / median / max")?;
    for row in &report.rows {
        writeln!(
            out,
            "{:<8} {:>3} under way: {}/s, p50 {} ms, p99 {} ms, server CPU {} us",
            row.server,
            row.window,
            show(row.delivered_per_s, 0),
            show(row.p50_ms, 2),
            show(row.p99_ms, 2),
            show(row.cpu_us, 0)
        )?;
    }
    let (sent, archived) = (report.prosody_sent, report.prosody_archived);
    writeln!(out, "prosody archived {archived} rows of {sent} messages (one of either side)")?;
    Ok(())
}
