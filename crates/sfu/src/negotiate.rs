//! Offers, answers, publications and subscriptions of a peer: what was agreed becomes tracks and egress of the room.

use std::time::Instant;

use convene_peer::Peer;
use convene_peer::sdp::{Attach, ClientAnswer, ClientOffer, CodecParams, Section, match_codec};
use convene_sfu_core::{Egress, PtMap, RedPts, Room, TrackSpec};
use convene_types::{Codec, MediaKind, Mid, PeerId, Pt, Rid, RoomId, Ssrc, TrackId};
use rustc_hash::FxHashMap;

use crate::control::CONNECT_TIMEOUT;
use crate::handle::{Answer, Answered, Error, Event, Incoming, Missing, Offer, Publication, Subscription};
use crate::room::{RoomState, TrackEntry};
use crate::session::{MAX_SUBSCRIPTIONS_PER_PEER, MAX_TRACKS_PER_PEER, Published, Session, Subscribed};
use crate::worker::Worker;

impl Worker {
    pub(crate) fn handle_offer(&mut self, now: Instant, id: PeerId, offer: ClientOffer) -> Result<Answer, Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        let change = session.peer.handle_offer(now, offer)?;
        self.pending += usize::from(start_connect_deadline(session, now));
        self.enter_ufrag(id);
        self.bind_publications(now, id);
        self.bind_unnamed(now, id);
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        let sdp = session.peer.create_answer();
        self.reactivate(now, id);
        self.service(now, id);
        let session = self.sessions.get(&id).ok_or(Error::NoSuchPeer)?;
        Ok(Answer {
            sdp,
            outgoing: outgoing(session),
            incoming: session.peer.sections().iter().filter_map(|section| incoming(session, section)).collect(),
            decodes: decodes(session),
            missing: missing(session),
            ufrag: session.peer.ufrag().to_owned(),
            ice_restarted: change.ice_restarted,
        })
    }

    pub(crate) fn create_offer(&mut self, now: Instant, id: PeerId, ice_restart: bool) -> Result<Offer, Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        let sdp = session.peer.create_offer(now, ice_restart);
        let offer = Offer { sdp, outgoing: outgoing(session) };
        self.enter_ufrag(id);
        Ok(offer)
    }

    pub(crate) fn handle_answer(&mut self, now: Instant, id: PeerId, answer: ClientAnswer) -> Result<Answered, Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        session.peer.handle_answer(now, answer)?;
        let answered = Answered { lacks: session.peer.lacks().collect(), negotiate: session.peer.needs_negotiation() };
        self.pending += usize::from(start_connect_deadline(session, now));
        self.reactivate(now, id);
        self.service(now, id);
        Ok(answered)
    }

    pub(crate) fn restart_ice(&mut self, now: Instant, id: PeerId, fragment: &str) -> Result<String, Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        let answer = session.peer.handle_fragment(now, fragment)?;
        self.enter_ufrag(id);
        answer.ok_or_else(|| Error::BadSdp {
            code: "sdp_no_restart",
            reason: "the fragment has no new ICE credentials".to_owned(),
        })
    }

    pub(crate) fn publish(&mut self, now: Instant, id: PeerId, publication: Publication) -> Result<(), Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        if session.published.len() >= MAX_TRACKS_PER_PEER {
            return Err(Error::Limit { limit: "tracks_per_peer" });
        }
        session.published.push(Published { publication, mid: None, apt: Vec::new() });
        self.bind_publications(now, id);
        Ok(())
    }

    /// Ends a track; every subscription to it ends with it.
    pub(crate) fn unpublish(&mut self, now: Instant, room_id: RoomId, track: TrackId) {
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        room.core.remove_track(track);
        let entry = room.tracks.remove(&track);
        let mut served = Vec::new();
        for member in &room.members {
            let session = self.sessions.get_mut(member);
            if session.is_some_and(|session| forget_subscription(&mut room.core, session, track)) {
                served.push(*member);
            }
        }
        self.serve_waiting(now, room_id, &served);
        let Some(entry) = entry else { return };
        if let Some(publisher) = self.sessions.get_mut(&entry.publisher) {
            publisher.forget_published(track);
        }
        self.end_branches(room_id, track, &entry);
    }

    /// Tracks that waited have a section now. What is subscribed to may be asleep at its publisher: see `Secured`.
    fn serve_waiting(&mut self, now: Instant, room: RoomId, peers: &[PeerId]) {
        if peers.is_empty() {
            return;
        }
        peers.iter().for_each(|peer| self.activate(now, *peer));
        self.tell_demand(room);
        self.after_room_input(now, room);
    }

    pub(crate) fn subscribe(&mut self, now: Instant, id: PeerId, wanted: Subscription) -> Result<Missing, Error> {
        let session = self.sessions.get_mut(&id).ok_or(Error::NoSuchPeer)?;
        let room = self.rooms.get(&session.room).ok_or(Error::Closed)?;
        let entry = room.tracks.get(&wanted.track).ok_or(Error::NoSuchTrack)?;
        if session.subscribed.len() >= MAX_SUBSCRIPTIONS_PER_PEER {
            return Err(Error::Limit { limit: "subscriptions_per_peer" });
        }
        if session.subscribed.iter().all(|known| known.subscription.track != wanted.track) {
            let (ssrc, rtx_ssrc) = (self.ssrcs.next(), self.ssrcs.next());
            let kind = entry.codecs.first().map_or(MediaKind::Audio, |codec| codec.codec.kind());
            let (msid, codecs) = (&wanted.msid, &entry.codecs);
            session.peer.attach(Attach { track: wanted.track, kind, msid, ssrc, rtx_ssrc, codecs });
            session.subscribed.push(Subscribed { subscription: wanted, ssrc, rtx_ssrc, egress: None, target: None });
        }
        self.activate(now, id);
        let session = self.sessions.get(&id).ok_or(Error::NoSuchPeer)?;
        Ok(missing(session))
    }

    pub(crate) fn unsubscribe(&mut self, now: Instant, room_id: RoomId, id: PeerId, track: TrackId) {
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        room.core.unsubscribe(id, track);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if forget_subscription(&mut room.core, session, track) {
            self.serve_waiting(now, room_id, &[id]);
        }
    }

    pub(crate) fn subscribed_mut(&mut self, id: PeerId, track: TrackId) -> Option<&mut Subscribed> {
        let session = self.sessions.get_mut(&id)?;
        session.subscribed.iter_mut().find(|subscribed| subscribed.subscription.track == track)
    }

    /// Gives the room what has section, keys and codec by now.
    pub(crate) fn activate(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.connected) else { return };
        let Some(room) = self.rooms.get_mut(&session.room) else { return };
        let (sections, mut giving) = (sending(&session.peer), Giving { now, id, room, peer: &session.peer });
        for subscribed in session.subscribed.iter_mut().filter(|subscribed| subscribed.egress.is_none()) {
            if let Some(section) = sections.get(&subscribed.subscription.track) {
                giving.give(section, subscribed);
            }
        }
    }

    /// The same once the client has had its say, which may be about what flows as well: it stopped a section, whose track is on another
    /// one now or on none, or takes it in another form.
    fn reactivate(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.connected) else { return };
        let Some(room) = self.rooms.get_mut(&session.room) else { return };
        let (sections, mut giving) = (sending(&session.peer), Giving { now, id, room, peer: &session.peer });
        for subscribed in &mut session.subscribed {
            let track = subscribed.subscription.track;
            match sections.get(&track) {
                Some(section) => giving.give(section, subscribed),
                None if subscribed.egress.take().is_some() => giving.room.core.unsubscribe(id, track),
                None => {}
            }
        }
    }

    /// Finds sections for announced tracks, and ends tracks whose section the client stopped sending.
    fn bind_publications(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(room) = self.rooms.get_mut(&session.room) else { return };
        let sections = session.peer.sections();
        let sends = |mid: Mid| sections.iter().any(|section| section.mid == mid && section.receiving);
        let ended = session.published.iter().filter(|p| p.mid.is_some_and(|mid| !sends(mid)));
        let ended: Vec<TrackId> = ended.map(|published| published.publication.track).collect();
        for index in 0..session.published.len() {
            let Some(published) = session.published.get(index).filter(|published| published.mid.is_none()) else {
                continue;
            };
            if let Some(mid) = session.section_of(&published.publication.bind) {
                bind(now, room, session, index, mid);
            }
        }
        let room_id = session.room;
        for track in ended {
            self.unpublish(now, room_id, track);
            if let Some(room) = self.rooms.get_mut(&room_id) {
                room.emit(Event::TrackEnded { track });
            }
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            let sections = session.peer.sections();
            session.spent.retain(|mid| sections.iter().any(|section| section.mid == *mid && section.receiving));
        }
    }

    /// An offer is there, and what is announced still is on none of its sections by name. Not when a track is announced: its
    /// section may come with the next offer.
    fn bind_unnamed(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(room) = self.rooms.get_mut(&session.room) else { return };
        for index in 0..session.published.len() {
            let Some(published) = session.published.get(index).filter(|published| published.mid.is_none()) else {
                continue;
            };
            if let Some(mid) = session.unnamed_section_for(&published.publication) {
                bind(now, room, session, index, mid);
            }
        }
    }
}

