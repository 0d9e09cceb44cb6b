//! CPU time and memory of processes and threads, from `/proc`.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use core_affinity::CoreId;

/// CPU time of every thread of a process, in nanosecond resolution (`schedstat`; `stat` counts in 10 ms ticks).
pub fn of_process(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing the server's threads")? {
        let path = task?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        total += fs::read_to_string(path).ok().and_then(|text| first_number(&text)).unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}

/// CPU time of the calling thread.
pub fn of_this_thread() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("reading this thread's CPU time")?;
    Ok(Duration::from_nanos(first_number(&text).context("schedstat is empty")?))
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("reading the server's memory")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS line")?;
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).context("VmRSS is no number")
}

/// Pins the calling thread (and threads that it starts) to one of the cores this process was started on, by its
/// place among them.
pub fn pin(core: usize) {
    // Asked once, before the first pin: a pinned thread is told of its own core only, and could never be moved off it.
    static CORES: LazyLock<Vec<CoreId>> = LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());
    if let Some(id) = CORES.get(core) {
        core_affinity::set_for_current(*id);
    }
}

/// Starts a process on one of those cores, wherever the calling thread is. It inherits the core from a thread that is there for
/// nothing else.
pub fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    let spawn = || {
        pin(core);
        command.spawn()
    };
    std::thread::scope(|scope| scope.spawn(spawn).join()).unwrap_or_else(|_| Err(io::Error::other("it panicked")))
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
