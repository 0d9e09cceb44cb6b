//! A session over QUIC or WebTransport: streams and datagrams around [`crate::session`].
//!
//! ```text
//!  this task:    control stream (read) + new bulk streams + datagrams + expiry + end
//!  writer task:  outbox -> control stream (write), feeds, datagrams, goodbye
//!  bulk tasks:   one per bulk stream, at most as many as the transport allows
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::MAX_FEEDS;
use convene_proto::{Decoder, FrameError, frame};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep_until, timeout};
use web_transport_quinn as wt;

use crate::accept::Link;
use crate::bulk::{self, Bulk};
use crate::confirmed::Confirmed;
use crate::guard::guarded;
use crate::login::{self, Arrival, Opened};
use crate::requests;
use crate::session::{About, End, Session};
use crate::shared::{Shared, now_ms, now_s};
use crate::writer::{self, Lost, Ready, Wire};

/// Longest time between a handshake and a `Hello`.
pub(crate) const MAX_HELLO: Duration = Duration::from_secs(10);
/// Bytes taken from a stream at once.
const READ_BYTES: usize = 16 * 1024;
/// Control before feeds before bulk: a reply is not kept waiting by what was asked for in passing.
const CONTROL_PRIORITY: i32 = 2;
const FEED_PRIORITY: i32 = 1;
/// How long a goodbye gets to arrive.
const GOODBYE: Duration = Duration::from_millis(500);

/// Begins a session on a connection. What serves it is a task of its own, so that the memory of signing in goes.
pub(crate) async fn run(shared: Arc<Shared>, link: Link, number: u64) {
    let Ok(Ok((control, recv))) = timeout(MAX_HELLO, link.session.accept_bi()).await else {
        return link.session.close(code(Code::HelloExpected), b"no control stream");
    };
    let _ = control.set_priority(CONTROL_PRIORITY); // fails when the stream is gone, which the first write tells
    let mut reader = FrameReader::new(recv, link.confirmed.clone());
    let opened = match timeout(MAX_HELLO, Box::pin(hello(&shared, &link, number, &mut reader))).await {
        Ok(Ok(opened)) => opened,
        Ok(Err((rid, refusal))) => return refuse(&shared, link, control, rid, &refusal).await,
        Err(_) => return link.session.close(code(Code::HelloExpected), b"no hello"),
    };
    tokio::spawn(serve(shared, link, control, reader, opened));
}

/// Serves a session until it ends. Thousands of these wait at once: what they hold is small, and none of it twice.
fn serve(
    shared: Arc<Shared>,
    link: Link,
    control: wt::SendStream,
    reader: FrameReader,
    (rid, opened): (u64, Opened),
) -> impl Future<Output = ()> {
    let Link { session: connection, confirmed, .. } = link;
    let Opened { session, welcome, proof, sync } = opened;
    session.reply(rid, Body::Welcome(welcome)); // before anything can be pushed
    shared.metrics.im_sessions.with_label_values(&[session.transport.label()]).inc();
    shared.hub.add(&session);
    let wire = QuicWire { connection: Arc::clone(&connection), control, feeds: Default::default() };
    let write = guarded(&shared, &session, writer::run(Arc::clone(&shared), Arc::clone(&session), wire));
    let write = tokio::spawn(write);
    let first = sync.map(|sync| Box::new(frame::of(rid.max(1), Body::Sync(sync))));
    let reading = Reading { connection, confirmed, reader, proof };
    let read = guarded(&shared, &session, read(Arc::clone(&shared), Arc::clone(&session), reading, first));
    async move {
        read.await;
        session.end(End::Gone);
        shared.hub.remove(&session, now_ms());
        shared.metrics.im_sessions.with_label_values(&[session.transport.label()]).dec();
        let _ = write.await; // its panic was counted where it happened
    }
}

/// Waits for the first frame and signs in.
async fn hello(
    shared: &Shared,
    link: &Link,
    number: u64,
    reader: &mut FrameReader,
) -> Result<(u64, Opened), (u64, Refusal)> {
    let frame = match reader.next().await {
        Some(Ok(frame)) => frame,
        Some(Err(error)) => return Err((0, framing(&error))),
        None => return Err((0, Refusal::new(Code::HelloExpected, "the control stream ended"))),
    };
    let (rid, hello) = login::hello(frame)?;
    let arrival = Arrival { transport: link.transport, number, confirmed: link.confirmed.is_done() };
    let opened = login::open(shared, hello, arrival).await.map_err(|refusal| (rid, refusal))?;
    Ok((rid, opened))
}

