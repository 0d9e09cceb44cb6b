//! Counts requests by route and status, and refusals by code.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use convene_telemetry::Metrics;

/// The stable code of a refusal, put into a response's extensions by whoever refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) &'static str);

/// Labels are routes and codes of this program, never what a client wrote.
pub(super) async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    metrics.http_requests.with_label_values(&[route, response.status().as_str()]).inc();
    if let Some(Refused(code)) = response.extensions().get() {
        metrics.refused.with_label_values(&[*code]).inc();
    }
    response
}
