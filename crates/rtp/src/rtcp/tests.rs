//! Tests of `rtcp`.

use convene_types::{Bitrate, SeqNo, Ssrc};

use super::*;

fn only(bytes: &[u8]) -> Packet<'_> {
    let mut all = packets(bytes);
    let first = all.next().unwrap().unwrap();
    assert!(all.next().is_none(), "more than one packet");
    first
}

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(u32::MAX),
    fraction_lost: 255,
    cumulative_lost: -1,
    highest_seq: u32::MAX,
    jitter: 1,
    last_sr: 2,
    delay_since_last_sr: 3,
};

#[test]
fn reports_round_trip() {
    let info = SenderInfo { ssrc: Ssrc(1), ntp: u64::MAX, rtp_ts: u32::MAX, packets: 3, octets: 4 };
    // (report blocks, packets it takes)
    for (blocks, want) in [(0, 1), (1, 1), (31, 1), (32, 2), (63, 3)] {
        let blocks: Vec<_> = (0..blocks).map(|n| ReportBlock { jitter: n, ..BLOCK }).collect();
        let mut bytes = Vec::new();
        write_sr(&mut bytes, &info, &blocks);
        assert_eq!(bytes.len() % 4, 0);
        let mut got = Vec::new();
        for (index, packet) in packets(&bytes).enumerate() {
            let packet = packet.unwrap();
            if index > 0 {
                let Packet::ReceiverReport(report) = packet else { panic!("{packet:?} at {index}") };
                assert_eq!(report.sender, info.ssrc);
                got.extend(report.reports());
            } else {
                let Packet::SenderReport(report) = packet else { panic!("{packet:?} at {index}") };
                assert_eq!(report.info, info);
                got.extend(report.reports());
            }
        }
        assert_eq!(got, blocks);
        assert_eq!(packets(&bytes).count(), want, "{} blocks", blocks.len());

        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &blocks);
        assert_eq!(packets(&bytes).count(), want, "{} blocks", blocks.len());
    }
}

#[test]
fn lost_packets_have_24_bits() {
    let rows = [
        (0, 0),
        (-1, -1),
        (0x7f_ffff, 0x7f_ffff),
        (-0x80_0000, -0x80_0000),
        (i32::MAX, 0x7f_ffff),
        (i32::MIN, -0x80_0000),
    ];
    for (lost, want) in rows {
        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &[ReportBlock { cumulative_lost: lost, ..BLOCK }]);
        let Packet::ReceiverReport(report) = only(&bytes) else { panic!("no RR") };
        assert_eq!(report.reports().next().unwrap().cumulative_lost, want, "{lost}");
    }
}

#[test]
fn names_round_trip() {
    for len in [0, 1, 2, 3, 4, 254, 255, 300] {
        let cname = "n".repeat(len);
        let mut bytes = Vec::new();
        write_sdes_cname(&mut bytes, Ssrc(7), &cname);
        assert_eq!(bytes.len() % 4, 0, "{len}");
        let Packet::SourceDescription(sdes) = only(&bytes) else { panic!("no SDES") };
        let want = &cname.as_bytes()[..len.min(255)];
        assert_eq!(sdes.cnames().collect::<Vec<_>>(), [(Ssrc(7), want)], "{len}");
    }
}

