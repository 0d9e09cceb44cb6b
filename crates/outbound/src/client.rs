//! One POST at a time, to where it may go.
//!
//! [`Reach::Public`] is for addresses that customers have entered: a name is resolved once, here, and the connection goes to
//! what was looked at, so that a name which resolves to something else a moment later gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Url, header};
use tracing::warn;

/// Longest answer that is read: codes and ids. What is longer is none of ours.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long an idle connection is kept: senders come in bursts.
const IDLE: Duration = Duration::from_secs(30);
/// What we call ourselves.
const AGENT: &str = concat!("convene/", env!("CARGO_PKG_VERSION"));

/// Where requests may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere: the operator has named the address.
    Anywhere,
    /// Not to this machine, its network, or anything that is no unicast address of the internet. Over TLS only.
    Public,
}

/// A request: always POST.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// With scheme and query.
    pub url: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'static str, String)],
    /// Whole.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Whole.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No URL, or one of another scheme.
    #[error("the address is no http or https address")]
    BadUrl,
    /// It leads to this machine or its network, or is not over TLS.
    #[error("the address leads where requests may not go")]
    Forbidden,
    /// No name, no connection, no TLS, or one that broke.
    #[error("no connection, or one that broke")]
    Unreachable,
    /// Nothing in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is longer than what is read.
    #[error("the answer is too long")]
    TooLong,
}

impl SendError {
    /// Stable, for counters and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadUrl => "bad_url",
            Self::Forbidden => "forbidden_address",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::TooLong => "answer_too_long",
        }
    }
}

/// Sends.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    reach: Reach,
}

fn builder(reach: Reach) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(AGENT)
        // A redirect would take a signed request to where nobody has agreed to.
        .redirect(Policy::none())
        // A proxy of the environment would resolve names by itself.
        .no_proxy()
        .http1_only()
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(Resolver(reach)))
}

