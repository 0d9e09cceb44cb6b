//! Every method with its grant, its absence and its effect, and each error of the Twirp protocol.

use convene_signaling::rooms::{JoinRequest, Joined, Mode, Notice, RoomRequest};
use convene_signaling::token::Grants;
use livekit_protocol as proto;
use prost::Message as _;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, TTL, bearer, join};

fn grants() -> Grants {
    Grants { room_create: true, room_list: true, room_admin: true, room: "r".to_owned(), ..Grants::default() }
}

async fn call(server: &Harness, method: &str, grants: Grants, body: Value) -> Answer {
    let headers = [("authorization", &*bearer("api", grants, TTL)), ("content-type", "application/json")];
    server.call("POST", &format!("/twirp/livekit.RoomService/{method}"), &headers, body.to_string()).await
}

async fn ok(server: &Harness, method: &str, body: Value) -> Value {
    let answer = call(server, method, grants(), body).await;
    assert_eq!(answer.status.as_u16(), 200, "{method}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

async fn seat(server: &Harness, identity: &str) -> Joined {
    let room = RoomRequest { name: "r".to_owned(), ..RoomRequest::default() };
    server.rooms.join(room, JoinRequest::new(identity, Mode::Single)).await.unwrap().1
}

#[tokio::test]
async fn errors_have_code_and_status() {
    let server = Harness::new();
    let good = bearer("api", grants(), TTL);
    let (room, json) = ("/twirp/livekit.RoomService/", "application/json");
    let rows = [
        ("GET", format!("{room}ListRooms"), good.as_str(), json, "{}", 404, "bad_route"),
        ("POST", format!("{room}ListRooms"), &good, "text/plain", "{}", 404, "bad_route"),
        ("POST", format!("{room}ListRooms"), &good, "", "{}", 404, "bad_route"),
        ("POST", format!("{room}NoSuchMethod"), &good, json, "{}", 404, "bad_route"),
        ("POST", "/twirp/livekit.NoSuchService/List".to_owned(), &good, json, "{}", 404, "bad_route"),
        ("POST", "/twirp/other.RoomService/ListRooms".to_owned(), &good, json, "{}", 404, "bad_route"),
        ("POST", "/twirp/x".to_owned(), &good, json, "{}", 404, "bad_route"),
        ("POST", format!("{room}ListRooms"), "", json, "{}", 401, "unauthenticated"),
        ("POST", format!("{room}ListRooms"), "Bearer x", json, "{}", 401, "unauthenticated"),
        ("POST", format!("{room}ListRooms"), &good, json, "{", 400, "malformed"),
        ("POST", format!("{room}ListRooms"), &good, json, "", 400, "malformed"),
        ("POST", format!("{room}ListRooms"), &good, "application/protobuf", "\u{7f}", 400, "malformed"),
        ("POST", format!("{room}CreateRoom"), &good, json, "{}", 400, "invalid_argument"),
        ("POST", format!("{room}CreateRoom"), &good, json, r#"{"name":"r","egress":{}}"#, 501, "unimplemented"),
        ("POST", format!("{room}DeleteRoom"), &good, json, r#"{"room":"no"}"#, 404, "not_found"),
        ("POST", format!("{room}ListParticipants"), &good, json, r#"{"room":"r"}"#, 404, "not_found"),
        ("POST", format!("{room}ListParticipants"), &good, json, r#"{"room":"other"}"#, 403, "permission_denied"),
        ("POST", format!("{room}PerformRpc"), &good, json, "{}", 501, "unimplemented"),
        ("POST", format!("{room}MoveParticipant"), &good, json, "{}", 501, "unimplemented"),
        ("POST", format!("{room}ForwardParticipant"), &good, json, "{}", 501, "unimplemented"),
        (
            "POST",
            "/twirp/livekit.Egress/ListEgress".to_owned(),
            &good,
            "application/protobuf",
            "",
            501,
            "unimplemented",
        ),
        ("POST", "/twirp/livekit.Ingress/CreateIngress".to_owned(), &good, json, "{}", 501, "unimplemented"),
        ("POST", "/twirp/livekit.SIP/CreateSIPParticipant".to_owned(), &good, json, "{}", 501, "unimplemented"),
        (
            "POST",
            "/twirp/livekit.AgentDispatchService/ListDispatch".to_owned(),
            &good,
            json,
            "{}",
            501,
            "unimplemented",
        ),
        ("POST", "/twirp/livekit.Connector/ConnectTwilioCall".to_owned(), &good, json, "{}", 501, "unimplemented"),
        (
            "POST",
            "/twirp/livekit.PhoneNumberService/GetPhoneNumber".to_owned(),
            &good,
            json,
            "{}",
            501,
            "unimplemented",
        ),
    ];
    for (method, uri, authorization, content_type, body, status, code) in rows {
        let headers = [("authorization", authorization), ("content-type", content_type)];
        let answer = server.call(method, &uri, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri} {body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json", "{uri}");
        assert_eq!(answer.json()["code"], code, "{method} {uri} {body}");
        assert!(answer.json()["msg"].as_str().is_some_and(|text| !text.is_empty()), "{uri}");
    }
    let agent = server.call("GET", "/agent", &[], "").await;
    assert_eq!((agent.status.as_u16(), agent.json()["code"].as_str()), (501, Some("unimplemented")));
}

#[tokio::test]
async fn each_method_names_the_grant_it_lacks() {
    let server = Harness::new();
    let rows = [
        ("CreateRoom", "roomCreate"),
        ("ListRooms", "roomList"),
        ("DeleteRoom", "roomCreate"),
        ("ListParticipants", "roomAdmin"),
        ("GetParticipant", "roomAdmin"),
        ("RemoveParticipant", "roomAdmin"),
        ("MutePublishedTrack", "roomAdmin"),
        ("UpdateParticipant", "roomAdmin"),
        ("UpdateSubscriptions", "roomAdmin"),
        ("SendData", "roomAdmin"),
        ("UpdateRoomMetadata", "roomAdmin"),
    ];
    for (method, grant) in rows {
        let answer = call(&server, method, join("r"), json!({ "room": "r", "name": "r", "identity": "alice" })).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str()),
            (403, Some("permission_denied")),
            "{method}"
        );
        assert_eq!(answer.json()["meta"]["reason"], "grant_missing", "{method}");
        assert!(answer.json()["msg"].as_str().is_some_and(|text| text.contains(grant)), "{method} {}", answer.text());
    }
}

#[tokio::test]
async fn rooms_are_made_listed_changed_and_deleted() {
    let server = Harness::new();
    let made =
        ok(&server, "CreateRoom", json!({ "name": "r", "emptyTimeout": 77, "max_participants": 3, "metadata": "m" }))
            .await;
    assert_eq!(
        (made["name"].as_str(), made["emptyTimeout"].as_u64(), made["metadata"].as_str()),
        (Some("r"), Some(77), Some("m"))
    );
    assert!(made["sid"].as_str().is_some_and(|sid| sid.starts_with("RM_")));
    assert_eq!(made["maxParticipants"], 3);
    let again = ok(&server, "CreateRoom", json!({ "name": "r", "metadata": "m2", "someday": true })).await;
    assert_eq!((&again["sid"], again["metadata"].as_str()), (&made["sid"], Some("m2")));

    let changed = ok(&server, "UpdateRoomMetadata", json!({ "room": "r", "metadata": "m3" })).await;
    assert_eq!(changed["metadata"], "m3");
    assert_eq!(ok(&server, "ListRooms", json!({})).await["rooms"][0]["metadata"], "m3");
    assert_eq!(
        ok(&server, "ListRooms", json!({ "names": ["r", "no"] })).await["rooms"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(ok(&server, "ListRooms", json!({ "names": ["no"] })).await, json!({}));
    ok(&server, "DeleteRoom", json!({ "room": "r" })).await;
    assert_eq!(ok(&server, "ListRooms", json!({})).await, json!({}));
}

#[tokio::test]
async fn protobuf_is_answered_in_protobuf() {
    let server = Harness::new();
    let headers = [("authorization", &*bearer("api", grants(), TTL)), ("content-type", "application/protobuf")];
    let body =
        proto::CreateRoomRequest { name: "r".into(), departure_timeout: 5, ..Default::default() }.encode_to_vec();
    let answer = server.call("POST", "/twirp/livekit.RoomService/CreateRoom", &headers, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/protobuf"),
        "{}",
        answer.text()
    );
    let room = proto::Room::decode(&*answer.body).unwrap();
    assert_eq!((room.name.as_str(), room.departure_timeout), ("r", 5));
    assert!(room.creation_time > 1_700_000_000 && room.creation_time_ms / 1000 == room.creation_time);
}

#[tokio::test]
async fn participants_are_shown_changed_and_removed() {
    let server = Harness::new();
    let (mut alice, _bob) = (seat(&server, "alice").await, seat(&server, "bob").await);
    let listed = ok(&server, "ListParticipants", json!({ "room": "r" })).await;
    let mut names: Vec<_> =
        listed["participants"].as_array().unwrap().iter().filter_map(|p| p["identity"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"]);
    let shown = ok(&server, "GetParticipant", json!({ "room": "r", "identity": "alice" })).await;
    assert_eq!(shown["sid"].as_str(), Some(alice.info.sid.as_str()));

    let change = json!({
        "room": "r", "identity": "alice", "name": "Alice", "attributes": { "hand": "up" },
        "permission": { "canSubscribe": true, "canPublishSources": ["MICROPHONE"], "can_publish": true },
    });
    let changed = ok(&server, "UpdateParticipant", change).await;
    assert_eq!((changed["name"].as_str(), changed["attributes"]["hand"].as_str()), (Some("Alice"), Some("up")));
    assert_eq!(changed["permission"]["canPublishSources"], json!(["MICROPHONE"]));
    assert_eq!(changed["permission"]["canPublishData"], Value::Null, "what is not named is taken away");
    let kept = ok(&server, "UpdateParticipant", json!({ "room": "r", "identity": "alice", "metadata": "m" })).await;
    assert_eq!((kept["name"].as_str(), kept["metadata"].as_str()), (Some("Alice"), Some("m")));

    ok(&server, "RemoveParticipant", json!({ "room": "r", "identity": "alice" })).await;
    let left = ok(&server, "ListParticipants", json!({ "room": "r" })).await;
    assert_eq!(left["participants"].as_array().map(Vec::len), Some(1));
    let mut told = false;
    while let Some(notice) = alice.notices.recv().await {
        told |= matches!(notice, Notice::Leave { reason: convene_signaling::rooms::LeaveReason::Removed, .. });
    }
    assert!(told, "the one who was removed is told why");
    for method in ["GetParticipant", "RemoveParticipant", "UpdateParticipant"] {
        let answer = call(&server, method, grants(), json!({ "room": "r", "identity": "alice", "name": "x" })).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (404, Some("not_found")), "{method}");
    }
}

#[tokio::test]
async fn tracks_subscriptions_and_data_reach_the_room() {
    let server = Harness::new();
    let _alice = seat(&server, "alice").await;
    let unmute = json!({ "room": "r", "identity": "alice", "track_sid": "TR_x", "muted": false });
    let refused = call(&server, "MutePublishedTrack", grants(), unmute).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (412, Some("failed_precondition")));
    let mute = json!({ "room": "r", "identity": "alice", "track_sid": "TR_x", "muted": true });
    assert_eq!(call(&server, "MutePublishedTrack", grants(), mute).await.json()["code"], "not_found");

    let data =
        json!({ "room": "r", "data": "aGVsbG8=", "kind": "LOSSY", "topic": "t", "destination_identities": ["alice"] });
    assert_eq!(ok(&server, "SendData", data).await, json!({}));
    let large = json!({ "room": "r", "data": "A".repeat(180_000) });
    assert_eq!(call(&server, "SendData", grants(), large).await.json()["code"], "invalid_argument");
    let nobody = json!({ "room": "r", "identity": "nobody", "track_sids": ["TR_x"], "subscribe": true });
    assert_eq!(call(&server, "UpdateSubscriptions", grants(), nobody).await.json()["code"], "not_found");
}
