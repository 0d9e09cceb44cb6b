//! One run: everybody joins; the load flows and CPU time of the server is read, in turns with the limit.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::source::{Load, Source};
use crate::chat::stats::Spread;
use crate::client::Media;
use crate::fleet::{Fleet, READ_EVERY};
use crate::limit::Library;
use crate::target::{Measured, Target};
use crate::udp::Udp;
use crate::{cpu, limit};

/// The server has the first core, the clients the second.
pub const SERVER_CORE: usize = 0;
/// See [`SERVER_CORE`].
pub const CLIENT_CORE: usize = 1;

/// Server and limit take turns so many times: the speed of a virtual machine changes by half from one ten seconds to the
/// next, which has to befall both.
const ROUNDS: u32 = 20;

/// All has arrived when nothing has come for so long.
pub(super) const QUIET: Duration = Duration::from_millis(300);
/// The same between rounds: short, for the server's idle time is charged to the packets.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(30);

/// Publishers send so long to one subscriber a room, who is not counted: buffers whose size is that of the publishers'
/// rate are not the memory of those who come after.
const FIRST_ALONE: Duration = Duration::from_secs(2);

/// What one run measured. Keys are stable; see bench/README.md.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `video` or `audio`.
    pub media: &'static str,
    /// The load.
    pub rooms: usize,
    /// Of a room.
    pub publishers: usize,
    /// Of a room.
    pub subscribers: usize,
    /// Packets back to back.
    pub burst: usize,
    /// Without the tag.
    pub packet_bytes: usize,
    /// 1/s, wall clock.
    pub forwarded_pps: f64,
    /// 1/s of CPU time.
    pub forwarded_pps_per_core: f64,
    /// 1/s of CPU time; 0 where no limit was measured.
    pub limit_pps_per_core: f64,
    /// Forwarded over limit: the median of the rounds; 0 where no limit was measured.
    pub ratio: f64,
    /// The same: the lowest.
    pub ratio_min: f64,
    /// The same: the highest.
    pub ratio_max: f64,
    /// As `limit_pps_per_core`, sealed by ring.
    pub ring_limit_pps_per_core: f64,
    /// Forwarded over that: the median of the rounds.
    pub ring_ratio: f64,
    /// Microseconds.
    pub cpu_us_per_packet: f64,
    /// Share.
    pub loss: f64,
    /// Packets that a client's SRTP opened.
    pub verified_packets: u64,
    /// KiB, of each but the first of a room.
    pub rss_kib_per_subscriber: f64,
    /// 1/s, wall clock.
    pub joins_per_s: f64,
    /// 1/s of CPU time of the server.
    pub joins_per_s_per_core: f64,
    /// Milliseconds.
    pub cpu_ms_per_join: f64,
}

/// What was sent, what it cost, and what of it arrived.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    expected: u64,
    arrived: u64,
    cpu: Duration,
    elapsed: Duration,
}

impl Sample {
    /// Packets that arrived, per CPU second.
    fn pps_per_core(&self) -> f64 {
        self.arrived as f64 / self.cpu.as_secs_f64()
    }

    fn add(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            arrived: self.arrived + other.arrived,
            cpu: self.cpu + other.cpu,
            elapsed: self.elapsed + other.elapsed,
        }
    }
}

/// Runs a load for `span` in all. `limits`: in rounds, with the limit of the machine behind each, so that what the machine
/// does meanwhile befalls both.
pub fn measure(target: &mut dyn Measured, ip: IpAddr, load: Load, span: Duration, limits: bool) -> Result<Row> {
    let mut fleet = Fleet::new(ip)?;
    let pid = target.pid();
    publish(target, &mut fleet, load)?;
    let mut source = Source::new(load);
    let first = usize::from(load.subscribers > 1);
    join(target, &mut fleet, load, first)?;
    source.run(&mut fleet, FIRST_ALONE)?;
    fleet.settle(QUIET)?;
    let (rss_before, cpu_before) = (cpu::resident_kib(pid)?, cpu::of_process(pid)?);
    let join_time = join(target, &mut fleet, load, load.subscribers - first)?;
    let join_cpu = cpu::of_process(pid)? - cpu_before;

    source.run(&mut fleet, Duration::from_secs(2))?; // keyframe, caches, clocks
    fleet.settle(QUIET)?;
    let verified_before = fleet.seen().verified;
    let (mut ours, mut aws_lc, mut ring) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(measure_server(pid, &mut fleet, &mut source, span / ROUNDS)?);
        if limits {
            aws_lc.push(measure_limit(load, span / ROUNDS, ip, &mut fleet, Library::AwsLc)?);
            ring.push(measure_limit(load, span / ROUNDS, ip, &mut fleet, Library::Ring)?);
        }
    }
    let rss = cpu::resident_kib(pid)?;
    let verified = fleet.seen().verified - verified_before;
    ensure!(verified > 0, "no packet was opened by a client: {ours:?}");

    let all = sum(&ours);
    let (ratios, ring_ratios) = (ratios(&ours, &aws_lc), ratios(&ours, &ring));
    let per_core = all.pps_per_core();
    let joined = (load.rooms * (load.subscribers - first)) as f64;
    Ok(Row {
        media: if load.media == Media::Video { "video" } else { "audio" },
        rooms: load.rooms,
        publishers: load.publishers,
        subscribers: load.subscribers,
        burst: load.burst,
        packet_bytes: load.packet_bytes,
        forwarded_pps: all.arrived as f64 / all.elapsed.as_secs_f64(),
        forwarded_pps_per_core: per_core,
        limit_pps_per_core: if limits { sum(&aws_lc).pps_per_core() } else { 0.0 },
        ratio: ratios.median,
        ratio_min: ratios.min,
        ratio_max: ratios.max,
        ring_limit_pps_per_core: if limits { sum(&ring).pps_per_core() } else { 0.0 },
        ring_ratio: ring_ratios.median,
        cpu_us_per_packet: 1e6 / per_core,
        loss: 1.0 - all.arrived as f64 / all.expected as f64,
        verified_packets: verified,
        rss_kib_per_subscriber: rss.saturating_sub(rss_before) as f64 / joined,
        joins_per_s: joined / join_time.as_secs_f64(),
        joins_per_s_per_core: joined / join_cpu.as_secs_f64(),
        cpu_ms_per_join: join_cpu.as_secs_f64() * 1e3 / joined,
    })
}

