//! The pages that ask before something is removed or replaced: what is lost, and what stays.

use maud::{Markup, html};
use serde_json::Value;

use super::backup::summary;
use super::layout::{Page, View, document};
use super::read::{NOT_KNOWN, flag, instant, items, part, raw, shown, text, texts};
use super::restore::{changed_since, nothing_to_do, steps, warned};
use super::words::{size, time, when_of};
use crate::names::{Name, printable};
use crate::text;

/// Renders the question before a backup is deleted. The form posts `plan`, the digest.
pub fn confirm_delete(page: &Page, show: &Value, digest: &str, refused: bool) -> String {
    let name = raw(show, "archive");
    let of_set = raw(show, "set");
    let copies = texts(show, "copies");
    let made = instant(show, "created_at").map_or_else(|| html! { (NOT_KNOWN) }, time);
    let content = html! {
        h1 { "Delete this backup?" }
        @if refused { (changed_since("deleted")) }
        (summary(page, show))
        (warned(show))
        (pair(
            &html! {
                @if let (Some(copy), Some(name)) = (copies.first(), name) {
                    "This backup, from this store alone. The state of " (made)
                    " can still be restored from the copy in " (copy) ", with "
                    code { "heirloom restore --store " (copy) " " (printable(name)) } "."
                } @else {
                    "This backup. It cannot be brought back, and the state of " (made) " cannot be restored from it."
                }
                @if flag(show, "pinned") { " It is pinned: somebody wanted to keep it." }
            },
            &html! {
                "The databases themselves and all other backups"
                @if let Some(set) = of_set { " of " strong { (printable(set)) } }
                ". The last good backup is never deleted."
                @if !copies.is_empty() { " Copies in " (copies.join(", ")) " stay." }
            },
        ))
        @if let Some(name) = name {
            (decide(page, &page.backup_url(name, "/delete"), digest, "Delete this backup", &page.backup_url(name, "")))
        } @else {
            p.alert { "The name of the backup is not known, so it cannot be deleted." }
        }
    };
    document(page, View::Backups, "Delete a backup", &content)
}

/// Renders what a rotation removes and keeps. The form posts `plan`, the digest.
pub fn confirm_rotate(page: &Page, plan: &Value, digest: &str, refused: bool) -> String {
    let remove = items(plan, "remove");
    let keep = items(plan, "keep");
    let copies = items(plan, "copies");
    let of_copies: usize = copies.iter().map(|copy| items(part(copy, "retention"), "remove").len()).sum();
    let known = plan.get("remove").is_some();
    let removal = match (remove.len(), of_copies) {
        (main, 0) => format!("Remove {}", backups(main)),
        (0, copies) => format!("Remove {} in further stores", backups(copies)),
        (main, copies) => format!("Remove {}, and {} in further stores", backups(main), backups(copies)),
    };
    let content = html! {
        h1 { "Remove old backups?" }
        @if refused { (changed_since("removed")) }
        @if !known {
            p.alert { "What would be removed is not known." }
        } @else if remove.is_empty() && of_copies == 0 {
            p { "There is nothing to remove. All " (backups(keep.len())) " stay." }
        } @else {
            (pair(
                &html! {
                    strong { (backups(remove.len())) } ", " (size(plan, "freed_bytes"))
                    ". They cannot be brought back."
                    @if of_copies > 0 { " In further stores: " (backups(of_copies)) "." }
                },
                &html! {
                    strong { (backups(keep.len())) }
                    @if let Some(oldest) = instant(plan, "oldest") { ", back to " (time(oldest)) }
                    ". The newest good backup and pinned backups always stay. The databases are not touched."
                },
            ))
            (decide(page, &format!("{}/rotate", page.base), digest, &removal, &format!("{}/backups", page.base)))
        }
        (warnings(plan))
        (warned(plan))
        @if !remove.is_empty() { (verdicts(page, "Removed", remove)) }
        @for copy in copies {
            @let remove = items(part(copy, "retention"), "remove");
            @if !remove.is_empty() { (verdicts(page, &format!("Removed in {}", shown(copy, "name")), remove)) }
        }
        @if !keep.is_empty() {
            details { summary { "Show the backups that stay" } (verdicts(page, "Kept", keep)) }
        }
    };
    document(page, View::Backups, "Remove old backups", &content)
}

