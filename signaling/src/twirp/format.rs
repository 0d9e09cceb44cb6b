//! The two encodings of Twirp. A response is in the encoding of its request.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/protobuf`.
    Protobuf,
    /// `application/json`: the JSON mapping of protobuf; camelCase is written, snake_case read as well.
    Json,
}

impl Format {
    /// The encoding a request declares.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Error::bad_route(format!("unexpected Content-Type: {given:?}"))),
        }
    }

    /// Reads a request. Fields that are not known are skipped: they are those of newer SDKs.
    pub(super) fn read<M: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<M, Error> {
        match self {
            Self::Protobuf => M::decode(body).map_err(|error| Error::malformed(error.to_string())),
            Self::Json => serde_json::from_slice(body).map_err(|error| Error::malformed(error.to_string())),
        }
    }

    /// Writes a response.
    pub(super) fn write<M: Message + Serialize>(self, message: &M) -> Result<Response, Error> {
        let (content_type, body) = match self {
            Self::Protobuf => ("application/protobuf", message.encode_to_vec()),
            Self::Json => ("application/json", serde_json::to_vec(message).map_err(|_| Error::internal())?),
        };
        Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
    }
}
