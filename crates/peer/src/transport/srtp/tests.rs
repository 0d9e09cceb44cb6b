//! Session against `rtc_srtp::Context`, which shares no code with it.

use std::time::Instant;

use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::{MAX_INBOUND_SSRCS, Profile, SealError, Session};
use crate::DropReason;

const SSRC: u32 = 0xcafe_babe;

/// The client's side, as another implementation sees it.
struct Other {
    seal: Context,
    open: Context,
}

fn provider() -> std::sync::Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().unwrap()
}

fn pair(profile: Profile) -> (Session, Other) {
    let provider = provider();
    let material: Vec<u8> = (0..profile.material_len()).map(|at| (at * 7 + 3) as u8).collect();
    let salt_len = profile.master_salt_len();
    let (keys, salts) = material.split_at(32);
    let context = |key: &[u8], salt: &[u8]| {
        let theirs = match profile {
            Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::Aes128CmSha1 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        Context::new(key, salt, theirs, None, None, provider.crypto()).unwrap()
    };
    let other =
        Other { seal: context(&keys[..16], &salts[..salt_len]), open: context(&keys[16..], &salts[salt_len..]) };
    (Session::server(profile, &material, provider.crypto()).unwrap(), other)
}

/// A packet with a CSRC and a one-byte extension, so that the header is not just twelve bytes.
fn rtp(ssrc: u32, seq: u16, payload_len: usize) -> Vec<u8> {
    let mut packet = vec![0x91, 96];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&(u32::from(seq) * 3000).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&77u32.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x12, 1, 2, 3]);
    packet.extend((0..payload_len).map(|at| (at as u8) ^ (seq as u8)));
    packet
}

fn sender_report(ssrc: u32, tail: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[tail; 20]);
    packet
}

fn protect(session: &mut Session, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + super::MAX_RTP_OVERHEAD, 0);
    let len = session.protect_rtp(&mut buf, plain.len())?;
    buf.truncate(len);
    Ok(buf)
}

fn unprotect(session: &mut Session, sealed: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut buf = sealed.to_vec();
    let len = session.unprotect_rtp(&mut buf)?;
    buf.truncate(len);
    Ok(buf)
}

#[test]
fn rtp_both_ways_over_two_rollovers() {
    for profile in Profile::ALL {
        let (mut session, mut other) = pair(profile);
        for index in 65_000u32..65_000 + 2 * 65_536 {
            let plain = rtp(SSRC, index as u16, (index % 50 + 16) as usize);
            let sealed = protect(&mut session, &plain).unwrap();
            assert_ne!(sealed[..plain.len()], plain[..], "{profile:?} {index} went out in the clear");
            assert_eq!(other.open.decrypt_rtp(&sealed).unwrap(), plain, "{profile:?} {index} out");
            let sealed = other.seal.encrypt_rtp(&plain).unwrap();
            assert_eq!(unprotect(&mut session, &sealed).unwrap(), plain, "{profile:?} {index} in");
        }
    }
}

#[test]
fn rtp_out_of_order_over_the_wrap() {
    // Each row is a run of seqs on an SSRC of its own.
    let runs: &[&[u16]] = &[
        &[65_533, 65_535, 0, 65_534, 1, 3, 2],
        &[40_000, 65_535, 5, 65_000, 6],
        &[10, 9, 8, 1_500, 11],
        &[0x7fff, 0x8000, 0x7ffe],
    ];
    for profile in Profile::ALL {
        let (mut session, mut other) = pair(profile);
        for (run, ssrc) in runs.iter().zip(100u32..) {
            for seq in *run {
                let plain = rtp(ssrc, *seq, 30);
                let sealed = protect(&mut session, &plain).unwrap();
                assert_eq!(other.open.decrypt_rtp(&sealed).unwrap(), plain, "{profile:?} {seq} out");
                let sealed = other.seal.encrypt_rtp(&plain).unwrap();
                assert_eq!(unprotect(&mut session, &sealed).unwrap(), plain, "{profile:?} {seq} in");
            }
        }
    }
}

#[test]
fn rtcp_both_ways() {
    for profile in Profile::ALL {
        let (mut session, mut other) = pair(profile);
        for count in 0..2_000u32 {
            let plain = sender_report(SSRC + count % 3, count as u8);
            let sealed = session.protect_rtcp(&plain).unwrap();
            assert_eq!(other.open.decrypt_rtcp(&sealed).unwrap(), plain, "{profile:?} {count} out");
            let mut sealed = other.seal.encrypt_rtcp(&plain).unwrap().to_vec();
            let again = sealed.clone();
            let len = session.unprotect_rtcp(&mut sealed).unwrap();
            assert_eq!(sealed[..len], plain, "{profile:?} {count} in");
            assert_eq!(session.unprotect_rtcp(&mut again.clone()), Err(DropReason::SrtpReplay));
        }
    }
}

