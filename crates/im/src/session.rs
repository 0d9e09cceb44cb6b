//! One signed-in device: its identity, its outbox, and how it ends. The transports read and write around it
//! ([`crate::quic`], [`crate::websocket`]); fan-out and the store's writer thread only push into its outbox.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_im_core::outbox::{self, HintKey, Out, Outbox};
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_types::{ConvId, DeviceId, OrgId, Seq, Useq, UserId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::flood::Gates;
use crate::options::Login;
use crate::windows::Moves;

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "it is its name")]
pub(crate) enum Transport {
    Quic,
    WebTransport,
    WebSocket,
}

impl Transport {
    /// For metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
        }
    }
}

/// Why a session is over.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The client left, or cannot be reached: nothing is told to it.
    Gone,
    /// The server ends it and says so.
    Told { code: Code, text: &'static str, retry_after_ms: u32 },
}

/// Who a session belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) org: OrgId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// See the module. Shared by the task that reads, the task that writes, and the hub.
pub(crate) struct Session {
    /// Unguessable; told to the client.
    pub(crate) id: [u8; 16],
    pub(crate) owner: Owner,
    /// The sign-in behind it; none of a development token.
    pub(crate) login: Option<Login>,
    pub(crate) transport: Transport,
    /// Sessions are numbered as their connections begin ([`crate::login::Arrival`]): of two of one device the later one counts.
    pub(crate) number: u64,
    /// Seconds since 1970 at which the token expires.
    pub(crate) expires_s: u64,
    pub(crate) gates: Mutex<Gates>,
    /// Users whose presence is told to this session.
    pub(crate) watched: Mutex<Vec<UserId>>,
    outbox: Mutex<Outbox>,
    /// There is something to write.
    pub(crate) wake: Notify,
    /// There is an answer in the outbox for which nobody was woken: an event follows that does it.
    unwoken: AtomicBool,
    /// The handshake is done: whoever holds the token is there, and nobody replays.
    confirmed: AtomicBool,
    end: OnceLock<End>,
    ended: Notify,
    /// Something was written: the outbox may have room again.
    pub(crate) written: Notify,
    /// Blobs that move on bulk streams.
    pub(crate) moves: Mutex<Moves>,
    /// Downloads on the control stream.
    pub(crate) downloads: AtomicU32,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("number", &self.number).field("user", &self.owner.user.0).finish()
    }
}

/// What [`Session::new`] takes.
pub(crate) struct NewSession {
    pub(crate) owner: Owner,
    pub(crate) login: Option<Login>,
    pub(crate) transport: Transport,
    pub(crate) number: u64,
    pub(crate) expires_s: u64,
    pub(crate) gates: Gates,
    pub(crate) confirmed: bool,
}

impl Session {
    pub(crate) fn new(new: NewSession) -> Self {
        Self {
            id: rand::random(),
            owner: new.owner,
            login: new.login,
            transport: new.transport,
            number: new.number,
            expires_s: new.expires_s,
            gates: Mutex::new(new.gates),
            watched: Mutex::default(),
            outbox: Mutex::new(Outbox::new(outbox::Limits::default())),
            wake: Notify::new(),
            unwoken: AtomicBool::new(false),
            confirmed: AtomicBool::new(new.confirmed),
            end: OnceLock::new(),
            ended: Notify::new(),
            written: Notify::new(),
            moves: Mutex::default(),
            downloads: AtomicU32::new(0),
        }
    }

