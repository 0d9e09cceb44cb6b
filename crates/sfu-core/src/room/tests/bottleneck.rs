//! A real room in front of a simulated bottleneck: a seeded link with a rate, a queue, delay and loss, a receiver that
//! reports as browsers do, and a publisher of three layers. Time is simulated; equal seeds give equal traces.

use std::collections::BTreeMap;

use convene_rtp::rtcp::{ReportBlock, write_nack, write_remb, write_rr};
use convene_rtp::rtx;
use convene_types::Bitrate;

use super::link::{Arrived, Browser, Link, Wire, read_video};
use super::*;
use crate::twcc::Recorder;

const TWCC_ID: u8 = 3;
const SEND_TIME_ID: u8 = 4;

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    Twcc,
    /// This, each second.
    Remb(u64),
    /// What it estimates: 8 % more each second, up to 1.5 times what arrives; 85 % of it where a queue is.
    OwnRemb,
    Nothing,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tenth {
    /// The highest layer whose media went out.
    pub(super) sent_layer: Option<u8>,
    /// Media packets of video and audio that arrived.
    pub(super) video: u32,
    pub(super) audio: u32,
    /// The longest time on the way in ms.
    pub(super) slowest_ms: u64,
    /// kbit/s
    estimate: u64,
}

pub(super) struct Sim {
    pub(super) room: Room,
    pub(super) start: Instant,
    pub(super) ms: u64,
    pub(super) wire: Wire,
    pub(super) browser: Browser,
    feedback: Feedback,
    recorder: Recorder,
    /// RTCP on its way to the room.
    back: VecDeque<(u64, Vec<u8>)>,
    highest: Option<u16>,
    /// Missing packets of the video: when they are asked for.
    missing: BTreeMap<u16, u64>,
    /// What arrived of the video, and what did not.
    since_report: (u64, u64),
    /// What arrived of the audio, and its highest number now and at the last report.
    heard: (u64, u16, u16),
    /// Bytes that arrived since the last report, the longest time on the way, and what was told in bit/s.
    arrived: (u64, u64),
    told: u64,
    pub(super) tenths: Vec<Tenth>,
    pub(super) stream_states: Vec<(u64, bool)>,
}

impl Sim {
    pub(super) fn new(seed: u64, link: Link, feedback: Feedback) -> Self {
        Self::with(seed, link, feedback, &[VIDEO, AUDIO])
    }

    pub(super) fn with(seed: u64, link: Link, feedback: Feedback, tracks: &[TrackId]) -> Self {
        let World { mut room, start, .. } = World::new(3);
        for track in tracks.iter().copied() {
            let mut egress = egress(BOB, track);
            match feedback {
                Feedback::Twcc | Feedback::Nothing => egress.exts.set(Kind::TransportCc, TWCC_ID),
                Feedback::Remb(_) | Feedback::OwnRemb => egress.exts.set(Kind::AbsSendTime, SEND_TIME_ID),
            }
            room.subscribe(start, BOB, track, egress);
        }
        Self {
            room,
            start,
            ms: 0,
            wire: Wire::new(seed, link),
            browser: Browser::new(seed + 1_000),
            feedback,
            recorder: Recorder::new(start),
            back: VecDeque::new(),
            highest: None,
            missing: BTreeMap::new(),
            since_report: (0, 0),
            heard: (0, 0, 0),
            arrived: (0, 0),
            told: 4_000_000,
            tenths: Vec::new(),
            stream_states: Vec::new(),
        }
    }

    pub(super) fn audio_exts() -> ext::Map {
        let mut exts = egress(BOB, AUDIO).exts;
        exts.set(Kind::TransportCc, TWCC_ID);
        exts
    }

    pub(super) fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    pub(super) fn run(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms {
            if self.ms.is_multiple_of(100) {
                self.tenths.push(Tenth { estimate: self.estimate(), ..Tenth::default() });
            }
            let now = self.now();
            self.browser.publish(self.ms, now, &mut self.room);
            self.arrive();
            self.answer();
            if self.room.poll_timeout().is_some_and(|due| due <= now) {
                self.room.handle_timeout(now);
                assert!(self.room.poll_timeout().is_none_or(|due| due > now), "a deadline that stays in the past");
            }
            self.flush();
            self.ms += 1;
        }
        self
    }

