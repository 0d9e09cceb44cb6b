//! The one writer. A batch of operations is one transaction: all of it is durable when [`Engine::apply`] returns, or
//! nothing of it has happened. A refusal concerns its own operation alone.
//!
//! Not here: threads and queues (`shell`), and what is allowed (`convene-im-core`). The simulator drives it directly.

mod accesses;
mod accounts;
mod append;
mod cache;
mod calls;
mod create;
mod departments;
mod erase;
mod groups;
mod joining;
mod keys;
mod members;
mod oneself;
mod orgs;
mod personal;
mod retention;
pub(crate) mod schema;
mod sessions;
mod uploads;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convene_im_core::model::{Policy, Refusal};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Fault, StoreError, answer};
use crate::ops::{Op, Outcome};
use crate::reader::Reader;
use crate::rows::{self, db};
use crate::webhooks::Enqueued;
use cache::Cache;

/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Pages of the WAL that make a checkpoint, where no thread does them beside the writer.
const AUTO_CHECKPOINT_PAGES: i64 = 1000;
/// Statements kept compiled per connection: all there are.
pub(crate) const STATEMENTS: usize = 320;
/// How long a connection waits for a lock. Only checkpoints ever hold one against the writer's transactions.
const BUSY: Duration = Duration::from_secs(5);

/// How an engine works.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Limits of the organisation's rules.
    pub policy: Policy,
    /// Somebody else does the checkpoints, on a connection of their own.
    pub checkpoints_elsewhere: bool,
    /// Somebody else syncs the WAL behind each commit: what a commit has written is not on the disk before.
    pub syncs_elsewhere: bool,
}

/// The writer's connection and what it remembers.
#[derive(Debug)]
pub struct Engine {
    conn: Connection,
    cache: Cache,
    place: Place,
    options: EngineOptions,
    /// Something was erased since the WAL was last emptied: its bytes are still in there (I14).
    erased: bool,
    /// What was put into the outbox of webhooks since it was last asked.
    enqueued: Enqueued,
}

/// Where the database is, for further connections.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    /// Address of a database in memory, shared within the process.
    Memory(String),
}

impl Place {
    pub(crate) fn connect(&self, flags: OpenFlags) -> Result<Connection, StoreError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match self {
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(uri) => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI),
        };
        let conn = conn.map_err(|error| schema::damaged(error, self.path()))?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(conn)
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Memory(uri) => Path::new(uri),
        }
    }
}

impl Engine {
    /// Opens the database, or makes it where there is no file. A file that is damaged, foreign or of a later release is
    /// an error, and stays as it is.
    pub fn open(path: &Path, options: EngineOptions) -> Result<Self, StoreError> {
        Self::start(Place::File(path.into()), options)
    }

