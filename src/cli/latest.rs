//! `latest` for commands that only read or mark an archive, and the messages for every outcome.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{SecondsFormat, TimeDelta};

use super::remedy::choose_one;
use super::{Context, text};
use crate::config::EachSettings;
use crate::failure::{Failure, FailureKind};
use crate::latest::{
    Absent, Asked, Candidate, Completeness, Decision, From, MAX_AGE, Newer, Question, Remembered, Take, Target, Why,
};
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::ops::explain::explain;
use crate::ops::inventory::{Inventory, Reading, inventory};
use crate::ops::jobs::meant::{self, Settled, listing, location, meant, refuse_unknown_set, settle};
use crate::ops::latest::{Answer, PassedOver, Prove, choose, remembered};
use crate::ops::resolve::{Place, Selected, Wanted, resolve};
use crate::snapshot::Snapshot;
use crate::workspace::scratch::{Scratch, remove_leftovers_beside};

/// How many names a message lists.
const MOST_NAMES: usize = 5;

/// Refuses the name of a pattern where one set is meant.
pub(super) fn stands_for_many(each: &EachSettings, hint: &str) -> Failure {
    let names: Vec<&str> = each.sets.iter().take(MOST_NAMES).map(Name::as_str).collect();
    let such = if names.is_empty() { String::new() } else { format!(", such as {}", names.join(", ")) };
    Failure::usage(format!("\"{}\" stands for a set for each database{such}", each.name), hint)
}

/// Finds an archive for a command that only reads or marks it. `latest` is resolved as for a restore,
/// except that the only archive of another host is allowed, because no database is written.
pub(super) fn find(text: &str, set: Option<&Name>, command: &str, context: &Context) -> anyhow::Result<Selected> {
    let reading = context.reading();
    if text != "latest" {
        let wanted = Wanted { text: text.to_owned(), set: set.cloned() };
        return resolve(|| context.store(), &wanted, &reading, &context.ui.progress());
    }
    if let Some(each) = set.and_then(|set| context.settings.each.iter().find(|each| each.name == *set)) {
        return Err(
            stands_for_many(each, "choose one with `--set NAME`; or, to verify all archives, add `--all`").into()
        );
    }
    let store = context.store()?;
    let around = &context.surroundings();
    let found = listing(&store, &reading, around, &context.ui.progress())?;
    refuse_unknown_set(set, &found, around)?;
    let settled = settle(meant(set, &[], around), &[], None, None, &found, around)?;
    let asked: Vec<Asked> = settled.databases.iter().map(meant::Database::asked).collect();
    let remembered = remembered(&store, &found);
    let question = Question {
        target: Target::Explicit,
        completeness: Completeness::Possible,
        ..question(&settled, &asked, &remembered, context)
    };
    let words = |archive: &ArchiveName| context.command_line(&[command, archive.as_str()]);
    let (answer, mut passed_over) = decide_quietly(&store, &found, &question, &reading, context)?;
    // `verify` itself reports archives that cannot be described, including older ones.
    passed_over.retain(|passed| {
        command != "verify" || found.snapshots.iter().any(|snapshot| snapshot.name.as_str() == passed.archive)
    });
    mention_passed_over(&passed_over, context);
    let chosen = match answer {
        Answer::Chosen(chosen) => chosen,
        Answer::Refused(Decision::Elsewhere { candidates, databases }) => {
            let commands: Vec<String> = candidates.iter().map(|candidate| words(&candidate.newest)).collect();
            return Err(
                Failure::no_backup(elsewhere_text(&databases, &candidates, context), choose_one(&commands)).into()
            );
        }
        Answer::Refused(decision) => return Err(refused(&decision, &question, &found, context).into()),
    };
    if !chosen.take.rivals.is_empty() {
        let commands: Vec<String> = chosen.take.rivals.iter().map(words).collect();
        return Err(two_applications(&commands).into());
    }
    mention(&chosen.take, context);
    if let Some(origin) = &chosen.take.origin {
        context.ui.warning(whose(&chosen.take.archive, origin, context));
    }
    if let Some(lost) = &chosen.take.lost {
        context.ui.warning(lost_text(lost, &chosen.take, context));
    }
    Ok(chosen.selected)
}

