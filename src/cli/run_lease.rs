//! The leases of a run in a remote store: taken before the restore, renewed by a thread, released after the last
//! backup.
//!
//! A store that does not answer never ends or delays the application: the thread tries again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use super::run_start::Start;
use super::stores::Opener;
use crate::failure::{Failure, FailureKind, message};
use crate::names::printable;
use crate::ops::lease::{Claim, Lease, RENEWAL, Standing};
use crate::store::{StoreError, Token};
use crate::store_url::Location;
use crate::workspace::run_lock::RunLock;

/// How often a lease that another run has is looked at before the start.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a failed renewal is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the main thread looks at what the other one found out.
const POLL: Duration = Duration::from_millis(50);
/// How long the start of an application that needs nothing from the store waits for its first answer.
const SLOW: Duration = Duration::from_secs(5);
/// How long the end waits for the store.
const RELEASE: Duration = Duration::from_secs(3);

/// What is known of the leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing yet.
    Starting,
    /// This run has them.
    Held,
    /// Another run has one of them. `lost` if this run had it before.
    Other { holder: String, lost: bool },
    /// The store did not answer: for this reason.
    Away(String),
    /// The store cannot keep runs apart: for this reason.
    Impossible(String),
}

/// The leases of a run. Dropped, they are released.
pub(super) struct Leases {
    shared: Arc<Mutex<Shared>>,
    commands: Sender<Command>,
    ended: Receiver<()>,
    /// The state that was reported last.
    reported: State,
}

struct Shared {
    state: State,
    /// How often the store was asked.
    attempts: u64,
    /// When the first look saw another run.
    other_since: Option<Instant>,
}

enum Command {
    /// Ask the store now.
    Try,
    /// Release them.
    End,
}

/// Starts to take the leases. `None` for a folder, which has a lock.
pub(super) fn start(start: &Start<'_>, lock: Option<&RunLock>, context: &Context) -> Option<Leases> {
    let Location::Remote(url) = &context.settings.store else { return None };
    let run = Token::random().to_string();
    let claim = |set: String| Claim {
        run: run.clone(),
        holder: super::run_lock::me(context),
        host: context.host.label.to_string(),
        set,
        lock: lock.and_then(RunLock::id),
        released: false,
    };
    // In one order for all runs, or two could wait for each other.
    let mut sets: Vec<String> = start.names(context).iter().map(ToString::to_string).collect();
    sets.sort();
    sets.dedup();
    let claims: Vec<Claim> = sets.into_iter().map(claim).collect();
    let opener = context.lease_opener(url);
    let shared = Arc::new(Mutex::new(Shared { state: State::Starting, attempts: 0, other_since: None }));
    let (commands, orders) = channel();
    let (sender, ended) = channel();
    let keeper = Keeper { opener, claims, leases: Vec::new(), shared: shared.clone() };
    let spawned = thread::Builder::new().name("lease".into()).spawn(move || {
        keeper.keep(&orders);
        // The main thread may be gone.
        let _ = sender.send(());
    });
    if let Err(cause) = spawned {
        context.ui.warning(format!("no lease is taken, two runs are not kept apart: {cause}"));
        return None;
    }
    Some(Leases { shared, commands, ended, reported: State::Starting })
}

