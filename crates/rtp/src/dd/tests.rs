//! Tests of `dd`.

use super::*;

/// Writes fields as the specification's tables list them: (value, bits).
fn pack(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> =
        fields.iter().flat_map(|(value, width)| (0..*width).rev().map(move |at| (value >> at & 1) as u8)).collect();
    bits.chunks(8).map(|byte| (0..8).fold(0, |all, at| all << 1 | byte.get(at).copied().unwrap_or(0))).collect()
}

const MANDATORY: [(u32, u32); 4] = [(1, 1), (0, 1), (10, 6), (0xffff, 16)];

/// A keyframe of two spatial layers with two temporal layers each: templates 10..=13, two decode targets, one chain.
fn key_fields() -> Vec<(u32, u32)> {
    let mut fields = MANDATORY.to_vec();
    fields.extend([(1, 1), (0, 4)]); // structure, nothing else
    fields.extend([(10, 6), (1, 5)]); // offset, decode targets less one
    fields.extend([(1, 2), (2, 2), (1, 2), (3, 2)]); // layers: S0T0, S0T1, S1T0, S1T1
    fields.extend([(2, 2), (3, 2), (0, 2), (1, 2), (0, 2), (2, 2), (0, 2), (1, 2)]); // per template and target
    fields.extend([(0, 1), (1, 1), (3, 4), (0, 1), (1, 1), (0, 4), (1, 1), (2, 4), (0, 1), (0, 1)]); // differences
    fields.extend([(1, 2)]); // one chain: ns(3) codes 1 as 10
    fields.pop();
    fields.extend([(0b10, 2)]);
    fields.extend([(1, 4), (2, 4), (3, 4), (4, 4)]); // which target the chain protects takes ns(1) = 0 bits
    fields.extend([(1, 1), (319, 16), (179, 16), (65535, 16), (359, 16)]);
    fields
}

#[test]
fn reads_a_structure_and_frames_on_it() {
    let value = pack(&key_fields());
    let (key, structure) = Descriptor::parse(&value, None).unwrap();
    let structure = structure.unwrap();
    assert!(key.keyframe && key.mandatory.start_of_frame && !key.mandatory.end_of_frame);
    assert_eq!((key.mandatory.frame_number, key.sid, key.tid), (65535, 0, 0));
    assert_eq!((structure.decode_targets(), structure.chains(), structure.max_layer()), (2, 1, (1, 1)));
    assert_eq!(key.active_decode_targets, Some(0b11));
    assert_eq!(
        (key.dti(0), key.dti(1), key.dti(2), key.dti(255)),
        (Dti::Switch, Dti::Required, Dti::NotPresent, Dti::NotPresent)
    );
    assert_eq!(structure.resolution(0), Some((320, 180)));
    assert_eq!(structure.resolution(1), Some((65536, 360)));
    assert_eq!(structure.resolution(2), None);

    // Target 0 has S0T0 alone; target 1 has all four templates.
    assert_eq!([0, 1, 2, 40].map(|target| structure.target_layer(target)), [Some((0, 0)), Some((1, 1)), None, None]);

    // (template id, layer, what it is to both targets)
    let rows = [
        (11, (0, 1), (Dti::NotPresent, Dti::Discardable)),
        (12, (1, 0), (Dti::NotPresent, Dti::Switch)),
        (13, (1, 1), (Dti::NotPresent, Dti::Discardable)),
    ];
    for (template_id, layer, dtis) in rows {
        let value = pack(&[(0, 1), (1, 1), (template_id, 6), (0, 16)]);
        let (frame, attached) = Descriptor::parse(&value, Some(&structure)).unwrap();
        assert_eq!((frame.sid, frame.tid), layer, "{template_id}");
        assert_eq!((frame.dti(0), frame.dti(1)), dtis, "{template_id}");
        assert_eq!((frame.keyframe, frame.mandatory.frame_number, frame.active_decode_targets), (false, 0, None));
        assert!(attached.is_none());
    }
}

