//! The API, version 1: one route for each thing that the command line can do.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Who;
use super::answer::{Refusal, printed, text};
use super::child::PROMETHEUS;
use super::documents::NOW;
use super::jobs::{Job, Order, Task};
use super::plan::Act;
use super::request::{Admin, Asked, Path, Viewer, archive, read, set_name};
use super::{App, download};
use crate::config::Role;
use crate::names::Name;
use crate::serving::Wanted;
use crate::shelf::Part;

/// How many archives a page has.
const PAGE: usize = 100;
/// The longest that a request waits for its job.
const LONGEST_WAIT: u64 = 600;
/// How long the answer to a confirmation waits for the second plan, so that who confirmed something else usually hears
/// of it at once. Shorter than what proxies wait for an answer.
const PLANNING: Duration = Duration::from_secs(10);

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
    order(&app, Order { command: "backup", words, task: Task::Change, who: who.text }, &wait).await
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
    order(&app, Order { command: "verify", words, task: Task::Look, who: who.text }, &wait).await
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

impl Steps {
    /// Reads them. Fails if they choose what this act does not choose from: it would do more than was meant.
    fn read(body: &[u8], choices: &[&str]) -> Result<Self, Refusal> {
        let steps: Self = read(body)?;
        let given = [("databases", !steps.databases.is_empty()), ("set", steps.set.is_some())];
        match given.iter().find(|(field, is_given)| *is_given && !choices.contains(field)) {
            Some((field, _)) => {
                Err(Refusal::usage(&format!("the body of the request: `{field}` cannot be chosen for this")))
            }
            None => Ok(steps),
        }
    }
}

pub(super) async fn restore(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Asked(wait): Asked<Wait>,
    body: Bytes,
) -> Answer {
    let steps = Steps::read(&body, &["databases"])?;
    let databases = steps.databases.iter().map(|database| set_name(database)).collect::<Result<Vec<Name>, _>>()?;
    two_steps(&app, Act::Restore(archive(&name)?, databases), &steps, who, &wait).await
}

pub(super) async fn undo(State(app): Shared, Admin(who): Admin, Asked(wait): Asked<Wait>, body: Bytes) -> Answer {
    let steps = Steps::read(&body, &["set"])?;
    let set = steps.set.as_deref().map(set_name).transpose()?;
    two_steps(&app, Act::Undo(set), &steps, who, &wait).await
}

pub(super) async fn rotate(State(app): Shared, Admin(who): Admin, Asked(wait): Asked<Wait>, body: Bytes) -> Answer {
    two_steps(&app, Act::Rotate, &Steps::read(&body, &[])?, who, &wait).await
}

pub(super) async fn delete(
    State(app): Shared,
    Admin(who): Admin,
    Path(name): Path<String>,
    Asked(wait): Asked<Wait>,
    body: Bytes,
) -> Answer {
    two_steps(&app, Act::Delete(archive(&name)?), &Steps::read(&body, &[])?, who, &wait).await
}

/// Plans, or carries out what was planned: a job each.
async fn two_steps(app: &Arc<App>, act: Act, steps: &Steps, who: Who, wait: &Wait) -> Answer {
    let patience = wait.patience()?;
    if steps.dry_run {
        let job = app.plan(act, &who.text).await?;
        job.wait_for_client(patience).await;
        return Ok(described(&job, job.status()));
    }
    let Some(shown) = &steps.plan else {
        let message = "send \"dry_run\": true to make a plan, and then its digest as `plan` to carry it out";
        return Err(Refusal::usage(message));
    };
    let job = app.start(Order::confirmed(act, shown.clone(), who.text))?;
    tokio::join!(job.decided(PLANNING), job.wait(patience));
    Ok(described(&job, job.status()))
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
    (status, [(header::LOCATION, format!("/api/v1/jobs/{}", job.id))], job.answer()).into_response()
}

pub(super) async fn job(State(app): Shared, Viewer(_): Viewer, Path(id): Path<String>) -> Answer {
    let job = app.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    Ok(job.answer())
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
