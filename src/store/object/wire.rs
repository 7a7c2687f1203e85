//! The transport below opendal: sends requests, and repeats those that failed in passing.
//!
//! A request is repeated as it is, with its signature. Every request here may be: a read, a part of an upload, and a
//! write that is refused if the name is taken; who gets that refusal looks up whose object it is.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_core::Stream;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use opendal::raw::ServiceOperation;
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::answer::{self, Asked};
use super::checksum::Checksum;
use super::fault::{Fault, short};
use super::pace::{Activity, Grant, Pace, Stopped};
use crate::store::silence::{self, Silence};
use crate::store::surroundings::Remote;
use crate::store_url::Service;

/// The first pause before a request is repeated; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The largest answer that is not an object.
const MAX_ANSWER: usize = 64 << 20;

/// What the answers of a service show besides their contents.
#[derive(Default)]
pub(super) struct Seen {
    /// The time of the service in its last answer, and by how many seconds this host was ahead of it.
    clock: Mutex<Option<(DateTime<Utc>, Option<i64>)>>,
    checksum: AtomicBool,
    versions: AtomicBool,
    lock: AtomicBool,
    silence: Silence,
}

impl Seen {
    /// Returns by how many seconds the clock of this host is ahead, if an answer showed it. `now` is the time of this
    /// host, for services whose requests do not carry it.
    pub(super) fn ahead(&self, now: DateTime<Utc>) -> Option<i64> {
        let (theirs, ahead) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(ahead.unwrap_or_else(|| (now - theirs).num_seconds()))
    }

    /// Returns whether the service confirmed the checksum of what was sent.
    pub(super) fn checksum(&self) -> bool {
        self.checksum.load(Ordering::Relaxed)
    }

    /// Returns whether the service named a version of an object, or kept one that was removed.
    pub(super) fn versions(&self) -> bool {
        self.versions.load(Ordering::Relaxed)
    }

    /// Returns whether an object was locked against removal.
    pub(super) fn lock(&self) -> bool {
        self.lock.load(Ordering::Relaxed)
    }

    fn note(&self, asked: &Asked<'_>, headers: &http::HeaderMap) {
        if let Some(theirs) = answer::answered_at(headers) {
            let ahead = answer::sent_at(asked).map(|ours| (ours - theirs).num_seconds());
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((theirs, ahead));
        }
        if asked.carries_data() && headers.contains_key("x-amz-checksum-crc32c") {
            self.checksum.store(true, Ordering::Relaxed);
        }
        let version = ["x-amz-version-id", "x-ms-version-id"].iter().find_map(|name| answer::header(headers, name));
        let is_soft =
            answer::header(headers, "x-ms-delete-type-permanent").is_some_and(|permanent| permanent == "false");
        if is_soft || version.is_some_and(|version| version != "null") {
            self.versions.store(true, Ordering::Relaxed);
        }
        if ["x-amz-object-lock-mode", "x-ms-immutability-policy-mode"].iter().any(|name| headers.contains_key(*name)) {
            self.lock.store(true, Ordering::Relaxed);
        }
    }
}

/// Receives the id of a multipart upload before its first part is sent.
pub(super) type Started = Arc<dyn Fn(&str) + Send + Sync>;

/// Sends requests to one service.
#[derive(Clone)]
pub(super) struct Wire {
    client: reqwest::Client,
    service: Service,
    remote: Remote,
    pace: Option<Arc<Pace>>,
    started: Option<Started>,
    /// The id of an upload that is only to be aborted.
    resumed: Option<Arc<str>>,
    seen: Arc<Seen>,
}

impl Wire {
    /// Creates a transport over a client.
    pub(super) fn new(client: reqwest::Client, service: Service, remote: Remote) -> Self {
        Self { client, service, remote, pace: None, started: None, resumed: None, seen: Arc::default() }
    }

    /// Returns the transport for the requests of one upload.
    pub(super) fn paced(&self, pace: Arc<Pace>, started: Option<Started>) -> Self {
        Self { pace: Some(pace), started, ..self.clone() }
    }

    /// Returns a transport that can only abort an upload of an earlier run.
    pub(super) fn resuming(&self, upload: &str) -> Self {
        Self { resumed: Some(upload.into()), ..self.clone() }
    }

    /// Returns whether the service does not answer: see [`Silence`].
    pub(super) fn is_away(&self) -> bool {
        self.seen.silence.lasts(self.remote.request)
    }

