//! Names of signaling messages, for counters: those of the protocol's fields.

use livekit_protocol as pb;
use pb::signal_request::Message as Request;
use pb::signal_response::Message as Response;

#[allow(deprecated)]
pub(super) fn request(message: &Request) -> &'static str {
    match message {
        Request::Offer(_) => "offer",
        Request::Answer(_) => "answer",
        Request::Trickle(_) => "trickle",
        Request::AddTrack(_) => "add_track",
        Request::Mute(_) => "mute",
        Request::Subscription(_) => "subscription",
        Request::TrackSetting(_) => "track_setting",
        Request::Leave(_) => "leave",
        Request::UpdateLayers(_) => "update_layers",
        Request::SubscriptionPermission(_) => "subscription_permission",
        Request::SyncState(_) => "sync_state",
        Request::Simulate(_) => "simulate",
        Request::Ping(_) => "ping",
        Request::UpdateMetadata(_) => "update_metadata",
        Request::PingReq(_) => "ping_req",
        Request::UpdateAudioTrack(_) => "update_audio_track",
        Request::UpdateVideoTrack(_) => "update_video_track",
        Request::PublishDataTrackRequest(_) => "publish_data_track_request",
        Request::UnpublishDataTrackRequest(_) => "unpublish_data_track_request",
        Request::UpdateDataSubscription(_) => "update_data_subscription",
        Request::StoreDataBlobRequest(_) => "store_data_blob_request",
        Request::GetDataBlobRequest(_) => "get_data_blob_request",
    }
}

pub(super) fn response(message: &Response) -> &'static str {
    match message {
        Response::Join(_) => "join",
        Response::Answer(_) => "answer",
        Response::Offer(_) => "offer",
        Response::Trickle(_) => "trickle",
        Response::Update(_) => "update",
        Response::TrackPublished(_) => "track_published",
        Response::Leave(_) => "leave",
        Response::Mute(_) => "mute",
        Response::SpeakersChanged(_) => "speakers_changed",
        Response::RoomUpdate(_) => "room_update",
        Response::ConnectionQuality(_) => "connection_quality",
        Response::StreamStateUpdate(_) => "stream_state_update",
        Response::SubscribedQualityUpdate(_) => "subscribed_quality_update",
        Response::SubscriptionPermissionUpdate(_) => "subscription_permission_update",
        Response::RefreshToken(_) => "refresh_token",
        Response::TrackUnpublished(_) => "track_unpublished",
        Response::Pong(_) => "pong",
        Response::Reconnect(_) => "reconnect",
        Response::PongResp(_) => "pong_resp",
        Response::SubscriptionResponse(_) => "subscription_response",
        Response::RequestResponse(_) => "request_response",
        Response::TrackSubscribed(_) => "track_subscribed",
        Response::RoomMoved(_) => "room_moved",
        Response::MediaSectionsRequirement(_) => "media_sections_requirement",
        Response::SubscribedAudioCodecUpdate(_) => "subscribed_audio_codec_update",
        Response::PublishDataTrackResponse(_) => "publish_data_track_response",
        Response::UnpublishDataTrackResponse(_) => "unpublish_data_track_response",
        Response::DataTrackSubscriberHandles(_) => "data_track_subscriber_handles",
        Response::StoreDataBlobResponse(_) => "store_data_blob_response",
        Response::GetDataBlobResponse(_) => "get_data_blob_response",
    }
}
