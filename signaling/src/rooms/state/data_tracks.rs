//! Data tracks: frames of an application, which one participant publishes and others ask for.
//!
//! Packets name their track by a handle. The publisher has chosen its own; to the receivers it goes under one that the room
//! has chosen, the same for all of them, so that a packet is written once however many there are.
//!
//! Not here: what packets look like ([`crate::rooms::DataFormat`]).

use std::collections::{BTreeMap, HashMap};

use convene_sfu::Channel;
use convene_types::PeerId;

use super::{Action, Now, Participant, State};
use crate::rooms::data::DataFormat;
use crate::rooms::error::Error;
use crate::rooms::ids::new_sid;
use crate::rooms::model::{DataTrackInfo, FrameName, ParticipantId};
use crate::rooms::notice::{DataHandle, Notice};
use crate::rooms::request::{DataSubscription, DataTrackRequest};

/// Data tracks of one participant. All of them are named in each update of the participant to everyone.
const MAX_DATA_TRACKS: usize = 256;
/// Bytes of a track's or schema's name, as LiveKit's server has it.
const MAX_NAME_BYTES: usize = 256;
/// Bytes of the name of an encoding, as LiveKit's server has it.
const MAX_ENCODING_BYTES: usize = 32;

/// None, and AES-GCM: the SDKs drop all they are told of data tracks where one of them has another.
const ENCRYPTIONS: [i32; 2] = [0, 1];

/// All data tracks of a room.
#[derive(Debug, Default)]
pub(super) struct DataTracks {
    /// By the room's handle.
    tracks: BTreeMap<u16, DataTrack>,
    sids: HashMap<String, u16>,
    /// The room's handle by the publisher's own.
    published: HashMap<(ParticipantId, u16), u16>,
    /// The handle given out last.
    last: u16,
}

#[derive(Debug)]
struct DataTrack {
    owner: ParticipantId,
    info: DataTrackInfo,
    /// Who asked for it, or gave it back; the others go by what they said when they joined.
    wants: HashMap<ParticipantId, bool>,
    receivers: BTreeMap<ParticipantId, PeerId>,
}

impl DataTracks {
    pub(super) fn infos_of(&self, owner: ParticipantId) -> Vec<DataTrackInfo> {
        self.of(owner).map(|(_, track)| track.info.clone()).collect()
    }

    fn of(&self, owner: ParticipantId) -> impl Iterator<Item = (u16, &DataTrack)> {
        self.tracks.iter().filter(move |(_, track)| track.owner == owner).map(|(handle, track)| (*handle, track))
    }

    pub(super) fn len(&self) -> usize {
        self.tracks.len()
    }

    /// In turn, so that a handle that a packet under way may name is not met again soon. 0 means none.
    fn free_handle(&self) -> Option<u16> {
        (1..=u16::MAX)
            .map(|step| self.last.wrapping_add(step))
            .find(|handle| *handle != 0 && !self.tracks.contains_key(handle))
    }

    fn insert(&mut self, handle: u16, owner: ParticipantId, info: DataTrackInfo) {
        self.last = handle;
        self.sids.insert(info.sid.clone(), handle);
        self.published.insert((owner, info.handle), handle);
        self.tracks.insert(handle, DataTrack { owner, info, wants: HashMap::new(), receivers: BTreeMap::new() });
    }

    fn remove(&mut self, handle: u16) -> Option<DataTrackInfo> {
        let DataTrack { owner, info, .. } = self.tracks.remove(&handle)?;
        self.sids.remove(&info.sid);
        self.published.remove(&(owner, info.handle));
        Some(info)
    }
}

impl State {
    /// A participant publishes a data track.
    pub(in crate::rooms) fn publish_data_track(
        &mut self,
        now: Now,
        id: ParticipantId,
        request: DataTrackRequest,
    ) -> Result<DataTrackInfo, Error> {
        let participant = self.get(id)?;
        if !participant.info.permission.can_publish_data {
            return Err(Error::NotAllowed("the token does not let data be published"));
        }
        if !participant.takes_data() {
            return Err(Error::WrongMode);
        }
        let own = || self.data_tracks.of(id).map(|(_, track)| &track.info);
        let asked = check(request)?;
        if own().any(|other| other.handle == asked.handle) {
            return Err(Error::Taken("handle"));
        }
        if own().any(|other| other.name == asked.name) {
            return Err(Error::Taken("name"));
        }
        if own().count() >= MAX_DATA_TRACKS {
            return Err(Error::Limit("data_tracks_per_participant"));
        }
        let handle = self.data_tracks.free_handle().ok_or(Error::Limit("data_tracks_per_room"))?;
        self.data_tracks.insert(handle, id, asked.clone());
        // Receivers have to know of it before they are told its handle.
        self.announce(now, id);
        let everyone = self.participants.keys().copied().collect();
        self.reconcile_data(now, &[handle], everyone);
        Ok(asked)
    }

