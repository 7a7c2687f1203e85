//! Jobs: operations that take long. One that changes something runs at a time.
//!
//! What was planned and confirmed is planned again by the job that carries it out. No other job changes anything from
//! the second plan to the end of the act, and the command checks everything again under its locks, for what others do
//! outside of this server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::App;
use super::answer::{self, Refusal};
use super::child::{Done, LOOKING, WORKING};
use super::plan::{Act, digest};

/// How many jobs are remembered.
const REMEMBERED: usize = 100;
/// How many plans are remembered.
const PLANS_REMEMBERED: usize = 20;
/// How much the remembered jobs, or plans, may have printed together, in bytes.
const PRINTED: usize = 4 << 20;
/// How many plans are made at the same time.
const PLANS: usize = 2;
/// How long a plan waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// The exit code of what is no longer what was shown.
const STALE: u8 = 11;
/// The exit code of what was ended by SIGTERM.
const CANCELLED: u8 = 143;

/// All jobs, oldest first.
#[derive(Debug)]
pub(super) struct Jobs {
    all: Mutex<VecDeque<Arc<Job>>>,
    is_ending: AtomicBool,
    plans: Arc<Semaphore>,
}

/// What a job is.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The command, for people.
    pub(super) command: &'static str,
    /// Its command line.
    pub(super) words: Vec<String>,
    pub(super) task: Task,
    /// Who ordered it.
    pub(super) who: String,
}

impl Order {
    /// Plans an act and changes nothing.
    pub(super) fn plan(act: Act, who: String) -> Self {
        Self { command: act.command(), words: act.words(), task: Task::Plan(act), who }
    }

    /// Plans an act again, and carries it out if the plan still has the digest `shown`.
    pub(super) fn confirmed(act: Act, shown: String, who: String) -> Self {
        Self { command: act.command(), words: act.words(), task: Task::Confirmed(act, shown), who }
    }
}

/// What becomes of the command line.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// It changes nothing.
    Look,
    Change,
    /// A dry run.
    Plan(Act),
    /// A dry run, and if its plan has this digest, the act.
    Confirmed(Act, String),
}

impl Task {
    fn changes(&self) -> bool {
        matches!(self, Self::Change | Self::Confirmed(..))
    }

    fn is_plan(&self) -> bool {
        matches!(self, Self::Plan(_))
    }
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    order: Order,
    started: DateTime<Utc>,
    is_cancelled: AtomicBool,
    progress: Mutex<Value>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug)]
