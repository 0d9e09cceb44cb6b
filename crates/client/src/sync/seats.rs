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

/// Begins a session, in which the server takes this for the user of that number; answers in whose name it was asked for, and
/// when there is to be another one, if it has ended.
fn session(engine: &mut Engine, user: u64) -> (String, Option<Retry>) {
    let flight = engine.flight("token".to_owned(), now()).unwrap();
    let Some(Body::Hello(hello)) = &flight[0].body else { panic!("{flight:?}") };
    engine.linked(Transport::Quic, false);
    let me = im::User { id: user, name: "a7".to_owned(), ..im::User::default() };
    let welcome = im::Welcome { version: 1, me: Some(me), ..im::Welcome::default() };
    engine.frame(frame::of(flight[0].rid, Body::Welcome(welcome)), now()).unwrap();
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
    assert_eq!(owner(&engine).0, 6);
}

#[test]
fn a_copy_is_not_given_to_another_organisation() {
    let mut engine = Engine::seeded(2);
    session(&mut engine, 5);
    engine.organisation = "emca".to_owned();
    assert_eq!(session(&mut engine, 6), ("emca".to_owned(), Some(Retry::Never)));
    assert_eq!(owner(&engine), (5, None), "it stays what it was");
}
