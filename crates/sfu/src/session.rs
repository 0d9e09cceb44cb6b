//! One peer as its worker keeps it: the transport, what it publishes and what it is subscribed to.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use convene_peer::Peer;
use convene_peer::sdp::{KEPT_SECTIONS, MAX_SECTIONS, Section, SectionKind};
use convene_sfu_core::Egress;
use convene_types::{MediaKind, Mid, PeerId, Pt, RoomId, Ssrc, TrackId};
use rustc_hash::FxHashMap;

use crate::demux::Entries;
use crate::frames::Frames;
use crate::handle::{Bind, Channel, LayerTarget, PeerOptions, Publication, Subscription};
use crate::socket::Path;

/// Tracks one peer may publish. 10 cameras and 10 microphones are tested; 64 leaves room and bounds the section list.
pub(crate) const MAX_TRACKS_PER_PEER: usize = 64;

/// Tracks one peer may be subscribed to: one media section each, of the negotiator's limit. What had no section would wait for one
/// that never comes.
pub(crate) const MAX_SUBSCRIPTIONS_PER_PEER: usize = 256;
const _: () = assert!(MAX_SUBSCRIPTIONS_PER_PEER + KEPT_SECTIONS < MAX_SECTIONS);

/// SSRCs bound for one peer: 64 tracks x 3 layers x 2 (RTX) rounded up.
const MAX_BINDINGS_PER_PEER: usize = 512;

/// Messages kept for a data channel that is not open yet; the oldest goes first. A join takes under a second.
const MAX_EARLY_MESSAGES: usize = 64;

/// Labels that LiveKit clients give their channels; the server opens the same in the two-connection mode.
pub(crate) const RELIABLE_LABEL: &str = "_reliable";
/// See [`RELIABLE_LABEL`].
pub(crate) const LOSSY_LABEL: &str = "_lossy";
/// See [`RELIABLE_LABEL`].
pub(crate) const TRACKS_LABEL: &str = "_data_track";

/// What the SSRC of an incoming packet means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) track: TrackId,
    pub(crate) layer: u8,
    pub(crate) repair: bool,
}

/// A publication and the section it was found on.
pub(crate) struct Published {
    pub(crate) publication: Publication,
    pub(crate) mid: Option<Mid>,
    /// RTX payload types and the media payload types they repeat (`apt`).
    pub(crate) apt: Vec<(Pt, Pt)>,
}

/// A subscription and whether packets flow.
pub(crate) struct Subscribed {
    pub(crate) subscription: Subscription,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx_ssrc: Ssrc,
    /// As given to the room, once its section is negotiated and the transport secured.
    pub(crate) egress: Option<Egress>,
    /// Asked for, perhaps before the room knew the subscription.
    pub(crate) target: Option<LayerTarget>,
}

/// One peer of one worker.
pub(crate) struct Session {
    pub(crate) id: PeerId,
    pub(crate) room: RoomId,
    pub(crate) peer: Peer,
    pub(crate) span: tracing::Span,
    pub(crate) entries: Entries,
    pub(crate) local_ip: Option<IpAddr>,
    /// The worker that it came from and whose socket it is reached by.
    pub(crate) via: Option<usize>,
    pub(crate) connected: bool,
    /// Negotiated but not connected: gone when this passes.
    pub(crate) connect_deadline: Option<Instant>,
    pub(crate) published: Vec<Published>,
    pub(crate) subscribed: Vec<Subscribed>,
    /// Sections of publications that ended, on which the client may send on.
    pub(crate) spent: Vec<Mid>,
    bindings: FxHashMap<Ssrc, Binding>,
    early: VecDeque<(Channel, Bytes)>,
    frames: Frames,
}

impl Session {
    pub(crate) fn new(room: RoomId, options: &PeerOptions, peer: Peer, span: tracing::Span) -> Self {
        Self {
            id: options.peer,
            room,
            peer,
            span,
            entries: Entries::default(),
            local_ip: None,
            via: None,
            connected: false,
            connect_deadline: None,
            published: Vec::new(),
            subscribed: Vec::new(),
            spent: Vec::new(),
            bindings: FxHashMap::default(),
            early: VecDeque::new(),
            frames: Frames::default(),
        }
    }

    /// Where its packets go; `None` before ICE has an address.
    pub(crate) fn path(&self) -> Option<Path> {
        Some(Path { remote: self.peer.remote()?, local_ip: self.local_ip, via: self.via })
    }

    /// Reads a little of each cache line that [`Self::path`] and sealing need: see [`Peer::touch`].
    pub(crate) fn touch(&self, depth: usize) -> u64 {
        let own = if depth == 0 { self.via.unwrap_or(0) as u64 ^ u64::from(self.local_ip.is_some()) } else { 0 };
        own ^ self.peer.touch(depth)
    }

