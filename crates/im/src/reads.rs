//! Requests that change nothing: answered from the store's read side, within what the user may see.

use std::sync::Arc;

use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_store::{Reader, StoreError};
use convene_types::UserId;

use crate::session::{Owner, Session};
use crate::shared::Shared;

/// The next frame of a long reply waits while so much is to be written: far below what ends a session that does not read.
const MAX_AHEAD_BYTES: usize = 256 * 1024;

/// Answers a request with one frame.
pub(crate) async fn answer(shared: &Shared, owner: Owner, body: Body) -> Result<Body, Refusal> {
    let user = owner.user;
    if let Body::Fetch(fetch) = body {
        return Ok(Body::FetchReply(ask(shared, move |reader| reader.fetch(user, &fetch)).await?));
    }
    if let Body::FindUsers(find) = body {
        return Ok(Body::Users(users(shared, owner, find).await?));
    }
    if let Body::GetMembers(get) = body {
        return Ok(Body::MembersPage(ask(shared, move |reader| reader.get_members(user, &get)).await?));
    }
    if let Body::GetReceipts(get) = body {
        return Ok(Body::Receipts(ask(shared, move |reader| reader.receipts(user, &get)).await?));
    }
    Err(Refusal::new(Code::Unimplemented, "this server does not know how"))
}

/// Answers a `Sync`, with one frame or several. The session is in the hub already, so that nothing is committed between
/// this reading and the first push. Whoever is in many groups gets megabytes: no more of them than the client takes is queued,
/// and the client's next frame is looked at behind them.
pub(crate) async fn sync(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    sync: im::Sync,
) -> Result<(), Refusal> {
    let user = session.owner.user;
    for reply in ask(shared, move |reader| reader.sync(user, &sync)).await? {
        session.room(MAX_AHEAD_BYTES).await;
        session.reply(rid, Body::SyncReply(reply));
    }
    Ok(())
}

/// Users of the own organisation.
pub(crate) async fn users(shared: &Shared, owner: Owner, find: im::FindUsers) -> Result<im::Users, Refusal> {
    let user: UserId = owner.user;
    ask(shared, move |reader| reader.find_users(user, &find)).await
}

/// Asks the read side. A failing store is a refusal like others.
pub(crate) async fn ask<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&mut Reader) -> Result<Result<T, Refusal>, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    shared.store.read(question).await
}
