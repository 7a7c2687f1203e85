//! The report of restores that were interrupted.

use std::path::{Path, PathBuf};

use super::{Context, text};
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::restore::{self, InterruptedRestore};
use crate::text::quoted;

/// Reports restores that died while replacing something: those recorded in the store, and those beside configured
/// databases.
pub(super) fn report_all(context: &Context) {
    for interrupted in known_interrupted(context) {
        report(context, &interrupted);
    }
}

/// Reports those beside the command's other databases, except `taken_back`, which the command itself undoes.
pub(super) fn report_beside<'a>(context: &Context, targets: impl Iterator<Item = &'a Path>, taken_back: Option<&str>) {
    let Ok(found) = restore::interrupted(None, targets) else { return };
    let known = if found.is_empty() { Vec::new() } else { known_interrupted(context) };
    for interrupted in found {
        if !known.contains(&interrupted) && taken_back != Some(interrupted.note.restore.as_str()) {
            report(context, &interrupted);
        }
    }
}

fn known_interrupted(context: &Context) -> Vec<InterruptedRestore> {
    let configured = context.settings.sets.values().flat_map(|settings| settings.databases.values());
    let databases = configured.chain(context.settings.default_database.iter()).map(PathBuf::as_path);
    restore::interrupted(context.store().ok().as_ref().map(Repository::workspace), databases).unwrap_or_default()
}

fn report(context: &Context, interrupted: &InterruptedRestore) {
    let note = &interrupted.note;
    let targets: Vec<String> = note.targets.iter().map(|target| quoted(&target.path)).collect();
    let undo = context.command_line(&["restore", "--undo", "--set", note.set.as_str(), "--to-original"]);
    let way_back = note.safety.as_ref().map_or_else(
        || "it made no safety backup, so restore again".into(),
        |_| format!("undo it with `{undo}`, or restore again"),
    );
    context.ui.warning(format!(
        "a restore of {} was interrupted ({}): {} may be partly old and partly new; {way_back}",
        printable(&note.archive),
        text::age(note.began_at, context.now),
        targets.join(", "),
    ));
}
