//! Who asks, where a proxy stands in front: its own address is the same for everybody. What it says of the other end counts
//! where the operator trusts it, and nowhere else: anybody can write a header.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Proxies behind each other that are looked at. More are somebody's game.
const MAX_HOPS: usize = 16;

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network (as 10.0.0.0/8)")]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let wrong = || BadNetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let digits = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => whole,
            Some(prefix) => prefix.parse().ok().filter(|n| *n <= whole && digits(prefix)).ok_or_else(wrong)?,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        let differs = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).checked_shr(32 - self.prefix),
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                // All that is kept of it is whether it is nothing.
                let differs = (own.to_bits() ^ other.to_bits()).checked_shr(128 - self.prefix);
                differs.map(|bits| u32::from(bits != 0))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        // Shifted out whole: the network has every address.
        differs.unwrap_or(0) == 0
    }
}

/// Puts whoever asks into the place of the proxy that brings the request.
pub(super) async fn see_through(State(trusted): State<Arc<[Network]>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    if let Some(peer) = peer.filter(|_| !trusted.is_empty()) {
        let client = client(&trusted, peer.ip(), request.headers());
        if client != peer.ip() {
            // Its port is not known, and nobody asks for it.
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
        }
    }
    next.run(request).await
}

/// The last address that no trusted proxy has: each adds whom it was asked by at the end, so what stands before that is
/// what a stranger wrote.
fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.has(address));
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_HOPS);
    let mut client = peer;
    for hop in hops {
        if !is_proxy(client) {
            break;
        }
        let Some(address) = read(hop.trim()) else { break };
        client = address;
    }
    client.to_canonical()
}

/// Some proxies add the port.
fn read(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    fn networks(list: &[&str]) -> Vec<Network> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_are_read_and_others_refused() {
        let rows = [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
        ];
        for (network, address, want) in rows {
            assert_eq!(networks(&[network])[0].has(address.parse().unwrap()), want, "{network} {address}");
        }
        for wrong in ["", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/", "10.0.0/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let rows: [(&[&str], &str, &[&str], &str); 9] = [
            (&[], "192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            (&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            (&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // What a stranger wrote before stands further left.
            (&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.7, 198.51.100.1"], "198.51.100.1"),
            (&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.7", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            (&["10.0.0.0/8"], "10.0.0.1", &[], "10.0.0.1"),
            (&["10.0.0.0/8"], "10.0.0.1", &["nonsense"], "10.0.0.1"),
            (&["10.0.0.0/8"], "::ffff:10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            (&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ];
        for (trusted, peer, lines, want) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let seen = client(&networks(trusted), peer.parse().unwrap(), &headers);
            assert_eq!(seen, want.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[tokio::test]
    async fn handlers_are_told_of_the_client_and_not_of_the_proxy() {
        let ip = async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.ip().to_string();
        let trusted: Arc<[Network]> = networks(&["127.0.0.0/8"]).into();
        let layer = axum::middleware::from_fn_with_state(trusted, see_through);
        let router = axum::Router::new().route("/", axum::routing::get(ip)).layer(layer);
        for (peer, want) in [("127.0.0.1:9", "198.51.100.1"), ("192.0.2.1:9", "192.0.2.1")] {
            let mut request = Request::get("/").header(FORWARDED_FOR, "198.51.100.1");
            request = request.extension(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
            let response = router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(body, want.as_bytes());
        }
    }
}
