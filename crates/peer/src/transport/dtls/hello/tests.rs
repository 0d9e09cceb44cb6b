//! ClientHellos whole, in pieces, contradicting themselves.

use super::{Gather, MAX_DATAGRAMS, MAX_HELLO_BYTES, best_profile, offers_x25519};
use crate::DropReason;
use crate::transport::srtp::Profile;

/// A ClientHello body whose `use_srtp` stands behind `before` bytes of another extension.
fn hello(profiles: &[u16], before: usize) -> Vec<u8> {
    hello_with_groups(profiles, &[23], before)
}

fn hello_with_groups(profiles: &[u16], groups: &[u16], before: usize) -> Vec<u8> {
    let list = |codes: &[u16]| {
        let mut list = ((codes.len() * 2) as u16).to_be_bytes().to_vec();
        list.extend(codes.iter().flat_map(|code| code.to_be_bytes()));
        list
    };
    let mut extensions = Vec::new();
    let mut extension = |kind: u16, value: &[u8]| {
        extensions.extend_from_slice(&kind.to_be_bytes());
        extensions.extend_from_slice(&(value.len() as u16).to_be_bytes());
        extensions.extend_from_slice(value);
    };
    extension(51, &vec![9; before]);
    extension(10, &list(groups));
    let mut profiles = list(profiles);
    profiles.push(0); // no MKI
    extension(14, &profiles);
    extension(23, &[]);
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[5; 32]);
    body.extend_from_slice(&[0, 0]); // session id, cookie
    body.extend_from_slice(&[0, 2, 0xc0, 0x2b, 1, 0]); // suites, compression
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    body
}

fn datagram(total: usize, message_seq: u8, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let u24 = |value: usize| [(value >> 16) as u8, (value >> 8) as u8, value as u8];
    let mut body = vec![1];
    body.extend_from_slice(&u24(total));
    body.extend_from_slice(&[0, message_seq]);
    body.extend_from_slice(&u24(offset));
    body.extend_from_slice(&u24(bytes.len()));
    body.extend_from_slice(bytes);
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1];
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

#[test]
fn the_best_offered_profile_is_chosen() {
    let rows: &[(&[u16], Option<Profile>)] = &[
        (&[1, 8, 7], Some(Profile::AeadAes128Gcm)), // Chromium
        (&[8, 7, 1], Some(Profile::AeadAes128Gcm)), // aiortc
        (&[7], Some(Profile::AeadAes128Gcm)),
        (&[2, 1], Some(Profile::Aes128CmSha1)),
        (&[8], None),
        (&[], None),
    ];
    for (offered, want) in rows {
        assert_eq!(best_profile(&hello(offered, 1258)), *want, "{offered:?}");
    }
}

#[test]
fn x25519_is_seen_wherever_it_stands() {
    let rows: &[(&[u16], bool)] = &[
        (&[4588, 29, 23, 24], true), // Chromium, with a post-quantum group
        (&[23, 29, 24], true),       // webrtc-rs
        (&[23, 24], false),
        (&[0x1d00, 0x001d >> 8], false), // not across two of them
        (&[], false),
    ];
    for (groups, want) in rows {
        assert_eq!(offers_x25519(&hello_with_groups(&[7], groups, 1258)), *want, "{groups:?}");
    }
}

#[test]
fn a_cut_hello_offers_nothing() {
    let whole = hello_with_groups(&[7], &[29], 20);
    for len in 0..whole.len() - 4 {
        assert_eq!(best_profile(&whole[..len]), None, "{len}");
        assert!(!offers_x25519(&whole[..len.min(80)]), "{len}");
    }
}

#[test]
fn pieces_in_any_order_make_the_hello() {
    // As Chromium: 1.4 kB with the key share first, so `use_srtp` is in the second datagram.
    let body = hello(&[1, 8, 7], 1258);
    let (first, second) = body.split_at(1175);
    assert_eq!(best_profile(first), None);
    let one = datagram(body.len(), 0, 0, first);
    let two = datagram(body.len(), 0, first.len(), second);
    for order in [[&one, &two], [&two, &one]] {
        let mut gather = Gather::default();
        gather.push(order[0]).unwrap();
        gather.push(order[0]).unwrap();
        assert_eq!(gather.hello(), None);
        gather.push(order[1]).unwrap();
        assert_eq!(gather.hello(), Some(body.clone()));
        assert_eq!(gather.into_datagrams(), [order[0].clone(), order[1].clone()], "a repeat is not held twice");
    }
}

#[test]
fn a_contradiction_starts_anew() {
    let old = hello(&[1], 50);
    let new = hello(&[7], 60);
    let mut gather = Gather::default();
    gather.push(&datagram(old.len(), 0, 0, &old[..40])).unwrap();
    gather.push(&datagram(new.len(), 0, 0, &new[..40])).unwrap();
    gather.push(&datagram(new.len(), 0, 40, &new[40..])).unwrap();
    assert_eq!(gather.hello(), Some(new));
    assert_eq!(gather.into_datagrams().len(), 2);
}

#[test]
fn what_is_held_is_bounded() {
    let mut gather = Gather::default();
    for offset in 0..1_000 {
        gather.push(&datagram(2_000, 0, offset * 2, &[1])).unwrap();
        assert!(gather.datagrams.len() <= MAX_DATAGRAMS && gather.parts.len() <= MAX_DATAGRAMS);
    }
    let rows = [
        (datagram(MAX_HELLO_BYTES + 1, 0, 0, &[1]), DropReason::DtlsMalformed),
        (datagram(10, 0, 0, &[]), DropReason::DtlsMalformed),
        (
            {
                let mut other = datagram(1, 0, 0, &[1]);
                other[13] = 16;
                other
            },
            DropReason::DtlsUnexpected,
        ),
        (
            {
                let mut other = datagram(1, 0, 0, &[1]);
                other[0] = 23;
                other
            },
            DropReason::DtlsUnexpected,
        ),
        (
            {
                let mut other = datagram(1, 0, 0, &[1]);
                other[4] = 1;
                other
            },
            DropReason::DtlsUnexpected,
        ),
    ];
    for (bytes, want) in rows {
        assert_eq!(Gather::default().push(&bytes), Err(want));
    }
}
