//! Which way to a server: QUIC first, a WebSocket when QUIC fails or takes long, whichever is there first.

use std::net::SocketAddr;
use std::time::Duration;

use convene_proto::im::Frame;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use quinn::Endpoint;
use tokio::sync::Notify;

use super::address::ServerUrl;
use super::info::Info;
use super::link::Link;
use super::quic::{self, Target};
use super::tls::Tls;
use super::websocket;
use crate::error::Error;

/// How long QUIC is waited for before a WebSocket is begun as well: above a round trip around the world with one loss.
const HEAD_START: Duration = Duration::from_millis(500);
/// Between the addresses of one name (RFC 8305 §5: 250 ms).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// How long an ending client waits for its last packets to leave.
const GOODBYE: Duration = Duration::from_millis(100);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 6;

/// Which transports may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// QUIC, and a WebSocket where that does not work.
    #[default]
    Both,
    /// Nothing but QUIC.
    Quic,
    /// Nothing but a WebSocket.
    WebSocket,
}

/// Knows the ways to one server. Kept over reconnects: it holds the tickets for 0-RTT and the UDP socket.
#[derive(Debug)]
pub(crate) struct Dialer {
    url: ServerUrl,
    tls: Tls,
    ways: Ways,
    endpoint: Mutex<Option<Endpoint>>,
    config: Mutex<Option<(Vec<[u8; 32]>, quinn::ClientConfig)>>,
    info: Mutex<Option<Info>>,
    good: Mutex<Option<SocketAddr>>,
}

impl Dialer {
    /// `info`: what [`Dialer::info`] gave in an earlier life.
    pub(crate) fn new(url: ServerUrl, tls: Tls, ways: Ways, info: Option<&[u8]>) -> Self {
        let info = Mutex::new(info.and_then(Info::parse));
        Self { url, tls, ways, endpoint: Mutex::new(None), config: Mutex::new(None), info, good: Mutex::new(None) }
    }

    /// What the server said of itself, to be kept.
    pub(crate) fn info(&self) -> Option<Vec<u8>> {
        self.info.lock().as_ref().and_then(|info| serde_json::to_vec(info).ok())
    }

    /// Connects. `at_once`: on this network QUIC did not work the last time, so a WebSocket is not held back.
    ///
    /// The caller sends the first flight, unless [`Link::early`] says that it is there already.
    pub(crate) async fn connect(&self, flight: &[Frame], at_once: bool) -> Result<Link, Error> {
        let info = self.known_info().await?;
        match self.ways {
            Ways::Quic => self.quic(info, flight).await,
            Ways::WebSocket => self.websocket(&info).await,
            Ways::Both if info.quic_port == 0 => self.websocket(&info).await,
            Ways::Both => self.race(info, flight, if at_once { Duration::ZERO } else { HEAD_START }).await,
        }
    }

    /// Goes on from another socket: the network has changed, or the caller says so. Connections survive it.
    pub(crate) fn rebind(&self) -> Result<(), Error> {
        let endpoint = self.endpoint.lock().clone();
        let Some(endpoint) = endpoint else { return Ok(()) };
        endpoint.rebind(quic::socket()?).map_err(|error| Error::Unreachable(error.to_string()))
    }

    /// Address that packets to the server leave from, once a server address is known.
    pub(crate) fn network(&self) -> Option<String> {
        let remote = (*self.good.lock())?;
        quic::local_address(remote).map(|address| address.to_string())
    }

    /// Whether QUIC was to be tried at all.
    pub(crate) fn has_quic(&self) -> bool {
        self.ways == Ways::Both && self.info.lock().as_ref().is_some_and(|info| info.quic_port != 0)
    }

    /// Gives what says goodbye the time to leave the machine.
    pub(crate) async fn wait_idle(&self) {
        let endpoint = self.endpoint.lock().clone();
        if let Some(endpoint) = endpoint {
            let _ = tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await; // late is good enough
        }
    }

