//! How good a connection is, as one number: an E-model in the manner of ITU-T G.107, with a term for pictures that are
//! smaller than asked for. `docs/` and README tell operators the same.
//!
//! ```text
//! R    = 93.2 - Id - Ie - Iv
//! d    = round trip / 2 + 2 x jitter + 20 ms                    one way, with jitter buffer and codec
//! Id   = 0.024 d + 0.11 (d - 177.3 where positive)              delay
//! Ie   = 95 P / (P + 20)                                        P: loss in percent; 20: repeats, FEC and concealment
//! Iv   = 25 x layers missing + 45 x tracks paused (as parts)    what bandwidth took away
//! MOS  = 1 + 0.035 R + 0.000007 R (R - 60) (100 - R)            1.0 to 4.4
//! ```

/// From R = 80 on people are satisfied (G.107 annex B): 3 % loss, or 200 ms of delay with some.
const EXCELLENT: f64 = 80.0;
/// From R = 60 on many are not: 10 % loss, or half the layers missing with 2 % loss.
const GOOD: f64 = 60.0;

/// What a score means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Nothing to notice.
    Excellent,
    /// Noticed, and usable.
    Good,
    /// Hard to use.
    Poor,
    /// Nothing is heard of the peer although it is sent to.
    Lost,
}

/// A peer's connection at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// 1.0..=4.4, a mean opinion score; 0 where it is lost.
    pub score: f32,
    /// What it means.
    pub grade: Grade,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Conditions {
    /// 0..=1, before repair.
    pub(crate) loss: f64,
    pub(crate) round_trip_ms: f64,
    pub(crate) jitter_ms: f64,
    /// Part of the layers asked for that are not sent, 0..=1.
    pub(crate) missing: f64,
    /// Part of the video tracks that are paused, 0..=1.
    pub(crate) paused: f64,
}

impl Conditions {
    pub(crate) fn rate(&self) -> Rating {
        let delay = self.round_trip_ms / 2.0 + 2.0 * self.jitter_ms + 20.0;
        let by_delay = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
        let percent = self.loss * 100.0;
        let by_loss = 95.0 * percent / (percent + 20.0);
        let by_bandwidth = 25.0 * self.missing + 45.0 * self.paused;
        let r = (93.2 - by_delay - by_loss - by_bandwidth).clamp(0.0, 100.0);
        let score = 1.0 + 0.035 * r + 0.000_007 * r * (r - 60.0) * (100.0 - r);
        let grade = match r {
            r if r >= EXCELLENT => Grade::Excellent,
            r if r >= GOOD => Grade::Good,
            _ => Grade::Poor,
        };
        // The polynomial dips below 1 for the smallest R.
        Rating { score: score.max(1.0) as f32, grade }
    }
}

impl Rating {
    pub(crate) const LOST: Self = Self { score: 0.0, grade: Grade::Lost };

    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.score < self.score { other } else { self }
    }

    /// Whether somebody who looks at it would see another one.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        /// A step that is shown as a tenth of the scale.
        const STEP: f32 = 0.2;
        self.grade != other.grade || (self.score - other.score).abs() >= STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let of = |loss, round_trip_ms, jitter_ms, missing, paused| {
            Conditions { loss, round_trip_ms, jitter_ms, missing, paused }.rate()
        };
        let rows = [
            (of(0.0, 0.0, 0.0, 0.0, 0.0), 4.4, Grade::Excellent),
            (of(0.01, 50.0, 5.0, 0.0, 0.0), 4.2, Grade::Excellent),
            (of(0.05, 100.0, 10.0, 0.0, 0.0), 3.7, Grade::Good),
            (of(0.10, 100.0, 10.0, 0.0, 0.0), 3.1, Grade::Poor),
            (of(0.0, 600.0, 20.0, 0.0, 0.0), 3.4, Grade::Good),
            (of(0.0, 50.0, 5.0, 1.0, 0.0), 3.4, Grade::Good),
            (of(0.0, 50.0, 5.0, 0.0, 1.0), 2.4, Grade::Poor),
            (of(1.0, 5_000.0, 500.0, 1.0, 1.0), 1.0, Grade::Poor),
        ];
        for (rating, score, grade) in rows {
            assert!((rating.score - score).abs() < 0.11 && rating.grade == grade, "{rating:?}, not {score} {grade:?}");
        }
        let (good, bad) = (rows[0].0, rows[3].0);
        assert_eq!((good.worse(bad), bad.worse(good), good.worse(Rating::LOST)), (bad, bad, Rating::LOST));
        assert!(good.differs(&bad) && !good.differs(&good));
    }
}
