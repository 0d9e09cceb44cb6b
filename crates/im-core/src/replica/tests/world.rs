//! A server in a few lines, on the real rules, and devices behind a network that loses, repeats and reorders.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use convene_proto::im::{self, Code, ConversationKind, Role, user_event};
use convene_types::{ClientId, ConvId, Ordinal, Seq, Useq, UserId};

use crate::model::{Conv, Member, Policy, Refusal, Target};
use crate::replica::{Change, Output, Replica, Request, Saved};
use crate::rules::{self, Actor, Context, MemberEffect};
use crate::sync::{Head, Plan};

/// What a server sends.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Deliver(im::Deliver),
    User(im::DeliverUser),
    Page(im::FetchReply),
    Sync(im::SyncReply),
    Ack(im::Ack),
    Refused(Box<(Request, im::Error)>),
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) conv: Conv,
    pub(super) members: BTreeMap<UserId, Member>,
    pub(super) events: Vec<im::Event>,
    bump: u64,
    left: BTreeMap<UserId, u64>,
    /// Retention has come to here.
    swept: Seq,
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) user: UserId,
    pub(super) replica: Replica,
    pub(super) online: bool,
    /// A push was lost: streams do that only when they break.
    pub(super) lost: bool,
    pub(super) inbox: Vec<Packet>,
    /// What the client's database holds, written change by change.
    pub(super) saved: HashMap<ConvId, BTreeMap<Seq, im::Event>>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) logs: BTreeMap<ConvId, Log>,
    pub(super) user_logs: BTreeMap<UserId, Vec<im::UserEvent>>,
    pub(super) devices: Vec<Device>,
    dedup: BTreeMap<(UserId, Vec<u8>), (Vec<u8>, im::Ack)>,
    bump: u64,
    pub(super) now: Instant,
    pub(super) now_ms: i64,
    ids: u128,
    /// Every ack that any device got: user, client id, seq.
    pub(super) acks: Vec<(UserId, Vec<u8>, u64)>,
}

impl World {
    /// Users 1.. with devices each.
    pub(super) fn new(users: u64, devices: usize) -> Self {
        let mut world = Self {
            logs: BTreeMap::new(),
            user_logs: BTreeMap::new(),
            devices: Vec::new(),
            dedup: BTreeMap::new(),
            bump: 0,
            now: Instant::now(),
            now_ms: 1_700_000_000_000,
            ids: 0,
            acks: Vec::new(),
        };
        for user in 1..=users {
            for _ in 0..devices {
                world.devices.push(Device {
                    user: UserId(user),
                    replica: Replica::new(UserId(user)),
                    online: false,
                    lost: false,
                    inbox: Vec::new(),
                    saved: HashMap::new(),
                });
            }
        }
        world
    }

    pub(super) fn id(&mut self) -> ClientId {
        self.ids += 1;
        ClientId(self.ids.to_be_bytes())
    }

    pub(super) fn create(&mut self, maker: u64, others: &[u64]) -> ConvId {
        let id = ConvId(self.logs.len() as u64 + 1);
        let conv = Conv { id, kind: ConversationKind::Group, ..Conv::default() };
        self.logs.insert(id, Log { conv, ..Log::default() });
        let others: Vec<_> = others.iter().copied().map(UserId).collect();
        let body = rules::founding(UserId(maker), ConversationKind::Group, &others);
        let add = |user, role| MemberEffect::Add { user, role, with_history: true };
        let mut effects = vec![add(UserId(maker), Role::Owner)];
        effects.extend(others.iter().map(|user| add(*user, Role::Member)));
        let decision = rules::Decision {
            countable: false,
            body,
            effects: rules::Effects { members: effects, ..rules::Effects::default() },
        };
        let client_id = self.id();
        self.write(UserId(maker), client_id.0.to_vec(), id, decision);
        id
    }

