//! Shares what a subscriber's path carries among its video tracks. Audio is not shared: it is taken off before.
//!
//! By priority every track first gets its lowest step; where not even those fit, the least important are paused. What
//! is left raises the more important tracks to what was asked for before it raises the others, and equals in turn. Steps
//! are those of `cut`: a level with some or all of its temporal layers.
//!
//! A pure function of its input; `room::bandwidth` makes the input and carries out the outcome.

use crate::cut::STEPS;

/// A layer that is not in force yet has to fit with this much to spare: its rate is an average, the switch begins with a
/// keyframe, and an estimate that just fits would have it taken back at once.
const MARGIN_UP: f64 = 1.15;
/// A layer in force may stand above what is left by this much: rates and estimates breathe.
const MARGIN_KEPT: f64 = 0.92;

/// A video track as this sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// Higher goes first.
    pub(crate) priority: u8,
    /// Bits per second of each step; 0: it is not there.
    pub(crate) rates: [f64; STEPS],
    /// The same over a longer time. Nothing is paused for a burst, which is spread: to go on takes a keyframe, which is another.
    /// And between two pages a screen's large layer looks as if it fitted.
    pub(crate) usual: [f64; STEPS],
    /// The highest step asked for.
    pub(crate) max: u8,
    /// The step in force.
    pub(crate) given: Option<u8>,
    /// It may get more than it has.
    pub(crate) may_rise: bool,
    /// It must not be paused: nothing could find out that it might go on.
    pub(crate) keep: bool,
}

impl Want {
    /// The steps to choose from, lowest first: those up to the highest asked for, else the lowest there is.
    fn ladder(&self) -> impl DoubleEndedIterator<Item = u8> {
        let there = |layer: &u8| self.rates.get(usize::from(*layer)).is_some_and(|rate| *rate > 0.0);
        let layers = 0..STEPS as u8;
        let lowest = layers.clone().find(there);
        let max = self.max.max(lowest.unwrap_or(0));
        layers
            .filter(move |layer| *layer <= max)
            .filter(move |layer| self.rates.get(usize::from(*layer)).is_some_and(|rate| *rate > 0.0))
    }

    /// Bits per second of a layer that is in force, or is not.
    fn rate(&self, layer: u8, kept: bool) -> f64 {
        let of = |rates: &[f64; STEPS]| rates.get(usize::from(layer)).copied().unwrap_or(0.0);
        let (rate, usual) = (of(&self.rates), of(&self.usual));
        match self.ladder().next() == Some(layer) {
            true => rate.min(usual),
            false if kept => rate,
            false => rate.max(usual),
        }
    }

    /// What a layer takes of the budget.
    fn cost(&self, layer: u8) -> f64 {
        let kept = self.given.is_some_and(|given| layer <= given);
        self.rate(layer, kept) * if kept { MARGIN_KEPT } else { MARGIN_UP }
    }

    fn allows(&self, layer: u8) -> bool {
        self.may_rise || self.given.is_some_and(|given| layer <= given)
    }

    /// Bits per second without which it is paused, where it runs.
    pub(crate) fn needed(&self) -> f64 {
        let lowest = self.ladder().next().filter(|_| self.given.is_some());
        lowest.map_or(0.0, |layer| self.rate(layer, true) * MARGIN_UP)
    }

    /// Bits per second that would serve it in full.
    pub(crate) fn desired(&self) -> f64 {
        self.ladder().next_back().map_or(0.0, |layer| self.rate(layer, false) * MARGIN_UP)
    }
}

/// The step that each track gets, in the order of `wants`; `None`: it is paused.
pub(crate) fn allocate(mut budget: f64, wants: &[Want]) -> Vec<Option<u8>> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|index| wants.get(*index).map(|want| u8::MAX - want.priority));
    let mut given = vec![None; wants.len()];
    for index in &order {
        let (Some(want), Some(slot)) = (wants.get(*index), given.get_mut(*index)) else { continue };
        let Some(lowest) = want.ladder().next() else { continue };
        let cost = want.cost(lowest);
        // No patience here: a picture that may come back does, and the margin alone keeps it from flapping.
        if want.keep || cost <= budget {
            *slot = Some(lowest);
            budget -= cost;
        }
    }
    let mut rest = order.as_slice();
    while let Some(priority) = rest.first().and_then(|first| wants.get(*first)).map(|want| want.priority) {
        let same = rest.iter().take_while(|index| wants.get(**index).is_some_and(|want| want.priority == priority));
        let (class, later) = rest.split_at(same.count());
        while raise_each(&mut budget, wants, class, &mut given) {}
        rest = later;
    }
    given
}

/// Raises each of a class by a step, if it fits. `true`: some rose.
fn raise_each(budget: &mut f64, wants: &[Want], class: &[usize], given: &mut [Option<u8>]) -> bool {
    class.iter().filter(|index| raise(budget, wants.get(**index), given.get_mut(**index))).count() > 0
}

