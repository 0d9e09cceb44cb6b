//! The crypto of one handshake: the library's, which exchanges keys in the cheaper way and checks a signature once.
//!
//! `rtc-dtls` 0.21 takes the first group in the client's order that the library has. Browsers begin with X25519; clients on
//! webrtc-rs and older ones on Pion have P-256 before it, which takes twice as long. So where a client has X25519, the others
//! are hidden from the stack.
//!
//! And it goes through the client's last flight twice: when the messages of epoch 0 are there, which gives it the keys, and
//! when it has opened `Finished` with them. Each time it verifies the same `CertificateVerify`, a tenth of what a join costs.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rtc_crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};

/// See the module.
pub(super) struct HandshakeCrypto {
    inner: Arc<dyn RTCCryptoProvider>,
    /// The client can X25519.
    x25519: bool,
    /// What was verified last, and was good.
    verified: Mutex<Option<Question>>,
}

/// Scheme, key, message and signature. The last three as a hash, because an association keeps it for as long as it lives.
#[derive(PartialEq, Eq)]
struct Question {
    scheme: SignatureScheme,
    hash: [u8; 32],
}

impl HandshakeCrypto {
    /// `x25519`: whether the client offers that group.
    pub(super) fn new(inner: Arc<dyn RTCCryptoProvider>, x25519: bool) -> Self {
        Self { inner, x25519, verified: Mutex::new(None) }
    }
}

impl Question {
    fn new(scheme: SignatureScheme, key: PublicKey<'_>, message: &[u8], signature: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [key.bytes, message, signature] {
            context.update(&part.len().to_be_bytes()); // no two questions are hashed alike
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self { scheme, hash }
    }
}

impl RTCCryptoProvider for HandshakeCrypto {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for HandshakeCrypto {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        let dearer = matches!(algorithm, CryptoAlgorithm::KeyExchange(group) if group != KeyExchangeAlgorithm::X25519);
        !(self.x25519 && dearer) && self.inner.crypto().supports(algorithm)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let question = Question::new(scheme, key, message, signature);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.as_ref() != Some(&question) {
            self.inner.crypto().verify_signature(scheme, key, message, signature)?;
            *verified = Some(question);
        }
        Ok(())
    }

    // All else as it is.

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        self.inner.crypto().new_aead(algorithm, key)
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8_der)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;

    /// The library's, with a count of what it was asked to verify.
    struct Counted {
        library: Arc<dyn RTCCryptoProvider>,
        asked: AtomicUsize,
    }

    impl RTCCryptoProvider for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }

        fn crypto(&self) -> &dyn RTCCrypto {
            self
        }

        fn random(&self) -> &dyn RTCRandom {
            self.library.random()
        }
    }

    impl RTCCrypto for Counted {
        fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
            self.library.crypto().supports(algorithm)
        }

        fn verify_signature(
            &self,
            scheme: SignatureScheme,
            key: PublicKey<'_>,
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), CryptoError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.library.crypto().verify_signature(scheme, key, message, signature)
        }
    }

    #[test]
    fn groups_other_than_x25519_are_hidden_where_the_client_has_it() {
        let group = CryptoAlgorithm::KeyExchange;
        let (p256, x25519) = (group(KeyExchangeAlgorithm::P256), group(KeyExchangeAlgorithm::X25519));
        let signature = CryptoAlgorithm::Signature(SCHEME);
        for (has_it, want) in [(true, [false, true, true]), (false, [true, true, true])] {
            let crypto = HandshakeCrypto::new(rtc_crypto::default_provider().unwrap(), has_it);
            assert_eq!([p256, x25519, signature].map(|algorithm| crypto.supports(algorithm)), want, "{has_it}");
        }
    }

    #[test]
    fn a_good_signature_is_verified_once_and_a_bad_one_is_never_good() {
        let library = rtc_crypto::default_provider().unwrap();
        let key = library.crypto().generate_signing_key(SCHEME).unwrap();
        let (message, other) = (b"the flight".as_slice(), b"another".as_slice());
        let (signature, bad) = (key.sign(SCHEME, message).unwrap(), key.sign(SCHEME, other).unwrap());
        let counted = Arc::new(Counted { library, asked: AtomicUsize::new(0) });
        let crypto = HandshakeCrypto::new(Arc::clone(&counted) as Arc<dyn RTCCryptoProvider>, false);
        let verify = |message, signature| crypto.verify_signature(SCHEME, key.public_key(), message, signature).is_ok();
        let asked = || counted.asked.load(Ordering::Relaxed);

        assert!(!verify(message, &bad) && !verify(message, &bad));
        assert_eq!(asked(), 2, "a refusal is not remembered");
        assert!(verify(message, &signature) && verify(message, &signature));
        assert_eq!(asked(), 3);
        assert!(!verify(message, &bad) && !verify(other, &signature));
        let wrong_scheme = crypto.verify_signature(SignatureScheme::Ed25519, key.public_key(), message, &signature);
        assert!(wrong_scheme.is_err());
        assert_eq!(asked(), 6);
        let stranger = counted.library.crypto().generate_signing_key(SCHEME).unwrap();
        assert!(crypto.verify_signature(SCHEME, stranger.public_key(), message, &signature).is_err());
    }
}
