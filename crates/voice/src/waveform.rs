//! The picture of a message: how loud each part of it is. It is small enough to travel with the message, so that a list
//! of messages shows it without loading a sound.

use std::num::NonZeroU128;

/// Points at most: as many bars as a chat window shows, and 256 bytes in the message.
pub const MAX_POINTS: usize = 256;
/// Samples for which there may be a point: 100 ms, about a syllable.
const MIN_POINT_SAMPLES: u64 = 4_800;
/// A message that is nowhere louder than -60 dBFS is drawn flat: its noise is not blown up.
const FLAT_POWER: f64 = 1e-6;

/// A waveform in the making, of a message whose length is known.
pub(crate) struct Waveform {
    /// Mean power of the points that are done.
    powers: Vec<f64>,
    points: NonZeroU128,
    samples: u64,
    /// Samples so far, and at how many the running point ends.
    at: u64,
    end: u64,
    /// Of the running point.
    sum: f64,
    began: u64,
}

impl Waveform {
    pub(crate) fn new(samples: u64) -> Waveform {
        let points = (samples / MIN_POINT_SAMPLES).clamp(1, MAX_POINTS as u64);
        let points = NonZeroU128::new(u128::from(points)).unwrap_or(NonZeroU128::MIN);
        let mut waveform =
            Waveform { powers: Vec::with_capacity(MAX_POINTS), points, samples, at: 0, end: 0, sum: 0.0, began: 0 };
        waveform.end = waveform.end_of(1);
        waveform
    }

    /// Parts whose lengths differ by one sample at most.
    fn end_of(&self, point: u64) -> u64 {
        // In 128 bits: the product of a length and 256 has no room in 64 for every length.
        let end = u128::from(self.samples).saturating_mul(u128::from(point)) / self.points;
        u64::try_from(end).unwrap_or(u64::MAX)
    }

    /// The next sample's power, its channels added up.
    pub(crate) fn push(&mut self, power: f64) {
        self.sum += power;
        self.at = self.at.saturating_add(1);
        if self.at == self.end {
            self.powers.push(self.sum / self.end.saturating_sub(self.began).max(1) as f64);
            self.sum = 0.0;
            self.began = self.end;
            self.end = self.end_of((self.powers.len() as u64).saturating_add(1));
        }
    }

    /// See [`crate::Voice::waveform`].
    pub(crate) fn finish(self) -> Vec<u8> {
        let loudest = self.powers.iter().copied().fold(0.0, f64::max);
        let point = |power: &f64| {
            if loudest < FLAT_POWER {
                return 0;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=255; `as` saturates")]
            let value = ((power / loudest).sqrt() * 255.0).round() as u8;
            value
        };
        self.powers.iter().map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Waveform;

    fn draw(samples: u64, amplitude: impl Fn(f64) -> f64) -> Vec<u8> {
        let mut waveform = Waveform::new(samples);
        for at in 0..samples {
            waveform.push(amplitude(at as f64 / samples as f64).powi(2));
        }
        waveform.finish()
    }

    #[test]
    fn a_point_per_100_ms_up_to_256() {
        let rows = [
            (1, 1),
            (4_799, 1),
            (9_599, 1),
            (9_600, 2),
            (48_000, 10),
            (1_228_799, 255),
            (1_228_800, 256),
            (9_999_999, 256),
        ];
        for (samples, points) in rows {
            let waveform = draw(samples, |_| 0.5);
            assert_eq!((waveform.len(), waveform.iter().all(|point| *point == 255)), (points, true), "{samples}");
        }
    }

    #[test]
    fn shapes() {
        assert_eq!(draw(48_000, |_| 0.0), [0; 10]);
        // -61 dBFS is flat, -59 dBFS is not.
        assert_eq!(draw(48_000, |_| 0.000_9), [0; 10]);
        assert_eq!(draw(48_000, |_| 0.001_1), [255; 10]);
        assert_eq!(draw(9_600, |at| if at < 0.5 { 0.25 } else { 0.5 }), [128, 255]);
        assert!(draw(480_000, |at| at).is_sorted());
    }
}
