//! Tests of `packet`.

use super::*;

const FIELDS: Fields = Fields { marker: true, pt: Pt(96), seq: SeqNo(65535), ts: u32::MAX, ssrc: Ssrc(0xdead_beef) };

/// A packet with these header bits and bytes behind the fixed header.
fn packet(first: u8, tail: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | 96, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0xad, 0xbe, 0xef], tail].concat()
}

#[test]
fn fixed_fields() {
    let bytes = packet(0x80, b"hello");
    let view = View::parse(&bytes).unwrap();
    let got = Fields { marker: view.marker(), pt: view.pt(), seq: view.seq(), ts: view.ts(), ssrc: view.ssrc() };
    assert_eq!(got, FIELDS);
    assert_eq!((view.payload(), view.header_len(), view.padding_len()), (&b"hello"[..], 12, 0));
    let zero = [&[0x80, 0][..], &[0; 10]].concat();
    let view = View::parse(&zero).unwrap();
    let got = Fields { marker: view.marker(), pt: view.pt(), seq: view.seq(), ts: view.ts(), ssrc: view.ssrc() };
    assert_eq!(got, Fields { marker: false, pt: Pt(0), seq: SeqNo(0), ts: 0, ssrc: Ssrc(0) });
}

#[test]
fn lengths() {
    // (name, first byte, behind the fixed header, header length and payload length and padding)
    type Row = (&'static str, u8, &'static [u8], Result<(usize, usize, usize), ParseError>);
    let rows: [Row; 17] = [
        ("empty payload", 0x80, &[], Ok((12, 0, 0))),
        ("version 0", 0x00, &[1], Err(ParseError::Version)),
        ("version 1", 0x40, &[1], Err(ParseError::Version)),
        ("version 3", 0xc0, &[1], Err(ParseError::Version)),
        ("two CSRCs", 0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 9], Ok((20, 1, 0))),
        ("CSRCs cut", 0x8f, &[0; 59], Err(ParseError::Truncated)),
        ("fifteen CSRCs", 0x8f, &[0; 60], Ok((72, 0, 0))),
        ("extension head cut", 0x90, &[0xbe, 0xde, 0], Err(ParseError::Truncated)),
        ("extension cut", 0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0], Err(ParseError::Truncated)),
        ("extension length at the limit", 0x90, &[0xbe, 0xde, 0xff, 0xff, 0], Err(ParseError::Truncated)),
        ("empty extension block", 0x90, &[0xbe, 0xde, 0, 0, 7], Ok((16, 1, 0))),
        ("padding only", 0xa0, &[0, 0, 3], Ok((12, 0, 3))),
        ("payload and padding", 0xa0, &[5, 0, 2], Ok((12, 1, 2))),
        ("padding of 0", 0xa0, &[5, 0], Err(ParseError::Padding)),
        ("padding past the payload", 0xa0, &[5, 3], Err(ParseError::Padding)),
        ("padding bit without bytes", 0xa0, &[], Err(ParseError::Padding)),
        ("padding may not eat the extension", 0xb0, &[0xbe, 0xde, 0, 1, 0, 0, 0, 0, 2], Err(ParseError::Padding)),
    ];
    for (name, first, tail, want) in rows {
        let bytes = packet(first, tail);
        let got = View::parse(&bytes).map(|view| (view.header_len(), view.payload().len(), view.padding_len()));
        assert_eq!(got, want, "{name}");
    }
    let bytes = packet(0x80, &[]);
    for len in 0..FIXED_HEADER_LEN {
        assert_eq!(View::parse(&bytes[..len]).unwrap_err(), ParseError::Truncated, "{len} bytes");
    }
}

#[test]
fn extensions() {
    // (name, profile, data, elements)
    type Row = (&'static str, u16, &'static [u8], &'static [(u8, &'static [u8])]);
    let rows: [Row; 14] = [
        ("two", 0xbede, &[0x10, 7, 0x21, 8, 9, 0, 0, 0], &[(1, &[7]), (2, &[8, 9])]),
        ("padding between", 0xbede, &[0x10, 7, 0, 0, 0, 0x20, 8, 0], &[(1, &[7]), (2, &[8])]),
        ("id 0 with a length ends", 0xbede, &[0x10, 7, 0x01, 1, 2, 0x20, 8, 0], &[(1, &[7])]),
        ("id 15 ends", 0xbede, &[0x10, 7, 0xf0, 1, 0x20, 8, 0, 0], &[(1, &[7])]),
        ("value past the end", 0xbede, &[0x10, 7, 0x2f, 1], &[(1, &[7])]),
        ("head at the very end", 0xbede, &[0x11, 7, 8, 0x20], &[(1, &[7, 8])]),
        (
            "longest",
            0xbede,
            &[0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0],
            &[(14, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])],
        ),
        ("empty block", 0xbede, &[], &[]),
        ("two-byte form", 0x1000, &[15, 1, 7, 255, 0, 0, 3, 2, 8, 9, 0, 0], &[(15, &[7]), (255, &[]), (3, &[8, 9])]),
        ("two-byte form with appbits", 0x100f, &[1, 1, 7, 0], &[(1, &[7])]),
        ("two-byte form, value past the end", 0x1000, &[1, 1, 7, 2, 1], &[(1, &[7])]),
        ("two-byte form, length missing", 0x1000, &[1, 1, 7, 2], &[(1, &[7])]),
        ("unknown profile", 0x1010, &[1, 1, 7, 0], &[]),
        ("profile 0", 0, &[0x10, 7, 0, 0], &[]),
    ];
    for (name, profile, data, want) in rows {
        let padded = data.len().next_multiple_of(4);
        let words = (padded / 4) as u16;
        let tail =
            [&profile.to_be_bytes()[..], &words.to_be_bytes(), data, &vec![0; padded - data.len()], b"media"].concat();
        let bytes = packet(0x90, &tail);
        let view = View::parse(&bytes).unwrap();
        // Filling up to a word may make a broken last element whole; those rows compare what is in front of it.
        let got: Vec<_> = view.extensions().take(want.len()).collect();
        assert_eq!(got, want, "{name}");
        assert_eq!(view.payload(), b"media", "{name}");
        for (id, value) in want {
            assert_eq!(view.extension(*id), Some(*value), "{name}");
        }
        if data.len() == padded {
            assert_eq!(view.extensions().count(), want.len(), "{name}");
            assert_eq!(view.extension(13), None, "{name}");
        }
    }
}

