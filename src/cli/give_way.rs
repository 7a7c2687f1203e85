//! Scheduled jobs of `run` give way to a restore: they end as by Ctrl-C, so that nobody waits for them after a bad
//! deployment, and `run` repeats them.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use super::{Context, hooks};
use crate::names::Name;
use crate::platform;
use crate::workspace::Workspace;
use crate::workspace::restoring::Restoring;

/// The hidden flag of a scheduled job.
pub(super) const GIVE_WAY: &str = "--give-way";
/// The line by which a job reports why it ends.
pub(super) const GAVE_WAY: &str = r#"{"gave_way":true}"#;
/// How often a job looks for a restore.
const LOOK: Duration = Duration::from_millis(100);

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

/// As a restore: lets the scheduled jobs of a running `run` give way until the result is dropped.
pub(super) fn announce(set: &Name, context: &Context) -> Option<Restoring> {
    // The job of that hook would end it, and run it again for ever.
    if hooks::is_inside() {
        return None;
    }
    let workspace = context.run_workspace()?;
    workspace.run_holder()?;
    // Without it the restore waits for the jobs.
    let announced = workspace.announce_restore(set).ok().flatten()?;
    // Long enough for each job to see it, however short the restore is.
    thread::sleep(2 * LOOK);
    Some(announced)
}
