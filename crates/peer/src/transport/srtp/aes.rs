//! AES-128-GCM, by the library that is the faster one on this processor.
//!
//! With AVX-512 that is aws-lc, as for everything else. Processors with VAES and without AVX-512 (AMD's Zen 3, Intel's
//! since Alder Lake) have the instructions to seal twice as much at once, which only ring's code uses: 295 ns instead of
//! 474 for 1,188 bytes on a Zen 3, which was a seventh of what a forwarded packet costs. Elsewhere they are alike.

use rtc_crypto::CryptoError;

/// RFC 7714 §12: 16 bytes, never shorter.
pub(super) const TAG_LEN: usize = 16;

/// The key of one direction. The libraries' own types, as calls through a table would cost as much as a small packet.
pub(super) enum Key {
    AwsLc(aws_lc_rs::aead::LessSafeKey),
    /// Boxed, as aws-lc's are.
    #[cfg(target_arch = "x86_64")]
    Ring(Box<ring::aead::LessSafeKey>),
}

impl Key {
    pub(super) fn new(bytes: &[u8; 16]) -> Result<Self, CryptoError> {
        #[cfg(target_arch = "x86_64")]
        if ring_is_faster() {
            return Self::ring(bytes);
        }
        Self::aws_lc(bytes)
    }

    fn aws_lc(bytes: &[u8; 16]) -> Result<Self, CryptoError> {
        use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
        let key = UnboundKey::new(&AES_128_GCM, bytes).map_err(|_| CryptoError::AuthenticationFailed)?;
        Ok(Self::AwsLc(LessSafeKey::new(key)))
    }

    #[cfg(target_arch = "x86_64")]
    fn ring(bytes: &[u8; 16]) -> Result<Self, CryptoError> {
        use ring::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
        let key = UnboundKey::new(&AES_128_GCM, bytes).map_err(|_| CryptoError::AuthenticationFailed)?;
        Ok(Self::Ring(Box::new(LessSafeKey::new(key))))
    }

    /// Encrypts the payload in place; the tag. `nonce` must be new to this key.
    #[inline]
    pub(super) fn seal(&self, nonce: [u8; 12], aad: &[u8], payload: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let mut tag = [0; TAG_LEN];
        match self {
            Self::AwsLc(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                tag.copy_from_slice(key.seal_in_place_separate_tag(nonce, Aad::from(aad), payload).ok()?.as_ref());
            }
            #[cfg(target_arch = "x86_64")]
            Self::Ring(key) => {
                use ring::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                tag.copy_from_slice(key.seal_in_place_separate_tag(nonce, Aad::from(aad), payload).ok()?.as_ref());
            }
        }
        Some(tag)
    }

    /// Decrypts in place what has its tag behind it; the length without. `None`: the tag is wrong, and the bytes are
    /// worthless.
    pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        match self {
            Self::AwsLc(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, Aad::from(aad), sealed).ok().map(|payload| payload.len())
            }
            #[cfg(target_arch = "x86_64")]
            Self::Ring(key) => {
                use ring::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, Aad::from(aad), sealed).ok().map(|payload| payload.len())
            }
        }
    }
}

/// As the two choose their code: aws-lc's for AVX-512, ring's for VAES with AVX2. The standard library asks the processor
/// once.
#[cfg(target_arch = "x86_64")]
fn ring_is_faster() -> bool {
    let vaes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
    vaes && is_x86_feature_detected!("avx2") && !is_x86_feature_detected!("avx512bw")
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{Key, TAG_LEN};

    /// Whichever is chosen here, the other one is at work elsewhere.
    #[test]
    fn both_libraries_seal_alike_and_open_each_other() {
        let key = [7; 16];
        let both = [Key::aws_lc(&key).unwrap(), Key::ring(&key).unwrap()];
        for len in [0, 1, 15, 16, 88, 255, 256, 1_188, 1_400] {
            let plain: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (nonce, aad) = ([len as u8; 12], [9; 20]);
            let sealed = both.each_ref().map(|key| {
                let mut payload = plain.clone();
                let tag = key.seal(nonce, &aad, &mut payload).unwrap();
                [payload.as_slice(), &tag].concat()
            });
            assert_eq!(sealed[0], sealed[1], "{len} bytes");
            for key in &both {
                let mut packet = sealed[0].clone();
                assert_eq!(key.open(nonce, &aad, &mut packet), Some(len));
                assert_eq!(packet[..len], plain);
                for at in [0, len, len + TAG_LEN - 1] {
                    let mut packet = sealed[0].clone();
                    packet[at] ^= 1;
                    assert_eq!(key.open(nonce, &aad, &mut packet), None, "{len} bytes, changed at {at}");
                }
                let mut packet = sealed[0].clone();
                assert_eq!(key.open(nonce, &[9; 19], &mut packet), None);
                assert_eq!(key.open(nonce, &aad, &mut [0; TAG_LEN - 1]), None);
            }
        }
    }
}
