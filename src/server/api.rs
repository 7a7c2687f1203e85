//! The API, version 1: one route for each thing that the command line can do.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Who;
use super::answer::{Refusal, secure};
use super::child::PROMETHEUS;
use super::jobs::{Job, Order};
use super::listen::ARRIVAL;
use super::plan::digest;
use super::{App, download, legacy};
use crate::config::Role;
use crate::names::{ArchiveName, Name};

/// The largest body of a request, in bytes.
const BODY: usize = 64 << 10;
/// How many archives a page has.
const PAGE: usize = 100;
/// The longest that a request waits for its job.
const LONGEST_WAIT: u64 = 600;

type Answer = Result<Response, Refusal>;
type Shared = State<Arc<App>>;

/// Somebody who may look.
pub(super) struct Viewer(pub(super) Who);
/// Somebody who may do everything.
pub(super) struct Admin(pub(super) Who);

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        app.allow(parts, Role::Viewer).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        app.allow(parts, Role::Admin).map(Self)
    }
}

/// Every route. `openapi.json` is held against it by a test.
pub(super) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/health", get(health))
        .route("/log", get(log))
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
    let mut router = Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    if app.settings.legacy_paths {
        router = router.merge(legacy::router());
    }
    router
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async {
            Refusal { status: StatusCode::METHOD_NOT_ALLOWED, ..Refusal::not_found() }
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(arrive))
        .layer(middleware::map_response(secure))
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

async fn status(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(Json(app.document(&["status"], &who.text).await?).into_response())
}

async fn health(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(Json(app.document(&["health"], &who.text).await?).into_response())
}

async fn log(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(Json(app.document(&["log"], &who.text).await?).into_response())
}

