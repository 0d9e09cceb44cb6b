//! What a client is told when it is opened.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

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
        Self { server, token, data_dir, name, ways: Ways::Both, roots: Vec::new(), allow_insecure: false }
    }
}

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where tokens come from. Asked before the first connection, and again when the server no longer takes the last one.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl TokenSource {
    /// Asks `source` for each token. The error is a sentence for people.
    pub fn new<F, T>(source: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(source())))
    }

    /// Always this one: for tools that live shorter than a token.
    #[must_use]
    pub fn fixed(token: String) -> Self {
        Self::new(move || std::future::ready(Ok(token.clone())))
    }

    pub(crate) async fn ask(&self) -> Result<String, String> {
        (self.0)().await
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
