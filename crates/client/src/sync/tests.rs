//! The engine against a scripted server.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

use std::time::{Duration, Instant};

use convene_proto::im::{self, Code, Frame, frame::Body};
use convene_proto::{frame, limits};
use tokio::sync::oneshot;

use super::*;
use crate::db::outbox::{Attachment, State};
use crate::shell::Done;

const ANA: u64 = 3;
const BOB: u64 = 4;
const CONV: u64 = 9;

fn now(start: Instant, ms: u64) -> Now {
    Now { instant: start + Duration::from_millis(ms), unix_ms: 1_700_000_000_000 + ms.cast_signed() }
}

fn event(seq: u64) -> im::Event {
    let body = crate::body::text(format!("message {seq}"));
    im::Event { conv: CONV, seq, ord: seq, sender: BOB, at_ms: 5, body: Some(body), ..im::Event::default() }
}

fn deliver(from: u64, to: u64) -> Frame {
    let events = (from + 1..=to).map(event).collect();
    frame::of(0, Body::Deliver(im::Deliver { conv: CONV, from, to, events }))
}

/// A conversation that ends at `head`, with all of its events.
fn sync_reply(head: u64) -> im::SyncReply {
    let conversation = im::ConversationDelta {
        conv: CONV,
        kind: im::ConversationKind::Direct.into(),
        role: im::Role::Member.into(),
        peer: BOB,
        head,
        head_ord: head,
        to: head,
        events: (1..=head).map(event).collect(),
        ..Default::default()
    };
    im::SyncReply { conversations: vec![conversation], bump: head + 1, ..Default::default() }
}

struct Script {
    engine: Engine,
    start: Instant,
    hello: u64,
}

impl Script {
    /// An engine with a session, in sync with a conversation that ends at `head`.
    fn open(head: u64) -> Self {
        let mut script = Self { engine: Engine::seeded(1), start: Instant::now(), hello: 0 };
        script.connect(head);
        script
    }

    fn connect(&mut self, head: u64) -> Vec<Frame> {
        let flight = self.greet();
        self.take(frame::of(self.hello, Body::SyncReply(sync_reply(head))));
        flight
    }

    /// A session; its sync is not answered.
    fn greet(&mut self) -> Vec<Frame> {
        let flight = self.engine.flight("token".to_owned(), now(self.start, 0)).unwrap();
        self.engine.linked(Transport::Quic, false);
        self.hello = flight[0].rid;
        let me = im::User { id: ANA, name: "ana".to_owned(), ..im::User::default() };
        self.take(frame::of(self.hello, Body::Welcome(im::Welcome { version: 1, me: Some(me), ..Default::default() })));
        flight
    }

    /// Another session, whose sync the server refuses: the client starts over, and finds a conversation that ends at `head`.
    fn start_over(&mut self, head: u64) {
        self.engine.lost("cut").unwrap();
        self.greet();
        let beyond = im::Error { code: Code::BeyondHead.into(), ..im::Error::default() };
        self.take(frame::of(self.hello, Body::Error(beyond)));
        let sync = |output: &Output| match output {
            Output::Control(Frame { rid, body: Some(Body::Sync(sync)) }) => Some((*rid, sync.clone())),
            _other => None,
        };
        let (rid, sync) = self.outputs(0).iter().find_map(sync).expect("another sync");
        assert_eq!((sync.useq, sync.bump, sync.cursors.len()), (0, 0, 0), "from the beginning");
        self.take(frame::of(rid, Body::SyncReply(sync_reply(head))));
    }

    fn take(&mut self, frame: Frame) {
        self.engine.frame(frame, now(self.start, 0)).unwrap();
        self.engine.catch_up().unwrap();
    }

    fn outputs(&mut self, ms: u64) -> Vec<Output> {
        let at = now(self.start, ms);
        std::iter::from_fn(|| self.engine.poll(at)).collect()
    }

    /// Seqs that were told, and everything else that was put out.
    fn told(&mut self, ms: u64) -> (Vec<u64>, Vec<Output>) {
        let (mut seqs, mut rest) = (Vec::new(), Vec::new());
        for output in self.outputs(ms) {
            match output {
                Output::Update(Update::Event { event }) => seqs.push(event.seq),
                Output::Update(_) => {}
                other => rest.push(other),
            }
        }
        (seqs, rest)
    }

