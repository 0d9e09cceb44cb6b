//! What remains of a stay in a room: who it was, what went over each track, and how good the connection was over time. Kept in
//! memory, bounded by age and size; a restart forgets it.
//!
//! Not here: what is measured (`convene_sfu_core::flow`), who may ask (`crate::history`).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use convene_sfu::Flow;
use serde::Serialize;

/// How long a stay is kept after its end.
pub const RETENTION_HOURS: i64 = 24;
/// Memory of all stays that have ended, by estimate; then the oldest go, whatever their age. Some 10,000 stays of an hour.
const MAX_BYTES: usize = 96 << 20;
/// Samples of a stay: half an hour of ten seconds each. Then each two become one that is twice as long.
const MAX_SAMPLES: usize = 180;
/// Tracks told apart in a stay; what comes on top is counted. A room of a hundred with everybody's camera would otherwise be
/// a thousand kilobytes a person.
const MAX_TRACKS: usize = 64;
/// Length of a sample of a fresh stay, in seconds: how often flows are measured.
const SAMPLE_S: u32 = 10;

/// One participant's stay in a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stay {
    /// Name of the room.
    pub room: String,
    /// `RM_…`.
    pub room_sid: String,
    /// `PA_…`.
    pub sid: String,
    /// Who it was.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Unix time in milliseconds.
    pub joined_at_ms: i64,
    /// 0: it is still there.
    pub left_at_ms: i64,
    /// Why it left: a stable code, empty while it is there.
    pub reason: &'static str,
    /// What it published and received.
    pub tracks: Vec<TrackLog>,
    /// Measurements of further tracks, which are in the samples only.
    pub tracks_omitted: u32,
    /// Seconds that one sample stands for.
    pub sample_s: u32,
    /// The connection over time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// As the connection is rated at the moment.
    #[serde(skip)]
    pub(crate) rated: f32,
}

/// What went over one track in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrackLog {
    /// `TR_…`.
    pub sid: String,
    /// The participant sent it; else it received it.
    pub published: bool,
    /// Identity of whoever sent it.
    pub publisher: String,
    /// `audio` or `video`.
    pub kind: &'static str,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
    pub source: &'static str,
    /// `video/VP8`.
    pub mime_type: String,
    /// Unix time in milliseconds of the first and the last measurement with packets in it.
    pub first_at_ms: i64,
    /// See `first_at_ms`.
    pub last_at_ms: i64,
    /// Media packets, repeats not counted.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lost before repair, 0..=1: mean weighted by packets.
    pub loss: f32,
    /// The highest mean of a measurement.
    pub max_jitter_ms: f32,
    /// Seconds in which it did not fit the path.
    pub starved_s: u32,
    /// The highest layer.
    pub max_layer: u8,
}

/// The connection in a span of `Stay::sample_s` seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// End of the span, Unix time in milliseconds.
    pub at_ms: i64,
    /// 1.0..=4.4, the worst in the span; 0: nothing was rated, or the connection was lost.
    pub score: f32,
    /// From the participant, kbit/s, and lost before repair.
    pub up_kbps: f32,
    /// 0..=1.
    pub up_loss: f32,
    /// To the participant.
    pub down_kbps: f32,
    /// 0..=1.
    pub down_loss: f32,
    /// The highest.
    pub jitter_ms: f32,
    /// The highest.
    pub round_trip_ms: f32,
    /// Seconds in which a track to the participant did not fit, of all tracks together.
    pub starved_s: u32,
}

impl Stay {
    /// Adds what was measured on one track; `log` says what the track is.
    pub(super) fn add(&mut self, at_ms: i64, flow: &Flow, log: impl FnOnce() -> TrackLog) {
        let (sample, span_s) = self.sample(at_ms);
        let kbps = flow.bytes as f32 * 8.0 / 1e3 / span_s as f32;
        let (rate, loss) = match flow.published {
            true => (&mut sample.up_kbps, &mut sample.up_loss),
            false => (&mut sample.down_kbps, &mut sample.down_loss),
        };
        *loss = mean((*loss, *rate), (flow.loss, kbps));
        *rate += kbps;
        sample.jitter_ms = sample.jitter_ms.max(flow.jitter_ms);
        sample.round_trip_ms = sample.round_trip_ms.max(flow.round_trip_ms);
        sample.starved_s = sample.starved_s.saturating_add(if flow.starved { SAMPLE_S } else { 0 });

        let fresh = log();
        let known = self.tracks.iter().position(|known| (&known.sid, known.published) == (&fresh.sid, flow.published));
        if known.is_none() && self.tracks.len() >= MAX_TRACKS {
            self.tracks_omitted = self.tracks_omitted.saturating_add(1);
            return;
        }
        let index = known.unwrap_or_else(|| {
            self.tracks.push(TrackLog { first_at_ms: at_ms, published: flow.published, ..fresh });
            self.tracks.len() - 1
        });
        if let Some(track) = self.tracks.get_mut(index) {
            track.add(at_ms, flow);
        }
    }

