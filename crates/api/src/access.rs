//! The access log: every request to `/v1` is noted, off its path. A full queue loses entries and counts them; a request
//! never waits for its own entry.
//!
//! Who asks is known deep inside, where the token is checked or a sign-in ends well; it is handed up through a variable of
//! the task that serves the request ([`seen`]).

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use convene_store::accesses::{Access, Op};
use convene_store::{Op as StoreOp, Store};
use convene_telemetry::Metrics;
use convene_types::AccountId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::answer::now_s;
use crate::error::Refused;

/// Entries that wait to be written: seconds of a busy server.
const MAX_WAITING: usize = 4_096;
/// Entries of one write.
const MAX_BATCH: usize = 512;
/// How long an entry waits for others: what is read back is that old at most.
const GATHER: Duration = Duration::from_millis(500);
/// Longest name of a client that is kept.
const MAX_CLIENT_CHARS: usize = 128;
/// How often what is too old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60);
const DAY_S: u64 = 24 * 60 * 60;

tokio::task_local! {
    static WHO: Cell<AccountId>;
}

/// It turned out who asks.
pub(crate) fn seen(account: AccountId) {
    // Outside of a request there is nobody to tell.
    let _ = WHO.try_with(|who| who.set(account));
}

/// Takes entries.
#[derive(Clone)]
pub(crate) struct Log {
    entries: mpsc::Sender<Access>,
    metrics: Arc<Metrics>,
}

impl Log {
    /// Writes into `store`, where entries stay for `days`; 0: none is written.
    pub(crate) fn start(store: Store, days: u32, metrics: Arc<Metrics>) -> Self {
        let (entries, waiting) = mpsc::channel(MAX_WAITING);
        if days > 0 {
            tokio::spawn(write(waiting, store, u64::from(days).saturating_mul(DAY_S), Arc::clone(&metrics)));
        }
        Self { entries, metrics }
    }

    fn note(&self, access: Access) {
        match self.entries.try_send(access) {
            // Nobody writes: the operator wants no log.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.metrics.access_log.with_label_values(&["lost"]).inc(),
        }
    }
}

/// Around all routes of `/v1`.
pub(crate) async fn noted(State(log): State<Log>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    let endpoint = format!("{} {route}", request.method());
    let client = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let client = client.chars().take(MAX_CLIENT_CHARS).collect();
    let served = async { (next.run(request).await, WHO.with(Cell::get)) };
    let (response, account) = WHO.scope(Cell::new(AccountId(0)), served).await;
    let code = response.extensions().get().map_or("", |Refused(code)| *code).to_owned();
    let status = response.status().as_u16();
    let address = address.unwrap_or_default();
    log.note(Access { id: 0, account, at_s: now_s(), address, client, endpoint, status, code });
    response
}

async fn write(mut waiting: mpsc::Receiver<Access>, store: Store, keep_s: u64, metrics: Arc<Metrics>) {
    let mut forget_at = Instant::now();
    loop {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        tokio::select! {
            taken = waiting.recv_many(&mut batch, MAX_BATCH) => if taken == 0 {
                return;
            },
            () = sleep_until(forget_at) => {
                forget_at = Instant::now() + FORGET_EVERY;
                let before_s = now_s().saturating_sub(keep_s);
                // The next one tries again.
                let _ = store.write_async(StoreOp::Access(Op::Forget { before_s })).await;
                continue;
            }
        }
        let until = Instant::now() + GATHER;
        while batch.len() < MAX_BATCH {
            let room = MAX_BATCH - batch.len();
            tokio::select! {
                taken = waiting.recv_many(&mut batch, room) => if taken == 0 { break },
                () = sleep_until(until) => break,
            }
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let written = store.write_async(StoreOp::Access(Op::Note(batch))).await.is_ok();
        metrics.access_log.with_label_values(&[if written { "written" } else { "lost" }]).inc_by(count);
    }
}
