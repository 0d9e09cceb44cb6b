use super::*;

const MS: Duration = Duration::from_millis(1);

/// A stream over a bottleneck whose queue never overflows, looked at once a millisecond.
struct Stream {
    bytes_a_ms: u64,
    base: Duration,
    ahead: Ahead,
    now: Instant,
    written: u64,
    /// Bytes that were through the bottleneck at the end of each millisecond.
    through: Vec<u64>,
    smoothed: Duration,
    asked: u32,
}

impl Stream {
    fn new(bytes_a_ms: u64, base: Duration) -> Self {
        let now = Instant::now();
        let ahead = Ahead::new(now);
        Self { bytes_a_ms, base, ahead, now, written: 0, through: vec![0], smoothed: base, asked: 0 }
    }

    fn acknowledged(&self) -> u64 {
        let then = self.through.len().saturating_sub(1 + self.base.as_millis() as usize);
        self.through[then]
    }

    fn queue(&self) -> Duration {
        Duration::from_millis((self.written - self.through.last().unwrap()) / self.bytes_a_ms)
    }

    /// Writes all that it may, for so long. The longest queue, and the part of the bottleneck that was used.
    fn run(&mut self, time: Duration) -> (Duration, f64) {
        let (begun, mut longest) = (*self.through.last().unwrap(), Duration::ZERO);
        for _ in 0..time.as_millis() {
            loop {
                match self.ahead.turn(|| self.now) {
                    Turn::Write(room) => {
                        self.written += room;
                        self.ahead.wrote(room as usize);
                    }
                    Turn::Ask => {
                        self.asked += 1;
                        let path = Path { rtt: self.smoothed, congestion_window: u64::MAX };
                        let found = Found { path, under_way: self.written - self.acknowledged() };
                        self.ahead.found(Some(found), self.now);
                    }
                    Turn::Wait(until) => {
                        assert!(until > self.now && until <= self.now + LATEST);
                        break;
                    }
                }
            }
            let through = self.through.last().unwrap() + self.bytes_a_ms;
            self.through.push(through.min(self.written));
            longest = longest.max(self.queue());
            self.smoothed = self.smoothed.mul_f64(0.95) + (self.base + self.queue()).mul_f64(0.05);
            self.now += MS;
        }
        let used = self.through.last().unwrap() - begun;
        (longest, used as f64 / (self.bytes_a_ms * time.as_millis() as u64) as f64)
    }
}

#[test]
fn a_slow_path_is_used_whole_and_its_queue_stays_short() {
    for (bytes_a_ms, base) in [(60, 40), (250, 20), (500, 80), (2_500, 80), (2_500, 300)] {
        let mut stream = Stream::new(bytes_a_ms, base * MS);
        stream.run(Duration::from_secs(10));
        let (queue, used) = stream.run(Duration::from_secs(10));
        let what = format!("{bytes_a_ms} bytes a ms, {base} ms: a queue of {queue:?}, {used:.3} used");
        assert!(queue < 150 * MS && used > 0.97, "{what}");
        assert!(stream.asked < 20_000 / 2, "{what}, {} questions", stream.asked);
    }
}

#[test]
fn a_small_answer_costs_no_question() {
    let mut ahead = Ahead::new(Instant::now());
    for _ in 0..15 {
        assert!(matches!(ahead.turn(|| unreachable!("the time does not matter")), Turn::Write(room) if room >= 1024));
        ahead.wrote(1024);
    }
}

#[test]
fn where_nobody_knows_the_path_the_transport_decides_alone() {
    let now = Instant::now();
    let mut ahead = Ahead::new(now);
    for _ in 0..5 {
        let Turn::Write(room) = ahead.turn(|| now) else { panic!("nothing to wait for") };
        ahead.wrote(room as usize);
        assert_eq!(ahead.turn(|| now), Turn::Ask);
        ahead.found(None, now);
    }
    assert_eq!(ahead.turn(|| now), Turn::Write(BLIND_BYTES));
    ahead.wrote(usize::MAX);
    assert_eq!(ahead.turn(|| now), Turn::Ask);
}

#[test]
fn who_takes_nothing_is_seldom_asked_about_and_served_at_once_later() {
    let mut now = Instant::now();
    let begun = now;
    let mut ahead = Ahead::new(now);
    ahead.wrote(usize::MAX);
    let path = Path { rtt: 40 * MS, congestion_window: u64::MAX };
    let mut asked = 0;
    while now < begun + Duration::from_secs(60) {
        match ahead.turn(|| now) {
            Turn::Ask => ahead.found(Some(Found { path, under_way: 1 << 24 }), now),
            Turn::Wait(until) => (now, asked) = (until, asked + 1),
            Turn::Write(room) => panic!("{room} bytes more"),
        }
    }
    assert!(asked < 400, "{asked} questions in a minute");
    ahead.found(Some(Found { path, under_way: 1000 }), now);
    assert!(matches!(ahead.turn(|| now), Turn::Write(_)));
    ahead.wrote(usize::MAX);
    assert!(matches!(ahead.turn(|| now), Turn::Wait(until) if until <= now + LATEST));
}

#[test]
fn nothing_is_written_while_a_window_is_under_way_but_a_packet_always_is() {
    let now = Instant::now();
    let mut ahead = Ahead::new(now);
    ahead.wrote(usize::MAX);
    let path = Path { rtt: 40 * MS, congestion_window: u64::MAX };
    ahead.found(Some(Found { path, under_way: u64::MAX }), now);
    assert_eq!(ahead.turn(|| now), Turn::Wait(now + 20 * MS));
    assert_eq!(ahead.turn(|| now + 20 * MS), Turn::Ask);
    ahead.found(Some(Found { path, under_way: 0 }), now + 20 * MS);
    assert!(matches!(ahead.turn(|| now), Turn::Write(room) if room >= LEAST_BYTES));
}
