//! One WebSocket: takes a seat (or takes one again), then carries requests to the room and notices to the client, until
//! one of them ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convene_telemetry::Metrics;
use livekit_protocol as pb;
use pb::signal_response::Message;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use tracing::Instrument;
use yawc::WebSocketError;

use super::join::Wish;
use super::limits::{SEND_TIMEOUT, SILENCE_TIMEOUT};
use super::socket::{Incoming, Socket};
use super::{Shared, convert, encode, names};
use crate::rooms::{
    Budget, Error, Joined, LeaveAction, LeaveReason, Mode, Notice, ParticipantId, RoomHandle, RoomRequest, SessionId,
};
use crate::token::{AuthError, Claims, Verifier};
use crate::turn::Turn;

/// How often a connected client gets a fresh token, to reconnect with.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How long such a token lives: two intervals, so that one lost refresh does no harm.
const REFRESH_TTL: Duration = Duration::from_secs(10 * 60);

/// Who comes in, and how.
pub(super) struct Entry {
    pub(super) room: String,
    pub(super) claims: Claims,
    pub(super) mode: Mode,
    pub(super) wish: Wish,
    pub(super) knows_track_ids: bool,
}

/// A seated client.
pub(super) struct Session {
    pub(super) room: RoomHandle,
    pub(super) participant: ParticipantId,
    pub(super) protocol: i32,
    session: SessionId,
    /// Its own, `PA_…`.
    sid: String,
    /// What its fresh tokens say.
    claims: Claims,
    verifier: Arc<Verifier>,
    metrics: Arc<Metrics>,
    turn: Arc<Turn>,
    /// Of the node, as it came in.
    stress: f32,
    socket: Socket,
}

/// Why a session's loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The participant is out of the room.
    Left,
    /// The connection is gone; the client may resume.
    Cut(&'static str),
}

/// Serves one WebSocket to its end.
pub(super) async fn serve(shared: Shared, socket: Socket, entry: Entry) {
    let span = tracing::info_span!("signal", room = %entry.room, participant = %entry.claims.identity);
    let open = Open::new(Arc::clone(&shared.metrics));
    run(shared, socket, entry).instrument(span).await;
    drop(open);
}

/// Counts a connection as long as it lives, however it ends.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.signal_connections.inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.signal_connections.dec();
    }
}

async fn run(shared: Shared, mut socket: Socket, mut entry: Entry) {
    let resumes = entry.wish.resume.is_some();
    let (room, joined) = match take_seat(&shared, &mut entry).await {
        Ok(seat) => seat,
        Err(error) => {
            tracing::info!(code = error.code(), resumes, "not let in");
            shared.metrics.refused.with_label_values(&[error.code()]).inc();
            return refuse(&mut socket, resumes, &error).await;
        }
    };
    tracing::debug!(sdk = %entry.wish.sdk, protocol = entry.wish.protocol, resumes, "signaling connected");
    // Looked at again: who was sent away or silenced in between was not in the room yet. Where nobody knows it is looked at
    // once more.
    let seat = shared.verifier.admit(&room, &joined, &entry.claims).await;
    if seat.is_err_and(|error| error.code != AuthError::UNAVAILABLE) {
        let _ = room.leave(joined.participant, LeaveReason::Removed).await; // an error says it is out already
        return refuse(&mut socket, false, &Error::NotAllowed("its holder was sent away")).await;
    }
    // Rights, name and metadata live on in the room: at a resume they may be others than the token says.
    let mut claims = entry.claims;
    claims.take_over(&joined.info);
    let mut session = Session {
        room,
        participant: joined.participant,
        protocol: entry.wish.protocol,
        session: joined.session,
        sid: joined.info.sid.clone(),
        claims,
        verifier: shared.verifier,
        metrics: shared.metrics,
        turn: shared.turn,
        stress: shared.rooms.stress(),
        socket,
    };
    let end = match session.greet(&joined, resumes, entry.wish.tracks, entry.wish.offer).await {
        Ok(()) => session.work(joined.notices, &joined.budget).await,
        Err(end) => end,
    };
    tracing::debug!(?end, "signaling ended");
    if end != End::Left {
        session.room.detached(session.participant, session.session).await;
    }
    let _ = timeout(SEND_TIMEOUT, session.socket.close()).await; // the client may be gone: nothing is left to tell
}

