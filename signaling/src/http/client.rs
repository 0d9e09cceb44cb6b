//! The embedded browser client, wherever no other route matches.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use convene_web::{Asset, Coding};

use super::Problem;

/// First path segments that belong to the server: an unknown address below them is an error, not a page of the client.
const RESERVED: [&str; 9] = ["rtc", "twirp", "whip", "whep", "settings", "dev", "agent", "im", "v1"];
/// Vite names files below `assets/` by a hash of their contents, so they never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Everything else is asked for again each time, and mostly answered with 304.
const REVALIDATE: &str = "no-cache";

const NO_CLIENT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Convene</title>\
    <h1>Convene is running</h1>\
    <p>This binary was built without the browser client. Run <code>make build</code>, which builds it first, or connect \
    with a client SDK.</p></html>";

/// A file of the client; its start page for an address that looks like one of the client's own pages.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if RESERVED.contains(&first) {
        return Problem::not_found("no such address").into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only GET and HEAD here")
            .with_allow("GET, HEAD");
    }
    let codings = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).map(Coding::accepted);
    if let Some(asset) = convene_web::asset(path, &codings.unwrap_or_default()) {
        return guarded(file(asset, path.starts_with("assets/"), &headers), &headers);
    }
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return Problem::not_found("no such file").into_response();
    }
    let page = match convene_web::index() {
        Some(page) => file(page, false, &headers),
        None => ([(header::CACHE_CONTROL, "no-store")], Html(NO_CLIENT)).into_response(),
    };
    guarded(page, &headers)
}

/// With what browsers are to hold the client to. An answer 304 has it too: it renews what a browser has kept.
fn guarded(mut response: Response, asked: &HeaderMap) -> Response {
    let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    for (name, value) in convene_web::headers(host) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn file(asset: Asset, immutable: bool, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", asset.sha256);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let cache = if immutable { IMMUTABLE } else { REVALIDATE };
    // A cache that keeps it asks again for somebody who takes other codings.
    let common = [
        (header::ETAG, etag.as_str()),
        (header::CACHE_CONTROL, cache),
        (header::VARY, header::ACCEPT_ENCODING.as_str()),
    ];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let typed = [(header::CONTENT_TYPE, content_type(&asset.mime))];
    let packed = asset.coding.map(|coding| [(header::CONTENT_ENCODING, coding.name())]);
    let bytes = match asset.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    (common, typed, packed, bytes).into_response()
}

/// Text without a charset is read as something else than UTF-8 by some browsers.
fn content_type(mime: &str) -> String {
    if mime.starts_with("text/") { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}
