//! Calls as they are written down: an event in the conversation's log, and a row that finds it by the call's name. Both are
//! one transaction, so that after a crash what is open is known.

use convene_accounts::webhook::Kinds;
use convene_proto::im::{self, CallOutcome, body::Kind};
use convene_types::{CallId, ClientId, ConvId, DeptId, OrgId, UserId};
use prost::Message as _;

use super::Work;
use super::append::Request;
use super::webhooks::Waits;
use crate::error::Fault;
use crate::ops::{Appended, Outcome};
use crate::rows::db;
use crate::told::{self, Moment};

/// Which call, and where.
pub(super) struct Written {
    pub(super) org: OrgId,
    pub(super) conv: ConvId,
    pub(super) id: CallId,
}

impl Work<'_> {
    pub(super) fn call(&mut self, call: Written, record: im::CallRecord) -> Result<Appended, Fault> {
        let Written { org, conv, id } = call;
        let over = record.outcome() != CallOutcome::Ringing;
        let bytes = record.encode_to_vec();
        let body = im::Body { kind: Some(Kind::Call(record.clone())), ..im::Body::default() };
        // Two events of one call: each is written once, however often it is tried (I3).
        let client_id = ClientId(if over { id.0.map(|byte| !byte) } else { id.0 });
        let appended = self.append(Request { org, actor: UserId(0), client_id, conv }, body)?;
        if !appended.duplicate {
            let sql = "INSERT INTO calls (id, org, conv, over, record) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT (id) DO UPDATE SET over = ?4, record = ?5, state = NULL";
            self.conn.prepare_cached(sql)?.execute((id.0, db(org.0), db(conv.0), over, bytes))?;
            let moment = if over { Moment::Ended } else { Moment::Started };
            let told = told::call(org, conv, moment, &record, appended.at_ms);
            self.enqueue(org, Kinds::CALLS, &Waits::Body(&told))?;
        }
        Ok(appended)
    }

    pub(super) fn keep_call(&mut self, id: CallId, state: &im::CallState) -> Result<Outcome, Fault> {
        let sql = "UPDATE calls SET state = ?2 WHERE id = ?1 AND over = 0";
        self.conn.prepare_cached(sql)?.execute((id.0, state.encode_to_vec()))?;
        Ok(Outcome::Done)
    }

    pub(super) fn department_group(&mut self, org: OrgId, dept: DeptId, conv: ConvId) -> Result<Outcome, Fault> {
        let sql = "INSERT INTO department_groups (org, dept, conv) VALUES (?1, ?2, ?3)
            ON CONFLICT (org, dept) DO UPDATE SET conv = ?3";
        self.conn.prepare_cached(sql)?.execute((db(org.0), db(dept.0), db(conv.0)))?;
        Ok(Outcome::Done)
    }
}
