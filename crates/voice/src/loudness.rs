//! Integrated loudness after ITU-R BS.1770-4, for one or two channels at 48 kHz, in constant memory: gating blocks go
//! into a histogram instead of a list, so the relative gate is exact to 0.1 LU.

/// The lowest loudness that is told apart: BS.1770-4's absolute gate.
pub const SILENCE_LUFS: f32 = -70.0;

/// A gating block is 400 ms, and one begins every 100 ms (BS.1770-4, annex 1, "gated mean").
const STEP_SAMPLES: u32 = 4_800;
const STEPS_PER_BLOCK: usize = 4;
/// Histogram: from the absolute gate up, by 0.1 LU. Full scale stereo is near +3; header gain may add up to 128 dB.
const BINS: usize = 2_200;
const BINS_PER_LU: f64 = 10.0;
/// Below the mean of what passed the absolute gate.
const RELATIVE_GATE_LU: f64 = -10.0;

/// A running measurement.
pub(crate) struct Loudness {
    filters: [Weighting; 2],
    channels: usize,
    /// Power of the running step, and of the latest whole ones.
    step: f64,
    in_step: u32,
    steps: [f64; STEPS_PER_BLOCK],
    whole_steps: u64,
    /// Of everything, for what is shorter than one block.
    total: f64,
    samples: u64,
    /// Blocks, and the sum of their mean squares, by loudness.
    bins: Vec<(u64, f64)>,
}

impl Loudness {
    pub(crate) fn new(channels: usize) -> Loudness {
        Loudness {
            filters: [Weighting::new(), Weighting::new()],
            channels,
            step: 0.0,
            in_step: 0,
            steps: [0.0; STEPS_PER_BLOCK],
            whole_steps: 0,
            total: 0.0,
            samples: 0,
            bins: vec![(0, 0.0); BINS],
        }
    }

    /// One sample of each channel.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        let filters = self.filters.iter_mut().take(self.channels);
        // Both channels of stereo weigh 1.0 (BS.1770-4, table 3).
        let power: f64 = filters.zip(frame).map(|(filter, sample)| filter.push(f64::from(*sample)).powi(2)).sum();
        self.step += power;
        self.total += power;
        self.samples = self.samples.saturating_add(1);
        self.in_step = self.in_step.saturating_add(1);
        if self.in_step == STEP_SAMPLES {
            self.end_step();
        }
    }

    fn end_step(&mut self) {
        self.steps.rotate_left(1);
        if let Some(last) = self.steps.last_mut() {
            *last = self.step;
        }
        (self.step, self.in_step) = (0.0, 0);
        self.whole_steps = self.whole_steps.saturating_add(1);
        if self.whole_steps < STEPS_PER_BLOCK as u64 {
            return;
        }
        let mean = self.steps.iter().sum::<f64>() / (f64::from(STEP_SAMPLES) * STEPS_PER_BLOCK as f64);
        let over = lufs(mean) - f64::from(SILENCE_LUFS);
        if over <= 0.0 || over.is_nan() {
            return;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "over is positive; `as` saturates")]
        let bin = ((over * BINS_PER_LU) as usize).min(BINS - 1);
        if let Some((count, sum)) = self.bins.get_mut(bin) {
            *count = count.saturating_add(1);
            *sum += mean;
        }
    }

    /// LUFS, [`SILENCE_LUFS`] or more.
    pub(crate) fn finish(self) -> f32 {
        let mean = if self.whole_steps < STEPS_PER_BLOCK as u64 {
            self.total / self.samples.max(1) as f64
        } else {
            self.gated_mean()
        };
        let loudness = lufs(mean);
        #[expect(clippy::cast_possible_truncation, reason = "a loudness needs no 52 bits")]
        let loudness = if loudness.is_finite() { loudness as f32 } else { SILENCE_LUFS };
        loudness.max(SILENCE_LUFS)
    }

    fn gated_mean(&self) -> f64 {
        let gate = lufs(mean_of(&self.bins)) + RELATIVE_GATE_LU;
        let bins_below = ((gate - f64::from(SILENCE_LUFS)) * BINS_PER_LU).max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; `as` saturates")]
        let first = (bins_below as usize).min(BINS);
        mean_of(self.bins.get(first..).unwrap_or_default())
    }
}

fn mean_of(bins: &[(u64, f64)]) -> f64 {
    let (count, sum) =
        bins.iter().fold((0_u64, 0.0), |(count, sum), (more, power)| (count.saturating_add(*more), sum + power));
    sum / count.max(1) as f64
}

/// BS.1770-4, annex 1, formula 2. Minus infinity for silence.
fn lufs(mean_square: f64) -> f64 {
    -0.691 + 10.0 * mean_square.log10()
}

/// The K-weighting of one channel: a shelf for the head, then a high-pass (BS.1770-4, tables 1 and 2, for 48 kHz).
struct Weighting {
    shelf: Biquad,
    high_pass: Biquad,
}

impl Weighting {
    fn new() -> Weighting {
        Weighting {
            shelf: Biquad::new(
                [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85],
                [-1.690_659_293_182_41, 0.732_480_774_215_85],
            ),
            high_pass: Biquad::new([1.0, -2.0, 1.0], [-1.990_047_454_833_98, 0.990_072_250_366_21]),
        }
    }

    fn push(&mut self, sample: f64) -> f64 {
        self.high_pass.push(self.shelf.push(sample))
    }
}

/// Transposed direct form II.
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    fn new(b: [f64; 3], a: [f64; 2]) -> Biquad {
        Biquad { b, a, state: [0.0; 2] }
    }

    fn push(&mut self, sample: f64) -> f64 {
        let ([b0, b1, b2], [a1, a2], [s1, s2]) = (self.b, self.a, self.state);
        let out = b0 * sample + s1;
        self.state = [b1 * sample - a1 * out + s2, b2 * sample - a2 * out];
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Loudness, SILENCE_LUFS};

    fn measure(channels: usize, parts: &[(f64, f64)]) -> f32 {
        let mut loudness = Loudness::new(channels);
        let mut at = 0.0;
        for (seconds, dbfs) in parts {
            for _ in 0..(seconds * 48_000.0) as u64 {
                let sample = 10_f64.powf(dbfs / 20.0) * (at * 997.0 * std::f64::consts::TAU / 48_000.0).sin();
                loudness.push(&[sample as f32; 2][..channels]);
                at += 1.0;
            }
        }
        loudness.finish()
    }

    /// BS.1770-4: a 997 Hz sine at full scale in one channel reads -3.01. The gating rows are those of EBU Tech 3341
    /// (cases 1, 3 and 4 of its table 1), whose sines are in both channels.
    #[test]
    fn sines_read_what_the_recommendation_says() {
        type Row = (usize, &'static [(f64, f64)], f32);
        let rows: [Row; 8] = [
            (1, &[(5.0, 0.0)], -3.01),
            (1, &[(5.0, -20.0)], -23.01),
            (2, &[(5.0, -23.0)], -23.0),
            (2, &[(10.0, -36.0), (60.0, -23.0), (10.0, -36.0)], -23.0),
            (2, &[(10.0, -72.0), (10.0, -36.0), (60.0, -23.0), (10.0, -36.0), (10.0, -72.0)], -23.0),
            (1, &[(0.2, -20.0)], -23.01),
            (1, &[(3.0, -90.0)], SILENCE_LUFS),
            (1, &[], SILENCE_LUFS),
        ];
        for (channels, parts, expected) in rows {
            let measured = measure(channels, parts);
            assert!((measured - expected).abs() < 0.1, "{parts:?}: {measured}, not {expected}");
        }
    }
}
