//! One publisher, N real WebRTC subscribers, against the server binary on one core; and the limit beside it.
//!
//! The load is that of the published peer measurements: 1,200-byte VP8 packets in bursts, AES-128-GCM, `nack`, `nack pli`
//! and `ccm fir` negotiated, no bandwidth feedback, no header extensions, no loss.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use convene_bench::client::Seen;
use convene_bench::cpu;
use convene_bench::fleet::Fleet;
use convene_bench::limit::{self, Load};
use convene_bench::server::Server;
use convene_bench::udp::Udp;
use serde::Serialize;

/// Cores: the server has the first, the load generator the second.
const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;

/// Forwarding throughput of one core.
#[derive(Parser)]
struct Args {
    /// Subscribers of the one published track.
    #[arg(long, default_value_t = 200)]
    subscribers: usize,
    /// Packets per burst: one video frame.
    #[arg(long, default_value_t = 8)]
    burst: usize,
    /// RTP packet size in bytes, tag not counted.
    #[arg(long, default_value_t = 1_200)]
    packet_bytes: usize,
    /// Packets out per second that the publisher's pace aims at.
    #[arg(long, default_value_t = 160_000)]
    target_pps: u64,
    /// Seconds measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// First port of the server (it takes N, N+1, N+2, N+3, N+10).
    #[arg(long, default_value_t = 27_880)]
    port_base: u16,
    /// The server binary.
    #[arg(long, default_value = "target/release/convene")]
    binary: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

/// What was measured. Keys are stable; see bench/README.md.
#[derive(Serialize)]
struct Report {
    subscribers: usize,
    burst: usize,
    packet_bytes: usize,
    forwarded_pps: f64,
    forwarded_pps_per_core: f64,
    limit_pps_per_core: f64,
    ratio: f64,
    cpu_us_per_packet: f64,
    loss: f64,
    verified_packets: u64,
    rss_kib_per_subscriber: f64,
    joins_per_s: f64,
    cpu_ms_per_join: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let server = Server::start(&args.binary, args.port_base, SERVER_CORE)?;
    cpu::pin(CLIENT_CORE);
    let agent = ureq::Agent::new_with_defaults();
    let mut fleet = Fleet::new(&server, &agent, "bench")?;

    let (rss_before, cpu_before) = (cpu::resident_kib(server.pid())?, cpu::of_process(server.pid())?);
    let join_time = fleet.join(&server, &agent, "bench", args.subscribers)?;
    let join_cpu = cpu::of_process(server.pid())? - cpu_before;

    let mut source = Source::new(&args);
    source.run(&mut fleet, Duration::from_secs(2))?; // keyframe, caches, clocks
    settle(&mut fleet)?;
    let (seen_before, cpu_before, start) = (fleet.seen(), cpu::of_process(server.pid())?, Instant::now());
    let sent = source.run(&mut fleet, Duration::from_secs(args.seconds))?;
    let elapsed = start.elapsed();
    settle(&mut fleet)?;
    let cpu = cpu::of_process(server.pid())? - cpu_before;
    let seen = since(fleet.seen(), seen_before);
    let rss = cpu::resident_kib(server.pid())?;
    ensure!(seen.verified > 0, "no packet was opened by a client: {seen:?}");

    let limit = measure_limit(&args, &mut fleet)?;
    let expected = (sent * args.subscribers as u64) as f64;
    let per_core = seen.packets as f64 / cpu.as_secs_f64();
    let report = Report {
        subscribers: args.subscribers,
        burst: args.burst,
        packet_bytes: args.packet_bytes,
        forwarded_pps: seen.packets as f64 / elapsed.as_secs_f64(),
        forwarded_pps_per_core: per_core,
        limit_pps_per_core: limit,
        ratio: per_core / limit,
        cpu_us_per_packet: 1e6 / per_core,
        loss: 1.0 - seen.packets as f64 / expected,
        verified_packets: seen.verified,
        rss_kib_per_subscriber: rss.saturating_sub(rss_before) as f64 / args.subscribers as f64,
        joins_per_s: args.subscribers as f64 / join_time.as_secs_f64(),
        cpu_ms_per_join: join_cpu.as_secs_f64() * 1e3 / args.subscribers as f64,
    };
    print(&report, args.json)
}

/// The publisher's frames.
struct Source {
    first: Bytes,
    rest: Bytes,
    burst: usize,
    interval: Duration,
    seq: u16,
    ts: u32,
}

impl Source {
    fn new(args: &Args) -> Self {
        let payload = args.packet_bytes - 12;
        // RFC 7741 §4.2: S=1 PID=0; §4.3 and RFC 6386 §9.1: a key frame's tag, start code and size (64x64).
        let mut first = vec![0x5a; payload];
        let head = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 64, 0, 64, 0];
        first.splice(..head.len(), head);
        let mut rest = vec![0x5a; payload];
        rest.splice(..1, [0x00]);
        let bursts_per_s = bursts_per_s(args);
        Self {
            first: first.into(),
            rest: rest.into(),
            burst: args.burst,
            interval: Duration::from_secs_f64(1.0 / bursts_per_s),
            seq: 1,
            ts: 1,
        }
    }