    /// The connection is rated.
    pub(super) fn rate(&mut self, at_ms: i64, score: f32) {
        self.rated = score;
        let (sample, _) = self.sample(at_ms);
        sample.score = if sample.score > 0.0 { sample.score.min(score) } else { score };
    }

    /// The sample that a moment belongs to, and its length; another one begins where the last is over.
    fn sample(&mut self, at_ms: i64) -> (&mut Sample, u32) {
        if self.sample_s == 0 {
            self.sample_s = SAMPLE_S;
        }
        let ended = self.samples.last().is_none_or(|last| last.at_ms <= at_ms);
        if ended {
            if self.samples.len() >= MAX_SAMPLES {
                self.thin_out();
            }
            let step = i64::from(self.sample_s) * 1_000;
            let since = at_ms.saturating_sub(self.joined_at_ms).max(0);
            let at_ms = self.joined_at_ms.saturating_add((since / step + 1) * step);
            self.samples.push(Sample { at_ms, score: self.rated, ..Sample::default() });
        }
        let last = self.samples.len() - 1;
        (&mut self.samples[last], self.sample_s)
    }

    /// Each two samples become one.
    fn thin_out(&mut self) {
        self.samples = self.samples.chunks(2).map(join).collect();
        self.sample_s = self.sample_s.saturating_mul(2);
    }

    fn bytes(&self) -> usize {
        let texts = self.room.len() + self.identity.len() + self.name.len();
        let tracks = self.tracks.len() * (size_of::<TrackLog>() + 80);
        size_of::<Self>() + texts + tracks + self.samples.capacity() * size_of::<Sample>()
    }
}

impl TrackLog {
    fn add(&mut self, at_ms: i64, flow: &Flow) {
        self.loss = mean((self.loss, self.packets as f32), (flow.loss, flow.packets as f32));
        self.packets = self.packets.saturating_add(flow.packets.into());
        self.bytes = self.bytes.saturating_add(flow.bytes);
        self.max_jitter_ms = self.max_jitter_ms.max(flow.jitter_ms);
        self.starved_s = self.starved_s.saturating_add(if flow.starved { SAMPLE_S } else { 0 });
        self.max_layer = self.max_layer.max(flow.layer);
        self.last_at_ms = at_ms;
    }
}

/// The mean of two values with weights.
fn mean((a, of_a): (f32, f32), (b, of_b): (f32, f32)) -> f32 {
    if of_a + of_b > 0.0 { (a * of_a + b * of_b) / (of_a + of_b) } else { a.max(b) }
}

fn join(samples: &[Sample]) -> Sample {
    let count = samples.len().max(1) as f32;
    let rated = samples.iter().map(|sample| sample.score).filter(|score| *score > 0.0).reduce(f32::min);
    let worst = |of: fn(&Sample) -> f32| samples.iter().map(of).fold(0.0, f32::max);
    let rate = |of: fn(&Sample) -> f32| samples.iter().map(of).sum::<f32>() / count;
    let loss = |rate: fn(&Sample) -> f32, loss: fn(&Sample) -> f32| {
        samples.iter().fold((0.0, 0.0), |sum, one| (mean(sum, (loss(one), rate(one))), sum.1 + rate(one))).0
    };
    Sample {
        at_ms: samples.last().map_or(0, |last| last.at_ms),
        score: rated.unwrap_or(0.0),
        up_kbps: rate(|one| one.up_kbps),
        up_loss: loss(|one| one.up_kbps, |one| one.up_loss),
        down_kbps: rate(|one| one.down_kbps),
        down_loss: loss(|one| one.down_kbps, |one| one.down_loss),
        jitter_ms: worst(|one| one.jitter_ms),
        round_trip_ms: worst(|one| one.round_trip_ms),
        starved_s: samples.iter().map(|one| one.starved_s).sum(),
    }
}

/// Stays that have ended, of all rooms of this node.
#[derive(Debug, Default)]
pub struct History(Mutex<Ended>);

#[derive(Debug, Default)]
struct Ended {
    /// In the order in which they ended.
    stays: VecDeque<Stay>,
    bytes: usize,
}

impl History {
    /// Keeps a stay.
    pub(super) fn keep(&self, mut stay: Stay) {
        stay.samples.shrink_to_fit();
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.forget_before(stay.left_at_ms);
        ended.bytes += stay.bytes();
        ended.stays.push_back(stay);
        while ended.bytes > MAX_BYTES {
            ended.forget_oldest();
        }
    }

    /// Stays in a room that ended before a moment, the last one first.
    pub(super) fn of(&self, now_ms: i64, room: &str, identity: Option<&str>, before_ms: i64, most: usize) -> Vec<Stay> {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.forget_before(now_ms);
        let asked = |stay: &&Stay| {
            stay.room == room
                && stay.left_at_ms < before_ms
                && identity.is_none_or(|identity| stay.identity == identity)
        };
        ended.stays.iter().rev().filter(asked).take(most).cloned().collect()
    }
}

