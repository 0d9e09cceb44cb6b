//! The browser client, as built by `make` into `ui/dist`, embedded into the binary, and what browsers are to be told of it.
//!
//! Not here: HTTP. `signaling` asks for a path and answers with what it gets.

mod headers;

use std::borrow::Cow;

pub use headers::headers;

/// Everything under `ui/dist` at compile time; empty where the browser client was not built.
#[derive(rust_embed::RustEmbed)]
#[folder = "ui/dist"]
struct Dist;

/// One embedded file.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Media type, from the file's name.
    pub mime: String,
    /// The bytes.
    pub bytes: Cow<'static, [u8]>,
    /// SHA-256 of the bytes, hexadecimal: fit for an HTTP entity tag once quoted.
    pub sha256: String,
}

/// The file at `path`, relative to the root of the client and without a leading `/`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    let sha256 = file.metadata.sha256_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Asset { mime: file.metadata.mimetype().to_owned(), bytes: file.data, sha256 })
}

/// The page that every route of the client starts from. `None`: this binary was built without the client.
#[must_use]
pub fn index() -> Option<Asset> {
    asset("index.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_served() {
        for path in ["", "/", "../Cargo.toml", "../../Cargo.toml", "/etc/passwd", "no-such-file.js"] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_index_is_a_page_where_there_is_one() {
        let Some(page) = index() else { return assert_eq!(Dist::iter().count(), 0, "files without an index.html") };
        assert_eq!((page.mime.as_str(), page.sha256.len()), ("text/html", 64));
        assert!(page.bytes.windows(5).any(|window| window.eq_ignore_ascii_case(b"<html")));
    }
}
