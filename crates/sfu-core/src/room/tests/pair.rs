//! Two real rooms with a simulated path between them: the near one estimates the path and chooses layers, the far one
//! reports arrivals, asks for what is missing and forwards to a viewer. Neither side of the path is a model.

use convene_rtp::packet::is_rtcp;

use super::link::{Browser, GOOD, Link, Wire};
use super::rival::Rival;
use super::viewer::Viewer;
use super::*;
use crate::stats::Stats;

const TWCC_ID: u8 = 3;
/// Alice publishes into the near room, from which the far one receives as Bob; there she is the publisher, and Carol
/// watches.
const FAR: PeerId = BOB;
const VIEWER: PeerId = CAROL;

pub(super) struct Pair {
    near: Room,
    far: Room,
    start: Instant,
    ms: u64,
    pub(super) down: Wire,
    up: Wire,
    browser: Browser,
    pub(super) viewer: Viewer,
    rival: Option<Rival>,
    /// Audio packets that the viewer got, by second.
    audio: Vec<u32>,
    /// The longest time on the way down, by second.
    pub(super) slowest_ms: Vec<u64>,
    stream_states: Vec<(u64, bool)>,
}

impl Pair {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        let World { room: mut near, start, .. } = World::new(3);
        let mut far = Room::new(Config::default(), start);
        for (track, kind, codec) in [(VIDEO, MediaKind::Video, Codec::Vp8), (AUDIO, MediaKind::Audio, Codec::Opus)] {
            let mut out = egress(FAR, track);
            out.exts.set(Kind::TransportCc, TWCC_ID);
            let spec = TrackSpec {
                track,
                publisher: ALICE,
                kind,
                pts: vec![(OUT_PT, codec)],
                layers: 1,
                exts: out.exts,
                rtx: kind == MediaKind::Video,
                nack: kind == MediaKind::Video,
            };
            near.subscribe(start, FAR, track, out);
            far.add_track(start, spec);
            let mut shown = egress(VIEWER, track);
            shown.pts.iter_mut().for_each(|map| map.from = OUT_PT);
            far.subscribe(start, VIEWER, track, shown);
        }
        Self {
            near,
            far,
            start,
            ms: 0,
            down: Wire::new(seed, link),
            up: Wire::new(seed + 1_000, Link { rate: 4_000_000, ..link }),
            browser: Browser::new(seed + 2_000),
            viewer: Viewer::default(),
            rival: None,
            audio: Vec::new(),
            slowest_ms: Vec::new(),
            stream_states: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms {
            if self.ms.is_multiple_of(1_000) {
                if std::env::var_os("CONVENE_SIM_TRACE").is_some() {
                    self.trace();
                }
                self.audio.push(0);
                self.slowest_ms.push(0);
            }
            let now = self.at(self.ms * 1_000);
            // Whoever comes first has what room there is.
            let rival_first = self.ms.is_multiple_of(2);
            self.tick_rival(rival_first);
            self.browser.publish(self.ms, now, &mut self.near);
            self.carry(now);
            for room in [&mut self.near, &mut self.far] {
                if room.poll_timeout().is_some_and(|due| due <= now) {
                    room.handle_timeout(now);
                    assert!(room.poll_timeout().is_none_or(|due| due > now), "a deadline that stays in the past");
                }
            }
            self.flush_near(now);
            self.tick_rival(!rival_first);
            self.flush_far(now);
            self.ms += 1;
        }
        self
    }

    fn tick_rival(&mut self, is_due: bool) {
        if let Some(rival) = self.rival.as_mut().filter(|_| is_due) {
            rival.tick(self.ms, &mut self.down);
        }
    }

    /// A line of what is going on, to look at a seed that fails.
    fn trace(&self) {
        let budget =
            self.near.subscribers.iter().find_map(|(_, subscriber)| subscriber.budget(self.at(self.ms * 1_000)));
        let (near, far) = self.stats();
        eprintln!(
            "{:3} s: {:.0} kbit/s, {:?} of audio, {:?} ms, last {:?}; out {} repeats {} probes {} overuses {} rises {} falls \
             {} starved {}; asked {} given up {} plis {}",
            self.ms / 1_000,
            budget.unwrap_or(0.0) / 1e3,
            self.audio.last(),
            self.slowest_ms.last(),
            self.viewer.shown.last(),
            near.packets_out,
            near.rtx_out,
            near.probe_packets,
            near.overuses,
            near.rises,
            near.falls,
            near.starved,
            far.nack_out,
            far.lost_in,
            far.pli_out,
        );
    }

