//! Files over HTTP: uploads in pieces that go on after a cut, downloads by range. By token, or by an address that a client
//! was given for a while.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use convene_im::wire::{BlobBegin, BlobDone, BlobPart, BlobRef, BlobStatus, Code};
use convene_im::{Asker, Blob, Caller, Handle, Refusal};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::range::{self, Range};
use crate::http::{Problem, bearer};

/// Where a piece belongs.
const UPLOAD_OFFSET: &str = "upload-offset";
/// Read from the store at once while a download goes on.
const PIECE_BYTES: u64 = 256 * 1024;
/// Types that a browser may show in place. Everything else is saved: what users upload must not run in our origin.
const SHOWN: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// `POST /im/blobs`.
#[derive(Deserialize)]
pub(super) struct Begin {
    sha256: String,
    size: u64,
    #[serde(default)]
    mime: String,
    #[serde(default)]
    voice: bool,
}

#[derive(Serialize)]
pub(super) struct Status {
    upload: String,
    offset: u64,
    complete: bool,
}

#[derive(Serialize)]
pub(super) struct Done {
    id: String,
    size: u64,
    mime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<Voice>,
}

#[derive(Serialize)]
struct Voice {
    duration_ms: u32,
    loudness_dlufs: i32,
    waveform: Vec<u8>,
}

