//! Which peer a datagram belongs to (RFC 7983 first-byte classes, RFC 8445 ufrags, addresses, SSRCs).
//!
//! Invariant: an address or SSRC enters a table only after a packet with it was authenticated.

use std::collections::HashMap;
use std::net::SocketAddr;

use convene_types::{PeerId, Ssrc};
use rustc_hash::FxHashMap;

/// Addresses one peer may hold at once: its candidates on several networks. The oldest that is not its path goes first.
const MAX_ADDRESSES_PER_PEER: usize = 8;

/// Peers tried for an SRTP packet from an unknown address. SSRCs are random 32-bit numbers, so two is already rare.
const MAX_SSRC_OWNERS: usize = 4;

/// RFC 7983 §7: what the first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Stun,
    Dtls,
    Rtp,
    Unknown,
}

impl Class {
    pub(crate) fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            Some(128..=191) => Self::Rtp,
            _ => Self::Unknown,
        }
    }
}

/// The tables of one worker.
#[derive(Default)]
pub(crate) struct Demux {
    by_address: FxHashMap<SocketAddr, PeerId>,
    by_ssrc: FxHashMap<Ssrc, Vec<PeerId>>,
    // Keyed by text that a stranger chooses: the default hasher withstands flooding.
    by_ufrag: HashMap<String, PeerId>,
}

/// What one peer has in the tables, so that it can be taken out again.
#[derive(Default)]
pub(crate) struct Entries {
    addresses: Vec<SocketAddr>,
    ssrcs: Vec<Ssrc>,
    ufrags: Vec<String>,
}

/// What a packet of a peer can be told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Address(SocketAddr),
    Ufrag(String),
}

impl Entries {
    /// Notes a name that stands in another worker's tables. `true`: it is new.
    pub(crate) fn note(&mut self, name: &Name) -> bool {
        match name {
            Name::Address(address) if !self.addresses.contains(address) => {
                if self.addresses.len() >= MAX_ADDRESSES_PER_PEER {
                    self.addresses.remove(0);
                }
                self.addresses.push(*address);
                true
            }
            Name::Ufrag(ufrag) if !self.ufrags.contains(ufrag) => {
                self.ufrags.push(ufrag.clone());
                true
            }
            Name::Address(_) | Name::Ufrag(_) => false,
        }
    }
}

impl Demux {
    /// `path`: where the peer's packets go, if that is known here.
    pub(crate) fn add(&mut self, peer: PeerId, name: &Name, path: Option<SocketAddr>, entries: &mut Entries) {
        match name {
            Name::Address(address) => self.add_address(peer, *address, path, entries),
            Name::Ufrag(ufrag) => self.add_ufrag(peer, ufrag, entries),
        }
    }

    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<PeerId> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<PeerId> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub(crate) fn owners(&self, ssrc: Ssrc) -> &[PeerId] {
        self.by_ssrc.get(&ssrc).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn add_ufrag(&mut self, peer: PeerId, ufrag: &str, entries: &mut Entries) {
        if !entries.ufrags.iter().any(|known| known == ufrag) {
            self.by_ufrag.insert(ufrag.to_owned(), peer);
            entries.ufrags.push(ufrag.to_owned());
        }
    }

    fn add_address(&mut self, peer: PeerId, address: SocketAddr, path: Option<SocketAddr>, entries: &mut Entries) {
        if self.by_address.insert(address, peer) == Some(peer) {
            return;
        }
        let oldest = entries.addresses.iter().position(|known| Some(*known) != path);
        if let Some(oldest) = oldest.filter(|_| entries.addresses.len() >= MAX_ADDRESSES_PER_PEER) {
            let oldest = entries.addresses.remove(oldest);
            self.remove_address(peer, oldest);
        }
        entries.addresses.push(address);
    }

    pub(crate) fn add_ssrc(&mut self, peer: PeerId, ssrc: Ssrc, entries: &mut Entries) {
        let owners = self.by_ssrc.entry(ssrc).or_default();
        if !owners.contains(&peer) && owners.len() < MAX_SSRC_OWNERS {
            owners.push(peer);
            entries.ssrcs.push(ssrc);
        }
    }

    pub(crate) fn remove(&mut self, peer: PeerId, entries: &Entries) {
        for address in &entries.addresses {
            self.remove_address(peer, *address);
        }
        for ufrag in &entries.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        for ssrc in &entries.ssrcs {
            if let Some(owners) = self.by_ssrc.get_mut(ssrc) {
                owners.retain(|owner| *owner != peer);
                if owners.is_empty() {
                    self.by_ssrc.remove(ssrc);
                }
            }
        }
    }

    /// Entries in all tables; zero when every peer has left.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_address.len() + self.by_ssrc.len() + self.by_ufrag.len()
    }

    /// A newer owner of the same address (a NAT that reused the port) keeps it.
    fn remove_address(&mut self, peer: PeerId, address: SocketAddr) {
        if self.by_address.get(&address) == Some(&peer) {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_byte_classes() {
        let rows: [(&[u8], Class); 8] = [
            (&[], Class::Unknown),
            (&[0], Class::Stun),
            (&[3], Class::Stun),
            (&[4], Class::Unknown),
            (&[20], Class::Dtls),
            (&[63], Class::Dtls),
            (&[128], Class::Rtp),
            (&[192], Class::Unknown),
        ];
        for (bytes, class) in rows {
            assert_eq!(Class::of(bytes), class, "{bytes:?}");
        }
    }

    #[test]
    fn a_removed_peer_leaves_nothing_and_takes_nothing_from_others() {
        let (mut demux, mut a, mut b) = (Demux::default(), Entries::default(), Entries::default());
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        for port in 0..20 {
            demux.add_address(PeerId(1), address(port), Some(address(3)), &mut a);
        }
        assert_eq!(demux.by_address(address(3)), Some(PeerId(1)), "its path stays");
        demux.add_ufrag(PeerId(1), "a", &mut a);
        demux.add_ssrc(PeerId(1), Ssrc(7), &mut a);
        demux.add_ssrc(PeerId(2), Ssrc(7), &mut b);
        demux.add_address(PeerId(2), address(19), None, &mut b); // took over the port
        assert_eq!(demux.by_address.len(), MAX_ADDRESSES_PER_PEER);
        demux.remove(PeerId(1), &a);
        assert_eq!(demux.by_address(address(19)), Some(PeerId(2)));
        assert_eq!(demux.owners(Ssrc(7)), [PeerId(2)]);
        demux.remove(PeerId(2), &b);
        assert_eq!(demux.len(), 0);
    }
}
