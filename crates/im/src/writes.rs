//! Requests that change something: handed to the store, answered when they are durable. The store answers on its writer
//! thread in commit order; there an answer goes into the session's outbox and the event to fan-out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_im_core::gate;
use convene_im_core::model::Refusal;
use convene_im_core::outbox::HintKey;
use convene_proto::im::{self, Code, frame::Body, hint};
use convene_store::{Appended, Op, Outcome};
use convene_types::{ConvId, Seq, UserId};

use crate::fanout::{Answer, Hint, Job};
use crate::hub::hint_frame;
use crate::login::unexpected;
use crate::requests::MAX_HINTED_MEMBERS;
use crate::session::{About, Session};
use crate::shared::{Shared, wire};

/// When fan-out is behind, a sender waits for about as long as it takes to work that off.
const BEHIND_RETRY_MS: u32 = 500;

/// Appends an event.
pub(crate) fn send(shared: &Arc<Shared>, session: &Arc<Session>, rid: u64, send: im::Send) -> Result<(), Refusal> {
    let client_id = gate::check_client_id(&send.client_id)?;
    let body = send.body.ok_or_else(|| Refusal::new(Code::Malformed, "a send without body"))?;
    let conv = ConvId(send.conv);
    if shared.fanout.is_full(conv) {
        return Err(Refusal::later(Code::Unavailable, "the server is behind with telling others", BEHIND_RETRY_MS));
    }
    let op = Op::Append { org: session.owner.org, actor: session.owner.user, client_id, conv, body };
    let (about, begun) = (About { conv: conv.0, client_id: send.client_id }, Instant::now());
    let (to_shared, to_session) = (Arc::clone(shared), Arc::clone(session));
    shared.store.write(op, move |result| {
        let (shared, session) = (to_shared, to_session);
        let appended = result.and_then(|outcome| {
            let Outcome::Appended(appended) = outcome else { return Err(unexpected(&outcome)) };
            Ok(appended)
        });
        match appended {
            Ok(appended) => {
                let result = if appended.duplicate { "duplicate" } else { "ok" };
                shared.metrics.im_sends.with_label_values(&[result]).inc();
                shared.metrics.im_commit.observe(begun.elapsed().as_secs_f64());
                sent(&shared, session, rid, about.client_id, appended);
            }
            Err(refusal) => {
                shared.metrics.im_sends.with_label_values(&[&refusal.code.label()]).inc();
                shared.refuse(&session, rid, &refusal, about);
            }
        }
    });
    Ok(())
}

/// The acknowledgement of a send, with its event where there is one.
fn sent(shared: &Shared, session: Arc<Session>, rid: u64, client_id: Bytes, appended: Appended) {
    let Appended { conv, seq, ord, at_ms, duplicate, .. } = appended;
    let ack = im::Ack { client_id, conv: conv.0, seq: seq.0, ord: ord.0, at_ms, duplicate };
    if duplicate || !appended.pushes.is_empty() {
        session.reply(rid, Body::Ack(ack)); // before what the event says to the users' own logs
        shared.publish(appended, None);
    } else {
        shared.publish(appended, Some(Box::new(Answer { session, rid, ack })));
    }
}

/// Makes a conversation.
pub(crate) fn create(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    create: im::Create,
) -> Result<(), Refusal> {
    let client_id = gate::check_client_id(&create.client_id)?;
    let kind = create.kind();
    let members = create.members.into_iter().map(UserId).collect();
    let owner = session.owner;
    let op = Op::Create { org: owner.org, maker: owner.user, client_id, kind, title: create.title, members };
    let about = About { conv: 0, client_id: create.client_id };
    change(shared, session, rid, about, op, move |_, outcome| {
        let Outcome::Created { conv, duplicate, events } = outcome else { return Err(unexpected(&outcome)) };
        Ok((Body::Created(im::Created { client_id: wire(&client_id.0), conv: conv.0, duplicate }), events))
    });
    Ok(())
}

/// Raises a read cursor.
pub(crate) fn read(shared: &Arc<Shared>, session: &Arc<Session>, rid: u64, read: im::Read) -> Result<(), Refusal> {
    let (user, conv) = (session.owner.user, ConvId(read.conv));
    let op = Op::Read { user, conv, seq: Seq(read.seq) };
    let about = About { conv: conv.0, ..About::default() };
    change(shared, session, rid, about, op, move |shared, outcome| {
        let Outcome::Read { seq, risen, push, .. } = outcome else { return Err(unexpected(&outcome)) };
        if let Some(push) = push {
            shared.push_user(push);
        }
        if risen {
            shared.fanout.push(receipt(conv, user, seq));
        }
        Ok((Body::Done(im::Done {}), Vec::new()))
    });
    Ok(())
}

/// Changes settings.
pub(crate) fn settings(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    change_settings: im::ChangeSettings,
) -> Result<(), Refusal> {
    let settings = change_settings.settings.ok_or_else(|| Refusal::new(Code::Malformed, "no settings"))?;
    let about = About { conv: settings.conv, ..About::default() };
    let op = Op::Settings { user: session.owner.user, settings };
    change(shared, session, rid, about, op, |shared, outcome| {
        let Outcome::Settings { push } = outcome else { return Err(unexpected(&outcome)) };
        shared.push_user(push);
        Ok((Body::Done(im::Done {}), Vec::new()))
    });
    Ok(())
}

/// Hands a change to the store, and its answer to the client. The answer is queued before the event goes to anybody.
fn change(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    about: About,
    op: Op,
    told: impl FnOnce(&Shared, Outcome) -> Result<(Body, Vec<Appended>), Refusal> + Send + 'static,
) {
    let (to_shared, to_session) = (Arc::clone(shared), Arc::clone(session));
    shared.store.write(op, move |result| {
        let (shared, session) = (to_shared, to_session);
        match result.and_then(|outcome| told(&shared, outcome)) {
            Ok((reply, events)) => {
                session.reply(rid, reply);
                events.into_iter().for_each(|event| shared.publish(event, None));
            }
            Err(refusal) => shared.refuse(&session, rid, &refusal, about),
        }
    });
}

fn receipt(conv: ConvId, user: UserId, seq: Seq) -> Job {
    let receipt = im::Receipt { conv: conv.0, user: user.0, seq: seq.0 };
    Job::Hint(Hint {
        conv,
        from: Some(user),
        most_members: MAX_HINTED_MEMBERS,
        key: HintKey::Receipt(conv, user),
        frame: hint_frame(hint::Kind::Receipt(receipt)),
    })
}
