//! Publications: announced, carried by a section, muted, ended.

use std::collections::BTreeSet;
use std::iter::once;
use std::time::Duration;

use convene_sfu::{Answer, Incoming};
use convene_types::{Codec, MediaKind, Mid, TrackId};

use super::backup::Backup;
use super::dynacast::Demand;
use super::{Action, Heard, Now, State, Track, track_sid};
use crate::rooms::error::Error;
use crate::rooms::happening::What;
use crate::rooms::model::{ParticipantId, Source, TrackExtras, TrackInfo};
use crate::rooms::notice::Notice;
use crate::rooms::request::TrackRequest;

/// Bytes of each text that a publisher says of a track: its name, stream, cids, MIME types and RIDs. All of it is copied into
/// every update of the publisher to everyone, for each of its 64 tracks; clients write a few dozen.
const MAX_TEXT_BYTES: usize = 256;
/// Codecs of a track, for the same reason. Clients name two, of which two are looked at.
const MAX_CODECS: usize = 4;
/// Layers of a track, and of each of its codecs. There are three.
const MAX_LAYERS: usize = 8;
/// Features of each kind that are said of a track. The protocol has seven.
const MAX_FEATURES: usize = 32;

/// For how long a connection may be dead before it is noticed: half a minute of silence, and a write that takes ten seconds.
/// What was said on it in that time may be lost; longer would repeat what was heard.
const UNNOTICED: Duration = Duration::from_secs(40);

impl State {
    /// Whether a track may be announced. `Ok(Some)`: it is already, under this cid.
    pub(in crate::rooms) fn check_track(
        &self,
        id: ParticipantId,
        request: &TrackRequest,
    ) -> Result<Option<TrackInfo>, Error> {
        let participant = self.get(id)?;
        if !participant.info.permission.allows_source(request.source) {
            return Err(Error::NotAllowed("the token does not let this source be published"));
        }
        if request.cid.is_empty() {
            return Err(Error::Invalid("cid"));
        }
        check_sizes(request)?;
        let own = || self.tracks.values().filter(|track| track.owner == id);
        if let Some(known) = own().find(|track| track.cid == request.cid && !track.published) {
            return Ok(Some(known.info.clone()));
        }
        if own().count() >= self.options.max_tracks { Err(Error::Limit("tracks_per_participant")) } else { Ok(None) }
    }

    /// The media plane waits for the section of a track: its publisher may offer it.
    pub(in crate::rooms) fn handle_track_added(
        &mut self,
        id: ParticipantId,
        track: TrackId,
        request: TrackRequest,
    ) -> TrackInfo {
        let sid = track_sid();
        let stream = if request.stream.is_empty() { default_stream(request.source, &sid) } else { request.stream };
        let mime_type = request.codecs.first().map(|codec| codec.mime_type.clone()).unwrap_or_default();
        let info = TrackInfo {
            sid: sid.clone(),
            kind: request.kind,
            source: request.source,
            name: request.name,
            muted: request.muted,
            width: request.width,
            height: request.height,
            mime_type,
            mid: String::new(),
            stream,
            layers: request.layers,
            codecs: request.codecs,
            extras: request.extras,
        };
        self.sids.insert(sid, track);
        let state = Track { backup: Backup::of(&info), ..announced(track, id, request.cid, info.clone()) };
        self.tracks.insert(track, state);
        info
    }

    /// The client's offer was answered: tracks that have a section now are published.
    pub(in crate::rooms) fn handle_offer_answered(&mut self, now: Now, id: ParticipantId, answer: &Answer) {
        self.note_codecs(id, &answer.decodes);
        let mut bound = Vec::new();
        for incoming in &answer.incoming {
            let Some(track) = incoming.track.and_then(|track| self.tracks.get_mut(&track)) else { continue };
            if track.owner == id && !track.published {
                publish(track, incoming);
                bound.push((track.id, track.info.muted));
            }
        }
        if !bound.is_empty() {
            self.announce(now, id);
            self.tell_published(id, &bound);
        }
        for (track, muted) in bound {
            if muted {
                // The media plane knows a track only once a section carries it.
                self.actions.push_back(Action::SetMuted { track, muted });
            }
            self.reconcile_track(track);
        }
        self.handle_missing_after_offer(id, answer.missing);
        self.announce_first_subscribers(now, &answer.outgoing);
    }

    fn tell_published(&mut self, id: ParticipantId, bound: &[(TrackId, bool)]) {
        let Ok(owner) = self.participant_info(id) else { return };
        for (track, _) in bound {
            if let Some(track) = self.tracks.get(track).filter(|track| track.is_shown()) {
                let what = What::Published(Box::new(owner.clone()), Box::new(track.info.clone()));
                self.happenings.push_back(what);
            }
        }
    }

