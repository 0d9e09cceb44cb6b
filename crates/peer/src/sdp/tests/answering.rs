use convene_rtp::ext::Kind;

use super::super::{KEPT_SECTIONS, MAX_LINES_PER_SECTION, MAX_MEDIA_LINE_BYTES, MAX_SDP_BYTES, MAX_SECTIONS};
use super::fixtures::{MICROPHONE, SIMULCAST, aiortc, fingerprint, gstreamer, options, reserving};
use super::*;

const VP8: [&str; 2] = ["96", "97"];

fn vp8() -> Vec<CodecParams> {
    vec![codec(96, Codec::Vp8, "")]
}

fn opus() -> Vec<CodecParams> {
    vec![codec(111, Codec::Opus, "minptime=10;useinbandfec=1")]
}

#[test]
fn first_offer_of_a_livekit_client() {
    let mut negotiator = Negotiator::new(options());
    let answer = exchange(&mut negotiator, &Chromium::join());
    assert_eq!(directions(&answer), ["inactive", "inactive", "inactive", "inactive", "inactive", "inactive", "-"]);
    let head = head(&answer);
    for line in ["a=group:BUNDLE 0 1 2 3 4 5 6", "a=ice-lite", "a=extmap-allow-mixed", "o=- 77 1 IN IP4 127.0.0.1"] {
        assert!(head.contains(&line), "{line}");
    }
    let audio = section(&answer, 0);
    assert_eq!(audio[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111", "one codec, as nothing flows");
    for line in [
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 7000 typ host",
        "a=candidate:1001 1 tcp 1526726655 192.0.2.1 7001 typ host tcptype passive",
        "a=end-of-candidates",
        "a=ice-ufrag:srvU",
        "a=ice-pwd:server-password-0123456789",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=fmtp:111 minptime=10;useinbandfec=1",
    ] {
        assert!(audio.contains(&line), "{line}");
    }
    assert!(audio.contains(&&*format!("a=fingerprint:{}", fingerprint("AA"))));
    let video = section(&answer, 3);
    assert_eq!(video[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97");
    // Without these on a recvonly section libwebrtc publishes no simulcast later (design/media.md trap 6).
    for line in [
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    ] {
        assert!(video.contains(&line), "{line}");
    }
    assert!(!answer.contains("toffset") && !answer.contains("video-timing") && !answer.contains("ulpfec"));
    assert_eq!(answer.matches("a=candidate:").count(), 3, "candidates in the first section only");
    let data = section(&answer, 6);
    assert_eq!(data[0], "m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
    assert!(data.contains(&"a=sctp-port:5000") && data.contains(&"a=max-message-size:262144"));
    assert!(!answer.contains("sctp-init") && !answer.contains("goog-sped"));
    assert_eq!((negotiator.has_data(), negotiator.max_message_bytes()), (true, Some(262_144)));
    assert_eq!(negotiator.remote_ice(), Some(("Ab+1", "client-password+0123456789")));
    assert_eq!(negotiator.remote_fingerprint(), Some(&*fingerprint("0C")));
    assert!(!negotiator.needs_negotiation());
}

#[test]
fn publishing_microphone_and_simulcast_camera() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    exchange(&mut negotiator, &client);
    client.audio("sendonly", MICROPHONE).video("sendonly", SIMULCAST);
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer)[7..], ["recvonly", "recvonly"]);
    assert!(answer.contains("o=- 77 2 IN IP4 127.0.0.1"));
    let camera = section(&answer, 8);
    for line in ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f", "a=rtcp-fb:96 transport-cc"]
    {
        assert!(camera.contains(&line), "{line}");
    }
    assert!(!camera.iter().any(|line| line.starts_with("a=ssrc") || line.starts_with("a=msid")));

    let [.., mic, camera] = negotiator.sections() else { panic!("sections") };
    assert!(mic.receiving && mic.nack && !mic.twcc, "repeats of audio are the same to the byte");
    let microphone = section(&answer, 7);
    assert!(
        !microphone.iter().any(|line| line.contains("transport") || line.contains("abs-send-time")),
        "{microphone:?}"
    );
    assert_eq!(mic.msid, Some(("stream-1".into(), "cid-mic".into())));
    assert_eq!(mic.ssrcs, [Ssrc(1001)]);
    assert!(camera.receiving && camera.twcc && camera.nack && camera.pli);
    assert_eq!(camera.rids.iter().map(|rid| rid.as_str()).collect::<Vec<_>>(), ["q", "h", "f"]);
    assert_eq!(camera.msid.as_ref().map(|msid| msid.1.as_str()), Some("cid-camera"));
    assert_eq!((camera.exts.id(Kind::Mid), camera.exts.id(Kind::RepairedRid)), (Some(4), Some(11)));
    assert_eq!(camera.codec(Pt(96)).and_then(|codec| codec.rtx), Some(Pt(97)));
    assert_eq!(camera.rtx_of(Pt(108)).map(|codec| codec.pt), Some(Pt(107)));
    assert!(negotiator.sections().iter().all(|section| section.outgoing.is_none() && !section.sending));

    // Unpublish: the section goes inactive and stays where it is.
    client.edit(8, "a=sendonly", "a=inactive");
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer)[7..], ["recvonly", "inactive"]);
    let camera = &negotiator.sections()[8];
    assert!(!camera.receiving && camera.rids.is_empty() && camera.msid.is_none() && !camera.twcc);
    assert_eq!(camera.exts.id(Kind::Rid), Some(10));
}

