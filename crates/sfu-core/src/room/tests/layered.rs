//! Well-formed layered streams, for the tests of switches: what each frame refers to travels in its payload, so that a
//! decoder can tell whether it could decode it.

use convene_types::Codec;

use super::*;

/// Id of the dependency descriptor, at publisher and subscriber.
pub(super) const DD_ID: u8 = 6;
const TEMPORALS: [u8; 4] = [0, 2, 1, 2];

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Three streams of three temporal layers each.
    Vp8,
    /// Three streams.
    H264,
    /// One stream of three spatial and three temporal layers; upper layers refer to lower ones in each picture, or in
    /// keyframes alone.
    Vp9Svc { key: bool },
    /// Three streams of three temporal layers each.
    Vp9Simulcast,
    /// As `Vp9Svc`, told by dependency descriptors.
    Av1 { key: bool },
}

impl Kind {
    pub(super) const fn codec(self) -> Codec {
        match self {
            Self::Vp8 => Codec::Vp8,
            Self::H264 => Codec::H264,
            Self::Vp9Svc { .. } | Self::Vp9Simulcast => Codec::Vp9,
            Self::Av1 { .. } => Codec::Av1,
        }
    }

    pub(super) const fn streams(self) -> u8 {
        match self {
            Self::Vp8 | Self::H264 | Self::Vp9Simulcast => 3,
            Self::Vp9Svc { .. } | Self::Av1 { .. } => 1,
        }
    }

    pub(super) const fn has_temporal_layers(self) -> bool {
        !matches!(self, Self::H264)
    }

    /// Bytes of a payload before its `Body`.
    const fn head(self) -> usize {
        match self {
            Self::Vp8 => 7,
            Self::Vp9Svc { .. } | Self::Vp9Simulcast => 5,
            Self::H264 => 2,
            Self::Av1 { .. } => 1,
        }
    }

    const fn inter_layer(self) -> bool {
        matches!(self, Self::Vp9Svc { key: false } | Self::Av1 { key: false })
    }
}

/// What a packet carries of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) id: u32,
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    pub(super) index: u8,
    pub(super) count: u8,
    /// Of its stream: picture id or frame number as sent.
    pub(super) number: u16,
    /// Frames that it refers to.
    pub(super) needs: Vec<u32>,
}

impl Body {
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend(self.id.to_be_bytes());
        payload.extend([self.spatial, self.temporal, self.index, self.count]);
        payload.extend(self.number.to_be_bytes());
        payload.push(self.needs.len() as u8);
        self.needs.iter().for_each(|id| payload.extend(id.to_be_bytes()));
    }

    pub(super) fn read(kind: Kind, payload: &[u8]) -> Self {
        let at = &payload[kind.head()..];
        let id = |at: &[u8]| u32::from_be_bytes(at[..4].try_into().unwrap());
        Self {
            id: id(at),
            spatial: at[4],
            temporal: at[5],
            index: at[6],
            count: at[7],
            number: u16::from_be_bytes([at[8], at[9]]),
            needs: (0..usize::from(at[10])).map(|need| id(&at[11 + 4 * need..])).collect(),
        }
    }
}

/// One stream at its encoder.
pub(super) struct Stream {
    kind: Kind,
    index: u8,
    seq: u16,
    ts: u32,
    /// 15 bits; of AV1 the frame number.
    picture: u16,
    tl0: u8,
    phase: usize,
    template_offset: u8,
    /// By spatial and temporal layer: the newest frame.
    newest: [[Option<(u32, u16)>; 3]; 3],
}

/// A frame while it is made.
struct Frame {
    spatial: u8,
    temporal: u8,
    key: bool,
    sync: bool,
    number: u16,
    needs: Vec<(u32, u16)>,
    last_of_picture: bool,
}

