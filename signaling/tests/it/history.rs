//! Who may ask, and what is answered of those who are there and of those who were.

use convene_signaling::rooms::{JoinRequest, LeaveReason, Mode, RoomRequest};
use convene_signaling::token::Grants;
use serde_json::Value;

use crate::harness::{Harness, TTL, bearer, join};

fn admin(room: &str) -> Grants {
    Grants { room_admin: true, room: room.to_owned(), ..Grants::default() }
}

async fn ask(server: &Harness, grants: Grants, address: &str) -> (u16, Value) {
    let headers = [("authorization", &*bearer("api", grants, TTL))];
    let answer = server.call("GET", address, &headers, "").await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn stays_are_there_during_the_call_and_after_it() {
    let server = Harness::new();
    let room = RoomRequest { name: "r".to_owned(), ..RoomRequest::default() };
    let mut seats = Vec::new();
    for identity in ["ana", "bo"] {
        let request = JoinRequest::new(identity, Mode::Single);
        seats.push(server.rooms.join(room.clone(), request).await.unwrap());
    }
    let names = |(status, answer): (u16, Value)| {
        assert_eq!(status, 200, "{answer}");
        let stays = answer["stays"].as_array().unwrap().clone();
        let name =
            |stay: Value| (stay["identity"].as_str().unwrap().to_owned(), stay["reason"].as_str().unwrap().to_owned());
        stays.into_iter().map(name).collect::<Vec<_>>()
    };
    let row = |identity: &str, reason: &str| (identity.to_owned(), reason.to_owned());
    let both = names(ask(&server, admin("r"), "/history/rooms/r").await);
    assert_eq!(both, [row("ana", ""), row("bo", "")]);
    let (handle, ana) = &seats[0];
    handle.leave(ana.participant, LeaveReason::ClientInitiated).await.unwrap();
    let both = names(ask(&server, admin("r"), "/history/rooms/r").await);
    assert_eq!(both, [row("bo", ""), row("ana", "client_initiated")]);
    server.rooms.delete("r").await.unwrap();
    while server.rooms.get("r").is_some() {
        tokio::task::yield_now().await;
    }
    let after = names(ask(&server, admin("r"), "/history/rooms/r").await);
    assert_eq!(after, [row("bo", "room_deleted"), row("ana", "client_initiated")]);
    assert_eq!(names(ask(&server, admin("r"), "/history/rooms/r?limit=1").await), [row("bo", "room_deleted")]);
    let one = ask(&server, admin("r"), "/history/rooms/r?identity=ana").await;
    assert_eq!(names(one), [row("ana", "client_initiated")]);
    assert_eq!(names(ask(&server, admin("r"), "/history/rooms/r?before_ms=5").await), []);
}

#[tokio::test]
async fn only_who_administrates_the_room_may_ask() {
    let server = Harness::new();
    for (grants, status) in [(admin("r"), 200), (admin("other"), 403), (join("r"), 403)] {
        assert_eq!(ask(&server, grants, "/history/rooms/r").await.0, status);
    }
    assert_eq!(server.call("GET", "/history/rooms/r", &[], "").await.status.as_u16(), 401);
    let (status, refusal) = ask(&server, admin("r"), "/history/rooms/r?limit=all").await;
    assert_eq!((status, refusal["code"].as_str()), (400, Some("query_malformed")));
}
