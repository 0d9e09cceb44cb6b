//! SRTP and SRTCP of one peer, in place (RFC 3711, RFC 7714).
//!
//! It knows packets only as far as SRTP must: SSRC, seq, header length. Called by [`Transport`](super::Transport) for
//! each media packet, so [`Session::protect_rtp`] and [`Session::unprotect_rtp`] allocate only when an SSRC is new.
//!
//! Invariants: a nonce is never used twice with one key, because an index is marked before it seals and stays marked as
//! long as the keys live; state for an SSRC of the client is made only after its tag was good.

mod aes;
mod cm;
mod gcm;
mod keys;
mod streams;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use convene_types::{SeqNo, Ssrc};
use rtc_crypto::{CryptoError, RTCCrypto};

pub use self::keys::Profile;

use self::cm::Cm;
use self::gcm::Gcm;
use self::streams::{Refused, Streams};
use self::wire::{RTCP_E_FLAG, RTCP_HEADER_LEN, RtpHeader, rtcp_ssrc};
use crate::DropReason;

/// Bytes that [`Session::protect_rtp`] may add.
pub const MAX_RTP_OVERHEAD: usize = aes::TAG_LEN;

/// SSRCs we accept from one client: 50 tracks of three layers with RTX are 300. Each costs 280 bytes.
const MAX_INBOUND_SSRCS: usize = 512;

/// SSRCs we may send to one client under one key. Each subscription takes two and their state must outlive it, for the
/// nonces' sake, so this bounds subscriptions made over the life of one peer. 16,384 of them take 4.6 MB.
const MAX_OUTBOUND_SSRCS: usize = 16_384;

/// SRTCP indexes have 31 bits (RFC 3711 §3.4).
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// Why a packet of ours cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The DTLS handshake is not done.
    #[error("no SRTP keys yet")]
    NoKeys,
    /// Not an RTP or RTCP packet.
    #[error("not an RTP or RTCP packet")]
    Malformed,
    /// The buffer has no room for the tag.
    #[error("no room for the authentication tag")]
    NoRoom,
    /// A packet with this SSRC and seq was sealed before, or may have been: sealing it again would break GCM.
    #[error("the packet index was used before")]
    NonceReuse,
    /// More SSRCs than one key may serve.
    #[error("too many SSRCs")]
    TooManySsrcs,
    /// The packet index is used up; the peer must reconnect.
    #[error("the SRTP key is used up")]
    KeyExhausted,
}

/// Both directions of one peer.
pub(crate) struct Session {
    profile: Profile,
    ours: Cipher,
    theirs: Cipher,
    sent: Streams,
    /// One SRTCP index for all our SSRCs: it grows for each of them, and needs no table.
    rtcp_index: u32,
    received: Streams,
    received_rtcp: Streams,
}

impl Session {
    /// Keys from the DTLS exporter; we are the DTLS server. `None` as error source: the material is too short.
    pub(crate) fn server(profile: Profile, material: &[u8], crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        let Some((client, server)) = keys::split(profile, material) else {
            return Err(CryptoError::AuthenticationFailed);
        };
        let cipher = |master| match profile {
            Profile::AeadAes128Gcm => Ok::<_, CryptoError>(Cipher::Gcm(Gcm::new(crypto, master)?)),
            Profile::Aes128CmSha1 => Ok(Cipher::Cm(Box::new(Cm::new(crypto, master)?))),
        };
        Ok(Self {
            profile,
            ours: cipher(server)?,
            theirs: cipher(client)?,
            sent: Streams::new(MAX_OUTBOUND_SSRCS),
            rtcp_index: 0,
            received: Streams::new(MAX_INBOUND_SSRCS),
            received_rtcp: Streams::new(MAX_INBOUND_SSRCS),
        })
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// Reads what sealing the next packet of the SSRC sealed last needs; at depth 1 what is behind a pointer.
    pub(crate) fn touch(&self, depth: usize) -> u64 {
        match depth {
            0 => u64::from(self.rtcp_index) ^ self.ours.rtp_overhead() as u64 ^ u64::from(self.sent.has_last()),
            _ => self.sent.touch_last(),
        }
    }

    /// Seals the packet `buf[..len]` in place; the length with tag.
    pub(crate) fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        let packet = buf.get(..len).ok_or(SealError::NoRoom)?;
        let header = RtpHeader::parse(packet).ok_or(SealError::Malformed)?;
        let ticket = self.sent.check_seq(header.ssrc, header.seq)?;
        if buf.len().saturating_sub(len) < self.ours.rtp_overhead() {
            return Err(SealError::NoRoom);
        }
        self.sent.commit(ticket);
        self.ours.seal_rtp(header.ssrc, ticket.index, buf, (header.len, len)).ok_or(SealError::Malformed)
    }