/// Tells a stranger why not.
async fn refuse(shared: &Shared, link: Link, control: wt::SendStream, rid: u64, refusal: &Refusal) {
    shared.count_refusal(refusal.code);
    let mut wire = QuicWire { connection: link.session, control, feeds: Default::default() };
    let ready = Ready { control: vec![writer::refusal(rid, refusal)], ..Ready::default() };
    let _ = timeout(GOODBYE, wire.write(ready)).await; // the code of the close says the same
    wire.close(None, code(refusal.code)).await;
}

/// What the reading task owns.
struct Reading {
    connection: Arc<wt::Session>,
    confirmed: Confirmed,
    reader: FrameReader,
    proof: Option<String>,
}

/// `first` is the request that came with the `Hello`.
async fn read(shared: Arc<Shared>, session: Arc<Session>, mut reading: Reading, first: Option<Box<im::Frame>>) {
    let (shared, session) = (&shared, &session);
    if let Some(proof) = reading.proof.take() {
        Box::pin(login::confirm(shared, session, Some(proof))).await;
    }
    if session.is_confirmed() {
        shared.hub.confirmed(session);
    }
    if let Some(frame) = first {
        let answer = Box::pin(requests::control(shared, session, *frame, reading.reader.is_early()));
        confirming(shared, session, &reading.confirmed, answer).await;
    }
    // Made once: as a new one for each frame it would go into the runtime's timers and out again each time.
    let mut expiry = pin!(sleep_until(Instant::now() + Duration::from_secs(session.expires_s.saturating_sub(now_s()))));
    while session.over().is_none() {
        let Reading { connection, confirmed, reader, .. } = &mut reading;
        tokio::select! {
            biased;
            done = confirmed.clone(), if !session.is_confirmed() => confirm(shared, session, done),
            () = session.ended() => {}
            frame = reader.next() => match frame {
                Some(frame) => {
                    let answers = Box::pin(controls(shared, session, reader, frame));
                    confirming(shared, session, confirmed, answers).await;
                }
                None => session.end(End::Gone),
            },
            stream = connection.accept_bi() => match stream {
                Ok((send, recv)) => {
                    let reader = FrameReader::new(recv, confirmed.clone());
                    let bulk = Bulk { connection: Arc::clone(connection), send, reader };
                    let (to_shared, to_session) = (Arc::clone(shared), Arc::clone(session));
                    tokio::spawn(guarded(shared, session, bulk::run(to_shared, to_session, bulk)));
                }
                Err(_) => session.end(End::Gone),
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => {
                    if let Ok(frame) = frame::decode(datagram) {
                        requests::datagram(shared, session, frame);
                    }
                }
                Err(_) => session.end(End::Gone),
            },
            () = &mut expiry => session.end(expired()),
        }
    }
}

/// Does some work, and hears meanwhile that the handshake is done: a long answer on a slow path is written for minutes, in
/// which the session would be nobody's.
async fn confirming(
    shared: &Shared,
    session: &Arc<Session>,
    confirmed: &Confirmed,
    mut work: impl Future<Output = ()> + Unpin,
) {
    if !session.is_confirmed() {
        tokio::select! {
            biased;
            () = &mut work => return,
            done = confirmed.clone() => confirm(shared, session, done),
        }
    }
    work.await;
}

/// The handshake is done, or the connection is lost.
pub(crate) fn confirm(shared: &Shared, session: &Arc<Session>, done: bool) {
    if !done {
        session.end(End::Gone);
    } else if session.confirm() {
        shared.hub.confirmed(session);
    }
}

/// Answers a frame and those that came with it.
async fn controls(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    reader: &mut FrameReader,
    frame: Result<im::Frame, FrameError>,
) {
    let mut next = Some(frame);
    while let Some(frame) = next.take_if(|_| session.over().is_none()) {
        control(shared, session, frame, reader.is_early()).await;
        next = reader.buffered();
    }
}

async fn control(shared: &Arc<Shared>, session: &Arc<Session>, frame: Result<im::Frame, FrameError>, early: bool) {
    match frame {
        Ok(frame) => requests::control(shared, session, frame, early).await,
        Err(error) => {
            let refusal = framing(&error);
            shared.refuse(session, 0, &refusal, About::default());
            if refusal.code == Code::FrameTooLarge {
                session.end(End::Told {
                    code: refusal.code,
                    text: "where the next frame begins is unknown",
                    retry_after_ms: 0,
                });
            }
        }
    }
}

/// The token's time is over.
pub(crate) fn expired() -> End {
    End::Told { code: Code::Unauthenticated, text: "the token has expired", retry_after_ms: 0 }
}

