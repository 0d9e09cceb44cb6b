//! Files of other make and shape: what is taken, and what is refused as what.

use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};
use std::io::Cursor;

use super::build::{block, cluster, element, track, webm};
use super::{CHROMIUM_MONO, CHROMIUM_STEREO, LIMITS, tone};
use crate::head::{Head, write_tags};
use crate::{Container, Limits, VoiceError, encode, inspect, is_opus_container};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
/// 20 ms of nothing: a packet of one byte, which conceals.
const QUIET: &[u8] = &[0x78];

/// Ogg's own reader: it checks checksums with another implementation than ours.
fn packets(file: &[u8]) -> Vec<ogg::Packet> {
    let mut reader = PacketReader::new(Cursor::new(file));
    std::iter::from_fn(|| reader.read_packet().unwrap()).collect()
}

/// The same file with a changed identification header.
pub(super) fn with_head(file: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packets: Vec<_> = packets(file).into_iter().map(|packet| (packet.absgp_page(), packet)).collect();
    change(&mut packets[0].1.data);
    let rows: Vec<_> =
        packets.iter().map(|(granule, packet)| (packet.data.clone(), packet.last_in_page(), *granule)).collect();
    write(1, &rows)
}

/// Packets, whether each ends its page, and the granule there; the last one ends the stream.
fn write(serial: u32, packets: &[(Vec<u8>, bool, u64)]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    for (at, (packet, ends_page, granule)) in packets.iter().enumerate() {
        let end = match (at + 1 == packets.len(), ends_page) {
            (true, _) => PacketWriteEndInfo::EndStream,
            (false, true) => PacketWriteEndInfo::EndPage,
            (false, false) => PacketWriteEndInfo::NormalPacket,
        };
        writer.write_packet(packet.clone(), serial, end, *granule).unwrap();
    }
    writer.into_inner()
}

fn head() -> Vec<u8> {
    Head { channels: 1, pre_skip: 312, gain: 0 }.write(48_000)
}

/// An Ogg Opus file of 20 ms packets; a row is how many on a page, and the page's granule.
fn quiet(pages: &[(usize, u64)]) -> Vec<u8> {
    let mut packets = vec![(head(), true, 0), (write_tags(), true, 0)];
    for (count, granule) in pages {
        packets.extend((1..=*count).map(|at| (QUIET.to_vec(), at == *count, *granule)));
    }
    write(7, &packets)
}

#[test]
fn sniffs() {
    let rows: [(&[u8], _); 5] = [
        (b"OggS", Some(Container::Ogg)),
        (CHROMIUM_MONO, Some(Container::WebM)),
        (PNG, None),
        (b"Ogg", None),
        (b"", None),
    ];
    for (bytes, container) in rows {
        assert_eq!(is_opus_container(bytes), container);
    }
}

#[test]
fn chromiums_recordings_become_ogg_of_the_same_packets() {
    for (file, channels) in [(CHROMIUM_MONO, 1), (CHROMIUM_STEREO, 2)] {
        let voice = inspect(file, &LIMITS).unwrap();
        assert_eq!((voice.transcoded, voice.channels, voice.duration_ms), (true, channels, 24 * 60));
        assert!((0.2..0.3).contains(&voice.peak), "{}", voice.peak);
        let packets = packets(&voice.ogg);
        assert_eq!(packets.len(), 2 + 24);
        let audio = &packets[2..];
        assert!(audio.iter().all(|packet| file.windows(packet.data.len()).any(|window| window == packet.data)));
        assert_eq!(audio.last().unwrap().absgp_page(), 24 * 2_880);

        let again = inspect(&voice.ogg, &LIMITS).unwrap();
        assert_eq!(again, crate::Voice { transcoded: false, ..voice.clone() });
    }
}

#[test]
fn a_recording_that_is_cut_off_plays_up_to_there() {
    for file in [CHROMIUM_MONO, CHROMIUM_STEREO] {
        let mut lengths: Vec<_> = (300..file.len())
            .rev()
            .step_by(60)
            .map(|len| match inspect(&file[..len], &LIMITS) {
                Ok(voice) => voice.samples,
                Err(error) => {
                    assert_eq!(error, VoiceError::Empty, "{len} bytes");
                    0
                }
            })
            .collect();
        lengths.dedup();
        // One packet of 60 ms after the other is lost, down to none.
        assert!(
            lengths
                .iter()
                .rev()
                .eq((0..lengths.len() as u64).map(|packets| packets * 2_880).collect::<Vec<_>>().iter())
        );
        assert!(lengths.len() > 20, "{lengths:?}");
    }
}

