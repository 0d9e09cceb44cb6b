//! [`Sources`]: which section and simulcast layer an SSRC of the client belongs to.
//!
//! Bound once and kept: after its first receiver report Chromium sends no `mid` and `rid` any more, and RTX may come
//! before the media that it repairs. The caller asks [`Sources::lookup`] for every packet and [`Sources::bind`] only when
//! that knows nothing, always after SRTP has authenticated the packet.
//!
//! Invariant: at most one SSRC for each section, layer and (media or repair), so a client cannot make the table grow.

use convene_types::{Mid, Pt, Rid, Ssrc};

use crate::sdp::Section;

/// Bindings of one transport: 64 tracks of a client x 3 layers x 2 (RTX), rounded up.
const MAX_SOURCES: usize = 512;

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index into `Negotiator::sections`.
    pub section: usize,
    /// That section's mid.
    pub mid: Mid,
    /// Simulcast layer, as an index into `Section::rids`; 0 where there is no simulcast.
    pub layer: u8,
    /// Simulcast layer's name.
    pub rid: Option<Rid>,
    /// RTX of that layer, not the media itself.
    pub repair: bool,
}

/// What one authenticated packet says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Hints<'a> {
    /// Its SSRC.
    pub ssrc: Ssrc,
    /// Its payload type.
    pub pt: Pt,
    /// Header extension `mid`.
    pub mid: Option<&'a [u8]>,
    /// Header extension `rtp-stream-id`.
    pub rid: Option<&'a [u8]>,
    /// Header extension `repaired-rtp-stream-id`.
    pub repaired_rid: Option<&'a [u8]>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sources {
    /// Sorted by SSRC: a binary search over a few dozen entries beats hashing.
    bound: Vec<(Ssrc, Source)>,
    /// Of `a=ssrc`, media and RTX: SSRC and index of the section. Sorted.
    announced: Vec<(Ssrc, usize)>,
}

impl Sources {
    /// Nothing bound.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called after each negotiation: takes the SSRCs that the client announces and forgets the bindings whose
    /// section or layer is no longer received. Returns the SSRCs forgotten.
    pub fn update(&mut self, sections: &[Section]) -> Vec<Ssrc> {
        self.announced.clear();
        for (index, section) in sections.iter().enumerate().filter(|(_, section)| section.receiving) {
            self.announced.extend(section.ssrcs.iter().map(|ssrc| (*ssrc, index)));
        }
        self.announced.sort_unstable();
        let mut forgotten = Vec::new();
        self.bound.retain(|(ssrc, source)| {
            let section = sections.get(source.section).filter(|section| section.mid == source.mid && section.receiving);
            let layer = source.rid.map(|rid| (usize::from(source.layer), rid));
            let keep = section.is_some_and(|section| match layer {
                Some((layer, rid)) => section.rids.get(layer) == Some(&rid),
                None => section.rids.is_empty(),
            });
            if !keep {
                forgotten.push(*ssrc);
            }
            keep
        });
        forgotten
    }

    /// The binding of an SSRC.
    #[must_use]
    pub fn lookup(&self, ssrc: Ssrc) -> Option<Source> {
        let index = self.bound.binary_search_by_key(&ssrc, |(bound, _)| *bound).ok()?;
        self.bound.get(index).map(|(_, source)| *source)
    }

    /// The SSRC of the media that a repair stream repairs, once that is known.
    #[must_use]
    pub fn media_ssrc(&self, repair: &Source) -> Option<Ssrc> {
        self.ssrc_of(&Source { repair: false, ..*repair })
    }

    /// The SSRC bound to exactly this.
    #[must_use]
    pub fn ssrc_of(&self, source: &Source) -> Option<Ssrc> {
        self.bound.iter().find(|(_, bound)| bound == source).map(|(ssrc, _)| *ssrc)
    }

    /// Every binding, by SSRC.
    pub fn iter(&self) -> impl Iterator<Item = (Ssrc, Source)> {
        self.bound.iter().copied()
    }

    /// Binds an SSRC by what its packet says, in the order of RFC 9143 §9.2: `mid` extension, an earlier binding, the
    /// SSRCs of the SDP, then the payload type if only one section has it. `None`: cannot be told, drop the packet.
    pub fn bind(&mut self, sections: &[Section], hints: &Hints<'_>) -> Option<Source> {
        let source = self.resolve(sections, hints)?;
        self.insert(hints.ssrc, source)
    }

    fn resolve(&self, sections: &[Section], hints: &Hints<'_>) -> Option<Source> {
        if let Some(mid) = hints.mid {
            let is_it = |section: &Section| section.receiving && section.mid.as_bytes() == mid;
            let index = sections.iter().position(is_it)?;
            return self.in_section(index, sections.get(index)?, hints);
        }
        if let Some(source) = self.lookup(hints.ssrc) {
            return Some(source);
        }
        if let Some(index) = self.announced_section(hints.ssrc) {
            return self.in_section(index, sections.get(index)?, hints);
        }
        let mut with_pt = sections.iter().enumerate().filter(|(_, section)| has_pt(section, hints.pt));
        let (index, section) = with_pt.next()?;
        if with_pt.next().is_some() {
            return None;
        }
        self.in_section(index, section, hints)
    }

    fn announced_section(&self, ssrc: Ssrc) -> Option<usize> {
        let index = self.announced.partition_point(|(announced, _)| *announced < ssrc);
        self.announced.get(index).filter(|(announced, _)| *announced == ssrc).map(|(_, section)| *section)
    }

    /// The layer within a section that is known.
    fn in_section(&self, index: usize, section: &Section, hints: &Hints<'_>) -> Option<Source> {
        // RFC 9143 §9.2: a payload type that the section does not have is not for it.
        if !has_pt(section, hints.pt) {
            return None;
        }
        let repair = section.rtx_of(hints.pt).is_some();
        let source = |layer, rid| Some(Source { section: index, mid: section.mid, layer, rid, repair });
        if section.rids.is_empty() {
            return source(0, None);
        }
        // RFC 8852 §3: RTX names the layer that it repairs; some senders put it into `rid` instead.
        let name = if repair { hints.repaired_rid.or(hints.rid) } else { hints.rid };
        let Some(name) = name else {
            let known = self.lookup(hints.ssrc)?;
            return (known.section == index && known.repair == repair).then_some(known);
        };
        let layer = section.rids.iter().position(|rid| rid.as_bytes() == name)?;
        source(u8::try_from(layer).ok()?, section.rids.get(layer).copied())
    }

    /// The newest SSRC of a stream wins: clients change it when they restart an encoder.
    fn insert(&mut self, ssrc: Ssrc, source: Source) -> Option<Source> {
        self.bound.retain(|(bound, at)| *bound != ssrc && *at != source);
        if self.bound.len() >= MAX_SOURCES {
            return None;
        }
        let index = self.bound.partition_point(|(bound, _)| *bound < ssrc);
        self.bound.insert(index, (ssrc, source));
        Some(source)
    }
}

fn has_pt(section: &Section, pt: Pt) -> bool {
    section.receiving && (section.codec(pt).is_some() || section.rtx_of(pt).is_some())
}

#[cfg(test)]
mod tests;
