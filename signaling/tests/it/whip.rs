//! Each status of RFC 9725 that this server answers with, against a real room and media plane.

use convene_signaling::rooms::{JoinRequest, Joined, Mode, Notice, ParticipantState, RoomRequest};
use convene_signaling::token::Grants;

use crate::harness::{Answer, Harness, TTL, bearer, join};

/// Of a request: `signaling/src/http/limits.rs`.
const MAX_BODY_BYTES: usize = 256 * 1024;
const OFFER_SESSION: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
const CLIENT_ICE: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";
const FRESH_ICE: &str = "a=ice-ufrag:fres\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui2\r\n";
const MEDIA: &str = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 198.51.100.1 39132 typ host\r\n";
const FINGERPRINT: &str = "a=fingerprint:sha-256 \
    DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09:DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF\r\na=setup:actpass\r\n";

/// Attribute and media lines, credentials among them (RFC 8840 §9).
fn is_fragment(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let has = |name: &str| text.lines().any(|line| line.strip_prefix(name).is_some_and(|value| !value.is_empty()));
    lines.all(|line| line.starts_with("a=") || line.starts_with("m=")) && has("a=ice-ufrag:") && has("a=ice-pwd:")
}

/// What an encoder (`sendonly`) or a player (`recvonly`) offers: one Opus and one VP8 section.
fn offer(direction: &str) -> String {
    let sources = |kind: &str, ssrc: u32| match direction {
        "sendonly" => format!("a=msid:stream {kind}\r\na=ssrc:{ssrc} cname:encoder\r\n"),
        _ => String::new(),
    };
    let section = |kind: &str, mid: u32, codec: &str, more: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n{CLIENT_ICE}{FINGERPRINT}\
             a=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\na=rtpmap:96 {codec}\r\n{more}{}",
            sources(kind, mid + 1000)
        )
    };
    let audio = section("audio", 0, "opus/48000/2", "").replace("SAVPF 96", "SAVPF 111").replace(":96", ":111");
    let video = section("video", 1, "VP8/90000", "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n");
    format!("{OFFER_SESSION}{audio}{video}")
}

async fn post(server: &Harness, uri: &str, authorization: &str, body: String) -> Answer {
    server.call("POST", uri, &[("authorization", authorization), ("content-type", "application/sdp")], body).await
}

#[tokio::test]
async fn endpoints_refuse_with_status_and_code() {
    let server = Harness::new();
    let good = bearer("alice", join("r"), TTL);
    let expired = bearer("alice", join("r"), std::time::Duration::ZERO);
    let other = bearer("alice", join("other"), TTL);
    let mute = bearer("alice", Grants { can_publish: Some(false), ..join("r") }, TTL);
    let blind = bearer("alice", Grants { can_subscribe: Some(false), ..join("r") }, TTL);
    let outsider = bearer("alice", Grants { room_join: false, ..join("r") }, TTL);
    let (sdp, fragment) = ("application/sdp", "application/trickle-ice-sdpfrag");
    let (sending, large) = (offer("sendonly"), "a".repeat(MAX_BODY_BYTES + 1));
    let rows = [
        ("POST", "/whip/r", "", sdp, sending.as_str(), 401, "token_missing"),
        ("POST", "/whip/r", &expired, sdp, &sending, 401, "token_expired"),
        ("POST", "/whip/r", "Bearer nonsense", sdp, &sending, 401, "token_malformed"),
        ("POST", "/whip/r", &other, sdp, &sending, 403, "grant_wrong_room"),
        ("POST", "/whip/r", &outsider, sdp, &sending, 403, "grant_missing"),
        ("POST", "/whip/r", &mute, sdp, &sending, 403, "grant_missing"),
        ("POST", "/whep/r", &blind, sdp, &sending, 403, "grant_missing"),
        ("POST", "/whip/r", &good, "", &sending, 415, "unsupported_media_type"),
        ("POST", "/whip/r", &good, "application/json", &sending, 415, "unsupported_media_type"),
        ("POST", "/whip/r", &good, sdp, "", 400, "sdp_malformed"),
        ("POST", "/whip/r", &good, sdp, "hello", 400, "sdp_malformed"),
        ("POST", "/whip/r", &good, sdp, &large, 413, "body_refused"),
        ("GET", "/whip/r", &good, "", "", 405, "method_not_allowed"),
        ("PUT", "/whep/r", &good, "", "", 405, "method_not_allowed"),
        ("POST", "/whip/r/0", &good, sdp, &sending, 405, "method_not_allowed"),
        ("PATCH", "/whip/r/0", "", fragment, CLIENT_ICE, 401, "token_missing"),
        ("PATCH", "/whip/r/0", &good, fragment, CLIENT_ICE, 404, "not_found"),
        ("DELETE", "/whip/r/0", "", "", "", 401, "token_missing"),
        ("DELETE", "/whep/r/0", &good, "", "", 404, "not_found"),
        ("GET", "/whip", &good, "", "", 404, "not_found"),
        ("GET", "/whip/r/0/more", &good, "", "", 404, "not_found"),
    ];
    for (method, uri, authorization, content_type, body, status, code) in rows {
        let headers = [("authorization", authorization), ("content-type", content_type)];
        let answer = server.call(method, uri, &headers, body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri} {code}: {}", answer.text());
        assert_eq!(answer.json()["code"], code, "{method} {uri}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{method} {uri}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{method} {uri}");
        assert_eq!(answer.headers.contains_key("accept-post"), status == 415, "{method} {uri}");
    }
    let nobody = match server.rooms.get("r") {
        Some(room) => room.participants().await.unwrap_or_default(),
        None => Vec::new(),
    };
    assert_eq!(nobody, Vec::new(), "a refused offer leaves a seat behind");
}

