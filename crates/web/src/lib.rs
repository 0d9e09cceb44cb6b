//! The browser client, as built by `make` into `ui/dist`, embedded into the binary, and what browsers are to be told of it.
//!
//! Not here: HTTP. `signaling` asks for a path and answers with what it gets.

mod coding;
mod headers;

use std::borrow::Cow;

pub use coding::Coding;
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
    /// The bytes, packed by `coding`.
    pub bytes: Cow<'static, [u8]>,
    /// `None`: as they are.
    pub coding: Option<Coding>,
    /// SHA-256 of `bytes`, hexadecimal: fit for an HTTP entity tag once quoted.
    pub sha256: String,
}

/// The file at `path`, relative to the root of the client and without a leading `/`: by the first of `codings` that it was
/// packed by, otherwise as it is.
#[must_use]
pub fn asset(path: &str, codings: &[Coding]) -> Option<Asset> {
    let plain = Dist::get(path)?;
    let mime = plain.metadata.mimetype().to_owned();
    let packed = codings.iter().find_map(|&coding| Some((Dist::get(&coding.name_of(path))?, Some(coding))));
    let (file, coding) = packed.unwrap_or((plain, None));
    let sha256 = file.metadata.sha256_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Asset { mime, bytes: file.data, coding, sha256 })
}

/// The page that every route of the client starts from. `None`: this binary was built without the client.
#[must_use]
pub fn index() -> Option<Asset> {
    asset("index.html", &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_served() {
        for path in ["", "/", "../Cargo.toml", "../../Cargo.toml", "/etc/passwd", "no-such-file.js"] {
            assert!(asset(path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn scripts_are_there_packed_and_as_they_are() {
        for path in Dist::iter().filter(|path| path.ends_with(".js")) {
            let plain = asset(&path, &[]).unwrap();
            assert_eq!(plain.coding, None);
            for coding in [Coding::Brotli, Coding::Gzip] {
                let packed = asset(&path, &[coding]).unwrap();
                assert_eq!((packed.coding, &packed.mime), (Some(coding), &plain.mime), "{path}");
                assert!(packed.bytes.len() < plain.bytes.len() / 2 && packed.sha256 != plain.sha256, "{path}");
            }
        }
    }

    #[test]
    fn the_index_is_a_page_where_there_is_one() {
        let Some(page) = index() else { return assert_eq!(Dist::iter().count(), 0, "files without an index.html") };
        assert_eq!((page.mime.as_str(), page.sha256.len()), ("text/html", 64));
        assert!(page.bytes.windows(5).any(|window| window.eq_ignore_ascii_case(b"<html")));
    }
}
