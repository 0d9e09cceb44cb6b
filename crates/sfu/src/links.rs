//! ICE over TCP on the worker's side (RFC 6544): connections that carry the same datagrams as UDP, each behind two bytes of
//! length (RFC 4571 §2).
//!
//! A connection is an address like any other to ICE, to the demultiplexer and to the way out: [`Links::open`] gives it an
//! address that no datagram comes from. It never blocks the worker: what the kernel does not take waits in a bounded
//! buffer, and what does not fit there is dropped whole, media first.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use convene_types::PeerId;
use mio::net::TcpStream;
use rustc_hash::FxHashMap;

use crate::demux::Class;
use crate::socket::Sent;
use crate::worker::FIRST_LINK;

/// Connections of one worker. Each may hold [`MAX_BACKLOG_BYTES`] and a descriptor.
const MAX_LINKS: usize = 4_096;

/// Connections of one peer: a client tries one for each pair of addresses. The oldest goes first.
const MAX_LINKS_PER_PEER: usize = 8;

/// Media waits for the kernel up to here: a quarter of a second at 4 Mbit/s. More would be delay that no estimator can
/// drain; less drops what a burst of a keyframe needs.
const MAX_MEDIA_BACKLOG_BYTES: usize = 128 << 10;

/// Checks and DTLS, without which the connection ends, up to here.
const MAX_BACKLOG_BYTES: usize = 192 << 10;

/// Kernel buffer of a connection. Its own growth would hide seconds of media in it.
const KERNEL_BUFFER_BYTES: usize = 128 << 10;

/// Read from one connection before the others and the socket get their turn.
const READ_BYTES: usize = 16 << 10;

/// RFC 4571 §2.
const LENGTH_BYTES: usize = 2;

/// One connection.
struct Link {
    stream: TcpStream,
    peer: Option<PeerId>,
    /// Bytes read that are no whole frame yet.
    unread: Vec<u8>,
    /// Bytes that the kernel has not taken; the first frame may be there in part.
    backlog: Vec<u8>,
    broken: bool,
}

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct Links {
    links: FxHashMap<u32, Link>,
    /// The last number given out. Numbers come again after 2^20 only (the width of a flow label), so an address that
    /// somebody still holds does not mean another connection.
    last: u32,
    /// What may have something to read.
    ready: VecDeque<u32>,
}

/// Bytes of one connection under way to the worker.
pub(crate) struct Reader {
    /// Where its frames come from.
    pub(crate) address: SocketAddr,
    bytes: Vec<u8>,
    at: usize,
    more: bool,
    ended: bool,
}

impl Reader {
    /// The next whole frame.
    pub(crate) fn next_frame(&mut self) -> Option<&mut [u8]> {
        let rest = self.bytes.get_mut(self.at..)?;
        let (length, rest) = rest.split_first_chunk_mut::<LENGTH_BYTES>()?;
        let frame = rest.get_mut(..usize::from(u16::from_be_bytes(*length)))?;
        self.at += LENGTH_BYTES + frame.len();
        Some(frame)
    }
}

/// A connection's number, if an address is one of [`Links::open`].
pub(crate) fn link_of(address: SocketAddr) -> Option<u32> {
    match address {
        // Addresses of datagrams are made from IP and port alone, so they have no flow label.
        SocketAddr::V6(address) => Some(address.flowinfo()).filter(|link| *link != 0),
        SocketAddr::V4(_) => None,
    }
}

fn address_of(link: u32, remote: SocketAddr) -> SocketAddr {
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, remote.port(), link, 0).into()
}

impl Links {
    /// Takes over a connection; the address that stands for it. `None`: too many, or the system refused.
    pub(crate) fn open(
        &mut self,
        stream: std::net::TcpStream,
        remote: SocketAddr,
        registry: &mio::Registry,
    ) -> Option<SocketAddr> {
        if self.links.len() >= MAX_LINKS {
            return None;
        }
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        // A refused size leaves the default: more delay, not a broken connection.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(KERNEL_BUFFER_BYTES);
        let mut stream = TcpStream::from_std(stream);
        self.last = self.last % 0xf_ffff + 1;
        let id = self.last;
        if self.links.contains_key(&id) {
            return None; // a million connections later the old one is still there: refuse, the client tries again
        }
        let token = mio::Token(FIRST_LINK + id as usize);
        registry.register(&mut stream, token, mio::Interest::READABLE | mio::Interest::WRITABLE).ok()?;
        let link = Link { stream, peer: None, unread: Vec::new(), backlog: Vec::new(), broken: false };
        self.links.insert(id, link);
        self.ready.push_back(id); // it may have sent more than its first frame already
        Some(address_of(id, remote))
    }

