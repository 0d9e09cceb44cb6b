//! One WebRTC transport: datagrams on one side, plaintext RTP, RTCP and SCTP packets on the other.
//!
//! [`Transport`] joins ICE-lite ([`ice`]), a DTLS server and SRTP. It is not a demultiplexer: the caller sorts datagrams
//! by their first byte (RFC 7983) and finds the peer, by address or by [`ice::local_ufrag`]. It never reads a clock and
//! owns no socket; [`Peer`](crate::Peer) glues it to SDP and SCTP.
//!
//! ```text
//!   STUN ──> handle_stun ──> Agent ── path, known addresses
//!                                          │
//!   DTLS ──> handle_dtls ───(known?)──> Server ──> keys ──> Session <──> protect/unprotect
//!                                          └─────> poll_app / send_app (SCTP)
//! ```
//!
//! Invariants: nothing but an answered check happens before a MESSAGE-INTEGRITY is proven; DTLS is taken only from
//! addresses that passed one; media keys exist only after the client's certificate matched the SDP's fingerprint.

mod dtls;
pub mod ice;
mod srtp;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_types::{SeqNo, Ssrc};

pub use self::dtls::{Fingerprint, Identity, IdentityError};
pub use self::srtp::{MAX_RTP_OVERHEAD, Profile, SealError};

use self::ice::{Agent, Credentials, PathChange};
use crate::DropReason;

/// Without an authenticated packet for so long the client is gone. RFC 7675 §5.1 says 30 s for a full agent; browsers
/// check each 2.5 s, so six checks in a row were lost. Heard and judged at ticks, so it takes up to two [`TICK`]s more.
const CONSENT_TIMEOUT: Duration = Duration::from_secs(15);

/// Granularity of the consent timer. Each tick is one timer entry per peer, which at a second is nothing beside its media.
const TICK: Duration = Duration::from_secs(1);

/// From the client's description to keys. Slow clients gather candidates first.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers to checks that wait for [`Transport::poll_transmit`]; more means that the caller does not poll.
const MAX_TRANSMITS: usize = 256;

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// STUN or DTLS.
    pub payload: Bytes,
}

/// What the transport reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first authenticated check came from here; media and DTLS go there.
    PathSelected(SocketAddr),
    /// The path is another one now.
    PathMoved(SocketAddr),
    /// DTLS is done: packets can be sealed and opened.
    Secured {
        /// How.
        profile: Profile,
    },
    /// It cannot go on. Nothing follows.
    Failed(FailReason),
    /// The client closed DTLS. Nothing follows.
    Closed,
}

/// Why a transport failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailReason {
    /// No authenticated check in time.
    NeverConnected,
    /// No authenticated packet for 15 to 17 s.
    ConsentExpired,
    /// The DTLS handshake did not finish in time.
    HandshakeTimeout,
    /// The client's certificate is not the one in its SDP.
    FingerprintMismatch,
    /// The client offers no SRTP profile that we have.
    NoSrtpProfile,
    /// The DTLS handshake failed, or the client sent a fatal alert.
    Handshake,
}

impl FailReason {
    /// Label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FailReason::NeverConnected => "never_connected",
            FailReason::ConsentExpired => "consent_expired",
            FailReason::HandshakeTimeout => "handshake_timeout",
            FailReason::FingerprintMismatch => "fingerprint_mismatch",
            FailReason::NoSrtpProfile => "no_srtp_profile",
            FailReason::Handshake => "handshake",
        }
    }
}

/// See the module.
pub struct Transport {
    identity: Arc<Identity>,
    agent: Agent,
    dtls: dtls::Server,
    srtp: Option<Box<srtp::Session>>,
    transmits: VecDeque<Transmit>,
    app: VecDeque<Bytes>,
    events: VecDeque<Event>,
    /// An authenticated packet came since `last_heard`; set without a clock, on the media path.
    heard: bool,
    last_heard: Instant,
    /// When the client's description came. A transport without one waits for as long as its owner does.
    described: Option<Instant>,
    next_tick: Instant,
    /// The latest time that any call brought, for calls that bring none.
    now: Instant,
    over: bool,
}

