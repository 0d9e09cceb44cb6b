//! QUIC: one UDP socket, the handshake with or without 0-RTT, and the tasks that read and write a connection's streams.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convene_proto::im::Frame;
use convene_proto::{frame, limits};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TransportConfig, VarInt};
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::KEEP_ALIVE;
use super::bulk::Reader;
use super::link::{Link, MAX_INCOMING, MAX_OUTGOING, Sender, Way};
use super::tls::Tls;
use crate::error::Error;

/// A server that says nothing for so long is not there. A handshake takes one or two round trips.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// When a connection is given up by itself. The shell notices silence earlier; this is for what it does not see.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes a stream may be ahead of us: bounds a download to so much in a round trip. One connection per client, so it is
/// far above what a server allows.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for all streams together.
const WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes that wait to be sent or acknowledged. Follows the path while a blob is uploaded.
pub(super) const SEND_WINDOW: u64 = 1024 * 1024;
/// Before bulk streams, which have 0.
const CONTROL_PRIORITY: i32 = 1;
/// Hints that arrived and were not looked at.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// What the kernel keeps for us while we are busy; the default loses packets of a fast download.
const SOCKET_BYTES: usize = 1024 * 1024;
/// Frames written at once.
const MAX_WRITTEN: usize = 64;

/// An endpoint on a UDP port of the system's choice, for IPv6 and IPv4 where there are both.
pub(super) fn endpoint() -> Result<Endpoint, Error> {
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), None, socket()?, runtime).map_err(|error| no_socket(&error))
}

pub(super) fn socket() -> Result<UdpSocket, Error> {
    let both = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
        Ok(socket)
    };
    let four = |_| -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
        Ok(socket)
    };
    let socket = both().or_else(four).map_err(|error| no_socket(&error))?;
    // Where the system allows less, it is slower and still right.
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    Ok(socket.into())
}

fn no_socket(error: &std::io::Error) -> Error {
    Error::Unreachable(format!("anything: no UDP socket: {error}"))
}

