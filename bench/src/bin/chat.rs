//! Chat over QUIC: what is durable, delivered, held and caught up per second and per core, beside what the disk, a plain
//! log and the store without a transport do in the same run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use convene_bench::chat::fan_out::Group;
use convene_bench::chat::node::{Cores, Node, Place};
use convene_bench::chat::report::{self, Report};
use convene_bench::chat::rounds::{self, Extent};
use convene_bench::chat::{catch_up, disk, engine, handshake, idle};

/// That of the server: the store without a transport is to differ from it by the transport alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where CPU time and wall-clock time of the server are measured, it has the first core and the load generator the second.
const CORES: Cores = Cores { server: 0, clients: 1 };

/// Durable sends, fan-out, idle sessions, handshakes and catching up.
#[derive(Parser)]
struct Args {
    /// Fewer and shorter rounds, smaller crowds, no large store: under half a minute.
    #[arg(long)]
    short: bool,
    /// Measures only these; may be given more than once.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Alternations of the durability rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each part of a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Messages that the large store holds before.
    #[arg(long, default_value_t = 1_000_000)]
    filled: u64,
    /// Online members of the groups that one message goes to, instead of 1,000 and 5,000.
    #[arg(long)]
    crowd: Vec<usize>,
    /// Where stores are made: on a disk, not in memory.
    #[arg(long, default_value = "target/bench-chat")]
    dir: PathBuf,
    /// First port of the server (it takes N, N+1, N+2, N+3, N+10).
    #[arg(long, default_value_t = 27_980)]
    port_base: u16,
    /// The server binary.
    #[arg(long, default_value = "target/release/convene")]
    binary: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

/// Parts of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable sends on an empty store.
    Empty,
    /// Durable sends on a large store.
    Filled,
    /// One message to many, and many to some.
    FanOut,
    /// Memory of idle sessions.
    Idle,
    /// Opening sessions.
    Handshake,
    /// Catching up.
    CatchUp,
}

/// How large each part is.
struct Size {
    extent: Extent,
    crowds: Vec<usize>,
    fan_out_rounds: usize,
    audience: usize,
    idle: &'static [usize],
    handshakes: usize,
    changes: &'static [usize],
    catch_up_rounds: usize,
}

impl Args {
    fn size(&self) -> Size {
        if self.short {
            return Size {
                extent: Extent { rounds: 2, span: Duration::from_millis(700) },
                crowds: self.crowds(&[500]),
                fan_out_rounds: 3,
                audience: 50,
                idle: &[500],
                handshakes: 300,
                changes: &[50, 200],
                catch_up_rounds: 3,
            };
        }
        Size {
            extent: Extent { rounds: self.rounds, span: Duration::from_secs_f64(self.seconds) },
            crowds: self.crowds(&[1_000, 5_000]),
            fan_out_rounds: 11,
            audience: 100,
            idle: &[1_000, 5_000, 10_000],
            handshakes: 4_000,
            changes: &[200, 2_000],
            catch_up_rounds: 11,
        }
    }

    fn crowds(&self, usual: &[usize]) -> Vec<usize> {
        if self.crowd.is_empty() { usual.to_vec() } else { self.crowd.clone() }
    }

    fn wants(&self, part: Part) -> bool {
        match self.only.is_empty() {
            true => !(self.short && part == Part::Filled),
            false => self.only.contains(&part),
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let report = runtime.block_on(measure(&args))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    report::print(&mut out, &report)
}

async fn measure(args: &Args) -> Result<Report> {
    let (scratch, size) = (disk::scratch(&args.dir)?, args.size());
    let place = Place { binary: args.binary.clone(), port_base: args.port_base, cores: None };
    let mut report = Report { short: args.short, ..Report::default() };
    let fresh = |name: &str| scratch.path().join(name);
    let empty = fresh("empty.db");
    engine::prepare(&empty, 0)?;
    if args.wants(Part::Empty) {
        report.empty = Some(rounds::run(&place, &fresh("empty"), &empty, 0, size.extent).await?);
    }
    if args.wants(Part::Filled) {
        let source = engine::filled(&args.dir, &empty, args.filled)?;
        report.filled = Some(rounds::run(&place, &fresh("filled"), &source, args.filled, size.extent).await?);
    }
    let place = Place { cores: Some(CORES), ..place }; // from here on this thread has one core
    if args.wants(Part::FanOut) {
        fan_out(&place, &fresh("fan-out"), &size, &mut report).await?;
    }
    if args.wants(Part::Idle) {
        let node = Node::start(&place, &fresh("idle"))?;
        report.idle = idle::run(&node, size.idle).await?;
    }
    if args.wants(Part::Handshake) {
        let node = Node::start(&place, &fresh("handshake"))?;
        report.handshake_full = Some(handshake::run(&node, size.handshakes, false).await?);
        report.handshake_resumed = Some(handshake::run(&node, size.handshakes, true).await?);
    }
    if args.wants(Part::CatchUp) {
        let node = Node::start(&place, &fresh("catch-up"))?;
        report.catch_up = catch_up::run(&node, size.changes, size.catch_up_rounds).await?;
    }
    Ok(report)
}

async fn fan_out(place: &Place, directory: &Path, size: &Size, report: &mut Report) -> Result<()> {
    for &members in &size.crowds {
        let node = Node::start(place, &directory.join(members.to_string()))?;
        let group = Group::make(&node, members).await?;
        report.fan_out.push(group.fan_out(&node, size.fan_out_rounds).await?);
    }
    let node = Node::start(place, &directory.join("deliveries"))?;
    let group = Group::make(&node, size.audience).await?;
    report.deliveries = Some(group.deliveries(&node, size.extent.span).await?);
    Ok(())
}
