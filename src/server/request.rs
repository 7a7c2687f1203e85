//! What handlers take from a request: who sent it, names, a body.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::Method;
use axum::http::request::Parts;
use serde::Deserialize;

use super::App;
use super::access::Who;
use super::answer::Refusal;
use crate::config::Role;
use crate::names::{ArchiveName, Name};

/// Somebody who may look.
pub(super) struct Viewer(pub(super) Who);
/// Somebody who may do everything.
pub(super) struct Admin(pub(super) Who);

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        // The script of the page looks at jobs. A cookie changes nothing under /api. A proxy may ask for a password
        // of its own, which browsers send with each request: that is no token.
        let headers = &parts.headers;
        let may_sign_in = parts.method == Method::GET && app.guard.token(headers).is_none();
        if may_sign_in
            && app.sessions.is_for_us(headers)
            && let Some(session) = app.sessions.find(headers)
        {
            return Ok(Self(app.who(&session.name, parts)));
        }
        app.allow(parts, Role::Viewer).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        app.allow(parts, Role::Admin).map(Self)
    }
}

/// A part of the path.
pub(super) struct Path<T>(pub(super) T);

impl FromRequestParts<Arc<App>> for Path<String> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        // What is not UTF-8 names nothing.
        let part = axum::extract::Path::from_request_parts(parts, app).await;
        part.map(|axum::extract::Path(text)| Self(text)).map_err(|_| Refusal::not_found())
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: for<'a> Deserialize<'a>> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refusal> {
        let asked = Query::try_from_uri(&parts.uri);
        asked.map(|Query(asked)| Self(asked)).map_err(|error| Refusal::usage(&format!("the query: {error}")))
    }
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
pub(super) fn set_name(text: &str) -> Result<Name, Refusal> {
    Name::new(text).map_err(|error| Refusal::usage(&format!("not a name: {error}")))
}
