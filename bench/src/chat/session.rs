//! One device of one user over QUIC, written from `im.proto` alone: it asks, counts what it is pushed, and keeps nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use convene_accounts::token::{Authority, Claims};
use convene_proto::frame::{self, Decoder};
use convene_proto::im;
use convene_proto::im::frame::Body;
use convene_proto::limits;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::chat::net::{Net, Tally};

/// The development key of the server under test.
const KEY: (&str, &str) = ("devkey", "secret");
/// All users of a run are in one organisation.
pub const ORG: &str = "bench";
/// Frames that leave as one write.
const MAX_WRITE_FRAMES: usize = 64;
/// Bytes taken from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// See the module. Ends when dropped.
pub struct Session {
    connection: quinn::Connection,
    requests: mpsc::UnboundedSender<Bytes>,
    shared: Arc<Shared>,
    rid: AtomicU64,
    /// The id of this user.
    pub me: u64,
    /// The handshake was resumed, and the server took what rode along with it.
    pub early: bool,
}

/// How a session is opened.
#[derive(Default)]
pub struct Opening {
    /// Uses and keeps tickets.
    pub resume: bool,
    /// Every event pushed goes here.
    pub events: Option<mpsc::UnboundedSender<im::Event>>,
}

struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    tally: Arc<Tally>,
    events: Option<mpsc::UnboundedSender<im::Event>>,
    /// Why the session ended.
    ended: Mutex<Option<String>>,
}

/// A request without its (whole) answer.
struct Pending {
    frames: Vec<Body>,
    done: oneshot::Sender<Vec<Body>>,
}

impl Session {
    /// Connects and says hello as the user of this name.
    pub async fn open(net: &Net, number: usize, name: &str, opening: Opening) -> Result<Self> {
        let connecting = net.connect(number, opening.resume)?;
        let (connection, accepted) = if opening.resume {
            match connecting.into_0rtt() {
                Ok((connection, accepted)) => (connection, Some(accepted)),
                Err(connecting) => (connecting.await.context("handshake")?, None),
            }
        } else {
            (connecting.await.context("handshake")?, None)
        };
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            tally: net.tally.clone(),
            events: opening.events,
            ended: Mutex::default(),
        });
        let (send, receive) = connection.open_bi().await.context("opening the control stream")?;
        let (requests, queued) = mpsc::unbounded_channel();
        tokio::spawn(write(send, queued));
        tokio::spawn(read(receive, shared.clone()));
        tokio::spawn(accept_feeds(connection.clone(), shared.clone()));
        let mut session = Self { connection, requests, shared, rid: AtomicU64::new(1), me: 0, early: false };
        session.hello(name).await?;
        if let Some(accepted) = accepted {
            session.early = accepted.await;
        }
        Ok(session)
    }

    async fn hello(&mut self, name: &str) -> Result<()> {
        let hello = im::Hello {
            version: limits::VERSION,
            token: token(name)?,
            device_id: Bytes::copy_from_slice(digest(&SHA256, name.as_bytes()).as_ref().get(..16).unwrap_or_default()),
            client: "convene-bench".to_owned(),
            ..im::Hello::default()
        };
        let Body::Welcome(welcome) = self.ask(Body::Hello(hello)).await? else { bail!("no Welcome for {name}") };
        self.me = welcome.me.context("Welcome without a user")?.id;
        Ok(())
    }

    /// One request; the last frame of its answer. An `Error` frame is an error.
    pub async fn ask(&self, body: Body) -> Result<Body> {
        self.ask_all(body).await?.pop().context("an answer without frames")
    }

    /// One request; every frame of its answer.
    pub async fn ask_all(&self, body: Body) -> Result<Vec<Body>> {
        let rid = self.rid.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.shared.pending.lock().insert(rid, Pending { frames: Vec::new(), done });
        self.requests.send(frame::encode(&frame::of(rid, body))).ok().with_context(|| self.ended())?;
        let frames = answer.await.ok().with_context(|| self.ended())?;
        if let Some(Body::Error(error)) = frames.last() {
            bail!("refused: {} ({})", error.code().label(), error.text);
        }
        Ok(frames)
    }

    /// Sends a text durably; its seq.
    pub async fn send_text(&self, conv: u64, client_id: Bytes, text: String) -> Result<u64> {
        let body = im::Body { kind: Some(im::body::Kind::Text(im::Text { text })), ..im::Body::default() };
        self.send(conv, client_id, body).await
    }

    /// Appends an event durably; its seq.
    pub async fn send(&self, conv: u64, client_id: Bytes, body: im::Body) -> Result<u64> {
        let answer = self.ask(Body::Send(im::Send { conv, client_id, body: Some(body) })).await?;
        let Body::Ack(ack) = answer else { bail!("no Ack but {answer:?}") };
        Ok(ack.seq)
    }

    /// Makes a group of which this user is owner.
    pub async fn create_group(&self, client_id: Bytes, title: &str, members: Vec<u64>) -> Result<u64> {
        let kind = im::ConversationKind::Group.into();
        self.create(im::Create { client_id, kind, title: title.to_owned(), members }).await
    }

    /// Makes or finds the direct conversation with somebody.
    pub async fn create_direct(&self, client_id: Bytes, other: u64) -> Result<u64> {
        let kind = im::ConversationKind::Direct.into();
        self.create(im::Create { client_id, kind, title: String::new(), members: vec![other] }).await
    }

    async fn create(&self, create: im::Create) -> Result<u64> {
        let answer = self.ask(Body::Create(create)).await?;
        let Body::Created(created) = answer else { bail!("no Created but {answer:?}") };
        Ok(created.conv)
    }

    /// Ends it in order.
    pub fn close(&self) {
        self.connection.close(quinn::VarInt::from_u32(0), b"");
    }

    fn ended(&self) -> String {
        let why =
            self.shared.ended.lock().clone().or_else(|| self.connection.close_reason().map(|why| why.to_string()));
        format!("the session ended: {}", why.unwrap_or_else(|| "no reason was given".to_owned()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

async fn write(mut stream: quinn::SendStream, mut queued: mpsc::UnboundedReceiver<Bytes>) {
    let mut frames = Vec::new();
    while queued.recv_many(&mut frames, MAX_WRITE_FRAMES).await > 0 {
        if stream.write_all_chunks(&mut frames).await.is_err() {
            return; // whoever waits for an answer learns it from the connection
        }
        frames.clear();
    }
}

async fn accept_feeds(connection: quinn::Connection, shared: Arc<Shared>) {
    while let Ok(feed) = connection.accept_uni().await {
        tokio::spawn(read(feed, shared.clone()));
    }
}

async fn read(mut stream: quinn::RecvStream, shared: Arc<Shared>) {
    let mut decoder = Decoder::default();
    while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, true).await {
        decoder.push(&chunk.bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(im::Frame { rid, body: Some(body) })) => shared.take(rid, body),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    shared.ended.lock().get_or_insert(error.to_string());
                    break;
                }
            }
        }
    }
    shared.pending.lock().clear(); // wakes who waits: there will be no answer
}

