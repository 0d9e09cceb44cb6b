//! The HTTP port where it has a certificate: TLS handshakes go on beside each other, and `http` gets what has come through.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use convene_telemetry::Metrics;
use convene_tls::Resolver;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::door::Door;
use super::placed::Placed;

/// Handshakes under way, and connections that are not taken yet. Beyond it newcomers wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 512;
/// A handshake is two round trips; whoever says nothing for so long is let go.
const MAX_HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of every TLS connection: a handshake record (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// For whoever has typed http.
const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 30\r\nconnection: close\r\n\r\n\
    This port speaks https only.\r\n";

type Accepted = (TlsStream<Placed>, SocketAddr);

/// A listener of connections whose handshake is done.
pub(super) struct Https {
    accepted: mpsc::Receiver<Accepted>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Https {
    /// Accepts what comes to `listener`, with the certificate of the moment.
    pub(super) fn new(listener: Door, resolver: Arc<Resolver>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.map_err(io::Error::other)?.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()]; // WebSockets over HTTP/2 are another protocol (RFC 8441)
        let (to, accepted) = mpsc::channel(MAX_HANDSHAKES);
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), metrics, to));
        Ok(Self { accepted, address, accepting })
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for Https {
    type Io = TlsStream<Placed>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Accepted {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => pending().await, // the task only ends with this
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Whoever stalls in a handshake keeps nobody else waiting.
async fn accept(mut listener: Door, acceptor: TlsAcceptor, metrics: Arc<Metrics>, to: mpsc::Sender<Accepted>) {
    let slots = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let (stream, remote) = Listener::accept(&mut listener).await;
        let (acceptor, metrics, to) = (acceptor.clone(), Arc::clone(&metrics), to.clone());
        tokio::spawn(async move {
            let outcome = match timeout(MAX_HANDSHAKE, handshake(&acceptor, stream)).await {
                Ok(Ok(Some(stream))) => {
                    let _ = to.send((stream, remote)).await; // refused only when the server stops
                    "done"
                }
                Ok(Ok(None)) => "plain",
                Ok(Err(error)) => {
                    debug!(%remote, %error, "a TLS handshake failed");
                    "failed"
                }
                Err(_) => "timeout",
            };
            metrics.http_handshakes.with_label_values(&[outcome]).inc();
            drop(slot);
        });
    }
}

/// `None`: the client speaks no TLS, and was told so.
async fn handshake(acceptor: &TlsAcceptor, mut stream: Placed) -> io::Result<Option<TlsStream<Placed>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE_RECORD] {
        // A socket that is closed with something unread in it takes back what it has said.
        let bytes = stream.read(&mut [0; 4_096]).await?;
        debug!(bytes, "no TLS on the http port");
        stream.write_all(PLAIN).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::PLAIN;

    #[test]
    fn what_plain_clients_are_told_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
