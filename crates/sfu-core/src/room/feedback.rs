//! RTCP that comes in.

use std::time::Instant;

use convene_rtp::rtcp::{Packet, ReportBlock, SenderInfo, packets};
use convene_types::{MediaKind, PeerId, Ssrc};

use super::Room;
use crate::Drop;

impl Room {
    /// Takes in a decrypted compound RTCP packet. Only streams that `from` sends or receives are looked at. A part that
    /// cannot be read does not stop the others.
    pub fn handle_rtcp(&mut self, now: Instant, from: PeerId, packet: &[u8]) -> Result<(), Drop> {
        self.touch(now);
        let subscriber = self.subscriber_places.get(&from).and_then(|index| self.subscribers.get_mut(*index));
        if let Some(subscriber) = subscriber {
            subscriber.hear(now);
        }
        let mut result = Ok(());
        for part in packets(packet) {
            match part {
                Ok(part) => self.handle_part(now, from, &part),
                Err(_) => result = Err(Drop::RtcpMalformed),
            }
        }
        result.inspect_err(|reason| self.stats.drop(*reason))
    }

    fn handle_part(&mut self, now: Instant, from: PeerId, part: &Packet<'_>) {
        match part {
            Packet::SenderReport(report) => {
                self.handle_sender_info(now, from, &report.info);
                report.reports().for_each(|block| self.handle_report_block(now, from, &block));
            }
            Packet::ReceiverReport(report) => {
                report.reports().for_each(|block| self.handle_report_block(now, from, &block));
            }
            Packet::Nack(nack) => self.handle_nack(now, from, nack),
            Packet::Pli { media, .. } => {
                self.stats.pli_in += 1;
                self.request_keyframe(from, *media);
            }
            Packet::Fir(fir) => {
                for entry in fir.entries() {
                    self.stats.fir_in += 1;
                    self.request_keyframe(from, entry.ssrc);
                }
            }
            Packet::TransportCc(feedback) => {
                self.stats.bwe_in += 1;
                self.handle_twcc(now, from, feedback);
            }
            Packet::Remb(remb) => {
                self.stats.bwe_in += 1;
                self.handle_remb(now, from, remb);
            }
            // A publisher's end and name are signaling's matter.
            Packet::Bye(_) | Packet::SourceDescription(_) | Packet::Other { .. } | _ => {}
        }
    }

    fn handle_sender_info(&mut self, now: Instant, from: PeerId, info: &SenderInfo) {
        let Some(publisher) = self.publisher_places.get(&from).and_then(|index| self.publishers.get(*index)) else {
            return;
        };
        for index in &publisher.tracks {
            let Some(track) = self.tracks.get_mut(*index) else { continue };
            let Some(layer) = track.layers.iter_mut().find(|layer| layer.ssrc == Some(info.ssrc)) else { continue };
            self.stats.sr_in += 1;
            let first = layer.clock.is_none();
            layer.sender_report(now, info);
            if !first {
                return;
            }
            // Receivers wait for this one to play audio and video in step.
            for subscriber in &track.subscribers {
                if let Some(waiting) = self.subscribers.get_mut(*subscriber)
                    && !std::mem::replace(&mut waiting.report_soon, true)
                {
                    self.report_soon.push(*subscriber);
                }
            }
            return;
        }
    }

    fn handle_report_block(&mut self, now: Instant, from: PeerId, block: &ReportBlock) {
        let Some(index) = self.subscriber_places.get(&from) else { return };
        let Some(subscriber) = self.subscribers.get_mut(*index) else { return };
        let congested = subscriber.is_congested(now);
        let Some(subscription) = subscriber.by_ssrc(block.ssrc) else { return };
        subscription.receiver_report(now, block, congested);
        if subscription.is_lossy() && !std::mem::replace(&mut subscriber.watched, true) {
            self.lossy.push(*index);
        }
    }

    pub(super) fn request_keyframe(&mut self, from: PeerId, media: Ssrc) {
        let Some(index) = self.subscriber_places.get(&from) else { return };
        let Some(subscriber) = self.subscribers.get_mut(*index) else { return };
        let Some(subscription) = subscriber.by_ssrc(media) else { return };
        let (Some(layer), index) = (subscription.wanted().or(subscription.current()), subscription.track) else {
            return;
        };
        if subscriber.has_keyframe(index, layer) {
            return; // it is on its way
        }
        let track = self.tracks.get_mut(index).filter(|track| track.kind == MediaKind::Video);
        let Some(track) = track else { return };
        if let Some(layer) = track.layers.get_mut(usize::from(layer)) {
            layer.pli.request();
            self.pli_wanted = true;
        }
    }
}