async fn take_seat(shared: &Shared, entry: &mut Entry) -> Result<(RoomHandle, Joined), Error> {
    if let Some(sid) = &entry.wish.resume {
        let room = shared.rooms.get(&entry.room).ok_or(Error::RoomNotFound)?;
        let joined = room.resume(&entry.claims.identity, sid).await?;
        if joined.mode != entry.mode {
            room.detached(joined.participant, joined.session).await;
            return Err(Error::WrongMode);
        }
        return Ok((room, joined));
    }
    let mut request = entry.claims.join_request(entry.mode);
    request.auto_subscribe = entry.wish.auto_subscribe;
    request.auto_subscribe_data = entry.wish.auto_subscribe_data;
    request.offers = entry.wish.offer.is_some();
    request.knows_track_ids = entry.knows_track_ids;
    request.client_protocol = entry.wish.client_protocol;
    request.capabilities = std::mem::take(&mut entry.wish.capabilities);
    if request.permission.can_update_metadata {
        if !entry.wish.metadata.is_empty() {
            request.metadata = std::mem::take(&mut entry.wish.metadata);
        }
        request.attributes.extend(std::mem::take(&mut entry.wish.attributes));
    }
    let room = RoomRequest { name: entry.room.clone(), ..RoomRequest::default() };
    shared.rooms.join(room, request).await
}

/// A client that cannot resume is told to join anew; one that cannot join, why.
async fn refuse(socket: &mut Socket, resumes: bool, error: &Error) {
    let (reason, action) = if matches!(error, Error::Draining) {
        (LeaveReason::ServerShutdown, LeaveAction::Reconnect)
    } else if resumes {
        (LeaveReason::StateMismatch, LeaveAction::Reconnect)
    } else {
        (LeaveReason::JoinFailure, LeaveAction::Disconnect)
    };
    let farewell = async {
        socket.feed(encoded(Message::Leave(convert::leave(reason, action)))).await?;
        socket.close().await
    };
    let _ = timeout(SEND_TIMEOUT, farewell).await; // the client may be gone: nothing is left to tell
}

impl Session {
    /// The first messages: the seat, tracks and offer of the join request, a fresh token.
    async fn greet(
        &mut self,
        joined: &Joined,
        resumes: bool,
        tracks: Vec<pb::AddTrackRequest>,
        offer: Option<pb::SessionDescription>,
    ) -> Result<(), End> {
        let relay = self.turn.access(&joined.info.identity);
        let first = if resumes { encode::resume } else { encode::join };
        self.send(first(joined, relay.as_ref(), self.stress)).await?;
        for track in tracks {
            self.handle_add_track(track).await?;
        }
        if let Some(offer) = offer {
            self.handle_offer(offer).await?;
        }
        self.refresh_token().await
    }

    async fn work(&mut self, mut notices: mpsc::Receiver<Notice>, budget: &Budget) -> End {
        let mut refresh = interval(REFRESH_INTERVAL);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.reset(); // the first token went out with the join
        let mut heard = tokio::time::Instant::now();
        loop {
            let step = tokio::select! {
                notice = notices.recv() => self.handle_notices(notice, &mut notices).await,
                message = next(&mut self.socket, budget.reads_from()) => {
                    heard = tokio::time::Instant::now();
                    self.handle_frame(message, budget).await
                }
                _ = refresh.tick() => self.refresh_token().await,
                () = sleep_until(heard + SILENCE_TIMEOUT) => Err(End::Cut("silent")),
            };
            if let Err(end) = step {
                // What the room said before the end (a reason to leave) still reaches the client.
                while let Ok(notice) = notices.try_recv() {
                    if self.send(encode::notice(notice)).await.is_err() {
                        break;
                    }
                }
                return end;
            }
        }
    }

