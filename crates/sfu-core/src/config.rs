//! What an operator may tune, and the limits that hold whatever the operator says.

use std::time::Duration;

use convene_types::Ssrc;

/// Layers of one track. Browsers send at most three; the live set of a track is kept in one byte.
pub(crate) const MAX_LAYERS: usize = 8;

/// The largest RTP packet taken in. Ethernet's MTU: larger ones do not reach a UDP socket unfragmented.
pub(crate) const MAX_PACKET_BYTES: usize = 1_500;

/// Packets that wait for one flush. The shell flushes every 1-2 ms; at 1 Mpps this is 4 ms.
pub(crate) const MAX_BATCH: usize = 4_096;

/// Retransmissions that wait for one subscriber's flush; what a second of 4 Mbit/s video has. More would be a burst that
/// makes its loss worse.
pub(crate) const MAX_RTX_QUEUE: usize = 512;

/// Combinations of MID and header extension ids whose extension blocks are shared. Clients choose both, so there is no
/// natural bound; the others write theirs each time.
pub(crate) const MAX_SHAPES: usize = 1_024;

/// How often timers run while media flows: the delay a NACK, a PLI or a first SR may take on top of its own.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// The timers stop when nothing has come in for this long: an idle room costs nothing.
pub(crate) const IDLE_AFTER: Duration = Duration::from_secs(3);

/// Ticks between two TWCC feedbacks: 60 ms. libwebrtc's own range is 50-250 ms; shorter ramps up faster and costs more.
pub(crate) const TWCC_TICKS: u64 = 3;

/// Ticks between two looks at which layers are alive: 200 ms.
pub(crate) const SELECT_TICKS: u64 = 10;

/// Ticks between two looks whether a layer has stopped: 40 ms of a picture that stands still.
pub(crate) const ALIVE_TICKS: u64 = 2;

/// Ticks between two decisions which audio goes out: 100 ms. A voice that begins is cut by as much.
pub(crate) const LOUDEST_TICKS: u64 = 5;

/// Ticks between two decisions whose turn it is: 100 ms, which the constants of `floor` are made for.
pub(crate) const FLOOR_TICKS: u64 = 5;

/// Ticks between two decisions who speaks: 400 ms.
pub(crate) const SPEAKER_TICKS: u64 = 20;

/// Ticks between two ratings of the connections: 2 s. What changes faster is not a condition.
pub(crate) const QUALITY_TICKS: u64 = 100;

/// Ticks between two measurements of all flows: 10 s. More often would tell a call's history no better, and costs an entry a
/// subscription.
pub(crate) const MEASURE_TICKS: u64 = 500;

/// Ticks between two reports (SR to a subscriber, RR to a publisher): 1 s. RFC 3550 §6.2 asks for 5 s at least in large
/// groups, but here each report goes to one peer, and lip sync and loss estimates need them sooner.
pub(crate) const REPORT_TICKS: u64 = 50;

/// Settings of a room.
#[derive(Clone, Debug)]
pub struct Config {
    /// The SSRC under which the server itself speaks in RTCP.
    pub sender_ssrc: Ssrc,
    /// How long a packet can be asked for again. Longer helps receivers with a large RTT and costs memory.
    pub history_span: Duration,
    /// Bytes kept per layer at most, whatever the span. 4 MiB is one second of 32 Mbit/s.
    pub max_history_bytes: usize,
    /// Shortest time between two PLIs for one layer. A keyframe is several times a delta frame, so asking faster costs
    /// every subscriber quality; slower delays a new subscriber's first picture.
    pub pli_interval: Duration,
    /// A layer that lags behind its track's newest packet by this much is dead, and sooner where its frames come faster.
    /// Chromium repeats a still screen once a second, so it must be above that.
    pub layer_timeout: Duration,
    /// Audio tracks that go out at most, the loudest of the room; 0: all. More cost bandwidth that nobody hears, fewer
    /// cut into lively talk.
    pub loudest: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sender_ssrc: Ssrc(1),
            history_span: Duration::from_millis(1_200),
            max_history_bytes: 4 << 20,
            pli_interval: Duration::from_millis(500),
            layer_timeout: Duration::from_millis(1_200),
            loudest: 0,
        }
    }
}