    /// A check from this address was good: the connection is this peer's.
    pub(crate) fn claim(&mut self, address: SocketAddr, peer: PeerId) {
        let Some(id) = link_of(address) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.peer.replace(peer) == Some(peer) {
            return;
        }
        let mut of_peer: Vec<u32> =
            self.links.iter().filter(|(_, link)| link.peer == Some(peer)).map(|(id, _)| *id).collect();
        of_peer.sort_unstable();
        for oldest in of_peer.iter().rev().skip(MAX_LINKS_PER_PEER) {
            self.links.remove(oldest);
        }
    }

    /// Closes a connection that nobody claimed. `true`: it did.
    pub(crate) fn drop_unclaimed(&mut self, address: SocketAddr) -> bool {
        let Some(id) = link_of(address) else { return false };
        let stranger = self.links.get(&id).is_some_and(|link| link.peer.is_none());
        stranger && self.links.remove(&id).is_some()
    }

    /// Closes the connections of a peer.
    pub(crate) fn close_of(&mut self, peer: PeerId) {
        self.links.retain(|_, link| link.peer != Some(peer));
    }

    /// Notes what may be read, and writes where that is possible again.
    pub(crate) fn note(&mut self, events: &mio::Events) {
        for event in events {
            let Some(id) = event.token().0.checked_sub(FIRST_LINK).and_then(|id| u32::try_from(id).ok()) else {
                continue;
            };
            if event.is_writable()
                && let Some(link) = self.links.get_mut(&id)
            {
                link.drain();
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.ready.push_back(id);
            }
        }
    }

    /// How many may have something to read.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The next connection to read from. They are edge-triggered: one that is taken and not read is not heard of again.
    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        self.ready.pop_front()
    }

    /// Reads what is there, up to a bound; [`Links::put_back`] must follow.
    pub(crate) fn read(&mut self, id: u32) -> Option<Reader> {
        let link = self.links.get_mut(&id)?;
        let remote = link.stream.peer_addr();
        let mut bytes = std::mem::take(&mut link.unread);
        let held = bytes.len();
        bytes.resize(held + READ_BYTES, 0);
        let (mut end, mut more, mut ended) = (held, true, remote.is_err());
        while let Some(space) = bytes.get_mut(end..).filter(|space| !space.is_empty() && !ended) {
            match link.stream.read(space) {
                Ok(0) => ended = true,
                Ok(count) => end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    ended = error.kind() != io::ErrorKind::WouldBlock;
                    more = false;
                    break;
                }
            }
        }
        bytes.truncate(end);
        let address = address_of(id, remote.unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))));
        Some(Reader { address, bytes, at: 0, more: more && !ended, ended })
    }

    /// Keeps what was no whole frame; closes the connection if it has ended.
    pub(crate) fn put_back(&mut self, id: u32, mut reader: Reader) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if reader.ended || link.broken {
            self.links.remove(&id);
            return;
        }
        reader.bytes.drain(..reader.at);
        reader.bytes.shrink_to(READ_BYTES / 4);
        link.unread = reader.bytes;
        if reader.more {
            self.ready.push_back(id);
        }
    }

    /// Sends frames of `segment` bytes (the last may be shorter). What does not fit is dropped whole.
    pub(crate) fn send(&mut self, id: u32, contents: &[u8], segment: usize) -> Sent {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.broken) else { return Sent::Dropped };
        let mut outcome = Sent::Yes;
        for frame in contents.chunks(segment.max(1)) {
            let most = if Class::of(frame) == Class::Rtp { MAX_MEDIA_BACKLOG_BYTES } else { MAX_BACKLOG_BYTES };
            let Ok(length) = u16::try_from(frame.len()) else { return Sent::Dropped };
            if link.backlog.len() + LENGTH_BYTES + frame.len() > most {
                outcome = Sent::Dropped;
                continue;
            }
            link.backlog.extend_from_slice(&length.to_be_bytes());
            link.backlog.extend_from_slice(frame);
        }
        link.drain();
        outcome
    }
}

