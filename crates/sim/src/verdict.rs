//! What has to hold when everything has come to rest, and of every sync.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::time::Instant;

use convene_im_core::replica::{Conversation, Folded, Output, Progress, Replica, Request, State};
use convene_im_core::rules::is_message;
use convene_proto::im::{self, Role, body::Kind};
use convene_store::Reader;
use convene_types::UserId;
use prost::Message as _;

use crate::oracle::{Log, Oracle};
use crate::plan::Mutation;
use crate::report::{Check, ensure};
use crate::server::miscount;
use crate::world::World;

/// What one conversation may take of a reply, since it has to fit into a frame.
const MAX_CONV_BYTES: usize = 32 * 1024;

/// Of the reply to a sync: what fits into the budget comes at once (I8).
pub(crate) fn check_sync(sync: &im::Sync, replies: &[im::SyncReply], oracle: &Oracle, user: u64) -> Check {
    let or = |value: u32, default: u32| if value == 0 { default } else { value } as usize;
    let deltas: Vec<_> = replies.iter().flat_map(|reply| &reply.conversations).collect();
    let known: BTreeMap<_, _> = sync.cursors.iter().map(|cursor| (cursor.conv, cursor.seq)).collect();
    let (mut owed, mut fit) = (0, true);
    for delta in &deltas {
        let Some(log) = oracle.logs.get(&delta.conv) else { continue };
        let Some((floor, head, _)) = log.visible(user) else { continue };
        let low = known.get(&delta.conv).copied().unwrap_or(0).max(floor);
        let missing = log.events.iter().filter(|entry| entry.event.seq > low && entry.event.seq <= head);
        let sizes: Vec<_> = missing.map(|entry| entry.event.encoded_len() + 8).collect();
        let bytes = sizes.iter().sum::<usize>();
        owed += bytes;
        fit &= bytes <= MAX_CONV_BYTES;
        fit &= known.contains_key(&delta.conv) || sizes.len() <= or(sync.per_conv, 20);
    }
    if owed <= or(sync.budget, 256 * 1024) && deltas.len() <= or(sync.top, 50) && fit {
        let limited: Vec<_> = deltas.iter().filter(|delta| delta.limited).map(|delta| delta.conv).collect();
        ensure!(limited.is_empty(), I8, "{owed} bytes are owed, within {sync:?}, and {limited:?} are limited");
    }
    Ok(())
}

impl World {
    /// See the module.
    pub(crate) fn judge(&mut self) -> Check {
        for device in &self.devices {
            for outgoing in &device.db.outgoing {
                if let (Progress::Refused(_), Some(intent)) =
                    (outgoing.progress, self.oracle.intents.get_mut(&outgoing.client_id))
                {
                    intent.refused = true;
                }
            }
        }
        self.oracle.check_sends()?;
        self.check_erased()?;
        let mut hash = rustc_hash::FxHasher::default();
        let Some(opened) = self.server.opened.as_mut() else { return Ok(()) };
        let faults = opened.reader.integrity_check()?;
        ensure!(faults.is_empty(), I1, "{faults:?}");
        for user in 1..=self.plan.devices.len() as u64 {
            let log = from_store(&mut opened.reader, &self.oracle, user)?;
            log.hash(&mut hash);
            let fresh = copy(&fresh(&mut opened.reader, user, self.start, self.mutation)?);
            check_truth(&fresh, &self.oracle, user)?;
            for device in self.devices.iter().filter(|device| device.user == user) {
                let Some(replica) = &device.replica else { continue };
                let kept = |copy| without_kept(copy, &fresh, &self.oracle, user);
                let restored = copy(&Replica::restore(UserId(user), device.db.load()));
                same(&fresh, &kept(copy(replica)), &format!("device {}", device.index))?;
                same(&fresh, &kept(restored), &format!("the database of device {}", device.index))?;
            }
        }
        check_receipts(&mut opened.reader, &self.oracle)?;
        let report = &mut self.server.report;
        (report.steps, report.digest) = (self.step, hash.finish());
        report.events = self.oracle.logs.values().map(Log::head).sum();
        report.refused = self.oracle.intents.values().filter(|intent| intent.refused).count() as u64;
        report.erased = self.oracle.erased_texts.len() as u64;
        Ok(())
    }