    /// The earliest time it wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.peer.poll_timeout(), self.connect_deadline].into_iter().flatten().min()
    }

    /// What an SSRC means; binds it on its first authenticated packet.
    pub(crate) fn binding(&mut self, view: &convene_rtp::packet::View<'_>) -> Option<Binding> {
        if let Some(binding) = self.bindings.get(&view.ssrc()) {
            return Some(*binding);
        }
        let source = self.peer.resolve(view)?;
        let published = self.published.iter().find(|published| published.mid == Some(source.mid))?;
        let rids = &published.publication.rids;
        let layer = match source.rid {
            Some(rid) if !rids.is_empty() => rids.iter().position(|known| *known == rid)?,
            Some(_) | None => 0,
        };
        let binding =
            Binding { track: published.publication.track, layer: u8::try_from(layer).ok()?, repair: source.repair };
        if self.bindings.len() < MAX_BINDINGS_PER_PEER {
            self.bindings.insert(view.ssrc(), binding);
        }
        Some(binding)
    }

    /// What a known SSRC carries.
    pub(crate) fn kind_of(&self, ssrc: Ssrc) -> Option<MediaKind> {
        let track = self.bindings.get(&ssrc)?.track;
        self.published.iter().map(|known| &known.publication).find(|known| known.track == track).map(|known| known.kind)
    }

    /// The media payload type that an RTX payload type of this track repeats (RFC 4588 §8.1 `apt`).
    pub(crate) fn apt(&self, track: TrackId, rtx: Pt) -> Option<Pt> {
        let published = self.published.iter().find(|published| published.publication.track == track)?;
        published.apt.iter().find(|(pt, _)| *pt == rtx).map(|(_, media)| *media)
    }

    /// Forgets a track it published.
    pub(crate) fn forget_published(&mut self, track: TrackId) {
        let ended = self.published.iter().find(|published| published.publication.track == track);
        if let Some(mid) = ended.and_then(|published| published.mid).filter(|mid| !self.spent.contains(mid)) {
            self.spent.push(mid);
        }
        self.published.retain(|published| published.publication.track != track);
        self.bindings.retain(|_, binding| binding.track != track);
    }

    /// The section a publication asks for.
    pub(crate) fn section_of(&self, bind: &Bind) -> Option<Mid> {
        let taken = |mid: &Mid| self.published.iter().any(|published| published.mid == Some(*mid));
        self.peer
            .sections()
            .iter()
            .find(|section| {
                section.receiving
                    && !taken(&section.mid)
                    && match bind {
                        Bind::Mid(mid) => section.mid == *mid,
                        Bind::Msid(wanted) => section.msid.as_ref().is_some_and(|(_, track)| track == wanted),
                    }
            })
            .map(|section| section.mid)
    }

    /// The first section of its kind that no publication names, for one that names none. Firefox makes up the track id of
    /// `a=msid` (RFC 8829 §5.2.1 lets it), so what it announces and what it offers meet by kind and order only.
    pub(crate) fn unnamed_section_for(&self, publication: &Publication) -> Option<Mid> {
        let Bind::Msid(_) = publication.bind else { return None };
        let named = |section: &Section| {
            let Some((_, track)) = &section.msid else { return false };
            self.published.iter().any(|published| published.publication.bind == Bind::Msid(track.clone()))
        };
        let kind = match publication.kind {
            MediaKind::Audio => SectionKind::Audio,
            MediaKind::Video => SectionKind::Video,
        };
        let taken = |mid: &Mid| self.spent.contains(mid) || self.published.iter().any(|other| other.mid == Some(*mid));
        let mut sections = self.peer.sections().iter();
        let fits =
            |section: &&Section| section.receiving && section.kind == kind && !taken(&section.mid) && !named(section);
        sections.find(fits).map(|section| section.mid)
    }

    /// Sends over a data channel, or keeps the message until the channel opens. `false`: it was dropped.
    pub(crate) fn send_data(&mut self, now: Instant, channel: Channel, payload: &Bytes) -> bool {
        let label = match channel {
            Channel::Reliable => RELIABLE_LABEL,
            Channel::Lossy => LOSSY_LABEL,
            Channel::Tracks => TRACKS_LABEL,
        };
        if channel == Channel::Tracks {
            let peer = &mut self.peer;
            return self.frames.send(payload, |late| match late {
                false => peer.send(now, label, payload).is_ok(),
                true => peer.send_late(now, label, payload).is_ok(),
            });
        }
        if self.peer.channel_is_open(label) {
            return self.peer.send(now, label, payload).is_ok();
        }
        if channel != Channel::Reliable {
            return false;
        }
        let dropped = self.early.len() >= MAX_EARLY_MESSAGES && self.early.pop_front().is_some();
        self.early.push_back((channel, payload.clone()));
        !dropped
    }

    /// A channel opened: what waited for it goes out.
    pub(crate) fn flush_early(&mut self, now: Instant) {
        for (channel, payload) in std::mem::take(&mut self.early) {
            self.send_data(now, channel, &payload);
        }
    }
}

/// Which path a channel label is.
pub(crate) fn channel_of(label: &str) -> Option<Channel> {
    match label {
        RELIABLE_LABEL => Some(Channel::Reliable),
        LOSSY_LABEL => Some(Channel::Lossy),
        TRACKS_LABEL => Some(Channel::Tracks),
        _ => None,
    }
}
