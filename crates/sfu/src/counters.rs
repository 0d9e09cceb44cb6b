//! What one worker counted since the last sample. Plain integers on the packet path; handed to the registry each second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_sfu_core as core;
use convene_telemetry::Metrics;
use prometheus::local::LocalHistogram;

use crate::handle::GoneReason;
use crate::socket::Sent;

pub(crate) struct Counters {
    pub(crate) panics: u64,
    pub(crate) datagrams_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) datagrams_out: u64,
    pub(crate) bytes_out: u64,
    drops: Vec<(&'static str, u64)>,
    slept: Duration,
    last_sample: Instant,
    forwarding: LocalHistogram,
    worker: String,
    metrics: Arc<Metrics>,
}

impl Counters {
    pub(crate) fn new(index: usize, metrics: Arc<Metrics>, now: Instant) -> Self {
        Self {
            panics: 0,
            datagrams_in: 0,
            bytes_in: 0,
            datagrams_out: 0,
            bytes_out: 0,
            drops: Vec::new(),
            slept: Duration::ZERO,
            last_sample: now,
            forwarding: metrics.forwarding.local(),
            worker: index.to_string(),
            metrics,
        }
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.datagrams_in += 1;
        self.bytes_in += bytes as u64;
    }

    pub(crate) fn sent(&mut self, outcome: Sent, datagrams: usize, bytes: usize) {
        match outcome {
            Sent::Yes => {
                self.datagrams_out += datagrams as u64;
                self.bytes_out += bytes as u64;
            }
            Sent::Dropped => self.add_drop("send_refused", datagrams as u64),
        }
    }

    pub(crate) fn dropped(&mut self, reason: &'static str) {
        self.add_drop(reason, 1);
    }

    /// A few dozen reasons at most, and the frequent ones move to the front by being first seen: a scan is enough.
    fn add_drop(&mut self, reason: &'static str, count: u64) {
        match self.drops.iter_mut().find(|(known, _)| std::ptr::eq(*known, reason) || *known == reason) {
            Some((_, total)) => *total += count,
            None => self.drops.push((reason, count)),
        }
    }

    pub(crate) fn moved(&self) {
        self.metrics.peers_moved.inc();
    }

    pub(crate) fn slept(&mut self, time: Duration) {
        self.slept += time;
    }

    pub(crate) fn next_sample(&self, interval: Duration) -> Instant {
        self.last_sample + interval
    }

    pub(crate) fn sample_due(&self, now: Instant, interval: Duration) -> bool {
        now >= self.next_sample(interval)
    }

    /// A batch that took `latency` from the receipt of its oldest packet to its last send.
    pub(crate) fn forwarded(&mut self, latency: Duration) {
        self.forwarding.observe(latency.as_secs_f64());
    }

    pub(crate) fn connected(&self) {
        self.metrics.peers_connected.inc();
    }

    /// Rooms have less or more video than before; whether any have less than all.
    pub(crate) fn shed(&self, any: bool) {
        let event = if any { "cpu_shed" } else { "cpu_at_ease" };
        self.metrics.bandwidth.with_label_values(&[event]).inc();
    }

    pub(crate) fn lost(&self, reason: GoneReason) {
        let label = match reason {
            GoneReason::NeverConnected => "never_connected",
            GoneReason::TimedOut => "timed_out",
            GoneReason::Closed => "closed",
            GoneReason::DtlsFailed => "dtls_failed",
        };
        self.metrics.peers_lost.with_label_values(&[label]).inc();
    }

