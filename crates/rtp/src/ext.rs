//! The header extensions that we know: their URIs, which id each has on one transport, and the values that we read.

mod value;

pub use value::{AudioLevel, Orientation, PlayoutDelay, abs_send_time, transport_cc};

/// What a header extension means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RFC 9143: which media section a packet belongs to.
    Mid,
    /// RFC 8852: which simulcast layer.
    Rid,
    /// RFC 8852: which simulcast layer an RTX packet repairs.
    RepairedRid,
    /// RFC 6464: loudness of the packet.
    AudioLevel,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01 §2: transport-wide sequence number.
    TransportCc,
    /// 24-bit send time in units of 2^-18 s.
    AbsSendTime,
    /// NTP time of capture.
    AbsCaptureTime,
    /// 3GPP TS 26.114 §7.4.5: rotation of the camera.
    VideoOrientation,
    /// Bounds for the receiver's jitter buffer.
    PlayoutDelay,
    /// AOM "RTP Payload Format For AV1" appendix A; browsers use it for VP8, VP9 and H.264 too.
    DependencyDescriptor,
    /// Target bitrate and resolution of every layer that the sender makes.
    VideoLayersAllocation,
    /// Colour space and HDR metadata.
    ColorSpace,
    /// Camera or screen content.
    VideoContentType,
    /// Times of the encode and send steps, for statistics.
    VideoTiming,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; KINDS] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::AbsCaptureTime,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
        Self::VideoLayersAllocation,
        Self::ColorSpace,
        Self::VideoContentType,
        Self::VideoTiming,
    ];

    /// The URI of `a=extmap`.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::VideoLayersAllocation => "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            Self::VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
        }
    }

    /// The kind that this URI names.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    /// Position in [`Kind::ALL`]; a test holds the two together.
    const fn index(self) -> usize {
        self as usize
    }
}

const KINDS: usize = 14;
/// Ids below this one are looked up in a table, the others by search: browsers number from 1 and stay below 15, because
/// the one-byte form ends there.
const TABLE_IDS: usize = 16;

/// Which id each kind has on one transport, as negotiated. One id has at most one kind and the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// By [`Kind::index`]; 0: not negotiated.
    ids: [u8; KINDS],
    /// By id.
    kinds: [Option<Kind>; TABLE_IDS],
}

impl Map {
    /// Nothing negotiated.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: [0; KINDS], kinds: [None; TABLE_IDS] }
    }

    /// Gives `kind` this id and takes it from the kind that had it; 0 takes the kind's id away.
    pub fn set(&mut self, kind: Kind, id: u8) {
        if id != 0
            && let Some(previous) = self.kind(id)
        {
            self.put(previous, 0);
        }
        self.put(kind, id);
    }

    /// The id of `kind`, 1..=255; `None`: not negotiated.
    #[must_use]
    pub fn id(&self, kind: Kind) -> Option<u8> {
        self.ids.get(kind.index()).copied().filter(|id| *id != 0)
    }

    /// The kind that has this id.
    #[must_use]
    pub fn kind(&self, id: u8) -> Option<Kind> {
        match self.kinds.get(usize::from(id)) {
            Some(kind) => *kind,
            None => Kind::ALL.into_iter().find(|kind| self.id(*kind) == Some(id)),
        }
    }

    /// Every negotiated kind with its id, in the order of [`Kind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u8)> + use<> {
        let map = *self;
        Kind::ALL.into_iter().filter_map(move |kind| map.id(kind).map(|id| (kind, id)))
    }

    fn put(&mut self, kind: Kind, id: u8) {
        let Some(slot) = self.ids.get_mut(kind.index()) else { return };
        let previous = std::mem::replace(slot, id);
        if let Some(slot) = self.kinds.get_mut(usize::from(previous)) {
            *slot = None;
        }
        if id != 0
            && let Some(slot) = self.kinds.get_mut(usize::from(id))
        {
            *slot = Some(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_order_and_uris_are_unique() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            assert_eq!(Kind::from_uri(kind.uri()), Some(kind));
        }
        for uri in ["", "urn:ietf:params:rtp-hdrext:toffset", "URN:3GPP:VIDEO-ORIENTATION"] {
            assert_eq!(Kind::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn map_is_one_to_one() {
        type Step = (Kind, u8);
        // (steps, what stays)
        let rows: [(&[Step], &[Step]); 7] = [
            (&[], &[]),
            (&[(Kind::Mid, 4), (Kind::Rid, 10)], &[(Kind::Mid, 4), (Kind::Rid, 10)]),
            (&[(Kind::Mid, 4), (Kind::Mid, 5)], &[(Kind::Mid, 5)]),
            (&[(Kind::Mid, 4), (Kind::Rid, 4)], &[(Kind::Rid, 4)]),
            (&[(Kind::Mid, 4), (Kind::Mid, 0)], &[]),
            (&[(Kind::Mid, 255), (Kind::Rid, 16)], &[(Kind::Mid, 255), (Kind::Rid, 16)]),
            (&[(Kind::Mid, 200), (Kind::Rid, 200), (Kind::Mid, 15)], &[(Kind::Mid, 15), (Kind::Rid, 200)]),
        ];
        for (steps, want) in rows {
            let mut map = Map::new();
            for (kind, id) in steps {
                map.set(*kind, *id);
            }
            assert_eq!(map.iter().collect::<Vec<_>>(), want, "{steps:?}");
            for id in 0..=255 {
                let kind = want.iter().find(|(_, wanted)| *wanted == id).map(|(kind, _)| *kind);
                assert_eq!(map.kind(id), kind, "{steps:?} id {id}");
            }
        }
    }
}
