//! `heirloom restore` for patterns: what the store has comes back to a fresh disk.
//!
//! Only to a fresh one: no file matches, and this host does not remember backups of the databases. Otherwise they may
//! have been deleted, and a deleted tenant must not come back unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::latest::stands_for_many;
use super::restore_args::RestoreArgs;
use super::restore_set::from_stores;
use super::restore_stores::{Passed, Sources};
use super::restore_text::skipped;
use super::{Context, Outcome, text};
use crate::config::{EachSettings, SetSettings};
use crate::failure::{Failure, FailureKind, is_interruption};
use crate::names::Name;
use crate::ops::inventory::inventory;
use crate::ops::jobs::each::{BySet, Gone};
use crate::ops::jobs::first_deployment::was_never_made;
use crate::ops::restore::Where;
use crate::platform::{self, parent};
use crate::report::restore::{Many, Outcome as Skip};
use crate::text::quoted;
use crate::workspace::each_marker::EachMarker;

/// How many names a message lists.
const MOST_NAMES: usize = 5;

/// Restores the databases of patterns, if they are meant. `None` if it is a restore of one set, whose databases are
/// known from then on.
pub(super) fn run(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Option<Outcome>> {
    let settings = &context.settings;
    if settings.each.is_empty() {
        return Ok(None);
    }
    let is_latest = args.archive.as_deref().is_none_or(|text| text == "latest");
    let meant: Vec<EachSettings> = match &args.set {
        _ if !is_latest => Vec::new(),
        Some(set) => settings.each.iter().filter(|each| each.name == *set).cloned().collect(),
        None if settings.sets.keys().all(|set| settings.each_of(set).is_some()) => settings.each.clone(),
        None => Vec::new(),
    };
    if meant.is_empty() {
        // A tenant without a file is known only by its archives.
        let is_known = args.set.as_ref().is_some_and(|set| settings.sets.contains_key(set));
        if !is_known
            && (args.set.is_some() || !is_latest)
            && let Some(listing) = listing(args, context)?
        {
            for each in context.settings.each.clone() {
                let gone = listing.without_file(&each, &context.surroundings());
                adopt(&gone, &each, context);
            }
        }
        return Ok(None);
    }
    if !args.if_missing || args.place() != Where::Known {
        let hint = "choose one with `--set NAME`, or restore all of them to a fresh disk with `--if-missing`";
        return Err(stands_for_many(&meant[0], hint).into());
    }
    many(args, &meant, context).map(Some)
}

fn many(args: &RestoreArgs, meant: &[EachSettings], context: &mut Context) -> anyhow::Result<Outcome> {
    let Some(listing) = listing(args, context)? else { return no_backup(args, meant, context) };
    let (mut wanted, mut markers) = (BTreeMap::new(), Vec::new());
    let mut is_anything_there = false;
    for each in meant {
        make_folder(each)?;
        let gone = listing.without_file(each, &context.surroundings());
        let folder = each.pattern.fixed();
        let marker = EachMarker::new(folder, &each.name);
        let interrupted = marker
            .read()
            .with_context(|| format!("cannot find out whether a restore of {} was interrupted", each.pattern))?;
        let is_there = !each.sets.is_empty();
        is_anything_there |= is_there;
        let wanted_here: BTreeMap<Name, Gone> = match &interrupted {
            Some(sets) => gone.into_iter().filter(|(set, _)| sets.contains(set)).collect(),
            None if is_there => {
                report_deleted(each, &gone, context);
                continue;
            }
            None => {
                refuse_if_remembered(args, each, &gone, context)?;
                gone
            }
        };
        if wanted_here.is_empty() && interrupted.is_none() {
            continue;
        }
        adopt(&wanted_here, each, context);
        markers.push((marker, wanted_here.keys().cloned().collect::<BTreeSet<Name>>()));
        wanted.extend(wanted_here);
    }
    if wanted.is_empty() {
        for (marker, _) in markers.iter().filter(|_| !args.dry_run) {
            marker.remove()?;
        }
        return match is_anything_there {
            true => Ok(skipped(context, Skip::SkippedExists, "databases are there, nothing was restored")),
            false => no_backup(args, meant, context),
        };
    }
    let failed = each_one(args, &wanted, &markers, context)?;
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::Problems })
}

/// Restores one database after the other. A failure does not stop the others; it leaves the note for the next run.
fn each_one(
    args: &RestoreArgs,
    wanted: &BTreeMap<Name, Gone>,
    markers: &[(EachMarker, BTreeSet<Name>)],
    context: &mut Context,
) -> anyhow::Result<BTreeSet<Name>> {
    for (marker, sets) in markers.iter().filter(|_| !args.dry_run) {
        marker.write(sets).context("cannot note that databases are being restored")?;
    }
    context.ui.collect_documents();
    let mut failed = BTreeSet::new();
    for (set, gone) in wanted {
        let restored = make_parent(args, &gone.path).and_then(|()| {
            let from = args.from.clone().or_else(|| gone.behind_link.clone());
            let one = RestoreArgs { archive: None, set: Some(set.clone()), from, ..args.clone() };
            from_stores(&one, context)
        });
        match restored {
            Ok(Outcome::Done) => {}
            Ok(_) => drop(failed.insert(set.clone())),
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                super::exit::report(&error, &context.typed, &mut context.ui);
                failed.insert(set.clone());
            }
        }
    }
    let documents = context.ui.take_documents();
    if context.ui.is_json() {
        context.ui.document(&Many { restored: documents, failed: failed.iter().cloned().collect() });
    }
    for (marker, sets) in markers.iter().filter(|_| !args.dry_run) {
        let left: BTreeSet<Name> = sets.intersection(&failed).cloned().collect();
        if left.is_empty() { marker.remove() } else { marker.write(&left) }
            .context("the databases are restored, but the note about it could not be removed")?;
    }
    if !args.dry_run {
        let count = (wanted.len() - failed.len()) as u64;
        context.ui.summary(format!("restored {}", text::count(count, "database")));
    }
    Ok(failed)
}

