//! Answers questions from what is committed. Each answer is one read transaction: a snapshot.
//!
//! What a user may see is decided in one place, [`visible`] (I13). Not here: presence and anything else that is not stored.

mod accesses;
mod accounts;
mod blobs;
mod calls;
pub(crate) mod directory;
mod groups;
mod oneself;
mod operator;
mod orgs;
mod pages;
mod people;
mod retention;
pub(crate) mod stretch;
mod sync;
mod visible;
mod webhooks;

use convene_im_core::model::Refusal;
use convene_proto::im;
use convene_types::{ConvId, Seq, Useq, UserId};
use rusqlite::{Connection, OpenFlags};

use bytes::Bytes;

use crate::engine::{Place, schema};
use crate::error::{Fault, StoreError, answer};
use crate::ops::{BlobRow, Trash};
use crate::rows;

pub use operator::{Company, KeyRow};
pub use retention::Overdue;

/// Page cache of one reader, in KiB. The system's page cache is behind it.
const READER_CACHE_KIB: i64 = 8 * 1024;

/// What the store could answer, or why it would not.
type Answer<T> = Result<Result<T, Refusal>, StoreError>;

/// A connection that only reads. Many of them work beside the writer.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    pub(crate) fn open(place: &Place) -> Result<Self, StoreError> {
        // A WAL cannot be read without writing to its index, so the connection may write and is told not to.
        let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(Self { conn })
    }

    /// A reader that cannot even move the WAL into the database, as the last connection to a file does when it is closed.
    pub(crate) fn of_file(place: &Place) -> Result<Self, StoreError> {
        // The index of a WAL is a file of its own: it is written to, or made, beside a database that is only read.
        let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        Ok(Self { conn })
    }

    /// Runs `ask` on a snapshot.
    fn snapshot<T>(&mut self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Answer<T> {
        let tx = self.conn.transaction()?;
        let result = answer(ask(&tx))?;
        // Nothing was written: either way of ending the transaction is the same.
        tx.finish()?;
        Ok(result)
    }

    fn plain<T>(&mut self, ask: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let tx = self.conn.transaction()?;
        let result = ask(&tx)?;
        tx.finish()?;
        Ok(result)
    }

    /// Catches a client up: one reply, in as many frames as it takes, each within the frame limit (I7, I8).
    pub fn sync(&mut self, user: UserId, request: &im::Sync) -> Answer<Vec<im::SyncReply>> {
        self.snapshot(|conn| sync::sync(conn, user, request))
    }

    /// A page of a conversation's log.
    pub fn fetch(&mut self, user: UserId, request: &im::Fetch) -> Answer<im::FetchReply> {
        self.snapshot(|conn| pages::fetch(conn, user, request))
    }

    /// Encoded events behind `after`, as many as fit into `max_bytes` but at least one, and the seq they reach. They begin
    /// behind the user's floor where `after` is below it. Nothing left: that seq is `after`.
    pub fn events_after(
        &mut self,
        user: UserId,
        conv: ConvId,
        after: Seq,
        max_bytes: usize,
    ) -> Answer<(Seq, Vec<Bytes>)> {
        self.snapshot(|conn| pages::events_after(conn, user, conv, after, max_bytes))
    }

    /// The same of the user's own log.
    pub fn user_events_after(
        &mut self,
        user: UserId,
        after: Useq,
        max_bytes: usize,
    ) -> Answer<(Useq, Vec<im::UserEvent>)> {
        self.snapshot(|conn| pages::user_events_after(conn, user, after, max_bytes))
    }

    /// Present members and their floors, for fan-out. Empty: no such conversation.
    pub fn members(&mut self, conv: ConvId) -> Result<Vec<(UserId, Seq)>, StoreError> {
        self.plain(|conn| people::members(conn, conv))
    }

    /// Conversations that a user is in.
    pub fn conversations_of(&mut self, user: UserId) -> Result<Vec<ConvId>, StoreError> {
        self.plain(|conn| people::conversations_of(conn, user))
    }

    /// A page of the members.
    pub fn get_members(&mut self, user: UserId, request: &im::GetMembers) -> Answer<im::MembersPage> {
        self.snapshot(|conn| people::get_members(conn, user, request))
    }

    /// Who has read an event: exact counts (I11), and a page of names.
    pub fn receipts(&mut self, user: UserId, request: &im::GetReceipts) -> Answer<im::Receipts> {
        self.snapshot(|conn| people::receipts(conn, user, request))
    }

    /// Users of the asker's organisation.
    pub fn find_users(&mut self, user: UserId, request: &im::FindUsers) -> Answer<im::Users> {
        self.snapshot(|conn| people::find_users(conn, user, request))
    }

    /// A user.
    pub fn user(&mut self, user: UserId) -> Result<Option<im::User>, StoreError> {
        self.plain(|conn| Ok(rows::load_user(conn, user)?.map(|(_, user)| user)))
    }

    /// A blob, if an event of this conversation carries it that the user sees.
    pub fn may_read_blob(&mut self, user: UserId, conv: ConvId, id: &[u8]) -> Answer<BlobRow> {
        self.snapshot(|conn| blobs::may_read(conn, user, conv, id))
    }

    /// An upload of this user.
    pub fn upload(&mut self, user: UserId, id: &[u8]) -> Answer<crate::ops::Upload> {
        self.snapshot(|conn| blobs::upload(conn, user, id))
    }

    /// Ids of all uploads that are not finished.
    pub fn open_uploads(&mut self) -> Result<Vec<[u8; 16]>, StoreError> {
        self.plain(blobs::open_uploads)
    }

    /// Objects to be deleted, at most `limit`.
    pub fn trash(&mut self, limit: u32) -> Result<Vec<Trash>, StoreError> {
        self.plain(|conn| blobs::trash(conn, limit))
    }

    /// The key that signs addresses of blobs. Made once per database.
    pub fn url_secret(&mut self) -> Result<[u8; 32], StoreError> {
        self.plain(|conn| Ok(conn.query_row("SELECT value FROM meta WHERE name = 'url_secret'", [], |row| row.get(0))?))
    }

    /// What SQLite's own check of the whole file finds; empty: sound. Takes minutes on a large file.
    pub fn integrity_check(&mut self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.conn.prepare("PRAGMA integrity_check")?;
        let found = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut faults = found.collect::<Result<Vec<_>, _>>()?;
        faults.retain(|line| line != "ok");
        faults.extend(self.log_faults()?);
        Ok(faults)
    }

    /// Logs that are not dense up to their head (I1).
    fn log_faults(&self) -> Result<Vec<String>, StoreError> {
        let Some((seq, of)) = self.log_columns()? else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT c.id, c.head, count({seq}) AS events, ifnull(max({seq}), 0) AS last
             FROM conversations c LEFT JOIN events e ON {of}
             GROUP BY c.id HAVING c.head != events OR c.head != last"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let fault = |row: &rusqlite::Row<'_>| {
            let (conv, head, events) = (rows::num(row, 0)?, rows::num(row, 1)?, rows::num(row, 2)?);
            Ok(format!("conversation {conv}: head {head}, but {events} events"))
        };
        Ok(statement.query_map([], fault)?.collect::<Result<_, _>>()?)
    }

    /// The seq of an event, and how it is found: the first release kept both halves of its place in columns of their own,
    /// and a file of that release is checked as it is. `None`: an empty file.
    fn log_columns(&self) -> Result<Option<(&'static str, &'static str)>, StoreError> {
        if schema::has_column(&self.conn, "events", "conv")? {
            return Ok(Some(("e.seq", "e.conv = c.id")));
        }
        let by_rowid = ("e.id & 0xffffffff", "e.id BETWEEN c.id << 32 AND c.id << 32 | 0xffffffff");
        Ok(schema::has_column(&self.conn, "events", "id")?.then_some(by_rowid))
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }
}