async fn retention(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(Json(app.document(&["rotate", "--dry-run"], &who.text).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    set: Option<String>,
    limit: Option<usize>,
    before: Option<String>,
}

async fn backups(State(app): Shared, Viewer(who): Viewer, Query(page): Query<Page>) -> Answer {
    let set = page.set.as_deref().map(set_name).transpose()?;
    let mut words = vec!["list"];
    if let Some(set) = &set {
        words.extend(["--set", set.as_str()]);
    }
    let mut document = app.document(&words, &who.text).await?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE);
    if let Some(archives) = document["archives"].as_array_mut() {
        if let Some(before) = &page.before {
            let at = archives.iter().position(|one| one["archive"] == before.as_str());
            archives.drain(..at.map_or(archives.len(), |at| at + 1));
        }
        let more = archives.len() > limit;
        archives.truncate(limit);
        let next = archives.last().filter(|_| more).map(|last| last["archive"].clone());
        document["next"] = next.unwrap_or(Value::Null);
    }
    Ok(Json(document).into_response())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Seconds.
    wait: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Create {
    set: Option<String>,
    note: Option<String>,
    #[serde(default)]
    if_changed: bool,
}

async fn create(State(app): Shared, Admin(who): Admin, Query(wait): Query<Wait>, body: Bytes) -> Answer {
    let Create { set, note, if_changed } = read(&body)?;
    let mut words = vec!["backup".to_owned()];
    if let Some(set) = &set {
        words.extend(["--set".into(), set_name(set)?.to_string()]);
    }
    if let Some(note) = note {
        words.push(format!("--note={note}"));
    }
    if if_changed {
        words.push("--if-changed".into());
    }
    order(&app, Order { command: "backup", words, changes: true, who: who.text }, &wait).await
}

async fn backup(State(app): Shared, Viewer(who): Viewer, Path(name): Path<String>) -> Answer {
    let name = archive(&name)?;
    Ok(Json(app.document(&["show", name.as_str()], &who.text).await?).into_response())
}

async fn fetch(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    download::download(&app, &archive(&name)?, &method, &headers, &who).await
}

async fn verify(State(app): Shared, Admin(who): Admin, Path(name): Path<String>, Query(wait): Query<Wait>) -> Answer {
    let words = vec!["verify".to_owned(), archive(&name)?.to_string()];
    order(&app, Order { command: "verify", words, changes: false, who: who.text }, &wait).await
}

async fn pin(State(app): Shared, Admin(who): Admin, Path(name): Path<String>) -> Answer {
    Ok(Json(app.document(&["pin", archive(&name)?.as_str()], &who.text).await?).into_response())
}

async fn unpin(State(app): Shared, Admin(who): Admin, Path(name): Path<String>) -> Answer {
    Ok(Json(app.document(&["unpin", archive(&name)?.as_str()], &who.text).await?).into_response())
}

/// What every act in two steps takes: first it is planned, then the digest of that plan is sent back.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    #[serde(default)]
    pub(super) databases: Vec<String>,
    #[serde(default)]
    pub(super) dry_run: bool,
    pub(super) plan: Option<String>,
    pub(super) set: Option<String>,
}

async fn restore(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Query(wait): Query<Wait>,
    body: Bytes,
) -> Answer {
    let steps: Steps = read(&body)?;
    let mut words = vec!["restore".to_owned(), archive(&name)?.to_string()];
    for database in &steps.databases {
        words.extend(["--only".into(), set_name(database)?.to_string()]);
    }
    two_steps(&app, "restore", words, &steps, who, &wait).await
}

async fn undo(State(app): Shared, Admin(who): Admin, Query(wait): Query<Wait>, body: Bytes) -> Answer {
    let steps: Steps = read(&body)?;
    let mut words = vec!["restore".to_owned(), "--undo".to_owned()];
    if let Some(set) = &steps.set {
        words.extend(["--set".into(), set_name(set)?.to_string()]);
    }
    two_steps(&app, "undo", words, &steps, who, &wait).await
}

async fn rotate(State(app): Shared, Admin(who): Admin, Query(wait): Query<Wait>, body: Bytes) -> Answer {
    two_steps(&app, "rotate", vec!["rotate".to_owned()], &read(&body)?, who, &wait).await
}

async fn delete(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Query(wait): Query<Wait>,
    body: Bytes,
) -> Answer {
    let words = vec!["delete".to_owned(), archive(&name)?.to_string()];
    two_steps(&app, "delete", words, &read(&body)?, who, &wait).await
}

/// Plans, or carries out what was planned. Between the second look at the plan and the act the command itself checks
/// everything again under its locks; a restore keeps what it replaces.
async fn two_steps(
    app: &Arc<App>,
    command: &'static str,
    words: Vec<String>,
    steps: &Steps,
    who: Who,
    wait: &Wait,
) -> Answer {
    let planned = [&words[..], &["--dry-run".to_owned()]].concat();
    let done = app.run(planned, &who.text).await?;
    let Some(plan) = done.document else { return Err(Refusal::of(done.code, done.error)) };
    let now = digest(&plan);
    let answer = json!({ "plan": now, "document": plan, "warnings": done.warnings });
    match (&steps.plan, steps.dry_run) {
        (_, true) => Ok(Json(answer).into_response()),
        (Some(shown), false) if *shown == now => {
            let words = [&words[..], &["--force".to_owned()]].concat();
            order(app, Order { command, words, changes: true, who: who.text }, wait).await
        }
        (Some(_), false) => Err(Refusal::conflict("what would happen has changed since it was planned", answer)),
        (None, false) => Err(Refusal {
            more: answer,
            ..Refusal::usage("send the `plan` of this answer back to carry it out, or \"dry_run\": true to see it")
        }),
    }
}

/// Starts a job, and waits for it if that is wanted.
async fn order(app: &Arc<App>, order: Order, wait: &Wait) -> Answer {
    let job = app.start(order)?;
    if let Some(seconds) = wait.wait {
        job.wait(Duration::from_secs(seconds.min(LONGEST_WAIT))).await;
    }
    Ok(described(&job, job.status()))
}

fn described(job: &Job, status: StatusCode) -> Response {
    (status, [(header::LOCATION, format!("/api/v1/jobs/{}", job.id))], Json(job.document())).into_response()
}

async fn job(State(app): Shared, Viewer(_): Viewer, Path(id): Path<String>) -> Answer {
    let job = app.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    Ok(Json(job.document()).into_response())
}

async fn cancel(State(app): Shared, Admin(_): Admin, Path(id): Path<String>) -> Answer {
    let job = app.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    job.cancel();
    Ok(described(&job, StatusCode::ACCEPTED))
}

async fn metrics(State(app): Shared, request: Request) -> Answer {
    let who = match app.settings.metrics_open {
        true => "metrics".to_owned(),
        false => app.allow(&request.into_parts().0, Role::Viewer)?.text,
    };
    let done = app.run(vec!["health".into(), PROMETHEUS.into()], &who).await?;
    if done.text.is_empty() {
        return Err(Refusal::of(done.code, done.error));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], done.text).into_response())
}

async fn readyz(State(app): Shared) -> Response {
    match app.jobs.is_restoring() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "a restore is under way\n").into_response(),
        false => "ok\n".into_response(),
    }
}

async fn openapi(State(_): Shared, Viewer(_): Viewer) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// Reads a JSON body; an empty one has only defaults.
pub(super) fn read<T: Default + for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::usage(&format!("the body of the request: {error}")))
}

/// Accepts the name of an archive, as the command line does.
pub(super) fn archive(text: &str) -> Result<ArchiveName, Refusal> {
    ArchiveName::new(text).map_err(|_| Refusal::not_found())
}

/// Accepts the name of a set or a database, as the command line does.
fn set_name(text: &str) -> Result<Name, Refusal> {
    Name::new(text).map_err(|error| Refusal::usage(&format!("not a name: {error}")))
}
