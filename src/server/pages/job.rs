//! A job that runs or ran: progress, cancel, result.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::layout::{Page, View, document_with, encoded};
use super::read::{flag, items, number, part, raw, shown, text, texts};
use super::restore::warned;
use super::words::{Mark, advice, sentence, size, what_to_do, when_of};
use crate::names::printable;
use crate::text;

/// What a stage is for people, and whether it counts bytes. The script gets the words in an attribute.
const STAGES: [(&str, &str); 13] = [
    ("plan", "Planning"),
    ("lock", "Waiting for locks"),
    ("copy", "Copying the database"),
    ("pack", "Checking and compressing"),
    ("encrypt", "Encrypting"),
    ("read_back", "Reading the backup again"),
    ("unpack", "Extracting"),
    ("check", "Checking"),
    ("replace", "Writing the database"),
    ("commit", "Giving the backup its name"),
    ("upload", "Uploading"),
    ("download", "Downloading"),
    ("archives", "Processing backups"),
];

/// Renders a job. While it runs, the page reloads itself without the script, and polls with it.
pub fn job(page: &Page, job: &Value) -> String {
    let is_running = raw(job, "state") == Some("running");
    let title = format!("{}: {}", command(job), state(job).1);
    let head = html! {
        @if is_running { noscript { meta http-equiv="refresh" content="2"; } }
    };
    let content = html! {
        h1 { @if is_running { (title) } @else { (state(job).0.named(&title)) } }
        @if is_running { (progress(page, job)) } @else { (ended(page, job)) }
        dl.facts {
            dt { "Started" } dd { (when_of(job, "started", page.now)) }
            @if !is_running { dt { "Ended" } dd { (when_of(job, "ended", page.now)) } }
            @if let Some(code) = number(job, "code").filter(|code| *code != 0) { dt { "Exit code" } dd { (code) } }
        }
        p { a href={ (page.base) "/" } { "Overview" } " · " a href={ (page.base) "/backups" } { "Backups" } }
    };
    document_with(page, View::Other, &title, &head, &content)
}

fn command(job: &Value) -> String {
    let command = sentence(&text(job, "command").unwrap_or("job".into()));
    if flag(job, "dry_run") { format!("{command} (plan)") } else { command }
}

fn state(job: &Value) -> (Mark, &'static str) {
    match raw(job, "state") {
        Some("running") => (Mark::Unknown, "running"),
        Some("done") if number(job, "code").is_some_and(|code| code != 0) => (Mark::Warning, "done with problems"),
        Some("done") => (Mark::Good, "done"),
        Some("failed") => (Mark::Bad, "failed"),
        Some("cancelled") => (Mark::Warning, "cancelled"),
        _ => (Mark::Unknown, "state not known"),
    }
}

fn progress(page: &Page, job: &Value) -> Markup {
    let words: Map<String, Value> = STAGES.iter().map(|(stage, words)| ((*stage).into(), (*words).into())).collect();
    let stage = raw(job, "stage");
    let word = STAGES.iter().find(|(name, _)| stage == Some(name)).map_or("Working", |(_, words)| words);
    let total = number(job, "total").filter(|total| *total > 0);
    let done = total.map(|total| number(job, "done").unwrap_or(0).min(total));
    let percent = done.zip(total).map(|(done, total)| done.saturating_mul(100) / total);
    let id = raw(job, "id");
    let url = id.map(|id| format!("{}/api/v1/jobs/{}", page.base, encoded(id)));
    let cancel = html! { button.plain type="submit" { "Cancel" } };
    html! {
        div.panel #job data-job=[url] data-words=(Value::Object(words)) {
            label for="progress" {
                span #stage role="status" { (word) } " "
                span.long #subject { (text(job, "subject").unwrap_or_default()) }
            }
            progress #progress max="100" value=[percent] {}
            span #percent { @if let Some(percent) = percent { (percent) "%" } }
            noscript { p.quiet { "This page reloads itself every 2 seconds." } }
        }
        @if let Some(id) = id {
            (page.form(&format!("{}/jobs/{}/cancel", page.base, encoded(id)), "actions", &cancel))
        }
    }
}

fn ended(page: &Page, job: &Value) -> Markup {
    let error = part(job, "error");
    let document = part(job, "document");
    html! {
        @if let Some(message) = text(error, "message") { p.alert role="alert" { (message) } }
        @if let Some(hint) = text(error, "hint") { p { strong { (what_to_do(&hint)) } (advice(&hint)) } }
        @if raw(job, "state") == Some("cancelled") {
            p { "It was cancelled. What was complete before that stays; nothing is left half done." }
        }
        @if !document.is_null() { (result(page, document)) }
        (warned(job))
    }
}

