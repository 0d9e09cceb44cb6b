//! Several viewers behind the same bottleneck, as in a home or an office: each of them is estimated alone, and what one is sent
//! waits in the queue of the others.

use super::link::{GOOD, Link};
use super::pair::Pair;

/// Lets them share one queue.
fn run(pairs: &mut [Pair], ms: u64) {
    let mut free_at_us = 0;
    for turn in 0..ms as usize {
        for index in 0..pairs.len() {
            // Whoever comes first has what room there is.
            let pair = &mut pairs[(index + turn) % pairs.len()];
            pair.down.free_at_us = pair.down.free_at_us.max(free_at_us);
            pair.run(1);
            free_at_us = pair.down.free_at_us;
        }
    }
}

/// Neither is taken for somebody who does not give way, and together they do not fill the queue: at rates that carry just less,
/// or just more, than they are sent together, too. The last rows are those of one who is sent a little more than there is.
#[test]
fn viewers_behind_one_bottleneck_leave_each_other_a_picture() {
    // (viewers, bit/s, ms of queue)
    let rows = [
        (2, 900_000, 300),
        (2, 1_100_000, 300),
        (2, 1_300_000, 300),
        (2, 2_200_000, 1_000),
        (2, 2_600_000, 300),
        (2, 3_600_000, 300),
        (3, 4_000_000, 300),
        (3, 5_500_000, 300),
        (1, 1_860_000, 300),
        (1, 1_880_000, 300),
    ];
    for (viewers, rate, queue_ms) in rows {
        for seed in 1..=4 {
            let free = Link { rate: 50_000_000, ..GOOD };
            let mut pairs: Vec<Pair> = (0..viewers).map(|index| Pair::new(seed * 10 + index, free)).collect();
            run(&mut pairs, 10_000);
            pairs.iter_mut().for_each(|pair| pair.down.link = Link { rate, queue_ms, ..GOOD });
            run(&mut pairs, 60_000);
            for (index, pair) in pairs.iter().enumerate() {
                let (frozen, silent) = (pair.viewer.frozen(15_000, 70_000), pair.silent(15, 70));
                let late = pair.slowest_ms[15..70].iter().sum::<u64>() / 55;
                let rivals = pair.stats().0.rivals;
                let what = format!("{index} of {viewers} over {rate} {queue_ms} ms, seed {seed}");
                eprintln!(
                    "{what}: frozen {frozen:.3}, audio lost {silent:.3}, slowest of a second {late} ms, {rivals} rivals"
                );
                assert!(frozen <= 0.03 && silent <= 0.01, "{what}: {frozen} {silent}");
                assert!(late <= 120 && rivals == 0, "{what}: {late} {rivals}");
            }
        }
    }
}