    /// Returns what answers have shown so far.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    async fn send(&self, request: &Request<Buffer>) -> Result<Response<HttpBody>, Fault> {
        let asked = self.asked(request);
        if let Some(upload) = &self.resumed {
            match asked.call {
                "CreateMultipartUpload" => {
                    return made(http::StatusCode::OK, http::HeaderMap::new(), whole(answer::initiated(upload)));
                }
                "AbortMultipartUpload" => {}
                _ => return Err(Fault::Stopped),
            }
        }
        let pace = self.pace.as_ref().filter(|_| !asked.aborts());
        let started = Instant::now();
        let limit = pace.map_or(self.remote.request, |pace| pace.patience());
        let counted = Arc::new(AtomicU64::new(0));
        let mut pause = FIRST_PAUSE;
        loop {
            if pace.is_some_and(|pace| pace.is_stopped()) {
                return Err(Fault::Stopped);
            }
            if let Some(pace) = pace.filter(|_| asked.commits() && request.body().is_empty()) {
                // Nothing asks before it is sent.
                pace.note_open();
            }
            let fault = match self.attempt(request, &asked, pace, &counted).await {
                Ok(response) => {
                    if let Some(pace) = pace {
                        pace.touch();
                    }
                    return Ok(response);
                }
                Err(fault) => fault,
            };
            if let Some(pace) = pace.filter(|_| asked.commits() && fault.is_open()) {
                pace.note_open();
            }
            if !fault.is_passing() {
                return Err(fault);
            }
            let wanted = if let Fault::Busy { wait: Some(wait), .. } = fault { wait } else { Duration::ZERO };
            let wait = wanted.max(jittered(pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
            // An upload has its own time, and what became of it is looked up without haste.
            if pace.is_none() && self.is_away() {
                return Err(fault);
            }
            let quiet_since = pace.map_or(started, |pace| pace.moved());
            if quiet_since.elapsed() + wait >= limit {
                if pace.is_none() {
                    self.seen.silence.begins();
                }
                return Err(fault);
            }
            (self.remote.repeated)(&format!(
                "{}: {fault}; trying again in {:.1} s",
                if asked.call.is_empty() { "credentials" } else { asked.call },
                wait.as_secs_f64()
            ));
            sleep(wait).await;
        }
    }

    fn asked<'a>(&self, request: &'a Request<Buffer>) -> Asked<'a> {
        Asked {
            service: self.service,
            call: request.extensions().get::<ServiceOperation>().map_or("", |operation| operation.0),
            method: request.method(),
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
        }
    }

    async fn attempt(
        &self,
        request: &Request<Buffer>,
        asked: &Asked<'_>,
        pace: Option<&Arc<Pace>>,
        counted: &Arc<AtomicU64>,
    ) -> Result<Response<HttpBody>, Fault> {
        // A connection that was lost unnoticed must not take the time of the one that follows.
        let patience = pace.map_or(self.remote.request, |pace| pace.patience());
        let mut limit = self.remote.request.min(patience / 2);
        if pace.is_none() && self.is_away() {
            limit = limit.min(silence::ATTEMPT);
        }
        let activity = Activity::new();
        let silent = || Fault::Silent(limit);
        let url = reqwest::Url::parse(&request.uri().to_string())
            .map_err(|error| Fault::Refused(format!("the address of the service is not valid: {error}")))?;
        let mut built = self.client.request(request.method().clone(), url).headers(request.headers().clone());
        if !request.body().is_empty() {
            built = built.body(reqwest::Body::wrap(Outgoing {
                rest: request.body().clone(),
                sent: 0,
                chunk: pace.map_or(usize::MAX, |pace| pace.chunk()),
                counted: Some(counted.clone()).filter(|_| asked.carries_data()),
                commits: asked.commits(),
                pace: pace.cloned(),
                activity: activity.clone(),
                grant: None,
            }));
        }
        let sent = activity.within(limit, built.send()).await.ok_or_else(silent)?;
        let mut response = sent.map_err(|error| broken(&error))?;
        activity.touch(Instant::now());
        self.seen.silence.ends();
        self.seen.note(asked, response.headers());

        let status = response.status();
        let headers = response.headers().clone();
        if asked.reads() && status.is_success() {
            answer::judge(asked, status, &headers, &[])?;
            let left = answer::length(&headers);
            let body = Incoming {
                source: Box::pin(response.bytes_stream()),
                limit,
                due: Box::pin(sleep_until(Instant::now() + limit)),
                left,
            };
            return made(status, headers, HttpBody::new(body, left));
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            activity.within(limit, response.chunk()).await.ok_or_else(silent)?.map_err(|error| broken(&error))?
        {
            activity.touch(Instant::now());
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Fault::Foreign("it is larger than any answer".into()));
            }
        }
        answer::judge(asked, status, &headers, &body)?;
        is_confirmed(asked, request.body(), &headers)?;
        if let Some(started) = &self.started
            && let Some(upload) = answer::upload_id(asked, &body)
        {
            started(upload);
        }
        made(status, headers, whole(body))
    }
}

