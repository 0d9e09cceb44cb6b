//! A client as small as it can be: frames out, frames in, and waiting for one of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use convene_proto::im::{self, frame::Body};
use convene_proto::limits::ALPN;
use convene_proto::{Decoder, frame};
use futures_util::{SinkExt as _, StreamExt as _};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::harness::{DEADLINE, Harness};

/// Where a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Control,
    Feed,
    Datagram,
}

pub(super) struct Client {
    pub(super) me: im::User,
    pub(super) carrier: Carrier,
    frames: mpsc::UnboundedReceiver<(From, im::Frame)>,
    /// Came, and nobody has waited for it yet.
    waiting: Vec<(From, im::Frame)>,
    next: u64,
}

pub(super) enum Carrier {
    Quic { connection: Closing, control: SendStream, _endpoint: Endpoint },
    Socket(mpsc::UnboundedSender<Bytes>),
}

/// A connection that ends with its owner, though tasks hold it too.
pub(super) struct Closing(pub(super) Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(0_u32.into(), b"");
    }
}

/// The first frame.
pub(super) fn hello(token: &str, device: u8) -> im::Hello {
    im::Hello {
        version: 1,
        token: token.to_owned(),
        device_id: Bytes::copy_from_slice(&[device; 16]),
        client: "test".to_owned(),
        sync: None,
        org: String::new(),
    }
}

/// An endpoint that resumes sessions and sends early data.
pub(super) fn endpoint() -> (Endpoint, ClientConfig) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = true;
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    (Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap(), config)
}

pub(super) async fn connect(harness: &Harness) -> (Connection, Endpoint) {
    let (endpoint, config) = endpoint();
    let connecting = endpoint.connect_with(config, harness.handle.address(), "localhost").unwrap();
    (timeout(DEADLINE, connecting).await.unwrap().unwrap(), endpoint)
}

impl Client {
    /// Signs in over QUIC.
    pub(super) async fn quic(harness: &Harness, user: &str, device: u8) -> Self {
        Self::quic_with(harness, hello(&harness.token(user), device)).await
    }

    pub(super) async fn quic_with(harness: &Harness, hello: im::Hello) -> Self {
        let (connection, endpoint) = connect(harness).await;
        let mut client = Self::over(connection, endpoint).await;
        client.sign_in(hello).await;
        client
    }

    /// A control stream on which nothing was said.
    pub(super) async fn over(connection: Connection, endpoint: Endpoint) -> Self {
        let (control, recv) = connection.open_bi().await.unwrap();
        let (tx, frames) = mpsc::unbounded_channel();
        tokio::spawn(read(recv, From::Control, tx.clone()));
        tokio::spawn(feeds(connection.clone(), tx.clone()));
        tokio::spawn(datagrams(connection.clone(), tx));
        let carrier = Carrier::Quic { connection: Closing(connection), control, _endpoint: endpoint };
        Self { me: im::User::default(), carrier, frames, waiting: Vec::new(), next: 1 }
    }

    /// Signs in over what `signaling` would hand in: a sink and a stream.
    pub(super) async fn socket(harness: &Harness, user: &str, device: u8) -> Self {
        let (out, incoming) = mpsc::unbounded_channel();
        let (tx, frames) = mpsc::unbounded_channel();
        let stream =
            futures_util::stream::unfold(incoming, async |mut incoming| Some((incoming.recv().await?, incoming)));
        let sink = futures_util::sink::unfold(tx, async |tx, bytes: Bytes| {
            let frame = frame::decode(bytes).unwrap();
            tx.send((From::Control, frame)).map(|()| tx).map_err(drop)
        });
        let handle = harness.handle.clone();
        tokio::spawn(async move { handle.serve_websocket(Box::pin(sink.sink_map_err(drop)), stream.boxed()).await });
        let carrier = Carrier::Socket(out);
        let mut client = Self { me: im::User::default(), carrier, frames, waiting: Vec::new(), next: 1 };
        client.sign_in(hello(&harness.token(user), device)).await;
        client
    }

    pub(super) async fn sign_in(&mut self, hello: im::Hello) {
        let rid = self.post(Body::Hello(hello)).await;
        let Body::Welcome(welcome) = self.reply(rid).await else { panic!("no welcome") };
        self.me = welcome.me.unwrap();
    }

    /// Sends a request; answers its rid.
    pub(super) async fn post(&mut self, body: Body) -> u64 {
        let rid = self.next;
        self.next += 1;
        self.send(frame::encode(&frame::of(rid, body))).await;
        rid
    }

