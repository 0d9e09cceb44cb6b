//! What waits for its turn on a narrow path: in order, paid for, and of no harm to what does not wait.

use convene_rtp::rtcp::write_pli;

use super::*;
use crate::pacer::Pacer;

/// A world in which Bob sees and hears Alice over a path of 8 kbit/s, a byte a millisecond, of which nothing is left.
fn narrow(layers: u8) -> World {
    let mut world = World::new(layers);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    for layer in 0..layers {
        world.send(frame(layer, 1, true)).unwrap();
    }
    world.flush();
    world.gather();
    world.told(ALICE);
    let (_, bob) = world.room.subscribers.iter_mut().next().unwrap();
    let pacer = bob.pacer.insert(Box::new(Pacer::new(world.now)));
    pacer.set_rate(world.now, 8_000.0);
    pacer.spend(10_000);
    world
}

/// What goes out in so many milliseconds, and when.
fn out(world: &mut World, ms: u64) -> Vec<(u64, Out)> {
    let mut sent = Vec::new();
    for passed in 1..=ms {
        world.pass(1);
        sent.extend(world.flush().into_iter().map(|out| (passed, out)));
    }
    sent
}

#[test]
fn video_waits_in_order_and_audio_does_not() {
    let mut world = narrow(1);
    (2..6).for_each(|seq| world.send(frame(0, seq, false)).unwrap());
    world.send_audio(1, 30).unwrap();
    let at_once: Vec<Ssrc> = world.flush().iter().map(|out| out.ssrc).collect();
    assert_eq!(at_once, [out_ssrc(BOB, AUDIO)]);
    let sent = out(&mut world, 1_000);
    let pictures: Vec<u16> = sent.iter().map(|(_, out)| out.picture().0).collect();
    assert_eq!(pictures, [202, 203, 204, 205]);
    let steps: Vec<u16> = sent.windows(2).map(|pair| pair[1].1.seq.wrapping_sub(pair[0].1.seq)).collect();
    assert_eq!(steps, [1, 1, 1]);
    assert!(sent[3].0 - sent[0].0 >= 3 * 30, "each takes its bytes in milliseconds: {:?}", sent[3].0 - sent[0].0);
    assert_eq!(world.room.stats().paced, 4);
}

#[test]
fn who_goes_down_does_not_wait_for_what_waits_of_the_layer_above() {
    let mut world = narrow(2);
    (2..6).for_each(|seq| world.send(frame(1, seq, false)).unwrap());
    assert!(world.flush().is_empty());
    world.room.set_target(world.now, BOB, VIDEO, false, 0);
    world.send(frame(0, 2, true)).unwrap();
    let sent = out(&mut world, 1_000);
    let [(_, keyframe)] = &sent[..] else { panic!("{sent:?}") };
    assert!(keyframe.is_keyframe());
    // Whoever goes up sees what waits, and then the larger picture.
    world.room.set_target(world.now, BOB, VIDEO, false, 1);
    world.room.subscribers.iter_mut().for_each(|(_, one)| one.pacer.as_mut().unwrap().spend(10_000));
    world.send(frame(0, 3, false)).unwrap();
    world.send(frame(1, 7, true)).unwrap();
    let keyframes: Vec<bool> = out(&mut world, 1_000).iter().map(|(_, out)| out.is_keyframe()).collect();
    assert_eq!(keyframes, [false, true]);
}

#[test]
fn a_keyframe_that_waits_is_not_asked_for() {
    let mut world = narrow(2);
    world.room.set_target(world.now, BOB, VIDEO, false, 0);
    world.gather();
    assert_eq!(world.told_of(ALICE, "pli").len(), 1, "that of the lower layer");
    world.send(frame(0, 2, true)).unwrap();
    assert!(world.flush().is_empty());
    for _ in 0..3 {
        // Time without flushes: it goes on waiting. Bob asks as well.
        world.pass(600);
        let mut bytes = Vec::new();
        write_pli(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO));
        let _ = world.room.handle_rtcp(world.now, BOB, &bytes);
        world.gather();
        assert_eq!(world.told_of(ALICE, "pli"), [""; 0]);
    }
    assert!(world.flush()[0].is_keyframe());
}
