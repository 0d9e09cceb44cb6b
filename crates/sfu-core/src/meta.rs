//! What is read of a packet once, when it comes in, so that each subscriber's copy is a copy and a few patches.

use convene_rtp::ext::{self, AudioLevel, Kind};
use convene_rtp::packet::View;
use convene_rtp::{has_first_set, is_keyframe, vp8, vp9};
use convene_types::{Codec, Pt};

use crate::part::Part;

/// Header extensions carried through. Browsers send at most six of the kinds that are forwarded.
pub(crate) const MAX_EXTENSIONS: usize = 8;

/// One header extension to carry through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    pub(crate) kind: Kind,
    /// Where its value lies in the packet.
    at: u16,
    len: u8,
}

/// Numbers inside the payload that have to go on without a jump when the layer changes, and where they lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Offset and value of the picture id of VP8 and VP9; `long`: it has 15 bits.
    pub(crate) id: Option<(u8, u16)>,
    pub(crate) long: bool,
    /// Receivers take a missing picture id for a missing frame: those of VP8 do, while VP9's count in its references.
    pub(crate) dense: bool,
    /// Offset and value of TL0PICIDX.
    pub(crate) tl0: Option<(u8, u8)>,
}

/// A packet's fields and offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) ts: u32,
    pub(crate) marker: bool,
    pub(crate) pt: Pt,
    pub(crate) keyframe: bool,
    /// Of a codec whose keyframes may begin with packets of parameter sets (RFC 6184 §5.6, RFC 7798 §4.4.1).
    pub(crate) led: bool,
    /// It has the first of these.
    has_first_set: bool,
    pub(crate) picture: Picture,
    /// Frame number of the dependency descriptor.
    pub(crate) frame: Option<u16>,
    /// What it is within a layered stream, as its payload tells; `shape` may know better.
    pub(crate) part: Part,
    pub(crate) level: Option<AudioLevel>,
    payload_at: u16,
    payload_len: u16,
    extensions: [Option<Extension>; MAX_EXTENSIONS],
}

impl Meta {
    /// Reads a packet of at most `MAX_PACKET_BYTES`.
    pub(crate) fn read(view: &View<'_>, bytes: &[u8], codec: Codec, map: &ext::Map) -> Self {
        let keyframe = is_keyframe(codec, view.payload());
        let mut meta = Self {
            ts: view.ts(),
            marker: view.marker(),
            pt: view.pt(),
            keyframe,
            led: matches!(codec, Codec::H264 | Codec::H265),
            has_first_set: keyframe && has_first_set(codec, view.payload()),
            picture: Picture::default(),
            frame: None,
            part: Part::WHOLE,
            level: None,
            payload_at: short(view.header_len()),
            payload_len: short(view.payload().len()),
            extensions: [None; MAX_EXTENSIONS],
        };
        meta.read_descriptor(codec, view.payload());
        let mut free = meta.extensions.iter_mut();
        for (id, value) in view.extensions() {
            let Some(kind) = map.kind(id) else { continue };
            if kind == Kind::AudioLevel {
                meta.level = AudioLevel::parse(value);
            }
            if kind == Kind::DependencyDescriptor {
                meta.frame = frame_number(value);
            }
            let Some(slot) = Some(kind).filter(|kind| carried(*kind)).and_then(|_| free.next()) else { continue };
            let at = value.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
            *slot = Some(Extension { kind, at: short(at), len: u8::try_from(value.len()).unwrap_or(0) });
        }
        meta
    }

    fn read_descriptor(&mut self, codec: Codec, payload: &[u8]) {
        match codec {
            Codec::Vp8 => {
                if let Ok(descriptor) = vp8::Descriptor::parse(payload) {
                    (self.picture, self.part) = (Picture::of_vp8(&descriptor), Part::of_vp8(&descriptor));
                }
            }
            Codec::Vp9 => {
                if let Ok(descriptor) = vp9::Descriptor::parse(payload) {
                    (self.picture, self.part) = (Picture::of_vp9(&descriptor), Part::of_vp9(&descriptor));
                }
            }
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma | Codec::H264 | Codec::H265 | Codec::Av1 => {}
        }
    }

    /// Its dependency descriptor, if it has one.
    pub(crate) fn dependency_descriptor<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.frame?;
        self.extensions(bytes).find(|(kind, _)| *kind == Kind::DependencyDescriptor).map(|(_, value)| value)
    }

    /// Whether nothing of its picture that is needed comes before it, as it has the first parameter set or its dependency descriptor
    /// says so.
    pub(crate) const fn opens(&self) -> bool {
        self.has_first_set || self.part.begins_picture()
    }

    /// Whether it is padding and nothing else.
    pub(crate) const fn is_padding(&self) -> bool {
        self.payload_len == 0
    }

    /// Bytes to keep: header and payload without padding.
    pub(crate) fn kept_len(&self) -> usize {
        usize::from(self.payload_at) + usize::from(self.payload_len)
    }

    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(usize::from(self.payload_at)..self.kept_len()).unwrap_or_default()
    }

    pub(crate) fn extensions<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (Kind, &'a [u8])> {
        self.extensions.iter().map_while(|extension| *extension).filter_map(|Extension { kind, at, len }| {
            let value = bytes.get(usize::from(at)..usize::from(at) + usize::from(len))?;
            Some((kind, value))
        })
    }
}

impl Picture {
    /// RFC 7741 §4.2: two bytes of flags, then picture id, then TL0PICIDX, each if there.
    fn of_vp8(descriptor: &vp8::Descriptor) -> Self {
        let long = descriptor.picture_id_15bit;
        let after_id = 2 + id_len(descriptor.picture_id, long);
        Self {
            id: descriptor.picture_id.map(|id| (2, id)),
            long,
            dense: true,
            tl0: descriptor.tl0picidx.map(|index| (after_id, index)),
        }
    }

