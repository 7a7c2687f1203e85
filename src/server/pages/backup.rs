//! One backup: facts, databases, tables, and the difference to the backup before.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::backups::{changes, facts};
use super::layout::{Page, View, document};
use super::read::{NOT_KNOWN, items, number, part, raw, shown, text, texts};
use super::words::{Mark, count, sentence, size};
use crate::names::printable;
use crate::text;

/// Renders a backup; `before` is the one before it of the same set, if there is one.
pub fn backup(page: &Page, show: &Value, before: Option<&Value>) -> String {
    let name = raw(show, "archive");
    let metadata = part(show, "metadata");
    let content = html! {
        p.quiet { a href={ (page.base) "/backups" } { "Backups" } }
        h1.long { (shown(show, "archive")) }
        @if let Some(name) = name { (actions(page, show, name)) }
        dl.facts {
            (facts(page, show))
            dt { "Note" } dd.long { (text(metadata, "note").unwrap_or("none".into())) }
            dt { "Written by" } dd {
                @match (raw(show, "origin"), text(metadata, "version")) {
                    (_, Some(version)) => { "heirloom " (version) }
                    (Some("old_tool"), _) => { "an older tool" }
                    (Some("plain"), _) => { "a plain copy of the database" }
                    _ => (shown(show, "origin")),
                }
            }
            dt { "Encryption" } dd { (shown(show, "encryption")) }
            @if let Some(restore) = text(part(show, "replaces"), "restore") {
                dt { "Made before" } dd { (restore) }
            }
        }
        @let oddities = texts(show, "oddities");
        @if !oddities.is_empty() {
            section aria-labelledby="oddities" {
                h2 #oddities { "Warnings" }
                ul { @for oddity in oddities { li { (Mark::Warning.named(&oddity)) } } }
            }
        }
        section aria-labelledby="databases" {
            h2 #databases { "Databases" }
            @match before.and_then(|before| raw(before, "archive")) {
                Some(name) => p.quiet {
                    "Compared with the backup before: "
                    a.long href=(page.backup_url(name, "")) { (printable(name)) } "."
                },
                None => p.quiet { "There is no backup before it to compare with." },
            }
            @for database in items(show, "databases") { (contents(show, database, before)) }
            @if items(show, "databases").is_empty() { p { "The databases are not known." } }
        }
    };
    document(page, View::Backups, &shown(show, "archive"), &content)
}

fn actions(page: &Page, show: &Value, name: &str) -> Markup {
    html! {
        @if page.is_admin || page.may_download {
            div.actions {
                @if page.is_admin { a.button href=(page.backup_url(name, "/restore")) { "Restore…" } }
                @if page.may_download {
                    a.button.plain href=(page.backup_url(name, "/download")) download { "Download" }
                }
                (changes(page, show, name))
            }
        }
    }
}

/// Returns the database of that name in the metadata of an archive.
fn described<'a>(show: &'a Value, name: Option<&str>) -> &'a Value {
    let databases = items(part(show, "metadata"), "databases");
    databases.iter().find(|database| name.is_some() && raw(database, "name") == name).unwrap_or(&Value::Null)
}

fn contents(show: &Value, database: &Value, before: Option<&Value>) -> Markup {
    let name = raw(database, "name");
    let metadata = described(show, name);
    let earlier = before.map_or(&Value::Null, |before| described(before, name));
    let findings = texts(metadata, "findings");
    html! {
        article.panel {
            h3.long { (shown(database, "name")) }
            dl.facts {
                dt { "Path" } dd.long { (shown(database, "path")) }
                dt { "Size" } dd { (size(database, "bytes")) }
                dt { "Rows" } dd {
                    (text::rows(number(database, "rows")))
                    @if let Some(tables) = number(database, "tables") { " in " (text::count(tables, "table")) }
                    @let previous = number(part(database, "previous"), "rows");
                    @if let Some(change) = change(previous, number(database, "rows")) {
                        span.quiet { ", before: " (change) }
                    }
                }
                dt { "Check" } dd { (integrity(metadata)) }
                @if let Some(rows) = number(metadata, "foreign_key_violations").filter(|rows| *rows > 0) {
                    dt { "Foreign keys" } dd { (Mark::Warning.named(&text::count(rows, "violation"))) }
                }
            }
            @if !findings.is_empty() { ul { @for finding in findings { li { (finding) } } } }
            (tables(metadata, earlier))
        }
    }
}