/// Begins an upload, or says where it stands.
pub(super) async fn begin(
    State(chat): State<Handle>,
    headers: HeaderMap,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Status>, Problem> {
    let caller = sign_in(&chat, &headers, &uri).await?;
    let begin: Begin = serde_json::from_slice(&taken(body)?).map_err(|error| bad_request(error.to_string()))?;
    let sha256 = Bytes::from(unhex(&begin.sha256).ok_or_else(|| bad_request("sha256 has 64 hex digits"))?);
    let begin = BlobBegin { sha256, size: begin.size, mime: begin.mime, voice: begin.voice };
    let status = chat.blob_begin(caller, &begin).await.map_err(problem)?;
    Ok(Json(shown(&status)))
}

/// Takes the piece that begins at `Upload-Offset`.
pub(super) async fn part(
    State(chat): State<Handle>,
    Path(upload): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Status>, Problem> {
    let caller = sign_in(&chat, &headers, &uri).await?;
    let offset = headers.get(UPLOAD_OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
    let offset = offset.ok_or_else(|| bad_request("the header Upload-Offset says where the piece begins"))?;
    let part = BlobPart { upload_id: id(&upload)?, offset, data: taken(body)?, sha256: Bytes::new() };
    let status = chat.blob_part(caller, part).await.map_err(problem)?;
    Ok(Json(shown(&status)))
}

/// Makes it a blob.
pub(super) async fn commit(
    State(chat): State<Handle>,
    Path(upload): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Done>, Problem> {
    let caller = sign_in(&chat, &headers, &uri).await?;
    let BlobDone { blob, voice } = chat.blob_commit(caller, &id(&upload)?).await.map_err(problem)?;
    let BlobRef { id, size, mime, .. } = blob.unwrap_or_default();
    let voice = voice.map(|voice| Voice {
        duration_ms: voice.duration_ms,
        loudness_dlufs: voice.loudness_dlufs,
        waveform: voice.waveform.to_vec(),
    });
    Ok(Json(Done { id: hex(&id), size, mime, voice }))
}

/// `GET /im/blobs/{id}`.
#[derive(Deserialize)]
pub(super) struct Wish {
    conv: u64,
    user: Option<u64>,
    exp: Option<i64>,
    sig: Option<String>,
}

/// Serves a blob, whole or by range.
pub(super) async fn get(
    State(chat): State<Handle>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let asker = match (&wish.sig, wish.user, wish.exp) {
        (Some(sig), Some(user), Some(expires_ms)) => Asker::Signed { user, expires_ms, sig },
        _ => Asker::Caller(sign_in(&chat, &headers, &uri).await?),
    };
    let blob = chat.blob(asker, wish.conv, &id).await.map_err(problem)?;
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    Ok(serve(chat, blob, asked))
}

fn serve(chat: Handle, blob: Blob, asked: Option<&str>) -> Response {
    let content = blob.content();
    let range = match range::read(asked, content.size) {
        Range::Whole => None,
        Range::Part(first, last) => Some((first, last)),
        Range::Beyond => {
            let length = [(header::CONTENT_RANGE, format!("bytes */{}", content.size))];
            return (length, Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_beyond_end", "behind the end"))
                .into_response();
        }
    };
    let (first, end) = range.map_or((0, content.size), |(first, last)| (first, last.saturating_add(1)));
    let mut response = Response::new(Body::from_stream(pieces(chat, blob, first, end)));
    let headers = response.headers_mut();
    let text =
        |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end.saturating_sub(first)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    let inline = SHOWN.contains(&content.mime.as_str()) || content.mime.starts_with("audio/");
    let disposition = if inline { "inline" } else { "attachment" };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    if let Some((first, last)) = range {
        headers.insert(header::CONTENT_RANGE, text(format!("bytes {first}-{last}/{}", content.size)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, text(content.mime));
    response
}

/// The bytes from `first` to before `end`, read as the client takes them.
fn pieces(chat: Handle, blob: Blob, first: u64, end: u64) -> impl stream::Stream<Item = Result<Bytes, Refusal>> {
    stream::try_unfold((chat, blob, first), move |(chat, blob, at)| async move {
        let data = chat.blob_read(&blob, at, PIECE_BYTES.min(end.saturating_sub(at))).await?;
        let next = at.saturating_add(u64::try_from(data.len()).unwrap_or(0));
        Ok((!data.is_empty()).then_some((data, (chat, blob, next))))
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Org {
    org: String,
}

async fn sign_in(chat: &Handle, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Problem> {
    // With seats in several organisations, the request says in whose name it asks.
    let org = Query::<Org>::try_from_uri(uri).map(|query| query.0.org).unwrap_or_default();
    chat.sign_in(&bearer(headers, uri), &org).await.map_err(problem)
}

fn taken(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|refused| Problem::new(refused.status(), "body_refused", refused.body_text()))
}

fn shown(status: &BlobStatus) -> Status {
    Status { upload: hex(&status.upload_id), offset: status.offset, complete: status.complete }
}

fn id(upload: &str) -> Result<Bytes, Problem> {
    unhex(upload).map(Bytes::from).ok_or_else(|| Problem::not_found("no such upload"))
}

fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}

/// Refusals as HTTP has them. What is not here is a mistake of the server.
const STATUS: [(Code, StatusCode, &str); 16] = [
    (Code::NoSeat, StatusCode::FORBIDDEN, "no_seat"),
    (Code::Unauthenticated, StatusCode::UNAUTHORIZED, "unauthenticated"),
    (Code::Forbidden, StatusCode::FORBIDDEN, "forbidden"),
    (Code::UnknownConversation, StatusCode::NOT_FOUND, "unknown_conversation"),
    (Code::NotAMember, StatusCode::FORBIDDEN, "not_a_member"),
    (Code::UnknownBlob, StatusCode::NOT_FOUND, "unknown_blob"),
    (Code::UnknownUpload, StatusCode::NOT_FOUND, "unknown_upload"),
    (Code::BadOffset, StatusCode::CONFLICT, "bad_offset"),
    (Code::BlobTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "blob_too_large"),
    (Code::HashMismatch, StatusCode::UNPROCESSABLE_ENTITY, "hash_mismatch"),
    (Code::BadType, StatusCode::UNPROCESSABLE_ENTITY, "bad_type"),
    (Code::BadVoice, StatusCode::UNPROCESSABLE_ENTITY, "bad_voice"),
    (Code::VoiceTooLong, StatusCode::UNPROCESSABLE_ENTITY, "voice_too_long"),
    (Code::Flood, StatusCode::TOO_MANY_REQUESTS, "flood"),
    (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    (Code::Malformed, StatusCode::BAD_REQUEST, "malformed"),
];

fn problem(refusal: Refusal) -> Problem {
    let row = STATUS.iter().find(|(code, _, _)| *code == refusal.code);
    let (status, code) =
        row.map_or((StatusCode::INTERNAL_SERVER_ERROR, "internal"), |(_, status, code)| (*status, code));
    Problem::new(status, code, refusal.text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(byte).collect()
}
