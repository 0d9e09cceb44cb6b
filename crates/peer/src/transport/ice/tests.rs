//! The agent against checks made with `rtc-stun`'s client side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, MessageType, Setter, TransactionId,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::{Agent, Credentials, MAX_ADDRESSES, PREVIOUS_CREDENTIALS, PathChange, local_ufrag, tag_of};
use crate::DropReason;

fn provider() -> Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().unwrap()
}

pub(in crate::transport) fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

/// A check as browsers send it.
pub(in crate::transport) fn check(credentials: &Credentials, use_candidate: bool) -> Vec<u8> {
    request(BINDING_REQUEST, credentials, use_candidate, &[])
}

/// A request with `behind` attributes put behind the integrity.
fn request(kind: MessageType, credentials: &Credentials, use_candidate: bool, behind: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = Message::new();
    message.typ = kind;
    message.transaction_id = TransactionId([7; 12]);
    message.write_header();
    message.add(ATTR_USERNAME, format!("{}:theirs", credentials.ufrag).as_bytes());
    message.add(rtc_stun::attributes::AttrType(0xc057), &[0, 1, 0, 10]);
    message.add(ATTR_ICE_CONTROLLING, &[1; 8]);
    if use_candidate {
        message.add(ATTR_USE_CANDIDATE, &[]);
    }
    message.add(ATTR_PRIORITY, &[0, 1, 2, 3]);
    let provider = provider();
    MessageIntegrity::new_raw_integrity_with_provider(credentials.pwd.as_bytes(), provider.crypto())
        .add_to(&mut message)
        .unwrap();
    for (kind, value) in behind {
        message.add(rtc_stun::attributes::AttrType(*kind), value);
    }
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

pub(in crate::transport) fn credentials(seed: u64) -> Credentials {
    let mut state = seed;
    Credentials::new(&mut || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    })
}

fn handle(agent: &mut Agent, now: Instant, port: u16, packet: &[u8]) -> Result<PathChange, DropReason> {
    agent.handle(now, addr(port), packet, provider().crypto()).map(|(_, change)| change)
}

#[test]
fn credentials_follow_rfc8445() {
    let (one, two) = (Credentials::random(), Credentials::random());
    for made in [&one, &two, &credentials(3)] {
        assert_eq!((made.ufrag.len(), made.pwd.len()), (8, 24));
        let ice_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        assert!(made.ufrag.chars().chain(made.pwd.chars()).all(ice_char), "{}", made.ufrag);
    }
    assert_ne!(one, two);
    assert!(!format!("{one:?}").contains(&one.pwd), "the password stays out of logs");
}

#[test]
fn the_answer_proves_itself_and_maps_the_address() {
    let local = credentials(1);
    let provider = provider();
    let rows: [(SocketAddr, SocketAddr); 3] = [
        (addr(9), addr(9)),
        ("[::ffff:192.0.2.1]:9".parse().unwrap(), addr(9)),
        ("[2001:db8::1]:9".parse().unwrap(), "[2001:db8::1]:9".parse().unwrap()),
    ];
    for (from, want) in rows {
        let mut agent = Agent::new(local.clone());
        let (answer, _) = agent.handle(Instant::now(), from, &check(&local, false), provider.crypto()).unwrap();
        let mut message = Message::default();
        message.unmarshal_binary(&answer).unwrap();
        assert_eq!(message.typ, BINDING_SUCCESS);
        assert_eq!(message.transaction_id, TransactionId([7; 12]));
        FINGERPRINT.check(&message).unwrap();
        MessageIntegrity::check(&mut message, local.pwd.as_bytes(), provider.crypto()).unwrap();
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&message).unwrap();
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), want);
    }
}

