//! Files and voice messages, up and down. The bytes are kept by the store's `Blobs`; what is heard in a voice message is
//! the business of `voice`. The same for streams, sockets and HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::{MAX_BULK_STREAMS, MAX_PAYLOAD_BYTES};
use convene_store::{BlobRow, Checked, Commit, Inspected};
use convene_types::{ConvId, UserId};
use convene_voice::{Limits as VoiceLimits, VoiceError};

use crate::guard::guarded;
use crate::links::hex;
use crate::reads::{self, ask};
use crate::session::{About, Owner, Session};
use crate::shared::{Shared, now_ms};

/// A download on the control stream waits while so much is to be written: one piece of it is queued behind the one that is
/// being written.
const MAX_AHEAD_BYTES: usize = 48 * 1024;

/// Answers a request that takes one frame.
pub(crate) async fn answer(shared: &Shared, owner: Owner, body: Body) -> Result<Body, Refusal> {
    if let Body::BlobBegin(begin) = body {
        return Ok(Body::BlobStatus(shared.blobs.begin(owner.org, owner.user, &begin).await?));
    }
    if let Body::BlobPart(part) = body {
        return Ok(Body::BlobStatus(self::part(shared, owner, part).await?));
    }
    if let Body::BlobCommit(commit) = body {
        return Ok(Body::BlobDone(self::commit(shared, owner, &commit.upload_id).await?));
    }
    if let Body::BlobUrl(url) = body {
        return Ok(Body::BlobLink(link(shared, owner, url).await?));
    }
    Err(Refusal::new(Code::Unimplemented, "this server does not know how"))
}

/// Takes a piece.
async fn part(shared: &Shared, owner: Owner, part: im::BlobPart) -> Result<im::BlobStatus, Refusal> {
    let len = part.data.len();
    let status = shared.blobs.part(owner.user, part).await?;
    count_in(shared, len);
    Ok(status)
}

/// Counts the bytes of a piece that was taken.
pub(crate) fn count_in(shared: &Shared, len: usize) {
    shared.metrics.im_blob_bytes.with_label_values(&["in"]).inc_by(u64::try_from(len).unwrap_or(0));
}

/// Checks an upload and makes it a blob.
pub(crate) async fn commit(shared: &Shared, owner: Owner, upload: &[u8]) -> Result<im::BlobDone, Refusal> {
    match shared.blobs.check(owner.user, upload).await? {
        Checked::Done(done) => Ok(done),
        Checked::File(commit) => commit.finish(None).await,
        Checked::Voice(commit) => self::voice(shared, commit).await,
    }
}

/// Voice messages are decoded on a thread of their own. Few are in memory at a time: each from when it is read until it is
/// stored.
async fn voice(shared: &Shared, commit: Commit) -> Result<im::BlobDone, Refusal> {
    let _turn = Arc::clone(&shared.inspections).acquire_owned().await;
    let content = commit.content().await?;
    let max_duration_ms = shared.limits.max_voice_ms;
    let inspected = tokio::task::spawn_blocking(move || inspect(content, max_duration_ms)).await;
    let inspected = inspected.map_err(|_| Refusal::new(Code::Internal, "the server made a mistake"))??;
    commit.finish(Some(inspected)).await
}

fn inspect(content: Bytes, max_duration_ms: u32) -> Result<Inspected, Refusal> {
    let limits = VoiceLimits { max_duration_ms, max_bytes: content.len() };
    let voice = convene_voice::inspect(&content, &limits).map_err(|error| bad_voice(&error))?;
    let found = im::Voice {
        blob: None,
        duration_ms: voice.duration_ms,
        waveform: Bytes::from(voice.waveform),
        loudness_dlufs: (voice.loudness_lufs * 10.0).round() as i32, // `as` saturates for floats
    };
    let kept = if voice.transcoded { Some(Bytes::from(voice.ogg.into_owned())) } else { None };
    Ok(Inspected { content: kept.unwrap_or(content), mime: "audio/ogg".to_owned(), voice: found })
}

fn bad_voice(error: &VoiceError) -> Refusal {
    let code = match error {
        VoiceError::TooLong { .. } => Code::VoiceTooLong,
        VoiceError::TooLarge { .. } => Code::BlobTooLarge,
        VoiceError::Codec(_) => Code::Internal,
        VoiceError::NotOpus
        | VoiceError::Damaged(_)
        | VoiceError::TooManyChannels
        | VoiceError::Empty
        | VoiceError::NotWav
        | _ => Code::BadVoice,
    };
    Refusal::new(code, error.to_string())
}

