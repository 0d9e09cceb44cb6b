//! The client's side: an exact copy of what its user may see, kept over pushes, pages, catch-ups and cuts.
//!
//! A state machine without I/O: the shell (`client`) hands in what the server sent, then takes [`Output`]s with
//! [`Replica::poll`] until there are none: requests to send and rows to write. Written in one transaction for each frame,
//! the rows bring a client back with [`Replica::restore`] after any crash: what was not written is asked for again.
//!
//! Invariants: a conversation's newest window has no hole (I6). Unread counts come from ordinals, never from counting
//! what happens to be known (I9). Cursors only rise (I10). Edits and reactions are folded in the order of the log,
//! whatever order its pages came in (I12). Erased bodies are replaced by the bytes that the server stores (I5, I14).

mod conversation;
mod erased;
mod fold;
mod gap;
mod personal;
mod sends;
mod spans;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convene_proto::im;
use convene_types::{Bump, ClientId, ConvId, Seq, Useq, UserId};
use rustc_hash::FxHashMap;

pub use conversation::{Conversation, KEPT, Window};
pub use fold::Folded;
pub use sends::{MAX_UNSENT, Outgoing, Progress};
pub use state::State;

/// How long a hole may fill by itself: feeds are separate streams, so neighbours may overtake each other. Longer shows
/// messages later, shorter asks for what is on its way.
pub const GAP_WAIT: Duration = Duration::from_millis(500);
/// Most conversations one `Sync` names.
const MAX_CURSORS: usize = convene_proto::limits::MAX_CURSORS;

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "taken one by one, never stored in numbers")]
pub enum Output {
    /// Send this; its reply comes back through the `handle_` function of its kind.
    Request(Request),
    /// Write this to the client's database.
    Change(Change),
}

/// A request to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A part of a log that is missing.
    Fetch(im::Fetch),
    /// Everything that changed.
    Sync(im::Sync),
    /// Something of one's own. Refusals go to [`Replica::handle_refused`].
    Send(im::Send),
}

/// A row that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put this [event](Conversation::event) in: it is there for the first time, or its body was erased.
    Event(ConvId, Seq),
    /// Forget all events of a conversation up to this one: they are hidden from here on, or let go of ([`KEPT`]).
    Hidden(ConvId, Seq),
    /// Forget a conversation, its row and all its events: the server has started over, and so does the copy.
    Forgotten(ConvId),
    /// Write [`Conversation::row`] anew.
    Conversation(ConvId),
    /// Write [`Replica::position`] anew.
    Position,
    /// Write [`Replica::outgoing`] of this id anew, or remove it if it is gone.
    Outgoing(ClientId),
    /// The user's own name changed: [`Replica::profile`].
    Profile,
}

/// What a client's database holds of one conversation, without its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// How it stands; no events in it.
    pub delta: im::ConversationDelta,
    /// Which parts (from, to] of the log are known.
    pub spans: Vec<(Seq, Seq)>,
    /// Up to which event title, roles and so on are taken in.
    pub state_at: Seq,
}

/// What a client's database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Where the user log stands.
    pub useq: Useq,
    /// From the last whole sync.
    pub bump: Bump,
    /// All conversations.
    pub rows: Vec<Row>,
    /// Their events, in any order. Those outside of the rows' spans are ignored.
    pub events: Vec<im::Event>,
    /// What was not sent, in the order in which it was written.
    pub outgoing: Vec<Outgoing>,
}

/// Unread messages of all conversations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// In all conversations.
    pub all: u64,
    /// Without those that the user does not want to be disturbed by.
    pub loud: u64,
}

/// The copy.
#[derive(Debug)]
pub struct Replica {
    me: UserId,
    profile: im::User,
    conversations: FxHashMap<ConvId, Conversation>,
    personal: personal::Log,
    bump: Bump,
    /// A `Sync` is on its way.
    syncing: bool,
    /// Another one is wanted.
    sync_wanted: bool,
    /// But not before: the last one was refused.
    sync_paused_until: Option<Instant>,
    /// Where the user log stood when the reply that is coming in was made.
    reply_useq: Useq,
    sends: sends::Sends,
    online: bool,
    out: VecDeque<Output>,
}

impl Replica {
    /// An empty copy.
    #[must_use]
    pub fn new(me: UserId) -> Self {
        Self::restore(me, Saved::default())
    }

