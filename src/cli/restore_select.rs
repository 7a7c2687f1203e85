//! Selects the archive of a restore, its databases, and their targets.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};

use super::latest::{self, quoted_names};
use super::remedy::choose_one;
use super::restore_args::RestoreArgs;
use super::{Context, Outcome, text};
use crate::database::probe;
use crate::failure::Failure;
use crate::latest::{Asked, Candidate, Completeness, Decision, From, Question, Take, Target, Why};
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::{Inventory, Reading, inventory};
use crate::ops::jobs::first_deployment::{
    all_known_targets_exist, is_nothing, is_of_others, leave_the_missing, was_never_made,
};
use crate::ops::jobs::meant::{self, Database, Meant, Settled};
use crate::ops::latest::{Answer, Chosen};
use crate::ops::resolve::{Selected, Wanted, in_store, resolve};
use crate::ops::restore::{self, Where};
use crate::progress::Interrupted;
use crate::report::restore::Outcome as Skip;
use crate::text::quoted;

/// What is restored.
pub(super) struct Selection {
    /// The archive.
    pub(super) selected: Selected,
    /// Its databases to restore, by index.
    pub(super) chosen: Vec<usize>,
    /// Targets that were known without the archive.
    pub(super) assigned: Vec<(usize, PathBuf)>,
    /// What was requested and is not in the archive.
    pub(super) left_out: LeftOut,
}

/// What was requested and is not restored.
#[derive(Default)]
pub(super) struct LeftOut {
    /// Databases that have no backup yet.
    pub(super) none_yet: Vec<Name>,
    /// Databases of which an archive exists that cannot be chosen.
    pub(super) out_of_reach: Vec<Name>,
    /// The outcome if the restore succeeds.
    pub(super) is_problem: bool,
}

impl LeftOut {
    /// Returns the outcome of a successful restore.
    pub(super) fn outcome(&self) -> Outcome {
        if self.is_problem { Outcome::Problems } else { Outcome::Done }
    }
}

/// The result of the search.
pub(super) enum Found {
    /// Something to restore.
    Archive(Box<Selection>),
    /// Nothing has to be done.
    Nothing {
        /// The word for JSON.
        outcome: Skip,
        /// The words for people.
        words: String,
    },
}

impl Found {
    fn exists() -> Self {
        Self::Nothing { outcome: Skip::SkippedExists, words: "everything is there, nothing was restored".into() }
    }

    fn no_backup(databases: &[Name]) -> Self {
        let of = if databases.is_empty() { String::new() } else { format!(" of {}", quoted_names(databases)) };
        Self::Nothing {
            outcome: Skip::SkippedNoBackup,
            words: format!("there is no backup{of} yet, nothing was restored"),
        }
    }
}

impl Selection {
    /// Selects a named archive, limited to the databases of `--only`.
    pub(super) fn whole(selected: Selected, args: &RestoreArgs) -> anyhow::Result<Self> {
        let chosen = restore::choose(selected.archive.contents(), &args.only)?;
        Ok(Self { selected, chosen, assigned: Vec::new(), left_out: LeftOut::default() })
    }
}

/// Finds the archive.
pub(super) fn select(args: &RestoreArgs, context: &Context, reading: &Reading) -> anyhow::Result<Found> {
    let at = args.at.as_deref().map(|text| super::time::time(text, reading.opener.zone)).transpose()?;
    let around = &context.surroundings();
    let argument = args.archive.as_deref().filter(|text| *text != "latest");
    let mut known = match argument {
        Some(text) => meant::configured_database(text, args.set.as_ref(), around)?,
        None => Some(meant::meant(args.set.as_ref(), &args.only, around)),
    };
    if args.if_missing && all_known_targets_exist(&args.place(), &args.only, known.as_ref(), around)? {
        return Ok(Found::exists());
    }
    let is_archive = |text: &str| [".gz", ".zst", ".tar", ".age"].iter().any(|ending| text.ends_with(ending));
    let store = match (context.store(), argument) {
        (Err(error), Some(text)) if known.is_none() && means_itself(text, args) && was_never_made(&error, around) => {
            return no_backup_of(text, args, context);
        }
        // Whatever the store has: this database is there.
        (Err(_), Some(text)) if known.is_none() && args.if_missing && !is_archive(text) && means_itself(text, args) => {
            return Ok(Found::exists());
        }
        (store, Some(text)) if known.is_none() && (store.is_err() || is_archive(text)) => {
            return named(text, args, context, reading);
        }
        (Err(error), _) if args.if_backup_exists && was_never_made(&error, around) => return Ok(Found::no_backup(&[])),
        (store, _) => store?,
    };
    let found = match args.set.as_ref().and_then(|set| context.kept_listing(set)) {
        Some(found) => found,
        None => meant::listing(&store, reading, around, &context.ui.progress())?,
    };
    let known = match (known.take(), argument) {
        (None, Some(text)) if meant::is_recorded(&found.snapshots, &meant::resolved(Path::new(text))) => Meant {
            set: args.set.clone(),
            databases: vec![Database::at(Path::new(text))],
            by_path: true,
            ..Meant::default()
        },
        (None, Some(text))
            if means_itself(text, args)
                && !context.settings.store.folder().is_some_and(|store| is_within(text, store)) =>
        {
            return no_backup_of(text, args, context);
        }
        (None, Some(text)) => return named(text, args, context, reading),
        (known, _) => known.unwrap_or_default(),
    };
    if let (Some(text), [only, ..]) = (argument, args.only.as_slice()) {
        let message = format!("\"{}\" is one database, and --only names another: \"{only}\"", printable(text));
        return Err(Failure::usage(message, "name the database once").into());
    }

    let place = args.place();
    let to = if let Where::File(file) = &place { Some(file.as_path()) } else { None };
    let mut settled = meant::settle(known, &args.only, to, at, &found, around)?;
    if args.if_missing && !settled.databases.is_empty() {
        leave_the_missing(&mut settled, &place, &found, around)?;
        if settled.databases.is_empty() {
            return Ok(Found::exists());
        }
    }
    Search { args, context, reading, at, store: &store, found: &found, settled: &settled }.run()
}