    /// Sends frames at pace and receives meanwhile; returns packets sent.
    fn run(&mut self, fleet: &mut Fleet, span: Duration) -> Result<u64> {
        let start = Instant::now();
        let (mut next, mut sent) = (start, 0);
        while start.elapsed() < span {
            let now = Instant::now();
            if now >= next {
                next += self.interval;
                sent += self.send_frame(fleet)?;
            }
            fleet.turn(next.saturating_duration_since(now).min(Duration::from_millis(1)))?;
        }
        Ok(sent)
    }

    fn send_frame(&mut self, fleet: &mut Fleet) -> Result<u64> {
        let publisher = fleet.clients.first_mut().context("no publisher")?;
        self.ts = self.ts.wrapping_add(3_000);
        for index in 0..self.burst {
            let payload = if index == 0 { &self.first } else { &self.rest };
            publisher.write(self.seq, self.ts, index + 1 == self.burst, payload.clone())?;
            self.seq = self.seq.wrapping_add(1);
        }
        publisher.pump();
        Ok(self.burst as u64)
    }
}

/// Lets what is under way arrive.
fn settle(fleet: &mut Fleet) -> Result<()> {
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        fleet.turn(Duration::from_millis(5))?;
    }
    Ok(())
}

/// The same packets from a thread on the server's core to the same sockets, which this thread goes on reading.
fn measure_limit(args: &Args, fleet: &mut Fleet) -> Result<f64> {
    let load = Load {
        receivers: fleet.clients.iter().skip(1).map(|client| client.udp.address()).collect::<Result<_>>()?,
        burst: args.burst,
        packet_bytes: args.packet_bytes,
        bursts_per_s: bursts_per_s(args),
        span: Duration::from_secs(args.seconds),
    };
    let done = AtomicBool::new(false);
    let poll = mio::Poll::new()?;
    let udp = Udp::bind(poll.registry(), mio::Token(0))?;
    std::thread::scope(|scope| {
        let limit = scope.spawn(|| {
            cpu::pin(SERVER_CORE);
            let result = limit::measure(&udp, &load);
            done.store(true, Ordering::Release);
            result
        });
        while !done.load(Ordering::Acquire) {
            fleet.turn(Duration::from_millis(1))?;
        }
        limit.join().ok().context("the limit's thread panicked")?
    })
}

fn bursts_per_s(args: &Args) -> f64 {
    args.target_pps as f64 / (args.subscribers * args.burst) as f64
}

fn since(now: Seen, before: Seen) -> Seen {
    Seen {
        packets: now.packets - before.packets,
        lost: now.lost.saturating_sub(before.lost),
        verified: now.verified - before.verified,
    }
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    writeln!(out, "{} subscribers, bursts of {} x {} B", report.subscribers, report.burst, report.packet_bytes)?;
    writeln!(out, "forwarded       {:>10.0} packets/s", report.forwarded_pps)?;
    writeln!(
        out,
        "per core        {:>10.0} packets/s ({:.2} us each)",
        report.forwarded_pps_per_core, report.cpu_us_per_packet
    )?;
    writeln!(out, "limit           {:>10.0} packets/s per core, ratio {:.2}", report.limit_pps_per_core, report.ratio)?;
    writeln!(
        out,
        "loss            {:>10.4} %, {} packets opened by clients",
        report.loss * 100.0,
        report.verified_packets
    )?;
    writeln!(out, "memory          {:>10.1} KiB per subscriber", report.rss_kib_per_subscriber)?;
    writeln!(out, "joins           {:>10.0} per s, {:.2} ms CPU each", report.joins_per_s, report.cpu_ms_per_join)?;
    Ok(())
}