    async fn known_info(&self) -> Result<Info, Error> {
        let known = self.info.lock().clone();
        match known {
            Some(info) => Ok(info),
            None => self.fresh_info().await,
        }
    }

    async fn fresh_info(&self) -> Result<Info, Error> {
        let info = Info::ask(&self.url, &self.tls).await?;
        *self.info.lock() = Some(info.clone());
        Ok(info)
    }

    async fn race(&self, info: Info, flight: &[Frame], head_start: Duration) -> Result<Link, Error> {
        let failed = Notify::new();
        let quic = async {
            let link = self.quic(info.clone(), flight).await;
            failed.notify_one();
            link
        };
        let socket = async {
            tokio::select! {
                () = tokio::time::sleep(head_start) => {}
                () = failed.notified() => {}
            }
            self.websocket(&info).await
        };
        tokio::pin!(quic, socket);
        tokio::select! {
            link = &mut quic => match link {
                Ok(link) => Ok(link),
                Err(error) => {
                    tracing::info!(%error, "no QUIC, trying a WebSocket");
                    socket.await
                }
            },
            link = &mut socket => match link {
                Ok(link) => Ok(link),
                Err(_) => quic.await,
            },
        }
    }

    async fn websocket(&self, info: &Info) -> Result<Link, Error> {
        if self.good.lock().is_none() {
            *self.good.lock() = self.addresses(self.url.port()).await?.first().copied();
        }
        websocket::connect(&self.url, &info.websocket, &self.tls).await
    }

    async fn quic(&self, info: Info, flight: &[Frame]) -> Result<Link, Error> {
        let error = match self.quic_once(&info, flight).await {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        // The certificate or the port may be another than the last time.
        match self.fresh_info().await {
            Ok(fresh) if fresh != info => self.quic_once(&fresh, flight).await,
            Ok(_) | Err(_) => Err(error),
        }
    }

    async fn quic_once(&self, info: &Info, flight: &[Frame]) -> Result<Link, Error> {
        if info.quic_port == 0 {
            return Err(Error::Unreachable(format!("{}: it has no QUIC", self.url)));
        }
        let config = self.config(info.pins().unwrap_or_default())?;
        let endpoint = self.endpoint()?;
        let addresses = self.addresses(info.quic_port).await?;
        let mut attempts: FuturesUnordered<_> = (0_u32..)
            .zip(addresses)
            .map(|(place, address)| {
                let (config, endpoint) = (config.clone(), &endpoint);
                async move {
                    tokio::time::sleep(NEXT_ADDRESS.saturating_mul(place)).await;
                    let target = Target { config, address, name: self.url.host() };
                    quic::connect(endpoint, target, flight).await.map(|link| (address, link))
                }
            })
            .collect();
        let mut last = Error::Unreachable(format!("{}: no address", self.url));
        while let Some(attempt) = attempts.next().await {
            match attempt {
                Ok((address, link)) => {
                    *self.good.lock() = Some(address);
                    return Ok(link);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// One configuration for as long as the pins stay: a ticket is used only with the verifier it was given under.
    fn config(&self, pins: Vec<[u8; 32]>) -> Result<quinn::ClientConfig, Error> {
        let mut made = self.config.lock();
        match &*made {
            Some((under, config)) if *under == pins => Ok(config.clone()),
            Some(_) | None => {
                let config = quic::config(&self.tls, &pins)?;
                *made = Some((pins, config.clone()));
                Ok(config)
            }
        }
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        let mut endpoint = self.endpoint.lock();
        match &*endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(endpoint.insert(quic::endpoint()?).clone()),
        }
    }

    /// The server's addresses, the one that worked last first.
    async fn addresses(&self, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let unknown = |error| Error::Unreachable(format!("{}: {error}", self.url));
        let found = tokio::net::lookup_host((self.url.host(), port)).await.map_err(unknown)?;
        let mut addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
        let good = self.good.lock().map(|good| good.ip());
        addresses.sort_by_key(|address| Some(address.ip()) != good);
        Ok(addresses)
    }
}
