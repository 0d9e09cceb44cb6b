//! One WebRTC client on webrtc-rs' sans-I/O `RTCPeerConnection`: a publisher or a subscriber.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::{Bytes, BytesMut};
use rtc::crypto::SignatureScheme;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol as _;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::udp::{Inbox, Udp};

const VP8_PT: u8 = 96;
const OPUS_PT: u8 = 111;
/// Where the SSRCs of publishers begin.
const FIRST_SSRC: u32 = 0x00c0_ffee;

/// Between two of a client's ICE checks. At the crate's 200 ms, a join would take two rounds of that, whatever the server
/// does; Chromium sends one each 50 ms.
const ICE_CHECK_EVERY: Duration = Duration::from_millis(20);
/// Checks until a client gives up: ten seconds, so that a server that is slow to answer is slow and no failure.
const ICE_CHECKS: u16 = 500;

/// All clients show the same certificate. Each would make one of its own, which a device does once and a server never
/// sees; here it would be work of the core that all of them share.
static CERTIFICATE: LazyLock<Result<RTCCertificate>> = LazyLock::new(certificate);

/// Of the media packets that arrive, one in this many goes through the client's whole stack (decryption, replay check);
/// the others are counted by their cleartext RTP header, so that the generator's core can keep up with the server's.
const VERIFIED_SHARE: u64 = 64;

/// What a client sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// VP8.
    Video,
    /// Opus.
    Audio,
}

/// What a subscriber has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Media packets that arrived.
    pub packets: u64,
    /// Packets that the client's own SRTP opened.
    pub verified: u64,
}

/// When which packet of one stream arrived; the numbers are those of the publisher.
#[derive(Default)]
pub struct Log {
    /// Number on the way out and time, as they came.
    arrivals: Vec<(u16, Instant)>,
    /// Number on the way out less the publisher's, from a packet that was opened.
    offset: Option<u16>,
}

impl Log {
    /// Of packets that arrive with the numbers they were sent with.
    #[must_use]
    pub fn unmoved() -> Self {
        Self { arrivals: Vec::new(), offset: Some(0) }
    }

    /// The publisher's numbers and when they were here. Empty while no packet was opened.
    pub fn arrivals(&self) -> impl Iterator<Item = (u16, Instant)> {
        let offset = self.offset;
        self.arrivals.iter().filter_map(move |(seq, at)| Some((seq.wrapping_sub(offset?), *at)))
    }
}

/// See the module.
pub struct Client {
    connection: RTCPeerConnection,
    /// Its socket.
    pub udp: Udp,
    local: SocketAddr,
    sender: Option<RTCRtpSenderId>,
    ssrc: u32,
    pt: u8,
    /// ICE and DTLS are done.
    pub connected: bool,
    /// What has arrived.
    pub seen: Seen,
    /// Kept while it is there. Of one stream: the client must not have several.
    pub log: Option<Log>,
    /// When its timers are due: to ask a thousand connections fifty times a second costs more than their handshakes.
    due: Option<Instant>,
    /// Packets are counted and none is opened: they are not the server's.
    pub only_counts: bool,
}