fn backups(count: usize) -> String {
    text::count(u64::try_from(count).unwrap_or(u64::MAX), "backup")
}

fn warnings(plan: &Value) -> Markup {
    let sets = texts(plan, "newer_format");
    let shrinks = items(plan, "open_shrinks");
    html! {
        @if !sets.is_empty() {
            p.alert { "A newer release wrote backups of " (sets.join(", ")) ". Nothing of these sets is removed." }
        }
        @for shrink in shrinks {
            p.alert {
                "The database " strong { (shown(shrink, "database")) } " lost more than half of its rows in "
                span.long { (shown(shrink, "archive")) } ". The backups before it stay until the loss is accepted."
            }
        }
    }
}

fn verdicts(page: &Page, title: &str, verdicts: &[Value]) -> Markup {
    html! {
        table.stack {
            caption { (title) }
            thead { tr {
                th scope="col" { "Made" } th scope="col" { "Backup" } th scope="col" { "Set" }
                th.number scope="col" { "Size" } th scope="col" { "Why" }
            } }
            tbody { @for verdict in verdicts { tr {
                td data-label="Made" { (when_of(verdict, "created_at", page.now)) }
                th.long scope="row" data-label="Backup" {
                    @match raw(verdict, "archive") {
                        Some(name) => a href=(page.backup_url(name, "")) { (printable(name)) },
                        None => (NOT_KNOWN),
                    }
                }
                td data-label="Set" { (shown(verdict, "set")) }
                td.number data-label="Size" { (size(verdict, "bytes")) }
                td data-label="Why" { (texts(verdict, "reasons").join(", ")) }
            } } }
        }
    }
}

/// Renders what undoing the last restore replaces, of this set or of the only one. The form posts `plan`, the digest.
pub fn confirm_undo(page: &Page, set: Option<&Name>, plan: &Value, digest: &str, refused: bool) -> String {
    let address = page.undo_url(set.map(Name::as_str));
    let content = html! {
        h1 { "Undo the last restore?" }
        @if refused { (changed_since("undone")) }
        @if let Some(restore) = text(plan, "undo_of") { p { "This will " strong { (restore) } "." } }
        dl.facts {
            dt { "From the safety backup" } dd.long { (shown(plan, "archive")) }
            dt { "Contents as of" } dd {
                (instant(plan, "created_at").map_or_else(|| html! { (NOT_KNOWN) }, time))
            }
        }
        @if nothing_to_do(plan) {
            p { "There is nothing to undo." }
        } @else {
            (pair(
                &html! { "What was written to these databases since the restore." },
                &html! {
                    "A safety backup of what is there now is made first, so the undo can be undone. "
                    "All backups stay. Other databases are not touched."
                },
            ))
            (decide(page, &address, digest, "Undo the restore", &format!("{}/", page.base)))
            (steps(plan))
        }
    };
    document(page, View::Backups, "Undo the last restore", &content)
}

fn pair(lost: &Markup, stays: &Markup) -> Markup {
    html! {
        div.pair {
            section aria-labelledby="lost" { h2 #lost { "What is lost" } p { (lost) } }
            section aria-labelledby="stays" { h2 #stays { "What stays" } p { (stays) } }
        }
    }
}

fn decide(page: &Page, action: &str, digest: &str, word: &str, back: &str) -> Markup {
    let fields = html! {
        input type="hidden" name="plan" value=(digest);
        button.danger type="submit" { (word) }
        a href=(back) { "Cancel" }
    };
    page.form(action, "actions", &fields)
}
