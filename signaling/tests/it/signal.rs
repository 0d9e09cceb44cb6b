//! LiveKit's protocol over a real WebSocket: what a session tells its client.

use std::time::Duration;

use convene_signaling::rooms::{JoinRequest, LeaveReason, Mode, ParticipantChange, Permission};
use convene_signaling::token::{Claims, Grants};
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as pb;
use pb::signal_request::Message as Asked;
use pb::signal_response::Message;
use prost::Message as _;
use yawc::{Frame, MaybeTlsStream, OpCode, WebSocket};

use crate::harness::{Harness, TTL, bearer, join, verify};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A client of `/rtc`.
struct Client(WebSocket<MaybeTlsStream<tokio::net::TcpStream>>);

impl Client {
    async fn connect(server: &Harness, query: &str, token: &str) -> Self {
        let address = server.listen().await;
        let token = token.strip_prefix("Bearer ").unwrap();
        let url = format!("ws://{address}/rtc?access_token={token}{query}");
        Self(WebSocket::connect(url.parse().unwrap()).await.unwrap())
    }

    async fn ask(&mut self, message: Asked) {
        let request = pb::SignalRequest { message: Some(message) };
        self.0.send(Frame::binary(request.encode_to_vec())).await.unwrap();
    }

    /// What a message says, of those that come.
    async fn find<T>(&mut self, wanted: impl Fn(Message) -> Option<T>) -> T {
        let search = async {
            loop {
                let (opcode, _, payload) = self.0.next().await.expect("the socket is open").into_parts();
                if opcode != OpCode::Binary {
                    continue;
                }
                let message = pb::SignalResponse::decode(payload).unwrap().message;
                if let Some(found) = message.and_then(&wanted) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.expect("in time")
    }

    async fn sid(&mut self) -> String {
        self.find(|message| if let Message::Join(join) = message { join.participant } else { None }).await.sid
    }

    async fn token(&mut self) -> Claims {
        let token = self.find(|message| if let Message::RefreshToken(token) = message { Some(token) } else { None });
        verify(&token.await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_token_says_at_once_what_the_room_does() {
    let server = Harness::new();
    let listens = Grants { can_publish: Some(false), ..join("r") };
    let first = bearer("alice", listens, TTL);
    let mut client = Client::connect(&server, "", &first).await;
    let sid = client.sid().await;
    assert!(!client.token().await.permission().can_publish);

    let room = server.rooms.get("r").unwrap();
    let change = |permission: Option<Permission>, name: &str| ParticipantChange {
        name: Some(name.to_owned()),
        metadata: Some("m".to_owned()),
        attributes: [("a".to_owned(), "b".to_owned())].into(),
        permission,
    };
    room.update_participant("alice", change(None, "Al")).await.unwrap();
    let claims = client.token().await;
    assert_eq!((claims.name.as_str(), claims.metadata.as_str(), claims.attributes["a"].as_str()), ("Al", "m", "b"));
    assert_eq!((claims.require_join(""), claims.permission().can_publish), (Ok("r"), false));
    let speaks = Permission { can_subscribe: false, ..Permission::default() };
    room.update_participant("alice", change(Some(speaks.clone()), "Al")).await.unwrap();
    assert_eq!(client.token().await.permission(), speaks);

    // With the token of before: the room knows better.
    let query = format!("&reconnect=1&sid={sid}");
    let mut resumed = Client::connect(&server, &query, &first).await;
    let claims = resumed.token().await;
    assert_eq!((claims.permission(), claims.name.as_str()), (speaks, "Al"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_says_who_has_left_meanwhile() {
    let server = Harness::new();
    let token = bearer("alice", join("r"), TTL);
    let mut client = Client::connect(&server, "", &token).await;
    let sid = client.sid().await;
    let room = server.rooms.get("r").unwrap();
    let bob = room.join(JoinRequest::new("bob", Mode::Single)).await.unwrap();
    let state = |message: Message| {
        let Message::Update(update) = message else { return None };
        update.participants.into_iter().find(|info| info.identity == "bob").map(|info| info.state())
    };
    assert_eq!(client.find(state).await, pb::participant_info::State::Joined);
    drop(client);
    room.leave(bob.participant, LeaveReason::ClientInitiated).await.unwrap();

    let mut resumed = Client::connect(&server, &format!("&reconnect=1&sid={sid}"), &token).await;
    assert_eq!(resumed.find(state).await, pb::participant_info::State::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_says_what_became_of_own_tracks() {
    let server = Harness::new();
    let token = bearer("alice", join("r"), TTL);
    let mut client = Client::connect(&server, "", &token).await;
    let sid = client.sid().await;
    let add = pb::AddTrackRequest { cid: "mic".to_owned(), ..Default::default() };
    client.ask(Asked::AddTrack(add)).await;
    let added = |message| if let Message::TrackPublished(published) = message { published.track } else { None };
    let mic = client.find(added).await;
    drop(client);
    server.rooms.get("r").unwrap().mute_track("alice", &mic.sid, true).await.unwrap();

    let mut resumed = Client::connect(&server, &format!("&reconnect=1&sid={sid}"), &token).await;
    let gone = pb::TrackInfo { sid: "TR_gone".to_owned(), ..Default::default() };
    let believed = |track| pb::TrackPublishedResponse { track: Some(track), ..Default::default() };
    let publish_tracks = vec![believed(mic.clone()), believed(gone)];
    resumed.ask(Asked::SyncState(pb::SyncState { publish_tracks, ..Default::default() })).await;
    let mut told = Vec::new();
    let ended = loop {
        let message = resumed.find(Some).await;
        if let Message::TrackUnpublished(ended) = message {
            break ended.track_sid;
        }
        if let Message::Mute(mute) = &message {
            assert_eq!((&mute.sid, mute.muted), (&mic.sid, true));
        }
        let names = [
            ("reconnect", matches!(message, Message::Reconnect(_))),
            ("mute", matches!(message, Message::Mute(_))),
            ("update", matches!(message, Message::Update(_))),
        ];
        told.extend(names.into_iter().filter_map(|(name, is)| is.then_some(name)));
    };
    assert_eq!((ended.as_str(), told), ("TR_gone", vec!["reconnect", "mute", "update"]));
}
