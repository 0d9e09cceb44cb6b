//! ICE-lite (RFC 8445 §2.5): answers connectivity checks and follows the client's path.
//!
//! Always controlled and always lite, so it never sends a check and needs nothing of the client's credentials. It is
//! not a STUN library: parsing and integrity are `rtc-stun`'s. [`Transport`](super::Transport) calls it for each STUN
//! datagram; the shell calls [`local_ufrag`] to find the peer that a datagram from an unknown address is for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_USE_CANDIDATE};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, MAGIC_COOKIE, Message, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::DropReason;

/// RFC 8445 §5.3 wants 24 random bits at least. 48 make the fragment unique in the process, which demultiplexing needs.
const UFRAG_CHARS: usize = 8;

/// RFC 8445 §5.3 wants 128 random bits at least; 24 characters carry 144.
const PWD_CHARS: usize = 24;

/// RFC 8445 §15.1 `ice-char`: 64 of them, so six random bits choose one without bias.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How long checks with the credentials from before a restart are answered. Browsers send some after the new answer.
const PREVIOUS_CREDENTIALS: Duration = Duration::from_secs(30);

/// Characters in front of a fragment that say whose it is.
const TAG_CHARS: usize = 2;

/// Restarts inside [`PREVIOUS_CREDENTIALS`] whose credentials are all kept; an older one is dropped.
const MAX_PREVIOUS: usize = 2;

/// Addresses that passed a check and may send DTLS. A client with two networks and both IP versions has four.
const MAX_ADDRESSES: usize = 8;

/// A path without any authenticated packet for so long gives way to any other that passes a check. Browsers check the
/// chosen path each 2.5 s, so one lost check does not move it.
const PATH_SILENCE: Duration = Duration::from_secs(6);

/// Media on its way when the client left a path still arrives from there; for so long it does not bring the path back.
const LATE_MEDIA: Duration = Duration::from_secs(1);

/// User fragment and password of one side (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the peer in USERNAME.
    pub ufrag: String,
    /// Key of MESSAGE-INTEGRITY.
    pub pwd: String,
}

impl Credentials {
    /// From a random source, which must be fit for secrets.
    #[must_use]
    pub fn new(rng: &mut impl FnMut() -> u64) -> Self {
        let mut chars = |count: usize| -> String {
            // The upper bits: they are the good ones of a weak generator in a test.
            (0..count).map(|_| char::from(ICE_CHARS[(rng() >> 58) as usize])).collect()
        };
        Self { ufrag: chars(UFRAG_CHARS), pwd: chars(PWD_CHARS) }
    }

    /// From the system's random source.
    ///
    /// # Panics
    /// When the system has no randomness: nothing could go on safely then.
    #[must_use]
    pub fn random() -> Self {
        // All at once: what a call to the source costs is much more than the bytes.
        let mut bytes = [[0u8; 8]; UFRAG_CHARS + PWD_CHARS];
        let filled = aws_lc_rs::rand::fill(bytes.as_flattened_mut());
        filled.expect("the system's random source fails only when the system is broken");
        let mut words = bytes.into_iter().map(u64::from_ne_bytes);
        Self::new(&mut || words.next().expect("a word for each character"))
    }
}

impl Credentials {
    /// From the system's random source, with a number in front of the fragment that [`tag_of`] reads: over TCP one port
    /// serves all workers, and only the first check of a connection tells which of them has the peer.
    ///
    /// # Panics
    /// As [`Credentials::random`].
    #[must_use]
    pub fn tagged(tag: u16) -> Self {
        let Self { ufrag, pwd } = Self::random();
        let char_at = |shift: u16| char::from(ICE_CHARS[usize::from((tag >> shift) & 63)]);
        Self { ufrag: format!("{}{}{ufrag}", char_at(6), char_at(0)), pwd }
    }
}