impl Transport {
    /// A transport that waits for checks with `local` credentials.
    #[must_use]
    pub fn new(identity: &Arc<Identity>, local: Credentials, now: Instant) -> Self {
        Self {
            identity: Arc::clone(identity),
            agent: Agent::new(local),
            dtls: dtls::Server::new(Arc::clone(identity)),
            srtp: None,
            transmits: VecDeque::new(),
            app: VecDeque::new(),
            events: VecDeque::new(),
            heard: false,
            last_heard: now,
            described: None,
            next_tick: now + TICK,
            now,
            over: false,
        }
    }

    /// Whose certificate to accept, from the client's SDP. DTLS waits for it; checks do not. Only the first call counts;
    /// false when a later one brings another fingerprint, which would need another transport (RFC 8842 §4).
    pub fn set_remote(&mut self, now: Instant, fingerprint: Fingerprint) -> bool {
        self.now = now;
        if self.dtls.client().is_none() {
            self.described = Some(now);
        }
        self.dtls.set_client(now, fingerprint.clone());
        self.drain_dtls();
        self.dtls.client() == Some(&fingerprint)
    }

    /// RFC 8445 §9: other credentials from here on. Path, DTLS and SRTP go on; checks with the old credentials are
    /// answered for 30 s.
    pub fn restart_ice(&mut self, now: Instant, local: Credentials) {
        self.now = now;
        self.agent.restart(now, local);
    }

    /// What the SDP must say.
    #[must_use]
    pub fn local_credentials(&self) -> &Credentials {
        self.agent.local()
    }

