//! The bytes of files, pictures and voice messages: uploads that go on after a cut, checks of hash and type, reading in
//! pieces, deletion when nothing refers to them any more.
//!
//! `im` calls it. Not here: what a voice message must sound like (crate `voice`); `im` inspects it between
//! [`Blobs::check`] and [`Commit::finish`].

mod commit;
mod objects;
mod sniff;
mod staging;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code};
use convene_types::{OrgId, UserId};
use tokio::time::timeout;

use crate::accounts::Picture;
use crate::error::{StoreError, refuse, unavailable};
use crate::ops::{BlobRow, NewUpload, Op, Outcome, Upload};
use crate::shell::{Store, now_ms};
use objects::{Failed, Objects};
use staging::{Announced, Id, Slot, Staging};

pub use commit::{Checked, Commit, Inspected};

/// Largest picture of a person: a photograph of 1,000 by 1,000 points. A page of a directory shows two hundred of them.
pub const MAX_PICTURE_BYTES: usize = 512 * 1024;
/// What every browser shows, and none runs.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Uploads that one user may have under way. Each is a file, a row and some memory, however small it is, until it is complete or
/// a day has passed. More than somebody picks at once; those that were given up make room, see [`BlobOptions::idle_after`].
const MAX_USER_UPLOADS: usize = 64;
/// When to ask for a place again: uploads take seconds.
const PLACE_RETRY_MS: u32 = 2_000;
/// How far a piece may be ahead of what is there and still be waited for: a few pieces.
const MAX_AHEAD_BYTES: u64 = 1024 * 1024;
/// How long those before it are waited for. Longer than a lost packet takes to be sent again, and again.
const OVERTAKEN: Duration = Duration::from_secs(10);
/// Objects one sweep deletes.
const MAX_SWEPT: u32 = 1_000;

/// Where blobs are and how much of them there may be.
#[derive(Clone, Debug)]
pub struct BlobOptions {
    /// Of finished blobs.
    pub place: BlobPlace,
    /// A local folder for uploads under way, used by nothing else.
    pub staging: PathBuf,
    /// Largest blob.
    pub max_blob_bytes: u64,
    /// Largest upload of a voice message: it is decoded in memory.
    pub max_voice_bytes: u64,
    /// What one user may have under way.
    pub max_user_bytes: u64,
    /// What all may have under way.
    pub max_staged_bytes: u64,
    /// Uploads, and blobs without an event, end after so long.
    pub expire_after: Duration,
    /// Uploads of which nothing came for so long end sooner, where the same user begins another one that has no room beside
    /// them. Longer than a client waits before it tries again, or somebody is in a tunnel: what was there is sent once more.
    pub idle_after: Duration,
}

impl BlobOptions {
    /// Folders `blobs` and `uploads` below this one, and limits that suit a small server.
    #[must_use]
    pub fn below(folder: impl Into<PathBuf>) -> Self {
        const MIB: u64 = 1024 * 1024;
        let folder = folder.into();
        Self {
            place: BlobPlace::Folder(folder.join("blobs")),
            staging: folder.join("uploads"),
            max_blob_bytes: 100 * MIB,
            max_voice_bytes: 16 * MIB,
            max_user_bytes: 400 * MIB,
            max_staged_bytes: 10 * 1024 * MIB,
            expire_after: Duration::from_secs(24 * 60 * 60),
            idle_after: Duration::from_secs(10 * 60),
        }
    }
}

/// Where finished blobs are.
#[derive(Clone, Debug)]
pub enum BlobPlace {
    /// A local folder.
    Folder(PathBuf),
    /// A bucket.
    S3(S3),
}

/// A bucket of an S3-compatible service.
#[derive(Clone)]
pub struct S3 {
    /// Address of the service.
    pub endpoint: String,
    /// Region, e.g. `us-east-1`.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Access key.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the secret.
        f.debug_struct("S3").field("endpoint", &self.endpoint).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// Why a picture is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobRefusal {
    /// It is too large, or of a kind that is not shown.
    Content,
    /// Not at this time.
    Unavailable,
}

/// Uploads and blobs. Clones are handles of the same.
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    objects: Objects,
    staging: Staging,
    options: BlobOptions,
}

impl Blobs {
    /// Opens the places. `open` are the ids of unfinished uploads; files of others go.
    pub async fn open(store: Store, options: BlobOptions) -> Result<Self, StoreError> {
        let objects = Objects::open(&options.place)?;
        let open = store.read(|reader| reader.open_uploads().map(Ok)).await.map_err(|_| StoreError::Stopped)?;
        let staging = Staging::open(&options.staging, &open);
        let staging = staging.map_err(|source| StoreError::Files { doing: "opening the folder of uploads", source })?;
        Ok(Self { inner: Arc::new(Inner { store, objects, staging, options }) })
    }

