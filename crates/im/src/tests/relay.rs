//! A way to a server that can be told to let no answer through, so that a handshake stays undone, or to lead to another
//! server, as if the first had died without a word and the second had its address.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;

/// See the module.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    pub(super) held: Arc<AtomicBool>,
    back: Arc<UdpSocket>,
}

impl Relay {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        back.connect(server).await.unwrap();
        let (address, held) = (front.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let relay = Self { address, held: Arc::clone(&held), back: Arc::clone(&back) };
        tokio::spawn(async move {
            let (mut there, mut here, mut client) = (vec![0; 2048], vec![0; 2048], None);
            loop {
                tokio::select! {
                    got = front.recv_from(&mut there) => {
                        let Ok((len, from)) = got else { return };
                        client = Some(from);
                        let _ = back.send(&there[..len]).await; // a loss like others
                    }
                    got = back.recv(&mut here) => {
                        let (Ok(len), Some(client)) = (got, client) else { continue };
                        if !held.load(Ordering::Acquire) {
                            let _ = front.send_to(&here[..len], client).await; // a loss like others
                        }
                    }
                }
            }
        });
        relay
    }

    /// From here on the way leads to another server.
    pub(super) async fn turn(&self, server: SocketAddr) {
        self.back.connect(server).await.unwrap();
    }
}
