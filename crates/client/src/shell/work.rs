//! What takes a while beside the control stream: pages of a log, and uploads. All of it ends with the connection.

use std::sync::Arc;

use convene_proto::im::{self, frame::Body};
use convene_types::ClientId;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;

use crate::blob::upload::{self, Job};
use crate::error::Error;
use crate::net::link::Sender;
use crate::update::Update;

/// Uploads at a time: more would only share the same line.
const MAX_UPLOADS: usize = 2;

/// Something to do over a connection.
#[derive(Debug)]
pub(crate) enum Work {
    /// A part of a log.
    Fetch(im::Fetch),
    /// A file, for this row of the outbox, in parts of so many bytes.
    Upload(ClientId, Job, usize),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// A part of a log, or why not.
    Fetched(im::Fetch, Result<im::FetchReply, Error>),
    /// The server has the file, or why not.
    Uploaded(ClientId, Result<im::BlobDone, Error>),
}

/// What is under way over one connection. Dropping it ends all of it.
#[derive(Debug)]
pub(super) struct Works {
    tasks: JoinSet<Done>,
    uploads: Arc<Semaphore>,
}

impl Default for Works {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), uploads: Arc::new(Semaphore::new(MAX_UPLOADS)) }
    }
}

impl Works {
    pub(super) fn start(&mut self, work: Work, link: Sender, updates: broadcast::Sender<Update>) {
        match work {
            Work::Fetch(fetch) => drop(self.tasks.spawn(async move {
                let reply = page(&link, fetch).await;
                Done::Fetched(fetch, reply)
            })),
            Work::Upload(client_id, job, part) => {
                let places = self.uploads.clone();
                drop(self.tasks.spawn(async move {
                    let _place = places.acquire_owned().await;
                    let total = job.size;
                    let progress = |done| drop(updates.send(Update::UploadProgress { client_id, done, total }));
                    Done::Uploaded(client_id, upload::run(&link, &job, part, progress).await)
                }));
            }
        }
    }

    /// The next result. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => return done,
                // Aborted or panicked: the connection that comes next repeats it.
                Some(Err(error)) => tracing::error!(%error, "a transfer ended without a result"),
                None => std::future::pending().await,
            }
        }
    }
}

async fn page(link: &Sender, fetch: im::Fetch) -> Result<im::FetchReply, Error> {
    let Body::FetchReply(reply) = link.bulk().await?.request(Body::Fetch(fetch)).await? else {
        return Err(Error::Protocol("another reply than the page asked for".to_owned()));
    };
    Ok(reply)
}