    /// Hands what was counted since the last sample to the registry; the share of the time that was not slept, 0..=1.
    pub(crate) fn export(&mut self, now: Instant, peers: usize) -> f64 {
        let wall = now.saturating_duration_since(self.last_sample);
        let busy = 1.0 - self.slept.as_secs_f64() / wall.as_secs_f64().max(f64::MIN_POSITIVE);
        let metrics = &self.metrics;
        let worker = [self.worker.as_str()];
        metrics.worker_busy.with_label_values(&worker).set(busy.clamp(0.0, 1.0));
        metrics.peers.with_label_values(&worker).set(i64::try_from(peers).unwrap_or(i64::MAX));
        metrics.room_panics.inc_by(std::mem::take(&mut self.panics));
        let directions =
            [("in", &mut self.datagrams_in, &mut self.bytes_in), ("out", &mut self.datagrams_out, &mut self.bytes_out)];
        for (direction, datagrams, bytes) in directions {
            metrics.datagrams.with_label_values(&[direction]).inc_by(std::mem::take(datagrams));
            metrics.bytes.with_label_values(&[direction]).inc_by(std::mem::take(bytes));
        }
        for (reason, count) in &mut self.drops {
            metrics.dropped.with_label_values(&[*reason]).inc_by(std::mem::take(count));
        }
        self.forwarding.flush();
        (self.slept, self.last_sample) = (Duration::ZERO, now);
        busy.clamp(0.0, 1.0)
    }

    /// Hands a room's growth since `exported` to the registry.
    pub(crate) fn export_room(&self, stats: core::Stats, exported: &mut core::Stats) {
        let (old, metrics) = (std::mem::replace(exported, stats), &self.metrics);
        let rows = [
            (&metrics.rtp_packets, "in", stats.packets_in - old.packets_in),
            (&metrics.rtp_packets, "out", stats.packets_out - old.packets_out),
            (&metrics.nacked, "in", stats.nack_in - old.nack_in),
            (&metrics.nacked, "out", stats.nack_out - old.nack_out),
            (&metrics.pli, "in", stats.pli_in + stats.fir_in - old.pli_in - old.fir_in),
            (&metrics.pli, "out", stats.pli_out - old.pli_out),
            (&metrics.rtx, "in", stats.rtx_in - old.rtx_in),
            (&metrics.rtx, "out", stats.rtx_out - old.rtx_out),
            (&metrics.bandwidth, "repeat_unasked", stats.rtx_unasked - old.rtx_unasked),
            (&metrics.red, "recovered", stats.red_recovered - old.red_recovered),
            (&metrics.red, "made", stats.red_made - old.red_made),
            (&metrics.bandwidth, "overuse", stats.overuses - old.overuses),
            (&metrics.bandwidth, "probe", stats.probes - old.probes),
            (&metrics.bandwidth, "probe_found_more", stats.probes_up - old.probes_up),
            (&metrics.bandwidth, "rival_found", stats.rivals - old.rivals),
            (&metrics.bandwidth, "probe_packet", stats.probe_packets - old.probe_packets),
            (&metrics.bandwidth, "packet_paced", stats.paced - old.paced),
            (&metrics.bandwidth, "path_interrupted", stats.interruptions - old.interruptions),
            (&metrics.bandwidth, "layer_up", stats.rises - old.rises),
            (&metrics.bandwidth, "layer_down", stats.falls - old.falls),
            (&metrics.bandwidth, "layer_lost_by_publisher", stats.hopeless - old.hopeless),
            (&metrics.bandwidth, "layer_held", stats.holds - old.holds),
            (&metrics.bandwidth, "track_paused", stats.starved - old.starved),
            (&metrics.dropped, "nack_missed", stats.nack_missed - old.nack_missed),
            (&metrics.dropped, "nack_superseded", stats.nack_superseded - old.nack_superseded),
            (&metrics.dropped, "nack_too_late", stats.nack_too_late - old.nack_too_late),
            (&metrics.dropped, "rtx_over_budget", stats.rtx_over_budget - old.rtx_over_budget),
            (&metrics.dropped, "unmapped_pt", stats.unmapped_pt - old.unmapped_pt),
            (&metrics.dropped, "not_loudest", stats.not_loudest - old.not_loudest),
            (&metrics.dropped, "layered_out", stats.layered_out - old.layered_out),
            (&metrics.dropped, "padding", stats.padding_in - old.padding_in),
            (&metrics.dropped, "unwritten", stats.unwritten - old.unwritten),
        ];
        for (counter, label, growth) in rows {
            counter.with_label_values(&[label]).inc_by(growth);
        }
    }
}
