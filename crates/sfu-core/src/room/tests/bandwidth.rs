//! What a path carries, and what is made of it: rate steps, loss, jitter, pauses, each before a simulated bottleneck.

use convene_rtp::rtcp::write_remb;
use convene_types::Bitrate;

use super::audio::takes_red;
use super::bottleneck::{Feedback, Sim};
use super::link::{GOOD, Link};
use super::*;

fn rate_step(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
    sim.run(20_000);
    sim.wire.link.rate = 500_000;
    sim.run(20_000);
    sim.wire.link.rate = 4_000_000;
    sim.run(20_000);
    sim
}

#[test]
fn a_rate_step_is_followed_down_within_two_seconds_and_up_within_ten() {
    for seed in 1..=20 {
        let sim = rate_step(seed);
        sim.print("step");
        let first_up = sim.up_after(0, 2);
        let down = sim.down_after(20, 40, 1);
        let up = sim.up_after(40, 2);
        let queue = sim.between(22, 40).iter().map(|tenth| tenth.slowest_ms).max().unwrap();
        let silent = sim.between(20, 60).iter().filter(|tenth| tenth.audio == 0).count();
        eprintln!("seed {seed}: first up {first_up}, down {down}, up {up}, slowest {queue} ms, silent tenths {silent}");
        assert!(first_up <= 2.0 && down <= 2.0 && up <= 10.0, "{seed}: {first_up} {down} {up}");
        assert!(queue <= 350, "{seed}: {queue} ms on the way after the change");
        assert!(sim.share_of(50, 60, 2) > 0.95, "{seed}");
        assert!(sim.between(20, 60).iter().all(|tenth| tenth.sent_layer.is_some()) || silent < 5, "{seed}");
    }
}

/// The lowest layer is more than the path carries, and its queue is short: video pauses, audio comes.
#[test]
fn a_path_below_the_lowest_layer_is_left_to_the_audio() {
    for seed in 1..=10 {
        let mut sim = Sim::new(seed, Link { queue_ms: 300, ..GOOD }, Feedback::Twcc);
        sim.browser.scale = 5;
        sim.run(20_000);
        sim.wire.link.rate = 500_000;
        sim.run(20_000);
        sim.print("below");
        let after = sim.between(22, 40);
        let audio: u32 = after.iter().map(|tenth| tenth.audio).sum();
        let full = after.iter().filter(|tenth| tenth.slowest_ms > 250).count();
        eprintln!("below seed {seed}: audio {audio} of 900, {full} of 180 tenths with a full queue");
        assert!(audio > 890 && full < 18, "{seed}: {audio} {full}");
    }
}

/// A page of a shared screen is more than a narrow path has in half a second, and its publisher's path brings it at once. It
/// fills no queue that audio waits in, none of it is lost, and it is there as soon as the path can bring it.
#[test]
fn pages_of_a_screen_are_spread_over_the_time_that_the_path_needs() {
    for seed in 1..=10 {
        let mut sim = Sim::new(seed, Link { rate: 1_500_000, queue_ms: 300, ..GOOD }, Feedback::Twcc);
        sim.browser.page_every = 4_000;
        sim.run(60_000);
        sim.print("pages");
        let later = sim.between(20, 60);
        let slowest = later.iter().map(|tenth| tenth.slowest_ms).max().unwrap();
        let (silent, stats) = (later.iter().filter(|tenth| tenth.audio == 0).count(), sim.room.stats());
        eprintln!("pages seed {seed}: slowest {slowest} ms, {silent} silent, asked again {}", stats.nack_in);
        assert!(slowest <= 160 && silent == 0, "{seed}: {slowest} ms on the way, {silent}");
        assert!(later.iter().any(|tenth| tenth.sent_layer == Some(1)), "{seed}: it is not the smallest that is spared");
        // The first page comes before anything is known of the path.
        assert!(stats.nack_in < 250 && stats.paced > 1_000, "{seed}: {} {}", stats.nack_in, stats.paced);
    }
}

