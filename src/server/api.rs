//! The API, version 1: one route for each thing that the command line can do.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Who;
use super::answer::{Refusal, printed, text};
use super::child::PROMETHEUS;
use super::documents::NOW;
use super::jobs::{Job, Order};
use super::plan::digest;
use super::request::{Admin, Asked, Viewer, archive, read, set_name};
use super::{App, download};
use crate::config::Role;
use crate::serving::Wanted;
use crate::shelf::Part;

/// How many archives a page has.
const PAGE: usize = 100;
/// The longest that a request waits for its job.
const LONGEST_WAIT: u64 = 600;

type Answer = Result<Response, Refusal>;
type Shared = State<Arc<App>>;

pub(super) async fn status(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["status"], &who.text, NOW).await?))
}

pub(super) async fn health(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["health"], &who.text, NOW).await?))
}

/// What there is to back up and where to: names and paths, without the state that `status` reports.
pub(super) async fn sets(State(app): Shared, Viewer(who): Viewer) -> Answer {
    let done = app.document(&["status"], &who.text, NOW).await?;
    let mut status = done.document().unwrap_or_default();
    let of_set = |set: &Value| {
        let databases = set["databases"].as_array().into_iter().flatten();
        let databases: Vec<Value> =
            databases.map(|database| json!({ "name": database["name"], "path": database["path"] })).collect();
        json!({ "set": set["set"], "databases": databases })
    };
    let sets: Vec<Value> = status["sets"].as_array().into_iter().flatten().map(of_set).collect();
    Ok(Json(json!({ "store": status["store"].take(), "sets": sets })).into_response())
}

pub(super) async fn log(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["log"], &who.text, NOW).await?))
}

pub(super) async fn retention(State(app): Shared, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["rotate", "--dry-run"], &who.text, NOW).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    set: Option<String>,
    limit: Option<usize>,
    before: Option<String>,
}

pub(super) async fn backups(State(app): Shared, Viewer(who): Viewer, Asked(page): Asked<Page>) -> Answer {
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Refusal::usage(&format!("a page has 1 to {PAGE} archives")));
    }
    let set = page.set.as_deref().map(set_name).transpose()?;
    let mut words = vec!["list"];
    if let Some(set) = &set {
        words.extend(["--set", set.as_str()]);
    }
    let part = Part { before: page.before, limit, ..Part::default() };
    let [(mut document, shelf)] = app.each(&[Wanted::part(&words, part)], &who.text, NOW).await?;
    let mut next = shelf.older;
    if shelf.is_lost {
        (document["archives"], next) = (json!([]), None);
    }
    document["next"] = next.into();
    Ok(Json(document).into_response())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Seconds.
    wait: Option<u64>,
}

