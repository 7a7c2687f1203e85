//! The views of acts in two steps: what would be lost is shown before it is confirmed, and what was confirmed is
//! refused with the new plan if the world changed since.
//!
//! A plan is a job. One that is made at once is shown at once; one that takes longer is a job to watch, and its view
//! becomes that of the plan.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::answer::Refusal;
use super::documents::RECENT;
use super::form::Form;
use super::jobs::{Job, Order};
use super::pages;
use super::plan::Act;
use super::request::{Asked, Path, set_name};
use super::site::{Shared, Trouble, View, Visitor};
use crate::names::ArchiveName;

/// The exit code for a key that is missing.
const NO_KEY: u8 = 17;
/// How long a view waits for a plan.
const AT_ONCE: Duration = Duration::from_secs(2);

impl Visitor {
    /// Plans.
    async fn plan(&self, app: &Arc<App>, act: Act) -> View {
        self.admin()?;
        let job = app.plan(act, &self.who.text).await.map_err(|refusal| self.trouble(refusal))?;
        match job.wait_for_client(AT_ONCE).await {
            Some(_) => self.job(app, &job, None).await,
            None => Ok(self.to_job(&job)),
        }
    }

    /// Carries out what a form confirms.
    async fn carry_out(&self, app: &Arc<App>, act: Act, form: &Form) -> View {
        let shown = form.get("plan").cloned().unwrap_or_default();
        let job =
            app.start(Order::confirmed(act, shown, self.who.text.clone())).map_err(|refusal| self.trouble(refusal))?;
        job.decided(AT_ONCE).await;
        match job.done() {
            Some(ended) if ended.plan.is_some() => self.job(app, &job, None).await,
            _ => Ok(self.to_job(&job)),
        }
    }

    /// Shows a job, or what it has planned.
    async fn job(&self, app: &Arc<App>, job: &Job, notice: Option<&str>) -> View {
        let mut document = job.document();
        let page = self.page(notice);
        let (Some((act, is_plan)), Some(ended)) = (job.planned(), job.done()) else {
            return Ok(Html(pages::job(&page, &document)).into_response());
        };
        let Some(digest) = &ended.plan else {
            if is_plan && document["state"] == "failed" {
                return Err(self.trouble(Refusal::of(ended.done.code, ended.done.error.clone())));
            }
            return Ok(Html(pages::job(&page, &document)).into_response());
        };
        let (mut plan, refused) = (document["document"].take(), !is_plan);
        // What the command printed beside its document.
        plan["warnings"] = document["warnings"].take();
        let view = match act {
            Act::Restore(name, databases) => {
                plan["set"] = self.document(app, &["show", name.as_str()]).await?["set"].take();
                let mut databases: Vec<String> = databases.iter().map(ToString::to_string).collect();
                if databases.is_empty() {
                    // The API planned all of them.
                    let all = plan["databases"].as_array().into_iter().flatten();
                    databases.extend(all.filter_map(|database| database["name"].as_str().map(str::to_owned)));
                }
                pages::restore_plan(&page, name.as_str(), &databases, &plan, digest, refused)
            }
            Act::Delete(name) => {
                let mut show = self.described(app, name).await?;
                show["warnings"] = plan["warnings"].take();
                pages::confirm_delete(&page, &show, digest, refused)
            }
            Act::Rotate => pages::confirm_rotate(&page, &plan, digest, refused),
            Act::Undo(set) => pages::confirm_undo(&page, set.as_ref(), &plan, digest, refused),
        };
        Ok(Html(view).into_response())
    }

    /// Describes a backup; one that no key of this host opens is described as the list does. It can be deleted all the
    /// same.
    async fn described(&self, app: &Arc<App>, name: &ArchiveName) -> Result<Value, Trouble> {
        match app.document(&["show", name.as_str()], &self.who.text, RECENT).await {
            Ok(show) => Ok(show.document().unwrap_or(Value::Null)),
            Err(refusal) if refusal.error["code"] == NO_KEY => {
                let mut list = self.document(app, &["list"]).await?;
                let mut listed = list["archives"].as_array_mut().into_iter().flatten();
                let found = listed.find(|archive| archive["archive"] == name.as_str());
                found.map(Value::take).ok_or_else(|| self.trouble(refusal))
            }
            Err(refusal) => Err(self.trouble(refusal)),
        }
    }

