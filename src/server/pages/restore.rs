//! Restoring: choose databases, see the plan, confirm it.

use maud::{Markup, html};
use serde_json::Value;

use super::backup::{change, summary};
use super::layout::{Page, View, document};
use super::read::{NOT_KNOWN, flag, instant, items, number, part, raw, shown, text, texts};
use super::words::{Mark, size, time};
use crate::names::printable;
use crate::text;

/// Renders the choice of databases. It posts `databases`, once for each, to `…/restore/plan`.
pub fn restore_choice(page: &Page, show: &Value) -> String {
    let databases = items(show, "databases");
    let name = raw(show, "archive");
    let fields = html! {
        fieldset {
            legend { "Databases to restore" }
            @for (index, database) in databases.iter().enumerate() {
                @let id = format!("database-{index}");
                div.choice {
                    input type="checkbox" id=(id) name="databases" value=[raw(database, "name")] checked;
                    label for=(id) {
                        strong { (shown(database, "name")) } ", "
                        (text::rows(number(database, "rows"))) ", " (size(database, "bytes"))
                        br; span.quiet.long { (shown(database, "path")) }
                    }
                }
            }
        }
        p { "The next page shows what is replaced by what. Nothing is changed yet." }
        button type="submit" { "Show the plan" }
    };
    let content = html! {
        h1 { "Restore" }
        @if flag(show, "damaged") {
            p.alert { "This backup is damaged. Restore another one if you can." }
        }
        (summary(page, show))
        @match name {
            Some(name) if !databases.is_empty() && page.is_admin =>
                (page.form(&page.backup_url(name, "/restore/plan"), "panel", &fields)),
            Some(_) if !page.is_admin => p { "The role viewer cannot restore." },
            _ => p.alert { "The databases of this backup are not known, so they cannot be chosen." },
        }
    };
    document(page, View::Backups, "Restore", &content)
}

/// Renders the plan of a restore. The form posts `plan` (the digest), `databases` and `confirm`, the name of the set as
/// it was typed.
pub fn restore_plan(
    page: &Page,
    name: &str,
    databases: &[String],
    plan: &Value,
    digest: &str,
    refused: bool,
) -> String {
    let set = text(plan, "set");
    let fields = html! {
        input type="hidden" name="plan" value=(digest);
        @for database in databases { input type="hidden" name="databases" value=(database); }
        div.field {
            label for="confirm" {
                @match &set {
                    Some(set) => { "Type the name of the set, " strong { (set) } ", to confirm" }
                    None => "Type the name of the set of this backup to confirm",
                }
            }
            input #confirm name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false";
        }
        button.danger type="submit" { "Restore now" }
        " " a href=(page.backup_url(name, "")) { "Do not restore" }
    };
    let content = html! {
        h1 { "Restore: the plan" }
        @if refused { (changed_since("restored")) }
        dl.facts {
            dt { "From the backup" } dd.long { a href=(page.backup_url(name, "")) { (printable(name)) } }
            dt { "Contents as of" } dd { (at(plan)) }
            @if let Some(set) = &set { dt { "Set" } dd { (set) } }
        }
        (steps(plan))
        (consequences(plan))
        @if nothing_to_do(plan) {
            p { "There is nothing to restore. " a href=(page.backup_url(name, "")) { "Back to the backup" } }
        } @else if page.is_admin {
            (page.form(&page.backup_url(name, "/restore"), "panel", &fields))
        }
    };
    document(page, View::Backups, "Restore: the plan", &content)
}

/// Renders that a plan is out of date.
pub(super) fn changed_since(done: &str) -> Markup {
    html! {
        p.alert role="alert" {
            "Nothing was " (done) ": something changed since the plan was shown. "
            "Check the new plan below and confirm it."
        }
    }
}

fn at(plan: &Value) -> Markup {
    instant(plan, "created_at").map_or_else(|| html! { (NOT_KNOWN) }, time)
}

/// Returns whether a plan changes nothing.
pub(super) fn nothing_to_do(plan: &Value) -> bool {
    items(plan, "databases").is_empty() && items(plan, "removals").is_empty()
}