fn sum(samples: &[Sample]) -> Sample {
    samples.iter().copied().fold(Sample::default(), Sample::add)
}

/// Of each round.
fn ratios(ours: &[Sample], theirs: &[Sample]) -> Spread {
    Spread::of(ours.iter().zip(theirs).map(|(our, their)| our.pps_per_core() / their.pps_per_core()))
}

fn measure_server(pid: u32, fleet: &mut Fleet, source: &mut Source, span: Duration) -> Result<Sample> {
    let (before, cpu_before, start) = (fleet.seen().packets, cpu::of_process(pid)?, Instant::now());
    let expected = source.run(fleet, span)?;
    let elapsed = start.elapsed();
    fleet.settle(BETWEEN_ROUNDS)?;
    Ok(Sample { expected, arrived: fleet.seen().packets - before, cpu: cpu::of_process(pid)? - cpu_before, elapsed })
}

pub(super) fn publish(target: &mut dyn Target, fleet: &mut Fleet, load: Load) -> Result<()> {
    for room in 0..load.rooms {
        for _ in 0..load.publishers {
            fleet.publish(target, &format!("bench{room}"), load.media)?;
        }
    }
    Ok(())
}

/// So many subscribers come into each room; how long that takes.
pub(super) fn join(target: &mut dyn Target, fleet: &mut Fleet, load: Load, count: usize) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for room in 0..load.rooms {
        took += fleet.join(target, &format!("bench{room}"), load.media, (count, load.publishers))?;
    }
    Ok(took)
}

fn measure_limit(load: Load, span: Duration, ip: IpAddr, fleet: &mut Fleet, library: Library) -> Result<Sample> {
    let (before, start) = (fleet.seen().packets, Instant::now());
    let sent = run_limit((load, library), span, ip, fleet, |fleet| fleet.look(READ_EVERY))?;
    let elapsed = start.elapsed();
    fleet.settle(BETWEEN_ROUNDS)?;
    fleet.subscribers().for_each(|client| client.only_counts = false);
    Ok(Sample { expected: sent.packets, arrived: fleet.seen().packets - before, cpu: sent.cpu, elapsed })
}

/// The same packets from a thread on the server's core to the same sockets, which this thread goes on reading: `read` does.
/// From here on clients count packets and open none.
pub(super) fn run_limit(
    (load, library): (Load, Library),
    span: Duration,
    ip: IpAddr,
    fleet: &mut Fleet,
    mut read: impl FnMut(&mut Fleet) -> Result<()>,
) -> Result<limit::Sent> {
    let receivers = fleet.subscribers().map(|client| client.udp.address()).collect::<Result<_>>()?;
    let load = limit::Load {
        receivers,
        burst: load.burst,
        packet_bytes: load.packet_bytes,
        bursts_per_s: load.bursts_per_s() * load.publishers as f64,
        span,
        library,
    };
    let done = AtomicBool::new(false);
    let poll = mio::Poll::new()?;
    let udp = Udp::bind(poll.registry(), mio::Token(0), ip)?;
    fleet.subscribers().for_each(|client| client.only_counts = true);
    std::thread::scope(|scope| {
        let limit = scope.spawn(|| {
            cpu::pin(SERVER_CORE);
            let result = limit::run(&udp, &load);
            done.store(true, Ordering::Release);
            result
        });
        while !done.load(Ordering::Acquire) {
            read(fleet)?;
        }
        limit.join().ok().context("the limit's thread panicked")?
    })
}
