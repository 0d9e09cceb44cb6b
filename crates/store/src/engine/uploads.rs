//! Rows of uploads and blobs. Their bytes are the business of [`crate::Blobs`].
//!
//! An object's key is the id of the upload that brought it, never its content: so an object in the trash can be deleted
//! while the same content is being uploaded again.

use convene_proto::im::{self, Code};
use convene_types::{OrgId, UserId};
use prost::Message as _;
use rusqlite::{OptionalExtension as _, Row};

use super::Work;
use crate::blobs::key_of;
use crate::error::{Fault, StoreError, refused};
use crate::ops::{BlobFacts, BlobRow, NewUpload, Outcome, Upload};
use crate::rows::{self, db};

/// Rows one expiry takes, so that it holds nobody up; the next one takes the rest.
const MAX_EXPIRED: u32 = 500;

impl Work<'_> {
    pub(super) fn upload_begin(&mut self, new: NewUpload) -> Result<Outcome, Fault> {
        let sql = "SELECT id, blob FROM uploads WHERE user = ?1 AND sha256 = ?2 AND voice = ?3";
        let key = (db(new.user.0), new.sha256, new.voice);
        let read = |row: &Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
        let known = self.conn.prepare_cached(sql)?.query_row(key, read).optional()?;
        let blob = self.known_blob(&new, known.as_ref().and_then(|(_, blob)| blob.as_deref()))?;
        let blob_id = blob.as_ref().map(|blob| blob.facts.id);
        // An upload that became a blob which is gone begins again under another id: the key of its object may still be
        // in the trash.
        let again = known.filter(|(_, became)| became.is_none() || blob.is_some()).map(|(id, _)| id);
        let NewUpload { id, org, user, sha256, size, mime, voice } = new;
        let sql = "DELETE FROM uploads WHERE user = ?1 AND sha256 = ?2 AND voice = ?3";
        self.conn.prepare_cached(sql)?.execute(key)?;
        let id = again.unwrap_or(id);
        let sql = "INSERT INTO uploads (id, org, user, sha256, size, mime, voice, begun, blob)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let row = (id, db(org.0), db(user.0), sha256, db(size), &mime, voice, self.now_ms, blob_id);
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(Outcome::Upload(Upload { id, org, user, sha256, size, mime, voice, blob }))
    }

    /// The blob that needs no upload: the one this upload became, or the same content, if the user could read it anyway.
    fn known_blob(&mut self, new: &NewUpload, became: Option<&[u8]>) -> Result<Option<BlobRow>, StoreError> {
        self.cache.flush(self.conn)?;
        let id = became.unwrap_or(&new.sha256);
        let row = rows::load_blob(self.conn, new.org, id)?.filter(|row| !new.voice || row.facts.voice.is_some());
        let Some(row) = row else { return Ok(None) };
        if !rows::may_use_blob(self.conn, new.org, new.user, id)? {
            return Ok(None);
        }
        self.own_blob(new.org, id, new.user)?;
        Ok(Some(row))
    }

    pub(super) fn upload_commit(&mut self, id: [u8; 16], user: UserId, facts: BlobFacts) -> Result<Outcome, Fault> {
        let sql = "SELECT org, sha256, size, mime, voice, blob FROM uploads WHERE id = ?1 AND user = ?2";
        let read = |row: &Row<'_>| {
            let (org, sha256, size) = (OrgId(rows::num(row, 0)?), row.get(1)?, rows::num(row, 2)?);
            let upload = Upload { id, org, user, sha256, size, mime: row.get(3)?, voice: row.get(4)?, blob: None };
            Ok((upload, row.get::<_, Option<Vec<u8>>>(5)?))
        };
        let found = self.conn.prepare_cached(sql)?.query_row((id, db(user.0)), read).optional()?;
        let Some((mut upload, became)) = found else {
            return refused(Code::UnknownUpload, "no such upload");
        };
        if let Some(became) = became {
            upload.blob = rows::load_blob(self.conn, upload.org, &became)?;
            return Ok(Outcome::Upload(upload));
        }
        let blob = self.settle_blob(&upload, facts)?;
        let sql = "UPDATE uploads SET blob = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((id, blob.facts.id))?;
        upload.blob = Some(blob);
        Ok(Outcome::Upload(upload))
    }

    /// The row of this content: made, or found. The object of the upload that was not needed goes.
    fn settle_blob(&mut self, upload: &Upload, facts: BlobFacts) -> Result<BlobRow, StoreError> {
        let voice = facts.voice.as_ref().map(im::Voice::encode_to_vec);
        let key = key_of(&upload.id);
        let row = match rows::load_blob(self.conn, upload.org, &facts.id)? {
            Some(known) => {
                self.trash(&key)?;
                // It may have been a plain file before somebody sent it as a voice message.
                let sql = "UPDATE blobs SET voice = ifnull(?3, voice), mime = ?4 WHERE org = ?1 AND id = ?2";
                let row = (db(upload.org.0), facts.id, voice, &facts.mime);
                self.conn.prepare_cached(sql)?.execute(row)?;
                let voice = facts.voice.clone().or(known.facts.voice);
                BlobRow { facts: BlobFacts { voice, ..facts }, key: known.key }
            }
            None => {
                let sql = "INSERT INTO blobs (org, id, size, mime, voice, object, refs, made)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)";
                let row = (db(upload.org.0), facts.id, db(facts.size), &facts.mime, voice, &key, self.now_ms);
                self.conn.prepare_cached(sql)?.execute(row)?;
                BlobRow { facts, key }
            }
        };
        self.own_blob(upload.org, &row.facts.id, upload.user)?;
        Ok(row)
    }

    /// This user may put the blob into events, and for as long as a fresh one it stays without any.
    fn own_blob(&mut self, org: OrgId, id: &[u8], user: UserId) -> Result<(), StoreError> {
        let sql = "INSERT INTO blob_owners (org, blob, user) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.conn.prepare_cached(sql)?.execute((db(org.0), id, db(user.0)))?;
        let sql = "UPDATE blobs SET made = ?3 WHERE org = ?1 AND id = ?2";
        self.conn.prepare_cached(sql)?.execute((db(org.0), id, self.now_ms))?;
        Ok(())
    }

    /// Takes a blob away that no event carries. Uploads that became it have to begin again.
    pub(super) fn drop_blob(&mut self, org: OrgId, id: &[u8]) -> Result<(), StoreError> {
        let sql = "DELETE FROM blobs WHERE org = ?1 AND id = ?2 RETURNING object";
        let found = self.conn.prepare_cached(sql)?.query_row((db(org.0), id), |row| row.get(0)).optional()?;
        let Some(key): Option<String> = found else { return Ok(()) };
        self.trash(&key)?;
        let sql = "DELETE FROM blob_owners WHERE org = ?1 AND blob = ?2";
        self.conn.prepare_cached(sql)?.execute((db(org.0), id))?;
        Ok(())
    }

    pub(super) fn trash(&mut self, key: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO trash (object) VALUES (?1) ON CONFLICT DO NOTHING";
        self.conn.prepare_cached(sql)?.execute([key])?;
        Ok(())
    }

    pub(super) fn upload_drop(&mut self, id: [u8; 16]) -> Result<Outcome, Fault> {
        let sql = "DELETE FROM uploads WHERE id = ?1 RETURNING blob IS NULL";
        let unfinished = self.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        if unfinished == Some(true) {
            self.trash(&key_of(&id))?; // as in `expire`
        }
        Ok(Outcome::Done)
    }

    pub(super) fn expire(&mut self, before_ms: i64) -> Result<Outcome, Fault> {
        let sql = "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE begun < ?1 LIMIT ?2)
            RETURNING id, blob IS NULL";
        let mut statement = self.conn.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, bool>(1)?));
        let ended: Vec<_> = statement.query_map((before_ms, MAX_EXPIRED), read)?.collect::<Result<_, _>>()?;
        for (id, _) in ended.iter().filter(|(_, unfinished)| *unfinished) {
            // The object may be there: the server can have stopped between storing it and the commit.
            self.trash(&key_of(id))?;
        }
        let sql = "SELECT org, id FROM blobs WHERE refs = 0 AND made < ?1 LIMIT ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((OrgId(rows::num(row, 0)?), row.get::<_, Vec<u8>>(1)?));
        let unused: Vec<_> = statement.query_map((before_ms, MAX_EXPIRED), read)?.collect::<Result<_, _>>()?;
        for (org, id) in unused {
            self.drop_blob(org, &id)?;
        }
        Ok(Outcome::Expired(ended.into_iter().map(|(id, _)| id).collect()))
    }

    pub(super) fn trash_done(&mut self, keys: &[String]) -> Result<Outcome, Fault> {
        let mut statement = self.conn.prepare_cached("DELETE FROM trash WHERE object = ?1")?;
        for key in keys {
            statement.execute([key])?;
        }
        Ok(Outcome::Done)
    }
}
