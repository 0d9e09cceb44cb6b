//! From an owner's message to an event in the log: queued, its file uploaded, sent, acknowledged.

use std::time::Duration;

use convene_im_core::replica::{self, Progress};
use convene_im_core::rules;
use convene_proto::im::{self, Body, Code, body::Kind};
use convene_proto::limits;
use convene_types::{ClientId, ConvId};
use rand::RngExt as _;

use super::{Engine, Now, Output};
use crate::blob::upload::Job;
use crate::db::outbox::{Attachment, Outgoing, State};
use crate::error::Error;
use crate::shell::Work;
use crate::update::Update;

/// Rows whose uploads are begun when a session opens; the others follow as these end.
const MAX_UPLOADS: u32 = 8;

/// How long an upload rests that the server refused for the time being, again and again.
const UPLOAD_PAUSE: Duration = Duration::from_secs(10);

/// What the replica is to know of a row: nothing while its file is on its way.
pub(super) fn to_replica(row: &Outgoing) -> Option<replica::Outgoing> {
    let progress = match row.state {
        State::Uploading => return None,
        State::Ready => Progress::Queued,
        State::Acknowledged => Progress::Acked(convene_types::Seq(row.seq)),
        // Failed here, or as its file was refused: it never went out.
        State::Failed if row.code == Code::Unspecified || rules::check(&row.body).is_err() => return None,
        State::Failed => Progress::Refused(row.code),
    };
    Some(replica::Outgoing { client_id: row.client_id, conv: ConvId(row.conv), body: row.body.clone(), progress })
}

/// A row as the replica has it.
pub(super) fn from_replica(row: Outgoing, outgoing: &replica::Outgoing) -> Outgoing {
    let (state, seq, code) = match outgoing.progress {
        Progress::Queued | Progress::Flying => (State::Ready, 0, Code::Unspecified),
        Progress::Acked(seq) => (State::Acknowledged, seq.0, Code::Unspecified),
        Progress::Refused(code) => (State::Failed, 0, code),
    };
    let text = if code == Code::Unspecified { String::new() } else { code.label() };
    Outgoing { body: outgoing.body.clone(), state, seq, code, text, ..row }
}

impl Engine {
    /// Queues a message, and its upload if it has a file.
    pub(super) fn send(
        &mut self,
        conv: u64,
        body: Body,
        file: Option<Attachment>,
        now: Now,
    ) -> Result<ClientId, Error> {
        if !self.db.has_room()? {
            return Err(Error::Busy("the outbox is full"));
        }
        let client_id = self.new_id(now);
        let mut row = Outgoing::new(client_id, conv, body, now.unix_ms);
        if let Some(file) = file {
            row = Outgoing { state: State::Uploading, attachment: Some(file), ..row };
            self.db.queue(&row)?;
            self.start_upload(&row);
            return Ok(client_id);
        }
        match &mut self.replica {
            Some(replica) => replica.send(client_id, ConvId(conv), row.body.clone()).map_err(refusal)?,
            None => drop(rules::check(&row.body).map_err(refusal)?),
        }
        self.settle(Some(&row))?;
        Ok(client_id)
    }

    /// RFC 9562 §5.7: a UUIDv7, so that ids of one sender sort by time.
    pub(super) fn new_id(&mut self, now: Now) -> ClientId {
        let random: [u8; 10] = self.rng.random();
        let time = now.unix_ms.cast_unsigned().to_be_bytes();
        let mut id = [0; 16];
        id[..6].copy_from_slice(&time[2..]);
        id[6..].copy_from_slice(&random);
        id[6] = id[6] & 0x0f | 0x70;
        id[8] = id[8] & 0x3f | 0x80;
        ClientId(id)
    }

    /// Begins the uploads that wait: a session has opened, or one has ended.
    pub(super) fn start_uploads(&mut self) -> Result<(), Error> {
        for row in self.db.outgoing_in(State::Uploading, MAX_UPLOADS)? {
            self.start_upload(&row);
        }
        Ok(())
    }

    fn start_upload(&mut self, row: &Outgoing) {
        let (true, Some(file)) = (self.welcomed, &row.attachment) else { return };
        if self.uploading.len() >= MAX_UPLOADS as usize || !self.uploading.insert(row.client_id) {
            return;
        }
        let job = Job {
            path: file.path.clone(),
            sha256: file.sha256,
            size: file.size,
            mime: file.mime.clone(),
            voice: file.voice,
        };
        let part = usize::try_from(self.limits.max_part_bytes).unwrap_or(0);
        let part = if part == 0 { limits::MAX_PAYLOAD_BYTES } else { part.min(limits::MAX_PAYLOAD_BYTES) };
        self.out.push_back(Output::Work(Work::Upload(row.client_id, job, part)));
    }

    /// An upload ended.
    pub(super) fn uploaded(
        &mut self,
        client_id: ClientId,
        done: Result<im::BlobDone, Error>,
        now: Now,
    ) -> Result<(), Error> {
        self.uploading.remove(&client_id);
        let Some(row) = self.db.outgoing(client_id)? else { return self.start_uploads() };
        match done {
            Ok(done) => self.with_blob(row, done)?,
            // The next session takes it up again, or this one after a while.
            Err(error) if error.is_transient() => {
                self.uploads_at = Some(now.instant + UPLOAD_PAUSE);
                return Ok(());
            }
            Err(error) => self.fail(row, error)?,
        }
        self.start_uploads()
    }

