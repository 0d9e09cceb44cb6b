//! Chat within `convene serve`: opens the store and the folder of blobs, starts the service over them, and stops them in
//! that order backwards.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use convene_accounts::token::Authority;
use convene_api::Api;
use convene_im::{Certificate, Handle, Limits, Login, Logins, Pictures, Server};
use convene_store::{BlobOptions, BlobPlace, Blobs, Options, S3, Store};
use convene_telemetry::Metrics;
use tracing::warn;

use crate::addresses;
use crate::config::{Im, Settings};

/// How often uploads and blobs that nobody wants any more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Voice messages at the highest bit rate anybody records with.
const VOICE_BYTES_PER_S: u64 = 32 * 1024;

/// Chat at work.
pub(crate) struct Chat {
    pub(crate) handle: Handle,
    server: Server,
    pub(crate) store: Store,
    sweeper: tokio::task::JoinHandle<()>,
    lock: File,
}

/// The database of a data directory.
pub(crate) fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("chat.db")
}

/// The store, and the lock on its folder.
pub(crate) struct Held {
    store: Store,
    blobs: Blobs,
    lock: File,
}

impl Held {
    /// What is in there.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// And its files.
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}

/// Opens the store and the place of blobs, or makes them where there are none.
pub(crate) async fn open(settings: &Settings) -> Result<Held> {
    let data_dir = &settings.data_dir;
    make_dir(data_dir)?;
    if is_open_to_others(data_dir) {
        warn!(data_dir = %data_dir.display(), "others on this machine may read messages and files: chmod 700");
    }
    let lock = lock(data_dir)?;
    let path = database(data_dir);
    let options = Options { policy: policy(&settings.im), ..Options::new(&path) };
    let store = Store::start(options).with_context(|| format!("opening {}", path.display()))?;
    let blobs = Blobs::open(store.clone(), blob_options(data_dir, &settings.im)).await.context("opening the blobs")?;
    Ok(Held { store, blobs, lock })
}

/// Starts the service over it. Access tokens of accounts open it; development tokens in development only.
pub(crate) async fn start(settings: &Settings, held: Held, api: &Api, metrics: &Arc<Metrics>) -> Result<Chat> {
    let Held { store, blobs, lock } = held;
    let options = convene_im::Options {
        bind: settings.chat,
        certificate: certificate(settings)?,
        authority: Arc::new(Authority::new(if settings.dev { settings.keys.0.clone() } else { HashMap::new() })),
        logins: Some(logins(api)),
        pictures: Some(pictures(api)),
        store: store.clone(),
        blobs: blobs.clone(),
        metrics: Arc::clone(metrics),
        limits: limits(&settings.im),
    };
    let hint = "is another server running there? --port-base moves all ports";
    let (handle, server) = convene_im::start(options).await.with_context(|| format!("starting chat ({hint})"))?;
    Ok(Chat { handle, server, store, sweeper: tokio::spawn(sweep(blobs)), lock })
}

impl Chat {
    /// The server, whose sessions end first, and what others need to the end.
    pub(crate) fn part(self) -> (convene_im::Server, Closing) {
        self.sweeper.abort();
        (self.server, Closing { store: self.store, _lock: self.lock })
    }
}

/// The store of a server whose sessions have ended: rooms and requests may still be telling it something.
pub(crate) struct Closing {
    store: Store,
    /// Held for as long as the store is open.
    _lock: File,
}

impl Closing {
    /// Writes what has queued, and ends.
    pub(crate) async fn close(self) {
        let store = self.store;
        // A panic of its threads was logged where it happened.
        let _ = tokio::task::spawn_blocking(move || store.stop()).await;
    }
}

/// Who may chat: whoever is signed in.
fn logins(api: &Api) -> Logins {
    let authenticator = Arc::clone(api.authenticator());
    Logins::new(move |token, now_s| match authenticator.check(token, now_s) {
        Ok(caller) => Ok(Login { account: caller.account, session: caller.session, device: caller.device }),
        Err(refusal) => Err(refusal.text.into_owned()),
    })
}

