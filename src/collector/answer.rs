//! Errors as the collector answers them: a code for programs, words and the mend for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::admission::Turned;
use super::aggregate::TooMany;
use super::intake::BodyError;
use super::store::StoreError;
use super::tokens::Denied;

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
    /// When to come again, seconds; what will pass by itself has it always.
    pub retry_after: Option<u64>,
    /// What `WWW-Authenticate` says.
    pub challenge: Option<&'static str>,
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
        let retry_after = matches!(status.as_u16(), 503 | 507).then_some(5);
        Self { status, code, message: message.into(), mend: mend.into(), retry_after, challenge: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message, "mend": self.mend}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
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
            Turned::Site => Self::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "a page of another site asked for work without saying its origin",
                "fetch it with CORS (fetch's own mode) from a page whose origin --allow-origin names",
            ),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let unauthorized = |code, message: &str, challenge| Self {
            challenge: Some(challenge),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                code,
                message,
                "send `Authorization: Bearer` and a token of the collector's --tokens file",
            )
        };
        match denied {
            Denied::Missing => unauthorized(
                "token_missing",
                "no bearer token came with the request",
                "Bearer realm=\"hitl-labeler\"",
            ),
            Denied::Unknown => unauthorized(
                "token_unknown",
                "the bearer token is none of this collector's",
                "Bearer realm=\"hitl-labeler\", error=\"invalid_token\"",
            ),
            Denied::Scope(scope) => Self {
                challenge: Some("Bearer realm=\"hitl-labeler\", error=\"insufficient_scope\""),
                ..Self::new(
                    StatusCode::FORBIDDEN,
                    "token_not_for_this",
                    format!("the token lacks the scope {}", scope.word()),
                    "send another token, or give this one the scope in the --tokens file",
                )
            },
            Denied::Rate(seconds) => Self {
                retry_after: Some(seconds),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_requests",
                    "the token's rate is used up",
                    "come again after the seconds of Retry-After, with more records in one request",
                )
            },
        }
    }
}

impl From<TooMany> for Refusal {
    fn from(too_many: TooMany) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too_many",
            too_many.to_string(),
            "use method=majority, or fit the model elsewhere on what=current",
        )
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
                Self::new(StatusCode::BAD_REQUEST, "empty_body", message, "send at least one, or []")
            }
            BodyError::TooMany | BodyError::TooDense => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                message,
                "send fewer in one request",
            ),
            BodyError::TooManyWrong { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "too_many_wrong",
                message,
                "mend them, or send fewer in one request; nothing of this one was stored",
            ),
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
                "make room on the disk of the database, then send again",
            ),
            StoreError::Unreachable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_unreachable",
                message,
                "send again later; the collector connects again by itself",
            ),
            StoreError::Failed(_) | StoreError::Stopped => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_failed", message, "send again later")
            }
        }
    }
}
