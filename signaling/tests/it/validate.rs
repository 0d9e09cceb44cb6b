//! What a browser is told that asks why its WebSocket was refused.

use std::time::Duration;

use convene_signaling::rooms::{Options, RoomRequest};
use convene_signaling::token::Grants;

use crate::harness::{Harness, TTL, bearer, join};

const PATHS: [&str; 2] = ["/rtc/validate", "/rtc/v1/validate"];

#[tokio::test]
async fn validate_says_what_a_join_would_meet() {
    let server = Harness::new();
    let token = |grants: Grants, ttl: Duration| bearer("alice", grants, ttl);
    let (good, expired) = (token(join("r"), TTL), token(join("r"), Duration::ZERO));
    let (no_join, any_room) = (token(Grants::default(), TTL), token(join(""), TTL));
    let raw = |header: &str| header.strip_prefix("Bearer ").unwrap().to_owned();
    let rows = [
        (format!("?access_token={}", raw(&good)), String::new(), 200, "success"),
        (String::new(), good.clone(), 200, "success"),
        (String::new(), format!("bearer {}", raw(&good)), 200, "success"),
        ("?room=x".to_owned(), any_room.clone(), 200, "success"),
        (String::new(), any_room, 400, "room_name"),
        (String::new(), String::new(), 401, "token_missing"),
        (String::new(), format!("Basic {}", raw(&good)), 401, "token_missing"),
        ("?access_token=nonsense".to_owned(), String::new(), 401, "token_malformed"),
        (format!("?access_token={}", raw(&expired)), String::new(), 401, "token_expired"),
        (format!("?access_token={}", raw(&no_join)), String::new(), 403, "roomJoin"),
    ];
    for path in PATHS {
        for (query, header, status, says) in &rows {
            let answer = server.call("GET", &format!("{path}{query}"), &[("authorization", header)], "").await;
            let (got, body) = (answer.status.as_u16(), answer.text());
            assert_eq!(got, *status, "{path}{query} {body}");
            assert!(body.contains(says), "{path}{query} {body}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.headers.contains_key("www-authenticate"), *status == 401, "{path}{query}");
        }
    }
    let answer = server.call("GET", "/rtc/v1/validate?join_request=%25", &[("authorization", &good)], "").await;
    assert_eq!(answer.status.as_u16(), 400, "{}", answer.text());
}

#[tokio::test]
async fn a_room_that_is_not_open_is_said_in_the_words_that_clients_look_for() {
    let server = Harness::with(Options { auto_create: false, ..Options::default() });
    let makes = Grants { room_create: true, ..join("r") };
    let (joins, makes) = (bearer("alice", join("r"), TTL), bearer("alice", makes, TTL));
    let ask = async |path: &str, token: &str| {
        let answer = server.call("GET", path, &[("authorization", token)], "").await;
        (answer.status.as_u16(), answer.text())
    };
    for path in PATHS {
        let (status, text) = ask(path, &joins).await;
        assert!(status == 404 && text.contains("requested room does not exist"), "{status} {text}");
        assert_eq!(ask(path, &makes).await.0, 200);
    }
    server.rooms.create(RoomRequest { name: "r".to_owned(), ..RoomRequest::default() }).unwrap();
    for path in PATHS {
        assert_eq!(ask(path, &joins).await.0, 200);
    }
}
