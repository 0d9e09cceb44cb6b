//! Webhooks within `convene serve`: what happens in rooms goes into the store, and from there to its endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use convene_accounts::apikey::{Keyring, org_of_room};
use convene_accounts::webhook::Kinds;
use convene_outbound::{Client, Courier, CourierOptions, Reach};
use convene_signaling::livekit::webhook_event;
use convene_signaling::rooms::Happening;
use convene_store::Store;
use convene_store::webhooks::Op;
use convene_telemetry::Metrics;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tracing::warn;

use crate::config::Settings;

/// A courier that still has to run. Tells the store which endpoints the configuration has.
pub(crate) async fn courier(
    settings: &Settings,
    store: &Store,
    keyring: &Keyring,
    metrics: &Arc<Metrics>,
) -> Result<Courier> {
    let webhooks = &settings.webhooks;
    let endpoints = webhooks.urls.iter().map(|url| (url.clone(), webhooks.key.clone())).collect();
    store.webhook(Op::Configure(endpoints)).await.context("noting the webhooks of the configuration")?;
    let reach = if webhooks.allow_private { Reach::Anywhere } else { Reach::Public };
    let client = |reach| Client::new(reach).context("starting to send webhooks");
    // The series are there before the first time, so that an increase of them is one.
    for outcome in ["delivered", "dead", "full", "lost"] {
        metrics.webhooks.with_label_values(&[outcome]);
    }
    let keys: HashMap<String, String> = settings.keys.0.clone();
    Ok(Courier::new(CourierOptions {
        store: store.clone(),
        keyring: keyring.clone(),
        keys,
        own: client(Reach::Anywhere)?,
        others: client(reach)?,
        metrics: Arc::clone(metrics),
    }))
}

/// Notes what happens in rooms, in its order, for as long as there are rooms: at `ending`, what they have told up to then.
pub(crate) async fn note(
    mut told: Receiver<Arc<Happening>>,
    store: Store,
    metrics: Arc<Metrics>,
    mut ending: oneshot::Receiver<()>,
) {
    let lost = metrics.webhooks.with_label_values(&["lost"]);
    loop {
        let next = tokio::select! {
            biased;
            next = told.recv() => next,
            _ = &mut ending => return,
        };
        let happening = match next {
            Ok(happening) => happening,
            Err(RecvError::Lagged(missed)) => {
                lost.inc_by(missed);
                warn!(missed, "events of rooms came faster than they could be noted for webhooks");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        if !store.outbox().may_be_wanted() {
            continue;
        }
        let Some(body) = webhook_event(&happening) else { continue };
        let op = Op::Enqueue { org: org_of_room(&happening.room.name), kind: Kinds::ROOMS, body };
        if let Err(refusal) = store.webhook(op).await {
            lost.inc();
            warn!(%refusal, "an event of a room could not be noted for webhooks");
        }
    }
}
