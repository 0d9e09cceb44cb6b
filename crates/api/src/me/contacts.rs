//! The address book.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::Code;
use convene_store::After;
use convene_store::accounts::Op;
use convene_types::{AccountId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Api;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::error::{Changing, Error, Reading};
use crate::org::{MemberView, Sight};
use crate::page::{Paging, cursor};
use crate::path::{Asked, Ids};

/// Somebody in the address book.
#[derive(Serialize, ToSchema)]
pub(crate) struct ContactView {
    /// Where they are a colleague.
    organisation: u64,
    member: MemberView,
    /// What one wrote about them.
    note: String,
}

/// A page of the address book.
#[derive(Serialize, ToSchema)]
pub(crate) struct ContactsPage {
    /// Who is a colleague no more, or cannot be seen any more, is left out.
    contacts: Vec<ContactView>,
    /// Cursor of the next page.
    next: Option<String>,
}

/// The address book.
#[utoipa::path(get, path = "/v1/me/contacts", tag = "me", security(("bearer" = [])), params(Paging),
responses((status = 200, body = ContactsPage), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<ContactsPage>, Error> {
    let (rows, after) = (paging.rows()?, paging.after()?);
    // Here the key of a cursor is the number of an organisation.
    let org = if after.key.is_empty() { 0 } else { after.key.parse::<u64>().map_err(|_| Code::Malformed)? };
    let after = (OrgId(org), AccountId(after.account));
    let owner = caller.account;
    let found = api.inner.store.ask(move |reader| {
        let mut seen = Vec::new();
        let found = reader.contacts(owner, after, rows)?;
        let full = found.len() >= usize::try_from(rows).unwrap_or(usize::MAX);
        let last = found
            .last()
            .filter(|_| full)
            .map(|row| After { key: row.org.0.to_string(), account: row.member.account.0 });
        let mut sight: Option<(OrgId, Sight)> = None;
        for row in found {
            if sight.as_ref().is_none_or(|(org, _)| *org != row.org) {
                let Some(seat) = reader.seat(row.org, owner)? else { continue };
                sight = Some((row.org, Sight::of(reader, &seat)?));
            }
            if sight.as_ref().is_some_and(|(_, sight)| sight.sees(&row.member)) {
                seen.push(row);
            }
        }
        Ok((seen, last))
    });
    let (seen, last) = found.await?;
    let view = |row: convene_store::orgs::Contact| ContactView {
        organisation: row.org.0,
        member: MemberView::of(row.member, &api.inner.keys.pictures),
        note: row.note,
    };
    Ok(Json(ContactsPage { contacts: seen.into_iter().map(view).collect(), next: last.as_ref().map(cursor) }))
}

/// What one writes about somebody.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Note {
    /// For oneself only.
    #[serde(default)]
    #[schema(max_length = 512)]
    note: String,
}

/// Puts a colleague into the address book, or writes another note.
#[utoipa::path(put, path = "/v1/me/contacts/{org}/{account}", tag = "me", security(("bearer" = [])),
params(("org" = u64, Path), ("account" = u64, Path)), request_body = Note, responses((status = 204), Changing))]
pub(super) async fn set(
    State(api): State<Api>,
    caller: Caller,
    Ids((org, account)): Ids<(u64, u64)>,
    Body(Note { note }): Body<Note>,
) -> Result<StatusCode, Error> {
    let contact = AccountId(account);
    let seen = api.inner.within(org, &caller, move |reader, org, seat| {
        let sight = Sight::of(reader, seat)?;
        let seen = reader.member(org, contact)?.filter(|member| sight.sees(member));
        Ok(seen.map(|_| ()).ok_or(Code::NotFound.into()))
    });
    seen.await?;
    api.inner.store.account(Op::SetContact { account: caller.account, org: OrgId(org), contact, note }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody out of the address book.
#[utoipa::path(delete, path = "/v1/me/contacts/{org}/{account}", tag = "me", security(("bearer" = [])),
params(("org" = u64, Path), ("account" = u64, Path)), responses((status = 204), Changing))]
pub(super) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Ids((org, account)): Ids<(u64, u64)>,
) -> Result<StatusCode, Error> {
    let (org, contact) = (OrgId(org), AccountId(account));
    api.inner.store.account(Op::RemoveContact { account: caller.account, org, contact }).await?;
    Ok(StatusCode::NO_CONTENT)
}