/// Renders what becomes of each database.
pub(super) fn steps(plan: &Value) -> Markup {
    html! {
        section aria-labelledby="steps" {
            h2 #steps { "What happens to each database" }
            @for step in items(plan, "databases") { (one(step)) }
            @for removal in items(plan, "removals") {
                article.panel {
                    h3.long { (Mark::Warning.named("Moved aside")) " " (shown(removal, "name")) }
                    p {
                        code.long { (shown(removal, "target")) }
                        " did not exist before. It is moved aside, not deleted."
                    }
                }
            }
            @for kept in items(plan, "skipped") {
                article.panel {
                    h3.long { "Kept: " (shown(kept, "name")) }
                    p { code.long { (shown(kept, "target")) } " exists and is not touched." }
                }
            }
            @if nothing_to_do(plan) { p { "No database is changed." } }
        }
        (warned(plan))
    }
}

/// Renders the warnings of a plan or a job.
pub(super) fn warned(value: &Value) -> Markup {
    let warnings = texts(value, "warnings");
    html! {
        @if !warnings.is_empty() { ul { @for warning in warnings { li.long { (Mark::Warning.named(&warning)) } } } }
    }
}

fn one(step: &Value) -> Markup {
    let users = items(step, "in_use_by");
    let zeroed = items(step, "unreadable_pages").len();
    let method = match raw(step, "method") {
        Some("created") => "A new file is created. Nothing is there now.",
        Some("replaced") => {
            "The contents of the database are replaced in one transaction. Readers see the old or the new state."
        }
        Some("replaced_offline") => "The file is replaced. Nobody has it open.",
        Some("set_aside") => "What is there is not a database. It is moved aside, and a new file is created.",
        _ => "How it is written is not known.",
    };
    html! {
        article.panel {
            h3.long { (shown(step, "name")) }
            dl.facts {
                dt { "File" } dd.long { (shown(step, "target")) }
                dt { "Rows" } dd {
                    @match (change(number(step, "rows_before"), number(step, "rows")), raw(step, "method")) {
                        (Some(change), _) => strong { (change) },
                        (None, Some("created")) => (text::rows(number(step, "rows"))),
                        (None, _) => { "now " (NOT_KNOWN) ", then " (text::rows(number(step, "rows"))) }
                    }
                }
                dt { "Size" } dd { (size(step, "bytes")) }
                dt { "How" } dd { (method) }
                @let changes = schema(part(step, "schema"));
                @if !changes.is_empty() {
                    dt { "Schema" } dd { ul { @for change in changes { li { (change) } } } }
                }
                dt { "Open in" } dd {
                    @if users.is_empty() { "no other process, as far as is known" }
                    @else {
                        @for (index, user) in users.iter().enumerate() {
                            @if index > 0 { ", " }
                            (shown(user, "name"))
                            @if let Some(pid) = number(user, "pid") { " (process " (pid) ")" }
                        }
                        ". Restart it afterwards if it keeps data in memory."
                    }
                }
            }
            @if let Some(damage) = text(step, "damage") { p.alert { "Damaged in the backup: " (damage) } }
            @if zeroed > 0 {
                p.alert { "Unreadable pages of the backup become zeros: " (zeroed) " ranges." }
            }
        }
    }
}

/// Returns the changes of a schema, one sentence each.
fn schema(difference: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    let versions = part(difference, "user_version");
    let version = |key| part(versions, key).as_i64();
    if let (Some(archive), Some(database)) = (version("archive"), version("database")) {
        changes.push(format!("user_version {database} → {archive}"));
    }
    for table in texts(difference, "tables_lost") {
        changes.push(format!("table \"{table}\" is removed"));
    }
    for table in texts(difference, "tables_gained") {
        changes.push(format!("table \"{table}\" is added"));
    }
    for columns in items(difference, "columns") {
        let table = shown(columns, "table");
        for column in texts(columns, "lost") {
            changes.push(format!("table \"{table}\" loses column \"{column}\""));
        }
        for column in texts(columns, "gained") {
            changes.push(format!("table \"{table}\" gains column \"{column}\""));
        }
    }
    changes
}

fn consequences(plan: &Value) -> Markup {
    let replaces = items(plan, "databases").iter().any(|step| raw(step, "method") != Some("created"));
    html! {
        div.pair {
            section aria-labelledby="lost" {
                h2 #lost { "What is lost" }
                @if replaces {
                    p { "What was written to these databases after " (at(plan)) "." }
                } @else {
                    p { "Nothing: no database is replaced." }
                }
            }
            section aria-labelledby="stays" {
                h2 #stays { "What stays" }
                p {
                    @if replaces { "A safety backup of what is replaced is made first, so the restore can be undone. " }
                    "All backups stay. Other databases are not touched."
                }
            }
        }
    }
}
