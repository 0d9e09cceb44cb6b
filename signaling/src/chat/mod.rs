//! Chat over HTTP: what a client needs to know to connect, the WebSocket for networks without UDP, files, and tokens for
//! development. All of it is served by [`convene_im::Handle`]; here are the addresses and the shapes.

mod blobs;
mod dev;
mod info;
mod range;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};
use convene_accounts::token::Authority;
use convene_im::Handle;
use info::SignIn;

/// Path of the WebSocket, and of WebTransport on the chat port.
const PATH: &str = "/im";

/// The routes. `people`: the server has accounts. `dev` is set by `--dev` only: the API key whose tokens anybody gets.
pub(crate) fn routes(chat: &Handle, people: bool, dev: Option<(Arc<Authority>, String)>) -> Router {
    let sign_in = SignIn { phone: people, name: dev.is_some() };
    let router = Router::new()
        .route("/im/info", get(info::info))
        .with_state((chat.clone(), sign_in))
        .route(PATH, get(socket::upgrade))
        .route("/im/blobs", post(blobs::begin))
        // The same place in the path: an upload's name where it is written, a blob's where it is read.
        .route("/im/blobs/{id}", patch(blobs::part).get(blobs::get))
        .route("/im/blobs/{id}/commit", post(blobs::commit))
        .with_state(chat.clone());
    match dev {
        Some(minter) => router.merge(Router::new().route("/dev/chat-token", post(dev::token)).with_state(minter)),
        None => router,
    }
}
