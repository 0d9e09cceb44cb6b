//! Connections of the HTTP port at work. `axum::serve` waits for ever for a request that does not come, which would let strangers
//! hold all places. Otherwise this does what that does; bodies have their time as well (`body`), and so has who takes an answer
//! (`door`).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::response::Response;
use axum::serve::Listener;
use convene_telemetry::Metrics;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tower::ServiceExt as _;
use tracing::trace;

use super::body::Arriving;

/// Until the head of the first request is there, whole. Clients send it with the connection.
const FIRST_REQUEST: Duration = Duration::from_secs(20);
/// Until the head of the next one is. Longer than proxies keep a connection to us without using it (60 s by default in nginx
/// and in load balancers of clouds): a request that crosses with our end of it would fail.
const NEXT_REQUEST: Duration = Duration::from_secs(75);

/// Serves what comes in until told to end; then what is under way, to its end.
pub(super) async fn serve<L: Listener<Addr = SocketAddr>>(
    mut listener: L,
    router: Router,
    scheme: Scheme,
    metrics: Arc<Metrics>,
    mut ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let (stop, _) = watch::channel(());
    loop {
        let (stream, remote) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut ended => break, // a dropped sender ends it too
        };
        let asking = Asking { router: router.clone(), remote, scheme };
        tokio::spawn(connection(stream, asking, Arc::clone(&metrics), stop.subscribe()));
    }
    drop(listener);
    let _ = stop.send(()); // an error says that nobody is there
    stop.closed().await;
    Ok(())
}

/// What the clients of a port speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

async fn connection<S>(stream: S, asking: Asking, metrics: Arc<Metrics>, mut stop: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = AtomicBool::new(false);
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        asking.ask(request, Arc::clone(&metrics))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(NEXT_REQUEST);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut patience = pin!(sleep(FIRST_REQUEST));
    let (mut waits, mut told) = (true, false);
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    trace!(%error, "a connection has failed");
                }
                return;
            }
            _ = stop.changed(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            () = patience.as_mut(), if waits => {
                waits = false;
                if !asked.load(Ordering::Relaxed) {
                    metrics.refused.with_label_values(&["http_silent"]).inc();
                    return;
                }
            }
        }
    }
}

/// What every request of a connection has in common.
struct Asking {
    router: Router,
    remote: SocketAddr,
    scheme: Scheme,
}

impl Asking {
    fn ask(
        &self,
        request: Request<Incoming>,
        metrics: Arc<Metrics>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let mut request = request.map(|body| Body::new(Arriving::new(body, metrics)));
        request.extensions_mut().insert(ConnectInfo(self.remote));
        if self.scheme == Scheme::Https {
            // As a proxy says it; what the client said of it is replaced.
            request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
        }
        self.router.clone().oneshot(request)
    }
}
