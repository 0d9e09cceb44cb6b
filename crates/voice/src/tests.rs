//! Whole files through [`inspect`]: tones of our own encoder, files built by hand, and two that Chromium recorded.

mod broken;
mod files;
mod measures;

use crate::{Limits, SAMPLE_RATE};

/// Recorded by MediaRecorder in Chromium: an oscillator at 440 Hz, gain 0.25. Mono: written in one piece, sizes known.
/// Stereo: in slices of 200 ms, sizes unknown. Both: 24 packets of 60 ms, no pre-skip.
const CHROMIUM_MONO: &[u8] = include_bytes!("../fixtures/chromium-mono.webm");
const CHROMIUM_STEREO: &[u8] = include_bytes!("../fixtures/chromium-stereo.webm");

const LIMITS: Limits = Limits { max_duration_ms: 60_000, max_bytes: 1 << 20 };

/// A sine; `amplitude` goes by the share of the tone that is over.
fn tone(samples: usize, hz: f64, amplitude: impl Fn(f64) -> f64) -> Vec<i16> {
    let sample = |at: usize| {
        let phase = at as f64 * hz * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
        (amplitude(at as f64 / samples as f64) * phase.sin() * f64::from(i16::MAX)) as i16
    };
    (0..samples).map(sample).collect()
}

/// Xorshift: the same inputs in every run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Builds WebM as browsers write it.
mod build {
    /// What a recorder writes that does not know yet.
    pub(super) const UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

    pub(super) fn element(id: u32, body: &[u8]) -> Vec<u8> {
        let size = body.len() as u64 | 1 << 56;
        [begin(id).as_slice(), &size.to_be_bytes(), body].concat()
    }

    pub(super) fn begin(id: u32) -> Vec<u8> {
        id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
    }

    pub(super) fn track(number: u8, codec: &[u8], private: &[u8]) -> Vec<u8> {
        let fields = [
            element(0xd7, &[number]),
            element(0x73c5, &[1, 2, 3, 4]),
            element(0x83, &[2]),
            element(0x86, codec),
            element(0x63a2, private),
        ];
        element(0xae, &fields.concat())
    }

    pub(super) fn block(track: u8, flags: u8, packet: &[u8]) -> Vec<u8> {
        [&[0x80 | track, 0, 0, flags], packet].concat()
    }

    /// `clusters` behind the headers; the segment's size is unknown.
    pub(super) fn webm(tracks: &[u8], clusters: &[u8]) -> Vec<u8> {
        let head = element(0x1a45_dfa3, &element(0x4282, b"webm"));
        let info = element(0x1549_a966, &element(0x4d80, b"Chrome"));
        let segment = [begin(0x1853_8067).as_slice(), &UNKNOWN].concat();
        [head, segment, info, element(0x1654_ae6b, tracks), clusters.to_vec()].concat()
    }

    /// A cluster of unknown size.
    pub(super) fn cluster(blocks: &[Vec<u8>]) -> Vec<u8> {
        [begin(0x1f43_b675).as_slice(), &UNKNOWN, &element(0xe7, &[0]), &blocks.concat()].concat()
    }
}
