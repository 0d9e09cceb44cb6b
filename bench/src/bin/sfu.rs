//! What one core forwards, beside what it could: real WebRTC clients against the server binary.
//!
//! The load of each subscriber is that of the published peer measurements: 1,200-byte VP8 packets in bursts, AES-128-GCM,
//! `nack`, `nack pli` and `ccm fir` negotiated, no bandwidth feedback, no header extensions, no loss.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use convene_bench::client::Media;
use convene_bench::cpu;
use convene_bench::server::Server;
use convene_bench::sfu::{self, CLIENT_CORE, Load, Overload, Parties, Row, SERVER_CORE};
use convene_bench::target::Whip;
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AUDIO_BYTES: usize = 100;
/// Audio packets a second that reach each subscriber: three people who talk at once.
const AUDIO_PPS: u64 = 150;

/// Of the call in the overload, of the room with pictures, and of the crowd beside them: twice what a core forwards.
const CALL: usize = 20;
const VIEWERS: usize = 4;
const PICTURES_PPS: u64 = 600;
const CROWD: usize = 1_000;
const CROWD_PPS: u64 = 1_600_000;

/// Forwarding throughput of one core.
#[derive(Parser)]
struct Args {
    /// Subscribers of the one published track; several numbers make several rows.
    #[arg(long, value_delimiter = ',', default_value = "50,200,1000")]
    subscribers: Vec<usize>,
    /// Packets per burst: one video frame.
    #[arg(long, default_value_t = 8)]
    burst: usize,
    /// RTP packet size in bytes, tag not counted.
    #[arg(long, default_value_t = 1_200)]
    packet_bytes: usize,
    /// Packets out per second that the publishers' pace aims at.
    #[arg(long, default_value_t = 160_000)]
    target_pps: u64,
    /// Seconds measured in each row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// What to measure; everything if left out.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// The first half of a frame's packets is a byte shorter, as libwebrtc cuts frames.
    #[arg(long)]
    uneven: bool,
    /// First port of the server (it takes N, N+1, N+2, N+3, N+10).
    #[arg(long, default_value_t = 27_880)]
    port_base: u16,
    /// The server binary.
    #[arg(long, default_value = "target/release/convene")]
    binary: PathBuf,
    /// 200 subscribers and nothing else, for CI.
    #[arg(long)]
    short: bool,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One room, one publisher, bursts.
    Video,
    /// One room, one publisher, small packets one by one.
    Audio,
    /// The time that forwarding adds, at half the load.
    Latency,
    /// Several rooms, and rooms where everybody publishes.
    Rooms,
    /// A call beside a crowd whose video is twice what a core forwards.
    Overload,
    /// A room on one media worker and on two, all on the one core: what the pipe between them costs.
    Workers,
}

/// What was measured. Keys are stable; see bench/README.md.
#[derive(Default, Serialize)]
struct Report {
    video: Vec<Row>,
    audio: Vec<Row>,
    /// Cost of a packet at the most subscribers over that at the fewest.
    video_growth: Option<f64>,
    audio_growth: Option<f64>,
    latency: Option<Latency>,
    rooms: Vec<Row>,
    /// The same room on one worker, then on two.
    workers: Vec<Row>,
    /// CPU of a packet on two workers over that on one.
    workers_cost: Option<f64>,
    overload: Option<Overload>,
}

#[derive(Serialize)]
struct Latency {
    subscribers: usize,
    target_pps: u64,
    p50_ms: f64,
    p99_ms: f64,
    last_p50_ms: f64,
    last_p99_ms: f64,
    limit_p50_ms: f64,
    limit_p99_ms: f64,
    /// The server's less the limit's.
    added_p50_ms: f64,
    added_p99_ms: f64,
}

