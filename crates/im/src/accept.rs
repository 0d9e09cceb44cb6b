//! What comes to the chat port: handshakes, bounded in number; then either protocol by what the handshake agreed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use convene_proto::limits::ALPN;
use futures_util::FutureExt as _;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Connection, Endpoint, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::debug;
use web_transport_quinn as wt;

use crate::confirmed::Confirmed;
use crate::quic;
use crate::session::Transport;
use crate::shared::Shared;

/// Handshakes at the same time. Each takes 0.25 ms of a core; more would only wait for each other.
const MAX_HANDSHAKES: usize = 512;
/// With more of them under way, a client has to prove its address first (RFC 9000 §8.1.2): forged ones cost nothing then.
const RETRY_ABOVE: usize = 64;
/// Longest time for a handshake, and for the CONNECT of a browser.
pub(crate) const MAX_HANDSHAKE: Duration = Duration::from_secs(10);
/// The path of WebTransport sessions.
const PATH: &str = "/im";

/// A connection that is about to begin a session.
pub(crate) struct Link {
    pub(crate) session: Arc<wt::Session>,
    pub(crate) transport: Transport,
    pub(crate) confirmed: Confirmed,
}

/// Takes connections until the endpoint is closed.
pub(crate) async fn run(endpoint: Endpoint, shared: Arc<Shared>) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        let count = |result| shared.metrics.im_handshakes.with_label_values(&[result]).inc();
        let busy = MAX_HANDSHAKES - handshakes.available_permits() > RETRY_ABOVE;
        if busy && incoming.may_retry() && !incoming.remote_address_validated() {
            count("retry");
            let _ = incoming.retry(); // it may, as we have asked
            continue;
        }
        let full = endpoint.open_connections() >= shared.limits.max_sessions;
        let Some(permit) = Arc::clone(&handshakes).try_acquire_owned().ok().filter(|_| !full) else {
            count("refused");
            incoming.refuse();
            continue;
        };
        let number = shared.hub.next_number();
        tokio::spawn(connection(incoming, number, Arc::clone(&shared), permit));
    }
}

async fn connection(incoming: Incoming, number: u64, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    let remote = incoming.remote_address();
    let link = match timeout(MAX_HANDSHAKE, handshake(incoming)).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return failed(&shared, "failed", remote, &error),
        Err(_) => return failed(&shared, "timeout", remote, "no answer"),
    };
    // The permit is held until the client has proved itself, so that early data cannot outrun the bound.
    let confirmed = link.confirmed.clone();
    let metrics = Arc::clone(&shared.metrics);
    tokio::spawn(async move {
        let result = match timeout(MAX_HANDSHAKE, confirmed).await {
            Ok(true) => "ok",
            Ok(false) => "failed",
            Err(_) => "timeout",
        };
        metrics.im_handshakes.with_label_values(&[result]).inc();
        drop(permit);
    });
    // A task of its own, so that the memory of the handshake goes.
    tokio::spawn(quic::run(shared, link, number));
}

fn failed(shared: &Shared, result: &str, remote: SocketAddr, reason: &str) {
    shared.metrics.im_handshakes.with_label_values(&[result]).inc();
    debug!(%remote, reason, "a handshake failed");
}

async fn handshake(incoming: Incoming) -> Result<Link, String> {
    let mut connecting = incoming.accept().map_err(|error| error.to_string())?;
    let data = connecting.handshake_data().await.map_err(|error| error.to_string())?;
    let protocol = data.downcast::<HandshakeData>().ok().and_then(|data| data.protocol);
    if protocol.as_deref() == Some(ALPN) { native(connecting).await } else { web_transport(connecting).await }
}

async fn native(connecting: Connecting) -> Result<Link, String> {
    let (connection, confirmed) = match connecting.into_0rtt() {
        Ok((connection, accepted)) => (connection.clone(), confirmation(connection, accepted)),
        // quinn gives a server the connection at once; should it not, the handshake is waited for.
        Err(connecting) => (connecting.await.map_err(|error| error.to_string())?, Confirmed::done()),
    };
    Ok(Link { session: Arc::new(wt::Session::raw(connection)), transport: Transport::Quic, confirmed })
}

/// quinn says the same of a handshake that is done and of one that failed; but the latter has a reason.
fn confirmation(connection: Connection, accepted: quinn::ZeroRttAccepted) -> Confirmed {
    Confirmed::when(accepted.map(move |_| connection.close_reason().is_none()))
}

async fn web_transport(connecting: Connecting) -> Result<Link, String> {
    let connection: Connection = connecting.await.map_err(|error| error.to_string())?;
    let request = wt::Request::accept(connection).await.map_err(|error| error.to_string())?;
    if request.url.path() != PATH {
        let _ = request.reject(wt::http::StatusCode::NOT_FOUND).await; // it goes away either way
        return Err("no such path".to_owned());
    }
    let session = request.ok().await.map_err(|error| error.to_string())?;
    Ok(Link { session: Arc::new(session), transport: Transport::WebTransport, confirmed: Confirmed::done() })
}
