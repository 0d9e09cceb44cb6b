//! `/v1/organisations/{org}/keys` and `/webhooks`: what programs of an organisation work with. For its owners.

mod keys;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(keys::list, keys::make))
        .routes(routes!(keys::revoke))
        .routes(routes!(webhooks::list, webhooks::make))
        .routes(routes!(webhooks::end))
        .routes(routes!(webhooks::test))
}
