//! The list of all backups.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Page, View, document};
use super::read::{archives, flag, instant, is_listed, items, number, raw, shown, text, texts};
use super::words::{Mark, size, when_of};
use crate::names::printable;
use crate::text;

/// Renders the list of backups; `set` and `kind` leave out the others.
pub fn backups(page: &Page, list: &Value, set: Option<&str>, kind: Option<&str>) -> String {
    // An empty value is the first choice of the filter: all.
    let (set, kind) = (set.filter(|set| !set.is_empty()), kind.filter(|kind| !kind.is_empty()));
    let all = archives(list);
    let is_wanted = |archive: &&&Value| {
        set.is_none_or(|set| raw(archive, "set") == Some(set))
            && kind.is_none_or(|kind| raw(archive, "kind") == Some(kind))
    };
    let chosen: Vec<&Value> = all.iter().filter(is_wanted).copied().collect();
    let content = html! {
        h1 { "Backups" }
        (create(page, &values(&all, "set"), set))
        (more(page, &all))
        (filter(page, &all, set, kind))
        @if !is_listed(list) {
            p.alert { "The list of backups is not known." }
        } @else if all.is_empty() {
            p { "No backups yet." }
        } @else if chosen.is_empty() {
            p { "No backup matches this filter. " a href={ (page.base) "/backups" } { "Show all backups" } }
        } @else {
            (table(page, &chosen))
        }
        (foreign(list))
    };
    document(page, View::Backups, "Backups", &content)
}

/// Returns the distinct values of a field.
fn values<'a>(all: &[&'a Value], key: &str) -> BTreeSet<&'a str> {
    all.iter().filter_map(|archive| raw(archive, key)).collect()
}

fn create(page: &Page, sets: &BTreeSet<&str>, set: Option<&str>) -> Markup {
    let fields = html! {
        div.field {
            label for="create-set" { "Set" }
            @if sets.is_empty() {
                input #create-set name="set" required autocomplete="off";
            } @else {
                select #create-set name="set" {
                    @for name in sets { option value=(name) selected[set == Some(*name)] { (printable(name)) } }
                }
            }
        }
        div.field.wide {
            label for="create-note" { "Note (optional)" }
            input #create-note name="note" maxlength="200" autocomplete="off";
        }
        button type="submit" { "Back up now" }
    };
    page.form(&format!("{}/backups", page.base), "panel row", &fields)
}

fn more(page: &Page, all: &[&Value]) -> Markup {
    let may_undo = all.iter().any(|archive| raw(archive, "kind") == Some("safety"));
    html! {
        @if page.is_admin && !all.is_empty() {
            p {
                a href={ (page.base) "/rotate" } { "Remove old backups (rotate)" }
                @if may_undo { " · " a href={ (page.base) "/undo" } { "Undo the last restore" } }
            }
        }
    }
}

fn filter(page: &Page, all: &[&Value], set: Option<&str>, kind: Option<&str>) -> Markup {
    let choice = |id: &str, key: &str, title: &str, every: &str, chosen: Option<&str>| {
        html! {
            div.field {
                label for=(id) { (title) }
                select id=(id) name=(key) {
                    option value="" { (every) }
                    @for value in values(all, key).into_iter().chain(chosen).collect::<BTreeSet<_>>() {
                        option value=(value) selected[chosen == Some(value)] { (printable(value)) }
                    }
                }
            }
        }
    };
    html! {
        @if !all.is_empty() {
            form.row method="get" action={ (page.base) "/backups" } role="search" aria-label="Backups" {
                (choice("show-set", "set", "Show set", "All sets", set))
                (choice("show-kind", "kind", "Kind", "All kinds", kind))
                button.plain type="submit" { "Show" }
                div.field.wide hidden data-script {
                    label for="filter" { "Filter this table" }
                    input #filter type="search" data-filters="backups";
                }
            }
        }
    }
}

fn table(page: &Page, chosen: &[&Value]) -> Markup {
    html! {
        p.quiet { (text::count(u64::try_from(chosen.len()).unwrap_or(u64::MAX), "backup")) ", newest first." }
        table.stack #backups {
            caption.unseen { "Backups, newest first" }
            thead { tr {
                th scope="col" { "Made" } th scope="col" { "Backup" } th scope="col" { "Set" }
                th scope="col" { "Kind" } th.number scope="col" { "Databases" }
                th.number scope="col" { "Compressed" } th scope="col" { "State" } th scope="col" { "Stores" }
                th scope="col" { "Actions" }
            } }
            tbody { @for archive in chosen { (row(page, archive)) } }
        }
    }
}

