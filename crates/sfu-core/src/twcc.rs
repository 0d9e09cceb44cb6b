//! Records when a publisher's packets arrived and reports it (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3), so
//! that the publisher's bandwidth estimate can grow.

use std::collections::VecDeque;
use std::time::Instant;

use convene_rtp::rtcp::write_twcc;
use convene_rtp::seq::Unwrapper;
use convene_types::{SeqNo, Ssrc};

/// Packets of one feedback. 300 statuses with two-byte deltas are some 650 bytes: one datagram.
const MAX_STATUSES: usize = 300;
/// Packets between two feedbacks: at 60 ms this is 60,000 packets/s. A longer jump begins anew.
const MAX_PENDING: usize = 4_096;
/// How far back a late packet is still reported.
const MAX_BACK: usize = 128;
/// Delta unit, §3.1.5.
const DELTA_MICROS: u128 = 250;
/// Deltas in one unit of the reference time, 64 ms (§3.1).
const DELTAS_PER_REFERENCE: u64 = 256;

/// The arrivals of one publisher's transport.
#[derive(Debug)]
pub(crate) struct Recorder {
    epoch: Instant,
    unwrapper: Unwrapper,
    /// The first number that was not reported yet.
    base: u64,
    /// From `base` on, in units of 250 us since `epoch`; `None`: not arrived.
    arrivals: VecDeque<Option<u64>>,
    count: u8,
    deltas: Vec<Option<i16>>,
}