/// The publication at `index` is on the section `mid`: the room learns of it.
fn bind(now: Instant, room: &mut RoomState, session: &mut Session, index: usize, mid: Mid) {
    let id = session.id;
    let Some(published) = session.published.get_mut(index) else { return };
    if let Some(codec) = published.publication.codec {
        session.peer.prefer(mid, codec);
    }
    let Some(section) = session.peer.sections().iter().find(|section| section.mid == mid) else { return };
    let rids = layers(&published.publication.rids, &section.rids);
    let track = published.publication.track;
    let spec = track_spec(track, id, section, rids.len());
    room.core.add_track(now, spec.clone());
    room.tracks.insert(track, TrackEntry::new(spec, section.codecs.clone(), published.publication.redundant));
    let apt = section.codecs.iter().filter_map(|codec| Some((codec.rtx?, codec.pt))).collect();
    (published.mid, published.apt, published.publication.rids) = (Some(mid), apt, rids);
}

/// `true`: it began.
fn start_connect_deadline(session: &mut Session, now: Instant) -> bool {
    let begins = !session.connected && session.connect_deadline.is_none();
    if begins {
        session.connect_deadline = Some(now + CONNECT_TIMEOUT);
    }
    begins
}

/// `true`: its section carries another track at once, of which the room has to learn.
pub(crate) fn forget_subscription(core: &mut Room, session: &mut Session, track: TrackId) -> bool {
    let id = session.id;
    session.subscribed.retain(|subscribed| {
        let stays = subscribed.subscription.track != track;
        if !stays {
            core.forget_stream(id, subscribed.ssrc); // its own; that of a reserved section is for the next track
        }
        stays
    });
    session.peer.detach(track)
}