#[test]
fn writes_headers() {
    // (name, extensions, length, profile)
    type Row = (&'static str, &'static [(u8, &'static [u8])], Option<usize>, Option<u16>);
    let rows: [Row; 9] = [
        ("none", &[], Some(12), None),
        ("one-byte", &[(1, &[7]), (14, &[1, 2, 3])], Some(24), Some(0xbede)),
        ("one-byte, whole words", &[(1, &[7, 8, 9])], Some(20), Some(0xbede)),
        ("longest one-byte", &[(1, &[9; 16])], Some(36), Some(0xbede)),
        ("too long for one-byte", &[(1, &[9; 17]), (2, &[1])], Some(40), Some(0x1000)),
        ("id 15", &[(15, &[7])], Some(20), Some(0x1000)),
        ("empty value", &[(1, &[])], Some(20), Some(0x1000)),
        ("id 0", &[(0, &[7])], None, None),
        ("256 bytes", &[(1, &[9; 256])], None, None),
    ];
    for (name, extensions, want, profile) in rows {
        let mut out = [0xaa; 600];
        let len = write_header(&mut out, &FIELDS, extensions);
        assert_eq!(len, want, "{name}");
        let Some(len) = len else { continue };
        assert_eq!(profile, (len > 12).then(|| u16::from_be_bytes([out[12], out[13]])), "{name}");
        let view = View::parse(&out[..len]).unwrap();
        assert_eq!((view.seq(), view.ts(), view.ssrc(), view.marker()), (FIELDS.seq, FIELDS.ts, FIELDS.ssrc, true));
        assert_eq!(view.extensions().collect::<Vec<_>>(), extensions, "{name}");
        assert_eq!((view.header_len(), view.payload().len()), (len, 0), "{name}");
        for short in 0..len {
            assert_eq!(write_header(&mut out[..short], &FIELDS, extensions), None, "{name} in {short} bytes");
        }
    }
}

#[test]
fn setters_touch_only_their_field() {
    let mut bytes = packet(0x90, &[0xbe, 0xde, 0, 2, 0x10, 7, 0x21, 8, 9, 0, 0, 0, 42]);
    set_seq(&mut bytes, SeqNo(0));
    set_ts(&mut bytes, 1);
    set_ssrc(&mut bytes, Ssrc(2));
    set_pt(&mut bytes, Pt(0xff));
    set_marker(&mut bytes, false);
    assert!(set_extension(&mut bytes, 2, &[5, 6]));
    assert_eq!(bytes, [0x90, 127, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 2, 0x10, 7, 0x21, 5, 6, 0, 0, 0, 42]);
    let before = bytes.clone();
    assert!(!set_extension(&mut bytes, 2, &[5]));
    assert!(!set_extension(&mut bytes, 3, &[5]));
    assert!(!set_extension(&mut bytes[..20], 2, &[5, 6]));
    assert_eq!(bytes, before);
    set_marker(&mut bytes, true);
    assert_eq!(bytes[1], 0xff);
}

#[test]
fn setters_leave_short_bytes() {
    for len in 0..FIXED_HEADER_LEN {
        let mut bytes = vec![0x80; len];
        set_seq(&mut bytes, SeqNo(1));
        set_ts(&mut bytes, 1);
        set_ssrc(&mut bytes, Ssrc(1));
        set_pt(&mut bytes, Pt(1));
        set_marker(&mut bytes, true);
        assert_eq!(bytes, vec![0x80; len]);
    }
}

#[test]
fn tells_rtcp_from_rtp() {
    let rows: [(&[u8], bool); 9] = [
        (&[0x80, 191], false),
        (&[0x80, 192], true),
        (&[0x81, 200], true),
        (&[0xbf, 223], true),
        (&[0x80, 224], false),
        (&[0x80, 0x80 | 111], false),
        (&[0x00, 200], false),
        (&[0x80], false),
        (&[], false),
    ];
    for (bytes, want) in rows {
        assert_eq!(is_rtcp(bytes), want, "{bytes:?}");
    }
}
