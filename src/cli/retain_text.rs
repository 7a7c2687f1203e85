//! What `rotate` and `cleanup` print: the plan, the result, and how far back archives reach.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, text};
use crate::groups::{Group, are_ambiguous, groups};
use crate::names::printable;
use crate::ops::reports::Progressed as Shown;
use crate::ops::retain::Fate;
use crate::ops::stale::{Remedy, Stale, Whereabouts};
use crate::retention::{Action, Plan, Reason, Rule, Verdict};
use crate::store::Removal;
use crate::streams::Stream;

/// Prints a plan or its result; `of` is the requested scope, for an empty store.
pub(super) fn show(shown: &Shown<'_>, of: &str, context: &mut Context) {
    warn_of_future(shown.plan, context);
    if context.ui.is_json() {
        return;
    }
    if shown.plan.verdicts.is_empty() {
        context.ui.note(format!("no heirloom archives{of} in the store \"{}\"", printable(&shown.store)));
    } else {
        for text in tables(shown, context) {
            print(shown, text, context);
        }
    }
    show_end(shown, context);
}

/// Warns of archives dated in the future: they stay until they are deleted.
pub(super) fn warn_of_future(plan: &Plan, context: &Context) {
    let future: Vec<&str> = plan
        .kept()
        .filter(|verdict| verdict.reasons.contains(&Reason::Future))
        .map(|verdict| verdict.archive.as_str())
        .collect();
    if !future.is_empty() {
        let delete = context.command_line(&[&["delete"][..], &future].concat());
        let (are, its) = if future.len() == 1 { ("is", "its date is") } else { ("are", "their dates are") };
        let count = text::count(future.len() as u64, "archive");
        context.ui.warning(format!("{count} {are} dated in the future; kept, not counted; if {its} wrong: {delete}"));
    }
}

/// Returns one table of all verdicts, or a heading and a table for each group if set names are ambiguous.
/// is meant.
fn tables(shown: &Shown<'_>, context: &Context) -> Vec<String> {
    let verdicts = &shown.plan.verdicts;
    // Verdicts come newest first, fates oldest first.
    let mut removal = shown.plan.removed().count();
    let fates: Vec<Option<&Fate>> = verdicts
        .iter()
        .map(|verdict| {
            removal -= usize::from(verdict.action == Action::Remove);
            shown.fate(removal).filter(|_| verdict.action == Action::Remove)
        })
        .collect();
    let table = |members: &[usize]| {
        let members: Vec<(&Verdict, Option<&Fate>)> =
            members.iter().map(|index| (&verdicts[*index], fates[*index])).collect();
        if context.ui.wants_details() { each(&members, shown, context) } else { by_reason(&members, shown, context) }
    };
    let groups = groups(verdicts.iter().map(|verdict| verdict.streams.iter().collect()));
    if are_ambiguous(&groups) {
        let heading = |group: &Group| context.ui.paint(Tone::Strong, &group.to_string());
        groups.iter().map(|group| format!("{}\n{}\n", heading(group), table(&group.members))).collect()
    } else {
        vec![table(&(0..verdicts.len()).collect::<Vec<_>>())]
    }
}

/// Returns a line for each archive.
fn each(members: &[(&Verdict, Option<&Fate>)], shown: &Shown<'_>, context: &Context) -> String {
    let columns = [
        Column::new("ARCHIVE").shorten(),
        Column::new("MADE").drop(2),
        Column::new("SIZE").right().drop(1),
        Column::new("VERDICT"),
        Column::new("WHY").wrap(),
    ];
    let mut table = Table::new(&columns);
    for (verdict, fate) in members {
        table.row([
            verdict.archive.to_string(),
            verdict.created_at.with_timezone(&shown.zone).format("%Y-%m-%d %H:%M").to_string(),
            text::bytes(verdict.bytes),
            verdict_text(verdict, *fate, context),
            reasons_text(verdict),
        ]);
    }
    context.ui.table_text(&table)
}