    #[allow(clippy::unwrap_in_result, reason = "the result is what is tested")]
    fn send(&mut self, text: &str) -> Result<ClientId, Error> {
        let (answer, mut done) = oneshot::channel();
        let body = Box::new(crate::body::text(text));
        self.engine.command(Command::Send { conv: CONV, body, file: None, answer }, now(self.start, 0)).unwrap();
        done.try_recv().unwrap()
    }
}

fn sends(outputs: &[Output]) -> Vec<(u64, im::Send)> {
    let send = |output: &Output| match output {
        Output::Control(Frame { rid, body: Some(Body::Send(send)) }) => Some((*rid, send.clone())),
        _other => None,
    };
    outputs.iter().filter_map(send).collect()
}

#[test]
fn nothing_is_told_past_a_hole_and_the_hole_is_fetched() {
    let mut script = Script::open(1);
    assert_eq!(script.told(0).0, [1]);
    script.take(deliver(2, 3));
    let (told, rest) = script.told(0);
    assert_eq!((told.len(), rest.len()), (0, 0));
    script.engine.wake(now(script.start, 501)).unwrap();
    let (_, rest) = script.told(501);
    let [Output::Work(Work::Fetch(fetch))] = rest[..] else { panic!("{rest:?}") };
    assert_eq!((fetch.conv, fetch.after), (CONV, 1));
    let reply = im::FetchReply { conv: CONV, from: 1, to: 2, events: vec![event(2)], head: 3, head_ord: 3, floor: 0 };
    script.engine.done(Done::Fetched(fetch, Ok(reply)), now(script.start, 510)).unwrap();
    assert_eq!(script.told(510).0, [2, 3], "in order, once");
    assert_eq!(script.engine.db.events(Some(CONV)).unwrap(), [event(1), event(2), event(3)]);
}

#[test]
fn what_overtakes_waits_and_what_repeats_is_dropped() {
    let mut script = Script::open(0);
    for part in [(1, 2), (0, 1), (0, 2), (1, 3), (2, 3)] {
        script.take(deliver(part.0, part.1));
    }
    assert_eq!(script.told(0).0, [1, 2, 3]);
}

#[test]
fn frames_that_are_written_together_are_all_told() {
    let mut script = Script::open(0);
    for part in [(0, 1), (1, 2), (2, 4)] {
        script.engine.frame(deliver(part.0, part.1), now(script.start, 0)).unwrap();
    }
    script.engine.catch_up().unwrap();
    assert_eq!(script.told(0).0, [1, 2, 3, 4]);
}

#[test]
fn a_message_is_repeated_until_it_is_acknowledged_and_then_leaves_with_its_event() {
    let mut script = Script::open(0);
    script.outputs(0);
    let id = script.send("hello").unwrap();
    let first = sends(&script.outputs(0));
    assert_eq!(first.len(), 1);
    script.engine.lost("cut").unwrap();
    assert_eq!(script.engine.db.outgoing(id).unwrap().unwrap().state, State::Ready);
    let flight = script.connect(0);
    let again: Vec<_> = flight.iter().filter(|frame| matches!(frame.body, Some(Body::Send(_)))).collect();
    let [Frame { rid, body: Some(Body::Send(send)) }] = again[..] else { panic!("{again:?}") };
    assert_eq!(*send, first[0].1, "under the same client id");
    let ack = im::Ack { client_id: send.client_id.clone(), conv: CONV, seq: 1, ord: 1, at_ms: 5, duplicate: true };
    let rid = *rid;
    script.take(frame::of(rid, Body::Ack(ack)));
    assert_eq!(script.engine.db.outgoing(id).unwrap().unwrap().state, State::Acknowledged);
    script.take(deliver(0, 1));
    assert_eq!(script.engine.db.outgoing(id).unwrap(), None);
}

#[test]
fn messages_of_a_conversation_go_one_by_one() {
    let mut script = Script::open(0);
    script.outputs(0);
    let ids = ["a", "b"].map(|text| script.send(text).unwrap());
    let first = sends(&script.outputs(0));
    assert_eq!(first.len(), 1);
    let flood = im::Error { code: Code::Flood.into(), retry_after_ms: 300, ..im::Error::default() };
    script.take(frame::of(first[0].0, Body::Error(flood)));
    assert_eq!(sends(&script.outputs(100)).len(), 0);
    script.engine.wake(now(script.start, 301)).unwrap();
    let again = sends(&script.outputs(301));
    assert_eq!(again.iter().map(|(_, send)| send.client_id.to_vec()).collect::<Vec<_>>(), [ids[0].0.to_vec()]);
}

