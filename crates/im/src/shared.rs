//! What all sessions share, and the clock of this shell.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use convene_accounts::token::Authority;
use convene_im_core::model::Refusal;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body, user_event};
use convene_store::{Appended, Blobs, Store, UserPush};
use convene_telemetry::Metrics;
use convene_tls::Resolver;
use convene_types::{ConvId, Useq};
use tokio::sync::{Semaphore, broadcast};

use crate::fanout::{Answer, Event, Fanout, Job};
use crate::flood::Flood;
use crate::hub::Hub;
use crate::links::Links;
use crate::login::Known;
use crate::options::{Limits, Logins, Pictures};
use crate::session::Session;

/// See the module.
pub(crate) struct Shared {
    pub(crate) authority: Arc<Authority>,
    pub(crate) logins: Option<Logins>,
    pub(crate) pictures: Option<Pictures>,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) hub: Arc<Hub>,
    pub(crate) fanout: Fanout,
    pub(crate) flood: Flood,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) resolver: Arc<Resolver>,
    /// Users that have signed in.
    pub(crate) known: Known,
    /// Voice messages that are being decoded.
    pub(crate) inspections: Arc<Semaphore>,
    /// Signs addresses of blobs.
    pub(crate) links: Links,
    /// Conversations in which who may do what has changed.
    pub(crate) standings: broadcast::Sender<ConvId>,
}

impl Shared {
    /// Tells everybody concerned of an event that was committed. Called on the store's writer thread, in commit order.
    /// `answer` is for who sent it.
    pub(crate) fn publish(&self, mut appended: Appended, answer: Option<Box<Answer>>) {
        for push in std::mem::take(&mut appended.pushes) {
            self.push_user(push);
        }
        if appended.standing {
            let _ = self.standings.send(appended.conv); // an error says that nobody listens
        }
        if !appended.duplicate {
            self.fanout.push(Job::Appended(Event::new(appended, answer)));
        }
    }

    /// Tells a user's devices of an entry of their log, and whoever watches them of another name or picture.
    pub(crate) fn push_user(&self, push: UserPush) {
        let UserPush { user, useq, event } = push;
        if let Some(user_event::Kind::Profile(shown)) = &event.kind {
            self.hub.tell_profile(shown);
        }
        if !self.hub.has(user) {
            return;
        }
        let from = Useq(useq.0.saturating_sub(1));
        let deliver = im::DeliverUser { from: from.0, to: useq.0, events: vec![event] };
        let frame = frame::encode(&frame::of(0, Body::DeliverUser(deliver)));
        self.hub.each(user, |session| session.deliver_user(from, useq, &frame));
    }

    /// Counts a refusal and puts it on the control stream.
    pub(crate) fn refuse(&self, session: &Session, rid: u64, refusal: &Refusal, about: crate::session::About) {
        self.count_refusal(refusal.code);
        session.refuse(rid, refusal, about);
    }

    /// Every refusal is counted under its code.
    pub(crate) fn count_refusal(&self, code: Code) {
        self.metrics.refused.with_label_values(&[&code.label()]).inc();
    }

    /// Counts a frame.
    pub(crate) fn count_frame(&self, direction: &str, body: &Body) {
        self.metrics.im_frames.with_label_values(&[direction, kind(body)]).inc();
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An id as it goes on the wire.
pub(crate) fn wire(id: &[u8]) -> Bytes {
    Bytes::copy_from_slice(id)
}

/// Name of a frame's kind, for metrics.
pub(crate) fn kind(body: &Body) -> &'static str {
    match body {
        Body::Hello(_) => "hello",
        Body::Send(_) => "send",
        Body::Sync(_) => "sync",
        Body::Fetch(_) => "fetch",
        Body::Read(_) => "read",
        Body::Create(_) => "create",
        Body::ChangeSettings(_) => "change_settings",
        Body::FindUsers(_) => "find_users",
        Body::GetMembers(_) => "get_members",
        Body::GetReceipts(_) => "get_receipts",
        Body::WatchPresence(_) => "watch_presence",
        Body::BlobBegin(_) => "blob_begin",
        Body::BlobPart(_) => "blob_part",
        Body::BlobCommit(_) => "blob_commit",
        Body::BlobGet(_) => "blob_get",
        Body::BlobUrl(_) => "blob_url",
        Body::Ping(_) => "ping",
        Body::Welcome(_) => "welcome",
        Body::Ack(_) => "ack",
        Body::SyncReply(_) => "sync_reply",
        Body::FetchReply(_) => "fetch_reply",
        Body::Done(_) => "done",
        Body::Created(_) => "created",
        Body::Users(_) => "users",
        Body::MembersPage(_) => "members_page",
        Body::Receipts(_) => "receipts",
        Body::BlobStatus(_) => "blob_status",
        Body::BlobDone(_) => "blob_done",
        Body::BlobData(_) => "blob_data",
        Body::BlobLink(_) => "blob_link",
        Body::Error(_) => "error",
        Body::Deliver(_) => "deliver",
        Body::DeliverUser(_) => "deliver_user",
        Body::Goodbye(_) => "goodbye",
        Body::CallState(_) => "call_state",
        Body::Hint(_) => "hint",
    }
}
