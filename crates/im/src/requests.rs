//! What a client asks for: where each kind of frame goes. The same for all transports; transports say on which stream it
//! came and carry the answers.

use std::sync::Arc;
use std::time::Instant;

use convene_im_core::gate::{self, Place};
use convene_im_core::model::Refusal;
use convene_im_core::outbox::HintKey;
use convene_proto::im::{self, Code, frame::Body, hint};
use convene_proto::limits::MAX_FOUND_USERS;
use convene_types::{ConvId, UserId};

use crate::blobs;
use crate::fanout::{Hint, Job};
use crate::hub::hint_frame;
use crate::reads;
use crate::session::{About, Session};
use crate::shared::Shared;
use crate::writes;

/// Groups with more members do not see who types: the hints of one person would go to too many.
pub(crate) const MAX_HINTED_MEMBERS: usize = 1_000;

/// Answers a frame of the control stream. Changes are handed to the store in this order; what is read is read before the
/// next frame is looked at.
pub(crate) async fn control(shared: &Arc<Shared>, session: &Arc<Session>, frame: im::Frame, early: bool) {
    let (rid, about) = (frame.rid, about(&frame));
    let body = match admit(shared, session, frame, Place::Control, early) {
        Ok(body) => body,
        Err(refusal) => return shared.refuse(session, rid, &refusal, about),
    };
    if let Err(refusal) = answer(shared, session, rid, body).await {
        shared.refuse(session, rid, &refusal, about);
    }
}

/// Whether a frame may come now and here, and not too often.
pub(crate) fn admit(
    shared: &Shared,
    session: &Session,
    frame: im::Frame,
    place: Place,
    early: bool,
) -> Result<Body, Refusal> {
    gate::check_request(&frame)?;
    let Some(body) = frame.body else { return Err(Refusal::new(Code::Malformed, "a frame of no known kind")) };
    shared.count_frame("in", &body);
    let allowed = gate::allowed(&body, place, early);
    if early {
        let result = if allowed.is_ok() { "accepted" } else { "refused" };
        shared.metrics.im_early_data.with_label_values(&[result]).inc();
    }
    allowed?;
    let now = Instant::now();
    if let Body::Send(send) = &body {
        shared.flood.send(&session.gates, ConvId(send.conv), now)?;
    } else if !matches!(body, Body::BlobPart(_)) {
        // Parts are bounded by flow control and by the size that was announced.
        shared.flood.request(&session.gates, now)?;
    }
    Ok(body)
}

/// What a refusal of this frame is about.
pub(crate) fn about(frame: &im::Frame) -> About {
    if let Some(Body::Send(send)) = &frame.body {
        return About { conv: send.conv, client_id: send.client_id.clone() };
    }
    if let Some(Body::Create(create)) = &frame.body {
        return About { conv: 0, client_id: create.client_id.clone() };
    }
    About::default()
}

async fn answer(shared: &Arc<Shared>, session: &Arc<Session>, rid: u64, body: Body) -> Result<(), Refusal> {
    let owner = session.owner;
    match body {
        Body::Send(send) => writes::send(shared, session, rid, send),
        Body::Create(create) => writes::create(shared, session, rid, create),
        Body::Read(read) => writes::read(shared, session, rid, read),
        Body::ChangeSettings(change) => writes::settings(shared, session, rid, change),
        Body::Sync(sync) => reads::sync(shared, session, rid, sync).await,
        Body::WatchPresence(watch) => watch_presence(shared, session, rid, watch).await,
        Body::Ping(_) => {
            session.reply(rid, Body::Done(im::Done {}));
            Ok(())
        }
        Body::Hint(hint) => {
            typing(shared, session, hint);
            Ok(())
        }
        Body::Hello(_) => Err(Refusal::new(Code::HelloExpected, "the session has begun")),
        Body::BlobGet(get) => blobs::get_on_control(shared, session, rid, get).await,
        body @ (Body::BlobBegin(_) | Body::BlobPart(_) | Body::BlobCommit(_) | Body::BlobUrl(_)) => {
            session.reply(rid, blobs::answer(shared, owner, body).await?);
            Ok(())
        }
        body @ (Body::Fetch(_) | Body::FindUsers(_) | Body::GetMembers(_) | Body::GetReceipts(_)) => {
            session.reply(rid, reads::answer(shared, owner, body).await?);
            Ok(())
        }
        // What a server says: was refused before.
        Body::Welcome(_)
        | Body::Ack(_)
        | Body::SyncReply(_)
        | Body::FetchReply(_)
        | Body::Done(_)
        | Body::Created(_)
        | Body::Users(_)
        | Body::MembersPage(_)
        | Body::Receipts(_)
        | Body::BlobStatus(_)
        | Body::BlobDone(_)
        | Body::BlobData(_)
        | Body::BlobLink(_)
        | Body::Error(_)
        | Body::Deliver(_)
        | Body::DeliverUser(_)
        | Body::Goodbye(_)
        | Body::CallState(_) => Err(Refusal::new(Code::Malformed, "what a server says, a client does not")),
    }
}

/// Answers a frame that came as a datagram: hints only, and nothing is said about what is wrong with them.
pub(crate) fn datagram(shared: &Shared, session: &Session, frame: im::Frame) {
    if let Ok(Body::Hint(hint)) = admit(shared, session, frame, Place::Datagram, !session.is_confirmed()) {
        typing(shared, session, hint);
    }
}

/// Somebody types: told to the other members who are online. Whether the sender is one is looked at there.
fn typing(shared: &Shared, session: &Session, hint: im::Hint) {
    let Some(hint::Kind::Typing(typing)) = hint.kind else { return };
    let (conv, user) = (ConvId(typing.conv), session.owner.user);
    let typing = im::Typing { user: user.0, ..typing };
    shared.fanout.push(Job::Hint(Hint {
        conv,
        from: Some(user),
        most_members: MAX_HINTED_MEMBERS,
        key: HintKey::Typing(conv, user),
        frame: hint_frame(hint::Kind::Typing(typing)),
    }));
}

async fn watch_presence(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    watch: im::WatchPresence,
) -> Result<(), Refusal> {
    // Only users of the own organisation are found, and none that it hides: nothing is said of others, not even that.
    let mut found = Vec::new();
    for ids in watch.users.chunks(MAX_FOUND_USERS) {
        let find = im::FindUsers { ids: ids.to_vec(), names: Vec::new() };
        let users = reads::users(shared, session.owner, find).await?.users;
        found.extend(users.into_iter().map(|user| UserId(user.id)));
    }
    found.sort_unstable();
    found.dedup(); // two pieces may name the same
    session.reply(rid, Body::Done(im::Done {}));
    shared.hub.watch(session, found);
    Ok(())
}
