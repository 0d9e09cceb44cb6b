//! The audit log of an organisation, and whether it is whole.

use axum::Json;
use axum::extract::State;
use convene_accounts::apikey::KeyScopes;
use convene_accounts::audit::Record;
use convene_accounts::{Code, role};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::authenticator::Asker;
use crate::error::{Error, Reading};
use crate::page::Paging;
use crate::path::{Asked, Ids};

/// Something that was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordView {
    /// 1, 2, 3... without holes.
    number: u64,
    /// Milliseconds since 1970.
    at_ms: i64,
    /// Which account; 0: the command line or the server.
    actor: u64,
    /// From which network address.
    address: String,
    /// What.
    #[schema(example = "member.remove")]
    act: String,
    /// To whom or what.
    #[schema(example = "account:17")]
    target: String,
    /// JSON of what changed, or nothing.
    detail: String,
    /// Over this record and the one before, in hex digits: note one elsewhere, and what is before it cannot change unseen.
    hash: String,
}

impl From<Record> for RecordView {
    fn from(Record { number, entry, hash }: Record) -> Self {
        let hash = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let (actor, address) = (entry.actor.0, entry.from);
        let (at_ms, act, target, detail) = (entry.at_ms, entry.act, entry.target, entry.detail);
        Self { number, at_ms, actor, address, act, target, detail, hash }
    }
}

/// A page of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The latest first.
    records: Vec<RecordView>,
    /// Cursor of the next page.
    next: Option<String>,
}

/// What was done in an organisation, by whom. Takes the scope `audit`, of an administrator or of an API key.
#[utoipa::path(get, path = "/v1/organisations/{org}/audit", tag = "audit", security(("bearer" = [])),
params(("org" = u64, Path), Paging), responses((status = 200, body = AuditPage), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    asker: Asker,
    Ids(org): Ids<u64>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<AuditPage>, Error> {
    let (rows, before) = (paging.rows()?, paging.number()?.unwrap_or(u64::MAX));
    let found = api.inner.seen_by(org, asker, KeyScopes::AUDIT, move |reader, org, seat| {
        Ok(match seat.role.require(role::Act::ReadAudit) {
            Ok(()) => Ok(reader.audit_before(org, before, rows)?),
            Err(refusal) => Err(refusal),
        })
    });
    let found = found.await?;
    let next = found.last().map(|row| row.number).filter(|number| *number > 1).map(|number| number.to_string());
    Ok(Json(AuditPage { records: found.into_iter().map(Into::into).collect(), next }))
}

/// What a check of the log found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checkup {
    /// Nothing was removed, put in or changed.
    sound: bool,
    /// Records that are good, from the first on, if all are.
    records: u64,
    /// Hash of the last one, in hex digits.
    hash: String,
    /// What is wrong.
    fault: Option<String>,
}

/// Reads the whole log, and checks its chain of hashes. Takes the scope `audit`, of an administrator or of an API key.
#[utoipa::path(get, path = "/v1/organisations/{org}/audit/check", tag = "audit", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 200, body = Checkup), Reading))]
pub(super) async fn check(State(api): State<Api>, asker: Asker, Ids(org): Ids<u64>) -> Result<Json<Checkup>, Error> {
    let found = api.inner.seen_by(org, asker, KeyScopes::AUDIT, |reader, org, seat| {
        Ok(match seat.role.require(role::Act::ReadAudit) {
            Ok(()) => reader.audit_fault(org)?.ok_or(Code::NotFound.into()),
            Err(refusal) => Err(refusal),
        })
    });
    Ok(Json(match found.await? {
        Ok(head) => {
            let hash = head.hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            Checkup { sound: true, records: head.number, hash, fault: None }
        }
        Err(fault) => Checkup { sound: false, records: 0, hash: String::new(), fault: Some(fault.to_string()) },
    }))
}
