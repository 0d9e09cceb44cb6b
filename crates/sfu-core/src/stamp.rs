//! What each packet of a subscriber carries for bandwidth estimation: a transport-wide number, or its send time.
//!
//! It stands first in the header's extension block, so that it is found without a search and the rest of the block can
//! be shared between subscribers.

use std::time::Duration;

use convene_rtp::ext::{self, Kind};

/// RFC 8285 §4.2.
const ONE_BYTE_PROFILE: [u8; 2] = [0xbe, 0xde];
/// Where the first element begins: fixed header, profile, length.
const FIRST_ELEMENT: usize = 16;
const EXTENSION_BIT: u8 = 0b0001_0000;

/// What is estimated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// We estimate: draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
    TransportCc,
    /// The receiver estimates, from the send times, and answers by REMB.
    AbsSendTime,
}

/// An extension whose value is the packet's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) method: Method,
    pub(crate) id: u8,
}

impl Stamp {
    /// What was negotiated; transport-wide numbers are preferred.
    pub(crate) fn of(exts: &ext::Map) -> Option<Self> {
        let of = |kind, method| exts.id(kind).map(|id| Self { method, id });
        of(Kind::TransportCc, Method::TransportCc).or_else(|| of(Kind::AbsSendTime, Method::AbsSendTime))
    }

    /// A value of the right length.
    pub(crate) const fn placeholder(self) -> &'static [u8] {
        match self.method {
            Method::TransportCc => &[0; 2],
            Method::AbsSendTime => &[0; 3],
        }
    }

    /// The place of the value in a packet that was written with this stamp; `None`: it has none.
    pub(crate) fn find(self, packet: &mut [u8]) -> Option<&mut [u8]> {
        let len = self.placeholder().len();
        if packet.first()? & EXTENSION_BIT == 0 {
            return None;
        }
        let one_byte = packet.get(12..14)? == ONE_BYTE_PROFILE;
        let expected = (self.id << 4) | (len - 1) as u8; // of two or three
        let (at, found) = match one_byte {
            true => (FIRST_ELEMENT + 1, *packet.get(FIRST_ELEMENT)? == expected),
            false => (FIRST_ELEMENT + 2, packet.get(FIRST_ELEMENT..FIRST_ELEMENT + 2)? == [self.id, len as u8]),
        };
        packet.get_mut(at..at + len).filter(|_| found)
    }
}

/// 24 bits of seconds with 18 of them behind the point.
pub(crate) fn abs_send_time(since_start: Duration) -> [u8; 3] {
    let units = (since_start.as_micros() << 18) / 1_000_000;
    let [.., a, b, c] = units.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use convene_rtp::packet::{Fields, View, write_header};
    use convene_types::{Pt, SeqNo, Ssrc};

    #[test]
    fn finds_its_place_in_both_forms() {
        let fields = Fields { marker: false, pt: Pt(1), seq: SeqNo(2), ts: 3, ssrc: Ssrc(4) };
        for method in [Method::TransportCc, Method::AbsSendTime] {
            for (id, other) in [(5, 6), (15, 6), (5, 200)] {
                let stamp = Stamp { method, id };
                let mut bytes = [0; 64];
                let len = write_header(&mut bytes, &fields, &[(id, stamp.placeholder()), (other, b"mid")]).unwrap();
                stamp.find(&mut bytes[..len]).unwrap().fill(7);
                let view = View::parse(&bytes[..len]).unwrap();
                assert!(view.extension(id).unwrap().iter().all(|byte| *byte == 7), "{id}");
                assert_eq!(view.extension(other).unwrap(), b"mid");
                assert!(Stamp { id: other, method }.find(&mut bytes[..len]).is_none());
            }
            let len = write_header(&mut [0; 64], &fields, &[]).unwrap();
            assert!(Stamp { method, id: 1 }.find(&mut [0x80; 64][..len]).is_none());
        }
    }

    #[test]
    fn send_time_wraps_each_64_seconds() {
        assert_eq!(abs_send_time(Duration::from_secs(1)), [4, 0, 0]);
        assert_eq!(abs_send_time(Duration::from_secs(65)), [4, 0, 0]);
        assert_eq!(abs_send_time(Duration::from_micros(4)), [0, 0, 1]);
    }
}