impl Client {
    /// On a machine that has no certificates to trust, requests by https fail, each for itself: whoever sends none is not
    /// to be without a server for it.
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        let http = builder(reach).build().or_else(|error| {
            warn!(%error, "the server will reach nobody by https (webhooks, text messages): install ca-certificates, then start it again");
            builder(reach).tls_certs_only([]).build()
        })?;
        Ok(Self { http, reach })
    }

    /// Sends one request and reads the whole answer, all within `patience`.
    pub async fn post(&self, outgoing: Outgoing<'_>, patience: Duration) -> Result<Reply, SendError> {
        let url = self.check(outgoing.url)?;
        let mut request = self.http.post(url).timeout(patience).body(outgoing.body);
        for (name, value) in outgoing.headers {
            let value = header::HeaderValue::from_str(value).map_err(|_| SendError::BadUrl)?;
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let (status, mut body) = (response.status().as_u16(), Vec::new());
        while let Some(part) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len().saturating_add(part.len()) > MAX_ANSWER_BYTES {
                return Err(SendError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        Ok(Reply { status, body })
    }

    /// Whether a request may go to an address, as far as can be told without resolving its name.
    pub fn check(&self, url: &str) -> Result<Url, SendError> {
        let url = Url::parse(url).map_err(|_| SendError::BadUrl)?;
        let host = url.host_str().ok_or(SendError::BadUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::BadUrl);
        }
        if self.reach == Reach::Anywhere {
            return Ok(url);
        }
        // A literal address is not resolved, so the resolver does not see it.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let inside = literal.is_ok_and(|ip| !is_public(ip));
        let named = !url.username().is_empty() || url.password().is_some();
        if inside || named || url.scheme() != "https" { Err(SendError::Forbidden) } else { Ok(url) }
    }
}

fn failure(error: &reqwest::Error) -> SendError {
    if error.is_timeout() {
        return SendError::TimedOut;
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<Inside>() {
            return SendError::Forbidden;
        }
        source = inner.source();
    }
    SendError::Unreachable
}

/// A name resolved to nothing but addresses that are not for everybody.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name leads to this machine or its network")]
struct Inside;

struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (mut good, mut any): (Vec<SocketAddr>, bool) = (Vec::new(), false);
            for address in found {
                any = true;
                if reach == Reach::Anywhere || is_public(address.ip()) {
                    good.push(address);
                }
            }
            if good.is_empty() && any {
                return Err(Inside.into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet: neither this machine nor any network that is not for everybody (RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0 // RFC 791 §3.2: this network
        || a >= 240 // RFC 1112 §4: reserved, and broadcast
        || (a == 100 && b & 0xc0 == 64) // RFC 6598: carriers' own
        || (a == 198 && b & 0xfe == 18) // RFC 2544: benchmarks
        || (a, b, c) == (192, 0, 0); // RFC 6890: protocols' own
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, ..] = ip.segments();
    // Unicast addresses of the internet are in 2000::/3 (RFC 4291 §2.4); in it are tunnels and examples.
    let tunnels = first == 0x2002 || (first == 0x2001 && (second == 0 || second == 0xdb8));
    first & 0xe000 == 0x2000 && !tunnels
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Answers one request with these bytes, then says what it was.
    async fn once(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/p?q=%2C", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = vec![0; 4096];
            let mut length = stream.read(&mut got).await.unwrap();
            while !got[..length].windows(4).any(|four| four == b"body") {
                length += stream.read(&mut got[length..]).await.unwrap();
            }
            // Whoever has read enough hangs up.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(got[..length].to_vec()).unwrap()
        });
        (url, served)
    }

    async fn post(client: &Client, url: &str, patience: Duration) -> Result<Reply, SendError> {
        let headers = [("host", "named.example".to_owned()), ("x-signed", "1".to_owned())];
        client.post(Outgoing { url, headers: &headers, body: b"body".to_vec() }, patience).await
    }

    #[tokio::test]
    async fn a_request_goes_out_as_it_was_signed() {
        let (url, served) = once(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok".to_vec()).await;
        let client = Client::new(Reach::Anywhere).unwrap();
        assert_eq!(post(&client, &url, PATIENCE).await, Ok(Reply { status: 201, body: b"ok".to_vec() }));
        let got = served.await.unwrap();
        assert!(got.starts_with("POST /p?q=%2C HTTP/1.1\r\n") && got.ends_with("\r\n\r\nbody"), "{got}");
        assert!(got.contains("\r\nhost: named.example\r\n") && got.contains("\r\nx-signed: 1\r\n"), "{got}");
    }

    #[tokio::test]
    async fn redirects_are_answers_and_long_answers_are_none() {
        let client = Client::new(Reach::Anywhere).unwrap();
        let moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
        let (url, _served) = once(moved).await;
        assert_eq!(post(&client, &url, PATIENCE).await.map(|reply| reply.status), Ok(302));
        let mut long = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        long.resize(2 * MAX_ANSWER_BYTES, b'x');
        let (url, _served) = once(long).await;
        assert_eq!(post(&client, &url, PATIENCE).await, Err(SendError::TooLong));
    }

    #[tokio::test]
    async fn silence_and_closed_ports_are_told_apart() {
        let client = Client::new(Reach::Anywhere).unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        assert_eq!(post(&client, &url, Duration::from_millis(50)).await, Err(SendError::TimedOut));
        drop(silent);
        assert_eq!(post(&client, &url, PATIENCE).await, Err(SendError::Unreachable));
        assert_eq!(post(&client, "ftp://h/", PATIENCE).await, Err(SendError::BadUrl));
        assert_eq!(post(&client, "h", PATIENCE).await, Err(SendError::BadUrl));
    }

    #[tokio::test]
    async fn customers_addresses_lead_outside() {
        let client = Client::new(Reach::Public).unwrap();
        let rows = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data",
            "https://user:pass@example.com/",
            "http://example.com/",
        ];
        for url in rows {
            assert_eq!(client.check(url), Err(SendError::Forbidden), "{url}");
        }
        assert!(client.check("https://example.com/hook").is_ok());
        // The name is good; where it leads is not.
        assert_eq!(post(&client, "https://localhost/", PATIENCE).await, Err(SendError::Forbidden));
    }

    #[test]
    fn addresses_of_the_internet_and_others() {
        let rows = [
            ("8.8.8.8", true),
            ("0.1.2.3", false),
            ("100.63.0.1", true),
            ("100.64.0.1", false),
            ("100.127.0.1", false),
            ("172.31.0.1", false),
            ("192.168.1.1", false),
            ("192.0.0.1", false),
            ("198.18.0.1", false),
            ("198.20.0.1", true),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1", true),
            ("2001:db8::1", false),
            ("2001:0:1::1", false),
            ("2002:a00:1::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::", false),
            ("::ffff:8.8.8.8", true),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
        ];
        for (text, want) in rows {
            assert_eq!(is_public(text.parse().unwrap()), want, "{text}");
        }
    }
}
