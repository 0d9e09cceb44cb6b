//! How long packets are under way: through the server, and as the limit sends them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::run::{QUIET, join, publish, run_limit};
use super::source::{Load, Source};
use crate::client::Log;
use crate::fleet::Fleet;
use crate::limit::Library;
use crate::target::Target;

/// Longest sleep of the clients.
const TURN: Duration = Duration::from_millis(1);

/// Microseconds from the write of a packet to its arrival, as clients see it.
pub struct Latency {
    /// Of all packets.
    pub all: Histogram<u64>,
    /// Of each packet for the subscriber who gets it last.
    pub last: Histogram<u64>,
}

/// A quantile of microseconds, in milliseconds.
#[must_use]
pub fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

/// The server's, and then that of the limit: what it takes to seal and send so many packets one after the other, and to
/// read them, is in both.
pub fn latencies(target: &mut dyn Target, ip: IpAddr, load: Load, span: Duration) -> Result<(Latency, Latency)> {
    let mut fleet = Fleet::new(ip)?;
    Ok((of_server(target, &mut fleet, load, span)?, of_limit(ip, &mut fleet, load, span)?))
}

/// The server's alone.
pub fn latency(target: &mut dyn Target, ip: IpAddr, load: Load, span: Duration) -> Result<Latency> {
    of_server(target, &mut Fleet::new(ip)?, load, span)
}

fn of_server(target: &mut dyn Target, fleet: &mut Fleet, load: Load, span: Duration) -> Result<Latency> {
    publish(target, fleet, load)?;
    join(target, fleet, load, load.subscribers)?;
    let mut source = Source::new(load);
    source.timed = true;
    source.run(fleet, Duration::from_secs(2))?;
    fleet.settle(QUIET)?;
    fleet.subscribers().for_each(|client| client.log = Some(Log::default()));
    source.run(fleet, span)?;
    fleet.settle(QUIET)?;
    times(fleet, |seq| source.sent_at(seq))
}

fn of_limit(ip: IpAddr, fleet: &mut Fleet, load: Load, span: Duration) -> Result<Latency> {
    fleet.subscribers().for_each(|client| client.log = Some(Log::unmoved()));
    let sent = run_limit((load, Library::AwsLc), span, ip, fleet, |fleet| fleet.turn(TURN))?;
    fleet.settle(QUIET)?;
    let mut began = vec![None; 1 << 16];
    for (first, at) in sent.bursts {
        for index in 0..load.burst {
            if let Some(slot) = began.get_mut(usize::from(first.wrapping_add(index as u16))) {
                *slot = Some(at);
            }
        }
    }
    times(fleet, |seq| began.get(usize::from(seq)).copied().flatten())
}

pub(super) fn times(fleet: &mut Fleet, sent_at: impl Fn(u16) -> Option<Instant>) -> Result<Latency> {
    let (mut all, mut last) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let mut latest = vec![None; 1 << 16];
    for client in fleet.subscribers() {
        let Some(log) = &client.log else { continue };
        for (seq, at) in log.arrivals() {
            let Some(sent) = sent_at(seq).filter(|sent| *sent <= at) else { continue };
            let took = u64::try_from((at - sent).as_micros())?;
            all.record(took)?;
            if let Some(slot) = latest.get_mut(usize::from(seq)) {
                *slot = Some(slot.map_or(took, |known: u64| known.max(took)));
            }
        }
    }
    latest.into_iter().flatten().try_for_each(|took| last.record(took))?;
    ensure!(!all.is_empty(), "no packet was timed");
    Ok(Latency { all, last })
}
