//! `convene store`: looks after the database of chat, and changes nothing in it. Works beside a running server, whichever
//! release it is of.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use convene_store::DatabaseFile;

use crate::cli::{ServeArgs, StoreArgs, StoreCommand, StorePlace};
use crate::config;
use crate::im;

/// Does what the command says; answers what to print.
pub(crate) fn run(args: &StoreArgs) -> Result<String> {
    match &args.command {
        StoreCommand::Check { place } => check(place),
        StoreCommand::Backup { place, to } => {
            ensure!(!to.exists(), "{} is there already: name another file", to.display());
            open(place)?.backup(to).with_context(|| format!("copying the database to {}", to.display()))?;
            Ok(format!(
                "written to {}; behind it copy the blobs folder, and accounts.key to a place of its own",
                to.display()
            ))
        }
    }
}

fn check(place: &StorePlace) -> Result<String> {
    let found = open(place)?.integrity_check().context("checking the database")?;
    if !found.is_empty() {
        bail!("the database is damaged:\n  {}", found.join("\n  "));
    }
    Ok("the database is sound".to_owned())
}

fn open(place: &StorePlace) -> Result<DatabaseFile> {
    let path = path(place)?;
    ensure!(path.exists(), "there is no database at {}: name another --data-dir", path.display());
    DatabaseFile::open(&path).with_context(|| format!("opening {}", path.display()))
}

fn path(place: &StorePlace) -> Result<PathBuf> {
    let serve = ServeArgs { config: place.config.clone(), data_dir: place.data_dir.clone(), ..ServeArgs::default() };
    Ok(im::database(&config::load(&serve.sources())?.data_dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser as _;
    use convene_store::{Options, Store};

    use super::*;
    use crate::cli::{Cli, Command};

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
        command(&backup).unwrap();
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(command(&backup).unwrap_err().to_string().contains("there already"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
