//! `/v1/auth`: by a number and a code or a password to a session, and out of it.

mod code;
mod enter;
mod password;
mod session;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(code::send))
        .routes(routes!(enter::register))
        .routes(routes!(enter::sign_in))
        .routes(routes!(enter::reset))
        .routes(routes!(session::refresh))
        .routes(routes!(session::sign_out))
}