    /// The machine stands still: time goes on, and nothing is done.
    pub(super) fn stand_still(&mut self, ms: u64) {
        self.ms += ms;
        self.tenths.resize(self.ms.div_ceil(100) as usize, Tenth::default());
    }

    fn estimate(&self) -> u64 {
        let mut subscribers = self.room.subscribers.iter();
        let budget = subscribers.find_map(|(_, subscriber)| subscriber.budget(self.now()));
        budget.map_or(0, |bits| bits as u64 / 1_000)
    }

    /// What the room has for the subscriber goes onto the link; what it has for the publisher reaches it later.
    fn flush(&mut self) {
        let (now, mut sent) = (self.now(), Vec::new());
        while self.room.next_subscriber().is_some() {
            self.room.write(now, &mut Show::to(|packet| sent.push(packet.to_vec())));
        }
        sent.into_iter().for_each(|packet| self.send(packet));
        while let Some((to, bytes)) = self.room.poll_rtcp(now) {
            if to != ALICE {
                continue;
            }
            for packet in packets(&bytes) {
                if let Ok(Packet::Pli { media, .. }) = packet {
                    self.browser.keyframe(self.ms, (media.0 - layer_ssrc(0)) as usize);
                }
            }
        }
        while let Some(event) = self.room.poll_event() {
            if let Event::StreamState { paused, .. } = event {
                self.stream_states.push((self.ms, paused));
            }
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let view = View::parse(&bytes).unwrap();
        if view.ssrc() == out_ssrc(BOB, VIDEO) {
            let (layer, ..) = read_video(view.payload());
            let tenth = self.tenths.last_mut().unwrap();
            tenth.sent_layer = tenth.sent_layer.max(Some(layer));
        }
        self.wire.send(self.ms, bytes);
    }

    fn arrive(&mut self) {
        while let Some(Arrived { at_us, bytes, sent_ms, .. }) = self.wire.receive(self.ms) {
            let view = View::parse(&bytes).unwrap();
            if let Some(seq) = view.extension(TWCC_ID).and_then(ext::transport_cc) {
                self.recorder.record(self.start + Duration::from_micros(at_us), seq);
            }
            let tenth = self.tenths.last_mut().unwrap();
            tenth.slowest_ms = tenth.slowest_ms.max(self.ms - sent_ms);
            self.arrived = (self.arrived.0 + bytes.len() as u64, self.arrived.1.max(self.ms - sent_ms));
            let (ssrc, seq) = (view.ssrc(), view.seq());
            if ssrc == out_ssrc(BOB, AUDIO) {
                tenth.audio += 1;
                self.heard = (self.heard.0 + 1, seq.0, self.heard.2);
            } else if ssrc == out_ssrc(BOB, VIDEO) {
                tenth.video += 1;
                self.look_for_gap(seq);
            } else {
                // A repeat or padding: it has to be what a receiver can undo.
                let mut copy = bytes.clone();
                let whole = rtx::unwrap_in_place(&mut copy, MEDIA_PT, out_ssrc(BOB, VIDEO));
                assert!(whole.is_some() || view.padding_len() > 0);
                if let Some(len) = whole {
                    self.missing.remove(&View::parse(&copy[..len]).unwrap().seq().0);
                }
            }
        }
    }

    fn own_estimate(&mut self) -> u64 {
        let (bytes, slowest_ms) = std::mem::take(&mut self.arrived);
        let arrived = bytes * 8;
        self.told = if slowest_ms > self.wire.link.delay_ms + 100 {
            arrived * 85 / 100
        } else {
            (self.told * 108 / 100).min(arrived * 3 / 2 + 10_000).max(self.told)
        };
        self.told
    }

    fn look_for_gap(&mut self, SeqNo(seq): SeqNo) {
        let highest = self.highest.unwrap_or(seq.wrapping_sub(1));
        let ahead = seq.wrapping_sub(highest);
        self.since_report.0 += 1;
        self.missing.remove(&seq);
        if ahead == 0 || ahead > 1_000 {
            self.since_report.1 = self.since_report.1.saturating_sub(1); // it was only late
            return;
        }
        self.highest = Some(seq);
        self.since_report.1 += u64::from(ahead) - 1;
        // As long as packets overtake each other, a receiver waits before it asks.
        let due = self.ms + self.wire.link.jitter_ms + 10;
        self.missing.extend((1..ahead).map(|back| (seq.wrapping_sub(back), due)));
    }

    fn ask_for_missing(&mut self) {
        let due: Vec<u16> = self.missing.iter().filter(|(_, due)| **due <= self.ms).map(|(seq, _)| *seq).collect();
        if due.is_empty() {
            return;
        }
        for seq in &due {
            self.missing.remove(seq);
        }
        let seqs: Vec<SeqNo> = due.into_iter().map(SeqNo).collect();
        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &[]);
        write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &seqs);
        self.back.push_back((self.ms + self.wire.link.delay_ms, bytes));
    }

    /// The receiver's RTCP.
    fn answer(&mut self) {
        let due = self.ms + self.wire.link.delay_ms;
        self.ask_for_missing();
        if self.feedback == Feedback::Twcc && self.ms.is_multiple_of(60) {
            let (mut bytes, back) = (Vec::new(), &mut self.back);
            write_rr(&mut bytes, Ssrc(1), &[]);
            self.recorder.report(Ssrc(1), out_ssrc(BOB, AUDIO), |feedback| {
                let mut whole = bytes.clone();
                whole.extend_from_slice(&feedback);
                back.push_back((due, whole));
            });
        }
        if self.ms.is_multiple_of(1_000) {
            let (arrived, lost) = std::mem::take(&mut self.since_report);
            let fraction_lost = (lost * 256).checked_div(arrived + lost).unwrap_or(0).min(255) as u8;
            let block = ReportBlock { ssrc: out_ssrc(BOB, VIDEO), fraction_lost, ..ReportBlock::default() };
            let (heard, highest, before) = self.heard;
            let expected = if before == 0 { heard } else { u64::from(highest.wrapping_sub(before)) };
            let fraction_lost =
                (expected.saturating_sub(heard) * 256).checked_div(expected).unwrap_or(0).min(255) as u8;
            let audio = ReportBlock { ssrc: out_ssrc(BOB, AUDIO), fraction_lost, ..ReportBlock::default() };
            self.heard = (0, highest, highest);
            let mut bytes = Vec::new();
            write_rr(&mut bytes, Ssrc(1), &[block, audio]);
            let told = match self.feedback {
                Feedback::Remb(bits) => Some(bits),
                Feedback::OwnRemb => Some(self.own_estimate()),
                Feedback::Twcc | Feedback::Nothing => None,
            };
            if let Some(bits) = told {
                write_remb(&mut bytes, Ssrc(1), Bitrate(bits), &[out_ssrc(BOB, VIDEO)]);
            }
            self.back.push_back((due, bytes));
        }
        while let Some((_, bytes)) = self.back.pop_front_if(|(due, _)| *due <= self.ms) {
            if !self.wire.link.cut {
                let _ = self.room.handle_rtcp(self.now(), BOB, &bytes);
            }
        }
    }

    /// The tenths from one second to another.
    pub(super) fn between(&self, from_s: u64, to_s: u64) -> &[Tenth] {
        &self.tenths[from_s as usize * 10..to_s as usize * 10]
    }

    /// Seconds from `from_s` on after which no media above `layer` was sent until `to_s`.
    pub(super) fn down_after(&self, from_s: u64, to_s: u64, layer: u8) -> f64 {
        let above = self.between(from_s, to_s).iter().rposition(|tenth| tenth.sent_layer > Some(layer));
        above.map_or(0.0, |last| (last + 1) as f64 / 10.0)
    }

    /// Seconds from `from_s` on until media of `layer` was sent.
    pub(super) fn up_after(&self, from_s: u64, layer: u8) -> f64 {
        let first = self.tenths[from_s as usize * 10..].iter().position(|tenth| tenth.sent_layer == Some(layer));
        first.map_or(f64::INFINITY, |first| first as f64 / 10.0)
    }

    /// Parts of the time in which this layer was sent.
    pub(super) fn share_of(&self, from_s: u64, to_s: u64, layer: u8) -> f64 {
        let span = self.between(from_s, to_s);
        span.iter().filter(|tenth| tenth.sent_layer == Some(layer)).count() as f64 / span.len() as f64
    }

    pub(super) fn print(&self, name: &str) {
        if std::env::var_os("CONVENE_SIM_TRACE").is_none() {
            return;
        }
        for (index, tenth) in self.tenths.iter().enumerate() {
            eprintln!("{name} {:5.1} {tenth:?}", index as f64 / 10.0);
        }
        eprintln!("{name} {:?} {:?}", self.room.stats(), self.stream_states);
    }
}
