//! Requests without an answer, by request id.

use std::collections::HashMap;
use std::time::Instant;

use convene_proto::im::frame::Body;
use convene_types::ClientId;
use tokio::sync::oneshot;

use crate::error::Error;

/// Requests under way. A server answers in a round trip; a caller who asks for more at once is told so.
pub(super) const MAX_OPEN: usize = 128;

/// Where the answer of a caller's request goes.
pub(crate) type Answer = oneshot::Sender<Result<Body, Error>>;

/// What was asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// `Hello` with its `Sync`.
    Hello,
    Send(ClientId, u64),
    Read(u64, u64),
    Sync,
    /// Something a caller waits for.
    Caller(Answer),
}

/// The open ones of one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    open: HashMap<u64, (Asked, Instant)>,
}

impl Requests {
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < MAX_OPEN
    }

    /// Notes a request and gives it its id. Ids stay below 2^32: the upper half is that of bulk exchanges.
    pub(super) fn open(&mut self, asked: Asked, now: Instant) -> u64 {
        self.last = self.last.wrapping_add(1).max(1);
        let rid = u64::from(self.last);
        self.open.insert(rid, (asked, now));
        rid
    }

    /// What an answer was asked for, if there is more of it to come.
    pub(super) fn asked(&self, rid: u64) -> Option<&Asked> {
        self.open.get(&rid).map(|(asked, _)| asked)
    }

    /// A part of an answer came in. Answers come one behind the other, so all that waits has waited for this one.
    pub(super) fn progressed(&mut self, now: Instant) {
        self.open.values_mut().for_each(|(_, since)| *since = now);
    }

    pub(super) fn close(&mut self, rid: u64) -> Option<Asked> {
        self.open.remove(&rid).map(|(asked, _)| asked)
    }

    /// Since when the longest one waits, and no other answer came in parts.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.open.values().map(|(_, since)| *since).min()
    }

    /// The connection is gone: callers are told, all else is asked again over the next one.
    pub(super) fn lose(&mut self, reason: &str) {
        for (_, (asked, _)) in self.open.drain() {
            if let Asked::Caller(answer) = asked {
                let _ = answer.send(Err(Error::Lost(reason.to_owned()))); // the caller may have gone
            }
        }
    }
}
