//! Files for those who come over HTTP: the same rights and checks, other shapes. `signaling` calls it.

use bytes::Bytes;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code};
use convene_store::BlobRow;
use convene_types::{ConvId, UserId};

use crate::blobs;
use crate::links::{Link, unhex};
use crate::login;
use crate::shared::now_ms;
use crate::start::{Caller, Handle};

/// A blob that may be read.
#[derive(Clone, Debug)]
pub struct Blob(BlobRow);

/// What an HTTP response says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// As the server found it by looking at the content.
    pub mime: String,
}

/// Who asks for a blob.
#[derive(Clone, Copy, Debug)]
pub enum Asker<'a> {
    /// With a token.
    Caller(Caller),
    /// With an address that was signed for somebody.
    Signed {
        /// For whom.
        user: u64,
        /// Until when.
        expires_ms: i64,
        /// The signature.
        sig: &'a str,
    },
}

impl Handle {
    /// The user of a token. `org`: the name of the organisation, where an account has seats in several.
    pub async fn sign_in(&self, token: &str, org: &str) -> Result<Caller, Refusal> {
        let login::Entered { org, user, device, .. } = login::enter(&self.shared, token, org).await?;
        Ok(Caller::new(org, UserId(user.id), device.unwrap_or_default()))
    }

    /// Begins an upload, or finds it again.
    pub async fn blob_begin(&self, caller: Caller, begin: &im::BlobBegin) -> Result<im::BlobStatus, Refusal> {
        self.counted(self.shared.blobs.begin(caller.org(), caller.user(), begin).await)
    }

    /// Takes a piece, once those before it are there.
    pub async fn blob_part(&self, caller: Caller, part: im::BlobPart) -> Result<im::BlobStatus, Refusal> {
        let len = part.data.len();
        let status = self.counted(self.shared.blobs.part_in_turn(caller.user(), part).await)?;
        blobs::count_in(&self.shared, len);
        Ok(status)
    }

    /// Makes an upload a blob.
    pub async fn blob_commit(&self, caller: Caller, upload: &[u8]) -> Result<im::BlobDone, Refusal> {
        self.counted(blobs::commit(&self.shared, caller.owner(), upload).await)
    }

    /// A blob of an event of this conversation, if the asker may see it. `id`: SHA-256 in hexadecimal.
    pub async fn blob(&self, asker: Asker<'_>, conv: u64, id: &str) -> Result<Blob, Refusal> {
        self.counted(self.find(asker, ConvId(conv), id).await)
    }

    async fn find(&self, asker: Asker<'_>, conv: ConvId, id: &str) -> Result<Blob, Refusal> {
        let blob = unhex::<32>(id).ok_or_else(|| Refusal::new(Code::UnknownBlob, "no such blob"))?;
        let user = match asker {
            Asker::Caller(caller) => caller.user(),
            Asker::Signed { user, expires_ms, sig } => {
                let link = Link { user: UserId(user), conv, blob, expires_ms };
                if !self.shared.links.check(&link, sig, now_ms()) {
                    return Err(Refusal::new(Code::Forbidden, "this address is not of the server, or has expired"));
                }
                link.user
            }
        };
        let row = blobs::find(&self.shared, user, conv, Bytes::copy_from_slice(&blob)).await?;
        Ok(Blob(row))
    }

    /// A piece of a blob: at most `length` bytes; empty behind the end.
    pub async fn blob_read(&self, blob: &Blob, offset: u64, length: u64) -> Result<Bytes, Refusal> {
        let data = self.shared.blobs.read(&blob.0, offset, length).await?;
        let bytes = u64::try_from(data.len()).unwrap_or(0);
        self.shared.metrics.im_blob_bytes.with_label_values(&["out"]).inc_by(bytes);
        Ok(data)
    }

    fn counted<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            self.shared.count_refusal(refusal.code);
        }
        result
    }
}

impl Blob {
    /// What it is.
    #[must_use]
    pub fn content(&self) -> Content {
        Content { size: self.0.facts.size, mime: self.0.facts.mime.clone() }
    }
}
