//! Which provider is asked next. [`Health`] remembers which ones fail, for the whole process; a [`Delivery`] is one message
//! on its way through them. The sender does what [`Delivery::poll_next`] says, and tells what came of it.
//!
//! Providers stand in the configured order. One that failed rests, longer each time, and is asked behind the others while
//! it does: if all of them rest, a message still goes out by whichever works again.
//!
//! A message whose answer was lost may arrive twice, with the same code: better than not at all.

use crate::Answer;

/// First rest of a provider that failed. Doubles up to [`MAX_REST_MS`].
pub const REST_MS: u64 = 5_000;
/// Longest rest: how late a provider that works again is found at the latest, if none is asked behind the others.
pub const MAX_REST_MS: u64 = 5 * 60_000;
/// How long one provider may take to answer.
pub const PATIENCE_MS: u64 = 4_000;
/// How long a message may take in all: somebody is looking at a form.
pub const MAX_TOTAL_MS: u64 = 12_000;
/// Providers of one configuration.
pub const MAX_PROVIDERS: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct One {
    failures: u32,
    rests_until_ms: u64,
}

/// How the providers did lately. One for the process.
#[derive(Clone, Debug, Default)]
pub struct Health {
    providers: Vec<One>,
}

impl Health {
    /// All well. Providers beyond [`MAX_PROVIDERS`] are never asked.
    #[must_use]
    pub fn new(providers: usize) -> Self {
        Self { providers: vec![One::default(); providers.min(MAX_PROVIDERS)] }
    }

    /// All providers in the order in which a message should try them: as configured, those that rest behind, the one
    /// whose rest ends first foremost among them.
    fn order(&self, now_ms: u64) -> Vec<usize> {
        let mut order: Vec<_> = self.providers.iter().enumerate().collect();
        // Sorting is stable: the configured order stays where this says nothing.
        order.sort_by_key(|(_, one)| if one.rests_until_ms > now_ms { one.rests_until_ms } else { 0 });
        order.into_iter().map(|(at, _)| at).collect()
    }

    fn note(&mut self, provider: usize, worked: bool, now_ms: u64) {
        let Some(one) = self.providers.get_mut(provider) else { return };
        if worked {
            *one = One::default();
            return;
        }
        let rest = REST_MS.saturating_mul(1_u64.checked_shl(one.failures.min(32)).unwrap_or(u64::MAX)).min(MAX_REST_MS);
        *one = One { failures: one.failures.saturating_add(1), rests_until_ms: now_ms.saturating_add(rest) };
    }
}

/// What to do for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask this provider, and give it until then.
    Ask {
        /// Its place in the configuration.
        provider: usize,
        /// On the clock that `now_ms` is of.
        deadline_ms: u64,
    },
    /// It is on its way.
    Sent {
        /// By this one.
        provider: usize,
    },
    /// The number cannot be written to.
    BadNumber,
    /// All providers have written to this number too often.
    Limited,
    /// Nobody took it.
    Failed,
}

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    left: std::vec::IntoIter<usize>,
    until_ms: u64,
    asked: Option<usize>,
    /// All that answered so far said so, and at least one did.
    limited: Option<bool>,
    end: Option<Next>,
}

impl Delivery {
    /// A message that sets out at `now_ms`.
    #[must_use]
    pub fn begin(health: &Health, now_ms: u64) -> Self {
        let (left, until_ms) = (health.order(now_ms).into_iter(), now_ms.saturating_add(MAX_TOTAL_MS));
        Self { left, until_ms, asked: None, limited: None, end: None }
    }

    /// What to do. Asking again before an answer goes to the next provider: use it once an answer was handled.
    pub fn poll_next(&mut self, now_ms: u64) -> Next {
        if let Some(end) = self.end {
            return end;
        }
        let next = if now_ms < self.until_ms { self.left.next() } else { None };
        let Some(provider) = next else {
            let end = if self.limited == Some(true) { Next::Limited } else { Next::Failed };
            self.end = Some(end);
            return end;
        };
        self.asked = Some(provider);
        Next::Ask { provider, deadline_ms: now_ms.saturating_add(PATIENCE_MS).min(self.until_ms) }
    }

