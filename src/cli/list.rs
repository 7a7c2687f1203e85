//! `heirloom list`.

use serde_json::{Value, json};

use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::metadata::rfc3339;
use crate::names::{Name, printable};
use crate::ops::inventory::{Foreign, Inventory, inventory};
use crate::ops::pending;
use crate::snapshot::{Origin, Snapshot};
use crate::store::Store as _;

/// List the archives of the store, newest first
///
/// Every line comes from the archive itself; there is no index that could be wrong.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom list
  heirloom list --set shop --limit 5
  heirloom list --json | jq -r '.archives[0].archive'

States: ok; pinned (retention never removes it); pending (a safety backup
that is not in the store yet: the next run sends it); damaged (not restored unless you insist); foreign (no archive of
this tool or of one that it knows: shown, never touched); unread (the system failed to read it)

Exit codes: 0 done; 16 store unreachable")]
pub struct ListArgs {
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) fn run(args: &ListArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let mut found = inventory(&store, &context.reading(), &context.ui.progress())?;
    if let Err(error) = pending::add(&store, &context.reading(), &mut found.snapshots) {
        context.ui.warning(format!("{error:#}"));
    }
    if let Some(set) = &args.set {
        found.snapshots.retain(|snapshot| snapshot.set == *set);
        found.foreign.clear();
    }
    let all = found.snapshots.len();
    found.snapshots.truncate(args.limit.unwrap_or(usize::MAX));
    if context.ui.is_json() {
        context.ui.document(&document(&store.location(), &found));
    } else {
        table(context, &found);
        context.ui.note(summary(&store.location(), &found, all));
    }
    Ok(Outcome::Done)
}

fn table(context: &mut Context, found: &Inventory) {
    if found.snapshots.is_empty() && found.foreign.is_empty() {
        return;
    }
    let ui = &context.ui;
    let mut table = ui.table(&["ARCHIVE", "AGE", "SET", "DATABASES", "SIZE", "SAVED", "KIND", "STATE"]);
    for snapshot in &found.snapshots {
        let names: Vec<&str> = snapshot.databases.iter().map(|database| database.name.as_str()).collect();
        let tone = if snapshot.damaged { Tone::Bad } else { Tone::Good };
        table.add_row([
            snapshot.name.to_string(),
            text::age(snapshot.created_at, context.now),
            snapshot.set.to_string(),
            names.join(","),
            text::bytes(snapshot.bytes),
            saved(snapshot).map_or_else(|| "-".into(), |share| format!("{:.0}%", share * 100.0)),
            snapshot.kind.to_string(),
            ui.paint(tone, &states(snapshot).join(",")),
        ]);
    }
    for foreign in &found.foreign {
        let name = printable(&foreign.name).into_owned();
        let state = match foreign {
            Foreign { unread: true, .. } => ui.paint(Tone::Bad, "unread"),
            Foreign { damaged: true, .. } => ui.paint(Tone::Bad, "damaged"),
            _ => ui.paint(Tone::Warning, "foreign"),
        };
        let size = text::bytes(foreign.bytes);
        table.add_row([name.as_str(), "-", "-", "-", &size, "-", "-", &state]);
    }
    context.ui.result(table.trim_fmt());
}

/// Returns the share of the databases' size that compression saved.
fn saved(snapshot: &Snapshot) -> Option<f64> {
    let unpacked = snapshot.unpacked_bytes().filter(|bytes| *bytes > 0)?;
    Some(1.0 - snapshot.bytes as f64 / unpacked as f64)
}

/// Returns the words for an archive's state.
pub(super) fn states(snapshot: &Snapshot) -> Vec<&'static str> {
    let state = if snapshot.damaged { "damaged" } else { "ok" };
    let pinned = snapshot.pinned.then_some("pinned");
    let pending = snapshot.pending.then_some("pending");
    let origin = match snapshot.origin {
        Origin::Format1 => None,
        Origin::Legacy => Some("old tool"),
        Origin::Plain => Some("plain"),
    };
    [Some(state), pinned, pending, origin].into_iter().flatten().collect()
}

fn summary(location: &str, found: &Inventory, all: usize) -> String {
    let bytes = found.snapshots.iter().map(|snapshot| snapshot.bytes).sum();
    let shown = if found.snapshots.len() < all { format!("{} of ", found.snapshots.len()) } else { String::new() };
    format!("{shown}{} in the store \"{}\", {}", text::count(all as u64, "archive"), printable(location), text::bytes(bytes))
}

fn document(location: &str, found: &Inventory) -> Value {
    let archives: Vec<Value> = found.snapshots.iter().map(snapshot_json).collect();
    let foreign: Vec<Value> = found
        .foreign
        .iter()
        .map(|foreign| json!({"file": foreign.name, "bytes": foreign.bytes, "why": foreign.why, "damaged": foreign.damaged, "unread": foreign.unread}))
        .collect();
    json!({"store": location, "archives": archives, "foreign": foreign})
}

/// Returns one archive as `list --json` shows it.
pub(super) fn snapshot_json(snapshot: &Snapshot) -> Value {
    let databases: Vec<Value> = snapshot
        .databases
        .iter()
        .map(|database| json!({"name": database.name, "bytes": database.bytes, "tables": database.tables, "rows": database.rows}))
        .collect();
    json!({
        "archive": snapshot.name.as_str(),
        "created_at": rfc3339(snapshot.created_at),
        "set": snapshot.set,
        "kind": snapshot.kind,
        "bytes": snapshot.bytes,
        "unpacked_bytes": snapshot.unpacked_bytes(),
        "origin": match snapshot.origin { Origin::Format1 => "heirloom", Origin::Legacy => "old_tool", Origin::Plain => "plain" },
        "damaged": snapshot.damaged,
        "pinned": snapshot.pinned,
        "pending": snapshot.pending,
        "databases": databases,
    })
}
