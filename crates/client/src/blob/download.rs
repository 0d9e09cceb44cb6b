//! One download over one connection: goes on behind what is there, checks the whole against its name.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use convene_proto::im::{self, frame::Body};
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::{fingerprint, upload::unexpected};
use crate::error::Error;
use crate::net::link::Sender;

/// What is to be downloaded.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// SHA-256 of the content, and its name.
    pub(crate) id: Bytes,
    pub(crate) conv: u64,
    pub(crate) dest: PathBuf,
}

/// Downloads to the job's file. What has arrived waits beside it, in a file ending in `.part`, for the next attempt.
pub(crate) async fn run(link: &Sender, job: &Job, progress: impl Fn(u64, u64)) -> Result<(), Error> {
    let part = part_of(&job.dest);
    receive(link, job, &part, &progress).await?;
    let (_, hash) = fingerprint(&part).await?;
    if hash.as_slice() != job.id.as_ref() {
        // Whatever is wrong with it, going on behind it would not mend it.
        let _ = tokio::fs::remove_file(&part).await;
        return Err(Error::Protocol("what arrived is not what its name says".to_owned()));
    }
    tokio::fs::rename(&part, &job.dest).await.map_err(|error| at(&job.dest, &error))
}

async fn receive(link: &Sender, job: &Job, part: &Path, progress: &impl Fn(u64, u64)) -> Result<(), Error> {
    let failed = |error: std::io::Error| at(part, &error);
    let mut file = OpenOptions::new().create(true).append(true).open(part).await.map_err(failed)?;
    let mut offset = file.metadata().await.map_err(failed)?.len();
    let mut bulk = link.bulk().await?;
    let get = im::BlobGet { id: job.id.clone(), conv: job.conv, offset, length: 0 };
    bulk.send(Body::BlobGet(get)).await?;
    loop {
        let Body::BlobData(data) = bulk.recv().await? else { return Err(unexpected()) };
        if data.offset != offset {
            return Err(Error::Protocol("a piece of a blob is missing".to_owned()));
        }
        file.write_all(&data.data).await.map_err(failed)?;
        offset = offset.saturating_add(data.data.len() as u64);
        progress(offset, data.total);
        if data.last {
            return file.sync_all().await.map_err(failed);
        }
    }
}

fn part_of(dest: &Path) -> PathBuf {
    let mut name = dest.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::File(format!("{}: {error}", path.display()))
}