async fn link(shared: &Shared, owner: Owner, url: im::BlobUrl) -> Result<im::BlobLink, Refusal> {
    if url.user != 0 {
        return picture_link(shared, owner, url).await;
    }
    let conv = ConvId(url.conv);
    let blob = find(shared, owner.user, conv, url.id).await?;
    let (path, expires_ms) = shared.links.make(owner.user, conv, blob.facts.id, now_ms());
    Ok(im::BlobLink { path, expires_ms })
}

/// Whom one finds one sees, and so the picture that their organisation shows.
async fn picture_link(shared: &Shared, owner: Owner, url: im::BlobUrl) -> Result<im::BlobLink, Refusal> {
    let unknown = || Refusal::new(Code::UnknownBlob, "no such picture");
    let pictures = shared.pictures.as_ref().ok_or_else(unknown)?;
    let find = im::FindUsers { ids: vec![url.user], names: Vec::new() };
    let found = reads::users(shared, owner, find).await?;
    let shown = found.users.first().filter(|user| !user.picture.is_empty() && user.picture == url.id);
    let user = shown.map(|user| UserId(user.id)).ok_or_else(unknown)?;
    let seat = ask(shared, move |reader| Ok(Ok(reader.seat_of_user(user)?))).await?.ok_or_else(unknown)?;
    let (path, expires_ms) = pictures.address(seat.account, &hex(&url.id)).ok_or_else(unknown)?;
    Ok(im::BlobLink { path, expires_ms })
}

/// A blob that this user may read because an event of this conversation carries it.
pub(crate) async fn find(shared: &Shared, user: UserId, conv: ConvId, id: Bytes) -> Result<BlobRow, Refusal> {
    ask(shared, move |reader| reader.may_read_blob(user, conv, &id)).await
}

/// A blob on its way to a client, piece by piece.
pub(crate) struct Download {
    blob: BlobRow,
    offset: u64,
    end: u64,
    done: bool,
}

impl Download {
    /// Checks the right to read it, and the range.
    pub(crate) async fn open(shared: &Shared, owner: Owner, get: im::BlobGet) -> Result<Self, Refusal> {
        let blob = find(shared, owner.user, ConvId(get.conv), get.id).await?;
        let size = blob.facts.size;
        if get.offset > size {
            return Err(Refusal::new(Code::BadOffset, "behind the end of the blob"));
        }
        let end = if get.length == 0 { size } else { get.offset.saturating_add(get.length).min(size) };
        Ok(Self { blob, offset: get.offset, end, done: false })
    }

    /// The next piece; `None` behind the last.
    pub(crate) async fn next(&mut self, shared: &Shared) -> Result<Option<im::BlobData>, Refusal> {
        if self.done {
            return Ok(None);
        }
        let most = u64::try_from(MAX_PAYLOAD_BYTES).unwrap_or(u64::MAX);
        let data = shared.blobs.read(&self.blob, self.offset, most.min(self.end - self.offset)).await?;
        let (offset, len) = (self.offset, u64::try_from(data.len()).unwrap_or(0));
        shared.metrics.im_blob_bytes.with_label_values(&["out"]).inc_by(len);
        self.offset = self.offset.saturating_add(len);
        self.done = self.offset >= self.end || len == 0;
        let facts = &self.blob.facts;
        Ok(Some(im::BlobData { offset, data, total: facts.size, last: self.done, mime: facts.mime.clone() }))
    }
}

/// A download where there are no bulk streams. It goes on beside everything else and behind it: a piece is queued
/// when little waits to be written, and written when nothing else does.
pub(crate) async fn get_on_control(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    rid: u64,
    get: im::BlobGet,
) -> Result<(), Refusal> {
    let running = Running::begin(session)?;
    let mut pieces = Download::open(shared, session.owner, get).await?;
    let (to_shared, to_session) = (Arc::clone(shared), Arc::clone(session));
    tokio::spawn(guarded(shared, session, async move {
        let _running = running;
        loop {
            to_session.room(MAX_AHEAD_BYTES).await;
            match pieces.next(&to_shared).await {
                _ if to_session.over().is_some() => return,
                Ok(Some(data)) => to_session.reply_in_bulk(rid, Body::BlobData(data)),
                Ok(None) => return,
                Err(refusal) => return to_shared.refuse(&to_session, rid, &refusal, About::default()),
            }
        }
    }));
    Ok(())
}

/// Counts a download of a session for as long as it lives.
struct Running(Arc<Session>);

impl Running {
    fn begin(session: &Arc<Session>) -> Result<Self, Refusal> {
        const RETRY_AFTER_MS: u32 = 1000;
        let running = Self(Arc::clone(session));
        if session.downloads.fetch_add(1, Ordering::AcqRel) >= MAX_BULK_STREAMS {
            return Err(Refusal::later(Code::Flood, "too many downloads at once", RETRY_AFTER_MS));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.downloads.fetch_sub(1, Ordering::AcqRel);
    }
}
