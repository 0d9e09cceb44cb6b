//! The certificate of a port: read from PEM files, or made by the server itself and replaced before it is old.
//!
//! A browser takes a self-made certificate when the page knows its SHA-256, its key is ECDSA P-256 and it is valid for
//! less than 14 days (WebTransport, "serverCertificateHashes"). So there are always two: the one in use, and the one that
//! will follow it. `/im/info` names both, so that a page that was loaded before a change connects after it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use parking_lot::RwLock;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Made by the server for these names and addresses. Clients check its hash.
    SelfMade {
        /// Names and addresses it is issued to.
        names: Vec<String>,
    },
    /// PEM files; read again when they change, so that a renewal needs no restart.
    Files {
        /// The certificate and those that lead to its root.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read, or holds no PEM.
    #[error("reading {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A key that TLS cannot use, or that does not belong to the certificate.
    #[error("the certificate and its key do not serve TLS")]
    Unusable(#[source] rustls::Error),
    /// Making one failed.
    #[error("making a certificate")]
    Make(#[source] rcgen::Error),
}

/// Lifetime of a certificate of our own: browsers refuse 14 days and more.
const LIFETIME: Duration = Duration::from_secs(13 * DAY_S);
/// A certificate waits this long as the next one, and serves this long; then an hour and a day are left.
const TURN: Duration = Duration::from_secs(6 * DAY_S);
/// It is valid from a little before it is made, for clients whose clock is behind.
const EARLIER: Duration = Duration::from_secs(60 * 60);
/// How often files are looked at, and the turn is checked.
const CHECK_EVERY: Duration = Duration::from_secs(60);
const DAY_S: u64 = 24 * 60 * 60;

/// Hands the certificate of the moment to each handshake.
#[derive(Debug)]
pub struct Resolver {
    source: Certificate,
    served: RwLock<Served>,
}

#[derive(Debug)]
struct Served {
    current: Arc<CertifiedKey>,
    /// Self-made ones only.
    next: Option<Arc<CertifiedKey>>,
    /// When `current` began to serve.
    since: SystemTime,
}

impl Resolver {
    /// Reads or makes the first certificate.
    ///
    /// # Errors
    /// When there is none that serves TLS.
    pub fn new(source: Certificate, now: SystemTime) -> Result<Arc<Self>, CertificateError> {
        let (current, next) = match &source {
            Certificate::SelfMade { names } => (make(names, now)?, Some(make(names, now)?)),
            Certificate::Files { chain, key } => (read(chain, key)?, None),
        };
        Ok(Arc::new(Self { source, served: RwLock::new(Served { current, next, since: now }) }))
    }

    /// SHA-256 of the certificates that a client has to accept though nobody vouches for them: the one in use and the
    /// next. Empty for certificates from files, which a root vouches for.
    #[must_use]
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let served = self.served.read();
        let Some(next) = &served.next else { return Vec::new() };
        [&served.current, next].into_iter().filter_map(|key| Some(sha256(key.end_entity_cert().ok()?))).collect()
    }

    /// Replaces what is due. Called every [`CHECK_EVERY`].
    fn check(&self, now: SystemTime) -> Result<bool, CertificateError> {
        match &self.source {
            Certificate::SelfMade { names } => {
                let age = now.duration_since(self.served.read().since).unwrap_or_default();
                if age < TURN {
                    return Ok(false);
                }
                let following = make(names, now)?;
                let mut served = self.served.write();
                // After a sleep of the machine longer than a turn the next one is old as well.
                let next = served.next.replace(Arc::clone(&following)).filter(|_| age < 2 * TURN);
                served.current = next.unwrap_or(following);
                served.since = now;
            }
            Certificate::Files { chain, key } => {
                let read = read(chain, key)?;
                let mut served = self.served.write();
                if served.current.cert == read.cert {
                    return Ok(false);
                }
                served.current = read;
            }
        }
        Ok(true)
    }

    /// Keeps the certificate fresh until it is dropped. `port`: whose it is, for the log.
    pub async fn keep_fresh(self: Arc<Self>, port: &'static str) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match self.check(SystemTime::now()) {
                Ok(true) => info!(port, "the port has a new certificate"),
                Ok(false) => {}
                Err(error) => {
                    warn!(port, error = &error as &dyn std::error::Error, "the port keeps its old certificate");
                }
            }
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.served.read().current))
    }
}

fn sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let computed = digest::digest(&digest::SHA256, der);
    for (to, from) in hash.iter_mut().zip(computed.as_ref()) {
        *to = *from;
    }
    hash
}

fn make(names: &[String], now: SystemTime) -> Result<Arc<CertifiedKey>, CertificateError> {
    let begin = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EARLIER);
    let mut params = CertificateParams::new(names).map_err(CertificateError::Make)?;
    params.not_before = date_time_ymd(1970, 1, 1) + begin;
    params.not_after = date_time_ymd(1970, 1, 1) + begin + LIFETIME;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertificateError::Make)?;
    let chain = vec![params.self_signed(&key).map_err(CertificateError::Make)?.der().clone()];
    certified(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

fn read(chain: &PathBuf, key: &PathBuf) -> Result<Arc<CertifiedKey>, CertificateError> {
    let wrong = |path: &PathBuf| {
        let path = path.clone();
        move |source| CertificateError::File { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(chain).map_err(wrong(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(wrong(chain))?;
    certified(certificates, PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let key = any_supported_type(&key).map_err(CertificateError::Unusable)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(CertificateError::Unusable)?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn self_made() -> Certificate {
        Certificate::SelfMade { names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()] }
    }

    #[test]
    fn the_next_one_is_known_before_it_serves() {
        let start = SystemTime::now();
        let resolver = Resolver::new(self_made(), start).unwrap();
        let before = resolver.hashes();
        assert_eq!(before.len(), 2);
        assert!(!resolver.check(start + TURN - Duration::from_secs(1)).unwrap());
        assert!(resolver.check(start + TURN).unwrap());
        let after = resolver.hashes();
        assert_eq!(after[0], before[1]);
        assert!(!before.contains(&after[1]));
    }

    #[test]
    fn after_a_long_sleep_both_are_made_again() {
        let start = SystemTime::now();
        let resolver = Resolver::new(self_made(), start).unwrap();
        let before = resolver.hashes();
        assert!(resolver.check(start + 2 * TURN).unwrap());
        assert!(resolver.hashes().iter().all(|hash| !before.contains(hash)));
    }

    #[test]
    fn it_is_never_older_than_browsers_allow() {
        assert!(LIFETIME < Duration::from_secs(14 * DAY_S));
        assert!(2 * TURN + EARLIER + CHECK_EVERY < LIFETIME);
    }

    #[test]
    fn files_are_read_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let write = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(&chain, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        };
        let source = Certificate::Files { chain: chain.clone(), key: key.clone() };
        let missing = Resolver::new(source.clone(), SystemTime::now()).unwrap_err();
        assert!(missing.to_string().contains("chain.pem"), "{missing}");
        write();
        let resolver = Resolver::new(source, SystemTime::now()).unwrap();
        assert_eq!(resolver.hashes(), Vec::<[u8; 32]>::new());
        assert!(!resolver.check(SystemTime::now()).unwrap());
        write();
        assert!(resolver.check(SystemTime::now()).unwrap());
    }
}
