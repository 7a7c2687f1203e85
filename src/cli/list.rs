//! `heirloom list`.

use std::collections::{BTreeSet, HashMap};

use super::store_names::MAIN;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::failure::is_interruption;
use crate::groups::{are_ambiguous, groups};
use crate::names::{ArchiveId, ArchiveName, Name, printable};
use crate::ops::explain::explain;
use crate::ops::inventory::{Foreign, Inventory, Unusable, inventory};
use crate::ops::jobs::copies::holders;
use crate::ops::jobs::each::means;
use crate::ops::jobs::meant;
use crate::ops::pending;
use crate::ops::retain::mark_held;
use crate::report::archives::{Foreign as ForeignFile, List, Listed, Lists};
use crate::snapshot::{Origin, Seal, Snapshot};

/// List the archives of the store, newest first
///
/// Every line is read from the archive itself, not from an index that could be stale. If the store has archives of
/// several hosts or paths under one set, they are listed under a heading each: set, host label and path.
///
/// With copies configured, COPIES names the stores that held the archive when this host last listed them.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom list
  heirloom list --set shop --limit 5
  heirloom list --json | jq -r '.archives[0].archive'
  heirloom list --store all    the store and its copies, as they answer

States: ok; damaged (only restored with --allow-damaged); pinned (retention never removes it); in use (a running \
command needs it); accepted (it holds far less than the ones before it, which was accepted); pending (a safety \
backup that is not in the store yet: the next run sends it); copy (the same archive as another one, under another \
name); old tool, plain (made by another tool; plain ones are never counted or removed); newer (a newer heirloom \
wrote it); foreign (not an archive that this release knows: shown, never touched); unread (the system failed to read \
it); encrypted (a key of this host opens it); no key (it is encrypted, and no key here opens it); not counted (this \
host did not make it, so that its label proves nothing); plain (not encrypted, although archives of the store are)

Exit codes: 0 done; 12 no archive of the set; 16 store unreachable")]
pub struct ListArgs {
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Show at most N archives
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// What is listed of one store.
struct Shown {
    found: Inventory,
    /// For each archive the one that it is a copy of.
    originals: Vec<Option<ArchiveName>>,
    /// For each archive the further stores that hold it; `None` if there are none.
    elsewhere: Option<Vec<Vec<Name>>>,
}

pub(super) fn run(args: &ListArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    if !context.all_stores {
        let document = list(args, context)?;
        if context.ui.is_json() {
            context.ui.document(&document);
        }
        return Ok(Outcome::Done);
    }
    let (main, copies) = (context.settings.store.clone(), std::mem::take(&mut context.settings.copies));
    let stores = [(MAIN.to_owned(), main)].into_iter();
    let stores = stores.chain(copies.into_iter().map(|copy| (copy.name.to_string(), copy.location)));
    let (mut documents, mut outcome) = (Vec::new(), Outcome::Done);
    for (index, (name, location)) in stores.enumerate() {
        let heading = context.ui.paint(Tone::Strong, &name);
        if !context.ui.is_json() {
            context.ui.result(if index > 0 { format!("\n{heading}") } else { heading });
        }
        context.settings.store = location;
        match list(args, context) {
            Ok(document) => documents.push(document),
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                outcome = Outcome::Problems;
                context.ui.warning(format!("{name}: {}", explain(&error).message));
            }
        }
    }
    if context.ui.is_json() {
        context.ui.document(&Lists { stores: documents });
    }
    Ok(outcome)
}

