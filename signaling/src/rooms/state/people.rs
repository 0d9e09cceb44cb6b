//! Names, grants, who speaks, and data packets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use convene_sfu::{Channel, Speaker};
use convene_types::PeerId;

use super::{Action, Now, Participant, State};
use crate::rooms::data::{DataFormat, DataSender, Stamped};
use crate::rooms::error::Error;
use crate::rooms::model::{ParticipantId, ParticipantInfo, ParticipantState, Permission, SpeakerInfo};
use crate::rooms::notice::Notice;
use crate::rooms::request::{ParticipantChange, ServerData, Speech};

/// Bytes of a participant's metadata. It is copied into every update of the participant to everyone.
pub(in crate::rooms) const MAX_METADATA_BYTES: usize = 64 * 1024;
/// Bytes of all keys and values of a participant's attributes, for the same reason.
const MAX_ATTRIBUTES_BYTES: usize = 64 * 1024;
/// Bytes of a display name.
const MAX_NAME_BYTES: usize = 256;

impl State {
    /// Changes a participant; what its grants no longer cover is ended.
    pub(in crate::rooms) fn change(
        &mut self,
        now: Now,
        id: ParticipantId,
        change: ParticipantChange,
        by_self: bool,
    ) -> Result<ParticipantInfo, Error> {
        let participant = self.get_mut(id)?;
        if by_self && (!participant.info.permission.can_update_metadata || change.permission.is_some()) {
            return Err(Error::NotAllowed("the token does not let its holder change its own metadata"));
        }
        check_sizes(&participant.info, &change)?;
        let info = &mut participant.info;
        if let Some(name) = change.name {
            info.name = name;
        }
        if let Some(metadata) = change.metadata {
            info.metadata = metadata;
        }
        for (key, value) in change.attributes {
            if value.is_empty() {
                info.attributes.remove(&key)
            } else {
                info.attributes.insert(key, value)
            };
        }
        if let Some(permission) = change.permission {
            let hidden = std::mem::replace(&mut info.permission, permission).hidden;
            let hides = info.permission.hidden;
            self.hidden = self.hidden + usize::from(hides) - usize::from(hidden);
            self.end_forbidden_tracks(now, id);
            self.end_forbidden_data_tracks(now, id);
            self.reconcile_subscriber(id);
            self.reconcile_data_receiver(now, id);
        }
        self.announce(now, id);
        self.participant_info(id)
    }

    /// Changes what a participant may send, and nothing else of what it may.
    pub(in crate::rooms) fn set_speech(&mut self, now: Now, id: ParticipantId, speech: Speech) -> Result<(), Error> {
        let Speech { media, data } = speech;
        let before = self.get(id)?.info.permission.clone();
        let permission = Some(Permission { can_publish: media, can_publish_data: data, ..before });
        self.change(now, id, ParticipantChange { permission, ..ParticipantChange::default() }, false).map(drop)
    }

    /// Who speaks: those who started, changed or stopped are told to everyone.
    pub(in crate::rooms) fn handle_speakers(&mut self, now: Now, speakers: &[Speaker]) {
        let mut levels: BTreeMap<String, f32> = BTreeMap::new();
        let mut dominant = None;
        for speaker in speakers {
            let Some(track) = self.tracks.get(&speaker.track).filter(|track| !track.info.muted) else { continue };
            let Some(owner) = self.participants.get(&track.owner) else { continue };
            let level = levels.entry(owner.info.sid.clone()).or_default();
            *level = level.max(speaker.level);
            if speaker.dominant {
                dominant = Some(owner.info.sid.clone());
            }
        }
        put_first(&mut levels, dominant.as_deref());
        let before = std::mem::replace(&mut self.speaking, levels);
        let started = self.speaking.iter().filter(|(sid, level)| before.get(*sid) != Some(*level));
        let mut changed: Vec<SpeakerInfo> =
            started.map(|(sid, level)| SpeakerInfo { sid: sid.clone(), level: *level, active: true }).collect();
        let stopped = before.into_keys().filter(|sid| !self.speaking.contains_key(sid));
        changed.extend(stopped.map(|sid| SpeakerInfo { sid, level: 0.0, active: false }));
        if !changed.is_empty() {
            self.broadcast(now, &Notice::Speakers(Arc::new(changed)));
        }
    }

