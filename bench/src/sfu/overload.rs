//! Two small rooms beside a crowd whose video is more than one core forwards: what becomes of the audio of the one and of the
//! video of the other, and how the server takes it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::latency::{Latency, ms, times};
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
    /// The same of the video of a small room.
    pub video_loss_at_first: f64,
    /// See above.
    pub video_loss: f64,
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

/// The load of each party: people who talk, people who see each other, and the crowd.
#[derive(Clone, Copy, Debug)]
pub struct Parties {
    /// Audio that is timed.
    pub call: Load,
    /// A small room's video.
    pub pictures: Load,
    /// More video than the core forwards.
    pub crowd: Load,
}

/// `packets_out`: those that the server says it has forwarded.
pub fn overload(
    target: &mut dyn Target,
    ip: IpAddr,
    loads: Parties,
    span: Duration,
    packets_out: impl Fn() -> Result<f64>,
) -> Result<Overload> {
    let mut all = World {
        call: Party::join(target, ip, loads.call, "call")?,
        pictures: Party::join(target, ip, loads.pictures, "pictures")?,
        crowd: Party::join(target, ip, loads.crowd, "crowd")?,
    };
    all.call.source.timed = true;
    all.crowd.source.catches_up = true;
    all.pass(false, NOTICED)?;
    let calm = all.pass(false, span)?;
    let first = all.pass(true, NOTICED)?;
    let (out, start) = (packets_out()?, Instant::now());
    let full = all.pass(true, span)?;
    let forwarded_pps = (packets_out()? - out) / start.elapsed().as_secs_f64();
    let refuses = opens_room(target, ip).is_err();
    let ended = Instant::now();
    while opens_room(target, ip).is_err() && ended.elapsed() < RECOVERY {
        all.crowd.stay(Duration::from_millis(200))?;
    }
    Ok(Overload {
        asked_pps: loads.crowd.target_pps,
        forwarded_pps,
        audio_loss_at_first: first.audio_loss,
        audio_loss: full.audio_loss,
        video_loss_at_first: first.video_loss,
        video_loss: full.video_loss,
        calm_p50_ms: ms(&calm.latency.all, 0.5),
        calm_p99_ms: ms(&calm.latency.all, 0.99),
        audio_p50_ms: ms(&full.latency.all, 0.5),
        audio_p99_ms: ms(&full.latency.all, 0.99),
        refuses,
        recovered_s: ended.elapsed().as_secs_f64(),
    })
}

struct World {
    call: Party,
    pictures: Party,
    crowd: Party,
}

/// How a span went for who is not the crowd.
struct Passed {
    audio_loss: f64,
    video_loss: f64,
    latency: Latency,
}

impl World {
    /// What call and pictures get while the crowd watches, or only stays. Each is on a thread of its own: what one of them
    /// reads must not keep the others from reading.
    fn pass(&mut self, watches: bool, span: Duration) -> Result<Passed> {
        let Self { call, pictures, crowd } = self;
        call.fleet.subscribers().for_each(|client| client.log = Some(Log::default()));
        let (audio_loss, video_loss) = std::thread::scope(|scope| {
            let crowd = scope.spawn(|| if watches { crowd.run(span).map(drop) } else { crowd.stay(span) });
            let pictures = scope.spawn(|| pictures.run(span));
            let audio_loss = call.run(span);
            crowd.join().ok().context("the crowd's thread panicked")??;
            anyhow::Ok((audio_loss?, pictures.join().ok().context("a thread panicked")??))
        })?;
        let latency = times(&mut call.fleet, |seq| call.source.sent_at(seq))?;
        Ok(Passed { audio_loss, video_loss, latency })
    }
}

/// One room of it.
struct Party {
    fleet: Fleet,
    source: Source,
}

impl Party {
    fn join(target: &mut dyn Target, ip: IpAddr, load: Load, room: &str) -> Result<Self> {
        let mut fleet = Fleet::new(ip)?;
        fleet.publish(target, room, load.media)?;
        fleet.join(target, room, load.media, (load.subscribers, load.publishers))?;
        Ok(Self { fleet, source: Source::new(load) })
    }

    /// Share of what was sent in the span that did not arrive.
    fn run(&mut self, span: Duration) -> Result<f64> {
        let before = self.fleet.seen().packets;
        let sent = self.source.run(&mut self.fleet, span)?;
        self.fleet.settle(QUIET)?;
        Ok(1.0 - (self.fleet.seen().packets - before) as f64 / sent as f64)
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
