//! Starting and stopping, and the handle that `signaling` and `server` hold.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_store::{Op, Outcome, StatsSnapshot, Store};
use convene_telemetry::Metrics;
use convene_tls::{CertificateError, Resolver};
use convene_types::{CallId, ConvId, DeviceId, OrgId, SessionId, UserId};
use futures_util::{Sink, Stream};
use parking_lot::Mutex;
use quinn::Endpoint;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::accept;
use crate::endpoint;
use crate::fanout::{Fanout, Parts};
use crate::flood::Flood;
use crate::hub::Hub;
use crate::links::Links;
use crate::login::Known;
use crate::options::{Login, Options};
use crate::retention;
use crate::session::{End, Owner};
use crate::shared::Shared;
use crate::websocket;

/// Voice messages that are decoded at the same time. Each takes a core for up to a second.
const MAX_INSPECTIONS: usize = 2;
/// Clients that were sent away come back within this time, spread out, so that they do not all come at once.
const SPREAD_MS: u32 = 3_000;
/// How long a drain waits for sessions to take their leave.
const MAX_DRAIN: Duration = Duration::from_secs(3);
/// Changes of conversations that a listener may be behind with.
const MAX_BEHIND: usize = 4_096;

/// Why the chat service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("binding the chat port udp {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No certificate.
    #[error("preparing the certificate of the chat port")]
    Certificate(#[from] CertificateError),
    /// The store cannot be read.
    #[error("reading the store")]
    Store(#[source] Refusal),
}

/// What `/im/info` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// UDP port of QUIC and WebTransport.
    pub quic_port: u16,
    /// SHA-256 of the certificates to accept though nobody vouches for them.
    pub certificate_hashes: Vec<[u8; 32]>,
}

/// The chat service, for those who serve HTTP and run the process. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    address: SocketAddr,
}

/// The running tasks. Dropping it does not stop them: call [`Server::stop`].
pub struct Server {
    endpoint: Endpoint,
    handle: Handle,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts the chat service: binds its port and begins to take connections.
pub async fn start(options: Options) -> Result<(Handle, Server), StartError> {
    let Options { bind, certificate, authority, logins, pictures, store, blobs, metrics, limits } = options;
    let resolver = Resolver::new(certificate, SystemTime::now())?;
    let secret = store.read(|reader| Ok(Ok(reader.url_secret()?))).await.map_err(StartError::Store)?;
    let endpoint = endpoint::bind(bind, Arc::clone(&resolver), limits.idle_timeout, &secret);
    let wrong = |source| StartError::Bind { address: bind, source };
    let endpoint = endpoint.map_err(wrong)?;
    let address = endpoint.local_addr().map_err(wrong)?;
    let hub: Arc<Hub> = Arc::default();
    let parts =
        Parts { hub: Arc::clone(&hub), store: store.clone(), metrics: Arc::clone(&metrics), limits: limits.clone() };
    let shards = std::thread::available_parallelism().map_or(2, |cores| cores.get().saturating_mul(2));
    let (fanout, mut tasks) = Fanout::start(&parts, shards);
    let shared = Arc::new(Shared {
        authority,
        logins,
        pictures,
        store,
        blobs,
        hub,
        fanout,
        flood: Flood::new(&limits),
        limits,
        metrics,
        resolver: Arc::clone(&resolver),
        known: Known::default(),
        inspections: Arc::new(Semaphore::new(MAX_INSPECTIONS)),
        links: Links::new(&secret),
        standings: broadcast::channel(MAX_BEHIND).0,
    });
    tasks.push(tokio::spawn(accept::run(endpoint.clone(), Arc::clone(&shared))));
    tasks.push(tokio::spawn(resolver.keep_fresh("chat")));
    export(shared.store.clone(), &shared.metrics);
    let handle = Handle { shared, address };
    tasks.push(tokio::spawn(retention::run(handle.clone())));
    Ok((handle.clone(), Server { endpoint, handle, tasks }))
}

/// Exports the store's counters.
fn export(store: Store, metrics: &Metrics) {
    let last = Mutex::new(StatsSnapshot::default());
    metrics.when_asked(move |metrics| {
        let mut last = last.lock();
        let stats = store.stats();
        let failures = |what, now: u64, before| {
            metrics.im_store_failures.with_label_values(&[what]).inc_by(now.saturating_sub(before));
        };
        metrics.im_wal.set(i64::try_from(stats.wal_bytes).unwrap_or(i64::MAX));
        metrics.im_commits.inc_by(stats.batches.saturating_sub(last.batches));
        metrics.im_committed.inc_by(stats.ops.saturating_sub(last.ops));
        metrics.im_syncs.inc_by(stats.syncs.saturating_sub(last.syncs));
        failures("batch", stats.failed_batches, last.failed_batches);
        failures("read", stats.failed_reads, last.failed_reads);
        failures("sync", stats.failed_syncs, last.failed_syncs);
        *last = stats;
    });
}

impl Server {
    /// Tells all sessions to come back later, waits for them to go, and ends the tasks. The store goes on.
    pub async fn stop(self) {
        self.endpoint.set_server_config(None); // newcomers are refused
        self.handle.drain().await;
        self.endpoint.close(0_u32.into(), b"");
        let _ = timeout(MAX_DRAIN, self.endpoint.wait_idle()).await; // who does not hear of the end finds out
        for task in self.tasks {
            task.abort();
        }
    }
}

impl Handle {
    /// What clients need to know to connect.
    #[must_use]
    pub fn info(&self) -> Info {
        Info { quic_port: self.address.port(), certificate_hashes: self.shared.resolver.hashes() }
    }

