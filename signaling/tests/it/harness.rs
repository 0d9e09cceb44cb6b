//! What the tests of the HTTP adapters share: the whole router over a real media plane on loopback, and tokens.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use convene_signaling::rooms::{Options, Registry};
use convene_signaling::token::{Claims, Grants, Minter, Verifier};
use convene_signaling::{Config, State};
use convene_telemetry::Metrics;
use tower::ServiceExt as _;

/// The server's routes, and the rooms behind them.
pub(crate) struct Harness {
    pub(crate) rooms: Arc<Registry>,
    router: Router,
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(rooms: Options) -> Self {
        let metrics: Arc<Metrics> = Arc::default();
        let media = media(&metrics);
        let api_keys = keys();
        let state = State::new(Config { api_keys, rooms, ..Config::default() }, media, metrics);
        Self { rooms: Arc::clone(state.registry()), router: convene_signaling::router(&state) }
    }

    /// An address at which the routes are served, until the test ends.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, router) = (listener.local_addr().unwrap(), self.router.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// A media plane on loopback.
pub(crate) fn media(metrics: &Arc<Metrics>) -> convene_sfu::Handle {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let options = convene_sfu::Options {
        bind: localhost,
        ports: vec![0],
        advertised: vec![localhost],
        tcp_port: None,
        spread: convene_sfu::Spread::ByLoad,
        max_load: 2.0,
        loudest: 0,
        metrics: Arc::clone(metrics),
    };
    convene_sfu::start(&options).unwrap().0
}

/// An `Authorization` header's value for a token with these grants.
pub(crate) fn bearer(identity: &str, grants: Grants, ttl: Duration) -> String {
    let claims = Claims { identity: identity.to_owned(), grants, ..Claims::default() };
    format!("Bearer {}", Minter::new("devkey", "secret").mint(&claims, ttl).unwrap())
}

fn keys() -> HashMap<String, String> {
    HashMap::from([("devkey".to_owned(), "secret".to_owned())])
}

/// What a token of the server says.
pub(crate) fn verify(token: &str) -> Claims {
    Verifier::new(keys()).verify(token).unwrap()
}

/// Grants that join a room.
pub(crate) fn join(room: &str) -> Grants {
    Grants { room_join: true, room: room.to_owned(), ..Grants::default() }
}

/// A minute: longer than any test.
pub(crate) const TTL: Duration = Duration::from_secs(60);
