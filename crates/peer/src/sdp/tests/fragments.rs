use super::super::Fragment;
use super::fixtures::{PWD, options};
use super::*;

fn fragment(ufrag: &str, pwd: &str) -> Fragment {
    let text = format!(
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\n{pwd}\
         a=candidate:1 1 udp 2130706431 192.0.2.9 50000 typ host\r\na=x-unknown\r\na=end-of-candidates\r\n"
    );
    Fragment::parse(&text).unwrap()
}

#[test]
fn reads() {
    let read = fragment("EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n");
    assert_eq!((read.ufrag.as_deref(), read.mid), (Some("EsAw"), Some(mid("0"))));
    assert_eq!(read.candidates, ["1 1 udp 2130706431 192.0.2.9 50000 typ host"]);
    assert!(read.end_of_candidates);
    let rows = [("", "sdp_malformed"), ("hello", "sdp_malformed"), ("a=mid:0\ra=x", "sdp_malformed")];
    for (text, code) in rows {
        assert_eq!(Fragment::parse(text).map_err(|error| error.code), Err(code), "{text:?}");
    }
    let long = "a=candidate:x\n".repeat(2000);
    assert_eq!(Fragment::parse(&long).map_err(|error| error.code), Err("sdp_too_large"));
    assert_eq!(Fragment::parse(&long[..14_000]).unwrap().candidates.len(), 64);
}

#[test]
fn restarts_or_trickles() {
    let mut negotiator = Negotiator::new(options());
    let trickle = fragment("Ab+1", "");
    assert_eq!(negotiator.handle_fragment(&trickle).map_err(|error| error.code), Err("sdp_no_offer"));
    exchange(&mut negotiator, &Chromium::join());
    let same = format!("a=ice-pwd:{PWD}\r\n");
    let rows = [
        (fragment("Ab+1", ""), Ok(false)),
        (fragment("Ab+1", &same), Ok(false)),
        (fragment("EsAw", ""), Err("sdp_bad_ice")),
        (fragment("EsAw", "a=ice-pwd:short\r\n"), Err("sdp_bad_ice")),
        (fragment("EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"), Ok(true)),
        (fragment("EsAw", ""), Ok(false)),
    ];
    for (fragment, want) in rows {
        let got = negotiator.handle_fragment(&fragment);
        assert_eq!(got.map(|change| change.ice_restarted).map_err(|error| error.code), want, "{fragment:?}");
    }
    assert_eq!(negotiator.remote_ice(), Some(("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")));
}

#[test]
fn writes_what_it_can_read() {
    let mut negotiator = Negotiator::new(options());
    exchange(&mut negotiator, &Chromium::join());
    negotiator.set_local_ice("srvV", "other-server-password-01234");
    let text = negotiator.fragment();
    for line in ["a=ice-lite", "a=group:BUNDLE 0 1 2 3 4 5 6", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0"] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}");
    }
    let read = Fragment::parse(&text).unwrap();
    assert_eq!((read.ufrag.as_deref(), read.pwd.as_deref()), (Some("srvV"), Some("other-server-password-01234")));
    assert_eq!(read.candidates.len(), 3);
    assert!(read.end_of_candidates);
}