#[test]
fn refuses_what_has_no_template() {
    let (_, structure) = Descriptor::parse(&pack(&key_fields()), None).unwrap();
    for template_id in [9, 14, 63, 0] {
        let value = pack(&[(3, 2), (template_id, 6), (1, 16)]);
        assert_eq!(Descriptor::parse(&value, structure.as_ref()).unwrap_err(), ParseError::Malformed, "{template_id}");
    }
    assert_eq!(Descriptor::parse(&[0x8a, 0, 1], None).unwrap_err(), ParseError::Malformed);
}

#[test]
fn template_ids_wrap_at_64() {
    let mut fields = key_fields();
    fields[2] = (63, 6); // the frame's template
    fields[6] = (62, 6); // the offset: templates 62, 63, 0, 1
    let (frame, structure) = Descriptor::parse(&pack(&fields), None).unwrap();
    assert_eq!((frame.sid, frame.tid), (0, 1));
    for (template_id, layer) in [(62, (0, 0)), (0, (1, 0)), (1, (1, 1))] {
        let value = pack(&[(0, 2), (template_id, 6), (1, 16)]);
        let (frame, _) = Descriptor::parse(&value, structure.as_ref()).unwrap();
        assert_eq!((frame.sid, frame.tid), layer, "{template_id}");
    }
}

#[test]
fn custom_fields_replace_the_template() {
    let (_, structure) = Descriptor::parse(&pack(&key_fields()), None).unwrap();
    let mut fields = vec![(1, 1), (1, 1), (10, 6), (7, 16)];
    fields.extend([(0, 1), (1, 1), (1, 1), (1, 1), (1, 1)]); // no structure; targets, custom dtis, fdiffs, chains
    fields.extend([(0b01, 2)]); // active targets
    fields.extend([(1, 2), (2, 2)]); // dtis
    fields.extend([(1, 2), (15, 4), (3, 2), (0xfff, 12), (0, 2)]); // fdiffs
    fields.extend([(255, 8)]); // one chain
    let value = pack(&fields);
    let (frame, _) = Descriptor::parse(&value, structure.as_ref()).unwrap();
    assert_eq!(frame.active_decode_targets, Some(0b01));
    assert_eq!((frame.dti(0), frame.dti(1)), (Dti::Discardable, Dti::Switch));
    for len in 4..value.len() {
        assert_eq!(Descriptor::parse(&value[..len], structure.as_ref()).unwrap_err(), ParseError::Truncated, "{len}");
    }
}

#[test]
fn cut_structures_are_truncated() {
    let value = pack(&key_fields());
    for len in (0..3).chain(4..value.len()) {
        assert_eq!(Descriptor::parse(&value[..len], None).unwrap_err(), ParseError::Truncated, "{len}");
    }
}

#[test]
fn layers_are_bounded() {
    let head = [(1, 1), (0, 1), (0, 6), (0, 16), (1, 1), (0, 4), (0, 6), (0, 5)];
    // (next_layer_idc again and again, how it ends)
    for (idc, count) in [(NEXT_TEMPORAL_IDC, 8), (NEXT_SPATIAL_IDC, 4), (0, 64)] {
        let mut fields = head.to_vec();
        fields.extend(std::iter::repeat_n((idc, 2), count));
        fields.extend(std::iter::repeat_n((0, 32), 80));
        assert_eq!(Descriptor::parse(&pack(&fields), None).unwrap_err(), ParseError::Malformed, "{idc}");
        let mut fields = head.to_vec();
        fields.extend(std::iter::repeat_n((idc, 2), count - 1));
        fields.push((3, 2));
        fields.extend(std::iter::repeat_n((0, 32), 80));
        assert!(Descriptor::parse(&pack(&fields), None).is_ok(), "{idc}");
    }
}

const NEXT_TEMPORAL_IDC: u32 = 1;
const NEXT_SPATIAL_IDC: u32 = 2;
