//! Where a server is: its address as a person writes it, taken apart. Not here: asking it anything (`info`).

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

use crate::error::Error;

/// Address of a server's HTTP port, e.g. `https://chat.example.org` or `http://localhost:7880`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    secure: bool,
    host: String,
    port: u16,
    prefix: String,
}

impl ServerUrl {
    /// Over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether this names the machine itself, where nobody listens in between.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        address.map_or(self.host().eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }

    /// Refuses to send tokens and messages in clear text over a network, unless that is allowed.
    pub(crate) fn check(&self, allow_insecure: bool) -> Result<(), Error> {
        let allowed = self.secure || self.is_loopback() || allow_insecure;
        if allowed { Ok(()) } else { Err(Error::Insecure(self.to_string())) }
    }

    /// Host and port as the header `Host` has them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A path of the server below the prefix that a proxy may have put before it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    pub(crate) fn websocket(&self, path: &str) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.path(path))
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong());
        }
        Ok(Self { secure, host, port, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let rows = [
            ("http://localhost:7880", Some(("localhost", 7880, false, "http://localhost:7880", true))),
            ("https://chat.example.org", Some(("chat.example.org", 443, false, "https://chat.example.org:443", false))),
            (
                "https://example.org/convene/",
                Some(("example.org", 443, true, "https://example.org:443/convene", false)),
            ),
            ("http://[::1]:9000", Some(("::1", 9000, false, "http://[::1]:9000", true))),
            ("http://127.0.0.1", Some(("127.0.0.1", 80, false, "http://127.0.0.1:80", true))),
            ("ftp://example.org", None),
            ("example.org", None),
            ("localhost:7880", None),
            ("https://user:secret@example.org", None),
            ("https://example.org/?a=b", None),
            ("", None),
        ];
        for (text, want) in rows {
            let got = text.parse::<ServerUrl>().ok();
            let got = got.as_ref().map(|url| {
                (url.host().to_owned(), url.port(), !url.prefix.is_empty(), url.to_string(), url.is_loopback())
            });
            let want =
                want.map(|(host, port, prefix, text, local)| (host.to_owned(), port, prefix, text.to_owned(), local));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn a_prefix_stands_before_every_path() {
        let url: ServerUrl = "https://example.org/convene".parse().unwrap();
        assert_eq!(
            (url.path("/im/info").as_str(), url.websocket("/im").as_str()),
            ("/convene/im/info", "wss://example.org:443/convene/im")
        );
    }
}
