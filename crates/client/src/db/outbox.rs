//! What is to be sent: messages with the files they wait for, and read cursors. A row stays until its event stands in the
//! log, so whatever happens in between, it is sent again under the same client id.

use std::path::PathBuf;

use bytes::Bytes;
use convene_proto::im::{Body, Code};
use convene_types::ClientId;
use prost::Message as _;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Database, int, unsigned};
use crate::error::Error;

/// Rows of an outbox, whatever their state. As many as the replica takes, so that a row whose file was uploaded fits.
pub(crate) const MAX_ROWS: usize = convene_im_core::replica::MAX_UNSENT;

/// How far a row has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its file is being uploaded, or waits for that.
    Uploading,
    /// To be sent, or sent without an answer yet.
    Ready,
    /// The server has it durably.
    Acknowledged,
    /// The server will not take it. [`Outgoing::code`] and [`Outgoing::text`] say why.
    Failed,
}

impl State {
    const fn number(self) -> i64 {
        match self {
            Self::Uploading => 0,
            Self::Ready => 1,
            Self::Acknowledged => 2,
            Self::Failed => 3,
        }
    }

    const fn of(number: i64) -> Self {
        match number {
            0 => Self::Uploading,
            1 => Self::Ready,
            2 => Self::Acknowledged,
            _ => Self::Failed,
        }
    }
}

/// A file that goes with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) path: PathBuf,
    /// A copy of our own: removed with the row.
    pub(crate) owned: bool,
    pub(crate) sha256: [u8; 32],
    pub(crate) size: u64,
    pub(crate) mime: String,
    pub(crate) voice: bool,
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Its name, for the server too.
    pub client_id: ClientId,
    /// Where to.
    pub conv: u64,
    /// What; without its blob while that is being uploaded.
    pub body: Body,
    /// How far it has come.
    pub state: State,
    /// When it was written.
    pub at_ms: i64,
    /// Where it stands in the log, once acknowledged.
    pub seq: u64,
    /// Why it failed; unspecified when no server said so.
    pub code: Code,
    /// The same in words.
    pub text: String,
    pub(crate) attachment: Option<Attachment>,
}

impl Outgoing {
    /// A row that can be sent as it is.
    pub(crate) fn new(client_id: ClientId, conv: u64, body: Body, at_ms: i64) -> Self {
        let (state, code, text) = (State::Ready, Code::Unspecified, String::new());
        Self { client_id, conv, body, state, at_ms, seq: 0, code, text, attachment: None }
    }
}

const COLUMNS: &str = "client_id, conv, body, state, at_ms, seq, code, text, path, owned, sha256, size, mime, voice";

fn read(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    let body: Vec<u8> = row.get(2)?;
    let path: Option<String> = row.get(8)?;
    let attachment = match path {
        Some(path) => Some(Attachment {
            path: path.into(),
            owned: row.get(9)?,
            sha256: row.get(10)?,
            size: unsigned(row.get(11)?),
            mime: row.get(12)?,
            voice: row.get(13)?,
        }),
        None => None,
    };
    Ok(Outgoing {
        client_id: ClientId(row.get(0)?),
        conv: unsigned(row.get(1)?),
        body: Body::decode(Bytes::from(body)).unwrap_or_default(), // written by us
        state: State::of(row.get(3)?),
        at_ms: row.get(4)?,
        seq: unsigned(row.get(5)?),
        code: Code::try_from(row.get::<_, i32>(6)?).unwrap_or(Code::Unspecified),
        text: row.get(7)?,
        attachment,
    })
}

impl Database {
    /// Whether another row may be queued.
    pub(crate) fn has_room(&self) -> Result<bool, Error> {
        let rows: i64 = self.conn.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        Ok(unsigned(rows) < MAX_ROWS as u64)
    }

    /// Appends. Durable when the transaction is.
    pub(crate) fn queue(&self, row: &Outgoing) -> Result<(), Error> {
        let file = row.attachment.as_ref();
        let path = file.map(|file| file.path.to_string_lossy().into_owned());
        self.conn.execute(
            &format!("INSERT INTO outbox ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)"),
            params![
                row.client_id.0,
                int(row.conv),
                row.body.encode_to_vec(),
                row.state.number(),
                row.at_ms,
                int(row.seq),
                i32::from(row.code),
                row.text,
                path,
                file.is_some_and(|file| file.owned),
                file.map(|file| file.sha256),
                file.map_or(0, |file| int(file.size)),
                file.map_or("", |file| file.mime.as_str()),
                file.is_some_and(|file| file.voice),
            ],
        )?;
        Ok(())
    }