impl Wait {
    fn patience(&self) -> Result<Duration, Refusal> {
        match self.wait.unwrap_or_default() {
            seconds @ ..=LONGEST_WAIT => Ok(Duration::from_secs(seconds)),
            _ => Err(Refusal::usage(&format!("a request waits for at most {LONGEST_WAIT} seconds"))),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    set: Option<String>,
    note: Option<String>,
    #[serde(default)]
    if_changed: bool,
}

pub(super) async fn create(State(app): Shared, Admin(who): Admin, Asked(wait): Asked<Wait>, body: Bytes) -> Answer {
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
    order(&app, Order { command: "backup", words, changes: true, planned_at: None, who: who.text }, &wait).await
}

pub(super) async fn backup(State(app): Shared, Viewer(who): Viewer, Path(name): Path<String>) -> Answer {
    let name = archive(&name)?;
    Ok(printed(app.document(&["show", name.as_str()], &who.text, NOW).await?))
}

pub(super) async fn fetch(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    download::download(&app, &archive(&name)?, &method, &headers, &who).await
}

pub(super) async fn verify(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Asked(wait): Asked<Wait>,
) -> Answer {
    let words = vec!["verify".to_owned(), archive(&name)?.to_string()];
    order(&app, Order { command: "verify", words, changes: false, planned_at: None, who: who.text }, &wait).await
}

pub(super) async fn pin(State(app): Shared, Admin(who): Admin, Path(name): Path<String>) -> Answer {
    Ok(printed(app.mark("pin", &archive(&name)?, &who.text).await?))
}

pub(super) async fn unpin(State(app): Shared, Admin(who): Admin, Path(name): Path<String>) -> Answer {
    Ok(printed(app.mark("unpin", &archive(&name)?, &who.text).await?))
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

pub(super) async fn restore(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Asked(wait): Asked<Wait>,
    body: Bytes,
) -> Answer {
    let steps: Steps = read(&body)?;
    let mut words = vec!["restore".to_owned(), archive(&name)?.to_string()];
    for database in &steps.databases {
        words.extend(["--only".into(), set_name(database)?.to_string()]);
    }
    two_steps(&app, "restore", words, &steps, who, &wait).await
}

pub(super) async fn undo(State(app): Shared, Admin(who): Admin, Asked(wait): Asked<Wait>, body: Bytes) -> Answer {
    let steps: Steps = read(&body)?;
    let mut words = vec!["restore".to_owned(), "--undo".to_owned()];
    if let Some(set) = &steps.set {
        words.extend(["--set".into(), set_name(set)?.to_string()]);
    }
    two_steps(&app, "undo", words, &steps, who, &wait).await
}

pub(super) async fn rotate(State(app): Shared, Admin(who): Admin, Asked(wait): Asked<Wait>, body: Bytes) -> Answer {
    two_steps(&app, "rotate", vec!["rotate".to_owned()], &read(&body)?, who, &wait).await
}

pub(super) async fn delete(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Asked(wait): Asked<Wait>,
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
    let patience = wait.patience()?;
    let planned: Vec<&str> = words.iter().map(String::as_str).chain(["--dry-run"]).collect();
    loop {
        let planned_at = app.jobs.ended();
        let (plan, done) = app.plan(&planned, &who.text).await?;
        let now = digest(&plan);
        let answer = json!({ "plan": now, "document": plan, "warnings": done.warnings });
        return match (&steps.plan, steps.dry_run) {
            (_, true) => Ok(Json(answer).into_response()),
            (Some(shown), false) if *shown == now => {
                let words = [&words[..], &["--force".to_owned()]].concat();
                let order =
                    Order { command, words, changes: true, planned_at: Some(planned_at), who: who.text.clone() };
                match app.start(order) {
                    // The job of somebody else ended meanwhile.
                    Err(_) if app.jobs.ended() != planned_at => continue,
                    started => waited(&started?, patience).await,
                }
            }
            (Some(_), false) => Err(Refusal::conflict("what would happen has changed since it was planned", answer)),
            (None, false) => Err(Refusal {
                more: answer,
                ..Refusal::usage("send the `plan` of this answer back to carry it out, or \"dry_run\": true to see it")
            }),
        };
    }
}

/// Starts a job, and waits for it if that is wanted.
async fn order(app: &Arc<App>, order: Order, wait: &Wait) -> Answer {
    let patience = wait.patience()?;
    waited(&app.start(order)?, patience).await
}

async fn waited(job: &Arc<Job>, patience: Duration) -> Answer {
    job.wait(patience).await;
    Ok(described(job, job.status()))
}

fn described(job: &Job, status: StatusCode) -> Response {
    (status, [(header::LOCATION, format!("/api/v1/jobs/{}", job.id))], Json(job.document())).into_response()
}

pub(super) async fn job(State(app): Shared, Viewer(_): Viewer, Path(id): Path<String>) -> Answer {
    let job = app.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    Ok(Json(job.document()).into_response())
}

pub(super) async fn cancel(State(app): Shared, Admin(_): Admin, Path(id): Path<String>) -> Answer {
    let job = app.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    job.cancel();
    Ok(described(&job, StatusCode::ACCEPTED))
}

pub(super) async fn metrics(State(app): Shared, request: Request) -> Answer {
    let who = match app.settings.metrics_open {
        true => "metrics".to_owned(),
        false => app.allow(&request.into_parts().0, Role::Viewer)?.text,
    };
    let done = app.output(&["health", PROMETHEUS], &who, NOW).await?;
    if done.printed.bytes() == 0 {
        return Err(Refusal::of(done.code, done.error.clone()));
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(text(kind, &done.printed))
}

pub(super) async fn readyz(State(app): Shared) -> Response {
    match app.jobs.is_restoring() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "a restore is under way\n").into_response(),
        false => "ok\n".into_response(),
    }
}

pub(super) async fn openapi(State(_): Shared, Viewer(_): Viewer) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}
