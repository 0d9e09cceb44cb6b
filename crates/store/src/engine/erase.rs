//! Erasure: a tombstone in place, and nothing left of the payload (I14): not in the log, not in the hash that detects
//! conflicts, not in blobs that nothing else refers to, and, once the WAL is emptied, not in the file.

use convene_im_core::rules::{self, Erasure};
use convene_proto::im::{self, Code};
use convene_types::{ConvId, OrgId, Seq};
use prost::Message as _;

use super::Work;
use crate::error::{Fault, StoreError, refused};
use crate::rows::{self, db};

/// Events one erasure may span: some 100 ms during which nobody else's send is acknowledged. Retention goes in slices.
const MAX_ERASED: u64 = 10_000;

/// Refuses what would hold everybody else up.
pub(super) fn check_size(erasure: &Erasure) -> Result<(), Fault> {
    let span = |range: &im::SeqRange| range.last.saturating_sub(range.first).saturating_add(1);
    let spans = erasure.ranges.iter().map(span).fold(0, u64::saturating_add);
    if spans > MAX_ERASED {
        return refused(Code::TooLong, format!("{spans} events at once, at most {MAX_ERASED}"));
    }
    Ok(())
}

impl Work<'_> {
    /// Erases what `erasure` covers up to `head`, the event before the one that erases.
    pub(super) fn erase(&mut self, conv: ConvId, erasure: &Erasure, head: Seq) -> Result<(), StoreError> {
        let org = self.cache.conv(self.conn, conv)?.map_or(OrgId(0), |row| row.conv.org);
        for range in &erasure.ranges {
            for seq in range.first..=range.last.min(head.0) {
                self.erase_one(org, conv, Seq(seq), erasure)?;
            }
        }
        if let Some(target) = erasure.edits_of {
            for seq in self.edits_of(conv, target)? {
                self.erase_one(org, conv, seq, erasure)?;
            }
        }
        *self.erased = true;
        Ok(())
    }

    pub(super) fn edits_of(&self, conv: ConvId, target: Seq) -> Result<Vec<Seq>, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT seq FROM edits WHERE conv = ?1 AND target = ?2")?;
        let found = statement.query_map((db(conv.0), db(target.0)), |row| rows::num(row, 0).map(Seq))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn erase_one(&mut self, org: OrgId, conv: ConvId, seq: Seq, erasure: &Erasure) -> Result<(), StoreError> {
        let Some(mut event) = rows::load_event(self.conn, conv, seq)? else { return Ok(()) };
        let Some(body) = event.body.take().filter(|body| erasure.covers(seq, body)) else { return Ok(()) };
        self.unlink_blob(org, conv, seq, &body)?;
        if let Some(im::body::Kind::Edit(_)) = body.kind {
            let sql = "DELETE FROM edits WHERE conv = ?1 AND target = ?2 AND seq = ?3";
            self.conn.prepare_cached(sql)?.execute((db(conv.0), db(body.target), db(seq.0)))?;
        }
        event.body = Some(rules::tombstone(&body, erasure.reason));
        let sql = "UPDATE events SET event = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((rows::event_id(conv, seq), event.encode_to_vec()))?;
        // A short text could be found from its hash by trying.
        let sql = "UPDATE dedup SET hash = x'' WHERE sender = ?1 AND client_id = ?2";
        self.conn.prepare_cached(sql)?.execute((db(event.sender), event.client_id.as_ref()))?;
        Ok(())
    }

    /// The event carries its blob no more; without any other event the blob goes.
    fn unlink_blob(&mut self, org: OrgId, conv: ConvId, seq: Seq, body: &im::Body) -> Result<(), StoreError> {
        let Some(blob) = rows::blob_of(body) else { return Ok(()) };
        let sql = "DELETE FROM blob_links WHERE blob = ?1 AND conv = ?2 AND seq = ?3";
        if self.conn.prepare_cached(sql)?.execute((blob.as_ref(), db(conv.0), db(seq.0)))? == 0 {
            return Ok(());
        }
        let sql = "UPDATE blobs SET refs = refs - 1 WHERE org = ?1 AND id = ?2 RETURNING refs";
        let refs: i64 = self.conn.prepare_cached(sql)?.query_row((db(org.0), blob.as_ref()), |row| row.get(0))?;
        if refs <= 0 { self.drop_blob(org, &blob) } else { Ok(()) }
    }
}