impl Leases {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        locked(&self.shared)
    }

    /// Waits until this run has the leases, at most `lease_wait` for another run: then 11 with the holder. Returns at
    /// once if the store does not answer or has no leases, and after a while if nothing is wanted from a slow store.
    pub(super) fn settle(&mut self, start: &Start<'_>, context: &Context) -> anyhow::Result<()> {
        let before = self.shared().attempts;
        if matches!(self.shared().state, State::Held | State::Impossible(_)) {
            return Ok(());
        }
        // It may have ended; the state says what it found out last.
        let _ = self.commands.send(Command::Try);
        let started = Instant::now();
        let mut told = false;
        loop {
            let (state, attempts, since) = {
                let shared = self.shared();
                (shared.state.clone(), shared.attempts, shared.other_since)
            };
            match state {
                State::Other { holder, .. } if attempts != before || told => {
                    let store = printable(&context.settings.store.to_string()).into_owned();
                    let holder = printable(&holder).into_owned();
                    if since.is_some_and(|since| since.elapsed() >= context.settings.run.lease_wait) {
                        return Err(Failure::new(
                            FailureKind::Busy,
                            format!(
                                "another run saves into the store \"{store}\": {holder}; the application was not \
                                 started"
                            ),
                        )
                        .remedy("end the other instance first, or give each its own prefix or host label")
                        .into());
                    }
                    if !told {
                        start.say(context, format!("waiting for another run of this store to end: {holder}"));
                        start.notify("STATUS=waiting for another run");
                        told = true;
                    }
                }
                _ if attempts == before => {
                    if !start.needs_store.get() && started.elapsed() >= SLOW {
                        return Ok(());
                    }
                }
                _ => {
                    self.report(start, context);
                    return Ok(());
                }
            }
            start.pause(POLL)?;
        }
    }

    /// Reports what changed since the last time.
    pub(super) fn report(&mut self, start: &Start<'_>, context: &Context) {
        let state = self.shared().state.clone();
        if state == self.reported {
            return;
        }
        let store = printable(&context.settings.store.to_string()).into_owned();
        match (&state, &self.reported) {
            (State::Held, State::Starting) | (State::Starting, _) => {}
            (State::Held, _) => start.say(context, format!("this run has the lease of the store \"{store}\"")),
            // Each attempt may fail for another reason.
            (State::Away(_), State::Away(_)) => {}
            (State::Away(why), _) => context.ui.warning(format!(
                "the lease of this run cannot be renewed, so that another run may start: {}; it is tried again",
                printable(why)
            )),
            (State::Other { holder, lost }, _) => context.ui.warning(format!(
                "another run {} the store \"{store}\": {}; {}; end one of them",
                if *lost { "took over" } else { "saves into" },
                printable(holder),
                "backups of this one are suspended"
            )),
            (State::Impossible(why), _) => start.say(
                context,
                format!(
                    "the store \"{store}\" does not keep two instances on different machines apart: run only one ({})",
                    printable(why)
                ),
            ),
        }
        self.reported = state;
    }

    /// Returns whether another run writes the history of this one.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.shared().state, State::Other { .. })
    }
}

impl Drop for Leases {
    /// Killed meanwhile: they expire.
    fn drop(&mut self) {
        if self.commands.send(Command::End).is_ok() {
            let _ = self.ended.recv_timeout(RELEASE);
        }
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Each change is an assignment: a panic elsewhere leaves nothing half changed.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread works with.
struct Keeper {
    opener: Opener,
    claims: Vec<Claim>,
    /// With the time when each was taken or renewed last, if this run has it.
    leases: Vec<(Lease, Option<Instant>)>,
    shared: Arc<Mutex<Shared>>,
}

impl Keeper {
    fn keep(mut self, orders: &Receiver<Command>) {
        loop {
            let was_held = locked(&self.shared).state == State::Held;
            let state = self.attempt(was_held);
            let pause = match &state {
                State::Impossible(_) => {
                    self.note(state);
                    return;
                }
                State::Held => RENEWAL,
                State::Other { .. } => LOOK,
                _ => AGAIN,
            };
            self.note(state);
            match orders.recv_timeout(pause) {
                Ok(Command::Try) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.release();
                    return;
                }
            }
        }
    }

    fn note(&self, state: State) {
        let mut shared = locked(&self.shared);
        if matches!(state, State::Other { .. }) {
            shared.other_since.get_or_insert_with(Instant::now);
        } else {
            shared.other_since = None;
        }
        shared.state = state;
        shared.attempts += 1;
    }

    fn release(&mut self) {
        for (lease, held) in &mut self.leases {
            if held.is_some() {
                // Otherwise it expires.
                let _ = lease.release();
            }
        }
    }

    /// Takes or renews all leases.
    fn attempt(&mut self, was_held: bool) -> State {
        match self.take_or_renew() {
            Ok(State::Other { holder, .. }) => {
                let was_lost = matches!(&locked(&self.shared).state, State::Other { lost: true, .. });
                State::Other { holder, lost: was_held || was_lost }
            }
            Ok(state) => state,
            Err(error @ (StoreError::Denied { .. } | StoreError::NoCredentials { .. })) => {
                self.release();
                State::Impossible(message(&error.into()))
            }
            Err(error) => State::Away(message(&error.into())),
        }
    }

    fn take_or_renew(&mut self) -> Result<State, StoreError> {
        if self.leases.is_empty() {
            let store = self.opener.open()?;
            if !Lease::is_possible(&*store)? {
                return Ok(State::Impossible("it can replace a file by another one of the same name".into()));
            }
            self.leases = self.claims.drain(..).map(|claim| (Lease::new(store.clone(), claim), None)).collect();
        }
        for (lease, held) in &mut self.leases {
            let now = Instant::now();
            let standing = match held {
                Some(last) if last.elapsed() < RENEWAL => continue,
                Some(_) => lease.renew()?,
                None => lease.try_take()?,
            };
            *held = (standing == Standing::Held).then_some(now);
            if let Standing::Other { holder } = standing {
                return Ok(State::Other { holder, lost: false });
            }
        }
        Ok(State::Held)
    }
}