fn main() -> Result<()> {
    let mut args = Args::parse();
    cpu::pin(CLIENT_CORE);
    if args.short {
        (args.subscribers, args.only) = (vec![200], vec![Part::Video, Part::Latency]);
    }
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let mut report = Report::default();
    if wants(Part::Video) {
        report.video = args.subscribers.iter().map(|n| row(&args, video(&args, 1, 1, *n))).collect::<Result<_>>()?;
        report.video_growth = growth(&report.video);
    }
    if wants(Part::Audio) {
        report.audio = args.subscribers.iter().map(|n| row(&args, audio(&args, *n))).collect::<Result<_>>()?;
        report.audio_growth = growth(&report.audio);
    }
    if wants(Part::Latency) {
        let half = args.target_pps / 2;
        report.latency = Some(time(&args, Load { target_pps: half, ..video(&args, 1, 1, 200) })?);
    }
    if wants(Part::Rooms) {
        let tables = [(10, 1, 20), (50, 1, 4), (1, 20, 20), (1, 50, 50)];
        report.rooms = tables.iter().map(|(r, p, s)| row(&args, video(&args, *r, *p, *s))).collect::<Result<_>>()?;
    }
    if wants(Part::Workers) {
        let load = video(&args, 1, 1, 200);
        for workers in ["1", "2"] {
            let settings = [("CONVENE_MEDIA_WORKERS", workers), ("CONVENE_MEDIA_SPREAD", "true")];
            report.workers.push(row_with(&args, load, &settings)?);
        }
        let cost = |index: usize| report.workers.get(index).map(|row| row.cpu_us_per_packet);
        report.workers_cost = cost(1).zip(cost(0)).map(|(two, one)| two / one);
    }
    if wants(Part::Overload) {
        report.overload = Some(overload(&args)?);
    }
    print(&report, args.json)
}

fn video(args: &Args, rooms: usize, publishers: usize, subscribers: usize) -> Load {
    let Args { burst, packet_bytes, target_pps, uneven, .. } = *args;
    Load { rooms, publishers, subscribers, media: Media::Video, burst, packet_bytes, uneven, target_pps }
}

fn audio(args: &Args, subscribers: usize) -> Load {
    let (media, burst, packet_bytes) = (Media::Audio, 1, AUDIO_BYTES);
    let target_pps = AUDIO_PPS * subscribers as u64;
    Load { media, burst, packet_bytes, target_pps, ..video(args, 1, 1, subscribers) }
}

/// A server of its own for each row, so that none pays for the clients of another.
fn target(args: &Args, settings: &[(&str, &str)]) -> Result<Whip<Server>> {
    Ok(Whip::new(Server::start(&args.binary, args.port_base, SERVER_CORE, Server::LOOPBACK, settings)?))
}

fn row(args: &Args, load: Load) -> Result<Row> {
    row_with(args, load, &[])
}

fn row_with(args: &Args, load: Load, settings: &[(&str, &str)]) -> Result<Row> {
    sfu::measure(&mut target(args, settings)?, Server::LOOPBACK, load, Duration::from_secs(args.seconds), true)
}

fn time(args: &Args, load: Load) -> Result<Latency> {
    let span = Duration::from_secs(args.seconds);
    let (server, limit) = sfu::latencies(&mut target(args, &[])?, Server::LOOPBACK, load, span)?;
    let (p50_ms, p99_ms) = (sfu::ms(&server.all, 0.5), sfu::ms(&server.all, 0.99));
    let (limit_p50_ms, limit_p99_ms) = (sfu::ms(&limit.all, 0.5), sfu::ms(&limit.all, 0.99));
    Ok(Latency {
        subscribers: load.subscribers,
        target_pps: load.target_pps,
        p50_ms,
        p99_ms,
        last_p50_ms: sfu::ms(&server.last, 0.5),
        last_p99_ms: sfu::ms(&server.last, 0.99),
        limit_p50_ms,
        limit_p99_ms,
        added_p50_ms: p50_ms - limit_p50_ms,
        added_p99_ms: p99_ms - limit_p99_ms,
    })
}

