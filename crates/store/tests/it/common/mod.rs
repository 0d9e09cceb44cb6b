//! An engine with some users, and short words for what tests do with it.

use std::path::PathBuf;

use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, body::Kind};
use convene_store::{Appended, Engine, EngineOptions, Op, Outcome, Reader};
use convene_types::{ClientId, ConvId, OrgId, Seq, UserId};

/// The organisation of users 1 to 9.
pub(crate) const ORG: OrgId = OrgId(1);

pub(crate) struct World {
    pub(crate) engine: Engine,
    now_ms: i64,
    clients: u64,
    folder: Option<tempfile::TempDir>,
}

/// Runs a test on a database in memory, and on one in a file.
pub(crate) fn both(test: impl Fn(&mut World)) {
    test(&mut World::new(Engine::in_memory(EngineOptions::default()).unwrap(), None));
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&folder.path().join("chat.db"), EngineOptions::default()).unwrap();
    test(&mut World::new(engine, Some(folder)));
}

pub(crate) fn client(n: u64) -> ClientId {
    ClientId(u128::from(n).to_be_bytes())
}

pub(crate) fn text(text: &str) -> Kind {
    Kind::Text(im::Text { text: text.into() })
}

pub(crate) fn code<T>(result: &Result<T, Refusal>) -> Code {
    result.as_ref().err().expect("refused").code
}

pub(crate) fn appended(result: &Result<Outcome, Refusal>) -> &Appended {
    let Ok(Outcome::Appended(appended)) = result else { panic!("{result:?}") };
    appended
}

pub(crate) fn blob_ref(n: u8) -> im::BlobRef {
    im::BlobRef { id: vec![n; 32].into(), ..im::BlobRef::default() }
}

