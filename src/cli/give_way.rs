//! Scheduled jobs of `run` give way to a restore: they end as by Ctrl-C, so that nobody waits for them after a bad
//! deployment, and `run` repeats them.

use std::io::{self, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Context, hooks};
use crate::names::Name;
use crate::platform;
use crate::workspace::Workspace;
use crate::workspace::restoring::Restoring;

/// The line by which a job reports why it ends.
pub(super) const GAVE_WAY: &str = r#"{"gave_way":true}"#;
/// How often a job looks for a restore.
const LOOK: Duration = Duration::from_millis(100);
/// How long a restore waits for a workspace that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// As a scheduled job: waits for restores that are under way, and ends this process when one begins later. A backup of
/// one set gives way to restores of that set alone.
pub(super) fn begin(context: &Context) {
    // Without a store nothing can be restored.
    let Some(workspace) = context.run_workspace() else { return };
    let is_pattern = |set: &Name| context.settings.each.iter().any(|each| each.name == *set);
    let set: Option<Name> = context.typed.set().and_then(|set| set.parse().ok()).filter(|set| !is_pattern(set));
    while workspace.is_restoring(set.as_ref()) && context.ui.signal().is_none() {
        thread::sleep(LOOK);
    }
    // Without a thread the restore waits for this job.
    let _ = thread::Builder::new().name("restores".into()).spawn(move || watch(&workspace, set.as_ref()));
}

/// Ends the job by a signal when a restore begins: nothing is committed after that, and the scratch is removed.
fn watch(workspace: &Workspace, set: Option<&Name>) {
    while !workspace.is_restoring(set) {
        thread::sleep(LOOK);
    }
    // Nobody reads it if the supervisor is gone.
    let _ = writeln!(io::stderr(), "{GAVE_WAY}");
    // It fails for a number that is not a signal.
    let _ = platform::stop_myself();
}

/// As a restore: lets the scheduled jobs of running `run`s give way until the result is dropped. Also if the archive
/// comes from a copy (`--store`), the jobs that read the same databases are those of the main store.
///
/// Crash between two announcements, or after them: they end with this process. The jobs that gave way are repeated by
/// their `run`.
pub(super) fn announce(set: &Name, context: &Context) -> Vec<Restoring> {
    // The job of that hook would end it, and run it again for ever.
    if hooks::is_inside() {
        return Vec::new();
    }
    let workspaces = context.workspaces_of_runs().into_iter();
    let announced: Vec<Restoring> = workspaces.filter_map(|workspace| announce_in(workspace, set.clone())).collect();
    if !announced.is_empty() {
        // Long enough for each job to see it, however short the restore is.
        thread::sleep(2 * LOOK);
    }
    announced
}

/// Announces a restore in a workspace if a `run` lives there. If that fails the restore waits for the jobs.
fn announce_in(workspace: Workspace, set: Name) -> Option<Restoring> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let announce = move || {
        let announced = workspace.run_holder().and_then(|_| workspace.announce_restore(&set).ok().flatten());
        // One that comes too late ends here.
        let _ = sender.send(announced);
    };
    // The disk of the main store may hang: a copy must be restored all the same.
    thread::Builder::new().name("announcement".into()).spawn(announce).ok()?;
    receiver.recv_timeout(PATIENCE).ok().flatten()
}
