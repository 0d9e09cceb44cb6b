//! Backup codecs: a publisher of VP9 or AV1 may say that it would send another codec as well, for those who cannot decode the
//! first. It does so when it is told that somebody needs it, as a stream of its own, that is the same track to everybody.
//!
//! What a receiver can decode is read from its offers; of a client that we offer to (two-connection mode) it is known once it
//! has answered without a codec.

use std::collections::BTreeSet;

use convene_types::{Codec, MediaKind, TrackId};

use super::dynacast::Demand;
use super::{Now, Participant, State, Track, tracks};
use crate::rooms::error::Error;
use crate::rooms::model::{CodecInfo, ParticipantId, TrackInfo};
use crate::rooms::request::TrackRequest;

/// The other codec of a track.
#[derive(Debug)]
pub(super) struct Backup {
    /// `video/vp8`.
    pub(super) mime_type: String,
    /// Its stream, once the publisher has announced it.
    pub(super) stream: Option<TrackId>,
    pub(super) demand: Demand,
}

impl Backup {
    /// As the publisher announced its track: the second of its codecs.
    pub(super) fn of(info: &TrackInfo) -> Option<Self> {
        let announced = info.codecs.get(1).filter(|_| info.kind == MediaKind::Video)?;
        let mime_type = announced.mime_type.to_ascii_lowercase();
        (!mime_type.is_empty()).then(|| Self { mime_type, stream: None, demand: Demand::off() })
    }
}

impl State {
    /// Whether a publisher may send the backup codec of a track.
    pub(in crate::rooms) fn check_backup(
        &self,
        id: ParticipantId,
        sid: &str,
        request: &TrackRequest,
    ) -> Result<(), Error> {
        let track = self.own_track(id, sid)?;
        let backup = self.tracks.get(&track).and_then(|track| track.backup.as_ref());
        let backup = backup.ok_or(Error::Invalid("the track was announced without a backup codec"))?;
        if backup.stream.is_some() {
            return Err(Error::Invalid("the backup codec is published already"));
        }
        self.check_track(id, request).map(|_| ())
    }

    /// The media plane waits for the section of the backup codec. Returns the track as others know it.
    pub(in crate::rooms) fn handle_backup_added(
        &mut self,
        id: ParticipantId,
        sid: &str,
        stream: TrackId,
        request: TrackRequest,
    ) -> Result<TrackInfo, Error> {
        let first = self.own_track(id, sid)?;
        let track = self.tracks.get_mut(&first).ok_or(Error::TrackNotFound)?;
        let Some(backup) = &mut track.backup else { return Err(Error::TrackNotFound) };
        backup.stream = Some(stream);
        if let Some(codec) = track.info.codecs.get_mut(1) {
            *codec = CodecInfo { cid: request.cid.clone(), layers: request.layers.clone(), ..codec.clone() };
        }
        let info = TrackInfo { mime_type: backup.mime_type.clone(), layers: request.layers, ..track.info.clone() };
        let known = track.info.clone();
        self.tracks.insert(stream, Track { first: Some(first), ..tracks::announced(stream, id, request.cid, info) });
        Ok(known)
    }

    /// What a participant's offer says that it can decode.
    pub(super) fn note_codecs(&mut self, id: ParticipantId, codecs: &[Codec]) {
        let Some(participant) = self.participants.get_mut(&id) else { return };
        let known = participant.decodes.len();
        participant.decodes.extend(names(codecs));
        if participant.decodes.len() != known {
            self.reconcile_subscriber(id);
        }
    }

    /// Codecs that a participant was offered and has never taken in an answer.
    pub(in crate::rooms) fn note_lacks(&mut self, id: ParticipantId, codecs: &[Codec]) {
        let Some(participant) = self.participants.get_mut(&id) else { return };
        let lacks = names(codecs).collect();
        if std::mem::replace(&mut participant.lacks, lacks) != participant.lacks {
            self.reconcile_subscriber(id);
        }
    }

    /// Whether a stream, of the first codec or of the other, is the one that a participant gets of its track.
    pub(super) fn is_carrier(&self, participant: &Participant, track: &Track) -> bool {
        match track.first.and_then(|first| self.tracks.get(&first)) {
            Some(first) => needs_backup(participant, first),
            None => !needs_backup(participant, track),
        }
    }

    /// The highest layer of the backup codec that is asked for; `None`: nobody needs it.
    pub(super) fn wanted_of_backup(&self, track: &Track) -> Option<u8> {
        let needing = self.participants.values().filter(|participant| needs_backup(participant, track));
        let needing =
            needing.filter(|participant| self.wants(participant, track) && self.is_allowed(participant.id, track.id));
        needing.filter_map(|participant| participant.wish(track.id)).max()
    }

    /// The streams of a track: that of its first codec, and of the other.
    pub(super) fn streams(&self, track: TrackId) -> impl Iterator<Item = TrackId> + use<> {
        let backup = self.tracks.get(&track).and_then(|track| track.backup.as_ref()?.stream);
        [Some(track), backup].into_iter().flatten()
    }

    /// A stream has ended: the one of a backup codec may come again.
    pub(super) fn forget_backup(&mut self, first: TrackId) {
        if let Some(backup) = self.tracks.get_mut(&first).and_then(|track| track.backup.as_mut()) {
            backup.stream = None;
            backup.demand = Demand::off();
        }
    }

    /// Tells who has to send what, of a track with two codecs.
    pub(super) fn update_backup_demand(&mut self, now: Now, id: TrackId) -> bool {
        let Some(track) = self.tracks.get(&id).filter(|track| track.backup.is_some()) else { return false };
        let wanted = self.wanted_of_backup(track);
        let backup = self.tracks.get_mut(&id).and_then(|track| track.backup.as_mut());
        backup.is_some_and(|backup| backup.demand.update(now.at, wanted))
    }
}

/// As `decodes` and `lacks` of participants have them.
fn names(codecs: &[Codec]) -> impl Iterator<Item = String> {
    codecs.iter().map(|codec| tracks::mime_type(*codec).to_ascii_lowercase())
}

/// Whether the first codec of a track is none that a participant decodes, and there is another.
fn needs_backup(participant: &Participant, first: &Track) -> bool {
    let Some(backup) = &first.backup else { return false };
    let known: &BTreeSet<String> = &participant.decodes;
    let can = |codec: &str| !participant.lacks.contains(codec) && (known.is_empty() || known.contains(codec));
    !can(&first.info.mime_type.to_ascii_lowercase()) && can(&backup.mime_type)
}