    fn at(&self, us: u64) -> Instant {
        self.start + Duration::from_micros(us)
    }

    /// What comes out of the path, both ways.
    fn carry(&mut self, now: Instant) {
        while let Some(mut arrived) = self.down.receive(self.ms) {
            let at = self.at(arrived.at_us);
            if is_rtcp(&arrived.bytes) {
                self.far.handle_rtcp(at, ALICE, &arrived.bytes).unwrap();
                continue;
            }
            let slowest = self.slowest_ms.last_mut().unwrap();
            *slowest = (*slowest).max(self.ms - arrived.sent_ms);
            let ssrc = View::parse(&arrived.bytes).unwrap().ssrc();
            let track = if ssrc == out_ssrc(FAR, AUDIO) { AUDIO } else { VIDEO };
            let repair = track == VIDEO && ssrc != out_ssrc(FAR, VIDEO);
            let rtx_media_pt = repair.then_some(OUT_PT);
            let input = RtpIn { track, layer: 0, repair, packet: &mut arrived.bytes, rtx_media_pt };
            // Repeats that nobody needs any more, and repairs before the first packet, are refused and counted.
            let _ = self.far.handle_rtp(at, input);
        }
        while let Some(arrived) = self.up.receive(self.ms) {
            self.near.handle_rtcp(now, FAR, &arrived.bytes).unwrap();
        }
    }

    fn flush_near(&mut self, now: Instant) {
        while self.near.next_subscriber().is_some() {
            self.near.write(now, &mut Show::to(|packet| self.down.send(self.ms, packet.to_vec())));
        }
        while let Some((to, bytes)) = self.near.poll_rtcp(now) {
            if to == FAR {
                self.down.send(self.ms, bytes);
                continue;
            }
            for packet in packets(&bytes) {
                if let Ok(Packet::Pli { media, .. }) = packet {
                    self.browser.keyframe(self.ms, (media.0 - layer_ssrc(0)) as usize);
                }
            }
        }
        while let Some(event) = self.near.poll_event() {
            if let Event::StreamState { paused, .. } = event {
                self.stream_states.push((self.ms, paused));
            }
        }
    }

    fn flush_far(&mut self, now: Instant) {
        while self.far.next_subscriber().is_some() {
            let mut show = Show::to(|packet| {
                let view = View::parse(packet).unwrap();
                if view.ssrc() == out_ssrc(VIEWER, VIDEO) {
                    self.viewer.take(self.ms, &view);
                } else {
                    *self.audio.last_mut().unwrap() += 1;
                }
            });
            self.far.write(now, &mut show);
        }
        while let Some((to, bytes)) = self.far.poll_rtcp(now) {
            if to == ALICE {
                self.up.send(self.ms, bytes);
            }
        }
        while self.far.poll_event().is_some() {}
    }

    pub(super) fn stats(&self) -> (Stats, Stats) {
        (self.near.stats(), self.far.stats())
    }

    /// Seconds from one time until nothing above the layer is shown, up to another time.
    fn down_after(&self, from_ms: u64, to_ms: u64, layer: u8) -> f64 {
        let above = self.viewer.shown.iter().rev().find(|shown| shown.at_ms < to_ms && shown.layer > layer);
        above.map_or(0.0, |last| last.at_ms.saturating_sub(from_ms) as f64 / 1e3)
    }

    /// Audio packets lost from one second to another, as a part.
    pub(super) fn silent(&self, from_s: usize, to_s: usize) -> f64 {
        1.0 - f64::from(self.audio[from_s..to_s].iter().sum::<u32>()) / (50.0 * (to_s - from_s) as f64)
    }
}

/// 4 Mbit/s, 500 kbit/s, 4 Mbit/s: 20 seconds each.
fn rate_step(seed: u64, link: Link, feedback_lost: u64) -> Pair {
    let mut pair = Pair::new(seed, link);
    pair.up.link.loss_percent = feedback_lost;
    for rate in [4_000_000, 500_000, 4_000_000] {
        pair.down.link.rate = rate;
        pair.run(20_000);
    }
    pair
}

