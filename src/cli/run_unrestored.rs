//! Runs without a restore: their archives form streams of their own, under another host label, until somebody restores.

use super::Context;
use crate::names::{HostLabel, Name};
use crate::ops::jobs::Chosen;
use crate::workspace::records::RecordState;

/// What is appended to the host label.
const ENDING: &str = ".unrestored";
/// The longest host label.
const MAX: usize = 64;

/// Marks a set: its application starts without its data.
pub(super) fn mark(set: &Name, context: &Context) {
    let workspace = context.state_workspace();
    let marked = workspace.map(|workspace| workspace.mark_unrestored(set, context.clock.now()));
    if let None | Some(Err(_)) = marked {
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

/// Returns whether a set runs on a database that is not its own: it is marked, and nobody restored it since.
pub(super) fn is_marked(set: &Name, context: &Context) -> bool {
    let Some(marks) = context.state_workspace() else { return false };
    let Some(since) = marks.unrestored(set) else { return false };
    let records = context.run_workspace().and_then(|workspace| workspace.records().ok()).unwrap_or_default();
    let is_later =
        records.iter().any(|record| record.set == *set && record.state == RecordState::Finished && record.at > since);
    if is_later {
        clear(set, context);
    }
    !is_later
}

/// Returns the host label of the archives, if it must not be the usual one. One marked set is enough: they share a run.
pub(super) fn label(chosen: &[Chosen], context: &Context) -> Option<HostLabel> {
    chosen.iter().any(|chosen| is_marked(&chosen.set, context)).then(|| apart(&context.host.label))
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
