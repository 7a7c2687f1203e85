//! Safety backups pending in the workspace: every command that writes sends them, and reports a failure to do so.

use std::time::Duration;

use super::{Context, text};
use crate::metadata::Kind;
use crate::ops::pending::{self, Upkeep};

/// How long to wait for the store lock before leaving them to the next run.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// Moves pending safety backups to the store. A failure is reported at the end of the command.
pub(super) fn send(context: &Context, wait: Duration) {
    let Ok(store) = context.store() else { return };
    if store.workspace().pending_names().is_ok_and(|names| names.is_empty()) {
        return;
    }
    let upkeep = Upkeep { last: context.settings.retention.safety, reading: context.reading(), ahead: context.ahead };
    let progress = context.ui.progress();
    let sent =
        context.store_for_writing().and_then(|store| pending::send(&store, &upkeep, &context.clock, wait, &progress));
    match sent {
        Ok(sent) => {
            for (_, name) in &sent.moved {
                context.ui.note(format!("moved the pending safety backup {name} to the store"));
            }
            sent.warnings.iter().for_each(|warning| context.ui.warning(warning));
        }
        Err(error) => context.ui.detail(format!("pending safety backups were not moved to the store: {error:#}")),
    }
}

/// Warns of what is still pending after a successful command. Returns whether anything is.
pub(super) fn warn_of_rest(context: &Context) -> bool {
    let Ok(store) = context.store() else { return false };
    // A store that never takes them: they stay in the workspace.
    if !store.takes(Kind::Safety) {
        return false;
    }
    let names = store.workspace().pending_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    if !names.is_empty() {
        warn(context, &names, "the store is locked or cannot be written");
    }
    !names.is_empty()
}

/// Warns which safety backups are pending, and why.
pub(super) fn warn(context: &Context, names: &[&str], why: &str) {
    context.ui.warning(format!(
        "{} pending, not in the store yet: {} ({why}); the next backup, restore, guard, rotate or cleanup sends {}",
        text::count(names.len() as u64, "safety backup"),
        names.join(", "),
        if names.len() == 1 { "it" } else { "them" }
    ));
}