impl Stream {
    pub(super) fn new(kind: Kind, index: u8, random: &mut link::Random) -> Self {
        Self {
            kind,
            index,
            seq: random.below(65_536) as u16,
            ts: random.below(1 << 32) as u32,
            picture: random.below(0x8000) as u16,
            tl0: random.below(256) as u8,
            phase: 0,
            template_offset: 60,
            newest: [[None; 3]; 3],
        }
    }

    pub(super) const fn ssrc(&self) -> Ssrc {
        Ssrc(500 + self.index as u32)
    }

    /// The packets of the next picture, in order. `ids` gives each frame its own.
    pub(super) fn picture(&mut self, key: bool, ids: &mut u32, random: &mut link::Random) -> Vec<Vec<u8>> {
        self.ts = self.ts.wrapping_add(3_000);
        self.phase = if key { 0 } else { (self.phase + 1) % TEMPORALS.len() };
        let temporal = if self.kind.has_temporal_layers() { TEMPORALS[self.phase] } else { 0 };
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        if key {
            self.template_offset = (self.template_offset + 9) % 64;
            self.newest = [[None; 3]; 3];
        }
        let one_number = !matches!(self.kind, Kind::Av1 { .. });
        if one_number {
            self.picture = (self.picture + 1) & 0x7fff;
        }
        let spatials = if self.kind.streams() == 1 { 3 } else { 1 };
        let mut packets = Vec::new();
        for spatial in 0..spatials {
            if !one_number {
                self.picture = self.picture.wrapping_add(1);
            }
            let frame = Frame {
                spatial,
                temporal,
                key,
                sync: self.phase == 1 || self.phase == 2,
                number: self.picture,
                needs: self.references(spatial, temporal, key),
                last_of_picture: spatial + 1 == spatials,
            };
            *ids += 1;
            self.newest[usize::from(spatial)][usize::from(temporal)] = Some((*ids, frame.number));
            packets.extend(self.packets(*ids, &frame, random));
        }
        packets
    }

    /// The layer's own past, and in some pictures the spatial layer below.
    fn references(&self, spatial: u8, temporal: u8, key: bool) -> Vec<(u32, u16)> {
        let own = &self.newest[usize::from(spatial)];
        let mut needs: Vec<(u32, u16)> = Vec::new();
        if !key {
            // The second of the highest temporal layer's frames refers to the middle one.
            let past = if temporal == 2 && self.phase == 3 { 1 } else { 0 };
            needs.extend(own[past]);
        }
        if spatial > 0 && (key || self.kind.inter_layer()) {
            needs.extend(self.newest[usize::from(spatial) - 1][usize::from(temporal)]);
        }
        needs
    }

    fn packets(&mut self, id: u32, frame: &Frame, random: &mut link::Random) -> Vec<Vec<u8>> {
        let count = 1 + random.below(if frame.key { 3 } else { 2 }) as u8;
        let mut packets = Vec::new();
        for index in 0..count {
            let (first, last) = (index == 0, index + 1 == count);
            let mut payload = self.head(frame, first, last);
            assert_eq!(payload.len(), self.kind.head());
            let body = Body {
                id,
                spatial: frame.spatial,
                temporal: frame.temporal,
                index,
                count,
                number: frame.number,
                needs: frame.needs.iter().map(|(id, _)| *id).collect(),
            };
            body.write(&mut payload);
            let marker = last && frame.last_of_picture;
            let fields = Fields { marker, pt: MEDIA_PT, seq: SeqNo(self.seq), ts: self.ts, ssrc: self.ssrc() };
            self.seq = self.seq.wrapping_add(1);
            packets.push(match self.kind {
                Kind::Av1 { .. } => rtp(fields, &[(DD_ID, &self.descriptor(frame, first, last))], &payload),
                Kind::Vp8 | Kind::H264 | Kind::Vp9Svc { .. } | Kind::Vp9Simulcast => rtp(fields, &[], &payload),
            });
        }
        packets
    }

