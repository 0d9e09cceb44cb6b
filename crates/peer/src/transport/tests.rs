//! The whole transport: ICE, DTLS and SRTP with a client made of `rtc-stun`, `rtc-dtls` and `rtc-srtp`, on a fake clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::dtls::tests::{Client, Kind, identities};
use super::ice::tests::{addr, check, credentials};
use super::{
    CONSENT_TIMEOUT, Event, FailReason, Fingerprint, MAX_TRANSMITS, Profile, SETUP_TIMEOUT, SealError, TICK, Transport,
};
use crate::DropReason;

const PORT: u16 = 4_000;

/// A transport and its client.
struct Call {
    transport: Transport,
    client: Client,
    now: Instant,
    at: SocketAddr,
    events: Vec<Event>,
    /// Datagrams for the client that went elsewhere.
    astray: usize,
}

impl Call {
    fn new() -> Self {
        let now = Instant::now();
        let (identity, client_identity) = identities();
        let mut transport = Transport::new(&identity, credentials(1), now);
        assert!(transport.set_remote(now, Fingerprint::parse(client_identity.fingerprint()).unwrap()));
        let client = Client::new(&Kind::default(), now);
        Self { transport, client, now, at: addr(PORT), events: Vec::new(), astray: 0 }
    }

    fn connected() -> Self {
        let mut call = Self::new();
        call.check(true).unwrap();
        call.exchange();
        assert_eq!(
            call.events,
            [Event::PathSelected(addr(PORT)), Event::Secured { profile: Profile::AeadAes128Gcm }],
            "connected"
        );
        assert!(call.client.complete);
        call.events.clear();
        call
    }

    fn check(&mut self, use_candidate: bool) -> Result<(), DropReason> {
        let packet = check(self.transport.local_credentials(), use_candidate);
        self.transport.handle_stun(self.now, self.at, &packet)
    }

    fn exchange(&mut self) {
        for _ in 0..10 {
            while let Some(datagram) = self.client.poll_transmit() {
                let _ = self.transport.handle_dtls(self.now, self.at, &datagram);
            }
            while let Some(transmit) = self.transport.poll_transmit() {
                if transmit.to != self.at {
                    self.astray += 1;
                } else if transmit.payload[0] >= 20 {
                    self.client.handle(self.now, &transmit.payload);
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.transport.poll_event()));
    }

    /// Lets time pass in small steps, as the transport asks for it.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let next = self.transport.poll_timeout().unwrap_or(end).min(end);
            self.now = next.max(self.now + Duration::from_millis(1));
            self.transport.handle_timeout(self.now);
        }
        self.exchange();
    }

    /// Contexts of the client: what it seals with, what it opens with.
    fn srtp(&self) -> (Context, Context) {
        let material = self.client.material(Profile::AeadAes128Gcm);
        let provider = rtc_crypto::default_provider().unwrap();
        let context = |key: &[u8], salt: &[u8]| {
            Context::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None, provider.crypto()).unwrap()
        };
        (context(&material[..16], &material[32..44]), context(&material[16..32], &material[44..]))
    }
}

fn rtp(seq: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9];
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(b"media");
    packet
}

#[test]
fn media_and_data_flow_both_ways() {
    let mut call = Call::connected();
    let (mut seal, mut open) = call.srtp();
    let mut sealed = seal.encrypt_rtp(&rtp(1)).unwrap().to_vec();
    let len = call.transport.unprotect_rtp(&mut sealed).unwrap();
    assert_eq!(sealed[..len], rtp(1));
    let mut buf = rtp(2);
    let len = buf.len();
    buf.resize(len + super::MAX_RTP_OVERHEAD, 0);
    let len = call.transport.protect_rtp(&mut buf, len).unwrap();
    assert_eq!(open.decrypt_rtp(&buf[..len]).unwrap(), rtp(2));
    let report = [0x81, 201, 0, 7].into_iter().chain([3; 28]).collect::<Vec<u8>>();
    assert_eq!(open.decrypt_rtcp(&call.transport.protect_rtcp(&report).unwrap()).unwrap(), report);
    let mut sealed = seal.encrypt_rtcp(&report).unwrap().to_vec();
    assert_eq!(call.transport.unprotect_rtcp(&mut sealed), Ok(report.len()));

    call.client.send(call.now, b"up");
    call.transport.send_app(b"down");
    call.exchange();
    assert_eq!(call.transport.poll_app().as_deref(), Some(&b"up"[..]));
    assert_eq!(call.client.received, [&b"down"[..]]);
}