    /// The address of the chat port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves a WebSocket until it ends: one message a frame, both ways.
    pub async fn serve_websocket<W, R>(&self, sink: W, stream: R)
    where
        W: Sink<Bytes> + Unpin + Send + 'static,
        R: Stream<Item = Bytes> + Unpin + Send,
    {
        Box::pin(websocket::run(Arc::clone(&self.shared), sink, stream)).await;
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared.hub.len()
    }

    /// Ends the sessions of a user, or of one device of theirs. They are told why.
    pub fn end_sessions(&self, user: UserId, device: Option<DeviceId>, code: Code) {
        let text = "ended by the server";
        self.shared.hub.end(user, device, &End::Told { code, text, retry_after_ms: 0 });
    }

    /// Ends the sessions of everybody in an organisation. They are told why.
    pub fn end_organisation(&self, org: OrgId, code: Code) {
        let text = "the organisation has ended";
        self.shared.hub.every(|session| {
            if session.owner.org == org {
                session.end(End::Told { code, text, retry_after_ms: 0 });
            }
        });
    }

    /// Ends the sessions that were opened with an access token of this login session. They are told why.
    pub fn end_login(&self, login: SessionId, code: Code) {
        let text = "the login session has ended";
        self.shared.hub.every(|session| {
            if session.login.is_some_and(|held| held.session == login) {
                session.end(End::Told { code, text, retry_after_ms: 0 });
            }
        });
    }

    /// Looks again at every session that was opened with an access token, after some ends were missed: whoever has no
    /// open login session, as `is_open` says, is sent away.
    pub fn end_logins_unless(&self, is_open: impl Fn(Login) -> bool, code: Code) {
        let text = "the login session has ended";
        self.shared.hub.every(|session| {
            if session.login.is_some_and(|login| !is_open(login)) {
                session.end(End::Told { code, text, retry_after_ms: 0 });
            }
        });
    }

    /// Shows a call to all devices of these users: those that are connected, and, while it is `live`, those that connect
    /// later. What was shown of it before is replaced.
    pub fn show_call(&self, users: &[UserId], id: CallId, state: im::CallState, live: bool) {
        let frame = frame::encode(&frame::of(0, Body::CallState(state)));
        users.iter().for_each(|user| self.shared.hub.show_call(*user, id, live.then(|| frame.clone()), &frame));
    }

    /// Tells of every conversation in which members, roles or mutes have changed, from now on, after the commit.
    #[must_use]
    pub fn standings(&self) -> broadcast::Receiver<ConvId> {
        self.shared.standings.subscribe()
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Makes a change on the server's own behalf, and tells everybody concerned.
    pub async fn publish(&self, op: Op) -> Result<Outcome, Refusal> {
        let (to, outcome) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.shared.store.write(op, move |result| {
            if let Ok(outcome) = &result {
                tell(&shared, outcome.clone());
            }
            let _ = to.send(result); // nobody waits any more: it happened all the same
        });
        outcome.await.unwrap_or_else(|_| Err(Refusal::new(Code::Unavailable, "the store has stopped")))
    }

    /// Tells all sessions to come back later, and waits for them to go.
    pub async fn drain(&self) {
        self.shared.hub.every(|session| {
            let retry_after_ms = rand::random_range(0..SPREAD_MS);
            session.end(End::Told { code: Code::GoingAway, text: "the server stops", retry_after_ms });
        });
        let empty = async {
            while self.shared.hub.len() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(MAX_DRAIN, empty).await.is_err() {
            info!(sessions = self.shared.hub.len(), "some sessions do not take their leave");
        }
    }
}

/// Who asks over HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Caller(Owner);

impl Caller {
    pub(crate) fn new(org: OrgId, user: UserId, device: DeviceId) -> Self {
        Self(Owner { org, user, device })
    }

    pub(crate) fn owner(&self) -> Owner {
        self.0
    }

    /// Their organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.0.org
    }

    /// Who they are.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.0.user
    }
}

fn tell(shared: &Shared, outcome: Outcome) {
    match outcome {
        Outcome::Appended(appended) => shared.publish(appended, None),
        Outcome::Created { events, .. } => events.into_iter().for_each(|event| shared.publish(event, None)),
        Outcome::Read { push, .. } | Outcome::User { push, .. } => {
            push.into_iter().for_each(|push| shared.push_user(push))
        }
        Outcome::Settings { push } => shared.push_user(push),
        Outcome::Swept { appended, .. } => appended.into_iter().for_each(|event| shared.publish(event, None)),
        Outcome::Upload(_)
        | Outcome::Expired(_)
        | Outcome::Account(_)
        | Outcome::Org(_)
        | Outcome::Webhook(_)
        | Outcome::Done => {}
    }
}
