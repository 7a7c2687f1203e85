//! The activity log.

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Page, View, document};
use super::read::{NOT_KNOWN, items, number, part, raw, shown, text};
use super::words::{Mark, sentence, when_of};

/// Renders the activity log, newest first.
pub fn log(page: &Page, log: &Value) -> String {
    let activities = items(log, "activities");
    let content = html! {
        h1 { "Log" }
        p.quiet { "What changed or checked something in the store " code { (shown(log, "store")) } "." }
        @if log.get("activities").is_none() {
            p.alert { "The log is not known." }
        } @else if activities.is_empty() {
            p { "The log is empty." }
        } @else {
            p.filter hidden data-script {
                label for="filter" { "Filter this table" }
                input #filter type="search" data-filters="log";
            }
            table.stack #log {
                caption.unseen { "Activity, newest first" }
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "Command" } th scope="col" { "Result" }
                    th scope="col" { "Set" } th scope="col" { "Archive" } th scope="col" { "Took" }
                    th scope="col" { "By" }
                } }
                tbody { @for activity in activities { (row(page, activity)) } }
            }
        }
    };
    document(page, View::Log, "Log", &content)
}

fn row(page: &Page, activity: &Value) -> Markup {
    let outcome = raw(activity, "outcome");
    let mark = match outcome {
        Some("done") => Mark::Good,
        Some("problems" | "found") => Mark::Warning,
        Some("failed") => Mark::Bad,
        _ => Mark::Unknown,
    };
    let word = match outcome {
        Some("found") => "Found problems".into(),
        Some("problems") => "Done with problems".into(),
        _ => sentence(&shown(activity, "outcome")),
    };
    let seconds = part(activity, "seconds").as_f64();
    // What a deletion names is gone.
    let gone = matches!(raw(activity, "command"), Some("delete" | "rotate" | "cleanup"));
    html! {
        tr {
            td data-label="When" { (when_of(activity, "at", page.now)) }
            th scope="row" data-label="Command" { (shown(activity, "command")) }
            td data-label="Result" {
                (mark.named(&word))
                @if let Some(code) = number(activity, "exit_code").filter(|code| *code != 0) {
                    " " span.quiet { "exit code " (code) }
                }
                @if let Some(error) = text(activity, "error") { div.long { (error) } }
            }
            td data-label="Set" { (text(activity, "set").unwrap_or_default()) }
            td.long data-label="Archive" {
                @match raw(activity, "archive") {
                    Some(name) if !gone => a href=(page.backup_url(name, "")) { (shown(activity, "archive")) },
                    _ => (text(activity, "archive").unwrap_or_default()),
                }
            }
            td data-label="Took" {
                @match seconds { Some(seconds) => { (format!("{seconds:.1} s")) } None => (NOT_KNOWN) }
            }
            td data-label="By" { (shown(activity, "user")) "@" (shown(activity, "host")) }
        }
    }
}
