//! The process's certificate, and fingerprints of certificates (RFC 8122 §5).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest;
use rtc_crypto::{RTCCrypto, RTCCryptoProvider};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::error::Error;

use super::crypto::HandshakeCrypto;
use super::warm_up;
use crate::transport::srtp::Profile;

/// Text of the error that the certificate check gives the DTLS stack, to know it again when it comes back.
pub(super) const FINGERPRINT_MISMATCH: &str = "the certificate does not match the fingerprint in the SDP";

/// RFC 8827 §6.5 asks for the first; the second is for clients without AES in hardware. No CBC, no RSA.
const CIPHER_SUITES: [CipherSuiteId; 2] = [
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare DTLS: {0}")]
pub struct IdentityError(pub(super) String);

/// One self-signed P-256 certificate for all peers of the process. Its fingerprint stands in every SDP.
pub struct Identity {
    certificate: Certificate,
    fingerprint: String,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl Identity {
    /// Makes a key and its certificate.
    ///
    /// # Errors
    /// When the crypto library cannot make a P-256 key.
    pub fn generate() -> Result<Self, IdentityError> {
        let provider = rtc_crypto::default_provider().map_err(|error| IdentityError(error.to_string()))?;
        let certificate = Certificate::generate_self_signed(vec!["convene".to_owned()], provider.crypto())
            .map_err(|error| IdentityError(error.to_string()))?;
        let leaf = certificate.certificate.first().ok_or_else(|| IdentityError("empty chain".to_owned()))?;
        let fingerprint = Fingerprint::of(HashName::Sha256, leaf).to_string();
        Ok(Self { certificate, fingerprint, provider })
    }

    /// For `a=fingerprint`: `sha-256 AB:CD:…`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// One handshake with ourselves. The first of a process stalls its thread for up to 200 ms, long enough for a
    /// browser to repeat its flights; so the shell calls this before it listens.
    ///
    /// # Errors
    /// When the handshake does not complete, which would also be the fate of every client's.
    pub fn warm_up(self: &Arc<Self>, now: Instant) -> Result<(), IdentityError> {
        warm_up::run(self, now)
    }

    pub(crate) fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    pub(super) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        Arc::clone(&self.provider)
    }

    pub(super) fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// What one handshake runs with. 15 us, because the check of the client's certificate is a closure of its own.
    /// `x25519`: the client offers it.
    pub(super) fn server_config(
        &self,
        profile: Profile,
        x25519: bool,
        client: Fingerprint,
    ) -> Result<HandshakeConfig, Error> {
        ConfigBuilder::default()
            .with_crypto_provider(Arc::new(HandshakeCrypto::new(self.provider(), x25519)))
            .with_certificates(vec![self.certificate()])
            .with_cipher_suites(CIPHER_SUITES.to_vec())
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::from(profile.code())])
            // RFC 8827 §6.5: both sides authenticate. There is no CA, so the chain itself is not verified.
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(move |chain, _| match chain.first() {
                Some(leaf) if client.matches(leaf) => Ok(()),
                Some(_) | None => Err(Error::Other(FINGERPRINT_MISMATCH.to_owned())),
            })))
            .build(false, None)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Hash functions of `a=fingerprint` that are still good. RFC 8122 §5 forbids MD5 and MD2; SHA-1 is not enough for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HashName {
    Sha256,
    Sha384,
    Sha512,
}

impl HashName {
    const ALL: [HashName; 3] = [HashName::Sha256, HashName::Sha384, HashName::Sha512];

    const fn as_str(self) -> &'static str {
        match self {
            HashName::Sha256 => "sha-256",
            HashName::Sha384 => "sha-384",
            HashName::Sha512 => "sha-512",
        }
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            HashName::Sha256 => &digest::SHA256,
            HashName::Sha384 => &digest::SHA384,
            HashName::Sha512 => &digest::SHA512,
        }
    }
}

/// The hash of a certificate, as SDP gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    hash: HashName,
    bytes: Vec<u8>,
}

impl Fingerprint {
    /// Reads the value of `a=fingerprint`: `sha-256 AB:CD:…`, any case. `None`: another hash, or not a fingerprint.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, hex) = value.trim().split_once(char::is_whitespace)?;
        let hash = HashName::ALL.into_iter().find(|hash| name.eq_ignore_ascii_case(hash.as_str()))?;
        let octet = |pair: &str| match pair.len() {
            // `from_str_radix` alone would take "+1".
            2 if pair.bytes().all(|byte| byte.is_ascii_hexdigit()) => u8::from_str_radix(pair, 16).ok(),
            _other => None,
        };
        let bytes: Vec<u8> = hex.trim().split(':').map(octet).collect::<Option<_>>()?;
        (bytes.len() == hash.algorithm().output_len()).then_some(Self { hash, bytes })
    }

    fn of(hash: HashName, der: &[u8]) -> Self {
        Self { hash, bytes: digest::digest(hash.algorithm(), der).as_ref().to_vec() }
    }

    /// Whether the DER certificate has this fingerprint.
    pub(super) fn matches(&self, der: &[u8]) -> bool {
        Self::of(self.hash, der) == *self
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.hash.as_str())?;
        for (position, byte) in self.bytes.iter().enumerate() {
            let colon = if position == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, HashName};

    #[test]
    fn fingerprints_round_trip() {
        for hash in HashName::ALL {
            let fingerprint = Fingerprint::of(hash, b"certificate");
            let text = fingerprint.to_string();
            assert_eq!(Fingerprint::parse(&text), Some(fingerprint.clone()));
            assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint.clone()));
            assert!(fingerprint.matches(b"certificate") && !fingerprint.matches(b"another"));
            assert_eq!(Fingerprint::parse(&text[..text.len() - 3]), None, "cut");
        }
        for bad in ["", "sha-256", "sha-1 AA:BB", "sha-256 AA:BB", "md5 00", "sha-256 zz"] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
        let signed = format!("sha-256 +1{}", ":00".repeat(31));
        assert_eq!(Fingerprint::parse(&signed), None, "a sign is not a hex digit");
    }
}
