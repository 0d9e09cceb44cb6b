//! VP8 in RTP: the payload descriptor (RFC 7741 §4.2), the first bytes of the frame (§4.3), and the two numbers that a
//! forwarder must rewrite when it switches or drops layers.

use crate::ParseError;
use crate::picture::{Cursor, Places};

/// What a VP8 payload says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor; the VP8 data follows.
    pub len: usize,
    /// First packet of a frame: S bit set and partition index 0.
    pub start_of_partition: bool,
    /// N bit: no later frame depends on this one.
    pub non_reference: bool,
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// Whether the picture id has 15 bits.
    pub picture_id_15bit: bool,
    /// Running index of temporal layer 0 frames.
    pub tl0picidx: Option<u8>,
    /// Temporal layer.
    pub tid: Option<u8>,
    /// Y bit: depends on temporal layer 0 only. Meaningless without `tid`.
    pub layer_sync: bool,
    /// Temporal key frame index, 5 bits.
    pub keyidx: Option<u8>,
    /// First packet of a keyframe.
    pub keyframe: bool,
    /// Width and height of a keyframe in pixels, unscaled. Absent also when the payload ends before them.
    pub resolution: Option<(u16, u16)>,
}

impl Descriptor {
    /// Reads the descriptor at the front of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        parse(payload).map(|(descriptor, _)| descriptor)
    }
}

/// Overwrites picture id and TL0PICIDX where the payload has them; lengths never change, so a short picture id takes
/// the low 7 bits. `false`: no VP8 descriptor, nothing is changed.
pub fn patch(payload: &mut [u8], picture_id: Option<u16>, tl0picidx: Option<u8>) -> bool {
    let Ok((_, places)) = parse(payload) else { return false };
    places.patch(payload, picture_id, tl0picidx);
    true
}

// RFC 7741 §4.2:  |X|R|N|S|R| PID |   then, with X:  |I|L|T|K| RSV |
fn parse(payload: &[u8]) -> Result<(Descriptor, Places), ParseError> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.reader.u8()?;
    let mut descriptor = Descriptor {
        start_of_partition: first & 0b0001_0111 == 0b0001_0000,
        non_reference: first & 0b0010_0000 != 0,
        ..Descriptor::default()
    };
    let flags = if first & 0b1000_0000 == 0 { 0 } else { cursor.reader.u8()? };
    if flags & 0b1000_0000 != 0 {
        let (id, long) = cursor.picture_id()?;
        (descriptor.picture_id, descriptor.picture_id_15bit) = (Some(id), long);
    }
    if flags & 0b0100_0000 != 0 {
        descriptor.tl0picidx = Some(cursor.tl0picidx()?);
    }
    if flags & 0b0011_0000 != 0 {
        let byte = cursor.reader.u8()?;
        descriptor.tid = (flags & 0b0010_0000 != 0).then_some(byte >> 6);
        descriptor.layer_sync = byte & 0b0010_0000 != 0;
        descriptor.keyidx = (flags & 0b0001_0000 != 0).then_some(byte & 0b0001_1111);
    }
    descriptor.len = cursor.at();
    read_frame_start(&mut descriptor, cursor.reader.rest());
    Ok((descriptor, cursor.places))
}