/// Handles a database file that has no archive. Without another target, it is itself the restore target.
fn no_backup_of(text: &str, args: &RestoreArgs, context: &Context) -> anyhow::Result<Found> {
    if args.if_missing {
        return Ok(Found::exists());
    }
    if args.if_backup_exists {
        return Ok(Found::no_backup(&[]));
    }
    let store = context.settings.store.to_string();
    let message = format!("no backup of {} in the store \"{}\"", quoted(Path::new(text)), printable(&store));
    let command = context.command_line(&["restore", text, "--to", "FILE"]);
    let hint =
        format!("name the store of its backups with `--dir`; if this file is the copy to restore from, run: {command}");
    Err(Failure::no_backup(message, hint).into())
}

/// Returns whether an argument is a database whose target is itself.
fn means_itself(text: &str, args: &RestoreArgs) -> bool {
    args.place() == Where::Known && probe(Path::new(text)).is_ok()
}

/// Returns whether a path resolves to a file in a folder: a file in the store is a copy.
fn is_within(text: &str, folder: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(Path::new(text)).starts_with(real(folder))
}

/// Finds an archive by its path, its name, or the beginning of its name.
fn named(text: &str, args: &RestoreArgs, context: &Context, reading: &Reading) -> anyhow::Result<Found> {
    let flags = [("--at", args.at.is_some()), ("--from", args.from.is_some()), ("--fresh", args.fresh)];
    if let Some((flag, _)) = flags.into_iter().find(|(_, given)| *given) {
        let message = format!("{flag} selects the latest archive, but \"{}\" names one", printable(text));
        return Err(Failure::usage(message, format!("leave out {flag} or the name of the archive")).into());
    }
    let wanted = Wanted { text: text.to_owned(), set: args.set.clone() };
    let list = || inventory(&context.store()?, reading, &context.ui.progress());
    match resolve(|| context.store(), &wanted, reading, &context.ui.progress()) {
        Err(error)
            if args.if_backup_exists && is_nothing(&error, args.set.as_ref(), &context.surroundings(), list)? =>
        {
            Ok(Found::no_backup(&[]))
        }
        selected => Ok(Found::Archive(Box::new(Selection::whole(selected?, args)?))),
    }
}

/// The search for the latest archive.
struct Search<'a> {
    args: &'a RestoreArgs,
    context: &'a Context,
    reading: &'a Reading,
    at: Option<DateTime<Utc>>,
    store: &'a Repository,
    found: &'a Inventory,
    settled: &'a Settled,
}

