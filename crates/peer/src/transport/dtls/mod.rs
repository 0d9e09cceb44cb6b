//! DTLS server of one peer: the seam behind which the DTLS stack stands.
//!
//! [`Server`] is all the rest knows: datagrams in ([`Server::handle`]), datagrams out ([`Server::poll_transmit`]), keys
//! and application data out ([`Server::poll_output`]), application data in ([`Server::send`]), time. No type of
//! `rtc-dtls` passes it, so another stack can take its place. What `rtc-dtls` 0.21 lacks is made up for here: the choice of
//! the SRTP profile ([`hello`]) and of the group ([`crypto`]), lost flights ([`flight`]), a bound on what an association may
//! store, and that it verifies each client twice ([`crypto`]).
//!
//! It asks every client for a cookie (RFC 6347 §4.2.1), which is a round trip of each join and proves what ICE has proven.
//! `dimpl` 0.9 would not, at the same cost (143 us a handshake), and passes these tests; but it refuses certificates with RSA
//! keys, which GStreamer has, and with DTLS 1.3 takes the client's first SRTP profile, which is browsers' slow one.
//!
//! The caller feeds it only datagrams from addresses that passed an ICE check.

mod crypto;
mod flight;
mod hello;
mod identity;
mod record;
#[cfg(test)]
pub(super) mod tests;
mod warm_up;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_crypto::SecretVec;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

pub use self::identity::{Fingerprint, Identity, IdentityError};

use self::flight::{Flight, Lost, begins_hello};
use self::hello::{Gather, best_profile, offers_x25519};
use self::identity::FINGERPRINT_MISMATCH;
use self::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, fragments, is_whole, records};
use super::FailReason;
use super::srtp::Profile;
use crate::DropReason;

/// The stack keys its associations by address. A constant one lets the client's real address change.
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10);

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Datagrams that one handshake may feed to the stack, which stores some of them. An honest client that repeats its
/// flights for 30 s needs 60.
const MAX_HANDSHAKE_DATAGRAMS: u32 = 256;

/// Fragments of handshake messages in them. The stack has a call on the worker's stack for each that it holds of one message. An
/// honest client with a chain of 6 KB that repeats its flights for 30 s needs 150.
const MAX_HANDSHAKE_FRAGMENTS: usize = 512;

/// How often the stack repeats its flight by itself, each second. At the eighth time it would fail the association, sooner than
/// anybody else gives it up; repeats of the client are answered by [`flight`], for as long as the caller waits.
const MAX_REPEATS: u32 = 6;

/// Application data that waits for the handshake or for the caller. SCTP keeps less in flight.
const MAX_QUEUED: usize = 1024;

/// What the association has to tell.
pub(super) enum Output {
    /// The handshake is done and the client is who the SDP says.
    Keys { profile: Profile, material: SecretVec },
    /// One datagram's worth of application data.
    App(Bytes),
    /// The client closed.
    Closed,
    /// It cannot go on.
    Failed(FailReason),
}

enum Phase {
    /// The first ClientHello is not whole, or the client's fingerprint is not known yet.
    Hello(Gather),
    Handshake,
    Open,
    Done,
}

/// See the module.
pub(super) struct Server {
    identity: Arc<Identity>,
    client: Option<Fingerprint>,
    profile: Option<Profile>,
    phase: Phase,
    endpoint: Endpoint,
    flight: Flight,
    fed: u32,
    fragments: usize,
    repeats: u32,
    transmits: VecDeque<Bytes>,
    outputs: VecDeque<Output>,
}

impl Server {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            client: None,
            profile: None,
            phase: Phase::Hello(Gather::default()),
            endpoint: Endpoint::new(SERVER, TransportProtocol::UDP, None),
            flight: Flight::default(),
            fed: 0,
            fragments: 0,
            repeats: 0,
            transmits: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whose certificate to accept. A ClientHello that came before the SDP is answered now. Later calls change nothing,
    /// because RFC 8842 §4 wants a new association for a new fingerprint.
    pub(super) fn set_client(&mut self, now: Instant, client: Fingerprint) {
        if self.client.is_none() {
            self.client = Some(client);
            let _ = self.start(now); // what is too much fails it, and that is told
        }
    }

    pub(super) fn client(&self) -> Option<&Fingerprint> {
        self.client.as_ref()
    }

