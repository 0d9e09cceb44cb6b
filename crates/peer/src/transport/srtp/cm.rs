//! AES_CM_128_HMAC_SHA1_80 (RFC 3711) of one direction, in place: the fallback for clients without GCM.
//!
//! Not `rtc_srtp::Context`, which makes per-SSRC state before it has checked the tag and copies each packet; the tests
//! check this module against it.

use rtc_crypto::{CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher, StreamCipherAlgorithm, constant_time_eq};

use super::keys::{Label, Master, derive};
use super::wire::{RTCP_E_FLAG, RTCP_HEADER_LEN};

/// RFC 3711 §5.2: HMAC-SHA1 cut to 80 bits.
pub(super) const TAG_LEN: usize = 10;

const SHA1_LEN: usize = 20;

/// The word with E flag and index that stands before the tag of an SRTCP packet.
const WORD_LEN: usize = 4;

/// Cipher, salt and MAC of RTP or of RTCP.
struct Half {
    cipher: Box<dyn StreamCipher>,
    mac: Box<dyn Mac>,
    salt: u128,
}

/// Keys of one direction.
pub(super) struct Cm {
    rtp: Half,
    rtcp: Half,
}

impl Cm {
    pub(super) fn new(crypto: &dyn RTCCrypto, master: Master<'_>) -> Result<Self, CryptoError> {
        let half = |key: Label, auth: Label, salt: Label| -> Result<Half, CryptoError> {
            let mut wide = [0u8; 16];
            wide[..14].copy_from_slice(&derive::<14>(crypto, master, salt)?);
            Ok(Half {
                cipher: crypto
                    .new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &derive::<16>(crypto, master, key)?)?,
                mac: crypto.new_hmac(HmacAlgorithm::Sha1, &derive::<SHA1_LEN>(crypto, master, auth)?)?,
                salt: u128::from_be_bytes(wide),
            })
        };
        Ok(Self {
            rtp: half(Label::RtpKey, Label::RtpAuth, Label::RtpSalt)?,
            rtcp: half(Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt)?,
        })
    }

    /// Seals `buf[..len]` and puts the tag behind it. `None`: no room.
    pub(super) fn seal_rtp(&mut self, ssrc: u32, index: u64, buf: &mut [u8], parts: (usize, usize)) -> Option<usize> {
        let (header_len, len) = parts;
        let (packet, tail) = buf.split_at_mut_checked(len)?;
        let tag_out = tail.first_chunk_mut::<TAG_LEN>()?;
        self.rtp.crypt(ssrc, index, packet.get_mut(header_len..)?)?;
        *tag_out = self.rtp.tag(&[packet, &roc(index)])?;
        len.checked_add(TAG_LEN)
    }

    /// Opens a packet in place; the plaintext length, or `None` when the tag is wrong.
    pub(super) fn open_rtp(&mut self, ssrc: u32, index: u64, packet: &mut [u8], header_len: usize) -> Option<usize> {
        let (sealed, tag) = packet.split_last_chunk_mut::<TAG_LEN>()?;
        if !constant_time_eq(&self.rtp.tag(&[sealed, &roc(index)])?, tag) {
            return None;
        }
        self.rtp.crypt(ssrc, index, sealed.get_mut(header_len..)?)?;
        Some(sealed.len())
    }

    /// RFC 3711 §3.4: the tag covers the packet and its E/index word.
    pub(super) fn seal_rtcp(&mut self, ssrc: u32, index: u32, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(plain.len() + WORD_LEN + TAG_LEN);
        out.extend_from_slice(plain);
        self.rtcp.crypt(ssrc, u64::from(index), out.get_mut(RTCP_HEADER_LEN..)?)?;
        out.extend_from_slice(&(RTCP_E_FLAG | index).to_be_bytes());
        let tag = self.rtcp.tag(&[&out])?;
        out.extend_from_slice(&tag);
        Some(out)
    }

    /// Opens a packet in place; the plaintext length, or `None` when the tag is wrong.
    pub(super) fn open_rtcp(&mut self, ssrc: u32, index: u32, packet: &mut [u8]) -> Option<usize> {
        let (covered, tag) = packet.split_last_chunk_mut::<TAG_LEN>()?;
        if !constant_time_eq(&self.rtcp.tag(&[covered])?, tag) {
            return None;
        }
        let (sealed, _) = covered.split_last_chunk_mut::<WORD_LEN>()?;
        self.rtcp.crypt(ssrc, u64::from(index), sealed.get_mut(RTCP_HEADER_LEN..)?)?;
        Some(sealed.len())
    }

    /// The E/index word of a packet.
    pub(super) fn rtcp_word(packet: &[u8]) -> Option<u32> {
        let (covered, _) = packet.split_last_chunk::<TAG_LEN>()?;
        covered.last_chunk::<WORD_LEN>().map(|word| u32::from_be_bytes(*word))
    }
}

impl Half {
    /// RFC 3711 §4.1.1: IV = (salt << 16) XOR (SSRC << 64) XOR (index << 16).
    fn crypt(&mut self, ssrc: u32, index: u64, payload: &mut [u8]) -> Option<()> {
        let iv = self.salt ^ (u128::from(ssrc) << 64) ^ (u128::from(index) << 16);
        self.cipher.apply_keystream(&iv.to_be_bytes(), payload).ok()
    }

    fn tag(&mut self, parts: &[&[u8]]) -> Option<[u8; TAG_LEN]> {
        let mut full = [0u8; SHA1_LEN];
        self.mac.sign(parts, &mut full).ok()?;
        full.first_chunk().copied()
    }
}

/// RFC 3711 §4.2: the tag of an RTP packet also covers the rollover counter, which is not sent.
fn roc(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}
