//! The server: the real engine and reader, sessions with real outboxes, group commits. It can crash before a batch, after
//! it, and between any two of the answers that follow. What `im` and the store's shell do, without threads.

mod commits;
mod reads;

use std::collections::{BTreeMap, VecDeque};

use convene_im_core::gate::{self, Place as Where};
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Frame, frame::Body};
use convene_store::{Op, Outcome};
use convene_types::{ClientId, ConvId, OrgId, Seq, UserId};
use rand::{RngExt as _, rngs::StdRng};

use crate::fanout::Fanout;
use crate::net::{Millis, NodeId};
use crate::oracle::Oracle;
use crate::place::{Opened, Place};
use crate::plan::{Mutation, Plan};
use crate::report::{Check, Report, ensure};
use crate::session::{Part, Session};

pub(crate) use reads::miscount;

/// The organisation of everybody.
pub(crate) const ORG: OrgId = OrgId(1);
/// Simulated time begins here.
pub(crate) const EPOCH_MS: i64 = 1_700_000_000_000;

/// A change that waits for its batch.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) session: u64,
    pub(crate) rid: u64,
    pub(crate) op: Op,
}

/// An answer that is due after a commit, or a reply that was read.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a few dozen at a time")]
enum Due {
    Outcome(Pending, Box<Result<Outcome, Refusal>>),
    Replies(u64, u64, Vec<Body>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) opened: Option<Opened>,
    pub(crate) place: Place,
    pub(crate) sessions: BTreeMap<u64, Session>,
    queue: Vec<Pending>,
    commit_at: Option<Millis>,
    /// In commit order.
    done: VecDeque<Due>,
    done_at: Option<Millis>,
    /// What was read, and is not queued yet: pushes overtake it.
    reads: VecDeque<(Millis, Due)>,
    fanout: Fanout,
    fanout_at: Option<Millis>,
    /// It has crashed; it is up again then.
    pub(crate) down_until: Option<Millis>,
    /// So many batches fail.
    pub(crate) failing: u32,
    /// Of a hundred reads, so many are refused: the readers are busy.
    pub(crate) busy_readers: u8,
    pub(crate) crashes: u32,
    plan: Plan,
    mutation: Option<Mutation>,
    renamed: u64,
    pub(crate) report: Report,
}

/// What a step of the server needs.
pub(crate) struct Context<'a> {
    pub(crate) now: Millis,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) oracle: &'a mut Oracle,
}

/// Whether the readers are, this time. Runs in which they never are draw nothing for it.
fn is_busy(percent: u8, rng: &mut StdRng) -> bool {
    percent > 0 && rng.random_range(0..100) < percent
}

impl Server {
    pub(crate) fn new(plan: &Plan, mutation: Option<Mutation>) -> Check<Self> {
        let place = Place::new(plan.file)?;
        let no_floors = mutation == Some(Mutation::NoFloors);
        Ok(Self {
            opened: Some(place.open()?),
            place,
            sessions: BTreeMap::new(),
            queue: Vec::new(),
            commit_at: None,
            done: VecDeque::new(),
            done_at: None,
            reads: VecDeque::new(),
            fanout: Fanout::new(plan.push_members, no_floors),
            fanout_at: None,
            down_until: None,
            failing: 0,
            busy_readers: 0,
            crashes: plan.crashes,
            plan: plan.clone(),
            mutation,
            renamed: 0,
            report: Report::default(),
        })
    }

    fn opened(&mut self) -> &mut Opened {
        self.opened.as_mut().expect("taken out by a crash alone, and put back at once")
    }

    pub(crate) fn is_up(&self) -> bool {
        self.down_until.is_none()
    }

