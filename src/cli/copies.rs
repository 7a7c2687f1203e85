//! Further stores: opens them, brings them up to date, rotates them, and prints what happened.

use super::retain_text::show_end;
use super::store_names::{MAIN, named};
use super::{Context, Outcome, text};
use crate::config::CopySettings;
use crate::failure::Failure;
use crate::identity::StoreId;
use crate::names::{ArchiveName, printable};
use crate::ops::explain::explain;
use crate::ops::jobs::copies::{CaughtUp, Destination, catch_up, holders};
use crate::ops::jobs::repair::{self, Repair};
use crate::ops::jobs::retention::{Hosts, LOCK_WAIT, PlainFiles, Wanted, Whose, rules_of};
use crate::ops::reports::{self, Progressed as Shown};
use crate::ops::retain;
use crate::ops::{LockedStore, Repository};
use crate::report::copies as report;
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::store_url::Location;

/// What happened to the further stores.
pub(super) struct Copying {
    /// One for each.
    pub(super) documents: Vec<report::Copy>,
    /// The worst of them.
    pub(super) outcome: Outcome,
    /// The archives that are damaged, with the evidence.
    pub(super) damaged: Vec<(ArchiveName, String)>,
}

/// Copies to these stores, all side by side, and prints what happened: the named archives, or what each store lacks.
pub(super) fn copy(
    main: &Repository,
    copies: &[CopySettings],
    named: Option<&[ArchiveName]>,
    context: &mut Context,
) -> anyhow::Result<Copying> {
    let mut destinations = copies
        .iter()
        .map(|copy| Destination { copy, repository: context.create_store(&copy.location) })
        .collect::<Vec<_>>();
    refuse_same(main, &mut destinations, context);
    let caught_up = catch_up(main, destinations, named, &context.surroundings(), &context.ui.progress())?;
    let mut outcome = Outcome::Done;
    let mut documents = Vec::new();
    for one in &caught_up {
        show(one, context);
        outcome = match (outcome, one.errors.is_empty()) {
            (Outcome::Found(code), _) => Outcome::Found(code),
            (_, false) if one.required => Outcome::Found(16),
            (_, false) => Outcome::Problems,
            (outcome, true) => outcome,
        };
        documents.push(document(one));
    }
    let mut damaged: Vec<_> = caught_up.into_iter().flat_map(|one| one.damaged).collect();
    damaged.sort();
    damaged.dedup_by(|one, other| one.0 == other.0);
    Ok(Copying { documents, outcome, damaged })
}

/// Fetches good archives for damaged ones of the main store, and prints what happened.
pub(super) fn repair(
    main: &Repository,
    damaged: &[(ArchiveName, String)],
    context: &mut Context,
) -> anyhow::Result<(Vec<report::Repaired>, Outcome)> {
    let open = |copy: &CopySettings| Ok(context.open_store(&copy.location)?);
    let repairs = repair::repair(main, damaged, &open, &context.surroundings(), &context.ui.progress())?;
    let (mut documents, mut outcome) = (Vec::new(), Outcome::Done);
    for Repair { damaged, from, result } in repairs {
        match result {
            Ok(copied) => {
                let remove = context.command_line(&["cleanup", "--damaged"]);
                context.ui.note(format!(
                    "{} is damaged; {} is a good copy from {from}; to remove the damaged one: {remove}",
                    printable(&damaged),
                    copied.name
                ));
                documents.push(report::Repaired { damaged, from, name: copied.name, bytes: copied.bytes });
            }
            Err(error) => {
                outcome = Outcome::Problems;
                let failure = explain(&error);
                context.ui.warning(format!(
                    "{} is damaged and was not repaired from {from}: {}",
                    printable(&damaged),
                    failure.message
                ));
            }
        }
    }
    Ok((documents, outcome))
}