#[test]
fn unproven_checks_change_nothing() {
    let local = credentials(1);
    let good = check(&local, true);
    let wrong_pwd = check(&Credentials { pwd: "x".repeat(24), ..local.clone() }, true);
    let stranger = check(&credentials(2), true);
    let indication = request(
        MessageType { method: BINDING_REQUEST.method, class: rtc_stun::message::CLASS_INDICATION },
        &local,
        true,
        &[],
    );
    let error = request(BINDING_ERROR, &local, true, &[]);
    let trailing = [&good[..], &[0; 4]].concat();
    let mut no_integrity = Message::new();
    no_integrity.typ = BINDING_REQUEST;
    no_integrity.write_header();
    no_integrity.add(ATTR_USERNAME, format!("{}:theirs", local.ufrag).as_bytes());
    let mut short_integrity = no_integrity.clone();
    short_integrity.add(ATTR_MESSAGE_INTEGRITY, &[]);
    let rows: [(&str, &[u8], DropReason); 9] = [
        ("wrong password", &wrong_pwd, DropReason::StunIntegrity),
        ("unknown fragment", &stranger, DropReason::StunUnknownUser),
        ("indication", &indication, DropReason::StunNotRequest),
        ("error response", &error, DropReason::StunNotRequest),
        ("trailing bytes", &trailing, DropReason::StunMalformed),
        ("no integrity", &no_integrity.raw, DropReason::StunIntegrity),
        ("short integrity", &short_integrity.raw, DropReason::StunIntegrity),
        ("cut", &good[..good.len() - 1], DropReason::StunMalformed),
        ("empty", &[], DropReason::StunUnknownUser),
    ];
    let now = Instant::now();
    let mut agent = Agent::new(local);
    for (label, packet, want) in rows {
        assert_eq!(handle(&mut agent, now, 1, packet), Err(want), "{label}");
    }
    // All but FINGERPRINT: its type may change into that of an attribute that is ignored.
    for bit in 0..(good.len() - 8) * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(handle(&mut agent, now, 1, &bad).is_err(), "bit {bit}");
    }
    assert!(agent.path().is_none() && !agent.is_known(addr(1)) && !agent.current_seen);
}

#[test]
fn use_candidate_behind_the_integrity_is_not_believed() {
    let local = credentials(1);
    let now = Instant::now();
    let mut agent = Agent::new(local.clone());
    handle(&mut agent, now, 1, &check(&local, false)).unwrap();
    let forged = request(BINDING_REQUEST, &local, false, &[(0x0025, &[])]);
    assert_eq!(handle(&mut agent, now, 2, &forged), Ok(PathChange::None));
    assert_eq!(agent.path(), Some(addr(1)));
}

#[test]
fn the_path_follows_the_client() {
    let local = credentials(1);
    let start = Instant::now();
    // (ms, port, USE-CANDIDATE, change, path after)
    let rows = [
        (0, 1, false, PathChange::Selected, 1),
        (10, 2, false, PathChange::None, 1),
        (20, 1, true, PathChange::None, 1),
        (30, 2, true, PathChange::Moved, 2),
        (2_500, 1, false, PathChange::None, 2),
        (6_029, 1, false, PathChange::None, 2),
        (6_030, 1, false, PathChange::Moved, 1), // port 2 was silent for 6 s
    ];
    let mut agent = Agent::new(local.clone());
    for (ms, port, nominated, change, path) in rows {
        let now = start + Duration::from_millis(ms);
        assert_eq!(handle(&mut agent, now, port, &check(&local, nominated)), Ok(change), "at {ms} ms");
        assert_eq!(agent.path(), Some(addr(path)), "at {ms} ms");
    }
}

#[test]
fn media_moves_the_path_but_late_media_does_not_move_it_back() {
    let local = credentials(1);
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut agent = Agent::new(local.clone());
    assert!(!agent.follow_media(at(0), addr(5)), "no check yet, no path");
    handle(&mut agent, at(0), 1, &check(&local, true)).unwrap();
    assert!(!agent.follow_media(at(1), addr(1)));
    assert!(agent.follow_media(at(100), addr(2)));
    assert!(agent.is_known(addr(2)), "DTLS may come from there too");
    assert!(!agent.follow_media(at(900), addr(1)), "still under way when the client moved");
    assert_eq!(agent.path(), Some(addr(2)));
    assert!(agent.follow_media(at(1_200), addr(1)), "a real way back");
}