/// What one congested path does to itself: RED is for what the path loses, not for what our own queue drops.
#[test]
fn a_narrow_path_is_not_filled_with_redundancy() {
    for seed in 1..=10 {
        let mut sim = Sim::with(seed, Link { queue_ms: 300, ..GOOD }, Feedback::Twcc, &[VIDEO]);
        sim.room.subscribe(sim.start, BOB, AUDIO, Egress { exts: Sim::audio_exts(), ..takes_red(BOB) });
        sim.run(10_000);
        sim.wire.link.rate = 280_000;
        sim.run(40_000);
        sim.print("narrow");
        let audio: u32 = sim.between(14, 50).iter().map(|tenth| tenth.audio).sum();
        let pictures = sim.between(14, 50).iter().filter(|tenth| tenth.video > 0).count();
        let red = sim.room.stats().red_made;
        eprintln!("narrow seed {seed}: audio {audio} of 1800, pictures in {pictures} of 360 tenths, RED {red}");
        assert!(audio > 1_700 && pictures > 330, "{seed}: {audio} {pictures}");
        let congestion = red;
        sim.wire.link.rate = 4_000_000;
        sim.run(10_000);
        sim.wire.link.loss_percent = 10;
        sim.run(10_000);
        assert!(sim.room.stats().red_made > congestion + 300, "{seed}: loss of the path itself");
    }
}

#[test]
fn a_machine_that_stands_still_now_and_then_goes_on() {
    for seed in 1..=20 {
        let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
        for turn in 0..300 {
            sim.run(20 + turn * 7 % 60);
            sim.stand_still(turn * seed % 90);
        }
        sim.run(5_000);
        let end = sim.ms / 1_000;
        assert!(sim.share_of(end - 2, end, 2) > 0.9, "{seed}");
    }
}

#[test]
fn equal_seeds_give_equal_traces() {
    let (first, again, other) = (rate_step(7), rate_step(7), rate_step(8));
    assert_eq!(first.tenths, again.tenths);
    assert_eq!(first.room.stats(), again.room.stats());
    assert_ne!(first.tenths, other.tenths);
}

#[test]
fn loss_that_no_queue_explains_leaves_the_layer() {
    for (loss_percent, least) in [(1, 0.97), (5, 0.97), (10, 0.95), (20, 0.75)] {
        for seed in 1..=5 {
            let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
            sim.run(5_000);
            sim.wire.link.loss_percent = loss_percent;
            sim.run(60_000);
            sim.print("loss");
            let share = sim.share_of(6, 65, 2);
            eprintln!("loss {loss_percent} seed {seed}: {share}");
            assert!(share >= least, "{loss_percent} % {seed}: {share}");
        }
    }
}

#[test]
fn reordering_and_jitter_are_no_congestion() {
    for seed in 1..=5 {
        let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
        sim.run(5_000);
        (sim.wire.link.delay_ms, sim.wire.link.jitter_ms) = (50, 100);
        sim.run(40_000);
        sim.print("jitter");
        // The moment it begins cannot be told from a queue.
        let share = sim.share_of(12, 45, 2);
        eprintln!("jitter seed {seed}: {share} {:?}", sim.room.stats().overuses);
        assert!(share > 0.8, "{seed}: {share}");
    }
}

#[test]
fn an_interruption_or_another_address_is_no_congestion() {
    for seed in 1..=5 {
        let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
        sim.run(10_000);
        sim.wire.link.cut = true;
        sim.run(4_000);
        sim.wire.link.cut = false;
        sim.run(6_000);
        sim.room.path_changed(BOB);
        sim.wire.link.delay_ms = 120;
        sim.run(10_000);
        sim.print("cut");
        let share = sim.share_of(14, 30, 2);
        assert!(share > 0.98, "{seed}: {share}");
        assert_eq!(sim.room.stats().interruptions, 2);
    }
}

#[test]
fn what_does_not_fit_is_paused_with_a_word_and_comes_back_by_probing() {
    for seed in 1..=5 {
        let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
        sim.run(10_000);
        sim.wire.link.rate = 90_000;
        sim.run(30_000);
        sim.wire.link.rate = 4_000_000;
        sim.run(20_000);
        sim.print("starved");
        let audio: u32 = sim.between(15, 40).iter().map(|tenth| tenth.audio).sum();
        let up = sim.up_after(40, 2);
        eprintln!("starved seed {seed}: audio {audio} of 1250, up after {up}, {:?}", sim.stream_states);
        assert!(audio > 1_150, "{seed}: {audio} of 1250");
        assert!(up <= 10.0, "{seed}: {up}");
        let (first, last) = (sim.stream_states.first().unwrap(), sim.stream_states.last().unwrap());
        assert!(first.1 && first.0 < 14_000 && !last.1, "{:?}", sim.stream_states);
    }
}

