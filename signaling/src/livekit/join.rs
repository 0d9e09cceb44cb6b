//! Reads how a client wants in: the join request of `/rtc/v1`, the query of `/rtc`.

use std::collections::HashMap;
use std::io::Read;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol as pb;
use prost::Message;
use serde::Deserialize;

use super::limits::{MAX_CAPABILITIES, MAX_JOIN_REQUEST_BYTES, MAX_JOIN_TRACKS};

/// Clients pad or do not pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// From this version of the protocol on streams may be what their publisher calls them.
const PROTOCOL_WITH_STREAMS: i32 = 10;

/// The query of both addresses. What is unknown or of the wrong form is left out.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    pub(super) room: String,
    pub(super) join_request: Option<String>,
    auto_subscribe: Option<String>,
    auto_subscribe_data_track: Option<String>,
    protocol: Option<String>,
    client_protocol: Option<String>,
    capabilities: String,
    sdk: String,
    version: String,
    browser: String,
    reconnect: Option<String>,
    sid: String,
}

/// How a client wants in.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) auto_subscribe: bool,
    pub(super) auto_subscribe_data: bool,
    /// Version of the signaling protocol.
    pub(super) protocol: i32,
    pub(super) client_protocol: i32,
    pub(super) capabilities: Vec<i32>,
    /// For logs: `JS 2.23.0`.
    pub(super) sdk: String,
    /// As the client names it; most leave it to the header of their browser.
    browser: String,
    /// `Some(PA_…)`: it wants its seat back.
    pub(super) resume: Option<String>,
    pub(super) metadata: String,
    pub(super) attributes: HashMap<String, String>,
    pub(super) tracks: Vec<pb::AddTrackRequest>,
    pub(super) offer: Option<pb::SessionDescription>,
}

/// Why a join request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WishError {
    #[error("join_request is not base64url")]
    Base64,
    #[error("join_request is not gzip")]
    Gzip,
    #[error("join_request is not a protobuf message")]
    Protobuf,
    #[error("join_request is larger than {MAX_JOIN_REQUEST_BYTES} bytes")]
    TooLarge,
    #[error("join_request announces more than {MAX_JOIN_TRACKS} tracks")]
    TooManyTracks,
}

impl WishError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Base64 | Self::Gzip | Self::Protobuf => "join_request_malformed",
            Self::TooLarge => "join_request_too_large",
            Self::TooManyTracks => "join_request_tracks",
        }
    }
}

impl Wish {
    /// Whether it knows a received track by the id that `a=msid` gives it. Else the stream has to name the track: clients of
    /// older protocols look nowhere else, and Firefox makes ids of its own up. `agent` is the User-Agent header.
    pub(super) fn knows_track_ids(&self, agent: &str) -> bool {
        let firefox = self.browser.eq_ignore_ascii_case("firefox") || agent.contains("Firefox/");
        self.protocol >= PROTOCOL_WITH_STREAMS && !firefox
    }
}

impl Query {
    /// `/rtc/v1`; without a join request its query counts.
    pub(super) fn single(self) -> Result<Wish, WishError> {
        let Some(encoded) = &self.join_request else { return Ok(self.dual()) };
        let request = decode(encoded)?;
        if request.add_track_requests.len() > MAX_JOIN_TRACKS {
            return Err(WishError::TooManyTracks);
        }
        let client = request.client_info.unwrap_or_default();
        let settings = request.connection_settings;
        Ok(Wish {
            auto_subscribe: settings.as_ref().is_none_or(|settings| settings.auto_subscribe),
            auto_subscribe_data: settings.is_some_and(|settings| settings.auto_subscribe_data_track()),
            protocol: client.protocol,
            client_protocol: client.client_protocol,
            sdk: format!("{} {}", client.sdk().as_str_name(), client.version),
            browser: client.browser,
            capabilities: client.capabilities.into_iter().take(MAX_CAPABILITIES).collect(),
            resume: request.reconnect.then_some(request.participant_sid),
            metadata: request.metadata,
            attributes: request.participant_attributes,
            tracks: request.add_track_requests,
            offer: request.publisher_offer,
        })
    }

    /// `/rtc`.
    pub(super) fn dual(self) -> Wish {
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        let capability = |name: &str| Some(pb::client_info::Capability::from_str_name(name.trim())? as i32);
        Wish {
            auto_subscribe: self.auto_subscribe.is_none_or(|text| is_true(&text)),
            auto_subscribe_data: self.auto_subscribe_data_track.is_some_and(|text| is_true(&text)),
            protocol: number(self.protocol),
            client_protocol: number(self.client_protocol),
            capabilities: self.capabilities.split(',').filter_map(capability).take(MAX_CAPABILITIES).collect(),
            sdk: format!("{} {}", self.sdk, self.version),
            browser: self.browser,
            resume: self.reconnect.is_some_and(|text| is_true(&text)).then_some(self.sid),
            ..Wish::default()
        }
    }
}

fn is_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

fn decode(encoded: &str) -> Result<pb::JoinRequest, WishError> {
    let wrapped = BASE64.decode(encoded).map_err(|_| WishError::Base64)?;
    let wrapped = pb::WrappedJoinRequest::decode(wrapped.as_slice()).map_err(|_| WishError::Protobuf)?;
    let bytes = match wrapped.compression() {
        pb::wrapped_join_request::Compression::None => wrapped.join_request,
        pb::wrapped_join_request::Compression::Gzip => inflate(&wrapped.join_request)?,
    };
    if bytes.len() > MAX_JOIN_REQUEST_BYTES {
        return Err(WishError::TooLarge);
    }
    pb::JoinRequest::decode(bytes.as_slice()).map_err(|_| WishError::Protobuf)
}