#[test]
fn webm_keeps_length_and_packets_of_what_was_ogg() {
    let samples = 48_000 + 77;
    let ogg = encode::mono(&tone(samples, 440.0, |_| 0.5)).unwrap();
    let packets = packets(&ogg);
    let (head, audio) = (&packets[0].data, &packets[2..]);
    let trim = audio.len() * 960 - 312 - samples;
    let nanoseconds = (trim as f64 / 48_000.0 * 1e9).round() as u32;

    let (last, others) = audio.split_last().unwrap();
    let mut blocks: Vec<_> = others.iter().map(|packet| element(0xa3, &block(1, 0x80, &packet.data))).collect();
    let group = [element(0xa1, &block(1, 0, &last.data)), element(0x75a2, &nanoseconds.to_be_bytes())].concat();
    blocks.push(element(0xa0, &group));
    let (left, right) = blocks.split_at(20);
    let clusters = [cluster(left), element(0xec, &[0; 9]), cluster(right)].concat();
    let file = webm(&track(1, b"A_OPUS\0\0", head), &clusters);

    let (before, after) = (inspect(&ogg, &LIMITS).unwrap(), inspect(&file, &LIMITS).unwrap());
    assert_eq!(after.samples, samples as u64);
    assert_eq!((after.waveform, after.loudness_lufs), (before.waveform, before.loudness_lufs));
    let written: Vec<_> = self::packets(&after.ogg).into_iter().skip(2).map(|packet| packet.data).collect();
    assert!(written.iter().eq(audio.iter().map(|packet| &packet.data)));
}

#[test]
fn what_is_not_opus_is_called_that() {
    let vorbis = write(1, &[(b"\x01vorbis\0\0\0\0\x01".to_vec(), true, 0)]);
    let block = cluster(&[element(0xa3, &block(1, 0, QUIET))]);
    let opus = track(1, b"A_OPUS", &head());
    let rows = [
        (PNG.to_vec(), "not_opus"),
        (vec![0; 100], "not_opus"),
        (vec![], "empty"),
        (vorbis, "not_opus"),
        (webm(&track(1, b"A_VORBIS", &[2]), &block), "not_opus"),
        (webm(&[opus.clone(), track(2, b"V_VP8", &[])].concat(), &block), "not_opus"),
        (webm(&[], &[]), "not_opus"),
        (webm(&opus, &[]), "empty"),
        (webm(&track(1, b"A_OPUS", &[]), &block), "damaged"),
        (webm(&track(2, b"A_OPUS", &head()), &block), "damaged"),
        (webm(&[], &block), "damaged"),
        // Of 960 samples 312 are skipped; then all that there are.
        (webm(&opus, &block), "ok"),
        (quiet(&[(1, 312)]), "empty"),
        (write(1, &[(head(), true, 0), (write_tags(), true, 0)]), "empty"),
        (write(1, &[(head(), true, 0)]), "damaged"),
    ];
    for (at, (file, code)) in rows.iter().enumerate() {
        assert_eq!(inspect(file, &LIMITS).map_or_else(|error| error.code(), |_| "ok"), *code, "row {at}");
    }
    let laced = cluster(&[element(0xa3, &super::build::block(1, 0x02, QUIET))]);
    assert_eq!(inspect(&webm(&opus, &laced), &LIMITS), Err(VoiceError::Damaged("laced blocks are not read")));
}

