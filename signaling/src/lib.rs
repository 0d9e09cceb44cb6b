//! Signaling: the control plane of rooms, and the protocols that reach it (LiveKit's WebSocket and Twirp API, WHIP, WHEP);
//! and the HTTP side of chat.
//!
//! ```text
//!  livekit (WebSocket) ─┐
//!  twirp (API)         ─┼─> rooms::Registry ─> room tasks ─> convene_sfu (media plane)
//!  whip, whep (HTTP)   ─┘
//!  chat (WebSocket, files) ──> convene_im
//!  people (REST: calls, conversations) ──> both of them
//! ```
//!
//! Invariant: `rooms` knows no wire protocol, and nothing here touches a media packet.

mod chat;
mod history;
mod http;
pub mod livekit;
mod people;
pub mod rooms;
pub mod token;
mod turn;
mod twirp;
mod whip;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use convene_accounts::apikey::Keyring;
use convene_accounts::token::Authority;
use convene_api::Api;
use convene_telemetry::Metrics;

pub use http::{BadNetwork, Network};
pub use turn::Turn;

/// What the routes are made from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// API keys and their secrets.
    pub api_keys: HashMap<String, String>,
    /// `--dev`: the API key whose tokens `POST /dev/token` hands to anyone.
    pub dev_key: Option<String>,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<Network>,
    /// What room tokens of people are signed with; empty: there are none.
    pub people_secret: String,
    /// How rooms behave.
    pub rooms: rooms::Options,
    /// The TURN server that clients may use.
    pub turn: Turn,
}

/// What all routes share. Cheap to clone.
#[derive(Clone)]
pub struct State {
    config: Arc<Config>,
    verifier: Arc<token::Verifier>,
    registry: Arc<rooms::Registry>,
    metrics: Arc<Metrics>,
    chat: Option<convene_im::Handle>,
    /// People are served.
    people: bool,
    more: Router,
}

impl State {
    /// An empty server over a media plane. It counts into the metrics that the ops port serves.
    #[must_use]
    pub fn new(config: Config, media: convene_sfu::Handle, metrics: Arc<Metrics>) -> Self {
        let mut keys = config.api_keys.clone();
        if !config.people_secret.is_empty() {
            keys.insert(token::PEOPLE.to_owned(), config.people_secret.clone());
        }
        let verifier = Arc::new(token::Verifier::new(keys));
        let registry =
            rooms::Registry::new(media, config.rooms.clone(), Arc::new(livekit::PacketFormat), Arc::clone(&metrics));
        Self {
            config: Arc::new(config),
            verifier,
            registry: Arc::new(registry),
            metrics,
            chat: None,
            people: false,
            more: Router::new(),
        }
    }

    /// Serves chat as well.
    #[must_use]
    pub fn with_chat(self, chat: convene_im::Handle) -> Self {
        Self { chat: Some(chat), ..self }
    }

    /// Takes what API keys of organisations have signed, for rooms of theirs.
    #[must_use]
    pub fn with_keyring(self, keyring: Keyring) -> Self {
        let verifier = token::Verifier::clone(&self.verifier).with_organisations(keyring);
        Self { verifier: Arc::new(verifier), ..self }
    }

    /// Serves people: the REST of accounts with calls and conversations in it, and room tokens that are theirs. Chat has to
    /// be there.
    pub async fn with_people(self, api: &Api) -> Result<Self, NoChat> {
        let (Some(chat), Some(minter)) = (&self.chat, self.verifier.minter(token::PEOPLE)) else { return Err(NoChat) };
        let people = people::People::start(api, chat, &self.registry, minter, Arc::clone(&self.metrics)).await;
        self.verifier.set_judge(people.judge());
        let state = self.with_routes(api.router_with(people.routes()));
        Ok(Self { people: true, ..state })
    }

    /// Serves these routes as well, under what holds for all.
    #[must_use]
    pub fn with_routes(self, more: Router) -> Self {
        Self { more: self.more.merge(more), ..self }
    }

    /// What room tokens are checked with: what a token grants, and whether its holder may still come in.
    #[must_use]
    pub fn verifier(&self) -> &Arc<token::Verifier> {
        &self.verifier
    }

    /// The open rooms; `drain` it before the server stops.
    #[must_use]
    pub fn registry(&self) -> &Arc<rooms::Registry> {
        &self.registry
    }
}

/// People cannot be served without chat, nor without a secret for their room tokens.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("people need chat, and a secret for their room tokens")]
pub struct NoChat;

/// Every route of the public port.
pub fn router(state: &State) -> Router {
    let State { config, verifier, registry, metrics, chat, people, more } = state;
    let turn = Arc::new(config.turn.clone());
    let dev = config.dev_key.as_deref().and_then(|key| verifier.minter(key));
    let router = http::routes(dev)
        .merge(livekit::routes(verifier, registry, metrics, &turn))
        .merge(twirp::routes(verifier, registry))
        .merge(history::routes(verifier, registry))
        .merge(whip::routes(verifier, registry, &turn))
        .merge(more.clone());
    let router = match chat {
        Some(chat) => router.merge(chat::routes(chat, *people, chat_minter(config))),
        None => router,
    };
    http::finish(router, Arc::clone(metrics), &config.trusted_proxies)
}

/// Who mints chat tokens for anybody: `--dev` only.
fn chat_minter(config: &Config) -> Option<(Arc<Authority>, String)> {
    let key = config.dev_key.clone()?;
    Some((Arc::new(Authority::new(config.api_keys.clone())), key))
}
