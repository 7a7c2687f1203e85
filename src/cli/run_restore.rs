//! What `run` restores before the application starts, and when the application must not start.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::invocation::COMPARE;
use super::run_job::Done;
use super::run_lease::Leases;
use super::run_start::{Header, Start, header};
use super::{Context, Outcome, run_unrestored};
use crate::config::RestoreAtStart;
use crate::failure::{FailureKind, is_interruption};
use crate::names::{Name, printable};
use crate::ops::jobs::Chosen;

/// The first pause before a store is asked again; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a store is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl Start<'_> {
    /// Restores what the policy says. Returns how this run ends if the application must not be started.
    pub(super) fn restore(
        &self,
        policy: RestoreAtStart,
        mut leases: Option<&mut Leases>,
        context: &Context,
    ) -> anyhow::Result<Option<Outcome>> {
        for pattern in &self.patterns {
            let words = ["restore", "--if-missing", "--if-backup-exists", "--set", pattern.as_str()];
            let restored = self.restore_with_patience(&words, leases.as_deref_mut(), context);
            if let Some(ended) = self.ended_by_restore(pattern, restored, context)? {
                return Ok(Some(ended));
            }
        }
        for set in self.single_sets(context) {
            let restored = self.restore_set(set, policy, leases.as_deref_mut(), context);
            if let Some(ended) = self.ended_by_restore(&set.set, restored, context)? {
                return Ok(Some(ended));
            }
        }
        self.sound(context)
    }

    /// Reports a restore. Returns how this run ends if the application must not be started.
    fn ended_by_restore(
        &self,
        set: &Name,
        restored: anyhow::Result<Done>,
        context: &Context,
    ) -> anyhow::Result<Option<Outcome>> {
        let done = match restored {
            Err(error) if is_interruption(&error) => return Ok(self.ended_by_signal(context)),
            restored => restored?,
        };
        if let Some(ended) = self.ended_by_signal(context) {
            return Ok(Some(ended));
        }
        if done.code == FailureKind::StoreUnreachable.code() && context.settings.run.start_without_restore {
            // Marked first: if this process dies here, nothing has been written yet.
            run_unrestored::mark(set, context);
            context.ui.warning(format!(
                "{}; the application starts without its data; its backups stand apart until somebody restores",
                done.why()
            ));
            return Ok(None);
        }
        if done.code != 0 {
            self.report_failed(&done, context);
            return Ok(Some(Outcome::Ended(done.code)));
        }
        self.report_restored(set, &done, context);
        Ok(None)
    }

    fn report_restored(&self, set: &Name, done: &Done, context: &Context) {
        let text = |name: &str| done.document.as_ref()?.get(name)?.as_str();
        let short = |name: &str| printable(name.rsplit('/').next().unwrap_or(name)).into_owned();
        let Some(archive) = text("archive").filter(|_| text("outcome") == Some("restored")) else { return };
        run_unrestored::clear(set, context);
        let kept = text("safety_backup").or_else(|| text("pending")).map(short);
        let kept = kept.map(|kept| format!("; what was there before is kept as {kept}")).unwrap_or_default();
        self.say(context, format!("restored {set} from {}{kept}", short(archive)));
    }

    fn restore_set(
        &self,
        set: &Chosen,
        policy: RestoreAtStart,
        mut leases: Option<&mut Leases>,
        context: &Context,
    ) -> anyhow::Result<Done> {
        let name = set.set.to_string();
        let of_set: &[&str] = if context.settings.sets.contains_key(&set.set) { &["--set", &name] } else { &[] };
        let words = [&["restore", "--if-missing", "--if-backup-exists"], of_set].concat();
        let done = self.restore_with_patience(&words, leases.as_deref_mut(), context)?;
        if done.code == FailureKind::NoBackup.code() && context.settings.run.first_deployment {
            context.ui.warning(format!("{}; this is a first deployment, so none of them is restored", done.message()));
            return self.restore_with_patience(&[&words[..], &["--fresh"]].concat(), leases, context);
        }
        let is_there = set.sources.iter().any(|source| matches!(header(&source.path), Header::Sqlite));
        if policy != RestoreAtStart::Newest || done.code != 0 || has_restored(&done) || !is_there {
            return Ok(done);
        }
        let words = [&["restore", "latest", "--force", "--if-backup-exists"], of_set].concat();
        let (held, is_newest) = self.held(of_set, leases.as_deref_mut(), context)?;
        if is_newest {
            let planned = [&words[..], &["--dry-run"]].concat();
            let newest = self.restore_with_patience(&planned, leases.as_deref_mut(), context)?;
            if newest.code != 0 || text(&newest, "archive").is_some_and(|newest| held.iter().any(|one| one == newest)) {
                return Ok(newest);
            }
        }
        if !is_newest && !held.is_empty() {
            let held = held.join(" and ");
            self.say(context, format!("{name} holds what {held} holds, an older backup: the newest is restored"));
        }
        self.restore_with_patience(&words, leases, context)
    }

    /// Returns the archives that hold what the databases of a set hold, each once, if that is known of all, and whether
    /// they are the newest ones.
    fn held(
        &self,
        of_set: &[&str],
        mut leases: Option<&mut Leases>,
        context: &Context,
    ) -> anyhow::Result<(Vec<String>, bool)> {
        // First what a look can tell.
        let words = [&["backup", "--if-changed", "--if-exists", "--dry-run"], of_set].concat();
        let mut seen = self.restore_with_patience(&words, leases.as_deref_mut(), context)?;
        let is_unchanged = seen.code == 0 && text(&seen, "outcome") == Some("unchanged");
        if !is_unchanged {
            let words = [&["backup", COMPARE, "--if-exists"], of_set].concat();
            seen = self.restore_with_patience(&words, leases, context)?;
        }
        let document = seen.document.as_ref().filter(|_| seen.code == 0);
        let is_newest = is_unchanged || document.is_some_and(|document| document["is_newest"] == true);
        let databases = document.and_then(|document| document["databases"].as_array()).map_or(&[][..], |all| &all[..]);
        let archive = |database: &Value| Some(database["archive"].as_str()?.to_owned());
        let held: Option<BTreeSet<String>> = databases.iter().map(archive).collect();
        Ok((held.unwrap_or_default().into_iter().collect(), is_newest))
    }

    /// Asks a store again that does not answer or is locked. All sets together are given `restore_wait`.
    fn restore_with_patience(
        &self,
        words: &[&str],
        mut leases: Option<&mut Leases>,
        context: &Context,
    ) -> anyhow::Result<Done> {
        let mut pause = FIRST_PAUSE;
        let deadline = self.patience.get().unwrap_or_else(|| Instant::now() + context.settings.run.restore_wait);
        self.patience.set(Some(deadline));
        loop {
            // The store may answer again, and another run have the lease.
            if let Some(leases) = leases.as_deref_mut().filter(|_| self.needs_store.get()) {
                leases.settle(self, context)?;
            }
            let done = self.job(words, context)?;
            let may_pass = [FailureKind::StoreUnreachable.code(), FailureKind::Busy.code()].contains(&done.code);
            if !may_pass {
                return Ok(done);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(done);
            }
            let pause_now = pause.min(left);
            self.notify("STATUS=waiting for the store");
            self.say(context, format!("{}; trying again in {} s", done.why(), pause_now.as_secs().max(1)));
            self.pause(pause_now)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn report_failed(&self, done: &Done, context: &Context) {
        let (message, hint) = done.error.clone().unwrap_or_else(|| (done.why(), None));
        let message = if done.code == FailureKind::StoreUnreachable.code() {
            format!(
                "{message}; a database is missing and cannot be restored, and an empty one would bury its backups: the \
                 application was not started"
            )
        } else {
            format!("{message}; the application was not started")
        };
        context.ui.error(&message, hint.as_deref());
    }
}

fn text<'a>(done: &'a Done, name: &str) -> Option<&'a str> {
    done.document.as_ref()?.get(name).and_then(Value::as_str)
}

fn has_restored(done: &Done) -> bool {
    text(done, "outcome") == Some("restored")
}
