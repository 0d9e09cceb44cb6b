//! What the server says: on the control stream, on feeds, as datagrams.

use std::time::Duration;

use convene_im_core::replica::Request;
use convene_proto::im::{self, Code, Frame, frame::Body, hint};
use convene_types::ClientId;
use prost::Message as _;

use super::requests::Asked;
use super::{Engine, Now, Retry};
use crate::db::Database;
use crate::db::meta::Key;
use crate::error::Error;
use crate::shell::Done;
use crate::update::Update;

/// After these there is no use in coming back soon.
const LONG: Duration = Duration::from_secs(30);

impl Engine {
    /// Takes a frame. What it changes is written by the next [`Engine::catch_up`].
    pub(crate) fn frame(&mut self, frame: Frame, now: Now) -> Result<(), Error> {
        if self.ending {
            return Ok(()); // what comes behind a `Welcome` to somebody else is theirs
        }
        let (rid, Some(body)) = (frame.rid, frame.body) else { return Ok(()) };
        match body {
            Body::Welcome(welcome) => self.welcome(welcome),
            Body::Ack(ack) => self.acked(rid, &ack, now),
            Body::SyncReply(reply) => self.sync_reply(rid, reply, now),
            Body::Deliver(deliver) => {
                self.with_replica(|replica| replica.handle_deliver(deliver, now.instant));
                Ok(())
            }
            Body::DeliverUser(deliver) => {
                self.with_replica(|replica| replica.handle_deliver_user(deliver, now.instant));
                Ok(())
            }
            Body::Error(error) => self.refused(rid, error, now),
            Body::Goodbye(goodbye) => {
                self.leave(goodbye.code(), &goodbye.text, goodbye.retry_after_ms);
                Ok(())
            }
            Body::CallState(state) => {
                self.tell(Update::Call(state));
                Ok(())
            }
            Body::Hint(hint) => {
                if let Some(hint::Kind::Head(head)) = &hint.kind {
                    self.with_replica(|replica| replica.handle_head(head));
                }
                if let Some(hint::Kind::Profile(user)) = &hint.kind {
                    self.db.put_user(user)?;
                }
                self.tell(Update::Hint(hint));
                Ok(())
            }
            body @ (Body::Done(_)
            | Body::Created(_)
            | Body::Users(_)
            | Body::MembersPage(_)
            | Body::Receipts(_)
            | Body::BlobLink(_)
            | Body::FetchReply(_)
            | Body::BlobStatus(_)
            | Body::BlobDone(_)
            | Body::BlobData(_)) => self.answered(rid, body),
            // A client's words are no answer.
            Body::Hello(_)
            | Body::Send(_)
            | Body::Sync(_)
            | Body::Fetch(_)
            | Body::Read(_)
            | Body::Create(_)
            | Body::ChangeSettings(_)
            | Body::FindUsers(_)
            | Body::GetMembers(_)
            | Body::GetReceipts(_)
            | Body::WatchPresence(_)
            | Body::BlobBegin(_)
            | Body::BlobPart(_)
            | Body::BlobCommit(_)
            | Body::BlobGet(_)
            | Body::BlobUrl(_)
            | Body::Ping(_) => Ok(()),
        }
    }

    /// Writes what the frames since the last time have changed.
    pub(crate) fn catch_up(&mut self) -> Result<(), Error> {
        self.settle(None)
    }

    /// What was asked for beside the control stream has come, or will not.
    pub(crate) fn done(&mut self, done: Done, now: Now) -> Result<(), Error> {
        match done {
            Done::Fetched(fetch, Ok(reply)) => {
                self.with_replica(|replica| replica.handle_fetch_reply(reply, now.instant));
                self.settle(None)?;
                if fetch.backward {
                    self.tell(Update::History { conv: fetch.conv });
                }
                self.page_came(&fetch, true, now);
                Ok(())
            }
            Done::Fetched(fetch, Err(error)) => {
                tracing::debug!(%error, "a page did not come");
                let refusal = if let Error::Refused { code, retry_after_ms, .. } = error {
                    im::Error { code: code.into(), retry_after_ms, ..im::Error::default() }
                } else {
                    // The connection is going: it will not be asked again over this one.
                    im::Error { code: Code::Unavailable.into(), ..im::Error::default() }
                };
                self.with_replica(|replica| replica.handle_refused(&Request::Fetch(fetch), &refusal, now.instant));
                self.page_came(&fetch, false, now);
                self.settle(None)
            }
            Done::Uploaded(client_id, done) => self.uploaded(client_id, done, now),
        }
    }

    fn with_replica(&mut self, work: impl FnOnce(&mut convene_im_core::replica::Replica)) {
        if let Some(replica) = &mut self.replica {
            work(replica);
        }
    }

