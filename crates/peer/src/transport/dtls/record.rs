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
        let (header, rest) = record.body.split_first_chunk::<MESSAGE_HEADER>()?;
        let total = u24([header[1], header[2], header[3]]);
        let offset = u24([header[6], header[7], header[8]]);
        let len = u24([header[9], header[10], header[11]]);
        let bytes = rest.get(..len)?;
        if offset + len > total {
            return None;
        }
        let message_seq = u16::from_be_bytes([header[4], header[5]]);
        Some(Self { kind: header[0], total, message_seq, offset, bytes })
    }
}

fn u24(bytes: [u8; 3]) -> usize {
    let [high, middle, low] = bytes;
    (usize::from(high) << 16) | (usize::from(middle) << 8) | usize::from(low)
}

#[cfg(test)]
mod tests {
    use super::{Fragment, is_whole, records};

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
}
