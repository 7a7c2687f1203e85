//! `heirloom delete`.

use std::time::Duration;

use serde_json::json;

use super::exit::Usage;
use super::log::Record;
use super::{Context, Outcome, text};
use crate::lock::StoreLock;
use crate::names::{ArchiveName, printable};
use crate::ops::delete::{self, LastGood};
use crate::ops::inventory::inventory;
use crate::store::{Store as _, StoreError};

/// Delete archives for good
///
/// Asks at a terminal; elsewhere `--force` is needed. The last good archive of a set and pinned ones are refused.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom delete shop_20260301T030000Z.tar.gz
  heirloom delete --force old-1.tar.gz old-2.tar.gz

Exit codes: 0 done; 2 not confirmed; 11 locked; 12 no such backup; 14 pinned, or the last good one of its set;
16 store unreachable")]
pub struct DeleteArgs {
    /// Names of archives, in full
    #[arg(value_name = "ARCHIVE", required = true, add = super::complete::archives())]
    archives: Vec<String>,
    /// Answer the question with yes
    #[arg(long)]
    force: bool,
    /// Delete the last good archive of a set, too
    #[arg(long)]
    even_last: bool,
    /// Print what would be deleted, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &DeleteArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let names = args.archives.iter().map(|name| {
        let not_found = || StoreError::NotFound { name: name.clone(), location: store.location() };
        let name = ArchiveName::new(name.as_str()).map_err(|_| not_found())?;
        store.stat(name.as_str())?.map(|_| name).ok_or_else(not_found)
    });
    let names = names.collect::<Result<Vec<_>, StoreError>>()?;
    let last = if args.even_last { LastGood::Remove } else { LastGood::Keep };
    let plan = |context: &Context| -> anyhow::Result<delete::Plan> {
        let found = inventory(&store, &context.reading(), &context.ui.progress())?;
        if let Some(unknown) = names.iter().find(|name| found.snapshots.iter().all(|snapshot| snapshot.name != **name)) {
            // Another run may have removed it since it was looked up.
            if store.stat(unknown.as_str())?.is_none() {
                return Err(StoreError::NotFound { name: unknown.as_str().to_owned(), location: store.location() }.into());
            }
            let hint = "it is no archive that this tool knows; remove it with `rm` if you are sure";
            return Err(Usage::new(format!("\"{unknown}\" is not ours to delete"), hint).into());
        }
        Ok(delete::plan(&found, &names, last)?)
    };
    let planned = plan(context)?;
    for snapshot in &planned.remove {
        let verb = if args.dry_run { "would delete" } else { "delete" };
        context.ui.note(format!(
            "{verb} {} ({}, {})",
            snapshot.name,
            text::age(snapshot.created_at, context.now),
            text::bytes(snapshot.bytes)
        ));
    }
    if args.dry_run {
        if context.ui.is_json() {
            let remove: Vec<&str> = planned.remove.iter().map(|snapshot| snapshot.name.as_str()).collect();
            context.ui.document(&json!({"dry_run": true, "remove": remove}));
        }
        return Ok(Outcome::Done);
    }
    if !args.force && !context.ui.confirm(&format!("Delete {} for good?", text::count(planned.remove.len() as u64, "archive"))) {
        return Err(Usage::new("not confirmed, nothing was deleted", "answer y at a terminal, or use `--force`").into());
    }
    // Planned again under the lock: another run may have removed the other good archives in between.
    let lock = StoreLock::acquire(&store.create_private()?, Duration::from_secs(60), &context.ui.progress())?;
    let removed = delete::execute(&store, &plan(context)?, &lock)?;
    context.records.extend(removed.iter().map(|name| Record { archive: Some(name.as_str().to_owned()), ..Record::default() }));
    if context.ui.is_json() {
        context.ui.document(&json!({"removed": removed}));
    }
    removed.iter().for_each(|name| context.ui.summary(format!("deleted {}", printable(name.as_str()))));
    Ok(Outcome::Done)
}