/// Finds an archive for a command that only marks it: no key is needed for that.
pub(super) fn find_to_mark(text: &str, command: &str, context: &Context) -> anyhow::Result<(Snapshot, Place)> {
    let locked = match find(text, None, command, context) {
        Ok(selected) => return Ok((selected.snapshot, selected.place)),
        Err(error) if explain(&error).kind == FailureKind::KeyMissing && !text.contains('/') => error,
        Err(error) => return Err(error),
    };
    let found = inventory(&context.store()?, &context.reading(), &context.ui.progress())?;
    let own = |snapshot: &&Snapshot| {
        context.host.owns(&snapshot.host) && snapshot.kind != Kind::Safety && snapshot.created_at <= context.now
    };
    let fitting: Vec<&Snapshot> = match text {
        // Of several sets none is the latest.
        "latest" => {
            let newest: Vec<&Snapshot> = found.snapshots.iter().filter(own).filter(|one| !one.is_closed()).collect();
            let sets = newest.iter().map(|snapshot| &snapshot.set).collect::<std::collections::BTreeSet<_>>().len();
            newest.into_iter().take(usize::from(sets == 1)).collect()
        }
        text => {
            let named = |snapshot: &&Snapshot| snapshot.name.as_str() == text || snapshot.name.stem() == text;
            let exact: Vec<&Snapshot> = found.snapshots.iter().filter(named).collect();
            let begins = |snapshot: &&Snapshot| snapshot.name.as_str().starts_with(text);
            if exact.is_empty() { found.snapshots.iter().filter(begins).collect() } else { exact }
        }
    };
    match fitting.as_slice() {
        [only] => Ok(((*only).clone(), Place::Store)),
        _ => Err(locked),
    }
}

/// Returns the query with the parts that all commands share.
pub(super) fn question<'a>(
    settled: &'a Settled,
    asked: &'a [Asked],
    remembered: &'a [Remembered],
    context: &'a Context,
) -> Question<'a> {
    let max_age = context.settings.health.max_backup_age.and_then(|age| TimeDelta::from_std(age).ok());
    Question {
        set: &settled.set,
        asked,
        own: &context.host,
        from: None,
        target: Target::Known,
        completeness: Completeness::All,
        at: None,
        now: context.now,
        max_age: max_age.unwrap_or(MAX_AGE),
        remembered,
    }
}

/// Decides, and warns about archives that were passed over.
pub(super) fn decide(
    store: &Repository,
    found: &Inventory,
    question: &Question<'_>,
    reading: &Reading,
    context: &Context,
) -> anyhow::Result<Answer> {
    let (answer, passed_over) = decide_quietly(store, found, question, reading, context)?;
    mention_passed_over(&passed_over, context);
    Ok(answer)
}

fn decide_quietly(
    store: &Repository,
    found: &Inventory,
    question: &Question<'_>,
    reading: &Reading,
    context: &Context,
) -> anyhow::Result<(Answer, Vec<PassedOver>)> {
    let scratch = || scratch(Some(store), context);
    let prove = Prove { scratch: &scratch, threads: context.threads() };
    let (answer, passed_over) = choose(store, found, question, reading, &prove, &context.ui.progress())?;
    if let Answer::Chosen(chosen) = &answer
        && chosen.disproved
    {
        let name = &chosen.take.archive;
        let verify = context.command_line(&["verify", name.as_str()]);
        context.ui.warning(format!(
            "{name} is marked as damaged, but was read and is sound; `{verify}` removes a mark that verify made"
        ));
    }
    Ok((answer, passed_over))
}

fn mention_passed_over(passed_over: &[PassedOver], context: &Context) {
    for PassedOver { archive, why } in passed_over {
        let all = context.command_line(&["verify", "--all"]);
        context.ui.warning(format!("passed over {archive}: {why}; to check all archives: {all}"));
    }
}

/// Creates scratch in the store, which has room for archives, else in the temporary folder: a read-only
/// store can be read. Leftover scratch is removed from both.
pub(super) fn scratch(store: Option<&Repository>, context: &Context) -> anyhow::Result<Scratch> {
    let in_store = store.map(|store| -> std::io::Result<Scratch> {
        store.workspace().create()?;
        store.workspace().try_remove_ended_scratch(&context.ui.progress());
        store.workspace().scratch()
    });
    let folder: PathBuf = std::env::temp_dir();
    // A leftover that cannot be removed is no reason to fail.
    let _ = remove_leftovers_beside(&folder);
    match in_store {
        Some(Ok(scratch)) => Ok(scratch),
        _ => Scratch::beside(&folder)
            .with_context(|| format!("cannot make a scratch folder in \"{}\"", folder.display())),
    }
}

/// Prints the warnings about the choice.
pub(super) fn mention(take: &Take, context: &Context) {
    for Newer { database, archive, created_at } in &take.newer {
        let by = text::measured(*created_at - take.created_at);
        context.ui.warning(format!("{archive} is newer ({by}), but holds only a part: {database}"));
    }
}

