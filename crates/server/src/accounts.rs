//! Accounts within `convene serve`: finds their secret, or makes it, and starts their service over the store.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use convene_api::{Api, Keys, Options, SECRET_BYTES, Sender};
use convene_outbound::{Client, Reach, Sms};
use convene_store::Store;
use convene_telemetry::Metrics;
use convene_types::AccountId;
use tracing::info;

use crate::config::{Accounts, Settings};

/// Starts the service.
pub(crate) async fn start(settings: &Settings, store: &Store, metrics: &Arc<Metrics>) -> Result<Api> {
    let accounts = &settings.accounts;
    let options = Options {
        store: store.clone(),
        keys: keys(accounts, &settings.data_dir, store).await?,
        sender: sender(settings, metrics)?,
        region: accounts.region.clone(),
        policy_version: accounts.policy_version.clone(),
        access_log_days: accounts.access_log_days,
        metrics: Arc::clone(metrics),
    };
    Api::start(options).await.context("starting accounts")
}

fn sender(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Sender> {
    if settings.sms.is_empty() {
        // In the log, a code is for everybody who reads it.
        return Ok(if settings.dev { Sender::Log } else { Sender::Nobody });
    }
    let client = Client::new(Reach::Anywhere).context("starting to send messages")?;
    Ok(Sender::Sms(Arc::new(Sms::new(settings.sms.clone(), client, Arc::clone(metrics)))))
}

/// The keys of accounts, from their secret. It is made where there is none, and nobody yet whose number another one sealed.
pub(crate) async fn keys(accounts: &Accounts, data_dir: &Path, store: &Store) -> Result<Keys> {
    Keys::derive(&secret(accounts, data_dir, store).await?).context("making the keys of accounts")
}

async fn secret(accounts: &Accounts, data_dir: &Path, store: &Store) -> Result<[u8; SECRET_BYTES]> {
    if let Some(path) = &accounts.secret_file {
        return read(path);
    }
    let path = own(data_dir);
    if !path.exists() {
        let first = store.ask(|reader| reader.accounts_after(AccountId(0), 1)).await.context("looking for accounts")?;
        ensure!(
            first.is_empty(),
            "{} is missing, and the database has accounts: with another secret nobody's number or key would be known. \
             Put it back from the backup, beside the database",
            path.display()
        );
    }
    match make(&path) {
        Ok(()) => info!(path = %path.display(), "made the secret of accounts: back it up, apart from the database"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("making {}", path.display())),
    }
    read(&path)
}

/// The secret that the server made itself.
pub(crate) fn own(data_dir: &Path) -> PathBuf {
    data_dir.join("accounts.key")
}

/// Makes a secret that only this user reads. Never over one that is there: every number would be lost.
fn make(path: &Path) -> std::io::Result<()> {
    let secret: [u8; SECRET_BYTES] = rand::random();
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // A crash in between leaves a `.part`, not half a secret.
    let part = path.with_extension("part");
    if path.exists() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let _ = fs::remove_file(&part); // of a start that was interrupted
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    writeln!(file, "{digits}")?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn read(path: &Path) -> Result<[u8; SECRET_BYTES]> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let digits = text.trim();
    let good = digits.len() == 2 * SECRET_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(good, "{} is no secret of accounts: {} hex digits", path.display(), 2 * SECRET_BYTES);
    let mut secret = [0; SECRET_BYTES];
    for (at, byte) in secret.iter_mut().enumerate() {
        let pair = digits.get(2 * at..2 * at + 2).context("hex digits come in pairs")?;
        *byte = u8::from_str_radix(pair, 16).context("reading hex digits")?;
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_secret_that_is_missing_is_not_made_anew_where_there_are_accounts() {
        let folder = std::env::temp_dir().join(format!("convene-missing-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let store = Store::start(convene_store::Options::new(folder.join("chat.db"))).unwrap();
        let first = keys(&Accounts::default(), &folder, &store).await.unwrap();
        let options = Options {
            store: store.clone(),
            keys: first,
            sender: Sender::Nobody,
            region: Accounts::default().region,
            policy_version: Accounts::default().policy_version,
            access_log_days: 0,
            metrics: Arc::default(),
        };
        let api = Api::start(options).await.unwrap();
        let (phone, name) = ("+8613800138000".to_owned(), "Ana".to_owned());
        let answer = api.admin(convene_api::admin::Command::CreateUser { phone, name, password: None }).await;
        assert!(matches!(answer, convene_api::admin::Answer::User { .. }), "{answer:?}");
        fs::remove_file(own(&folder)).unwrap();
        let error = keys(&Accounts::default(), &folder, &store).await.unwrap_err();
        assert!(error.to_string().contains("accounts.key is missing"), "{error}");
        assert!(!own(&folder).exists());
        store.stop();
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_and_is_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("convene-secret-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = own(&folder);
        make(&path).unwrap();
        let secret = read(&path).unwrap();
        assert_eq!(make(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), secret);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for wrong in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            fs::write(&path, wrong).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("64 hex digits"), "{wrong}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