impl Search<'_> {
    fn run(&self) -> anyhow::Result<Found> {
        let (args, context, settled) = (self.args, self.context, self.settled);
        let asked: Vec<Asked> = settled.databases.iter().map(Database::asked).collect();
        let remembered = crate::ops::latest::remembered(self.store, self.found);
        let target =
            if matches!(args.place(), Where::File(_) | Where::Folder(_)) { Target::Explicit } else { Target::Known };
        let completeness = if args.if_missing { Completeness::Possible } else { Completeness::All };
        let mut from = args.from.as_deref().map(latest::from).transpose()?;
        let mut answered = false;
        loop {
            let question = Question {
                from: from.as_ref(),
                at: self.at,
                target,
                completeness,
                ..latest::question(settled, &asked, &remembered, context)
            };
            match latest::decide(self.store, self.found, &question, self.reading, context)? {
                Answer::Chosen(chosen) => return self.accept(*chosen),
                Answer::Refused(Decision::NoneYet { databases })
                    if args.if_backup_exists && self.found.foreign.is_empty() =>
                {
                    return Ok(Found::no_backup(&databases));
                }
                Answer::Refused(decision) if args.fresh && is_of_others(&decision) => return Ok(Found::no_backup(&[])),
                Answer::Refused(Decision::Elsewhere { candidates, databases }) => {
                    let choices: Vec<String> =
                        candidates.iter().map(|candidate| latest::candidate_text(candidate, context)).collect();
                    let chosen = if answered { None } else { self.ask(&databases, &candidates, &choices)? };
                    let Some(candidate) = chosen else { return Err(self.elsewhere(&databases, &candidates).into()) };
                    let path = candidate.places.iter().find_map(|(_, place)| match place {
                        crate::streams::Place::Path(path) => Some(path.clone()),
                        crate::streams::Place::Name(_) | crate::streams::Place::Hidden(_) => None,
                    });
                    from = Some(From { host: Some(candidate.host.clone()), path });
                    answered = true;
                }
                Answer::Refused(decision) => {
                    return Err(latest::refused(&decision, &question, self.found, context).into());
                }
            }
        }
    }

    fn ask<'c>(
        &self,
        databases: &[Name],
        candidates: &'c [Candidate],
        choices: &[String],
    ) -> Result<Option<&'c Candidate>, Interrupted> {
        if !self.context.ui.can_ask() {
            return Ok(None);
        }
        self.context.ui.note(latest::elsewhere_text(databases, candidates, self.context));
        Ok(self.context.ui.choose("Restore which?", choices)?.map(|index| &candidates[index]))
    }

    fn elsewhere(&self, databases: &[Name], candidates: &[Candidate]) -> Failure {
        let from = candidates.iter().map(|candidate| latest::from_word(candidate, candidates, self.context));
        let mut commands: Vec<String> = from.map(|from| self.again(None, &["--from", from.as_str()])).collect();
        if self.args.from.is_none() {
            commands.push(format!("{}  # a first deployment: nothing is restored", self.again(None, &["--fresh"])));
        }
        Failure::no_backup(latest::elsewhere_text(databases, candidates, self.context), choose_one(&commands))
    }

    /// Prints warnings about the chosen archive and asks for confirmation if needed.
    fn accept(&self, chosen: Chosen) -> anyhow::Result<Found> {
        let (args, context) = (self.args, self.context);
        let Chosen { selected, take, .. } = chosen;
        if !take.rivals.is_empty() {
            return self.choose_application(&take);
        }
        latest::mention(&take, context);
        if take.too_old {
            self.allow_older(&take)?;
        }
        if let Some(lost) = take.lost.as_ref().filter(|_| !args.accept_older) {
            let words = latest::lost_text(lost, &take, context);
            if !context.ui.can_ask() {
                return Err(Failure::usage(words, choose_one(&[self.again(None, &["--accept-older"])])).into());
            }
            context.ui.warning(&words);
            if !context.ui.confirm(&format!("Restore {}, which is older?", take.archive))? {
                return Err(
                    Failure::usage("not confirmed, nothing was changed", "answer y to restore the older one").into()
                );
            }
        } else if let Some(lost) = &take.lost {
            context.ui.warning(latest::lost_text(lost, &take, context));
        }
        let left_out = self.mention_what_is_not_in_it(&take);
        let assigned =
            take.members.iter().filter_map(|(asked, member)| Some((*member, self.target(*asked, *member, &selected)?)));
        let assigned = assigned.collect();
        let mut members: Vec<usize> = take.members.iter().map(|(_, member)| *member).collect();
        members.sort_unstable();
        Ok(Found::Archive(Box::new(Selection { selected, chosen: members, assigned, left_out })))
    }

    /// Returns the target of a database: its path, or the path of another configured candidate that the
    /// archive records.
    fn target(&self, asked: usize, member: usize, selected: &Selected) -> Option<PathBuf> {
        let database = &self.settled.databases[asked];
        let recorded = selected.snapshot.databases[member].stream.path();
        let was_there = |path: &&PathBuf| Some(meant::resolved(path).as_str()) == recorded;
        database.alternatives.iter().find(was_there).or(database.path.as_ref()).cloned()
    }

    fn allow_older(&self, take: &Take) -> anyhow::Result<()> {
        let newest = take.newer.iter().max_by_key(|newer| newer.created_at);
        let by = newest.map(|newer| text::measured(newer.created_at - take.created_at)).unwrap_or_default();
        let names: Vec<Name> = take.newer.iter().map(|newer| newer.database.clone()).collect();
        let message = format!(
            "the newest archive with all databases is {}, and {} has one that is newer by {by}",
            take.archive,
            quoted_names(&names)
        );
        if self.context.ui.can_ask() {
            if self.context.ui.confirm(&format!("{message}. Restore {}?", take.archive))? {
                return Ok(());
            }
            return Err(Failure::usage("not confirmed, nothing was changed", "answer y to restore").into());
        }
        let at = take.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut commands = vec![self.again(None, &["--at", at.as_str()])];
        if self.args.only.is_empty() {
            commands.extend(names.iter().map(|name| self.again(None, &["--only", name.as_str()])));
        }
        Err(Failure::no_backup(message, choose_one(&commands)).into())
    }

    /// Asks which archive to restore if two applications share the stream.
    fn choose_application(&self, take: &Take) -> anyhow::Result<Found> {
        let names = &take.rivals;
        let commands: Vec<String> = names.iter().map(|name| self.again(Some(name), &[])).collect();
        let error = latest::two_applications(&commands);
        if !self.context.ui.can_ask() {
            return Err(error.into());
        }
        self.context.ui.warning(&error.message);
        let choices: Vec<String> = names.iter().map(ArchiveName::to_string).collect();
        let Some(index) = self.context.ui.choose("Restore which?", &choices)? else { return Err(error.into()) };
        let selected = in_store(self.store, names[index].as_str(), self.reading)?;
        let wanted: Vec<Name> = self.settled.databases.iter().map(|database| database.name.clone()).collect();
        let chosen = restore::choose(selected.archive.contents(), &wanted)?;
        let belongs = |index: &usize| {
            let name = &selected.snapshot.databases[*index].name;
            let database = self.settled.databases.iter().find(|database| database.name == *name)?;
            Some((*index, database.path.clone()?))
        };
        let assigned = chosen.iter().filter_map(belongs).collect();
        Ok(Found::Archive(Box::new(Selection { selected, chosen, assigned, left_out: LeftOut::default() })))
    }

    /// Reports what was requested and is not in the archive.
    fn mention_what_is_not_in_it(&self, take: &Take) -> LeftOut {
        let (args, context) = (self.args, self.context);
        let mut left_out = LeftOut { none_yet: take.none_yet.clone(), ..LeftOut::default() };
        for name in &take.none_yet {
            let words = format!("no backup of \"{name}\" yet: it was not restored");
            if args.if_backup_exists {
                context.ui.note(words);
            } else {
                context.ui.warning(words);
                left_out.is_problem = true;
            }
        }
        let question = Question { at: self.at, ..latest::question(self.settled, &[], &[], context) };
        for absent in take.out_of_reach.iter().filter(|absent| !args.fresh || !matches!(absent.why, Why::Elsewhere(_)))
        {
            let why = latest::absent_text(absent, &question, context);
            let command = latest::absent_command(absent, context);
            context.ui.warning(format!("\"{}\" was not restored: {why}; to restore it: {command}", absent.database));
            left_out.out_of_reach.push(absent.database.clone());
            left_out.is_problem = true;
        }
        left_out
    }

    /// Returns this command with the archive named, or with further flags.
    fn again(&self, archive: Option<&ArchiveName>, more: &[&str]) -> String {
        let mut words = vec!["restore".to_owned()];
        match (archive, &self.args.archive) {
            (Some(archive), _) => words.push(archive.to_string()),
            (None, Some(text)) => words.push(text.clone()),
            (None, None) => {}
        }
        words.extend(self.args.words(archive.is_none() && !more.contains(&"--at"), !more.contains(&"--only")));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        self.context.command_line(&words)
    }
}

