//! The same calls on Convene, on Janus, and on mediasoup where its worker is, on the same core, in alternating rounds.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use convene_bench::chat::stats::Spread;
use convene_bench::client::Media;
use convene_bench::cpu;
use convene_bench::janus::Janus;
use convene_bench::mediasoup::Mediasoup;
use convene_bench::server::Server;
use convene_bench::sfu::{self, CLIENT_CORE, Load, SERVER_CORE};
use convene_bench::target::{Measured, Whip};
use serde::Serialize;

/// Packets a core, side by side. Janus ignores loopback addresses: run it where `--ip` is none.
#[derive(Parser)]
struct Args {
    /// Address of media, of an interface that is not the loopback; bench/peers/in-namespace.sh makes one.
    #[arg(long)]
    ip: IpAddr,
    /// Subscribers; a row each.
    #[arg(long, value_delimiter = ',', default_value = "50,200,500")]
    subscribers: Vec<usize>,
    /// Packets per burst.
    #[arg(long, default_value_t = 12)]
    burst: usize,
    /// Packets out per second.
    #[arg(long, default_value_t = 80_000)]
    target_pps: u64,
    /// Rounds of each server.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds measured in each round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// First port of Convene.
    #[arg(long, default_value_t = 27_880)]
    port_base: u16,
    /// The server binary.
    #[arg(long, default_value = "target/release/convene")]
    binary: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Side {
    pps_per_core: Spread,
    cpu_us_per_packet: Spread,
    rss_kib_per_subscriber: Spread,
    cpu_ms_per_join: Spread,
    loss: Spread,
    last_p99_ms: Spread,
}

/// A peer, and how far ahead of it Convene is.
#[derive(Serialize)]
struct Beside {
    name: &'static str,
    #[serde(flatten)]
    side: Side,
    /// Of the same round: packets per second of CPU time, Convene's over the peer's.
    pps_per_core_ratio: Spread,
}

#[derive(Serialize)]
struct Comparison {
    subscribers: usize,
    burst: usize,
    target_pps: u64,
    convene: Side,
    peers: Vec<Beside>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    cpu::pin(CLIENT_CORE);
    let mut peers = vec![Peer::Janus];
    if Mediasoup::is_installed() {
        peers.push(Peer::Mediasoup);
    }
    let rows = args.subscribers.iter().map(|n| compare(&args, &peers, *n)).collect::<Result<Vec<_>>>()?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&serde_json::json!({ "rows": rows }))?)?;
        return Ok(());
    }
    for row in &rows {
        writeln!(
            out,
            "{} subscribers, bursts of {}, {} packets/s; min/median/max",
            row.subscribers, row.burst, row.target_pps
        )?;
        print(&mut out, "convene", &row.convene)?;
        for peer in &row.peers {
            print(&mut out, peer.name, &peer.side)?;
            let Spread { min, median, max } = peer.pps_per_core_ratio;
            writeln!(out, "  convene over {:<10} {min:.2}/{median:.2}/{max:.2}", peer.name)?;
        }
    }
    Ok(())
}

fn print(out: &mut impl std::io::Write, name: &str, side: &Side) -> Result<()> {
    let Spread { min, median, max } = side.pps_per_core;
    writeln!(
        out,
        "  {name:<10} {min:>8.0}/{median:>8.0}/{max:>8.0} packets/s per core, {:.2} us, loss {:.4} %, {:.0} KiB each, {:.2} ms CPU a join, last subscriber p99 {:.1} ms",
        side.cpu_us_per_packet.median,
        side.loss.median * 100.0,
        side.rss_kib_per_subscriber.median,
        side.cpu_ms_per_join.median,
        side.last_p99_ms.median,
    )?;
    Ok(())
}

fn compare(args: &Args, peers: &[Peer], subscribers: usize) -> Result<Comparison> {
    let (media, burst, target_pps) = (Media::Video, args.burst, args.target_pps);
    let load =
        Load { rooms: 1, publishers: 1, subscribers, media, burst, packet_bytes: 1_200, uneven: false, target_pps };
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<Round>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..args.rounds {
        ours.push(run(args, load, || convene(args))?);
        for (peer, rounds) in peers.iter().zip(&mut theirs) {
            let measured = run(args, load, || peer.start(args));
            rounds.push(measured.with_context(|| format!("{}, round {round}", peer.name()))?);
        }
    }
    let beside = |(peer, rounds): (&Peer, &Vec<Round>)| Beside {
        name: peer.name(),
        side: side(rounds),
        pps_per_core_ratio: Spread::of(ours.iter().zip(rounds).map(|(our, their)| our.pps() / their.pps())),
    };
    let peers = peers.iter().zip(&theirs).map(beside).collect();
    Ok(Comparison { subscribers, burst, target_pps, peers, convene: side(&ours) })
}

fn convene(args: &Args) -> Result<Box<dyn Measured>> {
    Ok(Box::new(Whip::new(Server::start(&args.binary, args.port_base, SERVER_CORE, args.ip, &[])?)))
}

/// Whom we compare with.
#[derive(Clone, Copy)]
enum Peer {
    Janus,
    Mediasoup,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Janus => "janus",
            Self::Mediasoup => "mediasoup",
        }
    }

    fn start(self, args: &Args) -> Result<Box<dyn Measured>> {
        Ok(match self {
            Self::Janus => Box::new(Janus::start(args.ip, SERVER_CORE)?),
            Self::Mediasoup => Box::new(Whip::new(Mediasoup::start(args.ip, SERVER_CORE)?)),
        })
    }
}

struct Round {
    row: sfu::Row,
    last_p99_ms: f64,
}

impl Round {
    const fn pps(&self) -> f64 {
        self.row.forwarded_pps_per_core
    }
}

/// One round: the load, then the same at half the pace with every packet timed, each on a server of its own.
fn run(args: &Args, load: Load, start: impl Fn() -> Result<Box<dyn Measured>>) -> Result<Round> {
    let span = Duration::from_secs(args.seconds);
    let mut target = start()?;
    let row = sfu::measure(&mut *target, args.ip, load, span, false)?;
    drop(target);
    let mut target = start()?;
    let half = Load { target_pps: load.target_pps / 2, ..load };
    let latency = sfu::latency(&mut *target, args.ip, half, span)?;
    Ok(Round { row, last_p99_ms: sfu::ms(&latency.last, 0.99) })
}

fn side(rounds: &[Round]) -> Side {
    let of = |read: fn(&Round) -> f64| Spread::of(rounds.iter().map(read));
    Side {
        pps_per_core: of(|round| round.row.forwarded_pps_per_core),
        cpu_us_per_packet: of(|round| round.row.cpu_us_per_packet),
        rss_kib_per_subscriber: of(|round| round.row.rss_kib_per_subscriber),
        cpu_ms_per_join: of(|round| round.row.cpu_ms_per_join),
        loss: of(|round| round.row.loss),
        last_p99_ms: of(|round| round.last_p99_ms),
    }
}