#[test]
fn old_credentials_live_on_after_a_restart() {
    let (old, new) = (credentials(1), credentials(2));
    let start = Instant::now();
    let mut agent = Agent::new(old.clone());
    handle(&mut agent, start, 1, &check(&old, true)).unwrap();
    agent.restart(start, new.clone());
    assert_eq!(agent.path(), Some(addr(1)), "the path outlives the restart");
    assert!(agent.accepts_ufrag(&old.ufrag) && agent.accepts_ufrag(&new.ufrag));

    assert_eq!(handle(&mut agent, start, 2, &check(&old, true)), Ok(PathChange::Moved), "no check with new ones yet");
    assert_eq!(handle(&mut agent, start, 3, &check(&new, true)), Ok(PathChange::Moved));
    assert_eq!(handle(&mut agent, start, 2, &check(&old, true)), Ok(PathChange::None), "a late check moves nothing");
    assert_eq!(agent.path(), Some(addr(3)));
    let crossed = Credentials { ufrag: old.ufrag.clone(), pwd: new.pwd };
    assert_eq!(handle(&mut agent, start, 2, &check(&crossed, true)), Err(DropReason::StunIntegrity));

    let end = start + PREVIOUS_CREDENTIALS;
    assert!(handle(&mut agent, end - Duration::from_millis(1), 2, &check(&old, false)).is_ok());
    assert_eq!(handle(&mut agent, end, 2, &check(&old, false)), Err(DropReason::StunUnknownUser));
    assert!(!agent.accepts_ufrag(&old.ufrag));
}

#[test]
fn what_is_kept_is_bounded() {
    let first = credentials(1);
    let now = Instant::now();
    let mut agent = Agent::new(first.clone());
    for port in 0..1_000 {
        handle(&mut agent, now, port, &check(&first, false)).unwrap();
    }
    assert_eq!(agent.known.len(), MAX_ADDRESSES);
    for seed in 2..50 {
        agent.restart(now, credentials(seed));
    }
    assert!(!agent.accepts_ufrag(&first.ufrag));
    assert!(agent.accepts_ufrag(&credentials(48).ufrag));
}

#[test]
fn the_path_is_known_whoever_else_checks() {
    let local = credentials(1);
    let now = Instant::now();
    let mut agent = Agent::new(local.clone());
    handle(&mut agent, now, 1, &check(&local, true)).unwrap();
    for port in 2..100 {
        handle(&mut agent, now, port, &check(&local, false)).unwrap();
        handle(&mut agent, now, 1, &check(&local, true)).unwrap();
        assert_eq!(agent.path(), Some(addr(1)));
        assert!(agent.is_known(addr(1)) && agent.is_known(addr(port)), "after {port}");
    }
    assert!(agent.known.len() <= MAX_ADDRESSES);
    handle(&mut agent, now, 100, &check(&local, true)).unwrap();
    assert!(agent.is_known(addr(1)) && agent.is_known(addr(100)), "the client moved");
}

#[test]
fn local_ufrag_reads_what_the_agent_reads() {
    let local = credentials(9);
    let packet = check(&local, true);
    assert_eq!(local_ufrag(&packet), Some(&local.ufrag[..]));
    for len in 0..packet.len() {
        let _ = local_ufrag(&packet[..len]);
    }
    let mut cookie = packet.clone();
    cookie[4] ^= 1;
    assert_eq!(local_ufrag(&cookie), None);
    let mut state = 1u64;
    for round in 0..100_000usize {
        let mut bytes = packet.clone();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = 20 + (state >> 33) as usize % (bytes.len() - 20);
        bytes[at] = (state >> 25) as u8;
        bytes.truncate(bytes.len() - round % 30);
        let _ = local_ufrag(&bytes);
    }
}

#[test]
fn garbage_never_panics() {
    let local = credentials(1);
    let good = check(&local, true);
    let provider = provider();
    let mut agent = Agent::new(local);
    let mut state = 0xabcd_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..50_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + next() % 4 {
            // Mostly behind USERNAME, so that the rest of the message is looked at too.
            let from = if next() % 4 == 0 { 0 } else { 44 };
            let at = from + next() % (bytes.len() - from);
            bytes[at] = next() as u8;
        }
        let _ = agent.handle(Instant::now(), addr(1), &bytes, provider.crypto());
    }
}

#[test]
fn a_fragment_tells_its_tag() {
    for tag in [0, 1, 63, 64, 255, 4_095] {
        let made = Credentials::tagged(tag);
        assert_eq!((made.ufrag.len(), tag_of(&made.ufrag)), (10, Some(tag)), "{tag}");
    }
    for nothing in ["", "A", "-A", "\u{e4}b"] {
        assert_eq!(tag_of(nothing), None, "{nothing}");
    }
}