#[test]
fn a_preferred_codec_goes_first_in_every_answer_from_then_on() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    client.video("sendonly", SIMULCAST);
    exchange(&mut negotiator, &client);
    let camera = negotiator.sections().last().unwrap();
    let (mid, offered) = (camera.mid, camera.codecs.iter().map(|codec| codec.pt).collect::<Vec<_>>());
    negotiator.prefer(mid, Codec::H264);
    for _ in 0..2 {
        negotiator.take_offer(&client.offer()).unwrap();
        let answer = negotiator.answer();
        let camera = section(&answer, negotiator.sections().len() - 1);
        assert!(camera[0].contains(" 103 104 107 108 "), "both of H264, in the client's order: {}", camera[0]);
        let mut codecs: Vec<_> = negotiator.sections().last().unwrap().codecs.iter().map(|codec| codec.pt).collect();
        assert_eq!(codecs[..2], [Pt(103), Pt(107)]);
        codecs.sort_unstable_by_key(|pt| offered.iter().position(|known| known == pt));
        assert_eq!(codecs, offered, "none is lost");
    }
    negotiator.prefer(mid, Codec::Opus); // which it cannot be
    assert_eq!(negotiator.sections().last().unwrap().codecs.len(), offered.len());
}

#[test]
fn subscribing_fills_free_sections_and_asks_for_more() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    assert_eq!(attach(&mut negotiator, 1, MediaKind::Video, &vp8()), None, "no section before the first offer");
    assert_eq!(negotiator.pending(), (0, 1));
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer)[3..6], ["sendonly", "inactive", "inactive"], "waits no longer");
    assert!(!negotiator.needs_negotiation());
    let sending = section(&answer, 3);
    for line in ["a=msid:PA_1|stream TR_1", "a=ssrc-group:FID 100 101", "a=ssrc:100 cname:PA_1|stream"] {
        assert!(sending.contains(&line), "{line}");
    }
    assert!(sending.contains(&"a=rtcp-fb:96 nack") && sending.contains(&"a=rtcp-fb:96 nack pli"));
    // What we estimate the client's path with.
    assert!(sending.contains(&"a=rtcp-fb:96 transport-cc") && !sending.contains(&"a=rtcp-fb:96 goog-remb"));
    assert_eq!(sending[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 35 36 98 99 45 46");
    assert_eq!(section(&answer, 4)[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97", "one codec, as nothing flows");
    let exts = negotiator.sections()[3].egress_exts();
    assert!(exts.id(Kind::TransportCc).is_some() && exts.id(Kind::AbsSendTime).is_none());
    assert_eq!(negotiator.sections()[3].egress_exts().id(Kind::Mid), Some(4));

    // After the answer an attachment takes a section, but may not send before the next answer.
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Audio, &opus()), Some(mid("0")));
    assert!(negotiator.needs_negotiation() && !negotiator.carrier(TrackId(2)).unwrap().sending);
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Audio, &opus()), Some(mid("0")), "twice is once");
    let wanted = [3, 4, 5].map(|n| attach(&mut negotiator, n, MediaKind::Video, &vp8()));
    assert_eq!(wanted, [Some(mid("4")), Some(mid("5")), None]);
    assert_eq!(negotiator.pending(), (0, 1));

    client.video("recvonly", "");
    let answer = exchange(&mut negotiator, &client);
    let want = ["sendonly", "inactive", "inactive", "sendonly", "sendonly", "sendonly", "-", "sendonly"];
    assert_eq!(directions(&answer), want);
    assert!(section(&answer, 0).contains(&"a=ssrc:200 cname:PA_2|stream"));
    assert_eq!(section(&answer, 0)[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8");
    assert!(!section(&answer, 0).iter().any(|line| line.starts_with("a=ssrc-group")), "audio has no RTX");
    assert_eq!((negotiator.pending(), negotiator.needs_negotiation()), ((0, 0), false));
    assert!([1, 2, 3, 4, 5].iter().all(|n| negotiator.carrier(TrackId(*n)).unwrap().sending));
}

#[test]
fn a_detached_section_is_seen_inactive_before_it_is_used_again() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::new();
    client.video("recvonly", "").data();
    attach(&mut negotiator, 1, MediaKind::Video, &vp8());
    exchange(&mut negotiator, &client);
    assert_eq!(negotiator.detach(TrackId(1)), Some(mid("0")));
    assert_eq!(negotiator.detach(TrackId(1)), None);
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &vp8()), None);
    assert_eq!(negotiator.pending(), (0, 0), "the section about to be freed will do");
    assert!(negotiator.needs_negotiation());
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer), ["inactive", "-"]);
    assert!(negotiator.needs_negotiation());
    assert_eq!(negotiator.carrier(TrackId(2)).map(|section| section.sending), Some(false));
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer), ["sendonly", "-"]);
    assert!(section(&answer, 0).contains(&"a=msid:PA_2|stream TR_2"));
    assert!(!negotiator.needs_negotiation());

    // Attached and detached between two answers: the client never knew, so the section is free at once.
    let mut quick = Negotiator::new(options());
    exchange(&mut quick, &client);
    attach(&mut quick, 1, MediaKind::Video, &vp8());
    assert_eq!(attach(&mut quick, 2, MediaKind::Video, &vp8()), None);
    quick.detach(TrackId(1));
    assert_eq!(quick.carrier(TrackId(2)).map(|section| section.mid), Some(mid("0")));
}