    /// Who speaks and who does not, of all that a participant may know of.
    pub(super) fn speakers(&self, id: ParticipantId) -> Notice {
        let known = self.participants.values().filter(|one| one.id == id || !one.info.permission.hidden);
        let known = known.map(|one| {
            let (sid, level) = (one.info.sid.clone(), self.speaking.get(&one.info.sid).copied());
            SpeakerInfo { sid, level: level.unwrap_or(0.0), active: level.is_some() }
        });
        Notice::Speakers(Arc::new(known.collect()))
    }

    /// A data packet from a participant. `Err` says why it was dropped.
    pub(in crate::rooms) fn handle_data(
        &mut self,
        peer: PeerId,
        channel: Channel,
        packet: &[u8],
        format: &dyn DataFormat,
    ) -> Result<(), &'static str> {
        let id = self.id_of_peer(peer).ok_or("unknown_peer")?;
        let participant = self.participants.get_mut(&id).ok_or("unknown_peer")?;
        let info = &participant.info;
        if !info.permission.can_publish_data {
            return Err("not_allowed");
        }
        if channel == Channel::Tracks {
            return self.handle_track_packet(id, packet, format);
        }
        let from = DataSender { sid: &info.sid, identity: &info.identity, agent: info.permission.agent };
        let stamped = format.stamp(from, channel, packet)?;
        if channel == Channel::Reliable {
            participant.last_data_seq = participant.last_data_seq.max(stamped.sequence);
        }
        self.send(Some(id), channel, stamped);
        Ok(())
    }

    /// A data packet of the server itself.
    pub(in crate::rooms) fn send_server_data(&mut self, data: ServerData, format: &dyn DataFormat) {
        let payload = format.server_packet(&data);
        let stamped = Stamped { payload, to_identities: data.to_identities, to_sids: data.to_sids, sequence: 0 };
        self.send(None, data.channel, stamped);
    }

    fn send(&mut self, from: Option<ParticipantId>, channel: Channel, stamped: Stamped) {
        let Stamped { payload, to_identities, to_sids, .. } = stamped;
        let everyone = to_identities.is_empty() && to_sids.is_empty();
        let named = |p: &Participant| to_identities.contains(&p.info.identity) || to_sids.contains(&p.info.sid);
        let receives = |p: &&Participant| {
            Some(p.id) != from && p.takes_data() && p.info.state == ParticipantState::Active && (everyone || named(p))
        };
        let to: Vec<PeerId> = self.participants.values().filter(receives).map(|p| p.peers.subscriber).collect();
        if !to.is_empty() {
            let payload: Bytes = payload;
            self.actions.push_back(Action::SendData { to, channel, payload });
        }
    }
}

/// Clients order speakers by level and show the first one large: the one whose turn it is gets the highest.
fn put_first(levels: &mut BTreeMap<String, f32>, dominant: Option<&str>) {
    /// The others come this far below it at least: what a bar on a screen does not show.
    const BELOW: f32 = 0.99;
    let Some(dominant) = dominant else { return };
    let loudest = levels.values().copied().fold(0.0, f32::max);
    for (sid, level) in levels {
        *level = if sid == dominant { loudest } else { level.min(loudest * BELOW) };
    }
}

fn check_sizes(info: &ParticipantInfo, change: &ParticipantChange) -> Result<(), Error> {
    if change.name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(Error::Limit("name_bytes"));
    }
    check_metadata(change.metadata.as_deref().unwrap_or_default())?;
    let kept = info.attributes.iter().filter(|(key, _)| !change.attributes.contains_key(*key));
    check_attributes(kept.chain(change.attributes.iter()))
}

/// Whether metadata, of one who joins or who is here, is as much as may be said to everyone.
pub(super) fn check_metadata(metadata: &str) -> Result<(), Error> {
    if metadata.len() > MAX_METADATA_BYTES { Err(Error::Limit("metadata_bytes")) } else { Ok(()) }
}

/// The same of attributes.
pub(super) fn check_attributes<'a>(attributes: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), Error> {
    let bytes: usize = attributes.map(|(key, value)| key.len().saturating_add(value.len())).sum();
    if bytes > MAX_ATTRIBUTES_BYTES { Err(Error::Limit("attributes_bytes")) } else { Ok(()) }
}
