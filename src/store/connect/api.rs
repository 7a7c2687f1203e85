//! The requests to a Posit Connect server, and what its answers mean.
//!
//! Its errors are JSON with a `code`: 4 is the only proof that something is missing. A plain "not found" can come from
//! a proxy, and is an error. <https://docs.posit.co/connect/api/>

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::super::StoreError;
use super::super::silence::{self, Silence};
use super::super::surroundings::Remote;
use crate::names::printable;
use crate::progress::Interrupted;

/// The first pause before a request is repeated; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The largest answer that is not a file, in bytes.
pub(super) const MAX_ANSWER: usize = 16 << 20;
/// The longest text of the server that is shown.
const MAX_TEXT: usize = 300;

/// Error codes of the server.
const NO_SUCH_OBJECT: i64 = 4;
const NOT_PERMITTED: i64 = 19;
const WRONG_KEY: i64 = 30;
const ACTIVE_BUNDLE: i64 = 75;

/// Why a request failed. The text never holds the key.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server is away, overloaded, or somebody else answered: the same request may succeed later.
    Passing(String, Option<Duration>),
    /// The key is wrong, or lacks a right.
    Denied(String),
    /// The server reports that it does not exist.
    Missing,
    /// The active version cannot be removed.
    Active,
    /// Refused for good, for another reason.
    Refused(String),
    /// The archive could not be read.
    Local(io::Error),
    /// This run was asked to stop.
    Stopped,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing(text, _) | Self::Denied(text) | Self::Refused(text) => f.write_str(text),
            Self::Missing => f.write_str("the server reports that it does not exist"),
            Self::Active => f.write_str("the server keeps the active version of a pin; it goes with the next one"),
            Self::Local(cause) => cause.fmt(f),
            Self::Stopped => Interrupted.fmt(f),
        }
    }
}

impl Fault {
    /// Returns what it means for a store. `name` is the file; empty if it is about the whole store.
    pub(super) fn at(self, action: &'static str, name: &str, location: String) -> StoreError {
        let name = name.to_owned();
        let kind = match &self {
            Self::Denied(_) => io::ErrorKind::PermissionDenied,
            Self::Active => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        };
        match self {
            Self::Missing => StoreError::NotFound { name, location },
            Self::Stopped => StoreError::Interrupted(Interrupted),
            Self::Local(cause) => StoreError::Io { action, name, location, cause },
            Self::Passing(text, _) => StoreError::Unreachable { location, cause: io::Error::other(text) },
            Self::Denied(text) => StoreError::Denied { action, name, location, cause: io::Error::new(kind, text) },
            Self::Active | Self::Refused(_) => {
                StoreError::Io { action, name, location, cause: io::Error::new(kind, self.to_string()) }
            }
        }
    }

    /// Returns the fault of a connection. The URL is left out: it is long and says nothing.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Self::Passing(cause.to_string(), None)
    }
}

/// One server, with the key.
#[derive(Clone)]
pub(super) struct Api {
    base: Url,
    key: HeaderValue,
    client: Client,
    pub(super) remote: Remote,
    silence: Silence,
}

impl Api {
    /// `base` is the address of the server. Fails with a text if it, or the key, cannot be used.
    pub(super) fn new(base: &str, key: &str, client: Client, remote: &Remote) -> Result<Self, &'static str> {
        let base = Url::parse(base).ok().filter(|base| matches!(base.scheme(), "http" | "https") && base.has_host());
        let base = base.ok_or("the address of the server must start with https:// or http://")?;
        let mut key = HeaderValue::from_str(&format!("Key {key}"))
            .map_err(|_| "CONNECT_API_KEY holds characters that a key cannot have")?;
        key.set_sensitive(true);
        Ok(Self { base, key, client, remote: remote.clone(), silence: Silence::default() })
    }

    /// Returns the address of something on the server.
    pub(super) fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Starts a request with the key.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url).header(AUTHORIZATION, self.key.clone())
    }

    /// Sends a request that may be repeated, and parses the answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<T, Fault> {
        let what = url.path().to_owned();
        self.repeated(&what, async || {
            let request = self.request(method.clone(), url.clone());
            let request = body.iter().fold(request, |request, body| request.json(body));
            let response = self.answered(request).await?;
            let text = self.body(response).await?;
            serde_json::from_slice(&text)
                .map_err(|_| Fault::Passing(format!("not an answer of Posit Connect: {}", short(&text)), None))
        })
        .await
    }

    /// Sends a request whose answer has no body.
    pub(super) async fn delete(&self, url: Url) -> Result<(), Fault> {
        let what = url.path().to_owned();
        self.repeated(&what, async || {
            let response = self.answered(self.request(Method::DELETE, url.clone())).await?;
            self.body(response).await.map(drop)
        })
        .await
    }

    /// Repeats a request that fails in passing, for as long as one request may go without progress.
    pub(super) async fn repeated<T>(&self, what: &str, send: impl AsyncFn() -> Result<T, Fault>) -> Result<T, Fault> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let fault = match send().await {
                Err(fault @ Fault::Passing(..)) => fault,
                done => return done,
            };
            let Fault::Passing(text, wanted) = &fault else { return Err(fault) };
            let wait = wanted.unwrap_or_default().max(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if self.silence.lasts(self.remote.request) {
                return Err(fault);
            }
            if started.elapsed() + wait >= self.remote.request {
                self.silence.begins();
                return Err(fault);
            }
            (self.remote.repeated)(&format!("{what}: {text}; trying again in {:.1} s", wait.as_secs_f64()));
            sleep(wait).await;
        }
    }

    /// Sends a request once; an answer that is an error becomes a fault.
    pub(super) async fn answered(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let whole = self.remote.request;
        let attempt = if self.silence.lasts(whole) { silence::ATTEMPT } else { whole };
        let response = timeout(attempt.min(whole), request.send()).await.map_err(|_| self.silent())?;
        let response = response.map_err(Fault::of)?;
        self.silence.ends();
        self.judged(response).await
    }

    /// Returns an answer, or the fault that it stands for.
    pub(super) async fn judged(&self, response: Response) -> Result<Response, Fault> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let text = self.body(response).await.unwrap_or_default();
        Err(fault(status, &text, wait.map(Duration::from_secs)))
    }

    /// Reads an answer to its end.
    pub(super) async fn body(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Fault::Refused("the answer of the server is too long".into()));
            }
        }
        Ok(body)
    }

    /// Reads the next part of an answer; `None` at its end.
    pub(super) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Fault> {
        timeout(self.remote.request, response.chunk()).await.map_err(|_| self.silent())?.map_err(Fault::of)
    }

    pub(super) fn silent(&self) -> Fault {
        Fault::Passing(format!("no answer for {} s", self.remote.request.as_secs()), None)
    }
}

