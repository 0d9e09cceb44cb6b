//! What the user sent and the server has not confirmed: kept over cuts and restarts under one client id each, so that a
//! retry is no second message (I3), and sent one at a time a conversation, so that a refusal in the middle cannot turn
//! the order around (I4).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convene_proto::im::{self, Code};
use convene_types::{ClientId, ConvId, Seq};
use rustc_hash::FxHashSet;

use super::{Change, Conversation, Output, Replica, Request};
use crate::model::Refusal;

/// Most things that wait to be sent. Somebody offline for long writes no more than that.
pub const MAX_UNSENT: usize = 1000;
/// The least to wait after a refusal that says no time.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Something of one's own on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The same on every retry.
    pub client_id: ClientId,
    /// Where it goes.
    pub conv: ConvId,
    /// What it says.
    pub body: im::Body,
    /// How far it is.
    pub progress: Progress,
}

/// How far something is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits.
    Queued,
    /// Sent, not answered.
    Flying,
    /// Durable, as this event. It leaves the list when the event itself is there.
    Acked(Seq),
    /// It will not be sent, for this reason. It stays until [`Replica::discard`] or [`Replica::retry`].
    Refused(Code),
}

#[derive(Debug, Default)]
pub(super) struct Sends {
    all: VecDeque<Outgoing>,
    paused_until: Option<Instant>,
}

impl Sends {
    pub(super) fn restore(all: Vec<Outgoing>) -> Self {
        let mut sends = Self { all: all.into(), paused_until: None };
        sends.cut();
        sends
    }

    /// No answer will come: what was flying goes out again.
    pub(super) fn cut(&mut self) {
        self.paused_until = None;
        for outgoing in self.all.iter_mut().filter(|outgoing| outgoing.progress == Progress::Flying) {
            outgoing.progress = Progress::Queued;
        }
    }

    /// The next one to send.
    pub(super) fn next(&mut self) -> Option<im::Send> {
        if self.paused_until.is_some() {
            return None;
        }
        let mut busy = FxHashSet::default();
        for outgoing in &mut self.all {
            match outgoing.progress {
                Progress::Acked(_) | Progress::Refused(_) => {}
                Progress::Queued if !busy.contains(&outgoing.conv) => {
                    outgoing.progress = Progress::Flying;
                    return Some(outgoing.to_send());
                }
                Progress::Queued | Progress::Flying => {
                    busy.insert(outgoing.conv);
                }
            }
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    pub(super) fn wake(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }

    /// Takes out what is in the log as the conversation has it, or lies in a part that was left out.
    pub(super) fn arrived(&mut self, conversation: &Conversation) -> Vec<ClientId> {
        let mut gone = Vec::new();
        self.all.retain(|outgoing| {
            let there = outgoing.conv == conversation.id()
                && matches!(outgoing.progress, Progress::Acked(seq) if seq <= conversation.cursor());
            if there {
                gone.push(outgoing.client_id);
            }
            !there
        });
        gone
    }

    fn find(&mut self, client_id: ClientId) -> Option<&mut Outgoing> {
        self.all.iter_mut().find(|outgoing| outgoing.client_id == client_id)
    }
}

impl Outgoing {
    fn to_send(&self) -> im::Send {
        im::Send { conv: self.conv.0, client_id: self.client_id.0.to_vec().into(), body: Some(self.body.clone()) }
    }
}

impl Replica {
    /// Sends something as soon as it can be sent. The id is the caller's: 16 random bytes, or a UUIDv7.
    pub fn send(&mut self, client_id: ClientId, conv: ConvId, body: im::Body) -> Result<(), Refusal> {
        crate::rules::check(&body)?;
        if self.sends.all.len() >= MAX_UNSENT {
            return Err(Refusal::new(Code::Flood, "too much is waiting to be sent"));
        }
        if self.sends.find(client_id).is_some() {
            return Err(Refusal::new(Code::Conflict, "this client_id is on its way already"));
        }
        self.sends.all.push_back(Outgoing { client_id, conv, body, progress: Progress::Queued });
        self.out.push_back(Output::Change(Change::Outgoing(client_id)));
        Ok(())
    }

    /// It is durable. The event itself comes with the log, as the server has normalised it.
    pub fn handle_ack(&mut self, ack: &im::Ack, now: Instant) {
        let Some(client_id) = ClientId::from_wire(&ack.client_id) else { return };
        let Some(outgoing) = self.sends.find(client_id) else { return };
        outgoing.progress = Progress::Acked(Seq(ack.seq));
        let conv = outgoing.conv;
        self.out.push_back(Output::Change(Change::Outgoing(client_id)));
        self.conversation_mut(conv).acked(Seq(ack.seq), ack.ord, now);
        self.settle(conv, now);
    }

    /// A request was refused. What can be repeated is repeated after a while, all in order.
    pub fn handle_refused(&mut self, request: &Request, error: &im::Error, now: Instant) {
        let wait = Duration::from_millis(u64::from(error.retry_after_ms)).max(MIN_PAUSE);
        let again = matches!(error.code(), Code::Flood | Code::Unavailable | Code::TooEarly | Code::Internal);
        match request {
            Request::Send(send) => {
                let Some(outgoing) = ClientId::from_wire(&send.client_id).and_then(|id| self.sends.find(id)) else {
                    return;
                };
                let client_id = outgoing.client_id;
                outgoing.progress = if again { Progress::Queued } else { Progress::Refused(error.code()) };
                if again {
                    self.sends.paused_until = Some(now + wait);
                }
                self.out.push_back(Output::Change(Change::Outgoing(client_id)));
            }
            Request::Fetch(fetch) => {
                if let Some(conversation) = self.conversations.get_mut(&ConvId(fetch.conv)) {
                    conversation.refused(again.then_some(wait), now);
                }
            }
            Request::Sync(_) if error.code() == Code::BeyondHead => {
                self.syncing = false;
                self.start_over();
            }
            Request::Sync(_) => self.pause_sync(wait, now),
        }
    }

    /// Gives something up that was refused, or that waits. `false`: it is not there, or may be in the log already.
    pub fn discard(&mut self, client_id: ClientId) -> bool {
        let before = self.sends.all.len();
        self.sends.all.retain(|outgoing| {
            outgoing.client_id != client_id || !matches!(outgoing.progress, Progress::Queued | Progress::Refused(_))
        });
        let gone = self.sends.all.len() < before;
        if gone {
            self.out.push_back(Output::Change(Change::Outgoing(client_id)));
        }
        gone
    }

    /// Sends something again that was refused, behind all that waits.
    pub fn retry(&mut self, client_id: ClientId) {
        let refused = |outgoing: &Outgoing| matches!(outgoing.progress, Progress::Refused(_));
        let at = self.sends.all.iter().position(|outgoing| outgoing.client_id == client_id && refused(outgoing));
        if let Some(outgoing) = at.and_then(|at| self.sends.all.remove(at)) {
            self.sends.all.push_back(Outgoing { progress: Progress::Queued, ..outgoing });
            self.out.push_back(Output::Change(Change::Outgoing(client_id)));
        }
    }

    /// Everything of one's own that is not in the log yet, in the order in which it was written.
    pub fn outgoing(&self) -> impl Iterator<Item = &Outgoing> {
        self.sends.all.iter()
    }
}