    /// As the store does it.
    pub(super) fn append(&mut self, actor: UserId, send: &im::Send) -> Result<im::Ack, Refusal> {
        let body = send.body.clone().unwrap_or_default();
        let needs = rules::check(&body)?;
        let hash = rules::payload_hash_input(&body);
        if let Some((known, ack)) = self.dedup.get(&(actor, send.client_id.to_vec())) {
            assert_eq!(known, &hash);
            return Ok(im::Ack { duplicate: true, ..ack.clone() });
        }
        let id = ConvId(send.conv);
        let unknown = || Refusal::new(Code::UnknownConversation, "");
        let log = self.logs.get(&id).ok_or_else(unknown)?;
        let member = log.members.get(&actor);
        let target = needs.target.and_then(|seq| log.events.get(seq.0 as usize - 1)).map(|event| Target {
            seq: Seq(event.seq),
            sender: UserId(event.sender),
            at_ms: event.at_ms,
            kind: rules::kind_number(event.body.as_ref().unwrap()),
        });
        let users: Vec<_> = needs.users.iter().map(|user| (*user, log.members.get(user).cloned())).collect();
        let actor_is = if actor == UserId(0) { Actor::Server } else { Actor::User(member.ok_or_else(unknown)?) };
        let context = Context {
            conv: &log.conv,
            actor: actor_is,
            target: target.as_ref(),
            users: &users,
            now_ms: self.now_ms,
            policy: &Policy::default(),
        };
        let decision = rules::decide(&context, body)?;
        let ack = self.write(actor, send.client_id.to_vec(), id, decision);
        self.dedup.insert((actor, send.client_id.to_vec()), (hash, ack.clone()));
        Ok(ack)
    }

    /// Retention takes what was said up to the time of the event at `last`.
    pub(super) fn sweep(&mut self, id: ConvId, last: u64) {
        let log = &self.logs[&id];
        let Some(before_ms) = log.events.get(last as usize).map(|event| event.at_ms + 1) else { return };
        let mut sweep = rules::Sweep::new(log.swept, before_ms);
        while let Some(event) = log.events.get(sweep.wanted().0 as usize - 1) {
            let of_it = |body: &im::Body| body.target == event.seq && rules::kind_number(body) == rules::EDIT;
            let edits = log.events.iter().filter(|later| later.body.as_ref().is_some_and(of_it));
            let edits: Vec<_> = edits.map(|later| Seq(later.seq)).collect();
            if sweep.take(event, &edits) != rules::Taken::In {
                break;
            }
        }
        let swept = sweep.finish();
        if swept.erase.is_some() {
            let client_id = self.id().0.to_vec().into();
            self.append(UserId(0), &im::Send { conv: id.0, client_id, body: swept.erase }).unwrap();
        }
        self.logs.get_mut(&id).unwrap().swept = swept.to;
    }

    fn write(&mut self, actor: UserId, client_id: Vec<u8>, id: ConvId, decision: rules::Decision) -> im::Ack {
        self.bump += 1;
        let bump = self.bump;
        let log = self.logs.get_mut(&id).unwrap();
        let conv = &mut log.conv;
        conv.head = conv.head.next();
        conv.head_ord.0 += u64::from(decision.countable);
        let (seq, ord) = (conv.head, conv.head_ord);
        let event = im::Event {
            conv: id.0,
            seq: seq.0,
            ord: ord.0,
            sender: actor.0,
            client_id: client_id.clone().into(),
            at_ms: self.now_ms,
            body: Some(decision.body),
        };
        log.events.push(event.clone());
        log.bump = bump;
        let mut see: Vec<_> = log.members.values().filter(|m| m.role.is_some()).map(|m| m.user).collect();
        let mut pushes = Vec::new();
        for effect in decision.effects.members {
            log.apply(effect, seq, &mut see, &mut pushes, bump);
        }
        let conv = &mut log.conv;
        conv.members = log.members.values().filter(|m| m.role.is_some()).count() as u32;
        conv.owners = log.members.values().filter(|m| m.role == Some(Role::Owner)).count() as u32;
        conv.title = decision.effects.title.unwrap_or(std::mem::take(&mut conv.title));
        if let Some(erasure) = decision.effects.erase {
            for event in &mut log.events {
                let body = event.body.as_mut().unwrap();
                if event.seq < seq.0 && erasure.covers(Seq(event.seq), body) {
                    *body = rules::tombstone(body, erasure.reason);
                }
            }
        }
        if let Some(member) = log.members.get_mut(&actor) {
            (member.read, member.read_ord) = (seq, ord);
        }
        let deliver = im::Deliver { conv: id.0, from: seq.0 - 1, to: seq.0, events: vec![event] };
        let receivers = self.devices.iter_mut().filter(|device| device.online && see.contains(&device.user));
        receivers.for_each(|device| device.inbox.push(Packet::Deliver(deliver.clone())));
        pushes.into_iter().for_each(|(user, kind)| self.push_user(user, kind));
        let client_id = client_id.into();
        im::Ack { client_id, conv: id.0, seq: seq.0, ord: ord.0, at_ms: self.now_ms, duplicate: false }
    }