    /// Whether the handshake was done when somebody looked last.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Acquire)
    }

    /// The handshake is done. True the first time.
    pub(crate) fn confirm(&self) -> bool {
        !self.confirmed.swap(true, Ordering::AcqRel)
    }

    /// Puts a reply on the control stream.
    pub(crate) fn reply(&self, rid: u64, body: Body) {
        self.push_control(frame::encode(&frame::of(rid, body)));
    }

    /// The same with an answer that is followed by the event it is about. Wakes nobody: the caller does, by delivering the
    /// event or with [`Self::wake_answered`].
    pub(crate) fn reply_before_event(&self, rid: u64, body: Body) {
        self.queue_control(frame::encode(&frame::of(rid, body)));
        self.unwoken.store(true, Ordering::Release);
    }

    /// Has the answers written for which nobody was woken.
    pub(crate) fn wake_answered(&self) {
        if self.unwoken.swap(false, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Puts a refusal on the control stream.
    pub(crate) fn refuse(&self, rid: u64, refusal: &Refusal, about: About) {
        self.reply(rid, Body::Error(error(refusal, about)));
    }

    /// Puts a piece of a blob behind everything else on the control stream.
    pub(crate) fn reply_in_bulk(&self, rid: u64, body: Body) {
        if !self.outbox.lock().push_bulk(frame::encode(&frame::of(rid, body))) {
            self.end(too_slow());
        }
        self.wake.notify_one();
    }

    /// Puts a push on the control stream.
    pub(crate) fn push(&self, frame: Bytes) {
        self.push_control(frame);
    }

    /// A client that asks and does not read the answers is let go: there is nothing else to do with them.
    fn push_control(&self, frame: Bytes) {
        self.queue_control(frame);
        self.wake.notify_one();
    }

    fn queue_control(&self, frame: Bytes) {
        if !self.outbox.lock().push_control(frame) {
            self.end(too_slow());
        }
    }

    /// Puts (from, to] of a conversation's log into the outbox. When that is full, the session reads it from the store
    /// later on.
    pub(crate) fn deliver(&self, conv: ConvId, from: Seq, to: Seq, frame: &Bytes) {
        self.outbox.lock().push_event(conv, from, to, frame);
        self.unwoken.store(false, Ordering::Release);
        self.wake.notify_one();
    }

    /// Puts (from, to] of the user's log into the outbox.
    pub(crate) fn deliver_user(&self, from: Useq, to: Useq, frame: &Bytes) {
        self.outbox.lock().push_user(from, to, frame);
        self.wake.notify_one();
    }

    /// A hint: goes out if there is room.
    pub(crate) fn hint(&self, key: HintKey, frame: Bytes) {
        self.outbox.lock().push_hint(key, frame);
        self.wake.notify_one();
    }

    /// Takes what is to be written, at most `most` parts and about `most_bytes`.
    pub(crate) fn take(&self, most: usize, most_bytes: usize) -> Vec<Out> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let mut outbox = self.outbox.lock();
        while taken.len() < most && bytes < most_bytes {
            let Some(out) = outbox.pop() else { break };
            bytes += size(&out);
            let last = matches!(out, Out::Bulk(_) | Out::TooSlow | Out::RepairConv { .. } | Out::RepairUser { .. });
            taken.push(out);
            if last {
                break;
            }
        }
        taken
    }

    /// Runs over the outbox, after a repair.
    pub(crate) fn with_outbox<T>(&self, work: impl FnOnce(&mut Outbox) -> T) -> T {
        work(&mut self.outbox.lock())
    }

    /// Waits until the outbox holds less than `bytes`, or the session is over.
    pub(crate) async fn room(&self, bytes: usize) {
        loop {
            let written = self.written.notified(); // hears of a write from here on
            if self.over().is_some() || self.outbox.lock().queued_bytes() < bytes {
                return;
            }
            tokio::select! {
                () = written => {}
                () = self.ended() => return,
            }
        }
    }

    /// Ends the session: the writer says goodbye, the reader stops. The first reason counts.
    pub(crate) fn end(&self, end: End) {
        if self.end.set(end).is_ok() {
            self.ended.notify_waiters();
            self.wake.notify_one();
        }
    }

    /// Why it is over, if it is.
    pub(crate) fn over(&self) -> Option<&End> {
        self.end.get()
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) {
        let ended = self.ended.notified(); // hears of an end from here on
        if self.end.get().is_none() {
            ended.await;
        }
    }
}

fn size(out: &Out) -> usize {
    match out {
        Out::Control(frame) | Out::Hint(frame) | Out::Bulk(frame) | Out::Event { frame, .. } => frame.len(),
        Out::RepairConv { .. } | Out::RepairUser { .. } | Out::TooSlow => 0,
    }
}

/// What a refusal is about, for clients that wait for an answer to a send.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) conv: u64,
    pub(crate) client_id: Bytes,
}

/// A refusal as it stands on the wire.
pub(crate) fn error(refusal: &Refusal, about: About) -> im::Error {
    im::Error {
        code: refusal.code.into(),
        text: refusal.text.clone().into_owned(),
        retry_after_ms: refusal.retry_after_ms,
        conv: about.conv,
        client_id: about.client_id,
    }
}

/// The farewell to a client that does not read.
pub(crate) fn too_slow() -> End {
    End::Told {
        code: Code::TooSlow,
        text: "what was asked for was not taken; connect and sync again",
        retry_after_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn session() -> Session {
        let owner = Owner { org: OrgId(1), user: UserId(1), device: DeviceId([1; 16]) };
        let gates = Gates::default();
        Session::new(NewSession {
            owner,
            transport: Transport::Quic,
            number: 1,
            expires_s: 0,
            login: None,
            gates,
            confirmed: true,
        })
    }

    fn woken(session: &Session) -> bool {
        session.wake.notified().now_or_never().is_some()
    }

    #[test]
    fn an_answer_is_written_with_its_event_or_at_the_end_of_the_round() {
        let session = session();
        let answer = || session.reply_before_event(1, Body::Ack(im::Ack::default()));
        answer();
        assert!(!woken(&session));
        session.deliver(ConvId(1), Seq(0), Seq(1), &Bytes::from_static(b"event"));
        assert!(woken(&session));
        assert_eq!(session.take(9, 999).len(), 2);
        session.wake_answered();
        assert!(!woken(&session), "the event has woken it");
        answer();
        session.wake_answered();
        assert!(woken(&session), "no event came");
    }
}
