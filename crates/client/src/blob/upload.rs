//! One upload over one connection: asks where it stands, sends the rest in parts, commits.
//!
//! A cut is no failure: whoever calls begins again over the next connection, and the server says from where.

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use convene_proto::im::{self, Code, frame::Body};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::{Error, is_transient};
use crate::net::bulk::Bulk;
use crate::net::link::Sender;

/// Parts on their way at a time. With parts of 48 KiB that is 768 KiB in a round trip, above what a server takes ahead.
const MAX_PARTS: usize = 16;
/// How often it is begun again over one connection when the server refuses a part.
const MAX_BEGINNINGS: u32 = 8;
/// Waited before beginning again, when the server names no time.
const PAUSE: Duration = Duration::from_millis(500);

/// What is to be uploaded.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) path: PathBuf,
    pub(crate) sha256: [u8; 32],
    pub(crate) size: u64,
    pub(crate) mime: String,
    pub(crate) voice: bool,
}

/// Uploads. `progress` hears how many bytes the server has safe.
pub(crate) async fn run(link: &Sender, job: &Job, part: usize, progress: impl Fn(u64)) -> Result<im::BlobDone, Error> {
    let mut beginnings = 0;
    loop {
        let error = match attempt(link, job, part, &progress).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        beginnings += 1;
        let Some(pause) = again(&error).filter(|_| beginnings < MAX_BEGINNINGS) else { return Err(error) };
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait before beginning again over the same connection, if that is of use.
fn again(error: &Error) -> Option<Duration> {
    let Error::Refused { code, retry_after_ms, .. } = error else { return None };
    let again = is_transient(*code) || matches!(code, Code::BadOffset | Code::UnknownUpload);
    again.then(|| PAUSE.max(Duration::from_millis(u64::from(*retry_after_ms))))
}

async fn attempt(link: &Sender, job: &Job, part: usize, progress: &impl Fn(u64)) -> Result<im::BlobDone, Error> {
    let mut bulk = link.bulk().await?;
    let begin = im::BlobBegin {
        sha256: Bytes::copy_from_slice(&job.sha256),
        size: job.size,
        mime: job.mime.clone(),
        voice: job.voice,
    };
    let status = status(bulk.request(Body::BlobBegin(begin)).await?)?;
    progress(status.offset);
    if !status.complete {
        send_parts(&mut bulk, job, part, &status, progress).await?;
    }
    let commit = Body::BlobCommit(im::BlobCommit { upload_id: status.upload_id });
    let Body::BlobDone(done) = bulk.request(commit).await? else { return Err(unexpected()) };
    progress(job.size);
    Ok(done)
}

async fn send_parts(
    bulk: &mut Bulk,
    job: &Job,
    part: usize,
    start: &im::BlobStatus,
    progress: &impl Fn(u64),
) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::File(format!("{}: {error}", job.path.display()));
    let mut file = File::open(&job.path).await.map_err(failed)?;
    file.seek(std::io::SeekFrom::Start(start.offset)).await.map_err(failed)?;
    let mut offset = start.offset;
    let mut open = 0;
    loop {
        while open < MAX_PARTS && offset < job.size {
            let wanted = usize::try_from(job.size.saturating_sub(offset)).unwrap_or(part).min(part);
            let data = read(&mut file, wanted).await.map_err(failed)?;
            let sent = data.len() as u64;
            if sent == 0 {
                return Err(Error::File(format!("{}: shorter than it was", job.path.display())));
            }
            let upload_id = start.upload_id.clone();
            bulk.send(Body::BlobPart(im::BlobPart { upload_id, offset, data, sha256: Bytes::new() })).await?;
            offset = offset.saturating_add(sent);
            open += 1;
        }
        if open == 0 {
            return Ok(());
        }
        let status = status(bulk.recv().await?)?;
        open -= 1;
        progress(status.offset);
    }
}

async fn read(file: &mut File, wanted: usize) -> std::io::Result<Bytes> {
    let mut data = BytesMut::with_capacity(wanted);
    while data.len() < wanted {
        let missing = wanted.saturating_sub(data.len()) as u64;
        if (&mut *file).take(missing).read_buf(&mut data).await? == 0 {
            break;
        }
    }
    Ok(data.freeze())
}

fn status(body: Body) -> Result<im::BlobStatus, Error> {
    if let Body::BlobStatus(status) = body { Ok(status) } else { Err(unexpected()) }
}

pub(super) fn unexpected() -> Error {
    Error::Protocol("another reply than the one asked for".to_owned())
}
