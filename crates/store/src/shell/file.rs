//! What an operator does with the database's file, beside a running server or without one: copies it, checks it.
//!
//! Invariant: nothing in the file changes. It may be damaged, and a server of an earlier release may be at work on it, whose
//! schema has to stay: a migration is for [`super::Store`] alone.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use crate::engine::{Place, schema};
use crate::error::StoreError;
use crate::reader::Reader;

/// How soon a copy that found the database locked is tried again.
const LOCKED: Duration = Duration::from_millis(10);

/// A database's file, of this release or of an earlier one.
#[derive(Debug)]
pub struct DatabaseFile {
    reader: Reader,
}

impl DatabaseFile {
    /// A file of a later release or of another program is an error.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let reader = Reader::of_file(&Place::File(path.into()))?;
        schema::check(reader.connection(), path)?;
        Ok(Self { reader })
    }

    /// Copies the database as it stands to another file, which is replaced. Blocks for as long as it takes.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let part = to.with_extension("part");
        if part.exists() {
            fs::remove_file(&part).map_err(files("removing an unfinished backup"))?;
        }
        self.copy(&part)?;
        File::open(&part).and_then(|file| file.sync_all()).map_err(files("syncing the backup"))?;
        fs::rename(&part, to).map_err(files("naming the backup"))?;
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(files("syncing the backup's folder"))?;
        }
        Ok(())
    }

    fn copy(&self, to: &Path) -> Result<(), StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut copy = Place::File(to.into()).connect(flags)?;
        {
            // All pages in one step are one snapshot. In several, each commit in between would start it again.
            let backup = Backup::new(self.reader.connection(), &mut copy)?;
            while backup.step(-1)? != StepResult::Done {
                thread::sleep(LOCKED);
            }
        }
        // One file, nothing beside it.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        Ok(())
    }

    /// What a check of the whole file finds; empty: sound. Blocks for as long as it takes.
    pub fn integrity_check(&mut self) -> Result<Vec<String>, StoreError> {
        self.reader.integrity_check()
    }
}

fn files(doing: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError::Files { doing, source }
}
