//! The overview: what is wrong and what to do about it, how each set is, what can be restored, what comes next.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::calendar;
use super::index::{Index, measure};
use super::layout::{Page, View, document};
use super::read::{NOT_KNOWN, archives, flag, instant, is_listed, items, number, part, raw, shown, text};
use super::words::{Mark, advice, sentence, size, time, what_to_do, when, when_of};
use crate::names::printable;
use crate::text;

/// Something that needs attention.
struct Finding<'a> {
    mark: Mark,
    title: String,
    what: String,
    advice: Option<String>,
    set: Option<&'a str>,
    /// The name of the check.
    check: Option<&'a str>,
}

/// Renders the overview of all sets.
pub fn overview(
    page: &Page,
    status: &Value,
    health: &Value,
    schedule: &Value,
    list: &Value,
    rotation: Option<&Value>,
) -> String {
    let findings = findings(status, health);
    let worst = worst(health, &findings);
    let headline = headline(worst, &findings);
    let index = Index::new(health, list);
    let mut sets: Vec<(Mark, &Value)> = items(status, "sets").iter().map(|set| (index.state(set), set)).collect();
    sets.sort_by_key(|(mark, _)| std::cmp::Reverse(*mark));
    let content = html! {
        h1.headline { (worst.named(&headline)) }
        p.quiet {
            @match instant(health, "at") {
                Some(at) => { "Checked " (when(Some(at), page.now)) ". " }
                None => "The time of the checks is not known. ",
            }
            a href={ (page.base) "/" } { "Refresh" }
        }
        @if !findings.is_empty() {
            section aria-labelledby="findings" {
                h2 #findings { "What needs attention" }
                ul.findings { @for finding in &findings { (found(page, finding, &index)) } }
            }
        }
        section aria-labelledby="sets" {
            h2 #sets { "Sets" }
            @if sets.is_empty() {
                p { @if status.get("sets").is_some() { "No set is configured." } @else { "The sets are not known." } }
            }
            div.cards {
                @for (number, (mark, set)) in sets.iter().enumerate() { (card(page, number, *mark, set, &index)) }
            }
        }
        section aria-labelledby="calendar" {
            h2 #calendar { "What can be restored" }
            (restorable(page, list))
            @if is_listed(list) {
                (calendar::with_links(list, rotation, page.now, &|name| {
                    html! { a href=(page.backup_url(name, "")) { (printable(name)) } }
                }))
            }
            (rotate(page, rotation))
        }
        (upcoming(page, status, schedule))
        section aria-labelledby="store" {
            h2 #store { "Store" }
            dl.facts {
                dt { "Main store" } dd.long { (shown(status, "store")) }
                dt { "Jobs are run by" } dd {
                    @if status.get("supervisor").is_some_and(Value::is_null) { "nothing on this host" }
                    @else { (shown(status, "supervisor")) }
                }
            }
        }
    };
    document(page, View::Overview, &headline, &content)
}

/// Collects what needs attention, the worst first.
fn findings<'a>(status: &'a Value, health: &'a Value) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    if let Some(error) = text(status, "store_error") {
        findings.push(Finding {
            mark: Mark::Bad,
            title: "Store".into(),
            what: format!("cannot be read: {error}"),
            advice: None,
            set: None,
            check: None,
        });
    }
    for check in items(health, "checks") {
        let mark = Mark::of_state(raw(check, "state"));
        if mark == Mark::Good {
            continue;
        }
        let subject = match (text(check, "set"), text(check, "database")) {
            (Some(set), Some(database)) if set != database => format!("{set}/{database}"),
            (_, Some(subject)) | (Some(subject), None) => subject.into_owned(),
            (None, None) => "store".into(),
        };
        let path = text(check, "path").map(|path| format!(" ({path})")).unwrap_or_default();
        findings.push(Finding {
            mark,
            title: format!("{subject}{path}: {}", sentence(&shown(check, "check")).to_lowercase()),
            what: shown(check, "value").into_owned(),
            advice: text(check, "advice").map(Into::into),
            set: raw(check, "set"),
            check: raw(check, "check"),
        });
    }
    if let Some(count) = number(status, "undelivered_notices").filter(|count| *count > 0) {
        findings.push(Finding {
            mark: Mark::Warning,
            title: "Notices".into(),
            what: format!("{} not delivered yet", text::count(count, "notice")),
            advice: Some("test the receivers with `heirloom notify test`".into()),
            set: None,
            check: None,
        });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.mark));
    findings
}

