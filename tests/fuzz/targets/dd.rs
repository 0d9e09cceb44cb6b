//! Any bytes as dependency descriptors: one that may bring a structure, then one read against it.

use arbitrary::{Arbitrary, Unstructured};
use convene_rtp::dd::{Descriptor, MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS, Mandatory, Structure};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(input) = <(u8, &[u8])>::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (split, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(split).min(bytes.len()));
    let structure = check(first, None);
    check(second, structure.as_ref());
}

fn check(value: &[u8], known: Option<&Structure>) -> Option<Structure> {
    let (frame, attached) = Descriptor::parse(value, known).ok()?;
    assert_eq!(Mandatory::parse(value), Ok(frame.mandatory));
    assert_eq!(frame.keyframe, attached.is_some());
    let structure = attached.as_ref().or(known).expect("a frame is read against a structure");
    let (sid, tid) = structure.max_layer();
    assert!(frame.sid <= sid && usize::from(sid) < MAX_SPATIAL_LAYERS);
    assert!(frame.tid <= tid && usize::from(tid) < MAX_TEMPORAL_LAYERS);
    assert_eq!(structure.all_decode_targets().count_ones(), u32::from(structure.decode_targets()));
    assert!(frame.active_decode_targets.is_none_or(|active| active & !structure.all_decode_targets() == 0));
    assert_eq!(frame.resolution, structure.resolution(frame.sid));
    for target in structure.decode_targets()..=255 {
        assert_eq!(frame.dti(target), convene_rtp::dd::Dti::NotPresent);
    }
    // A structure holds for the frame that brought it and, unless replaced, gives the same frame again.
    if let Some(structure) = &attached {
        let (again, _) = Descriptor::parse(value, Some(structure)).expect("what was read reads again");
        assert_eq!(again, frame);
    }
    attached
}