fn track_spec(track: TrackId, publisher: PeerId, section: &Section, rids: usize) -> TrackSpec {
    TrackSpec {
        track,
        publisher,
        kind: section.codecs.first().map_or(MediaKind::Audio, |codec| codec.codec.kind()),
        pts: section.codecs.iter().map(|codec| (codec.pt, codec.codec)).collect(),
        layers: u8::try_from(rids.max(1)).unwrap_or(1),
        exts: section.exts,
        rtx: section.codecs.iter().any(|codec| codec.rtx.is_some()),
        nack: section.nack,
    }
}

/// Sections that packets of a track may go out on. They are gone through once, not for each of the hundreds of subscriptions.
fn sending(peer: &Peer) -> FxHashMap<TrackId, &Section> {
    let sections = peer.sections().iter().filter(|section| section.sending);
    sections.filter_map(|section| Some((section.outgoing.as_ref()?.key, section))).collect()
}

/// What is given to the room, and who for.
struct Giving<'a> {
    now: Instant,
    id: PeerId,
    room: &'a mut RoomState,
    peer: &'a Peer,
}

impl Giving<'_> {
    /// Tells the room how a track goes out, unless it knows.
    fn give(&mut self, section: &Section, subscribed: &mut Subscribed) {
        let track = subscribed.subscription.track;
        let Some(entry) = self.room.tracks.get(&track) else { return };
        let mut egress = egress(section, entry, subscribed);
        let known = subscribed.egress.as_ref();
        let goes_on = known.is_some_and(|known| form(known) == form(&egress));
        if goes_on && known.is_some_and(|known| (known.mid, known.exts) == (egress.mid, egress.exts)) {
            return;
        }
        if known.is_some() && !goes_on {
            self.room.core.unsubscribe(self.id, track); // it keeps the numbers of the SSRC, for whoever has it next
        }
        let last = |ssrc| self.peer.last_sealed(ssrc);
        egress.after = (last(egress.ssrc), egress.rtx_ssrc.and_then(last));
        subscribed.egress = Some(egress.clone());
        self.room.core.subscribe(self.now, self.id, track, egress);
        if let Some(target) = subscribed.target.filter(|_target| !goes_on) {
            self.room.core.set_priority(self.id, track, target.priority);
            self.room.core.set_target(self.now, self.id, track, target.paused, target.max_layer);
        }
    }
}

/// What a stream is made of. With anything else it begins anew, while it may go out on another section from any packet on.
fn form(egress: &Egress) -> impl PartialEq + '_ {
    let Egress { ssrc, rtx_ssrc, after: _, mid: _, exts: _, pts, unwrap_red, make_red } = egress;
    (ssrc, rtx_ssrc, pts, unwrap_red, make_red)
}

