//! Stores that take a while to fill are made once and kept beside the runs, which work on copies of them.

use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The store of this name in `folder`; `fill` makes it where there is none. `empty` is one that was just made: another schema
/// asks for another store.
pub fn kept(folder: &Path, name: &str, empty: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = folder.join(format!("{name}-{:016x}.db", schema(empty)?));
    if !path.exists() {
        let partial = path.with_extension("partial");
        // Of a run that was interrupted.
        for rest in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{rest}", partial.display()));
        }
        fill(&partial)?;
        fs::rename(&partial, &path).context("keeping the filled store")?;
    }
    Ok(path)
}

/// A fingerprint of the tables and indices.
fn schema(path: &Path) -> Result<u64> {
    let database = rusqlite::Connection::open(path).context("looking at the schema")?;
    let mut statement = database.prepare("SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut hasher = std::hash::DefaultHasher::new();
    rows.collect::<rusqlite::Result<Vec<_>>>()?.hash(&mut hasher);
    Ok(hasher.finish())
}
