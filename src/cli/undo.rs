//! `heirloom restore --undo`.

use super::restore_apply::{Carried, Job, carry_out};
use super::restore_args::RestoreArgs;
use super::restore_text::skipped;
use super::{Context, Outcome, text};
use crate::database::Proof;
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::Reading;
use crate::ops::jobs::undo::{self as job, Decision, Undo};
use crate::ops::resolve::{Place, Selected, Wanted, resolve};
use crate::ops::restore::undo::{Choice, End, Past};
use crate::ops::restore::{self, Known, RestoreError, Where};
use crate::report::restore::Outcome as Skip;
use crate::store_url::Location;
use crate::text::quoted;
use std::collections::BTreeSet;

/// Printed if an interrupted restore died before it changed anything.
const NOTHING_CHANGED: &str = "the interrupted restore had changed nothing; its record was removed";

/// Undoes the newest restore of the set to its targets, or the named one.
pub(super) fn run(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let reading = context.reading_in(args.time_zone);
    if let Some(text) = &args.archive {
        return of_archive(args, context, text, &reading);
    }
    let store = context.store()?;
    let scope = job::scope(args.set.as_ref(), &args.place(), &context.surroundings());
    let mut cleared = BTreeSet::new();
    loop {
        let Undo { past, selected } = match job::select_undo(&store, &scope, &reading, &context.ui.progress())? {
            Decision::TakeBack(undo) => *undo,
            // The interrupted restore was the only one.
            Decision::Refuse(why) if matches!(*why, Choice::Nothing) && !cleared.is_empty() => {
                return Ok(skipped(context, Skip::Unchanged, NOTHING_CHANGED));
            }
            Decision::Refuse(why) => return Err(refusal(*why, context, &store).into()),
        };
        let carried = undo_past(args, context, &selected, &past)?;
        match carried {
            Carried::Through(outcome) => return Ok(outcome),
            // It changed nothing before it died, so undo the newest finished one.
            Carried::AlreadyThere if past.end == End::Interrupted && cleared.insert(past.restore.clone()) => {
                context.ui.note(NOTHING_CHANGED);
            }
            Carried::AlreadyThere => return Ok(Outcome::Done),
        }
    }
}

/// Undoes a restore from its safety archive.
fn undo_past(args: &RestoreArgs, context: &mut Context, selected: &Selected, past: &Past) -> anyhow::Result<Carried> {
    let shown = selected.snapshot.name.as_str().to_owned();
    let plan = job::plan(past, selected, offline(args))?;
    let what = match &past.archive {
        Some(archive) => format!("the restore of {} from {}", past.set, printable(archive)),
        None => format!("the restore of {}", past.set),
    };
    let interrupted = if past.end == End::Interrupted { "interrupted " } else { "" };
    let title = format!("undo {}{}, {}", interrupted, what, text::age(past.at, context.now));
    let takes_back = past.restore.clone().filter(|_| past.end == End::Interrupted);
    let set = Some(past.set.clone());
    // A safety backup is kept even if its contents are damaged.
    carry_out(
        args,
        context,
        Job { set, allow_damaged: true, takes_back, title: Some(title), ..Job::new(selected, plan, shown) },
    )
}

/// Restores a named safety archive. It needs no record; other archives are restored, not undone.
fn of_archive(args: &RestoreArgs, context: &mut Context, text: &str, reading: &Reading) -> anyhow::Result<Outcome> {
    let wanted = Wanted { text: text.to_owned(), set: args.set.clone() };
    let selected = resolve(|| context.store(), &wanted, reading, &context.ui.progress())?;
    let snapshot = &selected.snapshot;
    job::require_safety(&selected, text)?;
    let contents = selected.archive.contents();
    if args.place() == Where::Known
        && let Some(past) = job::past_of(&selected, text, &context.surroundings())?
    {
        return Ok(match undo_past(args, context, &selected, &past)? {
            Carried::Through(outcome) => outcome,
            Carried::AlreadyThere if past.end == End::Interrupted => skipped(context, Skip::Unchanged, NOTHING_CHANGED),
            Carried::AlreadyThere => Outcome::Done,
        });
    }
    let place = if args.place() == Where::Known { Where::Original } else { args.place() };
    let (sets, default_database) = (&context.settings.sets, context.settings.default_database.as_ref());
    let known = Known { assigned: &[], sets, default_database, host: &context.host };
    let shown = match &selected.place {
        Place::Store => snapshot.name.as_str().to_owned(),
        Place::Path(path) => path.to_string_lossy().into_owned(),
    };
    let chosen = restore::choose(contents, &args.only)?;
    let targets = restore::targets(contents, &chosen, &place, &known, &shown)?;
    let plan = restore::plan(contents, targets, offline(args), false)?;
    let job = Job { allow_damaged: true, ..Job::new(&selected, plan, shown) };
    Ok(match carry_out(args, context, job)? {
        Carried::Through(outcome) => outcome,
        Carried::AlreadyThere => Outcome::Done,
    })
}

