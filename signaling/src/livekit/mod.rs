//! LiveKit's client protocol over WebSocket, as an adapter of [`crate::rooms`]: `/rtc/v1` (one transport, the offer comes
//! in the join request) and `/rtc` (two transports). Protobuf types of that protocol appear here and in `twirp` only.
//!
//! Works with LiveKit client SDKs; not affiliated with LiveKit.

pub(crate) mod convert;
mod data;
mod data_track;
mod dispatch;
mod encode;
mod entrance;
mod join;
mod limits;
mod names;
mod parse;
mod session;
mod socket;
mod upgrade;
mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use convene_telemetry::Metrics;

use crate::rooms::Registry;
use crate::token::Verifier;
use crate::turn::Turn;

pub use data::PacketFormat;
pub use webhook::webhook_event;

/// What the handlers work on.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) rooms: Arc<Registry>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) turn: Arc<Turn>,
}

/// The two WebSocket routes, and who would be let in by them.
pub(crate) fn routes(
    verifier: &Arc<Verifier>,
    rooms: &Arc<Registry>,
    metrics: &Arc<Metrics>,
    turn: &Arc<Turn>,
) -> Router {
    let shared = Shared {
        verifier: Arc::clone(verifier),
        rooms: Arc::clone(rooms),
        metrics: Arc::clone(metrics),
        turn: Arc::clone(turn),
    };
    Router::new()
        .route("/rtc/v1", get(upgrade::single))
        .route("/rtc", get(upgrade::dual))
        .route("/rtc/v1/validate", get(entrance::validate_single))
        .route("/rtc/validate", get(entrance::validate_dual))
        .with_state(shared)
}
