//! Two rooms with a pipe between them.

use super::*;

/// Alice's room, and one that gets her video out of a pipe and has Bob.
struct Piped {
    home: World,
    branch: World,
}

impl Piped {
    fn new() -> Self {
        let home = World::new(1);
        let mut branch = World::new(1);
        branch.now = home.now;
        branch.room.remove_peer(ALICE);
        branch.room.add_piped_track(branch.now, video(Codec::Vp8));
        Self { home, branch }
    }

    /// A frame into the home room and, unless the pipe loses it, into the branch; numbers that Bob gets.
    fn send(&mut self, seq: u16, keyframe: bool, lost: bool) -> Vec<u16> {
        let frame = frame(0, seq, keyframe);
        let bytes = self.home.packet(frame, &vp8(keyframe, true, frame.picture_id, false, seq as u8));
        self.home.send_bytes(VIDEO, 0, bytes.clone()).unwrap();
        self.home.flush();
        if !lost {
            self.branch.send_bytes(VIDEO, 0, bytes).unwrap();
        }
        self.branch.flush().into_iter().map(|out| out.seq).collect()
    }

    fn pass(&mut self, ms: u64) {
        self.home.pass(ms);
        self.branch.pass(ms);
    }

    /// Carries what the branch asks for back, and what it missed forth.
    fn feed_back(&mut self) -> usize {
        let mut again = Vec::new();
        while let Some((to, packet)) = self.branch.rtcp.pop_front() {
            if to == ALICE {
                self.home.room.handle_piped_rtcp(self.home.now, ALICE, &packet, &mut again).unwrap();
            }
        }
        self.home.room.set_piped_demand(VIDEO, self.branch.room.demand(VIDEO).unwrap_or(0));
        // What is asked for twice comes twice, and counts once.
        let sent = again.into_iter().map(|missed| self.branch.send_bytes(missed.track, missed.layer, missed.packet));
        sent.filter(|outcome| *outcome != Err(Drop::RtpDuplicate)).map(|outcome| outcome.unwrap()).count()
    }
}

#[test]
fn a_keyframe_is_asked_for_through_the_pipe_and_losses_of_the_pipe_are_made_good() {
    let mut piped = Piped::new();
    assert_eq!(piped.branch.room.demand(VIDEO), None);
    piped.branch.subscribe(BOB, VIDEO);
    assert_eq!(piped.send(1, false, false), [0_u16; 0], "no keyframe yet");
    piped.pass(60);
    piped.feed_back();
    piped.home.pass(600);
    assert_eq!(piped.home.told_of(ALICE, "pli"), ["pli 500"], "though nobody of the home room is subscribed");
    assert_eq!(piped.branch.room.demand(VIDEO), Some(1));

    let first = piped.send(2, true, false)[0];
    assert_eq!(piped.send(3, false, true), [0_u16; 0], "lost in the pipe");
    piped.send(4, false, false);
    piped.pass(60);
    assert_eq!(piped.feed_back(), 1);
    let late: Vec<u16> = piped.branch.flush().into_iter().map(|out| out.seq).collect();
    assert_eq!(late, [first + 1], "in the place that was left for it");
}

#[test]
fn a_loss_of_the_publisher_is_repaired_for_a_branch_alone() {
    let mut piped = Piped::new();
    piped.branch.subscribe(BOB, VIDEO);
    piped.send(1, true, false);
    piped.feed_back();
    piped.send(3, false, false);
    piped.home.pass(60);
    let asked = piped.home.told_of(ALICE, "nack");
    assert_eq!(asked.first().map(String::as_str), Some("nack 500 [2]"), "the branch's demand counts");
    piped.branch.pass(60);
    assert_eq!(piped.feed_back(), 0, "what never came cannot be given back");
}

#[test]
fn a_branch_reports_to_nobody_and_names_no_speakers() {
    let mut piped = Piped::new();
    piped.branch.subscribe(BOB, VIDEO);
    for seq in 1..200 {
        piped.send(seq, seq == 1, false);
        piped.pass(20);
    }
    let told = piped.branch.told(ALICE);
    assert!(told.iter().all(|line| line.starts_with("pli") || line.starts_with("nack")), "{told:?}");
    assert!(piped.branch.events.iter().all(|event| matches!(event, Event::TrackFlowing { .. })));
    let told = piped.home.told(ALICE);
    assert!(told.iter().any(|line| line.starts_with("twcc")) && told.iter().any(|line| line.starts_with("rr")));
}
