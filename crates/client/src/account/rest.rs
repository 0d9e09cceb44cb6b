//! The part of `/v1` that signing in takes. Not here: what is done with the answers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Proof;
use super::kept::{Entered, Tokens};
use crate::device::DeviceId;
use crate::error::Error;
use crate::net::address::ServerUrl;
use crate::net::http::{self, Answer, Ask, Stream};
use crate::net::tls::Tls;

/// A server's `/v1`.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) server: ServerUrl,
    pub(super) tls: Tls,
}

/// Why a renewal did not give tokens.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server has said no for good.
    Over { code: String, text: String },
    /// It may have given them, and the answer was lost.
    Lost(Error),
    /// It has not.
    Other(Error),
}

/// A problem document (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    detail: String,
}

impl Rest {
    pub(super) async fn ask_for_code(&self, phone: &str, device: DeviceId) -> Result<(), Error> {
        let body = json!({ "phone": phone, "purpose": "sign_in", "device_id": device.to_string() });
        self.post("/v1/auth/codes", &body, None).await.map(drop)
    }

    pub(super) async fn sign_in(&self, phone: &str, proof: &Proof, device: DeviceId) -> Result<Entered, Error> {
        let device = json!({ "id": device.to_string(), "model": "Convene", "system": std::env::consts::OS });
        let mut body = json!({ "phone": phone, "device": device });
        let (name, text) = match proof {
            Proof::Code(code) => ("code", code),
            Proof::Password(password) => ("password", password),
        };
        body[name] = Value::from(text.as_str());
        self.parse(&self.post("/v1/auth/sign-in", &body, None).await?)
    }

    /// What [`Rest::refresh`] is asked over. Nothing has left when this is dropped.
    pub(super) async fn line(&self) -> Result<Stream, Error> {
        http::line(&self.server, &self.tls).await
    }

    /// `line`: there already.
    pub(super) async fn refresh(&self, refresh_token: &str, line: Option<Stream>) -> Result<Tokens, Failure> {
        let body = json!({ "refresh_token": refresh_token }).to_string();
        let ask = Ask { method: "POST", path: "/v1/auth/refresh", json: Some(&body), bearer: None };
        let answer = match line {
            Some(line) => http::ask_over(line, &self.server, ask).await,
            None => http::ask(&self.server, &self.tls, ask).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) if none.may_have_arrived => return Err(Failure::Lost(none.error)),
            Err(none) => return Err(Failure::Other(none.error)),
        };
        match answer.status {
            200..=299 => self.parse(&answer).map_err(Failure::Lost),
            // A proxy, which may have lost the answer, or a server that may have done it before it failed.
            500.. => Err(Failure::Lost(self.refusal(&answer))),
            // Whatever a proxy or a firewall says ends no sign-in.
            401 | 403 => Err(problem(&answer).map_or_else(
                || Failure::Other(self.refusal(&answer)),
                |Problem { code, detail }| Failure::Over { code, text: detail },
            )),
            _other => Err(Failure::Other(self.refusal(&answer))),
        }
    }

    pub(super) async fn sign_out(&self, access_token: &str) -> Result<(), Error> {
        self.post("/v1/auth/sign-out", &Value::Null, Some(access_token)).await.map(drop)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, access_token: &str) -> Result<T, Error> {
        let ask = Ask { method: "GET", path, json: None, bearer: Some(access_token) };
        self.parse(&self.succeed(ask).await?)
    }

    async fn post(&self, path: &str, body: &Value, bearer: Option<&str>) -> Result<Answer, Error> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.succeed(Ask { method: "POST", path, json: Some(&text), bearer }).await
    }

    async fn succeed(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let answer = http::ask(&self.server, &self.tls, ask).await.map_err(|none| none.error)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    fn refusal(&self, answer: &Answer) -> Error {
        match problem(answer) {
            Some(Problem { code, detail }) => {
                Error::Account { code, text: detail, retry_after_s: answer.retry_after_s }
            }
            None => Error::Unreachable(format!("{}: HTTP status {}", self.server, answer.status)),
        }
    }

    fn parse<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Error> {
        let other = |error| Error::Unreachable(format!("{}: not what was asked for: {error}", self.server));
        serde_json::from_slice(&answer.body).map_err(other)
    }
}

/// What our server says of a refusal; `None`: it comes from something in front of it.
fn problem(answer: &Answer) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(&answer.body).ok()?;
    (answer.kind == "application/problem+json" && !problem.code.is_empty()).then_some(problem)
}

/// As a value in a query (RFC 3986 §2.1).
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut out = String::new();
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