    fn head(&self, frame: &Frame, first: bool, last: bool) -> Vec<u8> {
        let [high, low] = self.picture.to_be_bytes();
        let Frame { spatial, temporal, key, sync, .. } = *frame;
        match self.kind {
            Kind::Vp8 => {
                let layers = temporal << 6 | u8::from(sync && temporal > 0) << 5;
                vec![if first { 0x90 } else { 0x80 }, 0xf0, high | 0x80, low, self.tl0, layers, u8::from(!key)]
            }
            // A slice header begins with a 1 bit where it is the first of its picture.
            Kind::H264 => vec![if key { 0x65 } else { 0x41 }, u8::from(first) << 7],
            Kind::Vp9Svc { .. } | Kind::Vp9Simulcast => {
                let inter_layer = spatial > 0 && (key || self.kind.inter_layer());
                let aside = frame.last_of_picture || !(key || self.kind.inter_layer());
                let flags =
                    0b1010_0000 | u8::from(!key) << 6 | u8::from(first) << 3 | u8::from(last) << 2 | u8::from(aside);
                // U: nothing after the first two frames of a period refers above what came with it.
                let up = u8::from(self.phase != 3);
                let layers = temporal << 5 | up << 4 | spatial << 1 | u8::from(inter_layer);
                vec![flags, high | 0x80, low, layers, self.tl0]
            }
            Kind::Av1 { .. } => vec![0x10 | u8::from(key && first && spatial == 0) << 3],
        }
    }

    /// AOM RTP payload format for AV1, §A.8, of nine templates and decode targets, one for each layer.
    fn descriptor(&self, frame: &Frame, first: bool, last: bool) -> Vec<u8> {
        let mut bits = Bits::default();
        let template = (self.template_offset + 3 * frame.spatial + frame.temporal) % 64;
        bits.put(u32::from(first), 1).put(u32::from(last), 1).put(u32::from(template), 6);
        bits.put(u32::from(frame.number), 16);
        let structure = frame.key && frame.spatial == 0 && first;
        bits.put(u32::from(structure), 1).put(0, 1).put(1, 1).put(1, 1).put(0, 1);
        if structure {
            bits.put(u32::from(self.template_offset), 6).put(8, 5);
            for template in 0..9 {
                bits.put(if template == 8 { 3 } else { 1 + u32::from(template % 3 == 2) }, 2);
            }
            for template in 0..9 {
                (0..9).for_each(|target| bits.dti(self.dti(template / 3, template % 3, target, true)));
            }
            (0..9).for_each(|_| bits.put_flag(0)); // no differences by template
            bits.put(0, 3); // no chains: ns(10) of 0
            bits.put(0, 1); // no sizes
        }
        for target in 0..9 {
            bits.dti(self.dti(frame.spatial, frame.temporal, target, frame.key));
        }
        for (_, number) in &frame.needs {
            bits.put(2, 2).put(u32::from(frame.number.wrapping_sub(*number)) - 1, 8);
        }
        bits.put(0, 2);
        bits.bytes()
    }

    /// What a frame is to a decode target: 0 not there, 1 discardable, 2 a place to switch, 3 needed.
    fn dti(&self, spatial: u8, temporal: u8, target: u8, key: bool) -> u32 {
        let (to_spatial, to_temporal) = (target / 3, target % 3);
        let inter_layer = key || self.kind.inter_layer();
        if to_spatial < spatial || to_temporal < temporal || (to_spatial > spatial && !inter_layer) {
            return 0;
        }
        match (key, spatial == to_spatial, temporal) {
            (true, _, _) | (false, true, 0 | 1) => 2,
            (false, true, _) => 1,
            (false, false, _) => 3,
        }
    }
}

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u32, width: u32) -> &mut Self {
        self.0.extend((0..width).rev().map(|at| value >> at & 1 != 0));
        self
    }

    fn put_flag(&mut self, value: u32) {
        self.put(value, 1);
    }

    fn dti(&mut self, value: u32) {
        self.put(value, 2);
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| (0..8).fold(0, |all, at| all << 1 | u8::from(bits.get(at) == Some(&true)));
        self.0.chunks(8).map(byte).collect()
    }
}
