//! A client's UDP socket: GRO batches in, GSO bursts out.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use mio::unix::SourceFd;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};

const SLOT_BYTES: usize = 65_535;
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// Receive buffers shared by all sockets of a thread.
pub struct Inbox {
    slots: Box<[Vec<u8>; BATCH_SIZE]>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Default for Inbox {
    fn default() -> Self {
        Self { slots: Box::new(std::array::from_fn(|_| vec![0; SLOT_BYTES])), meta: [RecvMeta::default(); BATCH_SIZE] }
    }
}

/// A bound socket.
pub struct Udp {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
}

impl Udp {
    /// Binds any port of an address and registers it.
    pub fn bind(registry: &mio::Registry, token: mio::Token, ip: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(ip, 0);
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES); // capped by the kernel
        socket.bind(&address.into()).context("binding a client socket")?;
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, mio::Interest::READABLE)?;
        Ok(Self { socket, state })
    }

    /// Its address.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Reads until the socket is empty.
    pub fn drain(&self, inbox: &mut Inbox, mut each: impl FnMut(SocketAddr, &[u8])) {
        loop {
            let mut slices = inbox.slots.each_mut().map(|slot| IoSliceMut::new(slot));
            let Ok(filled) = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut inbox.meta) else {
                return;
            };
            for (slot, meta) in inbox.slots.iter().zip(&inbox.meta).take(filled) {
                let bytes = slot.get(..meta.len).unwrap_or_default();
                bytes.chunks(meta.stride.max(1)).for_each(|datagram| each(meta.addr, datagram));
            }
        }
    }

    /// One send; more than `segment` bytes leave as a GSO burst.
    pub fn send(&self, to: SocketAddr, contents: &[u8], segment: usize) -> Result<()> {
        let segment_size = (contents.len() > segment).then_some(segment);
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit).context("sending")
    }
}
