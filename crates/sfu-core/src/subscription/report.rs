//! What sender and receiver tell each other of a subscription (RFC 3550 §6.4), and what is measured of it.

use std::time::{Duration, Instant};

use convene_rtp::rtcp::{ReportBlock, SenderInfo};
use convene_types::{MediaKind, PeerId, TrackId};

use super::{Subscription, clock};
use crate::flow::Flow;
use crate::layer::Layer;
use crate::sr;

impl Subscription {
    /// The sender report of `now`. `None`: nothing goes out, or the publisher told no time yet.
    pub(crate) fn sender_report(&mut self, now: Instant, layers: &[Layer]) -> Option<SenderInfo> {
        let run = self.munger.run()?;
        let (ntp, rtp_ts) = clock(layers, run)?.at(now);
        self.last_sr = Some((sr::compact_ntp(ntp), now));
        Some(SenderInfo {
            ssrc: self.egress.ssrc,
            ntp,
            rtp_ts: rtp_ts.wrapping_add(run.ts_offset),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// A receiver report: RFC 3550 §6.4.1 gives the round trip.
    pub(crate) fn receiver_report(&mut self, now: Instant, block: &ReportBlock, congested: bool) {
        let rate = if self.kind == MediaKind::Video { 90.0 } else { 48.0 };
        let (lost, jitter_ms) = (f32::from(block.fraction_lost) / 256.0, block.jitter as f32 / rate);
        self.reported = Some((lost, jitter_ms));
        self.reports.add(lost, jitter_ms);
        if self.kind == MediaKind::Video {
            let lost = if congested { 0 } else { block.fraction_lost };
            self.loss.report(now, lost, self.round_trip);
        } else {
            self.redundancy.report(now, block.fraction_lost, congested);
        }
        let Some((_, at)) = self.last_sr.filter(|(ntp, _)| *ntp == block.last_sr && block.last_sr != 0) else { return };
        let held = Duration::from_micros((u64::from(block.delay_since_last_sr) * 1_000_000) >> 16);
        if let Some(sample) = now.saturating_duration_since(at).checked_sub(held) {
            self.round_trip = Some(self.round_trip.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        }
    }

    /// What went out since the last time; the caller knows the peer, the track and the layer.
    pub(crate) fn measure(&mut self) -> Flow {
        let (packets, octets) = std::mem::replace(&mut self.measured, (self.packets, self.octets));
        let (loss, jitter_ms) = self.reports.take();
        Flow {
            peer: PeerId(0),
            track: TrackId(0),
            published: false,
            packets: self.packets.wrapping_sub(packets),
            bytes: self.octets.wrapping_sub(octets).into(),
            loss,
            jitter_ms,
            round_trip_ms: self.round_trip.map_or(0.0, |rtt| rtt.as_secs_f32() * 1e3),
            layer: 0,
            starved: self.share.is_starved(),
        }
    }

    /// The round trip, once a report has told it.
    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}