/// Returns a line for each reason: its number of archives and their dates. Kept ones come first.
fn by_reason(members: &[(&Verdict, Option<&Fate>)], shown: &Shown<'_>, context: &Context) -> String {
    let mut lines: Vec<(String, String, Vec<&Verdict>)> = Vec::new();
    let (kept, removed): (Vec<_>, Vec<_>) =
        members.iter().copied().partition(|(verdict, _)| verdict.action == Action::Keep);
    for (verdict, fate) in kept.into_iter().chain(removed) {
        let (word, why) = (verdict_text(verdict, fate, context), main_reason(verdict));
        match lines.iter_mut().find(|line| (&line.0, &line.1) == (&word, &why)) {
            Some((.., verdicts)) => verdicts.push(verdict),
            None => lines.push((word, why, vec![verdict])),
        }
    }
    let columns = [
        Column::new("VERDICT"),
        Column::new("ARCHIVES").right(),
        Column::new("SIZE").right().drop(1),
        Column::new("MADE").drop(6),
        Column::new("WHY").wrap(),
    ];
    let mut table = Table::new(&columns);
    for (word, why, verdicts) in lines {
        let date = |verdict: &Verdict| verdict.created_at.with_timezone(&shown.zone).format("%Y-%m-%d").to_string();
        let dates = (verdicts.last().map(|oldest| date(oldest)), verdicts.first().map(|newest| date(newest)));
        let made = match dates {
            (Some(oldest), Some(newest)) if oldest != newest => format!("{oldest} to {newest}"),
            (oldest, _) => oldest.unwrap_or_default(),
        };
        let bytes = verdicts.iter().map(|verdict| verdict.bytes).sum();
        table.row([word, text::thousands(verdicts.len() as u64), text::bytes(bytes), made, why]);
    }
    context.ui.table_text(&table)
}

/// Returns the reasons of a verdict without details of one archive: the first rule that keeps it, or all
/// that remove it.
fn main_reason(verdict: &Verdict) -> String {
    let rule = |reason: &Reason| match reason {
        Reason::Last { of, .. } => Some(format!("last {of}")),
        Reason::WithinCount { of, .. } => Some(format!("newest {of}")),
        Reason::PreUpdate { of, .. } => Some(format!("last {of} before updates")),
        Reason::NewestOf(period) => Some(period.rule().to_string()),
        _ => None,
    };
    if verdict.action == Action::Keep {
        let first = verdict.reasons.iter().find_map(rule);
        return first.unwrap_or_else(|| verdict.reasons.first().map(ToString::to_string).unwrap_or_default());
    }
    let newer = |reason: &Reason| match reason {
        Reason::NewerIn(period) => period.to_string().split(' ').next().map(str::to_owned),
        _ => None,
    };
    let periods: Vec<String> = verdict.reasons.iter().filter_map(newer).collect();
    let others = verdict.reasons.iter().filter(|reason| newer(reason).is_none()).map(ToString::to_string);
    let newer = (!periods.is_empty()).then(|| format!("newer one in the same {}", periods.join(" and ")));
    others.chain(newer).collect::<Vec<_>>().join(", ")
}

fn verdict_text(verdict: &Verdict, fate: Option<&Fate>, context: &Context) -> String {
    match (verdict.action, fate) {
        (Action::Keep, _) => context.ui.paint(Tone::Good, "keep"),
        (Action::Remove, fate) => {
            let word = match fate {
                None => "remove",
                Some(Fate::Removed) => "removed",
                Some(Fate::GoneAlready) => "gone",
                Some(Fate::PinnedMeanwhile | Fate::NotAgreed | Fate::Spared(_)) => "stays",
                Some(Fate::Failed(_)) => "failed",
            };
            context.ui.paint(Tone::Bad, word)
        }
    }
}

/// Returns the line about a stream that gets no new archives, with a command to fix it.
pub(super) fn stale_text(stale: &Stale, context: &Context) -> String {
    let age = text::age(stale.newest, context.now);
    let set = stale.stream.set.as_str();
    let path = stale.stream.path().unwrap_or_default();
    let then = match stale.database {
        Whereabouts::Gone => {
            let verb = if stale.remedy == Remedy::Cleanup { "cleanup" } else { "rotate" };
            let command = context.command_line(&[verb, "--gone", "90d", "--set", set]);
            format!("its database is gone; to keep only its newest archive: {command}")
        }
        Whereabouts::There => {
            format!(
                "its database still exists; to back it up: \
            {}",
                context.command_line(&["backup", path, "--set", set])
            )
        }
        Whereabouts::Unknown => {
            "it is not known whether its database still exists; remove archives that are not needed with `heirloom \
             delete`"
                .into()
        }
    };
    format!("{}: the newest archive is from {age}; {then}", text::stream(&stale.stream))
}

/// Prints a line. Plans are always printed, since they were requested or a prompt follows; results only for
/// people, so that cron has nothing to mail.
fn print(shown: &Shown<'_>, line: String, context: &mut Context) {
    if shown.fates.is_none() { context.ui.result(line) } else { context.ui.summary(line) }
}

