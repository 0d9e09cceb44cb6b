//! A server of one test, which can stop and start again in place, and its clients.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use convene_accounts::token::{Authority, Claims};
use convene_client::{Client, Config, TokenSource, Update, Updates};
use convene_im::{Certificate, Handle, Limits, Options, Server as Chat};
use convene_proto::im::{Event, body::Kind};
use convene_store::{BlobOptions, Blobs, Options as StoreOptions, Store};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// A chat service with its HTTP port.
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) http: SocketAddr,
    udp: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(Chat, Store)>,
    /// Takes packets and answers none: a network that swallows UDP.
    hole: UdpSocket,
}

/// A UDP port that is there again after a stop: below those that the kernel gives to who asks for any.
fn port_of_its_own() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 90).unwrap() * 100;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100).take(100);
    ports.find(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

struct Shared {
    handle: Mutex<Option<Handle>>,
    is_udp_open: AtomicBool,
    hole: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let hole = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let shared = Arc::new(Shared {
            handle: Mutex::new(None),
            is_udp_open: AtomicBool::new(true),
            hole: hole.local_addr().unwrap().port(),
        });
        let http = listener.local_addr().unwrap();
        tokio::spawn(serve_http(listener, shared.clone()));
        let udp = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of_its_own()));
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, http, udp, shared, running: None, hole };
        server.resume().await;
        server
    }

    /// From here on, clients that ask are sent to a UDP port that swallows everything.
    pub(crate) fn close_udp(&self) {
        self.shared.is_udp_open.store(false, Ordering::Relaxed);
    }

    /// Whether anybody tried UDP after it was closed.
    pub(crate) fn udp_was_tried(&self) -> bool {
        self.hole.set_nonblocking(true).unwrap();
        self.hole.recv(&mut [0; 2048]).is_ok()
    }

    /// Stops the service; its data stays.
    pub(crate) async fn stop(&mut self) {
        *self.shared.handle.lock() = None;
        let (chat, store) = self.running.take().unwrap();
        chat.stop().await;
        store.stop();
    }

    /// Starts it again on the same ports and data.
    pub(crate) async fn resume(&mut self) {
        let store = Store::start(StoreOptions::new(self.folder.path().join("chat.db"))).unwrap();
        let blobs = Blobs::open(store.clone(), BlobOptions::below(self.folder.path())).await.unwrap();
        let limits = Limits {
            device_sends_per_s: 0,
            conversation_sends_per_s: 0,
            device_requests_per_s: 0,
            ..Limits::default()
        };
        let options = Options {
            bind: self.udp,
            certificate: Certificate::SelfMade { names: vec!["localhost".to_owned()] },
            authority: Arc::new(authority()),
            logins: None,
            pictures: None,
            store: store.clone(),
            blobs,
            metrics: Arc::default(),
            limits,
        };
        let (handle, chat) = convene_im::start(options).await.unwrap();
        self.udp = handle.address();
        *self.shared.handle.lock() = Some(handle);
        self.running = Some((chat, store));
    }

    pub(crate) fn handle(&self) -> Handle {
        self.shared.handle.lock().clone().unwrap()
    }

    pub(crate) fn config(&self, user: &str, dir: &Path) -> Config {
        let server = format!("http://{}", self.http).parse().unwrap();
        let user = user.to_owned();
        let token = TokenSource::new(move || std::future::ready(Ok(token(&user))));
        Config::new(server, token, dir.to_path_buf())
    }

    /// A client with a directory of its own.
    pub(crate) async fn client(&self, user: &str) -> Device {
        let dir = tempfile::tempdir().unwrap();
        Device::open(self.config(user, dir.path()), Dir::Temporary(dir)).await
    }

    /// A client on a directory that was used before.
    pub(crate) async fn client_in(&self, user: &str, dir: &Path) -> Device {
        Device::open(self.config(user, dir), Dir::Kept(dir.to_path_buf())).await
    }
}

fn authority() -> Authority {
    Authority::new(HashMap::from([("key".to_owned(), "secret".to_owned())]))
}

pub(crate) fn token(user: &str) -> String {
    let claims = Claims { key: "key".into(), user: user.into(), valid_for_s: 600, ..Claims::default() };
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    authority().mint(&claims, now_s).unwrap()
}

async fn serve_http(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_one(stream, shared.clone()));
    }
}

async fn serve_one(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(handle) = shared.handle.lock().clone() else { return };
    let mut start = [0; 12];
    while stream.peek(&mut start).await.is_ok_and(|read| read > 0 && read < start.len()) {
        tokio::task::yield_now().await;
    }
    if start.starts_with(b"GET /im/info") {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let json = info(&handle, &shared);
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
        let _ = stream.write_all(reply.as_bytes()).await;
        return;
    }
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (sink, stream) = socket.split();
    let sink = sink.with(|bytes: Bytes| {
        std::future::ready(Ok::<_, tokio_tungstenite::tungstenite::Error>(Message::Binary(bytes)))
    });
    let stream = stream.filter_map(|message| {
        std::future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(bytes),
            _other => None,
        })
    });
    handle.serve_websocket(sink, Box::pin(stream)).await;
}

fn info(handle: &Handle, shared: &Shared) -> String {
    let info = handle.info();
    let port = if shared.is_udp_open.load(Ordering::Relaxed) { info.quic_port } else { shared.hole };
    let hashes: Vec<_> = info.certificate_hashes.iter().map(|hash| format!("\"{}\"", base64(hash))).collect();
    format!(r#"{{"version":1,"quic_port":{port},"certificate_hashes":[{}],"websocket":"/im"}}"#, hashes.join(","))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Where a client keeps its data.
pub(crate) enum Dir {
    Temporary(TempDir),
    Kept(PathBuf),
}

/// A client and what it has told.
pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) updates: Updates,
    pub(crate) dir: Dir,
}

impl Device {
    async fn open(config: Config, dir: Dir) -> Self {
        let client = Client::open(config).await.unwrap();
        let updates = client.updates();
        Self { client, updates, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        match &self.dir {
            Dir::Temporary(dir) => dir.path(),
            Dir::Kept(dir) => dir,
        }
    }

    pub(crate) async fn synced(self) -> Self {
        tokio::time::timeout(DEADLINE, self.client.synced()).await.expect("in time").unwrap();
        self
    }

    /// Waits for an update that `pick` takes.
    pub(crate) async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(Update) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let wait = async {
            loop {
                let update = self.updates.next().await.expect("the client runs");
                seen.push(format!("{update:?}").chars().take(200).collect::<String>());
                if let Some(found) = pick(update) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} in time; seen: {seen:#?}"),
        }
    }

    /// Waits until the conversation shows these texts and nothing else, in this order.
    pub(crate) async fn shows(&self, conv: u64, want: &[&str]) {
        let shown = async {
            loop {
                let page = self.client.messages(conv, None, want.len() + 10).await.unwrap();
                let texts: Vec<_> = page.messages.iter().filter_map(|message| text_of(&message.event)).collect();
                if texts == want {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, shown).await.is_err() {
            let page = self.client.messages(conv, None, want.len() + 10).await.unwrap();
            panic!("wanted {want:?}, shown: {page:#?}");
        }
    }
}

pub(crate) fn text_of(event: &Event) -> Option<String> {
    match event.body.as_ref()?.kind.as_ref()? {
        Kind::Text(text) => Some(text.text.clone()),
        _other => None,
    }
}