/// Renders the document of a command that ended. What it does not know is left out.
fn result(page: &Page, document: &Value) -> Markup {
    let made = items(document, "backups").iter().chain(std::iter::once(document));
    let made: Vec<&Value> = made.filter(|document| document.get("backup_name").is_some()).collect();
    html! {
        @for backup in &made {
            (archive_line(page, "Made the backup ", backup, "archive"))
            (problems(backup))
        }
        @match raw(document, "outcome") {
            Some("restored") => (restored(page, document)),
            Some("unchanged") => p { "Nothing was changed: the contents are the same." },
            _ => {}
        }
        @if document.get("depth").is_some() { (verified(page, document)) }
        @if document.get("freed_bytes").is_some() && !flag(document, "dry_run") {
            @let removed = items(document, "remove").iter().filter(|verdict| flag(verdict, "removed")).count();
            p {
                "Removed " (text::count(u64::try_from(removed).unwrap_or(u64::MAX), "backup"))
                ", freed " (size(document, "freed_bytes")) "."
            }
        }
        @for name in texts(document, "removed") { p.long { "Deleted " (name) "." } }
        (warned(document))
    }
}

/// Renders what was found while a backup was made: in databases, in comparison with earlier backups, in copies.
fn problems(backup: &Value) -> Markup {
    let findings = items(backup, "findings").iter().map(|found| {
        let (database, what) = (shown(found, "database"), shown(found, "finding"));
        format!("{database}: {what}")
    });
    let notes = items(backup, "notes").iter().map(|note| {
        let about = text(note, "database").map(|database| format!("{database}: ")).unwrap_or_default();
        let why = text(note, "why").map(|why| format!(", {why}")).unwrap_or_default();
        format!("{about}{}{why}", shown(note, "kind").replace('_', " "))
    });
    let copies = items(backup, "copies").iter().flat_map(|copy| {
        texts(copy, "errors").into_iter().map(move |error| format!("copy {}: {error}", shown(copy, "name")))
    });
    let all: Vec<String> = findings.chain(notes).chain(copies).collect();
    html! {
        @if !all.is_empty() { ul { @for problem in all { li.long { (Mark::Warning.named(&problem)) } } } }
    }
}

/// Renders a sentence that ends with an archive. `backup` reports the whole path or URL of what it made.
fn archive_line(page: &Page, words: &str, document: &Value, key: &str) -> Markup {
    let name = raw(document, key).and_then(|place| place.rsplit('/').next());
    html! {
        @if let Some(name) = name {
            p.long { (words) a href=(page.backup_url(name, "")) { (printable(name)) } "." }
        }
    }
}

fn restored(page: &Page, document: &Value) -> Markup {
    let users = |database| items(database, "in_use_by").iter().map(|user| shown(user, "name"));
    let mut open: Vec<_> = items(document, "databases").iter().flat_map(users).collect();
    open.sort();
    open.dedup();
    html! {
        (archive_line(page, "Restored from ", document, "archive"))
        table.stack {
            thead { tr {
                th scope="col" { "Database" }
                th.number scope="col" { "Rows before" } th.number scope="col" { "Rows now" }
                th scope="col" { "File" }
            } }
            tbody { @for database in items(document, "databases") { tr {
                th scope="row" data-label="Database" { (shown(database, "name")) }
                td.number data-label="Rows before" {
                    @if let Some(rows) = number(database, "rows_before") { (text::thousands(rows)) } @else { "–" }
                }
                td.number data-label="Rows now" { (super::words::count(database, "rows")) }
                td.long data-label="File" { (shown(database, "target")) }
            } } }
        }
        @if !open.is_empty() {
            p.notice { strong { "Restart " (open.join(", ")) } " if it keeps data in memory: it had a database open." }
        }
        (archive_line(page, "What was there before is in the safety backup ", document, "safety_backup"))
        @if page.is_admin && raw(document, "safety_backup").is_some() {
            p { a.button.plain href=(page.undo_url(raw(document, "set"))) { "Undo this restore…" } }
        }
    }
}

fn verified(page: &Page, document: &Value) -> Markup {
    html! {
        ul { @for archive in items(document, "archives") {
            @let (mark, word) = match raw(archive, "state") {
                Some("ok") => (Mark::Good, "Can be restored"),
                Some("damaged") => (Mark::Bad, "Damaged"),
                _ => (Mark::Unknown, "Could not be read"),
            };
            li.long {
                (mark.named(word)) ": "
                @match raw(archive, "archive") {
                    Some(name) => a href=(page.backup_url(name, "")) { (printable(name)) },
                    None => (shown(archive, "archive")),
                }
                @for finding in texts(archive, "findings") { div { (finding) } }
            }
        } }
    }
}
