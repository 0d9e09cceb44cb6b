//! The chat port: one quinn endpoint for the native protocol and for WebTransport. Here are its socket, its TLS and its
//! transport settings; what becomes of a connection is in [`crate::accept`].

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use convene_proto::limits::{ALPN, MAX_BULK_STREAMS};
use convene_tls::Resolver;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::tickets::Tickets;

/// Streams a client may have open: the control stream, the bulk streams, and the CONNECT stream of WebTransport.
const MAX_BIDI_STREAMS: u32 = MAX_BULK_STREAMS + 2;
/// HTTP/3 takes three (control and two of QPACK), and clients may open reserved ones to see whether we ignore them
/// (RFC 9114 §6.2.3).
const MAX_UNI_STREAMS: u32 = 8;
/// Bytes a stream may send ahead of being read: at 100 ms round trip it allows uploads of 40 Mbit/s. It is no room that
/// strangers fill: what all streams may send is less, until one uploads.
pub(crate) const STREAM_WINDOW: u32 = 512 * 1024;
/// Bytes all streams of a connection may send ahead of being read. Each upload adds the window of its stream.
pub(crate) const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes that wait to be sent or acknowledged. What does not fit waits in the outbox, which is bounded as well. Follows
/// the path while a blob is downloaded.
pub(crate) const SEND_WINDOW: u64 = 512 * 1024;
/// Hints that wait to be sent, and that wait to be read. They may be lost; a burst of typing fits.
const DATAGRAM_BUFFER: usize = 16 * 1024;
/// Tickets of clients that may resume. Two go to each client; one serves once only, so that a flight of early data cannot
/// be replayed to this process. A ticket takes about 300 bytes, and there may be twice as many.
const RESUMABLE_TICKETS: usize = 32 * 1024;
/// What we ask the kernel to hold for us in each direction: 5,000 clients that wake at once.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Binds the port.
pub(crate) fn bind(
    address: SocketAddr,
    resolver: Arc<Resolver>,
    idle: Duration,
    secret: &[u8],
) -> io::Result<Endpoint> {
    let config = server_config(resolver, idle).map_err(io::Error::other)?;
    let endpoint = crate::reset::endpoint_config(secret);
    Endpoint::new(endpoint, Some(config), socket(address)?, Arc::new(TokioRuntime))
}

fn server_config(resolver: Arc<Resolver>, idle: Duration) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    tls.alpn_protocols = vec![ALPN.to_vec(), web_transport_quinn::ALPN.as_bytes().to_vec()];
    // RFC 9001 §4.6.1: QUIC bounds early data by its own flow control, so TLS has to say "any".
    tls.max_early_data_size = u32::MAX;
    tls.session_storage = Arc::new(Tickets::new(RESUMABLE_TICKETS));
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(idle))).migration(true);
    Ok(config)
}

fn transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle_ms = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_BIDI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))));
    transport
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Where the system allows less it gives less; then bursts are lost more often, and sent again.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}
