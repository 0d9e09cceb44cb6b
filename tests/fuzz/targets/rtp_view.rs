//! Any bytes as an RTP packet: the parts add up to the whole, and extensions lie within the header.

use convene_rtp::packet::{self, View};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(view) = View::parse(bytes) else { return };
    assert_eq!(view.header_len() + view.payload().len() + view.padding_len(), bytes.len());
    assert!(view.header_len() >= packet::FIXED_HEADER_LEN && view.pt().0 < 128);

    let header = bytes[..view.header_len()].as_ptr_range();
    let mut copy = bytes.to_vec();
    for (id, value) in view.extensions() {
        let range = value.as_ptr_range();
        assert!(id != 0 && header.start <= range.start && range.end <= header.end);
        let first = view.extension(id).expect("an id that was listed is found");
        // Written over with itself, or with bits turned twice, a packet stays what it was.
        let turned: Vec<u8> = first.iter().map(|byte| !byte).collect();
        assert!(packet::set_extension(&mut copy, id, &turned));
        assert_eq!(View::parse(&copy).expect("still a packet").extension(id), Some(&turned[..]));
        assert!(packet::set_extension(&mut copy, id, first));
        assert_eq!(copy, bytes);
    }
}
