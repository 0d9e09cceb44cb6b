//! A session over a WebSocket, for networks that block UDP: one binary message per frame, hints among them. The socket
//! itself belongs to `signaling`, which hands in a sink and a stream of messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::FrameError;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};

use crate::guard::guarded;
use crate::login::{self, Arrival, Opened};
use crate::quic::{MAX_HELLO, expired, framing};
use crate::requests;
use crate::session::{About, End, Session, Transport};
use crate::shared::{Shared, now_ms, now_s};
use crate::writer::{self, Lost, Ready, Wire};

/// Serves one socket until it ends.
pub(crate) async fn run<W, R>(shared: Arc<Shared>, sink: W, mut stream: R)
where
    W: Sink<Bytes> + Unpin + Send + 'static,
    R: Stream<Item = Bytes> + Unpin + Send,
{
    let (wire, number) = (SocketWire { sink }, shared.hub.next_number());
    let opened = match timeout(MAX_HELLO, Box::pin(hello(&shared, number, &mut stream))).await {
        Ok(Ok(opened)) => opened,
        Ok(Err((rid, refusal))) => return refuse(&shared, wire, rid, &refusal).await,
        Err(_) => return refuse(&shared, wire, 0, &Refusal::new(Code::HelloExpected, "no hello")).await,
    };
    let (rid, Opened { session, welcome, proof, sync }) = opened;
    shared.metrics.im_sessions.with_label_values(&[session.transport.label()]).inc();
    session.reply(rid, Body::Welcome(welcome)); // before the first push
    shared.hub.add(&session);
    let write = guarded(&shared, &session, writer::run(Arc::clone(&shared), Arc::clone(&session), wire));
    let write = tokio::spawn(write);
    let first = sync.map(|sync| frame::of(rid.max(1), Body::Sync(sync)));
    guarded(&shared, &session, async {
        login::confirm(&shared, &session, proof).await;
        read(&shared, &session, stream, first).await;
    })
    .await;
    session.end(End::Gone);
    shared.hub.remove(&session, now_ms());
    shared.metrics.im_sessions.with_label_values(&[session.transport.label()]).dec();
    let _ = write.await; // its panic was counted where it happened
}

async fn hello(
    shared: &Shared,
    number: u64,
    stream: &mut (impl Stream<Item = Bytes> + Unpin),
) -> Result<(u64, Opened), (u64, Refusal)> {
    let Some(message) = stream.next().await else {
        return Err((0, Refusal::new(Code::HelloExpected, "the socket ended")));
    };
    let frame = frame::decode(message).map_err(|error| (0, framing(&error)))?;
    let (rid, hello) = login::hello(frame)?;
    let arrival = Arrival { transport: Transport::WebSocket, number, confirmed: true };
    let opened = login::open(shared, hello, arrival).await.map_err(|refusal| (rid, refusal))?;
    Ok((rid, opened))
}

async fn refuse(shared: &Shared, mut wire: SocketWire<impl Sink<Bytes> + Unpin + Send>, rid: u64, refusal: &Refusal) {
    const PATIENCE: Duration = Duration::from_secs(1);
    shared.count_refusal(refusal.code);
    let ready = Ready { control: vec![writer::refusal(rid, refusal)], ..Ready::default() };
    let _ = timeout(PATIENCE, wire.write(ready)).await; // who does not read it is told by the end
    let _ = timeout(PATIENCE, wire.close(None, 0)).await;
}

async fn read(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    mut stream: impl Stream<Item = Bytes> + Unpin,
    first: Option<im::Frame>,
) {
    shared.hub.confirmed(session);
    if let Some(frame) = first {
        Box::pin(requests::control(shared, session, frame, false)).await;
    }
    let expiry = Instant::now() + Duration::from_secs(session.expires_s.saturating_sub(now_s()));
    while session.over().is_none() {
        let idle = Instant::now() + shared.limits.idle_timeout;
        tokio::select! {
            biased;
            () = session.ended() => {}
            message = stream.next() => match message {
                Some(message) => Box::pin(control(shared, session, frame::decode(message))).await,
                None => session.end(End::Gone),
            },
            () = sleep_until(expiry.min(idle)) => {
                session.end(if expiry <= idle { expired() } else { End::Gone });
            }
        }
    }
}

async fn control(shared: &Arc<Shared>, session: &Arc<Session>, frame: Result<im::Frame, FrameError>) {
    match frame {
        Ok(frame) => requests::control(shared, session, frame, false).await,
        // Messages have an end of their own, so the next one can be read whatever this one was.
        Err(error) => shared.refuse(session, 0, &framing(&error), About::default()),
    }
}

struct SocketWire<W> {
    sink: W,
}

impl<W: Sink<Bytes> + Unpin + Send> Wire for SocketWire<W> {
    async fn write(&mut self, ready: Ready) -> Result<(), Lost> {
        let feeds = ready.feeds.into_iter().flatten();
        for bytes in ready.control.into_iter().chain(feeds).chain(ready.hints).chain(ready.bulk) {
            self.sink.feed(frame::without_prefix(bytes)).await.map_err(|_| Lost)?;
        }
        self.sink.flush().await.map_err(|_| Lost)
    }

    async fn close(mut self, goodbye: Option<Bytes>, _: u32) {
        if let Some(goodbye) = goodbye
            && self.sink.send(frame::without_prefix(goodbye)).await.is_err()
        {
            return;
        }
        let _ = self.sink.close().await; // it is closed already when this fails
    }
}