#[test]
fn nothing_is_paused_for_a_queue_that_others_keep_short() {
    for (seed, lowest) in [(1, 0), (2, 0), (3, 2), (4, 2)] {
        let mut sim = Sim::new(seed, GOOD, Feedback::Twcc);
        sim.browser.lowest = lowest;
        sim.run(10_000);
        for _ in 0..20 {
            // As a download does that is held to 100 ms: it begins, overshoots, and takes itself back.
            for others_ms in (20..180).chain((60..180).rev()) {
                sim.wire.link.others_ms = others_ms;
                sim.run(4);
            }
        }
        sim.print("others");
        assert_eq!(sim.stream_states, [], "{seed}");
        let seen: u32 = sim.between(10, 30).iter().map(|tenth| tenth.video).sum();
        assert!(seen > 20 * 30, "{seed}: {seen} packets");
        assert!(sim.room.stats().overuses > 10, "{seed}: they are seen");
    }
}

#[test]
fn a_shallow_queue_is_obeyed_by_loss() {
    for seed in 1..=5 {
        let mut sim = Sim::new(seed, Link { queue_ms: 8, ..GOOD }, Feedback::Twcc);
        sim.run(10_000);
        sim.wire.link.rate = 800_000;
        sim.run(30_000);
        sim.print("shallow");
        let low = 1.0 - sim.share_of(14, 40, 2);
        eprintln!("shallow seed {seed}: below the top {low}");
        assert!(low > 0.9, "{seed}: {low}");
    }
}

#[test]
fn a_client_that_answers_nothing_is_not_held_to_a_guess() {
    let mut sim = Sim::new(1, GOOD, Feedback::Nothing);
    sim.run(10_000);
    assert!(sim.share_of(5, 10, 2) > 0.9);
    assert_eq!(sim.room.stats().probes, 0);
}

#[test]
fn a_first_picture_larger_than_the_guess_is_sent_all_the_same() {
    // Without audio nothing else would go out that the client could answer to.
    let mut sim = Sim::with(1, Link { rate: 40_000_000, ..GOOD }, Feedback::Twcc, &[VIDEO]);
    sim.browser.scale = 4;
    sim.browser.lowest = 2;
    sim.run(5_000);
    sim.print("large");
    assert_eq!(sim.stream_states, []);
    assert_eq!(sim.room.stats().switches, 1, "begun once, and never cut");
    assert!(sim.share_of(1, 5, 2) > 0.95);
}

#[test]
fn a_picture_without_audio_comes_back_from_a_pause() {
    let mut sim = Sim::with(1, GOOD, Feedback::Twcc, &[VIDEO]);
    sim.run(10_000);
    sim.wire.link.rate = 60_000;
    sim.run(20_000);
    sim.wire.link.rate = 4_000_000;
    sim.run(20_000);
    sim.print("mute");
    assert!(sim.stream_states.iter().any(|(_, paused)| *paused), "{:?}", sim.stream_states);
    assert!(sim.up_after(30, 2) <= 10.0, "{}", sim.up_after(30, 2));
}

#[test]
fn remb_bounds_a_client_without_transport_wide_feedback() {
    // (REMB, layer that comes of it)
    for (bits, layer) in [(3_000_000, 2), (700_000, 1), (250_000, 0), (50_000, 0)] {
        let mut sim = Sim::new(1, GOOD, Feedback::Remb(bits));
        sim.run(10_000);
        assert!(sim.share_of(5, 10, layer) > 0.95, "{bits}: {:?}", sim.tenths.last());
    }
}

#[test]
fn remb_that_comes_all_the_time_is_acted_on_now_and_then() {
    let mut sim = Sim::new(1, GOOD, Feedback::Remb(3_000_000));
    sim.run(10_000);
    let before = sim.room.stats();
    for bits in [3_000_000, 250_000, 3_000_000, 250_000] {
        let mut bytes = Vec::new();
        write_remb(&mut bytes, Ssrc(1), Bitrate(bits), &[out_ssrc(BOB, VIDEO)]);
        sim.room.handle_rtcp(sim.now(), BOB, &bytes).unwrap();
    }
    assert_eq!(sim.room.stats().falls, before.falls);
    sim.run(200);
    assert_eq!(sim.room.stats().falls, before.falls + 1, "with the next look at all paths");
}

#[test]
fn a_client_that_estimates_itself_is_brought_back_up() {
    let mut sim = Sim::new(1, GOOD, Feedback::OwnRemb);
    sim.run(10_000);
    sim.wire.link.rate = 400_000;
    sim.run(15_000);
    sim.wire.link.rate = 4_000_000;
    sim.run(60_000);
    sim.print("remb");
    let (down, up) = (sim.down_after(10, 25, 0), sim.up_after(25, 2));
    let stats = sim.room.stats();
    eprintln!(
        "own estimate: down {down}, up {up}, {} packets of filling in {} times",
        stats.probe_packets, stats.probes
    );
    assert!(down <= 5.0 && up <= 45.0, "{down} {up}");
    assert!(sim.share_of(75, 85, 2) > 0.95);
}
