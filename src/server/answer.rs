//! Errors as responses, and the headers that every response carries.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a request is refused: the error object of the command line, and the status that fits.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: Value,
    /// What else the answer holds: the id of the job that runs, or a new plan.
    pub(super) more: Value,
}

impl Refusal {
    fn new(status: StatusCode, code: u8, kind: &str, message: &str) -> Self {
        let error = json!({ "code": code, "kind": kind, "message": message, "hint": null });
        Self { status, error, more: Value::Null }
    }

    /// A child failed.
    pub(super) fn of(code: u8, error: Option<Value>) -> Self {
        let status = match code {
            2 => StatusCode::BAD_REQUEST,
            10 | 12 => StatusCode::NOT_FOUND,
            11 | 14 => StatusCode::CONFLICT,
            13 => StatusCode::UNPROCESSABLE_ENTITY,
            15 => StatusCode::INSUFFICIENT_STORAGE,
            16 | 17 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let how = match code.checked_sub(128) {
            Some(signal) if signal > 0 => format!("the command was killed by signal {signal}"),
            _ => format!("the command ended with exit code {code}"),
        };
        let other = || Self::new(status, code, "failed", &how).error;
        Self { status, error: error.unwrap_or_else(other), more: Value::Null }
    }

    pub(super) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 1, "failed", message)
    }

    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 11, "busy", "the server is ending")
    }

    pub(super) fn usage(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 2, "usage", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 12, "no_backup", "there is nothing at this address")
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 1, "unauthorized", "a token is needed: Authorization: Bearer TOKEN")
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, 1, "forbidden", message)
    }

    pub(super) fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 11, "busy", message)
    }

    pub(super) fn conflict(message: &str, more: Value) -> Self {
        Self { more, ..Self::new(StatusCode::CONFLICT, 11, "busy", message) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.error });
        if let (Value::Object(more), Value::Object(body)) = (self.more, &mut body) {
            body.extend(more);
        }
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"heirloom\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        (self.status, headers, Json(body)).into_response()
    }
}

/// The headers of every response. No style and no script but our own, no frame around it, nothing kept in a cache.
pub(super) async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action \
             'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