/// Refuses a further store that is the source, or another further store, under another name or URL: it would count as
/// one copy more.
fn refuse_same(main: &Repository, destinations: &mut [Destination<'_>], context: &Context) {
    let stores = std::iter::once(&context.settings.store)
        .chain(context.settings.copies.iter().map(|copy| &copy.location))
        .find(|location| location.to_string() == main.location());
    let of_main = stores.and_then(|location| context.stores.id(location, main));
    let mut seen: Vec<(String, StoreId)> =
        of_main.map(|id| (printable(&main.location()).into_owned(), id)).into_iter().collect();
    for destination in destinations {
        let Ok(repository) = &destination.repository else { continue };
        let Some(id) = context.stores.id(&destination.copy.location, repository) else { continue };
        let location = printable(&repository.location()).into_owned();
        match seen.iter().find(|(_, other)| *other == id) {
            Some((other, _)) => {
                let message = format!("\"{location}\" and \"{other}\" are the same store, so it is not a copy");
                let hint = "name another store in the configuration, or remove the table of this copy";
                destination.repository = Err(Failure::usage(message, hint).into());
            }
            None => seen.push((location, id)),
        }
    }
}

fn show(one: &CaughtUp, context: &mut Context) {
    let (name, location) = (&one.name, printable(&one.location));
    for error in &one.errors {
        let failure = explain(error);
        context.ui.warning(format!("{name}: {}", failure.message));
    }
    if !one.copied.is_empty() {
        let bytes = one.copied.iter().map(|copied| copied.bytes).sum();
        let count = text::count(one.copied.len() as u64, "archive");
        context.ui.summary(format!("copied {count} ({}) to {name}, \"{location}\"", text::bytes(bytes)));
    }
    if !one.errors.is_empty() {
        let again = context.typed.quoted(&["copy"]);
        let lacking = match one.missing.len() as u64 {
            0 => "nothing is missing there".to_owned(),
            count => format!("{} missing there", text::count(count, "archive")),
        };
        context.ui.warning(format!("{name}, \"{location}\": {lacking}; the next backup or {again} makes up for it"));
    }
}

fn document(one: &CaughtUp) -> report::Copy {
    let copied = one.copied.iter().map(|copied| report::Copied {
        archive: copied.archive.clone(),
        name: copied.name.clone(),
        bytes: copied.bytes,
    });
    report::Copy {
        name: one.name.clone(),
        store: one.location.clone(),
        copied: copied.collect(),
        missing: one.missing.clone(),
        errors: one.errors.iter().map(|error| printable(&format!("{error:#}")).into_owned()).collect(),
        retention: None,
    }
}

/// Applies the rules of each further store to it, in the scope of the sets and hosts of the main store. A store that
/// fails is reported and does not stop the others.
pub(super) fn rotate(copies: &[CopySettings], documents: &mut [report::Copy], context: &mut Context) -> Outcome {
    let mut outcome = Outcome::Done;
    for copy in copies {
        match rotate_one(copy, context) {
            Ok((retained, one)) => {
                if one != Outcome::Done {
                    outcome = one;
                }
                if let Some(document) = documents.iter_mut().find(|document| document.name == copy.name) {
                    document.retention = Some(retained);
                }
            }
            Err(error) => {
                outcome = Outcome::Problems;
                let failure = explain(&error);
                context.ui.warning(format!("{}: nothing was removed there: {}", copy.name, failure.message));
            }
        }
    }
    outcome
}

fn rotate_one(
    copy: &CopySettings,
    context: &mut Context,
) -> anyhow::Result<(crate::report::retain::Retained, Outcome)> {
    let repository = context.create_store(&copy.location)?;
    let wanted = Wanted {
        retention: rules_of(copy, &context.settings),
        whose: Whose { databases: &[], set: None, hosts: Hosts::Own },
        gone: None,
        plain: PlainFiles::Leave,
        zone: None,
    };
    let request = wanted.request(&repository, &context.surroundings())?;
    let report = retain::execute(&repository, &request, None, LOCK_WAIT, &context.ui.progress())?;
    let shown = Shown {
        store: repository.location(),
        plan: &report.plan,
        fates: Some(&report.fates),
        seen: &report.seen,
        leftovers: *report.leftovers.as_ref().unwrap_or(&0),
        zone: context.settings.time_zone,
        removal: repository.store().removal(),
    };
    show_end(&shown, context);
    let document = reports::retained(&shown);
    Ok((document, super::retain::finish(&report, None, context)?))
}

/// Sets or removes a mark beside an archive wherever it lies besides the main store. Returns whether that failed
/// anywhere.
pub(super) fn mark(
    main: &Repository,
    snapshot: &Snapshot,
    change: &dyn Fn(&LockedStore<'_>, &ArchiveName) -> Result<bool, StoreError>,
    context: &Context,
) -> bool {
    let Some(holders) = holders(main, &context.surroundings()) else { return false };
    let mut failed = false;
    for (copy, name) in holders.places(snapshot) {
        let marked = named(copy.as_str(), &context.settings.copies).map_err(anyhow::Error::from).and_then(|settings| {
            let repository = context.open_store(&settings.location)?;
            let locked = repository.lock(LOCK_WAIT, &context.ui.progress())?;
            match change(&locked, name) {
                // It was removed there since.
                Err(StoreError::NotFound { .. }) => Ok(false),
                changed => Ok(changed?),
            }
        });
        if let Err(error) = marked {
            failed = true;
            context.ui.warning(format!("{copy}: not marked there: {}", explain(&error).message));
        }
    }
    failed
}

/// Returns where the store with this name is.
pub(super) fn location(name: &str, context: &Context) -> Result<Location, Failure> {
    if name == MAIN {
        return Ok(context.settings.store.clone());
    }
    named(name, &context.settings.copies).map(|copy| copy.location.clone())
}
