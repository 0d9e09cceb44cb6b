//! Frames of data tracks are sent to a peer whole or not at all: of one that lacks a packet nothing is of use, and a path that
//! takes a part of what there is would take a part of each. The header of packets is drawn in `signaling`'s `livekit/data_track.rs`.

use rustc_hash::FxHashSet;

/// Of the first byte of a packet: a frame begins.
const BEGINS: u8 = 0x10;

/// Tracks whose present frame one peer does not get, by the handle in their packets. The room has given those out; one that
/// ended in such a frame stays, two bytes, until its handle is met again.
#[derive(Debug, Default)]
pub(crate) struct Frames(FxHashSet<u16>);

impl Frames {
    /// Sends a packet by `send`, which is told whether it may come late: the first one of a frame may not, the others do
    /// where it was sent. `false`: it was dropped.
    pub(crate) fn send(&mut self, packet: &[u8], send: impl FnOnce(bool) -> bool) -> bool {
        let Some([first, _, high, low]) = packet.first_chunk() else { return false };
        let (begins, track) = (first & BEGINS != 0, u16::from_be_bytes([*high, *low]));
        if !begins && self.0.contains(&track) {
            return false;
        }
        let sent = send(!begins);
        if sent {
            self.0.remove(&track)
        } else {
            self.0.insert(track)
        };
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_begun_is_ended_and_one_that_was_not_is_left_out() {
        let mut frames = Frames::default();
        let (begin, more, both) = (0x10, 0, 0x18);
        // (first byte, track, what is taken: in time, late; whether it was sent)
        let rows = [
            (begin, 1, (true, true), true),
            (more, 1, (false, true), true),
            (begin, 2, (false, true), false),
            (more, 2, (true, true), false),
            (more, 1, (false, true), true),
            (more, 1, (false, false), false),
            (more, 1, (true, true), false),
            (both, 1, (true, true), true),
            (both, 2, (false, true), false),
            (both, 2, (true, true), true),
        ];
        for (index, (first, track, (in_time, late), want)) in rows.into_iter().enumerate() {
            let packet = [first, 0, 0, track, 9];
            assert_eq!(frames.send(&packet, |is_late| if is_late { late } else { in_time }), want, "{index}");
        }
        assert!(!frames.send(&[0x10], |_| true));
    }
}