fn overload(args: &Args) -> Result<Overload> {
    let loads = Parties {
        call: audio(args, CALL),
        pictures: Load { target_pps: PICTURES_PPS, ..video(args, 1, 1, VIEWERS) },
        crowd: Load { target_pps: CROWD_PPS, ..video(args, 1, 1, CROWD) },
    };
    let metrics = format!("http://127.0.0.1:{}/metrics", args.port_base + 3);
    let packets_out = || -> Result<f64> {
        let text = ureq::get(&metrics).call()?.body_mut().read_to_string()?;
        let out = text.lines().find_map(|line| line.strip_prefix("convene_sfu_rtp_packets_total{direction=\"out\"} "));
        Ok(out.context("the server counts no packets")?.parse()?)
    };
    let span = Duration::from_secs(args.seconds);
    sfu::overload(&mut target(args, &[])?, Server::LOOPBACK, loads, span, packets_out)
}

fn growth(rows: &[Row]) -> Option<f64> {
    let few = rows.iter().min_by_key(|row| row.subscribers)?;
    let many = rows.iter().max_by_key(|row| row.subscribers)?;
    (few.subscribers != many.subscribers).then(|| many.cpu_us_per_packet / few.cpu_us_per_packet)
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let sections =
        [("video", &report.video), ("audio", &report.audio), ("rooms", &report.rooms), ("workers", &report.workers)];
    for (title, rows) in sections.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        writeln!(out, "{title}: rooms x publishers x subscribers, packets/s per core and the machine's limit")?;
        for row in rows {
            writeln!(out, "  {}", line(row))?;
        }
    }
    if let Some(cost) = report.workers_cost {
        writeln!(out, "workers: a packet on two costs {cost:.2} times that on one")?;
    }
    for (title, growth) in [("video", report.video_growth), ("audio", report.audio_growth)] {
        if let Some(growth) = growth {
            writeln!(out, "{title}: a packet at the most subscribers costs {growth:.2} times that at the fewest")?;
        }
    }
    if let Some(overload) = &report.overload {
        writeln!(
            out,
            "overload: {:.0} of {} packets/s of video forwarded; audio beside it: {:.2} % lost while it began, then {:.2} %, p50 {:.2} ms (calm {:.2}), p99 {:.2} ms (calm {:.2}); video of a small room: {:.2} % lost, then {:.2} %; new rooms {}, taken again after {:.1} s",
            overload.forwarded_pps,
            overload.asked_pps,
            overload.audio_loss_at_first * 100.0,
            overload.audio_loss * 100.0,
            overload.audio_p50_ms,
            overload.calm_p50_ms,
            overload.audio_p99_ms,
            overload.calm_p99_ms,
            overload.video_loss_at_first * 100.0,
            overload.video_loss * 100.0,
            if overload.refuses { "refused" } else { "taken" },
            overload.recovered_s
        )?;
    }
    if let Some(latency) = &report.latency {
        writeln!(
            out,
            "latency at {} packets/s to {} subscribers: p50 {:.2} ms, p99 {:.2} ms; of the last one p50 {:.2} ms, p99 {:.2} ms; added to the limit's: p50 {:.2} ms, p99 {:.2} ms",
            latency.target_pps,
            latency.subscribers,
            latency.p50_ms,
            latency.p99_ms,
            latency.last_p50_ms,
            latency.last_p99_ms,
            latency.added_p50_ms,
            latency.added_p99_ms
        )?;
    }
    Ok(())
}

fn line(row: &Row) -> String {
    format!(
        "{:>2} x {:>2} x {:>4}  {:>8.0} of {:>8.0} /s  ratio {:.2} (ring: {:.2})  {:.2} us  loss {:.4} %  {:>5.1} KiB each  {:>5.0} joins/s ({:.2} ms CPU)",
        row.rooms,
        row.publishers,
        row.subscribers,
        row.forwarded_pps_per_core,
        row.limit_pps_per_core,
        row.ratio,
        row.ring_ratio,
        row.cpu_us_per_packet,
        row.loss * 100.0,
        row.rss_kib_per_subscriber,
        row.joins_per_s,
        row.cpu_ms_per_join
    )
}