#[test]
fn a_rate_step_between_two_rooms_is_followed_down_within_two_seconds_and_up_within_ten() {
    for feedback_lost in [0, 20] {
        for seed in 1..=10 {
            let pair = rate_step(seed, GOOD, feedback_lost);
            let first_up = pair.viewer.first(0, 2).map_or(f64::INFINITY, |ms| ms as f64 / 1e3);
            let (down, to_lowest) = (pair.down_after(20_000, 40_000, 1), pair.down_after(20_000, 22_000, 0));
            let up = pair.viewer.first(40_000, 2).map_or(f64::INFINITY, |ms| ms as f64 / 1e3);
            let frozen = [(5_000, 20_000), (20_000, 40_000), (40_000, 60_000)].map(|(a, b)| pair.viewer.frozen(a, b));
            let slowest = *pair.slowest_ms[22..40].iter().max().unwrap();
            let silent = pair.silent(20, 60);
            eprintln!(
                "{feedback_lost} % of feedback lost, seed {seed}: top layer after {first_up} s, down after {down} s (to the lowest {to_lowest}), \
                 up after {up} s; frozen {frozen:.3?}, slowest {slowest} ms, audio lost {silent:.4}"
            );
            assert!(first_up <= 2.5 && down <= 2.0 && up <= 10.0, "{seed}: {first_up} {down} {up}");
            assert_eq!(pair.viewer.highest(50_000, 60_000), Some(2), "{seed}");
            assert!(pair.viewer.share(50_000, 60_000, 2) > 0.95, "{seed}");
            let still = if feedback_lost > 0 { 0.1 } else { 0.05 };
            assert!(frozen[0] == 0.0 && frozen.iter().all(|part| *part <= still), "{seed}: {frozen:?}");
            // Probes of the narrow path are no queue to speak of, but where feedback does not tell how they came.
            let queue = if feedback_lost > 0 { 250 } else { 120 };
            assert!(slowest <= queue && silent < 0.05, "{seed}: {slowest} ms, {silent}");
        }
    }
}

#[test]
fn loss_between_two_rooms_costs_neither_the_layer_nor_the_picture() {
    // (loss in percent, in a row, part of the pictures in full size at least, part of the time frozen at most)
    let rows = [
        (1, 1, 0.98, 0.01),
        (5, 1, 0.97, 0.01),
        (5, 3, 0.9, 0.01),
        (10, 1, 0.95, 0.03),
        (10, 3, 0.8, 0.03),
        (20, 1, 0.7, 0.1),
    ];
    for (loss_percent, burst, large, still) in rows {
        for seed in 1..=3 {
            let mut pair = Pair::new(seed, GOOD);
            pair.run(5_000);
            (pair.down.link.loss_percent, pair.down.link.burst) = (loss_percent, burst);
            pair.run(40_000);
            let (share, frozen) = (pair.viewer.share(6_000, 45_000, 2), pair.viewer.frozen(6_000, 45_000));
            let (near, far) = pair.stats();
            eprintln!(
                "loss {loss_percent} % by {burst}, seed {seed}: full size {share:.3}, frozen {frozen:.4}, {} repeats, {} \
                 given up, {} overuses",
                near.rtx_out, far.lost_in, near.overuses
            );
            assert!(share >= large && frozen <= still, "{loss_percent} % by {burst}, seed {seed}: {share} {frozen}");
        }
    }
}

/// Reports, requests and feedback are lost as media is, and on their way a burst lasts long.
#[test]
fn loss_both_ways_costs_little_more() {
    // (loss in percent, in a row, part of the time frozen at most: of all seeds, and of one)
    let rows = [(5, 3, 0.0006, 0.01), (10, 3, 0.003, 0.02), (5, 6, 0.006, 0.03)];
    for (loss_percent, burst, of_all, of_one) in rows {
        let (mut sum, mut most, mut sent, mut repeated) = (0.0, 0.0_f64, 0, 0);
        for seed in 1..=20 {
            let mut pair = Pair::new(seed, GOOD);
            pair.run(5_000);
            for wire in [&mut pair.down, &mut pair.up] {
                (wire.link.loss_percent, wire.link.burst) = (loss_percent, burst);
            }
            pair.run(60_000);
            let frozen = pair.viewer.frozen(6_000, 65_000);
            (sum, most) = (sum + frozen / 20.0, most.max(frozen));
            let (near, _) = pair.stats();
            (sent, repeated) = (sent + near.packets_out, repeated + near.rtx_out);
        }
        let repeated = repeated as f64 / sent as f64;
        eprintln!("loss {loss_percent} % by {burst} both ways: frozen {sum:.4}, most {most:.4}, repeats {repeated:.3}");
        assert!(sum <= of_all && most <= of_one, "{loss_percent} % by {burst}: {sum} {most}");
        assert!(repeated < 0.04 * loss_percent as f64, "{loss_percent} % by {burst}: {repeated}");
    }
}

