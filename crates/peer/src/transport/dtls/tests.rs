//! Whole handshakes with the client side of `rtc-dtls` over a network that loses datagrams, on a fake clock.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc_dtls::config::ConfigBuilder;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

use super::{CLIENT, EXPORTER_LABEL, Fingerprint, Identity, MAX_HANDSHAKE_DATAGRAMS, Output, SERVER, Server};
use crate::DropReason;
use crate::transport::srtp::Profile;
use crate::transport::{FailReason, srtp};

/// What Chromium offers, in its order: the slow one first.
pub(in crate::transport) const CHROMIUM: [u16; 3] = [0x0001, 0x0008, 0x0007];

/// Browsers repeat first after 50 ms.
const CLIENT_INTERVAL: Duration = Duration::from_millis(50);

/// The server's certificate and the client's, made once for all tests.
pub(in crate::transport) fn identities() -> (Arc<Identity>, Arc<Identity>) {
    static MADE: OnceLock<(Arc<Identity>, Arc<Identity>)> = OnceLock::new();
    let make = || (Arc::new(Identity::generate().unwrap()), Arc::new(Identity::generate().unwrap()));
    MADE.get_or_init(make).clone()
}

/// What tells clients apart.
#[derive(Clone)]
pub(in crate::transport) struct Kind {
    pub(in crate::transport) profiles: Vec<u16>,
    /// Bytes of a handshake message per record; 0: the default of 1,200.
    pub(in crate::transport) mtu: usize,
    pub(in crate::transport) certificate: bool,
    /// Bytes of a second certificate in its chain.
    pub(in crate::transport) chain: usize,
    /// Between its repeats.
    pub(in crate::transport) interval: Duration,
}

impl Default for Kind {
    fn default() -> Self {
        Self { profiles: CHROMIUM.to_vec(), mtu: 0, certificate: true, chain: 0, interval: CLIENT_INTERVAL }
    }
}

/// A DTLS client.
pub(in crate::transport) struct Client {
    endpoint: Endpoint,
    pub(in crate::transport) complete: bool,
    pub(in crate::transport) refused: bool,
    pub(in crate::transport) received: Vec<Bytes>,
}

impl Client {
    pub(in crate::transport) fn new(kind: &Kind, now: Instant) -> Self {
        let (_, identity) = identities();
        let mut certificate = identity.certificate();
        if kind.chain > 0 {
            certificate.certificate.push(vec![0x30; kind.chain].into());
        }
        let certificates = if kind.certificate { vec![certificate] } else { vec![] };
        let config = ConfigBuilder::default()
            .with_crypto_provider(identity.provider())
            .with_certificates(certificates)
            .with_srtp_protection_profiles(kind.profiles.iter().copied().map(SrtpProtectionProfile::from).collect())
            .with_insecure_skip_verify(true)
            .with_flight_interval(kind.interval)
            .with_mtu(kind.mtu)
            .build(true, None)
            .unwrap();
        let mut endpoint = Endpoint::new(CLIENT, TransportProtocol::UDP, None);
        endpoint.connect(now, SERVER, Arc::new(config), None).unwrap();
        Self { endpoint, complete: false, refused: false, received: Vec::new() }
    }

    pub(in crate::transport) fn handle(&mut self, now: Instant, datagram: &[u8]) {
        match self.endpoint.read(now, SERVER, None, BytesMut::from(datagram)) {
            Ok(events) => {
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => self.complete = true,
                        EndpointEvent::ApplicationData(data) => self.received.push(data.freeze()),
                        _closed @ EndpointEvent::PeerClosed | _closed => self.refused = true,
                    }
                }
            }
            Err(_) => self.refused = true,
        }
    }

    pub(in crate::transport) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message.freeze())
    }

    pub(in crate::transport) fn handle_timeout(&mut self, now: Instant) {
        // After too many repeats it gives up, which the test sees as a handshake that does not complete.
        let _ = self.endpoint.handle_timeout(SERVER, now);
    }

    pub(in crate::transport) fn send(&mut self, now: Instant, data: &[u8]) {
        self.endpoint.write(now, SERVER, data).unwrap();
    }

    pub(in crate::transport) fn close(&mut self, now: Instant) {
        self.endpoint.close(now).unwrap();
    }

    pub(in crate::transport) fn material(&self, profile: srtp::Profile) -> Vec<u8> {
        let state = self.endpoint.get_connection_state(SERVER).unwrap();
        state.export_keying_material(EXPORTER_LABEL, &[], profile.material_len()).unwrap().into_bytes()
    }
}

