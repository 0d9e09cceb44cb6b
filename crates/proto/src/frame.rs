//! Framing: a protobuf varint with the length, then the frame. On a WebSocket and in a datagram the frame stands alone.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::im::{Frame, frame::Body};
use crate::limits::MAX_FRAME_BYTES;

/// A length prefix takes at most so many bytes: a longer one is no length we accept.
const MAX_PREFIX_BYTES: usize = 5;

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The prefix names more than [`MAX_FRAME_BYTES`], or is no varint: where the next frame begins is unknown.
    #[error("a frame is longer than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// No protobuf of a `Frame`. The next one can be read.
    #[error("not a frame: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// A frame with its length prefix, as it goes on a stream.
#[must_use]
pub fn encode(frame: &Frame) -> Bytes {
    let mut out = BytesMut::with_capacity(frame.encoded_len() + MAX_PREFIX_BYTES);
    // A BytesMut grows, so there is always room.
    let _ = frame.encode_length_delimited(&mut out);
    out.freeze()
}

/// The same frame without its prefix, for a WebSocket message or a datagram. Shares the bytes.
#[must_use]
pub fn without_prefix(mut encoded: Bytes) -> Bytes {
    let mut rest = encoded.clone();
    match prost::decode_length_delimiter(&mut rest) {
        Ok(_) => encoded.split_off(encoded.len() - rest.len()),
        Err(_) => encoded,
    }
}

/// Reads a frame that stands alone.
pub fn decode(bytes: Bytes) -> Result<Frame, FrameError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge);
    }
    Ok(Frame::decode(bytes)?)
}

/// A request's frame, or with `rid` 0 a push.
#[must_use]
pub fn of(rid: u64, body: Body) -> Frame {
    Frame { rid, body: Some(body) }
}

/// `Deliver` over events that are encoded already, with the length prefix: made once, sent to every receiver.
#[must_use]
pub fn deliver(conv: u64, from: u64, to: u64, events: &[Bytes]) -> Bytes {
    const FRAME_DELIVER: u32 = 46;
    const EVENTS: u32 = 4;
    let fields = [(1, conv), (2, from), (3, to)];
    let inner = varints_len(&fields) + events.iter().map(|event| field_len(EVENTS, event.len())).sum::<usize>();
    let outer = field_len(FRAME_DELIVER, inner);
    let mut out = BytesMut::with_capacity(outer + MAX_PREFIX_BYTES);
    encode_varint(outer as u64, &mut out);
    encode_key(FRAME_DELIVER, WireType::LengthDelimited, &mut out);
    encode_varint(inner as u64, &mut out);
    put_varints(&fields, &mut out);
    for event in events {
        encode_key(EVENTS, WireType::LengthDelimited, &mut out);
        encode_varint(event.len() as u64, &mut out);
        out.put_slice(event);
    }
    out.freeze()
}

fn field_len(tag: u32, len: usize) -> usize {
    key_len(tag) + encoded_len_varint(len as u64) + len
}

fn varints_len(fields: &[(u32, u64)]) -> usize {
    let present = fields.iter().filter(|(_, value)| *value != 0);
    present.map(|(tag, value)| key_len(*tag) + encoded_len_varint(*value)).sum()
}

fn put_varints(fields: &[(u32, u64)], out: &mut BytesMut) {
    for (tag, value) in fields.iter().filter(|(_, value)| *value != 0) {
        encode_key(*tag, WireType::Varint, out);
        encode_varint(*value, out);
    }
}

/// Cuts what a stream delivers into frames.
///
/// It holds at most one frame and one read: the caller takes all frames out between two reads.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. After [`FrameError::TooLarge`] the stream is of no more use; after
    /// [`FrameError::Malformed`] it is.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((prefix, len)) = self.prefix()? else { return Ok(None) };
        if self.buffer.len() < prefix + len {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        let frame = self.buffer.split_to(len).freeze();
        Ok(Some(Frame::decode(frame)?))
    }

    /// Whether the stream may end here: between two frames.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Length of the prefix, and the length it names.
    fn prefix(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let mut len = 0_u64;
        for (at, byte) in self.buffer.iter().take(MAX_PREFIX_BYTES).enumerate() {
            len |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let len = usize::try_from(len).ok().filter(|len| *len <= MAX_FRAME_BYTES);
                return len.map(|len| Some((at + 1, len))).ok_or(FrameError::TooLarge);
            }
        }
        if self.buffer.len() >= MAX_PREFIX_BYTES { Err(FrameError::TooLarge) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::im;

    fn text(n: u64) -> Frame {
        let text = im::Text { text: format!("message {n}") };
        let body = im::Body { kind: Some(im::body::Kind::Text(text)), ..im::Body::default() };
        of(n, Body::Send(im::Send { conv: n, client_id: Bytes::from_static(&[7; 16]), body: Some(body) }))
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let frames: Vec<_> = (1..40).map(text).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode(frame).to_vec()).collect();
        for piece in [1, 2, 3, 7, 64, bytes.len()] {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            for cut in bytes.chunks(piece) {
                decoder.push(cut);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    out.push(frame);
                }
            }
            assert_eq!(out, frames, "pieces of {piece}");
            assert!(decoder.is_between_frames());
        }
    }

    #[test]
    fn a_long_frame_is_refused_by_its_prefix() {
        let rows: [(&[u8], bool); 6] = [
            (&[0x80, 0x80, 0x04], false),                  // 65,536: the longest
            (&[0x81, 0x80, 0x04], true),                   // one more
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], true),       // 4 GiB
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], true), // longer than a prefix may be
            (&[0x80, 0x80, 0x80], false),                  // not whole yet
            (&[], false),
        ];
        for (bytes, refused) in rows {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            let want = if refused { Err(FrameError::TooLarge) } else { Ok(None) };
            assert_eq!(decoder.next_frame(), want, "{bytes:?}");
        }
        assert_eq!(decode(Bytes::from(vec![0; MAX_FRAME_BYTES + 1])), Err(FrameError::TooLarge));
    }

    #[test]
    fn after_a_malformed_frame_the_next_is_read() {
        let mut decoder = Decoder::default();
        decoder.push(&[3, 0xff, 0xff, 0xff]);
        decoder.push(&encode(&text(1)));
        assert!(matches!(decoder.next_frame(), Err(FrameError::Malformed(_))));
        assert_eq!(decoder.next_frame(), Ok(Some(text(1))));
    }

    #[test]
    fn a_spliced_delivery_is_what_prost_would_write() {
        let event =
            |seq| im::Event { conv: 9, seq, ord: seq, sender: 4, at_ms: 1_700_000_000_000, ..im::Event::default() };
        for (from, count) in [(0, 1), (0, 3), (300, 200)] {
            let events: Vec<_> = (from + 1..=from + count).map(event).collect();
            let raw: Vec<_> = events.iter().map(|event| Bytes::from(event.encode_to_vec())).collect();
            let typed = im::Deliver { conv: 9, from, to: from + count, events };
            let want = encode(&of(0, Body::Deliver(typed)));
            let got = deliver(9, from, from + count, &raw);
            assert_eq!(got, want);
            assert_eq!(decode(without_prefix(got)).unwrap(), decode(without_prefix(want)).unwrap());
        }
    }

    #[test]
    fn codes_have_labels() {
        assert_eq!(im::Code::NotAMember.label(), "not_a_member");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes: Vec<u8>, cut in 0_usize..64) {
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(cut.max(1)) {
                decoder.push(piece);
                while let Ok(Some(_)) = decoder.next_frame() {}
            }
        }
    }
}
