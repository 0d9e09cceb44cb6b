//! Which parts (from, to] of a log are known: ascending, apart from each other.

use convene_types::Seq;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<(Seq, Seq)>);

impl Spans {
    /// From rows; what overlaps is joined.
    pub(super) fn restore(rows: &[(Seq, Seq)]) -> Self {
        let mut spans = Self::default();
        rows.iter().for_each(|(from, to)| spans.insert(*from, *to));
        spans
    }

    /// Joins (from, to] with what it touches. An empty one says: known from here on.
    pub(super) fn insert(&mut self, from: Seq, to: Seq) {
        if from > to {
            return;
        }
        let first = self.0.partition_point(|(_, end)| *end < from);
        let last = self.0.partition_point(|(start, _)| *start <= to);
        let touched = self.0.get(first..last).unwrap_or_default();
        let start = touched.first().map_or(from, |span| span.0.min(from));
        let end = touched.last().map_or(to, |span| span.1.max(to));
        self.0.splice(first..last, [(start, end)]);
    }

    /// Takes away everything up to `floor`.
    pub(super) fn trim(&mut self, floor: Seq) {
        self.0.retain_mut(|span| {
            span.0 = span.0.max(floor);
            span.1 >= floor
        });
    }

    /// The newest one.
    pub(super) fn last(&self) -> Option<(Seq, Seq)> {
        self.0.last().copied()
    }

    /// The one that holds the event at `seq`, or else the one that begins right behind it.
    pub(super) fn around(&self, seq: Seq) -> Option<(Seq, Seq)> {
        self.0.iter().copied().find(|(from, to)| *from <= seq && seq <= *to)
    }

    /// Where the last one that ends below `seq` ends.
    pub(super) fn end_below(&self, seq: Seq) -> Option<Seq> {
        self.0.iter().rev().map(|(_, to)| *to).find(|to| *to < seq)
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.0.iter().any(|(from, to)| *from < seq && seq <= *to)
    }

    pub(super) fn rows(&self) -> Vec<(Seq, Seq)> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn they_are_the_set_of_what_was_put_in(parts in proptest::collection::vec((0_u64..60, 0_u64..9), 0..12)) {
            let (mut spans, mut model) = (Spans::default(), std::collections::BTreeSet::new());
            for (from, len) in parts {
                spans.insert(Seq(from), Seq(from + len));
                model.extend(from + 1..=from + len);
            }
            for seq in 1..80 {
                proptest::prop_assert_eq!(spans.contains(Seq(seq)), model.contains(&seq));
            }
            let rows = spans.rows();
            proptest::prop_assert!(rows.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", rows);
        }
    }
}