/// Stops one byte beyond the limit, whatever the header promises.
fn inflate(packed: &[u8]) -> Result<Vec<u8>, WishError> {
    let limit = u64::try_from(MAX_JOIN_REQUEST_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|_| WishError::Gzip)?;
    if bytes.len() > MAX_JOIN_REQUEST_BYTES { Err(WishError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD as UNPADDED};

    use super::*;

    fn wrapped(bytes: Vec<u8>, compression: pb::wrapped_join_request::Compression) -> Vec<u8> {
        pb::WrappedJoinRequest { compression: compression as i32, join_request: bytes }.encode_to_vec()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(encoded: String) -> Result<Wish, WishError> {
        Query { join_request: Some(encoded), ..Query::default() }.single()
    }

    #[test]
    fn join_requests_are_read_in_every_wrapping() {
        use pb::wrapped_join_request::Compression::{Gzip, None};
        let offer = pb::SessionDescription { r#type: "offer".into(), sdp: "v=0".into(), id: 7, ..Default::default() };
        let settings = pb::ConnectionSettings { auto_subscribe: true, ..Default::default() };
        let request = pb::JoinRequest {
            publisher_offer: Some(offer.clone()),
            connection_settings: Some(settings),
            reconnect: true,
            participant_sid: "PA_1".into(),
            ..Default::default()
        };
        let bytes = request.encode_to_vec();
        for encoded in [
            PADDED.encode(wrapped(bytes.clone(), None)),
            UNPADDED.encode(wrapped(bytes.clone(), None)),
            UNPADDED.encode(wrapped(gzip(&bytes), Gzip)),
        ] {
            let wish = read(encoded).unwrap();
            assert!(wish.auto_subscribe);
            assert_eq!((wish.offer.as_ref(), wish.resume.as_deref()), (Some(&offer), Some("PA_1")));
        }
    }

    #[test]
    fn a_client_has_so_many_capabilities() {
        let client = pb::ClientInfo { capabilities: (0..1_000).collect(), ..Default::default() };
        let request = pb::JoinRequest { client_info: Some(client), ..Default::default() };
        let bytes = request.encode_to_vec();
        let none = pb::wrapped_join_request::Compression::None;
        assert_eq!(read(UNPADDED.encode(wrapped(bytes, none))).unwrap().capabilities, (0..32).collect::<Vec<_>>());
        let query = Query { capabilities: "CAP_PACKET_TRAILER,".repeat(1_000), ..Query::default() };
        assert_eq!(query.dual().capabilities.len(), 32);
    }

    #[test]
    fn who_knows_a_track_by_its_id() {
        let knows = |protocol: &str, browser: &str, agent| {
            let query = Query { protocol: Some(protocol.into()), browser: browser.into(), ..Query::default() };
            query.dual().knows_track_ids(agent)
        };
        let (chrome, firefox) =
            ("Mozilla/5.0 (X11) Chrome/140.0", "Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0");
        assert!(knows("16", "", "") && knows("16", "", chrome) && knows("10", "Chrome", ""));
        assert!(!knows("16", "", firefox) && !knows("16", "firefox", "") && !knows("9", "", chrome));
    }

    #[test]
    fn bad_join_requests_are_refused() {
        use pb::wrapped_join_request::Compression::{Gzip, None};
        let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
        let tracks = vec![pb::AddTrackRequest::default(); MAX_JOIN_TRACKS + 1];
        let crowded = pb::JoinRequest { add_track_requests: tracks, ..Default::default() }.encode_to_vec();
        let rows = [
            ("%%%".to_owned(), WishError::Base64),
            (UNPADDED.encode([0xff, 0xff]), WishError::Protobuf),
            (UNPADDED.encode(wrapped(vec![0xff], None)), WishError::Protobuf),
            (UNPADDED.encode(wrapped(vec![1, 2, 3], Gzip)), WishError::Gzip),
            (UNPADDED.encode(wrapped(bomb, Gzip)), WishError::TooLarge),
            (UNPADDED.encode(wrapped(vec![0; MAX_JOIN_REQUEST_BYTES + 1], None)), WishError::TooLarge),
            (UNPADDED.encode(wrapped(crowded, None)), WishError::TooManyTracks),
        ];
        for (encoded, want) in rows {
            assert_eq!(read(encoded).unwrap_err(), want);
        }
    }

    #[test]
    fn the_query_of_the_two_connection_mode() {
        let query = Query {
            protocol: Some("18".into()),
            auto_subscribe: Some("0".into()),
            capabilities: "CAP_PACKET_TRAILER,CAP_NEW,CAP_COMPRESSION_DEFLATE_RAW".into(),
            reconnect: Some("1".into()),
            sid: "PA_x".into(),
            ..Query::default()
        };
        let wish = query.dual();
        assert_eq!((wish.protocol, wish.auto_subscribe, wish.capabilities), (18, false, vec![1, 2]));
        assert_eq!(wish.resume.as_deref(), Some("PA_x"));
        assert!(Query::default().dual().auto_subscribe);
    }
}