/// Lists the store of the settings.
fn list(args: &ListArgs, context: &mut Context) -> anyhow::Result<List> {
    let store = context.store()?;
    let mut found = inventory(&store, &context.reading(), &context.ui.progress())?;
    if let Err(error) = pending::add(&store, &context.reading(), &mut found.snapshots) {
        context.ui.warning(format!("{error:#}"));
    }
    if let Err(error) = mark_held(&mut found.snapshots, store.workspace()) {
        context.ui.warning(format!("{error:#}"));
    }
    meant::refuse_unknown_set(args.set.as_ref(), &found, &context.surroundings())?;
    if let Some(set) = &args.set {
        found.snapshots.retain(|snapshot| means(set, snapshot, &context.settings));
        found.foreign.clear();
    }
    let (all, bytes) = (found.snapshots.len(), found.snapshots.iter().map(|snapshot| snapshot.bytes).sum());
    let originals = originals(&found.snapshots);
    found.snapshots.truncate(args.limit.unwrap_or(usize::MAX));
    let holders = holders(&store, &context.surroundings());
    let elsewhere = holders.map(|holders| found.snapshots.iter().map(|snapshot| holders.of(snapshot)).collect());
    let shown = Shown { found, originals, elsewhere };
    if !context.ui.is_json() {
        tables(context, &shown);
        for (archive, why) in &shown.found.doubts {
            context.ui.warning(format!("{archive}: {why}"));
        }
        context.ui.note(summary(&store.location(), shown.found.snapshots.len(), all, bytes));
    }
    Ok(document(store.location(), &shown))
}

/// Prints one table, or a heading and a table for each group if set names are ambiguous.
fn tables(context: &mut Context, shown: &Shown) {
    let found = &shown.found;
    // Archives of other tools have no host.
    let (plain, ours): (Vec<usize>, Vec<usize>) =
        (0..found.snapshots.len()).partition(|index| found.snapshots[*index].is_plain());
    let groups = groups(ours.iter().map(|index| found.snapshots[*index].streams()));
    if !are_ambiguous(&groups) {
        let all: Vec<usize> = (0..found.snapshots.len()).collect();
        table(context, shown, &all, &found.foreign);
        return;
    }
    for (index, group) in groups.iter().enumerate() {
        let heading = context.ui.paint(Tone::Strong, &group.to_string());
        context.ui.result(if index > 0 { format!("\n{heading}") } else { heading });
        let members: Vec<usize> = group.members.iter().map(|member| ours[*member]).collect();
        table(context, shown, &members, &[]);
    }
    if !(plain.is_empty() && found.foreign.is_empty()) {
        context.ui.result(format!("\n{}", context.ui.paint(Tone::Strong, "other files")));
        table(context, shown, &plain, &found.foreign);
    }
}

fn table(context: &mut Context, shown: &Shown, members: &[usize], foreign: &[Foreign]) {
    let Shown { found, originals, elsewhere } = shown;
    if members.is_empty() && foreign.is_empty() {
        return;
    }
    let ui = &context.ui;
    let sets: BTreeSet<&Name> = members.iter().map(|index| &found.snapshots[*index].set).collect();
    // With one set the column only repeats the names.
    let set = Column::new("SET").drop(if sets.len() > 1 { 5 } else { 3 });
    let mut columns = vec![
        Column::new("ARCHIVE").shorten(),
        Column::new("AGE").right(),
        Column::new("MADE").drop(6),
        set,
        Column::new("DATABASES").drop(4),
        Column::new("SIZE").right(),
        Column::new("SAVED").right().drop(1),
        Column::new("KIND").drop(2),
    ];
    columns.extend(elsewhere.as_ref().map(|_| Column::new("COPIES").drop(5)));
    columns.push(Column::new("STATE").wrap());
    let mut table = Table::new(&columns);
    for &index in members {
        let snapshot = &found.snapshots[index];
        let names: Vec<&str> = snapshot.databases.iter().map(|database| database.name.as_str()).collect();
        let tone = if snapshot.damaged { Tone::Bad } else { Tone::Good };
        let mut state = states(snapshot).join(",");
        if let Some(original) = &originals[index] {
            state = format!("{state}, copy of {original}");
        }
        let mut row = vec![
            snapshot.name.to_string(),
            text::short_age(snapshot.created_at, context.now),
            snapshot.created_at.with_timezone(&context.settings.time_zone).format("%Y-%m-%d %H:%M").to_string(),
            snapshot.set.to_string(),
            names.join(","),
            text::bytes(snapshot.bytes),
            saved(snapshot).map_or_else(|| "-".into(), |share| format!("{:.0}%", share * 100.0)),
            snapshot.kind.to_string(),
        ];
        row.extend(elsewhere.as_ref().map(|elsewhere| match elsewhere[index].as_slice() {
            [] => "-".into(),
            names => names.iter().map(Name::as_str).collect::<Vec<_>>().join(","),
        }));
        row.push(ui.paint(tone, &state));
        table.row(row);
    }
    for foreign in foreign {
        let name = printable(&foreign.name).into_owned();
        let state = match foreign.state {
            Unusable::Unread => ui.paint(Tone::Bad, "unread"),
            Unusable::Damaged => ui.paint(Tone::Bad, "damaged"),
            Unusable::Newer(_) => ui.paint(Tone::Warning, "newer"),
            Unusable::KeyMissing => ui.paint(Tone::Warning, "no key"),
            Unusable::Foreign => ui.paint(Tone::Warning, "foreign"),
        };
        let none = || "-".to_owned();
        let mut row = vec![name, none(), none(), none(), none(), text::bytes(foreign.bytes), none(), none()];
        row.extend(elsewhere.as_ref().map(|_| none()));
        row.push(state);
        table.row(row);
    }
    context.ui.table(&table);
}