fn integrity(metadata: &Value) -> Markup {
    let word = raw(metadata, "integrity");
    let mark = match word {
        Some("ok") => Mark::Good,
        Some("partial" | "indexes") => Mark::Warning,
        Some("damaged") => Mark::Bad,
        _ => Mark::Unknown,
    };
    let words = match word {
        Some("ok") => "No damage when it was saved".into(),
        Some("partial") => "No damage found, not all of it could be checked".into(),
        Some("indexes") => "Every row is readable, indexes must be rebuilt".into(),
        Some("unchecked") => "Not checked when it was saved".into(),
        _ => sentence(&shown(metadata, "integrity")),
    };
    mark.named(&words)
}

fn tables(metadata: &Value, earlier: &Value) -> Markup {
    let tables = items(metadata, "tables");
    let old = items(earlier, "tables");
    let by_name = |tables: &'_ [Value]| -> BTreeMap<String, Option<u64>> {
        tables.iter().filter_map(|table| Some((raw(table, "name")?.to_owned(), number(table, "rows")))).collect()
    };
    let (now, then) = (by_name(tables), by_name(old));
    let compared = !earlier.is_null();
    let lost = old.iter().filter(|table| !raw(table, "name").is_some_and(|name| now.contains_key(name)));
    html! {
        @if tables.is_empty() && old.is_empty() {
            p.quiet { "The tables are not known, or there are none." }
        } @else {
            table {
                thead { tr {
                    th scope="col" { "Table" } th.number scope="col" { "Rows" }
                    @if compared { th.number scope="col" { "Change" } }
                } }
                tbody {
                    @for table in tables {
                        @let before = raw(table, "name").and_then(|name| then.get(name));
                        tr {
                            th.long scope="row" { (shown(table, "name")) }
                            td.number { (count(table, "rows")) }
                            @if compared {
                                td.number { @match before {
                                    Some(before) => (difference(*before, number(table, "rows"))),
                                    None => "new table",
                                } }
                            }
                        }
                    }
                    @for table in lost {
                        tr {
                            th.long scope="row" { (shown(table, "name")) }
                            td.number { "–" }
                            td.number { (Mark::Warning.named("not in this backup")) }
                        }
                    }
                }
            }
        }
    }
}

/// Formats a change of rows: `1,204 → 1,310 (+106)`; `None` if one side is not known.
pub(super) fn change(before: Option<u64>, after: Option<u64>) -> Option<String> {
    Some(text::change(before?, after?))
}

/// Formats how many rows were added or lost.
fn difference(before: Option<u64>, after: Option<u64>) -> String {
    let (Some(before), Some(after)) = (before, after) else { return NOT_KNOWN.into() };
    let distance = text::thousands(after.abs_diff(before));
    match after.cmp(&before) {
        Ordering::Less => format!("−{distance}"),
        Ordering::Equal => "same".into(),
        Ordering::Greater => format!("+{distance}"),
    }
}

/// Renders a short description of a backup for a page that asks what to do with it.
pub(super) fn summary(page: &Page, show: &Value) -> Markup {
    html! {
        dl.facts {
            dt { "Backup" } dd.long {
                @match raw(show, "archive") {
                    Some(name) => a href=(page.backup_url(name, "")) { (printable(name)) },
                    None => (NOT_KNOWN),
                }
            }
            (facts(page, show))
            @if let Some(note) = text(part(show, "metadata"), "note") { dt { "Note" } dd.long { (note) } }
            dt { "Databases" } dd {
                @for (index, database) in items(show, "databases").iter().enumerate() {
                    @if index > 0 { ", " } (shown(database, "name"))
                }
                @if items(show, "databases").is_empty() { (NOT_KNOWN) }
            }
        }
    }
}
