//! The reports of `backup`.

use std::time::Duration;

use super::shown;
use crate::database::Source;
use crate::failure::Remedy;
use crate::names::Name;
use crate::ops::Repository;
use crate::ops::backup::{self, Plan};
use crate::report::backup as report;
use crate::store_url::Location;
use crate::workspace::Seen;

/// Reports what would be backed up into a store.
pub fn planned(plan: &Plan, store: &Location) -> report::Planned {
    let source = |source: &Source| report::Source { name: source.name.clone(), source: shown(&source.path) };
    report::Planned {
        dry_run: true,
        set: plan.request.set.clone(),
        store: store.to_string(),
        kind: plan.request.kind,
        databases: plan.sources.iter().map(source).collect(),
        missing: plan.missing.iter().map(|source| source.name.clone()).collect(),
    }
}

/// Reports databases that did not change, at least one.
pub fn not_changed(set: &Name, all: &[Seen], by: report::By, lost: Vec<Name>) -> Option<report::Unchanged> {
    let oldest = all.iter().min_by_key(|seen| seen.created_at)?;
    let database =
        |seen: &Seen| report::UnchangedDatabase { name: seen.database.clone(), archive: seen.archive.clone() };
    Some(report::Unchanged {
        outcome: report::Outcome::Unchanged,
        set: set.clone(),
        by,
        archive: oldest.archive.clone(),
        created_at: oldest.created_at,
        confirmed_at: all.iter().map(|seen| seen.confirmed_at).min().unwrap_or(oldest.confirmed_at),
        databases: all.iter().map(database).collect(),
        lost,
        copies: Vec::new(),
    })
}

/// Reports which archives hold what the databases of a set hold.
pub fn compared(set: Name, all: Vec<backup::Compared>) -> report::Compared {
    report::Compared {
        outcome: report::Outcome::Compared,
        set,
        is_newest: !all.is_empty() && all.iter().all(|one| one.is_newest),
        databases: all
            .into_iter()
            .map(|one| report::ComparedDatabase { name: one.database, archive: one.archive })
            .collect(),
    }
}

/// Reports an archive that was made; `lost` are databases that are gone although archives of them exist, and `words`
/// gives the words of the face for a remedy.
pub fn made(
    made: &backup::Made,
    repository: &Repository,
    took: Duration,
    lost: Vec<Name>,
    words: &dyn Fn(&Remedy) -> String,
) -> report::Made {
    let metadata = &made.packed.metadata;
    let finding = |one: &backup::Finding| report::Finding {
        database: one.database.clone(),
        finding: one.text.clone(),
        new: one.is_new,
    };
    report::Made {
        archive: repository.path_of(made.packed.archive.as_str()),
        backup_name: metadata.backup_name.clone(),
        set: metadata.set.clone(),
        kind: metadata.kind,
        created_at: metadata.created_at,
        store: repository.location(),
        bytes: made.packed.bytes,
        consistent_set: metadata.consistent_set,
        databases: metadata.databases.clone(),
        findings: made.findings.iter().map(finding).collect(),
        notes: made.notes.iter().cloned().map(|one| note(one, words)).collect(),
        seconds: took.as_secs_f64(),
        lost,
        retention: None,
        copies: Vec::new(),
    }
}

fn note(note: backup::Note, words: &dyn Fn(&Remedy) -> String) -> report::Note {
    match note {
        backup::Note::Rival { database, archive } => report::Note::AnotherFile { database, archive },
        backup::Note::Behind { database, newest } => report::Note::ClockBehind { database, newest },
        backup::Note::OtherPath { database, path } => report::Note::OtherPath { database, path },
        backup::Note::Shrink { database, before, after } => report::Note::Shrink { database, before, after },
        backup::Note::Empty { database, path } => report::Note::Empty { database, path: shown(&path) },
        backup::Note::Unreadable { database, path, why, remedy } => {
            let why = remedy.map_or_else(|| why.clone(), |remedy| format!("{why}; {}", words(&remedy)));
            report::Note::Unreadable { database, path: shown(&path), why }
        }
        backup::Note::Unrecorded { why } => report::Note::Unrecorded { why },
        backup::Note::Stale { database, archive, newest } => report::Note::Stale { database, archive, newest },
        backup::Note::Guarded { database } => report::Note::Guarded { database },
    }
}