/// Client, server and what lies between them.
struct Pair {
    server: Server,
    client: Client,
    now: Instant,
    start: Instant,
    /// Datagrams offered to the network, both ways.
    sent: usize,
    keys: Option<(Profile, Vec<u8>)>,
    failed: Option<FailReason>,
    app: Vec<Bytes>,
}

impl Pair {
    fn new(kind: &Kind) -> Self {
        let now = Instant::now();
        let (identity, client_identity) = identities();
        let mut server = Server::new(identity);
        server.set_client(now, Fingerprint::parse(client_identity.fingerprint()).unwrap());
        let client = Client::new(kind, now);
        Self { server, client, now, start: now, sent: 0, keys: None, failed: None, app: Vec::new() }
    }

    /// Delivers what waits, except what `lose` takes by its number. True when anything moved.
    fn exchange(&mut self, lose: &mut impl FnMut(usize) -> bool) -> bool {
        let before = self.sent;
        while let Some(datagram) = self.client.poll_transmit() {
            self.sent += 1;
            if !lose(self.sent - 1) {
                let _ = self.server.handle(self.now, &datagram);
            }
        }
        while let Some(datagram) = self.server.poll_transmit() {
            self.sent += 1;
            if !lose(self.sent - 1) {
                self.client.handle(self.now, &datagram);
            }
        }
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Keys { profile, material } => self.keys = Some((profile, material.into_bytes())),
                Output::App(data) => self.app.push(data),
                Output::Failed(reason) => self.failed = Some(reason),
                Output::Closed => {}
            }
        }
        self.sent != before
    }

    /// Runs until both sides are done; the time it took.
    fn run(&mut self, limit: Duration, mut lose: impl FnMut(usize) -> bool) -> Option<Duration> {
        while self.now - self.start < limit {
            if self.exchange(&mut lose) {
                continue;
            }
            if self.client.complete && self.keys.is_some() {
                return Some(self.now - self.start);
            }
            if self.failed.is_some() {
                return None;
            }
            self.now += Duration::from_millis(10);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        None
    }

    fn assert_works(&mut self, label: &str) {
        let (profile, material) = self.keys.clone().unwrap();
        assert_eq!(self.client.material(profile), material, "{label}: keys differ");
        self.client.send(self.now, b"from client");
        self.server.send(self.now, b"from server");
        self.exchange(&mut |_| false);
        assert_eq!(self.app.last().map(|data| &data[..]), Some(&b"from client"[..]), "{label}");
        assert_eq!(self.client.received.last().map(|data| &data[..]), Some(&b"from server"[..]), "{label}");
    }
}

#[test]
fn gcm_whatever_the_order_and_cm_for_those_without() {
    let rows: &[(&[u16], Profile)] = &[
        (&CHROMIUM, Profile::AeadAes128Gcm),
        (&[8, 7, 1], Profile::AeadAes128Gcm),
        (&[7], Profile::AeadAes128Gcm),
        (&[1], Profile::Aes128CmSha1),
        (&[8, 2, 1], Profile::Aes128CmSha1),
    ];
    for (profiles, want) in rows {
        let mut pair = Pair::new(&Kind { profiles: profiles.to_vec(), ..Kind::default() });
        assert!(pair.run(Duration::from_secs(1), |_| false).is_some(), "{profiles:?}");
        assert_eq!(pair.keys.as_ref().map(|keys| keys.0), Some(*want), "{profiles:?}");
        pair.assert_works("order");
    }
}

#[test]
fn keys_are_exchanged_by_x25519_though_the_client_has_p256_first() {
    let mut pair = Pair::new(&Kind::default());
    let mut from_server = Vec::new();
    while !pair.client.complete {
        while let Some(datagram) = pair.client.poll_transmit() {
            pair.server.handle(pair.now, &datagram).unwrap();
        }
        while let Some(datagram) = pair.server.poll_transmit() {
            pair.client.handle(pair.now, &datagram);
            from_server.extend_from_slice(&datagram);
        }
    }
    pair.exchange(&mut |_| false);
    // ServerKeyExchange (RFC 8422 §5.4): a named curve, X25519, and a point of 32 bytes.
    assert!(from_server.windows(4).any(|bytes| bytes == [3, 0, 29, 32]));
    pair.assert_works("x25519");
}

