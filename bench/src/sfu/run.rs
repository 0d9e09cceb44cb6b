//! One run: everybody joins, the load flows, CPU time and memory of the server are read; then the limit.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::source::{Load, Source};
use crate::client::{Log, Media, Seen};
use crate::fleet::Fleet;
use crate::target::Target;
use crate::udp::Udp;
use crate::{cpu, limit};

/// The server has the first core, the clients the second.
pub const SERVER_CORE: usize = 0;
/// See [`SERVER_CORE`].
pub const CLIENT_CORE: usize = 1;

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
    /// Forwarded over limit.
    pub ratio: f64,
    /// Microseconds.
    pub cpu_us_per_packet: f64,
    /// Share.
    pub loss: f64,
    /// Packets that a client's SRTP opened.
    pub verified_packets: u64,
    /// KiB.
    pub rss_kib_per_subscriber: f64,
    /// 1/s, wall clock.
    pub joins_per_s: f64,
    /// 1/s of CPU time of the server.
    pub joins_per_s_per_core: f64,
    /// Milliseconds.
    pub cpu_ms_per_join: f64,
}

/// Runs a load for `span`. `limits`: measures the limit of the machine behind it.
pub fn measure(target: &mut dyn Target, ip: IpAddr, load: Load, span: Duration, limits: bool) -> Result<Row> {
    let mut fleet = Fleet::new(ip)?;
    let pid = target.pid();
    publish(target, &mut fleet, load)?;
    let (rss_before, cpu_before) = (cpu::resident_kib(pid)?, cpu::of_process(pid)?);
    let join_time = join(target, &mut fleet, load)?;
    let join_cpu = cpu::of_process(pid)? - cpu_before;

    let mut source = Source::new(load);
    source.run(&mut fleet, Duration::from_secs(2))?; // keyframe, caches, clocks
    fleet.settle()?;
    let (seen_before, cpu_before, start) = (fleet.seen(), cpu::of_process(pid)?, Instant::now());
    let expected = source.run(&mut fleet, span)?;
    let elapsed = start.elapsed();
    fleet.settle()?;
    let cpu = cpu::of_process(pid)? - cpu_before;
    let seen = since(fleet.seen(), seen_before);
    let rss = cpu::resident_kib(pid)?;
    ensure!(seen.verified > 0, "no packet was opened by a client: {seen:?}");

    let limit = if limits { measure_limit(load, span, ip, &mut fleet)? } else { 0.0 };
    let per_core = seen.packets as f64 / cpu.as_secs_f64();
    let joined = (load.rooms * load.subscribers) as f64;
    Ok(Row {
        media: if load.media == Media::Video { "video" } else { "audio" },
        rooms: load.rooms,
        publishers: load.publishers,
        subscribers: load.subscribers,
        burst: load.burst,
        packet_bytes: load.packet_bytes,
        forwarded_pps: seen.packets as f64 / elapsed.as_secs_f64(),
        forwarded_pps_per_core: per_core,
        limit_pps_per_core: limit,
        ratio: if limits { per_core / limit } else { 0.0 },
        cpu_us_per_packet: 1e6 / per_core,
        loss: 1.0 - seen.packets as f64 / expected as f64,
        verified_packets: seen.verified,
        rss_kib_per_subscriber: rss.saturating_sub(rss_before) as f64 / joined,
        joins_per_s: joined / join_time.as_secs_f64(),
        joins_per_s_per_core: joined / join_cpu.as_secs_f64(),
        cpu_ms_per_join: join_cpu.as_secs_f64() * 1e3 / joined,
    })
}

/// Microseconds from the write of a packet to its arrival, as clients see it: of all packets, and of the subscriber who
/// gets each packet last.
pub fn latency(
    target: &mut dyn Target,
    ip: IpAddr,
    load: Load,
    span: Duration,
) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let mut fleet = Fleet::new(ip)?;
    publish(target, &mut fleet, load)?;
    join(target, &mut fleet, load)?;
    let mut source = Source::new(load);
    source.run(&mut fleet, Duration::from_secs(2))?;
    fleet.settle()?;
    fleet.subscribers().for_each(|client| client.log = Some(Log::default()));
    source.run(&mut fleet, span)?;
    fleet.settle()?;
    let (mut all, mut last) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let mut latest = vec![None; 1 << 16];
    for client in fleet.subscribers() {
        let Some(log) = &client.log else { continue };
        for (seq, at) in log.arrivals() {
            let Some(sent) = source.sent_at(seq).filter(|sent| *sent <= at) else { continue };
            let took = u64::try_from((at - sent).as_micros())?;
            all.record(took)?;
            if let Some(slot) = latest.get_mut(usize::from(seq)) {
                *slot = Some(slot.map_or(took, |known: u64| known.max(took)));
            }
        }
    }
    latest.into_iter().flatten().try_for_each(|took| last.record(took))?;
    ensure!(!all.is_empty(), "no packet was timed");
    Ok((all, last))
}

fn publish(target: &mut dyn Target, fleet: &mut Fleet, load: Load) -> Result<()> {
    for room in 0..load.rooms {
        for _ in 0..load.publishers {
            fleet.publish(target, &format!("bench{room}"), load.media)?;
        }
    }
    Ok(())
}

fn join(target: &mut dyn Target, fleet: &mut Fleet, load: Load) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for room in 0..load.rooms {
        took += fleet.join(target, &format!("bench{room}"), load.media, (load.subscribers, load.publishers))?;
    }
    Ok(took)
}

/// The same packets from a thread on the server's core to the same sockets, which this thread goes on reading.
fn measure_limit(load: Load, span: Duration, ip: IpAddr, fleet: &mut Fleet) -> Result<f64> {
    let receivers = fleet.subscribers().map(|client| client.udp.address()).collect::<Result<_>>()?;
    let load = limit::Load {
        receivers,
        burst: load.burst,
        packet_bytes: load.packet_bytes,
        bursts_per_s: load.bursts_per_s() * load.publishers as f64,
        span,
    };
    let done = AtomicBool::new(false);
    let poll = mio::Poll::new()?;
    let udp = Udp::bind(poll.registry(), mio::Token(0), ip)?;
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

fn since(now: Seen, before: Seen) -> Seen {
    Seen {
        packets: now.packets - before.packets,
        lost: now.lost.saturating_sub(before.lost),
        verified: now.verified - before.verified,
    }
}
