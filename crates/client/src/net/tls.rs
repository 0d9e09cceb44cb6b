//! Whom to trust: the platform's roots and those of the configuration, or the certificate whose hash the server told over
//! HTTP. One TLS configuration for TCP, one for QUIC.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::Error;

/// Servers whose tickets are kept: a client knows one, under a name or two.
const MAX_TICKET_SERVERS: usize = 4;

/// Certificates to accept beside the platform's, e.g. an organisation's own authority.
pub(crate) type Roots = Vec<CertificateDer<'static>>;

/// What both transports share: the crypto and the tickets of earlier connections.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    tickets: Arc<ClientSessionMemoryCache>,
    roots: Roots,
}

impl Tls {
    pub(crate) fn new(roots: Roots) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { provider, tickets: Arc::new(ClientSessionMemoryCache::new(MAX_TICKET_SERVERS)), roots }
    }

    /// For HTTPS and secure WebSockets.
    pub(crate) fn tcp(&self) -> Result<ClientConfig, Error> {
        self.config(self.platform()?)
    }

    /// For QUIC. Without pins the certificate must be one that browsers would accept. The tickets outlive the
    /// configuration: they are what 0-RTT needs.
    pub(crate) fn quic(&self, pins: &[[u8; 32]]) -> Result<ClientConfig, Error> {
        let verifier: Arc<dyn ServerCertVerifier> = if pins.is_empty() {
            self.platform()?
        } else {
            Arc::new(Pinned { pins: pins.to_vec(), provider: self.provider.clone() })
        };
        let mut config = self.config(verifier)?;
        config.alpn_protocols = vec![convene_proto::limits::ALPN.to_vec()];
        config.resumption = Resumption::store(self.tickets.clone());
        config.enable_early_data = true;
        Ok(config)
    }

    fn platform(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let roots = self.roots.iter().cloned();
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, self.provider.clone());
        Ok(Arc::new(verifier.map_err(|error| Error::Tls(error.to_string()))?))
    }

    fn config(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
        let builder = builder.map_err(|error| Error::Tls(error.to_string()))?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

/// Accepts the certificates whose SHA-256 it was told, whatever is written in them, like a browser's
/// `serverCertificateHashes` (W3C WebTransport).
#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash = digest::digest(&digest::SHA256, end_entity);
        if self.pins.iter().any(|pin| pin.as_slice() == hash.as_ref()) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
