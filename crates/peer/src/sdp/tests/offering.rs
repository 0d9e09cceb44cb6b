use convene_rtp::ext::Kind;

use super::super::{KEPT_SECTIONS, MAX_SECTIONS};
use super::fixtures::{answer_to, fingerprint, options};
use super::*;

const H264: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";

fn camera() -> Vec<CodecParams> {
    let rtx = |pt, codec| CodecParams { rtx: Some(Pt(pt)), ..codec };
    vec![rtx(97, codec(96, Codec::Vp8, "x-google=1")), rtx(103, codec(102, Codec::H264, H264))]
}

fn microphone() -> Vec<CodecParams> {
    vec![
        codec(63, Codec::Red, "111/111"),
        codec(111, Codec::Opus, "minptime=10;useinbandfec=1"),
        codec(0, Codec::Pcmu, ""),
    ]
}

/// Offers, lets the client take everything, and returns the offer.
fn offer_taken(negotiator: &mut Negotiator) -> String {
    let offer = negotiator.create_offer();
    rtc_sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(&offer)).expect("our offer parses");
    negotiator.take_answer(&answer_to(&offer)).unwrap();
    offer
}

#[test]
fn data_first_then_what_is_attached() {
    let mut negotiator = Negotiator::offerer(options());
    let offer = offer_taken(&mut negotiator);
    assert_eq!(layout(&offer), [("m=application".to_owned(), "0".to_owned())]);
    let data = section(&offer, 0);
    assert_eq!(data[0], "m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
    for line in ["a=setup:actpass", "a=sctp-port:5000", "a=max-message-size:262144", "a=end-of-candidates"] {
        assert!(data.contains(&line), "{line}");
    }
    assert!(head(&offer).contains(&"a=ice-lite") && head(&offer).contains(&"a=group:BUNDLE 0"));
    assert!(negotiator.has_data() && !negotiator.needs_negotiation());
    assert_eq!(negotiator.remote_ice().map(|ice| ice.0), Some("cliU"));

    assert_eq!(attach(&mut negotiator, 1, MediaKind::Audio, &microphone()), Some(mid("1")));
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &camera()), Some(mid("2")));
    assert!(negotiator.needs_negotiation() && !negotiator.sections()[1].sending);
    let offer = offer_taken(&mut negotiator);
    assert_eq!(directions(&offer), ["-", "sendonly", "sendonly"]);
    let audio = section(&offer, 1);
    assert_eq!(audio[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 63");
    for line in ["a=msid:PA_1|stream TR_1", "a=ssrc:100 cname:PA_1|stream", "a=fmtp:63 111/111", "a=rtcp-mux"] {
        assert!(audio.contains(&line), "{line}");
    }
    let video = section(&offer, 2);
    assert_eq!(video[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103");
    for line in [
        "a=ssrc-group:FID 200 201",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 ccm fir",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:4 urn:3gpp:video-orientation",
        &format!("a=fmtp:102 {H264}"),
    ] {
        assert!(video.contains(&line), "{line}");
    }
    assert!(offer.contains("a=rtcp-fb:96 transport-cc") && offer.contains("a=rtcp-fb:111 transport-cc"));
    assert!(!offer.contains("abs-send-time") && !offer.contains("x-google"));
    assert!(!negotiator.needs_negotiation());
    let carrier = negotiator.carrier(TrackId(2)).unwrap();
    assert!(carrier.sending && carrier.nack && !carrier.receiving);
    assert_eq!(carrier.egress_exts().id(Kind::DependencyDescriptor), Some(6));
    assert_eq!(carrier.egress_exts().id(Kind::TransportCc), Some(9));
}

#[test]
fn one_format_one_payload_type() {
    let mut negotiator = Negotiator::offerer(options());
    attach(&mut negotiator, 1, MediaKind::Video, &camera());
    // Another publisher numbers differently, and uses 96 for something else.
    let other = [codec(120, Codec::Vp8, ""), codec(96, Codec::Vp9, "")];
    attach(&mut negotiator, 2, MediaKind::Video, &other);
    let offer = offer_taken(&mut negotiator);
    assert_eq!(section(&offer, 2)[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99");
    assert!(section(&offer, 2).contains(&"a=rtpmap:98 VP9/90000"));

    // RED says its Opus's payload type inside the payload: under another one it is left out.
    let firefox = [codec(109, Codec::Opus, ""), codec(121, Codec::Red, "109/109")];
    attach(&mut negotiator, 3, MediaKind::Audio, &microphone());
    attach(&mut negotiator, 4, MediaKind::Audio, &firefox);
    let offer = offer_taken(&mut negotiator);
    assert_eq!(section(&offer, 3)[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 63");
    assert_eq!(section(&offer, 4)[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111");

    // Nothing known of the publisher yet.
    attach(&mut negotiator, 5, MediaKind::Video, &[]);
    assert_eq!(section(&offer_taken(&mut negotiator), 5)[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97");
}

#[test]
fn payload_types_run_out_without_harm() {
    let mut negotiator = Negotiator::offerer(options());
    let many: Vec<_> = (0..200).map(|n| codec(96, Codec::H265, &format!("profile-id={n}"))).collect();
    attach(&mut negotiator, 1, MediaKind::Video, &many);
    let offer = offer_taken(&mut negotiator);
    let mut pts: Vec<u8> = formats(&section(&offer, 1)).iter().map(|pt| pt.parse().unwrap()).collect();
    assert!(pts.iter().all(|pt| matches!(pt, 35..=63 | 96..=127)), "{pts:?}");
    let count = pts.len();
    pts.sort_unstable();
    pts.dedup();
    assert_eq!((pts.len(), count), (60, 60), "each once: 61 numbers, two a codec");
    // A track whose codecs have no number left is not offered as a section without formats.
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &camera()), None);
    assert!(!negotiator.create_offer().contains("SAVPF\r\n"));
}

#[test]
fn a_freed_section_is_used_again() {
    let mut negotiator = Negotiator::offerer(options());
    attach(&mut negotiator, 1, MediaKind::Video, &camera());
    offer_taken(&mut negotiator);
    assert_eq!(negotiator.detach(TrackId(1)), Some(mid("1")));
    assert!(negotiator.needs_negotiation());
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &camera()), Some(mid("2")), "the first is not free yet");
    let offer = offer_taken(&mut negotiator);
    assert_eq!(directions(&offer), ["-", "inactive", "sendonly"]);
    assert_eq!(section(&offer, 1)[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103");
    assert_eq!(attach(&mut negotiator, 3, MediaKind::Video, &camera()), Some(mid("1")));
    let offer = offer_taken(&mut negotiator);
    // The client's receiver still calls its track TR_1 there.
    for line in ["a=msid:PA_3|TR_3 TR_3", "a=ssrc:300 cname:PA_3|TR_3"] {
        assert!(section(&offer, 1).contains(&line), "{line}: {offer}");
    }
    assert!(section(&offer, 2).contains(&"a=msid:PA_2|stream TR_2"));
    assert_eq!(negotiator.sections().len(), 3);
}

#[test]
fn what_changes_between_offer_and_answer_waits_for_the_next() {
    let mut negotiator = Negotiator::offerer(options());
    attach(&mut negotiator, 1, MediaKind::Video, &camera());
    let offer = negotiator.create_offer();
    attach(&mut negotiator, 2, MediaKind::Audio, &microphone());
    negotiator.detach(TrackId(1));
    negotiator.take_answer(&answer_to(&offer)).unwrap();
    assert!(negotiator.needs_negotiation());
    assert!(negotiator.sections().iter().all(|section| !section.sending));
    assert_eq!(directions(&offer_taken(&mut negotiator)), ["-", "inactive", "sendonly"]);
    assert!(!negotiator.needs_negotiation());

    // An offer that replaces one which the client may have applied: the section it freed is not free before its answer.
    attach(&mut negotiator, 3, MediaKind::Video, &camera());
    negotiator.create_offer();
    negotiator.detach(TrackId(3));
    let second = negotiator.create_offer();
    assert_ne!(attach(&mut negotiator, 4, MediaKind::Video, &camera()), Some(mid("1")));
    negotiator.take_answer(&answer_to(&second)).unwrap();
    assert_eq!(attach(&mut negotiator, 5, MediaKind::Video, &camera()), Some(mid("1")));
}

#[test]
fn the_client_chooses() {
    let mut negotiator = Negotiator::offerer(options());
    attach(&mut negotiator, 1, MediaKind::Video, &camera());
    attach(&mut negotiator, 2, MediaKind::Audio, &microphone());
    let offer = negotiator.create_offer();
    let answer = answer_to(&offer)
        .replace("m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103", "m=video 9 UDP/TLS/RTP/SAVPF 102 103")
        .replace("a=extmap:6 ", "a=x-extmap:6 ")
        .replace("m=audio 9", "m=audio 0");
    negotiator.take_answer(&answer).unwrap();
    let video = negotiator.carrier(TrackId(1)).unwrap();
    assert!(video.sending);
    assert_eq!(video.codecs.iter().map(|codec| (codec.pt, codec.rtx)).collect::<Vec<_>>(), [(Pt(102), Some(Pt(103)))]);
    assert_eq!((video.exts.id(Kind::Mid), video.exts.id(Kind::DependencyDescriptor)), (Some(1), None));
    assert!(negotiator.carrier(TrackId(2)).is_none(), "refused for good");
    assert!(!negotiator.needs_negotiation());
    let lacks = |negotiator: &Negotiator, codec| negotiator.lacks().any(|lacked| lacked == codec);
    assert!(lacks(&negotiator, Codec::Vp8) && lacks(&negotiator, Codec::Opus) && !lacks(&negotiator, Codec::H264));
    let offer = offer_taken(&mut negotiator);
    assert!(!lacks(&negotiator, Codec::Vp8), "taken by now");
    assert_eq!(directions(&offer), ["-", "sendonly", "x"]);
    assert_eq!(section(&offer, 1)[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103", "everything is offered again");
}

#[test]
fn refused_answers_change_nothing() {
    let mut negotiator = Negotiator::offerer(options());
    attach(&mut negotiator, 1, MediaKind::Video, &camera());
    let first = negotiator.create_offer();
    negotiator.take_answer(&answer_to(&first)).unwrap();
    assert_eq!(negotiator.take_answer(&answer_to(&first)).map_err(|error| error.code), Err("sdp_no_offer"));
    let good = answer_to(&negotiator.create_offer());
    let before = format!("{negotiator:?}");
    let cut = good.find("m=video").unwrap();
    let rows = [
        ("sdp_setup", good.replace("a=setup:active", "a=setup:passive")),
        ("sdp_setup", good.replace("a=setup:active", "a=setup:actpass")),
        ("sdp_section_count", good[..cut].to_owned()),
        ("sdp_mid_changed", good.replace("a=mid:1", "a=mid:7").replace("BUNDLE 0 1", "BUNDLE 0 7")),
        ("sdp_fingerprint_changed", good.replace("0C", "0D")),
        ("sdp_nothing_acceptable", good.replace("application 9", "application 0").replace("video 9", "video 0")),
        ("sdp_malformed", "garbage".to_owned()),
    ];
    for (code, answer) in rows {
        assert_eq!(negotiator.take_answer(&answer).map_err(|error| error.code), Err(code));
        assert_eq!(format!("{negotiator:?}"), before, "{code}");
    }
    assert!(!negotiator.take_answer(&good).unwrap().ice_restarted);
    assert_eq!(negotiator.take_offer(&good).map_err(|error| error.code), Err("sdp_wrong_role"));
    assert_eq!(negotiator.remote_fingerprint(), Some(&*fingerprint("0C")));
}

#[test]
fn sections_are_bounded() {
    let mut negotiator = Negotiator::offerer(options());
    let placed = (1..=300).filter(|n| attach(&mut negotiator, *n, MediaKind::Video, &camera()).is_some()).count();
    assert_eq!(placed, MAX_SECTIONS - KEPT_SECTIONS - 1);
    // Whom one does not see one can hear.
    let heard = (301..=400).filter(|n| attach(&mut negotiator, *n, MediaKind::Audio, &microphone()).is_some()).count();
    assert_eq!((heard, negotiator.sections().len()), (KEPT_SECTIONS, MAX_SECTIONS));
    // Nobody is asked for sections beyond the limit.
    assert_eq!((negotiator.pending.len(), negotiator.pending()), (400 - placed - heard, (0, 0)));
    let offer = offer_taken(&mut negotiator);
    println!("{} bytes", offer.len());
    assert!(offer.len() < super::super::MAX_SDP_BYTES && !negotiator.needs_negotiation());
    // One goes, the one that waits longest follows, once the client has seen the section inactive.
    negotiator.detach(TrackId(1));
    offer_taken(&mut negotiator);
    assert_eq!(negotiator.carrier(TrackId(placed as u64 + 1)).map(|section| section.mid), Some(mid("1")));
    assert!(negotiator.needs_negotiation(), "the client has to learn of it");
    offer_taken(&mut negotiator);
    assert!(!negotiator.needs_negotiation(), "and that ends it");
}