    /// Takes one datagram.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        if !is_whole(datagram) {
            return Err(DropReason::DtlsMalformed);
        }
        match &mut self.phase {
            Phase::Hello(gather) => {
                fragments(datagram).ok_or(DropReason::DtlsMalformed)?; // it is fed whole
                gather.push(datagram)?;
                self.start(now)
            }
            Phase::Handshake => self.handle_handshake(now, datagram),
            Phase::Open => self.handle_open(now, datagram),
            Phase::Done => Err(DropReason::DtlsClosed),
        }
    }

    /// Sends application data. Before the handshake is done and after the end it is lost, as datagrams may be.
    pub(super) fn send(&mut self, now: Instant, data: &[u8]) {
        if matches!(self.phase, Phase::Open) && self.endpoint.write(now, CLIENT, data).is_ok() {
            self.collect();
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Handshake if self.repeats < MAX_REPEATS => self.endpoint.poll_timeout(&CLIENT),
            Phase::Handshake | Phase::Hello(_) | Phase::Open | Phase::Done => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.repeats += u32::from(self.flight.has_hello()); // the HelloVerifyRequest is not repeated
            if self.endpoint.handle_timeout(CLIENT, now).is_err() {
                self.fail(FailReason::HandshakeTimeout);
            }
        }
        self.collect();
    }

    /// Sends close_notify, if there is an association to close.
    pub(super) fn close(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Done) {
            // It reports only errors of a socket that it does not have.
            let _ = self.endpoint.close(now);
            self.collect();
            self.phase = Phase::Done;
        }
    }

    /// Chooses the profile and feeds the held ClientHello, once it and the fingerprint are there.
    fn start(&mut self, now: Instant) -> Result<(), DropReason> {
        let (Phase::Hello(gather), Some(client)) = (&mut self.phase, &self.client) else { return Ok(()) };
        let Some(hello) = gather.hello() else { return Ok(()) };
        let Some(profile) = best_profile(&hello) else {
            self.fail(FailReason::NoSrtpProfile);
            return Ok(());
        };
        let Ok(config) = self.identity.server_config(profile, offers_x25519(&hello), client.clone()) else {
            self.fail(FailReason::Handshake);
            return Ok(());
        };
        let datagrams = std::mem::take(gather).into_datagrams();
        self.endpoint.set_server_config(Some(Arc::new(config)));
        self.profile = Some(profile);
        self.phase = Phase::Handshake;
        datagrams.iter().try_for_each(|datagram| self.feed_handshake(now, datagram))
    }

    fn handle_handshake(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        self.feed_handshake(now, datagram)?;
        // A repeated hello after our flight: the flight is lost. While the stack has a timer it repeats by itself.
        let stuck = matches!(self.phase, Phase::Handshake) && self.poll_timeout().is_none();
        if stuck && begins_hello(datagram) {
            self.transmits.extend(self.flight.resend(now, Lost::Hello).iter().cloned());
        }
        Ok(())
    }

    /// Feeds what is well-formed, and no more than an honest handshake has.
    fn feed_handshake(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        self.fragments += fragments(datagram).ok_or(DropReason::DtlsMalformed)?;
        if self.fed >= MAX_HANDSHAKE_DATAGRAMS || self.fragments > MAX_HANDSHAKE_FRAGMENTS {
            self.fail(FailReason::Handshake);
            return Err(DropReason::DtlsBudget);
        }
        self.feed(now, datagram);
        Ok(())
    }

    /// After the handshake only protected data and alerts go to the stack.
    fn handle_open(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        let mut repeat = false;
        let mut protected = true;
        for record in records(datagram) {
            match record.content_type {
                APPLICATION_DATA | ALERT => protected &= record.epoch > 0,
                HANDSHAKE | CHANGE_CIPHER_SPEC => repeat = true,
                _other => protected = false,
            }
        }
        if repeat {
            // RFC 6347 §4.2.4: the client repeats its last flight because ours did not arrive.
            self.transmits.extend(self.flight.resend(now, Lost::Finished).iter().cloned());
            return Err(DropReason::DtlsUnexpected);
        }
        if !protected {
            return Err(DropReason::DtlsUnexpected);
        }
        self.feed(now, datagram);
        Ok(())
    }

    fn feed(&mut self, now: Instant, datagram: &[u8]) {
        self.fed = self.fed.saturating_add(1);
        let result = self.endpoint.read(now, CLIENT, None, BytesMut::from(datagram));
        self.collect();
        match result {
            Ok(events) => {
                for event in events {
                    self.handle_event(event);
                }
            }
            Err(Error::Other(text)) if text == FINGERPRINT_MISMATCH => self.fail(FailReason::FingerprintMismatch),
            Err(_) => self.fail(FailReason::Handshake),
        }
    }

    fn handle_event(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::HandshakeComplete => match self.keys() {
                Ok(keys) => {
                    self.phase = Phase::Open;
                    self.outputs.push_back(keys);
                }
                Err(reason) => self.fail(reason),
            },
            EndpointEvent::ApplicationData(data) => self.handle_data(data.freeze()),
            EndpointEvent::PeerClosed => {
                self.phase = Phase::Done;
                self.outputs.push_back(Output::Closed);
            }
            // The stack's enum may grow; what we do not know we do not need.
            _unknown => {}
        }
    }

    /// Data before the end of the handshake, and more than anybody takes, is lost like any datagram.
    fn handle_data(&mut self, data: Bytes) {
        if matches!(self.phase, Phase::Open) && self.outputs.len() < MAX_QUEUED {
            self.outputs.push_back(Output::App(data));
        }
    }

    /// Checks once more what the handshake promised, then takes the keys.
    fn keys(&self) -> Result<Output, FailReason> {
        let state = self.endpoint.get_connection_state(CLIENT).ok_or(FailReason::Handshake)?;
        let leaf = state.peer_certificates.first();
        let proven = leaf.zip(self.client.as_ref()).is_some_and(|(leaf, client)| client.matches(leaf));
        if !proven {
            return Err(FailReason::FingerprintMismatch);
        }
        let profile = self.profile.ok_or(FailReason::NoSrtpProfile)?;
        if state.srtp_protection_profile() as u16 != profile.code() {
            return Err(FailReason::NoSrtpProfile);
        }
        let material = state
            .export_keying_material(EXPORTER_LABEL, &[], profile.material_len())
            .map_err(|_| FailReason::Handshake)?;
        Ok(Output::Keys { profile, material })
    }

    /// Moves what the stack wants to send, keeping copies of flights.
    fn collect(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let datagram = transmit.message.freeze();
            if !matches!(self.phase, Phase::Open) {
                self.flight.record(&datagram);
            }
            self.transmits.push_back(datagram);
        }
    }

    fn fail(&mut self, reason: FailReason) {
        if !matches!(self.phase, Phase::Done) {
            self.phase = Phase::Done;
            self.outputs.push_back(Output::Failed(reason));
        }
    }
}