/// Returns the state of all. Without checks it is not known; nothing unknown is good.
fn worst(health: &Value, findings: &[Finding]) -> Mark {
    let base = match raw(health, "state") {
        state @ Some("warning" | "critical") => Mark::of_state(state),
        Some("ok") if !items(health, "checks").is_empty() => Mark::Good,
        _ => Mark::Unknown,
    };
    findings.iter().map(|finding| finding.mark).fold(base, Mark::max)
}

fn headline(worst: Mark, findings: &[Finding]) -> String {
    let count = |mark: Mark, noun: &str| {
        let count = findings.iter().filter(|finding| finding.mark == mark).count();
        (count > 0).then(|| text::count(u64::try_from(count).unwrap_or(u64::MAX), noun))
    };
    let counts: Vec<String> =
        [count(Mark::Bad, "critical problem"), count(Mark::Warning, "warning")].into_iter().flatten().collect();
    match worst {
        Mark::Good => "No problems found".into(),
        Mark::Unknown => "The state is not known".into(),
        _ if counts.is_empty() => worst.word().into(),
        _ => counts.join(", "),
    }
}

fn found(page: &Page, finding: &Finding, index: &Index) -> Markup {
    html! {
        li class=(finding.mark.class()) {
            p { (finding.mark.named(finding.mark.word())) " " strong.long { (finding.title) } }
            p.long { (finding.what) }
            @if let Some(words) = &finding.advice { p.long { strong { (what_to_do(words)) } (advice(words)) } }
            @if let Some(set) = finding.set {
                div.actions {
                    (remedy(page, finding, set, index))
                    a href=(page.set_url(set)) { "Backups of " (printable(set)) }
                }
            }
        }
    }
}

/// Renders what can be done about a finding on this page, for those who have no shell.
fn remedy(page: &Page, finding: &Finding, set: &str, index: &Index) -> Markup {
    let newest = index.backups(set).and_then(|backups| raw(backups.newest_good?, "archive"));
    match (finding.check, newest) {
        (Some("database" | "integrity"), Some(archive)) if page.is_admin => html! {
            a.button href=(page.backup_url(archive, "/restore")) { "Restore the newest good backup…" }
        },
        (Some("verified"), Some(archive)) => {
            let fields = html! { button type="submit" { "Verify the newest backup" } };
            page.form(&page.backup_url(archive, "/verify"), "inline", &fields)
        }
        (Some("backup_age"), _) => back_up(page, set),
        // The newest one.
        (Some("damaged"), _) if finding.mark == Mark::Bad => back_up(page, set),
        _ => html! {},
    }
}

fn back_up(page: &Page, set: &str) -> Markup {
    let fields = html! {
        input type="hidden" name="set" value=(set);
        button type="submit" { "Back up now" span.unseen { " " (printable(set)) } }
    };
    page.form(&format!("{}/backups", page.base), "inline", &fields)
}