/// The number that [`Credentials::tagged`] put in front. Any text has some number: the caller checks that it means anything.
#[must_use]
pub fn tag_of(ufrag: &str) -> Option<u16> {
    let tag = ufrag.as_bytes().get(..TAG_CHARS)?;
    tag.iter().try_fold(0, |tag, char| {
        let digit = ICE_CHARS.iter().position(|known| known == char)?;
        Some(tag << 6 | u16::try_from(digit).ok()?)
    })
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// Our user fragment in a binding request: the part of USERNAME before the colon (RFC 8445 §7.2.2). Nothing is checked
/// yet; it only names the peer whose password to try. Allocates nothing.
#[must_use]
pub fn local_ufrag(stun: &[u8]) -> Option<&str> {
    const USERNAME: u16 = 0x0006;
    const INTEGRITY: u16 = 0x0008;
    let (header, mut rest) = stun.split_first_chunk::<20>()?;
    if header[4..8] != MAGIC_COOKIE.to_be_bytes() {
        return None;
    }
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        match kind {
            USERNAME => {
                let name = std::str::from_utf8(tail.get(..len)?).ok()?;
                return name.split_once(':').map(|(local, _)| local);
            }
            // RFC 8489 §14.5: what follows the integrity is not covered by it.
            INTEGRITY => return None,
            _other => rest = tail.get(len.next_multiple_of(4)..)?,
        }
    }
    None
}

/// What an authenticated check did to the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathChange {
    None,
    Selected,
    Moved,
}

struct Path {
    addr: SocketAddr,
    heard: Instant,
}

struct Previous {
    credentials: Credentials,
    until: Instant,
}

/// The lite agent of one peer.
pub(super) struct Agent {
    local: Credentials,
    previous: Vec<Previous>,
    /// A check with `local` came: from then on checks with previous credentials do not move the path.
    current_seen: bool,
    path: Option<Path>,
    /// Where authenticated packets came from, newest last.
    known: Vec<SocketAddr>,
    left: Option<(SocketAddr, Instant)>,
}

impl Agent {
    pub(super) fn new(local: Credentials) -> Self {
        Self { local, previous: Vec::new(), current_seen: false, path: None, known: Vec::new(), left: None }
    }

    pub(super) fn local(&self) -> &Credentials {
        &self.local
    }

    /// RFC 8445 §9: a restart changes the credentials and nothing else; the path stays until a check moves it.
    pub(super) fn restart(&mut self, now: Instant, local: Credentials) {
        let old = std::mem::replace(&mut self.local, local);
        if self.previous.len() >= MAX_PREVIOUS {
            self.previous.remove(0);
        }
        self.previous.push(Previous { credentials: old, until: now + PREVIOUS_CREDENTIALS });
        self.current_seen = false;
    }