#[test]
fn delay_that_varies_and_reorders_between_two_rooms_is_no_congestion() {
    for seed in 1..=3 {
        let mut pair = Pair::new(seed, GOOD);
        pair.run(5_000);
        (pair.down.link.delay_ms, pair.down.link.jitter_ms) = (50, 100);
        pair.run(40_000);
        let (share, frozen) = (pair.viewer.share(12_000, 45_000, 2), pair.viewer.frozen(12_000, 45_000));
        let (near, _) = pair.stats();
        eprintln!(
            "100 +- 50 ms, seed {seed}: full size {share:.3}, frozen {frozen:.4}, {} overuses, {} repeats",
            near.overuses, near.rtx_out
        );
        assert!(share > 0.8 && frozen <= 0.01, "{seed}: {share} {frozen}");
        assert!(near.rtx_out * 10 < near.packets_out, "{seed}: what is only late is sent again {} times", near.rtx_out);
    }
}

#[test]
fn a_longer_route_between_two_rooms_is_no_congestion() {
    for seed in 1..=5 {
        let mut pair = Pair::new(seed, GOOD);
        pair.run(10_000);
        pair.down.link.delay_ms += 80;
        pair.run(10_000);
        let share = pair.viewer.share(11_000, 20_000, 2);
        eprintln!("80 ms longer, seed {seed}: full size {share:.3}, {} overuses", pair.near.stats().overuses);
        assert!(share > 0.9, "{seed}: {share}");
    }
}

#[test]
fn too_narrow_for_the_lowest_layer_pauses_with_a_word_and_probing_brings_it_back() {
    for seed in 1..=5 {
        let mut pair = Pair::new(seed, GOOD);
        pair.run(10_000);
        pair.down.link.rate = 90_000;
        pair.run(30_000);
        pair.down.link.rate = 4_000_000;
        pair.run(20_000);
        let back = pair.viewer.first(40_000, 2).map_or(f64::INFINITY, |ms| ms as f64 / 1e3);
        let silent = pair.silent(15, 60);
        eprintln!("starved seed {seed}: full size after {back} s, audio lost {silent:.3}, {:?}", pair.stream_states);
        assert!(back <= 10.0 && silent < 0.08, "{seed}: {back} {silent}");
        let (first, last) = (pair.stream_states.first().unwrap(), pair.stream_states.last().unwrap());
        assert!(first.1 && first.0 < 14_000 && !last.1, "{:?}", pair.stream_states);
    }
}

/// It takes what it gets, and fills the queue: nothing that we pay for it in queue or loss would make it give way.
#[test]
fn a_download_beside_us_leaves_us_a_picture() {
    // (bit/s, ms of queue, part of the time frozen at most)
    let rows = [
        (10_000_000, 100, 0.05),
        (6_000_000, 300, 0.25),
        (3_000_000, 150, 0.1),
        (3_000_000, 500, 0.4),
        (2_000_000, 500, 0.4),
    ];
    for (rate, queue_ms, still) in rows {
        for seed in 1..=3 {
            let mut pair = Pair::new(seed, Link { rate, queue_ms, ..GOOD });
            pair.run(15_000);
            pair.rival = Some(Rival::new());
            pair.run(40_000);
            let theirs = pair.rival.take().map_or(0.0, |rival| rival.kbit() / 40.0 / (rate as f64 / 1e3));
            pair.run(15_000);
            let frozen = pair.viewer.frozen(16_000, 55_000);
            let back = pair.viewer.highest(60_000, 70_000);
            let found = pair.near.stats().rivals;
            eprintln!(
                "download over {rate} {queue_ms} ms, seed {seed}: frozen {frozen:.3}, then {back:?}, theirs {theirs:.2}, found {found}"
            );
            assert!(frozen <= still && back >= Some(1), "{rate} {queue_ms} ms, seed {seed}: {frozen} {back:?}");
            assert!(theirs > 0.5, "{rate} {queue_ms} ms, seed {seed}: {theirs}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_pictures() {
    let lossy = Link { loss_percent: 3, jitter_ms: 10, ..GOOD };
    let [first, again, other] = [7, 7, 8].map(|seed| rate_step(seed, lossy, 3));
    assert_eq!((&first.viewer.shown, first.stats()), (&again.viewer.shown, again.stats()));
    assert_eq!((&first.audio, &first.slowest_ms), (&again.audio, &again.slowest_ms));
    assert_ne!(first.viewer.shown, other.viewer.shown);
}
