//! Which section of an offer carries which announced track.

use convene_sfu::{Answer, Bind, ClientOffer, PeerOptions, Publication, Room};
use convene_types::{MediaKind, PeerId, TrackId};

const SESSION: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const TRANSPORT: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=setup:actpass\r\na=fingerprint:sha-256 \
    DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09:DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF\r\n";

/// Sections in order: kind and the track id of `a=msid`; an empty one: not sent.
fn offer(sections: &[(MediaKind, &str)]) -> String {
    let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = format!("{SESSION}a=group:BUNDLE {}\r\n", mids.join(" "));
    for (mid, (kind, track)) in sections.iter().enumerate() {
        let codec = if *kind == MediaKind::Audio { "opus/48000/2" } else { "VP8/90000" };
        let direction =
            if track.is_empty() { "a=inactive\r\n".to_owned() } else { format!("a=sendonly\r\na=msid:- {track}\r\n") };
        sdp += &format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n{TRANSPORT}a=mid:{mid}\r\n{direction}a=rtcp-mux\r\n\
             a=rtpmap:96 {codec}\r\n"
        );
    }
    sdp
}

struct Client {
    room: Room,
    peer: PeerId,
}

impl Client {
    async fn announces(&self, track: u64, kind: MediaKind, cid: &str) {
        let bind = Bind::Msid(cid.to_owned());
        let publication =
            Publication { track: TrackId(track), bind, kind, codec: None, redundant: true, rids: Vec::new() };
        self.room.publish(self.peer, publication).await.expect("announced");
    }

    /// Section and track of everything that is bound after an offer.
    async fn offers(&self, sections: &[(MediaKind, &str)]) -> Vec<(String, u64)> {
        let offer = ClientOffer::read(&offer(sections)).expect("an offer");
        let Answer { incoming, .. } = self.room.offer(self.peer, offer).await.expect("answered");
        incoming.iter().filter_map(|one| Some((one.mid.to_string(), one.track?.0))).collect()
    }
}

fn at(mid: &str, track: u64) -> (String, u64) {
    (mid.to_owned(), track)
}

#[tokio::test]
async fn tracks_are_found_by_name_and_where_the_client_makes_names_up_by_kind() {
    const AUDIO: MediaKind = MediaKind::Audio;
    const VIDEO: MediaKind = MediaKind::Video;
    let (handle, workers, _) = crate::node(None);
    let (room, _events) = handle.open_room("names").await.unwrap();
    let peer = handle.new_peer_id();
    let label = "firefox".to_owned();
    room.add_peer(PeerOptions { peer, label, reserve_sections: false, we_offer: false }).await.unwrap();
    let client = Client { room, peer };

    // A name that is known goes before one that is made up, whatever the order.
    client.announces(1, VIDEO, "{camera}").await;
    client.announces(2, AUDIO, "{microphone}").await;
    client.announces(3, VIDEO, "screen").await;
    let sections = [(VIDEO, "screen"), (AUDIO, "made-up-1"), (VIDEO, "made-up-2")];
    assert_eq!(client.offers(&sections).await, [at("0", 3), at("1", 2), at("2", 1)]);

    // A section whose track was ended from here carries no other one, while the client sends on it.
    client.room.unpublish(TrackId(1)).await.unwrap();
    client.announces(4, VIDEO, "{camera-2}").await;
    assert_eq!(client.offers(&sections).await, [at("0", 3), at("1", 2)]);
    let more = [sections[0], sections[1], sections[2], (VIDEO, "made-up-3")];
    assert_eq!(client.offers(&more).await, [at("0", 3), at("1", 2), at("3", 4)]);

    // The client stopped and begins again on the same section.
    client.offers(&[sections[0], sections[1], (VIDEO, ""), (VIDEO, "made-up-3")]).await;
    client.announces(5, VIDEO, "{camera-3}").await;
    assert_eq!(client.offers(&more).await, [at("0", 3), at("1", 2), at("2", 5), at("3", 4)]);

    handle.stop().await;
    tokio::task::spawn_blocking(|| workers.join()).await.unwrap();
}