    /// A database in memory, gone with the last connection. For tests and the simulator.
    pub fn in_memory(options: EngineOptions) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::start(Place::Memory(format!("file:/convene-{number}?vfs=memdb")), options)
    }

    fn start(place: Place, options: EngineOptions) -> Result<Self, StoreError> {
        let mut conn = place.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::check(&conn, place.path())?;
        let auto = if options.checkpoints_elsewhere { 0 } else { AUTO_CHECKPOINT_PAGES };
        let pragmas = || -> rusqlite::Result<()> {
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "foreign_keys", false)?;
            // Erased payload is overwritten, not only unlinked (I14).
            conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
            conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            conn.pragma_update_and_check(None, "wal_autocheckpoint", auto, |_| Ok(()))
        };
        pragmas().map_err(|error| schema::damaged(error, place.path()))?;
        schema::migrate(&mut conn, place.path())?;
        if options.syncs_elsewhere {
            // Syncs the WAL before a checkpoint and where it begins again; FULL does after each commit as well.
            conn.pragma_update(None, "synchronous", "NORMAL")?;
        }
        let cache = Cache::default();
        Ok(Self { conn, cache, place, options, erased: false, enqueued: Enqueued::default() })
    }

    /// Carries a batch out, in order. When it returns `Ok`, all that was not refused is durable, unless somebody else
    /// syncs; `StoreError`: nothing of it has happened, and the engine can be used again.
    pub fn apply(&mut self, batch: Vec<Op>, now_ms: i64) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        self.apply_announced(batch, now_ms, || ())
    }

    /// The same. `announce` is called before something that was changed can be seen by readers.
    pub(crate) fn apply_announced(
        &mut self,
        batch: Vec<Op>,
        now_ms: i64,
        announce: impl FnOnce(),
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        let result = self.transact(batch, now_ms, announce);
        match &result {
            Ok(_) => self.cache.trim(),
            Err(_) => self.cache.clear(),
        }
        result
    }

    fn transact(
        &mut self,
        batch: Vec<Op>,
        now_ms: i64,
        announce: impl FnOnce(),
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let unchanged = tx.total_changes();
        let before = rows::load_bump(&tx)?;
        let mut work = Work {
            conn: &tx,
            cache: &mut self.cache,
            policy: &self.options.policy,
            now_ms,
            bump: before,
            erased: &mut self.erased,
            enqueued: Enqueued::default(),
        };
        let outcomes = batch.into_iter().map(|op| answer(work.run(op))).collect::<Result<Vec<_>, _>>()?;
        work.cache.flush(&tx)?;
        if work.bump != before {
            let bump = db(work.bump);
            tx.prepare_cached("UPDATE bump SET value = ?1")?.execute([bump])?;
        }
        let enqueued = work.enqueued;
        if tx.total_changes() != unchanged {
            announce();
        }
        tx.commit()?;
        self.enqueued.add(enqueued);
        Ok(outcomes)
    }

    /// What was put into the outbox of webhooks since this was last asked.
    pub fn take_enqueued(&mut self) -> Enqueued {
        std::mem::take(&mut self.enqueued)
    }

    /// Whether it is known that there are no endpoints of webhooks.
    #[must_use]
    pub fn has_no_webhooks(&self) -> bool {
        self.cache.none_wanted()
    }

    /// Drops what the writer remembers, and what a panic left undone.
    pub fn reset(&mut self) {
        self.cache.clear();
        if !self.conn.is_autocommit() {
            // Fails only if there is nothing to roll back.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }

    /// A reader of what is committed.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.place)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Moves the whole WAL into the database and empties it. False: a reader was in the way for as long as this waits.
    pub fn empty_wal(&mut self) -> Result<bool, StoreError> {
        let emptied = empty_wal(&self.conn)?;
        self.erased &= !emptied;
        Ok(emptied)
    }

    /// Moves the whole WAL into the database and begins it again, without giving its room back: to cut off 64 MiB takes
    /// 100 ms, and what is written over need not be allocated again. Only one with erased payload in it is emptied (I14).
    /// False: after `patience` a reader was still in the way, try again.
    pub fn restart_wal(&mut self, patience: Duration) -> Result<bool, StoreError> {
        self.conn.busy_timeout(patience)?;
        let done = if self.erased { self.empty_wal() } else { checkpoint(&self.conn, "RESTART").map_err(Into::into) };
        self.conn.busy_timeout(BUSY)?; // also after a failure: commits wait for a lock
        done
    }

    /// Whether erased payload is still in the WAL.
    #[must_use]
    pub fn has_erased(&self) -> bool {
        self.erased
    }

    /// Bounds the database file: writing beyond it fails as a full disk does. 0 takes the bound away.
    pub fn set_max_pages(&mut self, pages: u32) -> Result<(), StoreError> {
        let pages = if pages == 0 { u32::MAX - 1 } else { pages };
        self.conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }
}

/// [`Engine::empty_wal`], from any connection.
pub(crate) fn empty_wal(conn: &Connection) -> rusqlite::Result<bool> {
    checkpoint(conn, "TRUNCATE")
}

/// False: somebody is in the way.
fn checkpoint(conn: &Connection, kind: &str) -> rusqlite::Result<bool> {
    let busy: i64 = conn.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// One transaction at work.
struct Work<'a> {
    conn: &'a Connection,
    cache: &'a mut Cache,
    policy: &'a Policy,
    now_ms: i64,
    /// Changes of conversations so far.
    bump: u64,
    erased: &'a mut bool,
    enqueued: Enqueued,
}

impl Work<'_> {
    /// Invariant: an operation refuses before it writes anything; one about people may write what the refusal is about.
    fn run(&mut self, op: Op) -> Result<Outcome, Fault> {
        match op {
            Op::Append { org, actor, client_id, conv, body } => {
                self.append(append::Request { org, actor, client_id, conv }, body).map(Outcome::Appended)
            }
            Op::Create { org, maker, client_id, kind, title, members } => {
                self.create(create::Request { org, maker, client_id, kind, title, members })
            }
            Op::Read { user, conv, seq } => self.read(user, conv, seq),
            Op::Settings { user, settings } => self.settings(user, settings),
            Op::EnsureUser { org_name, name, display_name } => self.ensure_user(&org_name, &name, &display_name),
            Op::UploadBegin(new) => self.upload_begin(new),
            Op::UploadCommit { upload, user, facts } => self.upload_commit(upload, user, facts),
            Op::UploadDrop { upload } => self.upload_drop(upload),
            Op::Expire { before_ms } => self.expire(before_ms),
            Op::TrashDone { keys } => self.trash_done(&keys),
            Op::Call { org, conv, id, record } => {
                self.call(calls::Written { org, conv, id }, record).map(Outcome::Appended)
            }
            Op::KeepCall { id, state } => self.keep_call(id, &state),
            Op::Sweep { conv, before_ms } => self.sweep_log(conv, before_ms),
            Op::TellProfile { user } => self.tell_profile(user),
            Op::DepartmentGroup { org, dept, conv } => self.department_group(org, dept, conv),
            Op::FollowDepartment { org, dept, client_id } => self.follow_department(org, dept, client_id),
            Op::Account(op) => Ok(Outcome::Account(self.account(op)?)),
            Op::Org(op) => Ok(Outcome::Org(self.org(op)?)),
            Op::Webhook(op) => Ok(Outcome::Webhook(self.webhook(op)?)),
            Op::Access(op) => Ok(self.access(op).map(|()| Outcome::Done)?),
        }
    }

    /// The next place in the order of changes.
    fn next_bump(&mut self) -> u64 {
        self.bump = self.bump.saturating_add(1);
        self.bump
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_of_the_wal_that_fails_leaves_the_writer_its_patience() {
        let mut engine = Engine::in_memory(EngineOptions::default()).unwrap();
        for erased in [false, true] {
            engine.erased = erased;
            engine.conn.execute_batch("BEGIN IMMEDIATE").unwrap(); // nothing is moved within a transaction
            engine.restart_wal(Duration::ZERO).unwrap_err();
            engine.conn.execute_batch("ROLLBACK").unwrap();
            let timeout: i64 = engine.conn.pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap();
            assert_eq!(Duration::from_millis(timeout.unsigned_abs()), BUSY, "erased: {erased}");
        }
    }
}
