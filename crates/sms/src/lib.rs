//! Text messages with verification codes: what to send to which provider, signed, and what its answer means.
//!
//! - [`aliyun`], [`tencent`] and [`webhook`] make a [`Request`] and read the answer to it.
//! - [`failover`] says which provider is asked next.
//!
//! Not here: sending over HTTP, and when a code may be sent (`convene_accounts::limits`).
//!
//! Invariant: this crate opens no socket, reads no clock and makes no random numbers; callers bring all three. `Debug` of
//! nothing here shows a number, a code or a secret.

pub mod aliyun;
mod bytes;
pub mod failover;
pub mod tencent;
pub mod webhook;

use std::fmt;

/// A code on its way to a phone.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// E.164: `+8613800138000`.
    pub phone: &'a str,
    /// As the person will read it.
    pub code: &'a str,
    /// What it is for: `register`, `sign_in`, `reset`, `rebind`, `cancel`.
    pub purpose: &'a str,
    /// Minutes it is good for.
    pub minutes: u32,
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// An HTTP request, ready to be sent as it is: `POST`, with these headers and no others that are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// With scheme and query.
    pub url: String,
    /// Names in lower case. `host` is among them.
    pub headers: Vec<(&'static str, String)>,
    /// Empty where the query says it all.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split('?').next().unwrap_or_default(); // the query has number and code
        f.debug_struct("Request").field("url", &url).finish_non_exhaustive()
    }
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// An endpoint as configured, `host` or `host:port`, as the address of a request and the host that is signed. With
/// `http://` before it, it is spoken to without TLS: for tests on one machine.
fn origin(endpoint: &str) -> (String, &str) {
    match endpoint.strip_prefix("http://") {
        Some(host) => (endpoint.to_owned(), host),
        None => (format!("https://{endpoint}"), endpoint),
    }
}

/// What a provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It will deliver.
    Accepted {
        /// Its own name for the message, to ask it later.
        id: String,
    },
    /// The number cannot be written to: another provider would say the same.
    BadNumber,
    /// This provider has written to this number too often. Another one may not have.
    Limited,
    /// It does not work: configuration, balance, an outage.
    Failed {
        /// The provider's code, for logs.
        code: String,
    },
}

/// Longest part of an answer that is kept for logs.
const MAX_CODE_BYTES: usize = 64;
/// Longest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A failure, with what may go into a log of it: letters, digits and a few signs. Answers can quote the number.
fn failed(code: &str) -> Answer {
    let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    Answer::Failed { code: code.chars().filter(fit).take(MAX_CODE_BYTES).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let message = Message { phone: "+8613800138000", code: "012345", purpose: "sign_in", minutes: 5 };
        let request = Request { url: "https://h/?c=012345".into(), headers: Vec::new(), body: b"012345".to_vec() };
        let shown = format!("{message:?} {request:?}");
        assert!(!shown.contains("0123") && !shown.contains("138") && shown.contains("sign_in"), "{shown}");
        assert_eq!(failed("isv.BAD: +86 138"), Answer::Failed { code: "isv.BAD86138".into() });
    }
}