#[test]
fn a_section_stopped_by_the_client_moves_its_track() {
    for (from, to) in [("a=recvonly", "a=inactive"), ("m=video 9", "m=video 0")] {
        let mut negotiator = Negotiator::new(options());
        let mut client = Chromium::new();
        client.video("recvonly", "").data();
        attach(&mut negotiator, 1, MediaKind::Video, &vp8());
        exchange(&mut negotiator, &client);
        client.edit(0, from, to);
        exchange(&mut negotiator, &client);
        assert_eq!(negotiator.pending(), (0, 1), "{to}");
        assert!(!negotiator.sections()[0].sending);
        client.video("recvonly", "");
        let answer = exchange(&mut negotiator, &client);
        assert_eq!(directions(&answer)[2], "sendonly", "{to}");
        assert_eq!(negotiator.carrier(TrackId(1)).map(|section| section.mid), Some(mid("2")));
    }
}

#[test]
fn a_rejected_section_may_be_recycled() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::new();
    client.audio("sendonly", MICROPHONE).data();
    exchange(&mut negotiator, &client);
    client.edit(0, "m=audio 9", "m=audio 0");
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer), ["x", "-"]);
    assert!(head(&answer).contains(&"a=group:BUNDLE 1"));
    assert!(section(&answer, 1).iter().any(|line| line.starts_with("a=candidate")), "the first accepted one has them");
    assert!(!negotiator.sections()[0].receiving && negotiator.section(mid("0")).is_none());
    // RFC 8829 §5.2.2: the place may go to another mid and another type.
    let mut other = Chromium::new();
    other.video("sendonly", SIMULCAST).edit(0, "a=mid:0", "a=mid:9");
    client.media[0] = ("9".into(), other.media[0].1.clone());
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer), ["recvonly", "-"]);
    assert!(negotiator.section(mid("9")).unwrap().receiving);
}

