//! Tokens of a server in development mode, which gives them to anybody. Not for a server that people use.

use serde::Deserialize;

use crate::error::Error;
use crate::net::address::ServerUrl;
use crate::net::http;
use crate::net::tls::Tls;

#[derive(Deserialize)]
struct Reply {
    token: String,
}

/// Asks `POST /dev/chat-token` for a token of the user of this name.
pub async fn token(server: &ServerUrl, user: &str) -> Result<String, Error> {
    let json = serde_json::json!({ "user": user }).to_string();
    let reply = http::request(server, &Tls::new(Vec::new()), "/dev/chat-token", Some(&json)).await?;
    let reply: Result<Reply, _> = serde_json::from_slice(&reply);
    reply.map(|reply| reply.token).map_err(|_| Error::Token(format!("{server} gives none: is it in development mode?")))
}