    /// A participant ends one of its data tracks, by its own handle.
    pub(in crate::rooms) fn unpublish_data_track(
        &mut self,
        now: Now,
        id: ParticipantId,
        own_handle: u32,
    ) -> Result<DataTrackInfo, Error> {
        let own_handle = u16::try_from(own_handle).map_err(|_| Error::TrackNotFound)?;
        let handle = self.data_tracks.published.get(&(id, own_handle)).copied();
        let info = handle.and_then(|handle| self.data_tracks.remove(handle)).ok_or(Error::TrackNotFound)?;
        self.announce(now, id);
        Ok(info)
    }

    /// What a client believes to publish after a resume. It is told what has ended meanwhile.
    pub(in crate::rooms) fn check_data_tracks(&mut self, now: Now, id: ParticipantId, believed: Vec<DataTrackInfo>) {
        let ended = believed.into_iter().filter(|info| !self.data_tracks.sids.contains_key(&info.sid));
        for info in ended.collect::<Vec<_>>() {
            self.notify(now, id, Notice::DataTrackUnpublished(info));
        }
    }

    /// A participant asks for data tracks or gives them back. Whoever asks is told all handles, changed or not. Tracks that
    /// there are not are not waited for: nobody can know a sid before the room has told it.
    pub(in crate::rooms) fn subscribe_data(&mut self, now: Now, id: ParticipantId, change: DataSubscription) {
        let mut handles = Vec::new();
        let mut asks = false;
        for (sid, wanted) in change.tracks {
            let Some(handle) = self.data_tracks.sids.get(&sid).copied() else { continue };
            let Some(track) = self.data_tracks.tracks.get_mut(&handle) else { continue };
            track.wants.insert(id, wanted); // bounded: the track exists, and takes it along
            asks |= wanted;
            handles.push(handle);
        }
        let changed = self.reconcile_data_of(&handles, id);
        if changed || asks {
            self.tell_data_handles(now, id);
        }
    }

    /// Ends those that the participant may no longer publish, and tells it.
    pub(super) fn end_forbidden_data_tracks(&mut self, now: Now, id: ParticipantId) {
        if self.get(id).is_ok_and(|participant| participant.info.permission.can_publish_data) {
            return;
        }
        for info in self.drop_data_tracks_of(id) {
            self.notify(now, id, Notice::DataTrackUnpublished(info));
        }
    }

    /// Forgets a participant as a publisher.
    pub(super) fn drop_data_tracks_of(&mut self, id: ParticipantId) -> Vec<DataTrackInfo> {
        let own: Vec<u16> = self.data_tracks.of(id).map(|(handle, _)| handle).collect();
        own.into_iter().filter_map(|handle| self.data_tracks.remove(handle)).collect()
    }

    /// Forgets a participant as a receiver.
    pub(super) fn drop_data_receiver(&mut self, id: ParticipantId) {
        for track in self.data_tracks.tracks.values_mut() {
            track.wants.remove(&id);
            track.receivers.remove(&id);
        }
    }

    /// What one participant receives, after something about it has changed.
    pub(super) fn reconcile_data_receiver(&mut self, now: Now, id: ParticipantId) {
        let all: Vec<u16> = self.data_tracks.tracks.keys().copied().collect();
        self.reconcile_data(now, &all, vec![id]);
    }

    /// Who receives what one participant publishes, after something about it has changed.
    pub(super) fn reconcile_data_publisher(&mut self, now: Now, id: ParticipantId) {
        let own: Vec<u16> = self.data_tracks.of(id).map(|(handle, _)| handle).collect();
        let everyone = self.participants.keys().copied().collect();
        self.reconcile_data(now, &own, everyone);
    }