#[test]
fn a_client_without_our_profiles_is_refused() {
    let mut pair = Pair::new(&Kind { profiles: vec![8], ..Kind::default() });
    assert_eq!(pair.run(Duration::from_secs(1), |_| false), None);
    assert_eq!(pair.failed, Some(FailReason::NoSrtpProfile));
}

#[test]
fn a_hello_in_pieces_is_understood() {
    for mtu in [40, 60, 100] {
        let mut pair = Pair::new(&Kind { mtu, ..Kind::default() });
        let first = pair.client.poll_transmit().unwrap();
        pair.server.handle(pair.now, &first).unwrap();
        assert!(pair.server.poll_transmit().is_none(), "mtu {mtu}: decided on a part of the hello");
        assert!(pair.run(Duration::from_secs(5), |_| false).is_some(), "mtu {mtu}");
        assert_eq!(pair.keys.as_ref().map(|keys| keys.0), Some(Profile::AeadAes128Gcm), "mtu {mtu}");
        pair.assert_works("pieces");
    }
}

#[test]
fn any_one_datagram_may_be_lost() {
    let mut clean = Pair::new(&Kind::default());
    clean.run(Duration::from_secs(1), |_| false).unwrap();
    assert!(clean.sent >= 6, "two hellos, a verify request, three flights");
    for lost in 0..clean.sent {
        let mut pair = Pair::new(&Kind::default());
        let took = pair.run(Duration::from_secs(5), |number| number == lost);
        // Within the client's first repeats, not only at the server's own second.
        assert!(took.is_some_and(|took| took < Duration::from_millis(300)), "datagram {lost}: {took:?}");
        pair.assert_works("lost");
    }
}

#[test]
fn the_server_flight_may_be_lost_again_and_again() {
    for times in 1..4 {
        let mut pair = Pair::new(&Kind::default());
        // 0 hello, 1 verify request, 2 hello, 3 server flight, then (4 hello, 5 server flight), ...
        let took = pair.run(Duration::from_secs(5), |number| number >= 3 && number % 2 == 1 && number < 3 + 2 * times);
        assert!(took.is_some(), "lost {times} times");
        pair.assert_works("flight");
    }
}

#[test]
fn the_server_waits_for_a_client_whose_path_is_gone_for_a_while() {
    let mut pair = Pair::new(&Kind { interval: Duration::from_secs(3), ..Kind::default() });
    while pair.now - pair.start < Duration::from_secs(14) {
        // 0 hello, 1 verify request, 2 hello; then nothing comes through.
        if !pair.exchange(&mut |number| number >= 3) {
            pair.now += Duration::from_millis(10);
            pair.client.handle_timeout(pair.now);
            pair.server.handle_timeout(pair.now);
        }
    }
    assert_eq!((pair.failed, pair.server.poll_timeout()), (None, None));
    let took = pair.run(Duration::from_secs(20), |_| false);
    assert!(took.is_some_and(|took| took < Duration::from_secs(16)), "{took:?}: not by the client's next repeat");
    pair.assert_works("after an outage");
}

#[test]
fn forty_handshakes_at_ten_percent_loss() {
    for seed in 1..=40u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pair = Pair::new(&Kind::default());
        let took = pair.run(Duration::from_secs(20), |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 10 == 0
        });
        assert!(took.is_some(), "seed {seed}: the handshake hangs after {} datagrams", pair.sent);
        pair.assert_works("loss");
    }
}

#[test]
fn another_certificate_is_refused() {
    let (identity, _) = identities();
    let mut pair = Pair::new(&Kind::default());
    pair.server = Server::new(Arc::clone(&identity));
    pair.server.set_client(pair.now, Fingerprint::parse(identity.fingerprint()).unwrap());
    assert_eq!(pair.run(Duration::from_secs(1), |_| false), None);
    assert_eq!(pair.failed, Some(FailReason::FingerprintMismatch));
    assert!(pair.keys.is_none());
    assert!(pair.client.refused, "the client hears of it");
}

#[test]
fn a_client_without_certificate_is_refused() {
    let mut pair = Pair::new(&Kind { certificate: false, ..Kind::default() });
    assert_eq!(pair.run(Duration::from_secs(1), |_| false), None);
    assert!(pair.keys.is_none());
    assert_eq!(pair.failed, Some(FailReason::Handshake));
}

