//! `heirloom restore`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::backup::CheckArg;
use super::exit::Usage;
use super::log::Record;
use super::restore_text as tell;
use super::{Context, Outcome};
use crate::config::{Check, Key, Origin};
use crate::database::{Limits, Proof, TargetState};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::inventory::{Reading, inventory};
use crate::ops::resolve::{Place, ResolveError, Selected, Wanted, in_store, resolve};
use crate::ops::restore::{self, Known, Options, RestoreError, Safety, Where};
use crate::store::{LocalStore, Store as _, StoreError, parent};

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
  heirloom restore --if-missing --if-backup-exists  the first step of a deployment
  heirloom restore --undo

Exit codes: 0 done; 2 usage, or no target known; 3 restored with damage; 11 locked or busy; 12 no such backup; 13 damaged; 14 the target exists,
or cannot be replaced in this way; 15 not enough space; 16 store unreachable")]
pub struct RestoreArgs {
    /// A path, a name, the beginning of a name, or `latest` (which is the default)
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archive: Option<String>,
    /// The newest archive at or before this time: 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end of that day
    #[arg(long, value_name = "TIME", conflicts_with = "archive")]
    at: Option<String>,
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<Name>,
    /// Restore one database into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to_dir", "to_original"])]
    to: Option<PathBuf>,
    /// Restore each database under its file name into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "to_original")]
    to_dir: Option<PathBuf>,
    /// Restore to the paths recorded in the archive, whatever the configuration says and wherever it was made
    #[arg(long)]
    to_original: bool,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Replace what exists without asking
    #[arg(long)]
    force: bool,
    /// Restore a damaged archive as far as it can be read; pages that cannot be read become zeros
    #[arg(long)]
    allow_damaged: bool,
    /// How thoroughly the unpacked databases are checked
    #[arg(long, value_enum, value_name = "DEPTH")]
    check: Option<CheckArg>,
    /// Print what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Do not keep what is replaced; for one database only
    #[arg(long)]
    no_safety_backup: bool,
    /// Replace the file itself, after proof that nobody has it open
    #[arg(long)]
    offline: bool,
    /// With `--offline`: go on although not every process could be seen
    #[arg(long, requires = "offline")]
    assume_unused: bool,
    /// Restore only what does not exist
    #[arg(long)]
    if_missing: bool,
    /// Succeed where there is no backup yet
    #[arg(long)]
    if_backup_exists: bool,
    /// Go back to what the last restore replaced
    #[arg(long, conflicts_with_all = ["archive", "at", "only", "if_missing", "if_backup_exists"])]
    undo: bool,
    /// The zone of times that carry none, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Tz>,
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

