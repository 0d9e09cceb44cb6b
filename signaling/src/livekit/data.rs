//! Data packets: who sent them is written by the server, whatever the sender claims.

use bytes::{BufMut, Bytes, BytesMut};
use convene_sfu::Channel;
use livekit_protocol as pb;
use pb::data_packet::{Kind, Value};
use prost::Message;

use super::data_track;
use crate::rooms::{DataFormat, DataSender, ServerData, Stamped};

/// Field numbers of `DataPacket` that the server writes.
const KIND: u32 = 1;
const PARTICIPANT_IDENTITY: u32 = 4;
const PARTICIPANT_SID: u32 = 17;

/// The `DataPacket` of LiveKit's protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketFormat;

impl DataFormat for PacketFormat {
    fn stamp(&self, from: DataSender<'_>, channel: Channel, packet: &[u8]) -> Result<Stamped, &'static str> {
        let mut decoded = pb::DataPacket::decode(packet).map_err(|_| "malformed")?;
        refuse(&from, decoded.value.as_ref())?;
        let (to_identities, to_sids) = receivers(&decoded);
        let sequence = decoded.sequence;
        let payload = if let Some(Value::User(user)) = &mut decoded.value {
            stamp_user(user, &from);
            rewrite(&decoded, &from, channel)
        } else {
            append(packet, &from, channel)
        };
        Ok(Stamped { payload, to_identities, to_sids, sequence })
    }

    fn track_handle(&self, packet: &[u8]) -> Result<u16, &'static str> {
        data_track::handle(packet)
    }

    fn with_track_handle(&self, packet: &[u8], handle: u16) -> Bytes {
        data_track::with_handle(packet, handle)
    }

    fn server_packet(&self, data: &ServerData) -> Bytes {
        let user =
            pb::UserPacket { payload: data.payload.clone(), topic: data.topic.clone(), ..pb::UserPacket::default() };
        let packet = pb::DataPacket {
            destination_identities: data.to_identities.clone(),
            value: Some(Value::User(user)),
            ..pb::DataPacket::default()
        };
        rewrite(&packet, &DataSender { sid: "", identity: "", agent: false }, data.channel)
    }
}