/// Returns for each archive the one that it is a copy of. Of archives with one id the
/// original has the shortest name, since a synchroniser adds to the name: `app_… (1).tar.gz`.
fn originals(snapshots: &[Snapshot]) -> Vec<Option<ArchiveName>> {
    let mut originals: HashMap<ArchiveId, &ArchiveName> = HashMap::new();
    for snapshot in snapshots {
        if let Some(id) = snapshot.id {
            let original = originals.entry(id).or_insert(&snapshot.name);
            let rank = |name: &ArchiveName| (name.as_str().len(), name.clone());
            if rank(&snapshot.name) < rank(original) {
                *original = &snapshot.name;
            }
        }
    }
    snapshots
        .iter()
        .map(|snapshot| {
            originals.get(&snapshot.id?).filter(|name| ***name != snapshot.name).map(|name| (*name).clone())
        })
        .collect()
}

/// Returns the share of the databases' size that compression saved.
fn saved(snapshot: &Snapshot) -> Option<f64> {
    let unpacked = snapshot.unpacked_bytes().filter(|bytes| *bytes > 0)?;
    Some(1.0 - snapshot.bytes as f64 / unpacked as f64)
}

/// Returns the words for an archive's state.
pub(super) fn states(snapshot: &Snapshot) -> Vec<&'static str> {
    let origin = match snapshot.origin {
        Origin::Format1 => None,
        Origin::Legacy => Some("old tool"),
        Origin::Plain => Some("plain"),
    };
    let state = if snapshot.damaged { "damaged" } else { "ok" };
    let seal = match snapshot.seal {
        Seal::None => None,
        Seal::Missing => Some("plain"),
        Seal::Opened => Some("encrypted"),
        Seal::Known => Some("no key"),
        Seal::Closed => Some("no key, not counted"),
    };
    let marks = [
        snapshot.pinned.then_some("pinned"),
        snapshot.held.then_some("in use"),
        snapshot.accepted.then_some("accepted"),
        snapshot.pending.then_some("pending"),
    ];
    [Some(state)].into_iter().chain(marks).chain([origin, seal]).flatten().collect()
}

/// Summarizes the whole store, whichever part of it is shown.
fn summary(location: &str, shown: usize, all: usize, bytes: u64) -> String {
    let part = if shown < all { format!("{} of ", text::thousands(shown as u64)) } else { String::new() };
    let (location, bytes) = (printable(location), text::bytes(bytes));
    format!(
        "{part}{} in the store \"{location}\", {bytes}{}",
        text::count(all as u64, "archive"),
        if shown < all { " in all" } else { "" }
    )
}

fn document(location: String, shown: &Shown) -> List {
    let Shown { found, originals, elsewhere } = shown;
    let archives = found.snapshots.iter().zip(originals).enumerate();
    let foreign = found.foreign.iter().map(|foreign| ForeignFile {
        file: foreign.name.clone(),
        bytes: foreign.bytes,
        why: foreign.why.clone(),
        damaged: foreign.is_damaged(),
        unread: foreign.is_unread(),
        newer_format: foreign.newer().is_some(),
        key_missing: foreign.lacks_key(),
    });
    List {
        store: location,
        archives: archives
            .map(|(index, (snapshot, original))| Listed {
                archive: snapshot.into(),
                copy_of: original.clone(),
                copies: elsewhere.as_ref().map(|elsewhere| elsewhere[index].clone()),
            })
            .collect(),
        foreign: foreign.collect(),
    }
}
