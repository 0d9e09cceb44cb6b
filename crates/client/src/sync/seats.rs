//! In whose name a client speaks, and what becomes of its copy when that is another one. Tests.

use std::time::Instant;

use convene_proto::frame;
use convene_proto::im::{self, frame::Body};
use prost::Message as _;

use super::{Engine, Now, Output, Retry};
use crate::db::meta::Key;
use crate::net::link::Transport;

fn now() -> Now {
    Now { instant: Instant::now(), unix_ms: 1_000_000 }
}

/// Begins a session, in which the server takes this for the user of that number, who is in the conversation of the same number;
/// answers in whose name it was asked for, and when there is to be another one, if it has ended.
fn session(engine: &mut Engine, user: u64) -> (String, Option<Retry>) {
    let flight = engine.flight("token".to_owned(), now()).unwrap();
    let Some(Body::Hello(hello)) = &flight[0].body else { panic!("{flight:?}") };
    engine.linked(Transport::Quic, false);
    let me = im::User { id: user, name: "a7".to_owned(), ..im::User::default() };
    let welcome = im::Welcome { version: 1, me: Some(me), ..im::Welcome::default() };
    engine.frame(frame::of(flight[0].rid, Body::Welcome(welcome)), now()).unwrap();
    // In the same packet.
    engine.frame(frame::of(flight[0].rid, Body::SyncReply(in_conversation(user))), now()).unwrap();
    engine.catch_up().unwrap();
    let mut ended = None;
    while let Some(output) = engine.poll(now()) {
        if let Output::End(end) = output {
            ended = Some(end.retry);
        }
    }
    engine.lost("over").unwrap();
    while engine.poll(now()).is_some() {}
    (hello.org.clone(), ended)
}

fn in_conversation(conv: u64) -> im::SyncReply {
    let event = im::Event {
        conv,
        seq: 1,
        ord: 1,
        sender: 4,
        at_ms: 5,
        body: Some(crate::body::text("hello")),
        ..im::Event::default()
    };
    let conversation = im::ConversationDelta {
        conv,
        kind: im::ConversationKind::Direct.into(),
        role: im::Role::Member.into(),
        peer: 4,
        head: 1,
        head_ord: 1,
        to: 1,
        events: vec![event],
        ..Default::default()
    };
    im::SyncReply { conversations: vec![conversation], bump: 2, ..Default::default() }
}

/// Conversations of which something is kept.
fn kept(engine: &Engine) -> Vec<u64> {
    engine.db.events(None).unwrap().iter().map(|event| event.conv).collect()
}

fn owner(engine: &Engine) -> (u64, Option<Vec<u8>>) {
    let me = engine.db.value(Key::Me).unwrap().unwrap();
    (im::User::decode(me.as_slice()).unwrap().id, engine.db.value(Key::Organisation).unwrap())
}

#[test]
fn whoever_names_the_organisation_later_goes_on_as_the_same_user() {
    let mut engine = Engine::seeded(1);
    assert_eq!(session(&mut engine, 5), (String::new(), None));
    assert_eq!(owner(&engine), (5, None));
    engine.organisation = "acme".to_owned();
    assert_eq!(session(&mut engine, 5), ("acme".to_owned(), None));
    assert_eq!(owner(&engine), (5, Some(b"acme".to_vec())));
    // From then on another number of the same name means that the server began anew.
    let (_, ended) = session(&mut engine, 6);
    assert!(matches!(ended, Some(Retry::After(_))), "{ended:?}");
    assert_eq!((owner(&engine).0, kept(&engine)), (6, Vec::new()));
    assert_eq!(session(&mut engine, 6), ("acme".to_owned(), None));
    assert_eq!(kept(&engine), [6]);
}

#[test]
fn a_copy_is_not_given_to_another_organisation() {
    let mut engine = Engine::seeded(2);
    session(&mut engine, 5);
    engine.organisation = "emca".to_owned();
    assert_eq!(session(&mut engine, 6), ("emca".to_owned(), Some(Retry::Never)));
    assert_eq!(owner(&engine), (5, None), "it stays what it was");
    assert_eq!(kept(&engine), [5], "what belongs to somebody else does not come into it");
}

#[test]
fn the_only_seat_of_an_account_may_become_another_one_and_the_copy_stays() {
    let signed_in = Engine::seeded(3);
    signed_in.db.set_value(Key::Account, b"7").unwrap();
    let mut by_somebody_else = Engine::seeded(4);
    by_somebody_else.signed_in = true;
    for mut engine in [signed_in, by_somebody_else] {
        assert_eq!(session(&mut engine, 5), (String::new(), None));
        assert_eq!(session(&mut engine, 6), (String::new(), Some(Retry::Never)));
        assert_eq!((owner(&engine), kept(&engine)), ((5, None), vec![5]));
        // Back in the one before, it goes on.
        assert_eq!(session(&mut engine, 5), (String::new(), None));
    }
    // Without accounts it means that the server began anew, as one for development does.
    let mut engine = Engine::seeded(5);
    session(&mut engine, 5);
    let (_, ended) = session(&mut engine, 6);
    assert!(matches!(ended, Some(Retry::After(_))), "{ended:?}");
    assert_eq!((owner(&engine).0, kept(&engine)), (6, Vec::new()));
}
