//! VP9 in RTP: the payload descriptor of RFC 9628 §4.2, in flexible and non-flexible mode.

use crate::ParseError;
use crate::picture::{Cursor, Places};

/// Reference differences of one picture, RFC 9628 §4.2: at most three P_DIFF.
const MAX_P_DIFFS: usize = 3;

/// What a VP9 payload says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor; the VP9 data follows.
    pub len: usize,
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// Whether the picture id has 15 bits.
    pub picture_id_15bit: bool,
    /// P bit: depends on earlier pictures.
    pub inter_picture: bool,
    /// F bit: references are listed per packet, there is no TL0PICIDX.
    pub flexible: bool,
    /// B bit: first packet of a layer frame.
    pub start_of_frame: bool,
    /// E bit: last packet of a layer frame.
    pub end_of_frame: bool,
    /// Z bit: no higher spatial layer depends on this frame.
    pub not_for_upper: bool,
    /// Temporal layer.
    pub tid: Option<u8>,
    /// Spatial layer.
    pub sid: Option<u8>,
    /// U bit: a receiver may switch up to this temporal layer here.
    pub switching_up: bool,
    /// D bit: depends on the spatial layer below of the same picture.
    pub inter_layer: bool,
    /// Running index of temporal layer 0 pictures.
    pub tl0picidx: Option<u8>,
    /// Spatial layers by the scalability structure, if the packet carries one.
    pub spatial_layers: Option<u8>,
    /// Width and height of the highest spatial layer, by the scalability structure.
    pub resolution: Option<(u16, u16)>,
    /// First packet of a keyframe: starts a frame of the lowest spatial layer that depends on nothing.
    pub keyframe: bool,
}

impl Descriptor {
    /// Reads the descriptor at the front of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        parse(payload).map(|(descriptor, _)| descriptor)
    }
}

/// Overwrites picture id and TL0PICIDX where the payload has them; lengths never change, so a short picture id takes
/// the low 7 bits. `false`: no VP9 descriptor, nothing is changed.
pub fn patch(payload: &mut [u8], picture_id: Option<u16>, tl0picidx: Option<u8>) -> bool {
    let Ok((_, places)) = parse(payload) else { return false };
    places.patch(payload, picture_id, tl0picidx);
    true
}

// RFC 9628 §4.2:  |I|P|L|F|B|E|V|Z|
fn parse(payload: &[u8]) -> Result<(Descriptor, Places), ParseError> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.reader.u8()?;
    let bit = |index: u8| first & index != 0;
    let mut descriptor = Descriptor {
        inter_picture: bit(0b0100_0000),
        flexible: bit(0b0001_0000),
        start_of_frame: bit(0b0000_1000),
        end_of_frame: bit(0b0000_0100),
        not_for_upper: bit(0b0000_0001),
        ..Descriptor::default()
    };
    if bit(0b1000_0000) {
        let (id, long) = cursor.picture_id()?;
        (descriptor.picture_id, descriptor.picture_id_15bit) = (Some(id), long);
    }
    if bit(0b0010_0000) {
        read_layers(&mut descriptor, &mut cursor)?;
    }
    if descriptor.flexible && descriptor.inter_picture {
        skip_p_diffs(&mut cursor)?;
    }
    if bit(0b0000_0010) {
        read_structure(&mut descriptor, &mut cursor)?;
    }
    descriptor.len = cursor.at();
    descriptor.keyframe = !descriptor.inter_picture
        && descriptor.start_of_frame
        && descriptor.sid.unwrap_or(0) == 0
        && !cursor.reader.rest().is_empty();
    Ok((descriptor, cursor.places))
}

/// |  TID  |U|  SID  |D|, then TL0PICIDX in non-flexible mode.
fn read_layers(descriptor: &mut Descriptor, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    let byte = cursor.reader.u8()?;
    descriptor.tid = Some(byte >> 5);
    descriptor.switching_up = byte & 0b0001_0000 != 0;
    descriptor.sid = Some((byte >> 1) & 0b111);
    descriptor.inter_layer = byte & 1 != 0;
    if !descriptor.flexible {
        descriptor.tl0picidx = Some(cursor.tl0picidx()?);
    }
    Ok(())
}

/// |   P_DIFF    |N|, up to three; N says that another follows.
fn skip_p_diffs(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    for _ in 0..MAX_P_DIFFS {
        if cursor.reader.u8()? & 1 == 0 {
            return Ok(());
        }
    }
    Err(ParseError::Malformed)
}

