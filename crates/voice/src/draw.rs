//! A waveform for a terminal: one row of Unicode blocks. `convene chat` calls it.

use std::num::NonZeroUsize;

/// From silence to the loudest part. The lowest is a line, not a blank, so that a silent message is visible.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One bar for each of `width` columns: the loudest point of those that fall into it. Points are repeated if there are
/// fewer than columns; no points at all are drawn as silence.
#[must_use]
pub fn bars(waveform: &[u8], width: usize) -> String {
    let Some(columns) = NonZeroUsize::new(width) else { return String::new() };
    (0..width).map(|column| bar(loudest(waveform, column, columns))).collect()
}

fn loudest(waveform: &[u8], column: usize, columns: NonZeroUsize) -> u8 {
    let edge = |column: usize| column.saturating_mul(waveform.len()) / columns;
    let (begin, end) = (edge(column), edge(column.saturating_add(1)));
    let points = waveform.get(begin..end.max(begin.saturating_add(1))).unwrap_or_default();
    points.iter().copied().max().unwrap_or(0)
}

fn bar(point: u8) -> char {
    // 256 values, 8 bars: 32 each.
    BARS.get(usize::from(point >> 5)).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::bars;

    #[test]
    fn draws() {
        let rows: [(&[u8], usize, &str); 7] = [
            (&[0, 32, 64, 96, 128, 160, 192, 255], 8, "▁▂▃▄▅▆▇█"),
            (&[0, 32, 64, 96, 128, 160, 192, 255], 4, "▂▄▆█"),
            (&[0, 255], 4, "▁▁██"),
            (&[0, 255, 0], 2, "▁█"),
            (&[255], 3, "███"),
            (&[], 3, "▁▁▁"),
            (&[9], 0, ""),
        ];
        for (waveform, width, expected) in rows {
            assert_eq!(bars(waveform, width), expected, "{waveform:?}");
        }
    }
}
