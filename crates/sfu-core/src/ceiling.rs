//! How much video a room forwards at most, where there is no CPU time for more.

use convene_types::MediaKind;

use crate::track::up_to;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ceiling {
    /// All of it.
    #[default]
    Open,
    /// No layer above this one; the lowest is 0. A track whose layers are all above it goes on: a lone layer may be a call's
    /// only picture.
    Layer(u8),
    /// The lowest layer to so many subscribers, those who came first. The others get none, and are told.
    Viewers(usize),
    /// No video, of which its viewers are told.
    NoVideo,
}

impl Ceiling {
    /// Whether there is less than a picture for everybody.
    #[must_use]
    pub const fn leaves_people_out(self) -> bool {
        matches!(self, Self::Viewers(_) | Self::NoVideo)
    }

    /// Whether a subscriber before whom so many came gets nothing of a track.
    pub(crate) fn forbids(self, kind: MediaKind, rank: usize) -> bool {
        let out = match self {
            Self::Open | Self::Layer(_) => false,
            Self::Viewers(most) => rank >= most,
            Self::NoVideo => true,
        };
        out && kind == MediaKind::Video
    }

    /// Before how many others somebody came who is just not left out.
    pub(crate) const fn last_place(self) -> Option<usize> {
        if let Self::Viewers(most) = self { most.checked_sub(1) } else { None }
    }

    /// The highest layer that goes out, where it has lower ones.
    pub(crate) const fn top(self) -> u8 {
        match self {
            Self::Open => u8::MAX,
            Self::Layer(layer) => layer,
            Self::Viewers(_) | Self::NoVideo => 0,
        }
    }

    /// Those of the layers that live (a bit each) that may go out.
    pub(crate) fn admitted(self, kind: MediaKind, live: u8) -> u8 {
        let below = live & up_to(self.top());
        if below == 0 || kind == MediaKind::Audio { live } else { below }
    }

    /// The next one, where no track has a lower layer to go on with and so many have video.
    pub(crate) fn fewer(self, viewers: usize) -> Self {
        let most = if let Self::Viewers(most) = self { most.min(viewers) } else { viewers };
        if most / 2 < FEWEST { Self::NoVideo } else { Self::Viewers(most / 2) }
    }
}

/// With fewer viewers than that it is a call, of which all see the others or nobody does.
const FEWEST: usize = 8;

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
            (Ceiling::Viewers(9), 0b111, 0b001),
        ];
        for (ceiling, live, left) in rows {
            assert_eq!(ceiling.admitted(MediaKind::Video, live), left, "{ceiling:?} {live:b}");
            assert_eq!(ceiling.admitted(MediaKind::Audio, live), live);
        }
    }

    #[test]
    fn who_came_first_sees_on_and_everybody_hears() {
        let out = |ceiling: Ceiling, kind| (0..4).map(|rank| ceiling.forbids(kind, rank)).collect::<Vec<_>>();
        assert_eq!(out(Ceiling::Viewers(3), MediaKind::Video), [false, false, false, true]);
        assert_eq!(out(Ceiling::NoVideo, MediaKind::Video), [true; 4]);
        for ceiling in [Ceiling::Open, Ceiling::Layer(0), Ceiling::Viewers(1), Ceiling::NoVideo] {
            assert_eq!(out(ceiling, MediaKind::Audio), [false; 4]);
        }
    }

    #[test]
    fn half_of_a_crowd_then_half_of_those_and_a_call_as_a_whole() {
        let mut ceiling = Ceiling::Open;
        let steps = [Ceiling::Viewers(25), Ceiling::Viewers(12), Ceiling::NoVideo];
        for step in steps {
            ceiling = ceiling.fewer(50);
            assert_eq!(ceiling, step);
        }
        assert_eq!(Ceiling::Viewers(100).fewer(40), Ceiling::Viewers(20), "some have left since");
        assert_eq!(Ceiling::Layer(0).fewer(15), Ceiling::NoVideo);
    }
}
