//! Whose turn it is to speak: one of those who are heard, chosen so that a cough, a "yes, yes" or a pause for breath does
//! not change it. A simple form of Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing"
//! (2012): whoever takes the floor has to be more active than its holder over a short, a middle and a long time.
//!
//! How loud one is counts, above what is speech at all (`speakers`); a holder keeps the floor through silence until
//! somebody else takes it.

use convene_types::TrackId;

use crate::speakers::QUIETEST_DBOV;

/// What becomes of the difference to the last window of 100 ms: time constants of 0.3, 1 and 5 s.
const SHORT: f32 = 0.28;
const MIDDLE: f32 = 0.095;
const LONG: f32 = 0.02;
/// How much more active than the holder over each. The last asks of who interrupts a long speech to go on for 1.3 s after
/// its end; more would be slow to follow a conversation, less follows what people throw in.
const MORE_SHORT: f32 = 1.5;
const MORE_MIDDLE: f32 = 1.5;
const MORE_LONG: f32 = 0.3;
/// Part of the last second that has to be speech: half a second in a row. A cough is shorter.
const MIN_PRESENCE: f32 = 0.4;
/// The same where nobody holds the floor: what the list of speakers takes, so that both begin together.
const MIN_PRESENCE_OF_FIRST: f32 = 0.1;

/// How active one track is and was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Activity {
    packets: u32,
    loud: u32,
    sum: f32,
    presence: f32,
    short: f32,
    middle: f32,
    long: f32,
}

impl Activity {
    /// A packet of this loudness: 0 is the loudest, 127 silence.
    pub(crate) fn sample(&mut self, level_dbov: u8) {
        self.packets += 1;
        if let Some(above) = QUIETEST_DBOV.checked_sub(level_dbov) {
            self.loud += 1;
            self.sum += f32::from(above + 1) / f32::from(QUIETEST_DBOV + 1);
        }
    }

    /// Forgets everything: the track is muted.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Ends a window.
    pub(crate) fn close_window(&mut self) {
        let mean = |sum: f32| if self.packets > 0 { sum / self.packets as f32 } else { 0.0 };
        let (present, active) = (mean(self.loud as f32), mean(self.sum));
        self.presence += MIDDLE * (present - self.presence);
        self.short += SHORT * (active - self.short);
        self.middle += MIDDLE * (active - self.middle);
        self.long += LONG * (active - self.long);
        (self.packets, self.loud, self.sum) = (0, 0, 0.0);
    }

    fn takes_from(&self, holder: &Self) -> bool {
        self.presence >= MIN_PRESENCE
            && self.short > MORE_SHORT * holder.short
            && self.middle > MORE_MIDDLE * holder.middle
            && self.long > MORE_LONG * holder.long
    }
}

/// Who holds the floor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Floor {
    holder: Option<TrackId>,
}

impl Floor {
    /// The one who holds it, also while silent.
    pub(crate) const fn holder(self) -> Option<TrackId> {
        self.holder
    }

    /// Looks whether somebody takes it. A holder whose track has ended does not hold it any more.
    pub(crate) fn pass(&mut self, all: &[(TrackId, Activity)]) {
        let held = all.iter().find(|(track, _)| Some(*track) == self.holder);
        let takes = |(track, activity): &&(TrackId, Activity)| match held {
            Some((holder, held)) => track != holder && activity.takes_from(held),
            None => activity.presence >= MIN_PRESENCE_OF_FIRST,
        };
        let taker =
            all.iter().filter(takes).max_by(|(a_id, a), (b_id, b)| a.middle.total_cmp(&b.middle).then(b_id.cmp(a_id)));
        self.holder = taker.or(held).map(|(track, _)| *track);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TrackId = TrackId(1);
    const B: TrackId = TrackId(2);
    const SILENT: u8 = 127;

    /// Two people, and who holds the floor.
    #[derive(Default)]
    struct Talk {
        all: [Activity; 2],
        floor: Floor,
    }

    impl Talk {
        /// So many tenths of a second at these levels; when and to whom the floor went.
        fn go(&mut self, tenths: u32, levels: [u8; 2]) -> Option<(u32, TrackId)> {
            let mut passed = None;
            for tenth in 1..=tenths {
                for (activity, level) in self.all.iter_mut().zip(levels) {
                    (0..5).for_each(|_| activity.sample(level));
                    activity.close_window();
                }
                let before = self.floor.holder();
                self.floor.pass(&[(A, self.all[0]), (B, self.all[1])]);
                if self.floor.holder() != before {
                    passed = self.floor.holder().map(|holder| (tenth, holder));
                }
            }
            passed
        }
    }

    #[test]
    fn a_lone_voice_has_the_floor_within_a_third_of_a_second_and_keeps_it_through_silence() {
        let mut talk = Talk::default();
        assert_eq!(talk.go(50, [SILENT, SILENT]), None);
        assert!(matches!(talk.go(10, [20, SILENT]), Some((1..=3, A))));
        assert_eq!(talk.go(100, [SILENT, SILENT]), None);
        assert_eq!(talk.floor.holder(), Some(A));
    }

    #[test]
    fn what_does_not_change_it() {
        // (name, what happens after a minute of A: tenths of a second and levels)
        type Row = (&'static str, &'static [(u32, [u8; 2])]);
        let rows: [Row; 5] = [
            ("a cough", &[(3, [20, 5]), (10, [20, SILENT])]),
            ("a cough into a pause for breath", &[(8, [SILENT, SILENT]), (3, [SILENT, 5]), (5, [SILENT, SILENT])]),
            ("a word of assent into a pause", &[(10, [SILENT, SILENT]), (6, [SILENT, 20]), (10, [20, SILENT])]),
            ("two at once, one a little louder", &[(100, [20, 16])]),
            ("a noisy room", &[(20, [SILENT, SILENT]), (5, [20, 34]), (300, [20, 34])]),
        ];
        for (name, then) in rows {
            let mut talk = Talk::default();
            talk.go(600, [20, SILENT]);
            for (tenths, levels) in then {
                assert_eq!(talk.go(*tenths, *levels), None, "{name}");
            }
        }
    }

    #[test]
    fn who_answers_has_it_within_two_seconds() {
        let mut talk = Talk::default();
        talk.go(600, [20, SILENT]);
        assert!(matches!(talk.go(40, [SILENT, 20]), Some((5..=20, B))), "after a long speech");
        assert!(matches!(talk.go(40, [20, SILENT]), Some((5..=20, A))), "and back");
        assert!(matches!(talk.go(60, [34, 10]), Some((5..=25, B))), "over a noisy microphone");
    }

    #[test]
    fn an_ended_track_lets_go() {
        let mut talk = Talk::default();
        talk.go(600, [20, 20]);
        assert_eq!(talk.floor.holder(), Some(A));
        talk.floor.pass(&[(B, talk.all[1])]);
        assert_eq!(talk.floor.holder(), Some(B));
        talk.floor.pass(&[]);
        assert_eq!(talk.floor.holder(), None);
    }
}
