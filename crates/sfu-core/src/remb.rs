//! Clients that estimate their path themselves and tell by REMB (draft-alvestrand-rmcat-remb-03): those without
//! transport-wide feedback.
//!
//! Such an estimate grows to about one and a half times what arrives, and no further. A subscriber on a low layer would
//! stay there for good, so now and then it is filled up with repeats or padding to what it has told, for as long as that
//! makes it tell more.

use std::time::{Duration, Instant};

/// REMBs come each second or so; one this old is of another time.
const LASTS: Duration = Duration::from_secs(8);
/// Between two times that a path is shared anew for what was told, at least: a client may tell as often as it likes. All paths
/// are shared each 200 ms anyway.
const MIN_SHARED: Duration = Duration::from_millis(100);
/// Filling goes on while the estimate rises by this much within this time. Receivers grow by 8 % a second.
const RISE: f64 = 1.03;
const PATIENCE: Duration = Duration::from_secs(3);
/// And ends where it falls by this much: there is a queue.
const FALL: f64 = 0.9;
/// Filling ends where what is told covers what is desired by this much.
const ENOUGH: f64 = 1.05;
/// Between two fillings: at first, and at most where they find nothing. 3 s in each 60 s are 5 % of a narrow path.
const MIN_PAUSE: Duration = Duration::from_secs(4);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Between two helpings of a filling.
const HELPING: Duration = Duration::from_millis(20);
/// What filling may be behind or ahead, in seconds of its rate: less makes bursts, more forgets what media did.
const MAX_CREDIT_S: f64 = 0.05;
const MAX_DEBT_S: f64 = 0.5;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Remb {
    /// Bits per second as told, and when.
    told: Option<(f64, Instant)>,
    /// When the path was shared for it.
    shared: Option<Instant>,
    fill: Option<Fill>,
    not_before: Option<Instant>,
    pause: Option<Duration>,
}

#[derive(Debug)]
struct Fill {
    /// What was told when it began.
    from: f64,
    best: f64,
    best_at: Instant,
    fed: Instant,
    /// Bytes that may be sent.
    credit: f64,
}

impl Remb {
    /// The client's word.
    pub(crate) fn told(&mut self, now: Instant, bits: f64) {
        self.told = Some((bits, now));
        let Some(fill) = self.fill.as_mut() else { return };
        if bits >= fill.best * RISE {
            (fill.best, fill.best_at) = (bits, now);
        } else if bits < fill.best * FALL {
            self.end(now);
        }
    }

    /// Whether the path is to be shared for what was told, which it is then.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.shared.is_none_or(|at| now.saturating_duration_since(at) >= MIN_SHARED);
        if due {
            self.shared = Some(now);
        }
        due
    }

    /// Bits per second that it told lately.
    pub(crate) fn bits(&self, now: Instant) -> Option<f64> {
        self.told.filter(|(_, at)| now.saturating_duration_since(*at) < LASTS).map(|(bits, _)| bits)
    }

    /// Something was ever told.
    pub(crate) const fn is_known(&self) -> bool {
        self.told.is_some()
    }

    /// A packet of this many bytes went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(fill) = self.fill.as_mut() {
            fill.credit -= bytes as f64;
        }
    }

    /// Begins to fill, if it is time and more is `desired` (in bits per second) than was told. `true`: it began.
    pub(crate) fn begin(&mut self, now: Instant, desired: f64) -> bool {
        let Some(bits) = self.bits(now).filter(|bits| *bits < desired * ENOUGH) else { return false };
        let resting = self.not_before.get_or_insert(now + MIN_PAUSE);
        if self.fill.is_some() || *resting > now {
            return false;
        }
        self.fill = Some(Fill { from: bits, best: bits, best_at: now, fed: now, credit: 0.0 });
        true
    }

    /// Bytes to send now, and when to ask again; `None`: it does not fill.
    pub(crate) fn due(&mut self, now: Instant, desired: f64) -> (usize, Option<Instant>) {
        let bits = self.bits(now).filter(|bits| *bits < desired * ENOUGH);
        let (Some(fill), Some(bits)) = (self.fill.as_mut(), bits) else {
            self.end(now);
            return (0, None);
        };
        if now.saturating_duration_since(fill.best_at) > PATIENCE {
            self.end(now);
            return (0, None);
        }
        let rate = bits.min(desired * ENOUGH) / 8.0;
        let passed = now.saturating_duration_since(std::mem::replace(&mut fill.fed, now)).as_secs_f64();
        fill.credit = (fill.credit + rate * passed).clamp(-rate * MAX_DEBT_S, rate * MAX_CREDIT_S);
        (fill.credit.max(0.0) as usize, Some(now + HELPING))
    }

    fn end(&mut self, now: Instant) {
        let Some(fill) = self.fill.take() else { return };
        let pause = match fill.best >= fill.from * RISE {
            true => MIN_PAUSE,
            false => self.pause.map_or(MIN_PAUSE * 2, |pause| pause * 2).min(MAX_PAUSE),
        };
        (self.pause, self.not_before) = (Some(pause), Some(now + pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a client whose estimate grows to 1.5 times what it gets, up to `path`; media is 100 kbit/s. What it tells at
    /// the end, and bytes of filling by second.
    fn run(seconds: u64, path: f64, desired: f64) -> (f64, Vec<usize>) {
        let start = Instant::now();
        let (mut remb, mut told, mut filled) = (Remb::default(), 150e3, Vec::new());
        for tick in 0..seconds * 50 {
            let now = start + Duration::from_millis(tick * 20);
            if tick % 50 == 0 {
                let arrived = 100e3 + filled.last().copied().unwrap_or(0) as f64 * 8.0;
                told = if arrived > path { 0.85 * path } else { (told * 1.08_f64).min(arrived * 1.5).max(told) };
                remb.told(now, told);
                filled.push(0);
            }
            remb.begin(now, desired);
            remb.sent(250);
            let (bytes, again) = remb.due(now, desired);
            assert!(bytes == 0 || again.is_some());
            remb.sent(bytes);
            *filled.last_mut().unwrap() += bytes;
        }
        (told, filled)
    }

    #[test]
    fn fills_as_long_as_it_helps() {
        let (told, filled) = run(60, 10e6, 2e6);
        assert!(told >= 2e6, "{told}");
        assert!(filled[..4].iter().all(|bytes| *bytes == 0), "{filled:?}");
        assert!(filled[55..].iter().all(|bytes| *bytes == 0), "enough: {filled:?}");
        let (_, filled) = run(300, 120e3, 2e6);
        let filling = filled.iter().filter(|bytes| **bytes > 0).count();
        assert!((5..60).contains(&filling), "{filling} of 300 s");
        let (_, filled) = run(60, 10e6, 100e3);
        assert!(filled.iter().all(|bytes| *bytes == 0), "nothing more is desired");
    }
}
