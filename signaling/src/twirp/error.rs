//! Twirp errors: `{"code", "msg", "meta"}` in JSON whatever the request's format, with the HTTP status of each code as in
//! the Twirp wire protocol v7, "Error Codes".

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::Refused;
use crate::rooms;
use crate::token::AuthError;

/// A refused call.
#[derive(Clone, Debug)]
pub(super) struct Error {
    code: &'static str,
    status: StatusCode,
    message: String,
    /// Our own stable code, finer than Twirp's.
    detail: Option<&'static str>,
}

impl Error {
    fn new(code: &'static str, status: StatusCode, message: String) -> Self {
        Self { code, status, message, detail: None }
    }

    pub(super) fn bad_route(message: String) -> Self {
        Self::new("bad_route", StatusCode::NOT_FOUND, message)
    }

    pub(super) fn malformed(message: String) -> Self {
        Self::new("malformed", StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unimplemented(message: String) -> Self {
        Self::new("unimplemented", StatusCode::NOT_IMPLEMENTED, message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new("invalid_argument", StatusCode::BAD_REQUEST, message.to_owned())
    }

    pub(super) fn precondition(message: &str) -> Self {
        Self::new("failed_precondition", StatusCode::PRECONDITION_FAILED, message.to_owned())
    }

    pub(super) fn internal() -> Self {
        Self::new("internal", StatusCode::INTERNAL_SERVER_ERROR, "the server failed".to_owned())
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        let (code, status) = match error.status() {
            401 => ("unauthenticated", StatusCode::UNAUTHORIZED),
            403 => ("permission_denied", StatusCode::FORBIDDEN),
            _ => ("invalid_argument", StatusCode::BAD_REQUEST),
        };
        Self { detail: Some(error.code), ..Self::new(code, status, error.reason) }
    }
}

impl From<rooms::Error> for Error {
    fn from(error: rooms::Error) -> Self {
        use rooms::Error as Room;
        let (code, status) = match &error {
            // A room that ended while it was asked does not exist either.
            Room::RoomNotFound | Room::ParticipantNotFound | Room::TrackNotFound | Room::Closed => {
                ("not_found", StatusCode::NOT_FOUND)
            }
            Room::RoomFull | Room::Limit(_) => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
            Room::NotAllowed(_) => ("permission_denied", StatusCode::FORBIDDEN),
            Room::Invalid(_) => ("invalid_argument", StatusCode::BAD_REQUEST),
            Room::Taken(_) => ("already_exists", StatusCode::CONFLICT),
            Room::WrongMode => ("failed_precondition", StatusCode::PRECONDITION_FAILED),
            Room::Draining | Room::Media(_) => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        };
        Self { detail: Some(error.code()), ..Self::new(code, status, error.to_string()) }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code, "msg": self.message });
        if let (Some(detail), Some(object)) = (self.detail, body.as_object_mut()) {
            object.insert("meta".to_owned(), json!({ "reason": detail }));
        }
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, content_type, body.to_string()).into_response();
        response.extensions_mut().insert(Refused(self.detail.unwrap_or(self.code)));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