    pub(super) fn push_user(&mut self, user: UserId, kind: user_event::Kind) {
        let log = self.user_logs.entry(user).or_default();
        let useq = log.len() as u64 + 1;
        let event = im::UserEvent { useq, at_ms: self.now_ms, kind: Some(kind) };
        log.push(event.clone());
        let push = im::DeliverUser { from: useq - 1, to: useq, events: vec![event] };
        for device in self.devices.iter_mut().filter(|device| device.online && device.user == user) {
            device.inbox.push(Packet::User(push.clone()));
        }
    }

    pub(super) fn read(&mut self, user: UserId, read: &im::Read) {
        let log = self.logs.get_mut(&ConvId(read.conv)).unwrap();
        let head = log.conv.head;
        let ord = log.ord(Seq(read.seq));
        let member = log.members.get_mut(&user).unwrap();
        if let Ok(Some(seq)) = rules::check_read(member, head, Seq(read.seq)) {
            (member.read, member.read_ord) = (seq, ord);
            self.push_user(user, user_event::Kind::Read(im::ReadCursor { conv: read.conv, seq: seq.0, ord: ord.0 }));
        }
    }

    fn fetch(&self, user: UserId, fetch: &im::Fetch) -> im::FetchReply {
        let log = &self.logs[&ConvId(fetch.conv)];
        let (floor, head) = log.bounds(user);
        let after = Seq(fetch.after).max(floor);
        let last = if fetch.before == 0 { head } else { head.min(Seq(fetch.before - 1)) }.max(after);
        let count = (last.0 - after.0).min(3); // small pages, so that there are many
        let (from, to) = if fetch.backward { (last.0 - count, last.0) } else { (after.0, after.0 + count) };
        im::FetchReply {
            conv: fetch.conv,
            from,
            to,
            events: log.slice(from, to),
            head: head.0,
            head_ord: log.ord(head).0,
            floor: floor.0,
        }
    }

    fn sync(&self, user: UserId, sync: &im::Sync) -> Vec<im::SyncReply> {
        let empty = Vec::new();
        let own = self.user_logs.get(&user).unwrap_or(&empty);
        let mut frames = vec![im::SyncReply {
            useq_from: sync.useq,
            useq_to: own.len() as u64,
            user_events: own[sync.useq as usize..].to_vec(),
            ..im::SyncReply::default()
        }];
        let changed = |log: &&Log| log.members.contains_key(&user) && log.changed(user) > sync.bump;
        let mut logs: Vec<_> = self.logs.values().filter(changed).collect();
        logs.sort_by_key(|log| std::cmp::Reverse(log.bump));
        let cursor = |id: ConvId| sync.cursors.iter().find(|c| c.conv == id.0).map(|c| Seq(c.seq));
        let heads = logs.iter().map(|log| {
            let (floor, head) = log.bounds(user);
            Head { conv: log.conv.id, head, floor, cursor: cursor(log.conv.id) }
        });
        let heads: Vec<_> = heads.collect();
        let mut plan = Plan::new(&im::Sync { per_conv: 3, top: 2, budget: 1_000, ..sync.clone() }, &heads);
        while let Some(read) = plan.next_read() {
            // Each event takes 100 bytes here.
            let count = read.max_events.min(read.max_bytes / 100).min((read.to.0 - read.after.0) as usize) as u64;
            plan.filled(&read, Seq(read.to.0 - count), count as usize * 100);
        }
        for (log, part) in logs.iter().zip(plan.finish()) {
            let delta = im::ConversationDelta {
                from: part.from.0,
                to: part.to.0,
                events: log.slice(part.from.0, part.to.0),
                limited: part.limited,
                ..log.delta(user)
            };
            frames.push(im::SyncReply { conversations: vec![delta], ..im::SyncReply::default() });
        }
        let last = frames.len() - 1;
        frames.iter_mut().take(last).for_each(|frame| frame.more = true);
        frames[last].bump = self.bump;
        frames
    }

