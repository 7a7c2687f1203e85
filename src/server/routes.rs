//! Which request goes where, and what holds for all of them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use super::answer::{Refusal, secure};
use super::api::{
    backup, backups, cancel, create, delete, fetch, health, job, log, metrics, openapi, pin, readyz, restore,
    retention, rotate, sets, status, undo, unpin, verify,
};
use super::listen::ARRIVAL;
use super::{App, confirm, legacy, reload, site};

/// The largest body of a request, in bytes.
const BODY: usize = 64 << 10;

/// Every route. `openapi.json` is held against it by a test.
pub(super) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/health", get(health))
        .route("/log", get(log))
        .route("/sets", get(sets))
        .route("/retention", get(retention))
        .route("/backups", get(backups).post(create))
        .route("/backups/{name}", get(backup).delete(delete))
        .route("/backups/{name}/download", get(fetch))
        .route("/backups/{name}/verify", post(verify))
        .route("/backups/{name}/pin", put(pin).delete(unpin))
        .route("/backups/{name}/restore", post(restore))
        .route("/restore/undo", post(undo))
        .route("/rotate", post(rotate))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/openapi.json", get(openapi));
    let mut own = Router::new()
        .merge(site::router())
        .merge(confirm::router())
        .nest("/api/v1", api)
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    if app.settings.legacy_paths {
        own = own.merge(legacy::router());
    }
    // A proxy passes the prefix of `public_url` on, or takes it away.
    let base = app.sessions.base.clone();
    let router = if base.is_empty() {
        own
    } else {
        let root = format!("{base}/");
        own.clone().nest(&base, own).route(&root, get(site::overview))
    };
    router
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async {
            Refusal { status: StatusCode::METHOD_NOT_ALLOWED, ..Refusal::not_found() }
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), reload::look))
        .layer(middleware::from_fn(arrive))
        .layer(middleware::map_response_with_state(Arc::clone(&app), secure))
        .with_state(app)
}

/// Waits for the whole request before anything is done, for a limited time.
async fn arrive(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, BODY)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(_)) => {
            Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, ..Refusal::usage("a request has at most 64 KiB") }
                .into_response()
        }
        Err(_) => {
            Refusal { status: StatusCode::REQUEST_TIMEOUT, ..Refusal::usage("the request did not arrive in time") }
                .into_response()
        }
    }
}