fn row(page: &Page, archive: &Value) -> Markup {
    let name = raw(archive, "archive");
    html! {
        tr {
            td data-label="Made" { (when_of(archive, "created_at", page.now)) }
            th.long scope="row" data-label="Backup" {
                @match name {
                    Some(name) => a href=(page.backup_url(name, "")) { (printable(name)) },
                    None => (shown(archive, "archive")),
                }
            }
            td data-label="Set" { (shown(archive, "set")) }
            td data-label="Kind" { (shown(archive, "kind")) }
            td.number data-label="Databases" { (size(archive, "unpacked_bytes")) }
            td.number data-label="Compressed" { (size(archive, "bytes")) }
            td data-label="State" { (state(archive)) }
            td data-label="Stores" { (stores(archive)) }
            td data-label="Actions" { @if let Some(name) = name { (actions(page, archive, name)) } }
        }
    }
}

/// Renders what is known about the state of an archive. Not damaged is not the same as verified.
pub(super) fn state(archive: &Value) -> Markup {
    let (mark, word) = match (archive.get("damaged").and_then(Value::as_bool), raw(archive, "encryption")) {
        (Some(true), _) => (Mark::Bad, "Damaged"),
        (_, Some("locked" | "unproved")) => (Mark::Warning, "No key here opens it"),
        (Some(false), _) => (Mark::Good, "No known damage"),
        (None, _) => (Mark::Unknown, "Not known"),
    };
    let tags = [
        ("pinned", "Pinned"),
        ("accepted", "Accepted loss of rows"),
        ("held", "In use"),
        ("pending", "Not yet in the store"),
    ];
    html! {
        (mark.named(word))
        @for (_, word) in tags.iter().filter(|(key, _)| flag(archive, key)) { " " span.tag { (word) } }
        @if raw(archive, "encryption") == Some("missing") { " " span.tag { "Not encrypted" } }
        @if let Some(original) = text(archive, "copy_of") { " " span.tag { "Copy of " (original) } }
    }
}

fn stores(archive: &Value) -> String {
    let main = if flag(archive, "pending") { "this host only" } else { "main" };
    std::iter::once(main.into()).chain(texts(archive, "copies")).collect::<Vec<_>>().join(", ")
}

fn actions(page: &Page, archive: &Value, name: &str) -> Markup {
    html! {
        div.actions {
            @if page.is_admin { a href=(page.backup_url(name, "/restore")) { "Restore" } }
            @if page.may_download { a href=(page.backup_url(name, "/download")) download { "Download" } }
            @if page.is_admin {
                details {
                    summary { "More" span.unseen { " for " (printable(name)) } }
                    (changes(page, archive, name))
                }
            }
        }
    }
}

/// Renders the forms that verify, pin and delete an archive.
pub(super) fn changes(page: &Page, archive: &Value, name: &str) -> Markup {
    let button = |view: &str, word: &str| {
        let fields = html! { button.plain type="submit" { (word) } };
        page.form(&page.backup_url(name, view), "inline", &fields)
    };
    html! {
        (button("/verify", "Verify"))
        @if flag(archive, "pinned") { (button("/unpin", "Unpin")) } @else { (button("/pin", "Pin")) }
        @if page.is_admin { a.danger href=(page.backup_url(name, "/delete")) { "Delete…" } }
    }
}

/// Renders the files that are not archives.
fn foreign(list: &Value) -> Markup {
    let files: Vec<&Value> = items(list, "foreign")
        .iter()
        .chain(items(list, "stores").iter().flat_map(|store| items(store, "foreign")))
        .collect();
    html! {
        @if !files.is_empty() {
            section aria-labelledby="foreign" {
                h2 #foreign { "Files that are not backups" }
                ul { @for file in files {
                    li { code { (shown(file, "file")) } ", " (size(file, "bytes")) ": " (shown(file, "why")) }
                } }
            }
        }
    }
}

/// Renders the facts about an archive that the list has, too.
pub(super) fn facts(page: &Page, archive: &Value) -> Markup {
    let packed = number(archive, "bytes").zip(number(archive, "unpacked_bytes").filter(|bytes| *bytes > 0));
    html! {
        dt { "State" } dd { (state(archive)) }
        dt { "Made" } dd { (when_of(archive, "created_at", page.now)) }
        dt { "Set" } dd {
            @match raw(archive, "set") {
                Some(set) => a href=(page.set_url(set)) { (printable(set)) },
                None => (shown(archive, "set")),
            }
        }
        dt { "Kind" } dd { (shown(archive, "kind")) }
        dt { "Host" } dd { (shown(archive, "host")) }
        dt { "Size" } dd {
            (size(archive, "bytes"))
            @if let Some((bytes, unpacked)) = packed {
                ", " (bytes.saturating_mul(100) / unpacked) "% of " (text::bytes(unpacked))
            }
        }
        @if instant(archive, "created_at").is_some_and(|at| at > page.now) {
            dt { "Clock" } dd { (Mark::Warning.named("Dated in the future")) }
        }
    }
}