#[test]
fn nothing_works_before_its_time() {
    let mut call = Call::new();
    assert_eq!(call.transport.unprotect_rtp(&mut rtp(1)), Err(DropReason::SrtpNoKeys));
    assert_eq!(call.transport.unprotect_rtcp(&mut rtp(1)), Err(DropReason::SrtpNoKeys));
    assert_eq!(call.transport.protect_rtp(&mut rtp(1), 4), Err(SealError::NoKeys));
    assert_eq!(call.transport.protect_rtcp(&rtp(1)), Err(SealError::NoKeys));
    call.transport.send_app(b"lost");
    let hello = call.client.poll_transmit().unwrap();
    let refused = call.transport.handle_dtls(call.now, call.at, &hello);
    assert_eq!(refused, Err(DropReason::DtlsUnknownAddress), "no check came from there");
    assert!(call.transport.poll_transmit().is_none() && call.transport.remote().is_none());
}

#[test]
fn a_stranger_gets_no_answer_and_no_path() {
    let mut call = Call::new();
    let forged = check(&super::ice::Credentials { pwd: "x".repeat(24), ..credentials(1) }, true);
    assert_eq!(call.transport.handle_stun(call.now, addr(666), &forged), Err(DropReason::StunIntegrity));
    assert!(call.transport.poll_transmit().is_none() && call.transport.poll_event().is_none());
    assert!(!call.transport.is_known(addr(666)));
    let mut call = Call::connected();
    assert!(call.transport.handle_stun(call.now, addr(666), &forged).is_err());
    call.transport.send_app(b"still to the client");
    call.exchange();
    assert_eq!((call.client.received.len(), call.astray), (1, 0));
}

#[test]
fn another_path_carries_the_same_association() {
    let mut call = Call::connected();
    call.at = addr(5_000);
    call.check(true).unwrap();
    call.transport.send_app(b"after a check");
    call.exchange();
    assert_eq!(call.events, [Event::PathMoved(addr(5_000))]);

    let (mut seal, _) = call.srtp();
    call.at = addr(6_000);
    let mut sealed = seal.encrypt_rtp(&rtp(7)).unwrap().to_vec();
    call.transport.unprotect_rtp(&mut sealed).unwrap();
    call.transport.move_path(call.now, call.at);
    call.transport.send_app(b"after media");
    call.exchange();
    assert_eq!(call.events, [Event::PathMoved(addr(5_000)), Event::PathMoved(addr(6_000))]);
    assert_eq!((call.client.received.len(), call.astray), (2, 0));
}

#[test]
fn a_restart_keeps_path_and_keys() {
    let mut call = Call::connected();
    let old = call.transport.local_credentials().clone();
    call.transport.restart_ice(call.now, credentials(2));
    assert_eq!(*call.transport.local_credentials(), credentials(2));
    assert!(call.transport.accepts_ufrag(&old.ufrag) && call.transport.accepts_ufrag(&credentials(2).ufrag));
    let late = check(&old, true);
    call.transport.handle_stun(call.now, call.at, &late).unwrap();
    call.at = addr(7_000);
    call.check(true).unwrap();
    call.transport.send_app(b"goes on");
    call.exchange();
    assert_eq!(call.events, [Event::PathMoved(addr(7_000))]);
    assert_eq!(call.client.received, [&b"goes on"[..]]);
    let (_, other) = (call.now, identities().0);
    assert!(!call.transport.set_remote(call.now, Fingerprint::parse(other.fingerprint()).unwrap()));
}