#[test]
fn sdes_items() {
    // (name, count, body, items)
    type Row = (&'static str, u8, &'static [u8], &'static [(u32, u8, &'static [u8])]);
    let rows: [Row; 7] = [
        ("two chunks", 2, &[0, 0, 0, 1, 1, 1, b'a', 0, 0, 0, 0, 2, 1, 1, b'b', 0], &[(1, 1, b"a"), (2, 1, b"b")]),
        ("two items", 1, &[0, 0, 0, 1, 1, 1, b'a', 2, 0, 0, 0, 0], &[(1, 1, b"a"), (1, 2, b"")]),
        (
            "end on the boundary takes no more",
            1,
            &[0, 0, 0, 1, 1, 0, 1, 1, b'a', 0, 0, 0],
            &[(1, 1, b""), (1, 1, b"a")],
        ),
        ("chunk without items", 2, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0], &[(2, 1, b"")]),
        ("item past the end", 1, &[0, 0, 0, 1, 1, 9, b'a', 0], &[]),
        ("count above chunks", 31, &[0, 0, 0, 1, 1, 1, b'a', 0], &[(1, 1, b"a")]),
        ("count of 0", 0, &[0, 0, 0, 1, 1, 1, b'a', 0], &[]),
    ];
    for (name, count, body, want) in rows {
        let sdes = SourceDescription::parse(count, body).unwrap();
        let got: Vec<_> = sdes.items().map(|item| (item.ssrc.0, item.kind, item.text)).collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn nacks() {
    // (asked, entries on the wire)
    type Row = (&'static [u16], &'static [(u16, u16)]);
    let rows: [Row; 8] = [
        (&[7], &[(7, 0)]),
        (&[7, 8, 9], &[(7, 0b11)]),
        (&[7, 23], &[(7, 0x8000)]),
        (&[7, 24], &[(7, 0), (24, 0)]),
        (&[65535, 0, 1], &[(65535, 0b11)]),
        (&[65520, 0, 1], &[(65520, 0x8000), (1, 0)]),
        (&[7, 7], &[(7, 0)]),
        (&[9, 8], &[(9, 0), (8, 0)]),
    ];
    for (asked, want) in rows {
        let seqs: Vec<_> = asked.iter().copied().map(SeqNo).collect();
        let mut bytes = Vec::new();
        write_nack(&mut bytes, Ssrc(1), Ssrc(2), &seqs);
        let entries: Vec<_> = bytes[12..]
            .chunks(4)
            .map(|e| (u16::from_be_bytes([e[0], e[1]]), u16::from_be_bytes([e[2], e[3]])))
            .collect();
        assert_eq!(entries, want, "{asked:?}");
        let Packet::Nack(nack) = only(&bytes) else { panic!("no NACK") };
        assert_eq!((nack.sender, nack.media), (Ssrc(1), Ssrc(2)));
        let mut deduplicated = asked.to_vec();
        deduplicated.dedup();
        assert_eq!(nack.seqs().map(|seq| seq.0).collect::<Vec<_>>(), deduplicated);
    }
    let mut bytes = Vec::new();
    write_nack(&mut bytes, Ssrc(1), Ssrc(2), &[]);
    assert!(bytes.is_empty());
    let far_apart: Vec<_> = (0..3000_u16).map(|n| SeqNo(n.wrapping_mul(21))).collect();
    write_nack(&mut bytes, Ssrc(1), Ssrc(2), &far_apart);
    assert_eq!(bytes.len(), 12 + 1024 * 4);
}

#[test]
fn keyframe_requests_and_byes() {
    let mut bytes = Vec::new();
    write_pli(&mut bytes, Ssrc(1), Ssrc(2));
    write_fir(&mut bytes, Ssrc(1), Ssrc(2), 255);
    let sources: Vec<_> = (0..32).map(Ssrc).collect();
    write_bye(&mut bytes, &sources);
    let got: Vec<_> = packets(&bytes).map(Result::unwrap).collect();
    let [Packet::Pli { sender, media }, Packet::Fir(fir), Packet::Bye(first), Packet::Bye(second)] = got[..] else {
        panic!("{got:?}")
    };
    assert_eq!((sender, media, fir.sender), (Ssrc(1), Ssrc(2), Ssrc(1)));
    assert_eq!(fir.entries().collect::<Vec<_>>(), [FirEntry { ssrc: Ssrc(2), seq_nr: 255 }]);
    assert_eq!(first.sources().chain(second.sources()).collect::<Vec<_>>(), sources);
}

#[test]
fn estimates() {
    // (written, read)
    let rows = [
        (0, 0),
        (1, 1),
        (0x3_ffff, 0x3_ffff),
        (0x4_0000, 0x4_0000),
        (0x4_0001, 0x4_0000),
        (5_000_000, 5_000_000 & !0x1f),
        (u64::MAX, 0x3_ffff << 46),
    ];
    for (written, read) in rows {
        let mut bytes = Vec::new();
        write_remb(&mut bytes, Ssrc(1), Bitrate(written), &[Ssrc(2), Ssrc(3)]);
        let Packet::Remb(remb) = only(&bytes) else { panic!("no REMB") };
        assert_eq!((remb.sender, remb.bitrate), (Ssrc(1), Bitrate(read)), "{written}");
        assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [Ssrc(2), Ssrc(3)]);
    }
    let mut bytes = Vec::new();
    write_remb(&mut bytes, Ssrc(1), Bitrate(1), &[]);
    bytes[17..20].fill(0xff); // an exponent of 63
    let Packet::Remb(remb) = only(&bytes) else { panic!("no REMB") };
    assert_eq!(remb.bitrate, Bitrate(u64::MAX));
    bytes[16] = 1; // a stream that is not there
    assert_eq!(packets(&bytes).next().unwrap().unwrap_err(), ParseError::Truncated);
    bytes[12] = b'X'; // another application's feedback
    assert!(matches!(only(&bytes), Packet::Other { pt: PT_PSFB, fmt: FMT_AFB }));
}

