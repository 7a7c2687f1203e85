//! Errors as responses, and the headers that every response carries.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde_json::{Value, json};

use super::App;
use super::child::Done;
use super::printed::Text;

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
            // The last one: it took too long, and was stopped.
            16 | 17 | 143 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let said = match code {
            143 => "it was ended before it was done: it took too long, or somebody ended it".to_owned(),
            129.. => format!("the command was killed by signal {}", code - 128),
            _ => format!("the command ended with exit code {code}"),
        };
        let other = || Self::new(status, code, "failed", &said).error;
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

    /// Returns whether this server has too much to do, and the request was not looked into.
    pub(super) fn is_overload(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.error["kind"] == "busy"
    }

    /// Returns the headers that explain it.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"heirloom\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        headers
    }

    pub(super) fn conflict(message: &str, more: Value) -> Self {
        Self { more, ..Self::new(StatusCode::CONFLICT, 11, "busy", message) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = self.headers();
        let mut body = json!({ "error": self.error });
        if let (Value::Object(more), Value::Object(body)) = (self.more, &mut body) {
            body.extend(more);
        }
        (self.status, headers, Json(body)).into_response()
    }
}

/// Answers with what a child printed.
pub(super) fn text(kind: &'static str, text: &Text) -> Response {
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, text.bytes().to_string())];
    (headers, Body::from_stream(Parts(text.clone().parts()))).into_response()
}

struct Parts<I>(I);

impl<I: Iterator<Item = Bytes> + Unpin> Stream for Parts<I> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

/// Answers with the document of a child as it is.
pub(super) fn printed(done: Arc<Done>) -> Response {
    text("application/json", &done.printed)
}

/// The headers of every response. No style and no script but our own, no frame around it, nothing kept in a cache.
pub(super) async fn secure(State(app): State<Arc<App>>, mut response: Response) -> Response {
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
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Elsewhere browsers ignore it, and complain about it.
    if app.sessions.is_secure_context() {
        let name = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(name, HeaderValue::from_static("same-origin"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_too_long_can_be_asked_for_again() {
        let refusal = Refusal::of(143, None);
        assert_eq!(
            (refusal.status, refusal.headers().contains_key("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, true)
        );
        let other = Refusal::of(1, None);
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
