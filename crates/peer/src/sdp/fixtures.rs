//! Descriptions in the form in which real clients write them, made by hand.

use super::{ClientAnswer, ClientOffer, Negotiator, OfferChange, SdpError};

impl Negotiator {
    pub(crate) fn take_offer(&mut self, text: &str) -> Result<OfferChange, SdpError> {
        self.handle_offer(ClientOffer::read(text)?)
    }

    pub(crate) fn take_answer(&mut self, text: &str) -> Result<OfferChange, SdpError> {
        self.handle_answer(ClientAnswer::read(text)?)
    }
}

/// A client's fingerprint.
pub(super) fn fingerprint(byte: &str) -> String {
    format!("sha-256 {}", [byte; 32].join(":"))
}

/// Our options for a test.
pub(super) fn options() -> super::Options {
    super::Options {
        ufrag: "srvU".into(),
        pwd: "server-password-0123456789".into(),
        fingerprint: fingerprint("AA"),
        candidates: vec!["192.0.2.1:7000".parse().unwrap(), "[2001:db8::1]:7000".parse().unwrap()],
        tcp_candidates: vec!["192.0.2.1:7001".parse().unwrap()],
        reserve_sections: false,
        session_id: 77,
    }
}

/// Options of a WHEP endpoint.
pub(super) fn reserving() -> super::Options {
    super::Options { reserve_sections: true, ..options() }
}

/// Chromium 156 in a call of livekit-client; grows by sections as the page adds transceivers.
#[derive(Clone)]
pub(super) struct Chromium {
    pub ufrag: String,
    pub fingerprint: String,
    /// Mid and text of each section.
    pub media: Vec<(String, String)>,
}

impl Chromium {
    pub(super) fn new() -> Self {
        Self { ufrag: "Ab+1".into(), fingerprint: fingerprint("0C"), media: Vec::new() }
    }

    /// What livekit-client offers with its join: 3 + 3 sections to receive on, then data.
    pub(super) fn join() -> Self {
        let mut client = Self::new();
        for _ in 0..3 {
            client.audio("recvonly", "");
        }
        for _ in 0..3 {
            client.video("recvonly", "");
        }
        client.data();
        client
    }

    fn next_mid(&self) -> String {
        self.media.len().to_string()
    }

    pub(super) fn audio(&mut self, direction: &str, extra: &str) -> &mut Self {
        self.section("m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", direction, CHROMIUM_AUDIO, extra)
    }

    pub(super) fn video(&mut self, direction: &str, extra: &str) -> &mut Self {
        let line = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 35 36 98 99 45 46 116 117 118";
        self.section(line, direction, CHROMIUM_VIDEO, extra)
    }

    fn section(&mut self, line: &str, direction: &str, body: &str, extra: &str) -> &mut Self {
        let mid = self.next_mid();
        let (ufrag, fingerprint) = ("{ufrag}", "{fingerprint}");
        let text = format!(
            "{line}\nc=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\na=ice-ufrag:{ufrag}\na=ice-pwd:{PWD}\n\
             a=ice-options:trickle goog-sped-v1\na=fingerprint:{fingerprint}\na=setup:actpass\na=mid:{mid}\n\
             {body}a={direction}\n{extra}"
        );
        self.media.push((mid, text));
        self
    }

    pub(super) fn data(&mut self) -> &mut Self {
        let mid = self.next_mid();
        let text = format!(
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=ice-ufrag:{{ufrag}}\n\
             a=ice-pwd:{PWD}\na=ice-options:trickle goog-sped-v1\na=fingerprint:{{fingerprint}}\na=setup:actpass\n\
             a=mid:{mid}\na=sctp-port:5000\na=max-message-size:262144\na=sctp-init:AQAAFAAAAAA=\n"
        );
        self.media.push((mid, text));
        self
    }