#[test]
fn framing() {
    type Row = (&'static str, &'static [u8], &'static [Result<(u8, u8), ParseError>]);
    const OTHER: Result<(u8, u8), ParseError> = Ok((207, 5));
    let rows: [Row; 12] = [
        ("nothing", &[], &[]),
        ("unknown type", &[0x85, 207, 0, 0], &[OTHER]),
        ("two", &[0x85, 207, 0, 1, 1, 2, 3, 4, 0x85, 207, 0, 0], &[OTHER, OTHER]),
        (
            "bad content, the next one follows",
            &[0x81, 201, 0, 1, 0, 0, 0, 1, 0x85, 207, 0, 0],
            &[Err(ParseError::Truncated), OTHER],
        ),
        ("head cut", &[0x85, 207, 0], &[Err(ParseError::Truncated)]),
        ("body cut", &[0x85, 207, 0, 0, 0x85, 207, 0xff, 0xff], &[OTHER, Err(ParseError::Truncated)]),
        ("version", &[0x45, 207, 0, 0, 0x85, 207, 0, 0], &[Err(ParseError::Version)]),
        ("padding", &[0xa5, 207, 0, 1, 0, 0, 0, 4], &[OTHER]),
        ("padding of less than a word", &[0xa5, 207, 0, 1, 0, 0, 0, 1], &[OTHER]),
        ("padding without bytes", &[0xa5, 207, 0, 0], &[Err(ParseError::Padding)]),
        ("padding of 0", &[0xa5, 207, 0, 1, 0, 0, 0, 0], &[Err(ParseError::Padding)]),
        (
            "padding past the body, the next one follows",
            &[0xa5, 207, 0, 1, 0, 0, 0, 8, 0x85, 207, 0, 0],
            &[Err(ParseError::Padding), OTHER],
        ),
    ];
    for (name, bytes, want) in rows {
        let got: Vec<_> = packets(bytes)
            .map(|packet| {
                packet.map(|packet| {
                    let Packet::Other { pt, fmt } = packet else { panic!("{name}: {packet:?}") };
                    (pt, fmt)
                })
            })
            .collect();
        assert_eq!(got, want, "{name}");
    }
}

/// What a feedback says, read back.
fn twcc(base_seq: u16, arrivals: &[Option<i16>]) -> (Vec<u8>, Vec<(u16, Option<i16>)>) {
    let mut bytes = Vec::new();
    write_twcc(&mut bytes, Ssrc(1), Ssrc(2), SeqNo(base_seq), 0xff_ffff, 255, arrivals);
    assert_eq!(bytes.len() % 4, 0);
    let Packet::TransportCc(feedback) = only(&bytes) else { panic!("no TWCC") };
    assert_eq!((feedback.sender, feedback.media, feedback.base_seq), (Ssrc(1), Ssrc(2), SeqNo(base_seq)));
    assert_eq!((feedback.reference_time_64ms, feedback.fb_count), (0xff_ffff, 255));
    assert_eq!(usize::from(feedback.count), arrivals.len());
    let read = feedback.arrivals().map(|(seq, arrival)| (seq.0, arrival)).collect();
    (bytes, read)
}

#[test]
fn transport_feedback_round_trips() {
    let s = Some(1);
    let l = Some(-1);
    // (name, arrivals, chunks)
    type Row = (&'static str, Vec<Option<i16>>, &'static [u16]);
    let rows: [Row; 12] = [
        ("none", vec![], &[]),
        ("one", vec![s], &[0x2001]),
        ("a run of small deltas", vec![s; 20], &[0x2014]),
        ("a run of losses", vec![None; 8191], &[0x1fff]),
        ("a longer run", vec![None; 8192], &[0x1fff, 0x0001]),
        ("small and lost", vec![s, None, s], &[0b1010_1000_0000_0000]),
        ("fourteen", [vec![s; 13], vec![None]].concat(), &[0b1011_1111_1111_1110]),
        ("large ones need two bits", vec![s, l, None], &[0b1101_1000_0000_0000]),
        ("seven and on", [vec![s; 6], vec![l], vec![s; 8]].concat(), &[0xd556, 0x2008]),
        ("ten small before a large one", [vec![s; 10], vec![l]].concat(), &[0x200a, 0x4001]),
        ("extremes", vec![Some(0), Some(255), Some(256), Some(i16::MAX), Some(i16::MIN)], &[0b1101_0110_1010_0000]),
        ("a run of large deltas", vec![l; 9], &[0x4009]),
    ];
    for (name, arrivals, want) in rows {
        let (bytes, read) = twcc(65535, &arrivals);
        let seqs = (0..arrivals.len()).map(|n| 65535_u16.wrapping_add(n as u16));
        assert_eq!(read, seqs.zip(arrivals.iter().copied()).collect::<Vec<_>>(), "{name}");
        let chunks: Vec<_> = bytes[20..].chunks(2).take(want.len()).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
        assert_eq!(chunks, want, "{name}");
    }
}

#[test]
fn any_pattern_of_arrivals_round_trips() {
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    for round in 0..2000_u32 {
        let len = random() % 200;
        let mut arrivals = Vec::new();
        while arrivals.len() < len as usize {
            let arrival = match random() % 3 {
                0 => None,
                1 => Some((random() % 256) as i16),
                _ => Some((random() as u16).cast_signed()),
            };
            let repeat = if round % 2 == 0 { 1 } else { 1 + random() % 30 };
            arrivals.extend((0..repeat).map(|_| arrival));
        }
        let base = random() as u16;
        let (bytes, read) = twcc(base, &arrivals);
        assert_eq!(read.iter().map(|(_, arrival)| *arrival).collect::<Vec<_>>(), arrivals, "round {round}");
        assert!(bytes.len() <= 24 + arrivals.len() * 23 / 10 + 4, "round {round}: {} bytes", bytes.len());
    }
}

#[test]
fn broken_transport_feedback() {
    // base 0, count, reference time and counter 0, then chunks and deltas
    let feedback = |count: u16, tail: &[u8]| {
        let [c0, c1] = count.to_be_bytes();
        [&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, c0, c1, 0, 0, 0, 0], tail].concat()
    };
    // (name, count, chunks and deltas, packets that arrived)
    type Row = (&'static str, u16, &'static [u8], Result<usize, ParseError>);
    let rows: [Row; 9] = [
        ("nothing reported", 0, &[], Ok(0)),
        ("run longer than the count", 2, &[0x3f, 0xff, 1, 1], Ok(2)),
        ("run longer than the deltas", 3, &[0x20, 0x03, 1, 1], Err(ParseError::Truncated)),
        ("empty runs, then one", 1, &[0x00, 0x00, 0x20, 0x00, 0x20, 0x01, 9, 0], Ok(1)),
        ("empty runs to the end", 1, &[0x00, 0x00, 0x20, 0x00], Err(ParseError::Truncated)),
        ("no chunks", 1, &[], Err(ParseError::Truncated)),
        ("reserved run", 1, &[0x60, 0x01], Err(ParseError::Malformed)),
        ("reserved symbol", 1, &[0xf0, 0x00], Err(ParseError::Malformed)),
        (
            "most statuses of eight chunks",
            65535,
            &[0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0, 7],
            Ok(0),
        ),
    ];
    for (name, count, tail, want) in rows {
        let body = feedback(count, tail);
        let got = TransportCc::parse(&body);
        let arrived = got.map(|feedback| {
            assert_eq!(feedback.arrivals().count(), usize::from(count), "{name}");
            feedback.arrivals().filter(|(_, arrival)| arrival.is_some()).count()
        });
        assert_eq!(arrived, want, "{name}");
    }
    for len in 0..16 {
        assert_eq!(TransportCc::parse(&feedback(0, &[])[..len]).unwrap_err(), ParseError::Truncated, "{len}");
    }
}

#[test]
fn claimed_statuses_are_bounded_per_compound() {
    let mut bytes = Vec::new();
    for lost in [16_000, 384, 1, 0] {
        write_twcc(&mut bytes, Ssrc(1), Ssrc(2), SeqNo(0), 0, 0, &vec![None; lost]);
    }
    write_twcc(&mut bytes, Ssrc(1), Ssrc(2), SeqNo(0), 0, 0, &vec![None; 16_385]);
    let good: Vec<_> = packets(&bytes).map(|packet| packet.map(|_| ()).err()).collect();
    assert_eq!(good, [None, None, Some(ParseError::Malformed), None, Some(ParseError::Malformed)]);
}
