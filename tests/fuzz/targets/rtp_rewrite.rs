//! Headers that we write read back as written, and setters change what they name and nothing else.

use convene_rtp::packet::{self, Fields, View};
use convene_types::{Pt, SeqNo, Ssrc};
use arbitrary::{Result, Unstructured};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    if let Ok(fields) = write_and_read(&mut input) {
        set_all(fields, input.take_rest().to_vec());
    }
}

fn write_and_read(input: &mut Unstructured<'_>) -> Result<Fields> {
    let fields = Fields {
        marker: input.arbitrary()?,
        pt: Pt(input.arbitrary()?),
        seq: SeqNo(input.arbitrary()?),
        ts: input.arbitrary()?,
        ssrc: Ssrc(input.arbitrary()?),
    };
    let mut extensions = Vec::new();
    for _ in 0..input.int_in_range(0..=8)? {
        let id: u8 = input.arbitrary()?;
        let len = usize::from(input.arbitrary::<u8>()?);
        extensions.push((id, input.bytes(len)?));
    }
    let mut out = vec![0xaa; usize::from(input.arbitrary::<u8>()?) * 8];
    if let Some(len) = packet::write_header(&mut out, &fields, &extensions) {
        let view = View::parse(&out[..len]).expect("a written header is a packet");
        assert_eq!((view.header_len(), view.payload()), (len, &[][..]));
        assert_eq!(view.extensions().collect::<Vec<_>>(), extensions);
        check(&view, &fields);
        assert!(out[len..].iter().all(|byte| *byte == 0xaa));
    }
    Ok(fields)
}

fn set_all(fields: Fields, mut bytes: Vec<u8>) {
    let before = bytes.clone();
    packet::set_marker(&mut bytes, fields.marker);
    packet::set_pt(&mut bytes, fields.pt);
    packet::set_seq(&mut bytes, fields.seq);
    packet::set_ts(&mut bytes, fields.ts);
    packet::set_ssrc(&mut bytes, fields.ssrc);
    let Ok(old) = View::parse(&before) else { return };
    let new = View::parse(&bytes).expect("setters keep a packet a packet");
    check(&new, &fields);
    assert_eq!(
        (new.header_len(), new.payload(), new.padding_len()),
        (old.header_len(), old.payload(), old.padding_len())
    );
    assert!(new.extensions().eq(old.extensions()));
}

fn check(view: &View<'_>, fields: &Fields) {
    assert_eq!((view.marker(), view.pt().0, view.seq()), (fields.marker, fields.pt.0 & 0x7f, fields.seq));
    assert_eq!((view.ts(), view.ssrc()), (fields.ts, fields.ssrc));
}
