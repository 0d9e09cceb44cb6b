//! Any text as an offer, an answer and an ICE fragment: no panic, and what is accepted is answered section by section.

use convene_peer::sdp::{Attach, ClientAnswer, ClientOffer, CodecParams, Feedback, Fragment, MAX_SECTIONS, Msid, Negotiator, Options, Section};
use convene_peer::sources::{Hints, Sources};
use convene_types::{Codec, MediaKind, Pt, Ssrc, TrackId};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for reserve_sections in [false, true] {
        answer(text, Negotiator::new(options(reserve_sections)));
    }
    let mut offerer = Negotiator::offerer(options(false));
    attach(&mut offerer);
    let offer = offerer.create_offer();
    // The text as the rest of an answer that starts well, so that the fuzzer gets past the first lines.
    for text in [text, &format!("{}{text}", offer.replace("a=ice-lite\r\n", ""))] {
        let _refused = ClientAnswer::read(text).and_then(|answer| offerer.handle_answer(answer));
    }
    assert_eq!(sections(&offerer.create_offer()), offerer.sections().len());
    if let Ok(fragment) = Fragment::parse(text) {
        let _refused = offerer.handle_fragment(&fragment);
    }
}

fn answer(text: &str, mut negotiator: Negotiator) {
    attach(&mut negotiator);
    let take = |negotiator: &mut Negotiator| ClientOffer::read(text).and_then(|offer| negotiator.handle_offer(offer));
    let Ok(first) = take(&mut negotiator) else {
        assert!(
            negotiator.sections().is_empty() && negotiator.remote_ice().is_none(),
            "a refused offer left something"
        );
        return;
    };
    assert!(!first.ice_restarted);
    let answer = negotiator.answer();
    assert!((1..=MAX_SECTIONS).contains(&negotiator.sections().len()));
    assert_eq!(sections(&answer), negotiator.sections().len());
    assert!(answer.lines().all(|line| line.as_bytes().get(1) == Some(&b'=') && !line.contains('\r')));
    let mids: Vec<_> = negotiator.sections().iter().map(|section| section.mid).collect();
    // The same offer again is good again, and no section moves.
    assert!(!take(&mut negotiator).expect("what was accepted is accepted again").ice_restarted);
    assert!(negotiator.sections().iter().map(|section| section.mid).eq(mids));
    sources(negotiator.sections());
}

/// Every payload type is told the same section again, by SSRC alone.
fn sources(sections: &[Section]) {
    let mut sources = Sources::new();
    assert!(sources.update(sections).is_empty());
    for pt in 0..=127 {
        let ssrc = Ssrc(u32::from(pt));
        let bare = Hints { ssrc, pt: Pt(pt), mid: None, rid: None, repaired_rid: None };
        let Some(source) = sources.bind(sections, &bare) else { continue };
        assert!(sections[source.section].receiving);
        assert_eq!(sources.lookup(ssrc), Some(source));
    }
}

fn attach(negotiator: &mut Negotiator) {
    let feedback = Feedback::default();
    let codecs = [CodecParams { pt: Pt(96), codec: Codec::Vp8, fmtp: String::new(), rtx: None, channels: 1, feedback }];
    let msid = Msid { stream: "stream".to_owned(), track: "track".to_owned(), reused: None };
    let (track, kind, ssrc, rtx_ssrc) = (TrackId(1), MediaKind::Video, Ssrc(1000), Ssrc(1001));
    negotiator.attach(Attach { track, kind, msid: &msid, ssrc, rtx_ssrc, codecs: &codecs });
}

fn sections(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("m=")).count()
}

fn options(reserve_sections: bool) -> Options {
    Options {
        ufrag: "srvU".into(),
        pwd: "server-password-0123456789".into(),
        fingerprint: "sha-256 AA".into(),
        candidates: vec!["192.0.2.1:7000".parse().expect("an address")],
        tcp_candidates: vec!["192.0.2.1:7001".parse().expect("an address")],
        reserve_sections,
        session_id: 1,
    }
}
