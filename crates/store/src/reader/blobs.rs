//! Uploads and blobs: their rows, not their bytes.

use convene_proto::im::Code;
use convene_types::{ConvId, OrgId, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::visible::seen;
use crate::error::{Fault, StoreError, refused};
use crate::ops::{BlobRow, Trash, Upload};
use crate::rows::{self, db};

pub(super) fn may_read(conn: &Connection, user: UserId, conv: ConvId, id: &[u8]) -> Result<BlobRow, Fault> {
    let seen = seen(conn, user, conv)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM blob_links WHERE blob = ?1 AND conv = ?2 AND seq > ?3 AND seq <= ?4)";
    let key = (id, db(conv.0), db(seen.floor().0), db(seen.head.0));
    let linked: bool = conn.prepare_cached(sql)?.query_row(key, |row| row.get(0))?;
    // The picture of a group is for all who are in it, whenever it was set.
    let present = seen.member.member.role.is_some();
    let avatar = present && seen.row.conv.avatar.as_ref().is_some_and(|avatar| avatar.id == id);
    let row = rows::load_blob(conn, seen.row.conv.org, id)?.filter(|_| linked || avatar);
    match row {
        Some(row) => Ok(row),
        None => refused(Code::UnknownBlob, "no such blob"),
    }
}

pub(super) fn upload(conn: &Connection, user: UserId, id: &[u8]) -> Result<Upload, Fault> {
    let sql = "SELECT id, org, sha256, size, mime, voice, blob FROM uploads WHERE id = ?1 AND user = ?2";
    let read = |row: &rusqlite::Row<'_>| {
        let (id, org, sha256) = (row.get(0)?, OrgId(rows::num(row, 1)?), row.get(2)?);
        let (size, mime, voice) = (rows::num(row, 3)?, row.get(4)?, row.get(5)?);
        Ok((Upload { id, org, user, sha256, size, mime, voice, blob: None }, row.get::<_, Option<Vec<u8>>>(6)?))
    };
    let found = conn.prepare_cached(sql)?.query_row((id, db(user.0)), read).optional()?;
    let Some((mut upload, became)) = found else { return refused(Code::UnknownUpload, "no such upload") };
    if let Some(became) = became {
        upload.blob = rows::load_blob(conn, upload.org, &became)?;
        if upload.blob.is_none() {
            return refused(Code::UnknownUpload, "what was uploaded is gone: begin again");
        }
    }
    Ok(upload)
}

pub(super) fn open_uploads(conn: &Connection) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT id FROM uploads WHERE blob IS NULL")?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn trash(conn: &Connection, limit: u32) -> Result<Vec<Trash>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT object FROM trash LIMIT ?1")?;
    let found = statement.query_map([limit], |row| Ok(Trash { key: row.get(0)? }))?;
    Ok(found.collect::<Result<_, _>>()?)
}
