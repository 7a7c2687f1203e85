//! The list of all backups.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Page, View, document, encoded};
use super::read::{archives, flag, instant, is_listed, items, number, raw, shown, text, texts};
use super::words::{Mark, size, when_of};
use crate::names::printable;
use crate::shelf::Shelf;
use crate::text;

/// Renders a part of the list of backups: `list` has only the backups of it.
pub fn backups(page: &Page, list: &Value, shelf: &Shelf) -> String {
    let shown = archives(list);
    let content = html! {
        h1 { "Backups" }
        (create(page, shelf))
        (more(page, shelf))
        (filter(page, shelf))
        @if shelf.is_lost { p.notice { "The backup after which this page starts is gone: these are the newest ones." } }
        @if !is_listed(list) {
            p.alert { "The list of backups is not known." }
        } @else if shelf.kinds.is_empty() && shown.is_empty() {
            p { "No backups yet." }
        } @else if shown.is_empty() {
            p { "No backup matches this filter. " a href={ (page.base) "/backups" } { "Show all backups" } }
        } @else {
            (table(page, &shown, shelf))
            (turn(page, shelf))
        }
        (foreign(list))
    };
    document(page, View::Backups, "Backups", &content)
}

/// Renders the links to the pages with newer and older backups.
fn turn(page: &Page, shelf: &Shelf) -> Markup {
    let link = |before: Option<&str>| {
        let fields = [("set", shelf.set.as_deref()), ("kind", shelf.kind.as_deref()), ("before", before)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))));
        format!("{}/backups?{}", page.base, fields.collect::<Vec<_>>().join("&"))
    };
    html! {
        @if shelf.first > 0 || shelf.older.is_some() {
            nav.actions aria-label="Pages" {
                @if shelf.first > 0 { a rel="prev" href=(link(shelf.newer.as_deref())) { "Newer backups" } }
                @if let Some(before) = &shelf.older { a rel="next" href=(link(Some(before))) { "Older backups" } }
            }
        }
    }
}

fn create(page: &Page, shelf: &Shelf) -> Markup {
    let (sets, set) = (&shelf.sets, shelf.set.as_deref());
    let fields = html! {
        div.field {
            label for="create-set" { "Set" }
            @if sets.is_empty() {
                input #create-set name="set" required autocomplete="off";
            } @else {
                select #create-set name="set" {
                    @for name in sets { option value=(name) selected[set == Some(name)] { (printable(name)) } }
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

fn more(page: &Page, shelf: &Shelf) -> Markup {
    let may_undo = shelf.kinds.contains("safety");
    // Restores of several sets have no last one: each set has its own.
    let several = shelf.set.is_none() && shelf.sets.len() > 1;
    html! {
        @if page.is_admin && !shelf.kinds.is_empty() {
            p {
                a href={ (page.base) "/rotate" } { "Remove old backups (rotate)" }
                @if may_undo && several {
                    " · Undo the last restore of "
                    @for (at, set) in shelf.sets.iter().enumerate() {
                        @if at > 0 { ", " }
                        a href=(page.undo_url(Some(set))) { (printable(set)) }
                    }
                } @else if may_undo {
                    " · " a href=(page.undo_url(shelf.set.as_deref())) { "Undo the last restore" }
                }
            }
        }
    }
}

fn filter(page: &Page, shelf: &Shelf) -> Markup {
    let choice = |id: &str, key: &str, title: &str, every: &str, values: &BTreeSet<String>, chosen: Option<&str>| {
        html! {
            div.field {
                label for=(id) { (title) }
                select id=(id) name=(key) {
                    option value="" { (every) }
                    @for value in values.iter().map(String::as_str).chain(chosen).collect::<BTreeSet<_>>() {
                        option value=(value) selected[chosen == Some(value)] { (printable(value)) }
                    }
                }
            }
        }
    };
    html! {
        @if !shelf.kinds.is_empty() {
            form.row method="get" action={ (page.base) "/backups" } role="search" aria-label="Backups" {
                (choice("show-set", "set", "Show set", "All sets", &shelf.sets, shelf.set.as_deref()))
                (choice("show-kind", "kind", "Kind", "All kinds", &shelf.kinds, shelf.kind.as_deref()))
                button.plain type="submit" { "Show" }
                div.field.wide hidden data-script {
                    label for="filter" { "Filter this table" }
                    input #filter type="search" data-filters="backups";
                }
            }
        }
    }
}

fn table(page: &Page, shown: &[&Value], shelf: &Shelf) -> Markup {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    html! {
        p.quiet {
            (text::count(number(shelf.count), "backup")) ", newest first"
            @if shown.len() < shelf.count {
                ": " (text::thousands(number(shelf.first + 1))) " to "
                (text::thousands(number(shelf.first + shown.len())))
            }
            "."
        }
        table.stack #backups {
            caption.unseen { "Backups, newest first" }
            thead { tr {
                th scope="col" { "Made" } th scope="col" { "Backup" } th scope="col" { "Set" }
                th scope="col" { "Kind" } th.number scope="col" { "Databases" }
                th.number scope="col" { "Compressed" } th scope="col" { "State" } th scope="col" { "Stores" }
                th scope="col" { "Actions" }
            } }
            tbody { @for archive in shown { (row(page, archive)) } }
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

/// Renders the files that are not archives, or none any more, or none that can be read here.
fn foreign(list: &Value) -> Markup {
    let files: Vec<&Value> = items(list, "foreign")
        .iter()
        .chain(items(list, "stores").iter().flat_map(|store| items(store, "foreign")))
        .collect();
    html! {
        @if !files.is_empty() {
            section aria-labelledby="foreign" {
                h2 #foreign { "Files that cannot be read as backups" }
                ul { @for file in files {
                    li {
                        @if flag(file, "damaged") { (Mark::Bad.named("Damaged")) " " }
                        code { (shown(file, "file")) } ", " (size(file, "bytes")) ": " (shown(file, "why"))
                    }
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
