//! A call beside a crowd whose video is more than one core forwards: what becomes of the call's audio, and how the server
//! takes it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::latency::{Latency, times};
use super::run::QUIET;
use super::source::{Load, Source};
use crate::client::{Client, Log};
use crate::fleet::Fleet;
use crate::target::Target;
use crate::udp::Udp;

/// The crowd is there so long before anything is judged: a server has to notice that it has too much to do.
const NOTICED: Duration = Duration::from_secs(6);
/// Most that a server may take until it accepts rooms again.
const RECOVERY: Duration = Duration::from_secs(30);

/// What was measured. Keys are stable; see bench/README.md.
#[derive(Clone, Debug, Serialize)]
pub struct Overload {
    /// Packets of video that the crowd should get, 1/s.
    pub asked_pps: u64,
    /// What of it the server forwarded, 1/s.
    pub forwarded_pps: f64,
    /// Share of the call's audio that did not arrive: while the crowd begins, and then.
    pub audio_loss_at_first: f64,
    /// See above.
    pub audio_loss: f64,
    /// From the write of a packet of the call to its arrival: without the crowd.
    pub calm_p50_ms: f64,
    /// The same.
    pub calm_p99_ms: f64,
    /// The same beside the crowd.
    pub audio_p50_ms: f64,
    /// The same.
    pub audio_p99_ms: f64,
    /// A new room was refused meanwhile.
    pub refuses: bool,
    /// Seconds from the end of the crowd's video until a new room was taken.
    pub recovered_s: f64,
}

/// `packets_out`: those that the server says it has forwarded.
pub fn overload(
    target: &mut dyn Target,
    ip: IpAddr,
    (call, crowd): (Load, Load),
    span: Duration,
    packets_out: impl Fn() -> Result<f64>,
) -> Result<Overload> {
    let (mut call, mut crowd) = (Party::join(target, ip, call, "call")?, Party::join(target, ip, crowd, "crowd")?);
    call.source.timed = true;
    call.beside(&mut crowd, false, NOTICED)?;
    let calm = call.beside(&mut crowd, false, span)?;
    let first = call.beside(&mut crowd, true, NOTICED)?;
    let (out, start) = (packets_out()?, Instant::now());
    let full = call.beside(&mut crowd, true, span)?;
    let forwarded_pps = (packets_out()? - out) / start.elapsed().as_secs_f64();
    let refuses = opens_room(target, ip).is_err();
    let ended = Instant::now();
    while opens_room(target, ip).is_err() && ended.elapsed() < RECOVERY {
        crowd.stay(Duration::from_millis(200))?;
    }
    let ms = |latency: &Latency, quantile| latency.all.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Overload {
        asked_pps: crowd.source.load().target_pps,
        forwarded_pps,
        audio_loss_at_first: first.loss,
        audio_loss: full.loss,
        calm_p50_ms: ms(&calm.latency, 0.5),
        calm_p99_ms: ms(&calm.latency, 0.99),
        audio_p50_ms: ms(&full.latency, 0.5),
        audio_p99_ms: ms(&full.latency, 0.99),
        refuses,
        recovered_s: ended.elapsed().as_secs_f64(),
    })
}

/// One room of it.
struct Party {
    fleet: Fleet,
    source: Source,
}

/// How a span went for the subscribers of a party.
struct Heard {
    loss: f64,
    latency: Latency,
}

impl Party {
    fn join(target: &mut dyn Target, ip: IpAddr, load: Load, room: &str) -> Result<Self> {
        let mut fleet = Fleet::new(ip)?;
        fleet.publish(target, room, load.media)?;
        fleet.join(target, room, load.media, (load.subscribers, load.publishers))?;
        Ok(Self { fleet, source: Source::new(load) })
    }

    /// What its subscribers hear while the crowd watches, or only stays. The crowd is on a thread of its own: what it reads
    /// must not keep the call's clients from reading.
    fn beside(&mut self, crowd: &mut Self, watches: bool, span: Duration) -> Result<Heard> {
        self.fleet.subscribers().for_each(|client| client.log = Some(Log::default()));
        let before = self.fleet.seen().packets;
        let sent = std::thread::scope(|scope| {
            let crowd = scope
                .spawn(|| if watches { crowd.source.run(&mut crowd.fleet, span).map(drop) } else { crowd.stay(span) });
            let sent = self.source.run(&mut self.fleet, span);
            crowd.join().ok().context("the crowd's thread panicked")??;
            sent
        })?;
        self.fleet.settle(QUIET)?;
        let arrived = self.fleet.seen().packets - before;
        let latency = times(&mut self.fleet, |seq| self.source.sent_at(seq))?;
        Ok(Heard { loss: 1.0 - arrived as f64 / sent as f64, latency })
    }

    /// Sends nothing.
    fn stay(&mut self, span: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < span {
            self.fleet.turn(Duration::from_millis(5))?;
        }
        Ok(())
    }
}

/// Whether a room that was not there can be published to.
fn opens_room(target: &mut dyn Target, ip: IpAddr) -> Result<()> {
    let poll = mio::Poll::new().context("a poll")?;
    let mut client = Client::publisher(Udp::bind(poll.registry(), mio::Token(0), ip)?, crate::client::Media::Audio, 0)?;
    let room = format!("new{}", client.udp.address()?.port());
    target.publish(&mut client, &room, "late")
}