    /// What the provider that was asked has answered; `None`: nothing in time, or no connection.
    pub fn handle_answer(&mut self, answer: Option<&Answer>, health: &mut Health, now_ms: u64) {
        let Some(provider) = self.asked.take() else { return };
        let worked = match answer {
            Some(Answer::Accepted { .. }) => {
                self.end = Some(Next::Sent { provider });
                true
            }
            Some(Answer::BadNumber) => {
                self.end = Some(Next::BadNumber);
                true
            }
            // The provider is well; it is this number that it has had enough of.
            Some(Answer::Limited) => {
                self.limited = Some(self.limited.unwrap_or(true));
                true
            }
            Some(Answer::Failed { .. }) | None => {
                self.limited = Some(false);
                false
            }
        };
        health.note(provider, worked, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted() -> Answer {
        Answer::Accepted { id: String::new() }
    }

    fn failed() -> Answer {
        Answer::Failed { code: "x".into() }
    }

    /// Sends one message; `answers` by provider.
    fn send(health: &mut Health, answers: &[Option<Answer>], now_ms: u64) -> (Vec<usize>, Next) {
        let (mut delivery, mut asked) = (Delivery::begin(health, now_ms), Vec::new());
        loop {
            let next = delivery.poll_next(now_ms);
            let Next::Ask { provider, .. } = next else { return (asked, next) };
            asked.push(provider);
            delivery.handle_answer(answers[provider].as_ref(), health, now_ms);
        }
    }

    #[test]
    fn answers_decide_who_is_asked_next() {
        let rows = [
            (vec![Some(accepted()), Some(accepted())], vec![0], Next::Sent { provider: 0 }),
            (vec![Some(failed()), Some(accepted())], vec![0, 1], Next::Sent { provider: 1 }),
            (vec![None, Some(accepted())], vec![0, 1], Next::Sent { provider: 1 }),
            (vec![Some(Answer::BadNumber), Some(accepted())], vec![0], Next::BadNumber),
            (vec![Some(Answer::Limited), Some(accepted())], vec![0, 1], Next::Sent { provider: 1 }),
            (vec![Some(Answer::Limited), Some(Answer::Limited)], vec![0, 1], Next::Limited),
            (vec![Some(Answer::Limited), None], vec![0, 1], Next::Failed),
            (vec![None, Some(Answer::Limited)], vec![0, 1], Next::Failed),
            (vec![Some(failed()), None], vec![0, 1], Next::Failed),
            (vec![], vec![], Next::Failed),
        ];
        for (answers, want_asked, want) in rows {
            let got = send(&mut Health::new(answers.len()), &answers, 0);
            assert_eq!(got, (want_asked, want), "{answers:?}");
        }
    }

    #[test]
    fn one_that_failed_rests_and_comes_back() {
        let mut health = Health::new(2);
        let down = [None, Some(accepted())];
        assert_eq!(send(&mut health, &down, 0).0, [0, 1]);
        assert_eq!(send(&mut health, &down, REST_MS - 1).0, [1]);
        // Its rest is over: asked first again, and rests for twice as long.
        assert_eq!(send(&mut health, &down, REST_MS).0, [0, 1]);
        assert_eq!(send(&mut health, &down, 3 * REST_MS - 1).0, [1]);
        let up = [Some(accepted()), Some(accepted())];
        assert_eq!(send(&mut health, &up, 3 * REST_MS).0, [0]);
        assert_eq!(send(&mut health, &up, 3 * REST_MS + 1).0, [0]);
    }

    #[test]
    fn when_all_rest_all_are_asked() {
        let mut health = Health::new(3);
        assert_eq!(send(&mut health, &[None, None, None], 0), (vec![0, 1, 2], Next::Failed));
        assert_eq!(send(&mut health, &[None, None, Some(accepted())], 1), (vec![0, 1, 2], Next::Sent { provider: 2 }));
        assert_eq!(send(&mut health, &[None, None, Some(accepted())], 2).0, [2]);
    }

    #[test]
    fn a_message_ends_in_time() {
        let (mut health, mut now) = (Health::new(MAX_PROVIDERS), 0);
        let mut delivery = Delivery::begin(&health, now);
        let mut asked = 0;
        while let Next::Ask { deadline_ms, .. } = delivery.poll_next(now) {
            assert!(deadline_ms <= MAX_TOTAL_MS);
            now = deadline_ms;
            asked += 1;
            delivery.handle_answer(None, &mut health, now);
        }
        assert_eq!((asked, now, delivery.poll_next(now)), (3, MAX_TOTAL_MS, Next::Failed));
    }

    proptest! {
        /// Whatever happened before: nobody is asked twice for a message, and it goes out if one works.
        #[test]
        fn a_message_goes_out_if_anybody_works(history in prop::collection::vec((0_u64..400_000, prop::array::uniform4(0_u8..4)), 1..40)) {
            let (mut health, mut now) = (Health::new(4), 0);
            for (gap, answers) in history {
                now += gap;
                let answers = answers.map(|kind| match kind {
                    0 => Some(accepted()),
                    1 => Some(Answer::Limited),
                    2 => Some(failed()),
                    _ => None,
                });
                let works = answers.iter().any(|answer| matches!(answer, Some(Answer::Accepted { .. })));
                let (mut asked, end) = send(&mut health, &answers, now);
                prop_assert_eq!(matches!(end, Next::Sent { .. }), works);
                let count = asked.len();
                asked.sort_unstable();
                asked.dedup();
                prop_assert_eq!(asked.len(), count);
            }
        }
    }
}