/// Returns the error for a decision that cannot be resolved by asking.
pub(super) fn refused(decision: &Decision, question: &Question<'_>, found: &Inventory, context: &Context) -> Failure {
    match decision {
        Decision::NoneYet { databases } => none_yet(databases, question, found, context),
        Decision::OutOfReach { databases } => {
            let why: Vec<String> = databases.iter().map(|absent| absent_text(absent, question, context)).collect();
            let commands: Vec<String> = databases.iter().map(|absent| absent_command(absent, context)).collect();
            let together = databases.iter().all(|absent| matches!(absent.why, Why::Apart(_)));
            let all = if together { "no archive holds all of them: " } else { "" };
            Failure::no_backup(format!("{all}{}", why.join("; ")), choose_one(&commands))
        }
        Decision::Elsewhere { candidates, databases } => {
            Failure::no_backup(elsewhere_text(databases, candidates, context), "name one of them")
        }
        Decision::Take(_) => unreachable!("an archive was chosen"),
    }
}

fn none_yet(databases: &[Name], question: &Question<'_>, found: &Inventory, context: &Context) -> Failure {
    let store = location(&context.surroundings());
    let set_is_there = found.snapshots.iter().any(|snapshot| snapshot.set == *question.set);
    let what = if databases.is_empty() { String::new() } else { format!(" of {}", quoted_names(databases)) };
    let message = format!("no backup{what} in the store \"{store}\"");
    let hint = if !found.foreign.is_empty() {
        // One of them may be an unreadable backup.
        format!("some files there are not archives or cannot be read; list them: {}", context.command_line(&["list"]))
    } else if found.snapshots.is_empty() {
        "the store is empty; name another with `--dir`".into()
    } else if set_is_there {
        let newest: Vec<&str> = found.snapshots.iter().take(5).map(|snapshot| snapshot.name.as_str()).collect();
        format!("there are: {}", newest.join(", "))
    } else {
        let sets: std::collections::BTreeSet<&str> =
            found.snapshots.iter().map(|snapshot| snapshot.set.as_str()).collect();
        let sets: Vec<&str> = sets.into_iter().collect();
        match question.asked.first().and_then(|asked| asked.path.as_deref()) {
            None => format!(
                "the set \"{}\" has no archive; choose another one: --set {}",
                question.set,
                sets.join(", --set ")
            ),
            Some(path) => {
                let command = |set: &&str| context.command_line(&["restore", "--set", set, "--to", path]);
                let commands: Vec<String> = sets.iter().map(command).collect();
                format!("the set \"{}\" has no archive; to restore another one {}", question.set, choose_one(&commands))
            }
        }
    };
    Failure::no_backup(message, hint)
}

/// Returns why a database is not restored.
pub(super) fn absent_text(absent: &Absent, question: &Question<'_>, context: &Context) -> String {
    let name = &absent.database;
    match &absent.why {
        Why::Apart(archive) => format!("\"{name}\" is in {archive}"),
        Why::Elsewhere(candidate) => format!("only archives of {} hold \"{name}\"", source(candidate)),
        Why::Damaged(archive) => format!("the newest archive with \"{name}\" is damaged: {archive}"),
        Why::Future(archive) => format!("the newest archive with \"{name}\" is dated in the future: {archive}"),
        Why::Safety(archive) => format!("only a safety backup holds \"{name}\": {archive}"),
        Why::Plain(archive) => format!("only a file of another tool holds \"{name}\": {archive}"),
        Why::Locked(archive) => format!("no key here opens the newest archive with \"{name}\": {archive}"),
        Why::Exposed(archive) => {
            format!("only a plain archive holds \"{name}\", although archives of this store are encrypted: {archive}")
        }
        Why::Later(_) => {
            let at = question.at.unwrap_or(question.now).to_rfc3339_opts(SecondsFormat::Secs, true);
            format!(
                "no good archive with \"{name}\" at or before {at} in the store \"{}\"",
                location(&context.surroundings())
            )
        }
        Why::Lost(lost) => {
            let age = text::age(lost.created_at, context.now);
            format!(
                "this host made {} with \"{name}\" ({age}), but it is not in the store \"{}\"",
                lost.archive,
                location(&context.surroundings())
            )
        }
    }
}

/// Returns the command that restores a database although it was not chosen.
pub(super) fn absent_command(absent: &Absent, context: &Context) -> String {
    let name = absent.database.as_str();
    match &absent.why {
        Why::Apart(_) => context.command_line(&["restore", "--only", name]),
        Why::Elsewhere(candidate) => {
            let from = from_word(candidate, std::slice::from_ref(candidate), context);
            context.command_line(&["restore", "--only", name, "--from", from.as_str()])
        }
        Why::Damaged(archive) => {
            context.command_line(&["restore", archive.as_str(), "--only", name, "--allow-damaged"])
        }
        Why::Locked(archive) => {
            context.command_line(&["restore", archive.as_str(), "--only", name, "--identity", "FILE"])
        }
        Why::Exposed(archive) => context.command_line(&["restore", archive.as_str(), "--only", name, "--allow-plain"]),
        Why::Future(archive) | Why::Safety(archive) | Why::Plain(archive) => {
            context.command_line(&["restore", archive.as_str(), "--only", name])
        }
        Why::Later(_) | Why::Lost(_) => context.command_line(&["list"]),
    }
}