    /// Whether checks for this user fragment are ours, the ones from before a restart included.
    #[must_use]
    pub fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.agent.accepts_ufrag(ufrag)
    }

    /// Where to send media and DTLS.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.agent.path()
    }

    /// Whether `addr` passed an ICE check of this transport (or authenticated media came from it): the shell may route
    /// DTLS from there to it.
    #[must_use]
    pub fn is_known(&self, addr: SocketAddr) -> bool {
        self.agent.is_known(addr)
    }

    /// Takes a STUN datagram.
    ///
    /// # Errors
    /// Why it was dropped; nothing changed then.
    pub fn handle_stun(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Result<(), DropReason> {
        self.now = now;
        if self.transmits.len() >= MAX_TRANSMITS {
            return Err(DropReason::TransmitQueueFull);
        }
        if self.over {
            return Err(DropReason::DtlsClosed);
        }
        let (answer, change) = self.agent.handle(now, from, packet, self.identity.crypto())?;
        self.last_heard = now;
        self.heard = false;
        self.transmits.push_back(Transmit { to: from, payload: answer });
        match change {
            PathChange::None => {}
            PathChange::Selected => self.events.push_back(Event::PathSelected(from)),
            PathChange::Moved => self.events.push_back(Event::PathMoved(from)),
        }
        Ok(())
    }

    /// Takes a DTLS datagram.
    ///
    /// # Errors
    /// Why it was dropped. An address without a passed check is one reason.
    pub fn handle_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DropReason> {
        self.now = now;
        if !self.agent.is_known(from) {
            return Err(DropReason::DtlsUnknownAddress);
        }
        let result = self.dtls.handle(now, datagram);
        self.drain_dtls();
        result
    }

    /// Follows the client to an address from which an RTP or RTCP packet was just unprotected: sooner than its next
    /// check, which may be 2.5 s away. Does nothing for packets that were still under way when the client moved off.
    pub fn move_path(&mut self, now: Instant, addr: SocketAddr) {
        self.now = now;
        if self.agent.follow_media(now, addr) {
            self.events.push_back(Event::PathMoved(addr));
        }
    }

    /// Opens an SRTP packet in place; the length of the plaintext RTP packet at its start.
    ///
    /// # Errors
    /// Why it was dropped. Its bytes may be overwritten then, so whoever tries several peers must copy it first.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let srtp = self.srtp.as_mut().ok_or(DropReason::SrtpNoKeys)?;
        let len = srtp.unprotect_rtp(packet)?;
        self.heard = true;
        Ok(len)
    }

    /// Opens an SRTCP packet in place; the length of the plaintext compound packet at its start.
    ///
    /// # Errors
    /// Why it was dropped; see [`Transport::unprotect_rtp`].
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let srtp = self.srtp.as_mut().ok_or(DropReason::SrtpNoKeys)?;
        let len = srtp.unprotect_rtcp(packet)?;
        self.heard = true;
        Ok(len)
    }

    /// See [`Peer::touch`](crate::Peer::touch).
    pub(crate) fn touch(&self, depth: usize) -> u64 {
        match (depth, &self.srtp) {
            (0, srtp) => self.remote().map_or(0, |remote| u64::from(remote.port())) ^ u64::from(srtp.is_some()),
            (_, Some(srtp)) => srtp.touch(depth - 1),
            (_, None) => 0,
        }
    }

    /// Seals the RTP packet `buf[..len]` in place; the length with its tag, for which `buf` needs
    /// [`MAX_RTP_OVERHEAD`] bytes more. Per SSRC each seq seals once; late ones may come up to 2,047 behind the newest.
    ///
    /// # Errors
    /// What is wrong with the packet or the key. `NonceReuse` is a bug of the caller.
    pub fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        self.srtp.as_mut().ok_or(SealError::NoKeys)?.protect_rtp(buf, len)
    }

    /// The highest sequence number sealed with this SSRC: whoever uses the SSRC again goes on after it.
    #[must_use]
    pub fn last_sealed(&self, ssrc: Ssrc) -> Option<SeqNo> {
        self.srtp.as_ref()?.last_sealed(ssrc)
    }

    /// Seals a compound RTCP packet.
    ///
    /// # Errors
    /// What is wrong with the packet or the key.
    pub fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.srtp.as_mut().ok_or(SealError::NoKeys)?.protect_rtcp(plain)
    }

    /// How media is protected, once it is.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.srtp.as_ref().map(|srtp| srtp.profile())
    }

    /// Sends a packet as DTLS application data (SCTP). Lost before [`Event::Secured`] and after the end.
    pub fn send_app(&mut self, data: &[u8]) {
        self.dtls.send(self.now, data);
    }

    /// The next received packet of DTLS application data.
    pub fn poll_app(&mut self) -> Option<Bytes> {
        self.app.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(transmit) = self.transmits.pop_front() {
            return Some(transmit);
        }
        let to = self.agent.path()?;
        self.dtls.poll_transmit().map(|payload| Transmit { to, payload })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Transport::handle_timeout`] at the latest; `None` after the end.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        self.dtls.poll_timeout().map_or(Some(self.next_tick), |dtls| Some(dtls.min(self.next_tick)))
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.over {
            return;
        }
        self.dtls.handle_timeout(now);
        self.drain_dtls();
        if now >= self.next_tick && !self.over {
            self.next_tick = now + TICK;
            self.tick(now);
        }
    }

    /// Sends close_notify and ends the transport. No event follows.
    pub fn close(&mut self, now: Instant) {
        self.now = now;
        self.dtls.close(now);
        self.over = true;
    }

    fn tick(&mut self, now: Instant) {
        self.agent.expire(now);
        if std::mem::take(&mut self.heard) {
            self.last_heard = now;
            self.agent.note_heard(now);
        }
        let connected = self.agent.path().is_some();
        if connected && now.duration_since(self.last_heard) >= CONSENT_TIMEOUT {
            self.fail(FailReason::ConsentExpired);
        } else if self.srtp.is_none() && self.described.is_some_and(|at| now.duration_since(at) >= SETUP_TIMEOUT) {
            let reason = if connected { FailReason::HandshakeTimeout } else { FailReason::NeverConnected };
            self.fail(reason);
        }
    }

    fn drain_dtls(&mut self) {
        while let Some(output) = self.dtls.poll_output() {
            match output {
                dtls::Output::Keys { profile, material } => {
                    match srtp::Session::server(profile, material.as_ref(), self.identity.crypto()) {
                        Ok(session) => {
                            self.srtp = Some(Box::new(session));
                            self.events.push_back(Event::Secured { profile });
                        }
                        Err(_) => self.fail(FailReason::Handshake),
                    }
                }
                dtls::Output::App(data) => {
                    self.heard = true;
                    self.app.push_back(data);
                }
                dtls::Output::Closed => {
                    self.over = true;
                    self.events.push_back(Event::Closed);
                }
                dtls::Output::Failed(reason) => self.fail(reason),
            }
        }
    }

    fn fail(&mut self, reason: FailReason) {
        if !self.over {
            self.over = true;
            self.events.push_back(Event::Failed(reason));
        }
    }
}
