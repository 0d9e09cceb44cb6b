//! What users do, and what goes wrong meanwhile. Much of it is not allowed, or comes too late: that is the point.

use convene_proto::im::{self, Role, body::Kind, frame::Body};
use convene_store::Op;
use convene_types::{ClientId, ConvId, Seq, UserId};
use rand::RngExt as _;

use crate::device::{Asked, Link, instant};
use crate::net::NodeId;
use crate::report::Check;
use crate::server::{Context, ORG, Pending};
use crate::world::World;

/// Sends of a flood, and bytes of each.
const FLOOD: usize = 90;
const FLOOD_BYTES: usize = 2000;
/// A session of nobody: what the server does by itself.
const NOBODY: u64 = u64::MAX - 1;
/// Conversations that a run makes, beside the first two.
const MAX_CONVERSATIONS: usize = 8;

impl World {
    /// Everything that a seed has users do.
    pub(crate) fn work(&mut self) -> Check {
        for action in 0..self.plan.actions {
            let pause = self.rng.random_range(1..=self.plan.pause_ms);
            self.advance(self.now + pause)?;
            self.act()?;
            if self.rng.random_range(0..100) < self.plan.faults {
                self.fault()?;
            }
            if self.plan.flood && action == self.plan.actions / 2 {
                self.flood()?;
            }
        }
        self.advance(self.now + 1000)
    }

    /// One user does one thing on one device.
    fn act(&mut self) -> Check {
        let index = self.rng.random_range(0..self.devices.len());
        if self.devices[index].replica.is_none() || self.devices[index].frozen {
            return Ok(());
        }
        let Some(conv) = self.pick_conversation(index) else { return Ok(()) };
        match self.rng.random_range(0..100) {
            0..55 => self.say(index, conv, 1),
            // Two devices of a user, or of two, at once.
            55..60 => {
                self.say(index, conv, 3);
                let other = self.rng.random_range(0..self.devices.len());
                if !self.devices[other].frozen {
                    self.say(other, conv, 3);
                    self.done(other)?;
                }
            }
            60..74 => self.read(index, conv),
            74..80 => self.look(index, conv),
            80..86 => self.create(index),
            86..90 => self.settings(index, conv),
            90..93 => self.conflict(index),
            93..95 => self.forbidden(index, conv),
            _ => self.server_acts(conv),
        }
        self.done(index)
    }

    fn done(&mut self, index: usize) -> Check {
        // What a user has just done is lost with the process before it is written down.
        self.devices[index].settle(self.now, &mut self.oracle)?;
        self.flush(index);
        Ok(())
    }

    /// Mostly one that the device knows.
    fn pick_conversation(&mut self, index: usize) -> Option<u64> {
        let known = self.devices[index].replica.as_ref()?.conversations();
        let known: Vec<_> = known.iter().map(|conversation| conversation.id().0).collect();
        if known.is_empty() || self.rng.random_range(0..40) == 0 {
            return Some(self.rng.random_range(1..12));
        }
        Some(known[self.rng.random_range(0..known.len())])
    }

    fn id(&mut self) -> ClientId {
        self.ids += 1;
        ClientId((u128::from(self.ids) << 64 | 0x5157).to_be_bytes())
    }

    /// A text that is nowhere else.
    fn text(&mut self, bytes: usize) -> String {
        self.ids += 1;
        format!("tok-{:016x} {}", self.ids, "x".repeat(bytes))
    }

    fn say(&mut self, index: usize, conv: u64, times: usize) {
        for _ in 0..times {
            let client_id = self.id();
            let body = self.body(index, conv);
            self.trace(|| format!("device {index} will send {:?} to {conv}: {body:?}", client_id.0));
            self.devices[index].send(client_id, conv, body, &mut self.oracle);
        }
    }

