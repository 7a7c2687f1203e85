//! `heirloom restore` of one set: from the first store in order that answers and has the archive.

use super::restore_apply::{Carried, Job, carry_out};
use super::restore_args::RestoreArgs;
use super::restore_select::{self, Found, Selection};
use super::restore_stores::{Passed, Sources};
use super::restore_text::skipped;
use super::{Context, Outcome, neighbours, restore_targets};
use crate::database::Proof;
use crate::failure::{Failure, Remedy};
use crate::ops::resolve::Place;
use crate::ops::restore::{self, Known, RestoreError};
use crate::report::restore::Outcome as Skip;
use crate::snapshot::Seal;

/// Restores one set from the first store that has it.
pub(super) fn from_stores(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let mut sources = Sources::new(context);
    let mut nothing = None;
    while let Some(source) = sources.next() {
        let main = std::mem::replace(&mut context.settings.store, source.location.clone());
        let result = match restore_select::select(args, context, &context.reading_in(args.time_zone)) {
            Ok(Found::Nothing { outcome: Skip::SkippedExists, words }) => {
                context.settings.store = main;
                return Ok(skipped(context, Skip::SkippedExists, &words));
            }
            Ok(Found::Nothing { outcome, words }) => {
                if source.is_main() && !args.fresh {
                    neighbours::refuse_if_any(context)?;
                }
                context.settings.store = main;
                nothing.get_or_insert((outcome, words));
                continue;
            }
            Ok(Found::Archive(selection)) => {
                let accepted = sources.accept(&source, &selection.selected.snapshot, args.accept_older, context);
                // The safety backup goes to the main store, unless that does not answer.
                if !sources.main_is_away() {
                    context.settings.store = main.clone();
                }
                accepted.and_then(|()| apply(args, *selection, context))
            }
            Err(error) => Err(error),
        };
        context.settings.store = main;
        match result {
            Ok(outcome) => return Ok(outcome),
            Err(error) => match Passed::over(error, &source, args, context)? {
                passed if sources.has_more() => sources.pass(passed, context),
                passed => {
                    if source.is_main() && passed.has_none() {
                        neighbours::refuse_if_any(context)?;
                    }
                    return sources.refuse(passed, context);
                }
            },
        }
    }
    match (sources.first_error(), nothing) {
        (Some(error), _) => Err(error),
        (None, Some((outcome, words))) => Ok(skipped(context, outcome, &words)),
        (None, None) => anyhow::bail!("there is no store to restore from"),
    }
}

/// Restores what was selected.
fn apply(args: &RestoreArgs, selection: Selection, context: &mut Context) -> anyhow::Result<Outcome> {
    let Selection { selected, chosen, assigned, left_out } = selection;
    let contents = selected.archive.contents();
    let shown = match &selected.place {
        Place::Store => selected.snapshot.name.as_str().to_owned(),
        Place::Path(path) => path.to_string_lossy().into_owned(),
    };
    if selected.snapshot.damaged && !args.allow_damaged {
        return Err(RestoreError::Damaged { archive: shown }.into());
    }

    if selected.snapshot.seal == Seal::Missing && !args.allow_plain && !args.dry_run {
        allow_plain(&shown, context)?;
    }

    let (sets, default_database) = (&context.settings.sets, context.settings.default_database.as_ref());
    let known = Known { assigned: &assigned, sets, default_database, host: &context.host };
    let targets = restore_targets::targets(&selected, &chosen, &args.place(), &known, &shown, context)?;
    restore_targets::refuse_source(&selected, &targets)?;
    let offline = args.offline.then_some(if args.assume_unused { Proof::NoneKnown } else { Proof::AllSeen });
    let plan = restore::plan(contents, targets, offline, args.if_missing)?;
    let look = |plan| restore::look_for_damage(&selected.archive, plan, context.threads(), &context.ui.progress());
    let plan = if args.allow_damaged { look(plan)? } else { plan };
    if plan.steps.is_empty() {
        return Ok(skipped(context, Skip::SkippedExists, "everything is there, nothing was restored"));
    }

    restore_targets::warn_of_other_origin(&selected, &plan, context);
    let job = Job { allow_damaged: args.allow_damaged, left_out, ..Job::new(&selected, plan, shown) };
    match carry_out(args, context, job)? {
        Carried::Through(outcome) => Ok(outcome),
        Carried::AlreadyThere => Ok(Outcome::Done),
    }
}

/// Asks whether a plain archive of a store with encrypted archives may be restored.
fn allow_plain(archive: &str, context: &Context) -> anyhow::Result<()> {
    let message = format!(
        "{} is not encrypted, although the archives of this store are: anybody who can write to the store may have put \
         it there",
        crate::names::printable(archive)
    );
    if !context.ui.can_ask() {
        return Err(Failure::usage(message, Remedy::NamePlain { archive: archive.to_owned() }).into());
    }
    context.ui.warning(message);
    if context.ui.confirm("Restore it?")? {
        return Ok(());
    }
    Err(Failure::usage("not confirmed, nothing was changed", "answer y to restore it").into())
}