    /// Sends bytes as they are.
    pub(super) async fn send(&mut self, bytes: Bytes) {
        match &mut self.carrier {
            Carrier::Quic { control, .. } => control.write_all(&bytes).await.unwrap(),
            Carrier::Socket(out) => out.send(frame::without_prefix(bytes)).unwrap(),
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, body: Body) -> Body {
        let rid = self.post(body).await;
        self.reply(rid).await
    }

    /// Waits for the answer to a request.
    pub(super) async fn reply(&mut self, rid: u64) -> Body {
        self.until(|_, frame| (frame.rid == rid).then(|| frame.body.clone().unwrap())).await
    }

    /// Waits for a frame that `wanted` answers to, and takes it.
    pub(super) async fn until<T>(&mut self, wanted: impl Fn(From, &im::Frame) -> Option<T>) -> T {
        if let Some(at) = self.waiting.iter().position(|(from, frame)| wanted(*from, frame).is_some()) {
            let (from, frame) = self.waiting.remove(at);
            return wanted(from, &frame).unwrap();
        }
        loop {
            let Some((from, frame)) = timeout(DEADLINE, self.frames.recv()).await.expect("a frame in time") else {
                panic!("the session ended; there were {:?}", self.waiting);
            };
            if let Some(found) = wanted(from, &frame) {
                return found;
            }
            self.waiting.push((from, frame));
        }
    }

    /// Waits for the refusal of a request.
    pub(super) async fn refused(&mut self, body: Body) -> im::Code {
        let Body::Error(error) = self.ask(body).await else { panic!("not refused") };
        error.code()
    }

    /// Waits for the goodbye.
    pub(super) async fn goodbye(&mut self) -> im::Goodbye {
        self.until(|_, frame| match &frame.body {
            Some(Body::Goodbye(goodbye)) => Some(goodbye.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until everything up to `seq` of a conversation was pushed; answers the events, in order, holes seen.
    pub(super) async fn delivered(&mut self, conv: u64, seq: u64) -> Vec<im::Event> {
        let (mut at, mut events) = (0, Vec::new());
        while at < seq {
            let deliver = self
                .until(|from, frame| match &frame.body {
                    Some(Body::Deliver(deliver)) if deliver.conv == conv => Some((from, deliver.clone())),
                    _ => None,
                })
                .await;
            let (from, deliver) = deliver;
            if matches!(self.carrier, Carrier::Quic { .. }) {
                assert_eq!(from, From::Feed);
            }
            assert!(at == 0 || deliver.from == at, "a hole: {} behind {at}", deliver.from);
            let seqs: Vec<_> = deliver.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (deliver.from + 1..=deliver.to).collect::<Vec<_>>());
            at = deliver.to;
            events.extend(deliver.events);
        }
        events
    }

    /// Makes a group with these.
    pub(super) async fn group(&mut self, others: &[&Client]) -> u64 {
        let members = others.iter().map(|other| other.me.id).collect();
        let create = im::Create {
            client_id: random_id(),
            kind: im::ConversationKind::Group.into(),
            title: "g".to_owned(),
            members,
        };
        let Body::Created(created) = self.ask(Body::Create(create)).await else { panic!("not made") };
        created.conv
    }

    /// Says something; answers its seq.
    pub(super) async fn say(&mut self, conv: u64, text: &str) -> im::Ack {
        let Body::Ack(ack) = self.ask(say(conv, text)).await else { panic!("no ack") };
        ack
    }

    pub(super) fn connection(&self) -> &Connection {
        let Carrier::Quic { connection, .. } = &self.carrier else { panic!("not over QUIC") };
        &connection.0
    }
}

/// A bulk stream.
pub(super) struct Lane {
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
}

impl Lane {
    pub(super) async fn open(client: &Client) -> Self {
        let (send, recv) = client.connection().open_bi().await.unwrap();
        Self { send, recv, decoder: Decoder::default() }
    }

    pub(super) async fn post(&mut self, rid: u64, body: Body) {
        self.send.write_all(&frame::encode(&frame::of(rid, body))).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Body {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame.body.unwrap();
            }
            let chunk = timeout(DEADLINE, self.recv.read_chunk(65536, true)).await.unwrap().unwrap().expect("more");
            self.decoder.push(&chunk.bytes);
        }
    }

    pub(super) async fn ask(&mut self, body: Body) -> Body {
        self.post(1, body).await;
        self.next().await
    }
}

pub(super) fn say(conv: u64, text: &str) -> Body {
    let text = im::Text { text: text.to_owned() };
    send(conv, im::Body { kind: Some(im::body::Kind::Text(text)), ..im::Body::default() })
}

pub(super) fn send(conv: u64, body: im::Body) -> Body {
    Body::Send(im::Send { conv, client_id: random_id(), body: Some(body) })
}

pub(super) fn random_id() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; 16]>())
}

async fn read(mut recv: RecvStream, from: From, tx: mpsc::UnboundedSender<(From, im::Frame)>) {
    let mut decoder = Decoder::default();
    while let Ok(Some(chunk)) = recv.read_chunk(65536, true).await {
        decoder.push(&chunk.bytes);
        while let Some(frame) = decoder.next_frame().unwrap() {
            let _ = tx.send((from, frame)); // the test is over
        }
    }
}

async fn feeds(connection: Connection, tx: mpsc::UnboundedSender<(From, im::Frame)>) {
    while let Ok(recv) = connection.accept_uni().await {
        tokio::spawn(read(recv, From::Feed, tx.clone()));
    }
}

async fn datagrams(connection: Connection, tx: mpsc::UnboundedSender<(From, im::Frame)>) {
    while let Ok(bytes) = connection.read_datagram().await {
        let _ = tx.send((From::Datagram, frame::decode(bytes).unwrap())); // the test is over
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
