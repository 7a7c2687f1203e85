//! `heirloom restore`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::json;

use super::backup::CheckArg;
use super::exit::Usage;
use super::log::Record;
use super::restore_select::{self, Found, Selection};
use super::restore_targets;
use super::restore_text as tell;
use super::{Context, Outcome};
use crate::config::{Check, Key, Origin};
use crate::database::{Limits, Proof, TargetState};
use crate::metadata::Kind;
use crate::names::Name;
use crate::ops::inventory::{Reading, inventory};
use crate::ops::resolve::{Place, ResolveError, Selected, in_store};
use crate::ops::restore::{self, Known, Options, RestoreError, Safety, Where};
use crate::store::{LocalStore, Store as _, parent};

/// Put databases back from an archive
///
/// Unpacks the databases, checks them, and shows what is replaced by what. What is replaced is kept in a safety backup first, so that
/// `heirloom restore --undo` goes back. A database that an application has open is replaced from inside: its readers and writers see all
/// of the old or all of the new state. Several databases are replaced all or none. A symbolic link is written through. Where the archive
/// is named by a path, the safety backup goes into the configured store, and without one into the folder of that archive.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom restore                                  the newest archive, to where its databases belong
  heirloom restore --at '2026-03-01 03:00' --dry-run
  heirloom restore latest --only user --to /tmp/look.db
  heirloom restore app.db                           the newest archive of this database
  heirloom restore --if-missing --if-backup-exists  the first step of a deployment
  heirloom restore --undo

`latest` is the newest good archive of this host that holds every database asked for: those of the configuration or of
`--only`, else those that the newest archive names. An archive of another host or path is taken only with `--from`, or
with `--to` or `--to-dir` where there is one such origin.

Exit codes: 0 done; 2 usage, or no target known; 3 restored, but not all that was asked for; 11 locked or busy; 12 no such
backup, or none that may be taken unasked; 13 damaged; 14 the target exists, or cannot be replaced in this way; 15 not
enough space; 16 store unreachable")]
pub struct RestoreArgs {
    /// A path, a name, the beginning of a name, or `latest` (the default); or a database, as for `heirloom backup`: its
    /// latest archive
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    pub(super) archive: Option<String>,
    /// The newest archive at or before this time: 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end of that day
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// With `latest` or --at: archives of another host, of a database at another path, or both: HOST, PATH or HOST:PATH
    #[arg(long, value_name = "HOST|PATH", conflicts_with = "fresh")]
    pub(super) from: Option<String>,
    /// This is a first deployment: archives of other hosts and paths do not count, and without own ones nothing is
    /// restored
    #[arg(long)]
    pub(super) fresh: bool,
    /// Restore the newest archive that is there although this host remembers making a newer one
    #[arg(long)]
    pub(super) accept_older: bool,
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<Name>,
    /// Restore one database into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to_dir", "to_original"])]
    pub(super) to: Option<PathBuf>,
    /// Restore each database under its file name into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "to_original")]
    pub(super) to_dir: Option<PathBuf>,
    /// Restore to the paths recorded in the archive, whatever the configuration says and wherever it was made
    #[arg(long)]
    pub(super) to_original: bool,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<Name>,
    /// Replace what exists without asking
    #[arg(long)]
    pub(super) force: bool,
    /// Restore an archive that is damaged, as far as it can be read
    #[arg(long)]
    pub(super) allow_damaged: bool,
    /// How thoroughly the unpacked databases are checked
    #[arg(long, value_enum, value_name = "DEPTH")]
    check: Option<CheckArg>,
    /// Print what would be done, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not keep what is replaced; for one database only
    #[arg(long)]
    pub(super) no_safety_backup: bool,
    /// Replace the file itself, after proof that nobody has it open
    #[arg(long)]
    pub(super) offline: bool,
    /// With `--offline`: go on although not every process could be seen
    #[arg(long, requires = "offline")]
    pub(super) assume_unused: bool,
    /// Restore only what does not exist
    #[arg(long)]
    pub(super) if_missing: bool,
    /// Succeed where there is no backup yet
    #[arg(long)]
    pub(super) if_backup_exists: bool,
    /// Go back to what the last restore replaced
    #[arg(long, conflicts_with_all = ["archive", "at", "from", "fresh", "only", "if_missing", "if_backup_exists"])]
    undo: bool,
    /// The zone of times that carry none, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<Tz>,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    busy_timeout: Duration,
}

