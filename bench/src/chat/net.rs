//! Client side of QUIC: a few sockets that carry all sessions of a run, and what the sessions count together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use convene_proto::limits;
use parking_lot::Mutex;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use socket2::{Domain, Protocol, Type};
use tokio::sync::Notify;

/// Sockets that share the sessions: thousands of connections on one would overflow its receive buffer.
const SOCKETS: usize = 8;
const KERNEL_BUFFER_BYTES: usize = 4 << 20;
/// Longer than any run: silence is no fault of an idle connection.
const IDLE_TIMEOUT_S: u64 = 600;
/// Servers whose tickets are kept. Each session calls the server by a name of its own, so that it gets its own tickets.
const MAX_TICKET_NAMES: usize = 16_384;

/// See the module.
pub struct Net {
    endpoints: Vec<Endpoint>,
    server: SocketAddr,
    fresh: ClientConfig,
    resuming: ClientConfig,
    /// What all sessions were pushed.
    pub tally: Arc<Tally>,
}

impl Net {
    /// Sockets for sessions with this server.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Ok(Self {
            endpoints: (0..SOCKETS).map(|_| endpoint()).collect::<Result<_>>()?,
            server,
            fresh: client_config(Resumption::disabled())?,
            resuming: client_config(Resumption::in_memory_sessions(MAX_TICKET_NAMES))?,
            tally: Arc::default(),
        })
    }

    /// Begins a handshake; `number` picks the socket, `resume` uses and keeps tickets.
    pub fn connect(&self, number: usize, resume: bool) -> Result<quinn::Connecting> {
        let endpoint = self.endpoints.get(number % SOCKETS).context("no socket")?;
        let config = if resume { &self.resuming } else { &self.fresh };
        endpoint.connect_with(config.clone(), self.server, &format!("s{number}.bench")).context("connecting")
    }
}

/// Events delivered to all sessions of a [`Net`].
#[derive(Debug, Default)]
pub struct Tally {
    events: AtomicU64,
    target: AtomicU64,
    reached: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Tally {
    /// Counts events of a `Deliver`.
    pub fn add(&self, count: u64) {
        let events = self.events.fetch_add(count, Ordering::Relaxed) + count;
        if events >= self.target.load(Ordering::Relaxed) {
            self.reached.lock().get_or_insert_with(Instant::now);
            self.changed.notify_one();
        }
    }

    /// So many until now.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Waits until the count is `target`; returns when that was. One caller at a time.
    pub async fn wait_for(&self, target: u64, within: Duration) -> Result<Instant> {
        *self.reached.lock() = None;
        self.target.store(target, Ordering::Relaxed);
        if self.events() >= target {
            return Ok(Instant::now());
        }
        let arrived = async {
            loop {
                self.changed.notified().await;
                // A permit may be left from an earlier target.
                if let (true, Some(at)) = (self.events() >= target, *self.reached.lock()) {
                    return at;
                }
            }
        };
        let missing = || format!("{} of {target} events arrived within {within:?}", self.events());
        tokio::time::timeout(within, arrived).await.ok().with_context(missing)
    }
}

fn endpoint() -> Result<Endpoint> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Both are capped by the kernel.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).context("binding a client socket")?;
    let socket = std::net::UdpSocket::from(socket);
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).context("opening an endpoint")
}

fn client_config(resumption: Resumption) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(&provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![limits::ALPN.to_vec()];
    tls.enable_early_data = true;
    tls.resumption = resumption;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(limits::MAX_FEEDS as u32))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(Duration::from_secs(IDLE_TIMEOUT_S).try_into()?));
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Takes any certificate: the server under test makes its own. Signatures are checked, as every client would.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
