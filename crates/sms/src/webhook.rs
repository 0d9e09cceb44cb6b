//! A provider of the operator's own: an HTTP endpoint that takes JSON, signed as standardwebhooks.com says: HMAC-SHA-256 over
//! `id.timestamp.body`, in headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
//!
//! [`Secret`] signs what we send and checks what somebody sends us; whatever else goes out as a webhook signs with it too.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::bytes::hex;
use crate::{Answer, Message, Request, failed};

/// How far the clocks of both ends may be apart. Whoever takes webhooks has to remember ids for as long.
pub const TOLERANCE_S: u64 = 300;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";
/// Shorter secrets can be guessed.
const MIN_SECRET_BYTES: usize = 24;
/// As the specification allows.
const MAX_SECRET_BYTES: usize = 64;
/// Signatures of one webhook that are looked at: the old and the new secret while one is replaced.
const MAX_SIGNATURES: usize = 8;

/// Why a webhook or a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not `whsec_` and 24 to 64 bytes in Base64.
    #[error("a webhook secret is whsec_ and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in Base64")]
    BadSecret,
    /// Forged, or of another secret.
    #[error("the signature does not match")]
    BadSignature,
    /// Too old, or from the future: somebody may have kept it.
    #[error("the timestamp is more than {TOLERANCE_S} seconds off")]
    BadTimestamp,
}

/// The secret both ends have.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Reads `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let coded = text.strip_prefix(PREFIX).ok_or(WebhookError::BadSecret)?;
        let bytes = STANDARD.decode(coded).map_err(|_| WebhookError::BadSecret)?;
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len()) {
            return Err(WebhookError::BadSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        format!("{VERSION}{}", STANDARD.encode(hmac::sign(&self.0, &signed(id, timestamp_s, body))))
    }

    /// Checks what came in at `now_s`. Any one of the signatures, which stand apart by spaces, has to match.
    pub fn verify(&self, webhook: &Received<'_>, now_s: u64) -> Result<(), WebhookError> {
        if webhook.timestamp_s.abs_diff(now_s) > TOLERANCE_S {
            return Err(WebhookError::BadTimestamp);
        }
        let message = signed(webhook.id, webhook.timestamp_s, webhook.body);
        let known = webhook.signature.split(' ').take(MAX_SIGNATURES).filter_map(|one| one.strip_prefix(VERSION));
        let good = known.filter_map(|coded| STANDARD.decode(coded).ok());
        let mut good = good.filter(|tag| hmac::verify(&self.0, &message, tag).is_ok());
        good.next().map(|_| ()).ok_or(WebhookError::BadSignature)
    }
}

/// A webhook as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Header `webhook-id`.
    pub id: &'a str,
    /// Header `webhook-timestamp`, seconds since 1970.
    pub timestamp_s: u64,
    /// Header `webhook-signature`.
    pub signature: &'a str,
    /// Byte for byte.
    pub body: &'a [u8],
}

fn signed(id: &str, timestamp_s: u64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp_s.to_string().as_bytes(), b".", body].concat()
}

/// The operator's endpoint.
#[derive(Clone)]
pub struct Account {
    /// Whole, with scheme.
    pub url: String,
    /// Host name and port as the URL has them.
    pub host: String,
    /// Signs.
    pub secret: Secret,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Account {
    /// The request that sends a message at `now_s`. `id` has to be random; the endpoint drops an id that it has seen.
    #[must_use]
    pub fn request(&self, message: &Message<'_>, id: [u8; 16], now_s: u64) -> Request {
        let Message { phone, code, purpose, minutes } = message;
        let body = json!({ "phone": phone, "code": code, "purpose": purpose, "minutes": minutes });
        let (body, id) = (body.to_string().into_bytes(), format!("msg_{}", hex(&id)));
        let signature = self.secret.sign(&id, now_s, &body);
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("host", self.host.clone()),
            ("webhook-id", id),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-signature", signature),
        ];
        Request { url: self.url.clone(), headers, body }
    }
}

/// What the answer means: the status says it all. 422 is a number that cannot be written to.
#[must_use]
pub fn answer(status: u16, _body: &[u8]) -> Answer {
    match status {
        200..300 => Answer::Accepted { id: String::new() },
        422 => Answer::BadNumber,
        429 => Answer::Limited,
        _ => failed(&format!("http_{status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example that implementations of Standard Webhooks share.
    #[test]
    fn the_published_example() {
        let secret = Secret::parse(SECRET).unwrap();
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(secret.sign(id, at, body), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn forged_changed_and_old_webhooks_are_refused() {
        let secret = Secret::parse(SECRET).unwrap();
        let now = 1_700_000_000;
        let signature = secret.sign("msg_1", now, b"body");
        let good = Received { id: "msg_1", timestamp_s: now, signature: &signature, body: b"body" };
        let two = format!("v1,AAAA v2,x {signature}");
        let many = format!("{}{signature}", "v1,AAAA ".repeat(MAX_SIGNATURES));
        let rows = [
            (good, now, Ok(())),
            (good, now + TOLERANCE_S, Ok(())),
            (Received { signature: &two, ..good }, now, Ok(())),
            (good, now + TOLERANCE_S + 1, Err(WebhookError::BadTimestamp)),
            (good, now - TOLERANCE_S - 1, Err(WebhookError::BadTimestamp)),
            (Received { timestamp_s: now + 1, ..good }, now, Err(WebhookError::BadSignature)),
            (Received { id: "msg_2", ..good }, now, Err(WebhookError::BadSignature)),
            (Received { body: b"bodz", ..good }, now, Err(WebhookError::BadSignature)),
            (Received { signature: "", ..good }, now, Err(WebhookError::BadSignature)),
            (Received { signature: "v1,", ..good }, now, Err(WebhookError::BadSignature)),
            (Received { signature: &many, ..good }, now, Err(WebhookError::BadSignature)),
        ];
        for (webhook, now_s, want) in rows {
            assert_eq!(secret.verify(&webhook, now_s), want, "{webhook:?} {now_s}");
        }
        let other = Secret::parse("whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(other.verify(&good, now), Err(WebhookError::BadSignature));
        for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ", "whsec_***"] {
            assert_eq!(Secret::parse(text).map(|_| ()), Err(WebhookError::BadSecret), "{text}");
        }
    }

    #[test]
    fn a_message_is_what_its_receiver_verifies() {
        let secret = Secret::parse(SECRET).unwrap();
        let account =
            Account { url: "http://localhost:9/sms".into(), host: "localhost:9".into(), secret: secret.clone() };
        let message = Message { phone: "+8613800138000", code: "012345", purpose: "reset", minutes: 5 };
        let request = account.request(&message, [1; 16], 1_700_000_000);
        let received = Received {
            id: request.header("webhook-id").unwrap(),
            timestamp_s: request.header("webhook-timestamp").unwrap().parse().unwrap(),
            signature: request.header("webhook-signature").unwrap(),
            body: &request.body,
        };
        assert_eq!(secret.verify(&received, 1_700_000_000), Ok(()));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body, json!({"phone": "+8613800138000", "code": "012345", "purpose": "reset", "minutes": 5}));
    }

    #[test]
    fn answers() {
        let rows = [
            (204, Answer::Accepted { id: String::new() }),
            (422, Answer::BadNumber),
            (429, Answer::Limited),
            (302, Answer::Failed { code: "http_302".into() }),
            (500, Answer::Failed { code: "http_500".into() }),
        ];
        for (status, want) in rows {
            assert_eq!(answer(status, b""), want, "{status}");
        }
    }
}
