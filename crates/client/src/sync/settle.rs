//! From the replica's outputs to the database, and only then to the owner and the server.

use convene_im_core::replica::{Change, Output as Out, Request};
use convene_proto::frame;
use convene_proto::im::{self, Frame, frame::Body};
use convene_types::{ClientId, ConvId};
use prost::Message as _;

use super::requests::Asked;
use super::{Engine, Now, Output, outgoing};
use crate::db::meta::Key;
use crate::db::outbox::{Outgoing, State};
use crate::error::Error;
use crate::shell::Work;
use crate::update::Update;

impl Engine {
    /// Writes what the replica changed, with a row of the outbox that is new, in one transaction. Then notes what to tell.
    pub(super) fn settle(&mut self, new: Option<&Outgoing>) -> Result<(), Error> {
        let mut changes = Vec::new();
        while let Some(output) = self.replica.as_mut().and_then(|replica| replica.poll()) {
            match output {
                Out::Change(change) => changes.push(change),
                Out::Request(request) => self.held.push_back(request),
            }
        }
        if changes.is_empty() && new.is_none() {
            return Ok(());
        }
        self.db.atomically(|db| {
            new.map_or(Ok(()), |row| db.queue(row))?;
            changes.iter().try_for_each(|change| self.write(*change))
        })?;
        changes.iter().for_each(|change| self.tell_from(*change));
        // Events first: a conversation's row tells where the log stands after all of them.
        let (events, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change, Change::Event(..)));
        for change in events.into_iter().chain(others) {
            self.note(change);
        }
        Ok(())
    }

    fn write(&self, change: Change) -> Result<(), Error> {
        let Some(replica) = &self.replica else { return Ok(()) };
        let conversation = |conv: ConvId| replica.conversation(conv);
        match change {
            Change::Event(conv, seq) => match conversation(conv).and_then(|conversation| conversation.event(seq)) {
                Some(event) => self.db.put_event(event),
                None => Ok(()), // hidden by a later change of the same step
            },
            Change::Hidden(conv, seq) => self.db.forget_events(conv.0, seq.0),
            Change::Forgotten(conv) => self.db.forget_conversation(conv.0),
            Change::Conversation(conv) => match conversation(conv) {
                Some(conversation) => self.db.put_conversation(&conversation.row()),
                None => Ok(()), // no sync has told of it
            },
            Change::Position => {
                let (useq, bump) = replica.position();
                self.db.set_position(useq, bump)
            }
            Change::Outgoing(client_id) => self.write_outgoing(client_id),
            Change::Profile => self.db.set_value(Key::Me, &replica.profile().encode_to_vec()),
        }
    }

    fn write_outgoing(&self, client_id: ClientId) -> Result<(), Error> {
        let replica = self.replica.as_ref();
        let outgoing = replica.and_then(|replica| replica.outgoing().find(|row| row.client_id == client_id));
        match (outgoing, self.db.outgoing(client_id)?) {
            (Some(outgoing), Some(row)) => self.db.update_outgoing(&outgoing::from_replica(row, outgoing)),
            // Its file is uploaded once more, and then it is the replica's again.
            (None, Some(row)) if row.state == State::Uploading => Ok(()),
            (None, _) => self.db.remove_outgoing(client_id),
            (Some(_), None) => Ok(()),
        }
    }

    /// Where telling goes on in a conversation that was forgotten, from the first word of it since. A client that was far
    /// behind starts over on the same log, of which nothing is told again. A log that ends below what was told is another, as
    /// of a server that was restored from a backup: which of its events are new is unknown.
    fn tell_from(&mut self, change: Change) {
        let conv = match change {
            Change::Forgotten(conv) => {
                self.forgotten.insert(conv.0);
                return;
            }
            Change::Event(conv, _) | Change::Conversation(conv) => conv,
            Change::Hidden(..) | Change::Position | Change::Outgoing(_) | Change::Profile => return,
        };
        let conversation = self.replica.as_ref().and_then(|replica| replica.conversation(conv));
        let Some(head) = conversation.map(|conversation| conversation.state().head.0) else { return };
        if self.forgotten.remove(&conv.0) && self.told.get(&conv.0).is_some_and(|told| head < *told) {
            self.told.remove(&conv.0);
        }
    }

    fn note(&mut self, change: Change) {
        let Some(replica) = &self.replica else { return };
        match change {
            Change::Event(conv, seq) => {
                let event = replica.conversation(conv).and_then(|conversation| conversation.event(seq)).cloned();
                let told = self.told.entry(conv.0).or_default();
                match event {
                    Some(event) if seq.0 > *told => {
                        *told = seq.0;
                        self.tell(Update::Event { event });
                    }
                    Some(_) | None => {}
                }
            }
            Change::Conversation(conv) => {
                // A part that was left out is history by the time it is fetched.
                let cursor = replica.conversation(conv).map_or(0, |conversation| conversation.cursor().0);
                let told = self.told.entry(conv.0).or_default();
                *told = cursor.max(*told);
                self.tell(Update::ConversationChanged { conv: conv.0 });
            }
            Change::Forgotten(conv) => self.tell(Update::ConversationChanged { conv: conv.0 }),
            Change::Profile => self.me = Some(replica.profile().clone()),
            Change::Hidden(..) | Change::Position | Change::Outgoing(_) => {}
        }
    }

    /// Hands the replica's requests to the connection, and then the read cursors.
    pub(super) fn release(&mut self, now: Now) {
        while self.welcomed && self.requests.has_room() {
            let Some(request) = self.held.pop_front() else {
                let Some((conv, seq)) = self.reads.pop(now.instant) else { return };
                let frame = self.read_frame(conv, seq, now);
                self.out.push_back(Output::Control(frame));
                continue;
            };
            let output = match request {
                Request::Fetch(fetch) => Output::Work(Work::Fetch(fetch)),
                Request::Send(send) => Output::Control(self.send_frame(send, now)),
                Request::Sync(sync) => {
                    let rid = self.requests.open(Asked::Sync, now.instant);
                    Output::Control(frame::of(rid, Body::Sync(sync)))
                }
            };
            self.out.push_back(output);
        }
    }

    pub(super) fn send_frame(&mut self, send: im::Send, now: Now) -> Frame {
        let client_id = ClientId::from_wire(&send.client_id).unwrap_or_default();
        let rid = self.requests.open(Asked::Send(client_id, send.conv), now.instant);
        frame::of(rid, Body::Send(send))
    }

    pub(super) fn read_frame(&mut self, conv: u64, seq: u64, now: Now) -> Frame {
        let rid = self.requests.open(Asked::Read(conv, seq), now.instant);
        frame::of(rid, Body::Read(im::Read { conv, seq }))
    }
}
