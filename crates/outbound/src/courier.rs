//! Webhooks: takes what waits in the store to its endpoints, in order, until it is taken.
//!
//! A lane an endpoint: what waits there goes out one after the other, so that a receiver sees what happened in the order in
//! which it happened. Who fails is left alone for a while, longer each time, and holds up nobody else. What is older than
//! a day is dropped and counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use convene_accounts::apikey::Keyring;
use convene_accounts::webhook::{self, MAX_AGE_S, PATIENCE_MS};
use convene_store::Store;
use convene_store::webhooks::{Endpoint, Op, Waiting};
use convene_telemetry::Metrics;
use convene_types::OrgId;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::client::{Client, Outgoing, SendError};

/// Endpoints that are written to at a time.
const MAX_LANES: usize = 64;
/// Events that a lane reads at a time.
const BATCH: u32 = 32;
/// How soon a reader that could not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// An endpoint that failed rests at least so long.
const MIN_REST: Duration = Duration::from_millis(50);
/// LiveKit's.
const CONTENT_TYPE: &str = "application/webhook+json";

/// What a courier is made from.
#[derive(Clone)]
pub struct CourierOptions {
    /// Where what waits is.
    pub store: Store,
    /// Secrets of keys of organisations.
    pub keyring: Keyring,
    /// API keys of the configuration and their secrets.
    pub keys: HashMap<String, String>,
    /// To endpoints of the configuration.
    pub own: Client,
    /// To endpoints of organisations.
    pub others: Client,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// Delivers. Clones are handles of the same one.
#[derive(Clone)]
pub struct Courier {
    options: Arc<CourierOptions>,
}

/// Why an event was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The key that signs was revoked.
    #[error("the API key that signs is good no more")]
    NoKey,
    /// No answer.
    #[error(transparent)]
    Sending(#[from] SendError),
    /// Another answer than 2xx.
    #[error("the endpoint answered with status {0}")]
    Status(u16),
}

impl NotDelivered {
    const fn outcome(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Sending(error) => error.name(),
            Self::Status(_) => "status",
        }
    }
}

/// How an endpoint did lately.
#[derive(Clone, Copy, Debug)]
struct Lane {
    busy: bool,
    failures: u32,
    rests_until: Instant,
}

impl Courier {
    /// Has to be [`Courier::run`].
    #[must_use]
    pub fn new(options: CourierOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    /// Delivers until it is aborted. What was on its way then is delivered again after the next start, with the same id.
    pub async fn run(self) {
        let (mut lanes, mut flying) = (HashMap::<i64, Lane>::new(), JoinSet::new());
        let outbox = self.options.store.outbox();
        loop {
            self.options.metrics.webhooks.with_label_values(&["full"]).inc_by(outbox.take_full());
            let waiting = self.waiting().await;
            // What nothing waits for and nothing flies to is forgotten: endpoints come and go.
            lanes.retain(|id, lane| lane.busy || waiting.iter().any(|endpoint| endpoint.id == *id));
            let now = Instant::now();
            for endpoint in waiting {
                let lane = lanes.entry(endpoint.id).or_insert(Lane { busy: false, failures: 0, rests_until: now });
                if !lane.busy && lane.rests_until <= now && flying.len() < MAX_LANES {
                    lane.busy = true;
                    let courier = self.clone();
                    flying.spawn(async move { (endpoint.id, courier.deliver_some(&endpoint).await) });
                }
            }
            // Without one that rests there is nothing to do until the outbox is filled: an idle server sleeps.
            let due = lanes.values().filter(|lane| !lane.busy).map(|lane| lane.rests_until).min();
            let pause = due.map(|due| due.saturating_duration_since(now).max(MIN_REST));
            tokio::select! {
                () = outbox.filled() => {}
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                Some(landed) = flying.join_next() => {
                    // A panic of a lane was logged where it happened; its endpoint stays busy, which is the safe side.
                    let Ok((id, delivered)) = landed else { continue };
                    let Some(lane) = lanes.get_mut(&id) else { continue };
                    lane.busy = false;
                    lane.failures = if delivered.is_ok() { 0 } else { lane.failures.saturating_add(1) };
                    let pause = if delivered.is_ok() { 0 } else { webhook::pause_ms(lane.failures, rand::random()) };
                    lane.rests_until = Instant::now() + Duration::from_millis(pause);
                }
            }
        }
    }

    async fn waiting(&self) -> Vec<Endpoint> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let Ok(page) = self.options.store.ask(move |reader| reader.waiting_webhooks(after)).await else {
                sleep(ASK_AGAIN).await;
                continue;
            };
            let Some(last) = page.last() else { return all };
            after = last.id;
            all.extend(page);
        }
    }

    /// Delivers what waits, until nothing does or one fails.
    async fn deliver_some(&self, endpoint: &Endpoint) -> Result<(), NotDelivered> {
        let (id, options) = (endpoint.id, &self.options);
        let Ok(found) = options.store.ask(move |reader| reader.webhook_outbox(id, BATCH)).await else {
            return Ok(()); // the store is busy: looked at again soon
        };
        for Waiting { id: number, body, made_s } in found {
            if now_s().saturating_sub(made_s) > MAX_AGE_S {
                warn!(endpoint = id, "an event was dropped: its endpoint did not take it for a day");
                self.count("dead");
            } else if let Err(error) = self.post(endpoint, body.into_bytes()).await {
                debug!(endpoint = id, %error, "a webhook was not delivered");
                self.count(error.outcome());
                return Err(error);
            } else {
                self.count("delivered");
            }
            if options.store.webhook(Op::Done { endpoint: id, up_to: number }).await.is_err() {
                return Ok(()); // delivered again later: receivers know ids
            }
        }
        Ok(())
    }

    /// One event, once.
    pub async fn post(&self, endpoint: &Endpoint, body: Vec<u8>) -> Result<(), NotDelivered> {
        let options = &self.options;
        let configured = endpoint.org == OrgId(0);
        let secret = match configured {
            true => options.keys.get(&endpoint.key).cloned(),
            false => {
                options.keyring.find(&endpoint.key).filter(|(key, _)| key.org == endpoint.org).map(|(_, secret)| secret)
            }
        };
        let secret = secret.ok_or(NotDelivered::NoKey)?;
        let signature = webhook::sign(&endpoint.key, &secret, &body, now_s()).map_err(|_| NotDelivered::NoKey)?;
        let headers = [("content-type", CONTENT_TYPE.to_owned()), ("authorization", signature)];
        let client = if configured { &options.own } else { &options.others };
        let outgoing = Outgoing { url: &endpoint.url, headers: &headers, body };
        let status = client.post(outgoing, Duration::from_millis(PATIENCE_MS)).await?.status;
        if (200..300).contains(&status) { Ok(()) } else { Err(NotDelivered::Status(status)) }
    }

    /// Whether an organisation may name this address.
    #[must_use]
    pub fn takes(&self, url: &str) -> bool {
        self.options.others.check(url).is_ok()
    }

    fn count(&self, outcome: &str) {
        self.options.metrics.webhooks.with_label_values(&[outcome]).inc();
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