    /// Nothing is left to do.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = self.sessions.values().all(|session| session.write_at.is_none() || session.stalled);
        let quiet = self.queue.is_empty() && self.done.is_empty() && self.reads.is_empty();
        quiet && self.fanout.jobs.is_empty() && idle
    }

    pub(crate) fn next_at(&self) -> Option<Millis> {
        if self.down_until.is_some() {
            return self.down_until;
        }
        let writes = self.sessions.values().filter(|session| !session.stalled).filter_map(|session| session.write_at);
        let reads = self.reads.iter().map(|(at, _)| *at);
        [self.commit_at, self.done_at, self.fanout_at].into_iter().flatten().chain(writes).chain(reads).min()
    }

    /// A process dies here, perhaps.
    fn crashes_here(&mut self, ctx: &mut Context<'_>) -> Check<bool> {
        let dies = self.crashes > 0 && ctx.rng.random_range(0..1000) < self.crashes;
        if dies {
            self.crash(ctx)?;
        }
        Ok(dies)
    }

    /// Sessions and everything in memory are gone.
    pub(crate) fn crash(&mut self, ctx: &mut Context<'_>) -> Check {
        self.report.server_crashes += 1;
        self.sessions.clear();
        self.queue.clear();
        self.done.clear();
        self.reads.clear();
        self.fanout = self.fanout.restarted();
        (self.commit_at, self.done_at, self.fanout_at) = (None, None, None);
        self.down_until = Some(ctx.now + ctx.rng.random_range(20..1500));
        if let Some(opened) = self.opened.take() {
            self.opened = Some(self.place.reopen(opened)?);
        }
        Ok(())
    }

    /// Does what is due. Answers what goes onto the wire: to which session and device, on which stream.
    pub(crate) fn step(&mut self, ctx: &mut Context<'_>) -> Check<Vec<(u64, NodeId, Part)>> {
        let now = ctx.now;
        if let Some(until) = self.down_until {
            self.down_until = Some(until).filter(|until| *until > now);
            return Ok(Vec::new());
        }
        if self.commit_at.is_some_and(|at| at <= now) {
            self.commit(ctx)?;
        }
        if self.done_at.is_some_and(|at| at <= now) {
            self.tell(ctx)?;
        }
        while let Some(at) = self.reads.iter().position(|(at, _)| *at <= now) {
            if let Some((_, Due::Replies(session, rid, bodies))) = self.reads.remove(at) {
                bodies.into_iter().for_each(|body| self.reply(session, rid, body, now));
            }
        }
        if self.fanout_at.is_some_and(|at| at <= now) {
            self.fan_out(ctx)?;
        }
        self.write(ctx)
    }

    fn write(&mut self, ctx: &mut Context<'_>) -> Check<Vec<(u64, NodeId, Part)>> {
        let (now, bytes) = (ctx.now, self.plan.repair_bytes);
        let Some(opened) = self.opened.as_mut() else { return Ok(Vec::new()) };
        let mut parts = Vec::new();
        for (id, session) in &mut self.sessions {
            if !session.stalled && session.write_at.is_some_and(|at| at <= now) {
                let before = session.repairs();
                let busy = is_busy(self.busy_readers, ctx.rng);
                let written = session.write(now, (!busy).then_some(&mut opened.reader), bytes)?;
                self.report.repairs += session.repairs() - before;
                if session.confirmed {
                    parts.extend(written.into_iter().map(|part| (*id, session.node, part)));
                }
            }
        }
        let before = self.sessions.len();
        self.sessions.retain(|_, session| !session.over);
        self.report.too_slow += (before - self.sessions.len()) as u64;
        Ok(parts)
    }

    /// Takes a frame of a client. `false`: it knows no such session.
    pub(crate) fn frame(
        &mut self,
        (id, user, node): (u64, u64, NodeId),
        frame: Frame,
        ctx: &mut Context<'_>,
    ) -> Check<bool> {
        let (rid, Some(body)) = (frame.rid, frame.body) else { return Ok(true) };
        if let Body::Hello(hello) = body {
            if !self.sessions.contains_key(&id) {
                self.hello(id, user, node, ctx);
            }
            return hello.sync.map_or(Ok(()), |sync| self.read(id, rid, Body::Sync(sync), ctx)).map(|()| true);
        }
        let Some(session) = self.sessions.get(&id) else { return Ok(false) };
        if let Err(refusal) = gate::allowed(&body, Where::Control, !session.confirmed) {
            self.refuse(id, rid, &refusal, ctx.now);
            return Ok(true);
        }
        let user = UserId(user);
        let op = match body {
            Body::Send(send) => {
                let client_id = ClientId::from_wire(&send.client_id).unwrap_or_default();
                let (conv, body) = (ConvId(send.conv), send.body.unwrap_or_default());
                Op::Append { org: ORG, actor: user, client_id, conv, body }
            }
            Body::Create(create) => Op::Create {
                org: ORG,
                maker: user,
                client_id: ClientId::from_wire(&create.client_id).unwrap_or_default(),
                kind: create.kind(),
                title: create.title.clone(),
                members: create.members.iter().copied().map(UserId).collect(),
            },
            Body::Read(read) => Op::Read { user, conv: ConvId(read.conv), seq: Seq(read.seq) },
            Body::ChangeSettings(change) => Op::Settings { user, settings: change.settings.unwrap_or_default() },
            other => return self.read(id, rid, other, ctx).map(|()| true),
        };
        self.submit(Pending { session: id, rid, op }, ctx);
        Ok(true)
    }

    fn hello(&mut self, id: u64, user: u64, node: NodeId, ctx: &mut Context<'_>) {
        let slow = self.plan.slow_ms > 0 && ctx.rng.random_bool(0.4);
        let every_ms = if slow { ctx.rng.random_range(1..=self.plan.slow_ms) } else { ctx.rng.random_range(0..3) };
        // The older sessions of a device end.
        self.sessions.retain(|_, session| session.node != node);
        let mut session = Session::new(user, node, self.plan.limits, every_ms);
        if self.mutation == Some(Mutation::NoLimits) {
            session = session.without_limits();
        }
        self.sessions.insert(id, session);
        self.report.sessions += 1;
        self.reply(id, 0, Body::Welcome(im::Welcome::default()), ctx.now);
    }

    fn reply(&mut self, id: u64, rid: u64, body: Body, now: Millis) {
        self.sessions.get_mut(&id).into_iter().for_each(|session| session.reply(rid, body.clone(), now));
    }

    fn refuse(&mut self, id: u64, rid: u64, refusal: &Refusal, now: Millis) {
        let (code, text) = (refusal.code.into(), refusal.text.clone().into_owned());
        let error = im::Error { code, text, retry_after_ms: refusal.retry_after_ms, ..im::Error::default() };
        self.reply(id, rid, Body::Error(error), now);
    }

    /// Somebody sends a recorded flight again. Nothing of the store may change by it, nor any session (I15).
    pub(crate) fn replay(&mut self, user: u64, node: NodeId, flight: &[Frame], ctx: &mut Context<'_>) -> Check {
        if !self.is_up() || !self.queue.is_empty() || !self.done.is_empty() {
            return Ok(());
        }
        self.report.replays += 1;
        let users = self.plan.devices.len() as u64;
        let before = self.digest(users)?;
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        let stranger = NodeId(usize::MAX);
        let id = u64::MAX;
        let node = if self.mutation == Some(Mutation::ReplayTakesOver) { node } else { stranger };
        let (crashes, failing) = (std::mem::take(&mut self.crashes), std::mem::take(&mut self.failing));
        self.hello(id, user, node, ctx);
        self.sessions.get_mut(&id).into_iter().for_each(|session| session.confirmed = false);
        for frame in flight {
            self.frame((id, user, node), frame.clone(), ctx)?;
        }
        if self.commit_at.is_some() {
            self.commit(ctx)?;
            self.tell(ctx)?;
        }
        (self.crashes, self.failing) = (crashes, failing);
        self.sessions.remove(&id);
        self.reads.retain(|(_, due)| !matches!(due, Due::Replies(session, ..) if *session == id));
        let after = self.digest(users)?;
        ensure!(before == after, I15, "a replayed flight has changed the store: {flight:?}");
        let left: Vec<_> = self.sessions.keys().copied().collect();
        ensure!(sessions == left, I15, "a replayed flight has ended a session of user {user}");
        Ok(())
    }
}