    pub(super) fn connect(&mut self, at: usize) {
        let sync = self.devices[at].replica.handle_connected();
        let reply = self.sync(self.devices[at].user, &sync);
        self.devices[at].online = true;
        self.devices[at].inbox.extend(reply.into_iter().map(Packet::Sync));
        self.pump(at);
    }

    pub(super) fn disconnect(&mut self, at: usize) {
        self.devices[at].online = false;
        self.devices[at].inbox.clear();
        self.devices[at].replica.handle_disconnected();
        self.pump(at);
    }

    /// The process is killed and started anew from its database.
    pub(super) fn restart(&mut self, at: usize) {
        self.disconnect(at);
        let device = &mut self.devices[at];
        let (useq, bump) = device.replica.position();
        let rows = device.replica.conversations().into_iter().map(|c| c.row()).collect();
        let events = device.saved.values().flat_map(|events| events.values().cloned()).collect();
        let outgoing = device.replica.outgoing().cloned().collect();
        device.replica = Replica::restore(device.user, Saved { useq, bump, rows, events, outgoing });
    }

    /// Does what the replica asks for.
    pub(super) fn pump(&mut self, at: usize) {
        while let Some(output) = self.devices[at].replica.poll() {
            match output {
                Output::Change(change) => self.devices[at].save(change),
                Output::Request(request) => {
                    assert!(self.devices[at].online, "a request while offline: {request:?}");
                    let packets = self.serve(self.devices[at].user, request);
                    self.devices[at].inbox.extend(packets);
                }
            }
        }
    }

    fn serve(&mut self, user: UserId, request: Request) -> Vec<Packet> {
        match &request {
            Request::Fetch(fetch) => vec![Packet::Page(self.fetch(user, fetch))],
            Request::Sync(sync) => self.sync(user, sync).into_iter().map(Packet::Sync).collect(),
            Request::Send(send) => match self.append(user, send) {
                Ok(ack) => vec![Packet::Ack(ack)],
                Err(refusal) => {
                    let error = im::Error { code: refusal.code.into(), ..im::Error::default() };
                    vec![Packet::Refused(Box::new((request, error)))]
                }
            },
        }
    }

    /// The device takes one packet of its inbox.
    pub(super) fn take(&mut self, at: usize, index: usize) {
        let inbox = &mut self.devices[at].inbox;
        // The frames of a sync come on one stream, and so in order.
        let is_sync = |packet: &Packet| matches!(packet, Packet::Sync(_));
        let first = inbox.iter().position(is_sync).filter(|_| is_sync(&inbox[index]));
        let packet = inbox.remove(first.unwrap_or(index));
        self.hand_over(at, packet);
    }

    pub(super) fn hand_over(&mut self, at: usize, packet: Packet) {
        let (now, device) = (self.now, &mut self.devices[at]);
        let replica = &mut device.replica;
        match packet {
            Packet::Deliver(deliver) => replica.handle_deliver(deliver, now),
            Packet::User(deliver) => replica.handle_deliver_user(deliver, now),
            Packet::Page(reply) => replica.handle_fetch_reply(reply, now),
            Packet::Sync(reply) => replica.handle_sync_reply(reply, now),
            Packet::Ack(ack) => {
                self.acks.push((device.user, ack.client_id.to_vec(), ack.seq));
                replica.handle_ack(&ack, now);
            }
            Packet::Refused(refused) => replica.handle_refused(&refused.0, &refused.1, now),
        }
        self.pump(at);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.now_ms += ms as i64;
        for at in 0..self.devices.len() {
            let due = self.devices[at].replica.poll_timeout().is_some_and(|due| due <= self.now);
            if due && self.devices[at].online {
                self.devices[at].replica.handle_timeout(self.now);
                self.pump(at);
            }
        }
    }