#[test]
fn prefers_a_section_that_can_decode() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::new();
    client.video("recvonly", "").video("recvonly", "").edit(0, "98 99 ", "");
    exchange(&mut negotiator, &client);
    let vp9 = [codec(98, Codec::Vp9, "profile-id=0")];
    assert_eq!(attach(&mut negotiator, 1, MediaKind::Video, &vp9), Some(mid("1")));
    // None left that can: a further section would be the same, so it is placed where nothing will be sent.
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &vp9), Some(mid("0")));
}

#[test]
fn aiortc_sendrecv_sections() {
    let mut negotiator = Negotiator::new(options());
    let offer = aiortc("sendrecv", "sendrecv");
    negotiator.take_offer(&offer).unwrap();
    let answer = negotiator.answer();
    assert_answers(&offer, &answer);
    assert_eq!(directions(&answer), ["recvonly", "recvonly", "-"]);
    assert!(!answer.contains("extmap-allow-mixed") && !answer.contains("rtcp-rsize"));
    assert_eq!((negotiator.sctp_port(), negotiator.max_message_bytes()), (Some(5000), Some(65_536)));
    let video = &negotiator.sections()[1];
    assert_eq!((video.fid.clone(), video.ssrcs.clone()), (vec![(Ssrc(41), Ssrc(42))], vec![Ssrc(41), Ssrc(42)]));
    assert!(!video.twcc && video.nack);

    assert_eq!(attach(&mut negotiator, 1, MediaKind::Video, &vp8()), Some(mid("1")));
    negotiator.take_offer(&offer).unwrap();
    let answer = negotiator.answer();
    assert_eq!(directions(&answer), ["recvonly", "sendrecv", "-"]);
    assert!(section(&answer, 1).contains(&"a=ssrc-group:FID 100 101"));
    assert!(negotiator.sections()[1].receiving && negotiator.sections()[1].sending);
}

#[test]
fn gstreamer_whip() {
    let mut negotiator = Negotiator::new(options());
    negotiator.take_offer(&gstreamer()).unwrap();
    let answer = negotiator.answer();
    assert_answers(&gstreamer(), &answer);
    assert_eq!(directions(&answer), ["recvonly", "recvonly"], "bundle-only with port 0 is no refusal");
    assert!(head(&answer).contains(&"a=group:BUNDLE video0 audio1"));
    let video = &negotiator.sections()[0];
    assert_eq!(video.msid, Some(("user1".into(), "webrtctransceiver0".into())), "from the ssrc line");
    assert_eq!(video.codecs.len(), 1);
    assert!(!negotiator.has_data());
}

