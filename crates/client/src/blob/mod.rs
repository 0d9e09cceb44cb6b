//! Blobs on their way: up with resume (`upload`), down with resume (`download`). Not here: which ones and when (`sync`).

pub(crate) mod download;
pub(crate) mod upload;

use std::path::Path;

use aws_lc_rs::digest;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::error::Error;

/// One read of a file.
const READ_BYTES: usize = 64 * 1024;

/// Size and SHA-256 of a file.
pub(crate) async fn fingerprint(path: &Path) -> Result<(u64, [u8; 32]), Error> {
    let failed = |error: std::io::Error| Error::File(format!("{}: {error}", path.display()));
    let mut file = File::open(path).await.map_err(failed)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0_u64;
    loop {
        let read = file.read(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        context.update(buffer.get(..read).unwrap_or_default());
        size = size.saturating_add(read as u64);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok((size, hash))
}

/// The type that a file's name suggests. The server looks at the content and has the last word.
pub(crate) fn mime_of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ogg" | "opus" | "oga" => "audio/ogg",
        "webm" => "audio/webm",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "txt" | "md" | "log" => "text/plain",
        _ => "application/octet-stream",
    }
}