impl HttpTransport for Wire {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        self.send(&request).await.map_err(error)
    }
}

/// Azure states the checksum of each part that it received, and none of the whole object.
fn is_confirmed(asked: &Asked<'_>, body: &Buffer, headers: &http::HeaderMap) -> Result<(), Fault> {
    let Some(received) = answer::header(headers, "content-md5").filter(|_| asked.call == "PutBlock") else {
        return Ok(());
    };
    let mut sent = Checksum::default();
    body.clone().for_each(|piece| sent.update(&piece));
    if sent.finish() == received { Ok(()) } else { Err(Fault::Corrupt) }
}

/// Wraps a fault for the way through opendal.
fn error(fault: Fault) -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, fault.to_string()).set_source(fault)
}

fn made(status: http::StatusCode, headers: http::HeaderMap, body: HttpBody) -> Result<Response<HttpBody>, Fault> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Describes a failed connection without its address.
fn broken(error: &reqwest::Error) -> Fault {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        if next.is::<Stopped>() {
            return Fault::Stopped;
        }
        cause = next;
    }
    let text = cause.to_string();
    if text.contains("invalid peer certificate") {
        return Fault::Untrusted(short(&text));
    }
    let what = if error.is_connect() { "cannot connect: " } else { "" };
    let why = match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "it ended early".to_owned(),
        None => short(&text),
    };
    Fault::Broken(format!("{what}{why}"))
}

/// Varies a pause, so that many hosts do not come back at once.
fn jittered(pause: Duration) -> Duration {
    // The keys of the standard library's hash maps are random.
    let share = (RandomState::new().hash_one(0) % 512) as f64 / 1024.0;
    pause.mul_f64(0.75 + share)
}

/// The body of a request: sent in chunks, each when the upload allows it.
struct Outgoing {
    rest: Buffer,
    sent: u64,
    chunk: usize,
    /// How far an earlier attempt came; `None` if these are no bytes of a file.
    counted: Option<Arc<AtomicU64>>,
    commits: bool,
    pace: Option<Arc<Pace>>,
    activity: Activity,
    /// Set while it waits for permission for the next chunk, and whether no earlier attempt came as far.
    grant: Option<(Grant, bool)>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = this.rest.len().min(this.chunk);
        if let Some(pace) = &this.pace {
            let end = this.sent + bytes as u64;
            let (grant, is_new) = this.grant.get_or_insert_with(|| {
                let before = this.counted.as_ref().map_or(end, |counted| counted.fetch_max(end, Ordering::Relaxed));
                let is_last = bytes == this.rest.len();
                let new = end.saturating_sub(before.max(this.sent));
                (Grant::Asked(pace.ask(bytes as u64, new, this.commits && is_last)), new > 0)
            });
            let granted = ready!(grant.poll(context, &this.activity));
            if *is_new && granted.is_ok() {
                pace.touch();
            }
            this.grant = None;
            if let Err(stopped) = granted {
                return Poll::Ready(Some(Err(stopped)));
            }
        }
        this.activity.touch(Instant::now());
        this.sent += bytes as u64;
        let chunk = this.rest.split_to(bytes).to_bytes();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The bytes of an object, as they arrive.
struct Incoming {
    source: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send + Sync>>,
    limit: Duration,
    due: Pin<Box<Sleep>>,
    /// How much is still to come, if the service said so.
    left: Option<u64>,
}

impl Stream for Incoming {
    type Item = opendal::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.source.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => {}
                Poll::Ready(Some(Ok(chunk))) => {
                    let limit = self.limit;
                    self.due.as_mut().reset(Instant::now() + limit);
                    if let Some(left) = &mut self.left {
                        let Some(rest) = left.checked_sub(chunk.len() as u64) else {
                            return Poll::Ready(Some(Err(error(Fault::Foreign("it is longer than it says".into())))));
                        };
                        *left = rest;
                    }
                    return Poll::Ready(Some(Ok(Buffer::from(chunk))));
                }
                Poll::Ready(Some(Err(failed))) => return Poll::Ready(Some(Err(error(broken(&failed))))),
                Poll::Ready(None) if self.left.is_some_and(|left| left > 0) => {
                    return Poll::Ready(Some(Err(error(Fault::Broken("it ended early".into())))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.due.as_mut().poll(context));
                    return Poll::Ready(Some(Err(error(Fault::Silent(self.limit)))));
                }
            }
        }
    }
}

fn whole(body: Vec<u8>) -> HttpBody {
    HttpBody::new(Whole(Some(Bytes::from(body)).filter(|body| !body.is_empty())), None)
}

/// An answer that was read to its end.
struct Whole(Option<Bytes>);

impl Stream for Whole {
    type Item = opendal::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Buffer::from(bytes))))
    }
}