    fn welcome(&mut self, welcome: im::Welcome) -> Result<(), Error> {
        let me = welcome.me.unwrap_or_default();
        let seat = self.db.value(Key::Organisation)?.unwrap_or_default();
        let is_named_anew = seat != self.organisation.as_bytes();
        match &self.me {
            // The directory was opened for the only seat there was, and is opened now for one that is named: another one.
            Some(known) if is_named_anew && known.id != me.id => {
                let reason = format!("this data directory is of another organisation than {}", self.organisation);
                self.end(reason, Retry::Never);
                return Ok(());
            }
            // An account has the same name in all its organisations, and no sign-in on a server that was set up anew: its
            // only seat has become another one.
            Some(known) if known.name == me.name && known.id != me.id && self.is_nameless_seat()? => {
                let reason = "this data directory is of an organisation that the account has left: take another one";
                self.end(reason, Retry::Never);
                return Ok(());
            }
            // Users were numbered anew: the server was set up again, and its logs are no continuation of ours.
            Some(known) if known.name == me.name && known.id != me.id => {
                self.db.atomically(Database::forget_server)?;
                self.db.set_value(Key::Me, &me.encode_to_vec())?;
                self.replica = Some(self.restore(&me)?);
                self.me = Some(me);
                self.end("the server was set up anew", Retry::After(Duration::ZERO));
                return Ok(());
            }
            Some(known) if known.id != me.id || known.name != me.name => {
                let reason = format!("this data directory belongs to {}, the token is of {}", known.name, me.name);
                self.end(reason, Retry::Never);
                return Ok(());
            }
            Some(_) => {}
            None => {
                self.db.set_value(Key::Me, &me.encode_to_vec())?;
                let mut replica = self.restore(&me)?;
                // The server answers the `Sync` that went with `Hello`, which was that of an empty replica.
                drop(replica.handle_connected());
                self.replica = Some(replica);
            }
        }
        if is_named_anew {
            self.db.set_value(Key::Organisation, self.organisation.as_bytes())?;
        }
        self.db.put_user(&me)?;
        self.me = Some(me.clone());
        self.limits = welcome.limits.unwrap_or_default();
        self.welcomed = true;
        if let Some((transport, early)) = self.link {
            self.tell(Update::Connected { transport, early, me });
        }
        self.start_uploads()
    }

    /// Whether it speaks for the only seat of an account, whichever that is.
    fn is_nameless_seat(&self) -> Result<bool, Error> {
        Ok(self.organisation.is_empty() && (self.signed_in || self.db.value(Key::Account)?.is_some()))
    }

    fn acked(&mut self, rid: u64, ack: &im::Ack, now: Now) -> Result<(), Error> {
        let Some(Asked::Send(client_id, conv)) = self.requests.close(rid) else { return Ok(()) };
        self.with_replica(|replica| replica.handle_ack(ack, now.instant));
        self.uploaded.remove(&client_id);
        self.settle(None)?;
        self.tell(Update::Sent { client_id, conv, seq: ack.seq });
        Ok(())
    }

    fn sync_reply(&mut self, rid: u64, reply: im::SyncReply, now: Now) -> Result<(), Error> {
        let Some(Asked::Hello | Asked::Sync) = self.requests.asked(rid) else { return Ok(()) };
        let more = reply.more;
        self.with_replica(|replica| replica.handle_sync_reply(reply, now.instant));
        if more {
            self.requests.progressed(now.instant);
            return Ok(());
        }
        drop(self.requests.close(rid));
        self.settle(None)?;
        if !std::mem::replace(&mut self.synced, true) {
            self.tell(Update::Synced);
        }
        for answer in self.when_synced.drain(..) {
            let _ = answer.send(Ok(())); // the caller may have gone
        }
        Ok(())
    }

    fn answered(&mut self, rid: u64, body: Body) -> Result<(), Error> {
        if let Body::Users(users) = &body {
            users.users.iter().try_for_each(|user| self.db.put_user(user))?;
        }
        match self.requests.close(rid) {
            Some(Asked::Caller(answer)) => drop(answer.send(Ok(body))), // the caller may have gone
            Some(Asked::Read(conv, seq)) => self.db.read_done(conv, seq)?,
            Some(Asked::Hello | Asked::Sync | Asked::Send(..)) | None => {}
        }
        Ok(())
    }

    fn refused(&mut self, rid: u64, error: im::Error, now: Now) -> Result<(), Error> {
        match self.requests.close(rid) {
            Some(Asked::Caller(answer)) => drop(answer.send(Err(Error::refused(error)))), // the caller may have gone
            Some(Asked::Send(client_id, conv)) => self.send_refused(client_id, conv, &error, now)?,
            Some(Asked::Read(conv, seq)) if crate::error::is_transient(error.code()) => {
                let after = Duration::from_millis(error.retry_after_ms.into());
                self.reads.refused(conv, seq, after, now.instant);
            }
            // A cursor that the server does not take is not offered again.
            Some(Asked::Read(conv, seq)) => self.db.read_done(conv, seq)?,
            // The `Sync` in a `Hello` that was taken is answered by itself.
            Some(asked) if matches!(asked, Asked::Sync) || (self.welcomed && matches!(asked, Asked::Hello)) => {
                let request = Request::Sync(im::Sync::default());
                self.with_replica(|replica| replica.handle_refused(&request, &error, now.instant));
            }
            Some(Asked::Hello | Asked::Sync) => self.leave(error.code(), &error.text, error.retry_after_ms),
            None if rid == 0 => self.leave(error.code(), &error.text, error.retry_after_ms),
            None => {}
        }
        Ok(())
    }

    fn send_refused(&mut self, client_id: ClientId, conv: u64, error: &im::Error, now: Now) -> Result<(), Error> {
        let send = im::Send { conv, client_id: client_id.0.to_vec().into(), body: None };
        self.with_replica(|replica| replica.handle_refused(&Request::Send(send), error, now.instant));
        self.settle(None)?;
        if !crate::error::is_transient(error.code()) && !self.upload_forgotten(client_id)? {
            self.tell(Update::SendFailed { client_id, conv, error: Error::refused(error.clone()) });
        }
        Ok(())
    }

    /// The server ends the session, or does not open one.
    fn leave(&mut self, code: Code, text: &str, retry_after_ms: u32) {
        let after = Duration::from_millis(u64::from(retry_after_ms));
        let retry = if code == Code::Unauthenticated {
            Retry::WithToken
        } else if matches!(code, Code::Revoked | Code::UnsupportedVersion) {
            Retry::Never
        } else if code == Code::Replaced {
            // Somebody else runs with this directory's device: not to take turns with them.
            Retry::After(LONG.max(after))
        } else {
            Retry::After(after)
        };
        self.end(format!("{text} ({})", code.label()), retry);
    }
}
