//! RTCP that goes out.

use std::time::Instant;

use convene_rtp::rtcp::{ReportBlock, write_nack, write_pli, write_rr, write_sdes_cname, write_sr};
use convene_types::{MediaKind, PeerId, SeqNo, Ssrc};

use super::Room;
use crate::track::below;

/// So much is missing of a layer that a full path will not carry it: its viewers go on with a lower one at once, whose keyframe
/// comes sooner than the repeats would. A publisher that still sends it then has to make it fit.
const HOPELESS: usize = 8;

/// A compound packet is closed before it grows above this, so that it fits one datagram with SRTCP's bytes.
const MAX_COMPOUND_BYTES: usize = 1_100;

impl Room {
    /// The next plaintext compound packet, and for whom.
    pub fn poll_rtcp(&mut self, now: Instant) -> Option<(PeerId, Vec<u8>)> {
        if std::mem::take(&mut self.pli_wanted) {
            self.send_plis(now);
        }
        self.rtcp.pop_front()
    }

    /// Asks publishers for keyframes where it is time; the others are looked at again at the next tick.
    pub(super) fn send_plis(&mut self, now: Instant) {
        for (_, track) in &mut self.tracks {
            let Some(publisher) = self.publishers.get(track.publisher) else { continue };
            for layer in &mut track.layers {
                let Some(ssrc) = layer.ssrc else { continue };
                if layer.pli.poll(now, self.config.pli_interval) {
                    let mut out = compound(self.config.sender_ssrc);
                    write_pli(&mut out, self.config.sender_ssrc, ssrc);
                    self.rtcp.push_back((publisher.peer, out));
                    self.stats.pli_out += 1;
                }
            }
        }
    }

    /// Asks publishers for missing packets where it is time, and for keyframes where packets are given up.
    pub(super) fn send_nacks(&mut self, now: Instant) {
        let mut seqs: Vec<SeqNo> = Vec::new();
        let mut hopeless: Vec<usize> = Vec::new();
        self.nack_due = None;
        for (place, track) in &mut self.tracks {
            let Some(publisher) = self.publishers.get(track.publisher) else { continue };
            let (full, live) = (publisher.queue.is_full(now), track.live);
            for (index, layer) in (0_u8..).zip(&mut track.layers).filter(|(_, layer)| !layer.nack.is_empty()) {
                let Some(ssrc) = layer.ssrc else { continue };
                if !layer.is_wanted() {
                    layer.nack.clear();
                    continue;
                }
                // Its viewers wait for the keyframe of another layer, which repeats would only delay on the path that made
                // it stop.
                if layer.has_stopped() {
                    continue;
                }
                if full && layer.nack.len() >= HOPELESS && live & below(index) != 0 {
                    hopeless.push(place);
                    self.stats.hopeless += 1;
                    layer.stop();
                    continue;
                }
                let lost = match track.nack {
                    true => layer.nack.poll(now, layer.path(full), &mut seqs),
                    false => layer.nack.give_up(now),
                };
                self.stats.lost_in += lost as u64;
                if lost > 0 && track.kind == MediaKind::Video {
                    layer.pli.insist();
                    self.pli_wanted = true;
                }
                if !seqs.is_empty() {
                    let mut out = compound(self.config.sender_ssrc);
                    write_nack(&mut out, self.config.sender_ssrc, ssrc, &seqs);
                    self.rtcp.push_back((publisher.peer, out));
                    self.stats.nack_out += seqs.len() as u64;
                    seqs.clear();
                }
                self.nack_due = [self.nack_due, layer.nack.due()].into_iter().flatten().min();
            }
        }
        for place in hopeless {
            self.look_at_layers(place);
        }
    }

    /// Tells publishers when their packets arrived.
    pub(super) fn send_twcc(&mut self) {
        let sender = self.config.sender_ssrc;
        for (_, publisher) in self.publishers.iter_mut().filter(|(_, publisher)| !publisher.piped) {
            let Some(media) = publisher.media_ssrc else { continue };
            let (peer, rtcp) = (publisher.peer, &mut self.rtcp);
            let packets = publisher.twcc.report(sender, media, |feedback| {
                let mut out = compound(sender);
                out.extend_from_slice(&feedback);
                rtcp.push_back((peer, out));
            });
            self.stats.twcc_out += packets as u64;
        }
    }

    /// Receiver reports to the publishers whose turn it is.
    pub(super) fn send_receiver_reports(&mut self, now: Instant, turn: u64, turns: u64) {
        let mut blocks: Vec<ReportBlock> = Vec::new();
        for (index, publisher) in &mut self.publishers {
            if index as u64 % turns != turn || publisher.piped {
                continue;
            }
            let (mut loss, mut jitter_ms) = (0.0, 0.0_f64);
            for track in &publisher.tracks {
                let Some(track) = self.tracks.get_mut(*track) else { continue };
                for layer in &mut track.layers {
                    let Some(block) = layer.ssrc.and_then(|ssrc| layer.reception.report(now, ssrc)) else { continue };
                    let lost = f64::from(block.fraction_lost) / 256.0;
                    let jitter = f64::from(block.jitter) * 1e3 / f64::from(layer.rate.max(1));
                    (loss, jitter_ms) = (loss + lost, jitter_ms.max(jitter));
                    track.reports.add(lost as f32, jitter as f32);
                    blocks.push(block);
                }
            }
            if !blocks.is_empty() {
                publisher.uplink = Some((loss / blocks.len() as f64, jitter_ms));
                let mut out = Vec::new();
                write_rr(&mut out, self.config.sender_ssrc, &blocks);
                self.rtcp.push_back((publisher.peer, out));
                self.stats.rr_out += 1;
                blocks.clear();
            }
        }
    }

    /// Sender reports to the subscribers whose turn it is.
    pub(super) fn send_sender_reports(&mut self, now: Instant, turn: u64, turns: u64) {
        let capacity = self.subscribers.capacity();
        let first = usize::try_from(turn).unwrap_or(0);
        for index in (first..capacity).step_by(usize::try_from(turns).unwrap_or(1).max(1)) {
            self.send_sender_reports_to(now, index);
        }
    }

    /// Sender reports to those whose stream began or moved, or whose publisher has just told the time.
    pub(super) fn send_soon_reports(&mut self, now: Instant) {
        for index in std::mem::take(&mut self.report_soon) {
            self.send_sender_reports_to(now, index);
        }
    }

    fn send_sender_reports_to(&mut self, now: Instant, index: usize) {
        let Self { subscribers, tracks, publishers, rtcp, stats, .. } = self;
        let Some(subscriber) = subscribers.get_mut(index) else { return };
        subscriber.report_soon = false;
        subscriber.repairs.close_second(now);
        let peer = subscriber.peer;
        let mut out = Vec::new();
        for subscription in subscriber.iter_mut() {
            let Some(track) = tracks.get(subscription.track) else { continue };
            let Some(info) = subscription.sender_report(now, &track.layers) else { continue };
            write_sr(&mut out, &info, &[]);
            if let Some(publisher) = publishers.get(track.publisher) {
                write_sdes_cname(&mut out, info.ssrc, &publisher.cname);
            }
            stats.sr_out += 1;
            if out.len() > MAX_COMPOUND_BYTES - 100 {
                rtcp.push_back((peer, std::mem::take(&mut out)));
            }
        }
        if !out.is_empty() {
            rtcp.push_back((peer, out));
        }
    }
}

/// RFC 3550 §6.1: a compound packet begins with a report, if only an empty one; reduced size (RFC 5506) would have to be
/// negotiated.
fn compound(sender: Ssrc) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    write_rr(&mut out, sender, &[]);
    out
}
