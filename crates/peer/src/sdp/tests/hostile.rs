use super::super::{ClientOffer, Fragment, MAX_LINES_PER_SECTION, MAX_SDP_BYTES, MAX_SECTIONS, OfferChange};
use super::fixtures::{MICROPHONE, SIMULCAST, aiortc, answer_to, gstreamer, options, reserving};
use super::*;
use crate::sources::Sources;

/// Xorshift64: a test's randomness, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn seeds() -> Vec<String> {
    let mut publisher = Chromium::join();
    publisher.audio("sendonly", MICROPHONE).video("sendonly", SIMULCAST);
    vec![publisher.offer(), aiortc("sendrecv", "recvonly"), gstreamer()]
}

/// Feeds it to every entry; whatever is accepted must be answered by the rules.
fn feed(text: &str) {
    for options in [options(), reserving()] {
        let mut negotiator = Negotiator::new(options);
        attach(&mut negotiator, 1, MediaKind::Video, &[codec(96, Codec::Vp8, "")]);
        if negotiator.take_offer(text).is_ok() {
            let answer = negotiator.answer();
            assert_eq!(layout(text).len(), layout(&answer).len(), "{text}");
            rtc_sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(&answer)).expect("our answer parses");
            assert!(answer.lines().all(|line| !line.contains('\r')), "no line inside a line");
            Sources::new().update(negotiator.sections());
        }
    }
    let mut offerer = Negotiator::offerer(options());
    offerer.create_offer();
    let _refused = offerer.take_answer(text);
    let _refused = Fragment::parse(text);
}

#[test]
fn cut_anywhere() {
    for seed in seeds() {
        for end in (0..seed.len()).step_by(31) {
            feed(&seed[..end]);
        }
    }
}

#[test]
fn lines_and_bytes_changed_at_random() {
    let mut random = Random(0x5eed_c0de);
    let seeds = seeds();
    let values = ["0", "65535", "4294967296", "-1", "*", "", " ", ":", ";;;", "\u{fffd}", "999999999999999999999"];
    for _ in 0..1500 {
        let mut lines: Vec<String> = seeds[random.below(seeds.len())].lines().map(str::to_owned).collect();
        for _ in 0..=random.below(6) {
            let at = random.below(lines.len());
            let other = lines[random.below(lines.len())].clone();
            let value = values[random.below(values.len())];
            match random.below(6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, other),
                2 => lines[at] = lines[at].split(' ').next().unwrap_or_default().to_owned() + value,
                3 => lines[at] = lines[at].replace(char::is_numeric, value),
                4 => lines[at] = lines[at].replace(' ', value),
                _ => lines[at] = other,
            }
            if lines.is_empty() {
                break;
            }
        }
        feed(&lines.join("\r\n"));
    }
}

#[test]
fn large_but_legal_is_quick() {
    let mut client = Chromium::new();
    for _ in 0..64 {
        client.video("recvonly", "");
    }
    let many: String = (0..12_000).map(|n| format!("a=rtcp-fb:96 x{n}\r\n")).collect();
    let offer = client.offer() + &many;
    assert!(offer.len() < MAX_SDP_BYTES);
    assert_eq!(Negotiator::new(options()).take_offer(&offer).map_err(|error| error.code), Ok(OfferChange::default()));
    feed(&offer);
}

/// What one offer may cost whoever reads it, and then the media thread:
/// `cargo test -p convene-peer --release dearest -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn the_dearest_offers() {
    let client = |sections: usize| {
        let mut client = Chromium::new();
        for _ in 0..sections {
            client.video("recvonly", "");
        }
        client.offer()
    };
    let padded = |offer: String, line: &str, lines: usize| {
        let room = (MAX_SDP_BYTES - offer.len()) / line.len();
        offer + &line.repeat(lines.min(room))
    };
    let line_of_formats = client(1).replacen(" 118\r", &(" 118".repeat(MAX_SDP_BYTES / 4 - 2_000) + "\r"), 1);
    let repeated = client(1).replacen(" 118\r", &(" 97".repeat(100) + "\r"), 1);
    let repairs = repeated.replacen("apt=96", &";".repeat(MAX_SDP_BYTES - 10_000), 1);
    let bare: String = (1..MAX_SECTIONS).map(|n| format!("m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:{n}\n")).collect();
    let most = MAX_LINES_PER_SECTION * (MAX_SECTIONS + 1) - 1_000;
    let rows = [
        ("honest, 20 pictures", client(20)),
        ("honest, 100 pictures", client(100)),
        ("honest, 190 pictures", client(190)),
        ("one section, shortest lines", padded(client(1), "a=x\n", usize::MAX)),
        ("most sections, as many lines as may be", padded(client(1) + &bare, "a=x\n", most)),
        ("most sections, lines that mean something", padded(client(1) + &bare, "a=rid:q send\n", most)),
        ("m= lines", padded(client(1), "m=audio 0 x x\n", usize::MAX)),
        ("formats", line_of_formats),
        ("long fmtp of a repair format", repairs),
    ];
    for (what, text) in rows {
        let mut negotiator = Negotiator::new(options());
        for n in 1..=text.matches("m=video").count() as u64 {
            attach(&mut negotiator, n, MediaKind::Video, &[codec(96, Codec::Vp8, "")]);
        }
        let mut laps = Vec::new();
        let mut lap = |began: std::time::Instant| laps.push(began.elapsed());
        let began = std::time::Instant::now();
        let offer = ClientOffer::read(&text);
        lap(began);
        let (began, outcome) = (std::time::Instant::now(), offer.and_then(|offer| negotiator.handle_offer(offer)));
        lap(began);
        let (began, answer) = (std::time::Instant::now(), negotiator.answer().len());
        lap(began);
        let (bytes, lines, code) = (text.len(), text.lines().count(), outcome.map_err(|error| error.code));
        println!("{what}: {bytes} bytes, {lines} lines, {code:?}; answer {answer}: read, taken, answered {laps:?}");
    }
}

#[test]
fn our_offer_survives_any_answer() {
    let mut random = Random(0xa45e);
    for _ in 0..500 {
        let mut negotiator = Negotiator::offerer(options());
        attach(&mut negotiator, 1, MediaKind::Video, &[codec(96, Codec::Vp8, "")]);
        let answer = answer_to(&negotiator.create_offer());
        let mut lines: Vec<&str> = answer.lines().collect();
        let (from, to) = (random.below(lines.len()), random.below(lines.len()));
        lines.swap(from, to);
        if random.below(2) == 0 {
            lines.remove(to);
        }
        if negotiator.take_answer(&lines.join("\r\n")).is_ok() {
            assert_eq!(layout(&negotiator.create_offer()).len(), 2);
        }
    }
}
