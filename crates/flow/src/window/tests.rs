use super::*;

const MS: Duration = Duration::from_millis(1);

/// A bottleneck with a queue that never overflows, seen by a round trip that is smoothed as RFC 9002 §5.3 says.
struct Bottleneck {
    bytes_a_second: f64,
    base: Duration,
    /// What others keep in the queue.
    others: Duration,
    smoothed: Duration,
    window: Window,
    now: Instant,
}

impl Bottleneck {
    fn new(kbit_a_second: u32, base: Duration) -> Self {
        let now = Instant::now();
        let bytes_a_second = f64::from(kbit_a_second) * 125.0;
        Self { bytes_a_second, base, others: Duration::ZERO, smoothed: base, window: Window::new(now), now }
    }

    fn rtt(&self, bytes: u64) -> Duration {
        let full = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
        full.max(self.base) + self.others
    }

    /// Lets time pass; what was allowed at last.
    fn run(&mut self, time: Duration) -> u64 {
        let end = self.now + time;
        let mut bytes = 0;
        while self.now < end {
            let path = Path { rtt: self.smoothed, congestion_window: MAX_BYTES };
            bytes = self.window.at(path, self.now);
            let rtt = self.rtt(bytes);
            // Eight samples of it.
            self.smoothed = self.smoothed.mul_f64(0.34) + rtt.mul_f64(0.66);
            self.now += rtt;
        }
        bytes
    }

    fn queue(&self, bytes: u64) -> Duration {
        self.rtt(bytes) - self.base - self.others
    }
}

#[test]
fn a_slow_path_is_filled_and_its_queue_stays_short() {
    for (kbit, base) in
        [(300, 40 * MS), (500, 40 * MS), (2_000, 20 * MS), (4_000, 80 * MS), (20_000, 80 * MS), (20_000, 300 * MS)]
    {
        let mut path = Bottleneck::new(kbit, base);
        for second in 10..20 {
            let bytes = path.run(Duration::from_secs(if second == 10 { 10 } else { 1 }));
            let full = path.bytes_a_second * base.as_secs_f64();
            assert!(bytes as f64 >= full, "{kbit} kbit/s, {base:?}: {bytes} bytes do not fill it");
            let queue = path.queue(bytes);
            let most = QUEUE.max(Duration::from_secs_f64(MIN_BYTES as f64 / path.bytes_a_second)) + QUEUE / 4;
            assert!(queue <= most, "{kbit} kbit/s, {base:?}: a queue of {queue:?}");
        }
    }
}

#[test]
fn a_fast_path_gets_all_that_may_wait_within_ten_round_trips() {
    let mut path = Bottleneck::new(1_000_000, 100 * MS);
    assert_eq!(path.run(Duration::from_secs(1)), MAX_BYTES);
}

#[test]
fn a_path_that_gets_slow_is_left_within_seconds_and_filled_again() {
    let mut path = Bottleneck::new(20_000, 60 * MS);
    let wide = path.run(Duration::from_secs(10));
    path.bytes_a_second /= 10.0;
    let narrow = path.run(Duration::from_secs(10));
    assert!(path.queue(narrow) <= QUEUE + QUEUE / 4, "a queue of {:?}", path.queue(narrow));
    path.bytes_a_second *= 10.0;
    assert!(path.run(Duration::from_secs(5)) >= wide / 2);
}

#[test]
fn whoever_keeps_the_queue_full_is_not_given_way_to_for_long() {
    let mut path = Bottleneck::new(4_000, 60 * MS);
    path.run(Duration::from_secs(5));
    path.others = 800 * MS;
    assert_eq!(path.run(Duration::from_secs(20)), MAX_BYTES, "congestion control decides alone");
    // They are gone. Nobody knows before the truce is over.
    path.others = Duration::ZERO;
    let bytes = path.run(TRUCE + Duration::from_secs(60));
    assert!(path.queue(bytes) <= QUEUE + QUEUE / 4, "a queue of {:?}", path.queue(bytes));
}

#[test]
fn never_more_waits_than_congestion_control_allows_twice() {
    let now = Instant::now();
    let mut window = Window::new(now);
    for round in 0..20_u32 {
        let path = Path { rtt: 50 * MS, congestion_window: 30_000 };
        assert!(window.at(path, now + round * 50 * MS) <= 60_000);
    }
    let path = Path { rtt: 50 * MS, congestion_window: 0 };
    assert_eq!(window.at(path, now + Duration::from_secs(2)), MIN_BYTES);
}

#[test]
fn a_round_trip_that_is_not_known_does_no_harm() {
    let now = Instant::now();
    let mut window = Window::new(now);
    let path = Path { rtt: Duration::ZERO, congestion_window: u64::MAX };
    for _ in 0..100 {
        assert!((MIN_BYTES..=MAX_BYTES).contains(&window.at(path, now)));
    }
    let path = Path { rtt: Duration::MAX, congestion_window: u64::MAX };
    assert!((MIN_BYTES..=MAX_BYTES).contains(&window.at(path, now)));
}

#[test]
fn after_a_pause_nothing_is_known() {
    let mut path = Bottleneck::new(20_000, 30 * MS);
    assert!(path.run(Duration::from_secs(5)) > FIRST_BYTES * 3);
    path.now += FORGOTTEN * 2;
    // The way is longer now. That is no queue.
    (path.base, path.smoothed) = (200 * MS, 200 * MS);
    let bytes = path.run(Duration::from_secs(5));
    assert!(bytes as f64 >= path.bytes_a_second * 0.2, "{bytes} bytes do not fill it");
}