    fn place(&self) -> Where {
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
    if args.if_missing && all_known_targets_exist(args, context)? {
        return Ok(skipped(context, "skipped_exists", "everything is there, nothing was restored"));
    }
    let selected = match select(args, context, reading) {
        Err(error) if args.if_backup_exists && is_nothing(args, context, reading, &error)? => {
            return Ok(skipped(context, "skipped_no_backup", "there is no backup yet, nothing was restored"));
        }
        other => other?,
    };
    let contents = selected.archive.contents();
    let shown = match &selected.place {
        Place::Store => selected.snapshot.name.as_str().to_owned(),
        Place::Path(path) => path.to_string_lossy().into_owned(),
    };
    let allow_damaged = args.allow_damaged || args.undo;
    if selected.snapshot.damaged && !allow_damaged {
        return Err(RestoreError::Damaged { archive: shown }.into());
    }

    let chosen = restore::choose(contents, &args.only)?;
    let known = Known { sets: &context.settings.sets, default_database: context.settings.default_database.as_ref(), host: &context.host };
    // An undo goes to where the databases were, also where the configuration says something else by now; but only on this host.
    let here = contents.metadata.as_ref().is_some_and(|metadata| context.host.owns(&metadata.label()));
    let place = if args.undo && here && args.place() == Where::Known { Where::Original } else { args.place() };
    let targets = restore::targets(contents, &chosen, &place, &known, &shown)?;
    let offline = args.offline.then_some(if args.assume_unused { Proof::NoneKnown } else { Proof::AllSeen });
    let plan = restore::plan(contents, targets, offline, args.if_missing)?;
    let look = |plan| restore::look_for_damage(&selected.archive, plan, context.threads(), &context.ui.progress());
    let plan = if args.allow_damaged { look(plan)? } else { plan };
    if plan.steps.is_empty() {
        return Ok(skipped(context, "skipped_exists", "everything is there, nothing was restored"));
    }

    tell::plan(context, &selected.snapshot, &shown, &plan, args.dry_run);
    if args.dry_run {
        return Ok(Outcome::Done);
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
    tell::report(context, &selected.snapshot, &shown, &plan, &report, undo.as_deref());
    Ok(if plan.is_damaged() { Outcome::Problems } else { Outcome::Done })
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

/// Finds the archive.
fn select(args: &RestoreArgs, context: &Context, reading: &Reading) -> anyhow::Result<Selected> {
    if args.undo {
        return select_undo(args, context, reading);
    }
    let at = args.at.as_deref().map(|text| time(text, reading.zone)).transpose()?;
    let wanted = Wanted { text: args.archive.clone(), at, set: args.set.clone(), holding: args.only.clone() };
    let progress = context.ui.progress();
    match resolve(|| context.store(), &wanted, reading, &progress) {
        Err(error) => match (error.downcast_ref::<ResolveError>(), only_set(context)) {
            // The configuration says which one is meant.
            (Some(ResolveError::SeveralSets { .. }), Some(set)) => {
                resolve(|| context.store(), &Wanted { set: Some(set), ..wanted }, reading, &progress)
            }
            _ => Err(error),
        },
        found => found,
    }
}

fn only_set(context: &Context) -> Option<Name> {
    let mut sets = context.settings.sets.keys();
    sets.next().filter(|_| sets.next().is_none()).cloned()
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

/// Reads a time as people write it.
fn time(text: &str, zone: Tz) -> Result<DateTime<Utc>, Usage> {
    let wrong = || {
        let hint = "write 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end of that day";
        Usage::new(format!("\"{}\" is no time", printable(text)), hint)
    };
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let last_second = NaiveTime::from_hms_opt(23, 59, 59).expect("it is a time of every day");
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(last_second)));
    // A time that occurs twice means the later one; one that a clock change leaves out means nothing.
    zone.from_local_datetime(&local.ok_or_else(wrong)?).latest().map(|time| time.to_utc()).ok_or_else(wrong)
}

/// Says whether an error means that there is nothing to restore, and nothing worse.
fn is_nothing(args: &RestoreArgs, context: &Context, reading: &Reading, error: &anyhow::Error) -> anyhow::Result<bool> {
    match error.downcast_ref::<StoreError>() {
        // An unmounted volume looks the same; that the folder above it is there is a sign that the store was never made.
        Some(StoreError::Unreachable { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Ok(std::fs::metadata(parent(&context.settings.store)).is_ok_and(|folder| folder.is_dir()));
        }
        Some(StoreError::NotFound { .. }) => return Ok(true),
        _ => {}
    }
    if !matches!(error.downcast_ref::<ResolveError>(), Some(ResolveError::NotFound { .. })) {
        return Ok(false);
    }
    // Where there are archives that only cannot be used, somebody has to know.
    let found = inventory(&context.store()?, reading, &context.ui.progress())?;
    let of_set = |set: &Name| args.set.as_ref().is_none_or(|wanted| wanted == set);
    Ok(!found.snapshots.iter().any(|snapshot| snapshot.damaged && of_set(&snapshot.set)) && found.foreign.is_empty())
}

/// Says whether every target that is known without an archive exists, so that none needs to be looked for.
fn all_known_targets_exist(args: &RestoreArgs, context: &Context) -> anyhow::Result<bool> {
    let paths: Vec<PathBuf> = match (args.place(), &args.set) {
        (Where::File(path), _) => vec![path],
        (Where::Known, set) => {
            let set = set.clone().or_else(|| only_set(context));
            let settings = set.and_then(|set| context.settings.sets.get(&set));
            let databases = settings.into_iter().flat_map(|settings| &settings.databases);
            databases.filter(|(name, _)| args.only.is_empty() || args.only.contains(name)).map(|(_, path)| path.clone()).collect()
        }
        _ => Vec::new(),
    };
    for path in &paths {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() && std::fs::metadata(path).is_err() => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot look at {}", super::context::quoted(path)))),
        }
    }
    Ok(!paths.is_empty())
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
    match context.stores.create(root, context).and_then(|store| Ok(store.create_private().map(|_| store)?)) {
        Ok(store) => Ok(Some(store)),
        Err(_) if !needed => Ok(None),
        Err(cause) => Err(RestoreError::NoSafetyStore { location: root.to_string_lossy().into_owned(), cause }.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_zone() {
        let utc = |text: &str| time(text, Tz::Europe__Berlin).unwrap().to_rfc3339();
        assert_eq!(utc("2026-03-01T03:00:00Z"), "2026-03-01T03:00:00+00:00");
        assert_eq!(utc("2026-03-01 03:00"), "2026-03-01T02:00:00+00:00");
        assert_eq!(utc("2026-07-01"), "2026-07-01T21:59:59+00:00");
        // The clock goes from 2 to 3 in that night, and back from 3 to 2 in the other.
        assert!(time("2026-03-29 02:30", Tz::Europe__Berlin).is_err());
        assert_eq!(utc("2026-10-25 02:30"), "2026-10-25T01:30:00+00:00");
        assert!(time("yesterday", Tz::UTC).is_err());
    }
}
