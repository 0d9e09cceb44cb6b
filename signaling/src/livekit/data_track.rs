//! Data tracks of LiveKit's protocol: their descriptions, and the header of their packets.
//!
//! ```text
//!   0                1                2                4                6                8                12
//!  | version start  | reserved       | handle         | seq            | frame          | timestamp      | extensions, payload
//!  |  final ext     |                |                |                |                |                |
//! ```
//! Big-endian; the version is the upper three bits. Of all that only the handle is the server's matter.
//! Source: `livekit-datatrack/docs/packet-v0.md` of LiveKit's Rust SDKs.

use bytes::{Bytes, BytesMut};
use livekit_protocol as pb;
use pb::data_track_frame_encoding::Value as FrameValue;
use pb::data_track_schema_encoding::Value as SchemaValue;

use super::limits::MAX_SIDS_PER_MESSAGE;
use crate::rooms::{DataHandle, DataSubscription, DataTrackInfo, DataTrackRequest, FrameName};

const HEADER_BYTES: usize = 12;
const VERSION_SHIFT: u32 = 5;
const HANDLE: std::ops::Range<usize> = 2..4;

/// What a packet names its track by. `Err` says why it is dropped; a label for a counter.
pub(super) fn handle(packet: &[u8]) -> Result<u16, &'static str> {
    let header: &[u8; HEADER_BYTES] = packet.first_chunk().ok_or("data_track_malformed")?;
    let [first, _, high, low, ..] = header;
    if first >> VERSION_SHIFT != 0 {
        return Err("data_track_version");
    }
    Ok(u16::from_be_bytes([*high, *low]))
}

/// The same packet under another handle.
pub(super) fn with_handle(packet: &[u8], handle: u16) -> Bytes {
    let mut packet = BytesMut::from(packet);
    if let Some(bytes) = packet.get_mut(HANDLE) {
        bytes.copy_from_slice(&handle.to_be_bytes());
    }
    packet.freeze()
}

pub(super) fn request(request: &pb::PublishDataTrackRequest) -> DataTrackRequest {
    DataTrackRequest {
        handle: request.pub_handle,
        name: request.name.clone(),
        encryption: request.encryption,
        encoding: request.frame_encoding.as_ref().map(frame_encoding),
        schema: request.schema.as_ref().map(schema),
    }
}

/// The options of a subscription (frames a second) are LiveKit's plans: its server reads none, and no SDK writes them.
pub(super) fn subscription(update: pb::UpdateDataSubscription) -> DataSubscription {
    let updates = update.updates.into_iter().take(MAX_SIDS_PER_MESSAGE);
    DataSubscription { tracks: updates.map(|update| (update.track_sid, update.subscribe)).collect() }
}

pub(super) fn info(info: &DataTrackInfo) -> pb::DataTrackInfo {
    pb::DataTrackInfo {
        pub_handle: info.handle.into(),
        sid: info.sid.clone(),
        name: info.name.clone(),
        encryption: info.encryption,
        frame_encoding: info.encoding.clone().map(|name| pb::DataTrackFrameEncoding {
            value: Some(match name {
                FrameName::Known(number) => FrameValue::WellKnown(number),
                FrameName::Custom(name) => FrameValue::Custom(name),
            }),
        }),
        schema: info.schema.clone().map(|(name, encoding)| pb::DataTrackSchemaId {
            name,
            encoding: Some(pb::DataTrackSchemaEncoding {
                value: Some(match encoding {
                    FrameName::Known(number) => SchemaValue::WellKnown(number),
                    FrameName::Custom(name) => SchemaValue::Custom(name),
                }),
            }),
        }),
    }
}

/// What a client says of a track that it believes to publish. `None`: it cannot be one.
pub(super) fn believed(response: pb::PublishDataTrackResponse) -> Option<DataTrackInfo> {
    let info = response.info?;
    Some(DataTrackInfo {
        handle: u16::try_from(info.pub_handle).ok()?,
        sid: info.sid,
        name: info.name,
        encryption: info.encryption,
        encoding: info.frame_encoding.as_ref().map(frame_encoding),
        schema: info.schema.as_ref().map(schema),
    })
}

pub(super) fn handles(handles: Vec<DataHandle>) -> pb::DataTrackSubscriberHandles {
    let entry = |one: DataHandle| {
        let track = pb::data_track_subscriber_handles::PublishedDataTrack {
            publisher_identity: one.publisher_identity,
            publisher_sid: one.publisher_sid,
            track_sid: one.track_sid,
        };
        (one.handle.into(), track)
    };
    pb::DataTrackSubscriberHandles { sub_handles: handles.into_iter().map(entry).collect() }
}

fn frame_encoding(encoding: &pb::DataTrackFrameEncoding) -> FrameName {
    match &encoding.value {
        Some(FrameValue::WellKnown(number)) => FrameName::Known(*number),
        Some(FrameValue::Custom(name)) => FrameName::Custom(name.clone()),
        None => FrameName::Known(0),
    }
}

fn schema(schema: &pb::DataTrackSchemaId) -> (String, FrameName) {
    let encoding = match schema.encoding.as_ref().and_then(|encoding| encoding.value.as_ref()) {
        Some(SchemaValue::WellKnown(number)) => FrameName::Known(*number),
        Some(SchemaValue::Custom(name)) => FrameName::Custom(name.clone()),
        None => FrameName::Known(0),
    };
    (schema.name.clone(), encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_packet_only_the_handle_is_changed() {
        // A first packet with extensions: flags, handle 0x0102, then what is the clients' matter.
        let packet = [0x14, 0, 1, 2, 0xff, 0xfe, 0, 7, 1, 2, 3, 4, 0, 0, 5, 6];
        assert_eq!(handle(&packet), Ok(0x0102));
        let sent = with_handle(&packet, 0xbeef);
        assert_eq!(&sent[..], [0x14, 0, 0xbe, 0xef, 0xff, 0xfe, 0, 7, 1, 2, 3, 4, 0, 0, 5, 6]);
        assert_eq!(handle(&packet[..11]), Err("data_track_malformed"));
        assert_eq!(handle(&[0x20; 12]), Err("data_track_version"));
    }

    #[test]
    fn what_describes_a_track_survives_the_wire() {
        let custom = |name: &str| FrameName::Custom(name.to_owned());
        let rows = [
            (None, None),
            (Some(FrameName::Known(7)), Some(("pose".to_owned(), FrameName::Known(6)))),
            (Some(custom("points")), Some(("cloud".to_owned(), custom("own")))),
        ];
        for (encoding, schema) in rows {
            let (sid, name) = ("DTR_x".to_owned(), "n".to_owned());
            let told = DataTrackInfo { sid, handle: 9, name, encryption: 1, encoding, schema };
            let wire = info(&told);
            assert_eq!(believed(pb::PublishDataTrackResponse { info: Some(wire) }), Some(told));
        }
        let beyond = pb::DataTrackInfo { pub_handle: 65_536, ..pb::DataTrackInfo::default() };
        assert_eq!(believed(pb::PublishDataTrackResponse { info: Some(beyond) }), None);
    }
}
