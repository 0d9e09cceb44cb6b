//! A client's copy under anything that a server may say, in any order and however wrong: no panic, nothing is shown past
//! a hole or that no frame brought, and what was written to the database brings the same copy back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_im_core::replica::{Change, Output, Replica, Request, Row, Saved};
use convene_proto::frame;
use convene_proto::im::{self, Code, Frame, body::Kind, frame::Body, hint, user_event};
use convene_types::{ClientId, ConvId, Seq, UserId};

const ME: u64 = 1;

pub(crate) fn run(input: &[u8]) {
    let mut client = Client::new();
    let mut bytes = input.iter().copied();
    while let Some(what) = bytes.next() {
        client.now += Duration::from_millis(u64::from(what >> 4) * 50);
        client.step(what & 15, &mut bytes);
        client.settle();
        client.check();
    }
    client.restart();
}

struct Client {
    replica: Replica,
    now: Instant,
    rows: BTreeMap<ConvId, Row>,
    events: BTreeMap<(ConvId, Seq), im::Event>,
    outgoing: Vec<convene_im_core::replica::Outgoing>,
    position: (convene_types::Useq, convene_types::Bump),
    /// What any frame has brought.
    brought: BTreeSet<(u64, u64)>,
    asked: Vec<Request>,
    sent: u8,
}

impl Client {
    fn new() -> Self {
        let mut replica = Replica::new(UserId(ME));
        let _ = replica.handle_connected();
        Self {
            replica,
            now: Instant::now(),
            rows: BTreeMap::new(),
            events: BTreeMap::new(),
            outgoing: Vec::new(),
            position: Default::default(),
            brought: BTreeSet::new(),
            asked: Vec::new(),
            sent: 0,
        }
    }

    fn step(&mut self, what: u8, bytes: &mut impl Iterator<Item = u8>) {
        let mut next = || u64::from(bytes.next().unwrap_or(0));
        let conv = ConvId(1 + (next() & 1));
        match what {
            0 => {
                let length = next() as usize;
                let raw: Vec<u8> = bytes.take(length).collect();
                if let Ok(frame) = frame::decode(Bytes::from(raw)) {
                    self.hear(frame);
                }
            }
            1..=3 => {
                let from = next() % 40;
                let events = log(conv, from, next() % 5, &mut next);
                let to = from + events.len() as u64;
                self.hear(of(Body::Deliver(im::Deliver { conv: conv.0, from, to, events })));
            }
            4 | 5 => {
                let from = next() % 40;
                let events = log(conv, from, next() % 5, &mut next);
                let to = from + events.len() as u64;
                let (head, floor) = (to + next() % 3, next() % 8);
                let page = im::FetchReply { conv: conv.0, from, to, events, head, head_ord: head, floor };
                self.hear(of(Body::FetchReply(page)));
            }
            6 | 7 => {
                let reply = sync(conv, &mut next);
                self.hear(of(Body::SyncReply(reply)));
            }
            8 => {
                let (from, count) = (next() % 8, next() % 3);
                let events = (from..from + count).map(|before| personal(conv, before + 1, &mut next)).collect();
                self.hear(of(Body::DeliverUser(im::DeliverUser { from, to: from + count, events })));
            }
            9 => {
                let head = im::Head { conv: conv.0, seq: next() % 50, ord: next() % 50, swept: next() % 50 };
                self.hear(of(Body::Hint(im::Hint { kind: Some(hint::Kind::Head(head)) })));
            }
            10 => self.replica.handle_timeout(self.now),
            11 => {
                self.sent = self.sent.wrapping_add(1);
                let body = body(next(), next());
                let _ = self.replica.send(ClientId([self.sent; 16]), conv, body);
            }
            12 => {
                let (client_id, seq) = ([next() as u8; 16], next() % 50);
                let ack =
                    im::Ack { client_id: client_id.to_vec().into(), conv: conv.0, seq, ord: seq, ..im::Ack::default() };
                self.hear(of(Body::Ack(ack)));
            }
            13 => {
                let code = [Code::Flood, Code::NotAMember, Code::BeyondHead][next() as usize % 3];
                let error = im::Error { code: code.into(), ..im::Error::default() };
                let at = next() as usize;
                if !self.asked.is_empty() {
                    let request = self.asked.swap_remove(at % self.asked.len());
                    self.replica.handle_refused(&request, &error, self.now);
                }
            }
            14 => match next() % 3 {
                0 => drop(self.replica.mark_read(conv, Seq(next() % 50))),
                1 => self.replica.show(conv, self.now),
                _ => drop(self.replica.load_older(conv, Seq(next() % 50))),
            },
            _ => match next() % 3 {
                0 => self.replica.handle_disconnected(),
                1 => drop(self.replica.handle_connected()),
                _ => self.restart(),
            },
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "what a copy takes")]
    fn hear(&mut self, frame: Frame) {
        let now = self.now;
        let mut bring = |events: &[im::Event]| self.brought.extend(events.iter().map(|event| (event.conv, event.seq)));
        match frame.body {
            Some(Body::Deliver(deliver)) => {
                bring(&deliver.events);
                self.replica.handle_deliver(deliver, now);
            }
            Some(Body::DeliverUser(deliver)) => self.replica.handle_deliver_user(deliver, now),
            Some(Body::FetchReply(reply)) => {
                bring(&reply.events);
                self.replica.handle_fetch_reply(reply, now);
            }
            Some(Body::SyncReply(reply)) => {
                reply.conversations.iter().for_each(|delta| bring(&delta.events));
                self.replica.handle_sync_reply(reply, now);
            }
            Some(Body::Ack(ack)) => self.replica.handle_ack(&ack, now),
            Some(Body::Hint(im::Hint { kind: Some(hint::Kind::Head(head)) })) => self.replica.handle_head(&head),
            _ => {}
        }
    }

