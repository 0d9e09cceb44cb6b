//! Calls and seats of people, over the real router, store, chat and media plane.

mod departments;
mod lag;
mod matrix;
mod phone;
mod retention;
mod rooms;
mod seats;
mod signing_out;
mod world;

use std::time::{Duration, Instant};

use convene_accounts::apikey::{KeyId, room_prefix};
use convene_accounts::webhook::Kinds;
use convene_im::wire::{self as im, Code, body::Kind, frame::Body};
use convene_signaling::rooms::LeaveReason;
use convene_store::Op;
use convene_store::orgs::{Change, Outcome};
use convene_types::{AccountId, CallId, ConvId};
use serde_json::{Value, json};

use phone::{Phone, device_bytes};
use world::{Person, World, until};

/// How long the end of a right may take, as README says.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Waits for the end of a right, and holds it to a second in which this machine ran: that it stood still is nobody's delay.
async fn at_once<T>(end: impl Future<Output = T>) -> T {
    const TICK: Duration = Duration::from_millis(50);
    let (mut end, began, mut still) = (std::pin::pin!(end), Instant::now(), Duration::ZERO);
    loop {
        let tick = Instant::now();
        let ended = tokio::time::timeout(TICK, &mut end).await;
        still += tick.elapsed().saturating_sub(TICK);
        assert!(began.elapsed() - still < AT_ONCE, "within a second");
        if let Ok(ended) = ended {
            return ended;
        }
    }
}