    /// Opens a packet in place; the length without tag. After an error the bytes are worthless.
    pub(crate) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::RtpMalformed)?;
        let ticket = self.received.check_seq(header.ssrc, header.seq)?;
        let len = self
            .theirs
            .open_rtp(header.ssrc, ticket.index, packet, header.len)
            .ok_or(DropReason::SrtpAuthentication)?;
        self.received.commit(ticket);
        Ok(len)
    }

    /// The highest sequence number sealed with this SSRC.
    pub(crate) fn last_sealed(&self, ssrc: Ssrc) -> Option<SeqNo> {
        self.sent.last_seq(ssrc.0).map(SeqNo)
    }

    /// Seals a compound RTCP packet.
    pub(crate) fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let ssrc = rtcp_ssrc(plain).ok_or(SealError::Malformed)?;
        if self.rtcp_index >= MAX_RTCP_INDEX {
            return Err(SealError::KeyExhausted);
        }
        self.rtcp_index += 1;
        self.ours.seal_rtcp(ssrc, self.rtcp_index, plain).ok_or(SealError::Malformed)
    }

    /// Opens a compound RTCP packet in place; the length without tag and index.
    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let ssrc = rtcp_ssrc(packet).ok_or(DropReason::RtcpMalformed)?;
        let word = self.theirs.rtcp_word(packet).ok_or(DropReason::RtcpMalformed)?;
        // Every WebRTC client encrypts its RTCP; plain SRTCP would only widen what we accept.
        if word & RTCP_E_FLAG == 0 {
            return Err(DropReason::RtcpMalformed);
        }
        let index = word & MAX_RTCP_INDEX;
        let ticket = self.received_rtcp.check_index(ssrc, u64::from(index))?;
        let len = self.theirs.open_rtcp(ssrc, index, packet).ok_or(DropReason::SrtpAuthentication)?;
        if len < RTCP_HEADER_LEN {
            return Err(DropReason::RtcpMalformed);
        }
        self.received_rtcp.commit(ticket);
        Ok(len)
    }

    /// SSRCs of the client that we keep state for.
    #[cfg(test)]
    fn inbound_ssrcs(&self) -> usize {
        self.received.len() + self.received_rtcp.len()
    }
}

impl From<Refused> for SealError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Seen | Refused::TooOld => SealError::NonceReuse,
            Refused::TooManySsrcs => SealError::TooManySsrcs,
            Refused::Exhausted => SealError::KeyExhausted,
        }
    }
}

impl From<Refused> for DropReason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Seen => DropReason::SrtpReplay,
            Refused::TooOld | Refused::Exhausted => DropReason::SrtpTooOld,
            Refused::TooManySsrcs => DropReason::SrtpTooManySsrcs,
        }
    }
}

/// One direction's keys. GCM, which nearly all sessions use, lies in place: one pointer less to follow for each packet.
enum Cipher {
    Gcm(Gcm),
    Cm(Box<Cm>),
}

impl Cipher {
    fn rtp_overhead(&self) -> usize {
        match self {
            Cipher::Gcm(_) => aes::TAG_LEN,
            Cipher::Cm(_) => cm::TAG_LEN,
        }
    }

    fn seal_rtp(&mut self, ssrc: u32, index: u64, buf: &mut [u8], parts: (usize, usize)) -> Option<usize> {
        match self {
            Cipher::Gcm(gcm) => gcm.seal_rtp(ssrc, index, buf, parts),
            Cipher::Cm(cm) => cm.seal_rtp(ssrc, index, buf, parts),
        }
    }

    fn open_rtp(&mut self, ssrc: u32, index: u64, packet: &mut [u8], header_len: usize) -> Option<usize> {
        match self {
            Cipher::Gcm(gcm) => gcm.open_rtp(ssrc, index, packet, header_len),
            Cipher::Cm(cm) => cm.open_rtp(ssrc, index, packet, header_len),
        }
    }

    fn seal_rtcp(&mut self, ssrc: u32, index: u32, plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Cipher::Gcm(gcm) => gcm.seal_rtcp(ssrc, index, plain),
            Cipher::Cm(cm) => cm.seal_rtcp(ssrc, index, plain),
        }
    }

    fn open_rtcp(&mut self, ssrc: u32, index: u32, packet: &mut [u8]) -> Option<usize> {
        match self {
            Cipher::Gcm(gcm) => gcm.open_rtcp(ssrc, index, packet),
            Cipher::Cm(cm) => cm.open_rtcp(ssrc, index, packet),
        }
    }

    fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        match self {
            Cipher::Gcm(_) => Gcm::rtcp_word(packet),
            Cipher::Cm(_) => Cm::rtcp_word(packet),
        }
    }
}