/// What is wrong with bytes, as clients are told.
pub(crate) fn framing(error: &FrameError) -> Refusal {
    let code = if *error == FrameError::TooLarge { Code::FrameTooLarge } else { Code::Malformed };
    Refusal::new(code, error.to_string())
}

/// A code as QUIC carries it.
pub(crate) fn code(code: Code) -> u32 {
    u32::try_from(i32::from(code)).unwrap_or(0)
}

/// Frames of one stream.
pub(crate) struct FrameReader {
    recv: wt::RecvStream,
    decoder: Decoder,
    confirmed: Confirmed,
    /// What was read last had come before the handshake was done.
    early: bool,
}

impl FrameReader {
    pub(crate) fn new(recv: wt::RecvStream, confirmed: Confirmed) -> Self {
        Self { recv, decoder: Decoder::default(), confirmed, early: true }
    }

    /// Whether the frame that was taken last came as early data. Bytes that come after the handshake are read after it.
    pub(crate) fn is_early(&self) -> bool {
        self.early
    }

    /// The next frame; `None` at the end of the stream. May be dropped while it waits. Between two frames it holds no
    /// memory, as most streams wait most of the time.
    pub(crate) async fn next(&mut self) -> Option<Result<im::Frame, FrameError>> {
        loop {
            if let Some(frame) = self.buffered() {
                return Some(frame);
            }
            if self.decoder.is_between_frames() {
                self.decoder = Decoder::default();
            }
            let chunk = self.recv.read_chunk(READ_BYTES, true).await.ok()??;
            self.early = self.early && !self.confirmed.is_done();
            self.decoder.push(&chunk.bytes);
        }
    }

    /// The next frame, if it is here already.
    pub(crate) fn buffered(&mut self) -> Option<Result<im::Frame, FrameError>> {
        self.decoder.next_frame().transpose()
    }

    /// Tells the client to send no more.
    pub(crate) fn stop(&mut self, code: u32) {
        let _ = self.recv.stop(code); // it has ended by itself
    }
}

/// The streams of one session that we write to.
struct QuicWire {
    connection: Arc<wt::Session>,
    control: wt::SendStream,
    /// Opened when something is to be said on them.
    feeds: [Option<Box<wt::SendStream>>; MAX_FEEDS],
}

impl Wire for QuicWire {
    async fn write(&mut self, ready: Ready) -> Result<(), Lost> {
        let Ready { mut control, feeds, hints, bulk } = ready;
        control.extend(bulk); // none: blobs have streams of their own here
        for hint in hints {
            // Too large, or no room, or not supported: hints may be lost.
            let _ = self.connection.send_datagram(frame::without_prefix(hint));
        }
        if !control.is_empty() {
            self.control.write_all_chunks(&mut control).await.map_err(|_| Lost)?;
        }
        let several = feeds.iter().filter(|frames| !frames.is_empty()).count() > 1;
        let connection = &self.connection;
        let mut writes = self.feeds.iter_mut().zip(feeds).filter(|(_, frames)| !frames.is_empty());
        if several {
            // None waits for another that the client does not read.
            return try_join_all(writes.map(|(feed, frames)| write_feed(connection, feed, frames))).await.map(drop);
        }
        match writes.next() {
            Some((feed, frames)) => write_feed(connection, feed, frames).await,
            None => Ok(()),
        }
    }

    async fn close(mut self, goodbye: Option<Bytes>, code: u32) {
        if let Some(goodbye) = goodbye
            && self.control.write_chunk(goodbye).await.is_err()
        {
            return;
        }
        let _ = self.control.finish(); // the close says the same
        let _ = timeout(GOODBYE, self.control.stopped()).await; // it has arrived, or it will not
        self.connection.close(code, b"");
        drop(self.feeds);
    }
}

async fn write_feed(
    connection: &wt::Session,
    feed: &mut Option<Box<wt::SendStream>>,
    mut frames: Vec<Bytes>,
) -> Result<(), Lost> {
    let feed = match feed {
        Some(feed) => feed,
        None => feed.insert(Box::new(open_feed(connection).await?)),
    };
    feed.write_all_chunks(&mut frames).await.map_err(|_| Lost)
}

async fn open_feed(connection: &wt::Session) -> Result<wt::SendStream, Lost> {
    let feed = connection.open_uni().await.map_err(|_| Lost)?;
    let _ = feed.set_priority(FEED_PRIORITY); // fails when the stream is gone, which the write tells
    Ok(feed)
}
