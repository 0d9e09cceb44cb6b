//! The store with its threads: queues, faults, files that cannot be opened, backup; and how fast it is (ignored).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use convene_accounts::webhook::Kinds;
use convene_proto::im::{self, Code};
use convene_store::webhooks;
use convene_store::{DatabaseFile, Engine, EngineOptions, Op, Options, Outcome, Store, StoreError};
use convene_types::{ConvId, UserId};

use crate::common::{self, ORG, client, code, text};

fn prepared(folder: &Path, users: u64, convs: u64) -> Options {
    let path = folder.join("chat.db");
    let mut world = common::World::new(Engine::open(&path, EngineOptions::default()).unwrap(), None);
    let all: Vec<_> = (0..users).map(|n| world.user(&format!("s{n}"))).collect();
    for _ in 0..convs {
        world.group(all[0], &all[1..]);
    }
    Options::new(path)
}

fn append(sender: u64, n: u64, conv: u64, words: &str) -> Op {
    let body = im::Body { kind: Some(text(words)), ..im::Body::default() };
    Op::Append { org: ORG, actor: UserId(sender), client_id: client(n), conv: ConvId(conv), body }
}

#[tokio::test]
async fn a_full_disk_refuses_and_reads_go_on_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let options = prepared(folder.path(), 2, 1);
    let path = options.path.clone();
    let store = Store::start(options).unwrap();
    store.write_async(append(10, 1, 1, "before")).await.unwrap();
    assert!(store.with_engine(|engine| engine.set_max_pages(1).unwrap()));
    let long = "x".repeat(16_000);
    let mut refused = 0;
    for n in 0..20 {
        refused +=
            u32::from(code_of(store.write_async(append(10, 100 + n, 1, &long)).await) == Some(Code::Unavailable));
        let fetch = im::Fetch { conv: 1, ..im::Fetch::default() };
        let page = store.read(move |reader| reader.fetch(UserId(11), &fetch)).await.unwrap();
        assert!(page.events.len() >= 2);
    }
    assert!(refused >= 15, "{refused}");
    assert!(store.stats().failed_batches >= 15);
    store.with_engine(|engine| engine.set_max_pages(0).unwrap());
    for n in 0..20 {
        store.write_async(append(10, 100 + n, 1, &long)).await.unwrap();
    }
    assert_eq!(DatabaseFile::open(&path).unwrap().integrity_check().unwrap(), Vec::<String>::new());
    store.stop();
    assert_eq!(code_of(store.write_async(append(10, 999, 1, "late")).await), Some(Code::Unavailable));
}

#[tokio::test]
async fn it_is_known_when_nobody_is_told_of_anything_and_at_once_when_somebody_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(prepared(folder.path(), 1, 1)).unwrap();
    let tell = || webhooks::Op::Enqueue { org: None, kind: Kinds::ROOMS, body: "{}".into() };
    assert!(store.outbox().may_be_wanted(), "it has not looked yet");
    store.webhook(tell()).await.unwrap();
    assert!(!store.outbox().may_be_wanted());
    let endpoint = vec![("https://h/".to_owned(), "key".to_owned())];
    store.webhook(webhooks::Op::Configure(endpoint)).await.unwrap();
    assert!(store.outbox().may_be_wanted(), "whoever has made an endpoint misses nothing");
    assert_eq!(store.webhook(tell()).await.unwrap().waiting, 1);
    assert!(store.outbox().may_be_wanted());
    store.webhook(webhooks::Op::Configure(Vec::new())).await.unwrap();
    store.webhook(tell()).await.unwrap();
    assert!(!store.outbox().may_be_wanted());
}

fn code_of(result: Result<Outcome, convene_im_core::Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn a_full_queue_refuses_at_once_and_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { max_queued_writes: 8, ..prepared(folder.path(), 2, 1) };
    let store = Store::start(options).unwrap();
    let (hold, held) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    store.with_engine(move |_| {
        begin.send(()).unwrap();
        let _ = held.recv();
    });
    begun.recv().unwrap();
    let (tx, rx) = mpsc::channel();
    for n in 0..50 {
        let tx = tx.clone();
        store.write(append(10, n, 1, "a"), move |result| tx.send((n, result.map(|_| ()))).unwrap());
    }
    drop(hold);
    drop(tx);
    let results: Vec<_> = rx.iter().collect();
    let (stored, refused): (Vec<_>, Vec<_>) = results.iter().partition(|(_, result)| result.is_ok());
    assert_eq!((stored.len(), refused.len()), (8, 42));
    assert!(refused.iter().all(|(_, result)| code(result) == Code::Unavailable));
    assert!(stored.is_sorted_by_key(|(n, _)| *n));
    assert_eq!(store.stats().writes_refused, refused.len() as u64);
    store.stop();
}

#[test]
fn a_panic_costs_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(prepared(folder.path(), 2, 1)).unwrap();
    store.with_engine(|_| panic!("a test"));
    store.write(append(10, 1, 1, "a"), |_| panic!("a test"));
    let (tx, rx) = mpsc::channel();
    store.write(append(10, 2, 1, "b"), move |result| tx.send(result).unwrap());
    assert!(rx.recv().unwrap().is_ok());
    store.stop();
    assert_eq!(store.stats().panics, 2);
}

