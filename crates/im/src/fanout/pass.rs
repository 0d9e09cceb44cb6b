//! One frame on its way through the members of a conversation, a slice at a time.

use std::time::Instant;

use bytes::Bytes;
use convene_im_core::outbox::HintKey;
use convene_proto::frame;
use convene_types::{ConvId, Seq, UserId};

use super::Event;
use super::members::List;
use crate::hub::Hub;

/// Members that are looked at before they are written to and it is another conversation's turn. Few enough that what is
/// touched of their sessions, some 10 KiB each, is still in the processor's cache when it is written.
pub(super) const SLICE: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Pass {
    what: What,
    members: List,
    /// Told, though on the list no more: for who has just left, this is the last event.
    also: Vec<UserId>,
    at: usize,
    delivered: usize,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Members.
    pub(super) looked_at: usize,
    /// All were told.
    pub(super) done: bool,
}

#[derive(Debug)]
enum What {
    Events(Events),
    Hint { except: Option<UserId>, key: HintKey, frame: Bytes },
}

#[derive(Debug)]
struct Events {
    conv: ConvId,
    from: Seq,
    to: Seq,
    frame: Bytes,
    /// Each with its seq, for members whose floor lies among them.
    events: Vec<(Seq, Bytes)>,
    oldest: Instant,
}

impl Pass {
    /// Contiguous events of one conversation. `None` when there are none.
    pub(super) fn events(events: &[Event], members: List, also: Vec<UserId>) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let bytes: Vec<_> = events.iter().map(|event| event.bytes.clone()).collect();
        let from = Seq(first.seq.0.saturating_sub(1));
        let events = Events {
            conv: first.conv,
            from,
            to: last.seq,
            frame: frame::deliver(first.conv.0, from.0, last.seq.0, &bytes),
            events: events.iter().map(|event| (event.seq, event.bytes.clone())).collect(),
            oldest: first.committed,
        };
        Some(Self { what: What::Events(events), members, also, at: 0, delivered: 0 })
    }

    /// Something that may be lost.
    pub(super) fn hint(key: HintKey, frame: Bytes, except: Option<UserId>, members: List) -> Self {
        Self { what: What::Hint { except, key, frame }, members, also: Vec::new(), at: 0, delivered: 0 }
    }

    /// Goes through the next slice.
    pub(super) fn step(&mut self, hub: &Hub) -> Step {
        let end = self.at.saturating_add(SLICE).min(self.members.len());
        for (user, floor) in self.members.get(self.at..end).unwrap_or_default() {
            self.delivered += self.what.tell(hub, *user, *floor);
        }
        let looked_at = end - self.at;
        self.at = end;
        let done = end == self.members.len();
        if done {
            for user in std::mem::take(&mut self.also) {
                self.delivered += self.what.tell(hub, user, Seq(0));
            }
        }
        Step { looked_at, done }
    }

    /// Outboxes that got it, of events only.
    pub(super) fn delivered(&self) -> usize {
        match &self.what {
            What::Events(_) => self.delivered,
            What::Hint { .. } => 0,
        }
    }

    /// When the oldest of its events was committed.
    pub(super) fn oldest(&self) -> Option<Instant> {
        match &self.what {
            What::Events(events) => Some(events.oldest),
            What::Hint { .. } => None,
        }
    }
}

impl What {
    /// Answers how many sessions were told.
    fn tell(&self, hub: &Hub, user: UserId, floor: Seq) -> usize {
        let mut told = 0;
        match self {
            Self::Events(events) => {
                let Some((from, frame)) = events.above(floor) else { return 0 };
                hub.each(user, |session| {
                    session.deliver(events.conv, from, events.to, &frame);
                    told += 1;
                });
            }
            Self::Hint { except, key, frame } if *except != Some(user) => {
                hub.each(user, |session| session.hint(*key, frame.clone()));
            }
            Self::Hint { .. } => {}
        }
        told
    }
}

impl Events {
    /// What somebody with this floor may see of them (I13), and from where.
    fn above(&self, floor: Seq) -> Option<(Seq, Bytes)> {
        if floor >= self.to {
            return None;
        }
        if floor <= self.from {
            return Some((self.from, self.frame.clone()));
        }
        let visible = self.events.iter().filter(|(seq, _)| *seq > floor);
        let visible: Vec<_> = visible.map(|(_, bytes)| bytes.clone()).collect();
        Some((floor, frame::deliver(self.conv.0, floor.0, self.to.0, &visible)))
    }
}
