//! What a client is told when it is opened.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::account::Keeper;
use crate::device::DeviceId;
use crate::error::Error;
use crate::net::address::ServerUrl;
use crate::net::dial::Ways;
use rustls::pki_types::CertificateDer;

/// Everything [`crate::Client::open`] needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's HTTP port; how to reach its chat is asked there.
    pub server: ServerUrl,
    /// Who this is.
    pub token: TokenSource,
    /// A directory of this client's own: database, and files on their way. One client at a time may have it open; two
    /// directories are two devices.
    pub data_dir: PathBuf,
    /// Which device this is, of the sign-in that the token comes from; `None`: that of the directory, or a new one. A
    /// directory of another device is refused.
    pub device: Option<DeviceId>,
    /// Name of the organisation in whose name an account chats, as `/v1/organisations` tells it (`name`). Empty: that of the
    /// directory, or the only one in which the account has a seat. A directory of another organisation is refused.
    pub organisation: String,
    /// Name and version for the operator's statistics; at most 64 bytes.
    pub name: String,
    /// Which transports may be used.
    pub ways: Ways,
    /// Certificates to accept beside the platform's.
    pub roots: Vec<CertificateDer<'static>>,
    /// Permits `http://` to other machines. Tokens and messages are then readable on the way.
    pub allow_insecure: bool,
}

impl Config {
    /// With everything that can be left open left open.
    #[must_use]
    pub fn new(server: ServerUrl, token: TokenSource, data_dir: PathBuf) -> Self {
        let name = concat!("convene-client/", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            server,
            token,
            data_dir,
            device: None,
            organisation: String::new(),
            name,
            ways: Ways::Both,
            roots: Vec::new(),
            allow_insecure: false,
        }
    }
}

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where tokens come from. Asked before the first connection, and again when the server no longer takes the last one.
#[derive(Clone)]
pub struct TokenSource(Source);

#[derive(Clone)]
enum Source {
    Owner(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
    SignIn(Arc<Keeper>),
}

impl TokenSource {
    /// Asks `source` for each token. The error is a sentence for people.
    pub fn new<F, T>(source: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Source::Owner(Arc::new(move || Box::pin(source()))))
    }

    /// Always this one: for tools that live shorter than a token.
    #[must_use]
    pub fn fixed(token: String) -> Self {
        Self::new(move || std::future::ready(Ok(token.clone())))
    }

    /// Those of a sign-in that is kept.
    pub(crate) const fn of(keeper: Arc<Keeper>) -> Self {
        Self(Source::SignIn(keeper))
    }

    /// How often a sign-in wants to be renewed, whether or not a token is needed; `None`: there is none that is kept here.
    pub(crate) fn renewal(&self) -> Option<Duration> {
        match &self.0 {
            Source::Owner(_) => None,
            Source::SignIn(keeper) => Some(keeper.renewal),
        }
    }

    /// `stale`: the one that was just refused.
    pub(crate) async fn ask(&self, stale: Option<String>) -> Result<String, Error> {
        match &self.0 {
            Source::Owner(source) => source().await.map_err(Error::Token),
            Source::SignIn(keeper) => keeper.token(stale).await,
        }
    }

    /// Waits until nothing is on its way that must not be cut off. Called when nobody waits for [`TokenSource::ask`] any more.
    pub(crate) async fn idle(&self) {
        if let Source::SignIn(keeper) = &self.0 {
            keeper.idle().await;
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
