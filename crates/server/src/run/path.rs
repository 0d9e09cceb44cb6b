//! What the system knows of the path of a TCP connection. Linux says it over netlink (`sock_diag`, as `ss -i` asks), to
//! anybody; elsewhere nobody is asked.

use std::net::SocketAddr;

use convene_flow::ahead::Found;

#[cfg(target_os = "linux")]
pub(super) use linux::Paths;
#[cfg(not(target_os = "linux"))]
pub(super) use nowhere::Paths;

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    #[derive(Debug, Default)]
    pub(crate) struct Paths;

    impl Paths {
        pub(crate) fn find(&self, _: super::Ends) -> Option<super::Found> {
            None
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use convene_flow::window::Path;
    use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_LISTEN};
    use netlink_packet_sock_diag::inet::nlas::{Nla, TcpInfo};
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::{Socket, SocketAddr as NetlinkAddr, protocols::NETLINK_SOCK_DIAG};
    use tracing::warn;

    use super::{Ends, Found};

    /// Above what the system knows of one socket.
    const ANSWER_BYTES: usize = 4096;
    /// Instead of the cookie of a socket: whichever has these ends.
    const ANY: [u8; 8] = [0xff; 8];

    /// Asks for all connections.
    #[derive(Debug)]
    pub(crate) struct Paths {
        socket: Option<Mutex<Asked>>,
    }

    #[derive(Debug)]
    struct Asked {
        socket: Socket,
        /// Of the last question.
        sequence: u32,
    }

    impl Default for Paths {
        /// Without the right to ask, downloads go as TCP sends them.
        fn default() -> Self {
            let socket = open().inspect_err(|error| warn!(%error, "the system does not say how TCP paths are"));
            Self { socket: socket.ok().map(|socket| Mutex::new(Asked { socket, sequence: 0 })) }
        }
    }

    fn open() -> io::Result<Socket> {
        let socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.set_non_blocking(true)?; // the answer is there when the question has been sent
        socket.connect(&NetlinkAddr::new(0, 0))?;
        Ok(socket)
    }

    impl Paths {
        /// Of the connection with these ends. It takes 5 µs.
        pub(crate) fn find(&self, ends: Ends) -> Option<Found> {
            let mut asked = self.socket.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
            // Where a connection is gone, the system finds the socket that listens there.
            let info = asked.ask(ends).ok()?.filter(|info| info.state != TCP_LISTEN)?;
            let mss = u64::from(info.snd_mss);
            let path = Path {
                rtt: Duration::from_micros(info.rtt.into()),
                congestion_window: u64::from(info.snd_cwnd).saturating_mul(mss),
            };
            let sent = u64::from(info.unacked).saturating_mul(mss);
            Some(Found { path, under_way: sent.saturating_add(info.notsent_bytes.into()) })
        }
    }

    impl Asked {
        fn ask(&mut self, ends: Ends) -> io::Result<Option<TcpInfo>> {
            self.sequence = self.sequence.wrapping_add(1);
            self.socket.send(&question(ends, self.sequence), 0)?;
            loop {
                let mut answer = Vec::with_capacity(ANSWER_BYTES);
                self.socket.recv(&mut answer, 0)?;
                let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).map_err(io::Error::other)?;
                // An answer that could not be taken when it came belongs to nobody now.
                if answer.header.sequence_number == self.sequence {
                    return Ok(info(answer.payload));
                }
            }
        }
    }

    fn question(Ends { local, remote }: Ends, sequence: u32) -> Vec<u8> {
        let request = InetRequest {
            family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port: local.port(),
                destination_port: remote.port(),
                source_address: local.ip(),
                destination_address: remote.ip(),
                interface_id: 0,
                cookie: ANY,
            },
        };
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST, sequence);
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn info(payload: NetlinkPayload<SockDiagMessage>) -> Option<TcpInfo> {
        let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) = payload else { return None };
        response.nlas.into_iter().find_map(|nla| if let Nla::TcpInfo(info) = nla { Some(info) } else { None })
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Read as _, Write as _};
        use std::net::{TcpListener, TcpStream};

        use super::*;

        #[test]
        fn the_system_knows_what_is_under_way() {
            for address in ["127.0.0.1:0", "[::]:0"] {
                let listener = TcpListener::bind(address).unwrap();
                let mut client = TcpStream::connect(("127.0.0.1", listener.local_addr().unwrap().port())).unwrap();
                let (mut server, remote) = listener.accept().unwrap();
                let ends = Ends { local: server.local_addr().unwrap(), remote };
                let paths = Paths::default();
                assert_eq!(paths.find(ends).unwrap().under_way, 0, "{ends:?}");

                server.set_nonblocking(true).unwrap();
                let mut written = 0;
                while let Ok(bytes) = server.write(&[0; 65_536]) {
                    written += bytes;
                }
                let found = paths.find(ends).unwrap();
                assert!(found.under_way > 0 && found.under_way <= written as u64, "{found:?} of {written}");
                assert!(found.path.rtt > Duration::ZERO && found.path.congestion_window > 0, "{found:?}");

                client.read_exact(&mut vec![0; written]).unwrap();
                assert_eq!(paths.find(ends).unwrap().under_way, 0);
                drop((client, server));
                let gone = Ends { remote: "127.0.0.1:1".parse().unwrap(), ..ends };
                assert!(paths.find(gone).is_none());
            }
        }
    }
}
