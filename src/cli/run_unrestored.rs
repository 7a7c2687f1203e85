//! Runs without a restore: their archives form streams of their own, under another host label, until somebody restores.

use chrono::{DateTime, Utc};

use super::Context;
use crate::metadata::rfc3339;
use crate::names::{HostLabel, Name};
use crate::platform::{create_private_folders, parent};
use crate::workspace::Record;
use crate::workspace::records::RecordState;

/// What is appended to the host label.
const ENDING: &str = ".unrestored";
/// The longest host label.
const MAX: usize = 64;

/// Marks a set: its application starts without its data.
pub(super) fn mark(set: &Name, context: &Context) {
    let marked = context.state_workspace().is_some_and(|workspace| {
        create_private_folders(parent(workspace.folder())).is_ok()
            && workspace.mark_unrestored(set, context.clock.now()).is_ok()
    });
    if !marked {
        context
            .ui
            .warning("it cannot be recorded that nothing was restored; a restart takes the database for the real one");
    }
}

/// Takes the mark away: the set was restored.
pub(super) fn clear(set: &Name, context: &Context) {
    if let Some(workspace) = context.state_workspace() {
        // It is looked at again before the next backup.
        let _ = workspace.clear_unrestored(set);
    }
}

/// Returns since when a set runs on a database that is not its own: it is marked, and nobody restored it since.
fn since(set: &Name, context: &Context) -> Option<DateTime<Utc>> {
    let since = context.state_workspace()?.unrestored(set)?;
    let records = context.run_workspace().and_then(|workspace| workspace.records().ok()).unwrap_or_default();
    let is_later = |record: &Record| record.set == *set && record.state == RecordState::Finished && record.at > since;
    (!records.iter().any(is_later)).then_some(since)
}

/// Warns of the sets that run on a database that is not their own.
pub(super) fn warn<'a>(sets: impl IntoIterator<Item = &'a Name>, context: &Context) {
    for set in sets {
        let Some(since) = since(set, context) else { continue };
        let restore = context.command_line(&["restore", "latest"]);
        context.ui.warning(format!(
            "\"{set}\" runs without its data since {}, because nothing could be restored; its backups are those of {}; \
             to restore: {restore}",
            rfc3339(since),
            apart(&context.host.label)
        ));
    }
}

/// Returns the host label of the archives, if it must not be the usual one. One marked set is enough: they share a run.
pub(super) fn label(sets: &[Name], context: &Context) -> Option<HostLabel> {
    let mut is_apart = false;
    for set in sets {
        match since(set, context) {
            Some(_) => is_apart = true,
            // The record of the restore may be removed one day.
            None => clear(set, context),
        }
    }
    is_apart.then(|| apart(&context.host.label))
}

/// Returns the host label of archives that must not stand before those of a host.
fn apart(label: &HostLabel) -> HostLabel {
    let start = &label.as_str()[..label.as_str().len().min(MAX - ENDING.len())];
    HostLabel::new(format!("{start}{ENDING}")).unwrap_or_else(|_| HostLabel::from_host_name(ENDING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_archives_apart_is_a_label() {
        for label in ["web", "a", &"x".repeat(64)] {
            let apart = apart(&HostLabel::new(label).unwrap());
            assert!(apart.as_str().ends_with(ENDING) && apart.as_str().starts_with(&label[..1]), "{apart}");
        }
    }
}