impl Client {
    /// A client that offers to receive so many streams.
    pub fn subscriber(udp: Udp, media: Media, streams: usize) -> Result<Self> {
        let mut client = Self::new(udp, media, 0)?;
        for _ in 0..streams {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            };
            client.connection.add_transceiver_from_kind(kind(media), Some(init)).context("recvonly transceiver")?;
        }
        Ok(client)
    }

    /// A client that waits for an offer.
    pub fn answerer(udp: Udp, media: Media) -> Result<Self> {
        Self::new(udp, media, 0)
    }

    /// A client that offers to send one stream. `number` tells it from other publishers.
    pub fn publisher(udp: Udp, media: Media, number: u32) -> Result<Self> {
        let mut client = Self::new(udp, media, number)?;
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(client.ssrc), ..Default::default() },
            codec: codec(media).rtp_codec,
            ..Default::default()
        };
        let track = MediaStreamTrack::new("s".into(), "t".into(), "l".into(), kind(media), vec![encoding]);
        client.sender = Some(client.connection.add_track(track).context("adding the track")?);
        Ok(client)
    }

    fn new(udp: Udp, media: Media, number: u32) -> Result<Self> {
        let mut engine = MediaEngine::default();
        let codec = codec(media);
        let pt = codec.payload_type;
        engine.register_codec(codec, kind(media))?;
        let certificate = CERTIFICATE.as_ref().map_err(|error| anyhow!("making a certificate: {error:#}"))?.clone();
        let settings =
            SettingEngineBuilder::new().with_ice_connection_attempts(Some(ICE_CHECK_EVERY), Some(ICE_CHECKS));
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_certificates(vec![certificate]).build())
            .with_setting_engine(settings.build())
            .with_media_engine(engine)
            .build(Instant::now())?;
        let local = udp.address()?;
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: local.ip().to_string(),
            port: local.port(),
            component: 1,
            ..Default::default()
        };
        let candidate = CandidateHostConfig { base_config, ..Default::default() }.new_candidate_host()?;
        connection.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        Ok(Self {
            connection,
            udp,
            local,
            sender: None,
            ssrc: FIRST_SSRC.wrapping_add(number),
            pt,
            connected: false,
            seen: Seen::default(),
            log: None,
            due: None,
            only_counts: false,
        })
    }

    /// Its SDP offer.
    pub fn offer(&mut self) -> Result<String> {
        let offer = self.connection.create_offer(None)?;
        self.connection.set_local_description(Instant::now(), offer)?;
        let local = self.connection.local_description().context("no local description")?;
        Ok(local.sdp)
    }

    /// Takes the server's answer; ICE starts.
    pub fn accept(&mut self, answer: String) -> Result<()> {
        self.connection.set_remote_description(Instant::now(), RTCSessionDescription::answer(answer)?)?;
        self.pump();
        Ok(())
    }

    /// Takes the server's offer; its answer.
    pub fn answer(&mut self, offer: String) -> Result<String> {
        self.connection.set_remote_description(Instant::now(), RTCSessionDescription::offer(offer)?)?;
        let answer = self.connection.create_answer(None)?;
        self.connection.set_local_description(Instant::now(), answer)?;
        let local = self.connection.local_description().context("no local description")?;
        self.pump();
        Ok(local.sdp)
    }

    /// Reads everything that has arrived.
    pub fn receive(&mut self, inbox: &mut Inbox) {
        let Self { connection, local, seen, log, udp, only_counts, .. } = self;
        let (local, now) = (*local, log.as_ref().map(|_| Instant::now()));
        let mut handled = false;
        udp.drain(inbox, |from, datagram| {
            let whole_stack = match media_seq(datagram) {
                Some(seq) => {
                    seen.packets += 1;
                    if let (Some(log), Some(now)) = (log.as_mut(), now) {
                        log.arrivals.push((seq, now));
                    }
                    seen.packets % VERIFIED_SHARE == 1 && !*only_counts
                }
                None => true,
            };
            if whole_stack {
                handled = true;
                let transport = TransportContext {
                    local_addr: local,
                    peer_addr: from,
                    ecn: None,
                    transport_protocol: TransportProtocol::UDP,
                };
                let message = BytesMut::from(datagram);
                // A datagram that the client refuses shows up as not verified.
                let _ = connection.handle_read(TaggedBytesMut { now: Instant::now(), transport, message });
            }
        });
        if handled {
            self.pump();
        }
    }

    /// Runs timers that are due.
    pub fn tick(&mut self, now: Instant) {
        if self.due.is_some_and(|at| at <= now) {
            let _ = self.connection.handle_timeout(now); // shows up as not connected
            self.pump();
        }
    }

    /// Sends one media packet.
    pub fn write(&mut self, seq: u16, ts: u32, marker: bool, payload: Bytes) -> Result<()> {
        let sender = self.sender.context("not a publisher")?;
        let header = rtc::rtp::header::Header {
            version: 2,
            marker,
            payload_type: self.pt,
            sequence_number: seq,
            timestamp: ts,
            ssrc: self.ssrc,
            ..Default::default()
        };
        let mut sender = self.connection.rtp_sender(sender).context("no sender")?;
        sender.write_rtp(Instant::now(), rtc::rtp::Packet { header, payload }).context("writing RTP")
    }

    /// Sends what the connection has queued: runs of equal size to one address leave as one burst.
    pub fn pump(&mut self) {
        let mut burst: Vec<u8> = Vec::new();
        let (mut segment, mut to) = (0, self.local);
        while let Some(out) = self.connection.poll_write() {
            let fits = !burst.is_empty()
                && out.message.len() == segment
                && out.transport.peer_addr == to
                && burst.len() < 32_000;
            if !fits && !burst.is_empty() {
                let _ = self.udp.send(to, &burst, segment); // a full buffer is loss, and shows up as such
                burst.clear();
            }
            (segment, to) = (out.message.len(), out.transport.peer_addr);
            burst.extend_from_slice(&out.message);
        }
        if !burst.is_empty() {
            let _ = self.udp.send(to, &burst, segment);
        }
        while let Some(event) = self.connection.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.connected = state == RTCPeerConnectionState::Connected;
            }
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.connection.poll_read() {
            let RTCMessage::RtpPacket(_, packet) = message else { continue };
            self.seen.verified += 1;
            // The publisher's number ends the payload.
            if let (Some(log), Some(tail)) = (&mut self.log, packet.payload.last_chunk()) {
                log.offset = Some(packet.header.sequence_number.wrapping_sub(u16::from_be_bytes(*tail)));
            }
        }
        self.due = self.connection.poll_timeout();
    }
}

fn certificate() -> Result<RTCCertificate> {
    let provider = rtc::crypto::default_provider()?;
    let params = CertificateParams::new(vec!["bench".to_owned()])?;
    Ok(RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)?)
}

fn kind(media: Media) -> RtpCodecKind {
    match media {
        Media::Video => RtpCodecKind::Video,
        Media::Audio => RtpCodecKind::Audio,
    }
}

fn codec(media: Media) -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    let (mime_type, clock_rate, channels, rtcp_feedback, payload_type) = match media {
        Media::Video => {
            let all = vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")];
            (MIME_TYPE_VP8, 90_000, 0, all, VP8_PT)
        }
        Media::Audio => (MIME_TYPE_OPUS, 48_000, 2, Vec::new(), OPUS_PT),
    };
    let rtp_codec = RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: String::new(),
        rtcp_feedback,
    };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

/// Sequence number of an (S)RTP datagram that is no RTCP (RFC 5761 §4).
fn media_seq(datagram: &[u8]) -> Option<u16> {
    let [first, second, high, low, _, _, _, _, _, _, _, _, ..] = datagram else { return None };
    let rtp = (128..=191).contains(first) && !(192..=223).contains(second);
    rtp.then_some(u16::from_be_bytes([*high, *low]))
}
