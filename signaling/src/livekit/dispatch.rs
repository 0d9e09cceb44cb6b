//! Each request of a client, carried to the room.

use std::time::{SystemTime, UNIX_EPOCH};

use livekit_protocol as pb;
use pb::request_response::{Reason, Request};
use pb::signal_request::Message as Asked;
use pb::signal_response::Message;
use pb::simulate_scenario::Scenario;

use super::session::{End, Session};
use super::{convert, data_track, parse};
use crate::rooms::{Error, LeaveReason};

/// From this protocol version on clients expect a response to a granted request as well.
const PROTOCOL_WITH_OK: i32 = 15;

impl Session {
    #[allow(deprecated)] // `update_layers` has to be named to be ignored
    pub(super) async fn handle_request(&mut self, request: Asked) -> Result<(), End> {
        let me = self.participant;
        match request {
            Asked::Offer(offer) => self.handle_offer(offer).await,
            Asked::Answer(answer) => self.handle_answer(answer).await,
            // ICE-lite (RFC 8445 §2.5): we send no checks, so we need no candidates; theirs show in their checks.
            Asked::Trickle(_) => Ok(()),
            Asked::AddTrack(track) => self.handle_add_track(track).await,
            Asked::Mute(mute) => self.handle_mute(mute).await,
            Asked::Subscription(update) => self.handle_subscription(update).await,
            Asked::TrackSetting(update) => {
                self.room.track_settings(me, parse::track_settings(update)).await;
                Ok(())
            }
            Asked::Leave(_) => {
                let _ = self.room.leave(me, LeaveReason::ClientInitiated).await; // an error says it is out already
                Err(End::Left)
            }
            Asked::SubscriptionPermission(permission) => {
                self.room.subscription_policy(me, parse::policy(permission)).await;
                Ok(())
            }
            Asked::Ping(_) => self.send(Message::Pong(unix_ms())).await,
            Asked::PingReq(ping) => {
                self.send(Message::PongResp(pb::Pong { last_ping_timestamp: ping.timestamp, timestamp: unix_ms() }))
                    .await
            }
            Asked::UpdateMetadata(update) => self.handle_update_metadata(update).await,
            Asked::UpdateAudioTrack(update) => {
                self.room.describe_track(me, update.track_sid, Some(update.features), None).await;
                Ok(())
            }
            Asked::UpdateVideoTrack(update) => {
                self.room.describe_track(me, update.track_sid, None, Some((update.width, update.height))).await;
                Ok(())
            }
            Asked::Simulate(simulate) => self.handle_simulate(simulate).await,
            Asked::SyncState(state) => self.handle_sync_state(state).await,
            Asked::UpdateLayers(_) => Ok(()),
            Asked::PublishDataTrackRequest(request) => self.handle_publish_data_track(request).await,
            Asked::UnpublishDataTrackRequest(request) => self.handle_unpublish_data_track(request).await,
            Asked::UpdateDataSubscription(update) => {
                self.room.subscribe_data(me, data_track::subscription(update)).await;
                Ok(())
            }
            Asked::StoreDataBlobRequest(request) => self.refuse_unsupported(request.request_id, None).await,
            Asked::GetDataBlobRequest(request) => self.refuse_unsupported(request.request_id, None).await,
        }
    }

    /// The answer comes as a notice, in order with what follows from it.
    pub(super) async fn handle_offer(&mut self, offer: pb::SessionDescription) -> Result<(), End> {
        let result = self.room.offer_by_notice(self.participant, offer.id, &offer.sdp).await;
        self.check_negotiation(result).await
    }

    async fn handle_answer(&mut self, answer: pb::SessionDescription) -> Result<(), End> {
        let result = self.room.answer(self.participant, answer.id, &answer.sdp).await;
        self.check_negotiation(result).await
    }

    /// A transport that cannot be negotiated is of no use: the participant is out, and is told to start anew.
    async fn check_negotiation(&mut self, result: Result<(), Error>) -> Result<(), End> {
        let Err(error) = result else { return Ok(()) };
        tracing::warn!(code = error.code(), %error, "negotiation failed");
        self.count_refused(error.code());
        let _ = self.room.leave(self.participant, LeaveReason::MediaFailure).await; // an error says it is out already
        Ok(()) // the room's last notice ends the session
    }

    pub(super) async fn handle_add_track(&mut self, request: pb::AddTrackRequest) -> Result<(), End> {
        let Some(track) = parse::track_request(&request) else {
            return self.refuse_unsupported(0, Some(Request::AddTrack(request))).await;
        };
        // With a sid it is the other codec of a track.
        let added = match request.sid.as_str() {
            "" => self.room.add_track(self.participant, track).await,
            sid => self.room.add_backup(self.participant, sid, track).await,
        };
        match added {
            Ok(info) => {
                let published = pb::TrackPublishedResponse { cid: request.cid, track: Some(convert::track(&info)) };
                self.send(Message::TrackPublished(published)).await
            }
            Err(error) => self.respond(0, &error, Request::AddTrack(request)).await,
        }
    }

    async fn handle_mute(&mut self, mute: pb::MuteTrackRequest) -> Result<(), End> {
        match self.room.mute_own_track(self.participant, &mute.sid, mute.muted).await {
            Ok(_) => Ok(()),
            Err(error) => self.respond(0, &error, Request::Mute(mute)).await,
        }
    }

