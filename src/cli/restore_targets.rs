//! The targets of a restore, and the warnings about them.

use std::path::{Path, PathBuf};

use super::Context;
use crate::names::printable;
use crate::ops::jobs::meant;
use crate::ops::resolve::Selected;
use crate::ops::restore::{self, Known, RestoreError, Where};
use crate::platform;

/// Returns the target of each database. At a terminal, a path known only from the archive must be confirmed.
pub(super) fn targets(
    selected: &Selected,
    chosen: &[usize],
    place: &Where,
    known: &Known<'_>,
    shown: &str,
    context: &Context,
) -> anyhow::Result<Vec<(usize, PathBuf)>> {
    let contents = selected.archive.contents();
    match restore::targets(contents, chosen, place, known, shown) {
        Err(RestoreError::NoTarget { name, recorded, archive }) => {
            if let (true, Some((_, host))) = (context.ui.can_ask(), &recorded) {
                let paths = chosen.iter().filter_map(|index| contents.databases[*index].source.as_deref());
                let paths: Vec<String> = paths.map(crate::text::quoted).collect();
                if context.ui.confirm(&format!(
                    "Restore to {}, recorded on the host {}?",
                    paths.join(" and "),
                    printable(host)
                ))? {
                    return Ok(restore::targets(contents, chosen, &Where::Original, known, shown)?);
                }
            }
            Err(RestoreError::NoTarget { name, recorded, archive }.into())
        }
        found => Ok(found?),
    }
}

/// Refuses to restore a file onto itself, also under another name.
pub(super) fn refuse_source(selected: &Selected, targets: &[(usize, PathBuf)]) -> anyhow::Result<()> {
    for (_, target) in targets {
        // The URL of an archive is no file.
        if platform::same_file(Path::new(&selected.shown), target).unwrap_or(false) {
            return Err(RestoreError::SourceIsTarget { path: target.clone() }.into());
        }
    }
    Ok(())
}

/// Warns if the archive comes from a host or path other than the target's.
pub(super) fn warn_of_other_origin(selected: &Selected, plan: &restore::Plan, context: &Context) {
    let snapshot = &selected.snapshot;
    let other_host = !context.host.owns(&snapshot.host);
    for step in &plan.steps {
        let Some(brief) = snapshot.databases.get(step.index) else { continue };
        let target = meant::resolved(&step.target.path);
        let path = brief.stream.path().filter(|path| other_host || *path != target);
        if other_host || path.is_some() {
            let from = path.map(|path| format!(", \"{}\"", printable(path))).unwrap_or_default();
            context.ui.warning(format!(
                "{} comes from {}{from}; it goes to \"{target}\" on {}",
                brief.name, snapshot.host, context.host.label
            ));
        }
    }
}
