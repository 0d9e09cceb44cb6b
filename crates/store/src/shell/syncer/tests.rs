//! A disk that is stopped, fails, or loses its power, under the real store. Only the syncs are ours: no machine that runs
//! tests has a disk that fails when it is told to.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;

use convene_proto::im::{self, Code};
use convene_types::{ClientId, ConvId, OrgId, UserId};

use super::*;
use crate::engine::{Engine, EngineOptions};
use crate::ops::Op;
use crate::shell::{Options, Store};

const ORG: OrgId = OrgId(1);
const ANA: UserId = UserId(1);
const CONV: ConvId = ConvId(1);
/// Longer than a retry.
const LONG: Duration = Duration::from_secs(20);
/// Long enough for what must not happen to happen.
const SOON: Duration = Duration::from_millis(50);

/// A database with a user and a group of theirs.
fn prepare(folder: &Path) -> Options {
    let options = Options::new(folder.join("chat.db"));
    let mut engine = Engine::open(&options.path, EngineOptions::default()).unwrap();
    let ana = Op::EnsureUser { org_name: "acme".into(), name: "ana".into(), display_name: String::new() };
    let (kind, client_id) = (im::ConversationKind::Group, ClientId([255; 16]));
    let group = Op::Create { org: ORG, maker: ANA, client_id, kind, title: "g".into(), members: Vec::new() };
    assert!(engine.apply(vec![ana, group], 1).unwrap().iter().all(Result::is_ok));
    options
}

fn append(n: u64) -> Op {
    let text = im::body::Kind::Text(im::Text { text: n.to_string() });
    let body = im::Body { kind: Some(text), ..im::Body::default() };
    Op::Append { org: ORG, actor: ANA, client_id: ClientId(u128::from(n).to_be_bytes()), conv: CONV, body }
}

/// Sends what the store answers.
fn write(store: &Store, n: u64) -> mpsc::Receiver<Result<u64, Code>> {
    let (tell, told) = mpsc::channel();
    store.write(append(n), move |result| {
        let seq = result.map_err(|refusal| refusal.code).map(|outcome| {
            let Outcome::Appended(appended) = outcome else { panic!("{outcome:?}") };
            appended.seq.0
        });
        let _ = tell.send(seq);
    });
    told
}

/// Seqs of the texts that ana finds.
async fn read(store: &Store) -> Result<Vec<u64>, Code> {
    let fetch = im::Fetch { conv: CONV.0, limit: 100, backward: true, ..im::Fetch::default() };
    let page = store.read(move |reader| reader.fetch(ANA, &fetch)).await.map_err(|refusal| refusal.code)?;
    Ok(page.events.iter().map(|event| event.seq).filter(|seq| *seq > 1).collect())
}

fn until(holds: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < late, "it never happens");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Its syncs end when and as the test says.
struct Held {
    wal: Wal,
    begun: mpsc::Sender<()>,
    ends: mpsc::Receiver<io::Result<()>>,
    well: Arc<AtomicBool>,
}

impl Disk for Held {
    fn sync(&mut self) -> io::Result<()> {
        let _ = self.begun.send(());
        self.ends.recv().unwrap_or(Ok(()))
    }

    fn rescue(&mut self) -> Result<bool, StoreError> {
        if self.well.load(SeqCst) { self.wal.rescue() } else { Ok(false) }
    }
}

struct Bench {
    store: Store,
    begun: mpsc::Receiver<()>,
    end: mpsc::Sender<io::Result<()>>,
    well: Arc<AtomicBool>,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ((begin, begun), (end, ends)) = (mpsc::channel(), mpsc::channel());
        let well = Arc::new(AtomicBool::new(false));
        let disk = |place: &Place| Ok(Held { wal: Wal::open(place)?, begun: begin, ends, well: Arc::clone(&well) });
        let store = Store::start_on(prepare(folder.path()), disk).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { store, begun, end, well, runtime, folder }
    }

    /// A read on a thread of its own.
    fn read(&self) -> mpsc::Receiver<Result<Vec<u64>, Code>> {
        let (tell, told) = mpsc::channel();
        let store = self.store.clone();
        self.runtime.spawn(async move { tell.send(read(&store).await) });
        told
    }

    /// Writes, and waits until the sync of it has failed.
    fn fail(&self) -> mpsc::Receiver<Result<u64, Code>> {
        let first = write(&self.store, 1);
        self.begun.recv_timeout(LONG).unwrap();
        self.end.send(Err(io::Error::other("a test"))).unwrap();
        until(|| self.store.inner.durable.fails());
        first
    }
}

