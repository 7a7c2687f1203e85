//! The page: views for people, and the forms on them.
//!
//! A view is made of the documents of the command line. What a form changes is done as the API does it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;

use super::access::Who;
use super::answer::Refusal;
use super::child::Done;
use super::documents::{NOW, RECENT};
use super::form::Form;
use super::jobs::{Job, Order, Task};
use super::pages::{self, Page, WayIn};
use super::request::{Asked, Path, archive, set_name};
use super::session::Session;
use super::{App, download};
use crate::config::Role;
use crate::names::ArchiveName;
use crate::serving::Wanted;
use crate::shelf::{Part, Shelf};

/// The exit code for a store that is not there.
const NO_STORE: u8 = 16;
/// How many entries the view of the log has.
const MOST: usize = 500;
/// How many backups a view of the list has.
const SHOWN: usize = 100;

pub(super) type Shared = State<Arc<App>>;
pub(super) type View = Result<Response, Trouble>;

/// A refusal as a page.
pub(super) struct Trouble {
    base: String,
    refusal: Refusal,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let text = |name: &str| self.refusal.error.get(name).and_then(Value::as_str);
        let (status, message) = (self.refusal.status, text("message").unwrap_or("it failed"));
        let page = pages::error(None, &self.base, status.as_u16(), message, text("hint"));
        (status, self.refusal.headers(), Html(page)).into_response()
    }
}

/// Somebody who has signed in.
pub(super) struct Visitor {
    session: Session,
    pub(super) who: Who,
    base: String,
    may_download: bool,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        if !app.sessions.is_for_us(&parts.headers) {
            let refusal = Refusal::forbidden("this server goes by another name: set public_url in [server]");
            return Err(Trouble { base: app.sessions.base.clone(), refusal }.into_response());
        }
        let Some(session) = app.sessions.find(&parts.headers) else {
            return Err(Redirect::to(&format!("{}/sign-in", app.sessions.base)).into_response());
        };
        let who = app.who(&session.name, parts);
        let may_download = app.settings.download && session.role == Role::Admin;
        Ok(Self { session, who, base: app.sessions.base.clone(), may_download })
    }
}

impl Visitor {
    pub(super) fn page<'a>(&'a self, notice: Option<&'a str>) -> Page<'a> {
        Page {
            base: &self.base,
            who: &self.session.name,
            is_admin: self.session.role == Role::Admin,
            may_download: self.may_download,
            form_token: &self.session.form_token,
            now: Utc::now(),
            notice,
        }
    }

    pub(super) fn trouble(&self, refusal: Refusal) -> Trouble {
        Trouble { base: self.base.clone(), refusal }
    }

    fn to(&self, path: &str) -> Response {
        Redirect::to(&format!("{}{path}", self.base)).into_response()
    }

    /// Accepts a form: sent by an administrator, from a page of ours, with the token of the session.
    pub(super) fn form(&self, app: &App, headers: &HeaderMap, body: &Bytes) -> Result<Form, Trouble> {
        let form = Form::read(body);
        let refused = |why: &str| Err(self.trouble(Refusal::forbidden(why)));
        if !app.sessions.is_from_us(headers) || form.get("form_token") != Some(&self.session.form_token) {
            return refused("this form does not come from a page of this session: go back, reload it and try again");
        }
        self.admin()?;
        Ok(form)
    }

    /// Refuses whoever may only look.
    pub(super) fn admin(&self) -> Result<(), Trouble> {
        match self.session.role {
            Role::Admin => Ok(()),
            Role::Viewer => Err(self.trouble(Refusal::forbidden("this token may only look"))),
        }
    }

    /// Returns a document to look at, as text.
    async fn look(&self, app: &Arc<App>, words: &[&str]) -> Result<Arc<Done>, Trouble> {
        app.document(words, &self.who.text, RECENT).await.map_err(|refusal| self.trouble(refusal))
    }

    /// Returns a document to look at.
    pub(super) async fn document(&self, app: &Arc<App>, words: &[&str]) -> Result<Value, Trouble> {
        Ok(self.look(app, words).await?.document().unwrap_or(Value::Null))
    }

    /// Starts a job and shows it.
    fn start(&self, app: &Arc<App>, command: &'static str, words: Vec<String>, task: Task) -> View {
        let order = Order { command, words, task, who: self.who.text.clone() };
        match app.start(order) {
            Ok(job) => Ok(self.to_job(&job)),
            Err(refusal) => Err(self.trouble(refusal)),
        }
    }

    pub(super) fn to_job(&self, job: &Job) -> Response {
        self.to(&format!("/jobs/{}", job.id))
    }

