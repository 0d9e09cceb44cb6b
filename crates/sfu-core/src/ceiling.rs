//! How much video a room forwards at most, where there is no CPU time for more.

use convene_types::MediaKind;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ceiling {
    /// All of it.
    #[default]
    Open,
    /// No layer above this one; the lowest is 0. A track whose layers are all above it goes on: a lone layer may be a call's
    /// only picture.
    Layer(u8),
    /// No video, of which its viewers are told.
    NoVideo,
}

impl Ceiling {
    /// Whether nothing of a track goes out.
    pub(crate) fn forbids(self, kind: MediaKind) -> bool {
        self == Self::NoVideo && kind == MediaKind::Video
    }

    /// Those of the layers that live (a bit each) that may go out.
    pub(crate) fn admitted(self, kind: MediaKind, live: u8) -> u8 {
        match self {
            Self::Layer(layer) if kind == MediaKind::Video && live & up_to(layer) != 0 => live & up_to(layer),
            Self::Open | Self::Layer(_) | Self::NoVideo => live,
        }
    }
}

/// The layers from the lowest to this one, a bit each.
pub(crate) const fn up_to(layer: u8) -> u8 {
    if layer >= 7 { u8::MAX } else { (1 << (layer + 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_the_layers_below_or_what_there_is() {
        let rows = [
            (Ceiling::Open, 0b111, 0b111),
            (Ceiling::Layer(1), 0b111, 0b011),
            (Ceiling::Layer(0), 0b101, 0b001),
            (Ceiling::Layer(0), 0b110, 0b110),
            (Ceiling::Layer(7), 0b1000_0001, 0b1000_0001),
            (Ceiling::Layer(u8::MAX), 0b1000_0001, 0b1000_0001),
        ];
        for (ceiling, live, left) in rows {
            assert_eq!(ceiling.admitted(MediaKind::Video, live), left, "{ceiling:?} {live:b}");
            assert_eq!(ceiling.admitted(MediaKind::Audio, live), live);
        }
        assert!(Ceiling::NoVideo.forbids(MediaKind::Video) && !Ceiling::NoVideo.forbids(MediaKind::Audio));
        assert!(!Ceiling::Layer(0).forbids(MediaKind::Video));
    }
}
