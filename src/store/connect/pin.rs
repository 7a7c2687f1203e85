//! A pin on a server: finds it, lists and removes its versions, and makes a version the active one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Fault, date};
use super::description::{self, Described, numbered};
use crate::net;
use crate::store::Entry;

/// How many descriptions are requested at the same time.
const SIDE_BY_SIDE: usize = 8;
/// The largest description, in bytes.
const MAX_DESCRIPTION: usize = 64 << 10;

/// A pin of a user.
#[derive(Clone)]
pub(super) struct Pin {
    pub(super) api: Api,
    user: String,
    name: String,
    known: Arc<Known>,
}

/// What was found out already.
#[derive(Default)]
struct Known {
    owner: OnceLock<Owner>,
    /// By the id of the version; a version never changes. `None`: it holds no archive.
    described: Mutex<HashMap<u64, Option<Described>>>,
    /// Whether the server gives parts of files.
    ranges: OnceLock<bool>,
}

#[derive(Clone)]
struct Owner {
    guid: String,
    /// The user of the key, if that is another one.
    key_of: Option<String>,
}

#[derive(Deserialize)]
struct User {
    guid: String,
    username: String,
}

#[derive(Deserialize)]
struct Users {
    results: Vec<User>,
}

/// The content item of a pin.
#[derive(Clone, Deserialize)]
pub(super) struct Content {
    pub(super) guid: String,
    created_time: Option<DateTime<Utc>>,
    app_mode: Option<String>,
    content_category: Option<String>,
}

impl Content {
    /// Returns when the pin was made.
    pub(super) fn made_at(&self) -> Option<DateTime<Utc>> {
        self.created_time
    }

    /// A deployment replaces what the item shows: it must be nothing but a pin.
    fn is_pin_or_new(&self) -> bool {
        let is_one_of =
            |value: &Option<String>, known: &[&str]| value.as_deref().is_none_or(|value| known.contains(&value));
        is_one_of(&self.app_mode, &["", "unknown", "static"]) && is_one_of(&self.content_category, &["", "pin"])
    }
}

#[derive(Deserialize)]
struct Bundle {
    id: Value,
    created_time: Option<DateTime<Utc>>,
    #[serde(default)]
    active: bool,
}

/// A version of a pin that holds a file.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: u64,
    pub(super) is_active: bool,
    pub(super) described: Described,
    pub(super) entry: Entry,
}

#[derive(Deserialize)]
struct Task {
    finished: bool,
    #[serde(default)]
    code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    last: i64,
}

impl Pin {
    pub(super) fn new(api: Api, user: &str, name: &str) -> Self {
        Self { api, user: user.to_owned(), name: name.to_owned(), known: Arc::default() }
    }

    fn described(&self) -> MutexGuard<'_, HashMap<u64, Option<Described>>> {
        // A panic elsewhere cannot have left the map half changed: each change is one call.
        self.known.described.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the server gives parts of files, as far as that was seen.
    pub(super) fn ranges(&self) -> Option<bool> {
        self.known.ranges.get().copied()
    }

    /// Notes how the server answered a request for a part.
    pub(super) fn note_ranges(&self, status: StatusCode) {
        let _ = self.known.ranges.set(status == StatusCode::PARTIAL_CONTENT);
    }

    fn v1(&self, parts: &[&str], query: &[(&str, &str)]) -> Url {
        self.api.url(&[&["__api__", "v1"], parts].concat(), query)
    }

    /// Returns the address of a file in a version.
    pub(super) fn file(&self, guid: &str, id: u64, name: &str) -> Url {
        self.api.url(&["content", guid, &format!("_rev{id}"), name], &[])
    }

    async fn owner(&self) -> Result<Owner, Fault> {
        if let Some(known) = self.known.owner.get() {
            return Ok(known.clone());
        }
        let own: User = self.api.json(Method::GET, self.v1(&["user"], &[]), None).await?;
        let found = if own.username == self.user {
            Owner { guid: own.guid, key_of: None }
        } else {
            Owner { guid: self.user_guid(&own.username).await?, key_of: Some(own.username) }
        };
        Ok(self.known.owner.get_or_init(|| found).clone())
    }

    /// Looks another user up. `own` is the one of the key.
    async fn user_guid(&self, own: &str) -> Result<String, Fault> {
        for page in 1.. {
            let query = [("prefix", self.user.as_str()), ("page_number", &page.to_string())];
            let users: Users = self.api.json(Method::GET, self.v1(&["users"], &query), None).await?;
            if users.results.is_empty() {
                break;
            }
            if let Some(user) = users.results.into_iter().find(|user| user.username == self.user) {
                return Ok(user.guid);
            }
        }
        let own = crate::names::printable(own);
        Err(Fault::Refused(format!("the server has no user \"{}\"; the key is that of \"{own}\"", self.user)))
    }

