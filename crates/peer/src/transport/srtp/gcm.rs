//! AEAD_AES_128_GCM (RFC 7714) of one direction, in place, without an allocation.

use rtc_crypto::{CryptoError, RTCCrypto};

use super::aes::{Key, TAG_LEN};
use super::keys::{Label, Master, derive};
use super::wire::{RTCP_E_FLAG, RTCP_HEADER_LEN};

/// The word with E flag and index that ends an SRTCP packet.
const WORD_LEN: usize = 4;

/// Keys of one direction.
pub(super) struct Gcm {
    rtp_key: Key,
    rtp_salt: u128,
    rtcp_key: Key,
    rtcp_salt: u128,
}

impl Gcm {
    pub(super) fn new(crypto: &dyn RTCCrypto, master: Master<'_>) -> Result<Self, CryptoError> {
        Ok(Self {
            rtp_key: Key::new(&derive(crypto, master, Label::RtpKey)?)?,
            rtp_salt: salt(derive::<12>(crypto, master, Label::RtpSalt)?),
            rtcp_key: Key::new(&derive(crypto, master, Label::RtcpKey)?)?,
            rtcp_salt: salt(derive::<12>(crypto, master, Label::RtcpSalt)?),
        })
    }

    /// Seals `buf[..len]` and puts the tag behind it. `None`: no room.
    pub(super) fn seal_rtp(&self, ssrc: u32, index: u64, buf: &mut [u8], parts: (usize, usize)) -> Option<usize> {
        let (header_len, len) = parts;
        let (packet, tail) = buf.split_at_mut_checked(len)?;
        let tag_out = tail.first_chunk_mut::<TAG_LEN>()?;
        let (header, payload) = packet.split_at_mut_checked(header_len)?;
        *tag_out = self.rtp_key.seal(nonce(self.rtp_salt, ssrc, index), header, payload)?;
        len.checked_add(TAG_LEN)
    }

    /// Opens a packet in place; the plaintext length, or `None` when the tag is wrong.
    pub(super) fn open_rtp(&self, ssrc: u32, index: u64, packet: &mut [u8], header_len: usize) -> Option<usize> {
        let (header, sealed) = packet.split_at_mut_checked(header_len)?;
        let opened = self.rtp_key.open(nonce(self.rtp_salt, ssrc, index), header, sealed)?;
        header_len.checked_add(opened)
    }

    /// RFC 7714 §9.2: header and the E/index word are authenticated, the tag stands before the word.
    pub(super) fn seal_rtcp(&self, ssrc: u32, index: u32, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(plain.len() + TAG_LEN + WORD_LEN);
        out.extend_from_slice(plain);
        let word = (RTCP_E_FLAG | index).to_be_bytes();
        let (header, payload) = out.split_at_mut_checked(RTCP_HEADER_LEN)?;
        let nonce = nonce(self.rtcp_salt, ssrc, u64::from(index));
        let aad = rtcp_aad(header, word)?;
        let tag = self.rtcp_key.seal(nonce, &aad, payload)?;
        out.extend_from_slice(&tag);
        out.extend_from_slice(&word);
        Some(out)
    }

    /// Opens a packet in place; the plaintext length, or `None` when the tag is wrong.
    pub(super) fn open_rtcp(&self, ssrc: u32, index: u32, packet: &mut [u8]) -> Option<usize> {
        let (rest, word) = packet.split_last_chunk_mut::<WORD_LEN>()?;
        let (header, sealed) = rest.split_at_mut_checked(RTCP_HEADER_LEN)?;
        let nonce = nonce(self.rtcp_salt, ssrc, u64::from(index));
        let aad = rtcp_aad(header, *word)?;
        let opened = self.rtcp_key.open(nonce, &aad, sealed)?;
        RTCP_HEADER_LEN.checked_add(opened)
    }

    /// The E/index word of a packet.
    pub(super) fn rtcp_word(packet: &[u8]) -> Option<u32> {
        packet.last_chunk::<WORD_LEN>().map(|word| u32::from_be_bytes(*word))
    }
}

fn salt(bytes: [u8; 12]) -> u128 {
    let mut wide = [0u8; 16];
    wide[4..].copy_from_slice(&bytes);
    u128::from_be_bytes(wide)
}

/// RFC 7714 §8.1 and §9.1: two zero bytes, SSRC, 48-bit index (for SRTCP: two zero bytes and its 31-bit index), all
/// XOR the salt.
fn nonce(salt: u128, ssrc: u32, index: u64) -> [u8; 12] {
    let wide = (salt ^ (u128::from(ssrc) << 48) ^ u128::from(index)).to_be_bytes();
    let mut bytes = [0u8; 12];
    bytes.copy_from_slice(&wide[4..]);
    bytes
}

fn rtcp_aad(header: &[u8], word: [u8; WORD_LEN]) -> Option<[u8; RTCP_HEADER_LEN + WORD_LEN]> {
    let header: &[u8; RTCP_HEADER_LEN] = header.first_chunk()?;
    let mut aad = [0u8; RTCP_HEADER_LEN + WORD_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&word);
    Some(aad)
}
