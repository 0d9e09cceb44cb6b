//! `/v1/me`: the account that asks.

mod accesses;
mod account;
mod contacts;
mod export;
mod picture;
mod requests;
mod sessions;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;

pub(crate) use accesses::Entry;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(accesses::list))
        .routes(routes!(account::get, account::edit))
        .routes(routes!(account::set_password))
        .routes(routes!(account::consent))
        .routes(routes!(account::change_number))
        .routes(routes!(account::cancel))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::devices))
        .routes(routes!(sessions::unbind))
        .routes(routes!(export::export))
        .routes(routes!(requests::list))
        .routes(routes!(requests::withdraw))
        .merge(picture::routes())
        .routes(routes!(contacts::list))
        .routes(routes!(contacts::set, contacts::remove))
}