    /// What a shell does with the outputs.
    fn settle(&mut self) {
        while let Some(output) = self.replica.poll() {
            let change = match output {
                Output::Request(request) => {
                    self.asked.push(request);
                    continue;
                }
                Output::Change(change) => change,
            };
            match change {
                Change::Event(conv, seq) => {
                    if let Some(event) = self.replica.conversation(conv).and_then(|shown| shown.event(seq)) {
                        self.events.insert((conv, seq), event.clone());
                    }
                }
                Change::Hidden(conv, up_to) => self.events.retain(|(c, seq), _| *c != conv || *seq > up_to),
                Change::Forgotten(conv) => {
                    self.events.retain(|(c, _), _| *c != conv);
                    self.rows.remove(&conv);
                }
                Change::Conversation(conv) => {
                    self.rows.extend(self.replica.conversation(conv).map(|shown| (conv, shown.row())));
                }
                Change::Position => self.position = self.replica.position(),
                Change::Outgoing(_) => self.outgoing = self.replica.outgoing().cloned().collect(),
                Change::Profile => {}
            }
        }
    }

    fn check(&self) {
        let _ = (self.replica.poll_timeout(), self.replica.unread(0));
        for shown in self.replica.conversations() {
            let window = shown.newest();
            let mut at = window.from;
            for event in window.events() {
                assert_eq!(event.seq, at.next().0, "shown behind {at}");
                assert!(
                    self.brought.contains(&(event.conv, event.seq)),
                    "{}/{} came from nowhere",
                    event.conv,
                    event.seq
                );
                at = at.next();
                let _ = shown.folded(at);
            }
            assert_eq!(at, window.to, "the window has a hole at its end");
            let _ = (shown.pinned(), shown.mentions(), shown.unread());
        }
    }

    /// The process dies, and goes on from its database.
    fn restart(&mut self) {
        let saved = Saved {
            useq: self.position.0,
            bump: self.position.1,
            rows: self.rows.values().cloned().collect(),
            events: self.events.values().cloned().collect(),
            outgoing: self.outgoing.clone(),
        };
        let restored = Replica::restore(UserId(ME), saved);
        let copy = |replica: &Replica| {
            let shown = |conv: &convene_im_core::replica::Conversation| {
                (conv.row(), conv.newest().events().cloned().collect::<Vec<_>>())
            };
            replica.conversations().into_iter().map(|conv| (conv.id(), shown(conv))).collect::<BTreeMap<_, _>>()
        };
        // Of the bytes, since a NaN does not equal itself.
        assert_eq!(format!("{:?}", copy(&self.replica)), format!("{:?}", copy(&restored)), "another copy came back");
        self.replica = restored;
        self.asked.clear();
    }
}