/// Lists the first store that answers, once for all sets; `None` if none was ever made.
fn listing(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Option<BySet>> {
    let mut sources = Sources::new(context);
    let mut found = None;
    while let Some(source) = sources.next() {
        let main = std::mem::replace(&mut context.settings.store, source.location.clone());
        let listed = context
            .store()
            .map_err(anyhow::Error::from)
            .and_then(|store| Ok(BySet::new(inventory(&store, &context.reading(), &context.ui.progress())?)));
        let is_new = listed.as_ref().is_err_and(|error| {
            error.downcast_ref().is_some_and(|error| source.is_main() && was_never_made(error, &context.surroundings()))
        });
        context.settings.store = main;
        match listed {
            Ok(listing) => {
                context.keep_listing(source.location, listing.clone());
                if !listing.is_empty() || !sources.has_more() {
                    return Ok(Some(listing));
                }
                found = Some(listing);
            }
            Err(_) if is_new && !sources.has_more() => return Ok(found),
            Err(_) if is_new => {}
            Err(error) => match Passed::over(error, &source, args, context)? {
                passed if sources.has_more() => sources.pass(passed, context),
                passed => return sources.refuse(passed, context),
            },
        }
    }
    Ok(found)
}

/// Makes sets of databases that have no file, so that their archives have a target.
fn adopt(gone: &BTreeMap<Name, Gone>, each: &EachSettings, context: &mut Context) {
    for (set, gone) in gone {
        let databases = BTreeMap::from([(set.clone(), gone.path.clone())]);
        let settings = SetSettings { databases, shrink: each.shrink, ..SetSettings::default() };
        context.settings.sets.entry(set.clone()).or_insert(settings);
    }
}

/// Makes the folder of a pattern if only that is missing: without the one above it, a volume may not be mounted.
fn make_folder(each: &EachSettings) -> anyhow::Result<()> {
    let folder = each.pattern.fixed();
    if platform::is_missing(folder).unwrap_or(false) && fs::metadata(parent(folder)).is_ok_and(|found| found.is_dir()) {
        return fs::create_dir(folder).with_context(|| format!("cannot create {}", quoted(folder)));
    }
    match each.problems.first() {
        Some(problem) if fs::read_dir(folder).is_err() => {
            Err(Failure::new(FailureKind::NoDatabase, problem.clone()).remedy("check that its disk is mounted").into())
        }
        _ => Ok(()),
    }
}

/// Makes the folder of one database, which is that of its tenant.
fn make_parent(args: &RestoreArgs, path: &Path) -> anyhow::Result<()> {
    if args.dry_run {
        return Ok(());
    }
    fs::create_dir_all(parent(path)).with_context(|| format!("cannot create {}", quoted(parent(path))))
}

/// Reports databases with archives and without a file on a disk with others: they were deleted.
fn report_deleted(each: &EachSettings, gone: &BTreeMap<Name, Gone>, context: &Context) {
    let Some((first, _)) = gone.first_key_value() else { return };
    let names: Vec<&str> = gone.keys().take(MOST_NAMES).map(Name::as_str).collect();
    let more = if gone.len() > MOST_NAMES { ", …" } else { "" };
    let command = context.command_line(&["restore", "--set", first.as_str()]);
    context.ui.note(format!(
        "{}: not restored, because they seem to be deleted: {}{more}; to restore one: {command}",
        each.name,
        names.join(", ")
    ));
}

/// Refuses if this host remembers backups of the databases, so that the disk is not a new one.
fn refuse_if_remembered(
    args: &RestoreArgs,
    each: &EachSettings,
    gone: &BTreeMap<Name, Gone>,
    context: &Context,
) -> anyhow::Result<()> {
    let own = context.store().map(|store| store.workspace().remembered()).unwrap_or_default();
    let remembered = own.into_iter().chain(context.stores.remembered(&context.settings.store));
    let known = |set: &Name| gone.contains_key(set);
    let known: BTreeSet<Name> = remembered
        .filter(|known_one| context.host.owns(&known_one.stream.host) && known(&known_one.stream.set))
        .map(|remembered| remembered.stream.set)
        .collect();
    if known.is_empty() || args.force {
        return Ok(());
    }
    let count = text::count(known.len() as u64, "database");
    let message = format!("no file matches {}, although this host backed up {count} of it before", each.pattern);
    if context.ui.can_ask() {
        context.ui.warning(&message);
        if context.ui.confirm(&format!("Restore {}?", text::count(gone.len() as u64, "database")))? {
            return Ok(());
        }
        return Err(Failure::usage("not confirmed, nothing was changed", "answer y to restore").into());
    }
    let hint = format!("if its disk is mounted and new, restore all of them: {}", context.typed.again("--force"));
    Err(Failure::new(FailureKind::NoDatabase, message).remedy(hint).into())
}

fn no_backup(args: &RestoreArgs, meant: &[EachSettings], context: &mut Context) -> anyhow::Result<Outcome> {
    let words = format!("there is no backup of {} yet, nothing was restored", meant[0].pattern);
    if args.if_backup_exists || args.fresh {
        return Ok(skipped(context, Skip::SkippedNoBackup, &words));
    }
    let hint = format!("for a first deployment: {}", context.typed.again("--if-backup-exists"));
    Err(Failure::no_backup(words, hint).into())
}
