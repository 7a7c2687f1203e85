//! `heirloom copy`.

use super::copies::{self, Copying};
use super::store_names::{MAIN, named};
use super::{Context, Outcome, text};
use crate::config::CopySettings;
use crate::failure::Failure;
use crate::names::{ArchiveName, Name};
use crate::ops::inventory::inventory;
use crate::ops::jobs::copies::missing_at;
use crate::ops::resolve::Place;
use crate::report::copies as report;

/// Copy archives to the other stores of the configuration, or back
///
/// Without an archive, copies what each store lacks: what its own rules would keep of the archives of this host, newest
/// first. `backup` does the same at its end; this makes up for what failed, or for a store that is new. Each archive is
/// read to its end before it is sent, and opened where it arrived. Nothing is ever replaced.
///
/// A damaged archive is not copied but marked, as by `verify`. If another store has a good one that the rules of the
/// main store still keep, that comes back under a free name; `heirloom cleanup --damaged` removes the damaged one.
///
/// With `--from NAME --to main` an archive comes back to the store, without being restored.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom copy                               what is missing, everywhere
  heirloom copy latest --to offsite
  heirloom copy latest --from offsite --to main

Exit codes: 0 done; 2 usage, or no such store; 3 a copy failed; 12 no such backup; 13 the archive is damaged; 15 not \
enough space; 16 store unreachable, or a required copy failed")]
pub struct CopyArgs {
    /// Names or the beginning of names of archives, or `latest`; by default what is missing
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archives: Vec<String>,
    /// Only what is missing, which is the default
    #[arg(long, conflicts_with = "archives")]
    missing: bool,
    /// Copy to this store of the configuration (repeatable); by default to all
    #[arg(long, value_name = "NAME")]
    to: Vec<String>,
    /// Copy from this store of the configuration instead of the main one
    #[arg(long, value_name = "NAME", default_value = MAIN)]
    from: String,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Print what would be copied, and stop
    #[arg(long)]
    dry_run: bool,
}

impl CopyArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.dry_run
    }
}

pub(super) fn run(args: &CopyArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let targets = targets(args, context)?;
    let from = copies::location(&args.from, context)?;
    // `latest` and names mean the archives of that store.
    let main = std::mem::replace(&mut context.settings.store, from);
    let named = args
        .archives
        .iter()
        .map(|text| {
            let selected = super::latest::find(text, args.set.as_ref(), "copy", context)?;
            match selected.place {
                Place::Store if !selected.snapshot.pending => Ok(selected.snapshot.name),
                _ => Err(Failure::usage(
                    format!("\"{text}\" is not in the store \"{}\"", context.settings.store),
                    "name an archive of the store; see `heirloom list`",
                )
                .into()),
            }
        })
        .collect::<anyhow::Result<Vec<ArchiveName>>>()?;
    let source = context.store()?;
    context.settings.store = main;
    let named = (!named.is_empty()).then_some(named.as_slice());
    let (documents, mut outcome, damaged) = if args.dry_run {
        (planned(&source, &targets, named, context)?, Outcome::Done, Vec::new())
    } else {
        let Copying { documents, outcome, damaged } = copies::copy(&source, &targets, named, context)?;
        (documents, outcome, damaged)
    };
    context.round.is_silent = args.dry_run;
    context.round.copied(&documents);
    let mut repaired = Vec::new();
    if !args.dry_run && named.is_none() && args.from == MAIN {
        let (found, repairing) = copies::repair(&source, &damaged, context)?;
        repaired = found;
        outcome = if outcome == Outcome::Done { repairing } else { outcome };
    }
    let is_idle = documents.iter().all(|copy| copy.copied.is_empty() && copy.errors.is_empty());
    if !args.dry_run && is_idle && repaired.is_empty() {
        context.ui.summary("nothing is missing");
    }
    if context.ui.is_json() {
        let document = report::Copies { store: source.location(), dry_run: args.dry_run, copies: documents, repaired };
        context.ui.document(&document);
    }
    Ok(outcome)
}

/// Returns the stores that get copies. The main store is one if it is named.
fn targets(args: &CopyArgs, context: &Context) -> Result<Vec<CopySettings>, Failure> {
    if args.to.contains(&args.from) {
        return Err(Failure::usage(format!("\"{}\" is both source and target", args.from), "name another store"));
    }
    let mut targets = Vec::new();
    for name in &args.to {
        targets.push(if name == MAIN {
            CopySettings {
                name: Name::new(MAIN).map_err(|error| Failure::usage(error.to_string(), ""))?,
                location: context.settings.store.clone(),
                required: false,
                retention: None,
                limit_upload: context.settings.limit_upload,
            }
        } else {
            named(name, &context.settings.copies)?.clone()
        });
    }
    if args.to.is_empty() {
        targets.extend(context.settings.copies.iter().filter(|copy| copy.name.as_str() != args.from).cloned());
    }
    if targets.is_empty() {
        return Err(Failure::usage(
            "no store for copies is configured",
            "add a table [copies.NAME] to the configuration, or name the store with `--to main`",
        ));
    }
    Ok(targets)
}

/// Says what would be copied.
fn planned(
    source: &crate::ops::Repository,
    targets: &[CopySettings],
    named: Option<&[ArchiveName]>,
    context: &mut Context,
) -> anyhow::Result<Vec<report::Copy>> {
    let here = inventory(source, &context.reading(), &context.ui.progress())?;
    let mut documents = Vec::new();
    for copy in targets {
        let names = match named {
            Some(names) => names.to_vec(),
            None => {
                let there = context.open_store(&copy.location)?;
                let there = inventory(&there, &context.reading(), &context.ui.progress())?;
                missing_at(copy, &here, &there, &context.surroundings())
            }
        };
        let bytes = |name: &ArchiveName| {
            here.snapshots.iter().find(|snapshot| snapshot.name == *name).map_or(0, |snapshot| snapshot.bytes)
        };
        for name in &names {
            context.ui.result(format!("would copy {name} ({}) to {}", text::bytes(bytes(name)), copy.name));
        }
        let copied =
            names.iter().map(|name| report::Copied { archive: name.clone(), name: name.clone(), bytes: bytes(name) });
        documents.push(report::Copy {
            name: copy.name.clone(),
            store: copy.location.to_string(),
            copied: copied.collect(),
            missing: Vec::new(),
            errors: Vec::new(),
            retention: None,
        });
    }
    Ok(documents)
}