#[test]
fn a_replay_is_refused_and_the_window_ends() {
    for profile in Profile::ALL {
        let (mut session, mut other) = pair(profile);
        let sealed: Vec<_> = (0..3_000).map(|seq| other.seal.encrypt_rtp(&rtp(SSRC, seq, 9)).unwrap()).collect();
        let order = (0..1_000).chain(2_000..3_000);
        for at in order {
            unprotect(&mut session, &sealed[at]).unwrap();
            assert_eq!(unprotect(&mut session, &sealed[at]), Err(DropReason::SrtpReplay), "{profile:?} {at}");
        }
        // 2,999 is the newest: repaired packets down to 2,047 behind it are welcome.
        assert!(unprotect(&mut session, &sealed[1_500]).is_ok());
        assert_eq!(unprotect(&mut session, &sealed[952]), Err(DropReason::SrtpReplay));
        assert_eq!(unprotect(&mut session, &sealed[951]), Err(DropReason::SrtpTooOld));
    }
}

#[test]
fn any_changed_bit_is_noticed_and_makes_no_state() {
    for profile in Profile::ALL {
        let (mut session, mut other) = pair(profile);
        let good = other.seal.encrypt_rtp(&rtp(SSRC, 7, 20)).unwrap();
        let good_rtcp = other.seal.encrypt_rtcp(&sender_report(SSRC, 1)).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(session.unprotect_rtp(&mut bad).is_err(), "{profile:?} RTP bit {bit}");
        }
        for bit in 0..good_rtcp.len() * 8 {
            let mut bad = good_rtcp.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(session.unprotect_rtcp(&mut bad).is_err(), "{profile:?} RTCP bit {bit}");
        }
        assert_eq!(session.inbound_ssrcs(), 0);
        assert!(unprotect(&mut session, &good).is_ok());
        assert!(session.unprotect_rtcp(&mut good_rtcp.to_vec()).is_ok());
        assert_eq!(session.inbound_ssrcs(), 2);
    }
}

#[test]
fn garbage_never_panics() {
    let mut state = 0x5eed_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for profile in Profile::ALL {
        let (mut session, _) = pair(profile);
        for round in 0..50_000usize {
            let mut bytes: Vec<u8> = (0..round % 90).map(|_| next()).collect();
            if let Some(first) = bytes.first_mut() {
                *first = (*first & 0x3f) | 0x80;
            }
            let len = bytes.len();
            assert!(session.unprotect_rtp(&mut bytes.clone()).is_err());
            assert!(session.unprotect_rtcp(&mut bytes.clone()).is_err());
            // Ours too: these may fail or succeed, but not fall.
            let _ = session.protect_rtp(&mut bytes.clone(), len);
            let _ = session.protect_rtp(&mut bytes.clone(), len + 1);
            let _ = session.protect_rtp(&mut bytes.clone(), len.saturating_sub(20));
            let _ = session.protect_rtcp(&bytes);
        }
        assert_eq!(session.inbound_ssrcs(), 0);
    }
}

#[test]
fn a_nonce_is_never_used_twice() {
    for profile in Profile::ALL {
        let (mut session, _) = pair(profile);
        for seq in [10u16, 12, 11, 3_000] {
            protect(&mut session, &rtp(SSRC, seq, 5)).unwrap();
        }
        for seq in [10, 11, 12, 3_000, 900] {
            let got = protect(&mut session, &rtp(SSRC, seq, 6));
            assert_eq!(got, Err(SealError::NonceReuse), "{profile:?} {seq}");
        }
        assert!(protect(&mut session, &rtp(SSRC, 953, 5)).is_ok(), "in the window and not used");
        assert!(protect(&mut session, &rtp(SSRC + 1, 10, 5)).is_ok(), "another SSRC");
        let words: Vec<[u8; 4]> = (0..100u32)
            .map(|count| session.protect_rtcp(&sender_report(count % 4, 0)).unwrap())
            .map(|sealed| match profile {
                Profile::AeadAes128Gcm => *sealed.last_chunk().unwrap(),
                Profile::Aes128CmSha1 => *sealed[..sealed.len() - 10].last_chunk().unwrap(),
            })
            .collect();
        assert!(words.is_sorted_by(|a, b| a < b), "the SRTCP index grows over all SSRCs");
    }
}

