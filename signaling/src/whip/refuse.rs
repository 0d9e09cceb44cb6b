//! What the room's and the media plane's refusals are in HTTP.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::Problem;
use crate::rooms::Error;

/// A room's refusal. RFC 9725 §4.5: a server without capacity answers 503.
pub(super) fn room(error: &Error) -> Problem {
    let status = match error {
        Error::RoomNotFound | Error::ParticipantNotFound | Error::TrackNotFound => StatusCode::NOT_FOUND,
        Error::NotAllowed(_) => StatusCode::FORBIDDEN,
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::WrongMode | Error::Taken(_) => StatusCode::CONFLICT,
        Error::RoomFull | Error::Limit(_) | Error::Closed | Error::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Error::Media(error) => media(error),
    };
    Problem::new(status, error.code(), error.to_string())
}

/// An offer that is no SDP is a bad request; one that is, and cannot be served, is unprocessable.
fn media(error: &convene_sfu::Error) -> StatusCode {
    match error {
        convene_sfu::Error::BadSdp { code: "sdp_malformed" | "fragment_malformed", .. } => StatusCode::BAD_REQUEST,
        convene_sfu::Error::BadSdp { code: "sdp_too_large", .. } => StatusCode::PAYLOAD_TOO_LARGE,
        convene_sfu::Error::BadSdp { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        convene_sfu::Error::NoSuchPeer | convene_sfu::Error::NoSuchTrack => StatusCode::NOT_FOUND,
        convene_sfu::Error::Limit { .. } | convene_sfu::Error::Closed | _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The body as text, of the media type the protocol asks for.
pub(super) fn text(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    media_type: &'static str,
) -> Result<String, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(media_type) {
        let detail = format!("the body has to be {media_type}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let body = body.map_err(|refused| Problem::new(refused.status(), "body_refused", refused.body_text()))?;
    let text = String::from_utf8(body.to_vec()).map_err(|_| malformed("the body is no UTF-8"))?;
    if text.trim().is_empty() { Err(malformed("the body is empty")) } else { Ok(text) }
}

/// RFC 9110 §15.5.16: a 415 names what would have been taken.
pub(super) fn with_accepted(problem: Problem, header: &'static str, media_type: &'static str) -> Response {
    if problem.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return ([(header, media_type)], problem).into_response();
    }
    problem.into_response()
}

/// A body that is no SDP.
pub(super) fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "sdp_malformed", detail)
}