fn offline(args: &RestoreArgs) -> Option<Proof> {
    args.offline.then_some(if args.assume_unused { Proof::NoneKnown } else { Proof::AllSeen })
}

/// Returns why nothing can be undone, with a hint.
fn refusal(choice: Choice, context: &Context, store: &Repository) -> RestoreError {
    let age = |past: &Past| text::age(past.at, context.now);
    let of =
        |past: &Past| past.archive.as_ref().map(|archive| format!(" from {}", printable(archive))).unwrap_or_default();
    let paths = |past: &Past| past.targets.iter().map(|target| quoted(&target.path)).collect::<Vec<_>>().join(", ");
    let older = context.command_line(&["restore", "--undo", "SAFETY-BACKUP"]);
    match choice {
        Choice::NoWayBack(past) if past.end == End::NotRolledBack => {
            let archive = past.archive.clone().unwrap_or_default();
            let why = format!(
                "the newest change of {} is a guarded command that failed and was not rolled back ({})",
                past.set,
                age(&past)
            );
            RestoreError::CannotUndo {
                why,
                remedy: format!(
                    "roll it back: {}",
                    context.command_line(&["restore", &archive, "--to-original", "--force"])
                )
                .into(),
            }
        }
        Choice::NoWayBack(past) if past.end == End::Interrupted => {
            let why = format!(
                "the interrupted restore of {}{} ({}) has no safety backup in this store",
                paths(&past),
                of(&past),
                age(&past)
            );
            let elsewhere = past.store.filter(|other| !Location::parse(other).is_ok_and(|other| store.is_at(&other)));
            let hint = elsewhere.map_or_else(
                || format!("restore all of its databases again: {}", context.typed.quoted(&["restore"])),
                |other| {
                    format!(
                        "name the store that it used: heirloom restore --undo --dir {}",
                        restore::shell_word(&other)
                    )
                },
            );
            RestoreError::CannotUndo { why, remedy: hint.into() }
        }
        Choice::NoWayBack(past) => {
            let why = format!(
                "the restore of {}{}, {}, had no safety backup, so it cannot be undone",
                paths(&past),
                of(&past),
                age(&past)
            );
            let list = context.command_line(&["list"]);
            RestoreError::CannotUndo {
                why,
                remedy: format!("restore another archive (`{list}`), or undo an older restore: {older}").into(),
            }
        }
        Choice::Overtaken(past, newer) => {
            let why = format!(
                "a newer restore of {}{} ({}) has replaced {}",
                newer.set,
                of(&newer),
                age(&newer),
                paths(&newer)
            );
            let first =
                newer.safety.as_ref().map(|safety| context.command_line(&["restore", "--undo", safety.as_str()]));
            let hint = first.map_or_else(
                || format!("undo an older restore by its safety backup: {older}"),
                |first| format!("undo that one first: {first}"),
            );
            let _ = past;
            RestoreError::CannotUndo { why, remedy: hint.into() }
        }
        Choice::Updated(past, update) => {
            let why = format!("a command was guarded since the restore of {}{} ({})", past.set, of(&past), age(&past));
            let before = context.command_line(&["restore", update.as_str(), "--to-original", "--force"]);
            let anyway = past
                .safety
                .as_ref()
                .map(|safety| context.command_line(&["restore", "--undo", safety.as_str(), "--force"]));
            let anyway =
                anyway.map(|command| format!("; to go back to before that restore: {command}")).unwrap_or_default();
            RestoreError::CannotUndo {
                why,
                remedy: format!("to go back to before the guarded command: {before}{anyway}").into(),
            }
        }
        Choice::SeveralSets(sets) => {
            let names: Vec<&str> = sets.iter().map(Name::as_str).collect();
            let why = format!("restores of several sets can be undone: {}", names.join(", "));
            let first = names.first().copied().unwrap_or("NAME");
            RestoreError::AmbiguousUndo {
                why,
                remedy: format!("name the set: {}", context.command_line(&["restore", "--undo", "--set", first]))
                    .into(),
            }
        }
        Choice::Nothing | Choice::TakeBack(..) => RestoreError::NothingToUndo { location: store.location() },
    }
}