impl World {
    pub(crate) fn new(engine: Engine, folder: Option<tempfile::TempDir>) -> Self {
        let mut world = Self { engine, now_ms: 1_000_000, clients: 1 << 40, folder };
        for n in 1..10 {
            assert_eq!(world.user(&format!("u{n}")), n);
        }
        world
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.path().join("chat.db"))
    }

    pub(crate) fn reader(&self) -> Reader {
        self.engine.reader().unwrap()
    }

    pub(crate) fn one(&mut self, op: Op) -> Result<Outcome, Refusal> {
        self.now_ms += 1;
        self.engine.apply(vec![op], self.now_ms).unwrap().pop().unwrap()
    }

    pub(crate) fn user(&mut self, name: &str) -> u64 {
        self.user_of("acme", name)
    }

    pub(crate) fn user_of(&mut self, org_name: &str, name: &str) -> u64 {
        let op = Op::EnsureUser { org_name: org_name.into(), name: name.into(), display_name: String::new() };
        let Ok(Outcome::User { user, .. }) = self.one(op) else { panic!() };
        user.id
    }

    /// A group made by `maker`.
    pub(crate) fn group(&mut self, maker: u64, others: &[u64]) -> ConvId {
        self.clients += 1;
        let members = others.iter().copied().map(UserId).collect();
        let (kind, client_id) = (im::ConversationKind::Group, client(self.clients));
        let op = Op::Create { org: ORG, maker: UserId(maker), client_id, kind, title: "group".into(), members };
        self.create(op).unwrap().0
    }

    pub(crate) fn create(&mut self, op: Op) -> Result<(ConvId, bool), Refusal> {
        let Outcome::Created { conv, duplicate, .. } = self.one(op)? else { panic!() };
        Ok((conv, duplicate))
    }

    pub(crate) fn append_op(&self, actor: u64, conv: ConvId, n: u64, kind: Kind) -> Op {
        let body = im::Body { kind: Some(kind), ..im::Body::default() };
        Op::Append { org: ORG, actor: UserId(actor), client_id: client(n), conv, body }
    }

    pub(crate) fn send(&mut self, actor: u64, conv: ConvId, n: u64, kind: Kind) -> Result<Appended, Refusal> {
        self.send_body(actor, conv, n, im::Body { kind: Some(kind), ..im::Body::default() })
    }

    pub(crate) fn send_body(&mut self, actor: u64, conv: ConvId, n: u64, body: im::Body) -> Result<Appended, Refusal> {
        let op = Op::Append { org: ORG, actor: UserId(actor), client_id: client(n), conv, body };
        let Outcome::Appended(appended) = self.one(op)? else { panic!() };
        Ok(appended)
    }

    pub(crate) fn read(&mut self, user: u64, conv: ConvId, seq: u64) -> Result<(Seq, bool), Refusal> {
        let op = Op::Read { user: UserId(user), conv, seq: Seq(seq) };
        let Outcome::Read { seq, risen, .. } = self.one(op)? else { panic!() };
        Ok((seq, risen))
    }

    /// All a user can fetch of a log.
    pub(crate) fn log(&self, user: u64, conv: ConvId) -> Vec<im::Event> {
        let (mut reader, mut events, mut after) = (self.reader(), Vec::new(), 0);
        loop {
            let request = im::Fetch { conv: conv.0, after, limit: 7, ..im::Fetch::default() };
            let page = reader.fetch(UserId(user), &request).unwrap().unwrap();
            if page.events.is_empty() {
                assert_eq!(after.max(page.floor), page.head);
                return events;
            }
            after = page.to;
            events.extend(page.events);
        }
    }

    pub(crate) fn sync(&self, user: u64, request: im::Sync) -> Vec<im::ConversationDelta> {
        self.sync_from(user, request).0
    }

    /// The conversations of the reply, and its bump.
    pub(crate) fn sync_from(&self, user: u64, request: im::Sync) -> (Vec<im::ConversationDelta>, u64) {
        let frames = self.reader().sync(UserId(user), &request).unwrap().unwrap();
        let bump = frames.last().unwrap().bump;
        (frames.into_iter().flat_map(|frame| frame.conversations).collect(), bump)
    }

    pub(crate) fn delta(&self, user: u64, conv: ConvId) -> im::ConversationDelta {
        let deltas = self.sync(user, im::Sync::default());
        deltas.into_iter().find(|delta| delta.conv == conv.0).expect("in the conversation")
    }

    pub(crate) fn unread(&self, user: u64, conv: ConvId) -> u64 {
        let delta = self.delta(user, conv);
        delta.head_ord - delta.read_ord
    }

    /// Unread events counted one by one.
    pub(crate) fn recount(&self, user: u64, conv: ConvId) -> u64 {
        let read = self.delta(user, conv).read_seq;
        let mut ord = None;
        let mut unread = 0;
        for event in self.log(user, conv) {
            // What it raised the ordinal by; a tombstone does not say, but its ordinal does.
            let before = ord.unwrap_or_else(|| event.ord - u64::from(countable(&event)));
            unread += if event.seq > read { event.ord - before } else { 0 };
            ord = Some(event.ord);
        }
        unread
    }

    pub(crate) fn useq(&self, user: u64) -> u64 {
        let (mut reader, mut at) = (self.reader(), convene_types::Useq(0));
        loop {
            let (to, events) = reader.user_events_after(UserId(user), at, 100_000).unwrap().unwrap();
            if events.is_empty() {
                return to.0;
            }
            at = to;
        }
    }

    /// Everything a few users can see, to compare before and after.
    pub(crate) fn dump(&self) -> String {
        let frames = (1..10).map(|user| self.reader().sync(UserId(user), &im::Sync::default()).unwrap().unwrap());
        format!("{:?}", frames.collect::<Vec<_>>())
    }

    /// Neither the database nor its WAL holds these bytes, once the WAL is emptied.
    pub(crate) fn assert_not_on_disk(&mut self, needle: &str) {
        let Some(path) = self.path() else { return };
        assert!(self.engine.has_erased() && self.engine.empty_wal().unwrap() && !self.engine.has_erased());
        for file in [path.clone(), path.with_extension("db-wal")] {
            let bytes = std::fs::read(&file).unwrap_or_default();
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{}", file.display());
        }
    }
}

fn countable(event: &im::Event) -> bool {
    event.body.as_ref().is_some_and(convene_im_core::rules::is_countable)
}
