//! Whole negotiations, by role.

mod answering;
mod fragments;
mod hostile;
mod offering;

use convene_types::{Codec, MediaKind, Mid, Pt, Ssrc, TrackId};

use super::fixtures::{self, Chromium, head, section};
use super::{Attach, CodecParams, Feedback, Msid, Negotiator};

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

fn codec(pt: u8, codec: Codec, fmtp: &str) -> CodecParams {
    let channels = if matches!(codec, Codec::Opus | Codec::Red) { 2 } else { 1 };
    CodecParams { pt: Pt(pt), codec, fmtp: fmtp.into(), rtx: None, channels, feedback: Feedback::default() }
}

/// Attaches track `n` with SSRCs 100n and 100n+1.
fn attach(negotiator: &mut Negotiator, n: u64, kind: MediaKind, codecs: &[CodecParams]) -> Option<Mid> {
    let ssrc = u32::try_from(n).unwrap() * 100;
    let msid =
        Msid { stream: format!("PA_{n}|stream"), track: format!("TR_{n}"), reused: Some(format!("PA_{n}|TR_{n}")) };
    let (ssrc, rtx_ssrc) = (Ssrc(ssrc), Ssrc(ssrc + 1));
    negotiator.attach(Attach { track: TrackId(n), kind, msid: &msid, ssrc, rtx_ssrc, codecs })
}

/// Direction of each media section of a description; `-` for data, `x` for rejected.
fn directions(sdp: &str) -> Vec<&str> {
    let count = sdp.lines().filter(|line| line.starts_with("m=")).count();
    let one = |index| {
        let lines = section(sdp, index);
        if lines[0].split(' ').nth(1) == Some("0") {
            return "x";
        }
        let known = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
        known.into_iter().find(|line| lines.contains(line)).map_or("-", |line| &line[2..])
    };
    (0..count).map(one).collect()
}

/// Media type and mid of each section, in order.
fn layout(sdp: &str) -> Vec<(String, String)> {
    let count = sdp.lines().filter(|line| line.starts_with("m=")).count();
    let one = |index| {
        let lines = section(sdp, index);
        let mid = lines.iter().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or_default();
        (lines[0].split(' ').next().unwrap_or_default().to_owned(), mid.to_owned())
    };
    (0..count).map(one).collect()
}

fn formats(lines: &[&str]) -> Vec<String> {
    lines[0].split(' ').skip(3).map(str::to_owned).collect()
}

/// What RFC 3264 §6 and RFC 8829 §5.3.1 ask of every answer.
fn assert_answers(offer: &str, answer: &str) {
    rtc_sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(answer)).expect("our answer parses");
    assert_eq!(layout(offer), layout(answer), "sections and mids");
    for (index, direction) in directions(answer).into_iter().enumerate() {
        let (ours, theirs) = (section(answer, index), section(offer, index));
        let offered = formats(&theirs);
        let answered = formats(&ours);
        let mut rest = offered.iter();
        // In the offer's order, RTX may stand elsewhere.
        let media: Vec<_> = answered.iter().filter(|pt| !is_rtx(&ours, pt)).collect();
        assert!(media.iter().all(|pt| rest.any(|offered| *offered == **pt)), "section {index}: {answered:?}");
        assert!(answered.iter().all(|pt| offered.contains(pt)), "section {index}: {answered:?}");
        for line in ours.iter().filter(|line| line.starts_with("a=extmap:")) {
            assert!(theirs.contains(line), "section {index} has an extension of its own: {line}");
        }
        assert!(direction == "x" || ours.contains(&"a=setup:passive"), "section {index}");
    }
}

fn is_rtx(lines: &[&str], pt: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("a=rtpmap:{pt} rtx/")))
}

/// Offers and answers once, with the general checks.
fn exchange(negotiator: &mut Negotiator, client: &Chromium) -> String {
    let offer = client.offer();
    negotiator.take_offer(&offer).unwrap();
    let answer = negotiator.answer();
    assert_answers(&offer, &answer);
    answer
}