/// RFC 7741 §4.3: bit 0 of the frame tag is 0 in a keyframe; RFC 6386 §9.1: start code and size follow the 3-byte tag.
fn read_frame_start(descriptor: &mut Descriptor, frame: &[u8]) {
    if !descriptor.start_of_partition {
        return;
    }
    descriptor.keyframe = frame.first().is_some_and(|tag| tag & 1 == 0);
    if let (true, Some([_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1])) = (descriptor.keyframe, frame.first_chunk::<10>())
    {
        let size = |low: u8, high: u8| u16::from_le_bytes([low, high]) & 0x3fff; // the top two bits are a scale
        descriptor.resolution = Some((size(*w0, *w1), size(*h0, *h1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame tag, start code and size of 640x360, the width with a scale of 1.
    const KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01];

    #[test]
    fn descriptors() {
        let start = Descriptor { len: 1, start_of_partition: true, ..Descriptor::default() };
        let long = Descriptor { picture_id_15bit: true, len: 4, ..start };
        let full = Descriptor { len: 6, tl0picidx: Some(255), tid: Some(2), keyidx: Some(31), ..long };
        // (name, payload, descriptor)
        let rows: [(&str, &[u8], Result<Descriptor, ParseError>); 18] = [
            ("key", &[0x10, 0x00], Ok(Descriptor { keyframe: true, ..start })),
            ("delta", &[0x10, 0x01], Ok(start)),
            ("not the first packet", &[0x00, 0x00], Ok(Descriptor { len: 1, ..Descriptor::default() })),
            ("second partition", &[0x11, 0x00], Ok(Descriptor { len: 1, ..Descriptor::default() })),
            ("non-reference", &[0x30, 0x01], Ok(Descriptor { non_reference: true, ..start })),
            ("no data", &[0x10], Ok(start)),
            ("extension byte of zeros", &[0x90, 0x00, 0x01], Ok(Descriptor { len: 2, ..start })),
            ("7-bit id", &[0x90, 0x80, 0x7f, 1], Ok(Descriptor { len: 3, picture_id: Some(127), ..start })),
            ("15-bit id", &[0x90, 0x80, 0xff, 0xff, 1], Ok(Descriptor { picture_id: Some(0x7fff), ..long })),
            ("15-bit id of 0", &[0x90, 0x80, 0x80, 0x00, 1], Ok(Descriptor { picture_id: Some(0), ..long })),
            (
                "all, layer sync",
                &[0x90, 0xf0, 0x80, 0x01, 0xff, 0b1011_1111, 1],
                Ok(Descriptor { picture_id: Some(1), layer_sync: true, ..full }),
            ),
            (
                "key index without layer",
                &[0x90, 0x10, 0b1100_0101, 1],
                Ok(Descriptor { len: 3, keyidx: Some(5), ..start }),
            ),
            (
                "layer without key index",
                &[0x90, 0x20, 0b1100_0101, 1],
                Ok(Descriptor { len: 3, tid: Some(3), ..start }),
            ),
            ("nothing", &[], Err(ParseError::Truncated)),
            ("extension byte cut", &[0x90], Err(ParseError::Truncated)),
            ("id cut", &[0x90, 0x80], Err(ParseError::Truncated)),
            ("long id cut", &[0x90, 0x80, 0x80], Err(ParseError::Truncated)),
            ("last byte cut", &[0x90, 0xf0, 0x80, 0x01, 0xff], Err(ParseError::Truncated)),
        ];
        for (name, payload, want) in rows {
            assert_eq!(Descriptor::parse(payload), want, "{name}");
            let keyframe = crate::is_keyframe(convene_types::Codec::Vp8, payload);
            assert_eq!(keyframe, want.is_ok_and(|d| d.keyframe), "{name}");
        }
    }

    #[test]
    fn resolutions() {
        let payload = [&[0x10][..], &KEY].concat();
        assert_eq!(Descriptor::parse(&payload).unwrap().resolution, Some((640, 360)));
        for len in 2..payload.len() {
            let got = Descriptor::parse(&payload[..len]).unwrap();
            assert_eq!((got.keyframe, got.resolution), (true, None), "{len}");
        }
        let mut no_start_code = payload;
        no_start_code[4] = 0;
        assert_eq!(Descriptor::parse(&no_start_code).unwrap().resolution, None);
    }

    #[test]
    fn patches_in_place() {
        // (payload, picture id, TL0PICIDX, after)
        type Row = (&'static [u8], Option<u16>, Option<u8>, &'static [u8]);
        let rows: [Row; 8] = [
            (&[0x90, 0xc0, 0xff, 0xff, 255, 1], Some(0), Some(0), &[0x90, 0xc0, 0x80, 0, 0, 1]),
            (&[0x90, 0xc0, 0x80, 0, 0, 1], Some(0xffff), Some(255), &[0x90, 0xc0, 0xff, 0xff, 255, 1]),
            (&[0x90, 0xc0, 0x7f, 255, 1], Some(0x80), Some(0), &[0x90, 0xc0, 0, 0, 1]),
            (&[0x90, 0x80, 0x80, 5, 9], Some(6), Some(7), &[0x90, 0x80, 0x80, 6, 9]),
            (&[0x90, 0x40, 5, 9], Some(6), Some(7), &[0x90, 0x40, 7, 9]),
            (&[0x90, 0xc0, 0x80, 5, 9, 1], None, Some(7), &[0x90, 0xc0, 0x80, 5, 7, 1]),
            (&[0x90, 0xc0, 0x80, 5, 9, 1], None, None, &[0x90, 0xc0, 0x80, 5, 9, 1]),
            (&[0x10, 0x55], Some(6), Some(7), &[0x10, 0x55]),
        ];
        for (before, picture_id, tl0picidx, after) in rows {
            let mut payload = before.to_vec();
            assert!(patch(&mut payload, picture_id, tl0picidx));
            assert_eq!(payload, after, "{before:02x?}");
        }
        assert!(!patch(&mut [0x90, 0x80], Some(1), None));
    }
}
