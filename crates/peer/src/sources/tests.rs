use super::*;
use crate::sdp::{Negotiator, Options};

/// Audio 111 (ssrc 7), simulcast video 96/97 with q h f, plain video 98/99 (ssrc 8, rtx 9).
const OFFER: &str = "v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=ice-ufrag:Ab+1
a=ice-pwd:client-password+0123456789
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=rtcp-mux
a=sendonly
a=rtpmap:111 opus/48000/2
a=ssrc:7 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97
a=mid:1
a=rtcp-mux
a=sendonly
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rid:q send
a=rid:h send
a=rid:f send
a=simulcast:send q;h;f
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99
a=mid:2
a=rtcp-mux
a=sendonly
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=ssrc-group:FID 8 9
a=ssrc:8 cname:x
a=ssrc:9 cname:x
";

fn negotiator() -> Negotiator {
    Negotiator::new(Options {
        ufrag: "srvU".into(),
        pwd: "server-password-0123456789".into(),
        fingerprint: "sha-256 AA".into(),
        candidates: Vec::new(),
        tcp_candidates: Vec::new(),
        reserve_sections: false,
        session_id: 1,
    })
}

fn offer(negotiator: &mut Negotiator, edit: impl Fn(String) -> String) {
    let fingerprint = format!("a=fingerprint:sha-256 {}\na=setup", ["0C"; 32].join(":"));
    negotiator.take_offer(&edit(OFFER.replace("a=setup", &fingerprint))).unwrap();
}

fn hints<'a>(ssrc: u32, pt: u8, mid: &'a str, rid: &'a str, repaired: &'a str) -> Hints<'a> {
    let value = |text: &'a str| (!text.is_empty()).then_some(text.as_bytes());
    Hints { ssrc: Ssrc(ssrc), pt: Pt(pt), mid: value(mid), rid: value(rid), repaired_rid: value(repaired) }
}

/// `section/layer`, `r` for repair.
fn show(source: Option<Source>) -> String {
    source.map_or("-".into(), |at| format!("{}/{}{}", at.section, at.layer, if at.repair { "r" } else { "" }))
}

#[test]
fn binds_in_the_order_of_the_rfc() {
    let mut negotiator = negotiator();
    offer(&mut negotiator, |text| text);
    let sections = negotiator.sections();
    let mut sources = Sources::new();
    sources.update(sections);
    // RTX comes first; media without a rid is not told until it names one; then everything is bound.
    let rows = [
        (hints(31, 97, "1", "", "f"), "1/2r"),
        (hints(30, 96, "1", "", ""), "-"),
        (hints(30, 96, "1", "f", ""), "1/2"),
        (hints(30, 96, "", "", ""), "1/2"),
        (hints(30, 96, "1", "", ""), "1/2"),
        (hints(31, 97, "", "", ""), "1/2r"),
        (hints(10, 96, "1", "q", ""), "1/0"),
        (hints(11, 97, "1", "q", ""), "1/0r"),
        (hints(12, 96, "1", "x", ""), "-"),
        (hints(12, 96, "9", "q", ""), "-"),
        (hints(12, 111, "1", "q", ""), "-"),
        (hints(7, 111, "", "", ""), "0/0"),
        (hints(8, 96, "", "", ""), "2/0"),
        (hints(9, 99, "", "", ""), "2/0r"),
        (hints(77, 111, "", "", ""), "0/0"),
        (hints(88, 98, "", "", ""), "2/0"),
        (hints(99, 96, "", "", ""), "-"),
        (hints(99, 64, "", "", ""), "-"),
        (hints(u32::MAX, 96, "1", "h", ""), "1/1"),
    ];
    for (hints, want) in rows {
        let bound = sources.bind(sections, &hints);
        assert_eq!(show(bound), want, "{hints:?}");
        assert_eq!(sources.lookup(hints.ssrc).is_some(), want != "-", "{hints:?}");
    }
    let rtx = sources.lookup(Ssrc(31)).unwrap();
    assert_eq!((sources.media_ssrc(&rtx), rtx.rid.map(|rid| rid.to_string())), (Some(Ssrc(30)), Some("f".into())));
    let early = Source { layer: 1, rid: "h".parse().ok(), repair: true, ..rtx };
    assert_eq!(sources.media_ssrc(&early), Some(Ssrc(u32::MAX)));
    // 77 took the place of 7, 88 that of 8: one SSRC a stream.
    assert_eq!((sources.lookup(Ssrc(7)), sources.lookup(Ssrc(8))), (None, None));
}

#[test]
fn a_client_cannot_make_it_grow() {
    let mut negotiator = negotiator();
    offer(&mut negotiator, |text| text);
    let mut sources = Sources::new();
    for ssrc in 0..10_000 {
        sources.bind(negotiator.sections(), &hints(ssrc, 96, "1", ["q", "h", "f"][ssrc as usize % 3], ""));
    }
    let bound: Vec<_> = sources.iter().map(|(ssrc, source)| (ssrc.0, source.layer)).collect();
    assert_eq!(bound, [(9997, 1), (9998, 2), (9999, 0)]);
}

#[test]
fn forgets_what_is_not_received() {
    let mut negotiator = negotiator();
    offer(&mut negotiator, |text| text);
    let mut sources = Sources::new();
    assert!(sources.update(negotiator.sections()).is_empty());
    for hints in [hints(7, 111, "", "", ""), hints(10, 96, "1", "q", ""), hints(30, 96, "1", "f", "")] {
        assert!(sources.bind(negotiator.sections(), &hints).is_some());
    }
    // The camera drops its middle layer: f is another index, q is as it was.
    offer(&mut negotiator, |text| text.replace("send q;h;f", "send q;f"));
    assert_eq!(sources.update(negotiator.sections()), [Ssrc(30)]);
    assert_eq!(show(sources.bind(negotiator.sections(), &hints(30, 96, "1", "f", ""))), "1/1");
    // Everything stops.
    offer(&mut negotiator, |text| text.replace("a=sendonly", "a=inactive"));
    assert_eq!(sources.update(negotiator.sections()), [Ssrc(7), Ssrc(10), Ssrc(30)]);
    assert_eq!(sources.bind(negotiator.sections(), &hints(7, 111, "0", "", "")), None);
}