impl Ended {
    fn forget_before(&mut self, now_ms: i64) {
        let oldest = now_ms.saturating_sub(RETENTION_HOURS * 3_600_000);
        while self.stays.front().is_some_and(|stay| stay.left_at_ms < oldest) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(stay) = self.stays.pop_front() {
            self.bytes = self.bytes.saturating_sub(stay.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use convene_types::{PeerId, TrackId};

    use super::*;

    fn flow(published: bool, kbps: u64, loss: f32) -> Flow {
        Flow {
            peer: PeerId(1),
            track: TrackId(1),
            published,
            packets: 100,
            bytes: kbps * 1_250,
            loss,
            jitter_ms: 5.0,
            round_trip_ms: 40.0,
            layer: 2,
            starved: false,
        }
    }

    fn log(sid: &str) -> TrackLog {
        TrackLog { sid: sid.to_owned(), ..TrackLog::default() }
    }

    #[test]
    fn flows_become_samples_and_totals() {
        let mut stay = Stay { joined_at_ms: 1_000, ..Stay::default() };
        stay.rate(2_000, 4.1);
        stay.rate(3_000, 3.0);
        stay.add(9_000, &flow(false, 300, 0.0), || log("a"));
        stay.add(9_000, &flow(false, 100, 0.2), || log("b"));
        stay.add(19_000, &Flow { starved: true, ..flow(false, 300, 0.1) }, || log("a"));
        let [first, second] = stay.samples[..] else { panic!("{:?}", stay.samples) };
        assert_eq!((first.at_ms, first.score, first.down_kbps, first.up_kbps), (11_000, 3.0, 400.0, 0.0));
        assert!((first.down_loss - 0.05).abs() < 1e-6, "{first:?}");
        assert_eq!((second.at_ms, second.score, second.starved_s), (21_000, 3.0, 10), "a rating holds until the next");
        let [a, b] = &stay.tracks[..] else { panic!("{:?}", stay.tracks) };
        assert_eq!((a.packets, a.bytes, a.starved_s, a.first_at_ms, a.last_at_ms), (200, 750_000, 10, 9_000, 19_000));
        assert!((a.loss - 0.05).abs() < 1e-6 && (b.loss - 0.2).abs() < 1e-6);
    }

    #[test]
    fn a_long_stay_has_longer_samples_and_many_tracks_are_counted() {
        let mut stay = Stay::default();
        for at in 0..5_000_i64 {
            stay.add(at * 10_000, &flow(true, 1_000, 0.01), || log("a"));
        }
        assert!((MAX_SAMPLES / 2..=MAX_SAMPLES).contains(&stay.samples.len()), "{}", stay.samples.len());
        assert_eq!(stay.sample_s, 320);
        assert!(stay.samples.is_sorted_by(|a, b| a.at_ms < b.at_ms));
        assert!(stay.samples.iter().take(90).all(|one| (one.up_kbps - 1e3).abs() < 1.0), "{:?}", &stay.samples[..3]);
        (0..MAX_TRACKS + 3).for_each(|track| stay.add(0, &flow(true, 1, 0.0), || log(&track.to_string())));
        assert_eq!((stay.tracks.len(), stay.tracks_omitted), (MAX_TRACKS, 4));
    }

    #[test]
    fn what_has_ended_is_kept_for_a_day_and_within_its_memory() {
        let history = History::default();
        let stay = |room: &str, identity: &str, left_at_ms| Stay {
            room: room.to_owned(),
            identity: identity.to_owned(),
            left_at_ms,
            samples: vec![Sample::default(); MAX_SAMPLES],
            ..Stay::default()
        };
        let day = RETENTION_HOURS * 3_600_000;
        history.keep(stay("r", "ana", 1_000));
        history.keep(stay("r", "bo", 2_000));
        history.keep(stay("other", "bo", 3_000));
        let of = |now, identity, before, most| {
            history.of(now, "r", identity, before, most).into_iter().map(|stay| stay.identity).collect::<Vec<_>>()
        };
        assert_eq!(of(4_000, None, i64::MAX, 10), ["bo", "ana"]);
        assert_eq!(of(4_000, None, i64::MAX, 1), ["bo"]);
        assert_eq!(of(4_000, None, 2_000, 10), ["ana"]);
        assert_eq!(of(4_000, Some("ana"), i64::MAX, 10), ["ana"]);
        assert_eq!(of(day + 1_500, None, i64::MAX, 10), ["bo"]);
        let each = stay("r", "x", 0).bytes();
        for at in 0..(MAX_BYTES / each + 50) as i64 {
            history.keep(stay("r", "x", day + at));
        }
        let ended = history.0.lock().unwrap();
        assert!(
            ended.bytes <= MAX_BYTES && ended.stays.len() == MAX_BYTES / each,
            "{} {}",
            ended.bytes,
            ended.stays.len()
        );
    }
}