#[test]
fn a_refused_message_stays_as_failed_until_somebody_decides() {
    let mut script = Script::open(0);
    script.outputs(0);
    let id = script.send("hello").unwrap();
    let sent = sends(&script.outputs(0));
    let muted = im::Error { code: Code::Muted.into(), text: "muted".to_owned(), ..im::Error::default() };
    script.take(frame::of(sent[0].0, Body::Error(muted)));
    let failed = |output: &Output| {
        matches!(output, Output::Update(Update::SendFailed { client_id, error: Error::Refused { code, .. }, .. })
            if *client_id == id && *code == Code::Muted)
    };
    assert!(script.outputs(0).iter().any(failed));
    assert_eq!(script.engine.db.outgoing(id).unwrap().unwrap().state, State::Failed);
    script.engine.retry(id).unwrap();
    assert_eq!(sends(&script.outputs(0))[0].1, sent[0].1);
    assert!(script.engine.discard(id).is_err(), "it may be in the log");
}

/// What a row's file became, and the send that follows it.
fn upload(script: &mut Script, outputs: &[Output]) -> (ClientId, u64) {
    let upload = |output: &Output| match output {
        Output::Work(Work::Upload(client_id, ..)) => Some(*client_id),
        _other => None,
    };
    let client_id = outputs.iter().find_map(upload).unwrap_or_else(|| panic!("no upload in {outputs:?}"));
    let blob = Some(im::BlobRef { id: vec![5; 32].into(), size: 3, ..im::BlobRef::default() });
    let done = Done::Uploaded(client_id, Ok(im::BlobDone { blob, voice: None }));
    script.engine.done(done, now(script.start, 0)).unwrap();
    let sent = sends(&script.outputs(0));
    assert_eq!(sent.len(), 1, "{sent:?}");
    (client_id, sent[0].0)
}

/// Sends a file, which is a copy of the client's own.
fn send_file(script: &mut Script, name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("convene-{name}-{}", std::process::id()));
    std::fs::write(&path, b"abc").unwrap();
    let (answer, _done) = oneshot::channel();
    let mime = "text/plain".to_owned();
    let file = Attachment { path: path.clone(), owned: true, sha256: [5; 32], size: 3, mime, voice: false };
    let kind = im::body::Kind::File(im::File { blob: Some(im::BlobRef::default()), ..im::File::default() });
    let body = Box::new(im::Body { kind: Some(kind), ..im::Body::default() });
    let send = Command::Send { conv: CONV, body, file: Some(Box::new(file)), answer };
    script.engine.command(send, now(script.start, 0)).unwrap();
    path
}

fn refusal(code: Code) -> Body {
    Body::Error(im::Error { code: code.into(), ..im::Error::default() })
}

fn has_failed(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Update(Update::SendFailed { .. })))
}

#[test]
fn a_file_that_the_server_forgot_is_uploaded_once_more_from_the_copy_that_is_kept() {
    let mut script = Script::open(0);
    let path = send_file(&mut script, "forgotten");
    let outputs = script.outputs(0);
    let (id, rid) = upload(&mut script, &outputs);
    script.take(frame::of(rid, refusal(Code::UnknownBlob)));
    assert!(has_failed(&script.outputs(0)), "it was uploaded just now: once more is of no use");
    script.engine.retry(id).unwrap();
    let outputs = script.outputs(0);
    upload(&mut script, &outputs);
    script.engine.lost("the lid was closed, for days").unwrap();
    let flight = script.connect(0);
    let send = flight.iter().find(|frame| matches!(frame.body, Some(Body::Send(_)))).expect("the message");
    script.take(frame::of(send.rid, refusal(Code::UnknownBlob)));
    let outputs = script.outputs(0);
    assert!(!has_failed(&outputs));
    let (_, rid) = upload(&mut script, &outputs);
    assert!(path.exists());
    let ack = im::Ack { client_id: id.0.to_vec().into(), conv: CONV, seq: 1, ord: 1, ..im::Ack::default() };
    script.take(frame::of(rid, Body::Ack(ack)));
    assert!(script.engine.uploaded.is_empty());
    script.take(deliver(0, 1));
    assert_eq!(script.engine.db.outgoing(id).unwrap(), None);
    assert!(!path.exists(), "nobody needs the copy any more");
}

