//! Shows before a restore how it changes the schema of what it replaces.
//!
//! If the digests of both schemas are equal, nothing changes and nothing is read. Else a small database is unpacked and
//! read; for a large one, only the table names in the archive's metadata are compared.

use std::num::NonZeroUsize;
use std::path::Path;

use super::plan::{Plan, Step};
use crate::archive::Archive;
use crate::database::{self, TargetState};
use crate::platform::private_file;
use crate::progress::Progress;
use crate::schema_diff::{Difference, Schema, difference};
use crate::workspace::scratch::{Scratch, remove_leftovers_beside};

/// Up to this size a database is unpacked only to look at its schema, in bytes: a third of a second.
const CHEAP: u64 = 64 << 20;

/// Notes in each step of a plan what changes in the schema, if something is replaced and its schema is known.
///
/// `folder` takes the unpacked databases for the time of the look. That one cannot be unpacked is no error here: the
/// restore itself will meet it.
pub fn compare_schemas(
    archive: &Archive,
    mut plan: Plan,
    folder: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Plan {
    for step in &mut plan.steps {
        step.schema = change(archive, step, folder, threads, progress);
    }
    plan
}

fn change(
    archive: &Archive,
    step: &Step,
    folder: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Option<Difference> {
    let TargetState::Database(facts) = &step.target.state else { return None };
    let before = facts.schema.as_ref()?;
    let promised = archive.contents().metadata.as_ref().and_then(|metadata| metadata.databases.get(step.index));
    if promised.is_some_and(|promised| {
        promised.schema_sha256 == before.digest && promised.user_version == before.schema.user_version
    }) {
        return Some(Difference { columns_compared: true, ..Difference::default() });
    }
    let is_cheap = step.held.bytes.is_some_and(|bytes| bytes <= CHEAP) && step.damage.is_none();
    let unpacked = if is_cheap { unpacked(archive, step, folder, threads, progress) } else { None };
    let by_name = || {
        let tables = promised?.tables.iter().map(|table| (table.name.clone(), None));
        Some(Schema { user_version: promised?.user_version, tables: tables.collect() })
    };
    unpacked.or_else(by_name).map(|after| difference(&after, &before.schema))
}

/// Unpacks a database into scratch, which goes at the end, and reads its schema.
fn unpacked(
    archive: &Archive,
    step: &Step,
    folder: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Option<Schema> {
    // Crash below: a scratch folder stays, which the next run removes.
    let _ = remove_leftovers_beside(folder);
    let scratch = Scratch::beside(folder).ok()?;
    let copy = scratch.path().join("look.db");
    let file = private_file(&copy).ok()?;
    archive.unpack(&[(step.index, &file)], threads, progress).ok()?;
    Some(database::schema(&copy).ok()?.schema)
}

/// Compares what a target held before with what it holds now, where the columns could not be compared before.
pub fn schema_changed(step: &Step) -> Option<Difference> {
    let TargetState::Database(before) = &step.target.state else { return None };
    let now = database::look_at(&step.target.path).ok()?;
    let TargetState::Database(now) = now.state else { return None };
    Some(difference(&now.schema?.schema, &before.schema.as_ref()?.schema))
}
