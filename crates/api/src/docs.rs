//! All routes, and the document that describes them: made from the same list, so that neither lacks one.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use convene_accounts::Code;
use convene_telemetry::Metrics;
use tracing::Instrument as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::error::{Error, Refused};
use crate::{Api, access, auth, integrations, me, org};

/// A page for people; it reads the document.
const PAGE: &str = include_str!("docs.html");

/// Bytes of one body. The largest that is asked for are policies with some hundred departments.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(crate) fn router(api: Api, more: OpenApiRouter) -> Router {
    let (metrics, log) = (Arc::clone(&api.inner.metrics), api.inner.log.clone());
    let (router, document) = described().with_state(api).merge(more).split_for_parts();
    let json = document.to_json().unwrap_or_default();
    router
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(metrics, count))
        .layer(middleware::from_fn_with_state(log, access::noted))
        .layer(middleware::from_fn(to_its_end))
        .route(
            "/v1/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json).into_response()),
        )
        .route("/v1", get(async || Html(PAGE)))
}

/// What was begun is done to its end, whether the client waits for it or not: half of most changes is what is told of them
/// after the commit, to those who hold connections and tokens. A request whose client hangs up is dropped where it stands.
async fn to_its_end(request: Request, next: Next) -> Response {
    let answer = tokio::spawn(next.run(request).in_current_span()).await;
    // A panic was logged where it happened.
    answer.unwrap_or_else(|_| Error::from(Code::Internal).into_response())
}

/// Counts refusals by their code.
async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(Refused(code)) = response.extensions().get() {
        metrics.refused.with_label_values(&[*code]).inc();
    }
    response
}

fn described() -> OpenApiRouter<Api> {
    let info = InfoBuilder::new().title("Convene").version(env!("CARGO_PKG_VERSION")).description(Some(
        "People and organisations. Refusals are problem documents (RFC 9457); `code` is stable. Sign in, and send the access \
         token as `Authorization: Bearer`. Programs of an organisation send a token that they sign with an API key instead \
         (HS256; `iss` the key, `aud` `convene-api`, `exp` within an hour); routes that take one name the scope that it needs.",
    ));
    let mut document = OpenApiBuilder::new().info(info.build()).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    OpenApiRouter::with_openapi(document)
        .merge(auth::routes())
        .merge(me::routes())
        .merge(org::invitation_routes())
        .merge(org::routes())
        .merge(integrations::routes())
}