    pub(super) fn archive(&self, name: &str) -> Result<ArchiveName, Trouble> {
        archive(name).map_err(|refusal| self.trouble(refusal))
    }
}

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(overview))
        .route("/sign-in", get(sign_in).post(enter))
        .route("/sign-out", post(leave))
        .route("/backups", get(backups).post(create))
        .route("/backups/{name}", get(backup))
        .route("/backups/{name}/download", get(fetch))
        .route("/backups/{name}/verify", post(verify))
        .route("/backups/{name}/pin", post(pin))
        .route("/backups/{name}/unpin", post(unpin))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/log", get(log))
        // Browsers ask for it at every first visit.
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/assets/style.css", get(|| async { asset("text/css; charset=utf-8", pages::STYLE) }))
        .route("/assets/script.js", get(|| async { asset("text/javascript; charset=utf-8", pages::SCRIPT) }))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

impl App {
    fn way_in(&self) -> WayIn {
        if self.code.is_some() && self.guard.has_no_token() { WayIn::OneTimeCode } else { WayIn::Token }
    }
}

async fn sign_in(State(app): Shared) -> Html<String> {
    Html(pages::sign_in(&app.sessions.base, app.way_in(), false))
}

/// Takes a token, and answers with the cookie of a new session.
async fn enter(State(app): Shared, parts: Parts, body: Bytes) -> Response {
    let base = app.sessions.base.clone();
    if !app.sessions.is_for_us(&parts.headers) || !app.sessions.is_from_us(&parts.headers) {
        let refusal = Refusal::forbidden("this form does not come from this server, or it goes by another name");
        return Trouble { base, refusal }.into_response();
    }
    let form = Form::read(&body);
    let Some((name, role, token)) = form.get("token").and_then(|token| app.known(token.trim(), &parts)) else {
        return (StatusCode::UNAUTHORIZED, Html(pages::sign_in(&base, app.way_in(), true))).into_response();
    };
    let begun = app.sessions.begin(&parts.headers, &name, role, token);
    // If the tokens were replaced since this one was compared, its session was not there to be ended.
    app.sessions.keep(&app.guard.tokens());
    match begun {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to(&format!("{base}/"))).into_response(),
        Err(cause) => Trouble { base, refusal: Refusal::internal(&cause.to_string()) }.into_response(),
    }
}

async fn leave(State(app): Shared, visitor: Visitor, headers: HeaderMap, body: Bytes) -> Response {
    // A viewer may sign out, too.
    let form = Form::read(&body);
    if !app.sessions.is_from_us(&headers) || form.get("form_token") != Some(&visitor.session.form_token) {
        return visitor
            .trouble(Refusal::forbidden("this form does not come from a page of this session"))
            .into_response();
    }
    let cookie = app.sessions.end(&headers);
    ([(header::SET_COOKIE, cookie)], visitor.to("/sign-in")).into_response()
}

/// What the overview is made of. The checks come last: they take longest if databases are large.
pub(super) fn of_overview() -> [Wanted; 5] {
    [
        Wanted::whole(&["status"]),
        Wanted::whole(&["schedule"]),
        Wanted::lean(&["list"], &["archive", "set", "created_at", "bytes", "damaged"]),
        Wanted::lean(&["rotate", "--dry-run"], &["archive"]),
        Wanted::whole(&["health"]),
    ]
}

pub(super) async fn overview(State(app): Shared, visitor: Visitor) -> View {
    // What cannot be read is shown as not known, and `health` says why.
    let read = match app.documents(&of_overview(), &visitor.who.text, RECENT).await {
        Err(refusal) if refusal.is_overload() => return Err(visitor.trouble(refusal)),
        read => read,
    };
    let base = visitor.base.clone();
    let made = app.views.make(move || {
        let (documents, mut why) = match read {
            Ok(done) => (done.printed.documents().unwrap_or_default(), None),
            Err(refusal) => (Vec::new(), Some(refusal.error)),
        };
        let mut documents = documents.into_iter();
        let mut next = || {
            let got = documents.next();
            why = got.as_ref().and_then(|got| got.error.clone()).or(why.take());
            got.and_then(|got| got.document).unwrap_or(Value::Null)
        };
        let (status, schedule, list, rotation, health) = (next(), next(), next(), next(), next());
        let rotation = Some(&rotation).filter(|rotation| !rotation.is_null());
        // Without the checks, nothing else says why.
        let why = why.filter(|_| health.is_null());
        let why = why.as_ref().and_then(|why| why["message"].as_str());
        pages::overview(&visitor.page(why), &status, &health, &schedule, &list, rotation)
    });
    Ok(Html(made.await.map_err(|refusal| Trouble { base, refusal })?).into_response())
}

#[derive(Deserialize)]
struct Filter {
    set: Option<String>,
    kind: Option<String>,
    before: Option<String>,
}

