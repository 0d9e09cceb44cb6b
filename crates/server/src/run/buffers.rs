//! How much the system lets a socket hold. The media ports ask for 8 MiB and get what is allowed, by default a fortieth of it: a
//! keyframe to hundreds at once is more.

use std::fs;
use std::path::Path;

use tracing::warn;

/// What a room of hundreds gets along with.
const ENOUGH_BYTES: u64 = 2 * 1024 * 1024;

/// Says so where it is too little.
pub(super) fn look() {
    let allowed = ["rmem_max", "wmem_max"].map(|name| allowed(Path::new("/proc/sys/net/core"), name));
    if let Some(bytes) = allowed.into_iter().flatten().min().filter(|bytes| *bytes < ENOUGH_BYTES) {
        warn!(
            bytes,
            "sockets may hold little: in rooms of hundreds packets get lost (sysctl net.core.rmem_max=8388608 net.core.wmem_max=8388608)"
        );
    }
}

/// `None`: another system than Linux, or a container that does not show it.
fn allowed(folder: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_and_anything_else_is_none() {
        let folder = std::env::temp_dir().join(format!("convene-buffers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (text, want) in [("212992\n", Some(212_992)), ("", None), ("many", None)] {
            fs::write(folder.join("rmem_max"), text).unwrap();
            assert_eq!(allowed(&folder, "rmem_max"), want, "{text:?}");
        }
        assert_eq!(allowed(&folder, "wmem_max"), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