    /// Replaces text inside one section.
    pub(super) fn edit(&mut self, index: usize, from: &str, to: &str) -> &mut Self {
        let text = &mut self.media[index].1;
        assert!(text.contains(from), "{from} is not in section {index}");
        *text = text.replace(from, to);
        self
    }

    /// The whole offer, with the line ends of SDP.
    pub(super) fn offer(&self) -> String {
        let live = self.media.iter().filter(|(_, text)| !text.contains(" 0 UDP"));
        let mids: Vec<&str> = live.map(|(mid, _)| mid.as_str()).collect();
        let media: String = self.media.iter().map(|(_, text)| text.as_str()).collect();
        let media = media.replace("{ufrag}", &self.ufrag).replace("{fingerprint}", &self.fingerprint);
        let text = format!(
            "v=0\no=- 4962303333179871722 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE {}\n\
             a=extmap-allow-mixed\na=msid-semantic: WMS\n{media}",
            mids.join(" ")
        );
        text.replace('\n', "\r\n")
    }
}

pub(super) const PWD: &str = "client-password+0123456789";

const CHROMIUM_AUDIO: &str = "\
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
";

const CHROMIUM_VIDEO: &str = "\
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 goog-remb
a=rtcp-fb:103 transport-cc
a=rtcp-fb:103 ccm fir
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=rtcp-fb:107 nack
a=rtcp-fb:107 nack pli
a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
a=rtpmap:109 H264/90000
a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:114 rtx/90000
a=fmtp:114 apt=109
a=rtpmap:35 AV1/90000
a=rtcp-fb:35 nack
a=rtcp-fb:35 nack pli
a=fmtp:35 level-idx=5;profile=0;tier=0
a=rtpmap:36 rtx/90000
a=fmtp:36 apt=35
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:45 H265/90000
a=rtcp-fb:45 nack
a=fmtp:45 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:116 red/90000
a=rtpmap:117 rtx/90000
a=fmtp:117 apt=116
a=rtpmap:118 ulpfec/90000
";

/// Lines of a camera that Chromium publishes with three layers.
pub(super) const SIMULCAST: &str = "a=msid:- cid-camera
a=rid:q send
a=rid:h send
a=rid:f send
a=simulcast:send q;h;f
";

/// Lines of a microphone.
pub(super) const MICROPHONE: &str = "a=msid:stream-1 cid-mic
a=ssrc:1001 cname:k7Wq
a=ssrc:1001 msid:stream-1 cid-mic
";

/// aiortc 1.16: media-level everything, three hashes, sendrecv by default, SSRC lines with an FID group.
pub(super) fn aiortc(audio: &str, video: &str) -> String {
    let transport = format!(
        "a=candidate:1 1 udp 2130706431 192.0.2.9 50000 typ host\na=end-of-candidates\na=ice-ufrag:Zz9x\n\
         a=ice-pwd:{PWD}\na=fingerprint:{}\na=fingerprint:sha-384 {}\na=setup:actpass\n",
        fingerprint("5b"),
        ["5B"; 48].join(":")
    );
    let text = format!(
        "v=0\no=- 3937286400 3937286400 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE 0 1 2\na=msid-semantic:WMS *\n\
         m=audio 50000 UDP/TLS/RTP/SAVPF 96 9 0 8\nc=IN IP4 192.0.2.9\na={audio}\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n\
         a=mid:0\na=msid:aaaa bbbb\na=rtcp:9 IN IP4 0.0.0.0\na=rtcp-mux\na=ssrc:31 cname:x\na=rtpmap:96 opus/48000/2\n\
         a=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n{transport}\
         m=video 50000 UDP/TLS/RTP/SAVPF 97 98 99 100 101 102\nc=IN IP4 192.0.2.9\na={video}\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\n\
         a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\na=mid:1\na=msid:aaaa cccc\n\
         a=rtcp:9 IN IP4 0.0.0.0\na=rtcp-mux\na=ssrc-group:FID 41 42\na=ssrc:41 cname:x\na=ssrc:42 cname:x\n\
         a=rtpmap:97 VP8/90000\na=rtcp-fb:97 nack\na=rtcp-fb:97 nack pli\na=rtcp-fb:97 goog-remb\n\
         a=rtpmap:98 rtx/90000\na=fmtp:98 apt=97\na=rtpmap:99 H264/90000\na=rtcp-fb:99 nack\na=rtcp-fb:99 nack pli\n\
         a=rtcp-fb:99 goog-remb\n\
         a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\na=rtpmap:100 rtx/90000\n\
         a=fmtp:100 apt=99\na=rtpmap:101 H264/90000\n\
         a=fmtp:101 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
         a=rtpmap:102 rtx/90000\na=fmtp:102 apt=101\n{transport}\
         m=application 50000 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 192.0.2.9\na=mid:2\na=sctp-port:5000\n\
         a=max-message-size:65536\n{transport}"
    );
    text.replace('\n', "\r\n")
}

