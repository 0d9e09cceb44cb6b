//! One layer of a published track: a stream as it comes in, put in order, counted and kept.

use std::time::{Duration, Instant};

use convene_rtp::rtcp::SenderInfo;
use convene_rtp::seq::Unwrapper;
use convene_types::{ExtSeq, Pt, SeqNo, Ssrc};

use crate::Drop;
use crate::config::Config;
use crate::gaps::Gaps;
use crate::history::{History, Stored};
use crate::hold::Hold;
use crate::meta::Meta;
use crate::nack::{Generator, Path};
use crate::pace::Pace;
use crate::pli::Throttle;
use crate::queue::Transit;
use crate::reception::Reception;
use crate::shape::Shape;
use crate::sr::Clock;
use crate::uplink::Uplink;
use crate::volume::Volumes;
use crate::window::{Seen, Window};

/// Packets in a row that are too old but follow each other mean that the sender jumped (RFC 3550 A.1 uses two; SRTP has
/// authenticated these, so that a stray one is no concern, but a late burst is).
const MIN_JUMPED: u8 = 4;

/// The lowest layer has as many times the time of others before it counts as gone.
const LOWEST_PATIENCE: u32 = 3;

/// A layer goes over to another SSRC once in this time at most: each time all of its subscribers begin anew, with a keyframe. Longer,
/// and a publisher that begins anew twice is not seen for so long; shorter, and two senders of one layer cost more. And it goes back to
/// the one before once there was nothing of the present one for that time.
const MIN_STREAM: Duration = Duration::from_millis(200);
/// A stream that goes to another payload type is chosen for anew by all of its subscribers, so it may do so once in this time. Longer,
/// and who can take the new one waits for a keyframe more often; shorter costs more where somebody changes all the time.
const MIN_CODED: Duration = Duration::from_millis(200);

/// A packet to take in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) ssrc: Ssrc,
    pub(crate) seq: SeqNo,
    /// It came as RTX.
    pub(crate) repair: bool,
    pub(crate) meta: &'a Meta,
    pub(crate) bytes: &'a [u8],
    /// RTP clock in Hz.
    pub(crate) rate: u32,
    /// Whether it matters what is missing: it is asked for, or a keyframe is.
    pub(crate) gaps: bool,
    /// The publisher's path is full.
    pub(crate) full: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Padding: gone, and its number with it.
    Padding,
    /// To forward, under this number. Padding that came too late to close its gap is an empty packet here.
    Media {
        seq: u64,
        /// Too many packets before it are missing to ask for each.
        lossy: bool,
        /// Another set of spatial layers is sent from here on.
        reshaped: bool,
        /// Another payload type is sent from here on.
        recoded: bool,
        /// It begins a keyframe.
        keyframe: bool,
    },
}

/// The layer of this index, unless another stream has taken its place.
pub(crate) fn of_generation(layers: &[Layer], index: u8, generation: u32) -> Option<&Layer> {
    layers.get(usize::from(index)).filter(|layer| layer.generation == generation)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Of the media stream; `None` before its first packet.
    pub(crate) ssrc: Option<Ssrc>,
    /// The one before that, and when it went over from it.
    left: Option<(Ssrc, Instant)>,
    /// Grows when the stream begins anew: another SSRC, or a jump of the sequence numbers.
    pub(crate) generation: u32,
    pub(crate) history: History,
    pub(crate) nack: Generator,
    pub(crate) pli: Throttle,
    pub(crate) reception: Reception,
    /// What the publisher's path loses and gives back late.
    pub(crate) uplink: Uplink,
    pub(crate) transit: Transit,
    pub(crate) clock: Option<Clock>,
    /// RTP clock in Hz.
    pub(crate) rate: u32,
    /// When a packet with media last came in that was its newest.
    pub(crate) flowed: Option<Instant>,
    pace: Pace,
    /// It comes back, and nobody gets it yet.
    pub(crate) hold: Option<Hold>,
    /// The payload type that is sent, and since when.
    coded: Option<(Pt, Instant)>,
    /// Its newest packet's number and timestamp, and how far the timestamps of neighbours are apart.
    newest: Option<(u64, u32)>,
    step: u32,
    /// Subscriptions that forward this layer or wait for its keyframe; as of the last selection.
    pub(crate) users: u32,
    /// The layers within it.
    pub(crate) shape: Shape,
    /// What forwarding costs, by cut.
    pub(crate) volumes: Volumes,
    /// Timestamp of the last keyframe, which all its packets have.
    keyframe_ts: Option<u32>,
    unwrapper: Unwrapper,
    window: Window,
    gaps: Gaps,
    jumped: (u16, u8),
    epoch: Instant,
}

