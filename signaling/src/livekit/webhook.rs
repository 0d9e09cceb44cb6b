//! What happens in rooms as LiveKit's webhooks say it: `livekit.WebhookEvent` in JSON.

use livekit_protocol as pb;

use super::convert;
use crate::rooms::{Happening, ParticipantInfo, TrackInfo, What};

/// An event, in JSON; of what LiveKit's webhooks do not tell, none.
#[must_use]
pub fn webhook_event(happening: &Happening) -> Option<String> {
    let (event, who, track) = parts(&happening.what)?;
    let message = pb::WebhookEvent {
        event: event.to_owned(),
        room: Some(convert::room(&happening.room)),
        participant: who.map(convert::participant),
        track: track.map(convert::track),
        id: format!("EV_{:032x}", rand::random::<u128>()),
        created_at: happening.at_ms / 1_000,
        ..pb::WebhookEvent::default()
    };
    // A message of strings and numbers: there is nothing in it that cannot be written.
    serde_json::to_string(&message).ok()
}

fn parts(what: &What) -> Option<(&'static str, Option<&ParticipantInfo>, Option<&TrackInfo>)> {
    Some(match what {
        What::Seated(_) | What::Unseated(_) => return None,
        What::Started => ("room_started", None, None),
        What::Finished => ("room_finished", None, None),
        What::Joined(who) => ("participant_joined", Some(who), None),
        What::Left(who) => ("participant_left", Some(who), None),
        What::Published(who, track) => ("track_published", Some(who), Some(track)),
        What::Unpublished(who, track) => ("track_unpublished", Some(who), Some(track)),
    })
}