#[test]
fn a_hello_before_the_fingerprint_waits_for_it() {
    let mut pair = Pair::new(&Kind::default());
    let (identity, client) = identities();
    pair.server = Server::new(identity);
    pair.exchange(&mut |_| false);
    assert_eq!(pair.sent, 1, "nothing is answered yet");
    pair.server.set_client(pair.now, Fingerprint::parse(client.fingerprint()).unwrap());
    assert!(pair.run(Duration::from_millis(30), |_| false).is_some());
    pair.assert_works("early");
}

#[test]
fn handshake_records_after_the_end_go_nowhere() {
    let mut pair = Pair::new(&Kind::default());
    let mut flight5 = Vec::new();
    while pair.keys.is_none() {
        while let Some(datagram) = pair.client.poll_transmit() {
            let _ = pair.server.handle(pair.now, &datagram);
            flight5 = datagram.to_vec();
        }
        pair.exchange(&mut |_| false);
    }
    let mut answers = 0;
    for count in 0..5_000u32 {
        let now = pair.now + Duration::from_millis(u64::from(count));
        assert_eq!(pair.server.handle(now, &flight5), Err(DropReason::DtlsUnexpected));
        answers += std::iter::from_fn(|| pair.server.poll_transmit()).count();
    }
    assert!((1..=24).contains(&answers), "{answers} answers");
    let fed = pair.server.fed;
    assert!(fed < 10, "the stack saw {fed} datagrams");
    pair.assert_works("after the flood");
}

#[test]
fn a_handshake_feeds_the_stack_only_so_much() {
    let mut pair = Pair::new(&Kind::default());
    let hello = pair.client.poll_transmit().unwrap();
    let mut last = Ok(());
    for count in 0..=MAX_HANDSHAKE_DATAGRAMS {
        let mut repeat = hello.to_vec();
        repeat[7..11].copy_from_slice(&(count + 1).to_be_bytes());
        last = pair.server.handle(pair.now, &repeat);
    }
    assert_eq!(last, Err(DropReason::DtlsBudget));
    assert!(matches!(pair.server.poll_output(), Some(Output::Failed(FailReason::Handshake))));
}

/// Handshake fragments of the message that the server waits for, each a byte long, `(total, offset)` of each; in one record.
fn packed(epoch: u8, seq: u32, parts: impl Iterator<Item = (u32, u32)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (total, offset) in parts {
        body.push(11);
        body.extend_from_slice(&total.to_be_bytes()[1..]);
        body.extend_from_slice(&[0, 1]);
        body.extend_from_slice(&offset.to_be_bytes()[1..]);
        body.extend_from_slice(&[0, 0, 1]);
        if total > 0 {
            body.push(7);
        }
    }
    let mut record = vec![22, 0xfe, 0xfd, 0, epoch, 0, 0];
    record.extend_from_slice(&seq.to_be_bytes());
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

#[test]
fn fragments_cannot_fill_the_stack_of_the_thread() {
    let begun = || {
        let mut pair = Pair::new(&Kind::default());
        let hello = pair.client.poll_transmit().unwrap();
        pair.server.handle(pair.now, &hello).unwrap();
        (pair, hello)
    };
    // No length at all: rtc-dtls goes from each to the next.
    let (mut pair, hello) = begun();
    for count in 0..200 {
        let datagram = packed(0, 100 + count, (0..1_300).map(|number| (0, count * 1_300 + number)));
        assert_eq!(pair.server.handle(pair.now, &datagram), Err(DropReason::DtlsMalformed));
    }
    assert!(pair.run(Duration::from_secs(5), |_| false).is_some(), "what was dropped changed nothing");
    pair.assert_works("crafted");

    // Behind the first ClientHello, which is held and fed later.
    let mut server = Server::new(identities().0);
    let mut datagram = hello.to_vec();
    datagram.extend_from_slice(&packed(0, 7, (0..1_300).map(|number| (0, number)))[13..]);
    let length = (datagram.len() - 13) as u16;
    datagram[11..13].copy_from_slice(&length.to_be_bytes());
    assert_eq!(server.handle(Instant::now(), &datagram), Err(DropReason::DtlsMalformed));

    // Well-formed, a record each; and sealed, where nobody can look.
    let plain = |count: u32| -> Vec<u8> {
        let each = |number| packed(0, 100 + count * 50 + number, std::iter::once((60_000, count * 50 + number)));
        (0..50).flat_map(each).collect()
    };
    let sealed = |count: u32| packed(1, count, (0..50).map(|number| (60_000, count * 50 + number)));
    let kinds: [&dyn Fn(u32) -> Vec<u8>; 2] = [&plain, &sealed];
    for kind in kinds {
        let (mut pair, _) = begun();
        let taken = (0..200).take_while(|count| pair.server.handle(pair.now, &kind(*count)).is_ok()).count();
        assert!((5..=10).contains(&taken), "{taken} datagrams");
        assert_eq!(pair.server.handle(pair.now, &kind(200)), Err(DropReason::DtlsClosed));
        assert!(matches!(pair.server.poll_output(), Some(Output::Failed(FailReason::Handshake))));
    }
}

#[test]
fn a_chain_of_large_certificates_fits_also_where_a_fifth_is_lost() {
    for lost in [0, 2] {
        let mut pair = Pair::new(&Kind { chain: 12_000, ..Kind::default() });
        let mut state = 5_u64;
        let took = pair.run(Duration::from_secs(5), |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 10 < lost
        });
        assert!(took.is_some(), "{lost} of 10 lost: {} fragments, {:?}", pair.server.fragments, pair.failed);
        pair.assert_works("large");
    }
}