#[tokio::test]
async fn options_tell_what_is_taken() {
    let server = Harness::new();
    for (uri, header, want) in [
        ("/whip/r", "accept-post", "application/sdp"),
        ("/whep/r", "accept-post", "application/sdp"),
        ("/whip/r/0", "accept-patch", "application/trickle-ice-sdpfrag"),
    ] {
        for headers in [&[][..], &[("origin", "https://example.org"), ("access-control-request-method", "POST")][..]] {
            let answer = server.call("OPTIONS", uri, headers, "").await;
            assert_eq!((answer.status.as_u16(), answer.header(header)), (204, want), "{uri}");
            let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
            assert!(["location", "etag", "link"].iter().all(|name| exposed.contains(name)), "{uri} {exposed}");
        }
    }
}

#[tokio::test]
async fn a_whip_session_lives_and_ends() {
    let server = Harness::new();
    let token = bearer("cam 1", join("a room"), TTL);
    let created = post(&server, "/whip/a%20room", &token, offer("sendonly")).await;
    assert_eq!(created.status.as_u16(), 201, "{}", created.text());
    let (location, etag) = (created.header("location"), created.header("etag"));
    assert!(location.starts_with("/whip/a%20room/"), "{location}");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!(created.header("content-type"), "application/sdp");
    assert_eq!(created.header("access-control-allow-origin"), "*");
    let answer = created.text();
    assert!(
        answer.contains("a=recvonly") && answer.contains("a=ice-lite") && answer.contains("a=setup:passive"),
        "{answer}"
    );

    let room = server.rooms.get("a room").unwrap();
    let people = room.participants().await.unwrap();
    assert_eq!((people.len(), people[0].identity.as_str(), people[0].tracks.len()), (1, "cam 1", 2));
    assert_ne!(people[0].state, ParticipantState::Active, "no client has sent a packet");

    patches(&server, location, &token, etag).await;

    let stranger = bearer("mallory", join("a room"), TTL);
    let refused = server.call("DELETE", location, &[("authorization", &stranger)], "").await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (403, Some("grant_wrong_identity")));
    let elsewhere = location.replace("a%20room", "other");
    let mine = bearer("cam 1", join("other"), TTL);
    assert_eq!(server.call("DELETE", &elsewhere, &[("authorization", &mine)], "").await.status.as_u16(), 404);
    let as_whep = location.replace("/whip/", "/whep/");
    assert_eq!(server.call("DELETE", &as_whep, &[("authorization", &token)], "").await.status.as_u16(), 404);

    let again = bearer("cam 1", join("a room"), TTL * 2); // a renewed token of the same participant
    assert_eq!(server.call("DELETE", location, &[("authorization", &again)], "").await.status.as_u16(), 200);
    assert_eq!(server.call("DELETE", location, &[("authorization", &token)], "").await.status.as_u16(), 404);
    assert_eq!(room.participants().await.unwrap().len(), 0);
}