#[test]
fn whep_sections_are_reserved() {
    let mut negotiator = Negotiator::new(reserving());
    let mut client = Chromium::new();
    client.audio("recvonly", "").video("sendrecv", "a=msid:x y\na=ssrc:5 cname:x\n");
    let answer = exchange(&mut negotiator, &client);
    assert_eq!(directions(&answer), ["sendonly", "sendonly"], "a player publishes nothing");
    assert!(!negotiator.needs_negotiation());
    let ssrc_of = |answer: &str, index| {
        let lines = section(answer, index);
        let line = lines.iter().find_map(|line| line.strip_prefix("a=ssrc:")).unwrap();
        Ssrc(line.split(' ').next().unwrap().parse().unwrap())
    };
    let (audio, video) = (ssrc_of(&answer, 0), ssrc_of(&answer, 1));
    assert!(audio != video && section(&answer, 1).contains(&"a=msid:convene video-1"));

    assert_eq!(attach(&mut negotiator, 1, MediaKind::Video, &vp8()), Some(mid("1")));
    assert!(!negotiator.needs_negotiation(), "nothing to tell the client");
    let carrier = negotiator.carrier(TrackId(1)).unwrap();
    assert!(carrier.sending && !carrier.receiving);
    assert_eq!(carrier.outgoing.as_ref().map(|outgoing| outgoing.ssrc), Some(video), "the SSRC that it was told");
    assert_eq!(attach(&mut negotiator, 2, MediaKind::Video, &vp8()), None);
    assert_eq!(negotiator.detach(TrackId(1)), Some(mid("1")));
    assert_eq!(negotiator.carrier(TrackId(2)).map(|section| section.mid), Some(mid("1")), "takes the place at once");

    let again = exchange(&mut negotiator, &client);
    assert_eq!((ssrc_of(&again, 0), ssrc_of(&again, 1)), (audio, video), "stable over offers");
}

#[test]
fn ice_restart_and_certificate() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    assert!(!negotiator.take_offer(&client.offer()).unwrap().ice_restarted);
    assert!(!negotiator.take_offer(&client.offer()).unwrap().ice_restarted);
    client.ufrag = "new1".into();
    assert!(negotiator.take_offer(&client.offer()).unwrap().ice_restarted);
    negotiator.set_local_ice("srvV", "other-server-password-01234");
    let answer = negotiator.answer();
    assert!(answer.contains("a=ice-ufrag:srvV\r\n") && !answer.contains("srvU"));
    assert_eq!(negotiator.remote_ice().map(|ice| ice.0), Some("new1"));

    client.fingerprint = fingerprint("0D");
    assert_eq!(negotiator.take_offer(&client.offer()).unwrap_err().code, "sdp_fingerprint_changed");
    assert_eq!(negotiator.remote_fingerprint(), Some(&*fingerprint("0C")), "a refused offer changes nothing");
}

