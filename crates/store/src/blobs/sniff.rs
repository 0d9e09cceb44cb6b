//! What kind of content this is, by looking at its first bytes. What a client says counts only where it refines what was
//! found. What a browser would run is never called by its name.

/// Bytes from the start that are enough for every row.
pub(super) const HEAD_BYTES: usize = 1024;
/// For what is not known, and for what must not be opened in place.
const OPAQUE: &str = "application/octet-stream";

/// Offset, bytes there, type.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "audio/ogg"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    // Programs, by any name.
    (0, b"MZ", OPAQUE),
    (0, b"\x7fELF", OPAQUE),
    (0, b"\xca\xfe\xba\xbe", OPAQUE),
    (0, b"\xcf\xfa\xed\xfe", OPAQUE),
    (0, b"#!", OPAQUE),
];

/// What was found, and what a client may call it more exactly (a trailing `*` takes every name that begins so).
const REFINED: &[(&str, &[&str])] = &[
    ("application/zip", &["application/vnd.openxmlformats-*", "application/vnd.oasis.*", "application/epub+zip"]),
    ("video/webm", &["audio/webm", "video/x-matroska"]),
    ("audio/ogg", &["video/ogg"]),
    ("video/mp4", &["audio/mp4"]),
    ("text/plain", &["text/csv", "text/markdown", "application/json"]),
];

/// Beginnings of text that a browser would run.
const MARKUP: &[&str] = &["<!doctype", "<html", "<head", "<body", "<script", "<svg", "<?xml", "<iframe", "<!--"];

/// The type of content that begins with `head`.
pub(super) fn sniff(head: &[u8], declared: &str) -> String {
    let matches = |(at, magic, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    let found = MAGIC.iter().find(matches).map_or_else(|| text_or_opaque(head), |(_, _, mime)| mime);
    let refinements = REFINED.iter().filter(|(mime, _)| *mime == found).flat_map(|(_, names)| names.iter());
    let mut refinements = refinements.filter(|name| match name.strip_suffix('*') {
        Some(prefix) => declared.starts_with(prefix) && declared.len() < 128 && declared.is_ascii(),
        None => **name == declared,
    });
    if refinements.next().is_some() { declared.to_owned() } else { found.to_owned() }
}

fn text_or_opaque(head: &[u8]) -> &'static str {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return OPAQUE,
    };
    if text.is_empty() || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return OPAQUE;
    }
    let begin = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']).to_ascii_lowercase();
    if MARKUP.iter().any(|markup| begin.starts_with(markup)) { OPAQUE } else { "text/plain" }
}

#[cfg(test)]
mod tests {
    use super::sniff;

    #[test]
    fn content_decides_and_nothing_that_runs_is_named() {
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        let rows: &[(&[u8], &str, &str)] = &[
            (b"\x89PNG\r\n\x1a\n....", "text/html", "image/png"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "", "image/webp"),
            (b"\0\0\0\x20ftypisom", "", "video/mp4"),
            (b"\0\0\0\x20ftypM4A ", "", "audio/mp4"),
            (b"\x1a\x45\xdf\xa3", "audio/webm", "audio/webm"),
            (b"\x1a\x45\xdf\xa3", "text/html", "video/webm"),
            (b"PK\x03\x04", docx, docx),
            (b"PK\x03\x04", "image/png", "application/zip"),
            (b"hello, world\n", "", "text/plain"),
            (b"a,b\n1,2\n", "text/csv", "text/csv"),
            ("gr\u{fc}n".as_bytes(), "", "text/plain"),
            (b"  <!DOCTYPE html><p>", "text/plain", "application/octet-stream"),
            (b"<svg xmlns='x'>", "image/svg+xml", "application/octet-stream"),
            (b"\xef\xbb\xbf<script>", "", "application/octet-stream"),
            (b"MZ\x90\0", "image/png", "application/octet-stream"),
            (b"#!/bin/sh", "text/plain", "application/octet-stream"),
            (b"\x01\x02\x03", "image/png", "application/octet-stream"),
            (b"", "image/png", "application/octet-stream"),
        ];
        for (content, declared, want) in rows {
            assert_eq!(sniff(content, declared), *want, "{content:?} as {declared}");
        }
    }
}
