//! The server: the real engine and reader, sessions with real outboxes, group commits. It can crash before a batch, after
//! it, and between any two of the answers that follow. What `im` and the store's shell do, without threads.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use convene_im_core::gate::{self, Place as Where};
use convene_im_core::model::Refusal;
use convene_proto::frame;
use convene_proto::im::{self, Code, Frame, frame::Body, hint};
use convene_store::{Appended, Op, Outcome, UserPush};
use convene_types::{ClientId, ConvId, OrgId, Seq, UserId};
use rand::{RngExt as _, rngs::StdRng};

use crate::fanout::Fanout;
use crate::net::{Millis, NodeId};
use crate::oracle::Oracle;
use crate::place::{Opened, Place};
use crate::plan::{Mutation, Plan};
use crate::report::{Check, Report, ensure};
use crate::session::{Part, Session};

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
                let written = session.write(now, &mut opened.reader, bytes)?;
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

    pub(crate) fn submit(&mut self, mut pending: Pending, ctx: &mut Context<'_>) {
        if let (Some(Mutation::NoDedupe), Op::Append { client_id, .. }) = (self.mutation, &mut pending.op) {
            self.renamed += 1;
            client_id.0[..8].copy_from_slice(&self.renamed.to_be_bytes());
        }
        if self.mutation == Some(Mutation::AckBeforeCommit)
            && let Op::Append { client_id, conv, .. } = &pending.op
        {
            let ack = im::Ack { client_id: wire(*client_id), conv: conv.0, seq: 1, ..im::Ack::default() };
            self.reply(pending.session, pending.rid, Body::Ack(ack), ctx.now);
        }
        self.queue.push(pending);
        let at = ctx.now + ctx.rng.random_range(0..8);
        self.commit_at.get_or_insert(at);
    }

    /// One batch, one transaction.
    fn commit(&mut self, ctx: &mut Context<'_>) -> Check {
        self.commit_at = None;
        if self.crashes_here(ctx)? {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.queue);
        let mut ops: Vec<_> = batch.iter().map(|pending| pending.op.clone()).collect();
        if self.mutation == Some(Mutation::LosesReads) {
            ops.iter_mut().for_each(lose_read);
        }
        let at_ms = EPOCH_MS + i64::try_from(ctx.now).unwrap_or(0);
        let fails = self.failing > 0;
        self.failing = self.failing.saturating_sub(1);
        // Half of the failures are a full disk in the midst of a transaction, which may yet find the room it needs.
        let full = fails && ctx.rng.random_bool(0.5);
        if full {
            self.opened().engine.set_max_pages(1)?;
        }
        let result = if fails && !full && self.mutation != Some(Mutation::RefusedButKept) {
            None
        } else {
            self.opened().engine.apply(ops, at_ms).ok()
        };
        if full {
            self.opened().engine.set_max_pages(0)?;
        }
        ensure!(result.is_some() || fails, Store, "a batch failed by itself");
        let kept = fails && self.mutation == Some(Mutation::RefusedButKept);
        let Some(outcomes) = result.filter(|_| !kept) else {
            self.report.failures += 1;
            self.check_untouched(ctx.oracle)?;
            let refusal = Refusal::later(Code::Unavailable, "made to fail", 50);
            batch
                .into_iter()
                .for_each(|pending| self.done.push_back(Due::Outcome(pending, Box::new(Err(refusal.clone())))));
            self.done_at.get_or_insert(ctx.now);
            return Ok(());
        };
        self.report.commits += 1;
        for (pending, outcome) in batch.into_iter().zip(outcomes) {
            learn(&pending.op, &outcome, ctx.oracle)?;
            self.done.push_back(Due::Outcome(pending, Box::new(outcome)));
        }
        self.done_at.get_or_insert(ctx.now);
        self.crashes_here(ctx).map(drop)
    }

    /// What a failed batch was to bring is not there (I16).
    fn check_untouched(&mut self, oracle: &Oracle) -> Check {
        for user in 1..=self.plan.devices.len() as u64 {
            let all = im::Sync { top: 1, per_conv: 1, ..im::Sync::default() };
            let replies = self.opened().reader.sync(UserId(user), &all)??;
            let deltas = replies.iter().flat_map(|reply| &reply.conversations);
            let mut seen: Vec<_> = deltas.map(|delta| (delta.conv, delta.head)).collect();
            seen.sort_unstable();
            let want = heads(oracle, user);
            ensure!(seen == want, I16, "a batch failed, and user {user} sees {seen:?} instead of {want:?}");
        }
        Ok(())
    }

    /// Answers in commit order: acknowledgements, and what others are told.
    fn tell(&mut self, ctx: &mut Context<'_>) -> Check {
        self.done_at = None;
        while let Some(due) = self.done.pop_front() {
            let Due::Outcome(pending, result) = due else { continue };
            let (session, rid) = (pending.session, pending.rid);
            match *result {
                Ok(outcome) => self.answer(&pending, outcome, ctx)?,
                Err(refusal) => self.refuse(session, rid, &refusal, ctx.now),
            }
            if self.crashes_here(ctx)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&mut self, pending: &Pending, outcome: Outcome, ctx: &mut Context<'_>) -> Check {
        let (session, rid, now) = (pending.session, pending.rid, ctx.now);
        let (reply, events, pushes) = match (outcome, &pending.op) {
            (Outcome::Appended(appended), Op::Append { client_id, .. }) => {
                let Appended { conv, seq, ord, at_ms, duplicate, .. } = appended;
                let (conv, seq, ord) = (conv.0, seq.0, ord.0);
                let ack = im::Ack { client_id: wire(*client_id), conv, seq, ord, at_ms, duplicate };
                (Body::Ack(ack), vec![appended], Vec::new())
            }
            (Outcome::Created { conv, duplicate, events }, Op::Create { client_id, .. }) => {
                let created = im::Created { client_id: wire(*client_id), conv: conv.0, duplicate };
                (Body::Created(created), events, Vec::new())
            }
            (Outcome::Swept { appended, .. }, _) => {
                (Body::Done(im::Done {}), appended.into_iter().collect(), Vec::new())
            }
            (Outcome::Read { push, .. }, _) => (Body::Done(im::Done {}), Vec::new(), push.into_iter().collect()),
            (Outcome::Settings { push }, _) => (Body::Done(im::Done {}), Vec::new(), vec![push]),
            (other, op) => {
                ensure!(false, Store, "{op:?} was answered by {other:?}");
                return Ok(());
            }
        };
        if !(self.mutation == Some(Mutation::AckBeforeCommit) && matches!(reply, Body::Ack(_))) {
            self.reply(session, rid, reply, now);
        }
        for push in pushes {
            self.push_user(&push, now)?;
        }
        for mut event in events.into_iter().filter(|event| !event.duplicate) {
            for push in std::mem::take(&mut event.pushes) {
                self.push_user(&push, now)?;
            }
            self.fanout.jobs.push_back(event);
            let at = now + ctx.rng.random_range(0..15);
            self.fanout_at.get_or_insert(at);
        }
        Ok(())
    }

    fn push_user(&mut self, push: &UserPush, now: Millis) -> Check {
        let (from, to, events) = (push.useq.0 - 1, push.useq.0, vec![push.event.clone()]);
        let frame = frame::encode(&frame::of(0, Body::DeliverUser(im::DeliverUser { from, to, events })));
        let theirs = self.sessions.values_mut().filter(|session| session.user == push.user.0);
        theirs.into_iter().try_for_each(|session| session.user_event(push.useq, &frame, now))
    }

    fn fan_out(&mut self, ctx: &mut Context<'_>) -> Check {
        self.fanout_at = None;
        if ctx.rng.random_range(0..10) == 0 {
            self.fanout.forget(ctx.rng.random_range(0..4));
        }
        let Some(opened) = self.opened.as_mut() else { return Ok(()) };
        if let Some(told) = self.fanout.next(&mut opened.reader)? {
            let head = im::Head { conv: told.conv.0, seq: told.to.0, ord: told.ord, swept: told.swept.0 };
            let hint = Body::Hint(im::Hint { kind: Some(hint::Kind::Head(head)) });
            let hint = frame::encode(&frame::of(0, hint));
            for (user, from, frame) in &told.receivers {
                for session in self.sessions.values_mut().filter(|session| session.user == user.0) {
                    if told.head_only {
                        session.head(told.conv, hint.clone(), ctx.now)?;
                    } else {
                        session.event(told.conv, *from, told.to, frame, ctx.now)?;
                    }
                }
            }
        }
        if !self.fanout.jobs.is_empty() {
            self.fanout_at = Some(ctx.now + ctx.rng.random_range(0..5));
        }
        self.crashes_here(ctx).map(drop)
    }

    /// Reads at once, and replies a little later.
    fn read(&mut self, id: u64, rid: u64, body: Body, ctx: &mut Context<'_>) -> Check {
        let Some(user) = self.sessions.get(&id).map(|session| UserId(session.user)) else { return Ok(()) };
        let mutation = self.mutation;
        let reader = &mut self.opened().reader;
        let result = match body {
            Body::Sync(sync) => {
                let heads: Vec<_> = heads(ctx.oracle, user.0);
                let stingy = im::Sync { top: 1, per_conv: 1, budget: 1, ..sync.clone() };
                let asked = if mutation == Some(Mutation::StingySync) { &stingy } else { &sync };
                let mut replies = reader.sync(user, asked)?;
                if let (Some(Mutation::Miscounts), Ok(replies)) = (mutation, &mut replies) {
                    miscount(replies);
                }
                if let Ok(replies) = &replies {
                    crate::verdict::check_sync(&sync, replies, ctx.oracle, user.0)?;
                }
                // A request that came twice is answered twice.
                ctx.oracle.owed.entry((id, rid)).or_insert(heads);
                replies.map(|mut replies| {
                    let partial = mutation == Some(Mutation::PartialSync);
                    replies.iter_mut().filter(|_| partial).for_each(|reply| drop(reply.conversations.pop()));
                    replies.into_iter().map(Body::SyncReply).collect()
                })
            }
            Body::Fetch(fetch) => reader.fetch(user, &fetch)?.map(|reply| vec![Body::FetchReply(reply)]),
            _ => Err(Refusal::new(Code::Unimplemented, "not simulated")),
        };
        self.report.fetches +=
            u64::from(matches!(&result, Ok(bodies) if matches!(bodies.first(), Some(Body::FetchReply(_)))));
        match result {
            Ok(bodies) => {
                let at = ctx.now + ctx.rng.random_range(0..20);
                self.reads.push_back((at, Due::Replies(id, rid, bodies)));
            }
            Err(refusal) => self.refuse(id, rid, &refusal, ctx.now),
        }
        Ok(())
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

    /// Everything that the users of a store see of it, in short.
    fn digest(&mut self, users: u64) -> Check<Vec<im::SyncReply>> {
        let mut all = Vec::new();
        for user in 1..=users {
            let request = im::Sync { top: 1, per_conv: 1, ..im::Sync::default() };
            all.extend(self.opened().reader.sync(UserId(user), &request)??);
        }
        Ok(all)
    }
}

/// The truth learns of a commit.
fn learn(op: &Op, outcome: &Result<Outcome, Refusal>, oracle: &mut Oracle) -> Check {
    match (op, outcome) {
        (Op::Read { user, conv, seq: asked }, Ok(Outcome::Read { seq, .. })) => {
            oracle.read(user.0, conv.0, asked.0, seq.0)
        }
        (_, Ok(outcome)) => oracle.committed(outcome),
        (_, Err(_)) => Ok(()),
    }
}

/// See [`Mutation::LosesReads`].
fn lose_read(op: &mut Op) {
    if let Op::Read { seq, .. } = op {
        *seq = Seq(1);
    }
}

/// See [`Mutation::Miscounts`].
pub(crate) fn miscount(replies: &mut [im::SyncReply]) {
    replies.iter_mut().flat_map(|reply| &mut reply.conversations).for_each(|delta| delta.head_ord += 1);
}

/// What a user's sync has to tell of: every conversation they are or were in, and how far they see it.
fn heads(oracle: &Oracle, user: u64) -> Vec<(u64, u64)> {
    let head = |(conv, log): (&u64, &crate::oracle::Log)| Some((*conv, log.visible(user)?.1));
    oracle.logs.iter().filter_map(head).collect()
}

fn wire(client_id: ClientId) -> Bytes {
    Bytes::copy_from_slice(&client_id.0)
}