fn of(body: Body) -> Frame {
    frame::of(0, body)
}

/// `count` events behind `from`, as a log has them: the ordinal is what it would be if all counted.
fn log(conv: ConvId, from: u64, count: u64, next: &mut impl FnMut() -> u64) -> Vec<im::Event> {
    let event = |seq| {
        let what = next();
        let (sender, body) = (1 + (what >> 4) % 3, Some(body(what, next())));
        im::Event { conv: conv.0, seq, ord: seq, sender, at_ms: 5, body, ..im::Event::default() }
    };
    (from + 1..=from + count).map(event).collect()
}

fn body(what: u64, target: u64) -> im::Body {
    let member = || im::Member { user: ME, role: im::Role::Admin.into(), with_history: true, ..im::Member::default() };
    let kind = match what & 15 {
        0..=5 => Kind::Text(im::Text { text: "text".to_owned() }),
        6 => Kind::Edit(im::Edit { text: "edit".to_owned() }),
        7 => Kind::Recall(im::Recall {}),
        8 => Kind::React(im::React { emoji: "+".to_owned(), remove: what & 16 != 0 }),
        9 => Kind::Pin(im::Pin { remove: what & 16 != 0 }),
        10 => Kind::Members(im::MemberChange { add: vec![member()], ..im::MemberChange::default() }),
        11 => Kind::Members(im::MemberChange { remove: vec![ME], ..im::MemberChange::default() }),
        12 => Kind::Erase(im::Erase {
            ranges: vec![im::SeqRange { first: target % 40, last: target % 50 }],
            reason: im::EraseReason::Retention.into(),
        }),
        13 => Kind::Tombstone(im::Tombstone { kind: 1, reason: im::EraseReason::Recalled.into() }),
        14 => Kind::Group(im::GroupChange { title: Some("title".to_owned()), ..im::GroupChange::default() }),
        _ => return im::Body::default(),
    };
    let points = matches!(what & 15, 6..=9);
    im::Body { kind: Some(kind), target: if points { target % 40 } else { 0 }, ..im::Body::default() }
}

fn sync(conv: ConvId, next: &mut impl FnMut() -> u64) -> im::SyncReply {
    let from = next() % 40;
    let events = log(conv, from, next() % 5, next);
    let to = from + events.len() as u64;
    let (head, floor, read_seq) = (to + next() % 4, next() % 12, next() % 40);
    let delta = im::ConversationDelta {
        conv: conv.0,
        kind: im::ConversationKind::Group.into(),
        from,
        to,
        events,
        head,
        head_ord: head,
        floor,
        floor_ord: floor,
        read_seq,
        read_ord: read_seq,
        role: i32::from(next() & 1 == 0),
        swept: next() % 12,
        ..im::ConversationDelta::default()
    };
    let useq_to = next() % 8;
    let more = next() & 1 == 1;
    im::SyncReply { conversations: vec![delta], useq_to, bump: useq_to, more, ..im::SyncReply::default() }
}

fn personal(conv: ConvId, useq: u64, next: &mut impl FnMut() -> u64) -> im::UserEvent {
    let (conv, seq) = (conv.0, next() % 40);
    let kind = match next() % 4 {
        0 => user_event::Kind::Read(im::ReadCursor { conv, seq, ord: seq }),
        1 => user_event::Kind::Settings(im::Settings { conv, pinned: Some(true), ..im::Settings::default() }),
        2 => user_event::Kind::Joined(im::Joined { conv, floor: seq }),
        _ => user_event::Kind::Left(im::Left { conv, seq }),
    };
    im::UserEvent { useq, kind: Some(kind), ..Default::default() }
}
