//! What loss says where delay says nothing: a shallow queue or a policer drops what is too much at once.
//!
//! Loss alone is no congestion: a radio link loses what it loses at any rate. The two are told apart by trying: the rate is
//! lowered to what arrives, once; where the loss stays, it belongs to the path and is accepted from then on.

use super::acked::Acked;

/// Loss above what belongs to the path that counts as congestion. Random loss of 10 % spreads over 6 to 14 % in a window
/// of this size.
const CONGESTION: f64 = 0.15;
/// A window is judged when it has this many packets and is this long.
const MIN_PACKETS: u32 = 40;
const MIN_WINDOW_US: i64 = 400_000;
/// Part of what arrives that is tried.
const DECREASE: f64 = 0.95;
/// A trial is over after this long: the lower layer has come into force and feedback on it is here.
const TRIAL_US: i64 = 1_500_000;
/// One of what runs needs, which is more than arrives: whoever else fills a queue has made room after a round trip.
const HELD_US: i64 = 700_000;
/// Loss in a trial, as a part of the loss before it, that shows that the rate is not its cause.
const STAYS: f64 = 0.5;
/// How much of a lower loss is learnt in one window: the path may be getting better, or the window was lucky.
const FORGET: f64 = 0.2;
/// Loss that the path may claim for itself; above it something else is wrong, and less is better.
const MAX_OWN: f64 = 0.35;
/// Growth of the bound in a window without congestion.
const GROWTH: f64 = 1.05;

#[derive(Clone, Copy, Debug)]
struct Trial {
    until_us: i64,
    /// The loss and the bound before.
    loss: f64,
    bound: f64,
    /// Less would have been tried, but for what runs.
    held: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Losses {
    packets: u32,
    lost: u32,
    window_us: Option<i64>,
    bound: f64,
    /// Loss that belongs to the path.
    own: f64,
    trial: Option<Trial>,
}

impl Losses {
    pub(super) fn new() -> Self {
        Self { packets: 0, lost: 0, window_us: None, bound: f64::INFINITY, own: 0.0, trial: None }
    }

    /// The most that the loss allows; infinite while it says nothing.
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }

    /// A packet's fate is known.
    pub(super) fn count(&mut self, lost: bool) {
        self.packets += 1;
        self.lost += u32::from(lost);
    }

    /// A probe arrived at this rate.
    pub(super) fn raise(&mut self, found: f64) {
        self.bound = self.bound.max(found);
    }

    /// What is counted of the present window belongs to an interruption.
    pub(super) fn interrupt(&mut self) {
        (self.packets, self.lost, self.window_us) = (0, 0, None);
    }

    /// Judges the window when it is full. `target`: what the delay allows. `needed`: what runs needs that much, unless loss stays:
    /// a queue that somebody else fills loses much when it overflows, and then nothing.
    pub(super) fn update(&mut self, now_us: i64, target: f64, acked: &Acked, needed: f64) {
        let since = *self.window_us.get_or_insert(now_us);
        if self.packets < MIN_PACKETS || now_us - since < MIN_WINDOW_US {
            return;
        }
        let loss = f64::from(self.lost) / f64::from(self.packets);
        (self.packets, self.lost, self.window_us) = (0, 0, Some(now_us));
        let less = (acked.long().unwrap_or(target) * DECREASE).min(target);
        let is_much = loss > self.own + CONGESTION;
        match self.trial.take() {
            Some(trial) if now_us < trial.until_us => return self.trial = Some(trial),
            Some(trial) if trial.held && is_much => return self.lower(now_us, loss, less, trial.bound),
            Some(trial) if !trial.held => return self.conclude(loss, &trial),
            None if is_much && less < needed => return self.hold(now_us, loss, needed),
            None if is_much => return self.lower(now_us, loss, less, self.bound),
            Some(_) | None => {}
        }
        self.own = if loss < self.own { self.own + (loss - self.own) * FORGET } else { self.own };
        if self.bound.is_finite() {
            self.bound *= GROWTH;
            if self.bound > 2.0 * target {
                self.bound = f64::INFINITY;
            }
        }
    }

    /// Tries so much less, of a bound as it was before.
    fn lower(&mut self, now_us: i64, loss: f64, to: f64, bound: f64) {
        self.bound = self.bound.min(to);
        self.trial = Some(Trial { until_us: now_us + TRIAL_US, loss, bound, held: false });
    }

    /// Tries no more than what runs needs.
    fn hold(&mut self, now_us: i64, loss: f64, needed: f64) {
        self.trial = Some(Trial { until_us: now_us + HELD_US, loss, bound: self.bound, held: true });
        self.bound = self.bound.min(needed);
    }

    /// A trial is over.
    fn conclude(&mut self, loss: f64, trial: &Trial) {
        if loss > trial.loss * STAYS {
            self.own = loss.min(MAX_OWN);
            if loss <= MAX_OWN {
                self.bound = trial.bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs windows of 100 packets each half second with the loss that `loss` tells for a rate; rate = the lower of the
    /// bound and 2 Mbit/s. The bound at the end, and the lowest.
    fn run(windows: i64, loss: impl Fn(i64, f64) -> f64) -> (f64, f64) {
        let mut losses = Losses::new();
        let mut lowest = f64::INFINITY;
        for window in 0..windows {
            let rate = losses.bound().min(2e6);
            let lost = (loss(window, rate) * 100.0) as u32;
            (0..100).for_each(|index| losses.count(index < lost));
            let mut acked = Acked::new();
            let arriving = rate * (1.0 - f64::from(lost) / 100.0);
            (0..200).for_each(|index| acked.add(index * 10_000, (arriving / 800.0) as u16));
            losses.update(window * 500_000, 2e6, &acked, 0.0);
            lowest = lowest.min(losses.bound());
        }
        (losses.bound(), lowest)
    }

    #[test]
    fn a_path_that_loses_at_any_rate_is_left_alone() {
        for percent in [5, 10, 14] {
            let (bound, lowest) = run(100, |_, _| f64::from(percent) / 100.0);
            assert!(bound.is_infinite() && lowest.is_infinite(), "{percent}: {bound} {lowest}");
        }
        let (bound, lowest) = run(100, |_, _| 0.2);
        assert!(bound.is_infinite() && lowest > 1e6, "tried once: {bound} {lowest}");
    }

    #[test]
    fn what_runs_has_what_it_needs_unless_loss_stays() {
        let (needed, mut acked) = (0.3e6, Acked::new());
        (0..200).for_each(|index| acked.add(index * 10_000, 250)); // 0.2 Mbit/s
        // (windows of half a second that lose half, the bound in the one behind them)
        for (lossy, held) in [(2, true), (3, true), (4, false), (5, false)] {
            let mut losses = Losses::new();
            for window in 0..=lossy {
                (0..100).for_each(|index| losses.count(window < lossy && index < 50));
                losses.update(window * 500_000, 2e6, &acked, needed);
            }
            assert_eq!(losses.bound() >= needed, held, "{lossy}: {}", losses.bound());
        }
    }

    #[test]
    fn a_policer_is_obeyed() {
        let policer = |_, rate: f64| (1.0 - 1e6 / rate).max(0.0);
        let (bound, lowest) = run(20, policer);
        assert!((0.8e6..1.25e6).contains(&bound) && lowest > 0.8e6, "{bound} {lowest}");
        let (bound, _) = run(60, |window, rate| if window < 20 { policer(window, rate) } else { 0.0 });
        assert!(bound.is_infinite(), "it is gone: {bound}");
    }
}
