//! The limit: copy, seal and send the same packets to the same receivers at the same pace with no SFU in between.
//!
//! What remains of an SFU's cost beside this is its own: receiving, looking up, deciding, rewriting.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cpu;
use crate::udp::Udp;

const HEADER_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Whose AES-128-GCM seals. The server takes the one that is faster on the processor.
#[derive(Clone, Copy, Debug)]
pub enum Library {
    /// aws-lc-rs: the limit that aims are set by.
    AwsLc,
    /// ring, which knows what some processors have and aws-lc-rs does not.
    Ring,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub receivers: Vec<SocketAddr>,
    /// Packets to one receiver side by side.
    pub burst: usize,
    /// RTP packet size without the tag.
    pub packet_bytes: usize,
    /// Bursts a second.
    pub bursts_per_s: f64,
    /// How long.
    pub span: Duration,
    /// Sealed by it.
    pub library: Library,
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// CPU time of the thread that sent them.
    pub cpu: Duration,
    /// The first number of each burst, and when the burst began.
    pub bursts: Vec<(u16, Instant)>,
}

/// Sends it all.
pub fn run(udp: &Udp, load: &Load) -> Result<Sent> {
    let keys = load.receivers.iter().map(|_| Key::new(load.library)).collect::<Result<Vec<_>>>()?;
    let packet = vec![0x5a; load.packet_bytes];
    let sealed = load.packet_bytes + TAG_BYTES;
    let mut arena = vec![0; sealed * load.burst];
    let (mut seq, mut sent) = (0_u16, 0_u64);
    let (start, cpu_start) = (Instant::now(), cpu::of_this_thread()?);
    let mut bursts = Vec::new();
    while start.elapsed() < load.span {
        bursts.push((seq, Instant::now()));
        for (key, to) in keys.iter().zip(&load.receivers) {
            for (index, out) in arena.chunks_exact_mut(sealed).enumerate() {
                seal(key, out, &packet, seq.wrapping_add(index as u16))?;
            }
            udp.send(*to, &arena, sealed)?;
            sent += load.burst as u64;
        }
        seq = seq.wrapping_add(load.burst as u16);
        let next = start + Duration::from_secs_f64(bursts.len() as f64 / load.bursts_per_s);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(Sent { packets: sent, cpu: cpu::of_this_thread()? - cpu_start, bursts })
}

enum Key {
    AwsLc(aws_lc_rs::aead::LessSafeKey),
    Ring(Box<ring::aead::LessSafeKey>),
}

impl Key {
    fn new(library: Library) -> Result<Self> {
        let bytes = [7; 16];
        Ok(match library {
            Library::AwsLc => {
                use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
                Self::AwsLc(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes).ok().context("AES key")?))
            }
            Library::Ring => {
                use ring::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
                let key = UnboundKey::new(&AES_128_GCM, &bytes).ok().context("AES key")?;
                Self::Ring(Box::new(LessSafeKey::new(key)))
            }
        })
    }

    fn seal(&self, nonce: [u8; 12], header: &[u8], payload: &mut [u8], tag: &mut [u8]) -> Option<()> {
        match self {
            Self::AwsLc(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                tag.copy_from_slice(key.seal_in_place_separate_tag(nonce, Aad::from(header), payload).ok()?.as_ref());
            }
            Self::Ring(key) => {
                use ring::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                tag.copy_from_slice(key.seal_in_place_separate_tag(nonce, Aad::from(header), payload).ok()?.as_ref());
            }
        }
        Some(())
    }
}

/// Copies a packet, stamps its header, and seals it as RFC 7714 does.
fn seal(key: &Key, out: &mut [u8], packet: &[u8], seq: u16) -> Result<()> {
    let (body, tag_space) = out.split_at_mut(packet.len());
    body.copy_from_slice(packet);
    let (header, payload) = body.split_at_mut(HEADER_BYTES);
    // RTP version 2, no type of RTCP's: receivers count it as they count the server's packets.
    header.fill(0x80);
    header.get_mut(2..4).context("header")?.copy_from_slice(&seq.to_be_bytes());
    let mut nonce = [0; 12];
    nonce[10..].copy_from_slice(&seq.to_be_bytes());
    key.seal(nonce, header, payload, tag_space).context("sealing")
}