fn raise(budget: &mut f64, want: Option<&Want>, given: Option<&mut Option<u8>>) -> bool {
    let (Some(want), Some(given)) = (want, given) else { return false };
    let Some(present) = *given else { return false };
    let Some(next) = want.ladder().find(|layer| *layer > present) else { return false };
    let more = want.cost(next) - want.cost(present);
    if !want.allows(next) || more > *budget {
        return false;
    }
    *budget -= more;
    *given = Some(next);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::{ALL, level_of, step, temporal_of};

    const CAMERA: [f64; 3] = [150e3, 500e3, 1_700e3];

    fn want(priority: u8, rates: &[f64], given: Option<u8>) -> Want {
        let mut all = [0.0; STEPS];
        all.iter_mut().skip(3).step_by(4).zip(rates).for_each(|(to, from)| *to = *from);
        let given = given.map(|level| step(level, ALL));
        Want { priority, rates: all, usual: all, max: u8::MAX, given, may_rise: true, keep: false }
    }

    /// The levels given, where all temporal layers of each are.
    fn levels(budget: f64, wants: &[Want]) -> Vec<Option<u8>> {
        let whole = |step: u8| {
            assert_eq!(temporal_of(step), ALL);
            level_of(step)
        };
        allocate(budget, wants).into_iter().map(|given| given.map(whole)).collect()
    }

    #[test]
    fn one_camera() {
        // (budget, layer it has, layer it gets)
        let rows = [
            (5e6, None, Some(2)),
            (1.9e6, None, Some(1)),
            (1.9e6, Some(2), Some(2)),
            (1.6e6, Some(2), Some(2)),
            (1.5e6, Some(2), Some(1)),
            (0.5e6, Some(0), Some(0)),
            (0.5e6, Some(1), Some(1)),
            (0.17e6, None, None),
            (0.18e6, None, Some(0)),
            (0.14e6, Some(0), Some(0)),
            (0.13e6, Some(0), None),
        ];
        for (budget, given, expected) in rows {
            assert_eq!(levels(budget, &[want(0, &CAMERA, given)]), [expected], "{budget} {given:?}");
        }
        let capped = Want { max: step(1, ALL), ..want(0, &CAMERA, None) };
        assert_eq!(levels(9e6, &[capped]), [Some(1)]);
        let resting = Want { may_rise: false, ..want(0, &CAMERA, Some(0)) };
        assert_eq!(levels(9e6, &[resting]), [Some(0)]);
        let paused = Want { may_rise: false, ..want(0, &CAMERA, None) };
        assert_eq!(levels(9e6, &[paused]), [Some(0)], "back at once, and no further");
        let kept = Want { keep: true, ..want(0, &CAMERA, Some(0)) };
        assert_eq!(levels(0.0, &[kept]), [Some(0)]);
        let usually = |rates: &[f64]| want(0, rates, None).usual;
        let burst = Want { usual: usually(&[0.1e6, 0.5e6, 1.7e6]), ..want(0, &CAMERA, Some(0)) };
        assert_eq!(levels(0.1e6, &[burst]), [Some(0)], "it is spread");
        let pages = |given| Want { usual: usually(&[0.15e6, 0.5e6, 3e6]), ..want(0, &CAMERA, Some(given)) };
        assert_eq!([1, 2].map(|given| levels(2.5e6, &[pages(given)])), [[Some(1)], [Some(2)]], "between two pages");
        let gap = want(0, &[0.0, 500e3, 0.0, 900e3], None);
        assert_eq!(levels(9e6, &[Want { max: step(0, ALL), ..gap }]), [Some(1)], "the lowest there is");
        assert_eq!(levels(9e6, &[want(0, &[], None)]), [None]);
    }

    #[test]
    fn the_important_first_and_equals_in_turn() {
        let screen = want(2, &[1_200e3], None);
        let (large, thumb) = (want(1, &CAMERA, None), want(0, &CAMERA, None));
        let all = [thumb, large, screen, thumb];
        // (budget, what each gets)
        let rows: [(f64, [Option<u8>; 4]); 6] = [
            (9e6, [Some(2), Some(2), Some(0), Some(2)]),
            (4.5e6, [Some(1), Some(2), Some(0), Some(1)]),
            (2.0e6, [Some(0), Some(0), Some(0), Some(0)]),
            (1.6e6, [None, Some(0), Some(0), None]),
            (1.4e6, [None, None, Some(0), None]),
            (0.4e6, [Some(0), Some(0), None, None]),
        ];
        for (budget, expected) in rows {
            assert_eq!(levels(budget, &all), expected, "{budget}");
        }
        assert_eq!(levels(1.3e6, &[thumb, thumb]), [Some(1), Some(1)]);
        assert_eq!(levels(1.0e6, &[thumb, thumb]), [Some(1), Some(0)]);
    }

    #[test]
    fn temporal_layers_are_smaller_steps() {
        let mut rates = [0.0; STEPS];
        // Half, three quarters and all of two levels' frames; a quarter of the upper one's is not offered.
        let offered = [((0, 0), 50e3), ((0, 1), 100e3), ((0, 3), 150e3), ((1, 1), 350e3), ((1, 3), 500e3)];
        offered.iter().for_each(|((level, temporal), rate)| rates[usize::from(step(*level, *temporal))] = *rate);
        // (budget, step in force, step given)
        let rows = [
            (600e3, None, Some((1, 3))),
            (470e3, Some((1, 3)), Some((1, 3))),
            (450e3, Some((1, 3)), Some((1, 1))),
            (300e3, Some((1, 3)), Some((0, 3))),
            (120e3, Some((0, 3)), Some((0, 1))),
            (60e3, Some((0, 1)), Some((0, 0))),
            (40e3, Some((0, 0)), None),
        ];
        for (budget, given, want) in rows {
            let code = |(level, temporal)| step(level, temporal);
            let one = Want { rates, usual: rates, given: given.map(code), ..self::want(0, &[], None) };
            assert_eq!(allocate(budget, &[one]), [want.map(code)], "{budget}");
        }
    }
}