impl Shared {
    fn take(&self, rid: u64, body: Body) {
        if rid != 0 {
            return self.answer(rid, body);
        }
        // What else is pushed are entries of the user log and hints: nobody here looks at them.
        if let Body::Deliver(deliver) = body {
            self.tally.add(deliver.events.len() as u64);
            if let Some(events) = &self.events {
                // The receiver is gone when the round is over.
                deliver.events.into_iter().for_each(|event| drop(events.send(event)));
            }
        } else if let Body::Goodbye(goodbye) = body {
            self.ended.lock().get_or_insert(format!("{}: {}", goodbye.code().label(), goodbye.text));
        } else if let Body::Error(error) = body {
            self.ended.lock().get_or_insert(format!("{}: {}", error.code().label(), error.text));
        }
    }

    fn answer(&self, rid: u64, body: Body) {
        let more = matches!(&body, Body::SyncReply(reply) if reply.more);
        let mut pending = self.pending.lock();
        let Some(waiting) = pending.get_mut(&rid) else { return };
        waiting.frames.push(body);
        if let Some(Pending { frames, done }) = if more { None } else { pending.remove(&rid) } {
            drop(done.send(frames)); // nobody may wait any more
        }
    }
}

/// A chat token of the development key.
fn token(name: &str) -> Result<String> {
    let authority = Authority::new(HashMap::from([(KEY.0.to_owned(), KEY.1.to_owned())]));
    let claims = Claims {
        key: KEY.0.to_owned(),
        user: name.to_owned(),
        org: ORG.to_owned(),
        valid_for_s: 6 * 3600,
        ..Claims::default()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    authority.mint(&claims, now).context("minting a token")
}

/// A new client id: a UUIDv7's layout, time in front, then a counter that no other of this process shares.
#[must_use]
pub fn client_id() -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut id = [0; 16];
    id[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    id[6] = 0x70;
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Bytes::copy_from_slice(&id)
}