#[test]
fn refused_offers_change_nothing() {
    let base = Chromium::join();
    let mut negotiator = Negotiator::new(options());
    exchange(&mut negotiator, &base);
    let before = format!("{negotiator:?}");
    let good = base.offer();
    let mut fewer = base.clone();
    fewer.media.pop();
    let mut kind = base.clone();
    let text = kind.media[0].1.clone();
    kind.media[3].1 = text.replace("a=mid:0", "a=mid:3");
    let many =
        Chromium { media: (0..=MAX_SECTIONS).flat_map(|_| base.media.first().cloned()).collect(), ..base.clone() };
    let rows: [(&str, String); 19] = [
        ("sdp_too_large", format!("{good}{}", "a=x\r\n".repeat(MAX_SDP_BYTES / 5))),
        ("sdp_too_many_sections", many.offer()),
        ("sdp_too_many_lines", format!("{good}{}", "a=x\r\n".repeat(8 * MAX_LINES_PER_SECTION))),
        ("sdp_long_media_line", good.replacen(" 126", &" 126".repeat(MAX_MEDIA_LINE_BYTES / 4), 1)),
        ("sdp_malformed", String::new()),
        ("sdp_malformed", good.replace("v=0", "v=1")),
        ("sdp_malformed", good.replace("a=fmtp:111 minptime=10", "a=fmtp:111 minptime=10\ra=x")),
        ("sdp_malformed", good.replace("minptime=10", "minptime=\u{0}")),
        ("sdp_bad_mid", good.replace("a=mid:0", "a=mid:12345678901234567")),
        ("sdp_duplicate_mid", good.replace("a=mid:1", "a=mid:0")),
        ("sdp_no_mid", good.replace("a=mid:0\r\n", "").replace("a=group:BUNDLE", "a=group:LS")),
        ("sdp_mid_changed", good.replace("a=mid:0", "a=mid:a").replace("BUNDLE 0", "BUNDLE a")),
        ("sdp_kind_changed", kind.offer()),
        ("sdp_sections_removed", fewer.offer()),
        ("sdp_setup", good.replace("a=setup:actpass", "a=setup:passive")),
        ("sdp_ice_lite", good.replace("a=extmap-allow-mixed", "a=ice-lite")),
        ("sdp_no_ice", good.replace("a=ice-pwd", "a=ice-pw")),
        ("sdp_no_rtcp_mux", good.replace("a=rtcp-mux\r\n", "")),
        (
            "sdp_nothing_acceptable",
            good.replace("audio 9", "audio 0").replace("video 9", "video 0").replace("n 9", "n 0"),
        ),
    ];
    for (code, offer) in rows {
        assert_eq!(negotiator.take_offer(&offer).map_err(|error| error.code), Err(code));
        assert_eq!(format!("{negotiator:?}"), before, "{code}");
    }
    assert_eq!(negotiator.take_answer(&good).map_err(|error| error.code), Err("sdp_no_offer"));
}

#[test]
fn sections_we_cannot_use_are_rejected_in_place() {
    let mut client = Chromium::join();
    client.edit(0, "111 63 9 0 8 13 110 126", "9 13 110 126");
    client.edit(1, "UDP/TLS/RTP/SAVPF", "RTP/AVP");
    client.edit(3, "m=video 9", "m=text 9");
    client.edit(6, "webrtc-datachannel", "5000");
    let mut negotiator = Negotiator::new(options());
    let offer = client.offer().replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 1 2 3 4 6");
    negotiator.take_offer(&offer).unwrap();
    let answer = negotiator.answer();
    assert_answers(&offer, &answer);
    assert_eq!(directions(&answer), ["x", "x", "inactive", "x", "inactive", "x", "x"]);
    assert!(head(&answer).contains(&"a=group:BUNDLE 2 4"));
    assert!(!negotiator.has_data());
    assert_eq!(section(&answer, 0)[0], "m=audio 0 UDP/TLS/RTP/SAVPF 9 13 110 126");
}

#[test]
fn a_call_of_ten_and_twenty_fits() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    exchange(&mut negotiator, &client);
    for n in 0..10 {
        client.audio("sendonly", MICROPHONE).video("sendonly", &SIMULCAST.replace("cid-camera", &format!("cid-{n}")));
    }
    exchange(&mut negotiator, &client);
    for n in 0..10 {
        attach(&mut negotiator, 100 + n, MediaKind::Audio, &opus());
        attach(&mut negotiator, 200 + n, MediaKind::Video, &vp8());
    }
    assert_eq!(negotiator.pending(), (7, 7));
    for _ in 0..7 {
        client.audio("recvonly", "").video("recvonly", "");
    }
    let answer = exchange(&mut negotiator, &client);
    let count = |wanted| directions(&answer).into_iter().filter(|direction| *direction == wanted).count();
    assert_eq!((count("recvonly"), count("sendonly"), count("inactive")), (20, 20, 0));
    assert_eq!((negotiator.pending(), negotiator.needs_negotiation()), ((0, 0), false));
    assert!(section(&answer, 10)[0].ends_with("98 99 45 46") && formats(&section(&answer, 10))[..2] == VP8);
}