async fn backups(State(app): Shared, visitor: Visitor, Asked(filter): Asked<Filter>) -> View {
    let part = Part { set: filter.set, kind: filter.kind, before: filter.before, limit: SHOWN };
    match app.each(&[Wanted::part(&["list"], part)], &visitor.who.text, RECENT).await {
        Ok([(list, shelf)]) => Ok(Html(pages::backups(&visitor.page(None), &list, &shelf)).into_response()),
        // Before the first backup there is no store, and this is where it is made.
        Err(refusal) if refusal.error["code"] == NO_STORE => {
            let page = visitor.page(refusal.error["message"].as_str());
            let text = pages::backups(&page, &Value::Null, &Shelf::default());
            Ok((refusal.status, Html(text)).into_response())
        }
        Err(refusal) => Err(visitor.trouble(refusal)),
    }
}

async fn create(State(app): Shared, visitor: Visitor, headers: HeaderMap, body: Bytes) -> View {
    let form = visitor.form(&app, &headers, &body)?;
    let mut words = vec!["backup".to_owned()];
    if let Some(set) = form.get("set").filter(|set| !set.is_empty()) {
        let set = set_name(set).map_err(|refusal| visitor.trouble(refusal))?;
        words.extend(["--set".to_owned(), set.to_string()]);
    }
    if let Some(note) = form.get("note").filter(|note| !note.is_empty()) {
        words.push(format!("--note={note}"));
    }
    visitor.start(&app, "backup", words, Task::Change)
}

async fn backup(State(app): Shared, visitor: Visitor, Path(name): Path<String>) -> View {
    let name = visitor.archive(&name)?;
    let both = [Wanted::whole(&["show", name.as_str()]), Wanted::lean(&["list"], &["archive", "set"])];
    let read = app.each(&both, &visitor.who.text, RECENT).await;
    let [(show, _), (list, _)] = read.map_err(|refusal| visitor.trouble(refusal))?;
    let mut of_set = list["archives"].as_array().into_iter().flatten().filter(|one| one["set"] == show["set"]);
    let this = of_set.find(|one| one["archive"] == show["archive"]);
    let before = this.and_then(|_| of_set.next()?["archive"].as_str());
    let before = match before {
        Some(before) => visitor.document(&app, &["show", before]).await.ok(),
        None => None,
    };
    Ok(Html(pages::backup(&visitor.page(None), &show, before.as_ref())).into_response())
}

async fn fetch(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> View {
    let name = visitor.archive(&name)?;
    if !visitor.may_download {
        return Err(visitor.trouble(Refusal::forbidden("this token may not download")));
    }
    let downloaded = download::download(&app, &name, &method, &headers, &visitor.who).await;
    downloaded.map_err(|refusal| visitor.trouble(refusal))
}

async fn verify(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> View {
    visitor.form(&app, &headers, &body)?;
    visitor.start(&app, "verify", vec!["verify".to_owned(), visitor.archive(&name)?.to_string()], Task::Look)
}

async fn pin(State(app): Shared, visitor: Visitor, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> View {
    mark(&app, &visitor, "pin", &name, &headers, &body).await
}

async fn unpin(
    State(app): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> View {
    mark(&app, &visitor, "unpin", &name, &headers, &body).await
}

async fn mark(app: &Arc<App>, visitor: &Visitor, command: &str, name: &str, headers: &HeaderMap, body: &Bytes) -> View {
    visitor.form(app, headers, body)?;
    let name = visitor.archive(name)?;
    app.mark(command, &name, &visitor.who.text).await.map_err(|refusal| visitor.trouble(refusal))?;
    Ok(visitor.to(&format!("/backups/{}", download::percent(name.as_str()))))
}

async fn cancel(State(app): Shared, visitor: Visitor, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> View {
    visitor.form(&app, &headers, &body)?;
    let job = app.jobs.get(&id).ok_or_else(|| visitor.trouble(Refusal::not_found()))?;
    job.cancel();
    Ok(visitor.to_job(&job))
}

async fn log(State(app): Shared, visitor: Visitor) -> View {
    // With what was logged by this server a moment ago.
    let log = app.document(&["log"], &visitor.who.text, NOW).await.map_err(|refusal| visitor.trouble(refusal))?;
    let mut log = log.document().unwrap_or(Value::Null);
    let mut notice = None;
    if let Some(activities) = log["activities"].as_array_mut() {
        notice = (activities.len() > MOST).then(|| format!("the newest {MOST} of {} are shown", activities.len()));
        activities.truncate(MOST);
    }
    Ok(Html(pages::log(&visitor.page(notice.as_deref()), &log)).into_response())
}
