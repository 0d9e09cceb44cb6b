//! Every metric of the process, as typed fields. Made once, passed around; there is no global registry.
//!
//! Names are `convene_<area>_<noun>_<unit>`; labels are closed sets (directions, reasons, codes), never ids of rooms,
//! users or addresses, so the number of series is bounded whatever clients do.

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::probes::Probes;

/// Upper bounds in seconds: from one GSO send (50 us) over the gather tick (1-2 ms) to a stall worth an alarm (50 ms).
const FORWARDING_BUCKETS: [f64; 11] = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 5e-2];

/// Upper bounds in seconds: a good join is below half a second, a person gives up before ten.
const TIME_TO_MEDIA_BUCKETS: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 16.0];

/// Upper bounds in seconds: from a commit on a quiet disk (0.2 ms) over a batch (2 ms) and a checkpoint (50 ms) to what a
/// sender takes for a hang.
const CHAT_BUCKETS: [f64; 13] = [2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0, 5.0];

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ident = $name:literal $([$($label:literal),+])? $({$buckets:expr})?;)+) => {
        /// See the module. Each field's documentation is also the metric's help text.
        pub struct Metrics {
            registry: Registry,
            pub(crate) probes: Probes,
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Metrics {
            /// Registers everything.
            ///
            /// # Panics
            /// When two metrics share a name: a mistake in this file, found by its test.
            #[must_use]
            pub fn new() -> Self {
                let registry = Registry::new();
                $(let $field: $kind = build::$kind($name, concat!($($doc),+), &[$($($label),+)?], &[$(&$buckets)?]);
                registry.register(Box::new($field.clone())).expect("names in this file are unique and valid");)+
                Self { registry, probes: Probes::default(), $($field,)+ }
            }

            /// Name of every metric, in this file's order.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];
        }
    };
}

