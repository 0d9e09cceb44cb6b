//! The fuzz targets in the short form that CI runs: every seed of the corpus as it is, then seeds that are cut, spliced and
//! flipped, from a fixed random seed. `make fuzz` runs the same targets under libFuzzer, with coverage to guide it, and with
//! overflow checks; that is a build of its own, which takes minutes.

#![cfg(test)]
#![allow(clippy::unwrap_in_result, reason = "the panic of a target is its finding")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// For each target. Findings in the corpus do not depend on it; how many mutants are tried does.
const SPAN: Duration = Duration::from_millis(700);
/// At least so many mutants on a slow machine.
const MIN_MUTANTS: usize = 200;
/// Longest mutant: a datagram and some more.
const MAX_BYTES: usize = 4096;

macro_rules! targets {
    ($($name:ident: $path:literal),* $(,)?) => {
        $(
            #[path = $path]
            mod $name;
        )*

        mod smoke {
            $(
                #[test]
                fn $name() {
                    super::smoke(stringify!($name), super::$name::run);
                }
            )*
        }

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    av1: "../fuzz/targets/av1.rs",
    dd: "../fuzz/targets/dd.rs",
    h264: "../fuzz/targets/h264.rs",
    im_frame: "../fuzz/targets/im_frame.rs",
    im_replica: "../fuzz/targets/im_replica.rs",
    red: "../fuzz/targets/red.rs",
    rtcp: "../fuzz/targets/rtcp.rs",
    rtp_rewrite: "../fuzz/targets/rtp_rewrite.rs",
    rtp_view: "../fuzz/targets/rtp_view.rs",
    rtx: "../fuzz/targets/rtx.rs",
    sctp: "../fuzz/targets/sctp.rs",
    sdp: "../fuzz/targets/sdp.rs",
    sfu_core: "../fuzz/targets/sfu_core.rs",
    transport: "../fuzz/targets/transport.rs",
    voice: "../fuzz/targets/voice.rs",
    vp8: "../fuzz/targets/vp8.rs",
    vp9: "../fuzz/targets/vp9.rs",
}

fn smoke(name: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds in corpus/{name}");
    for (path, seed) in paths.iter().zip(&seeds) {
        tried(&path.display().to_string(), seed, run);
    }
    let (mut random, end) = (Random(0x9e37_79b9_7f4a_7c15), Instant::now() + SPAN);
    let mut mutants = 0;
    while mutants < MIN_MUTANTS || Instant::now() < end {
        let mutant = mutate(&mut random, &seeds);
        tried("a mutant", &mutant, run);
        mutants += 1;
    }
}

/// A panic names its input, which then becomes a seed.
fn tried(what: &str, bytes: &[u8], run: fn(&[u8])) {
    if std::panic::catch_unwind(|| run(bytes)).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("panicked at {what}: {hex}");
    }
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.of(seeds).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 => {
                let other = random.of(seeds);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            4 if at < bytes.len() => bytes[at] = *random.of(&[0, 1, 0x7f, 0x80, 0xff]),
            _ => {
                let end = (at + random.below(8)).min(bytes.len());
                bytes[at..end].fill_with(|| random.byte());
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

/// SplitMix64: the same mutants in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

#[test]
fn every_target_is_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(NAMES.contains(&name.as_str()), "{name} is not in tests/it/fuzz.rs");
    }
}

#[test]
fn a_panic_is_found() {
    let found = std::panic::catch_unwind(|| tried("a seed", b"x", |bytes| assert!(bytes.is_empty())));
    assert!(found.is_err());
    tried("a seed", b"", |bytes| assert!(bytes.is_empty()));
}
