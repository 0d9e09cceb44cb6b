//! Plain counters of a room; the shell exports them.

use crate::Drop;

/// Everything only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// RTP packets handed in.
    pub packets_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// RTP packets written for subscribers, retransmissions included.
    pub packets_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Padding-only packets of publishers: dropped, and the gap closed.
    pub padding_in: u64,
    /// RTX packets of publishers.
    pub rtx_in: u64,
    /// RTX packets to subscribers.
    pub rtx_out: u64,
    /// Packets that subscribers asked for again.
    pub nack_in: u64,
    /// Packets that we asked publishers for.
    pub nack_out: u64,
    /// Asked for again, but no longer or never in the history.
    pub nack_missed: u64,
    /// Sent again without having been asked for: feedback did not have it.
    pub rtx_unasked: u64,
    /// Asked for again too soon after it was sent again.
    pub nack_suppressed: u64,
    /// Asked for again where the path has no room for what a keyframe behind it makes good.
    pub nack_superseded: u64,
    /// Asked for after an outage, for which a keyframe was asked instead.
    pub nack_too_late: u64,
    /// Not sent again because repeats already take their part of the path.
    pub rtx_over_budget: u64,
    /// Asked for again where RTX was not negotiated.
    pub nack_without_rtx: u64,
    /// Packets given up: the publisher did not repeat them in time.
    pub lost_in: u64,
    /// PLIs of subscribers.
    pub pli_in: u64,
    /// FIR entries of subscribers.
    pub fir_in: u64,
    /// PLIs to publishers.
    pub pli_out: u64,
    /// TWCC feedback packets to publishers.
    pub twcc_out: u64,
    /// TWCC feedback packets and REMBs of subscribers.
    pub bwe_in: u64,
    /// SRs of publishers.
    pub sr_in: u64,
    /// SRs to subscribers.
    pub sr_out: u64,
    /// RRs to publishers.
    pub rr_out: u64,
    /// Keyframes of publishers.
    pub keyframes_in: u64,
    /// A subscription began or moved to a layer.
    pub switches: u64,
    /// A subscription got more or less of the layers within a stream.
    pub turns: u64,
    /// Packets not sent because they are of a layer within a stream that the subscriber does not get.
    pub layered_out: u64,
    /// Audio packets not sent because their track is not among the loudest.
    pub not_loudest: u64,
    /// Changes of which tracks are.
    pub loudest_changes: u64,
    /// Packets of plain Opus sent as RED.
    pub red_made: u64,
    /// Packets of audio that were lost on the publisher's path and taken from the RED of a later one.
    pub red_recovered: u64,
    /// Layers whose stream began anew: another SSRC, or a jump of the sequence numbers.
    pub restarts: u64,
    /// Packets not sent because the subscriber has no payload type for them.
    pub unmapped_pt: u64,
    /// Packets not sent because they came before the point where the subscriber joined the layer.
    pub before_switch: u64,
    /// Packets not sent because they left the history before the flush, or did not fit the shell's buffer.
    pub unwritten: u64,
    /// Packets that waited for their turn on a narrow path.
    pub paced: u64,
    /// Feedback that showed a queue growing on a subscriber's path.
    pub overuses: u64,
    /// Bandwidth probes begun, and those that found more than was known.
    pub probes: u64,
    /// See `probes`.
    pub probes_up: u64,
    /// Times that a queue was found to be somebody else's.
    pub rivals: u64,
    /// Packets sent for them alone.
    pub probe_packets: u64,
    /// Paths that were interrupted or changed.
    pub interruptions: u64,
    /// Subscriptions that got a higher layer, or began again, by bandwidth.
    pub rises: u64,
    /// Subscriptions that got a lower layer, or were paused, by bandwidth.
    pub falls: u64,
    /// Layers that were left for lower ones because a full path of their publisher lost them.
    pub hopeless: u64,
    /// Layers that came back and were held until their keyframe was whole.
    pub holds: u64,
    /// Subscriptions paused because not even their lowest layer fits.
    pub starved: u64,
    drops: [u64; Drop::ALL.len()],
}

impl Stats {
    /// Packets dropped for this reason.
    #[must_use]
    pub fn drops(&self, reason: Drop) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or_default()
    }

    pub(crate) fn drop(&mut self, reason: Drop) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_counter_and_label() {
        let mut stats = Stats::default();
        for (index, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            stats.drop(reason);
        }
        assert!(Drop::ALL.into_iter().all(|reason| stats.drops(reason) == 1));
        let mut labels: Vec<&str> = Drop::ALL.into_iter().map(Drop::as_str).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Drop::ALL.len());
    }
}
