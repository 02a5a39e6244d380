//! Errors as the collector answers them: a code for programs, words and the mend for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::admission::Turned;
use super::intake::BodyError;
use super::store::StoreError;

/// A request that was not done; nothing of it was stored.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

impl Refusal {
    /// A refusal of that status.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), mend: mend.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message, "mend": self.mend}});
        let mut response = (self.status, Json(body)).into_response();
        // What will pass says when to come again.
        if matches!(self.status.as_u16(), 503 | 507) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Origin => Self::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "the page that sent this is of an origin that may not talk to this collector",
                "start the collector with --allow-origin and the page's origin",
            ),
            Turned::Host => Self::new(
                StatusCode::FORBIDDEN,
                "host_not_allowed",
                "the collector listens to this machine only and was addressed by a foreign name",
                "use http://localhost or http://127.0.0.1, or start the collector with --allow-origin and \
                 the origin by which it is reached",
            ),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::NotJson { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "not_json",
                message,
                "send one JSON object, an array of them, or JSON Lines as application/x-ndjson",
            ),
            BodyError::NotUtf8 { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "not_utf8", message, "send the body in UTF-8")
            }
            BodyError::Empty => {
                Self::new(StatusCode::BAD_REQUEST, "empty_body", message, "send at least one record, or []")
            }
            BodyError::UnknownType { .. } => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_content_type",
                message,
                "send application/json, application/x-ndjson or text/plain, in UTF-8 and not compressed",
            ),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                message,
                "make room on the disk of the --data folder, then send again",
            ),
            StoreError::Failed(_) | StoreError::Stopped => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_failed", message, "send again later")
            }
        }
    }
}
