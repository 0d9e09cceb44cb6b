//! Reads that last longer than any patience beside the writer, as a backup does.

use std::fs;
use std::path::Path;

use convene_proto::im::{self, body::Kind};
use convene_types::{ClientId, ConvId, OrgId, UserId};
use rusqlite::Connection;

use super::*;
use crate::engine::EngineOptions;
use crate::shell::Store;
use crate::shell::syncer::Wal;

const SECRET: &str = "what was erased";
/// A send that waits for a reader takes longer: 5 s, as long as a connection waits for a lock.
const PROMPT: Duration = Duration::from_secs(4);
/// Longer than a writer rests.
const LONG: Duration = Duration::from_secs(20);

/// A database with a group of somebody's, who has said something in it.
fn prepare(folder: &Path) -> Options {
    let options = Options::new(folder.join("chat.db"));
    let mut engine = Engine::open(&options.path, EngineOptions::default()).unwrap();
    let ana = Op::EnsureUser { org_name: "acme".into(), name: "ana".into(), display_name: String::new() };
    let (kind, client_id) = (im::ConversationKind::Group, ClientId([255; 16]));
    let group = Op::Create { org: OrgId(1), maker: UserId(1), client_id, kind, title: "g".into(), members: Vec::new() };
    assert!(engine.apply(vec![ana, group, say(2)], now_ms()).unwrap().iter().all(Result::is_ok));
    options
}

/// Seq 2 is what will be erased.
fn say(n: u8) -> Op {
    let text = Kind::Text(im::Text { text: if n == 2 { SECRET.into() } else { n.to_string() } });
    append(n, im::Body { kind: Some(text), ..im::Body::default() })
}

fn recall(n: u8) -> Op {
    append(n, im::Body { kind: Some(Kind::Recall(im::Recall {})), target: 2, ..im::Body::default() })
}

fn append(n: u8, body: im::Body) -> Op {
    Op::Append { org: OrgId(1), actor: UserId(1), client_id: ClientId([n; 16]), conv: ConvId(1), body }
}

/// Holds a snapshot until it is dropped.
fn read_for_long(path: &Path) -> Connection {
    let reader = Connection::open(path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let events: i64 = reader.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 2);
    reader
}

fn holds_secret(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

fn prompt(what: &str, work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    assert!(begun.elapsed() < PROMPT, "{what} took {:?}", begun.elapsed());
}

#[test]
fn i14_a_long_read_holds_up_no_send_and_what_was_erased_goes_once_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let options = prepare(folder.path());
    let (path, wal) = (options.path.clone(), folder.path().join("chat.db-wal"));
    let store = Store::start(options).unwrap();
    let send = |op| {
        let (tell, told) = std::sync::mpsc::channel();
        store.write(op, move |result| tell.send(result.map(drop)).unwrap());
        told.recv().unwrap().unwrap();
    };
    let reader = read_for_long(&path);
    send(say(3));
    // Copies the page of the secret into the WAL, and takes the secret out of it there.
    prompt("the recall", || send(recall(4)));
    for n in 5..9 {
        thread::sleep(IDLE * 2); // quiet, in which the writer tries to empty the WAL
        prompt("a send", || send(say(n)));
    }
    assert!(fs::metadata(&wal).unwrap().len() > 0 && holds_secret(&wal), "the reader is in the way");
    drop(reader);
    let late = Instant::now() + LONG;
    while fs::metadata(&wal).unwrap().len() > 0 {
        assert!(Instant::now() < late, "the WAL is never emptied");
        thread::sleep(Duration::from_millis(10));
    }
    store.stop();
    assert!(!holds_secret(&path));
}

/// A writer whose thread is the test's.
fn writer(options: &Options) -> Thread {
    let (_, jobs) = sync_channel(1);
    let engine_options =
        EngineOptions { checkpoints_elsewhere: true, syncs_elsewhere: true, ..EngineOptions::default() };
    let engine = Engine::open(&options.path, engine_options).unwrap();
    let (durable, stats, outbox) = (Arc::default(), Arc::default(), Arc::default());
    let syncer = Syncer::start(Wal::open(engine.place()).unwrap(), &durable, &stats, &outbox).unwrap();
    Thread { engine, jobs, max_batch: 1, syncer, durable, stats, signals: Arc::default(), rests_until: None }
}

#[test]
fn a_long_read_is_waited_for_once_in_a_while_and_shortly_however_long_the_wal_is() {
    for erased in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let options = prepare(folder.path());
        let mut writer = writer(&options);
        let reader = read_for_long(&options.path);
        let op = if erased { recall(3) } else { say(3) };
        writer.engine.apply(vec![op], now_ms()).unwrap().pop().unwrap().unwrap();
        assert_eq!(writer.engine.has_erased(), erased);
        writer.stats.wal_bytes.store(MAX_WAL_BYTES + 1, Relaxed);
        prompt("twenty batches", || (0..20).for_each(|_| writer.bound_wal()));
        assert_eq!(writer.stats.forced_checkpoints.load(Relaxed), 1);
        assert!(writer.rest(Instant::now()) > Duration::ZERO, "nor is an idle writer's next try due");
        writer.signals.restart();
        prompt("what is asked for", || writer.bound_wal());
        drop(reader);
        writer.rests_until = Some(Instant::now());
        writer.bound_wal();
        assert_eq!(writer.stats.forced_checkpoints.load(Relaxed), 2);
        assert_eq!((writer.stats.wal_bytes.load(Relaxed), writer.engine.has_erased()), (0, false));
        writer.syncer.stop();
    }
}