fn standing(state: &im::CallState, user: u64) -> im::CallStanding {
    state.people.iter().find(|person| person.user == user).unwrap().standing()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_use_every_route() {
    let world = World::new().await;
    let [routes, _] = world.routes().await;
    assert!(routes.iter().any(|route| route.starts_with("PUT ")), "{routes:?}");
    for route in routes {
        let (method, path) = route.split_once(' ').unwrap();
        let allowed = world.preflight(method, path).await;
        assert!(allowed.split(", ").any(|one| one == method), "{route}: {allowed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_rings_everywhere_is_answered_once_and_is_written_down() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let other = world.sign_in(&bo, 22).await;
    let mut tablet = Phone::open(&world, &other.access, &other.device).await;
    let mut caller = Phone::open(&world, &ana.access, &ana.device).await;

    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let id = call["id"].as_str().unwrap().to_owned();
    for device in [&mut phone, &mut tablet] {
        let state = device.call_state(|state| state.call_id == id).await;
        assert_eq!((state.outcome(), standing(&state, bo.user)), (im::CallOutcome::Ringing, im::CallStanding::Ringing));
    }
    // Again: the same call. A device that connects in the middle learns of it. A stranger learns nothing.
    let again = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    assert_eq!(again["id"], call["id"]);
    let late = world.sign_in(&bo, 23).await;
    let mut late_device = Phone::open(&world, &late.access, &late.device).await;
    late_device.call_state(|state| state.call_id == id && standing(state, bo.user) == im::CallStanding::Ringing).await;

    let at = |act: &str| format!("/v1/calls/{id}/{act}");
    world.post(&bo, &at("accept"), Value::Null).await.expect(200);
    world.post(&other, &at("accept"), Value::Null).await.refused(409, "answered_elsewhere");
    world.post(&other, &at("join"), Value::Null).await.refused(409, "answered_elsewhere");
    let own = device_bytes(&bo.device);
    let is_bos = |state: &im::CallState| state.people.iter().any(|person| person.device_id.as_ref() == own);
    for device in [&mut phone, &mut tablet, &mut late_device] {
        device.call_state(|state| is_bos(state) && standing(state, bo.user) == im::CallStanding::Accepted).await;
    }

    let seat = world.post(&bo, &at("join"), Value::Null).await.expect(200);
    assert_eq!((&seat["may_publish"], &seat["url"]), (&json!(true), &json!("ws://convene.test")));
    assert_eq!(seat["room"], format!("{}call-{id}", room_prefix(world.org())));
    let (_, mut bos) = world.take_seat(&seat).await.unwrap();
    let (_, _anas) = world.take_seat(&world.post(&ana, &at("join"), Value::Null).await.expect(200)).await.unwrap();
    // That they came is told by the room, a moment later.
    tablet.call_state(|state| state.people.iter().all(|person| person.joined_ms > 0)).await;
    world.post(&ana, &at("cancel"), Value::Null).await.refused(409, "call_not_now");
    world.post(&ana, &at("hangup"), Value::Null).await.expect(200);
    let over = tablet.call_state(|state| state.outcome() == im::CallOutcome::Ended).await;
    assert!(over.people.iter().all(|person| person.joined_ms > 0 && person.left_ms >= person.joined_ms), "{over:?}");
    assert_eq!(bos.left().await, LeaveReason::RoomDeleted);
    assert!(world.take_seat(&seat).await.is_err(), "the token is good still, the seat is not");
    world.post(&bo, &at("accept"), Value::Null).await.refused(410, "call_over");

    // Both events are in the log, the first of which counts for nothing.
    let begun =
        caller.event(conv, |kind| matches!(kind, Kind::Call(call) if call.outcome() == im::CallOutcome::Ringing)).await;
    let ended =
        caller.event(conv, |kind| matches!(kind, Kind::Call(call) if call.outcome() == im::CallOutcome::Ended)).await;
    assert_eq!((ended.seq, ended.ord), (begun.seq + 1, begun.ord + 1));
    let read = world.get(&bo, &format!("/v1/calls/{id}")).await.expect(200);
    assert_eq!((&read["outcome"], read["people"].as_array().unwrap().len()), (&json!("ended"), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_is_out_at_once_and_stays_out() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let join = format!("/v1/calls/{}/join", call["id"].as_str().unwrap());
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    let meeting = world.post(&bo, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    let (_, mut in_call) = world.take_seat(&seat).await.unwrap();
    let (_, mut in_meeting) = world.take_seat(&meeting).await.unwrap();

    world.change(ana.account, Change::Remove { account: AccountId(bo.account) }).await;
    let all = async {
        assert_eq!(in_call.left().await, LeaveReason::Removed);
        assert_eq!(in_meeting.left().await, LeaveReason::Removed);
        assert_eq!(phone.goodbye().await, Code::Revoked);
    };
    at_once(all).await;
    for seat in [&seat, &meeting] {
        assert_eq!(world.take_seat(seat).await.err().as_deref(), Some("seat_gone"));
    }
    world.post(&bo, &join, Value::Null).await.refused(404, "not_found");
    assert_eq!(Phone::try_open(&world, &bo.access, &bo.device).await.err(), Some(Code::NoSeat));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_sign_in_ends_what_it_has_open_and_nothing_else() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let other = world.sign_in(&bo, 22).await;
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let mut tablet = Phone::open(&world, &other.access, &other.device).await;
    let join = format!("/v1/rooms/{conv}/join");
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    let (_, mut sitting) = world.take_seat(&seat).await.unwrap();
    let others = world.post(&other, &join, Value::Null).await.expect(200);
    let (_, mut staying) = world.take_seat(&others).await.unwrap();

    world.delete(&other, &format!("/v1/me/sessions/{}", bo.session)).await.expect(204);
    let all = async {
        assert_eq!(sitting.left().await, LeaveReason::Removed);
        assert_eq!(phone.goodbye().await, Code::Revoked);
    };
    at_once(all).await;
    assert_eq!(world.take_seat(&seat).await.err().as_deref(), Some("seat_gone"));
    world.post(&bo, &join, Value::Null).await.refused(401, "session_ended");
    assert_eq!(Phone::try_open(&world, &bo.access, &bo.device).await.err(), Some(Code::Unauthenticated));
    tablet.ping().await;
    assert!(staying.is_seated());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_decides_who_speaks_and_who_is_there() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let group = json!({"kind": "group", "title": "Team", "members": [bo.user]});
    let conv = world.post(&ana, "/v1/conversations", group).await.expect(201)["id"].as_u64().unwrap();
    let (join, path) = (format!("/v1/rooms/{conv}/join"), format!("/v1/conversations/{conv}"));
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    assert_eq!(seat["may_publish"], true);
    assert_eq!(seat["room"], format!("{}room-{conv}", room_prefix(world.org())));
    let (room, mut sitting) = world.take_seat(&seat).await.unwrap();
    let identity = sitting.identity.clone();
    let may = |want: bool| {
        let (room, identity) = (room.clone(), identity.clone());
        async move {
            let get = async || room.participant(&identity).await.unwrap().permission;
            world::until(async || get().await.can_publish == want && get().await.can_publish_data == want).await;
        }
    };
    let bos = format!("{path}/members/{}", bo.user);
    world.patch(&ana, &bos, json!({"muted_until_ms": i64::MAX})).await.expect(204);
    may(false).await;
    // A modified client shows the token it had, which says that it may.
    let again = world.take_seat(&seat).await.unwrap();
    assert!(!again.1.may_publish);
    sitting = again.1;
    let whip = world.whip(&seat).await;
    assert_eq!(whip, 403, "nor by another protocol");
    assert_eq!(world.post(&bo, &join, Value::Null).await.expect(200)["may_publish"], false);
    world.patch(&ana, &bos, json!({"muted_until_ms": 0})).await.expect(204);
    may(true).await;

    world.delete(&ana, &path).await.expect(204);
    let left = at_once(sitting.left()).await;
    assert_eq!(left, LeaveReason::Removed);
    world.post(&bo, &join, Value::Null).await.refused(409, "dissolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_organisations_and_strangers_find_nothing() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let stranger = world.founder(9, "elsewhere").await;
    let conv = world.direct(&ana, &bo).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let id = call["id"].as_str().unwrap();
    let of_call = ["accept", "decline", "cancel", "hangup", "join"].map(|act| format!("/v1/calls/{id}/{act}"));
    for path in of_call.into_iter().chain([format!("/v1/rooms/{conv}/join"), format!("/v1/conversations/{conv}/leave")])
    {
        world.post(&stranger, &path, Value::Null).await.refused(404, "not_found");
        world.call("POST", "", &path, Value::Null).await.refused(401, "unauthenticated");
    }
    for path in [format!("/v1/calls/{id}"), format!("/v1/conversations/{conv}/members")] {
        world.get(&stranger, &path).await.refused(404, "not_found");
    }
    world.post(&stranger, "/v1/calls", json!({"conversation": conv})).await.refused(404, "not_found");
    world.post(&stranger, "/v1/calls", json!({"users": [bo.user]})).await.refused(404, "not_found");
    world
        .post(&stranger, "/v1/conversations", json!({"kind": "direct", "members": [bo.user]}))
        .await
        .refused(404, "not_found");
    let add = format!("/v1/conversations/{conv}/members");
    world.post(&stranger, &add, json!({"users": [stranger.user]})).await.refused(404, "not_found");
    assert_eq!(world.get(&stranger, "/v1/conversations").await.expect(200)["conversations"], json!([]));
    // Nor over chat.
    let mut phone = Phone::open(&world, &stranger.access, &stranger.device).await;
    let text = im::Body { kind: Some(Kind::Text(im::Text { text: "hi".into() })), ..im::Body::default() };
    let send = im::Send { conv, client_id: vec![1; 16].into(), body: Some(text) };
    let Body::Error(error) = phone.request(Body::Send(send)).await else { panic!("taken") };
    assert_eq!(error.code(), Code::UnknownConversation);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_came_with_a_key_is_out_when_it_is_revoked() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let (org, prefix) = (world.org(), room_prefix(world.org()));
    let ((key, _), (other, _)) = (world.key(&ana, org, &["rooms"]).await, world.key(&ana, org, &["rooms"]).await);
    // In a room of its own, and in a meeting of people.
    let meeting = world.post(&bo, &format!("/v1/rooms/{conv}/join"), Value::Null).await.expect(200);
    let (_, mut bos) = world.take_seat(&meeting).await.unwrap();
    let seats = [format!("{prefix}standup"), meeting["room"].as_str().unwrap().to_owned()];
    let seats = seats.map(|room| world.seat_by_key(&key, &room, "bot"));
    let (_, mut one) = world.take_seat(&seats[0]).await.unwrap();
    let (_, mut two) = world.take_seat(&seats[1]).await.unwrap();
    let (_, mut third) =
        world.take_seat(&world.seat_by_key(&other, &format!("{prefix}standup"), "other")).await.unwrap();

    world.delete(&ana, &format!("/v1/organisations/{org}/keys/{key}")).await.expect(204);
    let all = async {
        assert_eq!(one.left().await, LeaveReason::Removed);
        assert_eq!(two.left().await, LeaveReason::Removed);
    };
    at_once(all).await;
    for seat in &seats {
        assert_eq!(world.take_seat(seat).await.err().as_deref(), Some("token_unknown_key"));
    }
    assert!(bos.is_seated() && third.is_seated());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_ends_has_nothing_open() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let stranger = world.founder(9, "elsewhere").await;
    let conv = world.direct(&ana, &bo).await;
    let org = world.org();
    let (key, token) = world.key(&ana, org, &["rooms"]).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    let seat = world.post(&bo, &format!("{path}/join"), Value::Null).await.expect(200);
    let (_, mut in_call) = world.take_seat(&seat).await.unwrap();
    let bot = world.seat_by_key(&key, &format!("{}standup", room_prefix(org)), "bot");
    let (_, mut by_key) = world.take_seat(&bot).await.unwrap();
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let mut others = Phone::open(&world, &stranger.access, &stranger.device).await;
    world.get(&stranger, &path).await.refused(404, "not_found");
    world.call("GET", &token, &path, Value::Null).await.expect(200);

    world.change(ana.account, Change::Dissolve).await;
    let all = async {
        assert!(matches!(in_call.left().await, LeaveReason::Removed | LeaveReason::RoomDeleted));
        assert_eq!(by_key.left().await, LeaveReason::RoomDeleted);
        assert_eq!(phone.goodbye().await, Code::Revoked);
    };
    at_once(all).await;
    assert_eq!(world.take_seat(&seat).await.err().as_deref(), Some("seat_gone"));
    assert_eq!(world.take_seat(&bot).await.err().as_deref(), Some("token_unknown_key"));
    world.call("GET", &token, &path, Value::Null).await.refused(401, "unauthenticated");
    others.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_read_calls_of_their_organisation_and_do_nothing_else() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let stranger = world.founder(9, "elsewhere").await;
    let theirs =
        world.get(&stranger, "/v1/organisations").await.expect(200)["organisations"][0]["id"].as_u64().unwrap();
    let conv = world.direct(&ana, &bo).await;
    let (_, rooms) = world.key(&ana, world.org(), &["rooms"]).await;
    let (_, directory) = world.key(&ana, world.org(), &["directory", "audit"]).await;
    let (_, foreign) = world.key(&stranger, convene_types::OrgId(theirs), &["rooms"]).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    let read = async |token: &str| world.call("GET", token, &path, Value::Null).await;
    assert_eq!(read(&rooms).await.expect(200)["outcome"], "ringing");
    read(&directory).await.refused(403, "key_not_allowed");
    read(&foreign).await.refused(404, "not_found");
    world.post(&ana, &format!("{path}/cancel"), Value::Null).await.expect(200);
    world::until(async || read(&rooms).await.expect(200)["outcome"] == "cancelled").await;
    for (method, route) in [
        ("POST", "/v1/calls".to_owned()),
        ("POST", format!("{path}/accept")),
        ("POST", format!("{path}/decline")),
        ("POST", format!("{path}/cancel")),
        ("POST", format!("{path}/hangup")),
        ("POST", format!("{path}/join")),
        ("POST", format!("/v1/rooms/{conv}/join")),
        ("GET", "/v1/conversations".to_owned()),
        ("POST", "/v1/conversations".to_owned()),
        ("PATCH", format!("/v1/conversations/{conv}")),
        ("DELETE", format!("/v1/conversations/{conv}")),
        ("GET", format!("/v1/conversations/{conv}/members")),
        ("POST", format!("/v1/conversations/{conv}/members")),
        ("DELETE", format!("/v1/conversations/{conv}/members/{}", bo.user)),
        ("PATCH", format!("/v1/conversations/{conv}/members/{}", bo.user)),
        ("POST", format!("/v1/conversations/{conv}/leave")),
    ] {
        world.call(method, &rooms, &route, json!({"conversation": conv})).await.refused(403, "key_not_allowed");
    }
    // Nor is it a sign-in for chat.
    assert_eq!(Phone::try_open(&world, &rooms, &bo.device).await.err(), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_hear_of_a_call_in_its_order() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let (key, _) = world.key(&ana, world.org(), &["rooms"]).await;
    let key = KeyId::parse(&key).unwrap();
    let hook = Change::MakeWebhook { url: "https://example.com/".into(), key, kinds: Kinds::CALLS };
    let Outcome::Webhook(endpoint) = world.change(ana.account, hook).await else { panic!("another answer") };
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv, "video": true})).await.expect(201);
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    for act in ["accept", "join"] {
        world.post(&bo, &format!("{path}/{act}"), Value::Null).await.expect(200);
    }
    world.post(&ana, &format!("{path}/hangup"), Value::Null).await.expect(200);
    world::until(async || world.told(endpoint).await.len() >= 3).await;
    let told = world.told(endpoint).await;
    let names: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["call_started", "call_answered", "call_ended"]);
    for event in &told {
        assert_eq!((&event["call"]["id"], &event["conversation"]), (&call["id"], &json!(conv)));
        assert_eq!((&event["call"]["caller"], &event["call"]["video"]), (&json!(ana.user), &json!(true)));
    }
    let standings = |event: &Value| -> Vec<String> {
        let people = event["call"]["people"].as_array().unwrap();
        people.iter().map(|person| person["standing"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((standings(&told[1]), standings(&told[2])), (vec!["accepted".into(); 2], vec!["left".into(); 2]));
    assert_eq!(told[2]["call"]["outcome"], "ended");
    // One that nobody answers was not answered.
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    world.post(&bo, &format!("/v1/calls/{}/decline", call["id"].as_str().unwrap()), Value::Null).await.expect(200);
    world::until(async || world.told(endpoint).await.len() >= 5).await;
    let told = world.told(endpoint).await;
    assert_eq!((&told[3]["event"], &told[4]["event"]), (&json!("call_started"), &json!("call_ended")));
    assert_eq!(told[4]["call"]["outcome"], "declined");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_rings_too_much_has_to_wait_and_nobody_else() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let ring = async |person: &Person| world.post(person, "/v1/calls", json!({"conversation": conv})).await;
    for _ in 0..20 {
        ring(&ana).await.expect(201);
    }
    let mut refused = ring(&ana).await;
    for _ in 0..100 {
        if refused.status() == 429 {
            break;
        }
        // Within the twenty, a slow machine may have let the first gap pass.
        refused = ring(&ana).await;
    }
    assert!((1..=30).contains(&refused.retry_after_s()), "{}", refused.retry_after_s());
    refused.refused(429, "too_many_requests");
    ring(&bo).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_after_a_stop_of_the_server() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let call = world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    let world = world.restart().await;
    // Still rings.
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let rings = phone.call_state(|_| true).await;
    assert_eq!(
        (standing(&rings, ana.user), standing(&rings, bo.user)),
        (im::CallStanding::Accepted, im::CallStanding::Ringing)
    );
    let seats = [
        world.post(&ana, &format!("{path}/join"), Value::Null).await.expect(200),
        world.post(&bo, &format!("{path}/join"), Value::Null).await.expect(200),
    ];
    for seat in &seats {
        world.take_seat(seat).await.unwrap();
    }
    let answered = phone.call_state(|state| standing(state, bo.user) == im::CallStanding::Accepted).await;
    assert!(answered.answered_ms >= answered.started_ms);
    phone.call_state(|state| state.people.iter().all(|person| person.joined_ms > 0)).await;

    let world = world.restart().await;
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let after = phone.call_state(|_| true).await;
    assert!(after.version > answered.version && after.answered_ms == answered.answered_ms);
    // The seats are still theirs, and nobody else's; it ends as any other.
    for seat in &seats {
        world.take_seat(seat).await.unwrap();
    }
    world.post(&ana, &format!("{path}/hangup"), Value::Null).await.expect(200);
    assert_eq!(
        phone.call_state(|state| state.outcome() != im::CallOutcome::Ringing).await.outcome(),
        im::CallOutcome::Ended
    );
    world::until(async || world.get(&ana, &path).await.expect(200)["outcome"] == "ended").await;
    let world = world.restart().await;
    assert_eq!(world.take_seat(&seats[1]).await.err().as_deref(), Some("seat_gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_which_nothing_was_kept_is_over_after_the_start() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let (org, id) = (world.org(), CallId([9; 16]));
    let record = im::CallRecord { outcome: im::CallOutcome::Ringing.into(), ..im::CallRecord::default() };
    let begins = Op::Call { org, conv: ConvId(conv), id, record };
    let world = world.restart_after(async |store| drop(store.write_async(begins).await.unwrap())).await;
    let path = format!("/v1/calls/{}", "09".repeat(16));
    assert_eq!(world.get(&ana, &path).await.expect(200)["outcome"], "interrupted");
    // And the next one rings.
    world.post(&ana, "/v1/calls", json!({"conversation": conv})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_says_where_the_picture_of_its_holder_is() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let join = format!("/v1/rooms/{}/join", world.direct(&ana, &bo).await);
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    assert_eq!(world.attributes(&seat).get("picture"), None);
    let mut phone = Phone::open(&world, &bo.access, &bo.device).await;
    let me = world.put(&bo, "/v1/me/avatar", b"\x89PNG\r\n\x1a\n".to_vec()).await.expect(200);
    let path = me["picture"].as_str().unwrap();
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    assert_eq!(world.attributes(&seat)["picture"], format!("http://convene.test{path}"));
    // Open clients are told, as of another name.
    phone.profile(|user| user.display_name == "P2").await;
    world.patch(&bo, "/v1/me", json!({"display_name": "Bobby"})).await.expect(200);
    phone.profile(|user| user.id == bo.user && user.display_name == "Bobby").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_picture_and_name_reach_whoever_has_chat_or_the_room_open() {
    let world = World::new().await;
    let (ana, bo) = (world.person(1).await, world.person(2).await);
    let conv = world.direct(&ana, &bo).await;
    let mut phone = Phone::open(&world, &ana.access, &ana.device).await;
    let mut own = Phone::open(&world, &bo.access, &bo.device).await;
    let watch = im::WatchPresence { users: vec![bo.user] };
    assert_eq!(phone.request(Body::WatchPresence(watch)).await, Body::Done(im::Done {}));
    let join = format!("/v1/rooms/{conv}/join");
    let seat = world.post(&bo, &join, Value::Null).await.expect(200);
    let (room, sitting) = world.take_seat(&seat).await.unwrap();

    let me = world.put(&bo, "/v1/me/avatar", b"\x89PNG\r\n\x1a\n".to_vec()).await.expect(200);
    let path = me["picture"].as_str().unwrap().to_owned();
    // The devices of a colleague, and one's own.
    let shown = phone.shown(|user| user.id == bo.user && !user.picture.is_empty()).await;
    own.profile(|user| user.picture == shown.picture).await;
    let find = im::FindUsers { ids: vec![bo.user], names: Vec::new() };
    let Body::Users(found) = phone.request(Body::FindUsers(find)).await else { panic!("nobody") };
    assert_eq!(found.users, std::slice::from_ref(&shown));
    // Where it is: as profiles say it over HTTP.
    let url = im::BlobUrl { id: shown.picture.clone(), conv: 0, user: bo.user };
    let Body::BlobLink(link) = phone.request(Body::BlobUrl(url.clone())).await else { panic!("no address") };
    assert_eq!(link.path, path);
    assert!(link.expires_ms > 0 && world.get(&Person::default(), &link.path).await.status() == 200);
    // A seat in a room.
    let picture = format!("http://convene.test{path}");
    let in_room = async |name: &str, picture: Option<&String>| {
        let info = room.participant(&sitting.identity).await.unwrap();
        info.name == name && info.attributes.get("picture") == picture
    };
    until(async || in_room("P2", Some(&picture)).await).await;
    world.patch(&bo, "/v1/me", json!({"display_name": "Bobby"})).await.expect(200);
    phone.shown(|user| user.display_name == "Bobby").await;
    until(async || in_room("Bobby", Some(&picture)).await).await;
    world.delete(&bo, "/v1/me/avatar").await.expect(200);
    phone.shown(|user| user.id == bo.user && user.picture.is_empty()).await;
    until(async || in_room("Bobby", None).await).await;

    // What is not theirs, and who is nobody's colleague.
    let refused = async |phone: &mut Phone, url: im::BlobUrl| {
        let Body::Error(error) = phone.request(Body::BlobUrl(url)).await else { panic!("it is served") };
        error.code()
    };
    assert_eq!(refused(&mut phone, url.clone()).await, Code::UnknownBlob);
    assert_eq!(refused(&mut phone, im::BlobUrl { user: ana.user, ..url.clone() }).await, Code::UnknownBlob);
    world.put(&bo, "/v1/me/avatar", b"\x89PNG\r\n\x1a\n".to_vec()).await.expect(200);
    let eve = world.founder(9, "elsewhere").await;
    let mut stranger = Phone::open(&world, &eve.access, &eve.device).await;
    assert_eq!(refused(&mut stranger, url).await, Code::UnknownBlob);
}
