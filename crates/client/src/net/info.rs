//! What a server says of its chat: `GET /im/info`. Not here: using it (`dial`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::address::ServerUrl;
use super::http;
use super::tls::Tls;
use crate::error::Error;

/// The answer to `/im/info`. Also kept in the database, so that the next start needs no question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    /// UDP port of QUIC; absent or 0 where the server has none.
    #[serde(default)]
    pub(crate) quic_port: u16,
    /// SHA-256 of the certificates to accept on that port, base64; empty where a browser would accept them.
    #[serde(default)]
    certificate_hashes: Vec<String>,
    /// Path of the WebSocket.
    #[serde(default = "websocket_path")]
    pub(crate) websocket: String,
}

fn websocket_path() -> String {
    "/im".to_owned()
}

impl Info {
    pub(crate) async fn ask(url: &ServerUrl, tls: &Tls) -> Result<Self, Error> {
        Self::parse(&http::request(url, tls, "/im/info", None).await?)
            .ok_or_else(|| Error::Unreachable(format!("{url}: /im/info is not of a Convene server")))
    }

    /// Reads what the server said or the database kept.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let info: Self = serde_json::from_slice(json).ok()?;
        (info.websocket.starts_with('/') && info.pins().is_some()).then_some(info)
    }

    /// The hashes of [`Info::certificate_hashes`]; `None` if one is none.
    pub(crate) fn pins(&self) -> Option<Vec<[u8; 32]>> {
        let pin = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        self.certificate_hashes.iter().map(pin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_refused() {
        let hash = STANDARD.encode([7; 32]);
        let whole = format!(r#"{{"version":1,"quic_port":7882,"certificate_hashes":["{hash}"],"websocket":"/im"}}"#);
        let rows = [
            (whole.as_str(), Some((7882, 1))),
            (r#"{"version":1}"#, Some((0, 0))),
            (r#"{"quic_port":7882,"certificate_hashes":["abc"]}"#, None),
            (r#"{"quic_port":70000}"#, None),
            (r#"{"websocket":"im"}"#, None),
            ("<html>", None),
        ];
        for (json, want) in rows {
            let got = Info::parse(json.as_bytes()).map(|info| (info.quic_port, info.pins().unwrap().len()));
            assert_eq!(got, want, "{json}");
        }
    }
}