    fn body(&mut self, index: usize, conv: u64) -> im::Body {
        let users = self.plan.devices.len() as u64;
        let me = self.devices[index].user;
        let user = self.rng.random_range(1..=users);
        let seq = self.target(index, conv);
        let mut body = im::Body::default();
        let long = if self.rng.random_range(0..10) == 0 { 700 } else { 3 };
        let kind = match self.rng.random_range(0..100) {
            0..45 => {
                (body.reply_to, body.mentions) = (if long > 3 { seq } else { 0 }, vec![user]);
                Kind::Text(im::Text { text: self.text(long) })
            }
            45..48 => Kind::Custom(im::Custom {
                r#type: "a.b".into(),
                silent: seq.is_multiple_of(2),
                ..im::Custom::default()
            }),
            48..59 => Kind::Edit(im::Edit { text: self.text(3) }),
            59..66 => Kind::Recall(im::Recall {}),
            66..73 => Kind::React(im::React { emoji: "+".into(), remove: long > 3 || user == 1 }),
            73..76 => Kind::Pin(im::Pin { remove: user == 1 }),
            76..83 => Kind::Members(im::MemberChange { add: vec![self.member(user)], ..im::MemberChange::default() }),
            83..88 => Kind::Members(im::MemberChange { remove: vec![user], ..im::MemberChange::default() }),
            88..90 => Kind::Members(im::MemberChange { remove: vec![me], ..im::MemberChange::default() }),
            90..94 => Kind::Members(im::MemberChange { role: vec![self.member(user)], ..im::MemberChange::default() }),
            94..98 => Kind::Group(self.group()),
            _ => {
                let until_ms = crate::server::EPOCH_MS + i64::try_from(self.now).unwrap_or(0) + 3000;
                Kind::Mute(im::MemberMute { users: vec![user], until_ms })
            }
        };
        if matches!(kind, Kind::Edit(_) | Kind::Recall(_) | Kind::React(_) | Kind::Pin(_)) {
            body.target = seq.max(1);
        }
        im::Body { kind: Some(kind), ..body }
    }

    fn member(&mut self, user: u64) -> im::Member {
        let role = [Role::Member, Role::Member, Role::Admin, Role::Owner][self.rng.random_range(0..4)];
        im::Member { user, role: role.into(), with_history: self.rng.random_bool(0.4), ..im::Member::default() }
    }

    fn group(&mut self) -> im::GroupChange {
        let mut change = im::GroupChange::default();
        match self.rng.random_range(0..20) {
            0..8 => change.title = Some(format!("title {}", self.ids)),
            8..14 => change.announcement = Some(format!("announcement {}", self.ids)),
            14..19 => change.muted = Some(self.rng.random_bool(0.3)),
            _ => change.dissolved = Some(true),
        }
        change
    }

    /// Something that the device knows of, or once in a while something that is not there.
    fn target(&mut self, index: usize, conv: u64) -> u64 {
        let replica = self.devices[index].replica.as_ref();
        let conversation = replica.and_then(|replica| replica.conversation(ConvId(conv)));
        let (floor, cursor) = conversation.map_or((0, 3), |c| (c.state().floor.0, c.cursor().0));
        // Mostly what was said last.
        let low = if self.rng.random_bool(0.7) { cursor.saturating_sub(6) } else { floor };
        let beyond = u64::from(self.rng.random_range(0..30) == 0);
        self.rng.random_range(low..=cursor.max(low) + beyond)
    }

    fn read(&mut self, index: usize, conv: u64) {
        let seq = self.target(index, conv);
        self.devices[index].read(conv, seq, self.now);
    }

    /// Somebody looks at a conversation, and scrolls.
    fn look(&mut self, index: usize, conv: u64) {
        let at = instant(self.start, self.now);
        let seq = Seq(self.target(index, conv));
        let fetching = self.devices[index].is_fetching(conv);
        let Some(replica) = self.devices[index].replica.as_mut() else { return };
        replica.show(ConvId(conv), at);
        if !fetching {
            replica.load_older(ConvId(conv), seq);
        }
    }

    fn create(&mut self, index: usize) {
        let users = self.plan.devices.len() as u64;
        if self.oracle.logs.len() >= MAX_CONVERSATIONS {
            return;
        }
        let direct = self.rng.random_bool(0.4);
        let count = if direct { 1 } else { self.rng.random_range(0..users) };
        let members = (0..count).map(|_| self.rng.random_range(1..=users)).collect();
        let kind = if direct { im::ConversationKind::Direct } else { im::ConversationKind::Group };
        let title = if direct { String::new() } else { format!("group {}", self.ids) };
        let client_id = self.id().0.to_vec();
        let create = im::Create { client_id: client_id.clone().into(), kind: kind.into(), title, members };
        self.devices[index].db.creates.push(create.clone());
        if self.devices[index].is_online() {
            self.asks(index, Asked::Create(client_id), Body::Create(create));
        }
    }

    fn settings(&mut self, index: usize, conv: u64) {
        if self.devices[index].is_online() {
            let mut settings = im::Settings { conv, ..im::Settings::default() };
            match self.rng.random_range(0..3) {
                0 => settings.pinned = Some(self.rng.random_bool(0.5)),
                1 => settings.muted_until_ms = Some(-1),
                _ => settings.draft = Some(format!("draft {}", self.ids)),
            }
            let change = im::ChangeSettings { settings: Some(settings) };
            self.asks(index, Asked::Settings, Body::ChangeSettings(change));
        }
    }