/// GStreamer's webrtcbin as a WHIP source: transport once in the session, no rsize, H.264 only, plain line ends.
pub(super) fn gstreamer() -> String {
    format!(
        "v=0\no=- 6942180 0 IN IP4 0.0.0.0\ns=-\nt=0 0\na=ice-options:trickle\na=group:BUNDLE video0 audio1\n\
         a=ice-ufrag:gst0\na=ice-pwd:{PWD}\na=fingerprint:{}\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\nc=IN IP4 0.0.0.0\na=setup:actpass\na=mid:video0\na=rtcp-mux\na=sendonly\n\
         a=rtpmap:96 H264/90000\na=rtcp-fb:96 nack\na=rtcp-fb:96 nack pli\na=rtcp-fb:96 ccm fir\n\
         a=rtcp-fb:96 transport-cc\na=fmtp:96 packetization-mode=1;profile-level-id=42c01f\n\
         a=extmap:1 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
         a=ssrc:7001 msid:user1 webrtctransceiver0\na=ssrc:7001 cname:user1\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n\
         m=audio 0 UDP/TLS/RTP/SAVPF 98\nc=IN IP4 0.0.0.0\na=bundle-only\na=setup:actpass\na=mid:audio1\na=rtcp-mux\n\
         a=sendonly\na=rtpmap:98 OPUS/48000/2\na=fmtp:98 sprop-stereo=0\n\
         a=extmap:1 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n",
        fingerprint("7E")
    )
}

/// What libwebrtc answers to an offer of ours: its own transport, everything wanted that is sent.
pub(super) fn answer_to(offer: &str) -> String {
    let mut text = String::new();
    for line in offer.lines() {
        let line = match line {
            "a=sendonly" => "a=recvonly".to_owned(),
            "a=setup:actpass" => "a=setup:active".to_owned(),
            "a=ice-lite" | "a=end-of-candidates" => continue,
            line if line.starts_with("a=ice-ufrag:") => "a=ice-ufrag:cliU".to_owned(),
            line if line.starts_with("a=ice-pwd:") => format!("a=ice-pwd:{PWD}"),
            line if line.starts_with("a=fingerprint:") => format!("a=fingerprint:{}", fingerprint("0C")),
            line if ["a=candidate", "a=ssrc", "a=msid"].iter().any(|key| line.starts_with(key)) => continue,
            line => line.to_owned(),
        };
        text += &line;
        text += "\r\n";
    }
    text
}

/// The lines of one section of a description, the `m=` line first.
pub(super) fn section(sdp: &str, index: usize) -> Vec<&str> {
    let lines: Vec<&str> = sdp.lines().collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("m=")).collect();
    let end = starts.get(index + 1).copied().unwrap_or(lines.len());
    lines[starts[index]..end].to_vec()
}

/// The lines before the first section.
pub(super) fn head(sdp: &str) -> Vec<&str> {
    sdp.lines().take_while(|line| !line.starts_with("m=")).collect()
}