    /// Writes all notices that are there with one flush. Where they change who the participant is or what it may, a fresh
    /// token follows at once: with the old one a full reconnect would take that back.
    async fn handle_notices(&mut self, first: Option<Notice>, more: &mut mpsc::Receiver<Notice>) -> Result<(), End> {
        let mut next = first.ok_or(End::Cut("seat taken by another connection, or too slow"))?;
        let mut changed = false;
        loop {
            changed |= self.note_own_change(&next);
            let leaves = matches!(next, Notice::Leave { .. });
            self.feed(encode::notice(next)).await?;
            if leaves {
                self.flush().await?;
                return Err(End::Left);
            }
            match more.try_recv() {
                Ok(notice) => next = notice,
                Err(_) if changed => return self.refresh_token().await,
                Err(_) => return self.flush().await,
            }
        }
    }

    async fn handle_frame(&mut self, message: Result<Incoming, WebSocketError>, budget: &Budget) -> Result<(), End> {
        let bytes = match message {
            Ok(Incoming::Message(bytes)) => bytes,
            Ok(Incoming::Beat) => return Ok(()),
            Ok(Incoming::Text) => return Err(End::Cut("text frame")), // no client sends them
            Ok(Incoming::Closed) => return Err(End::Cut("closed by the client")),
            Err(error) => {
                tracing::debug!(%error, "socket error");
                self.count_refused("signal_socket_error");
                return Err(End::Cut("socket error, or a frame beyond the limit"));
            }
        };
        if !budget.take(Instant::now(), bytes.len()) {
            tracing::warn!("too many signaling messages");
            self.count_refused("signal_messages_per_second");
            return Err(End::Cut("messages_per_second"));
        }
        match pb::SignalRequest::decode(bytes) {
            Ok(pb::SignalRequest { message: Some(message) }) => {
                self.metrics.signal_messages.with_label_values(&["in", names::request(&message)]).inc();
                self.handle_request(message).await
            }
            Ok(pb::SignalRequest { message: None }) => Ok(()), // of a newer protocol
            Err(error) => {
                tracing::info!(%error, "malformed signaling message");
                self.count_refused("signal_malformed");
                Err(End::Cut("malformed message"))
            }
        }
    }

    async fn refresh_token(&mut self) -> Result<(), End> {
        match self.verifier.refresh(&self.claims, REFRESH_TTL) {
            Ok(token) => self.send(Message::RefreshToken(token)).await,
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the token");
                Ok(())
            }
        }
    }

    /// Grants, name and metadata live on in the room: fresh tokens have to say the same. `true`: they say something else now.
    fn note_own_change(&mut self, notice: &Notice) -> bool {
        let Notice::Participants(infos) = notice else { return false };
        infos.iter().find(|info| info.sid == self.sid).is_some_and(|own| self.claims.take_over(own))
    }

    /// `code` is one of a closed set, never anything a client wrote.
    pub(super) fn count_refused(&self, code: &'static str) {
        self.metrics.refused.with_label_values(&[code]).inc();
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), End> {
        self.feed(message).await?;
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        self.metrics.signal_messages.with_label_values(&["out", names::response(&message)]).inc();
        within_time(self.socket.feed(encoded(message))).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        within_time(self.socket.flush()).await
    }
}

/// What the client says next, read from this time on.
async fn next(socket: &mut Socket, from: Option<Instant>) -> Result<Incoming, WebSocketError> {
    if let Some(from) = from {
        sleep_until(from.into()).await;
    }
    socket.next().await
}

async fn within_time(write: impl Future<Output = Result<(), WebSocketError>>) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Cut("socket closed")),
        Err(_) => Err(End::Cut("client takes no bytes")),
    }
}

fn encoded(message: Message) -> Vec<u8> {
    pb::SignalResponse { message: Some(message) }.encode_to_vec()
}