    pub(super) fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.local.ufrag == ufrag || self.previous.iter().any(|previous| previous.credentials.ufrag == ufrag)
    }

    /// Forgets credentials whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.previous.retain(|previous| now < previous.until);
    }

    pub(super) fn path(&self) -> Option<SocketAddr> {
        self.path.as_ref().map(|path| path.addr)
    }

    pub(super) fn is_known(&self, addr: SocketAddr) -> bool {
        self.known.contains(&addr)
    }

    /// An authenticated packet came over the path.
    pub(super) fn note_heard(&mut self, now: Instant) {
        if let Some(path) = &mut self.path {
            path.heard = now;
        }
    }

    /// Follows authenticated media to `addr`; false when it stays.
    pub(super) fn follow_media(&mut self, now: Instant, addr: SocketAddr) -> bool {
        let late = self.left.is_some_and(|(left, at)| left == addr && now.duration_since(at) < LATE_MEDIA);
        if late || self.path().is_none_or(|path| path == addr) {
            return false;
        }
        self.select(now, addr);
        true
    }

    /// Answers one check. Until its integrity is proven it changes nothing.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &[u8],
        crypto: &dyn RTCCrypto,
    ) -> Result<(Bytes, PathChange), DropReason> {
        self.expire(now);
        let ufrag = local_ufrag(packet).ok_or(DropReason::StunUnknownUser)?;
        let current = self.local.ufrag == ufrag;
        let credentials = if current {
            &self.local
        } else {
            let found = self.previous.iter().find(|previous| previous.credentials.ufrag == ufrag);
            &found.ok_or(DropReason::StunUnknownUser)?.credentials
        };
        let check = Check::parse(packet, &credentials.pwd, crypto)?;
        let answer = check.answer(from, &credentials.pwd, crypto)?;
        self.current_seen |= current;
        let may_move = current || !self.current_seen;
        let change = self.choose(now, from, check.use_candidate, may_move);
        Ok((answer, change))
    }

    fn choose(&mut self, now: Instant, from: SocketAddr, nominated: bool, may_move: bool) -> PathChange {
        let Some(path) = &mut self.path else {
            // RFC 8445 §8.2.2 would wait for USE-CANDIDATE; the pair works both ways already, and DTLS can start.
            self.select(now, from);
            return PathChange::Selected;
        };
        if path.addr == from {
            path.heard = now;
            return PathChange::None;
        }
        let silent = now.duration_since(path.heard) >= PATH_SILENCE;
        if may_move && (nominated || silent) {
            self.select(now, from);
            return PathChange::Moved;
        }
        self.learn(from);
        PathChange::None
    }

    fn select(&mut self, now: Instant, addr: SocketAddr) {
        self.left = self.path().map(|old| (old, now));
        if let Some((old, _)) = self.left {
            self.learn(old); // for what is still on its way
        }
        self.path = Some(Path { addr, heard: now });
        self.learn(addr);
    }

    /// The oldest makes room. Not the path: checks that come over it teach nothing, so it may well be the oldest.
    fn learn(&mut self, addr: SocketAddr) {
        self.known.retain(|known| *known != addr);
        let oldest = self.known.iter().position(|known| Some(*known) != self.path());
        if let Some(oldest) = oldest.filter(|_| self.known.len() >= MAX_ADDRESSES) {
            self.known.remove(oldest);
        }
        self.known.push(addr);
    }
}

/// A binding request whose integrity is proven.
struct Check {
    transaction_id: TransactionId,
    use_candidate: bool,
}

impl Check {
    fn parse(packet: &[u8], pwd: &str, crypto: &dyn RTCCrypto) -> Result<Self, DropReason> {
        let mut message = Message::default();
        message.unmarshal_binary(packet).map_err(|_| DropReason::StunMalformed)?;
        // rtc-stun measures FINGERPRINT from the end of the datagram, so nothing may follow the message.
        if usize::try_from(message.length).ok().and_then(|len| len.checked_add(20)) != Some(packet.len()) {
            return Err(DropReason::StunMalformed);
        }
        if message.typ != BINDING_REQUEST {
            return Err(DropReason::StunNotRequest);
        }
        if message.contains(ATTR_FINGERPRINT) && FINGERPRINT.check(&message).is_err() {
            return Err(DropReason::StunFingerprint);
        }
        MessageIntegrity::check(&mut message, pwd.as_bytes(), crypto).map_err(|_| DropReason::StunIntegrity)?;
        // RFC 8489 §14.5: attributes behind the integrity are not covered by it and are ignored.
        let covered = message.attributes.0.iter().take_while(|attribute| attribute.typ != ATTR_MESSAGE_INTEGRITY);
        let use_candidate = covered.into_iter().any(|attribute| attribute.typ == ATTR_USE_CANDIDATE);
        Ok(Self { transaction_id: message.transaction_id, use_candidate })
    }

    /// RFC 8445 §7.3: success response with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT.
    fn answer(&self, from: SocketAddr, pwd: &str, crypto: &dyn RTCCrypto) -> Result<Bytes, DropReason> {
        let mut message = Message::new();
        message.typ = BINDING_SUCCESS;
        message.transaction_id = self.transaction_id;
        message.write_header();
        // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; the client must see its IPv4 address.
        let mapped = XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() };
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(pwd.as_bytes(), crypto);
        mapped
            .add_to(&mut message)
            .and_then(|()| integrity.add_to(&mut message))
            .and_then(|()| FINGERPRINT.add_to(&mut message))
            .map_err(|_| DropReason::StunMalformed)?;
        Ok(Bytes::from(message.raw))
    }
}

#[cfg(test)]
#[path = "ice/tests.rs"]
pub(super) mod tests;