impl RestoreArgs {
    /// Returns the flags of this command as they can be typed again.
    fn words(&self, with_time: bool, with_only: bool) -> Vec<String> {
        let mut words = Vec::new();
        let mut value = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        self.at.iter().filter(|_| with_time).for_each(|at| value("--at", at.clone()));
        self.only.iter().filter(|_| with_only).for_each(|name| value("--only", name.to_string()));
        self.set.iter().for_each(|set| value("--set", set.to_string()));
        self.to.iter().for_each(|path| value("--to", shown(path)));
        self.to_dir.iter().for_each(|path| value("--to-dir", shown(path)));
        self.time_zone.iter().for_each(|zone| value("--time-zone", zone.name().to_owned()));
        self.check.iter().for_each(|check| value("--check", check.as_str().to_owned()));
        let flags = [
            ("--to-original", self.to_original),
            ("--if-missing", self.if_missing),
            ("--if-backup-exists", self.if_backup_exists),
            ("--force", self.force),
            ("--allow-damaged", self.allow_damaged),
            ("--allow-plain", self.allow_plain),
            ("--rebuild-indexes", self.rebuild_indexes),
            ("--no-safety-backup", self.no_safety_backup),
            ("--offline", self.offline),
            ("--assume-unused", self.assume_unused),
            ("--dry-run", self.dry_run),
        ];
        words.extend(flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned()));
        words
    }
}