#[test]
fn granules_must_fit_the_packets() {
    let wrong = Err(VoiceError::Damaged("a granule position"));
    let rows = [
        // The plain case; end trimming; all of the last page trimmed; more than that.
        (quiet(&[(50, 48_000), (50, 96_000)]), Ok(96_000 - 312)),
        (quiet(&[(50, 48_000), (50, 95_000)]), Ok(95_000 - 312)),
        (quiet(&[(50, 48_000), (50, 48_000)]), Ok(48_000 - 312)),
        (quiet(&[(50, 48_000), (50, 42_000)]), wrong),
        // One page only: trimmed, and cut out of a longer stream.
        (quiet(&[(50, 20_000)]), Ok(20_000 - 312)),
        (quiet(&[(50, 1_048_000), (50, 1_096_000)]), Ok(96_000 - 312)),
        (quiet(&[(50, 40_000), (50, 96_000)]), wrong),
        // A remuxer that rounds, a page that claims an hour.
        (quiet(&[(50, 48_000), (50, 96_020), (50, 144_000)]), Ok(144_000 - 312)),
        (quiet(&[(50, 48_000), (50, 96_500)]), Ok(96_000 - 312)),
        (quiet(&[(50, 48_000), (50, 172_800_000)]), wrong),
        (quiet(&[(50, 48_000), (50, 172_800_000), (1, 172_800_960)]), wrong),
        (quiet(&[(50, u64::MAX >> 1), (50, 96_000)]), wrong),
        (quiet(&[(50, 1 << 63), (50, 96_000)]), wrong),
        (quiet(&[(50, u64::MAX), (50, 96_000)]), wrong),
    ];
    for (at, (file, expected)) in rows.iter().enumerate() {
        assert_eq!(inspect(file, &LIMITS).map(|voice| voice.samples), *expected, "row {at}");
    }
}

#[test]
fn only_one_whole_stream() {
    let (one, other) = (quiet(&[(50, 48_000)]), quiet(&[(25, 24_000)]));
    let first = one.len() - 27 - 50 - 50;
    let mut not_ended = one.clone();
    not_ended[first + 5] = 0;
    let rows = [
        ([one.as_slice(), &other].concat(), VoiceError::Damaged("not exactly one stream")),
        ([one.as_slice(), b"OggSjunk"].concat(), VoiceError::Damaged("a page is cut off")),
        ([one.as_slice(), b"junk"].concat(), VoiceError::Damaged("bytes between the pages")),
        (not_ended, VoiceError::Damaged("a page's checksum")),
        // Without OpusTags, which is the second page.
        ([&one[..47], &one[first..]].concat(), VoiceError::Damaged("a page is missing")),
    ];
    for (at, (file, error)) in rows.iter().enumerate() {
        assert_eq!(inspect(file, &LIMITS), Err(*error), "row {at}");
    }
}

#[test]
fn a_packet_may_span_pages() {
    let mut tags = write_tags();
    tags[19] = 1;
    tags.extend(100_000_u32.to_le_bytes());
    tags.resize(tags.len() + 100_000, b'x');
    let mut packets = vec![(head(), true, 0), (tags, true, 0)];
    packets.extend((0..50).map(|_| (QUIET.to_vec(), false, 48_000)));
    let file = write(7, &packets);
    assert_eq!(inspect(&file, &LIMITS).unwrap().samples, 48_000 - 312);
}

#[test]
fn too_long_is_refused_before_anything_is_decoded() {
    // Packets of 120 ms that libopus refuses: whoever decodes one says "damaged".
    let bad = vec![0x03 | 31 << 3, 0x80 | 6, 0xff];
    assert_eq!(crate::toc::samples(&bad), Some(5_760));
    let mut packets = vec![(head(), true, 0), (write_tags(), true, 0)];
    packets.extend((1..=600_u64).map(|at| (bad.clone(), at % 10 == 0, at * 5_760)));
    let ogg = write(7, &packets);
    let blocks: Vec<_> = (0..600).map(|_| element(0xa3, &block(1, 0, &bad))).collect();
    let webm = webm(&track(1, b"A_OPUS", &head()), &cluster(&blocks));
    let damaged = VoiceError::Damaged("an Opus packet");
    for file in [ogg, webm] {
        for (max_duration_ms, error) in [(60_000, VoiceError::TooLong { limit_ms: 60_000 }), (80_000, damaged)] {
            assert_eq!(inspect(&file, &Limits { max_duration_ms, ..LIMITS }), Err(error));
        }
        let limit_bytes = file.len() - 1;
        let small = Limits { max_bytes: limit_bytes, ..LIMITS };
        assert_eq!(inspect(&file, &small), Err(VoiceError::TooLarge { limit_bytes }));
    }
}

#[test]
fn the_limit_is_exact() {
    let file = encode::mono(&tone(48_000, 440.0, |_| 0.5)).unwrap();
    let limited = |max_duration_ms| inspect(&file, &Limits { max_duration_ms, ..LIMITS }).map(|voice| voice.samples);
    assert_eq!(limited(1_000), Ok(48_000));
    assert_eq!(limited(999), Err(VoiceError::TooLong { limit_ms: 999 }));
}
