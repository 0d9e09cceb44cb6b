//! The task of one shard: takes jobs in, and gives each conversation its turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use convene_im_core::outbox::HintKey;
use convene_proto::im::{self, frame::Body, hint};
use convene_proto::limits::MAX_PAYLOAD_BYTES;
use convene_types::ConvId;
use rustc_hash::FxHashMap;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::heads::{HEAD_EVERY, Head, Heads};
use super::members::{self, Lists};
use super::pass::{Pass, SLICE};
use super::{Answer, Event, Hint, Job, Loaded, Parts, Shard};
use crate::hub::hint_frame;
use crate::session::Session;

/// How long to wait before a member list is asked for again that the store could not give.
const LOAD_AGAIN: Duration = Duration::from_millis(200);
/// How often it is asked: a store that cannot be read for so long is being repaired or has stopped.
const MAX_LOADS: usize = 50;
/// Conversations whose busyness is counted before idle ones are forgotten.
const MAX_COUNTED: usize = 10_000;

/// See the module.
pub(super) struct Worker {
    shard: Arc<Shard>,
    parts: Parts,
    lists: Lists,
    heads: Heads,
    /// What is to be done of each conversation that has something to do.
    work: FxHashMap<ConvId, Work>,
    /// Whose turn it is next. A conversation whose members are being loaded is not here.
    turns: VecDeque<ConvId>,
    /// Who was given an answer in this round. Woken at its end, unless an event has woken them.
    answered: Vec<Arc<Session>>,
    head_round: Instant,
}

#[derive(Debug, Default)]
struct Work {
    jobs: VecDeque<Job>,
    pass: Option<Pass>,
    /// What the current pass gives back when it is through.
    bytes: usize,
    events: usize,
    loading: bool,
}

impl Worker {
    pub(super) fn new(shard: Arc<Shard>, parts: Parts, shards: usize) -> Self {
        let lists = Lists::new(shards);
        let heads = Heads::new(usize::try_from(parts.limits.push_deliveries_per_s).unwrap_or(usize::MAX));
        let (work, turns, answered) = (FxHashMap::default(), VecDeque::new(), Vec::new());
        Self { shard, parts, lists, heads, work, turns, answered, head_round: Instant::now() }
    }

