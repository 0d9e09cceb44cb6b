//! What the estimator makes of the client's feedback, and of the probes that it tells of.

use std::time::Instant;

use convene_rtp::rtcp::TransportCc;

use super::Estimator;
use super::ledger::Fate;
use super::probe::Pace;
use super::trend::Usage;

/// Feedback comes every 50 to 250 ms while packets do. After a pause this long the path was interrupted (ICE restart, tunnel, sleep): what
/// was lost in it says nothing about its rate.
const INTERRUPTED_AFTER_US: i64 = 1_000_000;

/// A deep queue that stays for so long is to empty, whether it grows or not.
const STAYS_US: i64 = 2_000_000;

/// Unit of the feedback's deltas (§3.1).
const DELTA_US: i64 = 250;

impl Estimator {
    /// Feedback of the client. `true`: the estimate fell.
    pub(crate) fn feedback(&mut self, now: Instant, feedback: &TransportCc<'_>) -> bool {
        let now_us = self.micros(now);
        let before = self.estimate();
        // Of the pauses that we make ourselves nothing is to be learnt.
        let interrupted = self.unanswered_us.take().is_some_and(|since| now_us - since > INTERRUPTED_AFTER_US);
        self.heard_us = Some(now_us);
        self.ledger.grounded();
        if interrupted {
            self.interrupt();
        }
        let usage = self.take_arrivals(feedback);
        self.again.heard(now_us, self.ledger.newest_arrived());
        let losses = &mut self.losses;
        let (mut settled, mut gone) = (0_u32, 0_u32);
        self.ledger.settle(|lost| {
            losses.count(lost);
            (settled, gone) = (settled + 1, gone + u32::from(lost));
        });
        self.trend.heed_loss(gone, settled);
        let usage = self.heed(now_us, usage);
        self.aimd.update(now_us, usage, &self.acked, self.needed);
        self.losses.update(now_us, self.aimd.target(), &self.acked, self.needed);
        self.conclude_probe(now_us);
        self.known |= self.losses.bound().is_finite();
        self.estimate() < before
    }

    /// What of it is ours to heed, where a queue grows.
    fn heed(&mut self, now_us: i64, usage: Usage) -> Usage {
        let usage = if !usage.is_over() && self.stays(now_us) { Usage::Over } else { usage };
        if usage.is_over() {
            self.tally.overuses += 1;
            self.known = true;
            self.rivalry.grows(now_us, &self.acked);
        }
        self.rivalry.look(now_us, self.standing.stood_us(), &self.acked, self.prober.is_idle());
        if self.rivalry.is_there(now_us) {
            return Usage::Normal; // it grows whatever we do
        }
        if !usage.is_over() {
            return usage;
        }
        self.prober.congested(now_us, self.acked.short());
        self.congested_us = Some(now_us);
        if self.rivalry.was_there(now_us) { usage.min(Usage::Deep) } else { usage }
    }

    /// Whether a queue stays that does not grow: so little more is sent than the path carries that no slope shows it, by us or by
    /// several of us together.
    fn stays(&self, now_us: i64) -> bool {
        let is_new = self.congested_us.is_none_or(|before| now_us - before > STAYS_US);
        is_new && self.standing.deep_us() > STAYS_US && !self.rivalry.is_there(now_us)
    }

    fn take_arrivals(&mut self, feedback: &TransportCc<'_>) -> Usage {
        let mut arrival_us = self.reference.micros(feedback.reference_time_64ms);
        let mut skipped = self.is_behind_a_gap(feedback);
        for (seq, delta) in feedback.arrivals() {
            let Some(delta) = delta else {
                if let Some(packet) = self.ledger.reported(seq.0) {
                    self.prober.missing(packet.cluster, packet.bytes);
                    self.again.missing(&packet);
                }
                continue;
            };
            arrival_us += i64::from(delta) * DELTA_US;
            if std::mem::take(&mut skipped) {
                self.acked.untold(arrival_us);
            }
            let Some(packet) = self.ledger.arrived(seq.0) else { continue };
            if packet.fate == Fate::Arrived {
                continue; // told twice
            }
            if packet.fate == Fate::Missing {
                self.again.came();
            }
            self.acked.add(arrival_us, packet.bytes);
            if packet.cluster != 0 {
                // A probe makes a queue on purpose.
                self.prober.arrived(&packet, arrival_us);
                self.groups.skip();
                self.trains.end();
                continue;
            }
            self.trains.arrived(packet.sent_us, arrival_us, packet.bytes);
            if let Some(delta) = self.groups.add(packet.sent_us, arrival_us) {
                self.trend.add(&delta);
                self.standing.add(&delta);
            }
        }
        self.trend.verdict()
    }

    /// Whether feedback before this one is missing. Numbers that were told of may be told of again: libwebrtc does so where
    /// packets overtook each other.
    fn is_behind_a_gap(&mut self, feedback: &TransportCc<'_>) -> bool {
        let newer = |one: u16, than: u16| (1..1 << 15).contains(&one.wrapping_sub(than));
        let (base, end) = (feedback.base_seq.0, feedback.base_seq.0.wrapping_add(feedback.count));
        let before = self.told;
        if before.is_none_or(|told| newer(end, told)) {
            self.told = Some(end);
        }
        before.is_some_and(|told| newer(base, told))
    }

    /// Learns what a probe has found, once its answer is complete.
    pub(super) fn conclude_probe(&mut self, now_us: i64) {
        let Some(found) = self.prober.result(now_us, self.ledger.newest_arrived()) else { return };
        self.known |= !found.all;
        if found.pace == Pace::Slowed {
            self.slowed_us = Some(now_us);
        }
        let ours = self.rivalry.found(now_us, &found, self.standing.stood_us());
        if ours.is_some() {
            self.tally.rivals += 1;
            self.aimd.forget_limit();
        }
        if self.rivalry.is_there(now_us) {
            self.prober.forget_limit(now_us);
        }
        let (bits, pace) = ours.map_or((found.bits, found.pace), |ours| (ours, Pace::Even));
        let before = self.estimate();
        let Some(believed) = self.aimd.raise(now_us, bits, pace) else { return };
        self.tally.probes_up += u64::from(believed > before);
        self.losses.raise(believed);
    }
}
