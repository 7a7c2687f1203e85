//! The reports of `restore`.

use std::path::{Path, PathBuf};

use super::shown;
use crate::database::{Depth, Holders, TargetState, holders};
use crate::metadata::Integrity;
use crate::names::Name;
use crate::ops::restore::{self, Damage, Method, Plan, ProvedBy, Report, Step};
use crate::report::restore as report;
use crate::schema_diff::Difference;
use crate::snapshot::Snapshot;

/// Reports what a restore of an archive would do; `archive` is its name or path, `undo_of` the restore that would be
/// undone.
pub fn plan(snapshot: &Snapshot, archive: &str, plan: &Plan, undo_of: Option<&str>) -> report::Planned {
    let removals = plan.removals.iter();
    report::Planned {
        dry_run: true,
        archive: archive.to_owned(),
        created_at: snapshot.created_at,
        databases: plan.steps.iter().map(step).collect(),
        skipped: skipped(plan),
        undo_of: undo_of.map(str::to_owned),
        removals: removals.map(|removal| target(&removal.name, &removal.target.path)).collect(),
    }
}

/// Reports that every target already held what was to be restored.
pub fn unchanged(snapshot: &Snapshot, archive: &str, plan: &Plan, done: &Report) -> report::Unchanged {
    report::Unchanged {
        outcome: report::Outcome::Unchanged,
        archive: archive.to_owned(),
        created_at: snapshot.created_at,
        set: snapshot.set.clone(),
        databases: plan.steps.iter().map(step).collect(),
        skipped: skipped(plan),
        safety_backup: None,
        undo: None,
        warnings: done.warnings.clone(),
    }
}

/// Reports what was restored. The caller adds what was missing, what an undo reverted, and how to undo this.
pub fn restored(snapshot: &Snapshot, archive: &str, plan: &Plan, done: &Report) -> report::Restored {
    report::Restored {
        outcome: report::Outcome::Restored,
        archive: archive.to_owned(),
        created_at: snapshot.created_at,
        set: snapshot.set.clone(),
        host: snapshot.host.clone(),
        no_backup_yet: Vec::new(),
        not_restored: Vec::new(),
        databases: done.databases.iter().zip(&plan.steps).map(|(done, step)| database(done, step)).collect(),
        skipped: skipped(plan),
        safety_backup: done.safety.clone(),
        pending: done.pending.clone(),
        removed: done.removed.iter().map(removed).collect(),
        undo_of: None,
        undo: None,
        warnings: done.warnings.clone(),
    }
}

fn database(done: &restore::Restored, step: &Step) -> report::RestoredDatabase {
    report::RestoredDatabase {
        name: done.name.clone(),
        target: shown(&done.target),
        bytes: done.bytes,
        rows: done.rows,
        proof: proof(done.proof),
        replaced: !matches!(step.target.state, TargetState::Missing { .. }),
        rows_before: step.rows_before(),
        method: method(done.method),
        journal_mode: done.journal_modes.map(|(_, after)| after),
        schema: schema_after(step),
        in_use_by: processes(&holders(&done.target).unwrap_or_default()),
        set_aside: done.aside.as_deref().map(shown),
        unreadable_pages: unreadable(step),
    }
}

fn step(step: &Step) -> report::Step {
    report::Step {
        name: step.held.name.clone(),
        target: shown(&step.target.path),
        bytes: step.held.bytes,
        rows: step.rows_after(),
        method: method(step.method),
        rows_before: step.rows_before(),
        unreadable_pages: unreadable(step),
        damage: step.damage.as_ref().map(|damage| damage.why.clone()),
        schema: step.schema.clone(),
        in_use_by: processes(&step.holders),
    }
}

/// Returns what changed in the schema. If it was too much to unpack before, the database itself is read now.
pub fn schema_after(step: &Step) -> Option<Difference> {
    match &step.schema {
        Some(known) if !known.columns_compared => restore::schema_changed(step).or_else(|| step.schema.clone()),
        known => known.clone(),
    }
}

fn proof(proof: ProvedBy) -> report::Proof {
    match proof {
        ProvedBy::Digest => report::Proof::Digest,
        ProvedBy::Check(_, Integrity::Damaged) => report::Proof::None,
        ProvedBy::Check(Depth::Full | Depth::Deep, _) => report::Proof::IntegrityCheck,
        ProvedBy::Check(Depth::Quick, _) => report::Proof::QuickCheck,
        ProvedBy::Check(Depth::None, _) | ProvedBy::Nothing => report::Proof::None,
    }
}

fn method(method: Method) -> report::Method {
    match method {
        Method::Create => report::Method::Created,
        Method::Inside => report::Method::Replaced,
        Method::Offline(_) => report::Method::ReplacedOffline,
        Method::SetAside => report::Method::SetAside,
    }
}

fn skipped(plan: &Plan) -> Vec<report::Target> {
    plan.skipped.iter().map(|(name, path)| target(name, path)).collect()
}

fn target(name: &Name, path: &Path) -> report::Target {
    report::Target { name: name.clone(), target: shown(path) }
}

fn removed((name, path, aside): &(Name, PathBuf, PathBuf)) -> report::Removed {
    report::Removed { name: name.clone(), target: shown(path), set_aside: shown(aside) }
}

fn processes(holders: &Holders) -> Vec<report::Process> {
    holders.processes.iter().map(|holder| report::Process { pid: holder.pid, name: holder.name.clone() }).collect()
}

/// Returns the ranges of pages that become zeros; `None` if the size of a page is not known.
fn unreadable(step: &Step) -> Option<Vec<report::Pages>> {
    let pages = step.damage.as_ref().map_or(Some(Vec::new()), Damage::pages)?;
    Some(pages.iter().map(|range| report::Pages { first: *range.start(), last: *range.end() }).collect())
}
