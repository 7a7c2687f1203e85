//! Jobs: operations that take long. One that changes something runs at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::App;
use super::answer::Refusal;
use super::child::{Done, WORKING};

/// How many jobs that ended are remembered.
const REMEMBERED: usize = 100;

/// All jobs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: Mutex<VecDeque<Arc<Job>>>,
    is_ending: AtomicBool,
    /// How many jobs that change something have ended.
    ended: AtomicU64,
}

/// What a job is.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The command, for people.
    pub(super) command: &'static str,
    /// Its command line.
    pub(super) words: Vec<String>,
    /// Whether it changes something.
    pub(super) changes: bool,
    /// [`Jobs::ended`] before it was planned, if it was.
    pub(super) planned_at: Option<u64>,
    /// Who ordered it.
    pub(super) who: String,
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    order: Order,
    started: DateTime<Utc>,
    is_cancelled: AtomicBool,
    progress: Mutex<Value>,
    result: watch::Sender<Option<Arc<Ended>>>,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) done: Done,
    at: DateTime<Utc>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
    /// Returns a job, if it is remembered.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Job>> {
        locked(&self.all).iter().find(|job| job.id == id).cloned()
    }

    /// Returns how many jobs that change something have ended. A plan holds until the next one has.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Registers a job, unless another one that changes something runs, or ended after this one was planned.
    fn register(&self, order: Order) -> Result<Arc<Job>, Refusal> {
        let id = crate::platform::random_bytes().map_err(|cause| Refusal::internal(&cause.to_string()))?;
        let id: String = id[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = locked(&self.all);
        // Under the lock: a job that is registered is one that the end waits for.
        if self.is_ending.load(Ordering::SeqCst) {
            return Err(Refusal::stopping());
        }
        if let Some(running) = all.iter().find(|job| order.changes && job.order.changes && job.done().is_none()) {
            let message = format!("a job is running: {} (by {})", running.order.command, running.order.who);
            return Err(Refusal::conflict(&message, json!({ "job": running.id })));
        }
        if order.planned_at.is_some_and(|planned_at| planned_at != self.ended()) {
            return Err(Refusal::conflict("what would happen has changed since it was planned", Value::Null));
        }
        while all.len() >= REMEMBERED {
            let Some(oldest) = all.iter().position(|job| job.done().is_some()) else { break };
            all.remove(oldest);
        }
        let job = Arc::new(Job {
            id,
            order,
            started: Utc::now(),
            is_cancelled: AtomicBool::new(false),
            progress: Mutex::new(Value::Null),
            result: watch::Sender::new(None),
        });
        all.push_back(Arc::clone(&job));
        Ok(job)
    }

    /// Records how a job ended. It counts before it is seen to have ended, so that no plan of before is carried out
    /// after.
    fn finish(&self, job: &Job, done: Done) {
        if job.order.changes {
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
        job.result.send_replace(Some(Arc::new(Ended { done, at: Utc::now() })));
    }

    /// Returns whether a restore runs.
    pub(super) fn is_restoring(&self) -> bool {
        let restores = |job: &Arc<Job>| matches!(job.order.command, "restore" | "undo") && job.done().is_none();
        locked(&self.all).iter().any(restores)
    }

    /// Takes no more jobs. Lets those that run end; after `patience` they are cancelled, and end as by Ctrl-C.
    pub(super) fn end(&self, patience: Duration) {
        self.is_ending.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let running = || locked(&self.all).iter().filter(|job| job.done().is_none()).cloned().collect::<Vec<_>>();
        while !running().is_empty() {
            if begun.elapsed() >= patience {
                running().iter().for_each(|job| job.cancel());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl App {
    /// Starts a job.
    pub(super) fn start(self: &Arc<Self>, order: Order) -> Result<Arc<Job>, Refusal> {
        let job = self.jobs.register(order)?;
        let (app, of_thread) = (Arc::clone(self), Arc::clone(&job));
        let run = move || {
            let report = {
                let job = Arc::clone(&of_thread);
                move |progress| *locked(&job.progress) = progress
            };
            let is_cancelled = || of_thread.is_cancelled.load(Ordering::SeqCst);
            let done = app.program.run(&of_thread.order.words, &of_thread.order.who, WORKING, is_cancelled, report);
            let done = done.unwrap_or_else(|cause| Done {
                code: 1,
                error: Some(Refusal::internal(&format!("cannot start a process: {cause}")).error),
                ..Done::default()
            });
            if of_thread.order.changes {
                // Before anybody learns that it ended.
                app.documents.forget();
            }
            let done = if is_cancelled() { done } else { with_cause(done) };
            app.jobs.finish(&of_thread, done);
        };
        match thread::Builder::new().name("job".into()).spawn(run) {
            Ok(_) => Ok(job),
            Err(cause) => {
                let error = Refusal::internal(&format!("cannot start a thread: {cause}"));
                let done = Done { code: 1, error: Some(error.error.clone()), ..Done::default() };
                self.jobs.finish(&job, done);
                Err(error)
            }
        }
    }
}

impl Job {
    /// Asks it to end as by Ctrl-C.
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
    }

    /// Returns what it did, if it has ended.
    pub(super) fn done(&self) -> Option<Arc<Ended>> {
        self.result.borrow().clone()
    }

    /// Waits until it has ended, for at most this long.
    pub(super) async fn wait(&self, patience: Duration) -> Option<Arc<Ended>> {
        let mut result = self.result.subscribe();
        let ended = tokio::time::timeout(patience, result.wait_for(Option::is_some)).await;
        ended.ok()?.ok()?.clone()
    }

    /// Returns the status of the answer of somebody who waited for it.
    pub(super) fn status(&self) -> StatusCode {
        match self.done().as_deref() {
            None => StatusCode::ACCEPTED,
            Some(Ended { done, .. }) if done.is_document => StatusCode::OK,
            Some(Ended { done, .. }) => Refusal::of(done.code, None).status,
        }
    }

    /// Describes it.
    pub(super) fn document(&self) -> Value {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let done = self.done();
        let state = match done.as_deref() {
            None => "running",
            Some(_) if self.is_cancelled.load(Ordering::SeqCst) => "cancelled",
            Some(Ended { done, .. }) if done.is_document && matches!(done.code, 0 | 3) => "done",
            Some(_) => "failed",
        };
        let progress = locked(&self.progress).clone();
        let of_progress = |name: &str| progress.get(name).cloned().unwrap_or(Value::Null);
        let ended = done.as_deref();
        json!({
            "id": self.id,
            "command": self.order.command,
            "by": self.order.who,
            "state": state,
            "started": time(self.started),
            "ended": ended.map(|ended| time(ended.at)),
            "stage": of_progress("stage"),
            "subject": of_progress("subject"),
            "done": of_progress("done"),
            "total": of_progress("total"),
            "code": ended.map(|ended| ended.done.code),
            "document": ended.map(|ended| ended.done.document()),
            "error": ended.map(|ended| ended.done.error.clone()),
            "warnings": ended.map_or_else(Vec::new, |ended| ended.done.warnings.clone()),
        })
    }
}

/// Adds the error of a child that was killed, or ended without a word, and so could report none itself.
fn with_cause(mut done: Done) -> Done {
    if done.error.is_none() && !done.is_document {
        done.error = Some(Refusal::of(done.code, None).error);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::printed::Text;
    use super::*;

    fn order(changes: bool, planned_at: Option<u64>) -> Order {
        Order { command: "delete", words: Vec::new(), changes, planned_at, who: "ops".into() }
    }

    #[test]
    fn a_plan_holds_until_a_job_that_changes_something_has_ended() {
        let jobs = Jobs::default();
        let planned_at = jobs.ended();
        let look = jobs.register(order(false, None)).unwrap();
        jobs.finish(&look, Done::default());
        let first = jobs.register(order(true, Some(planned_at))).unwrap();
        let second = jobs.register(order(true, Some(planned_at))).unwrap_err();
        assert_eq!((second.status, &second.more["job"]), (StatusCode::CONFLICT, &Value::from(first.id.clone())));
        jobs.finish(&first, Done::default());
        let second = jobs.register(order(true, Some(planned_at))).unwrap_err();
        assert_eq!((second.status, &second.more), (StatusCode::CONFLICT, &Value::Null));
        jobs.register(order(true, Some(jobs.ended()))).unwrap();
    }

    #[test]
    fn a_job_that_was_killed_says_so_even_after_it_has_printed_its_result() {
        let jobs = Jobs::default();
        for printed in [Text::default(), Text::read(&b"{}"[..])] {
            let job = jobs.register(order(true, None)).unwrap();
            jobs.finish(&job, with_cause(Done { code: 137, printed, ..Done::default() }));
            let shown = job.document();
            assert_eq!((&shown["state"], &shown["code"]), (&"failed".into(), &137.into()));
            assert_eq!(shown["error"]["message"], "the command was killed by signal 9");
            assert_eq!(job.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
