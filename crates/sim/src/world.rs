//! Everything at once: the clock, the network, the server, the devices, and what goes wrong. One seed decides all of it.

use std::time::Instant;

use bytes::Bytes;
use convene_proto::frame;
use convene_proto::im::{self, Frame};
use convene_types::{ConvId, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::device::{Asked, Device, Link, instant};
use crate::net::{Millis, Net, NodeId, Weather};
use crate::oracle::Oracle;
use crate::plan::{Mutation, Plan};
use crate::report::{Check, Invariant, ensure};
use crate::server::{Context, EPOCH_MS, ORG, Server};

pub(crate) const SERVER: NodeId = NodeId(0);
/// No run takes so many steps unless something goes round in circles.
const MAX_STEPS: u64 = 400_000;
/// How long everything may take to come to rest when nothing goes wrong any more.
const REST_MS: Millis = 300_000;

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Up(u64, Box<Frame>),
    Down(u64, Bytes),
    /// The server knows no such session.
    Closed(u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) start: Instant,
    pub(crate) rng: StdRng,
    pub(crate) net: Net<Message>,
    pub(crate) server: Server,
    pub(crate) devices: Vec<Device>,
    pub(crate) oracle: Oracle,
    pub(crate) plan: Plan,
    pub(crate) step: u64,
    /// For ids and texts.
    pub(crate) ids: u64,
    /// Devices that are cut off, and until when.
    pub(crate) cuts: Vec<(Millis, usize)>,
    /// What a frozen device has not read.
    inbox: Vec<(usize, Message)>,
    device_crashes: u32,
    pub(crate) mutation: Option<Mutation>,
    trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>) -> Check<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut plan = Plan::of(&mut rng);
        plan.flood |= mutation == Some(Mutation::NoLimits);
        let mut server = Server::new(&plan, mutation)?;
        let mut oracle = Oracle::default();
        oracle.doubled = plan.weather.duplicates > 0;
        populate(&mut server, &mut oracle, plan.devices.len() as u64)?;
        let mut devices = Vec::new();
        for (user, count) in plan.devices.iter().enumerate() {
            for _ in 0..*count {
                let index = devices.len();
                let mut device = Device::new(index, NodeId(index + 1), user as u64 + 1, plan.sync.clone());
                device.db.keeps_erased = mutation == Some(Mutation::KeepsErased);
                devices.push(device);
            }
        }
        Ok(Self {
            now: 0,
            // Only differences of it are ever looked at.
            start: Instant::now(),
            net: Net::new(plan.weather),
            server,
            devices,
            oracle,
            step: 0,
            ids: 0,
            cuts: Vec::new(),
            inbox: Vec::new(),
            device_crashes: plan.crashes,
            mutation,
            trace: std::env::var_os("CONVENE_TEST_TRACE").is_some_and(|value| value == "1"),
            rng,
            plan,
        })
    }

    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>7} {}", self.now, what());
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, until: Millis) -> Check {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.turn()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn next_at(&self) -> Option<Millis> {
        let devices = self.devices.iter().filter_map(|device| device.next_at(self.start));
        let cuts = self.cuts.iter().map(|(until, _)| *until);
        [self.net.next_at(), self.server.next_at()].into_iter().flatten().chain(devices).chain(cuts).min()
    }

    fn turn(&mut self) -> Check {
        self.step += 1;
        ensure!(self.step < MAX_STEPS, I7, "it never comes to rest: {}", self.unrest());
        self.end_cuts();
        while let Some((_, to, message)) = self.net.arrived(self.now) {
            if to == SERVER {
                self.server_hears(message)?;
            } else {
                self.device_hears(to.0 - 1, message)?;
            }
        }
        let mut ctx = Context { now: self.now, rng: &mut self.rng, oracle: &mut self.oracle };
        for (session, node, part) in self.server.step(&mut ctx)? {
            let ordered = self.plan.weather.streams || is_sync(&part.frame);
            let stream = part.stream.filter(|_| ordered).map(|stream| session << 3 | stream);
            self.send(SERVER, node, stream, &Message::Down(session, part.frame));
        }
        let at = instant(self.start, self.now);
        for index in 0..self.devices.len() {
            if self.devices[index].next_at(self.start).is_some_and(|due| due <= self.now) {
                self.devices[index].tick(self.now, at, &mut self.oracle)?;
            }
            self.flush(index);
        }
        Ok(())
    }

    fn end_cuts(&mut self) {
        let now = self.now;
        for (_, index) in self.cuts.extract_if(.., |(until, _)| *until <= now) {
            self.net.set_cut(NodeId(index + 1), false);
            self.devices[index].cut(now + 1);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, stream: Option<u64>, message: &Message) {
        match stream {
            Some(stream) => self.net.send_in_order(self.now, (from, to), stream, message, &mut self.rng),
            None => self.net.send(self.now, from, to, message, &mut self.rng),
        }
    }

    /// Sends what a device has to say.
    pub(crate) fn flush(&mut self, index: usize) {
        let Link::Up(session) = self.devices[index].link else { return };
        let node = self.devices[index].node;
        for frame in std::mem::take(&mut self.devices[index].out) {
            self.trace(|| format!("device {index} says {frame:?}"));
            // Pages have streams of their own.
            let own = matches!(frame.body, Some(im::frame::Body::Fetch(_)));
            let stream = (self.plan.weather.streams && !own).then_some(session << 3);
            self.send(node, SERVER, stream, &Message::Up(session, Box::new(frame)));
        }
    }

    fn server_hears(&mut self, message: Message) -> Check {
        let Message::Up(session, frame) = message else { return Ok(()) };
        let index = usize::try_from(session >> 32).unwrap_or(0);
        let (user, node) = (self.devices[index].user, self.devices[index].node);
        // A session that the device has left may not come to life again by a message that was late.
        let stale = self.devices[index].link != Link::Up(session);
        if stale || !self.server.is_up() {
            return Ok(());
        }
        self.trace(|| format!("the server hears {} of device {index}", frame.rid));
        let mut ctx = Context { now: self.now, rng: &mut self.rng, oracle: &mut self.oracle };
        if !self.server.frame((session, user, node), *frame, &mut ctx)? {
            self.send(SERVER, node, Some(0), &Message::Closed(session));
        }
        Ok(())
    }

    fn device_hears(&mut self, index: usize, message: Message) -> Check {
        let device = &mut self.devices[index];
        if device.frozen {
            self.inbox.push((index, message));
            return Ok(());
        }
        let (session, bytes) = match message {
            Message::Down(session, bytes) => (session, bytes),
            Message::Closed(session) => {
                if device.link == Link::Up(session) {
                    device.cut(self.now + 20);
                }
                return Ok(());
            }
            Message::Up(..) => return Ok(()),
        };
        if device.link != Link::Up(session) {
            return Ok(());
        }
        if self.device_dies(index) {
            return Ok(());
        }
        let decoded = frame::decode(frame::without_prefix(bytes));
        ensure!(decoded.is_ok(), I2, "the server sends no frame: {decoded:?}");
        let Ok(mut frame) = decoded else { return Ok(()) };
        if self.mutation == Some(Mutation::DeafToUserLog) {
            without_user_log(&mut frame);
        }
        self.trace(|| format!("device {index} hears {frame:?}"));
        let at = instant(self.start, self.now);
        let goes_on = self.devices[index].frame(frame, at, &mut self.oracle)?;
        // Here nothing of it is written yet.
        if self.device_dies(index) {
            return Ok(());
        }
        if !goes_on {
            self.devices[index].cut(self.now + 50);
            return Ok(());
        }
        self.devices[index].torn = self.mutation == Some(Mutation::TornWrites) && self.rng.random_range(0..20) == 0;
        self.devices[index].settle(self.now, &mut self.oracle)?;
        // Here it is written, and nothing of what follows is sent.
        if self.devices[index].torn || !self.device_dies(index) {
            self.flush(index);
        }
        if self.devices[index].torn {
            self.devices[index].crash(self.now + 10);
        }
        Ok(())
    }

    fn device_dies(&mut self, index: usize) -> bool {
        let dies = self.device_crashes > 0 && self.rng.random_range(0..3000) < self.device_crashes;
        if dies {
            self.crash_device(index);
        }
        dies
    }

    pub(crate) fn crash_device(&mut self, index: usize) {
        self.trace(|| format!("device {index} dies"));
        self.server.report.device_crashes += 1;
        let again = self.now + self.rng.random_range(10..3000);
        self.devices[index].crash(again);
    }

    /// Nothing goes wrong any more: everybody is connected, with a session of its own.
    pub(crate) fn heal(&mut self) -> Check {
        self.trace(|| "all is well".to_owned());
        self.net.set_weather(Weather { loss: 0, duplicates: 0, delay_ms: (1, 5), streams: true });
        (self.plan.weather.streams, self.plan.slow_ms) = (true, 0);
        self.cuts.clear();
        (self.device_crashes, self.server.crashes, self.server.failing) = (0, 0, 0);
        let down = self.server.down_until.unwrap_or(self.now);
        for index in 0..self.devices.len() {
            self.net.set_cut(NodeId(index + 1), false);
            if !self.devices[index].frozen {
                self.devices[index].cut(down + 10);
            }
        }
        Ok(())
    }

    /// A frozen device goes on, with what has come for it.
    pub(crate) fn thaw(&mut self) -> Check {
        self.devices.iter_mut().for_each(|device| device.frozen = false);
        self.server.sessions.values_mut().for_each(|session| session.stalled = false);
        for (index, message) in std::mem::take(&mut self.inbox) {
            self.device_hears(index, message)?;
        }
        Ok(())
    }

    /// Waits until nothing is under way.
    pub(crate) fn rest(&mut self, invariant: Invariant) -> Check {
        let until = self.now + REST_MS;
        while !self.is_quiet() {
            let Some(at) = self.next_at().filter(|at| *at <= until) else {
                let detail = format!("it does not come to rest: {}", self.unrest());
                return Err(crate::report::Broken { invariant, detail });
            };
            self.now = self.now.max(at);
            self.turn()?;
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        let devices = self.devices.iter().all(|device| device.frozen || device.is_quiet());
        devices && self.server.is_quiet() && self.net.is_empty()
    }

    fn unrest(&self) -> String {
        let restless = self.devices.iter().filter(|device| !device.frozen && !device.is_quiet());
        let devices: Vec<_> = restless.map(|d| (d.index, d.link, d.db.outgoing.len(), d.next_at(self.start))).collect();
        format!("server {}, network {}, devices {devices:?}", self.server.is_quiet(), self.net.is_empty())
    }

    /// Every device fetches all there is to see.
    pub(crate) fn page_all(&mut self) -> Check {
        for _ in 0..MAX_STEPS {
            let mut any = false;
            for index in 0..self.devices.len() {
                any |= self.page(index)?;
            }
            if !any {
                return Ok(());
            }
            self.rest(Invariant::I7)?;
        }
        ensure!(false, I7, "the pages never end");
        Ok(())
    }

    fn page(&mut self, index: usize) -> Check<bool> {
        let at = instant(self.start, self.now);
        let device = &mut self.devices[index];
        let Some(replica) = device.replica.as_mut() else { return Ok(false) };
        let convs: Vec<ConvId> = replica.conversations().iter().map(|conversation| conversation.id()).collect();
        let mut any = false;
        for conv in convs {
            let Some(conversation) = replica.conversation(conv) else { continue };
            if conversation.cursor() < conversation.state().head {
                replica.show(conv, at);
                any = true;
            } else if !conversation.newest().at_start {
                any |= replica.load_older(conv, conversation.newest().to);
            }
        }
        device.settle(self.now, &mut self.oracle)?;
        self.flush(index);
        Ok(any)
    }

    /// Somebody replays what a device sent as early data, if all of it had its effect.
    pub(crate) fn replay(&mut self, index: usize) -> Check {
        let device = &self.devices[index];
        let (user, node, flight) = (device.user, device.node, device.flight.clone());
        let done = |frame: &Frame| match &frame.body {
            Some(im::frame::Body::Send(send)) => self.oracle.place(user, &send.client_id).is_some(),
            Some(im::frame::Body::Read(read)) => {
                self.oracle.reads.get(&(user, read.conv)).is_some_and(|at| *at >= read.seq)
            }
            _ => true,
        };
        if flight.is_empty() || !flight.iter().all(done) {
            return Ok(());
        }
        self.trace(|| format!("the flight of device {index} is replayed"));
        let mut ctx = Context { now: self.now, rng: &mut self.rng, oracle: &mut self.oracle };
        self.server.replay(user, node, &flight, &mut ctx)
    }

    pub(crate) fn asks(&mut self, index: usize, asked: Asked, body: im::frame::Body) {
        self.devices[index].ask(asked, body, self.now);
    }
}

/// See [`Mutation::DeafToUserLog`].
fn without_user_log(frame: &mut Frame) {
    match &mut frame.body {
        Some(im::frame::Body::SyncReply(reply)) => reply.user_events.clear(),
        Some(im::frame::Body::DeliverUser(_)) => frame.body = None,
        _ => {}
    }
}

/// A reply to a sync may be several frames, and they need their order.
fn is_sync(frame: &Bytes) -> bool {
    let decoded = frame::decode(frame::without_prefix(frame.clone()));
    matches!(decoded.map(|frame| frame.body), Ok(Some(im::frame::Body::SyncReply(_))))
}

/// Users, a group of all of them, and a direct conversation.
fn populate(server: &mut Server, oracle: &mut Oracle, users: u64) -> Check {
    use convene_store::Op;
    let user = |n: u64| Op::EnsureUser { org_name: "org".into(), name: format!("u{n}"), display_name: String::new() };
    let mut ops: Vec<_> = (1..=users).map(user).collect();
    for (n, kind) in [(1, im::ConversationKind::Group), (2, im::ConversationKind::Direct)] {
        let members = (2..=if n == 1 { users } else { 2 }).map(UserId).collect();
        let client_id = convene_types::ClientId([n; 16]);
        let title = if n == 1 { "all".to_owned() } else { String::new() };
        ops.push(Op::Create { org: ORG, maker: UserId(1), client_id, kind, title, members });
    }
    let Some(opened) = server.opened.as_mut() else { return Ok(()) };
    for outcome in opened.engine.apply(ops, EPOCH_MS)? {
        oracle.committed(&outcome?)?;
    }
    Ok(())
}