#[test]
fn a_packet_without_room_burns_no_index() {
    for (profile, tag) in [(Profile::AeadAes128Gcm, 16), (Profile::Aes128CmSha1, 10)] {
        let (mut session, _) = pair(profile);
        let plain = rtp(SSRC, 1, 5);
        let mut buf = plain.clone();
        buf.resize(plain.len() + tag - 1, 0);
        assert_eq!(session.protect_rtp(&mut buf, plain.len()), Err(SealError::NoRoom));
        assert_eq!(session.protect_rtp(&mut buf, plain.len() + tag), Err(SealError::NoRoom));
        buf.push(0);
        assert_eq!(session.protect_rtp(&mut buf, plain.len()), Ok(plain.len() + tag));
    }
}

#[test]
fn a_client_cannot_make_state_without_bound() {
    let (mut session, mut other) = pair(Profile::AeadAes128Gcm);
    for ssrc in 0..MAX_INBOUND_SSRCS as u32 {
        let sealed = other.seal.encrypt_rtp(&rtp(ssrc, 1, 5)).unwrap();
        unprotect(&mut session, &sealed).unwrap();
    }
    let sealed = other.seal.encrypt_rtp(&rtp(u32::MAX, 1, 5)).unwrap();
    assert_eq!(unprotect(&mut session, &sealed), Err(DropReason::SrtpTooManySsrcs));
    let sealed = other.seal.encrypt_rtp(&rtp(3, 2, 5)).unwrap();
    assert!(unprotect(&mut session, &sealed).is_ok(), "those known go on");
}

#[test]
fn short_material_is_refused() {
    for profile in Profile::ALL {
        let material = vec![1; profile.material_len() - 1];
        assert!(Session::server(profile, &material, provider().crypto()).is_err());
    }
}

/// Best of many short rounds, because other work on the machine only ever adds.
fn best(rounds: u32, packets: u32, mut round: impl FnMut()) -> std::time::Duration {
    let time = |round: &mut dyn FnMut()| {
        let start = Instant::now();
        round();
        start.elapsed() / packets
    };
    (0..rounds).map(|_| time(&mut round)).min().unwrap_or_default()
}

/// Prints the cost of a 1,200-byte packet: `cargo test --release -p convene-peer -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_sealing() {
    const PACKETS: u32 = 2_000;
    let raw_key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, &[7; 16]).unwrap();
    let raw_key = aws_lc_rs::aead::LessSafeKey::new(raw_key);
    for (profile, ssrcs) in [(Profile::AeadAes128Gcm, 1u32), (Profile::AeadAes128Gcm, 60), (Profile::Aes128CmSha1, 1)] {
        let (mut session, mut other) = pair(profile);
        let mut buf = rtp(SSRC, 0, 1_180);
        let len = buf.len();
        buf.resize(len + 16, 0);
        let mut count = 0u32;
        let seal = best(200, PACKETS, || {
            for _ in 0..PACKETS {
                buf[8..12].copy_from_slice(&(SSRC + count % ssrcs).to_be_bytes());
                buf[2..4].copy_from_slice(&((count / ssrcs) as u16).to_be_bytes());
                count += 1;
                session.protect_rtp(&mut buf, len).unwrap();
            }
        });
        let mut seq = 0u16;
        let mut open = std::time::Duration::MAX;
        for _ in 0..20 {
            let mut sealed: Vec<Vec<u8>> = Vec::new();
            for _ in 0..PACKETS {
                sealed.push(other.seal.encrypt_rtp(&rtp(SSRC, seq, 1_180)).unwrap().to_vec());
                seq = seq.wrapping_add(1);
            }
            open = open.min(best(1, PACKETS, || {
                for packet in &mut sealed {
                    session.unprotect_rtp(packet).unwrap();
                }
            }));
        }
        let plain = rtp(SSRC, seq, 1_180);
        let theirs = best(50, PACKETS, || {
            for _ in 0..PACKETS {
                std::hint::black_box(other.seal.encrypt_rtp(&plain).unwrap());
            }
        });
        let raw = best(50, PACKETS, || {
            for _ in 0..PACKETS {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key([3; 12]);
                let aad = aws_lc_rs::aead::Aad::from([1u8; 24]);
                let _tag = raw_key.seal_in_place_separate_tag(nonce, aad, &mut buf[24..1204]).unwrap();
            }
        });
        println!(
            "{profile:?}, {ssrcs} SSRCs: seal {seal:?}, open {open:?}; rtc-srtp seals in {theirs:?}, bare AEAD {raw:?}"
        );
    }
}
