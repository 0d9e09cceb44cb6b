//! Windows of all SSRCs of one direction.

use super::window::{Position, Window};

/// Below this place the search costs less than moving an entry forward.
const HOT: usize = 8;

/// A linear table: the SSRCs of one peer are few, lie side by side, and those in use move to the front.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// What was found last: its packets come in runs, and this is found without another cache line.
    last: Option<(u32, usize)>,
    /// SSRC and its place in `windows`, in search order.
    order: Vec<(u32, usize)>,
    windows: Vec<Window>,
    max: usize,
}

/// Why an index is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Seen,
    TooOld,
    TooManySsrcs,
    /// The 48-bit index is used up; the key with it.
    Exhausted,
}

/// A checked index. `slot` is `None` for an SSRC without state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    ssrc: u32,
    slot: Option<usize>,
    pub(super) index: u64,
}

impl Streams {
    /// A table that refuses SSRCs beyond `max`.
    pub(super) fn new(max: usize) -> Self {
        Self { last: None, order: Vec::new(), windows: Vec::new(), max }
    }

    /// The index of a packet with this `seq`, if it may be used. Changes nothing that matters: state is made by
    /// [`Streams::commit`], after the tag is good.
    pub(super) fn check_seq(&mut self, ssrc: u32, seq: u16) -> Result<Ticket, Refused> {
        let slot = self.find(ssrc);
        let index = match slot.and_then(|slot| self.windows.get(slot)) {
            Some(window) => window.guess(seq).ok_or(Refused::Exhausted)?,
            // RFC 3711 §3.3.1: a new stream starts with a rollover counter of zero.
            None => u64::from(seq),
        };
        self.check(ssrc, slot, index)
    }

    /// The same for a packet that carries its index.
    pub(super) fn check_index(&mut self, ssrc: u32, index: u64) -> Result<Ticket, Refused> {
        let slot = self.find(ssrc);
        self.check(ssrc, slot, index)
    }

    /// Whether a window was found before.
    pub(super) fn has_last(&self) -> bool {
        self.last.is_some()
    }

    /// Reads the window that was found last.
    pub(super) fn touch_last(&self) -> u64 {
        let window = self.last.and_then(|(_, slot)| self.windows.get(slot));
        window.map_or(0, |window| u64::from(window.last_seq()))
    }

    /// Marks the index as used.
    pub(super) fn commit(&mut self, ticket: Ticket) {
        match ticket.slot.and_then(|slot| self.windows.get_mut(slot)) {
            Some(window) => window.mark(ticket.index),
            None => {
                self.order.push((ticket.ssrc, self.windows.len()));
                self.windows.push(Window::new(ticket.index));
            }
        }
    }

    /// The highest sequence number used with this SSRC.
    pub(super) fn last_seq(&self, ssrc: u32) -> Option<u16> {
        let (_, slot) = self.order.iter().find(|(known, _)| *known == ssrc)?;
        self.windows.get(*slot).map(Window::last_seq)
    }

    /// Highest seq and cycle are not needed outside; whether state exists is.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    fn check(&self, ssrc: u32, slot: Option<usize>, index: u64) -> Result<Ticket, Refused> {
        match slot.and_then(|slot| self.windows.get(slot)) {
            Some(window) => match window.position(index) {
                Position::Fresh => Ok(Ticket { ssrc, slot, index }),
                Position::Seen => Err(Refused::Seen),
                Position::TooOld => Err(Refused::TooOld),
            },
            None if self.windows.len() >= self.max => Err(Refused::TooManySsrcs),
            None => Ok(Ticket { ssrc, slot: None, index }),
        }
    }

    fn find(&mut self, ssrc: u32) -> Option<usize> {
        if let Some((_, slot)) = self.last.filter(|(known, _)| *known == ssrc) {
            return Some(slot);
        }
        let mut at = self.order.iter().position(|(known, _)| *known == ssrc)?;
        if at >= HOT {
            self.order.swap(at, at / 2);
            at /= 2;
        }
        self.last = self.order.get(at).copied();
        self.last.map(|(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::{Refused, Streams};

    #[test]
    fn ssrcs_are_kept_apart_and_bounded() {
        let mut streams = Streams::new(100);
        for ssrc in 0..100 {
            let ticket = streams.check_seq(ssrc, 65_535).unwrap();
            streams.commit(ticket);
        }
        assert_eq!(streams.check_seq(100, 0).unwrap_err(), Refused::TooManySsrcs);
        for round in 0..3u16 {
            for ssrc in (0..100).rev() {
                assert_eq!(streams.check_seq(ssrc, 65_535).unwrap_err(), Refused::Seen);
                let ticket = streams.check_seq(ssrc, round).unwrap();
                assert_eq!(ticket.index, 0x1_0000 + u64::from(round), "ssrc {ssrc}");
                streams.commit(ticket);
            }
        }
        assert_eq!(streams.len(), 100);
    }

    #[test]
    fn a_check_alone_makes_no_state() {
        let mut streams = Streams::new(1);
        for ssrc in 0..1_000 {
            streams.check_seq(ssrc, 1).unwrap();
            streams.check_index(ssrc, 1).unwrap();
        }
        assert_eq!(streams.len(), 0);
    }
}
