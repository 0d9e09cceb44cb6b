//! VP8 in RTP: the payload descriptor (RFC 7741 §4.2), the first bytes of the frame (§4.3), and the two numbers that a
//! forwarder must rewrite when it switches or drops layers.

use std::ops::Range;

use crate::ParseError;
use crate::read::Reader;

/// Picture id field of two bytes: the top bit says so.
const LONG_PICTURE_ID_BIT: u8 = 0b1000_0000;

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

/// Where the rewritable fields lie.
#[derive(Default)]
struct Places {
    picture_id: Range<usize>,
    tl0picidx: Range<usize>,
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
    if let Some(id) = picture_id {
        let [high, low] = id.to_be_bytes();
        match payload.get_mut(places.picture_id) {
            Some([byte]) => *byte = low & !LONG_PICTURE_ID_BIT,
            Some([first, second]) => (*first, *second) = (high | LONG_PICTURE_ID_BIT, low),
            Some(_) | None => {}
        }
    }
    if let (Some(index), Some([byte])) = (tl0picidx, payload.get_mut(places.tl0picidx)) {
        *byte = index;
    }
    true
}

// RFC 7741 §4.2:  |X|R|N|S|R| PID |   then, with X:  |I|L|T|K| RSV |
fn parse(payload: &[u8]) -> Result<(Descriptor, Places), ParseError> {
    let mut reader = Reader::new(payload);
    let first = reader.u8()?;
    let mut descriptor = Descriptor {
        start_of_partition: first & 0b0001_0111 == 0b0001_0000,
        non_reference: first & 0b0010_0000 != 0,
        ..Descriptor::default()
    };
    let mut places = Places::default();
    let at = |reader: &Reader<'_>| payload.len().saturating_sub(reader.rest().len());
    let flags = if first & 0b1000_0000 == 0 { 0 } else { reader.u8()? };
    if flags & 0b1000_0000 != 0 {
        let start = at(&reader);
        let head = reader.u8()?;
        descriptor.picture_id_15bit = head & LONG_PICTURE_ID_BIT != 0;
        let low = if descriptor.picture_id_15bit { Some(reader.u8()?) } else { None };
        let head = head & !LONG_PICTURE_ID_BIT;
        descriptor.picture_id = Some(low.map_or(u16::from(head), |low| u16::from_be_bytes([head, low])));
        places.picture_id = start..at(&reader);
    }
    if flags & 0b0100_0000 != 0 {
        let start = at(&reader);
        descriptor.tl0picidx = Some(reader.u8()?);
        places.tl0picidx = start..at(&reader);
    }
    if flags & 0b0011_0000 != 0 {
        let byte = reader.u8()?;
        descriptor.tid = (flags & 0b0010_0000 != 0).then_some(byte >> 6);
        descriptor.layer_sync = byte & 0b0010_0000 != 0;
        descriptor.keyidx = (flags & 0b0001_0000 != 0).then_some(byte & 0b0001_1111);
    }
    descriptor.len = at(&reader);
    read_frame_start(&mut descriptor, reader.rest());
    Ok((descriptor, places))
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
