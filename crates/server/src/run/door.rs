//! Who gets in at the HTTP port. Each connection takes a descriptor, so there are as many places as `descriptors` says; whoever
//! comes when all are taken is turned away at once, which clients and proxies understand better than silence.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use convene_telemetry::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tracing::warn;

/// Pause after the system refused to accept: without descriptors it would refuse at once again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// How long somebody may take nothing of what there is for them. Who pauses a video takes up where they were by another request.
const MAX_STALL: Duration = Duration::from_secs(120);
/// Bytes that wait in the system to be sent for the first time. What is under way is not among them, so that long and fast
/// paths are filled all the same.
const MAX_UNSENT: u32 = 32 * 1024;
/// How often the log says that people are turned away.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    said: Option<Instant>,
}

impl Door {
    pub(super) fn new(listener: TcpListener, places: usize, metrics: Arc<Metrics>) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, metrics, said: None }
    }

    fn turned_away(&mut self, why: &dyn std::fmt::Display) {
        self.metrics.refused.with_label_values(&["http_connections"]).inc();
        let now = Instant::now();
        if self.said.is_none_or(|at| now.saturating_duration_since(at) >= SAID_EVERY) {
            self.said = Some(now);
            warn!(%why, "connections to the http port are turned away");
        }
    }
}

impl Listener for Door {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(permit) => {
                        set_up(&stream);
                        let place = Place::new(permit, Arc::clone(&self.metrics));
                        return (Placed { stream, place, stall: None }, remote);
                    }
                    Err(_) => self.turned_away(&"all places are taken"),
                },
                Err(error) if is_of_one(&error) => {}
                Err(error) => {
                    self.turned_away(&error);
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Small messages go out at once, and overtake what a blob on the same connection has ready: in a buffer of the system they
/// could not. Where this fails they are late, not lost.
fn set_up(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT);
}

/// The fault of a connection that was gone before it was taken.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Free again when it is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, metrics: Arc<Metrics>) -> Self {
        metrics.http_connections.inc();
        Self { _permit: permit, metrics }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.http_connections.dec();
    }
}

/// A connection that holds its place, also as a WebSocket.
pub(super) struct Placed {
    stream: TcpStream,
    place: Place,
    /// Until then something of what was written has to be taken.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Placed {
    /// The first bytes, which stay unread.
    pub(super) async fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(space).await
    }

    /// A write as it went, or its end where nothing is taken for too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(MAX_STALL))).as_mut().poll(cx));
        self.stall = None;
        self.place.metrics.refused.with_label_values(&["http_stalled"]).inc();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
