//! Group commits, and what follows one: answers in its order, pushes, fan-out.

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body, hint};
use convene_store::{Appended, Op, Outcome, UserPush};
use convene_types::{ClientId, Seq, UserId};
use rand::RngExt as _;

use super::reads::heads;
use super::{Context, Due, EPOCH_MS, Pending, Server};
use crate::net::Millis;
use crate::oracle::Oracle;
use crate::plan::Mutation;
use crate::report::{Check, ensure};

impl Server {
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
    pub(super) fn commit(&mut self, ctx: &mut Context<'_>) -> Check {
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
            self.tell_later(ctx);
            return Ok(());
        };
        self.report.commits += 1;
        for (pending, outcome) in batch.into_iter().zip(outcomes) {
            learn(&pending.op, &outcome, ctx.oracle)?;
            self.done.push_back(Due::Outcome(pending, Box::new(outcome)));
        }
        self.tell_later(ctx);
        self.crashes_here(ctx).map(drop)
    }

    /// Once the disk has it. Others commit and read meanwhile.
    fn tell_later(&mut self, ctx: &mut Context<'_>) {
        let at = ctx.now + ctx.rng.random_range(0..8);
        self.done_at.get_or_insert(at);
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
    pub(super) fn tell(&mut self, ctx: &mut Context<'_>) -> Check {
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

    pub(super) fn fan_out(&mut self, ctx: &mut Context<'_>) -> Check {
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
}

/// The truth learns of a commit.
fn learn(op: &Op, outcome: &Result<Outcome, Refusal>, oracle: &mut Oracle) -> Check {
    match (op, outcome) {
        (Op::Read { user, conv, seq: asked }, Ok(Outcome::Read { seq, .. })) => {
            oracle.read(user.0, conv.0, asked.0, seq.0)
        }
        (_, Ok(outcome)) => oracle.committed(outcome),
        (Op::Append { actor, client_id, .. }, Err(refusal)) => oracle.refused(actor.0, client_id, refusal.code),
        (_, Err(_)) => Ok(()),
    }
}

/// See [`Mutation::LosesReads`].
fn lose_read(op: &mut Op) {
    if let Op::Read { seq, .. } = op {
        *seq = Seq(1);
    }
}

fn wire(client_id: ClientId) -> Bytes {
    Bytes::copy_from_slice(&client_id.0)
}
