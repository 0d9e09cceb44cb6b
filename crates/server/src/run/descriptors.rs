//! How many files and sockets the process may have open. Shells and service managers start programs with a soft limit of 1,024
//! (so that `select` is safe in them); who may go up to the hard limit should.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Fewer than this are soon taken by a busy server.
const FEW: u64 = 4_096;
/// The most that is kept back from HTTP.
const MOST_KEPT: u64 = 4_096;

/// Raises the limit as far as it goes. Answers what it is then.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = &raised {
        debug!(%error, "the limit of open files stays as it is"); // macOS takes no "unlimited" here
    }
    let limit = if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX);
    if limit < FEW {
        warn!(limit, "few open files are allowed (ulimit -n): each connection over HTTP or TCP takes one");
    }
    limit
}

/// How many connections the HTTP port may have: the store, files, media over TCP, other servers that are asked and the
/// operator's port have the rest.
pub(super) fn for_http(limit: u64) -> usize {
    usize::try_from(limit - (limit / 4).min(MOST_KEPT)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_leaves_some_for_the_others() {
        for (limit, places) in [(100, 75), (1_024, 768), (20_000, 15_904), (1_048_576, 1_044_480)] {
            assert_eq!(for_http(limit), places);
        }
    }
}