    /// Nothing of what was erased is on any disk (I14).
    fn check_erased(&mut self) -> Check {
        for device in &self.devices {
            for event in device.db.events.values() {
                let text = event.body.as_ref().and_then(crate::oracle::token);
                let log = self.oracle.logs.get(&event.conv);
                let keeps = log.is_some_and(|log| log.may_keep(device.user, event.seq));
                let left = text.filter(|text| self.oracle.erased_texts.contains(*text) && !keeps);
                ensure!(left.is_none(), I14, "device {} keeps {left:?} of {}/{}", device.index, event.conv, event.seq);
            }
        }
        if let Some(opened) = self.server.opened.as_mut() {
            // What the shell does when something was erased.
            ensure!(opened.engine.empty_wal()?, Store, "a reader is in the way");
        }
        let bytes = self.server.place.bytes()?;
        for at in memchr(&bytes, b"tok-") {
            let text = bytes.get(at..at + 20).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
            if self.oracle.erased_texts.contains(text) {
                ensure!(is_leftover(&bytes, at), I14, "{text:?} is still in the file");
                self.server.report.leftovers += 1;
            }
        }
        Ok(())
    }
}

/// Whether a byte of a database file is in the unallocated space of a page of a B-tree: nothing refers to it.
///
/// SQLite's secure_delete overwrites what it deletes, but not what is left behind when a full page is split and its rows
/// move to another one. It is counted and not a violation, because only a VACUUM mends it.
fn is_leftover(file: &[u8], at: usize) -> bool {
    let number = |at: usize| file.get(at..at + 2).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
    let size = number(16).max(512);
    let page = at / size * size;
    let header = page + if page == 0 { 100 } else { 0 };
    let inner = matches!(file.get(header), Some(2 | 5));
    let is_tree = inner || matches!(file.get(header), Some(10 | 13));
    let pointers = header + if inner { 12 } else { 8 } + 2 * number(header + 3);
    is_tree && at >= pointers && at + 20 <= page + number(header + 5)
}

fn memchr<'a>(bytes: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(what.len()).enumerate().filter(move |(_, window)| *window == what).map(|(at, _)| at)
}

/// What a user sees of all logs, page by page: it is what was committed, without a hole.
fn from_store(reader: &mut Reader, oracle: &Oracle, user: u64) -> Check<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for (conv, log) in &oracle.logs {
        let Some((floor, head, _)) = log.visible(user) else {
            let refused = reader.fetch(UserId(user), &im::Fetch { conv: *conv, ..im::Fetch::default() })?;
            ensure!(refused.is_err(), I13, "user {user} reads {conv}");
            continue;
        };
        let mut at = floor;
        while at < head {
            let page = im::Fetch { conv: *conv, after: at, limit: 7, ..im::Fetch::default() };
            let page = reader.fetch(UserId(user), &page)??;
            ensure!(!page.events.is_empty() && page.from == at, I1, "{conv} stops at {at} of {head}: {page:?}");
            for event in page.events {
                at += 1;
                let truth = log.entry(at).map(|entry| &entry.event);
                let invariant_holds = truth == Some(&event);
                ensure!(invariant_holds, I2, "{conv}/{at} is {event:?}, committed was {truth:?}");
                all.push(event.encode_to_vec());
            }
        }
        ensure!(at == head, I13, "user {user} reads {conv} up to {at}, beyond {head}");
    }
    Ok(all)
}

