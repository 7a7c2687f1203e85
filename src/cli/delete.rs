//! `heirloom delete`.

use std::time::Duration;

use super::record::Record;
use super::{Context, Outcome, text};
use crate::failure::{Failure, FailureKind};
use crate::names::{ArchiveName, printable};
use crate::ops::delete::{self, DeleteError, LastGood, Refusal};
use crate::ops::inventory::inventory;
use crate::ops::jobs::retention::{configured_databases, shrinks_off};
use crate::ops::plain::Sources;
use crate::ops::retain::mark_held;
use crate::report::archives::Deletion;
use crate::store::{Removal, StoreError};

/// Delete archives permanently
///
/// Asks at a terminal; elsewhere `--force` is needed. It refuses pinned archives, those that a running command needs, a
/// shrink that was not accepted (see `heirloom accept`), the last good archive of a database (known by set, host label
/// and path), and a plain file that is a configured or recorded database, is open, or has a -wal, -journal or -shm
/// beside it. A copy under another name counts as another archive.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom delete shop_20260301T030000Z.tar.gz
  heirloom delete --force old-1.tar.gz old-2.tar.gz

Exit codes: 0 done; 2 not confirmed; 11 locked; 12 no such backup; 14 pinned, in use, a shrink, the last good one of \
a database, or a live database; 16 store unreachable")]
pub struct DeleteArgs {
    /// Names of archives, in full
    #[arg(value_name = "ARCHIVE", required = true, add = super::complete::archives())]
    archives: Vec<String>,
    /// Do not ask
    #[arg(long)]
    force: bool,
    /// Also delete the last good archive of a database
    #[arg(long)]
    even_last: bool,
    /// Print what would be deleted, and stop
    #[arg(long)]
    dry_run: bool,
}

impl DeleteArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.dry_run
    }
}

pub(super) fn run(args: &DeleteArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let names = args.archives.iter().map(|name| {
        let not_found = || StoreError::NotFound { name: name.clone(), location: store.location() };
        let name = ArchiveName::new(name.as_str()).map_err(|_| not_found())?;
        store.store().stat(name.as_str())?.map(|_| name).ok_or_else(not_found)
    });
    let names = names.collect::<Result<Vec<_>, StoreError>>()?;
    let last = if args.even_last { LastGood::Remove } else { LastGood::Keep };
    let plan = |context: &Context| -> anyhow::Result<delete::Plan> {
        let mut found = inventory(&store, &context.reading(), &context.ui.progress())?;
        mark_held(&mut found.snapshots, store.workspace())?;
        if let Some(unknown) = names.iter().find(|name| found.snapshots.iter().all(|snapshot| snapshot.name != **name))
        {
            // Another run may have removed it meanwhile.
            if store.store().stat(unknown.as_str())?.is_none() {
                return Err(
                    StoreError::NotFound { name: unknown.as_str().to_owned(), location: store.location() }.into()
                );
            }
            let hint = "it is not an archive that this release can read; remove it with `rm` if you are sure";
            return Err(Failure::usage(format!("\"{unknown}\" is not a heirloom archive"), hint).into());
        }
        let databases = configured_databases(&context.settings);
        let sources = Sources::new(databases.iter().map(|path| path.as_path()), &found.snapshots);
        let (names, shrinks_off) = (names.as_slice(), &shrinks_off(&context.settings));
        let request =
            delete::Request { names, last, shrinks_off, sources: &sources, repository: &store, clock: &context.clock };
        delete::plan(&found.snapshots, &request).map_err(|error| refused(error, context))
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
            let remove = planned.remove.iter().map(|snapshot| snapshot.name.clone()).collect();
            context.ui.document(&Deletion::Planned { dry_run: true, remove });
        }
        return Ok(Outcome::Done);
    }
    if !args.force
        && !context
            .ui
            .confirm(&format!("Permanently delete {}?", text::count(planned.remove.len() as u64, "archive")))?
    {
        return Err(
            Failure::usage("not confirmed, nothing was deleted", "answer y at a terminal, or use `--force`").into()
        );
    }
    let removed = delete::execute(&store, || plan(context), Duration::from_secs(60), &context.ui.progress())?;
    context
        .records
        .extend(removed.iter().map(|name| Record { archive: Some(name.as_str().to_owned()), ..Record::default() }));
    let is_hidden = store.store().removal() == Removal::Hidden;
    if context.ui.is_json() {
        context.ui.document(&Deletion::Done { removed: removed.clone(), hidden: is_hidden });
    }
    removed.iter().for_each(|name| context.ui.summary(format!("deleted {}", printable(name.as_str()))));
    if is_hidden {
        context.ui.note("the store keeps old versions: what was deleted is hidden there, and frees no room");
    }
    Ok(Outcome::Done)
}

/// Adds a hint to a refusal.
fn refused(error: anyhow::Error, context: &Context) -> anyhow::Error {
    let DeleteError { archive, why } = match error.downcast::<DeleteError>() {
        Ok(refused) => refused,
        Err(other) => return other,
    };
    let hint = match &why {
        Refusal::Pinned => format!("unpin it first: {}", context.command_line(&["unpin", archive.as_str()])),
        Refusal::InUse => "wait for the other command to end and try again".into(),
        Refusal::OpenShrink => {
            format!("if the loss is expected, accept it first: {}", context.command_line(&["accept", archive.as_str()]))
        }
        Refusal::LastGood(_) => {
            let insist = context.command_line(&["delete", archive.as_str(), "--even-last"]);
            format!("make a new backup first, or delete it anyway: {insist}")
        }
        Refusal::Live(_) => "remove it with `rm` if you are sure that it is not in use".into(),
    };
    Failure::new(FailureKind::TargetInUse, DeleteError { archive, why }.to_string()).remedy(hint).into()
}