#[allow(deprecated)]
fn refuse(from: &DataSender<'_>, value: Option<&Value>) -> Result<(), &'static str> {
    match value {
        Some(Value::Speaker(_)) => Err("speakers_are_the_servers"),
        Some(Value::Metrics(_)) => Err("metrics"),
        Some(Value::Transcription(_)) if !from.agent => Err("transcription_not_from_agent"),
        // `None`: a value of a newer protocol; it is passed through as it is.
        Some(
            Value::User(_)
            | Value::SipDtmf(_)
            | Value::Transcription(_)
            | Value::ChatMessage(_)
            | Value::RpcRequest(_)
            | Value::RpcAck(_)
            | Value::RpcResponse(_)
            | Value::StreamHeader(_)
            | Value::StreamChunk(_)
            | Value::StreamTrailer(_)
            | Value::EncryptedPacket(_),
        )
        | None => Ok(()),
    }
}

/// Old clients name receivers inside the user packet, and by sid.
#[allow(deprecated)]
fn receivers(packet: &pb::DataPacket) -> (Vec<String>, Vec<String>) {
    let mut identities = packet.destination_identities.clone();
    let mut sids = Vec::new();
    if let Some(Value::User(user)) = &packet.value {
        if identities.is_empty() {
            identities.clone_from(&user.destination_identities);
        }
        sids.clone_from(&user.destination_sids);
    }
    (identities, sids)
}

#[allow(deprecated)]
fn stamp_user(user: &mut pb::UserPacket, from: &DataSender<'_>) {
    from.sid.clone_into(&mut user.participant_sid);
    from.identity.clone_into(&mut user.participant_identity);
}

#[allow(deprecated)]
fn rewrite(packet: &pb::DataPacket, from: &DataSender<'_>, channel: Channel) -> Bytes {
    let stamped = pb::DataPacket {
        kind: kind(channel) as i32,
        participant_identity: from.identity.to_owned(),
        participant_sid: from.sid.to_owned(),
        ..packet.clone()
    };
    Bytes::from(stamped.encode_to_vec())
}

/// Writes the sender behind the packet: of a singular field that stands twice, the last one counts (Protocol Buffers,
/// "Encoding": "Last One Wins"). So fields and values this server does not know reach the receivers.
fn append(packet: &[u8], from: &DataSender<'_>, channel: Channel) -> Bytes {
    let added = from.identity.len().saturating_add(from.sid.len()).saturating_add(24); // keys and lengths
    let mut bytes = BytesMut::with_capacity(packet.len().saturating_add(added));
    bytes.put_slice(packet);
    prost::encoding::int32::encode(KIND, &(kind(channel) as i32), &mut bytes);
    prost::encoding::string::encode(PARTICIPANT_IDENTITY, &from.identity.to_owned(), &mut bytes);
    prost::encoding::string::encode(PARTICIPANT_SID, &from.sid.to_owned(), &mut bytes);
    bytes.freeze()
}

fn kind(channel: Channel) -> Kind {
    match channel {
        Channel::Reliable => Kind::Reliable,
        Channel::Lossy | Channel::Tracks => Kind::Lossy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: DataSender<'_> = DataSender { sid: "PA_a", identity: "alice", agent: false };

    fn spoofed(value: Option<Value>) -> pb::DataPacket {
        pb::DataPacket {
            participant_identity: "mallory".into(),
            participant_sid: "PA_m".into(),
            destination_identities: vec!["bob".into()],
            sequence: 7,
            value,
            ..Default::default()
        }
    }

    #[test]
    #[allow(deprecated)]
    fn the_sender_is_written_by_the_server() {
        let user = pb::UserPacket {
            payload: vec![1],
            participant_sid: "PA_m".into(),
            participant_identity: "mallory".into(),
            topic: Some("t".into()),
            ..Default::default()
        };
        let chunk = pb::data_stream::Chunk { content: vec![2], ..Default::default() };
        let rows = [Some(Value::User(user)), Some(Value::StreamChunk(chunk)), None];
        for value in rows {
            let packet = spoofed(value.clone());
            let stamped = PacketFormat.stamp(ALICE, Channel::Lossy, &packet.encode_to_vec()).unwrap();
            let read = pb::DataPacket::decode(stamped.payload.clone()).unwrap();
            assert_eq!((read.participant_identity.as_str(), read.participant_sid.as_str()), ("alice", "PA_a"));
            assert_eq!((read.sequence, stamped.sequence, read.kind()), (7, 7, Kind::Lossy));
            assert_eq!(stamped.to_identities, ["bob"]);
            if let Some(Value::User(user)) = &read.value {
                assert_eq!((user.participant_sid.as_str(), user.topic.as_deref()), ("PA_a", Some("t")));
            } else {
                assert_eq!(read.value, value);
            }
        }
    }

    #[test]
    fn unknown_values_pass_through() {
        let mut packet = spoofed(None).encode_to_vec();
        prost::encoding::string::encode(99, &"newer".to_owned(), &mut packet);
        let stamped = PacketFormat.stamp(ALICE, Channel::Reliable, &packet).unwrap();
        assert!(stamped.payload.starts_with(&packet));
    }

    #[test]
    #[allow(deprecated)]
    fn what_clients_may_not_send_is_dropped() {
        let transcription = || Some(Value::Transcription(pb::Transcription::default()));
        let rows = [
            (Some(Value::Metrics(pb::MetricsBatch::default())), false, Some("metrics")),
            (Some(Value::Speaker(pb::ActiveSpeakerUpdate::default())), false, Some("speakers_are_the_servers")),
            (transcription(), false, Some("transcription_not_from_agent")),
            (transcription(), true, None),
        ];
        for (value, agent, want) in rows {
            let packet = spoofed(value).encode_to_vec();
            let got = PacketFormat.stamp(DataSender { agent, ..ALICE }, Channel::Reliable, &packet);
            assert_eq!(got.err(), want);
        }
        assert_eq!(PacketFormat.stamp(ALICE, Channel::Reliable, &[0xff]).err(), Some("malformed"));
    }
}