/// The address that packets to `remote` leave from. Nothing is sent to find out.
pub(crate) fn local_address(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

pub(super) fn config(tls: &Tls, pins: &[[u8; 32]]) -> Result<quinn::ClientConfig, Error> {
    let crypto = QuicClientConfig::try_from(tls.quic(pins)?).map_err(|error| Error::Tls(error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport.max_concurrent_uni_streams(VarInt::from_u32(limits::MAX_FEEDS as u32 * 2)); // room while one is replaced
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.send_window(SEND_WINDOW);
    transport.stream_receive_window(VarInt::from_u32(STREAM_WINDOW));
    transport.receive_window(VarInt::from_u32(WINDOW));
    transport.datagram_receive_buffer_size(Some(DATAGRAM_BYTES));
    transport.datagram_send_buffer_size(DATAGRAM_BYTES);
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    transport.max_idle_timeout(Some(IDLE.try_into().map_err(|_| Error::Tls("idle timeout".to_owned()))?));
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Where and as whom to connect.
pub(super) struct Target<'a> {
    pub(super) config: quinn::ClientConfig,
    pub(super) address: SocketAddr,
    pub(super) name: &'a str,
}

/// Connects. With a ticket of an earlier connection the first flight travels at once, in 0-RTT; [`Link::early`] says
/// whether it was taken.
pub(super) async fn connect(endpoint: &Endpoint, target: Target<'_>, flight: &[Frame]) -> Result<Link, Error> {
    let address = target.address;
    let late = |_| Error::Unreachable(format!("udp {address}: no answer within {} s", HANDSHAKE.as_secs()));
    tokio::time::timeout(HANDSHAKE, handshake(endpoint, target, flight)).await.map_err(late)?
}

async fn handshake(endpoint: &Endpoint, target: Target<'_>, flight: &[Frame]) -> Result<Link, Error> {
    let address = target.address;
    let failed = |error: quinn::ConnectionError| failure(address, error);
    let connecting = endpoint.connect_with(target.config, address, target.name);
    let connecting = connecting.map_err(|error| Error::Unreachable(format!("udp {address}: {error}")))?;
    match connecting.into_0rtt() {
        Ok((connection, accepted)) => {
            let early = open_early(&connection, flight).await;
            let taken = accepted.await;
            if let Some(reason) = connection.close_reason() {
                return Err(failed(reason));
            }
            match early {
                Some(control) if taken => Ok(start(connection, control, true)),
                Some(_) | None => {
                    let control = connection.open_bi().await.map_err(failed)?;
                    Ok(start(connection, control, false))
                }
            }
        }
        Err(connecting) => {
            let connection = connecting.await.map_err(failed)?;
            let control = connection.open_bi().await.map_err(failed)?;
            Ok(start(connection, control, false))
        }
    }
}

async fn open_early(connection: &Connection, flight: &[Frame]) -> Option<(SendStream, RecvStream)> {
    let (mut send, recv) = connection.open_bi().await.ok()?;
    let mut chunks: Vec<Bytes> = flight.iter().map(frame::encode).collect();
    // Cut short, a server would wait for the rest: without a whole flight there is none.
    send.write_all_chunks(&mut chunks).await.ok()?;
    Some((send, recv))
}

fn failure(address: SocketAddr, error: quinn::ConnectionError) -> Error {
    // RFC 9001 §4.8: TLS alerts are QUIC errors 0x100 to 0x1ff.
    if matches!(&error, quinn::ConnectionError::TransportError(error) if u64::from(error.code) >> 8 == 1) {
        Error::Tls(error.to_string())
    } else {
        Error::Unreachable(format!("udp {address}: {error}"))
    }
}

fn start(connection: Connection, (send, recv): (SendStream, RecvStream), early: bool) -> Link {
    let _ = send.set_priority(CONTROL_PRIORITY); // fails when the stream is gone, which the first write tells
    let (to_engine, incoming) = mpsc::channel(MAX_INCOMING);
    let (control, outgoing) = mpsc::channel(MAX_OUTGOING);
    let sender = Sender::new(Way::Quic(connection.clone()), control, Arc::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(write(send, outgoing, connection.clone()));
    tasks.spawn(read_control(recv, to_engine.clone(), connection.clone()));
    tasks.spawn(read_feeds(connection.clone(), to_engine.clone()));
    tasks.spawn(read_hints(connection, to_engine));
    Link { sender, incoming, early, _tasks: tasks }
}

async fn write(mut stream: SendStream, mut outgoing: mpsc::Receiver<Bytes>, connection: Connection) {
    let mut chunks = Vec::with_capacity(MAX_WRITTEN);
    while outgoing.recv_many(&mut chunks, MAX_WRITTEN).await > 0 {
        if stream.write_all_chunks(&mut chunks).await.is_err() {
            break;
        }
        chunks.clear();
    }
    connection.close(0_u32.into(), b"");
}

/// The end of the control stream ends the session.
async fn read_control(stream: RecvStream, to: mpsc::Sender<Frame>, connection: Connection) {
    read(stream, to).await;
    connection.close(0_u32.into(), b"");
}

async fn read(stream: RecvStream, to: mpsc::Sender<Frame>) {
    let mut reader = Reader::new(stream);
    loop {
        match reader.next().await {
            Ok(Some(frame)) => {
                if to.send(frame).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a stream ended");
                return;
            }
        }
    }
}

async fn read_feeds(connection: Connection, to: mpsc::Sender<Frame>) {
    let mut feeds = JoinSet::new();
    while let Ok(stream) = connection.accept_uni().await {
        feeds.spawn(read(stream, to.clone()));
        while feeds.try_join_next().is_some() {}
    }
    // What the streams still hold was sent before the connection ended.
    while feeds.join_next().await.is_some() {}
}

async fn read_hints(connection: Connection, to: mpsc::Sender<Frame>) {
    while let Ok(datagram) = connection.read_datagram().await {
        if let Ok(frame) = frame::decode(datagram) {
            // A hint nobody has time for is lost: newer ones follow.
            let _ = to.try_send(frame);
        }
    }
}