impl Layer {
    pub(crate) fn new(config: &Config, epoch: Instant) -> Self {
        Self {
            ssrc: None,
            left: None,
            generation: 0,
            history: History::new(config.history_span, config.max_history_bytes),
            nack: Generator::new(),
            pli: Throttle::default(),
            reception: Reception::new(epoch),
            uplink: Uplink::new(epoch),
            transit: Transit::default(),
            clock: None,
            rate: 90_000,
            flowed: None,
            pace: Pace::default(),
            hold: None,
            coded: None,
            newest: None,
            step: 0,
            users: 0,
            shape: Shape::new(),
            volumes: Volumes::default(),
            keyframe_ts: None,
            unwrapper: Unwrapper::new(),
            window: Window::new(),
            gaps: Gaps::new(),
            jumped: (0, 0),
            epoch,
        }
    }

    /// Takes a packet in.
    pub(crate) fn ingest(&mut self, now: Instant, incoming: &Incoming<'_>) -> Result<Arrival, Drop> {
        match self.ssrc {
            None if incoming.repair => return Err(Drop::RepairBeforeMedia),
            Some(ssrc) if incoming.repair && (ssrc != incoming.ssrc || !self.may_repair(now, incoming.seq)) => {
                return Err(Drop::RtpOtherSsrc);
            }
            None => self.ssrc = Some(incoming.ssrc),
            Some(ssrc) if !incoming.repair && ssrc != incoming.ssrc => {
                if self.stays(now, incoming.ssrc) {
                    return Err(Drop::RtpOtherSsrc);
                }
                self.left = Some((ssrc, now));
                self.restart(Some(incoming.ssrc));
            }
            Some(_) => {}
        }
        self.rate = incoming.rate;
        let (ext_seq, seen) = self.place(incoming)?;
        if !incoming.repair {
            self.reception.packet(now, ext_seq, incoming.meta.ts, incoming.rate);
        }
        if matches!(seen, Seen::Newest { .. }) {
            let before = self.newest.replace((ext_seq.0, incoming.meta.ts));
            let neighbour = before.filter(|(seq, _)| seq + 1 == ext_seq.0);
            self.step = neighbour.map_or(self.step, |(_, ts)| incoming.meta.ts.wrapping_sub(ts));
        }
        let mut repair = false;
        let lossy = match seen {
            Seen::Newest { after: Some(after) } if incoming.gaps => !self.nack.gap(now, after, ext_seq),
            Seen::Newest { .. } => false,
            Seen::Late | Seen::Duplicate | Seen::TooOld => {
                repair = self.nack.arrived(now, ext_seq, incoming.repair);
                false
            }
        };
        self.uplink.packet(now, repair, incoming.full, self.nack.round_trip());
        if incoming.meta.is_padding() && self.gaps.close(ext_seq) {
            return Ok(Arrival::Padding);
        }
        let seq = self.gaps.number(ext_seq).ok_or(Drop::RtpTooOld)?;
        let mut meta = *incoming.meta;
        if let Some(value) = meta.dependency_descriptor(incoming.bytes)
            && let Some((part, keyframe)) = self.shape.read(ext_seq.0, value)
        {
            // A key picture of several spatial layers begins with the lowest of them.
            (meta.part, meta.keyframe) = (part, (keyframe || meta.keyframe) && part.spatial == 0);
        }
        self.history.push(now, seq, &meta, incoming.bytes);
        if meta.keyframe {
            let leading = seq - self.history.picture_start(seq, &meta);
            self.nack.forget_before(ExtSeq(ext_seq.0.saturating_sub(leading)));
        }
        let (mut reshaped, mut recoded) = (false, false);
        if !meta.is_padding() {
            // Repeats come in for a second after the publisher has stopped it, if its path is what made it stop.
            if self.flowed.is_none() || matches!(seen, Seen::Newest { .. }) {
                self.flowed = Some(now);
                recoded = self.is_recoded(now, meta.pt);
            }
            self.pace.note(meta.ts, self.rate, meta.keyframe, incoming.full);
            reshaped = self.shape.note(&meta.part, meta.keyframe);
            if meta.keyframe {
                self.keyframe_ts = Some(meta.ts);
            }
            let keyframe = self.keyframe_ts == Some(meta.ts);
            self.volumes.add(meta.part.present & self.shape.cuts(), meta.kept_len(), keyframe);
        }
        Ok(Arrival::Media { seq, lossy, reshaped, recoded, keyframe: meta.keyframe })
    }