    /// Other content under an id that is in use.
    fn conflict(&mut self, index: usize) {
        let user = self.devices[index].user;
        let of_user = self.oracle.intents.iter().filter(|(_, intent)| intent.user == user);
        let stored: Vec<_> = of_user.filter_map(|(id, _)| Some((*id, self.oracle.place(user, &id.0)?))).collect();
        if stored.is_empty() || !self.devices[index].is_online() {
            return;
        }
        let (client_id, (conv, seq)) = stored[self.rng.random_range(0..stored.len())];
        let body = im::Body { kind: Some(Kind::Text(im::Text { text: self.text(1) })), ..im::Body::default() };
        let send = im::Send { conv, client_id: client_id.0.to_vec().into(), body: Some(body) };
        self.asks(index, Asked::Conflict(conv, seq), Body::Send(send));
    }

    /// What no user may send, whatever they are.
    fn forbidden(&mut self, index: usize, conv: u64) {
        if !self.devices[index].is_online() {
            return;
        }
        let client_id = self.id().0.to_vec();
        let ranges = vec![im::SeqRange { first: 1, last: 1 }];
        let (kind, conv) = match self.rng.random_range(0..3) {
            0 => (Kind::Erase(im::Erase { ranges, reason: im::EraseReason::Moderation.into() }), conv),
            1 => (Kind::Tombstone(im::Tombstone::default()), conv),
            _ => (Kind::Text(im::Text { text: self.text(1) }), 1 << 40),
        };
        let body = Some(im::Body { kind: Some(kind), ..im::Body::default() });
        let send = im::Send { conv, client_id: client_id.clone().into(), body };
        self.asks(index, Asked::Forbidden(client_id), Body::Send(send));
    }

    /// The server erases, sweeps, or writes a call down.
    fn server_acts(&mut self, conv: u64) {
        let head = self.oracle.logs.get(&conv).map_or(1, |log| log.head().max(1));
        let first = self.rng.random_range(1..=head);
        let last = self.rng.random_range(first..=head.min(first + 3));
        if self.rng.random_bool(0.3) {
            let oldest = self.oracle.logs.get(&conv).and_then(|log| log.entry(last));
            let before_ms = oldest.map_or(0, |entry| entry.event.at_ms + 1);
            return self.server_does(Op::Sweep { conv: ConvId(conv), before_ms });
        }
        let kind = if self.rng.random_bool(0.7) {
            let reason = if first % 2 == 0 { im::EraseReason::Retention } else { im::EraseReason::Account };
            Kind::Erase(im::Erase { ranges: vec![im::SeqRange { first, last }], reason: reason.into() })
        } else {
            Kind::Call(im::CallRecord { caller: 1, ..im::CallRecord::default() })
        };
        let body = im::Body { kind: Some(kind), ..im::Body::default() };
        let client_id = self.id();
        self.server_does(Op::Append { org: ORG, actor: UserId(0), client_id, conv: ConvId(conv), body });
    }

    fn server_does(&mut self, op: Op) {
        let mut ctx = Context { now: self.now, rng: &mut self.rng, oracle: &mut self.oracle };
        if self.server.is_up() {
            self.server.submit(Pending { session: NOBODY, rid: 0, op }, &mut ctx);
        }
    }

    fn fault(&mut self) -> Check {
        let index = self.rng.random_range(0..self.devices.len());
        if self.devices[index].frozen {
            return Ok(());
        }
        match self.rng.random_range(0..12) {
            0..2 => self.crash_device(index),
            2 => {
                self.trace(|| "the server dies".to_owned());
                let mut ctx = Context { now: self.now, rng: &mut self.rng, oracle: &mut self.oracle };
                self.server.crash(&mut ctx)?;
            }
            3..6 => {
                let until = self.now + self.rng.random_range(50..8000);
                self.trace(|| format!("device {index} is cut off until {until}"));
                self.net.set_cut(NodeId(index + 1), true);
                self.cuts.push((until, index));
            }
            6..8 => self.devices[index].cut(self.now + self.rng.random_range(1..2000)),
            8..10 => self.server.failing += self.rng.random_range(1..4),
            _ => self.replay(index)?,
        }
        Ok(())
    }

    /// One device reads nothing any more, and somebody writes much.
    fn flood(&mut self) -> Check {
        let index = self.rng.random_range(0..self.devices.len());
        let Link::Up(session) = self.devices[index].link else { return Ok(()) };
        let Some(session) = self.server.sessions.get_mut(&session) else { return Ok(()) };
        session.stalled = true;
        self.devices[index].frozen = true;
        self.trace(|| format!("device {index} is frozen"));
        let writer = (index + 1) % self.devices.len();
        for _ in 0..FLOOD {
            let (client_id, text) = (self.id(), self.text(FLOOD_BYTES));
            let body = im::Body { kind: Some(Kind::Text(im::Text { text })), ..im::Body::default() };
            self.devices[writer].send(client_id, 1, body, &mut self.oracle);
        }
        self.done(writer)
    }
}