    async fn handle_subscription(&mut self, update: pb::UpdateSubscription) -> Result<(), End> {
        if let Err(error) = self.room.subscribe(self.participant, parse::subscription(update)).await {
            tracing::info!(code = error.code(), "subscription refused");
            self.count_refused(error.code());
        }
        Ok(())
    }

    async fn handle_publish_data_track(&mut self, request: pb::PublishDataTrackRequest) -> Result<(), End> {
        match self.room.publish_data_track(self.participant, data_track::request(&request)).await {
            Ok(info) => {
                let info = Some(data_track::info(&info));
                self.send(Message::PublishDataTrackResponse(pb::PublishDataTrackResponse { info })).await
            }
            Err(error) => self.respond(0, &error, Request::PublishDataTrack(request)).await,
        }
    }

    async fn handle_unpublish_data_track(&mut self, request: pb::UnpublishDataTrackRequest) -> Result<(), End> {
        match self.room.unpublish_data_track(self.participant, request.pub_handle).await {
            Ok(info) => {
                let info = Some(data_track::info(&info));
                self.send(Message::UnpublishDataTrackResponse(pb::UnpublishDataTrackResponse { info })).await
            }
            Err(error) => self.respond(0, &error, Request::UnpublishDataTrack(request)).await,
        }
    }

    /// The room kept what the client says here: subscriptions, tracks, settings. Of its own tracks of both kinds it is told which
    /// have ended meanwhile: LiveKit's server has it join anew then.
    async fn handle_sync_state(&mut self, state: pb::SyncState) -> Result<(), End> {
        let tracks: Vec<_> = state.publish_tracks.into_iter().filter_map(|told| Some(told.track?.sid)).collect();
        let data_tracks: Vec<_> = state.publish_data_tracks.into_iter().filter_map(data_track::believed).collect();
        self.room.check_tracks(self.participant, tracks, data_tracks).await;
        if let Some(update) = state.data_subscription {
            self.room.subscribe_data(self.participant, data_track::subscription(update)).await;
        }
        Ok(())
    }

    async fn handle_update_metadata(&mut self, update: pb::UpdateParticipantMetadata) -> Result<(), End> {
        let request_id = update.request_id;
        match self.room.update_self(self.participant, parse::own_change(update.clone())).await {
            Ok(_) => {
                if self.protocol < PROTOCOL_WITH_OK {
                    return Ok(());
                }
                let response = pb::RequestResponse {
                    request_id,
                    reason: Reason::Ok as i32,
                    message: String::new(),
                    request: Some(Request::UpdateMetadata(update)),
                };
                self.send(Message::RequestResponse(response)).await
            }
            Err(error) => self.respond(request_id, &error, Request::UpdateMetadata(update)).await,
        }
    }

    /// Test aids of the client SDKs. They touch nobody but the one who asks.
    async fn handle_simulate(&mut self, simulate: pb::SimulateScenario) -> Result<(), End> {
        let reason = match simulate.scenario {
            Some(Scenario::LeaveRequestFullReconnect(true) | Scenario::NodeFailure(true)) => LeaveReason::StateMismatch,
            Some(Scenario::ServerLeave(true)) => LeaveReason::Removed,
            Some(
                Scenario::LeaveRequestFullReconnect(false)
                | Scenario::NodeFailure(false)
                | Scenario::ServerLeave(false)
                | Scenario::SpeakerUpdate(_)
                | Scenario::Migration(_)
                | Scenario::SwitchCandidateProtocol(_)
                | Scenario::SubscriberBandwidth(_)
                | Scenario::DisconnectSignalOnResume(_)
                | Scenario::DisconnectSignalOnResumeNoMessages(_),
            )
            | None => return Ok(()),
        };
        let _ = self.room.leave(self.participant, reason).await; // an error says it is out already
        Ok(()) // the room's last notice ends the session
    }

    async fn respond(&mut self, request_id: u32, error: &Error, request: Request) -> Result<(), End> {
        tracing::info!(code = error.code(), "request refused");
        self.count_refused(error.code());
        let response = pb::RequestResponse {
            request_id,
            reason: reason(error) as i32,
            message: error.to_string(),
            request: Some(request),
        };
        self.send(Message::RequestResponse(response)).await
    }

    async fn refuse_unsupported(&mut self, request_id: u32, request: Option<Request>) -> Result<(), End> {
        let response = pb::RequestResponse {
            request_id,
            reason: Reason::UnsupportedType as i32,
            message: "not supported by this server".to_owned(),
            request,
        };
        self.send(Message::RequestResponse(response)).await
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::NotAllowed(_) => Reason::NotAllowed,
        Error::Limit(_) | Error::RoomFull | Error::Media(convene_sfu::Error::Limit { .. }) => Reason::LimitExceeded,
        Error::RoomNotFound | Error::ParticipantNotFound | Error::TrackNotFound => Reason::NotFound,
        Error::Invalid("handle") => Reason::InvalidHandle,
        Error::Invalid("name") => Reason::InvalidName,
        Error::Invalid(_) => Reason::InvalidRequest,
        Error::Taken("handle") => Reason::DuplicateHandle,
        Error::Taken(_) => Reason::DuplicateName,
        Error::WrongMode => Reason::UnsupportedType,
        Error::Closed | Error::Draining | Error::Media(_) => Reason::UnclassifiedError,
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