    /// Returns the time of the server, for a version whose archive is no file with a time of its own.
    pub(super) async fn server_time(&self) -> Result<DateTime<Utc>, Fault> {
        let what = self.v1(&["user"], &[]);
        let ask = async || self.api.answered(self.api.request(Method::GET, what.clone())).await;
        let response = self.api.repeated(what.path(), ask).await?;
        date(&response).ok_or_else(|| Fault::Refused("the answer of the server has no time".into()))
    }

    /// Looks the pin up; `None` if the server reports that the user has none of this name.
    ///
    /// Fails if the key is that of another user and sees no such pin: the server leaves out what a key must not see, so
    /// the pin may exist, full of archives.
    pub(super) async fn content(&self) -> Result<Option<Content>, Fault> {
        let owner = self.owner().await?;
        let query = [("owner_guid", owner.guid.as_str()), ("name", &self.name)];
        let mut found: Vec<Content> = self.api.json(Method::GET, self.v1(&["content"], &query), None).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => match &owner.key_of {
                None => Ok(None),
                Some(key_of) => Err(Fault::Denied(format!(
                    "the key is that of \"{}\", who sees no pin \"{}\" of \"{}\"; it may exist, and only \"{}\" can \
                     make it",
                    crate::names::printable(key_of),
                    self.name,
                    self.user,
                    self.user
                ))),
            },
            (Some(content), true) if content.is_pin_or_new() => Ok(Some(content)),
            (Some(_), true) => Err(Fault::Refused(format!("\"{}\" on the server is not a pin", self.name))),
            (Some(_), false) => Err(Fault::Refused(format!("the server has several items \"{}\"", self.name))),
        }
    }

    /// Returns the pin, and makes it if there is none.
    ///
    /// Crash in between: a pin without a version, which is an empty store.
    pub(super) async fn content_or_new(&self) -> Result<Content, Fault> {
        if let Some(found) = self.content().await? {
            return Ok(found);
        }
        let new = json!({ "name": self.name, "title": self.name, "access_type": "acl" });
        let response = self.api.answered(self.api.request(Method::POST, self.v1(&["content"], &[])).json(&new)).await;
        match response {
            Ok(_) => {}
            // It may have been made: by this request, or by another client.
            Err(Fault::Passing(..) | Fault::Refused(_)) => {
                if let Some(found) = self.content().await? {
                    return Ok(found);
                }
                return Err(response.err().unwrap_or(Fault::Missing));
            }
            Err(fault) => return Err(fault),
        }
        self.content().await?.ok_or_else(|| Fault::Refused("the server did not make the pin".into()))
    }

    /// Lists the versions that hold an archive.
    ///
    /// A version that was uploaded and never deployed has no files yet, and is none. That is concluded only if the
    /// server gives out the files of the active version.
    pub(super) fn versions(&self, guid: &str) -> Result<Vec<Version>, Fault> {
        let url = self.v1(&["content", guid, "bundles"], &[]);
        let bundles: Vec<Bundle> = block_on(self.api.json(Method::GET, url, None))?;
        let mut by_id = BTreeMap::new();
        for bundle in bundles {
            let id =
                id_of(&bundle.id).ok_or_else(|| Fault::Passing("the id of a version is not a number".into(), None))?;
            by_id.insert(id, bundle);
        }
        let described = self.describe(guid, &by_id)?;
        let mut names = HashSet::new();
        let mut versions = Vec::new();
        for (id, bundle) in by_id {
            let Some(Some(described)) = described.get(&id) else { continue };
            let created = bundle.created_time.unwrap_or(DateTime::UNIX_EPOCH);
            let Some(name) = described.name(created) else { continue };
            // The same name twice: two clients at once. The first keeps it.
            let name = if names.contains(&name) { numbered(&name, id) } else { name };
            names.insert(name.clone());
            let entry = Entry { name, bytes: described.bytes, modified: created, version: Some(id.to_string()) };
            versions.push(Version { id, is_active: bundle.active, described: described.clone(), entry });
        }
        Ok(versions)
    }

    /// Returns the descriptions of versions. Those that are not known yet are requested side by side.
    fn describe(&self, guid: &str, bundles: &BTreeMap<u64, Bundle>) -> Result<HashMap<u64, Option<Described>>, Fault> {
        let mut described = self.described().clone();
        described.retain(|id, _| bundles.contains_key(id));
        let wanted: Vec<(u64, bool)> = bundles
            .iter()
            .filter(|(id, _)| !described.contains_key(id))
            .map(|(id, bundle)| (*id, bundle.active))
            .collect();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || {
            while let Some((id, is_active)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let text = block_on(self.description(self.file(guid, *id, description::FILE), *is_active));
                let is_over = text.is_err();
                found.lock().unwrap_or_else(PoisonError::into_inner).push((*id, text));
                if is_over {
                    next.store(wanted.len(), Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..SIDE_BY_SIDE.min(wanted.len()) {
                // If no thread can be spawned, this one does all the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        for (id, text) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // A version without files may be deployed yet, so it is asked about again.
            let Some(text) = text? else { continue };
            let of_version = Described::parse(&text);
            self.described().insert(id, of_version.clone());
            described.insert(id, of_version);
        }
        Ok(described)
    }

    /// Reads a description; `None` if the version has no files.
    async fn description(&self, url: Url, is_active: bool) -> Result<Option<String>, Fault> {
        let part = format!("bytes=0-{}", MAX_DESCRIPTION - 1);
        self.api
            .repeated(description::FILE, async || {
                let request = self.api.request(Method::GET, url.clone()).header(RANGE, &part);
                let response = tokio::time::timeout(self.api.remote.request, request.send()).await;
                let response = response.map_err(|_| self.api.silent())?.map_err(Fault::of)?;
                if response.status() == StatusCode::NOT_FOUND && !is_active {
                    return Ok(None);
                }
                let response = self.api.judged(response).await?;
                self.note_ranges(response.status());
                let mut text = self.api.body(response).await?;
                text.truncate(MAX_DESCRIPTION);
                let text = String::from_utf8_lossy(&text).into_owned();
                let no_description = || Fault::Passing(format!("{} is not the description of a pin", url.path()), None);
                if Described::is_one(&text) { Ok(Some(text)) } else { Err(no_description()) }
            })
            .await
    }

    /// Returns whether the server still has a version.
    pub(super) async fn has(&self, guid: &str, id: u64) -> Result<bool, Fault> {
        let url = self.v1(&["content", guid, "bundles", &id.to_string()], &[]);
        match self.api.json::<Bundle>(Method::GET, url, None).await {
            Ok(_) => Ok(true),
            Err(Fault::Missing) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Removes a version.
    pub(super) async fn remove(&self, guid: &str, id: u64) -> Result<(), Fault> {
        self.api.delete(self.v1(&["content", guid, "bundles", &id.to_string()], &[])).await
    }

    /// Returns the address to send a bundle to.
    pub(super) fn uploads(&self, guid: &str) -> Url {
        self.v1(&["content", guid, "bundles"], &[])
    }

    /// Parses the answer to a bundle: the id of the version.
    pub(super) fn uploaded(answer: &[u8]) -> Result<u64, Fault> {
        let bundle = serde_json::from_slice::<Bundle>(answer).ok().and_then(|bundle| id_of(&bundle.id));
        bundle.ok_or_else(|| Fault::Passing("the answer to the upload is not one of Posit Connect".into(), None))
    }

    /// Makes a version the active one, and waits until it is. May be repeated.
    pub(super) async fn deploy(&self, guid: &str, id: u64) -> Result<(), Fault> {
        let body = json!({ "bundle_id": id.to_string() });
        let answer: Value =
            self.api.json(Method::POST, self.v1(&["content", guid, "deploy"], &[]), Some(&body)).await?;
        let no_task = || Fault::Passing("the answer to the deployment names no task".into(), None);
        let task = answer.get("task_id").and_then(Value::as_str).ok_or_else(no_task)?.to_owned();
        let mut last = 0;
        let mut moved = Instant::now();
        loop {
            let query = [("wait", "1"), ("first", &last.to_string())];
            let state: Task = self.api.json(Method::GET, self.v1(&["tasks", &task], &query), None).await?;
            if state.finished {
                let failed =
                    || Fault::Refused(format!("the deployment failed: {}", crate::names::printable(&state.error)));
                return if state.code == 0 { Ok(()) } else { Err(failed()) };
            }
            if state.last != last {
                (last, moved) = (state.last, Instant::now());
            }
            if moved.elapsed() >= self.api.remote.stalled {
                return Err(Fault::Passing("the deployment stands still".into(), None));
            }
            // A server that does not wait is not asked without end.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Runs requests to their end.
pub(super) fn block_on<T>(requests: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    net::block_on(requests).map_err(Fault::Local).flatten()
}

/// Returns an id, which the server writes as a text.
fn id_of(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}
