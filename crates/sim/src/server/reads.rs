//! Questions: synchronisation and pages, from the real reader.

use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_types::UserId;
use rand::RngExt as _;

use super::{Context, Due, Server, is_busy};
use crate::oracle::{Log, Oracle};
use crate::plan::Mutation;
use crate::report::Check;
use crate::verdict;

impl Server {
    /// Reads at once, and replies a little later.
    pub(super) fn read(&mut self, id: u64, rid: u64, body: Body, ctx: &mut Context<'_>) -> Check {
        let Some(user) = self.sessions.get(&id).map(|session| UserId(session.user)) else { return Ok(()) };
        if is_busy(self.busy_readers, ctx.rng) {
            let refusal = Refusal::later(Code::Unavailable, "the readers are busy", 50);
            self.refuse(id, rid, &refusal, ctx.now);
            return Ok(());
        }
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
                    verdict::check_sync(&sync, replies, ctx.oracle, user.0)?;
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

    /// Everything that the users of a store see of it, in short.
    pub(super) fn digest(&mut self, users: u64) -> Check<Vec<im::SyncReply>> {
        let mut all = Vec::new();
        for user in 1..=users {
            let request = im::Sync { top: 1, per_conv: 1, ..im::Sync::default() };
            all.extend(self.opened().reader.sync(UserId(user), &request)??);
        }
        Ok(all)
    }
}

/// See [`Mutation::Miscounts`].
pub(crate) fn miscount(replies: &mut [im::SyncReply]) {
    replies.iter_mut().flat_map(|reply| &mut reply.conversations).for_each(|delta| delta.head_ord += 1);
}

/// What a user's sync has to tell of: every conversation they are or were in, and how far they see it.
pub(super) fn heads(oracle: &Oracle, user: u64) -> Vec<(u64, u64)> {
    let head = |(conv, log): (&u64, &Log)| Some((*conv, log.visible(user)?.1));
    oracle.logs.iter().filter_map(head).collect()
}
