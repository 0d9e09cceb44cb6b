//! How an upload that is complete becomes a blob: checked, inspected by `im` where it is a voice message, stored, committed.
//! One commit at a time for an upload: each would read all of it.

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code};
use convene_types::UserId;
use tokio::sync::OwnedMutexGuard;

use super::objects::Failed;
use super::staging::{self, Slot, Staged};
use super::{Blobs, Inner, done, failed, gone, key_of, sniff, to_id};
use crate::error::{refuse, unavailable};
use crate::ops::{BlobFacts, Op};

/// When to commit again what is being committed: a long voice message takes a second, and others may be before it.
const COMMIT_RETRY_MS: u32 = 2_000;

/// An upload whose bytes are all there and match their hash.
#[derive(Debug)]
pub enum Checked {
    /// It became a blob before.
    Done(im::BlobDone),
    /// A file: finish it.
    File(Commit),
    /// A voice message: inspect its content, and finish it with what was found.
    Voice(Commit),
}

/// What the inspection of a voice message found.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The content to keep, in the place of what was uploaded.
    pub content: Bytes,
    /// Its type.
    pub mime: String,
    /// Duration, waveform and loudness.
    pub voice: im::Voice,
}

/// The only commit of an upload that is under way. Dropped: another may begin.
#[derive(Debug)]
pub struct Commit {
    blobs: Arc<Inner>,
    slot: Slot,
    _turn: OwnedMutexGuard<()>,
}

impl Blobs {
    /// Checks that all bytes are there and match the hash. If they do not, the upload begins again with nothing. Reads it,
    /// and holds no more than a piece of it.
    pub async fn check(&self, user: UserId, upload: &[u8]) -> Result<Checked, Refusal> {
        let slot = match self.inner.slot(user, upload).await? {
            Ok(slot) => slot,
            Err(done) => return Ok(Checked::Done(done)),
        };
        let busy = || Refusal::later(Code::Unavailable, "the upload is being committed", COMMIT_RETRY_MS);
        let turn = slot.turn().ok_or_else(busy)?;
        let mut staged = slot.lock().await?;
        if let Some(blob) = &staged.upload.blob {
            return Ok(Checked::Done(done(blob))); // by the commit before this one
        }
        check(&mut staged).await?;
        let voice = staged.upload.voice;
        drop(staged);
        let commit = Commit { blobs: Arc::clone(&self.inner), slot, _turn: turn };
        Ok(if voice { Checked::Voice(commit) } else { Checked::File(commit) })
    }

    /// Checks the upload and makes it a blob, where nothing is left to inspect. Repeatable.
    pub async fn commit(
        &self,
        user: UserId,
        upload: &[u8],
        inspected: Option<Inspected>,
    ) -> Result<im::BlobDone, Refusal> {
        match self.check(user, upload).await? {
            Checked::Done(done) => Ok(done),
            Checked::File(commit) | Checked::Voice(commit) => commit.finish(inspected).await,
        }
    }
}

impl Commit {
    /// The whole content: for voice messages, which are decoded in memory. To be asked for when it is their turn.
    pub async fn content(&self) -> Result<Bytes, Refusal> {
        let staged = self.slot.lock().await?;
        staging::read(staged.path.clone(), 0..staged.upload.size).await.map_err(failed)
    }

    /// Makes the upload a blob. A voice message needs what its inspection found.
    pub async fn finish(self, inspected: Option<Inspected>) -> Result<im::BlobDone, Refusal> {
        let mut staged = self.slot.lock().await?;
        let facts = keep(&self.blobs, &staged, inspected).await?;
        let (id, user) = (staged.upload.id, staged.upload.user);
        let upload = self.blobs.upload(Op::UploadCommit { upload: id, user, facts }).await?;
        let blob = upload.blob.ok_or_else(gone)?;
        let done = done(&blob);
        staged.upload.blob = Some(blob);
        self.blobs.staging.remove(&id).await;
        Ok(done)
    }
}

/// Stores the content under the upload's key, and says what it is.
async fn keep(blobs: &Inner, staged: &Staged, inspected: Option<Inspected>) -> Result<BlobFacts, Refusal> {
    let (upload, key) = (&staged.upload, key_of(&staged.upload.id));
    let failed_objects = |Failed| unavailable();
    match inspected {
        Some(Inspected { content, mime, voice }) => {
            let (id, size) = (to_id(digest::digest(&digest::SHA256, &content)), content.len() as u64);
            blobs.objects.put(&key, content).await.map_err(failed_objects)?;
            Ok(BlobFacts { id, size, mime, voice: Some(im::Voice { blob: None, ..voice }) })
        }
        None if upload.voice => Err(refuse(Code::BadVoice, "not inspected")),
        None => {
            let head = upload.size.min(sniff::HEAD_BYTES as u64);
            let head = staging::read(staged.path.clone(), 0..head).await.map_err(failed)?;
            let mime = sniff::sniff(&head, &upload.mime);
            blobs.objects.put_file(&key, staged.path.clone(), upload.size).await.map_err(failed_objects)?;
            Ok(BlobFacts { id: upload.sha256, size: upload.size, mime, voice: None })
        }
    }
}

async fn check(staged: &mut Staged) -> Result<(), Refusal> {
    if staged.offset() != staged.upload.size {
        return Err(refuse(Code::BadOffset, format!("the upload stands at {}", staged.offset())));
    }
    if staged.checked {
        return Ok(());
    }
    if staging::hash(staged.path.clone()).await.map_err(failed)? != staged.upload.sha256 {
        staged.clear().await.map_err(failed)?;
        return Err(refuse(Code::HashMismatch, "the content is not what its hash says: send it again"));
    }
    staged.checked = true;
    Ok(())
}