    /// A copy from what the shell has written.
    #[must_use]
    pub fn restore(me: UserId, saved: Saved) -> Self {
        let mut conversations: FxHashMap<ConvId, Conversation> = FxHashMap::default();
        for row in saved.rows {
            conversations.insert(ConvId(row.delta.conv), Conversation::restore(me, row));
        }
        for event in saved.events {
            if let Some(conversation) = conversations.get_mut(&ConvId(event.conv)) {
                conversation.restore_event(event);
            }
        }
        conversations.values_mut().for_each(Conversation::restored);
        Self {
            me,
            profile: im::User { id: me.0, ..im::User::default() },
            conversations,
            personal: personal::Log::new(saved.useq),
            bump: saved.bump,
            syncing: false,
            sync_wanted: false,
            sync_paused_until: None,
            reply_useq: Useq(0),
            sends: sends::Sends::restore(saved.outgoing),
            online: false,
            out: VecDeque::new(),
        }
    }

    /// A session is open (or a 0-RTT flight goes out): unsent things go out again, in their order.
    /// The `Sync` for `Hello.sync` is the return value.
    pub fn handle_connected(&mut self) -> im::Sync {
        self.online = true;
        self.syncing = true;
        self.sync_wanted = false;
        self.sync_request()
    }

    /// The session is gone, and with it every reply that has not come.
    pub fn handle_disconnected(&mut self) {
        self.online = false;
        (self.syncing, self.reply_useq, self.sync_paused_until) = (false, Useq(0), None);
        self.sends.cut();
        self.personal.cut();
        self.conversations.values_mut().for_each(Conversation::cut);
    }

    /// A push of a conversation.
    pub fn handle_deliver(&mut self, deliver: im::Deliver, now: Instant) {
        let (conv, from, to) = (ConvId(deliver.conv), Seq(deliver.from), Seq(deliver.to));
        let conversation = self.conversation_mut(conv);
        conversation.deliver(from, to, deliver.events, now);
        self.settle(conv, now);
    }

    /// A push of the user log.
    pub fn handle_deliver_user(&mut self, deliver: im::DeliverUser, now: Instant) {
        let events = self.personal.deliver(Useq(deliver.from), Useq(deliver.to), deliver.events, now);
        self.apply_personal(events, now);
    }

    /// A page, answering `Request::Fetch` or one of the application's own.
    pub fn handle_fetch_reply(&mut self, reply: im::FetchReply, now: Instant) {
        let conv = ConvId(reply.conv);
        self.conversation_mut(conv).page(reply, now);
        self.settle(conv, now);
    }

    /// One frame of the reply to a `Sync`.
    pub fn handle_sync_reply(&mut self, reply: im::SyncReply, now: Instant) {
        self.reply_useq = self.reply_useq.max(Useq(reply.useq_to));
        let events = self.personal.synced(Useq(reply.useq_from), Useq(reply.useq_to), reply.user_events);
        self.apply_personal(events, now);
        // Made before a push that came first.
        let stale = self.reply_useq < self.personal.useq();
        let useq = self.reply_useq;
        for delta in reply.conversations {
            let conv = ConvId(delta.conv);
            self.conversation_mut(conv).delta(delta, useq, now);
            self.settle(conv, now);
        }
        if reply.more {
            return;
        }
        self.bump = self.bump.max(Bump(reply.bump));
        (self.syncing, self.reply_useq) = (false, Useq(0));
        // Conversations that came up since may be in the next reply; what is in none is nothing to show.
        self.conversations.retain(|_, conversation| conversation.is_known() || conversation.awaits_sync());
        self.sync_wanted = stale || self.conversations.values().any(|conversation| !conversation.is_known());
        self.out.push_back(Output::Change(Change::Position));
    }

    /// A large or busy group has moved on: its events are fetched when somebody looks ([`Replica::show`]).
    pub fn handle_head(&mut self, head: &im::Head) {
        let conv = ConvId(head.conv);
        if let Some(conversation) = self.conversations.get_mut(&conv) {
            conversation.head(head);
            let changes = conversation.take_changes();
            self.out.extend(changes.into_iter().map(Output::Change));
            self.out.push_back(Output::Change(Change::Conversation(conv)));
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if !self.online {
            return None;
        }
        if self.sync_wanted && !self.syncing && self.sync_paused_until.is_none() {
            (self.sync_wanted, self.syncing) = (false, true);
            return Some(Output::Request(Request::Sync(self.sync_request())));
        }
        self.sends.next().map(|send| Output::Request(Request::Send(send)))
    }

    /// When to call [`Replica::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let gaps = self.conversations.values().filter_map(Conversation::deadline);
        gaps.chain(self.personal.deadline()).chain(self.sends.deadline()).chain(self.sync_paused_until).min()
    }

