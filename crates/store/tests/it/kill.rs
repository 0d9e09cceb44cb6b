//! A process with 64 senders is killed with SIGKILL at random instants, again and again on the same database. What it had
//! acknowledged is there: each event once, at its seq, in a dense log (I1, I2, I3).
//!
//! The child is this test binary again. CONVENE_TEST_KILLS sets how often; 50 is the long form.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use convene_proto::im;
use convene_store::{Engine, EngineOptions, Op, Options, Outcome, Store};
use convene_types::{ConvId, Seq, UserId};
use prost::Message as _;

use crate::common::{self, ORG, client, text};

const SENDERS: u64 = 64;
const CONVS: u64 = 8;
const PATH: &str = "CONVENE_STORE_TEST_PATH";
const ROUND: &str = "CONVENE_STORE_TEST_ROUND";

/// Where an acknowledgement says an event is.
type Acks = HashMap<(u64, u64), (u64, u64)>;

#[test]
fn i2_what_was_acknowledged_survives_kills() {
    let kills = std::env::var("CONVENE_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    prepare(&path);
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut acks = Acks::new();
    for round in 1..=kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis(5 + (random >> 33) % 300);
        let before = acks.len();
        run_and_kill(&path, round, wait, &mut acks);
        check(&path, &acks);
        println!("round {round}: killed after {wait:?}, {} acknowledged", acks.len() - before);
    }
    assert!(acks.len() as u64 > kills * SENDERS, "{} acknowledgements are too few to say much", acks.len());
}

fn prepare(path: &Path) {
    let mut world = common::World::new(Engine::open(path, EngineOptions::default()).unwrap(), None);
    let senders: Vec<_> = (0..SENDERS).map(|n| world.user(&format!("sender{n}"))).collect();
    for conv in 1..=CONVS {
        assert_eq!(world.group(senders[0], &senders[1..]), ConvId(conv));
    }
}

fn run_and_kill(path: &Path, round: u64, wait: Duration, acks: &mut Acks) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_sends", "--ignored", "--nocapture"])
        .env(PATH, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (tx, rx) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.split(b'\n') {
            let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
            let _ = tx.send(line);
        }
    });
    let first = loop {
        let line = rx.recv_timeout(Duration::from_secs(60)).expect("the child acknowledges something");
        if line.starts_with("ack ") {
            break line;
        }
    };
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    let lines: Vec<_> = std::iter::once(first).chain(rx.try_iter()).collect();
    for line in lines {
        let fields: Vec<u64> = line.split(' ').skip(1).filter_map(|field| field.parse().ok()).collect();
        // A line that the kill cut ends without its mark.
        let [sender, n, conv, seq] = fields[..] else { continue };
        if line.starts_with("ack ") && line.ends_with(" .") {
            let place = (conv, seq);
            assert_eq!(*acks.entry((sender, n)).or_insert(place), place, "one client id, one place");
        }
    }
}

fn check(path: &Path, acks: &Acks) {
    let engine = Engine::open(path, EngineOptions::default()).unwrap();
    let mut reader = engine.reader().unwrap();
    assert_eq!(reader.integrity_check().unwrap(), Vec::<String>::new());
    let mut stored = HashMap::new();
    for conv in 1..=CONVS {
        let mut at = Seq(0);
        loop {
            let (to, events) = reader.events_after(UserId(10), ConvId(conv), at, 1 << 20).unwrap().unwrap();
            if events.is_empty() {
                break;
            }
            for event in events {
                let event = im::Event::decode(event).unwrap();
                assert_eq!(event.seq, at.0 + 1);
                at = Seq(event.seq);
                let n = u128::from_be_bytes(event.client_id.as_ref().try_into().unwrap()) as u64;
                assert_eq!(stored.insert((event.sender, n), (conv, event.seq)), None, "stored twice");
            }
            assert_eq!(to, at);
        }
    }
    for (key, place) in acks {
        assert_eq!(stored.get(key), Some(place), "sender and number {key:?}");
    }
}

/// Not a test: what is killed.
#[test]
#[ignore = "started by i2_what_was_acknowledged_survives_kills"]
fn child_that_sends() {
    let (Ok(path), Ok(round)) = (std::env::var(PATH), std::env::var(ROUND)) else { return };
    let round: u64 = round.parse().unwrap();
    let store = Store::start(Options::new(path)).unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| {
            let store = store.clone();
            // Users 1 to 9 are those of every test.
            std::thread::spawn(move || send(&store, n + 10, round))
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

fn send(store: &Store, sender: u64, round: u64) {
    // The first of the round before: it may have been stored or not, and acknowledged or not.
    let again = (round - 1) * 1_000_000;
    for n in std::iter::once(again).chain(round * 1_000_000..) {
        let conv = ConvId(1 + (sender + n) % CONVS);
        let body = im::Body { kind: Some(text(&format!("{sender} {n}"))), ..im::Body::default() };
        let (tx, rx) = mpsc::channel();
        let op = Op::Append { org: ORG, actor: UserId(sender), client_id: client(n), conv, body };
        store.write(op, move |result| tx.send(result).unwrap());
        let Ok(Outcome::Appended(appended)) = rx.recv().unwrap() else { panic!("refused") };
        let line = format!("ack {sender} {n} {} {} .\n", appended.conv, appended.seq);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}