    /// Whether it does not go over to another SSRC. Of the one that it has left, packets may only be late as long as the present
    /// one flows.
    fn stays(&self, now: Instant, other: Ssrc) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < MIN_STREAM;
        self.left.is_some_and(|(left, at)| lately(at) || (left == other && self.flowed.is_some_and(lately)))
    }

    /// Whether a repair is of the present stream: RTX does not say which one it repeats, and that of the one before comes for a round
    /// trip more. Meanwhile only what is missing is taken.
    fn may_repair(&self, now: Instant, seq: SeqNo) -> bool {
        let fresh = self.left.is_some_and(|(_, at)| now.saturating_duration_since(at) < MIN_STREAM);
        !fresh || self.nack.lacks(self.unwrapper.peek(seq))
    }

    /// Takes note of the newest payload type. Whether it is another one.
    fn is_recoded(&mut self, now: Instant, pt: Pt) -> bool {
        let stays = |(known, since): (Pt, Instant)| known == pt || now.saturating_duration_since(since) < MIN_CODED;
        !self.coded.is_some_and(stays) && self.coded.replace((pt, now)).is_some()
    }

    /// The payload type that is sent. `None`: nothing was.
    pub(crate) fn pt(&self) -> Option<Pt> {
        self.coded.map(|(pt, _)| pt)
    }

    /// Whether the packet so many before `seq` never came, and `offset` is how much earlier it was: so it may be taken from
    /// a later one's RED. After a pause the packet before is not the neighbour.
    pub(crate) fn lacks(&self, seq: SeqNo, back: u16, offset: u16) -> bool {
        let before = SeqNo(seq.0.wrapping_sub(back));
        u32::from(offset) == self.step.wrapping_mul(back.into()) && self.window.lacks(self.unwrapper.peek(before))
    }

    /// Whether it counts as alive, beside a track whose newest packet came then; the lowest layer has more time: publishers leave
    /// out the highest first, and a screen's has little rate, so that its encoder is silent for long after a new page.
    pub(crate) fn is_alive(&self, newest: Instant, longest: Duration, lowest: bool) -> bool {
        let lag = self.flowed.map(|flowed| newest.saturating_duration_since(flowed));
        let patience = if lowest { longest * LOWEST_PATIENCE } else { self.pace.patience(longest) };
        lag.is_some_and(|lag| lag <= patience) && !self.has_stopped()
    }

    /// What is known of the path by which it comes.
    pub(crate) const fn path(&self, full: bool) -> Path {
        match (full, self.uplink.is_bad()) {
            (true, _) => Path::Full,
            (false, true) => Path::Lossy,
            (false, false) => Path::Good,
        }
    }

    /// Whether its packets are of use to anybody.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.users > 0 || self.hold.is_some()
    }

    /// Whether it was stopped and is not back yet.
    pub(crate) fn has_stopped(&self) -> bool {
        self.pace.has_stopped()
    }

    /// It was alive beside others of its track, and is not any more. Nobody waits for a keyframe of it: asking a publisher that
    /// has left it out makes all other layers begin anew.
    pub(crate) fn stop(&mut self) {
        self.pace.stop();
        self.pli.answered();
        self.hold = None;
    }

    /// A packet that is still kept, by the publisher's number.
    pub(crate) fn stored(&self, seq: SeqNo) -> Option<Stored<'_>> {
        let stored = self.history.get(self.gaps.find(self.unwrapper.peek(seq))?)?;
        // A closed gap's number belongs to its neighbour.
        (stored.bytes.get(2..4) == Some(&seq.0.to_be_bytes())).then_some(stored)
    }

    /// A sender report of its stream.
    pub(crate) fn sender_report(&mut self, now: Instant, info: &SenderInfo) {
        self.reception.sender_report(now, info.ntp);
        // A report of a sender without a wall clock has 0 here (RFC 3550 §6.4.1).
        if info.ntp != 0 {
            self.clock = Some(Clock { ntp: info.ntp, rtp_ts: info.rtp_ts, at: now, rate: self.rate });
        }
    }

    /// Unwraps the number and checks whether the packet is new; begins anew when the sender jumped.
    fn place(&mut self, incoming: &Incoming<'_>) -> Result<(ExtSeq, Seen), Drop> {
        let ext_seq = self.unwrapper.peek(incoming.seq);
        match self.window.insert(ext_seq) {
            Seen::Duplicate => Err(Drop::RtpDuplicate),
            Seen::TooOld => {
                if incoming.repair || !self.has_jumped(incoming.seq) {
                    return Err(Drop::RtpTooOld);
                }
                self.restart(Some(incoming.ssrc));
                self.place_first(incoming.seq)
            }
            seen @ (Seen::Newest { .. } | Seen::Late) => {
                self.unwrapper.unwrap(incoming.seq);
                Ok((ext_seq, seen))
            }
        }
    }

    fn place_first(&mut self, seq: SeqNo) -> Result<(ExtSeq, Seen), Drop> {
        let ext_seq = self.unwrapper.unwrap(seq);
        Ok((ext_seq, self.window.insert(ext_seq)))
    }

    fn has_jumped(&mut self, SeqNo(seq): SeqNo) -> bool {
        let (expected, count) = self.jumped;
        let count = if seq == expected { count.saturating_add(1) } else { 1 };
        self.jumped = (seq.wrapping_add(1), count);
        count >= MIN_JUMPED
    }

    fn restart(&mut self, ssrc: Option<Ssrc>) {
        self.ssrc = ssrc;
        self.generation = self.generation.wrapping_add(1);
        self.history.clear();
        self.nack.clear();
        self.transit = Transit::default();
        self.shape = Shape::new();
        self.reception = Reception::new(self.epoch);
        self.clock = None;
        (self.pace, self.hold) = (Pace::default(), None);
        (self.coded, self.newest, self.step, self.keyframe_ts) = (None, None, 0, None);
        self.unwrapper = Unwrapper::new();
        self.window = Window::new();
        self.gaps = Gaps::new();
        self.jumped = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read;
    use convene_rtp::packet::Fields;

    fn ingest(layer: &mut Layer, ssrc: u32, seq: u16, payload: &[u8], repair: bool) -> Result<Arrival, Drop> {
        ingest_at(layer, Instant::now(), ssrc, seq, payload, repair)
    }

    fn ingest_at(
        layer: &mut Layer,
        now: Instant,
        ssrc: u32,
        seq: u16,
        payload: &[u8],
        repair: bool,
    ) -> Result<Arrival, Drop> {
        let fields = Fields { marker: false, pt: Pt(96), seq: SeqNo(seq), ts: 0, ssrc: Ssrc(ssrc) };
        let (meta, bytes) = read(fields, payload);
        let incoming = Incoming {
            ssrc: Ssrc(ssrc),
            seq: SeqNo(seq),
            repair,
            meta: &meta,
            bytes: &bytes,
            rate: 90_000,
            gaps: true,
            full: false,
        };
        layer.ingest(now, &incoming)
    }

    #[test]
    fn orders_closes_and_restarts() {
        const MEDIA: &[u8] = &[0x10, 1];
        const PADDING: &[u8] = &[];
        let arrived = |seq, lossy| Ok(Arrival::Media { seq, lossy, reshaped: false, recoded: false, keyframe: false });
        let media = |seq| arrived(seq, false);
        let lap = 1 << 16;
        type Row<'a> = (&'a str, u32, u16, &'a [u8], bool, Result<Arrival, Drop>);
        let rows: [Row<'_>; 16] = [
            ("rtx first", 1, 9, MEDIA, true, Err(Drop::RepairBeforeMedia)),
            ("first", 1, 65_534, MEDIA, false, media(lap + 65_534)),
            ("over the wrap", 1, 0, MEDIA, false, media(lap + 65_536)),
            ("by rtx", 1, 65_535, MEDIA, true, media(lap + 65_535)),
            ("and by media", 1, 65_535, MEDIA, false, Err(Drop::RtpDuplicate)),
            ("padding", 1, 1, PADDING, false, Ok(Arrival::Padding)),
            ("padding again", 1, 1, PADDING, false, Err(Drop::RtpDuplicate)),
            ("after padding", 1, 2, MEDIA, false, media(lap + 65_537)),
            ("a gap", 1, 4, MEDIA, false, media(lap + 65_539)),
            ("late padding fills it", 1, 3, PADDING, false, media(lap + 65_538)),
            ("too much missing", 1, 1_000, MEDIA, false, arrived(lap + 66_535, true)),
            ("another ssrc", 2, 7, MEDIA, false, media(lap + 7)),
            ("jump back, 1", 2, 50_000, MEDIA, false, Err(Drop::RtpTooOld)),
            ("jump back, 2", 2, 50_001, MEDIA, false, Err(Drop::RtpTooOld)),
            ("jump back, 3", 2, 50_002, MEDIA, false, Err(Drop::RtpTooOld)),
            ("jump back, 4", 2, 50_003, MEDIA, false, media(lap + 50_003)),
        ];
        let mut layer = Layer::new(&Config::default(), Instant::now());
        for (name, ssrc, seq, payload, repair, want) in rows {
            assert_eq!(ingest(&mut layer, ssrc, seq, payload, repair), want, "{name}");
        }
        assert_eq!(layer.generation, 2);
    }

    #[test]
    fn of_two_senders_of_one_layer_the_later_stays_and_more_take_turns_now_and_then() {
        // (senders, packets of a second that are taken, times that it goes over to another sender)
        for (senders, taken, turns) in [(2, 480..520, 1..=1), (3, 300..360, 4..=5), (10, 80..120, 4..=5)] {
            let start = Instant::now();
            let mut layer = Layer::new(&Config::default(), start);
            let came = (0..1_000_u16).filter(|ms| {
                let ssrc = 1 + u32::from(ms % senders);
                ingest_at(&mut layer, start + Duration::from_millis((*ms).into()), ssrc, *ms, &[0x10, 1], false).is_ok()
            });
            let came = came.count();
            assert!(taken.contains(&came), "{senders}: {came}");
            assert!(turns.contains(&layer.generation), "{senders}: {}", layer.generation);
        }
    }

    #[test]
    fn a_late_packet_of_the_stream_before_does_not_shut_the_present_one_out() {
        const OTHER: Result<(), Drop> = Err(Drop::RtpOtherSsrc);
        // (ms, ssrc, seq, what becomes of it, streams so far)
        let rows = [
            (0, 1, 65_534, Ok(()), 0),
            (33, 2, 9, Ok(()), 1),
            (66, 1, 65_535, OTHER, 1),
            (66, 2, 10, Ok(()), 1),
            (240, 2, 11, Ok(()), 1),
            (300, 1, 0, OTHER, 1),
            (301, 2, 12, Ok(()), 1),
            (480, 3, 500, Ok(()), 2),
            (490, 2, 13, OTHER, 2),
            (679, 2, 14, OTHER, 2),
            (680, 2, 15, Ok(()), 3),  // the third has ended
            (881, 3, 501, Ok(()), 4), // and so has this
        ];
        let start = Instant::now();
        let mut layer = Layer::new(&Config::default(), start);
        for (ms, ssrc, seq, want, generation) in rows {
            let got = ingest_at(&mut layer, start + Duration::from_millis(ms), ssrc, seq, &[0x10, 1], false);
            assert_eq!((got.map(|_| ()), layer.generation), (want, generation), "{ms}");
        }
    }

    #[test]
    fn a_repair_of_the_stream_before_is_none_of_the_present_one() {
        const OTHER: Result<(), Drop> = Err(Drop::RtpOtherSsrc);
        // (ms, ssrc, seq, whether it is a repair, what becomes of it): an RTX packet has the SSRC of the present one
        let rows = [
            (0, 1, 60_000, false, Ok(())),
            (1, 2, 40_000, false, Ok(())),
            (51, 2, 59_999, true, OTHER),
            (52, 2, 40_001, false, Ok(())),
            (53, 2, 40_002, false, Ok(())),
            (54, 2, 40_003, false, Ok(())),
            (55, 2, 40_004, false, Ok(())),
            (56, 2, 40_006, false, Ok(())),
            (76, 2, 40_005, true, Ok(())), // what it lacks
            (77, 1, 40_007, true, OTHER),  // an older block of RED, which has its own SSRC
            (80, 2, 40_008, false, Ok(())),
            (200, 2, 39_999, true, OTHER),
            (201, 2, 39_998, true, Ok(())),
            (202, 1, 40_007, true, OTHER),
        ];
        let start = Instant::now();
        let mut layer = Layer::new(&Config::default(), start);
        for (ms, ssrc, seq, repair, want) in rows {
            let got = ingest_at(&mut layer, start + Duration::from_millis(ms), ssrc, seq, &[0x10, 1], repair);
            assert_eq!(got.map(|_| ()), want, "{ms}");
        }
        assert_eq!(layer.generation, 1);
    }
}
