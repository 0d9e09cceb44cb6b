//! The operators' port: `/metrics`, `/healthz`, `/readyz`. It asks for no password, so it listens on the loopback unless
//! the operator says otherwise.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::Metrics;

/// Whether the process should get new work. Starts as no.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Said>);

/// What the process says of itself to whoever sends it work.
#[derive(Debug, Default)]
struct Said {
    ready: AtomicBool,
    /// Thousandths.
    stress: AtomicU32,
    overloaded: AtomicBool,
}

impl Ready {
    /// Not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on.
    pub fn set(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Release);
    }

    /// As of now.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    /// How busy it is, 0.0..=1.0, and whether it refuses calls that have not begun yet.
    pub fn set_stress(&self, stress: f32, overloaded: bool) {
        self.0.stress.store((stress.clamp(0.0, 1.0) * 1e3) as u32, Ordering::Relaxed);
        self.0.overloaded.store(overloaded, Ordering::Relaxed);
    }

    fn text(&self, state: &str) -> String {
        format!("{state}\nstress {:.3}\n", f64::from(self.0.stress.load(Ordering::Relaxed)) / 1e3)
    }
}

/// The routes.
pub fn router(metrics: Arc<Metrics>, ready: Ready) -> Router {
    Router::new()
        .route("/metrics", get(text))
        .route("/healthz", get(|| std::future::ready("ok\n")))
        .route("/readyz", get(readiness))
        .route("/readyz/rooms", get(readiness_for_rooms))
        .with_state((metrics, ready))
}

/// Serves the routes until the task is dropped.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Ready) -> io::Result<()> {
    axum::serve(listener, router(metrics, ready)).await
}

async fn text(State((metrics, _)): State<(Arc<Metrics>, Ready)>) -> impl IntoResponse {
    // The runtime knows, so nobody counts.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    std::future::ready(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())).await
}

async fn readiness(State((metrics, ready)): State<(Arc<Metrics>, Ready)>) -> impl IntoResponse {
    metrics.measure();
    std::future::ready(match ready.get() {
        true => (StatusCode::OK, ready.text("ready")),
        false => (StatusCode::SERVICE_UNAVAILABLE, ready.text("not ready")),
    })
    .await
}

/// For whoever chooses where a call begins. A node without time left is ready all the same: who is in a call there has to
/// find it when they come back.
async fn readiness_for_rooms(State((metrics, ready)): State<(Arc<Metrics>, Ready)>) -> impl IntoResponse {
    metrics.measure();
    std::future::ready(match (ready.get(), ready.0.overloaded.load(Ordering::Relaxed)) {
        (true, false) => (StatusCode::OK, ready.text("ready")),
        (true, true) => (StatusCode::SERVICE_UNAVAILABLE, ready.text("overloaded")),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, ready.text("not ready")),
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn fetch(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn tells_health_readiness_and_metrics() {
        let (metrics, ready) = (Arc::new(Metrics::new()), Ready::new());
        metrics.rooms.set(3);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, metrics, ready.clone()));
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        ready.set(true);
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/readyz/rooms").await.starts_with("HTTP/1.1 200"));
        ready.set_stress(0.9234, true);
        let full = fetch(address, "/readyz/rooms").await;
        assert!(full.starts_with("HTTP/1.1 503") && full.ends_with("overloaded\nstress 0.923\n"), "{full}");
        let ready_still = fetch(address, "/readyz").await;
        assert!(ready_still.starts_with("HTTP/1.1 200") && ready_still.ends_with("ready\nstress 0.923\n"));
        let before = fetch(address, "/metrics").await;
        assert!(before.contains("convene_rooms 3"));
        let tasks = |text: &str| text.lines().find_map(|line| line.strip_prefix("convene_tasks ")?.parse::<u32>().ok());
        assert!((1..100).contains(&tasks(&before).unwrap()), "{before}");
        let kept: Vec<_> = (0..100).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        assert!(tasks(&fetch(address, "/metrics").await).unwrap() > 100);
        kept.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(fetch(address, "/else").await.starts_with("HTTP/1.1 404"));
    }
}
