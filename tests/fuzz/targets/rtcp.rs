//! Any bytes as compound RTCP: iteration ends, and what we read of feedback we can write and read again.

use convene_rtp::rtcp::{self, Nack, Packet, TransportCc};
use convene_types::{Bitrate, SeqNo};

pub(crate) fn run(bytes: &[u8]) {
    let mut seen = 0;
    for packet in rtcp::packets(bytes) {
        seen += 1;
        let Ok(packet) = packet else { continue };
        match packet {
            Packet::SenderReport(report) => assert!(report.reports().count() <= 31),
            Packet::ReceiverReport(report) => {
                let blocks: Vec<_> = report.reports().collect();
                let mut out = Vec::new();
                let Packet::ReceiverReport(again) =
                    rewrite(&mut out, |out| rtcp::write_rr(out, report.sender, &blocks))
                else {
                    panic!("no RR")
                };
                assert!(again.reports().eq(blocks));
            }
            Packet::SourceDescription(sdes) => assert!(sdes.items().count() <= bytes.len() / 2),
            Packet::Bye(bye) => assert!(bye.sources().count() <= 31),
            Packet::Nack(nack) => check_nack(nack),
            Packet::Fir(fir) => assert!(fir.entries().count() <= bytes.len() / 8),
            Packet::Remb(remb) => {
                let ssrcs: Vec<_> = remb.ssrcs().collect();
                let mut out = Vec::new();
                let write = |out: &mut Vec<u8>| rtcp::write_remb(out, remb.sender, remb.bitrate, &ssrcs);
                let Packet::Remb(again) = rewrite(&mut out, write) else { panic!("no REMB") };
                // The largest bitrates saturate at a number that 18 bits cannot name.
                assert!(again.bitrate == remb.bitrate || remb.bitrate == Bitrate(u64::MAX));
                assert!(again.ssrcs().eq(ssrcs));
            }
            Packet::TransportCc(feedback) => check_transport_cc(feedback),
            Packet::Pli { .. } | Packet::Other { .. } => {}
            other => panic!("a kind of packet that this target does not know: {other:?}"),
        }
    }
    assert!(seen <= bytes.len() / 4 + 1);
}

/// The one packet that `write` writes into `out`.
fn rewrite(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Packet<'_> {
    write(out);
    assert_eq!(out.len() % 4, 0);
    let mut packets = rtcp::packets(out);
    let packet = packets.next().expect("one packet").expect("a well-formed one");
    assert!(packets.next().is_none());
    packet
}

fn check_nack(nack: Nack<'_>) {
    let seqs: Vec<SeqNo> = nack.seqs().take(1024).collect();
    if seqs.is_empty() {
        return;
    }
    let mut out = Vec::new();
    let Packet::Nack(again) = rewrite(&mut out, |out| rtcp::write_nack(out, nack.sender, nack.media, &seqs)) else {
        panic!("no NACK")
    };
    let sorted = |seqs: Vec<SeqNo>| {
        let mut seqs: Vec<u16> = seqs.into_iter().map(|seq| seq.0).collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    };
    assert_eq!(sorted(again.seqs().collect()), sorted(seqs));
}

fn check_transport_cc(feedback: TransportCc<'_>) {
    let (seqs, arrivals): (Vec<SeqNo>, Vec<Option<i16>>) = feedback.arrivals().unzip();
    assert_eq!(arrivals.len(), usize::from(feedback.count));
    assert!(seqs.first().is_none_or(|seq| *seq == feedback.base_seq));
    let mut out = Vec::new();
    let again = rewrite(&mut out, |out| {
        rtcp::write_twcc(
            out,
            feedback.sender,
            feedback.media,
            feedback.base_seq,
            feedback.reference_time_64ms,
            feedback.fb_count,
            &arrivals,
        );
    });
    let Packet::TransportCc(again) = again else { panic!("no TWCC") };
    assert!(again.arrivals().map(|(_, arrival)| arrival).eq(arrivals));
    assert_eq!(again.reference_time_64ms, feedback.reference_time_64ms);
}