/// Returns the message for a store with only foreign archives, or several candidates of this host.
pub(super) fn elsewhere_text(databases: &[Name], candidates: &[Candidate], context: &Context) -> String {
    let names = quoted_names(databases);
    let own = candidates.iter().all(|candidate| context.host.owns(&candidate.host));
    let here = if own { "at this path".into() } else { format!("of the host \"{}\" at this path", context.host.label) };
    let listed: Vec<String> = candidates.iter().map(|candidate| candidate_text(candidate, context)).collect();
    format!(
        "no archive with {names} {here} in the store \"{}\"; there are archives of {}",
        location(&context.surroundings()),
        listed.join(", of ")
    )
}

/// Returns a candidate as a choice: its origin and its newest archive.
pub(super) fn candidate_text(candidate: &Candidate, context: &Context) -> String {
    format!("{} (newest: {}, {})", source(candidate), candidate.newest, text::age(candidate.created_at, context.now))
}

fn source(candidate: &Candidate) -> String {
    let places: Vec<String> = candidate.places.iter().map(|(_, place)| format!("\"{place}\"")).collect();
    format!("{}, {}", candidate.host, places.join(" and "))
}

/// Returns the message that an archive comes from another stream.
pub(super) fn whose(archive: &ArchiveName, origin: &Candidate, context: &Context) -> String {
    let other = if context.host.owns(&origin.host) { "another path" } else { "another host" };
    format!("{archive} comes from {other}: {}", source(origin))
}

/// Returns the value of `--from` that selects exactly this candidate.
pub(super) fn from_word(candidate: &Candidate, all: &[Candidate], context: &Context) -> String {
    let same_host = all.iter().filter(|other| other.host == candidate.host).count();
    if same_host == 1 && !context.host.owns(&candidate.host) {
        return candidate.host.to_string();
    }
    let paths = candidate.places.iter().filter_map(|(_, place)| match place {
        crate::streams::Place::Path(path) => Some(path),
        crate::streams::Place::Name(_) | crate::streams::Place::Hidden(_) => None,
    });
    let path = paths.max_by_key(|path| {
        all.iter().filter(|other| !other.places.iter().any(|(_, place)| place.to_string() == **path)).count()
    });
    match path {
        None => candidate.host.to_string(),
        Some(path) => {
            let holders = all.iter().filter(|other| other.places.iter().any(|(_, place)| place.to_string() == *path));
            if holders.count() == 1 { path.clone() } else { format!("{}:{path}", candidate.host) }
        }
    }
}

/// Reads the value of `--from`: a host label, a path, or both as `HOST:PATH`.
pub(super) fn from(text: &str) -> Result<From, Failure> {
    let path = |path: &str| meant::resolved(std::path::Path::new(path));
    let label = |label: &str| {
        crate::names::HostLabel::new(label)
            .map_err(|error| Failure::usage(error.to_string(), "write --from HOST, --from PATH or --from HOST:PATH"))
    };
    match text.split_once(":/") {
        Some((host, rest)) if !host.contains('/') => {
            Ok(From { host: Some(label(host)?), path: Some(path(&format!("/{rest}"))) })
        }
        _ if text.contains('/') => Ok(From { host: None, path: Some(path(text)) }),
        _ => Ok(From { host: Some(label(text)?), path: None }),
    }
}

/// Returns the error that two applications use one stream.
pub(super) fn two_applications(commands: &[String]) -> Failure {
    let message = "two applications back up different files under the same set, host and path, and both are in use: \
                   the latest archive may belong to the other one";
    let hint = format!(
        "give each its own label with the line host = \"NAME\" in its configuration, or HEIRLOOM_HOST; until then {}",
        choose_one(commands)
    );
    Failure::no_backup(message, hint)
}

/// Returns the message that a newer archive is missing from the store.
pub(super) fn lost_text(lost: &Remembered, take: &Take, context: &Context) -> String {
    format!(
        "this host made {} ({}), but it is not in the store \"{}\"; the newest one there is {} ({})",
        lost.archive,
        text::age(lost.created_at, context.now),
        location(&context.surroundings()),
        take.archive,
        text::age(take.created_at, context.now)
    )
}

/// Returns names as messages show them.
pub(super) fn quoted_names(names: &[Name]) -> String {
    names.iter().map(|name| format!("\"{}\"", printable(name.as_str()))).collect::<Vec<_>>().join(", ")
}