#[test]
fn i2_the_writer_goes_on_and_nobody_is_shown_what_is_not_on_the_disk() {
    let bench = Bench::new();
    assert_eq!(bench.read().recv_timeout(LONG), Ok(Ok(vec![])));
    let first = write(&bench.store, 1);
    bench.begun.recv_timeout(LONG).unwrap();
    let second = write(&bench.store, 2);
    until(|| bench.store.stats().batches == 2); // the second is committed while the first is synced
    let seen = bench.read();
    assert_eq!(first.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(second.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(seen.try_recv(), Err(mpsc::TryRecvError::Empty));

    bench.end.send(Ok(())).unwrap();
    assert_eq!(first.recv_timeout(LONG), Ok(Ok(2)));
    bench.begun.recv_timeout(LONG).unwrap();
    assert_eq!(second.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Timeout), "its own sync is under way");
    assert_eq!(seen.try_recv(), Err(mpsc::TryRecvError::Empty), "it has seen the second");
    bench.end.send(Ok(())).unwrap();
    assert_eq!(second.recv_timeout(LONG), Ok(Ok(3)));
    assert_eq!(seen.recv_timeout(LONG), Ok(Ok(vec![2, 3])));

    // What changes nothing needs no sync: this one would wait for the test.
    assert_eq!(write(&bench.store, 2).recv_timeout(LONG), Ok(Ok(3)), "a retry");
    assert_eq!(bench.store.stats().syncs, 2);
    drop(bench.end);
    bench.store.stop();
}

#[test]
fn after_a_failed_sync_nothing_is_answered_until_all_is_in_the_database() {
    let bench = Bench::new();
    let first = bench.fail();
    assert_eq!(write(&bench.store, 2).recv_timeout(LONG), Ok(Err(Code::Unavailable)));
    assert_eq!(bench.read().recv_timeout(LONG), Ok(Err(Code::Unavailable)), "it would show the first");
    assert_eq!(first.try_recv(), Err(mpsc::TryRecvError::Empty), "whether it is stored is not known");

    bench.well.store(true, SeqCst);
    assert_eq!(first.recv_timeout(LONG), Ok(Ok(2)));
    let wal = bench.folder.path().join("chat.db-wal");
    assert_eq!(wal.metadata().unwrap().len(), 0, "nothing may come behind what could not be written");
    assert_eq!(bench.read().recv_timeout(LONG), Ok(Ok(vec![2])));
    drop(bench.end);
    assert_eq!(write(&bench.store, 2).recv_timeout(LONG), Ok(Ok(3)));
    bench.store.stop();
    let stats = bench.store.stats();
    assert_eq!((stats.failed_syncs, stats.failed_reads, stats.failed_batches), (1, 1, 0));
}

#[test]
fn a_store_that_is_stopped_while_the_disk_fails_says_so_to_those_who_wait() {
    let bench = Bench::new();
    let first = bench.fail();
    bench.store.stop();
    assert_eq!(first.recv_timeout(LONG), Ok(Err(Code::Unavailable)));
    assert_eq!(write(&bench.store, 2).recv_timeout(LONG), Ok(Err(Code::Unavailable)));
}

/// Takes a picture of the files before each sync: of what a power cut right after it has to leave.
struct Camera {
    wal: Wal,
    database: PathBuf,
    pictures: PathBuf,
    taken: Arc<AtomicUsize>,
}

impl Disk for Camera {
    fn sync(&mut self) -> io::Result<()> {
        let number = self.taken.load(SeqCst) + 1;
        let picture = self.pictures.join(number.to_string());
        std::fs::copy(&self.database, picture.with_extension("db"))?;
        std::fs::copy(self.database.with_extension("db-wal"), picture.with_extension("db-wal"))?;
        self.wal.sync()?;
        self.taken.store(number, SeqCst);
        Ok(())
    }

    fn rescue(&mut self) -> Result<bool, StoreError> {
        self.wal.rescue()
    }
}

/// Syncs of the test below.
const CUTS: usize = 40;

#[test]
fn i2_a_power_cut_takes_back_nothing_that_was_answered_or_shown() {
    let folder = tempfile::tempdir().unwrap();
    let options = prepare(folder.path());
    let (database, taken) = (options.path.clone(), Arc::new(AtomicUsize::new(0)));
    // A reader of old: nothing leaves the WAL, so that the file of the database stays as it is in all pictures.
    let old = Connection::open(&database).unwrap();
    old.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let pictures = folder.path().to_path_buf();
    let store = Store::start_on(options, |place| {
        Ok(Camera { wal: Wal::open(place)?, database: database.clone(), pictures, taken: Arc::clone(&taken) })
    })
    .unwrap();
    // (picture, highest seq that somebody knew of when it was the last one)
    let known = Arc::new(Mutex::new(Vec::new()));
    let late = Instant::now() + LONG;
    let goes_on = || taken.load(SeqCst) < CUTS && Instant::now() < late;
    thread::scope(|scope| {
        for sender in 1..=4 {
            let (store, known, taken, goes_on) = (&store, &known, &taken, &goes_on);
            scope.spawn(move || {
                for n in (0..).take_while(|_| goes_on()) {
                    let seq = write(store, sender << 32 | n).recv().unwrap().unwrap();
                    // The picture is of before: a later one holds it as well.
                    known.lock().unwrap().push((taken.load(SeqCst), seq));
                }
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        while goes_on() {
            let seen = runtime.block_on(read(&store)).unwrap();
            known.lock().unwrap().push((taken.load(SeqCst), seen.last().copied().unwrap_or(0)));
        }
    });
    drop(old); // the end empties the WAL
    store.stop();
    let known = known.lock().unwrap();
    assert!(taken.load(SeqCst) >= CUTS && known.len() > CUTS, "{} is too little to say much", known.len());
    for (picture, seq) in known.iter().filter(|(picture, _)| *picture > 0) {
        assert!(holds(&folder.path().join(picture.to_string()), *seq), "picture {picture} has lost seq {seq}");
    }
}

/// Whether the store in this picture, as it comes up, holds this seq.
fn holds(picture: &Path, seq: u64) -> bool {
    let conn = Connection::open(picture.with_extension("db")).unwrap();
    let head: i64 = conn.query_row("SELECT head FROM conversations", [], |row| row.get(0)).unwrap();
    u64::try_from(head).unwrap() >= seq
}