metrics! {
    /// Rooms that are open.
    rooms: IntGauge = "convene_rooms";
    /// Tasks of the control plane that have not ended, when asked; what grows from day to day is a leak to report.
    tasks: IntGauge = "convene_tasks";
    /// Participants in rooms; one person on two devices is two.
    participants: IntGauge = "convene_participants";
    /// Published tracks, by kind.
    tracks: IntGaugeVec = "convene_tracks" ["kind"];
    /// Joins by result: ok, or the stable code of the refusal.
    joins: IntCounterVec = "convene_joins_total" ["result"];
    /// From the accepted join to the first media packet sent to the participant.
    time_to_media: Histogram = "convene_join_time_to_media_seconds" {TIME_TO_MEDIA_BUCKETS};
    /// Requests refused by a check or named limit, by its code.
    refused: IntCounterVec = "convene_refused_total" ["code"];
    /// Open signaling WebSockets.
    signal_connections: IntGauge = "convene_signal_connections";
    /// Signaling messages by direction (in, out) and message type.
    signal_messages: IntCounterVec = "convene_signal_messages_total" ["direction", "type"];
    /// Open connections of the HTTP port, WebSockets included.
    http_connections: IntGauge = "convene_http_connections";
    /// HTTP requests by matched route and status.
    http_requests: IntCounterVec = "convene_http_requests_total" ["route", "status"];
    /// WebRTC transports (ICE/DTLS associations) by worker.
    peers: IntGaugeVec = "convene_sfu_peers" ["worker"];
    /// Transports that finished ICE and DTLS.
    peers_connected: IntCounter = "convene_sfu_peers_connected_total";
    /// Transports that went on from one media worker to another, because that one had more time.
    peers_moved: IntCounter = "convene_sfu_peers_moved_total";
    /// Transports that ended on their own, by reason.
    peers_lost: IntCounterVec = "convene_sfu_peers_lost_total" ["reason"];
    /// UDP datagrams by direction, everything included.
    datagrams: IntCounterVec = "convene_sfu_datagrams_total" ["direction"];
    /// UDP payload bytes by direction, everything included.
    bytes: IntCounterVec = "convene_sfu_bytes_total" ["direction"];
    /// RTP packets by direction: in is what publishers sent, out what subscribers were sent.
    rtp_packets: IntCounterVec = "convene_sfu_rtp_packets_total" ["direction"];
    /// Packets thrown away, by reason.
    dropped: IntCounterVec = "convene_sfu_dropped_total" ["reason"];
    /// Packets asked for again by NACK: in by subscribers, out by us.
    nacked: IntCounterVec = "convene_sfu_nacked_packets_total" ["direction"];
    /// Keyframe requests (PLI and FIR): in from subscribers, out to publishers.
    pli: IntCounterVec = "convene_sfu_pli_total" ["direction"];
    /// Retransmitted packets: in from publishers, out to subscribers.
    rtx: IntCounterVec = "convene_sfu_rtx_packets_total" ["direction"];
    /// Audio packets by what RED did: recovered from a later packet of the publisher's, made for a subscriber.
    red: IntCounterVec = "convene_sfu_red_packets_total" ["what"];
    /// What bandwidth estimation saw and did on subscribers' paths.
    bandwidth: IntCounterVec = "convene_sfu_bandwidth_events_total" ["event"];
    /// From the receipt of the oldest packet of a batch to its last send, once a batch.
    forwarding: Histogram = "convene_sfu_forwarding_seconds" {FORWARDING_BUCKETS};
    /// Share of the last second that a media worker was not asleep, 0..=1.
    worker_busy: GaugeVec = "convene_sfu_worker_busy_ratio" ["worker"];
    /// The same of the least busy worker: at 1 the node has no time left for another call.
    stress: Gauge = "convene_sfu_stress_ratio";
    /// 1 while the node refuses to open rooms, see media.max_load.
    overloaded: IntGauge = "convene_sfu_overloaded";
    /// Rooms closed because their code panicked. Any value above 0 is a bug to report.
    room_panics: IntCounter = "convene_room_panics_total";
    /// Open chat sessions by transport: quic, webtransport, websocket.
    im_sessions: IntGaugeVec = "convene_im_sessions" ["transport"];
    /// Handshakes of the chat port by result: ok, retry, refused, failed, timeout.
    im_handshakes: IntCounterVec = "convene_im_handshakes_total" ["result"];
    /// Frames in early data by result: accepted, refused.
    im_early_data: IntCounterVec = "convene_im_early_data_total" ["result"];
    /// Frames by direction and kind: in by what they ask for, out by where they go (control, deliver, hint).
    im_frames: IntCounterVec = "convene_im_frames_total" ["direction", "kind"];
    /// Sends by result: ok, duplicate, or the code of the refusal.
    im_sends: IntCounterVec = "convene_im_sends_total" ["result"];
    /// Events put into outboxes of devices.
    im_deliveries: IntCounter = "convene_im_deliveries_total";
    /// Conversations that a device was caught up with from the store, because its outbox was full.
    im_repairs: IntCounter = "convene_im_repairs_total";
    /// Sessions ended by the server, by code.
    im_ended: IntCounterVec = "convene_im_sessions_ended_total" ["code"];
    /// From when an event is on the disk to its last online member's outbox.
    im_fanout: Histogram = "convene_im_fanout_seconds" {CHAT_BUCKETS};
    /// From a send's arrival until it is on the disk.
    im_commit: Histogram = "convene_im_commit_seconds" {CHAT_BUCKETS};
    /// Transactions of the store.
    im_commits: IntCounter = "convene_im_commits_total";
    /// Changes in those transactions: divided by their number, the batch size.
    im_committed: IntCounter = "convene_im_committed_changes_total";
    /// Syncs of the store's write-ahead log: each brings to the disk what was committed during the one before.
    im_syncs: IntCounter = "convene_im_syncs_total";
    /// What the store could not do, for its disk: batch (a transaction, rolled back), read, sync.
    im_store_failures: IntCounterVec = "convene_im_store_failures_total" ["what"];
    /// Size of the store's write-ahead log.
    im_wal: IntGauge = "convene_im_wal_bytes";
    /// Bytes of files and voice messages by direction: in is uploads, out downloads.
    im_blob_bytes: IntCounterVec = "convene_im_blob_bytes_total" ["direction"];
    /// Bodies that the retention of an organisation's policy has erased.
    im_swept: IntCounter = "convene_im_swept_total";
    /// Text messages by provider, and by what it answered: sent, bad_number, limited, failed, timeout, unreachable.
    sms: IntCounterVec = "convene_sms_total" ["provider", "outcome"];
    /// TLS handshakes of the HTTP port, where it has a certificate: done, failed, timeout, or plain (no TLS was spoken).
    http_handshakes: IntCounterVec = "convene_http_tls_handshakes_total" ["outcome"];
    /// Webhooks by outcome: delivered, dead (given up after a day), full (too much waits), lost (events that came faster
    /// than they were stored), or why an attempt failed.
    webhooks: IntCounterVec = "convene_webhooks_total" ["outcome"];
    /// Entries of the access log: written, or lost because too many waited or the store could not take them.
    access_log: IntCounterVec = "convene_access_log_total" ["outcome"];
    /// Chat sessions ended because their code panicked. Any value above 0 is a bug to report.
    im_panics: IntCounter = "convene_im_session_panics_total";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        self.measure();
        let mut out = Vec::new();
        // Writing to a Vec cannot fail, and encoding only refuses families without metrics, which gather() leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// One constructor a kind, so that the table above reads the same for all.
#[allow(non_snake_case)]
mod build {
    use super::{Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

    type Buckets<'a> = &'a [&'a [f64]];
    const VALID: &str = "names and labels in this file are valid";

    pub(super) fn IntGauge(name: &str, help: &str, _: &[&str], _: Buckets<'_>) -> IntGauge {
        IntGauge::new(name, help.trim()).expect(VALID)
    }

    pub(super) fn Gauge(name: &str, help: &str, _: &[&str], _: Buckets<'_>) -> Gauge {
        Gauge::new(name, help.trim()).expect(VALID)
    }

    pub(super) fn IntCounter(name: &str, help: &str, _: &[&str], _: Buckets<'_>) -> IntCounter {
        IntCounter::new(name, help.trim()).expect(VALID)
    }

    pub(super) fn IntGaugeVec(name: &str, help: &str, labels: &[&str], _: Buckets<'_>) -> IntGaugeVec {
        IntGaugeVec::new(Opts::new(name, help.trim()), labels).expect(VALID)
    }

    pub(super) fn GaugeVec(name: &str, help: &str, labels: &[&str], _: Buckets<'_>) -> GaugeVec {
        GaugeVec::new(Opts::new(name, help.trim()), labels).expect(VALID)
    }

    pub(super) fn IntCounterVec(name: &str, help: &str, labels: &[&str], _: Buckets<'_>) -> IntCounterVec {
        IntCounterVec::new(Opts::new(name, help.trim()), labels).expect(VALID)
    }

    pub(super) fn Histogram(name: &str, help: &str, _: &[&str], buckets: Buckets<'_>) -> Histogram {
        let bounds = buckets.concat();
        Histogram::with_opts(HistogramOpts::new(name, help.trim()).buckets(bounds)).expect(VALID)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_metric_is_registered_under_its_name() {
        let metrics = Metrics::new();
        metrics.tracks.with_label_values(&["audio"]).set(1);
        metrics.dropped.with_label_values(&["x"]).inc();
        metrics.forwarding.observe(0.001);
        let text = metrics.text();
        for name in [
            "convene_rooms",
            "convene_tracks{kind=\"audio\"} 1",
            "convene_sfu_forwarding_seconds_bucket{le=\"0.001\"} 1",
        ] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
        for name in Metrics::NAMES {
            assert!(name.starts_with("convene_"), "{name}");
        }
    }

    /// Dashboards and alerts name these: a change here is a change for every operator and goes into CHANGELOG.md.
    const SNAPSHOT: [&str; 51] = [
        "convene_rooms gauge",
        "convene_tasks gauge",
        "convene_participants gauge",
        "convene_tracks gauge",
        "convene_joins_total counter",
        "convene_join_time_to_media_seconds histogram",
        "convene_refused_total counter",
        "convene_signal_connections gauge",
        "convene_signal_messages_total counter",
        "convene_http_connections gauge",
        "convene_http_requests_total counter",
        "convene_sfu_peers gauge",
        "convene_sfu_peers_connected_total counter",
        "convene_sfu_peers_moved_total counter",
        "convene_sfu_peers_lost_total counter",
        "convene_sfu_datagrams_total counter",
        "convene_sfu_bytes_total counter",
        "convene_sfu_rtp_packets_total counter",
        "convene_sfu_dropped_total counter",
        "convene_sfu_nacked_packets_total counter",
        "convene_sfu_pli_total counter",
        "convene_sfu_rtx_packets_total counter",
        "convene_sfu_red_packets_total counter",
        "convene_sfu_bandwidth_events_total counter",
        "convene_sfu_forwarding_seconds histogram",
        "convene_sfu_worker_busy_ratio gauge",
        "convene_sfu_stress_ratio gauge",
        "convene_sfu_overloaded gauge",
        "convene_room_panics_total counter",
        "convene_im_sessions gauge",
        "convene_im_handshakes_total counter",
        "convene_im_early_data_total counter",
        "convene_im_frames_total counter",
        "convene_im_sends_total counter",
        "convene_im_deliveries_total counter",
        "convene_im_repairs_total counter",
        "convene_im_sessions_ended_total counter",
        "convene_im_fanout_seconds histogram",
        "convene_im_commit_seconds histogram",
        "convene_im_commits_total counter",
        "convene_im_committed_changes_total counter",
        "convene_im_syncs_total counter",
        "convene_im_store_failures_total counter",
        "convene_im_wal_bytes gauge",
        "convene_im_blob_bytes_total counter",
        "convene_im_swept_total counter",
        "convene_sms_total counter",
        "convene_http_tls_handshakes_total counter",
        "convene_webhooks_total counter",
        "convene_access_log_total counter",
        "convene_im_session_panics_total counter",
    ];

    #[test]
    fn names_and_types_are_those_that_operators_know() {
        let metrics = Metrics::new();
        metrics.touch();
        let text = metrics.text();
        let mut served: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut known = SNAPSHOT.to_vec();
        served.sort_unstable();
        known.sort_unstable();
        assert_eq!(served, known);
        assert_eq!(Metrics::NAMES.len(), SNAPSHOT.len());
    }

    /// A panel over a name that nobody serves draws nothing, and says nothing.
    #[test]
    fn dashboards_and_alerts_name_metrics_that_there_are() {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let mut named = 0;
        for file in [
            "prometheus/alerts.yml",
            "grafana/dashboards/overview.json",
            "grafana/dashboards/media.json",
            "grafana/dashboards/chat.json",
        ] {
            let text = fs::read_to_string(configs.join(file)).unwrap();
            for word in
                text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("convene_"))
            {
                let family = word.strip_suffix("_bucket").unwrap_or(word);
                assert!(Metrics::NAMES.contains(&family), "{file} names {word}");
                named += 1;
            }
        }
        assert!(named > 60, "{named}");
    }

    #[test]
    fn names_end_in_their_unit() {
        for row in SNAPSHOT {
            let (name, kind) = row.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{row}");
            assert_eq!(kind == "histogram", name.ends_with("_seconds"), "{row}");
        }
    }

    #[test]
    fn what_a_worker_gathered_by_itself_is_served_after_its_flush() {
        let metrics = Metrics::new();
        let local = metrics.forwarding.local();
        for _ in 0..3 {
            local.observe(0.000_04);
        }
        local.observe(1.0);
        assert!(metrics.text().contains("convene_sfu_forwarding_seconds_count 0"));
        local.flush();
        let text = metrics.text();
        for row in ["_bucket{le=\"0.00005\"} 3", "_bucket{le=\"0.05\"} 3", "_bucket{le=\"+Inf\"} 4", "_count 4"] {
            assert!(text.contains(&format!("convene_sfu_forwarding_seconds{row}")), "{row} is not in\n{text}");
        }
    }

    impl Metrics {
        /// Makes one series of every family that has labels: families without series are not served.
        fn touch(&self) {
            let counters = [
                (&self.joins, 1),
                (&self.sms, 2),
                (&self.http_handshakes, 1),
                (&self.webhooks, 1),
                (&self.access_log, 1),
                (&self.refused, 1),
                (&self.signal_messages, 2),
                (&self.http_requests, 2),
                (&self.peers_lost, 1),
                (&self.datagrams, 1),
                (&self.bytes, 1),
                (&self.rtp_packets, 1),
                (&self.dropped, 1),
                (&self.nacked, 1),
                (&self.pli, 1),
                (&self.rtx, 1),
                (&self.red, 1),
                (&self.im_handshakes, 1),
                (&self.im_early_data, 1),
                (&self.im_frames, 2),
                (&self.im_sends, 1),
                (&self.im_store_failures, 1),
                (&self.im_ended, 1),
                (&self.im_blob_bytes, 1),
                (&self.bandwidth, 1),
            ];
            for (family, labels) in counters {
                family.with_label_values(&vec!["x"; labels]).inc();
            }
            self.tracks.with_label_values(&["audio"]).set(1);
            self.im_sessions.with_label_values(&["quic"]).set(1);
            self.peers.with_label_values(&["0"]).set(1);
            self.worker_busy.with_label_values(&["0"]).set(0.5);
        }
    }
}