/// A device that begins with nothing, and asks the store itself.
fn fresh(reader: &mut Reader, user: u64, at: Instant, mutation: Option<Mutation>) -> Check<Replica> {
    let mut replica = Replica::new(UserId(user));
    let mut todo = vec![Request::Sync(replica.handle_connected())];
    loop {
        while let Some(request) = todo.pop() {
            match request {
                Request::Sync(sync) => {
                    let mut replies = reader.sync(UserId(user), &sync)??;
                    if mutation == Some(Mutation::Miscounts) {
                        miscount(&mut replies);
                    }
                    for reply in replies {
                        replica.handle_sync_reply(reply, at);
                    }
                }
                Request::Fetch(fetch) => replica.handle_fetch_reply(reader.fetch(UserId(user), &fetch)??, at),
                Request::Send(_) => {}
            }
        }
        let convs: Vec<_> = replica.conversations().iter().map(|conversation| conversation.id()).collect();
        for conv in convs {
            let Some(newest) = replica.conversation(conv).map(Conversation::newest) else { continue };
            if !newest.at_start {
                let to = newest.to;
                replica.load_older(conv, to);
            }
        }
        while let Some(output) = replica.poll() {
            if let Output::Request(request) = output {
                todo.push(request);
            }
        }
        if todo.is_empty() {
            return Ok(replica);
        }
    }
}

/// All that a replica shows.
type Copy = BTreeMap<u64, Shown>;

#[derive(Debug, PartialEq)]
struct Shown {
    state: State,
    unread: u64,
    events: BTreeMap<u64, im::Event>,
    folded: BTreeMap<u64, Folded>,
    pinned: Vec<u64>,
    mentions: Vec<u64>,
}

fn copy(replica: &Replica) -> Copy {
    let shown = |conversation: &&Conversation| {
        let events: BTreeMap<_, _> = conversation.newest().events().map(|event| (event.seq, event.clone())).collect();
        let mut state = conversation.state().clone();
        if state.role == Role::Unspecified {
            // Whoever has left is not told how the group stands.
            (state.title, state.announcement) = (String::new(), String::new());
            (state.muted, state.dissolved, state.member_count) = (false, false, 0);
        }
        let shown = Shown {
            state,
            unread: conversation.unread(),
            folded: events.keys().map(|seq| (*seq, conversation.folded(convene_types::Seq(*seq)))).collect(),
            events,
            pinned: conversation.pinned().iter().map(|seq| seq.0).collect(),
            mentions: conversation.mentions().iter().map(|seq| seq.0).collect(),
        };
        (conversation.id().0, shown)
    };
    replica.conversations().iter().map(shown).collect()
}

/// What was erased after its user had left is erased on the server only: takes over what a fresh device is told.
fn without_kept(mut copy: Copy, fresh: &Copy, oracle: &Oracle, user: u64) -> Copy {
    for (conv, shown) in &mut copy {
        let (Some(log), Some(fresh)) = (oracle.logs.get(conv), fresh.get(conv)) else { continue };
        let kept: Vec<_> = fresh.events.keys().copied().filter(|seq| log.may_keep(user, *seq)).collect();
        if kept.is_empty() {
            continue;
        }
        for seq in kept {
            shown.events.extend(fresh.events.get(&seq).map(|event| (seq, event.clone())));
        }
        shown.folded.clone_from(&fresh.folded);
        (shown.pinned, shown.mentions) = (fresh.pinned.clone(), fresh.mentions.clone());
    }
    copy
}

/// I5: the path makes no difference.
fn same(fresh: &Copy, other: &Copy, whose: &str) -> Check {
    let convs = |copy: &Copy| copy.keys().copied().collect::<Vec<_>>();
    ensure!(convs(fresh) == convs(other), I5, "{whose} has {:?}, a fresh one {:?}", convs(other), convs(fresh));
    for ((conv, want), got) in fresh.iter().zip(other.values()) {
        ensure!(want.state == got.state, I5, "{conv} on {whose} is {:?}, on a fresh one {:?}", got.state, want.state);
        for (seq, event) in &want.events {
            let other = got.events.get(seq);
            ensure!(Some(event) == other, I5, "{conv}/{seq} on {whose} is {other:?}, on a fresh one {event:?}");
        }
        let (folded, fresh) = (&got.folded, &want.folded);
        ensure!(folded == fresh, I12, "{conv} on {whose} folds to {folded:?}, on a fresh one to {fresh:?}");
        ensure!(want == got, I5, "{conv} on {whose} is {got:?}, on a fresh one {want:?}");
    }
    Ok(())
}

