//! Sends a bundle: read, framed and sent at the same time, so that no more than a few blocks are in memory.

use std::io::{self, Read};
use std::pin::{Pin as Pinned, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame, SizeHint};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout};

use super::api::Fault;
use super::bundle::Frame;
use super::pin::Pin;
use crate::net;
use crate::progress::Progress;

/// How many blocks wait to be sent.
const QUEUE: usize = 8;
/// How often a cancellation is noticed.
const TICK: Duration = Duration::from_millis(100);

/// The body of the request: blocks from the thread that reads the archive.
struct Blocks {
    blocks: Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Body for Blocks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pinned<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, io::Error>>> {
        self.blocks.poll_recv(context).map(|block| {
            let block = block?;
            self.left = self.left.saturating_sub(block.as_ref().map_or(0, |block| block.len() as u64));
            Some(block.map(BodyFrame::data))
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What the thread that reads and the one that sends tell each other.
struct Shared {
    /// When the server last took something.
    moved: Mutex<Instant>,
    /// Whether the request has ended.
    is_over: Mutex<bool>,
    /// Why reading ended early.
    failed: Mutex<Option<Fault>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot have left the value half changed: each change is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Uploads a bundle and returns the id of the version, which is not active yet.
///
/// Crash in between: no version, because the server refuses a bundle that is shorter than announced; or a whole one
/// that was never deployed, which no listing shows and the server removes with the oldest ones.
pub(super) fn send(
    pin: &Pin,
    guid: &str,
    frame: &Frame,
    archive: &mut (dyn Read + Send),
    progress: &dyn Progress,
) -> Result<u64, Fault> {
    let (sender, blocks) = mpsc::channel(QUEUE);
    let shared = Shared { moved: Mutex::new(Instant::now()), is_over: Mutex::new(false), failed: Mutex::default() };
    let body = Blocks { blocks, left: frame.len() };
    let answer = thread::scope(|scope| {
        let shared = &shared;
        // The sender is dropped with the thread, which ends the body.
        let reader = move || read(pin, frame, archive, &sender, shared, progress);
        if let Err(cause) = thread::Builder::new().spawn_scoped(scope, reader) {
            return Err(Fault::Local(cause));
        }
        let sent = net::block_on(request(pin, guid, body, frame.len(), shared, progress));
        *lock(&shared.is_over) = true;
        sent.map_err(Fault::Local)?
    });
    match lock(&shared.failed).take() {
        Some(failed) => Err(failed),
        None => Pin::uploaded(&answer?),
    }
}

/// Reads and frames the archive, and hands the blocks over.
fn read(
    pin: &Pin,
    frame: &Frame,
    archive: &mut dyn Read,
    sender: &Sender<io::Result<Bytes>>,
    shared: &Shared,
    progress: &dyn Progress,
) {
    let (started, limit) = (std::time::Instant::now(), pin.api.remote.upload_limit);
    let mut sent = 0;
    let give = |block: Vec<u8>, of_archive: u64| {
        let stopped = || {
            *lock(&shared.failed) = Some(Fault::Stopped);
            io::Error::from(io::ErrorKind::Interrupted)
        };
        let is_over = || io::Error::from(io::ErrorKind::BrokenPipe);
        sent += block.len() as u64;
        let due = limit.map_or(Duration::ZERO, |limit| Duration::from_secs_f64(sent as f64 / limit.get() as f64));
        loop {
            if progress.cancelled() {
                return Err(stopped());
            }
            if *lock(&shared.is_over) {
                return Err(is_over());
            }
            let Some(early) = due.checked_sub(started.elapsed()).filter(|early| !early.is_zero()) else { break };
            *lock(&shared.moved) = Instant::now();
            thread::sleep(early.min(TICK));
        }
        let place = loop {
            match net::block_on(async { timeout(TICK, sender.reserve()).await })? {
                Ok(Ok(place)) => break place,
                Ok(Err(_)) => return Err(is_over()),
                Err(_) if progress.cancelled() => return Err(stopped()),
                Err(_) if *lock(&shared.is_over) => return Err(is_over()),
                Err(_) => {}
            }
        };
        place.send(Ok(block.into()));
        *lock(&shared.moved) = Instant::now();
        progress.advance(of_archive);
        Ok(())
    };
    if let Err(cause) = frame.write(archive, give) {
        let kind = cause.kind();
        if !matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) {
            *lock(&shared.failed) = Some(Fault::Local(cause));
        }
        // The request fails: the body is shorter than announced.
        let _ = sender.try_send(Err(kind.into()));
    }
}

async fn request(
    pin: &Pin,
    guid: &str,
    body: Blocks,
    bytes: u64,
    shared: &Shared,
    progress: &dyn Progress,
) -> Result<Vec<u8>, Fault> {
    let request = pin.api.request(Method::POST, pin.uploads(guid));
    let request = request.header(CONTENT_LENGTH, bytes).header(CONTENT_TYPE, "application/x-gzip");
    let mut answer = pin!(request.body(reqwest::Body::wrap(body)).send());
    let response = loop {
        match timeout(TICK, &mut answer).await {
            Ok(answer) => break answer.map_err(Fault::of)?,
            Err(_) if progress.cancelled() => return Err(Fault::Stopped),
            Err(_) if lock(&shared.moved).elapsed() >= pin.api.remote.stalled => {
                let limit = pin.api.remote.stalled.as_secs();
                return Err(Fault::Passing(format!("the upload made no progress for {limit} s"), None));
            }
            Err(_) => {}
        }
    };
    let response = pin.api.judged(response).await?;
    pin.api.body(response).await
}