impl Recorder {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, unwrapper: Unwrapper::new(), base: 0, arrivals: VecDeque::new(), count: 0, deltas: Vec::new() }
    }

    /// A packet with this transport-wide number arrived.
    pub(crate) fn record(&mut self, now: Instant, seq: u16) {
        let first = self.unwrapper.highest().is_none();
        let seq = self.unwrapper.unwrap(SeqNo(seq)).0;
        if first {
            self.base = seq;
        }
        if seq < self.base {
            let back = usize::try_from(self.base - seq).unwrap_or(usize::MAX);
            if back > MAX_BACK || self.arrivals.len() + back > MAX_PENDING {
                return;
            }
            (0..back).for_each(|_| self.arrivals.push_front(None));
            self.base = seq;
        }
        let mut index = usize::try_from(seq - self.base).unwrap_or(usize::MAX);
        if index >= MAX_PENDING {
            self.arrivals.clear();
            (self.base, index) = (seq, 0);
        }
        if self.arrivals.len() <= index {
            self.arrivals.resize(index + 1, None);
        }
        let units = now.saturating_duration_since(self.epoch).as_micros() / DELTA_MICROS;
        if let Some(arrival) = self.arrivals.get_mut(index) {
            arrival.get_or_insert(units as u64);
        }
    }

    /// Hands everything not reported yet to `send`, one feedback packet a call; returns how many. `media` must be an SSRC
    /// that the publisher sends with, or libwebrtc ignores the feedback.
    pub(crate) fn report(&mut self, sender: Ssrc, media: Ssrc, mut send: impl FnMut(Vec<u8>)) -> usize {
        let mut packets = 0;
        while let Some(first) = self.arrivals.iter().flatten().next().copied() {
            let reference = first / DELTAS_PER_REFERENCE;
            let base = self.base;
            self.take_deltas(reference * DELTAS_PER_REFERENCE);
            let mut out = Vec::with_capacity(32 + 3 * self.deltas.len());
            let base_seq = SeqNo((base & 0xffff) as u16);
            let reference = (reference & 0xff_ffff) as u32; // 24 bits, wraps
            write_twcc(&mut out, sender, media, base_seq, reference, self.count, &self.deltas);
            self.count = self.count.wrapping_add(1);
            send(out);
            packets += 1;
        }
        packets
    }

    /// Moves arrivals into `deltas` until a packet is full or a delta does not fit 16 bits. The first one always fits: it
    /// is below one unit of the reference time.
    fn take_deltas(&mut self, mut previous: u64) {
        self.deltas.clear();
        while self.deltas.len() < MAX_STATUSES
            && let Some(arrival) = self.arrivals.front().copied()
        {
            let delta = match arrival.map(|units| i16::try_from(units.cast_signed() - previous.cast_signed())) {
                None => None,
                Some(Ok(delta)) => Some(delta),
                Some(Err(_)) => return,
            };
            previous = arrival.unwrap_or(previous);
            self.deltas.push(delta);
            self.arrivals.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convene_rtp::rtcp::{Packet, packets};
    use std::time::Duration;

    /// What the feedback packets say: number and time in units of 250 us since the reference time 0.
    fn read(recorder: &mut Recorder) -> Vec<(u16, Option<u64>)> {
        let mut bytes = Vec::new();
        recorder.report(Ssrc(1), Ssrc(2), |packet| bytes.extend(packet));
        let mut seen = Vec::new();
        for packet in packets(&bytes) {
            let Ok(Packet::TransportCc(feedback)) = packet else { panic!("{packet:?}") };
            assert_eq!((feedback.sender, feedback.media), (Ssrc(1), Ssrc(2)));
            let mut at = u64::from(feedback.reference_time_64ms) * DELTAS_PER_REFERENCE;
            for (seq, delta) in feedback.arrivals() {
                at = at.wrapping_add_signed(i64::from(delta.unwrap_or(0)));
                seen.push((seq.0, delta.map(|_| at)));
            }
        }
        seen
    }

    #[test]
    fn the_bytes_of_a_feedback() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start);
        for (ms, seq) in [(64, 65_535), (65, 0), (165, 2)] {
            recorder.record(start + Duration::from_millis(ms), seq);
        }
        let mut bytes = Vec::new();
        assert_eq!(recorder.report(Ssrc(0x0102_0304), Ssrc(0x0506_0708), |packet| bytes = packet), 1);
        #[rustfmt::skip]
        let want = [
            0xaf, 205, 0, 6, // padded, format 15; 6 + 1 words
            1, 2, 3, 4, 5, 6, 7, 8,
            0xff, 0xff, 0, 4, // base 65535, 4 statuses
            0, 0, 1, 0, // reference 1 x 64 ms, feedback 0
            0b1101_0100, 0b1000_0000, // two bits each: small, small, none, large
            0, 4, 0x01, 0x90, // 0 ms, 1 ms, 100 ms
            0, 2, // padding
        ];
        assert_eq!(bytes, want);
    }

    #[test]
    fn reports_each_packet_once_and_late_ones_again() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut recorder = Recorder::new(start);
        // (arrivals since the last report, what it says)
        type Row = (&'static [(u64, u16)], &'static [(u16, Option<u64>)]);
        let rows: [Row; 5] = [
            (&[(10, 65_534), (12, 0)], &[(65_534, Some(40)), (65_535, None), (0, Some(48))]),
            (&[], &[]),
            (&[(20, 2)], &[(1, None), (2, Some(80))]),
            (&[(30, 1), (31, 3)], &[(1, Some(120)), (2, None), (3, Some(124))]),
            (&[(50, 5), (49, 4), (60, 4)], &[(4, Some(196)), (5, Some(200))]),
        ];
        for (arrivals, want) in rows {
            arrivals.iter().for_each(|(ms, seq)| recorder.record(at(*ms), *seq));
            assert_eq!(read(&mut recorder), want, "{arrivals:?}");
        }
        recorder.record(at(100), 6);
        recorder.record(at(60_000), 7);
        assert_eq!(
            read(&mut recorder),
            [(6, Some(400)), (7, Some(240_000))],
            "a delta above 16 bits needs a new reference"
        );
        recorder.record(at(60_001), 20_000);
        assert_eq!(read(&mut recorder), [(20_000, Some(240_004))], "a jump begins anew");
        recorder.record(at(60_002), 7);
        assert!(read(&mut recorder).is_empty(), "too far back");
    }

    #[test]
    fn a_burst_goes_into_several_packets() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start);
        (0..1_000_u16).for_each(|seq| recorder.record(start + Duration::from_micros(u64::from(seq) * 250), seq));
        let mut sizes = Vec::new();
        assert_eq!(recorder.report(Ssrc(1), Ssrc(2), |packet| sizes.push(packet.len())), 4);
        assert!(sizes.iter().all(|size| *size < 1_200));
    }
}