    /// Begins an upload, or says where it stands.
    pub async fn begin(&self, org: OrgId, user: UserId, request: &im::BlobBegin) -> Result<im::BlobStatus, Refusal> {
        let inner = &self.inner;
        let sha256: [u8; 32] = request.sha256.as_ref().try_into().map_err(|_| malformed("sha256 has 32 bytes"))?;
        inner.check_size(request)?;
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| unavailable())?;
        let (size, mime, voice) = (request.size, request.mime.chars().take(128).collect(), request.voice);
        let new = NewUpload { id, org, user, sha256, size, mime, voice };
        let idle = inner.options.idle_after;
        let (_place, ended) = inner.staging.reserve(&new, idle, |announced| inner.admit(size, announced))?;
        if !ended.is_empty() {
            // Whoever asks may leave meanwhile: it is done nevertheless.
            let _ = tokio::spawn(Arc::clone(inner).take_away(ended)).await;
        }
        let upload = inner.upload(Op::UploadBegin(new)).await?;
        if upload.blob.is_some() {
            return Ok(status(&upload.id, upload.size, upload.size));
        }
        let slot = inner.staging.resume(upload);
        let staged = slot.lock().await?;
        Ok(status(&staged.upload.id, staged.offset(), staged.upload.size))
    }

    /// Appends a piece. It is on the disk when this returns.
    pub async fn part(&self, user: UserId, part: im::BlobPart) -> Result<im::BlobStatus, Refusal> {
        let slot = self.inner.underway(user, &part.upload_id).await?;
        append(&slot, part).await
    }

    /// The same, and waits for a while until those before it are there: pieces that come on several connections overtake each
    /// other.
    pub async fn part_in_turn(&self, user: UserId, part: im::BlobPart) -> Result<im::BlobStatus, Refusal> {
        let slot = self.inner.underway(user, &part.upload_id).await?;
        let mut safe = slot.lock().await?.safe.subscribe();
        if part.offset.saturating_sub(*safe.borrow_and_update()) <= MAX_AHEAD_BYTES {
            // Whether it got there is seen when the piece is taken.
            let _ = timeout(OVERTAKEN, safe.wait_for(|&safe| safe >= part.offset)).await;
        }
        append(&slot, part).await
    }

    /// Stores a picture of somebody. It is theirs once [`crate::accounts::Op::SetPicture`] has taken it; until then it is
    /// an upload, which ends by itself.
    pub async fn put_picture(&self, content: Bytes) -> Result<Picture, BlobRefusal> {
        let head = content.get(..content.len().min(sniff::HEAD_BYTES)).unwrap_or_default();
        let mime = sniff::sniff(head, "");
        if content.len() > MAX_PICTURE_BYTES || !PICTURES.contains(&mime.as_str()) {
            return Err(BlobRefusal::Content);
        }
        let mut upload = [0; 16];
        aws_lc_rs::rand::fill(&mut upload).map_err(|_| BlobRefusal::Unavailable)?;
        let (sha256, size) = (to_id(digest::digest(&digest::SHA256, &content)), content.len() as u64);
        // Under a name of its own: uploads of the same content by several people are several.
        let name = to_id(digest::digest(&digest::SHA256, &upload));
        let (org, user) = (OrgId(0), UserId(0));
        let new = NewUpload { id: upload, org, user, sha256: name, size, mime: mime.clone(), voice: false };
        self.inner.upload(Op::UploadBegin(new)).await.map_err(|_| BlobRefusal::Unavailable)?;
        self.inner.objects.put(&key_of(&upload), content).await.map_err(|Failed| BlobRefusal::Unavailable)?;
        Ok(Picture { upload, sha256, mime, size })
    }

    /// A piece of a blob, from `offset`, at most `length` bytes: the caller asks for no more than it wants to hold.
    /// Empty behind the end.
    pub async fn read(&self, blob: &BlobRow, offset: u64, length: u64) -> Result<Bytes, Refusal> {
        let end = blob.facts.size.min(offset.saturating_add(length));
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.inner.objects.get(&blob.key, offset..end).await.map_err(|Failed| unavailable())
    }

    /// Ends what has expired and deletes objects nobody refers to. To be called every minute or so.
    pub async fn sweep(&self) -> Result<(), Refusal> {
        let inner = &self.inner;
        let age = i64::try_from(inner.options.expire_after.as_millis()).unwrap_or(i64::MAX);
        let op = Op::Expire { before_ms: now_ms().saturating_sub(age) };
        if let Outcome::Expired(ended) = inner.store.write_async(op).await? {
            for id in &ended {
                inner.staging.remove(id).await;
            }
        }
        let trash = inner.store.read(|reader| reader.trash(MAX_SWEPT).map(Ok)).await?;
        let mut keys = Vec::with_capacity(trash.len());
        for trash in trash {
            // What cannot be deleted stays in the trash, and the next sweep tries again.
            if inner.objects.delete(&trash.key).await.is_ok() {
                keys.push(trash.key);
            }
        }
        if !keys.is_empty() {
            inner.store.write_async(Op::TrashDone { keys }).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn check_size(&self, request: &im::BlobBegin) -> Result<(), Refusal> {
        let options = &self.options;
        let most =
            if request.voice { options.max_voice_bytes.min(options.max_blob_bytes) } else { options.max_blob_bytes };
        if request.size == 0 {
            return Err(malformed("an empty blob"));
        }
        if request.size > most {
            return Err(refuse(Code::BlobTooLarge, format!("at most {most} bytes")));
        }
        Ok(())
    }

    /// Whether there is room for so many bytes more.
    fn admit(&self, size: u64, Announced { uploads, own, all }: Announced) -> Result<(), Refusal> {
        let full = |text| Err(Refusal::later(Code::Flood, text, PLACE_RETRY_MS));
        if uploads >= MAX_USER_UPLOADS {
            return full("too many uploads of this user's are under way");
        }
        if own.saturating_add(size) > self.options.max_user_bytes {
            return full("too much of this user's is being uploaded already");
        }
        if all.saturating_add(size) > self.options.max_staged_bytes {
            return Err(unavailable());
        }
        Ok(())
    }

    /// Takes uploads away that have made room for another.
    async fn take_away(self: Arc<Self>, ended: Vec<Id>) {
        for id in ended {
            match self.store.write_async(Op::UploadDrop { upload: id }).await {
                Ok(_) => self.staging.remove(&id).await,
                Err(_) => self.staging.forget(&id), // with its row it stays: whoever has it goes on
            }
        }
    }

    async fn upload(&self, op: Op) -> Result<Upload, Refusal> {
        match self.store.write_async(op).await? {
            Outcome::Upload(upload) => Ok(upload),
            Outcome::Appended(_)
            | Outcome::Created { .. }
            | Outcome::Read { .. }
            | Outcome::Swept { .. }
            | Outcome::Settings { .. }
            | Outcome::User { .. }
            | Outcome::Expired(_)
            | Outcome::Account(_)
            | Outcome::Org(_)
            | Outcome::Webhook(_)
            | Outcome::Done => Err(refuse(Code::Internal, "a mistake of the server")),
        }
    }

    /// An upload that still takes pieces.
    async fn underway(&self, user: UserId, id: &[u8]) -> Result<Slot, Refusal> {
        self.slot(user, id).await?.map_err(|_| refuse(Code::BadOffset, "the upload is complete"))
    }

    /// The upload under way, or what it became.
    async fn slot(&self, user: UserId, id: &[u8]) -> Result<Result<Slot, im::BlobDone>, Refusal> {
        let id: Id = id.try_into().map_err(|_| gone())?;
        if let Some(slot) = self.staging.get(&id) {
            return if slot.user == user { Ok(Ok(slot)) } else { Err(gone()) };
        }
        let upload = self.store.read(move |reader| reader.upload(user, &id)).await?;
        if let Some(blob) = &upload.blob {
            return Ok(Err(done(blob)));
        }
        Ok(Ok(self.staging.resume(upload)))
    }
}

async fn append(slot: &Slot, part: im::BlobPart) -> Result<im::BlobStatus, Refusal> {
    let mut staged = slot.lock().await?;
    if part.offset != staged.offset() {
        return Err(refuse(Code::BadOffset, format!("the upload stands at {}", staged.offset())));
    }
    if staged.offset().saturating_add(part.data.len() as u64) > staged.upload.size {
        return Err(malformed("more bytes than were announced"));
    }
    if !part.sha256.is_empty() && digest::digest(&digest::SHA256, &part.data).as_ref() != part.sha256 {
        return Err(refuse(Code::HashMismatch, "the part is damaged: send it again"));
    }
    staged.append(part.data).await.map_err(failed)?;
    Ok(status(&staged.upload.id, staged.offset(), staged.upload.size))
}

fn status(id: &Id, offset: u64, size: u64) -> im::BlobStatus {
    im::BlobStatus { upload_id: Bytes::copy_from_slice(id), offset, complete: offset == size }
}

fn done(blob: &BlobRow) -> im::BlobDone {
    let reference = blob.reference();
    let voice = blob.facts.voice.clone().map(|voice| im::Voice { blob: Some(reference.clone()), ..voice });
    im::BlobDone { blob: Some(reference), voice }
}

/// Name of the object that an upload makes.
pub(crate) fn key_of(id: &Id) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::with_capacity(32), |mut key, byte| {
        // A String takes whatever it is given.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

fn to_id(digest: digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn failed(error: std::io::Error) -> Refusal {
    let Failed = error.into();
    unavailable()
}

fn malformed(text: &'static str) -> Refusal {
    refuse(Code::Malformed, text)
}

fn gone() -> Refusal {
    refuse(Code::UnknownUpload, "no such upload")
}
