//! What the owner asks. Each command has its answer; one that nobody waits for any more is dropped.

use convene_im_core::replica;
use convene_proto::im::{self, Body, frame};
use convene_types::{ClientId, ConvId, Seq};
use tokio::sync::oneshot;

use super::requests::Asked;
use super::{Conversation, Engine, Now, Output, Page};
use crate::db::outbox::{Attachment, Outgoing};
use crate::error::Error;

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// Callers that may wait for a sync at a time.
const MAX_WAIT_FOR_SYNC: usize = 64;

/// See the functions of [`crate::Client`] of the same names.
#[derive(Debug)]
pub(crate) enum Command {
    Me(Answer<Option<im::User>>),
    Synced(Answer<()>),
    Conversations(Answer<Vec<Conversation>>),
    Messages {
        conv: u64,
        before: Option<u64>,
        limit: usize,
        answer: Answer<Page>,
    },
    Log {
        conv: u64,
        answer: Answer<Vec<im::Event>>,
    },
    Outgoing {
        conv: Option<u64>,
        answer: Answer<Vec<Outgoing>>,
    },
    Users {
        ids: Vec<u64>,
        answer: Answer<Vec<im::User>>,
    },
    NewId(Answer<ClientId>),
    Send {
        conv: u64,
        body: Box<Body>,
        file: Option<Box<Attachment>>,
        answer: Answer<ClientId>,
    },
    Retry {
        client_id: ClientId,
        answer: Answer<()>,
    },
    Discard {
        client_id: ClientId,
        answer: Answer<()>,
    },
    MarkRead {
        conv: u64,
        seq: u64,
        answer: Answer<()>,
    },
    Typing {
        conv: u64,
        kind: im::TypingKind,
        answer: Answer<()>,
    },
    /// A request on the control stream.
    Request {
        request: Box<frame::Body>,
        answer: Answer<frame::Body>,
    },
}

impl Engine {
    /// Does what the owner asks. An error is one of the database, and ends the client; the caller has it too.
    pub(crate) fn command(&mut self, command: Command, now: Now) -> Result<(), Error> {
        match command {
            Command::Me(answer) => give(answer, Ok(self.me.clone())),
            Command::Synced(answer) => self.wait_for_sync(answer),
            Command::Conversations(answer) => give(answer, Ok(self.conversations())),
            Command::Messages { conv, before, limit, answer } => self.messages(conv, before, limit, answer, now),
            Command::Log { conv, answer } => give(answer, self.db.events(Some(conv))),
            Command::Outgoing { conv, answer } => give(answer, self.db.outgoing_of(conv)),
            Command::Users { ids, answer } => give(answer, self.db.users(&ids)),
            Command::NewId(answer) => {
                let id = self.new_id(now);
                give(answer, Ok(id))
            }
            Command::Send { conv, body, file, answer } => {
                let sent = self.send(conv, *body, file.map(|file| *file), now);
                give(answer, sent)
            }
            Command::Retry { client_id, answer } => {
                let done = self.retry(client_id);
                give(answer, done)
            }
            Command::Discard { client_id, answer } => {
                let done = self.discard(client_id);
                give(answer, done)
            }
            Command::MarkRead { conv, seq, answer } => {
                let done = self.mark_read(conv, seq);
                give(answer, done)
            }
            Command::Typing { conv, kind, answer } => {
                let typing = im::Typing { conv, user: 0, kind: kind.into() };
                self.out.push_back(Output::Hint(im::Hint { kind: Some(im::hint::Kind::Typing(typing)) }));
                give(answer, Ok(()))
            }
            Command::Request { request, answer } => {
                self.request(*request, answer, now);
                Ok(())
            }
        }
    }

    fn wait_for_sync(&mut self, answer: Answer<()>) -> Result<(), Error> {
        if self.synced {
            return give(answer, Ok(()));
        }
        self.when_synced.retain(|waiting| !waiting.is_closed());
        if self.when_synced.len() >= MAX_WAIT_FOR_SYNC {
            return give(answer, Err(Error::Busy("too many wait for a sync")));
        }
        self.when_synced.push(answer);
        Ok(())
    }

    fn request(&mut self, body: frame::Body, answer: Answer<frame::Body>, now: Now) {
        if !self.welcomed {
            let _ = answer.send(Err(Error::Offline)); // the caller may have gone
        } else if !self.requests.has_room() {
            let _ = answer.send(Err(Error::Busy("too many requests"))); // likewise
        } else {
            let rid = self.requests.open(Asked::Caller(answer), now.instant);
            self.out.push_back(Output::Control(convene_proto::frame::of(rid, body)));
        }
    }

    fn mark_read(&mut self, conv: u64, seq: u64) -> Result<(), Error> {
        let read = self.replica.as_mut().and_then(|replica| replica.mark_read(ConvId(conv), Seq(seq)));
        let Some(read) = read else { return Ok(()) }; // read before, or not known here
        self.db.queue_read(read.conv, read.seq)?;
        self.reads.push(read.conv, read.seq);
        self.settle(None)
    }

    fn conversations(&self) -> Vec<Conversation> {
        let all = self.replica.as_ref().map(replica::Replica::conversations).unwrap_or_default();
        all.into_iter().map(Conversation::of).collect()
    }
}

/// Answers; an error of the database also ends the client, which would go on from something that is not written.
fn give<T>(answer: Answer<T>, result: Result<T, Error>) -> Result<(), Error> {
    let fatal = match &result {
        Err(Error::Database(text)) => Err(Error::Database(text.clone())),
        Ok(_) | Err(_) => Ok(()),
    };
    let _ = answer.send(result); // the caller may have gone
    fatal
}