fn card(page: &Page, number: usize, mark: Mark, set: &Value, index: &Index) -> Markup {
    let name = raw(set, "set");
    let last = part(set, "last_backup");
    let checks = index.checks(name);
    let verified = measure(checks.iter().copied(), "backup_verified_timestamp_seconds")
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(i64::try_from(seconds).ok()?, 0));
    let id = format!("set-{number}");
    html! {
        article class={ "card " (mark.class()) } aria-labelledby=(id) {
            h3 id=(id) {
                span.long { (shown(set, "set")) } " " (mark.named(mark.word()))
            }
            dl.facts {
                dt { "Last backup" } dd { (last_backup(page, last)) }
                dt { "Next" } dd {
                    @match instant(set, "next_due") {
                        Some(at) if at <= page.now => { "due now" }
                        Some(at) => (when(Some(at), page.now)),
                        None => "not scheduled",
                    }
                    @if let Some(rule) = text(set, "schedule") { ", " (rule) }
                }
                dt { "Since then" } dd { (shown(set, "why")) }
                dt { "Backups" } dd { (number_of_backups(index, name)) }
                dt { "Verified" }
                dd { @match verified { Some(at) => (when(Some(at), page.now)), None => "never, as far as is known" } }
                dt { "Copies" } dd { (copies(set)) }
            }
            (databases(set, checks))
            @if let Some(name) = name { (actions(page, name, last)) }
        }
    }
}

fn last_backup(page: &Page, last: &Value) -> Markup {
    html! {
        @match raw(last, "archive") {
            Some(name) => {
                a href=(page.backup_url(name, "")) aria-label={ "Last backup, " (printable(name)) } {
                    (when_of(last, "created_at", page.now))
                }
                ", " (size(last, "bytes"))
                @if last.get("in_store").and_then(Value::as_bool) == Some(false) {
                    " " (Mark::Bad.named("no longer in the store, or damaged"))
                }
            }
            None => (Mark::Warning.named("none yet")),
        }
    }
}

fn number_of_backups(index: &Index, set: Option<&str>) -> String {
    set.and_then(|set| index.backups(set)).map_or_else(
        || NOT_KNOWN.into(),
        |backups| format!("{}, {}", text::thousands(backups.count), text::bytes(backups.bytes)),
    )
}

fn copies(set: &Value) -> Markup {
    let copies = items(set, "copies");
    html! {
        @if copies.is_empty() { "none configured" }
        @for copy in copies {
            @let (mark, word) = match (text(copy, "error"), copy.get("has_last_backup").and_then(Value::as_bool)) {
                (Some(error), _) => (Mark::Warning, error.into_owned()),
                (None, Some(true)) => (Mark::Good, "has the last backup".to_owned()),
                (None, Some(false)) => (Mark::Warning, "lacks the last backup".to_owned()),
                (None, None) => (Mark::Unknown, "not listed yet".to_owned()),
            };
            div.long { (shown(copy, "name")) ": " (mark.named(&word)) }
        }
    }
}

fn databases(set: &Value, checks: &[&Value]) -> Markup {
    let databases = items(set, "databases");
    html! {
        @if databases.is_empty() {
            p.quiet { "No databases known." }
        } @else {
            table {
                thead { tr {
                    th scope="col" { "Database" } th.number scope="col" { "Size" } th.number scope="col" { "Tables" }
                    th scope="col" { "Now" }
                } }
                tbody { @for database in databases {
                    @let key = raw(database, "name");
                    @let of_it = checks.iter().copied().filter(|check| raw(check, "database") == key);
                    tr {
                        th.long scope="row" title=(shown(database, "path")) { (shown(database, "name")) }
                        td.number { (size(database, "bytes")) }
                        td.number { (measure(of_it, "database_tables").map_or(NOT_KNOWN.into(), text::thousands)) }
                        td { (database_state(database)) }
                    }
                } }
            }
        }
    }
}

fn database_state(database: &Value) -> Markup {
    let state = raw(database, "state");
    let mark = match state {
        Some("unchanged") => Mark::Good,
        Some("missing" | "unreadable") => Mark::Bad,
        Some("archive_gone" | "never_backed_up") => Mark::Warning,
        // A database that is in use changes between two backups.
        Some("changed") => return html! { "changed" },
        Some("unknown") => return html! { "may have changed" },
        _ => Mark::Unknown,
    };
    mark.named(&shown(database, "state").replace('_', " "))
}

