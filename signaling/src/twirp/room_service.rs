//! The eleven methods of `livekit.RoomService` that a single server can answer.

use axum::response::Response;
use convene_sfu::Channel;
use livekit_protocol as proto;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Format};
use crate::livekit::convert;
use crate::rooms::{LeaveReason, ParticipantChange, Registry, RoomHandle, RoomRequest, ServerData, SubscriptionChange};
use crate::token::Claims;

/// Largest `SendData` payload. SCTP messages to browsers end at 256 KiB; half of it leaves room for the envelope.
const MAX_DATA_BYTES: usize = 128 * 1024;

/// One call.
pub(super) struct Call<'a> {
    pub(super) rooms: &'a Registry,
    pub(super) claims: &'a Claims,
    pub(super) format: Format,
    pub(super) body: &'a [u8],
}

/// Methods by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    CreateRoom,
    ListRooms,
    DeleteRoom,
    ListParticipants,
    GetParticipant,
    RemoveParticipant,
    MutePublishedTrack,
    UpdateParticipant,
    UpdateSubscriptions,
    SendData,
    UpdateRoomMetadata,
}

impl Method {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "CreateRoom" => Self::CreateRoom,
            "ListRooms" => Self::ListRooms,
            "DeleteRoom" => Self::DeleteRoom,
            "ListParticipants" => Self::ListParticipants,
            "GetParticipant" => Self::GetParticipant,
            "RemoveParticipant" => Self::RemoveParticipant,
            "MutePublishedTrack" => Self::MutePublishedTrack,
            "UpdateParticipant" => Self::UpdateParticipant,
            "UpdateSubscriptions" => Self::UpdateSubscriptions,
            "SendData" => Self::SendData,
            "UpdateRoomMetadata" => Self::UpdateRoomMetadata,
            _ => return None,
        })
    }
}

/// Checks the grant, does it, and writes the answer.
pub(super) async fn run(method: Method, call: Call<'_>) -> Result<Response, Error> {
    match method {
        Method::CreateRoom => call.write(&call.create_room().await?),
        Method::ListRooms => call.write(&call.list_rooms().await?),
        Method::DeleteRoom => call.write(&call.delete_room().await?),
        Method::ListParticipants => call.write(&call.list_participants().await?),
        Method::GetParticipant => call.write(&call.get_participant().await?),
        Method::RemoveParticipant => call.write(&call.remove_participant().await?),
        Method::MutePublishedTrack => call.write(&call.mute_published_track().await?),
        Method::UpdateParticipant => call.write(&call.update_participant().await?),
        Method::UpdateSubscriptions => call.write(&call.update_subscriptions().await?),
        Method::SendData => call.write(&call.send_data().await?),
        Method::UpdateRoomMetadata => call.write(&call.update_room_metadata().await?),
    }
}