impl RestoreArgs {
    /// Says whether nothing is to be changed.
    pub(super) fn only_looks(&self) -> bool {
        self.dry_run
    }

    /// Says whether this is what an interrupted restore needs.
    pub(super) fn is_undo(&self) -> bool {
        self.undo
    }

    pub(super) fn place(&self) -> Where {
        match (&self.to, &self.to_dir) {
            (Some(file), _) => Where::File(file.clone()),
            (_, Some(folder)) => Where::Folder(folder.clone()),
            _ if self.to_original => Where::Original,
            _ => Where::Known,
        }
    }
}

pub(super) fn run(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let reading = &context.reading_in(args.time_zone);
    let selection = if args.undo {
        Selection::whole(select_undo(args, context, reading)?, args)?
    } else {
        match restore_select::select(args, context, reading)? {
            Found::Archive(selection) => *selection,
            Found::Nothing { outcome, words } => return Ok(skipped(context, outcome, &words)),
        }
    };
    let Selection { selected, chosen, assigned, left_out } = selection;
    let contents = selected.archive.contents();
    let shown = match &selected.place {
        Place::Store => selected.snapshot.name.as_str().to_owned(),
        Place::Path(path) => path.to_string_lossy().into_owned(),
    };
    let allow_damaged = args.allow_damaged || args.undo;
    if selected.snapshot.damaged && !allow_damaged {
        return Err(RestoreError::Damaged { archive: shown }.into());
    }

    let (sets, default_database) = (&context.settings.sets, context.settings.default_database.as_ref());
    let known = Known { assigned: &assigned, sets, default_database, host: &context.host };
    // An undo goes to where the databases were, also where the configuration says something else by now; but only on this host.
    let here = contents.metadata.as_ref().is_some_and(|metadata| context.host.owns(&metadata.label()));
    let place = if args.undo && here && args.place() == Where::Known { Where::Original } else { args.place() };
    let targets = restore_targets::targets(args, &selected, &chosen, &place, &known, &shown, context)?;
    restore_targets::refuse_source(&selected, &targets, context)?;
    let offline = args.offline.then_some(if args.assume_unused { Proof::NoneKnown } else { Proof::AllSeen });
    let plan = restore::plan(contents, targets, offline, args.if_missing)?;
    if plan.steps.is_empty() {
        return Ok(skipped(context, "skipped_exists", "everything is there, nothing was restored"));
    }

    restore_targets::warn_of_other_origin(&selected, &plan, context);
    tell::plan(context, &selected.snapshot, &shown, &plan, args.dry_run);
    if args.dry_run {
        return Ok(left_out.outcome());
    }
    if plan.replaces() && !args.force {
        confirm(context, &plan)?;
    }
    let store = if args.no_safety_backup { None } else { safety_store(context, &selected.place, &plan)? };
    let options = Options {
        archive: shown.clone(),
        set: selected.snapshot.set.clone(),
        // A restore is checked in full, whatever backups are: that it takes a moment is no loss at this point.
        check: CheckArg::depth(args.check, Check::Full),
        allow_damaged,
        safety: store.as_ref().map_or(Safety::Without, Safety::Into),
        limits: Limits { busy: args.busy_timeout, ..Limits::default() },
        threads: context.threads(),
        host: context.host_names(),
        clock: context.clock.clone(),
    };
    let report = restore::execute(&selected.archive, &plan, &options, &context.ui.progress())?;
    context.records.push(Record {
        kind: Some(selected.snapshot.kind.to_string()),
        set: Some(selected.snapshot.set.to_string()),
        archive: Some(shown.clone()),
        ..Record::default()
    });
    let undo = report.safety.as_ref().and(store.as_ref()).map(|store| undo_command(context, store));
    tell::report(context, &selected.snapshot, &shown, &plan, &report, undo.as_deref(), &left_out);
    Ok(left_out.outcome())
}