    /// Works until the task is aborted.
    pub(super) async fn run(mut self) {
        loop {
            self.take_in();
            self.tell_heads();
            let looked_at = self.turns();
            for session in self.answered.drain(..) {
                session.wake_answered();
            }
            if looked_at > 0 {
                // What was told is written at once, while the processor still has it at hand.
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
        }
    }

    /// Gives conversations their turns until enough members were looked at. Answers how many those are.
    fn turns(&mut self) -> usize {
        let mut looked_at = 0;
        while looked_at < SLICE
            && let Some(conv) = self.turns.pop_front()
        {
            looked_at += self.turn(conv);
        }
        looked_at
    }

    async fn wait(&self) {
        if self.heads.any() {
            let _ = timeout(HEAD_EVERY, self.shard.wake.notified()).await; // a round is due when it elapses
        } else {
            self.shard.wake.notified().await;
        }
    }

    fn take_in(&mut self) {
        let (jobs, loaded) = {
            let mut inbox = self.shard.inbox.lock();
            (std::mem::take(&mut inbox.jobs), std::mem::take(&mut inbox.loaded))
        };
        for (conv, members) in loaded {
            self.loaded(conv, members);
        }
        for mut job in jobs {
            if let Job::Appended(event) = &mut job
                && let Some(answer) = event.answer.take()
            {
                self.answer(*answer);
            }
            self.queue(job);
        }
    }

    /// Before anybody is told of the event: whoever sends learns its seq first.
    fn answer(&mut self, answer: Answer) {
        let Answer { session, rid, ack } = answer;
        session.reply_before_event(rid, Body::Ack(ack));
        self.answered.push(session);
    }

    fn queue(&mut self, job: Job) {
        let conv = job.conv();
        let work = self.work.entry(conv).or_default();
        let idle = work.jobs.is_empty() && work.pass.is_none() && !work.loading;
        work.jobs.push_back(job);
        if idle {
            self.turns.push_back(conv);
        }
    }

    fn loaded(&mut self, conv: ConvId, members: Loaded) {
        match members {
            Some(members) => self.lists.put(conv, members),
            None => return self.give_up(conv),
        }
        if let Some(work) = self.work.get_mut(&conv) {
            work.loading = false;
            self.turns.push_back(conv);
        }
    }

    /// The store cannot be read. Who misses an event sees the hole with the next one, or syncs.
    fn give_up(&mut self, conv: ConvId) {
        warn!(%conv, "nobody is told: the store cannot be read");
        let jobs = self.work.remove(&conv).map(|work| work.jobs).unwrap_or_default();
        let bytes = jobs.iter().map(Job::bytes).sum();
        self.shard.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A slice of the current pass, or the beginning of the next one. Answers how much that was, in members.
    fn turn(&mut self, conv: ConvId) -> usize {
        let Some(mut work) = self.work.remove(&conv) else { return 1 };
        if work.pass.is_none() && !self.begin(conv, &mut work) {
            if work.loading {
                self.work.insert(conv, work);
            }
            return 1;
        }
        let step = work.pass.as_mut().map(|pass| pass.step(&self.parts.hub));
        if step.is_none_or(|step| step.done) {
            self.finish(conv, &mut work);
        }
        if work.pass.is_some() || !work.jobs.is_empty() {
            self.work.insert(conv, work);
            self.turns.push_back(conv);
        }
        step.map_or(1, |step| step.looked_at.max(1))
    }

    /// Begins the next pass. `false`: there is none to begin now.
    fn begin(&mut self, conv: ConvId, work: &mut Work) -> bool {
        if self.lists.get(conv).is_none() {
            work.loading = !work.jobs.is_empty();
            if work.loading {
                self.load(conv);
            }
            return false;
        }
        match work.jobs.pop_front() {
            None => return false,
            Some(Job::Hint(hint)) => self.begin_hint(work, hint),
            Some(Job::Appended(event)) => self.begin_events(conv, work, event),
        }
        true
    }

    fn begin_hint(&mut self, work: &mut Work, hint: Hint) {
        work.bytes = super::JOB_BYTES + hint.frame.len();
        work.events = 0;
        let Some(list) = self.lists.get(hint.conv) else { return };
        let by_member = hint.from.is_none_or(|user| members::floor(&list, user).is_some());
        if by_member && list.len() <= hint.most_members {
            work.pass = Some(Pass::hint(hint.key, hint.frame, hint.from, list));
        }
    }

    fn begin_events(&mut self, conv: ConvId, work: &mut Work, first: Event) {
        let events = batch(first, &mut work.jobs);
        work.bytes = events.iter().map(|event| super::JOB_BYTES + event.bytes.len()).sum();
        work.events = events.len();
        let (added, removed): (Vec<_>, Vec<_>) =
            events.iter().map(|event| (event.added.as_slice(), event.removed.as_slice())).unzip();
        self.lists.add(conv, &added.concat());
        let removed = removed.concat();
        self.lists.remove(conv, &removed);
        let Some(list) = self.lists.get(conv) else { return };
        let large = list.len() > self.parts.limits.push_members || self.heads.is_busy(conv, Instant::now());
        match events.last() {
            // Whoever has left learns it from the user log.
            Some(last) if large => {
                let swept = events.iter().map(|event| event.swept).max().unwrap_or_default();
                self.heads.wait(conv, Head { seq: last.seq, ord: last.ord, swept });
            }
            Some(_) | None => work.pass = Pass::events(&events, list, removed),
        }
    }

    fn finish(&mut self, conv: ConvId, work: &mut Work) {
        self.shard.queued.fetch_sub(std::mem::take(&mut work.bytes), Ordering::Relaxed);
        let Some(pass) = work.pass.take() else { return };
        let Some(oldest) = pass.oldest() else { return };
        let deliveries = pass.delivered() * work.events;
        self.parts.metrics.im_deliveries.inc_by(u64::try_from(deliveries).unwrap_or(0));
        let now = Instant::now();
        self.parts.metrics.im_fanout.observe(now.duration_since(oldest).as_secs_f64());
        self.heads.count(conv, deliveries, now);
        if self.heads.len() > MAX_COUNTED {
            self.heads.forget(now);
        }
    }

    /// Asks the store for the members. The other conversations go on.
    fn load(&self, conv: ConvId) {
        let (shard, store) = (Arc::clone(&self.shard), self.parts.store.clone());
        tokio::spawn(async move {
            let mut members = None;
            for _ in 0..MAX_LOADS {
                members = store.read(move |reader| Ok(Ok(reader.members(conv)?))).await.ok();
                if members.is_some() {
                    break;
                }
                sleep(LOAD_AGAIN).await;
            }
            shard.inbox.lock().loaded.push((conv, members));
            shard.wake.notify_one();
        });
    }

    /// Bumps go to all members as hints, in one round for all groups.
    fn tell_heads(&mut self) {
        let now = Instant::now();
        if !self.heads.any() || now.duration_since(self.head_round) < HEAD_EVERY {
            return;
        }
        self.head_round = now;
        for (conv, head) in self.heads.round(now) {
            let job = Job::Hint(bump(conv, head));
            self.shard.queued.fetch_add(job.bytes(), Ordering::Relaxed);
            self.queue(job);
        }
    }
}

fn bump(conv: ConvId, Head { seq, ord, swept }: Head) -> Hint {
    let head = im::Head { conv: conv.0, seq: seq.0, ord: ord.0, swept: swept.0 };
    let frame = hint_frame(hint::Kind::Head(head));
    Hint { conv, from: None, most_members: usize::MAX, key: HintKey::Head(conv), frame }
}

/// Events that can go as one frame: as many as fit. One that changes members goes alone, so that who is told is clear.
fn batch(first: Event, jobs: &mut VecDeque<Job>) -> Vec<Event> {
    let changes = |event: &Event| !event.added.is_empty() || !event.removed.is_empty();
    let mut bytes = first.bytes.len();
    let mut events = vec![first];
    while !events.last().is_some_and(changes) {
        let Some(Job::Appended(next)) = jobs.front() else { break };
        bytes = bytes.saturating_add(next.bytes.len());
        if changes(next) || bytes > MAX_PAYLOAD_BYTES {
            break;
        }
        match jobs.pop_front() {
            Some(Job::Appended(next)) => events.push(next),
            Some(Job::Hint(_)) | None => break,
        }
    }
    events
}
