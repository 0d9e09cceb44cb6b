//! What an operator does with the database's file, beside a running server or without one: copies it, checks it.
//!
//! Invariant: nothing in the file changes. It may be damaged, and a server of an earlier release may be at work on it, whose
//! schema has to stay: a migration is for [`super::Store`] alone.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
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

    /// Copies the database as it stands to another file, which is replaced. Blocks for as long as it takes. It is for its owner
    /// alone from its first byte on, and nothing is left of a copy that fails.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let part = to.with_extension("part");
        match fs::remove_file(&part) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(files("removing an unfinished backup")(error));
            }
            Ok(()) | Err(_) => {}
        }
        // SQLite would make it readable by whomever the umask lets; it takes one that is there and empty.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        made.map_err(files("making the backup"))?;
        self.copy_to(&part, to).inspect_err(|_| drop(fs::remove_file(&part)))
    }

    fn copy_to(&self, part: &Path, to: &Path) -> Result<(), StoreError> {
        self.copy(part)?;
        File::open(part).and_then(|file| file.sync_all()).map_err(files("syncing the backup"))?;
        fs::rename(part, to).map_err(files("naming the backup"))?;
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(files("syncing the backup's folder"))?;
        }
        Ok(())
    }

    fn copy(&self, to: &Path) -> Result<(), StoreError> {
        let mut copy = Place::File(to.into()).connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{Options, Store};

    #[test]
    fn a_copy_is_for_its_owner_and_a_failed_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        Store::start(Options::new(path.clone())).unwrap().stop();
        let file = DatabaseFile::open(&path).unwrap();
        let (to, part) = (folder.path().join("copy.db"), folder.path().join("copy.part"));
        fs::write(&part, "of one that was cut off").unwrap();
        file.backup(&to).unwrap();
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
        assert!(!part.exists());
        // It cannot take the place of a folder.
        fs::remove_file(&to).unwrap();
        fs::create_dir(&to).unwrap();
        let failed = file.backup(&to).unwrap_err();
        assert!(failed.to_string().contains("naming the backup"), "{failed}");
        assert!(!part.exists());
    }
}
