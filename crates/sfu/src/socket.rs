//! One worker's UDP socket: batched receive with GRO, segmented send with GSO (through `quinn-udp`).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover};
use socket2::{Domain, Protocol, Type};

/// One receive slot. GRO joins up to 64 equal datagrams into at most 64 KiB; a smaller slot would cut them.
const SLOT_BYTES: usize = 65_535;

/// Kernel buffers asked for. A burst of 1,000 subscribers x 8 packets x 1.2 kB is 10 MB; the kernel caps this at
/// `net.core.{r,w}mem_max`, so operators of large rooms raise that.
const KERNEL_BUFFER_BYTES: usize = 8 << 20;

/// The most segments one send carries: `UDP_MAX_SEGMENTS` of Linux before 6.9 is 64.
const MAX_SEGMENTS: usize = 64;

/// Datagrams above it have a send each. Every interface takes packets of 1,280 bytes (RFC 8200 §5); a send whose segments do
/// not fit is refused by Linux (EINVAL), and quinn-udp takes that for an interface without GSO and gives it up for good.
pub(crate) const MAX_SEGMENT_BYTES: usize = 1_280 - 40 - 8;

/// Where a datagram came from, and to which of our addresses it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) remote: SocketAddr,
    pub(crate) local_ip: Option<IpAddr>,
    /// The worker whose socket it was sent to, if that is another one.
    pub(crate) via: Option<usize>,
}

/// What happened to a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    /// The kernel's buffer, or that of a connection, was full or refused it; the datagrams are lost and NACK repairs them.
    Dropped,
}

/// A bound, non-blocking UDP socket.
pub(crate) struct Socket {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
}

/// Receive buffers and what filled them; made once a worker.
pub(crate) struct Inbox {
    slots: Box<[Vec<u8>; BATCH_SIZE]>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            slots: Box::new(std::array::from_fn(|_| vec![0; SLOT_BYTES])),
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }

    /// The datagrams of the last receive, each with its path. GRO batches are cut at their stride.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (Path, &mut [u8])> {
        self.slots.iter_mut().zip(&self.meta).take(self.filled).flat_map(|(slot, meta)| {
            let path = Path { remote: normal(meta.addr), local_ip: meta.dst_ip, via: None };
            let bytes = slot.get_mut(..meta.len).unwrap_or_default();
            bytes.chunks_mut(meta.stride.max(1)).map(move |datagram| (path, datagram))
        })
    }
}

impl Socket {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Refused sizes leave the default: a smaller buffer, not a broken server.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        allow_fragments(&socket)?;
        Ok(Self { socket, state })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn register(&self, registry: &mio::Registry, token: mio::Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, mio::Interest::READABLE)
    }

    /// Fills the inbox once. Whether there may be more: what comes later than the last of a batch that is not full is told of
    /// by `poll`.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> bool {
        let mut slices = inbox.slots.each_mut().map(|slot| IoSliceMut::new(slot));
        let received = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut inbox.meta);
        inbox.filled = received.unwrap_or(0); // WouldBlock, or an ICMP error of some peer: nothing to read either way
        inbox.filled == BATCH_SIZE
    }

    /// Segments one send may carry; 1 where the kernel or device refused GSO.
    pub(crate) fn max_segments(&self) -> usize {
        self.state.max_gso_segments().clamp(1, MAX_SEGMENTS)
    }

    /// Sends `contents`, cut into datagrams of `segment` bytes (the last may be shorter).
    pub(crate) fn send(&self, path: Path, contents: &[u8], segment: usize) -> Sent {
        let transmit = Transmit {
            destination: path.remote,
            ecn: None,
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            src_ip: path.local_ip,
        };
        match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
            Ok(()) => Sent::Yes,
            Err(_) if transmit.segment_size.is_some() && self.max_segments() == 1 => {
                self.send_singly(path, contents, segment)
            }
            Err(_) => Sent::Dropped,
        }
    }

    /// GSO was refused at run time (EIO or EINVAL: the state has switched it off); the same bytes go out one by one.
    fn send_singly(&self, path: Path, contents: &[u8], segment: usize) -> Sent {
        let mut sent = Sent::Yes;
        for datagram in contents.chunks(segment.max(1)) {
            if self.send(path, datagram, datagram.len()) == Sent::Dropped {
                sent = Sent::Dropped;
            }
        }
        sent
    }
}

/// What QUIC needs and quinn-udp asks for, that nothing is cut on its way, RTP must not have: how large packets are is up to
/// their publisher (1,400 bytes from GStreamer, 1,300 from aiortc), and behind many a VPN is a viewer to whom 1,280 pass.
fn allow_fragments(socket: &std::net::UdpSocket) -> io::Result<()> {
    // Routers may cut (RFC 791 §3.1, no DF). The default would have the kernel do it, once ICMP, which many filter, told it to.
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::OMIT)?;
    if socket.local_addr()?.is_ipv6() {
        // Only the sender may (RFC 8200 §4.5), where it was told what passes.
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
        setsockopt(socket, Ipv6DontFrag, &false)?;
    }
    Ok(())
}

/// A v4 client on a dual-stack socket shows up as `::ffff:a.b.c.d`; candidates and logs speak of `a.b.c.d`.
fn normal(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