    /// Replaces what may change of a row: body, state, seq, and why it failed.
    pub(crate) fn update_outgoing(&self, row: &Outgoing) -> Result<(), Error> {
        let sql = "UPDATE outbox SET body = ?2, state = ?3, seq = ?4, code = ?5, text = ?6 WHERE client_id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![
            row.client_id.0,
            row.body.encode_to_vec(),
            row.state.number(),
            int(row.seq),
            i32::from(row.code),
            row.text
        ])?;
        Ok(())
    }

    /// Removes a row, and the copy that was made of its file: nobody will ask for it any more.
    pub(crate) fn remove_outgoing(&self, client_id: ClientId) -> Result<(), Error> {
        let sql = format!("DELETE FROM outbox WHERE client_id = ?1 RETURNING {COLUMNS}");
        let row = self.conn.prepare_cached(&sql)?.query_row([client_id.0], read).optional()?;
        if let Some(file) = row.and_then(|row| row.attachment).filter(|file| file.owned) {
            let _ = std::fs::remove_file(&file.path); // left behind it costs room, no more
        }
        Ok(())
    }

    pub(crate) fn outgoing(&self, client_id: ClientId) -> Result<Option<Outgoing>, Error> {
        let mut query = self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE client_id = ?1"))?;
        Ok(query.query_row([client_id.0], read).optional()?)
    }

    /// All rows of one conversation, or of all, in the order they were written.
    pub(crate) fn outgoing_of(&self, conv: Option<u64>) -> Result<Vec<Outgoing>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE ?1 IS NULL OR conv = ?1 ORDER BY id");
        let mut query = self.conn.prepare_cached(&sql)?;
        let rows = query.query_map([conv.map(int)], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first rows of a state, at most `limit`.
    pub(crate) fn outgoing_in(&self, state: State, limit: u32) -> Result<Vec<Outgoing>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE state = ?1 ORDER BY id LIMIT ?2");
        let mut query = self.conn.prepare_cached(&sql)?;
        let rows = query.query_map(params![state.number(), limit], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes a read cursor to be told; it only rises.
    pub(crate) fn queue_read(&self, conv: u64, seq: u64) -> Result<(), Error> {
        let sql = "INSERT INTO reads VALUES (?1, ?2) ON CONFLICT (conv) DO UPDATE SET seq = max(seq, excluded.seq)";
        self.conn.prepare_cached(sql)?.execute(params![int(conv), int(seq)])?;
        Ok(())
    }

    /// The server has this cursor; a higher one still waits.
    pub(crate) fn read_done(&self, conv: u64, seq: u64) -> Result<(), Error> {
        let mut delete = self.conn.prepare_cached("DELETE FROM reads WHERE conv = ?1 AND seq <= ?2")?;
        delete.execute(params![int(conv), int(seq)])?;
        Ok(())
    }

    /// Read cursors to be told, as (conv, seq).
    pub(crate) fn reads(&self) -> Result<Vec<(u64, u64)>, Error> {
        let mut query = self.conn.prepare_cached("SELECT conv, seq FROM reads")?;
        let rows = query.query_map([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u8, conv: u64) -> Outgoing {
        Outgoing::new(ClientId([n; 16]), conv, Body { reply_to: n.into(), ..Body::default() }, 5)
    }

    #[test]
    fn rows_come_back_as_they_went_in_and_in_order() {
        let db = Database::in_memory();
        let file = Attachment {
            path: "/tmp/a.png".into(),
            owned: true,
            sha256: [3; 32],
            size: u64::from(u32::MAX) + 1,
            mime: "image/png".to_owned(),
            voice: false,
        };
        let with_file = Outgoing { attachment: Some(file), state: State::Uploading, ..row(2, u64::MAX) };
        let rows = [row(9, 1), with_file, row(1, 1)];
        for row in &rows {
            db.queue(row).unwrap();
        }
        assert_eq!(db.outgoing_of(None).unwrap(), rows);
        assert_eq!(db.outgoing_of(Some(u64::MAX)).unwrap(), [rows[1].clone()]);
        assert_eq!(db.outgoing_in(State::Ready, 10).unwrap(), [rows[0].clone(), rows[2].clone()]);
        assert!(db.queue(&rows[0]).is_err(), "a client id is there once");
    }

    #[test]
    fn a_row_goes_through_its_states() {
        let db = Database::in_memory();
        let mut row = row(1, 7);
        db.queue(&row).unwrap();
        for state in [State::Acknowledged, State::Failed, State::Ready] {
            row = Outgoing { state, seq: 4, code: Code::Muted, text: "muted".to_owned(), ..row };
            db.update_outgoing(&row).unwrap();
            assert_eq!(db.outgoing(row.client_id).unwrap().as_ref(), Some(&row));
        }
        db.remove_outgoing(row.client_id).unwrap();
        assert_eq!(db.outgoing(row.client_id).unwrap(), None);
        db.remove_outgoing(row.client_id).unwrap();
    }

    #[test]
    fn read_cursors_only_rise_and_go_when_told() {
        let db = Database::in_memory();
        for (conv, seq) in [(1, 5), (1, 3), (2, 9)] {
            db.queue_read(conv, seq).unwrap();
        }
        assert_eq!(db.reads().unwrap(), [(1, 5), (2, 9)]);
        db.read_done(1, 4).unwrap();
        db.read_done(2, 9).unwrap();
        assert_eq!(db.reads().unwrap(), [(1, 5)]);
    }

    #[test]
    fn a_full_outbox_says_so() {
        let db = Database::in_memory();
        db.atomically(|db| {
            for n in 0..MAX_ROWS as u64 {
                assert!(db.has_room()?);
                let mut id = [0; 16];
                id[..8].copy_from_slice(&n.to_le_bytes());
                db.queue(&Outgoing { client_id: ClientId(id), ..row(0, 1) })?;
            }
            Ok(())
        })
        .unwrap();
        assert!(!db.has_room().unwrap());
    }
}