    /// From here on nothing is lost: everybody connects and takes all there is.
    pub(super) fn settle(&mut self) {
        for at in 0..self.devices.len() {
            if self.devices[at].lost {
                self.disconnect(at);
            }
            if !self.devices[at].online {
                self.connect(at);
            }
        }
        for _ in 0..200 {
            for at in 0..self.devices.len() {
                while !self.devices[at].inbox.is_empty() {
                    self.take(at, 0);
                }
            }
            self.wait(11_000);
            if self.devices.iter().all(|d| d.inbox.is_empty() && d.replica.poll_timeout().is_none()) {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

impl Log {
    fn apply(
        &mut self,
        effect: MemberEffect,
        seq: Seq,
        see: &mut Vec<UserId>,
        pushes: &mut Vec<(UserId, user_event::Kind)>,
        bump: u64,
    ) {
        let conv = self.conv.id.0;
        match effect {
            MemberEffect::Add { user, role, with_history } => {
                let floor = if with_history { Seq(0) } else { Seq(seq.0 - 1) };
                let floor_ord = self.ord(floor);
                // What was said before they came is not unread.
                let before = Seq(seq.0 - 1);
                let member = Member {
                    user,
                    role: Some(role),
                    floor,
                    floor_ord,
                    read: before,
                    read_ord: self.ord(before),
                    ..Member::default()
                };
                self.members.insert(user, member);
                see.push(user);
                pushes.push((user, user_event::Kind::Joined(im::Joined { conv, floor: floor.0 })));
            }
            MemberEffect::Remove { user } => {
                let member = self.members.get_mut(&user).unwrap();
                (member.role, member.ceiling) = (None, Some(seq));
                self.left.insert(user, bump);
                pushes.push((user, user_event::Kind::Left(im::Left { conv, seq: seq.0 })));
            }
            MemberEffect::Role { user, role } => self.members.get_mut(&user).unwrap().role = Some(role),
            MemberEffect::Mute { user, until_ms } => self.members.get_mut(&user).unwrap().muted_until_ms = until_ms,
        }
    }

    fn changed(&self, user: UserId) -> u64 {
        if self.members[&user].role.is_some() { self.bump } else { self.left[&user] }
    }

    /// What the user may see: (floor, head].
    pub(super) fn bounds(&self, user: UserId) -> (Seq, Seq) {
        let member = &self.members[&user];
        (member.floor, member.ceiling.map_or(self.conv.head, |ceiling| ceiling.min(self.conv.head)))
    }

    pub(super) fn ord(&self, seq: Seq) -> Ordinal {
        Ordinal(seq.0.checked_sub(1).map_or(0, |at| self.events[at as usize].ord))
    }

    pub(super) fn slice(&self, from: u64, to: u64) -> Vec<im::Event> {
        self.events[from as usize..to as usize].to_vec()
    }

    fn delta(&self, user: UserId) -> im::ConversationDelta {
        let member = &self.members[&user];
        let (floor, head) = self.bounds(user);
        let here = member.role.is_some();
        im::ConversationDelta {
            conv: self.conv.id.0,
            kind: self.conv.kind.into(),
            title: self.conv.title.clone(),
            head: head.0,
            head_ord: self.ord(head).0,
            floor: floor.0,
            floor_ord: member.floor_ord.0,
            read_seq: member.read.0,
            read_ord: member.read_ord.0,
            role: member.role.unwrap_or(Role::Unspecified).into(),
            member_count: if here { self.conv.members } else { 0 },
            swept: self.swept.min(head).0,
            ..im::ConversationDelta::default()
        }
    }
}

impl Device {
    fn save(&mut self, change: Change) {
        match change {
            Change::Event(conv, seq) => {
                if let Some(event) = self.replica.conversation(conv).and_then(|c| c.event(seq)) {
                    self.saved.entry(conv).or_default().insert(seq, event.clone());
                }
            }
            Change::Hidden(conv, floor) => {
                self.saved.entry(conv).or_default().retain(|seq, _| *seq > floor);
            }
            Change::Forgotten(conv) => {
                self.saved.remove(&conv);
            }
            // Read from the replica when it is saved.
            Change::Conversation(_) | Change::Position | Change::Outgoing(_) | Change::Profile => {}
        }
    }
}

/// Silences what a test does not need by name.
pub(super) fn useq(device: &Device) -> Useq {
    device.replica.position().0
}