/// Returns the server's time of an answer.
pub(super) fn date(response: &Response) -> Option<chrono::DateTime<chrono::Utc>> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    chrono::DateTime::parse_from_rfc2822(date).ok().map(|date| date.to_utc())
}

/// Returns what an answer that is no success means.
fn fault(status: StatusCode, text: &[u8], wait: Option<Duration>) -> Fault {
    let answer: Option<Value> = serde_json::from_slice(text).ok();
    let code = answer.as_ref().and_then(|answer| answer.get("code")?.as_i64());
    let said = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
    let shown = match said {
        Some(said) => format!("{} ({status})", short(said.as_bytes())),
        None => format!("the server answered {status}"),
    };
    match (code, status.as_u16()) {
        (Some(NO_SUCH_OBJECT), _) => Fault::Missing,
        (Some(ACTIVE_BUNDLE), _) => Fault::Active,
        (Some(WRONG_KEY | NOT_PERMITTED), _) | (_, 401 | 403) => Fault::Denied(shown),
        (_, 408 | 429 | 500..) => Fault::Passing(shown, wait),
        // Not from the server itself.
        (None, 404) => Fault::Passing(shown, wait),
        _ => Fault::Refused(shown),
    }
}

/// Shortens a text of the server to one printable line.
fn short(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_TEXT)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    printable(&line).chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_the_server_proves_that_something_is_missing() {
        let of = |status: u16, text: &str| fault(StatusCode::from_u16(status).unwrap(), text.as_bytes(), None);
        assert!(matches!(of(404, r#"{"code":4,"error":"no such object"}"#), Fault::Missing));
        assert!(matches!(of(404, "<html>not found"), Fault::Passing(..)));
        assert!(matches!(of(404, r#"{"error":"not found"}"#), Fault::Passing(..)));
        assert!(matches!(of(401, r#"{"code":30,"error":"no"}"#), Fault::Denied(_)));
        assert!(matches!(of(403, "<html>"), Fault::Denied(_)));
        assert!(matches!(of(409, r#"{"code":75}"#), Fault::Active));
        assert!(matches!(of(400, r#"{"code":7,"error":"bad"}"#), Fault::Refused(_)));
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(matches!(of(status, ""), Fault::Passing(..)), "{status}");
        }
        // A redirection would take the key elsewhere.
        assert!(matches!(of(302, ""), Fault::Refused(_)));
        let Fault::Refused(text) = of(400, "{\"code\":7,\"error\":\"a\\u001b[31m\\nb\"}") else { panic!() };
        assert_eq!(text, "a?[31m b (400 Bad Request)");
    }

    #[test]
    fn addresses_keep_the_path_of_the_server_and_escape_names() {
        let key = "secret";
        let api = |base: &str| Api::new(base, key, crate::net::client().unwrap(), &Remote::new(|_| None));
        let url =
            |base: &str| api(base).unwrap().url(&["content", "g", "a b?#%/.tar.gz"], &[("name", "x&y")]).to_string();
        assert_eq!(url("https://server"), "https://server/content/g/a%20b%3F%23%25%2F.tar.gz?name=x%26y");
        assert_eq!(url("https://server/rsc/"), "https://server/rsc/content/g/a%20b%3F%23%25%2F.tar.gz?name=x%26y");
        assert!(api("ftp://server").is_err() && api("server").is_err());
        let request = api("https://server").unwrap().request(Method::GET, "https://server/".parse().unwrap());
        assert!(!format!("{:?}", request.build().unwrap()).contains(key));
    }
}