/// A device that has everything, against the truth.
fn check_truth(copy: &Copy, oracle: &Oracle, user: u64) -> Check {
    for (conv, log) in &oracle.logs {
        let Some((floor, head, member)) = log.visible(user) else {
            ensure!(!copy.contains_key(conv), I13, "user {user} knows of {conv}");
            continue;
        };
        let Some(shown) = copy.get(conv) else {
            ensure!(false, I7, "user {user} knows nothing of {conv}");
            continue;
        };
        let seqs: Vec<_> = shown.events.keys().copied().collect();
        ensure!(
            seqs == (floor + 1..=head).collect::<Vec<_>>(),
            I13,
            "user {user} has {seqs:?} of {conv}: ({floor}, {head}]"
        );
        let read = oracle.reads.get(&(user, *conv)).copied().unwrap_or(0);
        ensure!(
            shown.state.read.0 == read,
            I10,
            "{conv} of user {user} is read up to {read}, not {}",
            shown.state.read
        );
        let unread = log.count(read.max(floor), head);
        ensure!(shown.unread == unread, I9, "{conv} of user {user}: {} unread, counted {unread}", shown.unread);
        ensure!(member == (shown.state.role != Role::Unspecified), I5, "user {user} in {conv}: {:?}", shown.state);
        let members = log.members().count();
        let told = shown.state.member_count as usize;
        ensure!(!member || members == told, I5, "{conv} has {members} members, user {user} is told {told}");
        for (seq, folded) in &shown.folded {
            let want = fold(log, *seq, (floor, head));
            ensure!(*folded == want, I12, "{conv}/{seq} of user {user} folds to {folded:?}, by the log to {want:?}");
        }
    }
    Ok(())
}

/// Another fold, straight from the log.
fn fold(log: &Log, target: u64, (floor, head): (u64, u64)) -> Folded {
    let mut folded = Folded::default();
    let Some(entry) = log.entry(target) else { return folded };
    let standing = entry.event.body.clone().unwrap_or_default();
    if !is_message(convene_im_core::rules::kind_number(&standing)) {
        return folded;
    }
    for event in log.events.iter().map(|entry| &entry.event).filter(|event| event.seq > floor && event.seq <= head) {
        let Some(body) = event.body.as_ref().filter(|body| body.target == target) else { continue };
        match &body.kind {
            Some(Kind::Edit(edit)) => folded.edited = Some((edit.text.clone(), event.at_ms)),
            Some(Kind::React(react)) => {
                let users = folded.reactions.entry(react.emoji.clone()).or_default();
                if react.remove {
                    users.remove(&UserId(event.sender));
                } else {
                    users.insert(UserId(event.sender));
                }
            }
            Some(Kind::Pin(pin)) => folded.pinned = !pin.remove,
            _ => {}
        }
    }
    folded.reactions.retain(|_, users| !users.is_empty());
    folded
}

/// I11: the counts of receipts, by the cursors that were ever confirmed.
fn check_receipts(reader: &mut Reader, oracle: &Oracle) -> Check {
    for (conv, log) in &oracle.logs {
        let members: Vec<_> = log.members().collect();
        for (user, stay) in &members {
            for seq in (stay.floor + 1..=log.head()).step_by(3) {
                let sender = log.entry(seq).map_or(0, |entry| entry.event.sender);
                let meant = members.iter().filter(|(other, stay)| *other != sender && stay.joined <= seq);
                let read = |other: &u64| oracle.reads.get(&(*other, *conv)).is_some_and(|read| *read >= seq);
                let (all, readers): (Vec<_>, Vec<_>) =
                    meant.map(|(other, _)| (*other, Some(*other).filter(read))).unzip();
                let readers: Vec<_> = readers.into_iter().flatten().collect();
                let request = im::GetReceipts { conv: *conv, seq, limit: 100, ..im::GetReceipts::default() };
                let told = reader.receipts(UserId(*user), &request)??;
                let counts = (told.members as usize, told.readers as usize);
                ensure!(
                    counts == (all.len(), readers.len()),
                    I11,
                    "{conv}/{seq}: {told:?}, counted {all:?} {readers:?}"
                );
                ensure!(told.users == readers, I11, "{conv}/{seq}: {:?}, counted {readers:?}", told.users);
            }
        }
    }
    Ok(())
}