    /// RFC 9628 §4.2: one byte of flags, then picture id, then the layer byte, then TL0PICIDX in non-flexible mode.
    fn of_vp9(descriptor: &vp9::Descriptor) -> Self {
        let long = descriptor.picture_id_15bit;
        let after_id = 1 + id_len(descriptor.picture_id, long);
        Self {
            id: descriptor.picture_id.map(|id| (1, id)),
            long,
            dense: false,
            tl0: descriptor.tl0picidx.map(|index| (after_id + 1, index)),
        }
    }
}

fn id_len(id: Option<u16>, long: bool) -> u8 {
    match (id, long) {
        (None, _) => 0,
        (Some(_), false) => 1,
        (Some(_), true) => 2,
    }
}

/// AOM RTP payload format for AV1, §A.8.2: a byte of flags and template id, then the frame number.
fn frame_number(value: &[u8]) -> Option<u16> {
    value.get(1..3).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
}

/// Whether a kind means the same to a subscriber. MID is the subscriber's own; RIDs name streams it does not see;
/// transport numbers and send times belong to the publisher's path.
const fn carried(kind: Kind) -> bool {
    match kind {
        Kind::Mid | Kind::Rid | Kind::RepairedRid | Kind::TransportCc | Kind::AbsSendTime => false,
        Kind::AudioLevel
        | Kind::AbsCaptureTime
        | Kind::VideoOrientation
        | Kind::PlayoutDelay
        | Kind::DependencyDescriptor
        | Kind::VideoLayersAllocation
        | Kind::ColorSpace
        | Kind::VideoContentType
        | Kind::VideoTiming => true,
    }
}

/// Offsets within a packet whose length was checked against `MAX_PACKET_BYTES`.
fn short(offset: usize) -> u16 {
    u16::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use convene_rtp::packet::{Fields, write_header};
    use convene_types::{SeqNo, Ssrc};

    #[test]
    fn finds_the_numbers_that_the_descriptors_hold() {
        const VP8: Picture = Picture { id: None, long: false, dense: true, tl0: None };
        // (codec, payload, picture)
        let rows: [(Codec, &[u8], Picture); 7] = [
            (Codec::Vp8, &[0x10, 0], VP8),
            (Codec::Vp8, &[0x90, 0x80, 0x7f, 0], Picture { id: Some((2, 127)), ..VP8 }),
            (
                Codec::Vp8,
                &[0x90, 0xe0, 0xff, 0xff, 9, 0, 0],
                Picture { id: Some((2, 0x7fff)), long: true, tl0: Some((4, 9)), ..VP8 },
            ),
            (Codec::Vp8, &[0x90, 0x40, 9, 0], Picture { tl0: Some((2, 9)), ..VP8 }),
            (
                Codec::Vp9,
                &[0b1010_1100, 0x81, 0x02, 0, 9, 0],
                Picture { id: Some((1, 0x102)), long: true, tl0: Some((4, 9)), dense: false },
            ),
            (Codec::Vp9, &[0b1011_1100, 0x05, 0, 0], Picture { id: Some((1, 5)), ..Picture::default() }),
            (Codec::H264, &[0x65, 1, 2, 3], Picture::default()),
        ];
        for (codec, payload, want) in rows {
            let mut bytes = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            bytes.extend_from_slice(payload);
            let picture = Meta::read(&View::parse(&bytes).unwrap(), &bytes, codec, &ext::Map::new()).picture;
            assert_eq!(picture, want, "{payload:02x?}");
            // What lies at the offsets is what the codec's own patch changes.
            if let (Codec::Vp8, Some((at, _))) = (codec, picture.tl0) {
                let mut patched = payload.to_vec();
                vp8::patch(&mut patched, None, Some(77));
                assert_eq!(patched[usize::from(at)], 77);
            }
            if let (Codec::Vp9, Some((at, _))) = (codec, picture.tl0) {
                let mut patched = payload.to_vec();
                vp9::patch(&mut patched, None, Some(77));
                assert_eq!(patched[usize::from(at)], 77);
            }
        }
    }

    #[test]
    fn keeps_what_a_subscriber_may_see() {
        let mut map = ext::Map::new();
        let kinds = [(Kind::Mid, 1), (Kind::AudioLevel, 2), (Kind::TransportCc, 3), (Kind::PlayoutDelay, 4)];
        kinds.into_iter().for_each(|(kind, id)| map.set(kind, id));
        let mut bytes = [0; 64];
        let fields = Fields { marker: true, pt: Pt(111), seq: SeqNo(65535), ts: u32::MAX, ssrc: Ssrc(9) };
        let extensions: [(u8, &[u8]); 5] = [(1, b"0"), (2, &[0x80 | 30]), (3, &[0, 1]), (9, &[7]), (4, &[1, 2, 3])];
        let len = write_header(&mut bytes, &fields, &extensions).unwrap();
        bytes[len..len + 4].copy_from_slice(b"data");
        let bytes = &bytes[..len + 4];
        let meta = Meta::read(&View::parse(bytes).unwrap(), bytes, Codec::Opus, &map);
        assert_eq!(meta.payload(bytes), b"data");
        assert_eq!(meta.level, Some(AudioLevel { level_dbov: 30, voice: true }));
        let kept: Vec<(Kind, &[u8])> = meta.extensions(bytes).collect();
        assert_eq!(kept, [(Kind::AudioLevel, &[0x80 | 30_u8][..]), (Kind::PlayoutDelay, &[1, 2, 3])]);
    }
}
