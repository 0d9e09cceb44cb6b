//! A crowd that watches one publisher in a running server: what a machine bears, and what others notice of it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use convene_bench::client::Media;
use convene_bench::fleet::Fleet;
use convene_bench::server::{Http, Server};
use convene_bench::sfu::{Load, Source};
use convene_bench::target::Whip;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Joins a server that was started with `--dev`, says `joined`, sends video for some time, and says what of it arrived.
#[derive(Parser)]
struct Args {
    /// The server's `--port-base`, on this machine.
    #[arg(long, default_value_t = 7_880)]
    port_base: u16,
    /// The room.
    #[arg(long, default_value = "crowd")]
    room: String,
    /// Those who watch.
    #[arg(long, default_value_t = 200)]
    subscribers: usize,
    /// Packets that all of them together should get, 1/s.
    #[arg(long, default_value_t = 160_000)]
    target_pps: u64,
    /// Packets per burst: one video frame.
    #[arg(long, default_value_t = 8)]
    burst: usize,
    /// RTP packet size in bytes, tag not counted.
    #[arg(long, default_value_t = 1_200)]
    packet_bytes: usize,
    /// How long it goes on.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

fn main() -> Result<()> {
    let Args { port_base, room, subscribers, target_pps, burst, packet_bytes, seconds } = Args::parse();
    let (media, rooms, publishers, uneven) = (Media::Video, 1, 1, false);
    let load = Load { rooms, publishers, subscribers, media, burst, packet_bytes, uneven, target_pps };
    let mut target = Whip::running(Http::at(port_base));
    let mut fleet = Fleet::new(Server::LOOPBACK)?;
    fleet.publish(&mut target, &room, media)?;
    let took = fleet.join(&mut target, &room, media, (subscribers, publishers))?;
    say(format_args!("joined: {subscribers} in {:.1} s", took.as_secs_f64()))?;

    let start = Instant::now();
    let mut source = Source::new(load);
    source.catches_up = true;
    let asked = source.run(&mut fleet, Duration::from_secs(seconds))?;
    let (arrived, span) = (fleet.seen().packets, start.elapsed().as_secs_f64());
    say(format_args!("{:.0} of {:.0} packets/s arrived", arrived as f64 / span, asked as f64 / span))
}

/// Whoever started it may be waiting for the line.
fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
