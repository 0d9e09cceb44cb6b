//! Session keys from DTLS keying material (RFC 5764 §4.2, RFC 3711 §4.3, RFC 7714 §11).

use rtc_crypto::{BlockCipherAlgorithm, CryptoError, RTCCrypto};

/// The SRTP protection profiles we accept, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM` (RFC 7714): 16 bytes of tag, the fast path.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80` (RFC 3711): what every client has; five times the cost.
    Aes128CmSha1,
}

impl Profile {
    /// Both, best first.
    pub const ALL: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1];

    /// Code point in `use_srtp` (RFC 5764 §4.1.2, RFC 7714 §14.2).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Profile::AeadAes128Gcm => 0x0007,
            Profile::Aes128CmSha1 => 0x0001,
        }
    }

    pub(super) const fn master_salt_len(self) -> usize {
        match self {
            Profile::AeadAes128Gcm => 12,
            Profile::Aes128CmSha1 => 14,
        }
    }

    /// Bytes to take from the DTLS exporter.
    pub(crate) const fn material_len(self) -> usize {
        2 * (KEY_LEN + self.master_salt_len())
    }
}

/// Both profiles use AES-128.
pub(super) const KEY_LEN: usize = 16;

/// What each session key is for (RFC 3711 §4.3.1 labels).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// Master key and salt of one direction.
#[derive(Clone, Copy)]
pub(super) struct Master<'a> {
    pub(super) key: &'a [u8],
    pub(super) salt: &'a [u8],
}

/// Splits exporter output into (client's, server's) masters. RFC 5764 §4.2: client key, server key, client salt,
/// server salt. `None`: too short.
pub(super) fn split(profile: Profile, material: &[u8]) -> Option<(Master<'_>, Master<'_>)> {
    let salt_len = profile.master_salt_len();
    let (client_key, rest) = material.split_at_checked(KEY_LEN)?;
    let (server_key, rest) = rest.split_at_checked(KEY_LEN)?;
    let (client_salt, rest) = rest.split_at_checked(salt_len)?;
    let (server_salt, _) = rest.split_at_checked(salt_len)?;
    Some((Master { key: client_key, salt: client_salt }, Master { key: server_key, salt: server_salt }))
}

/// RFC 3711 §4.3.3: AES in counter mode over `salt XOR (label << 48)`, key derivation rate 0. RFC 7714 §11 pads a
/// 12-byte salt with zeros on the right to 14.
pub(super) fn derive<const N: usize>(
    crypto: &dyn RTCCrypto,
    master: Master<'_>,
    label: Label,
) -> Result<[u8; N], CryptoError> {
    let mut input = [0u8; 16];
    for (to, from) in input.iter_mut().zip(master.salt.iter().take(14)) {
        *to = *from;
    }
    input[7] ^= label as u8;
    let mut secret = [0u8; N];
    for (counter, out) in (0u16..).zip(secret.chunks_mut(16)) {
        let mut block = input;
        block[14..].copy_from_slice(&counter.to_be_bytes());
        crypto.block_encrypt(BlockCipherAlgorithm::Aes128, master.key, &mut block)?;
        for (to, from) in out.iter_mut().zip(block) {
            *to = from;
        }
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::{Label, Master, Profile, derive, split};

    /// RFC 3711 appendix B.3.
    #[test]
    fn derivation_matches_rfc3711_b3() {
        let provider = rtc_crypto::default_provider().unwrap();
        let master = Master {
            key: &[0xE1, 0xF9, 0x7A, 0x0D, 0x3E, 0x01, 0x8B, 0xE0, 0xD6, 0x4F, 0xA3, 0x2C, 0x06, 0xDE, 0x41, 0x39],
            salt: &[0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6],
        };
        assert_eq!(
            derive::<16>(provider.crypto(), master, Label::RtpKey).unwrap(),
            [0xC6, 0x1E, 0x7A, 0x93, 0x74, 0x4F, 0x39, 0xEE, 0x10, 0x73, 0x4A, 0xFE, 0x3F, 0xF7, 0xA0, 0x87]
        );
        assert_eq!(
            derive::<14>(provider.crypto(), master, Label::RtpSalt).unwrap(),
            [0x30, 0xCB, 0xBC, 0x08, 0x86, 0x3D, 0x8C, 0x85, 0xD4, 0x9D, 0xB3, 0x4A, 0x9A, 0xE1]
        );
        assert_eq!(
            derive::<20>(provider.crypto(), master, Label::RtpAuth).unwrap(),
            [
                0xCE, 0xBE, 0x32, 0x1F, 0x6F, 0xF7, 0x71, 0x6B, 0x6F, 0xD4, 0xAB, 0x49, 0xAF, 0x25, 0x6A, 0x15, 0x6D,
                0x38, 0xBA, 0xA4
            ]
        );
    }

    #[test]
    fn material_is_split_in_rfc5764_order() {
        let material: Vec<u8> = (0..60).collect();
        let (client, server) = split(Profile::AeadAes128Gcm, &material[..56]).unwrap();
        assert_eq!((client.key[0], server.key[0], client.salt[0], server.salt[0]), (0, 16, 32, 44));
        let (client, server) = split(Profile::Aes128CmSha1, &material).unwrap();
        assert_eq!((client.salt[0], server.salt[0], server.salt.len()), (32, 46, 14));
        assert!(split(Profile::Aes128CmSha1, &material[..59]).is_none());
    }
}