enum Phase {
    Planning,
    Acting,
    Ended(Arc<Ended>),
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) done: Done,
    /// The digest of the document, if that is a plan: of a dry run, or of one that was not carried out because it is
    /// not the one that was shown.
    pub(super) plan: Option<String>,
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

    /// Returns the job that made this plan, if it is remembered.
    pub(super) fn planned(&self, act: &Act, digest: &str) -> Option<Arc<Job>> {
        let made_it = |job: &&Arc<Job>| {
            matches!(&job.order.task, Task::Plan(of) if of == act)
                && job.done().is_some_and(|ended| ended.plan.as_deref() == Some(digest))
        };
        locked(&self.all).iter().rev().find(made_it).cloned()
    }

    /// Registers a job, unless another one that changes something runs.
    fn register(&self, order: Order) -> Result<Arc<Job>, Refusal> {
        if order.words.iter().any(|word| word.contains('\0')) {
            return Err(Refusal::usage("a text cannot contain the character U+0000"));
        }
        let id = crate::platform::random_bytes().map_err(|cause| Refusal::internal(&cause.to_string()))?;
        let id: String = id[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = locked(&self.all);
        // Under the lock: a job that is registered is one that the end waits for.
        if self.is_ending.load(Ordering::SeqCst) {
            return Err(Refusal::stopping());
        }
        if let Some(running) = all.iter().find(|job| job.order.task.changes() && job.done().is_none())
            && order.task.changes()
        {
            let message = format!("a job is running: {} (by {})", running.order.command, running.order.who);
            return Err(Refusal::conflict(&message, json!({ "job": running.id })));
        }
        make_room(&mut all, order.task.is_plan());
        let is_planned = matches!(order.task, Task::Plan(_) | Task::Confirmed(..));
        let job = Arc::new(Job {
            id,
            order,
            started: Utc::now(),
            is_cancelled: AtomicBool::new(false),
            progress: Mutex::new(if is_planned { json!({ "stage": "plan" }) } else { Value::Null }),
            phase: watch::Sender::new(if is_planned { Phase::Planning } else { Phase::Acting }),
        });
        all.push_back(Arc::clone(&job));
        Ok(job)
    }

    /// Returns whether a restore writes.
    pub(super) fn is_restoring(&self) -> bool {
        let restores = |job: &Arc<Job>| {
            matches!(job.order.command, "restore" | "undo") && matches!(*job.phase.borrow(), Phase::Acting)
        };
        locked(&self.all).iter().any(restores)
    }

    /// Takes no more jobs. Lets those that run end; after `patience` they are cancelled, and end as by Ctrl-C. Plans
    /// are cancelled at once: nobody can see them any more.
    pub(super) fn end(&self, patience: Duration) {
        self.is_ending.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let running = || locked(&self.all).iter().filter(|job| job.done().is_none()).cloned().collect::<Vec<_>>();
        running().iter().filter(|job| job.order.task.is_plan()).for_each(|job| job.cancel());
        while !running().is_empty() {
            if begun.elapsed() >= patience {
                running().iter().for_each(|job| job.cancel());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Forgets the oldest plans that ended, or the oldest other jobs, so that there is room for one more.
fn make_room(all: &mut VecDeque<Arc<Job>>, for_plan: bool) {
    let most = if for_plan { PLANS_REMEMBERED } else { REMEMBERED };
    loop {
        let ended = |job: &Arc<Job>| job.done().filter(|_| job.order.task.is_plan() == for_plan);
        let printed: Vec<usize> = all.iter().filter_map(ended).map(|ended| ended.done.printed.bytes()).collect();
        if printed.len() < most && printed.iter().sum::<usize>() <= PRINTED {
            return;
        }
        let Some(oldest) = all.iter().position(|job| ended(job).is_some()) else { return };
        all.remove(oldest);
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self { all: Mutex::default(), is_ending: AtomicBool::new(false), plans: Arc::new(Semaphore::new(PLANS)) }
    }
}

impl App {
    /// Starts a job.
    pub(super) fn start(self: &Arc<Self>, order: Order) -> Result<Arc<Job>, Refusal> {
        self.start_in(None, order)
    }

    /// Starts a job that plans, in its turn. A plan of a restore unpacks the archive, which takes minutes if it is
    /// large.
    pub(super) async fn plan(self: &Arc<Self>, act: Act, who: &str) -> Result<Arc<Job>, Refusal> {
        let turn = Arc::clone(&self.jobs.plans).acquire_owned();
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(turn)) => self.start_in(Some(turn), Order::plan(act, who.to_owned())),
            Ok(Err(_)) => Err(Refusal::stopping()),
            Err(_) => Err(Refusal::busy("too much is being planned already")),
        }
    }

    fn start_in(self: &Arc<Self>, turn: Option<OwnedSemaphorePermit>, order: Order) -> Result<Arc<Job>, Refusal> {
        let job = self.jobs.register(order)?;
        let (app, of_thread) = (Arc::clone(self), Arc::clone(&job));
        let run = move || {
            let _turn = turn;
            let (done, plan) = app.carry_out(&of_thread);
            if of_thread.order.task.changes() {
                // Before anybody learns that it ended.
                app.documents.forget();
            }
            of_thread.finish(done, plan);
        };
        match thread::Builder::new().name("job".into()).spawn(run) {
            Ok(_) => Ok(job),
            Err(cause) => {
                let error = Refusal::internal(&format!("cannot start a thread: {cause}"));
                job.finish(Done { code: 1, error: Some(error.error.clone()), ..Done::default() }, None);
                Err(error)
            }
        }
    }

    /// Does what was ordered. Returns the digest of the document, too, if that is a plan.
    fn carry_out(&self, job: &Arc<Job>) -> (Done, Option<String>) {
        match &job.order.task {
            Task::Look | Task::Change => (self.run(job, None, WORKING), None),
            Task::Plan(_) => planned(self.run(job, Some("--dry-run"), LOOKING)),
            Task::Confirmed(_, shown) => match planned(self.run(job, Some("--dry-run"), WORKING)) {
                (done, None) => (done, None),
                // Nothing was done yet, and nothing is.
                (_, Some(_)) if job.is_cancelled() => (Done { code: CANCELLED, ..Done::default() }, None),
                (_, Some(plan)) if plan == *shown => {
                    job.act();
                    (self.run(job, Some("--force"), WORKING), None)
                }
                (done, plan) => {
                    let refusal = Refusal::conflict("what would happen has changed since it was planned", Value::Null);
                    (Done { code: STALE, error: Some(refusal.error), is_document: false, ..done }, plan)
                }
            },
        }
    }

    fn run(&self, job: &Arc<Job>, more: Option<&str>, nice: i32) -> Done {
        let words: Vec<String> = job.order.words.iter().cloned().chain(more.map(str::to_owned)).collect();
        let report = {
            let job = Arc::clone(job);
            move |progress| *locked(&job.progress) = progress
        };
        let done = self.program.run(&words, &job.order.who, nice, || job.is_cancelled(), report);
        done.unwrap_or_else(|cause| Done {
            code: 1,
            error: Some(Refusal::internal(&format!("cannot start a process: {cause}")).error),
            ..Done::default()
        })
    }
}

/// Returns the digest of a plan with it. What cannot be read is no plan.
fn planned(done: Done) -> (Done, Option<String>) {
    let plan = if done.is_document { digest(done.printed.reader()) } else { None };
    (Done { is_document: plan.is_some(), ..done }, plan)
}

impl Job {
    /// Asks it to end as by Ctrl-C. What has ended stays what it is.
    pub(super) fn cancel(&self) {
        // Held, so that it cannot end in between.
        let phase = self.phase.borrow();
        if !matches!(*phase, Phase::Ended(_)) {
            self.is_cancelled.store(true, Ordering::SeqCst);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    /// From now on it changes something.
    fn act(&self) {
        *locked(&self.progress) = Value::Null;
        self.phase.send_replace(Phase::Acting);
    }

    fn finish(&self, done: Done, plan: Option<String>) {
        self.phase.send_modify(|phase| {
            let (done, plan) = if self.is_cancelled() { (done, None) } else { (with_cause(done), plan) };
            *phase = Phase::Ended(Arc::new(Ended { done, plan, at: Utc::now() }));
        });
    }

    /// Returns what it did, if it has ended.
    pub(super) fn done(&self) -> Option<Arc<Ended>> {
        match &*self.phase.borrow() {
            Phase::Ended(ended) => Some(Arc::clone(ended)),
            _ => None,
        }
    }

    /// Returns what it plans, and whether it does no more than that.
    pub(super) fn planned(&self) -> Option<(&Act, bool)> {
        match &self.order.task {
            Task::Plan(act) => Some((act, true)),
            Task::Confirmed(act, _) => Some((act, false)),
            Task::Look | Task::Change => None,
        }
    }

    /// Waits until it has ended, for at most this long.
    pub(super) async fn wait(&self, patience: Duration) -> Option<Arc<Ended>> {
        self.wait_for(patience, |phase| matches!(phase, Phase::Ended(_))).await;
        self.done()
    }

    /// Waits for a plan as its client does. If the client disconnects before it has the address of the plan, no one can
    /// see it: the plan is cancelled, and its turn is free.
    pub(super) async fn wait_for_client(&self, patience: Duration) -> Option<Arc<Ended>> {
        struct Client<'a>(Option<&'a Job>);
        impl Drop for Client<'_> {
            fn drop(&mut self) {
                self.0.inspect(|job| job.cancel());
            }
        }
        let mut client = Client(Some(self));
        let ended = self.wait(patience).await;
        client.0 = None;
        ended
    }

    /// Waits until it has compared its plan, for at most this long.
    pub(super) async fn decided(&self, patience: Duration) {
        self.wait_for(patience, |phase| !matches!(phase, Phase::Planning)).await;
    }

    async fn wait_for(&self, patience: Duration, wanted: impl FnMut(&Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        let _ = tokio::time::timeout(patience, phase.wait_for(wanted)).await;
    }

    /// Returns the status of the answer of somebody who waited for it.
    pub(super) fn status(&self) -> StatusCode {
        match self.done().as_deref() {
            None => StatusCode::ACCEPTED,
            Some(Ended { done, .. }) if done.is_document => StatusCode::OK,
            Some(Ended { done, .. }) => Refusal::of(done.code, None).status,
        }
    }

    /// Describes it, with its document as a value.
    pub(super) fn document(&self) -> Value {
        let mut described = self.facts();
        described["document"] = self.done().and_then(|ended| ended.done.document()).into();
        described
    }

    /// Describes it. The document stays the text that the child printed: one of a rotation names all archives.
    pub(super) fn answer(&self) -> Response {
        let is_json = |ended: &Arc<Ended>| ended.plan.is_some() || ended.done.is_document;
        let Some(ended) = self.done().filter(is_json) else { return Json(self.document()).into_response() };
        let facts = self.facts().to_string();
        let facts = facts.strip_suffix('}').unwrap_or_default();
        answer::text("application/json", &ended.done.printed.within(format!("{facts},\"document\":"), "}"))
    }

    fn facts(&self) -> Value {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let done = self.done();
        // What was complete before the cancel reached it was done; a cancelled plan can no longer be confirmed.
        let is_done = |ended: &Ended| ended.done.is_document && matches!(ended.done.code, 0 | 3);
        let is_taken_back = self.is_cancelled() && self.order.task.is_plan();
        let state = match done.as_deref() {
            None => "running",
            Some(ended) if is_done(ended) && !is_taken_back => "done",
            Some(_) if self.is_cancelled() => "cancelled",
            Some(_) => "failed",
        };
        let progress = locked(&self.progress).clone();
        let of_progress = |name: &str| progress.get(name).cloned().unwrap_or(Value::Null);
        let ended = done.as_deref();
        json!({
            "id": self.id,
            "command": self.order.command,
            "by": self.order.who,
            "dry_run": self.order.task.is_plan(),
            "state": state,
            "started": time(self.started),
            "ended": ended.map(|ended| time(ended.at)),
            "stage": of_progress("stage"),
            "subject": of_progress("subject"),
            "done": of_progress("done"),
            "total": of_progress("total"),
            "code": ended.map(|ended| ended.done.code),
            "plan": ended.map(|ended| ended.plan.clone()),
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
mod tests;