/// Where pictures of people are: among accounts.
fn pictures(api: &Api) -> Pictures {
    let api = api.clone();
    Pictures::new(move |account, name| api.picture_until(account, name))
}

/// Makes the data directory where there is none, for its owner alone: messages, names and files are nobody else's on this machine.
pub(crate) fn make_dir(data_dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.with_context(|| format!("making the data directory {}", data_dir.display()))
}

/// Whether others on this machine may read the data directory, as in those made by earlier versions.
fn is_open_to_others(data_dir: &Path) -> bool {
    fs::metadata(data_dir).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// Two servers over one database would not know of each other's events.
pub(crate) fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("lock");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another server uses the data directory {}: name another --data-dir", data_dir.display())
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

async fn sweep(blobs: Blobs) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if let Err(refusal) = blobs.sweep().await {
            warn!(%refusal, "blobs could not be swept; the next sweep tries again");
        }
    }
}

fn certificate(settings: &Settings) -> Result<Certificate> {
    if let Some((chain, key)) = settings.chat_certificate.clone() {
        return Ok(Certificate::Files { chain, key });
    }
    let own = addresses::advertised(&settings.node_ip, settings.chat.ip(), settings.dev);
    let own = own.context("listing the network interfaces")?;
    let names = std::iter::once("localhost".to_owned()).chain(own.iter().map(ToString::to_string)).collect();
    Ok(Certificate::SelfMade { names })
}

fn policy(im: &Im) -> convene_im::Policy {
    convene_im::Policy {
        max_members: im.max_members,
        edit_window_ms: i64::from(im.edit_window_s) * 1000,
        recall_window_ms: i64::from(im.recall_window_s) * 1000,
    }
}

/// The checks have made sure that all of it is there or nothing.
fn bucket(im: &Im) -> Option<S3> {
    Some(S3 {
        endpoint: im.s3_endpoint.clone()?,
        region: im.s3_region.clone(),
        bucket: im.s3_bucket.clone()?,
        key_id: im.s3_key_id.clone()?,
        secret: im.s3_secret.clone()?.0,
    })
}

/// Where finished blobs are.
pub(crate) fn blob_place(data_dir: &Path, im: &Im) -> BlobPlace {
    bucket(im).map_or_else(|| BlobOptions::below(data_dir).place, BlobPlace::S3)
}

fn blob_options(data_dir: &Path, im: &Im) -> BlobOptions {
    let max_blob_bytes = u64::from(im.max_blob_mib) * 1024 * 1024;
    BlobOptions {
        place: blob_place(data_dir, im),
        max_blob_bytes,
        max_voice_bytes: u64::from(im.max_voice_s).saturating_mul(VOICE_BYTES_PER_S),
        max_user_bytes: max_blob_bytes.saturating_mul(4),
        ..BlobOptions::below(data_dir)
    }
}

fn limits(im: &Im) -> Limits {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Limits {
        max_sessions: count(im.max_sessions),
        device_sends_per_s: im.device_sends_per_s,
        conversation_sends_per_s: im.conversation_sends_per_s,
        device_requests_per_s: im.device_requests_per_s,
        push_members: count(im.push_members),
        push_deliveries_per_s: im.push_deliveries_per_s,
        max_members: im.max_members,
        max_blob_bytes: u64::from(im.max_blob_mib) * 1024 * 1024,
        max_voice_ms: im.max_voice_s.saturating_mul(1000),
        idle_timeout: Duration::from_secs(im.idle_timeout_s.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_parts() {
        assert_eq!(limits(&Im::default()), Limits::default());
        assert_eq!(policy(&Im::default()), convene_im::Policy::default());
        let blobs = blob_options(Path::new("x"), &Im::default());
        assert_eq!(blobs.max_blob_bytes, BlobOptions::below("x").max_blob_bytes);
    }

    #[test]
    fn a_data_directory_serves_one_server() {
        let folder = std::env::temp_dir().join(format!("convene-lock-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let held = lock(&folder).unwrap();
        assert!(lock(&folder).unwrap_err().to_string().contains("--data-dir"));
        drop(held);
        lock(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