#[test]
fn forged_plaintext_cannot_close_the_association() {
    let mut pair = Pair::new(&Kind::default());
    pair.run(Duration::from_secs(1), |_| false).unwrap();
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 2, 40];
    assert_eq!(pair.server.handle(pair.now, &alert), Err(DropReason::DtlsUnexpected));
    let mut sealed = alert;
    sealed[4] = 1;
    assert_eq!(pair.server.handle(pair.now, &sealed), Ok(()), "the stack discards what it cannot open");
    pair.exchange(&mut |_| false);
    assert_eq!(pair.failed, None);
    pair.assert_works("forged");
}

#[test]
fn close_notify_both_ways() {
    let mut pair = Pair::new(&Kind::default());
    pair.run(Duration::from_secs(1), |_| false).unwrap();
    pair.client.close(pair.now);
    let datagram = pair.client.poll_transmit().unwrap();
    pair.server.handle(pair.now, &datagram).unwrap();
    assert!(matches!(pair.server.poll_output(), Some(Output::Closed)));
    assert_eq!(pair.server.handle(pair.now, &datagram), Err(DropReason::DtlsClosed));

    let mut pair = Pair::new(&Kind::default());
    pair.run(Duration::from_secs(1), |_| false).unwrap();
    pair.server.close(pair.now);
    pair.exchange(&mut |_| false);
    assert!(pair.client.refused, "the client was told");
}

#[test]
fn garbage_never_panics() {
    let mut state = 0xfeed_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..1_500usize {
        let mut pair = Pair::new(&Kind { mtu: if round % 2 == 0 { 0 } else { 90 }, ..Kind::default() });
        // One or more bytes of one datagram of the client are wrong; the record framing is kept every other time.
        let spoiled = round % 5;
        let mut number = 0;
        for _ in 0..6 {
            while let Some(datagram) = pair.client.poll_transmit() {
                let mut bytes = datagram.to_vec();
                if number == spoiled {
                    for _ in 0..=next() % 3 {
                        let from = if round % 4 < 2 { 13 } else { 0 };
                        let at = from + next() % (bytes.len() - from);
                        bytes[at] = next() as u8;
                    }
                    if round % 7 == 0 {
                        bytes.truncate(next() % bytes.len());
                    }
                }
                number += 1;
                let _ = pair.server.handle(pair.now, &bytes);
            }
            pair.exchange(&mut |_| false);
        }
    }
    let (identity, client) = identities();
    let mut server = Server::new(identity);
    let now = Instant::now();
    server.set_client(now, Fingerprint::parse(client.fingerprint()).unwrap());
    for _ in 0..20_000 {
        let len = next() % 60;
        let mut bytes: Vec<u8> = (0..len).map(|_| next() as u8).collect();
        if let Some(record) = bytes.get_mut(..13) {
            record.copy_from_slice(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, (len - 13) as u8]);
        }
        let _ = server.handle(now, &bytes);
    }
}

#[test]
fn warm_up_completes() {
    identities().0.warm_up(Instant::now()).unwrap();
}
