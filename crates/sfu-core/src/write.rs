//! Writes one packet for one subscriber: header anew, payload copied, a few bytes of it patched.

use convene_rtp::ext::Kind;
use convene_rtp::packet::{FIXED_HEADER_LEN, Fields, write_header};
use convene_rtp::{red, rtx};
use convene_types::{Pt, SeqNo, Ssrc};

use crate::history::Stored;
use crate::meta::{MAX_EXTENSIONS, Meta};
use crate::munge::{Numbers, Run};
use crate::redundancy::MAX_BLOCKS;
use crate::spec::{Egress, RedPts};
use crate::stamp::Stamp;

/// RFC 3550 §5.1, first byte.
const PADDING_BIT: u8 = 0b0010_0000;
const EXTENSION_BIT: u8 = 0b0001_0000;

/// What to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) egress: &'a Egress,
    pub(crate) run: &'a Run,
    pub(crate) numbers: Numbers,
    pub(crate) pt: Pt,
    pub(crate) stored: Stored<'a>,
    /// Written in place of the publisher's playout delay.
    pub(crate) playout_delay: Option<[u8; 3]>,
    /// The payload goes out as RED.
    pub(crate) red: Option<Red<'a>>,
}

/// Older payloads that go out once more with one, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Red<'a> {
    pub(crate) pts: RedPts,
    pub(crate) blocks: [red::Block<'a>; MAX_BLOCKS],
    pub(crate) count: usize,
}

/// Subscribers with the same MID and header extension ids get the same extension block; they share a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) u32);

/// Bytes of an extension block that is kept: a MID, an audio level and a playout delay are 12.
const KEPT_BLOCK_BYTES: usize = 44;

/// The extension block of a packet as it was written last: most subscribers of a room have one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    shape: Option<Shape>,
    len: u8,
    /// Bytes of padding with which the packet is as long as its neighbours.
    pub(crate) padding: u8,
    bytes: [u8; KEPT_BLOCK_BYTES],
}

impl Block {
    pub(crate) const EMPTY: Self = Self { shape: None, len: 0, padding: 0, bytes: [0; KEPT_BLOCK_BYTES] };

    /// Writes a header with the kept block; its length. `None`: the block is another shape's.
    fn header(&self, out: &mut [u8], fields: &Fields, shape: Option<Shape>) -> Option<usize> {
        if shape.is_none() || self.shape != shape {
            return None;
        }
        // All bytes that are kept, not only those that count: a copy of known length costs next to nothing.
        *out.get_mut(FIXED_HEADER_LEN..)?.first_chunk_mut()? = self.bytes;
        write_header(out, fields, &[])?;
        if self.len > 0 {
            *out.first_mut()? |= EXTENSION_BIT;
        }
        Some(FIXED_HEADER_LEN + usize::from(self.len))
    }

    /// Keeps the block of a header just written.
    fn keep(&mut self, header: &[u8], shape: Option<Shape>) {
        let Some(block) = header.get(FIXED_HEADER_LEN..) else { return };
        if let Some(kept) = self.bytes.get_mut(..block.len()) {
            kept.copy_from_slice(block);
            (self.shape, self.len) = (shape, block.len() as u8); // at most KEPT_BLOCK_BYTES
        }
    }
}

/// RTX stream, payload type and number of a retransmission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtx {
    pub(crate) ssrc: Ssrc,
    pub(crate) pt: Pt,
    pub(crate) seq: SeqNo,
}

/// Writes a media packet; its length. `None`: it does not fit.
#[inline]
pub(crate) fn media(out: &mut [u8], outgoing: &Outgoing<'_>, shape: Option<Shape>, block: &mut Block) -> Option<usize> {
    let fields = fields(outgoing, outgoing.egress.ssrc, outgoing.pt, SeqNo(outgoing.numbers.seq as u16));
    let moves = outgoing.run.moves_frames() && outgoing.numbers.frame.is_some();
    let shape = shape.filter(|_| !moves && outgoing.playout_delay.is_none());
    let header = match block.header(out, &fields, shape) {
        Some(header) => header,
        None => {
            let header = header(out, &fields, outgoing)?;
            block.keep(out.get(..header)?, shape);
            header
        }
    };
    let payload = payload(out.get_mut(header..)?, outgoing)?;
    if payload > 0 {
        return Some(header + payload + pad(out, header + payload, block.padding));
    }
    // Padding or a left-out packet that came too late for its gap to be closed: a packet of nothing but a padding count fills the hole.
    *out.get_mut(header)? = 1;
    *out.first_mut()? |= PADDING_BIT;
    Some(header + 1)
}

/// Writes padding behind a packet (RFC 3550 §5.1); its length. Nothing, where it does not fit.
fn pad(out: &mut [u8], at: usize, count: u8) -> usize {
    let Some(space) = out.get_mut(at..at + usize::from(count)) else { return 0 };
    let Some((last, zeros)) = space.split_last_mut() else { return 0 };
    zeros.fill(0);
    *last = count;
    if let Some(first) = out.first_mut() {
        *first |= PADDING_BIT;
    }
    usize::from(count)
}

/// Writes the same packet as a retransmission (RFC 4588 §4); its length.
pub(crate) fn retransmission(out: &mut [u8], outgoing: &Outgoing<'_>, rtx: &Rtx) -> Option<usize> {
    let fields = fields(outgoing, rtx.ssrc, rtx.pt, rtx.seq);
    let header = header(out, &fields, outgoing)?;
    let osn = rtx::write_osn(out.get_mut(header..)?, SeqNo(outgoing.numbers.seq as u16))?;
    let payload = payload(out.get_mut(header + osn..)?, outgoing)?;
    Some(header + osn + payload)
}

