//! `GET /im/info`: the ways to connect and to sign in, for clients that know the server by its HTTP address.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convene_im::Handle;
use serde::Serialize;

use super::PATH;

/// Version of this document.
const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Info {
    version: u32,
    quic_port: u16,
    webtransport: String,
    /// SHA-256 of the certificates to accept on that port, base64; empty where a browser would accept them anyway.
    certificate_hashes: Vec<String>,
    websocket: &'static str,
    sign_in: SignIn,
}

/// How people come by a token here.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SignIn {
    /// By a phone number, `/v1/auth`: the server has accounts.
    pub(crate) phone: bool,
    /// By a name alone, `/dev/chat-token`: the server is in development.
    pub(crate) name: bool,
}

/// Tells the ways.
pub(super) async fn info(State((chat, sign_in)): State<(Handle, SignIn)>, headers: HeaderMap) -> Json<Info> {
    let info = chat.info();
    let hashes = info.certificate_hashes.iter().map(|hash| STANDARD.encode(hash));
    std::future::ready(Json(Info {
        version: VERSION,
        quic_port: info.quic_port,
        webtransport: format!("https://{}:{}{PATH}", host(&headers), info.quic_port),
        certificate_hashes: hashes.collect(),
        websocket: PATH,
        sign_in,
    }))
    .await
}

/// The host as the caller reached us, without its port; an IPv6 address keeps its brackets.
fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let uri = host.and_then(|host| host.parse::<Uri>().ok());
    uri.as_ref().and_then(Uri::host).unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_host_is_that_of_the_request_without_its_port() {
        let rows = [
            ("chat.example:7880", "chat.example"),
            ("192.0.2.1:7880", "192.0.2.1"),
            ("[2001:db8::1]:7880", "[2001:db8::1]"),
            ("chat.example", "chat.example"),
            ("a b", "localhost"),
        ];
        for (given, want) in rows {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(given))]);
            assert_eq!(host(&headers), want);
        }
        assert_eq!(host(&HeaderMap::new()), "localhost");
    }
}
