//! One WebRTC client on webrtc-rs' sans-I/O `RTCPeerConnection`: a publisher or a subscriber.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_VP8, MediaEngine};
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
const PUBLISHER_SSRC: u32 = 0x00c0_ffee;

/// Of the media packets that arrive, one in this many goes through the client's whole stack (decryption, replay check);
/// the others are counted by their cleartext RTP header, so that the generator's core can keep up with the server's.
const VERIFIED_SHARE: u64 = 64;

/// What a subscriber has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Media packets that arrived.
    pub packets: u64,
    /// Sequence numbers that never arrived, as of the highest seen.
    pub lost: u64,
    /// Packets that the client's own SRTP opened.
    pub verified: u64,
}

/// See the module.
pub struct Client {
    connection: RTCPeerConnection,
    /// Its socket.
    pub udp: Udp,
    local: SocketAddr,
    sender: Option<RTCRtpSenderId>,
    /// ICE and DTLS are done.
    pub connected: bool,
    /// What has arrived.
    pub seen: Seen,
    highest: Option<u16>,
}

impl Client {
    /// A client that offers to receive one video.
    pub fn subscriber(udp: Udp) -> Result<Self> {
        let mut client = Self::new(udp)?;
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        client.connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).context("recvonly transceiver")?;
        Ok(client)
    }

    /// A client that offers to send one video.
    pub fn publisher(udp: Udp) -> Result<Self> {
        let mut client = Self::new(udp)?;
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(PUBLISHER_SSRC), ..Default::default() },
            codec: vp8().rtp_codec,
            ..Default::default()
        };
        let track = MediaStreamTrack::new("s".into(), "t".into(), "l".into(), RtpCodecKind::Video, vec![encoding]);
        client.sender = Some(client.connection.add_track(track).context("adding the track")?);
        Ok(client)
    }

    fn new(udp: Udp) -> Result<Self> {
        let mut engine = MediaEngine::default();
        engine.register_codec(vp8(), RtpCodecKind::Video)?;
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
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
        Ok(Self { connection, udp, local, sender: None, connected: false, seen: Seen::default(), highest: None })
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

    /// Reads everything that has arrived.
    pub fn receive(&mut self, inbox: &mut Inbox) {
        let (connection, local, seen, highest) = (&mut self.connection, self.local, &mut self.seen, &mut self.highest);
        self.udp.drain(inbox, |from, datagram| {
            let whole_stack = match media_seq(datagram) {
                Some(seq) => {
                    count(seen, highest, seq);
                    seen.packets % VERIFIED_SHARE == 1
                }
                None => true,
            };
            if whole_stack {
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
        self.pump();
    }

    /// Runs timers that are due.
    pub fn tick(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|at| at <= now) {
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
            payload_type: VP8_PT,
            sequence_number: seq,
            timestamp: ts,
            ssrc: PUBLISHER_SSRC,
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
            if let RTCMessage::RtpPacket(..) = message {
                self.seen.verified += 1;
            }
        }
    }
}

fn vp8() -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_VP8.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")],
        },
        payload_type: VP8_PT,
    }
}

/// The sequence number of an (S)RTP datagram that is no RTCP (RFC 5761 §4).
fn media_seq(datagram: &[u8]) -> Option<u16> {
    let [first, second, high, low, ..] = datagram else { return None };
    let rtp = (128..=191).contains(first) && !(192..=223).contains(second);
    rtp.then(|| u16::from_be_bytes([*high, *low]))
}

fn count(seen: &mut Seen, highest: &mut Option<u16>, seq: u16) {
    seen.packets += 1;
    let Some(last) = *highest else {
        *highest = Some(seq);
        return;
    };
    let ahead = seq.wrapping_sub(last);
    if ahead < 0x8000 {
        seen.lost += u64::from(ahead).saturating_sub(1);
        *highest = Some(seq);
    } else {
        seen.lost = seen.lost.saturating_sub(1); // late, not lost
    }
}
