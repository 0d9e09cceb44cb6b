//! The server's half of a session: the real outbox, and what writes it out.

use bytes::Bytes;
use convene_im_core::outbox::{HintKey, Limits, Out, Outbox, Rest};
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::MAX_PAYLOAD_BYTES;
use convene_store::{Reader, StoreError};
use convene_types::{ConvId, Seq, Useq, UserId};

use crate::net::{Millis, NodeId};
use crate::report::{Check, ensure};

/// Frames of one write.
const MAX_PARTS: usize = 16;
/// What a hint takes, at most.
const HINT_BYTES: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: u64,
    pub(crate) node: NodeId,
    /// `None`: a replayed flight of early data; nobody hears what it is told.
    pub(crate) confirmed: bool,
    outbox: Outbox,
    limits: Limits,
    /// Replies that were queued since the outbox was last empty.
    replies: usize,
    largest: usize,
    /// Time between two writes.
    pub(crate) every_ms: Millis,
    /// When the next one is.
    pub(crate) write_at: Option<Millis>,
    /// The client takes nothing.
    pub(crate) stalled: bool,
    pub(crate) over: bool,
}

/// What goes onto the wire.
#[derive(Debug)]
pub(crate) struct Part {
    /// `None`: a datagram.
    pub(crate) stream: Option<u64>,
    pub(crate) frame: Bytes,
}

impl Session {
    pub(crate) fn new(user: u64, node: NodeId, limits: Limits, every_ms: Millis) -> Self {
        Self {
            user,
            node,
            confirmed: true,
            outbox: Outbox::new(limits),
            limits,
            replies: 0,
            largest: 0,
            every_ms,
            write_at: None,
            stalled: false,
            over: false,
        }
    }

    /// A mistake made on purpose: the outbox takes whatever comes, and is checked as if it did not.
    pub(crate) fn without_limits(mut self) -> Self {
        self.outbox = Outbox::new(Limits { event_bytes: usize::MAX, frames: usize::MAX, ..self.limits });
        self
    }

    pub(crate) fn reply(&mut self, rid: u64, body: Body, now: Millis) {
        let frame = frame::encode(&frame::of(rid, body));
        self.replies += frame.len();
        self.over |= !self.outbox.push_control(frame);
        self.wake(now);
    }

    pub(crate) fn event(&mut self, conv: ConvId, from: Seq, to: Seq, frame: &Bytes, now: Millis) -> Check {
        self.largest = self.largest.max(frame.len());
        self.outbox.push_event(conv, from, to, frame);
        self.wake(now);
        self.check()
    }

    pub(crate) fn user_event(&mut self, useq: Useq, frame: &Bytes, now: Millis) -> Check {
        self.largest = self.largest.max(frame.len());
        self.outbox.push_user(Useq(useq.0 - 1), useq, frame);
        self.wake(now);
        self.check()
    }

    pub(crate) fn head(&mut self, conv: ConvId, frame: Bytes, now: Millis) -> Check {
        self.outbox.push_hint(HintKey::Head(conv), frame);
        self.wake(now);
        self.check()
    }

    /// I17: however long a client takes nothing, what waits for it is bounded.
    fn check(&self) -> Check {
        let Limits { event_bytes, user_bytes, hints, .. } = self.limits;
        let most = self.replies + event_bytes + user_bytes + hints * HINT_BYTES + 2 * self.largest;
        let held = self.outbox.queued_bytes();
        ensure!(held <= most, I17, "{held} bytes wait for a device of user {}, at most {most}", self.user);
        Ok(())
    }

    pub(crate) fn wake(&mut self, now: Millis) {
        let at = now + self.every_ms;
        self.write_at = Some(self.write_at.map_or(at, |before| before.min(at)));
    }

    pub(crate) fn repairs(&self) -> u64 {
        self.outbox.stats().repairs
    }

    /// The next write. `None`: the readers are busy.
    pub(crate) fn write(
        &mut self,
        now: Millis,
        mut reader: Option<&mut Reader>,
        repair_bytes: usize,
    ) -> Check<Vec<Part>> {
        self.write_at = None;
        let mut parts = Vec::new();
        for _ in 0..MAX_PARTS {
            match self.outbox.pop() {
                Some(Out::Control(frame) | Out::Bulk(frame)) => parts.push(Part { stream: Some(0), frame }),
                Some(Out::Event { conv, frame }) => parts.push(feed(conv, frame)),
                Some(Out::Hint(frame)) => parts.push(Part { stream: None, frame }),
                Some(Out::RepairConv { conv, after }) => match &mut reader {
                    Some(reader) => parts.extend(self.repair(reader, conv, after, repair_bytes)?),
                    None => self.outbox.repaired(conv, after, Rest::Unknown),
                },
                Some(Out::RepairUser { after }) => match &mut reader {
                    Some(reader) => parts.extend(self.repair_user(reader, after, repair_bytes)?),
                    None => self.outbox.user_repaired(after),
                },
                Some(Out::TooSlow) => self.over = true,
                None => {
                    self.replies = 0;
                    break;
                }
            }
        }
        if self.over {
            let goodbye = im::Goodbye { code: Code::TooSlow.into(), ..im::Goodbye::default() };
            let frame = frame::encode(&frame::of(0, Body::Goodbye(goodbye)));
            parts.push(Part { stream: Some(0), frame });
        } else if !self.outbox.is_idle() {
            self.wake(now);
        }
        Ok(parts)
    }

    fn repair(
        &mut self,
        reader: &mut Reader,
        conv: ConvId,
        after: Seq,
        bytes: usize,
    ) -> Result<Option<Part>, StoreError> {
        let Ok((to, events)) = reader.events_after(UserId(self.user), conv, after, bytes)? else {
            // The user may see nothing of it.
            self.outbox.repaired(conv, after, Rest::Nothing);
            return Ok(None);
        };
        let rest = if events.is_empty() { Rest::Nothing } else { Rest::Unknown };
        self.outbox.repaired(conv, to, rest);
        let from = to.0 - events.len() as u64;
        Ok((!events.is_empty()).then(|| feed(conv, frame::deliver(conv.0, from, to.0, &events))))
    }

    fn repair_user(&mut self, reader: &mut Reader, after: Useq, bytes: usize) -> Check<Option<Part>> {
        let (to, events) = reader.user_events_after(UserId(self.user), after, bytes.min(MAX_PAYLOAD_BYTES))??;
        self.outbox.user_repaired(to);
        let deliver = Body::DeliverUser(im::DeliverUser { from: after.0, to: to.0, events });
        Ok((to > after).then(|| Part { stream: Some(0), frame: frame::encode(&frame::of(0, deliver)) }))
    }
}

fn feed(conv: ConvId, frame: Bytes) -> Part {
    Part { stream: Some(1 + conv.0 % 4), frame }
}