impl Link {
    /// Gives the kernel what it takes.
    fn drain(&mut self) {
        let mut written = 0;
        while let Some(rest) = self.backlog.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // Its end shows up as readable, and `put_back` closes it.
                    self.broken = true;
                    break;
                }
            }
        }
        self.backlog.drain(..written);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, far)
    }

    fn frame(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    #[test]
    fn frames_survive_any_cut_and_a_slow_reader_loses_whole_media_frames_only() {
        let poll = mio::Poll::new().unwrap();
        let mut links = Links::default();
        let (near, mut far) = pair();
        let remote = far.local_addr().unwrap();
        let address = links.open(near, remote, poll.registry()).unwrap();
        let id = link_of(address).unwrap();
        assert_eq!((address.ip().to_canonical(), address.port()), (remote.ip(), remote.port()));
        links.claim(address, PeerId(1));

        let wire = [frame(&[1; 3]), frame(&[]), frame(&[2; 1_200])].concat();
        let mut seen = Vec::new();
        for byte in &wire {
            far.write_all(&[*byte]).unwrap();
            std::thread::yield_now();
            let mut reader = links.read(id).unwrap();
            while let Some(frame) = reader.next_frame() {
                seen.push(frame.to_vec());
            }
            links.put_back(id, reader);
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while seen.len() < 3 && std::time::Instant::now() < deadline {
            let mut reader = links.read(id).unwrap();
            while let Some(frame) = reader.next_frame() {
                seen.push(frame.to_vec());
            }
            links.put_back(id, reader);
        }
        assert_eq!(seen, [vec![1; 3], vec![], vec![2; 1_200]]);

        let media = [[0x80; 1_000], [0x80; 1_000]].concat();
        let mut sent = 0;
        while links.send(id, &media, 1_000) == Sent::Yes {
            sent += 1;
            assert!(sent < 100_000, "the backlog has no bound");
        }
        assert_eq!(links.send(id, &[0; 100], 100), Sent::Yes, "a check still fits");
        assert!(links.links[&id].backlog.len() <= MAX_BACKLOG_BYTES);

        far.set_nonblocking(true).unwrap();
        let (mut read, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
        while !links.links[&id].backlog.is_empty() || read.is_empty() {
            match far.read(&mut buffer) {
                Ok(count) => read.extend_from_slice(&buffer[..count]),
                Err(_) => links.links.get_mut(&id).unwrap().drain(),
            }
            assert!(std::time::Instant::now() < deadline + std::time::Duration::from_secs(20));
        }
        far.set_nonblocking(false).unwrap();
        far.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        while let Ok(count @ 1..) = far.read(&mut buffer) {
            read.extend_from_slice(&buffer[..count]);
        }
        let mut at = 0;
        while at < read.len() {
            let length = usize::from(u16::from_be_bytes([read[at], read[at + 1]]));
            assert!([1_000, 100].contains(&length), "no frame was cut");
            at += LENGTH_BYTES + length;
        }
        assert_eq!(at, read.len());

        links.close_of(PeerId(1));
        assert_eq!(links.send(id, &media, 1_000), Sent::Dropped);
    }

    #[test]
    fn whoever_is_taken_and_not_put_back_leaves_the_others_ready() {
        let poll = mio::Poll::new().unwrap();
        let mut links = Links::default();
        let pairs = [pair(), pair(), pair()];
        let opened = pairs.map(|(near, far)| (links.open(near, far.local_addr().unwrap(), poll.registry()), far));
        let ids: Vec<u32> = opened.iter().map(|(address, _)| link_of(address.unwrap()).unwrap()).collect();
        let first = links.next_ready().unwrap();
        let _lost = links.read(first).unwrap(); // a frame of it made the worker panic
        assert_eq!((first, links.ready()), (ids[0], 2));
        assert_eq!([links.next_ready(), links.next_ready(), links.next_ready()], [Some(ids[1]), Some(ids[2]), None]);
    }

    #[test]
    fn a_peer_keeps_its_newest_connections_and_strangers_none() {
        let poll = mio::Poll::new().unwrap();
        let mut links = Links::default();
        let mut held = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..MAX_LINKS_PER_PEER + 2 {
            let (near, far) = pair();
            let address = links.open(near, far.local_addr().unwrap(), poll.registry()).unwrap();
            links.claim(address, PeerId(7));
            addresses.push(address);
            held.push(far);
        }
        assert_eq!(links.links.len(), MAX_LINKS_PER_PEER);
        assert!(links.links.contains_key(&link_of(addresses[MAX_LINKS_PER_PEER + 1]).unwrap()));
        let (near, far) = pair();
        let stranger = links.open(near, far.local_addr().unwrap(), poll.registry()).unwrap();
        assert!(links.drop_unclaimed(stranger) && !links.drop_unclaimed(addresses[MAX_LINKS_PER_PEER]));
        assert_eq!(link_of("192.0.2.1:5".parse().unwrap()), None);
        assert_eq!(link_of("[2001:db8::1]:5".parse().unwrap()), None);
    }
}