    fn with_blob(&mut self, row: Outgoing, done: im::BlobDone) -> Result<(), Error> {
        let body = filled(row.body.clone(), done);
        let ready = Outgoing { body: body.clone(), state: State::Ready, ..row };
        self.db.update_outgoing(&ready)?;
        self.uploaded.insert(ready.client_id);
        if let Some(replica) = &mut self.replica
            && let Err(error) = replica.send(ready.client_id, ConvId(ready.conv), body)
        {
            return self.fail(ready, refusal(error));
        }
        self.settle(None)
    }

    fn fail(&mut self, row: Outgoing, error: Error) -> Result<(), Error> {
        let code = if let Error::Refused { code, .. } = &error { *code } else { Code::Unspecified };
        let (client_id, conv) = (row.client_id, row.conv);
        self.db.update_outgoing(&Outgoing { state: State::Failed, code, text: error.to_string(), ..row })?;
        self.tell(Update::SendFailed { client_id, conv, error });
        Ok(())
    }

    /// Sends a failed row again.
    pub(super) fn retry(&mut self, client_id: ClientId) -> Result<(), Error> {
        let row = self.db.outgoing(client_id)?.filter(|row| row.state == State::Failed);
        let Some(row) = row else { return Err(Error::Unknown("no such failed message".to_owned())) };
        let in_replica =
            self.replica.as_ref().is_some_and(|replica| replica.outgoing().any(|one| one.client_id == client_id));
        if in_replica
            && !is_forgotten(&row)
            && let Some(replica) = &mut self.replica
        {
            replica.retry(client_id);
            return self.settle(None);
        }
        self.upload_again(row)
    }

    /// The server forgets a file that no message brings along within a day, as of a message that was refused at first, or
    /// whose sender was away: it is uploaded once more. `false`: that was done, or is of no use. To be asked about each message
    /// that is refused for good: when somebody has it sent again, its file is new no more.
    pub(super) fn upload_forgotten(&mut self, client_id: ClientId) -> Result<bool, Error> {
        let is_new = self.uploaded.remove(&client_id);
        let row = self.db.outgoing(client_id)?.filter(is_forgotten);
        // What has just been uploaded was not forgotten.
        let Some(row) = row.filter(|_| !is_new) else { return Ok(false) };
        self.upload_again(row)?;
        Ok(true)
    }

    fn upload_again(&mut self, row: Outgoing) -> Result<(), Error> {
        let (code, text) = (Code::Unspecified, String::new());
        let row = Outgoing { state: State::Uploading, code, text, ..row };
        self.db.update_outgoing(&row)?;
        if let Some(replica) = &mut self.replica {
            replica.discard(row.client_id);
        }
        self.settle(None)?;
        self.start_upload(&row);
        Ok(())
    }

    /// Takes a row out, unless it may be in the log already.
    pub(super) fn discard(&mut self, client_id: ClientId) -> Result<(), Error> {
        if self.db.outgoing(client_id)?.is_none() {
            return Err(Error::Unknown("no such message in the outbox".to_owned()));
        }
        self.uploaded.remove(&client_id);
        let known = self.replica.as_mut().filter(|replica| replica.outgoing().any(|one| one.client_id == client_id));
        if let Some(replica) = known {
            let gone = replica.discard(client_id);
            self.settle(None)?;
            return if gone { Ok(()) } else { Err(Error::Busy("it may be in the log already")) };
        }
        self.db.remove_outgoing(client_id)
    }
}

/// Whether it was refused because the server does not have its file any more.
fn is_forgotten(row: &Outgoing) -> bool {
    row.state == State::Failed && row.code == Code::UnknownBlob && row.attachment.is_some()
}

/// Puts what the server made of the file into the message, under the name that the sender gave it.
fn filled(mut body: Body, done: im::BlobDone) -> Body {
    let named = |was: &Option<im::BlobRef>| {
        let name = was.as_ref().map(|blob| blob.name.clone()).unwrap_or_default();
        done.blob.clone().map(|blob| im::BlobRef { name, ..blob })
    };
    match &mut body.kind {
        Some(Kind::Voice(voice)) => *voice = done.voice.clone().unwrap_or_default(),
        Some(Kind::File(file)) => file.blob = named(&file.blob),
        Some(Kind::Image(image)) => image.blob = named(&image.blob),
        Some(
            Kind::Text(_)
            | Kind::Location(_)
            | Kind::Card(_)
            | Kind::Custom(_)
            | Kind::Edit(_)
            | Kind::Recall(_)
            | Kind::React(_)
            | Kind::Pin(_)
            | Kind::Members(_)
            | Kind::Group(_)
            | Kind::Mute(_)
            | Kind::Call(_)
            | Kind::Erase(_)
            | Kind::Tombstone(_),
        )
        | None => {}
    }
    body
}

fn refusal(refusal: convene_im_core::Refusal) -> Error {
    let (code, text) = (refusal.code, refusal.text.into_owned());
    Error::Refused { code, text, retry_after_ms: refusal.retry_after_ms }
}
