//! Documents that are read for requests, by child processes: they are shared, few at a time, and waited for only a
//! limited time. All that a view is made of comes from one child, which reads configuration and archives once.
//!
//! Whoever asks for a document while one is being read waits for it and shares the next one. It was begun after all of
//! them had asked, so sharing makes nothing older. A view of the page may also be made of a document that was begun at
//! most [`RECENT`] ago, as if it had been loaded that much earlier; but never of one that was begun before the last
//! change made here ended: what somebody did is seen by the next request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::App;
use super::answer::Refusal;
use super::child::{Done, LOOKING};
use crate::names::ArchiveName;
use crate::serving::{DOCUMENTS, Got, Wanted};
use crate::shelf::Shelf;

/// How many documents are read at the same time.
const READERS: usize = 2;
/// How long a document may take.
const LONGEST: Duration = Duration::from_secs(120);
/// How long a request waits until fewer are read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How old a document may be of which a view is made.
pub(super) const RECENT: Duration = Duration::from_secs(1);
/// For who wants what is true now.
pub(super) const NOW: Duration = Duration::ZERO;

/// The documents that are being read or were read just now, by command line.
pub(super) struct Documents {
    recent: Mutex<BTreeMap<Vec<String>, Slot>>,
    /// When the last change that was made here ended.
    changed: Mutex<Instant>,
    turns: Arc<Semaphore>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Read>>>;
type Outcome = Result<Arc<Done>, Refusal>;

struct Read {
    begun: Instant,
    outcome: Outcome,
}

impl Default for Documents {
    fn default() -> Self {
        let (recent, changed) = (Mutex::default(), Mutex::new(Instant::now()));
        Self { recent, changed, turns: Arc::new(Semaphore::new(READERS)) }
    }
}

impl Documents {
    /// Something was changed: no document that was begun before is shown again.
    pub(super) fn forget(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns the place of a document, and forgets those that nobody can use any more.
    fn slot(&self, words: &[String]) -> Slot {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is locked is being read. One that others hold is kept, or they would not share it.
        recent.retain(|_, slot| {
            let is_old = |read: &Option<Read>| read.as_ref().is_none_or(|read| read.begun.elapsed() > RECENT);
            Arc::strong_count(slot) > 1 || slot.try_lock().map_or(true, |read| !is_old(&read))
        });
        Arc::clone(recent.entry(words.to_vec()).or_default())
    }

    /// Returns when a document must have been begun to be good enough for a request.
    fn oldest(&self, arrived: Instant, age: Duration) -> Instant {
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.checked_sub(age).unwrap_or(arrived).max(changed)
    }
}

impl App {
    /// Returns the document that a command prints, as text, not older than `age` at the time of the request.
    pub(super) async fn document(self: &Arc<Self>, words: &[&str], who: &str, age: Duration) -> Outcome {
        let done = self.output(words, who, age).await?;
        if done.is_document { Ok(done) } else { Err(Refusal::of(done.code, done.error.clone())) }
    }

    /// Returns several documents, which one child prints as [`crate::serving::Documents`].
    pub(super) async fn documents(self: &Arc<Self>, wanted: &[Wanted], who: &str, age: Duration) -> Outcome {
        let wanted = serde_json::to_string(wanted).map_err(|error| Refusal::internal(&error.to_string()))?;
        self.document(&[DOCUMENTS, &wanted], who, age).await
    }

    /// Returns the same, read. Fails if one of them cannot be had.
    pub(super) async fn each<const N: usize>(
        self: &Arc<Self>,
        wanted: &[Wanted; N],
        who: &str,
        age: Duration,
    ) -> Result<[(Value, Shelf); N], Refusal> {
        let done = self.documents(wanted, who, age).await?;
        let document = |got: Got| match got.document {
            Some(document) => Ok((document, got.shelf.unwrap_or_default())),
            None => Err(Refusal::of(got.code, got.error)),
        };
        let all: Result<Vec<_>, _> = done.printed.documents().unwrap_or_default().into_iter().map(document).collect();
        all?.try_into().map_err(|_| Refusal::internal("the documents cannot be read"))
    }

    /// Returns what a command prints, a document or not.
    pub(super) async fn output(self: &Arc<Self>, words: &[&str], who: &str, age: Duration) -> Outcome {
        let arrived = Instant::now();
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let mut read = self.documents.slot(&words).lock_owned().await;
        if let Some(read) = &*read
            && read.begun >= self.documents.oldest(arrived, age)
        {
            return read.outcome.clone();
        }
        // The old text may be long, and nobody else can use it.
        *read = None;
        let (app, who) = (Arc::clone(self), who.to_owned());
        // On a task of its own: others wait for it, even if this client goes away.
        let task = tokio::spawn(async move {
            let (begun, outcome) = app.alone(words, who).await;
            *read = Some(Read { begun, outcome: outcome.clone() });
            outcome
        });
        task.await.map_err(|_| Refusal::stopping())?
    }

    /// Pins an archive, or takes its pin away.
    pub(super) async fn mark(self: &Arc<Self>, command: &str, name: &ArchiveName, who: &str) -> Outcome {
        let words = vec![command.to_owned(), name.to_string()];
        let done = self.alone(words, who.to_owned()).await.1;
        self.documents.forget();
        let done = done?;
        if done.is_document { Ok(done) } else { Err(Refusal::of(done.code, done.error.clone())) }
    }

    /// Runs a command, in its turn. Returns when it was begun, too.
    async fn alone(self: &Arc<Self>, words: Vec<String>, who: String) -> (Instant, Outcome) {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.documents.turns).acquire_owned()).await;
        let begun = Instant::now();
        let turn = match turn {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return (begun, Err(Refusal::stopping())),
            Err(_) => return (begun, Err(Refusal::busy("too much is being read already"))),
        };
        let app = Arc::clone(self);
        let run = move || {
            // Held by the child, which a client that goes away does not end.
            let _turn = turn;
            app.program.run(&words, &who, LOOKING, || begun.elapsed() > LONGEST, |_| {})
        };
        let outcome = match tokio::task::spawn_blocking(run).await {
            Ok(Ok(done)) => Ok(Arc::new(done)),
            Ok(Err(cause)) => Err(Refusal::internal(&format!("cannot start a process: {cause}"))),
            Err(_) => Err(Refusal::stopping()),
        };
        (begun, outcome)
    }
}
