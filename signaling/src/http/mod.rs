//! HTTP around the adapters: who asks (bearer tokens), refusals as problem documents, CORS, size limits, the embedded browser
//! client, and tokens for development.
//!
//! Not here: what WebSockets, Twirp, WHIP and WHEP say (`rtc`, `twirp`, `whip`).

mod bearer;
mod client;
mod cors;
mod count;
mod dev;
mod limits;
mod problem;
mod proxies;
mod regions;
mod segment;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use convene_telemetry::Metrics;

pub(crate) use bearer::{authenticate, bearer};
pub(crate) use count::Refused;
pub(crate) use limits::MAX_BODY_BYTES;
pub(crate) use problem::Problem;
pub use proxies::{BadNetwork, Network};
pub(crate) use segment::segment;

use crate::token::Minter;

/// Routes that need no room: regions, development tokens. `dev` is set by `--dev` only.
pub(crate) fn routes(dev: Option<Minter>) -> Router {
    let router = Router::new().route("/settings/regions", get(regions::regions));
    match dev {
        Some(minter) => router.merge(Router::new().route("/dev/token", post(dev::token)).with_state(Arc::new(minter))),
        None => router,
    }
}

/// Adds what holds for every route: the browser client where nothing else matches, problem documents for wrong methods,
/// size limits, CORS, counters, who asks behind a proxy. Called once, last.
pub(crate) fn finish(router: Router, metrics: Arc<Metrics>, trusted: &[Network]) -> Router {
    router
        .fallback(client::serve)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(limits::request_target))
        .layer(middleware::from_fn(cors::cors))
        .layer(middleware::from_fn_with_state(metrics, count::count))
        .layer(middleware::from_fn_with_state(Arc::<[Network]>::from(trusted), proxies::see_through))
}

#[cfg(test)]
mod tests;