fn actions(page: &Page, name: &str, last: &Value) -> Markup {
    html! {
        div.actions {
            (back_up(page, name))
            @if let Some(archive) = raw(last, "archive").filter(|_| page.is_admin) {
                a.button.plain href=(page.backup_url(archive, "/restore")) { "Restore the last…" }
            }
            a href=(page.set_url(name)) { "All backups" span.unseen { " of " (printable(name)) } }
        }
    }
}

/// Renders the range of good backups.
fn restorable(page: &Page, list: &Value) -> Markup {
    let good = archives(list).into_iter().filter(|archive| !flag(archive, "damaged"));
    let times: Vec<DateTime<Utc>> = good.filter_map(|archive| instant(archive, "created_at")).collect();
    let count = u64::try_from(times.len()).unwrap_or(u64::MAX);
    html! {
        @if !is_listed(list) {
            p.alert { "The list of backups is not known." }
        } @else if let (Some(oldest), Some(newest)) = (times.iter().min(), times.iter().max()) {
            p {
                (text::count(count, "backup")) " without known damage. Newest: " (when(Some(*newest), page.now))
                ". Oldest: " (time(*oldest)) "."
            }
        } @else {
            p.alert { "No backup can be restored: there is none without known damage." }
        }
    }
}

fn rotate(page: &Page, rotation: Option<&Value>) -> Markup {
    let Some(plan) = rotation.filter(|plan| plan.get("remove").is_some()) else { return html! {} };
    let count = |key| u64::try_from(items(plan, key).len()).unwrap_or(u64::MAX);
    html! {
        p {
            @if count("remove") == 0 {
                "No old backup would be removed now."
            } @else {
                "Removing old backups would remove " (text::count(count("remove"), "backup")) " now and free "
                (size(plan, "freed_bytes")) "; " (text::thousands(count("keep"))) " stay. "
                @if page.is_admin { a href={ (page.base) "/rotate" } { "Show what would be removed" } }
            }
        }
    }
}

fn upcoming(page: &Page, status: &Value, schedule: &Value) -> Markup {
    let jobs = items(schedule, "jobs");
    html! {
        section aria-labelledby="next" {
            h2 #next { "What comes next" }
            @if schedule.get("enabled").and_then(Value::as_bool) == Some(false) {
                p { (Mark::Warning.named("No schedule is enabled: nothing runs by itself.")) }
            }
            @if jobs.is_empty() {
                p {
                    @if schedule.get("jobs").is_some() { "No job is scheduled." } @else { "The schedule is not known." }
                }
            } @else {
                @if status.get("supervisor").is_some_and(Value::is_null) {
                    p {
                        "Nothing starts these jobs on this host now: " code { "heirloom run" }
                        " does, and it is not running."
                    }
                }
                table.stack {
                    caption.unseen { "Scheduled jobs" }
                    thead { tr {
                        th scope="col" { "Job" } th scope="col" { "Set" }
                        th scope="col" { "When" } th scope="col" { "Next" }
                    } }
                    tbody { @for job in jobs { tr {
                        th scope="row" data-label="Job" { (shown(job, "job")) }
                        td data-label="Set" { (text(job, "set").unwrap_or("all".into())) }
                        td data-label="When" {
                            (shown(job, "rule")) @if flag(job, "if_changed") { ", if something changed" }
                        }
                        td data-label="Next" { (next(page, job)) }
                    } } }
                }
            }
        }
    }
}

fn next(page: &Page, job: &Value) -> Markup {
    let first = items(job, "next").first().and_then(Value::as_str).and_then(super::read::parse);
    match first {
        _ if flag(job, "due") => html! { "due now" },
        Some(at) => when(Some(at), page.now),
        None => html! { "–" },
    }
}
