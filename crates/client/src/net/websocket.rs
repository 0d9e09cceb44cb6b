//! The WebSocket, for networks that carry no UDP: one binary message per frame.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use convene_proto::im::{self, Frame, frame::Body};
use convene_proto::{frame, limits};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::KEEP_ALIVE;
use super::address::ServerUrl;
use super::http::{self, Stream};
use super::link::{Link, MAX_INCOMING, MAX_OUTGOING, Routes, Sender, Way};
use super::tls::Tls;
use crate::error::Error;

/// For TCP, TLS and the upgrade together.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// Frames of bulk exchanges to be written: what waits here does not wait in front of a message.
const MAX_BULK: usize = 1;
/// What is asked to keep a connection alive: of an exchange that never is, so that the answer counts as heard and goes nowhere.
const KEEP_ALIVE_RID: u64 = u64::MAX;
/// Buffers of the library: a frame or two; its defaults are made for servers with long messages.
const BUFFER_BYTES: usize = 32 * 1024;

/// Connects.
pub(super) async fn connect(url: &ServerUrl, path: &str, tls: &Tls) -> Result<Link, Error> {
    let late = |_| Error::Unreachable(format!("{url}: no WebSocket within {} s", HANDSHAKE.as_secs()));
    let socket = tokio::time::timeout(HANDSHAKE, open(url, path, tls)).await.map_err(late)??;
    Ok(start(socket, KEEP_ALIVE))
}

async fn open(url: &ServerUrl, path: &str, tls: &Tls) -> Result<WebSocketStream<Stream>, Error> {
    let stream = http::dial(url, tls).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(limits::MAX_FRAME_BYTES))
        .max_frame_size(Some(limits::MAX_FRAME_BYTES));
    let upgraded = client_async_with_config(url.websocket(path), stream, Some(config)).await;
    let (socket, _) = upgraded.map_err(|error| Error::Unreachable(format!("{url}: WebSocket: {error}")))?;
    Ok(socket)
}

fn start(socket: WebSocketStream<Stream>, keep_alive: Duration) -> Link {
    let (to_engine, incoming) = mpsc::channel(MAX_INCOMING);
    let (control, outgoing) = mpsc::channel(MAX_OUTGOING);
    let (bulk, waiting) = mpsc::channel(MAX_BULK);
    let routes: Routes = Arc::new(Mutex::new(HashMap::new()));
    let heard = Arc::new(AtomicU64::new(0));
    let (sink, source) = socket.split();
    let mut tasks = JoinSet::new();
    tasks.spawn(write(sink, keep_alive, outgoing, waiting));
    tasks.spawn(read(source, Receivers { control: to_engine, routes: routes.clone(), heard: heard.clone() }));
    Link { sender: Sender::new(Way::WebSocket { bulk, routes }, control, heard), incoming, early: false, _tasks: tasks }
}

async fn write(
    mut sink: SplitSink<WebSocketStream<Stream>, Message>,
    keep_alive: Duration,
    mut outgoing: mpsc::Receiver<Bytes>,
    mut bulk: mpsc::Receiver<Bytes>,
) {
    // Whatever else is written: of hints, such as those of somebody who types, nothing is heard.
    let mut due = Instant::now() + keep_alive;
    loop {
        let next = async {
            tokio::select! {
                biased;
                bytes = outgoing.recv() => bytes,
                Some(bytes) = bulk.recv() => Some(bytes),
            }
        };
        let bytes = match tokio::time::timeout_at(due, next).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(_) => {
                due = Instant::now() + keep_alive;
                ping()
            }
        };
        let written = sink.feed(Message::Binary(bytes)).await;
        // What else is there goes into the same packet.
        let written = match written {
            Ok(()) if outgoing.is_empty() => sink.flush().await,
            written => written,
        };
        if written.is_err() {
            return;
        }
    }
    let _ = sink.close().await; // the other side may be gone already
}

/// A server looks at frames alone: a ping of the WebSocket's own would have it end the session after `im.idle_timeout_s`.
fn ping() -> Bytes {
    frame::without_prefix(frame::encode(&frame::of(KEEP_ALIVE_RID, Body::Ping(im::Ping {}))))
}

struct Receivers {
    control: mpsc::Sender<Frame>,
    routes: Routes,
    heard: Arc<AtomicU64>,
}

async fn read(mut source: SplitStream<WebSocketStream<Stream>>, to: Receivers) {
    while let Some(Ok(message)) = source.next().await {
        to.heard.fetch_add(1, Ordering::Relaxed);
        let Message::Binary(bytes) = message else { continue };
        match frame::decode(bytes) {
            Ok(frame) => {
                if !to.deliver(frame).await {
                    break;
                }
            }
            Err(error) => tracing::warn!(%error, "skipped what is no frame"),
        }
    }
    // Exchanges wait for replies: they learn that none will come.
    to.routes.lock().clear();
}

impl Receivers {
    /// False when nobody listens any more.
    async fn deliver(&self, frame: Frame) -> bool {
        let exchange = frame.rid >> 32;
        if exchange == 0 {
            return self.control.send(frame).await.is_ok();
        }
        let route = self.routes.lock().get(&exchange).cloned();
        if let Some(route) = route {
            // An exchange that was given up has dropped its end: its replies are of no use.
            let _ = route.send(frame).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[tokio::test]
    async fn silence_is_broken_by_a_frame_whose_answer_is_heard_and_goes_nowhere() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let ours: Stream = Box::new(ours);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let mut server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let mut link = start(socket, Duration::from_millis(20));
        let message = server.next().await.unwrap().unwrap();
        let Message::Binary(bytes) = message else { panic!("no frame: {message:?}") };
        let ping = frame::decode(bytes).unwrap();
        assert_eq!(ping.body, Some(Body::Ping(im::Ping {})));
        let done = frame::of(ping.rid, Body::Done(im::Done {}));
        let later = frame::of(0, Body::Hint(im::Hint::default()));
        for frame in [done, later.clone()] {
            let bytes = frame::without_prefix(frame::encode(&frame));
            server.send(Message::Binary(bytes)).await.unwrap();
        }
        assert_eq!(link.incoming.recv().await, Some(later), "the engine has not asked");
        assert_eq!(link.sender.heard(), 2);
    }

    #[tokio::test]
    async fn who_types_for_long_is_heard_of_as_well() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let ours: Stream = Box::new(ours);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let mut server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let link = start(socket, Duration::from_millis(100));
        let typing = async {
            loop {
                link.sender.hint(im::Hint::default());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let asked = async {
            while let Some(Ok(Message::Binary(bytes))) = server.next().await {
                if frame::decode(bytes).unwrap().body == Some(Body::Ping(im::Ping {})) {
                    return;
                }
            }
            panic!("it ended");
        };
        tokio::select! {
            () = typing => {}
            asked = tokio::time::timeout(Duration::from_secs(5), asked) => asked.expect("a ping among the hints"),
        }
    }
}
