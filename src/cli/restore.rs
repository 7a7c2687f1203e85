//! `heirloom restore`.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::backup::CheckArg;
use super::exit::Usage;
use super::restore_apply::{Carried, Job, carry_out};
use super::{Context, Outcome, undo};
use crate::database::Proof;
use crate::names::{Name, printable};
use crate::ops::inventory::{Reading, inventory};
use crate::ops::resolve::{Place, ResolveError, Selected, Wanted, resolve};
use crate::ops::restore::{self, Known, RestoreError, Where};
use crate::store::{StoreError, parent};

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

Exit codes: 0 done; 2 usage, or no target known; 3 done, but the safety backup is not in the store yet;
11 locked or busy; 12 no such backup, or nothing that can be undone; 13 damaged; 14 the target exists, or cannot be
replaced in this way; 15 not enough space; 16 store unreachable")]
pub struct RestoreArgs {
    /// A path, a name, the beginning of a name, or `latest` (which is the default)
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    pub(super) archive: Option<String>,
    /// The newest archive at or before this time: 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end of that day
    #[arg(long, value_name = "TIME", conflicts_with = "archive")]
    pub(super) at: Option<String>,
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
    pub(super) check: Option<CheckArg>,
    /// Print what would be done, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not back up what is replaced; such a restore cannot be undone
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
    /// Take back the newest restore or rollback; with a safety backup as ARCHIVE, that one
    #[arg(long, conflicts_with_all = ["at", "only", "if_missing", "if_backup_exists"])]
    pub(super) undo: bool,
    /// The zone of times that carry none, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<Tz>,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) busy_timeout: Duration,
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
    if args.undo {
        return undo::run(args, context);
    }
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
    if selected.snapshot.damaged && !args.allow_damaged {
        return Err(RestoreError::Damaged { archive: shown }.into());
    }

    let chosen = restore::choose(contents, &args.only)?;
    let known = Known { sets: &context.settings.sets, default_database: context.settings.default_database.as_ref(), host: &context.host };
    let targets = restore::targets(contents, &chosen, &args.place(), &known, &shown)?;
    let offline = args.offline.then_some(if args.assume_unused { Proof::NoneKnown } else { Proof::AllSeen });
    let plan = restore::plan(contents, targets, offline, args.if_missing)?;
    if plan.steps.is_empty() {
        return Ok(skipped(context, "skipped_exists", "everything is there, nothing was restored"));
    }

    let allow_damaged = args.allow_damaged;
    let job = Job { selected: &selected, plan, shown, set: None, allow_damaged, takes_back: None, title: None };
    match carry_out(args, context, job)? {
        Carried::Through(outcome) => Ok(outcome),
        Carried::AlreadyThere => Ok(Outcome::Done),
    }
}

/// Finds the archive.
fn select(args: &RestoreArgs, context: &Context, reading: &Reading) -> anyhow::Result<Selected> {
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

pub(super) fn only_set(context: &Context) -> Option<Name> {
    let mut sets = context.settings.sets.keys();
    sets.next().filter(|_| sets.next().is_none()).cloned()
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
pub(super) fn skipped(context: &mut Context, outcome: &str, words: &str) -> Outcome {
    if context.ui.is_json() {
        context.ui.document(&json!({"outcome": outcome, "archive": null, "databases": [], "undo": null}));
    }
    context.ui.summary(words);
    Outcome::Done
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