/// Writes an RTX packet of padding alone: it carries nothing and costs the path its size (RFC 3550 §5.1).
pub(crate) fn padding(out: &mut [u8], egress: &Egress, rtx: &Rtx, ts: u32, len: u8) -> Option<usize> {
    let fields = Fields { marker: false, pt: rtx.pt, seq: rtx.seq, ts, ssrc: rtx.ssrc };
    let mut list: [(u8, &[u8]); 2] = [(0, &[]); 2];
    let stamp = Stamp::of(&egress.exts).map(|stamp| (stamp.id, stamp.placeholder()));
    let mid = egress.exts.id(Kind::Mid).map(|id| (id, egress.mid.as_bytes()));
    let count = list.iter_mut().zip(stamp.into_iter().chain(mid)).map(|(slot, value)| *slot = value).count();
    let header = write_header(out, &fields, list.get(..count)?)?;
    let target = out.get_mut(header..header + usize::from(len))?;
    target.fill(0);
    *target.last_mut()? = len;
    *out.first_mut()? |= PADDING_BIT;
    Some(header + usize::from(len))
}

fn fields(outgoing: &Outgoing<'_>, ssrc: Ssrc, pt: Pt, seq: SeqNo) -> Fields {
    Fields { marker: outgoing.numbers.marker, pt, seq, ts: outgoing.numbers.ts, ssrc }
}

/// Header with the subscriber's MID and every extension that it has an id for.
fn header(out: &mut [u8], fields: &Fields, outgoing: &Outgoing<'_>) -> Option<usize> {
    let Outgoing { egress, stored, .. } = outgoing;
    let mut list: [(u8, &[u8]); MAX_EXTENSIONS + 3] = [(0, &[]); MAX_EXTENSIONS + 3];
    let mut count = 0;
    let mut add = |id: Option<u8>, value| {
        if let (Some(id), Some(slot)) = (id, list.get_mut(count)) {
            *slot = (id, value);
            count += 1;
        }
    };
    // In front, where `stamp` finds it: each packet gets its own value there.
    if let Some(stamp) = Stamp::of(&egress.exts) {
        add(Some(stamp.id), stamp.placeholder());
    }
    add(egress.exts.id(Kind::Mid), egress.mid.as_bytes());
    if let Some(delay) = &outgoing.playout_delay {
        add(egress.exts.id(Kind::PlayoutDelay), delay);
    }
    let moved: [u8; 256];
    let frame = outgoing.numbers.frame.filter(|_| outgoing.run.moves_frames());
    let mut descriptor = None;
    for (kind, value) in stored.meta.extensions(stored.bytes) {
        match (kind, frame) {
            (Kind::DependencyDescriptor, Some(_)) => descriptor = Some(value),
            (Kind::PlayoutDelay, _) if outgoing.playout_delay.is_some() => {}
            (kind, _) => add(egress.exts.id(kind), value),
        }
    }
    if let (Some(value), Some(frame)) = (descriptor, frame) {
        moved = move_frame(value, frame);
        add(egress.exts.id(Kind::DependencyDescriptor), moved.get(..value.len())?);
    }
    write_header(out, fields, list.get(..count)?)
}

/// A dependency descriptor with another frame number: AOM RTP payload format for AV1, §A.8.2, bytes 1 and 2.
fn move_frame(value: &[u8], frame: u16) -> [u8; 256] {
    let mut moved = [0; 256];
    moved.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    [moved[1], moved[2]] = frame.to_be_bytes();
    moved
}

/// Copies the payload and patches picture id and TL0PICIDX; its length.
#[inline]
fn payload(out: &mut [u8], outgoing: &Outgoing<'_>) -> Option<usize> {
    let Stored { meta, bytes } = outgoing.stored;
    if outgoing.numbers.blank {
        return Some(0);
    }
    let whole = meta.payload(bytes);
    if let Some(red) = &outgoing.red {
        return red::write(out, red.pts.opus, red.blocks.get(..red.count)?, whole);
    }
    let unwraps = outgoing.egress.unwrap_red == Some(meta.pt) && !whole.is_empty();
    let payload = if unwraps { red::primary(whole)? } else { whole };
    let target = out.get_mut(..payload.len())?;
    target.copy_from_slice(payload);
    patch(target, meta, &outgoing.numbers);
    Some(payload.len())
}

/// RFC 7741 §4.2, RFC 9628 §4.2: a picture id of 15 bits has the top bit set.
fn patch(payload: &mut [u8], meta: &Meta, numbers: &Numbers) {
    if let (Some((at, _)), Some(id)) = (meta.picture.id, numbers.picture_id) {
        let at = usize::from(at);
        let [high, low] = id.to_be_bytes();
        match (meta.picture.long, payload.get_mut(at..)) {
            (true, Some([first, second, ..])) => (*first, *second) = (high | 0x80, low),
            (false, Some([only, ..])) => *only = low & 0x7f,
            (_, Some(_) | None) => {}
        }
    }
    if let (Some((at, _)), Some(index)) = (meta.picture.tl0, numbers.tl0)
        && let Some(byte) = payload.get_mut(usize::from(at))
    {
        *byte = index;
    }
}
