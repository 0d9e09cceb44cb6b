//! A server of one test.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convene_accounts::token::{Authority, Claims};
use convene_store::{BlobOptions, Blobs, Options as StoreOptions, Store};
use convene_telemetry::Metrics;
use tempfile::TempDir;

use crate::shared::now_s;
use crate::{Certificate, Handle, Limits, Options, Server};

/// Longer than anything here takes on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Harness {
    pub(super) handle: Handle,
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
    blobs: Blobs,
    authority: Arc<Authority>,
    _folder: TempDir,
}

impl Harness {
    pub(super) async fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(StoreOptions::new(folder.path().join("chat.db"))).unwrap();
        let blobs = Blobs::open(store.clone(), BlobOptions::below(folder.path())).await.unwrap();
        let authority = Arc::new(Authority::new(HashMap::from([("key".to_owned(), "secret".to_owned())])));
        let metrics: Arc<Metrics> = Arc::default();
        let parts = (store.clone(), blobs.clone(), Arc::clone(&authority), Arc::clone(&metrics));
        let (handle, server) = start(parts, limits).await;
        Self { handle, server, store, metrics, blobs, authority, _folder: folder }
    }

    /// Another service over the same store.
    pub(super) async fn beside(&self, limits: Limits) -> (Handle, Server) {
        let metrics = Arc::default();
        start((self.store.clone(), self.blobs.clone(), Arc::clone(&self.authority), metrics), limits).await
    }

    pub(super) fn token(&self, user: &str) -> String {
        self.token_for(user, "", 600)
    }

    pub(super) fn token_for(&self, user: &str, org: &str, valid_for_s: u64) -> String {
        let claims = Claims { key: "key".into(), user: user.into(), org: org.into(), valid_for_s, ..Claims::default() };
        self.authority.mint(&claims, now_s()).unwrap()
    }

    /// Waits until a metric's text shows this line.
    pub(super) async fn counted(&self, line: &str) {
        let seen = async {
            while !self.metrics.text().lines().any(|shown| shown == line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, seen).await.is_err() {
            panic!("{line} is not in\n{}", self.metrics.text());
        }
    }
}

async fn start(parts: (Store, Blobs, Arc<Authority>, Arc<Metrics>), limits: Limits) -> (Handle, Server) {
    let (store, blobs, authority, metrics) = parts;
    let options = Options {
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        certificate: Certificate::SelfMade { names: vec!["localhost".to_owned()] },
        authority,
        logins: None,
        pictures: None,
        store,
        blobs,
        metrics,
        limits,
    };
    crate::start(options).await.unwrap()
}

/// Limits under which nothing is too often.
pub(super) fn free() -> Limits {
    Limits { device_sends_per_s: 0, conversation_sends_per_s: 0, device_requests_per_s: 0, ..Limits::default() }
}