/// RFC 9628 §4.2.1: |  N_S  |Y|G|RSV|, sizes with Y, picture group with G.
fn read_structure(descriptor: &mut Descriptor, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    let head = cursor.reader.u8()?;
    let layers = (head >> 5).saturating_add(1);
    descriptor.spatial_layers = Some(layers);
    if head & 0b0001_0000 != 0 {
        for _ in 0..layers {
            descriptor.resolution = Some((cursor.reader.u16()?, cursor.reader.u16()?));
        }
    }
    if head & 0b0000_1000 != 0 {
        let pictures = cursor.reader.u8()?;
        for _ in 0..pictures {
            let references = (cursor.reader.u8()? >> 2) & 0b11;
            cursor.reader.take(usize::from(references))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes() {
        let rows: [(&str, &[u8], bool); 9] = [
            ("plain first packet", &[0b0000_1000, 0x82], true),
            ("inter picture", &[0b0100_1000, 0x82], false),
            ("not the first packet", &[0b0000_0100, 0x82], false),
            ("lowest layer", &[0b0010_1000, 0b0000_0000, 7, 0x82], true),
            ("upper layer of a key picture", &[0b0010_1000, 0b0000_0011, 7, 0x82], false),
            ("flexible, long id", &[0b1011_1000, 0x80 | 0x7f, 0xff, 0b0000_0000, 0x82], true),
            ("no data", &[0b0000_1000], false),
            ("id cut", &[0b1000_1000, 0x80], false),
            ("nothing", &[], false),
        ];
        for (name, payload, want) in rows {
            assert_eq!(crate::is_keyframe(convene_types::Codec::Vp9, payload), want, "{name}");
        }
    }

    #[test]
    fn fields_and_structure() {
        // I, L, B, E, V; long id; TID 1 U SID 2 D; TL0PICIDX; two layers with sizes; group of two pictures.
        let payload = [
            0b1010_1110,
            0xff,
            0xff,
            0b0011_0101,
            0xff,
            0b0011_1000,
            0x01,
            0x40,
            0x00,
            0xb4,
            0x02,
            0x80,
            0x01,
            0x68,
            2,
            0b0000_0000,
            0b0011_1000,
            1,
            2,
            0x82,
        ];
        let got = Descriptor::parse(&payload).unwrap();
        let want = Descriptor {
            len: payload.len() - 1,
            picture_id: Some(0x7fff),
            picture_id_15bit: true,
            start_of_frame: true,
            end_of_frame: true,
            tid: Some(1),
            sid: Some(2),
            switching_up: true,
            inter_layer: true,
            tl0picidx: Some(255),
            spatial_layers: Some(2),
            resolution: Some((640, 360)),
            ..Descriptor::default()
        };
        assert_eq!(got, want);
        for len in 0..payload.len() - 1 {
            assert_eq!(Descriptor::parse(&payload[..len]), Err(ParseError::Truncated), "{len}");
        }
    }

    #[test]
    fn reference_differences_are_bounded() {
        let head = 0b0101_1000;
        assert_eq!(Descriptor::parse(&[head, 2, 0x82]).map(|d| d.len), Ok(2));
        assert_eq!(Descriptor::parse(&[head, 3, 5, 6, 0x82]).map(|d| d.len), Ok(4));
        assert_eq!(Descriptor::parse(&[head, 3, 5, 7, 8, 0x82]), Err(ParseError::Malformed));
    }

    #[test]
    fn patches_in_place() {
        // (payload, picture id, TL0PICIDX, after)
        type Row = (&'static [u8], Option<u16>, Option<u8>, &'static [u8]);
        let rows: [Row; 5] = [
            (&[0xa8, 0xff, 0xff, 0, 255, 1], Some(0), Some(0), &[0xa8, 0x80, 0, 0, 0, 1]),
            (&[0xa8, 0x7f, 0, 255, 1], Some(0x80), Some(3), &[0xa8, 0, 0, 3, 1]),
            (&[0xb8, 0x7f, 0, 255, 1], Some(1), Some(3), &[0xb8, 1, 0, 255, 1]), // flexible: no TL0PICIDX
            (&[0x08, 0x7f], Some(1), Some(3), &[0x08, 0x7f]),
            (&[0x88, 0x81, 2, 1], None, None, &[0x88, 0x81, 2, 1]),
        ];
        for (before, picture_id, tl0picidx, after) in rows {
            let mut payload = before.to_vec();
            assert!(patch(&mut payload, picture_id, tl0picidx));
            assert_eq!(payload, after, "{before:02x?}");
        }
        assert!(!patch(&mut [], Some(1), None));
    }
}