#[test]
fn a_file_that_was_forgotten_until_somebody_sent_it_again_is_uploaded_once_more_too() {
    let mut script = Script::open(0);
    let path = send_file(&mut script, "retried");
    let outputs = script.outputs(0);
    let (id, rid) = upload(&mut script, &outputs);
    script.take(frame::of(rid, refusal(Code::Muted)));
    assert!(has_failed(&script.outputs(0)));
    script.engine.retry(id).unwrap(); // days later, in the same session
    let (rid, _) = sends(&script.outputs(0))[0];
    script.take(frame::of(rid, refusal(Code::UnknownBlob)));
    let outputs = script.outputs(0);
    assert!(!has_failed(&outputs));
    let (_, rid) = upload(&mut script, &outputs);
    script.take(frame::of(rid, refusal(Code::UnknownBlob)));
    assert!(has_failed(&script.outputs(0)), "once, and not for ever");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn who_starts_over_on_the_same_log_is_told_what_is_new_in_it() {
    let mut script = Script::open(3);
    assert_eq!(script.told(0).0, [1, 2, 3]);
    script.start_over(5);
    assert_eq!(script.told(0).0, [4, 5]);
    script.start_over(5);
    script.take(deliver(5, 6));
    assert_eq!(script.told(0).0, [6]);
    assert_eq!(script.engine.db.events(Some(CONV)).unwrap().len(), 6, "all of it is here");
}

#[test]
fn who_starts_over_on_a_log_that_was_set_back_is_told_all_of_it() {
    let mut script = Script::open(3);
    assert_eq!(script.told(0).0, [1, 2, 3]);
    script.start_over(2);
    script.take(deliver(2, 4));
    assert_eq!(script.told(0).0, [1, 2, 3, 4]);
    script.start_over(4);
    assert!(script.told(0).0.is_empty(), "that was another time");
}

#[test]
fn whatever_waits_behind_a_long_sync_waits_for_its_next_part() {
    let mut script = Script::open(0);
    script.outputs(0);
    script.engine.lost("cut").unwrap();
    script.send("hello").unwrap();
    let flight = script.engine.flight("token".to_owned(), now(script.start, 0)).unwrap();
    assert_eq!(script.engine.waiting_since(), Some(script.start));
    let part = im::SyncReply { more: true, ..im::SyncReply::default() };
    script.engine.frame(frame::of(flight[0].rid, Body::SyncReply(part)), now(script.start, 20_000)).unwrap();
    assert_eq!(script.engine.waiting_since(), Some(script.start + Duration::from_millis(20_000)));
}

#[test]
fn a_text_that_is_too_long_is_refused_at_once_and_leaves_no_trace() {
    let mut script = Script::open(0);
    let error = script.send(&"x".repeat(limits::MAX_TEXT_BYTES + 1)).unwrap_err();
    assert!(matches!(error, Error::Refused { code: Code::TooLong, .. }), "{error:?}");
    assert_eq!(script.engine.db.outgoing_of(None).unwrap(), []);
}

#[test]
fn the_end_of_a_session_says_when_to_come_back() {
    let rows = [
        (Code::GoingAway, 700, Retry::After(Duration::from_millis(700))),
        (Code::Unauthenticated, 0, Retry::WithToken),
        (Code::Revoked, 0, Retry::Never),
        (Code::Replaced, 0, Retry::After(Duration::from_secs(30))),
    ];
    for (code, retry_after_ms, want) in rows {
        let mut script = Script::open(0);
        script.outputs(0);
        let goodbye = im::Goodbye { code: code.into(), text: "bye".to_owned(), retry_after_ms };
        script.take(frame::of(0, Body::Goodbye(goodbye)));
        let ends: Vec<_> = script
            .outputs(0)
            .into_iter()
            .filter_map(|output| match output {
                Output::End(end) => Some(end.retry),
                _other => None,
            })
            .collect();
        assert_eq!(ends, [want], "{code:?}");
    }
}

#[test]
fn read_cursors_wait_for_a_connection_and_are_told_once() {
    let mut script = Script::open(2);
    script.outputs(0);
    script.engine.lost("cut").unwrap();
    let (answer, _done) = oneshot::channel();
    script.engine.command(Command::MarkRead { conv: CONV, seq: 2, answer }, now(script.start, 0)).unwrap();
    let flight = script.connect(2);
    let read = flight.iter().find(|frame| matches!(frame.body, Some(Body::Read(_)))).unwrap();
    assert_eq!(read.body, Some(Body::Read(im::Read { conv: CONV, seq: 2 })));
    let rid = read.rid;
    script.take(frame::of(rid, Body::Done(im::Done {})));
    assert_eq!(script.engine.db.reads().unwrap(), []);
}

/// Read cursors among what is put out.
fn reads(outputs: &[Output]) -> Vec<(u64, u64)> {
    let read = |output: &Output| match output {
        Output::Control(Frame { rid, body: Some(Body::Read(read)) }) => Some((*rid, read.seq)),
        _other => None,
    };
    outputs.iter().filter_map(read).collect()
}

fn mark_read(script: &mut Script, seq: u64) {
    let (answer, _done) = oneshot::channel();
    script.engine.command(Command::MarkRead { conv: CONV, seq, answer }, now(script.start, 0)).unwrap();
}

#[test]
fn a_read_cursor_that_rises_while_a_session_opens_is_told_once_it_is_open() {
    let mut script = Script::open(2);
    script.outputs(0);
    script.engine.lost("cut").unwrap();
    let flight = script.engine.flight("token".to_owned(), now(script.start, 0)).unwrap();
    assert!(!flight.iter().any(|frame| matches!(frame.body, Some(Body::Read(_)))));
    mark_read(&mut script, 2);
    assert_eq!(reads(&script.outputs(0)), [], "there is no session yet");
    script.engine.linked(Transport::Quic, false);
    let me = im::User { id: ANA, name: "ana".to_owned(), ..im::User::default() };
    let welcome = im::Welcome { version: 1, me: Some(me), ..Default::default() };
    script.take(frame::of(flight[0].rid, Body::Welcome(welcome)));
    let told = reads(&script.outputs(0));
    let [(rid, 2)] = told[..] else { panic!("{told:?}") };
    script.take(frame::of(rid, Body::Done(im::Done {})));
    assert_eq!(script.engine.db.reads().unwrap(), []);
}

#[test]
fn a_read_cursor_that_is_refused_for_the_time_being_is_told_again() {
    let mut script = Script::open(2);
    script.outputs(0);
    mark_read(&mut script, 1);
    let first = reads(&script.outputs(0));
    let flood = im::Error { code: Code::Flood.into(), retry_after_ms: 3000, ..im::Error::default() };
    script.take(frame::of(first[0].0, Body::Error(flood)));
    mark_read(&mut script, 2);
    assert_eq!(reads(&script.outputs(2999)), []);
    assert_eq!(script.engine.deadline(), Some(script.start + Duration::from_millis(3000)));
    let told = reads(&script.outputs(3000));
    let [(rid, 2)] = told[..] else { panic!("one, the highest: {told:?}") };
    let not_there = im::Error { code: Code::NotAMember.into(), ..im::Error::default() };
    script.take(frame::of(rid, Body::Error(not_there)));
    assert_eq!(reads(&script.outputs(9000)), []);
    assert_eq!(script.engine.db.reads().unwrap(), [], "it is not offered again");
}

#[test]
fn more_read_cursors_than_a_flight_takes_follow_it() {
    let mut script = Script::open(0);
    script.outputs(0);
    script.engine.lost("cut").unwrap();
    for conv in 0..MAX_FLIGHT as u64 + 3 {
        script.engine.db.queue_read(100 + conv, 1).unwrap();
    }
    let flight = script.connect(0);
    assert_eq!(flight.iter().filter(|frame| matches!(frame.body, Some(Body::Read(_)))).count(), MAX_FLIGHT);
    assert_eq!(reads(&script.outputs(0)).len(), 3);
}

#[test]
fn ids_are_uuids_of_version_7_in_order() {
    let mut engine = Engine::seeded(1);
    let start = Instant::now();
    let ids: Vec<_> = (0..100).map(|ms| engine.new_id(now(start, ms * 5))).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(ids.iter().all(|id| id.0[6] >> 4 == 7 && id.0[8] >> 6 == 0b10));
}
