//! Which audio goes out in a large room: the tracks that are loud, of which there are few at a time, chosen so that they
//! stay chosen.
//!
//! Tracks whose level is not told (RFC 6464) are not judged: they always go out.

/// What becomes of the difference to a louder and to a quieter window: a voice is in after its first window, and stays in
/// over a pause of seconds.
const ATTACK: f32 = 0.6;
const RELEASE: f32 = 0.04;
/// A track that goes out counts as this much louder (6 dB), so that two alike do not take turns.
const STICKS: f32 = 2.0;

/// How loud one track is and was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loudness {
    sum: f32,
    packets: u32,
    score: f32,
    told: bool,
}

impl Loudness {
    /// A packet of this linear level.
    pub(crate) fn sample(&mut self, level: f32) {
        self.sum += level;
        self.packets += 1;
        self.told = true;
    }

    /// Forgets everything: the track is muted.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Ends a window. `None`: nothing is known of the track.
    pub(crate) fn close_window(&mut self) -> Option<f32> {
        let level = if self.packets > 0 { self.sum / self.packets as f32 } else { 0.0 };
        let part = if level > self.score { ATTACK } else { RELEASE };
        self.score += part * (level - self.score);
        (self.sum, self.packets) = (0.0, 0);
        self.told.then_some(self.score)
    }
}

/// One track to choose or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Index of the track.
    pub(crate) track: usize,
    pub(crate) score: f32,
    /// It goes out.
    pub(crate) out: bool,
}

/// Orders candidates so that the first `most` of them are those that should go out.
pub(crate) fn choose(candidates: &mut [Candidate], most: usize) -> (&[Candidate], &[Candidate]) {
    let rank = |candidate: &Candidate| candidate.score * if candidate.out { STICKS } else { 1.0 };
    candidates.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(b.out.cmp(&a.out)).then(a.track.cmp(&b.track)));
    candidates.split_at(most.min(candidates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_in_at_once_and_stays_over_a_pause() {
        let mut loudness = Loudness::default();
        assert_eq!(loudness.close_window(), None);
        loudness.sample(0.1);
        assert!(loudness.close_window().is_some_and(|score| score > 0.05));
        let windows = (0..100).take_while(|_| loudness.close_window().is_some_and(|score| score > 0.03)).count();
        assert!((10..40).contains(&windows), "{windows} tenths of a second");
    }

    #[test]
    fn chosen_tracks_stay_unless_another_is_much_louder() {
        let of = |rows: &[(f32, bool)], most: usize| {
            let row = |(track, (score, out)): (usize, &(f32, bool))| Candidate { track, score: *score, out: *out };
            let mut all: Vec<Candidate> = rows.iter().enumerate().map(row).collect();
            let mut chosen: Vec<usize> = choose(&mut all, most).0.iter().map(|one| one.track).collect();
            chosen.sort_unstable();
            chosen
        };
        // (score and whether it goes out, how many may, which do)
        type Row = (&'static [(f32, bool)], usize, &'static [usize]);
        let rows: [Row; 6] = [
            (&[(0.1, false), (0.2, false), (0.3, false)], 2, &[1, 2]),
            (&[(0.1, true), (0.19, false), (0.3, true)], 2, &[0, 2]),
            (&[(0.1, true), (0.21, false), (0.3, true)], 2, &[1, 2]),
            (&[(0.0, false), (0.0, true), (0.0, false), (0.0, true)], 2, &[1, 3]),
            (&[(0.1, false)], 2, &[0]),
            (&[], 2, &[]),
        ];
        for (rows, most, want) in rows {
            assert_eq!(of(rows, most), want, "{rows:?}");
        }
    }
}
