//! Status, code and headers of answers that need no room, through the real router.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::token::{Minter, Verifier};

fn minter() -> Minter {
    Minter::new("devkey", "secret")
}

fn app(dev: bool) -> Router {
    counted(dev, Arc::default())
}

fn counted(dev: bool, metrics: Arc<Metrics>) -> Router {
    finish(routes(dev.then(minter)), metrics, &[])
}

async fn call(
    app: Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn refusals_are_problem_documents_with_codes() {
    let long = format!("/settings/regions?access_token={}", "a".repeat(limits::MAX_REQUEST_TARGET_BYTES));
    let large = "a".repeat(MAX_BODY_BYTES + 1);
    let rows = [
        ("GET", "/rtc/unknown", "", 404, "not_found"),
        ("GET", "/v1/unknown", "", 404, "not_found"),
        ("GET", "/no-such-file.js", "", 404, "not_found"),
        ("POST", "/settings/regions", "", 405, "method_not_allowed"),
        ("POST", "/", "", 405, "method_not_allowed"),
        ("GET", long.as_str(), "", 414, "request_target_too_long"),
        ("POST", "/dev/token", large.as_str(), 413, "body_refused"),
        ("POST", "/dev/token", "{", 400, "bad_request"),
        ("POST", "/dev/token", r#"{"room":"r"}"#, 400, "bad_request"),
        ("POST", "/dev/token", r#"{"room":"","name":"n"}"#, 400, "bad_request"),
        ("POST", "/dev/token", r#"{"room":"r","name":" "}"#, 400, "bad_request"),
    ];
    for (method, uri, body, status, code) in rows {
        let (got, headers, text) = call(app(true), method, uri, &[], body).await;
        let uri = uri.get(..40).unwrap_or(uri);
        assert_eq!(got.as_u16(), status, "{method} {uri} {text}");
        assert_eq!(headers["content-type"], "application/problem+json", "{method} {uri}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{method} {uri}");
        assert_eq!(headers.contains_key("allow"), status == 405, "{method} {uri}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())));
    }
}

#[tokio::test]
async fn preflights_pass_everywhere() {
    for uri in ["/settings/regions", "/", "/twirp/livekit.RoomService/ListRooms"] {
        let asked = [
            ("origin", "https://example.org"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let (status, headers, _) = call(app(false), "OPTIONS", uri, &asked, "").await;
        assert!(status.is_success(), "{uri} {status}");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["access-control-allow-headers"], "authorization,content-type");
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));
    }
}

#[tokio::test]
async fn development_tokens_need_a_development_server() {
    let body = r#"{"room":"daily","name":"Ada"}"#;
    let headers = [("host", "localhost:7880"), ("content-type", "application/json")];
    let (status, ..) = call(app(false), "POST", "/dev/token", &headers, body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let mut identities = Vec::new();
    for _ in 0..2 {
        let (status, _, text) = call(app(true), "POST", "/dev/token", &headers, body).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let seat: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seat["url"], "ws://localhost:7880");
        let verifier = Verifier::new(HashMap::from([("devkey".to_owned(), "secret".to_owned())]));
        let claims = verifier.verify(seat["token"].as_str().unwrap()).unwrap();
        assert_eq!((claims.require_join(""), claims.name.as_str()), (Ok("daily"), "Ada"));
        identities.push(claims.identity);
    }
    assert_ne!(identities[0], identities[1]);
}

#[tokio::test]
async fn the_client_or_a_page_that_says_it_is_missing() {
    for uri in ["/", "/room/daily"] {
        let (status, headers, body) = call(app(false), "GET", uri, &[], "").await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(body.contains("<html"), "{uri} {body}");
        if convene_web::index().is_none() {
            assert!(body.contains("without the browser client"), "{body}");
            assert_eq!(headers["cache-control"], "no-store");
            continue;
        }
        assert_eq!(headers["cache-control"], "no-cache");
        let etag = headers["etag"].to_str().unwrap().to_owned();
        let (status, _, body) = call(app(false), "GET", uri, &[("if-none-match", &etag)], "").await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    }
}

#[tokio::test]
async fn scripts_go_packed_to_whom_takes_them() {
    if convene_web::index().is_none() {
        return;
    }
    let (_, _, page) = call(app(false), "GET", "/", &[], "").await;
    let script = page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    let mut seen = Vec::new();
    for (takes, coding) in [("gzip, deflate, br", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
        let (status, headers, body) = call(app(false), "GET", script, &[("accept-encoding", takes)], "").await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (StatusCode::OK, "text/javascript; charset=utf-8")
        );
        assert_eq!(headers.get("content-encoding").map(|value| value.to_str().unwrap()), coding);
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        let vary = headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("accept-encoding"));
        assert!(vary, "{headers:?}");
        seen.push((headers["etag"].clone(), body.len()));
    }
    seen.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(seen.len(), 3, "each has a tag of its own");
}

#[tokio::test]
async fn browsers_hold_the_client_to_its_own_host() {
    let policy = async |host: &str| {
        let (_, headers, _) = call(app(false), "GET", "/", &[("host", host)], "").await;
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=(self)"));
        headers["content-security-policy"].to_str().unwrap().to_owned()
    };
    let ours = policy("chat.example:7880").await;
    for part in ["script-src 'self';", "frame-ancestors 'none'", "wss://chat.example:7880", "https://chat.example:*"] {
        assert!(ours.contains(part), "{part} in {ours}");
    }
    assert!(policy("x; connect-src *").await.ends_with("connect-src 'self'"));
    // What is no file of the client is not touched.
    let (_, headers, _) = call(app(false), "GET", "/settings/regions", &[], "").await;
    assert!(!headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn regions_are_answered() {
    let (status, _, body) = call(app(false), "GET", "/settings/regions", &[], "").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"regions":[]}"#));
}

#[tokio::test]
async fn requests_and_refusals_are_counted() {
    let metrics: Arc<Metrics> = Arc::default();
    for uri in ["/no-such-file.js", "/settings/regions"] {
        call(counted(true, Arc::clone(&metrics)), "GET", uri, &[], "").await;
    }
    for body in ["{", "[]"] {
        call(counted(true, Arc::clone(&metrics)), "POST", "/dev/token", &[], body).await;
    }
    let requests = |route: &str, status: &str| metrics.http_requests.with_label_values(&[route, status]).get();
    assert_eq!(requests("/dev/token", "400"), 2);
    assert_eq!((requests("other", "404"), requests("/settings/regions", "200")), (1, 1));
    for (code, count) in [("bad_request", 2), ("not_found", 1)] {
        assert_eq!(metrics.refused.with_label_values(&[code]).get(), count, "{code}");
    }
}