/// Prints totals, and how far back archives reach.
pub(super) fn show_end(shown: &Shown<'_>, context: &mut Context) {
    if context.ui.is_json() {
        return;
    }
    let kept = text::count(shown.plan.kept().count() as u64, "archive");
    let kept_bytes = text::bytes(shown.plan.kept().map(|verdict| verdict.bytes).sum());
    let bytes = text::bytes(shown.removed_bytes());
    let mut lines = match shown.fates {
        None => vec![format!("keep {kept} ({kept_bytes}), remove {} ({bytes})", shown.plan.removed().count())],
        Some(fates) => {
            let removed = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Removed)).count();
            let fate = match shown.removal {
                Removal::Freed => " freed",
                Removal::Hidden if removed > 0 => " hidden: the store keeps old versions",
                Removal::Hidden | Removal::Unknown => "",
            };
            vec![format!("kept {kept} ({kept_bytes}), removed {removed} ({bytes}{fate})")]
        }
    };
    // Databases that reach equally far back share a line.
    let mut reaches: Vec<(String, Vec<&Stream>)> = Vec::new();
    for stream in shown.plan.streams() {
        let Some(line) = how_far_back(&shown.plan.of_stream(stream), context.now, shown.zone) else { continue };
        match reaches.iter_mut().find(|reach| reach.0 == line) {
            Some((_, streams)) => streams.push(stream),
            None => reaches.push((line, vec![stream])),
        }
    }
    let several = reaches.len() > 1;
    for (line, streams) in reaches {
        lines.push(if several { format!("{}: {line}", names(&streams)) } else { line });
    }
    if shown.plan.left_alone > 0 {
        let others = text::count(shown.plan.left_alone as u64, "archive");
        lines.push(format!("{others} of other hosts or sets not touched"));
    }
    if shown.leftovers > 0 {
        let done = if shown.fates.is_some() { "removed" } else { "to remove" };
        lines.push(format!("{} of interrupted runs {done}", text::count(shown.leftovers as u64, "leftover")));
    }
    let foreign = shown.seen.foreign.len() as u64;
    if foreign > 0 {
        lines.push(format!(
            "{} not touched: not a heirloom archive (see `heirloom \
            list`)",
            text::count(foreign, "file")
        ));
    }
    for line in lines {
        print(shown, line, context);
    }
}

/// Returns the names of streams; set and host are printed only with the first stream that has them.
fn names(streams: &[&Stream]) -> String {
    let name = |(index, stream): (usize, &&Stream)| {
        let is_said = index > 0 && (&streams[index - 1].set, &streams[index - 1].host) == (&stream.set, &stream.host);
        if is_said { stream.place.to_string() } else { text::stream(stream) }
    };
    streams.iter().enumerate().map(name).collect::<Vec<_>>().join(" and ")
}

/// Returns how far back each rule reaches that keeps something: `daily back to 2026-02-23, weekly back to …`.
pub(super) fn how_far_back(plan: &Plan, now: DateTime<Utc>, zone: Tz) -> Option<String> {
    let date = |verdict: &Verdict| verdict.created_at.with_timezone(&zone).format("%Y-%m-%d").to_string();
    let by_rule = Rule::ALL.into_iter().filter_map(|rule| {
        let oldest = plan.reach_of(rule)?;
        Some(match rule {
            Rule::Last => {
                format!("every backup back to {}", oldest.created_at.with_timezone(&zone).format("%Y-%m-%d %H:%M"))
            }
            Rule::Hourly => {
                format!("hourly back to {}", oldest.created_at.with_timezone(&zone).format("%Y-%m-%d %H:%M"))
            }
            Rule::Daily => format!("daily back to {}", date(oldest)),
            Rule::Weekly => format!("weekly back to {}", date(oldest)),
            Rule::Monthly => format!("monthly back to {}", date(oldest)),
            Rule::Yearly => format!("yearly back to {}", date(oldest)),
        })
    });
    let by_rule: Vec<String> = by_rule.collect();
    let oldest = plan.oldest()?;
    let age = text::age(oldest.created_at, now);
    Some(if by_rule.is_empty() {
        format!("oldest archive from {} ({age})", date(oldest))
    } else {
        format!("{}; the oldest is from {} ({age})", by_rule.join(", "), date(oldest))
    })
}

/// Returns the reasons of a verdict as one text.
pub(super) fn reasons_text(verdict: &Verdict) -> String {
    verdict.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
