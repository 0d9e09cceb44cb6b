//! Which packets of the peer may go to SCTP: what `sctp-proto` 0.10 would keep without a bound is dropped here.
//!
//! It keeps a copy of each chunk of DATA until all before it have come, also of messages that were read long ago, announces
//! its window without them, and sorts them with each that comes. So a peer that leaves out one TSN and goes on fills the memory.
//! And DATA without user data takes nothing of the window at all.

/// TSNs above the one up to which all have come. At 1,200 bytes a packet it is the window that we announce, four times over; a
/// sender of smaller messages has that many under way only at more than 20,000 a second. What is dropped counts as lost there.
const MAX_AHEAD: u32 = 4_096;

/// Longest packet. RFC 8831 §5 has 1,200 bytes without path MTU discovery; a copy of a packet lives as long as its chunks.
const MAX_PACKET_BYTES: usize = 4_096;

/// RFC 9260 §3, §3.1, §3.2.
const HEADER_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 4;

/// Chunk types (RFC 9260 §3.2).
const DATA: u8 = 0;
const SACK: u8 = 3;

/// RFC 9260 §3.3.1: a chunk of DATA before its user data.
const DATA_HEADER_BYTES: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// All TSNs up to this one have come, as far as it was said.
    cumulative: Option<u32>,
}

impl Window {
    /// The association that this INIT begins counts from here on.
    pub(super) fn note_init(&mut self, packet: &[u8]) {
        // RFC 9260 §3.3.2: behind tag, window and the numbers of streams.
        const INITIAL_TSN: usize = HEADER_BYTES + CHUNK_HEADER_BYTES + 12;
        self.cumulative = u32_at(packet, INITIAL_TSN).map(|initial| initial.wrapping_sub(1));
    }

    /// A packet of ours. `sctp-proto` gives each SACK one of its own.
    pub(super) fn note_sent(&mut self, packet: &[u8]) {
        if first_chunk(packet) == Some(SACK) {
            self.cumulative = u32_at(packet, HEADER_BYTES + CHUNK_HEADER_BYTES).or(self.cumulative);
        }
    }

    /// How many chunks of DATA a packet has. `None`: it is to be dropped.
    pub(super) fn admit(&self, packet: &[u8]) -> Option<u64> {
        if packet.len() > MAX_PACKET_BYTES {
            return None;
        }
        let mut count = 0;
        for chunk in chunks(packet).filter(|chunk| chunk.first() == Some(&DATA)) {
            let is_empty = chunk.len() <= DATA_HEADER_BYTES;
            if is_empty || self.is_ahead(u32_at(chunk, CHUNK_HEADER_BYTES)?) {
                return None;
            }
            count += 1;
        }
        Some(count)
    }

    /// RFC 1982 §3.2: what is half of all numbers away is neither behind nor ahead; `sctp-proto` keeps it.
    fn is_ahead(&self, tsn: u32) -> bool {
        self.cumulative.is_some_and(|cumulative| (MAX_AHEAD + 1..=1 << 31).contains(&tsn.wrapping_sub(cumulative)))
    }
}

/// The type of the first chunk of a packet.
pub(super) fn first_chunk(packet: &[u8]) -> Option<u8> {
    packet.get(HEADER_BYTES).copied()
}

/// The chunks of a packet, up to the first that does not fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packet.get(HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let chunk = rest.get(..length).filter(|_| length >= CHUNK_HEADER_BYTES)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(chunk)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut chunk = vec![kind, 3];
        chunk.extend_from_slice(&((value.len() + CHUNK_HEADER_BYTES) as u16).to_be_bytes());
        chunk.extend_from_slice(value);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn data(tsn: u32, user_bytes: usize) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 51]);
        value.resize(value.len() + user_bytes, 7);
        chunk(DATA, &value)
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        [vec![9; HEADER_BYTES], chunks.concat()].concat()
    }

    fn after_sack(cumulative: u32) -> Window {
        let mut window = Window::default();
        let mut value = cumulative.to_be_bytes().to_vec();
        value.extend_from_slice(&[0, 16, 0, 0, 0, 0, 0, 0]);
        window.note_sent(&packet(&[chunk(SACK, &value)]));
        window
    }

    #[test]
    fn data_may_be_so_far_ahead_also_at_the_wrap() {
        let rows = [
            (1, Some(1)),
            (0, Some(1)),
            (u32::MAX, Some(1)), // behind: a repeat
            (MAX_AHEAD, Some(1)),
            (MAX_AHEAD + 1, None),
            ((1 << 31) - 1, None),
            (1 << 31, None),
            ((1 << 31) + 1, Some(1)), // behind by less than half
        ];
        for cumulative in [0, 7, u32::MAX - 2, 1 << 31] {
            let window = after_sack(cumulative);
            for (ahead, want) in rows {
                let tsn = cumulative.wrapping_add(ahead);
                assert_eq!(window.admit(&packet(&[data(tsn, 1)])), want, "{cumulative} and {ahead}");
            }
        }
    }

    #[test]
    fn every_chunk_is_looked_at_and_none_is_empty() {
        let window = after_sack(100);
        let rows: [(&[Vec<u8>], Option<u64>); 8] = [
            (&[], Some(0)),
            (&[data(101, 3), data(102, 1), data(103, 400)], Some(3)),
            (&[data(101, 3), chunk(SACK, &[1; 13]), data(9_000, 3)], None),
            (&[chunk(10, &[5; 33]), data(101, 1)], Some(1)),
            (&[data(101, 0)], None),
            (&[data(101, 3), data(102, 0)], None),
            (&[chunk(DATA, &[0, 0, 0, 101])], None),
            (&[chunk(6, &[]), vec![0, 3, 0, 3], data(9_000, 3)], Some(0)), // SCTP refuses it whole
        ];
        for (chunks, want) in rows {
            assert_eq!(window.admit(&packet(chunks)), want, "{chunks:?}");
        }
        assert_eq!(window.admit(&packet(&[data(101, MAX_PACKET_BYTES)])), None);
        assert_eq!((window.admit(&[]), window.admit(&[0; 15])), (Some(0), Some(0)));
    }

    #[test]
    fn an_init_says_where_it_begins_and_a_sack_how_far_it_is() {
        let mut window = Window::default();
        assert_eq!(window.admit(&packet(&[data(77, 1)])), Some(1), "nothing is known");
        let mut value = vec![1; 12];
        value.extend_from_slice(&0_u32.to_be_bytes());
        window.note_init(&packet(&[chunk(1, &value)]));
        assert_eq!(window.cumulative, Some(u32::MAX));
        window.note_sent(&packet(&[data(5, 9)]));
        assert_eq!(window.cumulative, Some(u32::MAX));
        assert_eq!(after_sack(9_000).admit(&packet(&[data(9_500, 1)])), Some(1));
    }
}
