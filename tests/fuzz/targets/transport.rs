//! Any datagrams at a transport, from a known and an unknown address: no panic, and nothing is believed.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use convene_peer::transport::ice::{self, Credentials};
use convene_peer::transport::{Event, Fingerprint, Identity, Transport};

static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();

pub(crate) fn run(input: &[u8]) {
    let identity = IDENTITY.get_or_init(|| Arc::new(Identity::generate().expect("the system has randomness")));
    let mut now = Instant::now();
    let local = Credentials { ufrag: "abcd".to_owned(), pwd: "0123456789012345678901".to_owned() };
    let mut transport = Transport::new(identity, local, now);
    let fingerprint = Fingerprint::parse(identity.fingerprint()).expect("our own fingerprint is one");
    transport.set_remote(now, fingerprint);
    let (known, stranger) = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2)));
    transport.move_path(now, known);
    let mut rest = input;
    while let Some(([kind, length], tail)) = rest.split_first_chunk::<2>().map(|(head, tail)| (*head, tail)) {
        // Lengths above 255 bytes: DTLS flights have several records.
        let (datagram, tail) = tail.split_at(usize::from(length).saturating_mul(6).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(u64::from(kind));
        let from = if kind & 1 == 0 { known } else { stranger };
        match kind >> 1 & 3 {
            0 => {
                let _ = ice::local_ufrag(datagram);
                let _ = transport.handle_stun(now, from, datagram);
            }
            1 => {
                let _ = transport.handle_dtls(now, from, datagram);
            }
            2 => {
                let _ = transport.unprotect_rtp(&mut datagram.to_vec());
                let _ = transport.unprotect_rtcp(&mut datagram.to_vec());
            }
            _ => transport.handle_timeout(now),
        }
        while transport.poll_transmit().is_some() {}
        while let Some(event) = transport.poll_event() {
            assert!(!matches!(event, Event::Secured { .. }), "a handshake without the client's key");
        }
    }
}
