//! Who speaks, by the audio level that clients put into a header extension (RFC 6464).

use convene_types::TrackId;

/// Quieter than this is no speech: dB below overload, as LiveKit's default.
const QUIETEST_DBOV: u8 = 35;
/// Share of a window's packets that must be that loud, in percent. Lower reacts to a cough, higher misses short words.
const MIN_LOUD_PERCENT: u32 = 40;
/// What is left of a level after a silent window: a pause between words does not end a turn, one second does.
const RELEASE: f32 = 0.3;
/// Steps in which a level counts as changed: clients draw a bar.
const LEVEL_STEPS: f32 = 8.0;

/// The loudness of one track.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    packets: u32,
    loud: u32,
    /// Sum of the loud packets' linear levels.
    sum: f32,
    level: f32,
}

impl Meter {
    /// A packet of this loudness: 0 is the loudest, 127 silence.
    pub(crate) fn sample(&mut self, level_dbov: u8) {
        self.packets += 1;
        if level_dbov <= QUIETEST_DBOV {
            self.loud += 1;
            self.sum += linear(level_dbov);
        }
    }

    /// Forgets everything: the track is muted.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Ends a window; the level of a speaker, or `None`.
    pub(crate) fn close_window(&mut self) -> Option<f32> {
        let spoke = self.loud > 0 && self.loud * 100 >= self.packets * MIN_LOUD_PERCENT;
        let now = if spoke { self.sum / self.loud as f32 } else { 0.0 };
        let level = now.max(self.level * RELEASE);
        *self = Self { level, ..Self::default() };
        (level >= linear(QUIETEST_DBOV)).then_some(level)
    }
}

/// Who spoke at last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speakers {
    told: Vec<(TrackId, u8)>,
}

impl Speakers {
    /// Anybody speaks.
    pub(crate) fn any(&self) -> bool {
        !self.told.is_empty()
    }

    /// Who speaks in this window; the list to tell, loudest first, if it differs from the last one told.
    pub(crate) fn update(&mut self, mut speaking: Vec<(TrackId, f32)>) -> Option<Vec<(TrackId, f32)>> {
        speaking.sort_by(|(a_id, a), (b_id, b)| b.total_cmp(a).then(a_id.cmp(b_id)));
        let steps: Vec<(TrackId, u8)> =
            speaking.iter().map(|(track, level)| (*track, (level * LEVEL_STEPS).ceil() as u8)).collect();
        if steps == self.told {
            return None;
        }
        self.told = steps;
        Some(speaking)
    }
}

/// 0 dBov is 1.0, -20 dBov is 0.1.
pub(crate) fn linear(level_dbov: u8) -> f32 {
    10.0_f32.powf(-f32::from(level_dbov) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters() {
        // (name, windows of (packets, dBov), level at the end times 1000)
        type Row = (&'static str, &'static [&'static [(u32, u8)]], Option<u32>);
        let rows: [Row; 8] = [
            ("silence", &[&[(20, 127)]], None),
            ("nothing at all", &[&[]], None),
            ("speech", &[&[(20, 20)]], Some(100)),
            ("at the threshold", &[&[(20, 35)]], Some(17)),
            ("below it", &[&[(20, 36)]], None),
            ("a cough", &[&[(2, 10), (18, 100)]], None),
            ("a pause between words", &[&[(20, 20)], &[(20, 127)]], Some(30)),
            ("the end of a turn", &[&[(20, 20)], &[(20, 127)], &[(20, 127)]], None),
        ];
        for (name, windows, want) in rows {
            let mut meter = Meter::default();
            let mut level = None;
            for window in windows {
                for (packets, dbov) in *window {
                    (0..*packets).for_each(|_| meter.sample(*dbov));
                }
                level = meter.close_window();
            }
            assert_eq!(level.map(|level| (level * 1000.0) as u32), want, "{name}");
        }
    }

    #[test]
    fn tells_changes_loudest_first() {
        let (a, b) = (TrackId(1), TrackId(2));
        let mut speakers = Speakers::default();
        assert_eq!(speakers.update(vec![]), None);
        assert_eq!(speakers.update(vec![(a, 0.1), (b, 0.5)]), Some(vec![(b, 0.5), (a, 0.1)]));
        assert_eq!(speakers.update(vec![(a, 0.11), (b, 0.49)]), None, "too small a change");
        assert_eq!(speakers.update(vec![(a, 0.9), (b, 0.5)]), Some(vec![(a, 0.9), (b, 0.5)]));
        assert_eq!(speakers.update(vec![(b, 0.5)]), Some(vec![(b, 0.5)]));
        assert_eq!(speakers.update(vec![]), Some(vec![]));
        assert!(!speakers.any());
    }
}