fn egress(section: &Section, entry: &TrackEntry, subscribed: &Subscribed) -> Egress {
    let map = |from: &CodecParams| {
        let to = match_codec(from, &section.codecs)?;
        Some(PtMap { from: from.pt, to: to.pt, rtx: to.rtx })
    };
    // A reserved section keeps the SSRCs that its first answer announced.
    let outgoing = section.outgoing.as_ref();
    let outgoing_rtx = outgoing.map_or(subscribed.rtx_ssrc, |outgoing| outgoing.rtx_ssrc);
    let mut pts: Vec<PtMap> = entry.codecs.iter().filter_map(map).collect();
    let unwrap_red = unwrapped_red(entry, section);
    if let Some((from, to)) = unwrap_red {
        pts.push(PtMap { from, to, rtx: None });
    }
    let rtx_ssrc = pts.iter().any(|pt| pt.rtx.is_some()).then_some(outgoing_rtx);
    let ssrc = outgoing.map_or(subscribed.ssrc, |outgoing| outgoing.ssrc);
    Egress {
        ssrc,
        rtx_ssrc,
        after: (None, None),
        mid: section.mid,
        exts: section.egress_exts(),
        pts,
        unwrap_red: unwrap_red.map(|(red, _)| red),
        make_red: made_red(entry, section),
    }
}

/// RED for a subscriber that takes it, made of a publisher's plain Opus, where that may be. Its format names the payload type
/// of the Opus in it, once for each block (RFC 2198 §4).
fn made_red(entry: &TrackEntry, section: &Section) -> Option<RedPts> {
    let from = entry.codecs.iter().find(|codec| entry.redundant && codec.codec == Codec::Opus)?;
    let opus = match_codec(from, &section.codecs)?;
    let names = |codec: &CodecParams| codec.fmtp.split('/').all(|block| block.trim().parse() == Ok(opus.pt.0));
    let red = section.codecs.iter().find(|codec| codec.codec == Codec::Red && names(codec))?;
    Some(RedPts { from: from.pt, red: red.pt, opus: opus.pt })
}

/// RED of a publisher for a subscriber without it: its payload type, and that of the subscriber's Opus.
fn unwrapped_red(entry: &TrackEntry, section: &Section) -> Option<(Pt, Pt)> {
    let red = entry.codecs.iter().find(|codec| codec.codec == Codec::Red)?;
    let opus = entry.codecs.iter().find(|codec| codec.codec == Codec::Opus)?;
    match match_codec(red, &section.codecs) {
        Some(_) => None,
        None => Some((red.pt, match_codec(opus, &section.codecs)?.pt)),
    }
}

/// RIDs of a section from the lowest layer to the highest. Names that LiveKit clients use say it (`q h f`); otherwise
/// the order the publication gave, otherwise that of `a=simulcast`, which lists the preferred first by RFC 8853 §5.1 but
/// is written lowest first by browsers when the page's encodings are.
fn layers(announced: &[Rid], offered: &[Rid]) -> Vec<Rid> {
    let mut rids = offered.to_vec();
    let rank = |rid: &Rid| match rid.as_str() {
        "q" => 0,
        "h" => 1,
        "f" => 2,
        _ => 3 + announced.iter().position(|known| known == rid).unwrap_or(0),
    };
    rids.sort_by_key(rank);
    rids
}

fn outgoing(session: &Session) -> Vec<(Mid, TrackId)> {
    let sections = session.peer.sections().iter();
    sections.filter_map(|section| Some((section.mid, section.outgoing.as_ref()?.key))).collect()
}

fn incoming(session: &Session, section: &Section) -> Option<Incoming> {
    // RED is how it comes, and is taken apart: what it is stands behind it.
    let codec = section.codecs.iter().map(|codec| codec.codec).find(|codec| *codec != Codec::Red)?;
    let published = session.published.iter().find(|published| published.mid == Some(section.mid));
    section.receiving.then(|| Incoming {
        mid: section.mid,
        kind: codec.kind(),
        msid_track: section.msid.as_ref().map(|(_, track)| track.clone()),
        track: published.map(|published| published.publication.track),
        codec: Some(codec),
    })
}

fn decodes(session: &Session) -> Vec<Codec> {
    let receives = session.peer.sections().iter().filter(|section| !section.rejected && !section.receiving);
    let mut codecs: Vec<Codec> = Vec::new();
    for codec in receives.flat_map(|section| &section.codecs) {
        if !codecs.contains(&codec.codec) {
            codecs.push(codec.codec);
        }
    }
    codecs
}

fn missing(session: &Session) -> Missing {
    let (audio, video) = session.peer.missing_sections();
    Missing { audio, video, negotiate: session.peer.needs_negotiation() }
}

/// SSRCs we send with: random, because a peer of another room may move its packets to any of our addresses.
pub(crate) struct Ssrcs;

impl Ssrcs {
    pub(crate) fn next(&mut self) -> Ssrc {
        Ssrc(rand::random_range(1..=u32::MAX))
    }
}

#[cfg(test)]
mod tests;
