//! Credentials for a TURN server that stands beside this one: name and password that are good for a while and that the
//! TURN server checks with the same secret, without asking anybody (draft-uberti-behave-turn-rest-00 §2.2; coturn's
//! `use-auth-secret`). Handed out with a join, to clients that hold a token.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest part of an identity in a name: it only tells people apart in the TURN server's log.
const MAX_IDENTITY_BYTES: usize = 64;

/// A TURN server, as configured.
#[derive(Clone, Default)]
pub struct Turn {
    /// `turn:` and `turns:` addresses (RFC 7065); empty: there is none.
    pub urls: Vec<String>,
    /// What the TURN server has as its shared secret.
    pub secret: String,
    /// How long credentials are good.
    pub ttl: Duration,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where.
    pub urls: Vec<String>,
    /// `<unix time of the end>:<identity>`.
    pub username: String,
    /// Base64.
    pub credential: String,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("urls", &self.urls).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Turn {
    /// Credentials from now on. `None`: there is no TURN server.
    #[must_use]
    pub fn access(&self, identity: &str) -> Option<Access> {
        self.access_at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), identity)
    }

    fn access_at(&self, now: Duration, identity: &str) -> Option<Access> {
        if self.urls.is_empty() {
            return None;
        }
        // What could end the name early or confuse a log stays out; uniqueness is not needed.
        let identity: String = identity.chars().filter(char::is_ascii_alphanumeric).take(MAX_IDENTITY_BYTES).collect();
        let username = format!("{}:{identity}", (now + self.ttl).as_secs());
        // The draft and coturn say SHA-1; as a MAC it is as good as any.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        Some(Access { urls: self.urls.clone(), username, credential })
    }
}

impl Access {
    /// Values of `Link` headers for WHIP and WHEP (RFC 9725 §4.6).
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        let Self { urls, username, credential } = self;
        let link = |url| {
            format!(
                "<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{credential}\"; \
                 credential-type=\"password\""
            )
        };
        urls.iter().map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_carries_its_end_and_the_password_follows_from_it() {
        let turn = Turn {
            urls: vec!["turn:turn.example.org:3478?transport=udp".to_owned()],
            secret: "north".to_owned(),
            ttl: Duration::from_secs(3_600),
        };
        let access = turn.access_at(Duration::from_secs(1_000_000), "ana:\"<x>").unwrap();
        assert_eq!(access.username, "1003600:anax");
        // printf '1003600:anax' | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(access.credential, "6vdpu52fEwiY+EzL/8tkHbies/g=");
        assert!(
            access.links()[0].starts_with("<turn:turn.example.org:3478?transport=udp>; rel=\"ice-server\"; username=")
        );
        assert!(!format!("{turn:?}").contains("north"));
        assert_eq!(Turn::default().access("ana"), None);
    }
}