    fn reconcile_data(&mut self, now: Now, handles: &[u16], of: Vec<ParticipantId>) {
        for id in of {
            if self.reconcile_data_of(handles, id) {
                self.tell_data_handles(now, id);
            }
        }
    }

    /// Makes it so that a participant receives what it should. Answers whether anything changed.
    fn reconcile_data_of(&mut self, handles: &[u16], id: ParticipantId) -> bool {
        let Some(participant) = self.participants.get(&id) else { return false };
        let peer = participant.peers.subscriber;
        let receives = |handle: &u16| {
            let track = self.data_tracks.tracks.get(handle)?;
            Some((*handle, self.receives_data(participant, track)))
        };
        let should: Vec<(u16, bool)> = handles.iter().filter_map(receives).collect();
        let mut changed = false;
        for (handle, receives) in should {
            let Some(track) = self.data_tracks.tracks.get_mut(&handle) else { continue };
            changed |= match receives {
                true => track.receivers.insert(id, peer).is_none(),
                false => track.receivers.remove(&id).is_some(),
            };
        }
        changed
    }

    fn receives_data(&self, participant: &Participant, track: &DataTrack) -> bool {
        let asked = track.wants.get(&participant.id).copied();
        track.owner != participant.id
            && participant.takes_data()
            && participant.info.permission.can_subscribe
            && asked.unwrap_or(participant.auto_subscribe_data)
            && self.policy_lets(track.owner, participant, &track.info.sid)
    }

    fn tell_data_handles(&mut self, now: Now, id: ParticipantId) {
        let handles = self.data_handles(id);
        self.notify(now, id, Notice::DataHandles(handles));
    }

    /// What packets of the data tracks that a participant receives name them by.
    pub(super) fn data_handles(&self, id: ParticipantId) -> Vec<DataHandle> {
        let received = self.data_tracks.tracks.iter().filter(|(_, track)| track.receivers.contains_key(&id));
        let handles = received.filter_map(|(handle, track)| {
            let publisher = &self.participants.get(&track.owner)?.info;
            Some(DataHandle {
                handle: *handle,
                publisher_identity: publisher.identity.clone(),
                publisher_sid: publisher.sid.clone(),
                track_sid: track.info.sid.clone(),
            })
        });
        handles.collect()
    }

    /// A packet of a data track goes to those who receive it. `Err` says why it was dropped.
    pub(super) fn handle_track_packet(
        &mut self,
        from: ParticipantId,
        packet: &[u8],
        format: &dyn DataFormat,
    ) -> Result<(), &'static str> {
        let own_handle = format.track_handle(packet)?;
        let handle = self.data_tracks.published.get(&(from, own_handle)).ok_or("data_track_unknown")?;
        let track = self.data_tracks.tracks.get(handle).ok_or("data_track_unknown")?;
        if !track.receivers.is_empty() {
            let to = track.receivers.values().copied().collect();
            let payload = format.with_track_handle(packet, *handle);
            self.actions.push_back(Action::SendData { to, channel: Channel::Tracks, payload });
        }
        Ok(())
    }
}

/// What a request comes to, with a sid of its own.
fn check(request: DataTrackRequest) -> Result<DataTrackInfo, Error> {
    let DataTrackRequest { handle, name, encryption, encoding, schema } = request;
    let handle = u16::try_from(handle).ok().filter(|handle| *handle != 0).ok_or(Error::Invalid("handle"))?;
    let fits = |name: &str, most| (1..=most).contains(&name.len());
    if !fits(&name, MAX_NAME_BYTES) {
        return Err(Error::Invalid("name"));
    }
    if !ENCRYPTIONS.contains(&encryption) {
        return Err(Error::Invalid("encryption"));
    }
    let named = |name: &FrameName| match name {
        FrameName::Known(_) => true,
        FrameName::Custom(name) => fits(name, MAX_ENCODING_BYTES),
    };
    if !encoding.as_ref().is_none_or(named) {
        return Err(Error::Invalid("frame_encoding"));
    }
    if !schema.as_ref().is_none_or(|(name, encoding)| fits(name, MAX_NAME_BYTES) && named(encoding)) {
        return Err(Error::Invalid("schema"));
    }
    Ok(DataTrackInfo { sid: new_sid("DTR_"), handle, name, encryption, encoding, schema })
}
