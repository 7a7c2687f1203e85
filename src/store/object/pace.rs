//! The pace of an upload: counts what is sent, holds it to the configured rate, and stops it.
//!
//! The thread that called the store is the only one that may use its [`Progress`]. Each request asks that thread before
//! it sends the next bytes, so that nothing is sent after a cancellation.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::net;
use crate::progress::Progress;

/// How often the caller is asked whether to stop while nothing is sent.
const TICK: Duration = Duration::from_millis(100);
/// How long requests may take to end after a cancellation.
const GRACE: Duration = Duration::from_secs(3);
/// How much is sent at once.
const CHUNK: u64 = 256 << 10;

/// The upload rate of a store, shared by all its uploads.
#[derive(Clone)]
pub(super) struct Rate {
    limit: Option<NonZeroU64>,
    /// When the next byte may be sent.
    free: Arc<Mutex<Instant>>,
}

impl Rate {
    /// Starts at once.
    pub(super) fn new(limit: Option<NonZeroU64>) -> Self {
        Self { limit, free: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Returns how much to send at once, so that the rate is even.
    pub(super) fn chunk(&self) -> usize {
        let chunk = self.limit.map_or(CHUNK, |limit| (limit.get() / 8).clamp(1 << 10, CHUNK));
        usize::try_from(chunk).expect("256 KiB fit")
    }

    /// Returns the configured limit in bytes per second.
    pub(super) fn limit(&self) -> Option<NonZeroU64> {
        self.limit
    }

    /// Returns when these bytes may be sent.
    fn reserve(&self, bytes: u64) -> Instant {
        let now = Instant::now();
        let Some(limit) = self.limit else { return now };
        let mut free = lock(&self.free);
        let start = (*free).max(now);
        *free = start + Duration::from_secs_f64(bytes as f64 / limit.get() as f64);
        start
    }
}

/// A request's question whether it may send.
struct Ask {
    /// How many bytes it wants to send.
    bytes: u64,
    /// How many of them count: those of a file that no earlier attempt sent.
    counted: u64,
    /// Whether the object has its name once these are sent.
    commits: bool,
    /// Receives when to send them. Dropped if the upload was stopped.
    granted: oneshot::Sender<Instant>,
}

/// What the requests of one upload share.
pub(super) struct Pace {
    asks: mpsc::UnboundedSender<Ask>,
    rate: Rate,
    stopped: AtomicBool,
    /// Whether a request that gives the object its name was sent, and its outcome is unknown.
    open: AtomicBool,
    moved: Mutex<Instant>,
    /// How long it may go without a byte that the service took.
    patience: Duration,
}

/// The other end, held by the thread that called the store.
pub(super) struct Asks(mpsc::UnboundedReceiver<Ask>);

impl Pace {
    /// Creates the pace of one upload, which may go this long without a byte that the service took.
    pub(super) fn new(rate: Rate, patience: Duration) -> (Arc<Self>, Asks) {
        let (asks, receiver) = mpsc::unbounded_channel();
        let pace = Self {
            asks,
            rate,
            stopped: AtomicBool::default(),
            open: AtomicBool::default(),
            moved: Mutex::new(Instant::now()),
            patience,
        };
        (Arc::new(pace), Asks(receiver))
    }

    /// Returns how much to send at once.
    pub(super) fn chunk(&self) -> usize {
        self.rate.chunk()
    }

    /// Asks whether to send; the receiver fails if the upload was stopped.
    pub(super) fn ask(&self, bytes: u64, counted: u64, commits: bool) -> oneshot::Receiver<Instant> {
        let (granted, receiver) = oneshot::channel();
        // If nobody listens any more, the sender is dropped with the question.
        let _ = self.asks.send(Ask { bytes, counted, commits, granted });
        receiver
    }

    /// Notes that the service took bytes.
    pub(super) fn touch(&self) {
        let mut moved = lock(&self.moved);
        *moved = (*moved).max(Instant::now());
    }

    /// Returns how long it may go without a byte that the service took.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns when the service last took bytes.
    pub(super) fn moved(&self) -> Instant {
        *lock(&self.moved)
    }

    /// Returns whether the upload was asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Notes that the object may have its name although no answer said so.
    pub(super) fn note_open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Returns whether the object may have its name although no answer said so.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Runs an upload to its end and answers its questions; `None` if it was stopped and did not end by itself.
    ///
    /// It is not stopped once the request that gives the object its name was sent: only its answer says what happened.
    pub(super) fn drive<T>(
        &self,
        asks: &mut Asks,
        progress: &dyn Progress,
        total: u64,
        work: impl Future<Output = T>,
    ) -> io::Result<Option<T>> {
        net::block_on(async {
            let mut work = pin!(work);
            let mut left = total;
            let mut committing = false;
            let mut end = None;
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            poll_fn(|context| {
                loop {
                    while let Poll::Ready(Some(ask)) = asks.0.poll_recv(context) {
                        let counted = ask.counted.min(left);
                        left -= counted;
                        if counted > 0 {
                            progress.advance(counted);
                        }
                        if progress.cancelled() && !committing {
                            self.stopped.store(true, Ordering::Relaxed);
                        }
                        if !self.is_stopped() {
                            committing |= ask.commits;
                            let _ = ask.granted.send(self.rate.reserve(ask.bytes));
                        }
                    }
                    if tick.poll_tick(context).is_pending() {
                        break;
                    }
                    if progress.cancelled() && (!committing || self.is_open()) {
                        self.stopped.store(true, Ordering::Relaxed);
                        end.get_or_insert_with(|| Instant::now() + GRACE);
                    }
                }
                match work.as_mut().poll(context) {
                    Poll::Ready(done) => Poll::Ready(Some(done)),
                    Poll::Pending if end.is_some_and(|end| Instant::now() >= end) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot have left an instant half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a request last made progress.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Notes progress, or that there will be some at this time.
    pub(super) fn touch(&self, at: Instant) {
        let mut last = lock(&self.0);
        *last = (*last).max(at);
    }

    fn last(&self) -> Instant {
        *lock(&self.0)
    }

    /// Waits for a future as long as there is progress; `None` if there was none for `limit`.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let due = self.last() + limit;
            match tokio::time::timeout_at(due, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if self.last() + limit > due => {}
                Err(_) => return None,
            }
        }
    }
}

/// Waits for the answer to a question, and then until it is time.
pub(super) enum Grant {
    Asked(oneshot::Receiver<Instant>),
    Waiting(Pin<Box<tokio::time::Sleep>>),
}

impl Grant {
    /// Is ready when the bytes may be sent; fails if the upload was stopped.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, activity: &Activity) -> Poll<Result<(), Stopped>> {
        loop {
            match self {
                Self::Asked(receiver) => match Pin::new(receiver).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Stopped)),
                    Poll::Ready(Ok(at)) if at <= Instant::now() => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(at)) => {
                        // Waiting for its turn is not being stuck.
                        activity.touch(at);
                        *self = Self::Waiting(Box::pin(tokio::time::sleep_until(at)));
                    }
                },
                Self::Waiting(sleep) => return sleep.as_mut().poll(context).map(Ok),
            }
        }
    }
}

/// The upload was stopped.
#[derive(Debug)]
pub(super) struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Stopped {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spreads_what_is_sent_over_time() {
        let rate = Rate::new(NonZeroU64::new(1_000));
        assert_eq!(rate.chunk(), 1 << 10);
        let first = rate.reserve(500);
        // Uploads side by side share it.
        assert_eq!(rate.clone().reserve(2_000) - first, Duration::from_millis(500));
        assert_eq!(rate.reserve(1) - first, Duration::from_millis(2_500));
        // Without a limit, nothing waits.
        let free = Rate::new(None);
        let first = free.reserve(1 << 40);
        assert!(free.reserve(1) - first < Duration::from_secs(1 << 20));
    }
}