/// Asks at a terminal; elsewhere `--force` has to have answered.
fn confirm(context: &Context, plan: &restore::Plan) -> anyhow::Result<()> {
    if !context.ui.can_ask() {
        let exists = |step: &&restore::Step| !matches!(step.target.state, TargetState::Missing { .. } | TargetState::Empty);
        let path = plan.steps.iter().find(exists).map(|step| step.target.given.clone()).unwrap_or_default();
        return Err(RestoreError::NotConfirmed { path }.into());
    }
    let question = if plan.needs_safety_backup() { "Replace it? What is there is kept in a safety backup" } else { "Replace it?" };
    if context.ui.confirm(question) {
        return Ok(());
    }
    Err(Usage::new("not confirmed, nothing was changed", "answer y to restore").into())
}

/// Finds the safety backup to go back to: of the restore that was interrupted, else the newest.
fn select_undo(args: &RestoreArgs, context: &Context, reading: &Reading) -> anyhow::Result<Selected> {
    let store = context.store()?;
    if let Some(name) = restore::interrupted(&store)?.into_iter().rev().find_map(|interrupted| interrupted.safety) {
        return in_store(&store, name.as_str(), reading);
    }
    let fits = |set: &Name| args.set.as_ref().is_none_or(|wanted| wanted == set);
    let found = inventory(&store, reading, &context.ui.progress())?;
    let newest = found.snapshots.iter().find(|snapshot| snapshot.kind == Kind::Safety && fits(&snapshot.set));
    if let Some(unread) = found.unread_as_new_as(newest.map(|newest| newest.created_at), None) {
        return Err(ResolveError::from(unread).into());
    }
    match newest {
        Some(snapshot) => in_store(&store, snapshot.name.as_str(), reading),
        None => Err(RestoreError::NothingToUndo { location: store.location() }.into()),
    }
}

/// Says that nothing had to be done.
fn skipped(context: &mut Context, outcome: &str, words: &str) -> Outcome {
    if context.ui.is_json() {
        context.ui.document(&json!({"outcome": outcome, "archive": null, "databases": [], "undo": null}));
    }
    context.ui.summary(words);
    Outcome::Done
}

/// Opens the store for the safety backup and the note about what is being replaced: the one that was named, else the folder of the archive.
///
/// Where nothing is replaced that could be kept, a store that cannot be written is no obstacle.
fn safety_store(context: &Context, place: &Place, plan: &restore::Plan) -> anyhow::Result<Option<LocalStore>> {
    let is_named = *context.configuration.effective.origin(Key::StoreDir) != Origin::Default;
    let root: &Path = match place {
        Place::Path(path) if !is_named => parent(path),
        _ => &context.settings.store,
    };
    let needed = plan.needs_safety_backup();
    if !needed && (plan.steps.len() < 2 || *place != Place::Store) {
        return Ok(None);
    }
    match LocalStore::create(root).and_then(|store| store.create_private().map(|_| store)) {
        Ok(store) => Ok(Some(store)),
        Err(_) if !needed => Ok(None),
        Err(cause) => Err(RestoreError::NoSafetyStore { location: root.to_string_lossy().into_owned(), cause: cause.into() }.into()),
    }
}

/// Returns the command that goes back.
fn undo_command(context: &Context, store: &LocalStore) -> String {
    let mut command = "heirloom restore --undo".to_owned();
    let is_usual =
        store.root() == context.settings.store && !matches!(context.configuration.effective.origin(Key::StoreDir), Origin::Flag(_));
    if !is_usual {
        command.push_str(&format!(" --dir {}", restore::shell_word(&store.root().to_string_lossy())));
    }
    command
}

/// Tells of restores that died in the middle of several databases.
pub(super) fn tell_interrupted(context: &Context) {
    let Ok(store) = context.store() else { return };
    for interrupted in restore::interrupted(&store).unwrap_or_default() {
        let targets: Vec<String> = interrupted.databases.iter().map(|(_, path)| super::context::quoted(path)).collect();
        let safety = interrupted.safety.as_ref().map(|_| format!("`{}`", undo_command(context, &store)));
        let way_back = safety.unwrap_or_else(|| "nothing was there before;".into());
        context.ui.warning(format!(
            "a restore of {} was interrupted ({}): of {} some may be new and some old; go back with {way_back} or restore again",
            interrupted.archive,
            super::text::age(interrupted.began_at, context.now),
            targets.join(", "),
        ));
    }
}
