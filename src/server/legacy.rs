//! The paths of the applications that this tool replaces, so that their front ends and deploy scripts go on working.
//! They act in one step and wait for the result, as they did.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::access::Who;
use super::answer::{Refusal, printed};
use super::documents::NOW;
use super::jobs::{Order, Task};
use super::request::{Admin, Path, Viewer, archive, read};
use super::{App, download};
use crate::names::ArchiveName;

/// How long the applications waited at most.
const PATIENCE: Duration = Duration::from_secs(600);
/// The fields by which front ends named the backup to restore.
const NAMES: [&str; 4] = ["backup_name", "filename", "name", "backup"];

type Answer = Result<Response, Refusal>;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/admin/backup-database", post(backup))
        .route("/admin/restore-database", post(restore))
        .route("/admin/backup-info", get(info))
        .route("/admin/backup-status", get(status))
        .route("/api/admin/database/backup", post(backup))
        .route("/api/admin/database/backups", get(backups))
        .route("/api/admin/database/backup/{name}/download", get(fetch))
        .route("/api/admin/database/backup/{name}", delete(remove))
        .route("/api/admin/database/restore", post(restore))
        .route("/api/admin/database/health", get(health))
}

async fn backup(State(app): State<Arc<App>>, Admin(who): Admin) -> Answer {
    job(&app, "backup", vec!["backup".into()], who).await
}

/// Restores the backup that the body names, or the latest one. What it replaces is kept.
async fn restore(State(app): State<Arc<App>>, Admin(who): Admin, body: Bytes) -> Answer {
    let name = named(&read(&body)?)?.map_or_else(|| "latest".to_owned(), |name| name.to_string());
    job(&app, "restore", vec!["restore".into(), name, "--force".into()], who).await
}

/// Returns the backup that a body names; `None` if it is empty. Fails if it names something that is not understood:
/// the latest backup is not what was meant.
fn named(body: &Map<String, Value>) -> Result<Option<ArchiveName>, Refusal> {
    match NAMES.iter().find_map(|field| body.get(*field)) {
        Some(Value::String(name)) => archive(name).map(Some),
        None if body.is_empty() => Ok(None),
        _ => Err(Refusal::usage(&format!("the body of the request names no backup: give its name as `{}`", NAMES[0]))),
    }
}

async fn remove(State(app): State<Arc<App>>, Admin(who): Admin, Path(name): Path<String>) -> Answer {
    job(&app, "delete", vec!["delete".into(), archive(&name)?.to_string(), "--force".into()], who).await
}

async fn info(State(app): State<Arc<App>>, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["show", "latest"], &who.text, NOW).await?))
}

async fn status(State(app): State<Arc<App>>, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["status"], &who.text, NOW).await?))
}

async fn backups(State(app): State<Arc<App>>, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["list"], &who.text, NOW).await?))
}

async fn health(State(app): State<Arc<App>>, Viewer(who): Viewer) -> Answer {
    Ok(printed(app.document(&["health"], &who.text, NOW).await?))
}

async fn fetch(
    State(app): State<Arc<App>>,
    Admin(who): Admin,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    download::download(&app, &archive(&name)?, &method, &headers, &who).await
}

async fn job(app: &Arc<App>, command: &'static str, words: Vec<String>, who: Who) -> Answer {
    let job = app.start(Order { command, words, task: Task::Change, who: who.text })?;
    let Some(ended) = job.wait(PATIENCE).await else {
        return Ok((StatusCode::ACCEPTED, Json(job.document())).into_response());
    };
    match ended.done.document().filter(|_| ended.done.is_document) {
        Some(document) => Ok(Json(json!({ "success": true, "result": document })).into_response()),
        None => {
            let refusal = Refusal::of(ended.done.code, ended.done.error.clone());
            Err(Refusal { more: json!({ "success": false }), ..refusal })
        }
    }
}