    /// Reads what is to be restored.
    fn restoring(&self, name: &str, form: &Form) -> Result<Act, Trouble> {
        let databases = form.all("databases");
        if databases.is_empty() {
            return Err(self.trouble(Refusal::usage("no database was chosen: go back and choose one")));
        }
        let databases = databases.iter().map(|database| set_name(database)).collect::<Result<_, _>>();
        Ok(Act::Restore(self.archive(name)?, databases.map_err(|refusal| self.trouble(refusal))?))
    }

    /// Reads which restore is to be undone: that of a set, or of the only one.
    fn undoing(&self, set: Option<&String>) -> Result<Act, Trouble> {
        let set = set.filter(|set| !set.is_empty()).map(|set| set_name(set)).transpose();
        Ok(Act::Undo(set.map_err(|refusal| self.trouble(refusal))?))
    }
}

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/backups/{name}/delete", get(ask_delete).post(delete))
        .route("/backups/{name}/restore", get(choose).post(restore))
        .route("/backups/{name}/restore/plan", post(plan_restore))
        .route("/rotate", get(ask_rotate).post(rotate))
        .route("/undo", get(ask_undo).post(undo))
        .route("/jobs/{id}", get(job))
}

async fn choose(State(app): Shared, visitor: Visitor, Path(name): Path<String>) -> View {
    let name = visitor.archive(&name)?;
    let show = visitor.document(&app, &["show", name.as_str()]).await?;
    Ok(Html(pages::restore_choice(&visitor.page(None), &show)).into_response())
}

async fn plan_restore(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    visitor.plan(&app, visitor.restoring(&name, &form)?).await
}

async fn restore(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    let act = visitor.restoring(&name, &form)?;
    let show = visitor.document(&app, &["show", &name]).await?;
    if form.get("confirm").map(|typed| typed.trim()) == show["set"].as_str() {
        return visitor.carry_out(&app, act, &form).await;
    }
    let shown = form.get("plan").and_then(|digest| app.jobs.planned(&act, digest));
    match shown {
        Some(job) => visitor.job(&app, &job, Some("Nothing was restored: that is not the name of the set.")).await,
        // It is no longer remembered.
        None => visitor.plan(&app, act).await,
    }
}

async fn ask_delete(State(app): Shared, visitor: Visitor, Path(name): Path<String>) -> View {
    visitor.plan(&app, Act::Delete(visitor.archive(&name)?)).await
}

async fn delete(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    visitor.carry_out(&app, Act::Delete(visitor.archive(&name)?), &form).await
}

async fn ask_rotate(State(app): Shared, visitor: Visitor) -> View {
    visitor.plan(&app, Act::Rotate).await
}

async fn rotate(State(app): Shared, visitor: Visitor, headers: HeaderMap, body: Bytes) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    visitor.carry_out(&app, Act::Rotate, &form).await
}

#[derive(Deserialize)]
struct OfSet {
    set: Option<String>,
}

async fn ask_undo(State(app): Shared, visitor: Visitor, Asked(of): Asked<OfSet>) -> View {
    visitor.plan(&app, visitor.undoing(of.set.as_ref())?).await
}

async fn undo(State(app): Shared, visitor: Visitor, Asked(of): Asked<OfSet>, headers: HeaderMap, body: Bytes) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    visitor.carry_out(&app, visitor.undoing(of.set.as_ref())?, &form).await
}

async fn job(State(app): Shared, visitor: Visitor, Path(id): Path<String>) -> View {
    let job = app.jobs.get(&id).ok_or_else(|| visitor.trouble(Refusal::not_found()))?;
    visitor.job(&app, &job, None).await
}
