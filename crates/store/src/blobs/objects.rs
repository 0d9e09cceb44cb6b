//! Where finished blobs are: a folder, or a bucket of an S3-compatible service.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};

use super::{BlobPlace, staging};
use crate::error::StoreError;

/// Above it an object goes in parts. S3 takes no part below 5 MiB; this is what one upload holds in memory.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
}

/// Something went wrong in there; the log says what.
#[derive(Debug)]
pub(super) struct Failed;

impl From<object_store::Error> for Failed {
    fn from(error: object_store::Error) -> Self {
        tracing::error!(%error, "object storage");
        Self
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "staging of uploads");
        Self
    }
}

impl Objects {
    pub(super) fn open(place: &BlobPlace) -> Result<Self, StoreError> {
        let store: Arc<dyn ObjectStore> = match place {
            BlobPlace::Folder(folder) => Arc::new(local(folder)?),
            BlobPlace::S3(s3) => {
                let builder = AmazonS3Builder::new()
                    .with_endpoint(&s3.endpoint)
                    .with_allow_http(s3.endpoint.starts_with("http://"))
                    .with_region(&s3.region)
                    .with_bucket_name(&s3.bucket)
                    .with_access_key_id(&s3.key_id)
                    .with_secret_access_key(&s3.secret);
                Arc::new(builder.build().map_err(|error| failed("reaching the bucket", error))?)
            }
        };
        Ok(Self { store })
    }

    /// Durable when it returns.
    pub(super) async fn put(&self, key: &str, content: Bytes) -> Result<(), Failed> {
        self.store.put(&path(key), content.into()).await?;
        Ok(())
    }

    /// Durable when it returns.
    pub(super) async fn put_file(&self, key: &str, file: PathBuf, size: u64) -> Result<(), Failed> {
        if usize::try_from(size).is_ok_and(|size| size <= PART_BYTES) {
            return self.put(key, staging::read(file, 0..size).await?).await;
        }
        let mut upload = WriteMultipart::new_with_chunk_size(self.store.put_multipart(&path(key)).await?, PART_BYTES);
        let mut at = 0;
        while at < size {
            let end = size.min(at.saturating_add(PART_BYTES as u64));
            upload.wait_for_capacity(PARTS_AT_ONCE).await?;
            upload.put(staging::read(file.clone(), at..end).await?);
            at = end;
        }
        upload.finish().await?;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, Failed> {
        Ok(self.store.get_range(&path(key), range).await?)
    }

    /// What is not there is deleted already.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Failed> {
        match self.store.delete(&path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn local(folder: &Path) -> Result<LocalFileSystem, StoreError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| StoreError::Files { doing: "making the folder of blobs", source })?;
    let store =
        LocalFileSystem::new_with_prefix(folder).map_err(|error| failed("opening the folder of blobs", error))?;
    Ok(store.with_fsync(true))
}

fn failed(doing: &'static str, error: object_store::Error) -> StoreError {
    StoreError::Files { doing, source: std::io::Error::other(error) }
}

/// Spread over 256 folders, so that none grows too large to list.
fn path(key: &str) -> Key {
    Key::from(format!("{}/{key}", key.get(..2).unwrap_or("00")))
}