impl Call<'_> {
    fn read<M: Message + Default + DeserializeOwned>(&self) -> Result<M, Error> {
        self.format.read(self.body)
    }

    fn write<M: Message + Serialize>(&self, message: &M) -> Result<Response, Error> {
        self.format.write(message)
    }

    /// The room `name`, where the token administrates it.
    fn administrated(&self, name: &str) -> Result<RoomHandle, Error> {
        self.claims.require_admin(name)?;
        Ok(self.rooms.get(name).ok_or(crate::rooms::Error::RoomNotFound)?)
    }

    async fn create_room(&self) -> Result<proto::Room, Error> {
        self.claims.require_create()?;
        let request: proto::CreateRoomRequest = self.read()?;
        if !request.name.is_empty() {
            self.claims.require_create_of(&request.name)?;
        }
        if request.egress.is_some() || !request.agents.is_empty() {
            return Err(Error::unimplemented(
                "this server has no egress and no agents to start with a room".to_owned(),
            ));
        }
        let set = |value: u32| (value != 0).then_some(value);
        let room = self.rooms.create(RoomRequest {
            name: request.name,
            metadata: request.metadata.clone(),
            empty_timeout_s: set(request.empty_timeout),
            departure_timeout_s: set(request.departure_timeout),
            max_participants: set(request.max_participants),
        })?;
        let info = room.info().await?;
        if request.metadata.is_empty() || request.metadata == info.metadata {
            return Ok(convert::room(&info));
        }
        Ok(convert::room(&room.update_metadata(request.metadata).await?)) // it was open already
    }

    async fn list_rooms(&self) -> Result<proto::ListRoomsResponse, Error> {
        self.claims.require_list()?;
        let request: proto::ListRoomsRequest = self.read()?;
        let mut rooms = self.rooms.list(&request.names).await;
        rooms.retain(|room| self.claims.reaches(&room.name));
        Ok(proto::ListRoomsResponse { rooms: rooms.iter().map(convert::room).collect() })
    }

    async fn delete_room(&self) -> Result<proto::DeleteRoomResponse, Error> {
        self.claims.require_create()?;
        let request: proto::DeleteRoomRequest = self.read()?;
        self.claims.require_create_of(&request.room)?;
        self.rooms.delete(&request.room).await?;
        Ok(proto::DeleteRoomResponse {})
    }

    async fn list_participants(&self) -> Result<proto::ListParticipantsResponse, Error> {
        let request: proto::ListParticipantsRequest = self.read()?;
        let participants = self.administrated(&request.room)?.participants().await?;
        Ok(proto::ListParticipantsResponse { participants: participants.iter().map(convert::participant).collect() })
    }

    async fn get_participant(&self) -> Result<proto::ParticipantInfo, Error> {
        let request: proto::RoomParticipantIdentity = self.read()?;
        let participant = self.administrated(&request.room)?.participant(&request.identity).await?;
        Ok(convert::participant(&participant))
    }

    async fn remove_participant(&self) -> Result<proto::RemoveParticipantResponse, Error> {
        let request: proto::RoomParticipantIdentity = self.read()?;
        let room = self.administrated(&request.room)?;
        room.remove_participant(&request.identity, LeaveReason::Removed).await?;
        Ok(proto::RemoveParticipantResponse {})
    }

    async fn mute_published_track(&self) -> Result<proto::MuteRoomTrackResponse, Error> {
        let request: proto::MuteRoomTrackRequest = self.read()?;
        let room = self.administrated(&request.room)?;
        if !request.muted {
            // LiveKit's default as well: nobody's microphone or camera is opened from afar.
            return Err(Error::precondition("remote unmute is not enabled"));
        }
        let track = room.mute_track(&request.identity, &request.track_sid, true).await?;
        Ok(proto::MuteRoomTrackResponse { track: Some(convert::track(&track)) })
    }

    async fn update_participant(&self) -> Result<proto::ParticipantInfo, Error> {
        let request: proto::UpdateParticipantRequest = self.read()?;
        let room = self.administrated(&request.room)?;
        let given = |text: String| (!text.is_empty()).then_some(text); // the protocol: empty fields are left as they are
        let change = ParticipantChange {
            name: given(request.name),
            metadata: given(request.metadata),
            attributes: request.attributes.into_iter().collect(),
            permission: request.permission.as_ref().map(convert::permission_from),
        };
        Ok(convert::participant(&room.update_participant(&request.identity, change).await?))
    }

    async fn update_subscriptions(&self) -> Result<proto::UpdateSubscriptionsResponse, Error> {
        let request: proto::UpdateSubscriptionsRequest = self.read()?;
        let room = self.administrated(&request.room)?;
        let grouped = request.participant_tracks.into_iter().flat_map(|of| of.track_sids);
        let tracks = request.track_sids.into_iter().chain(grouped).collect();
        let change = SubscriptionChange { tracks, subscribe: request.subscribe };
        room.update_subscriptions(&request.identity, change).await?;
        Ok(proto::UpdateSubscriptionsResponse {})
    }

    async fn send_data(&self) -> Result<proto::SendDataResponse, Error> {
        let request: proto::SendDataRequest = self.read()?;
        let room = self.administrated(&request.room)?;
        if request.data.len() > MAX_DATA_BYTES {
            return Err(Error::invalid("data is larger than 128 KiB"));
        }
        let lossy = request.kind == proto::data_packet::Kind::Lossy as i32;
        #[allow(deprecated, reason = "older SDKs name receivers by sid")]
        let to_sids = request.destination_sids;
        let data = ServerData {
            channel: if lossy { Channel::Lossy } else { Channel::Reliable },
            payload: request.data,
            topic: request.topic,
            to_identities: request.destination_identities,
            to_sids,
        };
        room.send_data(data).await?;
        Ok(proto::SendDataResponse {})
    }

    async fn update_room_metadata(&self) -> Result<proto::Room, Error> {
        let request: proto::UpdateRoomMetadataRequest = self.read()?;
        let room = self.administrated(&request.room)?;
        Ok(convert::room(&room.update_metadata(request.metadata).await?))
    }
}
