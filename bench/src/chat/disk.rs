//! The disk under the run: where its files go, and what one durable write costs there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::chat::stats::Latency;

/// What the probe writes at a time: a page of the store.
const PROBE_BYTES: usize = 4096;
/// Names of file systems that lose everything with the power: a durable write costs nothing there.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// A directory for this run, removed when dropped.
pub fn scratch(parent: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    if let Some(kind) = file_system(parent)?.filter(|kind| IN_MEMORY.contains(&kind.as_str())) {
        bail!("{} is on {kind}, where durability costs nothing: give --dir on a disk", parent.display());
    }
    tempfile::Builder::new().prefix("run-").tempdir_in(parent).context("making a directory for the run")
}

/// Appends 4 KiB and waits for the disk, again and again for `span`.
pub fn probe(directory: &Path, span: Duration) -> Result<Latency> {
    let path = directory.join("probe");
    let mut file = File::create(&path).context("making the probe's file")?;
    let (page, start, mut latency) = ([0x5a; PROBE_BYTES], Instant::now(), Latency::default());
    while start.elapsed() < span {
        let began = Instant::now();
        file.write_all(&page).context("writing the probe")?;
        file.sync_data().context("fdatasync of the probe")?;
        latency.record(began.elapsed());
    }
    fs::remove_file(path).context("removing the probe's file")?;
    Ok(latency)
}

/// The kind of file system that holds a directory, where the kernel says so.
fn file_system(directory: &Path) -> Result<Option<String>> {
    let directory = fs::canonicalize(directory).context("finding the directory of the run")?;
    let Ok(mounts) = fs::read_to_string("/proc/mounts") else { return Ok(None) };
    Ok(kind_of(&mounts, &directory))
}

/// The mount with the longest matching path; of two at the same place, the later one is on top.
fn kind_of(mounts: &str, directory: &Path) -> Option<String> {
    let rows = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?.to_owned()))
    });
    let holding = rows.filter(|(at, _)| directory.starts_with(at));
    holding.max_by_key(|(at, _)| at.components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n";
        for (at, want) in [("/work", "ext4"), ("/tmp/x", "tmpfs"), ("/tmp/disk/x", "xfs"), ("/tmpx", "ext4")] {
            assert_eq!(kind_of(mounts, Path::new(at)).as_deref(), Some(want), "{at}");
        }
        assert_eq!(kind_of("", Path::new("/work")), None);
    }
}
