//! `heirloom show`.

use chrono::SecondsFormat;

use super::list::states;
use super::table::{Column, Table};
use super::{Context, Outcome, text};
use crate::metadata::{DatabaseMetadata, Extent, ReplacedTarget};
use crate::names::{Name, printable};
use crate::ops::jobs::copies::holders;
use crate::ops::resolve::{Place, Selected};
use crate::report::archives::Details;

/// Show the metadata of an archive
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom show latest
  heirloom show shop_20260301T030000Z.tar.gz --json

Exit codes: 0 done; 12 no such backup; 13 the archive is damaged; 16 store unreachable")]
pub struct ShowArgs {
    /// A path, a name, the beginning of a name, or `latest`
    #[arg(value_name = "ARCHIVE", default_value = "latest", add = super::complete::archives())]
    archive: String,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
}

/// The label of a digest, the only value without blanks that may exceed a narrow terminal.
const SHA256: &str = "sha256";

pub(super) fn run(args: &ShowArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let selected = super::latest::find(&args.archive, args.set.as_ref(), "show", context)?;
    if context.ui.is_json() {
        let contents = selected.archive.contents();
        let holders = match selected.place {
            Place::Store => holders(&context.store()?, &context.surroundings()),
            Place::Path(_) => None,
        };
        context.ui.document(&Details {
            archive: (&selected.snapshot).into(),
            copies: holders.map(|holders| holders.of(&selected.snapshot)),
            replaces: selected.snapshot.replaces.clone(),
            metadata: contents.metadata.clone(),
            oddities: contents.oddities.clone(),
        });
    } else {
        print_all(context, &selected);
    }
    Ok(Outcome::Done)
}

fn print_all(context: &mut Context, selected: &Selected) {
    let snapshot = &selected.snapshot;
    let contents = selected.archive.contents();
    let mut rows = vec![
        ("archive", printable(&selected.shown).into_owned()),
        (
            "made",
            format!(
                "{} ({})",
                snapshot.created_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                text::age(snapshot.created_at, context.now)
            ),
        ),
        ("set", snapshot.set.to_string()),
        ("host label", snapshot.host.to_string()),
        ("kind", snapshot.kind.to_string()),
        ("state", states(snapshot).join(", ")),
        ("size", size(snapshot.bytes, snapshot.unpacked_bytes())),
    ];
    rows.extend(snapshot.id.map(|id| ("id", id.to_string())));
    if let Some(metadata) = &contents.metadata {
        rows.push(("host", printable(&metadata.host).into_owned()));
        rows.push(("written by", format!("heirloom {}", printable(&metadata.version))));
        if metadata.databases.len() > 1 {
            rows.push(("consistent", if metadata.consistent_set { "yes" } else { "no" }.into()));
        }
        if let Some(note) = &metadata.note {
            rows.push(("note", printable(note).into_owned()));
        }
        let left_out: Vec<&str> =
            metadata.includes.iter().filter(|(_, included)| !**included).map(|(name, _)| name.as_str()).collect();
        if !left_out.is_empty() {
            rows.push(("not in it", left_out.join(", ")));
        }
    }
    if let Some(replaces) = &snapshot.replaces {
        let targets: Vec<_> = replaces.targets.iter().map(replaced).collect();
        rows.push((
            "made before",
            format!("restore {} of {}", printable(&replaces.restore), printable(&replaces.archive)),
        ));
        rows.push(("replaces", targets.join(", ")));
    }
    rows.extend(contents.oddities.iter().map(|oddity| ("odd", printable(oddity).into_owned())));
    print(context, &rows);

    for (index, held) in contents.databases.iter().enumerate() {
        context.ui.result("");
        let facts = contents.metadata.as_ref().and_then(|metadata| metadata.databases.get(index));
        let mut rows = vec![("database", held.name.to_string()), ("file", printable(&held.file).into_owned())];
        rows.extend(held.source.as_ref().map(|source| ("from", printable(source).into_owned())));
        let resolved = facts
            .and_then(|facts| facts.source_resolved.as_ref())
            .filter(|resolved| held.source.as_ref() != Some(resolved));
        rows.extend(resolved.map(|resolved| ("resolved path", printable(resolved).into_owned())));
        rows.extend(facts.and_then(|facts| facts.previous).map(|previous| ("previous", extent(&previous))));
        rows.extend(held.bytes.map(|bytes| ("size", text::bytes(bytes))));
        rows.extend(held.sha256.map(|sha256| (SHA256, sha256.to_string())));
        rows.extend(facts.into_iter().flat_map(fact_rows));
        print(context, &rows);
        if let Some(tables) = held.tables.as_ref().filter(|tables| !tables.is_empty()) {
            context.ui.result("");
            let mut table = Table::new(&[Column::new("TABLE").shorten(), Column::new("ROWS").right()]);
            for entry in tables {
                let rows = entry.rows.map_or_else(|| "not countable".into(), text::thousands);
                table.row([printable(&entry.name).into_owned(), rows]);
            }
            context.ui.table(&table);
        }
    }
}

/// Returns one target of the restore that a safety archive was made before.
fn replaced(target: &ReplacedTarget) -> String {
    let missing = if target.missing { " (was missing)" } else { "" };
    format!("{} at {}{missing}", target.name, printable(&target.path))
}

/// Returns what a shrink is measured against.
fn extent(previous: &Extent) -> String {
    let rows = previous.rows.map(|rows| format!("{} rows, ", text::thousands(rows))).unwrap_or_default();
    format!("{rows}{}", text::bytes(previous.bytes))
}

fn size(packed: u64, unpacked: Option<u64>) -> String {
    match unpacked {
        Some(unpacked) => format!("{} ({} unpacked)", text::bytes(packed), text::bytes(unpacked)),
        None => text::bytes(packed),
    }
}

fn fact_rows(facts: &DatabaseMetadata) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("integrity", facts.integrity.to_string()),
        ("pages", format!("{} of {} bytes, {} free", facts.page_count, facts.page_size, facts.freelist_count)),
        ("encoding", printable(&facts.encoding).into_owned()),
        ("journal mode", printable(&facts.journal_mode).into_owned()),
        ("auto vacuum", printable(&facts.auto_vacuum).into_owned()),
        ("application id", facts.application_id.to_string()),
        ("user version", facts.user_version.to_string()),
        ("vacuumed", if facts.vacuumed { "yes" } else { "no" }.into()),
        (
            "schema",
            format!(
                "{}, {}, {}, {}",
                text::count(facts.table_count, "table"),
                if facts.index_count == 1 { "1 index".into() } else { format!("{} indexes", facts.index_count) },
                text::count(facts.trigger_count, "trigger"),
                text::count(facts.view_count, "view")
            ),
        ),
        (
            "foreign keys",
            match facts.foreign_key_violations {
                Some(0) => "no violations".into(),
                Some(number) => text::count(number, "violation"),
                None => "not checked".into(),
            },
        ),
    ];
    rows.extend(facts.findings.iter().map(|finding| ("finding", printable(finding).into_owned())));
    rows
}

fn print(context: &mut Context, rows: &[(&str, String)]) {
    for (label, value) in rows {
        context.ui.fact(label, value, *label == SHA256);
    }
}