#[test]
fn consent_expires_only_in_silence() {
    let mut call = Call::connected();
    for _ in 0..20 {
        call.wait(Duration::from_secs(10));
        call.check(false).unwrap();
    }
    assert_eq!(call.events, [], "checks alone keep it");
    let (mut seal, _) = call.srtp();
    for seq in 0..20 {
        call.wait(Duration::from_secs(10));
        let mut sealed = seal.encrypt_rtp(&rtp(seq)).unwrap().to_vec();
        call.transport.unprotect_rtp(&mut sealed).unwrap();
    }
    assert_eq!(call.events, [], "media alone keeps it");
    for _ in 0..20 {
        call.wait(Duration::from_secs(10));
        call.client.send(call.now, b"x");
        call.exchange();
    }
    assert_eq!(call.events, [], "data alone keeps it");
    let heard = call.now;
    while call.events.is_empty() {
        call.wait(Duration::from_millis(100));
        let _ = call.transport.unprotect_rtp(&mut rtp(1)); // a forgery is not consent
        assert!(call.now - heard < Duration::from_secs(60));
    }
    assert_eq!(call.events, [Event::Failed(FailReason::ConsentExpired)]);
    assert!((CONSENT_TIMEOUT..=CONSENT_TIMEOUT + 2 * TICK).contains(&(call.now - heard)), "{:?}", call.now - heard);
    assert_eq!(call.transport.poll_timeout(), None);
    assert!(call.check(true).is_err(), "it is over");
}

#[test]
fn setup_takes_only_so_long() {
    let mut call = Call::new();
    while call.client.poll_transmit().is_some() {}
    call.wait(SETUP_TIMEOUT + TICK);
    assert_eq!(call.events, [Event::Failed(FailReason::NeverConnected)]);

    let mut call = Call::new();
    while call.client.poll_transmit().is_some() {}
    for _ in 0..8 {
        let _ = call.check(true);
        call.wait(Duration::from_secs(5));
    }
    assert_eq!(call.events, [Event::PathSelected(addr(PORT)), Event::Failed(FailReason::HandshakeTimeout)]);
}

#[test]
fn closing_is_told_and_final() {
    let mut call = Call::connected();
    call.transport.close(call.now);
    call.exchange();
    assert!(call.client.refused);
    assert_eq!((call.transport.poll_timeout(), call.events.len()), (None, 0));

    let mut call = Call::connected();
    call.client.close(call.now);
    call.exchange();
    assert_eq!(call.events, [Event::Closed]);
    assert_eq!(call.transport.poll_timeout(), None);
}

#[test]
fn unsent_answers_are_bounded() {
    let mut call = Call::new();
    for _ in 0..MAX_TRANSMITS {
        call.check(false).unwrap();
    }
    assert_eq!(call.check(false), Err(DropReason::TransmitQueueFull));
    assert_eq!(std::iter::from_fn(|| call.transport.poll_transmit()).count(), MAX_TRANSMITS);
    assert_eq!(call.check(false), Ok(()));
}

#[test]
fn another_certificate_never_gets_keys() {
    let (identity, _) = identities();
    let now = Instant::now();
    let mut call = Call::new();
    call.transport = Transport::new(&Arc::clone(&identity), credentials(1), now);
    assert!(call.transport.set_remote(now, Fingerprint::parse(identity.fingerprint()).unwrap()));
    call.check(true).unwrap();
    call.exchange();
    let failed = Event::Failed(FailReason::FingerprintMismatch);
    assert_eq!(call.events, [Event::PathSelected(addr(PORT)), failed]);
    assert_eq!(call.transport.profile(), None);
}
