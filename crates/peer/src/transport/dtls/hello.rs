//! Reads what the ClientHello offers before the DTLS stack sees it.
//!
//! rtc-dtls takes the first SRTP profile in the client's order that the server lists, and browsers list the slow one first;
//! with the groups of the key exchange it is the same with clients that are no browsers. So the datagrams of the first
//! ClientHello are held until it is whole (Chromium's has 1.4 kB in two datagrams, with the extensions in either), the best
//! of each that is offered becomes the server's only one, and then they are fed in order.

use super::record::{CLIENT_HELLO, Fragment, records};
use crate::DropReason;
use crate::transport::srtp::Profile;

/// Datagrams held for one ClientHello. Chromium needs two; more than eight fragments only an attacker sends.
const MAX_DATAGRAMS: usize = 8;

/// Bytes of a ClientHello. 1.4 kB with a post-quantum key share; larger shares stay far below.
const MAX_HELLO_BYTES: usize = 16 * 1024;

/// RFC 5764 §4.1.1.
const USE_SRTP: u16 = 14;

/// RFC 8422 §5.1.1, and X25519 in its list.
const SUPPORTED_GROUPS: u16 = 10;
const X25519: [u8; 2] = 29_u16.to_be_bytes();

/// Datagrams of a ClientHello that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Gather {
    datagrams: Vec<Vec<u8>>,
    parts: Vec<Part>,
    total: usize,
    message_seq: u16,
}

#[derive(Debug)]
struct Part {
    offset: usize,
    bytes: Vec<u8>,
}

impl Gather {
    /// Takes a datagram. A contradiction with those before starts anew with it: the client may have started anew too.
    pub(super) fn push(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        let mut news = false;
        for record in records(datagram) {
            let fragment = Fragment::parse(record).ok_or(DropReason::DtlsUnexpected)?;
            if fragment.kind != CLIENT_HELLO {
                return Err(DropReason::DtlsUnexpected);
            }
            if fragment.total > MAX_HELLO_BYTES || fragment.bytes.is_empty() {
                return Err(DropReason::DtlsMalformed);
            }
            news |= self.add(fragment);
        }
        if news {
            self.datagrams.push(datagram.to_vec());
        }
        Ok(())
    }

    /// The ClientHello's body, once there are no gaps.
    pub(super) fn hello(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.offset);
        let mut hello = Vec::with_capacity(self.total);
        for part in parts {
            let known = hello.len().checked_sub(part.offset)?;
            hello.extend_from_slice(part.bytes.get(known..).unwrap_or_default());
        }
        (self.total > 0 && hello.len() == self.total).then_some(hello)
    }

    /// What was held, in order of arrival.
    pub(super) fn into_datagrams(self) -> Vec<Vec<u8>> {
        self.datagrams
    }

    /// False: a repeat.
    fn add(&mut self, fragment: Fragment<'_>) -> bool {
        let same_message = fragment.total == self.total && fragment.message_seq == self.message_seq;
        let held = self.parts.iter().find(|part| part.offset == fragment.offset);
        match held {
            Some(part) if same_message && part.bytes == fragment.bytes => return false,
            Some(_) => *self = Self::default(),
            None if !same_message || self.parts.len() >= MAX_DATAGRAMS => *self = Self::default(),
            None => {}
        }
        self.total = fragment.total;
        self.message_seq = fragment.message_seq;
        self.parts.push(Part { offset: fragment.offset, bytes: fragment.bytes.to_vec() });
        true
    }
}

/// The best profile that a ClientHello offers. `None`: none of ours, or not a ClientHello.
pub(super) fn best_profile(hello: &[u8]) -> Option<Profile> {
    let (offered, _mki) = vec16(extension(hello, USE_SRTP)?)?;
    let offers = |profile: &Profile| offered.chunks_exact(2).any(|code| code == profile.code().to_be_bytes());
    Profile::ALL.into_iter().find(offers)
}

/// Whether a ClientHello offers X25519.
pub(super) fn offers_x25519(hello: &[u8]) -> bool {
    let groups = extension(hello, SUPPORTED_GROUPS).and_then(vec16);
    groups.is_some_and(|(groups, _)| groups.chunks_exact(2).any(|group| group == X25519))
}

/// What stands in the first extension of that type.
fn extension(hello: &[u8], wanted: u16) -> Option<&[u8]> {
    // RFC 6347 §4.2.1: version, random, session_id, cookie, cipher_suites, compression_methods, extensions.
    let rest = hello.get(2 + 32..)?;
    let (_session_id, rest) = vec8(rest)?;
    let (_cookie, rest) = vec8(rest)?;
    let (_suites, rest) = vec16(rest)?;
    let (_compression, rest) = vec8(rest)?;
    let (mut extensions, _) = vec16(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (value, rest) = vec16(rest)?;
        if u16::from_be_bytes(*kind) == wanted {
            return Some(value);
        }
        extensions = rest;
    }
    None
}

fn vec8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

fn vec16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
#[path = "hello/tests.rs"]
mod tests;
