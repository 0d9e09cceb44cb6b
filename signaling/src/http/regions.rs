//! `/settings/regions`: a service of LiveKit's cloud that its clients ask for.

use axum::Json;
use serde_json::{Value, json};

/// One server has no other regions.
pub(super) async fn regions() -> Json<Value> {
    Json(json!({ "regions": [] }))
}
