//! Reads the databases of a damaged archive before anything is written.

use std::num::NonZeroUsize;

use super::damage::Damage;
use super::plan::Plan;
use crate::archive::Archive;
use crate::names::printable;
use crate::progress::{Progress, Stage};

/// Reads every database of a plan, and notes in it what is damaged. Writes nothing.
pub fn look_for_damage(
    archive: &Archive,
    mut plan: Plan,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> anyhow::Result<Plan> {
    for step in &mut plan.steps {
        progress.begin(Stage::ReadBack, step.held.name.as_str(), step.held.bytes.unwrap_or(0));
        let why = match archive.check(step.index, threads, progress) {
            Ok(()) => continue,
            Err(error) if error.is_evidence() => printable(&error.to_string()).into_owned(),
            Err(error) => return Err(error.into()),
        };
        progress.begin(Stage::ReadBack, step.held.name.as_str(), step.held.bytes.unwrap_or(0));
        let promised = archive.contents().metadata.as_ref().and_then(|metadata| metadata.databases.get(step.index));
        let sizes =
            promised.map(|promised| (promised.bytes, u64::from(promised.page_size))).filter(|(_, page)| *page > 0);
        step.damage = Some(Damage { why, unreadable: archive.salvage(step.index, None, progress)?, sizes });
    }
    Ok(plan)
}
