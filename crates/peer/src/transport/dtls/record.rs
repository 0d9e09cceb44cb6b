//! DTLS records and handshake headers as far as the glue must see them (RFC 6347 §4.1, §4.2.2).

/// Content types (RFC 5246 §6.2.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Handshake types (RFC 5246 §7.4).
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;

const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// Longest handshake message that is taken. A chain of certificates with RSA keys of 4,096 bits has some 6 KB; all fragments of
/// a message are kept until it is whole.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
}

/// The records of a datagram. Stops at the first one that does not fit; [`is_whole`] tells whether all do.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (record, tail) = split_record(rest)?;
        rest = tail;
        Some(record)
    })
}

/// Whether the datagram consists of whole records and nothing else. rtc-dtls takes anything else as a fatal error.
pub(super) fn is_whole(datagram: &[u8]) -> bool {
    let covered: usize = records(datagram).map(|record| RECORD_HEADER + record.body.len()).sum();
    !datagram.is_empty() && covered == datagram.len()
}

fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER>()?;
    let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let (body, tail) = rest.split_at_checked(len)?;
    if body.is_empty() {
        return None;
    }
    let epoch = u16::from_be_bytes([header[3], header[4]]);
    Some((Record { content_type: header[0], epoch, body }, tail))
}

/// A fragment of a handshake message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    /// Length of the whole message.
    pub(super) total: usize,
    pub(super) message_seq: u16,
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The first fragment of a plaintext handshake record; `None`: not one, or it contradicts itself.
    pub(super) fn parse(record: Record<'a>) -> Option<Self> {
        if record.content_type != HANDSHAKE || record.epoch != 0 {
            return None;
        }
        Self::split(record.body).map(|(fragment, _behind)| fragment)
    }

    /// The first fragment of these bytes, and what is behind it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<MESSAGE_HEADER>()?;
        let total = u24([header[1], header[2], header[3]]);
        let offset = u24([header[6], header[7], header[8]]);
        let len = u24([header[9], header[10], header[11]]);
        let (bytes, behind) = rest.split_at_checked(len)?;
        if offset + len > total {
            return None;
        }
        let message_seq = u16::from_be_bytes([header[4], header[5]]);
        Some((Self { kind: header[0], total, message_seq, offset, bytes }, behind))
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.total
    }
}

/// How many fragments a datagram has; `None`: one of them is none (RFC 6347 §4.2.3), or rtc-dtls would cut them otherwise.
///
/// It goes through the fragments of a message by calling itself for each, looks at no length before, and takes the length of
/// the whole message for that of the fragment: so a part of a message must be the last in its record, or it would find
/// fragments there that were not counted here. What is encrypted counts as the most fragments that it may hold.
pub(super) fn fragments(datagram: &[u8]) -> Option<usize> {
    let mut count = 0;
    for record in records(datagram).filter(|record| record.content_type == HANDSHAKE) {
        if record.epoch > 0 {
            count += record.body.len() / MESSAGE_HEADER;
            continue;
        }
        let mut rest = record.body;
        while !rest.is_empty() {
            let (fragment, behind) = Fragment::split(rest)?;
            let is_part = !fragment.is_whole();
            let is_bad = fragment.bytes.is_empty() || !behind.is_empty();
            if fragment.total > MAX_MESSAGE_BYTES || (is_part && is_bad) {
                return None;
            }
            (count, rest) = (count + 1, behind);
        }
    }
    Some(count)
}

fn u24(bytes: [u8; 3]) -> usize {
    let [high, middle, low] = bytes;
    (usize::from(high) << 16) | (usize::from(middle) << 8) | usize::from(low)
}

#[cfg(test)]
mod tests {
    use super::{Fragment, fragments, is_whole, records};

    fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9];
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn only_whole_datagrams_pass() {
        let one = record(23, b"abc");
        let two = [one.clone(), record(21, b"de")].concat();
        assert_eq!(
            records(&two).map(|r| (r.content_type, r.epoch, r.body.len())).collect::<Vec<_>>(),
            [(23, 1, 3), (21, 1, 2)]
        );
        assert!(is_whole(&one) && is_whole(&two));
        assert!(!is_whole(&[]), "empty");
        assert!(!is_whole(&two[..two.len() - 1]), "cut");
        assert!(!is_whole(&[&one[..], &[0]].concat()), "trailing byte");
        assert!(!is_whole(&record(23, b"")), "empty record");
    }

    #[test]
    fn fragments_must_fit_their_message() {
        // (total, offset, len, bytes present, accepted)
        let rows = [(3u8, 0u8, 3u8, 3, true), (3, 1, 2, 2, true), (3, 1, 3, 3, false), (3, 0, 3, 2, false)];
        for (total, offset, len, present, accepted) in rows {
            let mut body = vec![1, 0, 0, total, 0, 0, 0, 0, offset, 0, 0, len];
            body.extend(std::iter::repeat_n(7, present));
            let mut bytes = record(22, &body);
            bytes[4] = 0;
            let found = records(&bytes).next().and_then(Fragment::parse);
            assert_eq!(found.is_some(), accepted, "{total} {offset} {len} {present}");
        }
    }

    #[test]
    fn all_fragments_of_a_record_are_counted_and_bad_ones_found() {
        type Part = (u32, u32, u32); // total, offset, len
        let datagram = |epoch: u8, parts: &[Part]| {
            let mut body = Vec::new();
            for (total, offset, len) in parts {
                body.push(11);
                body.extend_from_slice(&total.to_be_bytes()[1..]);
                body.extend_from_slice(&[0, 1]);
                body.extend_from_slice(&offset.to_be_bytes()[1..]);
                body.extend_from_slice(&len.to_be_bytes()[1..]);
                body.extend(std::iter::repeat_n(7, *len as usize));
            }
            let mut bytes = record(22, &body);
            bytes[4] = epoch;
            bytes
        };
        let rows: [(&[Part], Option<usize>); 11] = [
            (&[(5, 0, 5)], Some(1)),
            (&[(5, 0, 5), (0, 0, 0), (3, 0, 3)], Some(3)),
            (&[(5, 0, 5), (9, 0, 4)], Some(2)),
            (&[(9, 4, 5)], Some(1)),
            (&[(9, 4, 5), (5, 0, 5)], None), // rtc-dtls would take the second for a piece of the first
            (&[(9, 4, 0)], None),
            (&[(0, 1, 0)], None),
            (&[(0, 0, 1)], None),
            (&[(9, 5, 5)], None),
            (&[(64 * 1024, 0, 1)], Some(1)),
            (&[(64 * 1024 + 1, 0, 1)], None),
        ];
        for (parts, want) in rows {
            assert_eq!(fragments(&datagram(0, parts)), want, "{parts:?}");
        }
        assert_eq!(fragments(&datagram(1, &[(0, 1, 1); 10])), Some(10), "sealed: nobody knows, so the most");
        let two = [datagram(0, &[(5, 0, 5)]), datagram(0, &[(9, 5, 5)])].concat();
        assert_eq!((fragments(&two), fragments(&record(23, &[1; 40]))), (None, Some(0)));
        let mut cut = datagram(0, &[(5, 0, 5)]);
        cut.extend_from_slice(&[1; 5]);
        cut[12] += 5;
        assert_eq!(fragments(&cut), None, "behind the last fragment is less than a header");
    }
}
