//! Who gets in at the HTTP port. Each connection takes a descriptor, so there are as many places as `descriptors` says; whoever
//! comes when all are taken is turned away at once, which clients and proxies understand better than silence.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::Listener;
use convene_telemetry::Metrics;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::warn;

use super::path::Paths;
use super::placed::Placed;

/// Pause after the system refused to accept: without descriptors it would refuse at once again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that wait in the system to be sent for the first time. What is under way is not among them, so that long and fast
/// paths are filled all the same.
const MAX_UNSENT: u32 = 32 * 1024;
/// As `convene_refused_total` calls them.
const TURNED_AWAY: &str = "http_connections";
/// How often the log says that people are turned away.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    paths: Arc<Paths>,
    metrics: Arc<Metrics>,
    said: Option<Instant>,
}

impl Door {
    pub(super) fn new(listener: TcpListener, places: usize, metrics: Arc<Metrics>) -> Self {
        #[cfg(target_os = "linux")]
        keep_up_with_loss(&listener);
        metrics.refused.with_label_values(&[TURNED_AWAY]); // there before the first time, so that an increase of it is one
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, paths: Arc::default(), metrics, said: None }
    }

    fn turned_away(&mut self, why: &dyn std::fmt::Display) {
        self.metrics.refused.with_label_values(&[TURNED_AWAY]).inc();
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
                        return (Placed::new(stream, remote, place, Arc::clone(&self.paths)), remote);
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

/// By BBR, where the system has it and lets us: the usual Cubic takes each lost packet for a full path and carries a twentieth of
/// what there is where 1 % is lost, as radio does. That BBR keeps a queue of its own is seen to by [`Placed`]. Connections
/// inherit it.
#[cfg(target_os = "linux")]
fn keep_up_with_loss(listener: &TcpListener) {
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_congestion(b"bbr") {
        tracing::debug!(%error, "downloads over HTTP go by the system's congestion control instead of BBR");
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
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    pub(super) metrics: Arc<Metrics>,
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
