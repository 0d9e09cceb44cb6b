use convene_peer::sdp::MAX_SECTIONS;
use tokio::sync::mpsc;

use crate::handle::{Msid, PeerOptions};
use crate::worker::tests::{entry, worker};

use super::*;

const ROOM: RoomId = RoomId(1);
const BOB: PeerId = PeerId(1);

/// What somebody in a room with tracks of others does.
struct Scene {
    worker: Worker,
    now: Instant,
}

impl Scene {
    fn new(we_offer: bool) -> Self {
        let (mut worker, now) = (worker(), Instant::now());
        let (events, _owner) = mpsc::channel(8);
        worker.rooms.insert(ROOM, RoomState::new(String::new(), 0, events, 0, now));
        let options = PeerOptions { peer: BOB, label: String::new(), reserve_sections: false, we_offer };
        worker.add_peer(now, ROOM, &options).unwrap();
        Self { worker, now }
    }

    fn subscribe(&mut self, track: u64) {
        let track = TrackId(track);
        self.worker.rooms.get_mut(&ROOM).unwrap().tracks.entry(track).or_insert_with(|| entry(track));
        self.worker.subscribe(self.now, BOB, Subscription { track, msid: Msid::default() }).unwrap();
    }

    /// Our offer and its answer, for which the client has a say on each line.
    fn negotiate(&mut self, say: impl Fn(&str) -> String) -> Answered {
        let offer = self.worker.create_offer(self.now, BOB, false).unwrap();
        self.worker.handle_answer(self.now, BOB, &answer_to(&offer.sdp, say)).unwrap()
    }
}

fn answer_to(offer: &str, say: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for line in offer.lines().filter(|line| !line.starts_with("a=ssrc") && *line != "a=ice-lite") {
        let line = match line {
            "a=sendonly" => "a=recvonly",
            "a=setup:actpass" => "a=setup:active",
            line => line,
        };
        text += &say(line);
        text += "\r\n";
    }
    text
}

#[test]
fn what_an_answer_makes_room_for_is_offered_next() {
    let mut scene = Scene::new(true);
    (1..=256).for_each(|track| scene.subscribe(track));
    assert!(!scene.negotiate(str::to_owned).negotiate);
    (1..=16).for_each(|track| scene.worker.unsubscribe(ROOM, BOB, TrackId(track)));
    (301..=316).for_each(|track| scene.subscribe(track));
    let sections = |scene: &Scene| scene.worker.sessions[&BOB].peer.sections().len();
    assert_eq!(sections(&scene), MAX_SECTIONS, "fewer than 16 are left, and 16 are not free yet");
    assert!(scene.negotiate(str::to_owned).negotiate, "the last ones took a section with the answer");
    assert!(!scene.negotiate(str::to_owned).negotiate);
    let peer = &scene.worker.sessions[&BOB].peer;
    assert!((301..=316).all(|track| peer.sending_section(TrackId(track)).is_some()));
}
