//! Which files go into an archive: each once, and no more than somebody can carry away.

use std::collections::HashMap;

use convene_types::{ConvId, OrgId, UserId};

/// Bytes of files in one archive: without extensions of ZIP, it may have 4 GiB. More files are named, and left out.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Files in one archive: what is known of each is held in memory until it is written.
const MAX_FILES: usize = 20_000;

/// Where a file is found again.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) org: OrgId,
    pub(super) user: UserId,
    /// The conversation that shows it; none: it is one's own.
    pub(super) conv: Option<ConvId>,
    pub(super) id: Vec<u8>,
    pub(super) path: String,
}

#[derive(Default)]
pub(super) struct Files {
    places: HashMap<(OrgId, Vec<u8>), Option<usize>>,
    found: Vec<Found>,
    bytes: u64,
    pub(super) left_out: u64,
}

impl Files {
    /// Where a file will be in the archive; none: it is left out.
    pub(super) fn path(&mut self, of: Found, size: u64, mime: &str) -> Option<&str> {
        let key = (of.org, of.id.clone());
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                let place = self.admit(of, size, mime);
                // What is left out is remembered too, so that it is counted once; not without end.
                if self.places.len() < 2 * MAX_FILES {
                    self.places.insert(key, place);
                }
                place
            }
        };
        place.and_then(|place| self.found.get(place)).map(|found| found.path.as_str())
    }

    fn admit(&mut self, of: Found, size: u64, mime: &str) -> Option<usize> {
        let bytes = self.bytes.saturating_add(size);
        if bytes > MAX_BYTES || self.found.len() >= MAX_FILES {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.bytes = bytes;
        let name: String = of.id.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("files/{}-{name}.{}", of.org, extension(mime));
        self.found.push(Found { path, ..of });
        Some(self.found.len().saturating_sub(1))
    }

    /// All of them, once no more come.
    pub(super) fn take(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
    }
}

/// How files of a type end. What a computer would run is never called so.
pub(super) fn extension(mime: &str) -> &'static str {
    match mime {
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "audio/ogg" => "ogg",
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "text/plain" => "txt",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u8) -> Found {
        Found { org: OrgId(1), user: UserId(2), conv: Some(ConvId(3)), id: vec![id], path: String::new() }
    }

    #[test]
    fn a_file_is_there_once_and_too_many_bytes_are_left_out() {
        let mut files = Files::default();
        assert_eq!(files.path(found(1), 10, "image/png"), Some("files/1-01.png"));
        assert_eq!(files.path(found(1), 10, "image/png"), Some("files/1-01.png"));
        assert_eq!(files.path(found(2), MAX_BYTES - 10, "text/html"), Some("files/1-02.bin"));
        for _ in 0..2 {
            assert_eq!(files.path(found(3), 1, "image/png"), None);
        }
        assert_eq!((files.left_out, files.take().len()), (1, 2));
    }
}
