//! `convene store`: looks after the database of chat, and changes nothing in it. Works beside a running server, whichever
//! release it is of.

use anyhow::{Context as _, Result, bail, ensure};
use convene_store::{BlobPlace, DatabaseFile};

use crate::cli::{ServeArgs, StoreArgs, StoreCommand, StorePlace};
use crate::config::{self, Config};
use crate::{accounts, im};

/// Does what the command says; answers what to print.
pub(crate) fn run(args: &StoreArgs) -> Result<String> {
    match &args.command {
        StoreCommand::Check { place } => check(place),
        StoreCommand::Backup { place, to } => {
            ensure!(!to.exists(), "{} is there already: name another file", to.display());
            open(place)?.backup(to).with_context(|| format!("copying the database to {}", to.display()))?;
            Ok(format!("written to {}; {}", to.display(), beside(&configuration(place)?)))
        }
    }
}

/// What belongs to a backup beside the database.
fn beside(config: &Config) -> String {
    let blobs = match im::blob_place(&config.data_dir, &config.im) {
        BlobPlace::Folder(folder) => folder.display().to_string(),
        BlobPlace::S3(s3) => format!("the bucket {}", s3.bucket),
    };
    let secret = config.accounts.secret_file.clone().unwrap_or_else(|| accounts::own(&config.data_dir));
    format!("behind it copy {blobs}, and {} to a place of its own", secret.display())
}

fn check(place: &StorePlace) -> Result<String> {
    let found = open(place)?.integrity_check().context("checking the database")?;
    if !found.is_empty() {
        bail!("the database is damaged:\n  {}", found.join("\n  "));
    }
    Ok("the database is sound".to_owned())
}

fn open(place: &StorePlace) -> Result<DatabaseFile> {
    let path = im::database(&configuration(place)?.data_dir);
    ensure!(path.exists(), "there is no database at {}: name another --data-dir", path.display());
    DatabaseFile::open(&path).with_context(|| format!("opening {}", path.display()))
}

fn configuration(place: &StorePlace) -> Result<Config> {
    let serve = ServeArgs { config: place.config.clone(), data_dir: place.data_dir.clone(), ..ServeArgs::default() };
    config::load(&serve.sources())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser as _;
    use convene_store::{Options, Store};

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::{Accounts, Im, Secret};

    fn command(line: &str) -> Result<String> {
        let Command::Store(args) = Cli::try_parse_from(line.split_whitespace())?.command else { panic!("store") };
        run(&args)
    }

    #[test]
    fn a_database_is_checked_and_copied() {
        let folder = std::env::temp_dir().join(format!("convene-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (data, copy) = (folder.display(), folder.join("copy.db"));
        let missing = command(&format!("convene store check --data-dir {data}")).unwrap_err();
        assert!(missing.to_string().contains("chat.db"), "{missing}");
        Store::start(Options::new(im::database(&folder))).unwrap().stop();
        assert_eq!(command(&format!("convene store check --data-dir {data}")).unwrap(), "the database is sound");
        let backup = format!("convene store backup --data-dir {data} {}", copy.display());
        let said = command(&backup).unwrap();
        assert!(said.contains(&format!("copy {data}/blobs, and {data}/accounts.key to")), "{said}");
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(command(&backup).unwrap_err().to_string().contains("there already"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_backup_names_what_is_elsewhere() {
        let im = Im {
            s3_endpoint: Some("https://s3.example.org".to_owned()),
            s3_bucket: Some("herons".to_owned()),
            s3_key_id: Some("id".to_owned()),
            s3_secret: Some(Secret("secret".to_owned())),
            ..Im::default()
        };
        let accounts = Accounts { secret_file: Some("/etc/convene/secret".into()), ..Accounts::default() };
        let want = "behind it copy the bucket herons, and /etc/convene/secret to a place of its own";
        assert_eq!(beside(&Config { im, accounts, ..Config::default() }), want);
    }
}