    /// Holes that did not fill by themselves are asked for.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sync_wanted |= self.personal.is_overdue(now);
        self.sync_paused_until = self.sync_paused_until.filter(|until| now < *until);
        self.sends.wake(now);
        let mut due: Vec<_> = self.conversations.values_mut().filter_map(|c| c.overdue(now)).collect();
        // The order of a hash map is nothing a test could repeat.
        due.sort_unstable_by_key(|fetch| fetch.conv);
        self.out.extend(due.into_iter().map(|fetch| Output::Request(Request::Fetch(fetch))));
    }

    /// Where the user log and the sync stand: what the shell keeps.
    #[must_use]
    pub fn position(&self) -> (Useq, Bump) {
        (self.personal.useq(), self.bump)
    }

    /// The user.
    #[must_use]
    pub fn profile(&self) -> &im::User {
        &self.profile
    }

    /// One conversation.
    #[must_use]
    pub fn conversation(&self, conv: ConvId) -> Option<&Conversation> {
        self.conversations.get(&conv).filter(|conversation| conversation.is_known())
    }

    /// All of them, most recently changed first.
    #[must_use]
    pub fn conversations(&self) -> Vec<&Conversation> {
        let mut all: Vec<_> = self.conversations.values().filter(|conversation| conversation.is_known()).collect();
        all.sort_unstable_by_key(|c| (std::cmp::Reverse(c.state().at_ms), c.id()));
        all
    }

    /// Unread messages in total.
    #[must_use]
    pub fn unread(&self, now_ms: i64) -> Unread {
        let mut total = Unread::default();
        for conversation in self.conversations.values().filter(|conversation| conversation.is_known()) {
            let unread = conversation.unread();
            total.all += unread;
            total.loud += if conversation.state().is_quiet(now_ms) { 0 } else { unread };
        }
        total
    }

    /// The user looks at a conversation: asks for what is missing between its newest window and the head.
    pub fn show(&mut self, conv: ConvId, now: Instant) {
        let fetch = self.conversations.get_mut(&conv).and_then(|conversation| conversation.fetch_newer(now));
        self.out.extend(fetch.map(|fetch| Output::Request(Request::Fetch(fetch))));
    }

    /// The user scrolls up: asks for the page below the window that ends at or holds `below`. `false`: there is none.
    pub fn load_older(&mut self, conv: ConvId, below: Seq) -> bool {
        let fetch = self.conversations.get_mut(&conv).and_then(|conversation| conversation.fetch_older(below));
        let any = fetch.is_some();
        self.out.extend(fetch.map(|fetch| Output::Request(Request::Fetch(fetch))));
        any
    }

    /// The user has read up to here, as shown. Answers what to tell the server, if the cursor rose.
    pub fn mark_read(&mut self, conv: ConvId, seq: Seq) -> Option<im::Read> {
        let conversation = self.conversations.get_mut(&conv)?;
        let seq = conversation.mark_read(seq)?;
        self.out.push_back(Output::Change(Change::Conversation(conv)));
        Some(im::Read { conv: conv.0, seq: seq.0 })
    }

    /// A sync was refused: it is due again after a while, whatever else comes in meanwhile.
    fn pause_sync(&mut self, wait: Duration, now: Instant) {
        self.syncing = false;
        (self.sync_wanted, self.sync_paused_until) = (true, Some(now + wait));
    }

    /// The server was set back, as by a backup: nothing that is known holds any more, but for what is to be sent.
    fn start_over(&mut self) {
        let mut convs: Vec<_> = self.conversations.drain().map(|(conv, _)| conv).collect();
        convs.sort_unstable();
        self.out.extend(convs.into_iter().map(|conv| Output::Change(Change::Forgotten(conv))));
        (self.personal, self.bump, self.sync_wanted) = (personal::Log::new(Useq(0)), Bump(0), true);
        self.out.push_back(Output::Change(Change::Position));
    }

    fn conversation_mut(&mut self, conv: ConvId) -> &mut Conversation {
        self.conversations.entry(conv).or_insert_with(|| Conversation::unknown(self.me, conv))
    }

    /// After anything happened to a conversation: rows, requests, and own sends that have arrived.
    fn settle(&mut self, conv: ConvId, now: Instant) {
        let Some(conversation) = self.conversations.get_mut(&conv) else { return };
        // Something came of a conversation that no sync has told of.
        self.sync_wanted |= !conversation.is_known();
        conversation.let_go();
        for change in conversation.take_changes() {
            self.out.push_back(Output::Change(change));
        }
        if self.online {
            self.out.extend(conversation.overdue(now).map(|fetch| Output::Request(Request::Fetch(fetch))));
        }
        for client_id in self.sends.arrived(conversation) {
            self.out.push_back(Output::Change(Change::Outgoing(client_id)));
        }
    }

    /// The conversations that changed last are named; for the others the server sends their newest events.
    fn sync_request(&self) -> im::Sync {
        let named = self.conversations().into_iter().take(MAX_CURSORS);
        let cursors = named.map(|c| im::Cursor { conv: c.id().0, seq: c.cursor().0 }).collect();
        im::Sync { useq: self.personal.useq().0, bump: self.bump.0, cursors, ..im::Sync::default() }
    }
}
