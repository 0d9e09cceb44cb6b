//! Where an event is: its conversation and its seq in one integer, the rowid of `events`.
//!
//! A log stays in one piece on the disk, as with a primary key of two columns. But rows of a rowid table are in the leaves
//! alone, and the pages above hold nothing but integers: hundreds of them. Without a rowid they hold whole events, some ten
//! to a page (<https://www.sqlite.org/withoutrowid.html>, section 4), and a tree of a million events is twice as high.

use convene_types::{ConvId, Seq};

/// Events in one conversation, less one: half of the integer.
const MAX_SEQ: u64 = u32::MAX as u64;
/// Conversations of one database: what is left of the other half without the sign.
const MAX_CONV: u64 = i32::MAX as u64;

/// The rowid of an event. Both may come from the network: beyond the bounds there is no event.
pub(crate) fn event_id(conv: ConvId, seq: Seq) -> Option<i64> {
    if conv.0 > MAX_CONV || seq.0 > MAX_SEQ {
        return None;
    }
    i64::try_from(conv.0 << 32 | seq.0).ok()
}

/// Rowids of the events of (low, high], as exclusive and inclusive bounds.
pub(crate) fn event_span(conv: ConvId, (low, high): (Seq, Seq)) -> Option<(i64, i64)> {
    let id = |seq: Seq| event_id(conv, Seq(seq.0.min(MAX_SEQ)));
    Some((id(low)?, id(high)?))
}

/// The seq in a rowid.
pub(crate) fn seq_of(id: i64) -> Seq {
    Seq(id.cast_unsigned() & MAX_SEQ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_conversation_and_seq() {
        let places = [(0, 0), (0, 1), (0, MAX_SEQ), (1, 0), (1, 1), (7, 3), (MAX_CONV, 0), (MAX_CONV, MAX_SEQ)];
        let ids = places.map(|(conv, seq)| event_id(ConvId(conv), Seq(seq)).expect("within the bounds"));
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(ids.map(|id| seq_of(id).0), places.map(|(_, seq)| seq));
    }

    #[test]
    fn nothing_is_beyond_the_bounds_and_nothing_of_another_conversation_is_found() {
        for (conv, seq) in [(0, MAX_SEQ + 1), (MAX_CONV + 1, 0), (u64::MAX, u64::MAX), (1 << 32, 1)] {
            assert_eq!(event_id(ConvId(conv), Seq(seq)), None, "{conv} {seq}");
        }
        let all = event_span(ConvId(5), (Seq(3), Seq(u64::MAX)));
        assert_eq!(all, event_id(ConvId(5), Seq(3)).zip(event_id(ConvId(5), Seq(MAX_SEQ))));
    }
}
