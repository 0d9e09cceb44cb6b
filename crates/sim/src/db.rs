//! A device's database, as the client keeps it: rows that a replica's changes are written to, one transaction a frame.

use std::collections::BTreeMap;

use convene_im_core::replica::{Change, Outgoing, Replica, Row, Saved};
use convene_proto::im;
use convene_types::{Bump, ConvId, Seq, Useq};

/// What survives a crash of the device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Db {
    position: (Useq, Bump),
    rows: BTreeMap<u64, Row>,
    pub(crate) events: BTreeMap<(u64, u64), im::Event>,
    pub(crate) outgoing: Vec<Outgoing>,
    /// Read cursors that the server has not confirmed.
    pub(crate) reads: BTreeMap<u64, u64>,
    /// Conversations that the server has not confirmed.
    pub(crate) creates: Vec<im::Create>,
    /// A mistake, see [`crate::Mutation::KeepsErased`].
    pub(crate) keeps_erased: bool,
}

impl Db {
    /// One transaction. `torn` loses the events of it: a mistake, see [`crate::Mutation::TornWrites`].
    pub(crate) fn commit(&mut self, replica: &Replica, changes: &[Change], torn: bool) {
        for change in changes {
            match *change {
                Change::Event(_, _) if torn => {}
                Change::Event(conv, seq) if self.keeps_erased && self.events.contains_key(&(conv.0, seq.0)) => {}
                Change::Event(conv, seq) => self.put_event(replica, conv, seq),
                Change::Hidden(conv, up_to) => self.events.retain(|(c, seq), _| *c != conv.0 || *seq > up_to.0),
                Change::Forgotten(conv) => {
                    self.events.retain(|(c, _), _| *c != conv.0);
                    self.rows.remove(&conv.0);
                }
                Change::Conversation(conv) => {
                    if let Some(conversation) = replica.conversation(conv) {
                        self.rows.insert(conv.0, conversation.row());
                    }
                }
                Change::Position => self.position = replica.position(),
                Change::Outgoing(client_id) => {
                    let fresh = replica.outgoing().find(|outgoing| outgoing.client_id == client_id);
                    let kept = self.outgoing.iter().position(|outgoing| outgoing.client_id == client_id);
                    match (fresh, kept) {
                        (Some(fresh), Some(at)) => self.outgoing[at] = fresh.clone(),
                        (Some(fresh), None) => self.outgoing.push(fresh.clone()),
                        (None, Some(at)) => drop(self.outgoing.remove(at)),
                        (None, None) => {}
                    }
                }
                Change::Profile => {}
            }
        }
    }

    fn put_event(&mut self, replica: &Replica, conv: ConvId, seq: Seq) {
        let event = replica.conversation(conv).and_then(|conversation| conversation.event(seq));
        match event {
            Some(event) => drop(self.events.insert((conv.0, seq.0), event.clone())),
            None => drop(self.events.remove(&(conv.0, seq.0))),
        }
    }

    /// What a replica is restored from.
    pub(crate) fn load(&self) -> Saved {
        Saved {
            useq: self.position.0,
            bump: self.position.1,
            rows: self.rows.values().cloned().collect(),
            events: self.events.values().cloned().collect(),
            outgoing: self.outgoing.clone(),
        }
    }
}