#[test]
fn what_cannot_be_opened_says_so_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let open = || Engine::open(&path, EngineOptions::default()).map(|_| ()).unwrap_err();

    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(matches!(open(), StoreError::Damaged { .. }), "{}", open());
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192]);

    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    assert!(matches!(open(), StoreError::Foreign { .. }), "{}", open());

    std::fs::remove_file(&path).unwrap();
    Engine::open(&path, EngineOptions::default()).unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    assert!(matches!(open(), StoreError::NewerSchema { found: 999, .. }), "{}", open());
    assert!(open().to_string().contains("restore a backup"));
}

#[test]
fn a_damaged_page_is_found_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let options = prepared(folder.path(), 4, 50);
    let path = options.path.clone();
    Store::start(options.clone()).unwrap().stop();
    let mut bytes = std::fs::read(&path).unwrap();
    let tree = bytes.chunks(PAGE).rposition(|page| matches!(page[0], 0x0a | 0x0d)).unwrap();
    bytes[tree * PAGE..][..PAGE].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();

    let error = Store::start(options).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let found = DatabaseFile::open(&path).and_then(|mut file| file.integrity_check());
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "and changes nothing");
    assert!(found.is_err() || found.is_ok_and(|faults| !faults.is_empty()), "the whole check finds it too");
}

/// SQLite's default page size.
const PAGE: usize = 4096;

#[test]
fn a_backup_under_load_is_a_sound_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let options = prepared(folder.path(), 4, 2);
    let path = options.path.clone();
    let store = Store::start(options).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_millis(600);
    let senders: Vec<_> = (10..14_u64)
        .map(|sender| {
            let (store, sent) = (store.clone(), Arc::clone(&sent));
            std::thread::spawn(move || {
                let mut n = 0;
                while Instant::now() < until {
                    let (tx, rx) = mpsc::channel();
                    store.write(append(sender, n, 1 + n % 2, "a"), move |result| tx.send(result).unwrap());
                    rx.recv().unwrap().unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let before = sent.load(Ordering::Relaxed);
    let copy = folder.path().join("copy.db");
    let file = DatabaseFile::open(&path).unwrap();
    file.backup(&copy).unwrap();
    file.backup(&copy).unwrap();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    store.stop();
    let engine = Engine::open(&copy, EngineOptions::default()).unwrap();
    let mut reader = engine.reader().unwrap();
    assert_eq!(reader.integrity_check().unwrap(), Vec::<String>::new());
    let frames = reader.sync(UserId(10), &im::Sync::default()).unwrap().unwrap();
    let heads: u64 = frames.iter().flat_map(|frame| &frame.conversations).map(|delta| delta.head - 1).sum();
    assert!(heads >= before && heads <= sent.load(Ordering::Relaxed), "{before} <= {heads}");
}

/// Durable appends per second with so many outstanding, 1,000 conversations, 300 bytes each.
#[test]
#[ignore = "a measurement: cargo test --release -p convene-store --test it append_rate -- --ignored --nocapture"]
fn append_rate() {
    for outstanding in [64_u64, 512] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let store = Store::start(prepared(folder.path(), 8, 1000)).unwrap();
        println!("fdatasync of 4 KiB: {:?}", fdatasync(folder.path()));
        let (next, words) = (Arc::new(AtomicU64::new(0)), "x".repeat(300));
        let begun = Instant::now();
        let (tx, rx) = mpsc::channel();
        for _ in 0..outstanding {
            again(&store, &next, &words, &tx, begun + Duration::from_secs(4));
        }
        drop(tx);
        let mut waits: Vec<Duration> = rx.iter().collect();
        let took = begun.elapsed();
        waits.sort_unstable();
        let at = |part: usize| waits[waits.len() * part / 1000];
        let stats = store.stats();
        println!(
            "{outstanding} outstanding: {:.0}/s, p50 {:?} p99 {:?} max {:?}, {} batches, {} forced checkpoints",
            waits.len() as f64 / took.as_secs_f64(),
            at(500),
            at(990),
            waits[waits.len() - 1],
            stats.batches,
            stats.forced_checkpoints
        );
        store.stop();
    }
}

fn again(store: &Store, next: &Arc<AtomicU64>, words: &str, tx: &mpsc::Sender<Duration>, until: Instant) {
    let n = next.fetch_add(1, Ordering::Relaxed);
    let op = append(10 + n % 8, n, 1 + n.wrapping_mul(2_654_435_761) % 1000, words);
    let (store2, next, words, tx, begun) =
        (store.clone(), Arc::clone(next), words.to_owned(), tx.clone(), Instant::now());
    store.write(op, move |result| {
        result.unwrap();
        tx.send(begun.elapsed()).unwrap();
        if Instant::now() < until {
            again(&store2, &next, &words, &tx, until);
        }
    });
}

fn fdatasync(folder: &Path) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("probe")).unwrap();
    let mut took: Vec<_> = (0..50)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[0; 4096]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[25]
}
