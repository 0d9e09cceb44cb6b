//! What the owner looks at: the list of conversations, and pages of messages, fetched where they are not here.

use convene_im_core::replica::{self, Folded, State};
use convene_proto::im::{self, body::Kind};
use convene_types::{ConvId, Seq};

use super::command::Answer;
use super::{Engine, Now};
use crate::error::Error;

/// Callers that may wait for pages at a time.
const MAX_WAITERS: usize = 64;
/// Most messages one call answers.
const MAX_MESSAGES: usize = 1_000;

/// A conversation as the list shows it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its id.
    pub conv: u64,
    /// Title, members, cursors and settings.
    pub state: State,
    /// Unread messages: exactly, whether or not they are here.
    pub unread: u64,
    /// The newest message that is here.
    pub last: Option<Message>,
}

/// A message, and what later events have made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// As it stands in the log.
    pub event: im::Event,
    /// Edits, reactions, pins.
    pub folded: Folded,
}

/// A part of a conversation, without holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Ascending.
    pub messages: Vec<Message>,
    /// Nothing older is there for this user.
    pub at_start: bool,
    /// These are as many as were asked for, or all. Otherwise the rest could not be had at this time.
    pub complete: bool,
}

/// Callers that wait for a page.
#[derive(Debug, Default)]
pub(super) struct Waiters(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    conv: ConvId,
    before: Option<u64>,
    limit: usize,
    /// Where the log was known to end, and the window to begin, when more was asked for. Without progress nothing more is.
    had: Option<(Seq, Seq)>,
    answer: Answer<Page>,
}

impl Waiter {
    /// The part without holes that the page is taken from.
    fn window<'a>(&self, conversation: &'a replica::Conversation) -> replica::Window<'a> {
        match self.before {
            Some(before) => conversation.window(Seq(before.saturating_sub(1))),
            None => conversation.newest(),
        }
    }
}

impl Conversation {
    pub(super) fn of(conversation: &replica::Conversation) -> Self {
        let last = conversation.newest().events().rev().find(|event| is_shown(event));
        Self {
            conv: conversation.id().0,
            state: conversation.state().clone(),
            unread: conversation.unread(),
            last: last.map(|event| message(conversation, event)),
        }
    }
}

fn message(conversation: &replica::Conversation, event: &im::Event) -> Message {
    Message { event: event.clone(), folded: conversation.folded(Seq(event.seq)) }
}

/// Whether an event has a line of its own; the others change how an earlier one looks.
fn is_shown(event: &im::Event) -> bool {
    match event.body.as_ref().and_then(|body| body.kind.as_ref()) {
        Some(Kind::Edit(_) | Kind::Recall(_) | Kind::React(_) | Kind::Pin(_) | Kind::Erase(_)) => false,
        Some(Kind::Tombstone(tombstone)) => !matches!(tombstone.kind, 16..=19 | 24),
        Some(
            Kind::Text(_)
            | Kind::Voice(_)
            | Kind::Image(_)
            | Kind::File(_)
            | Kind::Location(_)
            | Kind::Card(_)
            | Kind::Custom(_)
            | Kind::Members(_)
            | Kind::Group(_)
            | Kind::Mute(_)
            | Kind::Call(_),
        )
        | None => true,
    }
}

impl Engine {
    /// Answers a page, now or when what is missing was fetched.
    pub(super) fn messages(
        &mut self,
        conv: u64,
        before: Option<u64>,
        limit: usize,
        answer: Answer<Page>,
        now: Now,
    ) -> Result<(), Error> {
        self.waiters.0.retain(|waiter| !waiter.answer.is_closed());
        let waiter = Waiter { conv: ConvId(conv), before, limit: limit.min(MAX_MESSAGES), had: None, answer };
        if self.waiters.0.len() >= MAX_WAITERS {
            let _ = waiter.answer.send(Err(Error::Busy("too many wait for pages"))); // the caller may have gone
            return Ok(());
        }
        self.serve(waiter, now);
        self.settle(None)
    }

    /// A page was fetched, or will not come.
    pub(super) fn page_came(&mut self, fetch: &im::Fetch, came: bool, now: Now) {
        let (due, rest) = std::mem::take(&mut self.waiters.0).into_iter().partition(|one| one.conv.0 == fetch.conv);
        self.waiters.0 = rest;
        for waiter in due {
            if came {
                self.serve(waiter, now);
            } else {
                self.answer(waiter);
            }
        }
    }

    /// Without a connection nothing more will come.
    pub(super) fn answer_all_waiters(&mut self) {
        for waiter in std::mem::take(&mut self.waiters.0) {
            self.answer(waiter);
        }
    }

    fn serve(&mut self, mut waiter: Waiter, now: Now) {
        let page = self.page(&waiter);
        let conversation = self.replica.as_ref().and_then(|replica| replica.conversation(waiter.conv));
        let has = conversation.map(|conversation| (conversation.cursor(), waiter.window(conversation).from));
        let is_stuck = has.is_none() || has == waiter.had;
        if page.complete || is_stuck || !self.welcomed || !self.ask_for_more(&waiter, now) {
            let _ = waiter.answer.send(Ok(page)); // the caller may have gone
        } else {
            waiter.had = has;
            self.waiters.0.push(waiter);
        }
    }

    fn answer(&self, waiter: Waiter) {
        let page = self.page(&waiter);
        let _ = waiter.answer.send(Ok(page)); // the caller may have gone
    }

    /// What is here of a page.
    fn page(&self, waiter: &Waiter) -> Page {
        let conversation = self.replica.as_ref().and_then(|replica| replica.conversation(waiter.conv));
        let Some(conversation) = conversation else { return Page::default() };
        let window = waiter.window(conversation);
        let below = waiter.before.unwrap_or(u64::MAX);
        let shown = window.events().rev().filter(|event| event.seq < below && is_shown(event));
        let mut messages: Vec<_> = shown.take(waiter.limit).map(|event| message(conversation, event)).collect();
        messages.reverse();
        let is_newest = waiter.before.is_some() || conversation.cursor() >= conversation.state().head;
        let complete = is_newest && (messages.len() >= waiter.limit || window.at_start);
        let at_start = window.at_start && messages.len() < waiter.limit;
        Page { messages, at_start, complete }
    }

    /// Asks for what a page lacks. False if there is nothing to ask for.
    fn ask_for_more(&mut self, waiter: &Waiter, now: Now) -> bool {
        let Some(replica) = &mut self.replica else { return false };
        let Some(conversation) = replica.conversation(waiter.conv) else { return false };
        let (cursor, head) = (conversation.cursor(), conversation.state().head);
        let is_asked = self.waiters.0.iter().any(|one| one.conv == waiter.conv && one.before == waiter.before);
        if is_asked {
            return true;
        }
        match waiter.before {
            None if cursor < head => {
                replica.show(waiter.conv, now.instant);
                true
            }
            None => replica.load_older(waiter.conv, cursor),
            Some(before) => replica.load_older(waiter.conv, Seq(before.saturating_sub(1))),
        }
    }
}