    /// First packet of a track: its codec is certain.
    pub(in crate::rooms) fn handle_track_started(&mut self, now: Now, track: TrackId, codec: Codec) {
        let Some(track) = self.tracks.get_mut(&track) else { return };
        let mime_type = mime_type(codec);
        if track.info.mime_type.eq_ignore_ascii_case(&mime_type) {
            return;
        }
        track.info.mime_type = mime_type;
        let (owner, id, shown) = (track.owner, track.id, track.is_shown());
        if shown {
            self.announce(now, owner);
        }
        // Who can decode it is another question now.
        for stream in self.streams(id) {
            self.reconcile_track(stream);
        }
    }

    /// The client stopped sending the section of a track.
    pub(in crate::rooms) fn handle_track_ended(&mut self, now: Now, track: TrackId) {
        if let Some(owner) = self.drop_track(track) {
            self.announce(now, owner);
        }
    }

    /// Mutes or unmutes; `by_server` tells the publisher to do so.
    pub(in crate::rooms) fn mute(
        &mut self,
        now: Now,
        id: ParticipantId,
        sid: &str,
        muted: bool,
        by_server: bool,
    ) -> Result<TrackInfo, Error> {
        let track = self.own_track(id, sid)?;
        let state = self.tracks.get_mut(&track).ok_or(Error::TrackNotFound)?;
        let changed = state.info.muted != muted;
        state.info.muted = muted;
        state.muted_unheard = by_server && muted && (changed || state.muted_unheard);
        let (info, published) = (state.info.clone(), state.published);
        if changed {
            let mutes = self.streams(track).map(|track| Action::SetMuted { track, muted });
            self.actions.extend(mutes);
            if by_server {
                self.notify(now, id, Notice::Mute { sid: sid.to_owned(), muted });
            }
            if published {
                self.announce(now, id);
            }
        }
        Ok(info)
    }

    /// The publisher describes its track anew.
    pub(in crate::rooms) fn describe_track(
        &mut self,
        now: Now,
        id: ParticipantId,
        sid: &str,
        features: Option<Vec<i32>>,
        size: Option<(u32, u32)>,
    ) {
        let Some(track) = self.own_track(id, sid).ok().and_then(|track| self.tracks.get_mut(&track)) else { return };
        if features.as_ref().is_some_and(|features| features.len() > MAX_FEATURES) {
            // The protocol has no answer to this: what was said before stays.
            tracing::info!(room = %self.info.name, sid, "too many features of a track, ignored");
            return;
        }
        if let Some(features) = features {
            track.info.extras.audio_features = features;
        }
        if let Some(size) = size {
            (track.info.width, track.info.height) = size;
        }
        if track.published {
            self.announce(now, id);
        }
    }

    /// Ends tracks the participant may no longer publish, and tells it.
    pub(super) fn end_forbidden_tracks(&mut self, now: Now, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else { return };
        let permission = &participant.info.permission;
        let forbidden = self.tracks.values().filter(|t| t.owner == id && !permission.allows_source(t.info.source));
        let forbidden: Vec<(TrackId, String)> = forbidden.map(|track| (track.id, track.info.sid.clone())).collect();
        for (track, sid) in forbidden {
            self.actions.push_back(Action::Unpublish(track));
            if self.tracks.get(&track).is_some_and(|track| track.first.is_some()) {
                self.drop_track(track);
                continue;
            }
            self.drop_track(track);
            self.notify(now, id, Notice::TrackUnpublished { sid });
        }
    }

    /// What a client believes to publish after a resume. It is told what has ended meanwhile.
    pub(in crate::rooms) fn check_tracks(&mut self, now: Now, id: ParticipantId, believed: Vec<String>) {
        for sid in believed {
            if self.own_track(id, &sid).is_err() {
                self.notify(now, id, Notice::TrackUnpublished { sid });
            }
        }
    }

    /// What the server has muted, for a client that may not know it.
    pub(super) fn unheard_mutes(&self, owner: ParticipantId) -> impl Iterator<Item = Notice> {
        let unheard = self.tracks.values().filter(move |track| track.owner == owner && track.muted_unheard);
        unheard.map(|track| Notice::Mute { sid: track.info.sid.clone(), muted: true })
    }

    /// The media plane forgets them together with their transport.
    pub(super) fn drop_tracks_of(&mut self, id: ParticipantId) {
        let own: Vec<TrackId> = self.tracks.values().filter(|t| t.owner == id).map(|t| t.id).collect();
        for track in own {
            self.drop_track(track);
        }
    }

    /// Forgets a track. Returns its owner where others knew of it.
    fn drop_track(&mut self, track: TrackId) -> Option<ParticipantId> {
        let track = self.tracks.remove(&track)?;
        match track.first {
            Some(first) => self.forget_backup(first),
            None => drop(self.sids.remove(&track.info.sid)),
        }
        if track.is_shown()
            && let Ok(owner) = self.participant_info(track.owner)
        {
            self.happenings.push_back(What::Unpublished(Box::new(owner), Box::new(track.info.clone())));
        }
        if let Some(stream) = track.backup.as_ref().and_then(|backup| backup.stream) {
            self.drop_track(stream);
            self.actions.push_back(Action::Unpublish(stream));
        }
        for participant in self.participants.values_mut() {
            participant.wants.remove(&track.id);
            participant.targets.remove(&track.id);
            participant.paused.forget(track.id);
        }
        for subscriber in &track.subscribers {
            self.want_offer(*subscriber, false); // its section becomes inactive
        }
        track.is_shown().then_some(track.owner)
    }