/// RFC 9725 §4.3.
async fn patches(server: &Harness, location: &str, token: &str, etag: &str) {
    let (kind, text) = ("application/trickle-ice-sdpfrag", "text/plain");
    let (trickle, restart) = (format!("{CLIENT_ICE}{MEDIA}"), format!("{FRESH_ICE}{MEDIA}"));
    let rows = [
        (kind, "", trickle.as_str(), 428),
        (kind, "\"other\"", &trickle, 412),
        (kind, "\"other\"", &restart, 412),
        (text, etag, &trickle, 415),
        (kind, etag, "", 400),
        (kind, etag, "hello", 400),
        (kind, etag, MEDIA, 400),
        (kind, etag, &trickle, 204),
        (kind, "\"x\", \"*\"", &trickle, 204),
        (kind, "*", &trickle, 204),
        (kind, "*", &restart, 200),
        (kind, etag, &trickle, 412),
        (kind, etag, &restart, 412),
    ];
    let mut renewed = String::new();
    for (content_type, if_match, body, status) in rows {
        let headers = [("authorization", token), ("content-type", content_type), ("if-match", if_match)];
        let answer = server.call("PATCH", location, &headers, body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{if_match} {body} {}", answer.text());
        assert_eq!(answer.headers.contains_key("accept-patch"), status == 415, "{if_match} {body}");
        if status == 200 {
            assert_eq!(answer.header("content-type"), kind);
            assert!(is_fragment(&answer.text()), "{}", answer.text());
            renewed = answer.header("etag").to_owned();
        }
    }
    assert_ne!(renewed, etag);
    let headers = [("authorization", token), ("content-type", kind), ("if-match", renewed.as_str())];
    assert_eq!(server.call("PATCH", location, &headers, restart).await.status.as_u16(), 204);
}

#[tokio::test]
async fn a_second_session_of_an_identity_ends_the_first() {
    let server = Harness::new();
    let token = bearer("cam", join("r"), TTL);
    let first = post(&server, "/whip/r", &token, offer("sendonly")).await;
    let second = post(&server, "/whip/r", &token, offer("sendonly")).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    let gone = async || {
        let headers =
            [("authorization", token.as_str()), ("content-type", "application/trickle-ice-sdpfrag"), ("if-match", "*")];
        server.call("PATCH", first.header("location"), &headers, CLIENT_ICE).await.status.as_u16() == 404
    };
    let deadline = tokio::time::Instant::now() + TTL / 12;
    while !gone().await {
        assert!(tokio::time::Instant::now() < deadline, "the first session is still there");
        tokio::task::yield_now().await;
    }
    let room = server.rooms.get("r").unwrap();
    assert_eq!(room.participants().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_player_gets_the_room_or_one_participant() {
    for (uri, cam1, cam2) in
        [("/whep/r", 2, 0), ("/whep/r?participant=cam2", 0, 2), ("/whep/r?participant=nobody", 0, 0)]
    {
        let server = Harness::new();
        let (mut first, mut second) = (publish(&server, "cam1").await, publish(&server, "cam2").await);
        play(&server, uri).await;
        let counts = [told_of_first_subscriber(&mut first), told_of_first_subscriber(&mut second)];
        assert_eq!(counts, [cam1, cam2], "{uri}");
    }
}

#[tokio::test]
async fn a_player_follows_a_participant_that_comes_later() {
    let server = Harness::new();
    play(&server, "/whep/r?participant=late%20cam").await;
    let mut seat = publish(&server, "late cam").await;
    let deadline = tokio::time::Instant::now() + TTL / 12;
    let mut told = 0;
    while told < 2 {
        assert!(tokio::time::Instant::now() < deadline, "only {told} tracks were subscribed to");
        tokio::task::yield_now().await;
        told += told_of_first_subscriber(&mut seat);
    }
}

/// A WHIP publisher of two tracks, as the room sees it: its notices say whether anyone subscribes.
async fn publish(server: &Harness, identity: &str) -> Joined {
    let room = RoomRequest { name: "r".to_owned(), ..RoomRequest::default() };
    let (room, joined) = server.rooms.join(room, JoinRequest::new(identity, Mode::Whip)).await.unwrap();
    room.offer(joined.participant, &offer("sendonly")).await.unwrap();
    joined
}

async fn play(server: &Harness, uri: &str) {
    let created = post(server, uri, &bearer("viewer", join("r"), TTL), offer("recvonly")).await;
    assert_eq!(created.status.as_u16(), 201, "{}", created.text());
    let answer = created.text();
    assert_eq!(answer.matches("a=sendonly").count(), 2, "sections wait for late publishers: {answer}");
}

fn told_of_first_subscriber(seat: &mut Joined) -> usize {
    let notices = std::iter::from_fn(|| seat.notices.try_recv().ok());
    notices.filter(|notice| matches!(notice, Notice::TrackSubscribed { .. })).count()
}