#[test]
fn the_client_is_not_asked_beyond_the_limit() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::new();
    client.data();
    for _ in 0..MAX_SECTIONS - KEPT_SECTIONS - 3 {
        client.audio("recvonly", "");
    }
    exchange(&mut negotiator, &client);
    for n in 1..100 {
        let kind = if n % 2 == 0 { MediaKind::Video } else { MediaKind::Audio };
        attach(&mut negotiator, n, kind, &[]);
    }
    assert_eq!(negotiator.pending(), (0, 2));
    client.video("recvonly", "").video("recvonly", "");
    exchange(&mut negotiator, &client);
    assert_eq!((negotiator.pending(), negotiator.needs_negotiation()), ((0, 0), false));
    // What it wants to send itself has a place still.
    for _ in 0..KEPT_SECTIONS {
        client.video("sendonly", SIMULCAST);
    }
    exchange(&mut negotiator, &client);
    client.video("sendonly", SIMULCAST);
    assert_eq!(negotiator.take_offer(&client.offer()).map_err(|e| e.code), Err("sdp_too_many_sections"));
}

#[test]
fn everybody_of_128_is_seen_and_heard() {
    let mut negotiator = Negotiator::new(options());
    let mut client = Chromium::join();
    exchange(&mut negotiator, &client);
    for n in 0..128 {
        attach(&mut negotiator, 2 * n + 1, MediaKind::Video, &vp8());
        attach(&mut negotiator, 2 * n + 2, MediaKind::Audio, &opus());
    }
    assert_eq!((negotiator.pending(), negotiator.pending.len()), ((125, 125), 250), "none is forgotten");
    for _ in 0..125 {
        client.audio("recvonly", "").video("recvonly", "");
    }
    client.audio("sendonly", MICROPHONE).video("sendonly", SIMULCAST);
    let offer = client.offer();
    let began = std::time::Instant::now();
    negotiator.take_offer(&offer).unwrap();
    let answer = negotiator.answer();
    println!("{} and {} bytes, {:?}", offer.len(), answer.len(), began.elapsed());
    let sent = directions(&answer).into_iter().filter(|direction| *direction == "sendonly").count();
    assert_eq!((sent, negotiator.pending(), negotiator.needs_negotiation()), (256, (0, 0), false));
    assert!(offer.len() < MAX_SDP_BYTES && answer.len() < MAX_SDP_BYTES);
}

#[test]
fn reserved_sections_have_ssrcs_of_their_own() {
    let mut negotiator = Negotiator::new(reserving());
    let mut client = Chromium::new();
    for _ in 0..MAX_SECTIONS {
        client.video("recvonly", "");
    }
    exchange(&mut negotiator, &client);
    let reserved = negotiator.sections().iter().filter_map(|section| section.reserved.as_ref());
    let mut ssrcs: Vec<u32> = reserved.flat_map(|reserved| [reserved.ssrc.0, reserved.rtx_ssrc.0]).collect();
    ssrcs.sort_unstable();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 2 * MAX_SECTIONS);
}

#[test]
fn msid_tokens_cannot_start_a_line() {
    let mut negotiator = Negotiator::new(options());
    let msid = Msid { stream: "PA_1\r\na=evil".to_owned(), track: String::new(), reused: None };
    let (track, kind, ssrc, rtx_ssrc) = (TrackId(1), MediaKind::Video, Ssrc(1), Ssrc(2));
    negotiator.attach(Attach { track, kind, msid: &msid, ssrc, rtx_ssrc, codecs: &vp8() });
    let answer = exchange(&mut negotiator, &Chromium::join());
    assert!(answer.contains("a=msid:PA_1a=evil -\r\n"), "{answer}");
}