    /// Publishers learn of the first subscriber that has a section for their track.
    pub(super) fn announce_first_subscribers(&mut self, now: Now, outgoing: &[(Mid, TrackId)]) {
        for (_, track) in outgoing {
            self.announce_first_subscriber(now, *track);
        }
    }

    /// As [`State::announce_first_subscribers`], for one track.
    pub(super) fn announce_first_subscriber(&mut self, now: Now, track: TrackId) {
        let Some(track) = self.tracks.get_mut(&track).filter(|track| track.first_subscriber == Heard::No) else {
            return;
        };
        let connected = self.participants.get(&track.owner).is_some_and(|owner| owner.notices.is_some());
        track.first_subscriber = if connected { Heard::Said(now.at) } else { Heard::Owed };
        let (owner, sid) = (track.owner, track.info.sid.clone());
        self.notify(now, owner, Notice::TrackSubscribed { sid });
    }

    /// Of which own tracks a publisher may not know that somebody receives them. Clients that hear it twice take no harm; one
    /// that never does may wait for ever.
    pub(super) fn missed_first_subscribers(&mut self, now: Now, id: ParticipantId) -> Vec<Notice> {
        let cut = self.participants.get(&id).and_then(|participant| participant.detached_at).unwrap_or(now.at);
        let is_missed = |heard: Heard| match heard {
            Heard::No => false,
            Heard::Owed => true,
            Heard::Said(at) => cut.saturating_duration_since(at) <= UNNOTICED,
        };
        let own = self.tracks.values_mut().filter(|track| track.owner == id && track.is_shown());
        let missed = own.filter(|track| is_missed(track.first_subscriber));
        let tell = |track: &mut Track| {
            track.first_subscriber = Heard::Said(now.at);
            Notice::TrackSubscribed { sid: track.info.sid.clone() }
        };
        missed.map(tell).collect()
    }
}

/// Whether what is said of a track is as much as may be said to everyone.
fn check_sizes(request: &TrackRequest) -> Result<(), Error> {
    let TrackRequest { cid, name, stream, layers, codecs, extras, .. } = request;
    let layers = || once(layers).chain(codecs.iter().map(|codec| &codec.layers));
    let rids = layers().flatten().map(|layer| &layer.rid);
    let of_codecs = codecs.iter().flat_map(|codec| [&codec.mime_type, &codec.cid]);
    if [cid, name, stream].into_iter().chain(of_codecs).chain(rids).any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(Error::Limit("track_text_bytes"));
    }
    if codecs.len() > MAX_CODECS {
        return Err(Error::Limit("track_codecs"));
    }
    if layers().any(|layers| layers.len() > MAX_LAYERS) {
        return Err(Error::Limit("track_layers"));
    }
    let features = [&extras.audio_features, &extras.packet_trailer_features];
    if features.iter().any(|features| features.len() > MAX_FEATURES) {
        return Err(Error::Limit("track_features"));
    }
    Ok(())
}

/// What a section of a WHIP client becomes: such clients announce nothing.
pub(in crate::rooms) fn unannounced(incoming: &Incoming) -> TrackRequest {
    let (source, name) = match incoming.kind {
        MediaKind::Audio => (Source::Microphone, "audio"),
        MediaKind::Video => (Source::Camera, "video"),
    };
    TrackRequest {
        cid: incoming.mid.to_string(),
        kind: incoming.kind,
        source,
        name: name.to_owned(),
        muted: false,
        width: 0,
        height: 0,
        stream: String::new(),
        layers: Vec::new(),
        codecs: Vec::new(),
        extras: TrackExtras::default(),
    }
}

fn publish(track: &mut Track, incoming: &Incoming) {
    track.published = true;
    track.info.mid = incoming.mid.to_string();
    if let Some(codec) = incoming.codec {
        track.info.mime_type = mime_type(codec);
    }
}

/// A track that no section carries yet.
pub(super) fn announced(id: TrackId, owner: ParticipantId, cid: String, info: TrackInfo) -> Track {
    Track {
        id,
        owner,
        cid,
        info,
        published: false,
        subscribers: BTreeSet::new(),
        first_subscriber: Heard::No,
        muted_unheard: false,
        demand: Demand::default(),
        backup: None,
        first: None,
    }
}

/// As the LiveKit protocol spells it: `audio/opus`, `video/VP8`.
pub(super) fn mime_type(codec: Codec) -> String {
    format!("{}/{}", codec.kind(), codec.name())
}

/// Tracks of one stream name are kept in sync by the receivers.
fn default_stream(source: Source, sid: &str) -> String {
    match source {
        Source::Camera | Source::Microphone => "camera".to_owned(),
        Source::ScreenShare | Source::ScreenShareAudio => "screen".to_owned(),
        Source::Unknown => sid.to_owned(),
    }
}
