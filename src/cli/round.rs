//! What a command did, for the notices: commands fill it in where they know it.

use std::thread::JoinHandle;

use crate::config::Event;
use crate::failure::Failure;
use crate::notices::Ended;
use crate::notify::{Answer, Ping};
use crate::report::backup::{Backup, Made};
use crate::report::copies::Copy;
use crate::report::health::{Report, State};
use crate::report::notice::{CopyNotice, Notice, Safe, SetNotice};

use super::exit::Outcome;
use super::record::Record;

/// The exit code of damage.
const DAMAGED: u8 = 13;

/// What became of a set whose file is gone.
const GONE: &str = "gone";

/// What happened in this run so far.
#[derive(Debug, Default)]
pub struct Round {
    parts: Vec<Part>,
    copies: Vec<CopyNotice>,
    /// What went wrong although the command did not fail, with its code.
    failed: Option<(String, u8)>,
    /// What to do next, of the first part that knows it.
    hint: Option<String>,
    /// Whether nothing was to be done: a dry run.
    pub(super) is_silent: bool,
    /// Whether the end of a run is near, so that there is little time.
    pub(super) is_final: bool,
}

/// What happened to one set.
#[derive(Debug)]
struct Part {
    notice: SetNotice,
    /// The kind of the error; `None` if all is well.
    code: Option<u8>,
    /// The good backup that was made.
    good: Option<Safe>,
}

/// What is left to do when a command ended.
#[derive(Default)]
pub struct Notices {
    pub(super) summary: Option<(Summary, Option<Ping>)>,
    /// The id that pairs the pings of this run.
    pub(super) run: String,
    pub(super) started: Option<JoinHandle<Vec<Answer>>>,
    /// Whether the application ends, so that there is little time.
    pub(super) at_the_end: bool,
}

/// What a run leads to.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) notice: Notice,
    /// What the trouble is about, and what is well.
    pub(super) ended: Vec<Ended>,
    /// What the notice is about whatever was reported before.
    pub(super) plain: Vec<Event>,
    /// What it is about if the trouble is reported.
    pub(super) trouble: Vec<Event>,
    /// The good backups that were made, by set.
    pub(super) good: Vec<(String, Safe)>,
    /// The archives that were verified, and whether they are good.
    pub(super) verified: Vec<(String, bool)>,
}

impl Round {
    /// Notes that a set could not be backed up.
    pub(super) fn failed(&mut self, set: &str, failure: &Failure, hint: Option<String>) {
        let notice = SetNotice {
            set: Some(set.to_owned()),
            outcome: "failed".into(),
            error: Some(failure.message.clone()),
            ..SetNotice::default()
        };
        self.parts.push(Part { notice, code: Some(failure.kind.code()), good: None });
        self.hint = self.hint.take().or(hint);
    }

    /// Notes that a database of a pattern is gone, which no earlier run reported.
    pub(super) fn gone(&mut self, set: &str) {
        let error = Some("its file is gone; its archives are kept".into());
        let notice = SetNotice { set: Some(set.to_owned()), outcome: GONE.into(), error, ..SetNotice::default() };
        self.parts.push(Part { notice, code: None, good: None });
    }

    /// Notes that nothing was saved although the command goes on.
    pub(super) fn nothing_saved(&mut self, why: &str, code: u8) {
        self.failed = Some((why.to_owned(), code));
    }

    /// Notes what became of a set.
    pub(super) fn backed_up(&mut self, document: &Backup, is_damaged: bool) {
        let (set, outcome) = match document {
            Backup::Made(made) => return self.made(made, is_damaged),
            Backup::SkippedRecent(skipped) => (&skipped.set, "recent"),
            Backup::Unchanged(unchanged) => (&unchanged.set, "unchanged"),
            Backup::SkippedMissing(skipped) if skipped.lost.is_empty() => (&skipped.set, "not there yet"),
            Backup::SkippedMissing(skipped) => (&skipped.set, "lost"),
            Backup::Planned(_) | Backup::Compared(_) | Backup::SkippedNoKey(_) => return,
        };
        let notice = SetNotice { set: Some(set.to_string()), outcome: outcome.into(), ..SetNotice::default() };
        self.parts.push(Part { notice, code: None, good: None });
    }

    fn made(&mut self, made: &Made, is_damaged: bool) {
        let plain: u64 = made.databases.iter().map(|database| database.bytes).sum();
        // No share of nothing, and none if the archive is larger.
        let saved = (plain > made.bytes).then(|| 1.0 - made.bytes as f64 / plain as f64);
        // The name, without the store in front of it.
        let archive = made.archive.rsplit('/').next().unwrap_or(&made.archive).to_owned();
        let notice = SetNotice {
            set: Some(made.set.to_string()),
            outcome: if is_damaged { "damaged" } else { "made" }.into(),
            archive: Some(archive.clone()),
            bytes: Some(made.bytes),
            saved,
            ..SetNotice::default()
        };
        // A backup is read back before it counts.
        let good = Safe { archive, at: made.created_at, verified_at: Some(made.created_at) };
        let code = is_damaged.then_some(DAMAGED);
        self.parts.push(Part { notice, code, good: Some(good).filter(|_| !is_damaged) });
    }

    /// Notes what the further stores got.
    pub(super) fn copied(&mut self, copies: &[Copy]) {
        self.copies.extend(copies.iter().map(|copy| CopyNotice {
            name: copy.name.to_string(),
            store: copy.store.clone(),
            copied: copy.copied.len() as u64,
            missing: copy.missing.len() as u64,
            errors: copy.errors.clone(),
        }));
    }

    /// Notes which backups are late.
    pub(super) fn judged(&mut self, report: &Report) {
        for check in report.checks.iter().filter(|check| matches!(check.name, "backup_age" | "store")) {
            let code = match check.state {
                State::Ok => None,
                State::Warning => Some(20),
                State::Critical => Some(21),
            };
            let Some(set) = check.subject.set() else {
                // The store cannot be read, so nobody knows how old the backups are.
                if let Some(code) = code {
                    self.failed = Some((check.value.clone(), code));
                }
                continue;
            };
            let notice = SetNotice {
                set: Some(set.to_string()),
                outcome: if code.is_some() { "late" } else { "ok" }.into(),
                error: code.map(|_| check.value.clone()),
                ..SetNotice::default()
            };
            self.parts.push(Part { notice, code, good: None });
            self.hint = self.hint.take().or_else(|| check.advice.clone().filter(|_| code.is_some()));
        }
    }

    /// Returns the summary of a finished command. `code` is its exit code, `failure` its error.
    pub(super) fn summary(
        self,
        command: &str,
        code: u8,
        failure: Option<(&Failure, Option<String>)>,
        records: &[Record],
    ) -> Summary {
        let Self { mut parts, copies, failed, mut hint, .. } = self;
        let mut verified = Vec::new();
        for record in records.iter().filter(|_| matches!(command, "verify" | "restore")) {
            let Some(archive) = record.archive.clone() else { continue };
            let bad = matches!(record.outcome, Some(Outcome::Found(_) | Outcome::Ended(_)));
            if command == "verify" {
                verified.push((archive.clone(), !bad));
            }
            let outcome = match (command, bad) {
                ("restore", _) => "restored",
                (_, true) => "damaged",
                (_, false) => "verified",
            };
            let notice = SetNotice {
                set: record.set.clone(),
                outcome: outcome.into(),
                archive: Some(archive),
                bytes: record.bytes,
                ..SetNotice::default()
            };
            parts.push(Part { notice, code: bad.then_some(DAMAGED), good: None });
        }
        let is_removal = |record: &&Record| record.archive.is_some() && record.outcome.is_none();
        let removed = match command {
            "backup" | "rotate" | "cleanup" => records.iter().filter(is_removal).count() as u64,
            _ => 0,
        };
        let of_parts = parts.iter().filter_map(|part| part.code).max();
        let mut error = failed.as_ref().map(|(why, _)| why.clone());
        let code = failed.map_or(code, |(_, code)| code);
        if let Some((failure, next)) = failure {
            // The error of the only set stands with it.
            if of_parts.is_none() || code != of_parts.unwrap_or_default() {
                error = Some(failure.message.clone());
            }
            hint = hint.or(next);
        }

        let mut ended = Vec::new();
        let subject = |set: &Option<String>| format!("{}/{}", kind_of(command), set.as_deref().unwrap_or_default());
        if matches!(command, "backup" | "health") {
            // A set that is not there says nothing about its backups.
            let is_judged = |part: &&Part| !matches!(part.notice.outcome.as_str(), "not there yet" | "lost" | GONE);
            for part in parts.iter().filter(is_judged) {
                ended.push(Ended { subject: subject(&part.notice.set), code: part.code });
                let is_made = command == "backup" && part.good.is_some();
                ended.extend(is_made.then(|| Ended { subject: format!("late/{}", name_of(part)), code: None }));
            }
        }
        // The command as a whole: what its parts do not say.
        let rest = match (command, of_parts) {
            ("health", _) => error.is_some().then_some(code),
            (_, None) => Some(code).filter(|code| *code != 0),
            ("backup", Some(_)) => None,
            (_, Some(worst)) => Some(worst),
        };
        if rest.is_some() || of_parts.is_none() {
            ended.push(Ended { subject: kind_of(command).to_owned(), code: rest });
        }

        let has_copy_errors = copies.iter().any(|copy| !copy.errors.is_empty());
        let codes: Vec<u8> = ended.iter().filter_map(|ended| ended.code).collect();
        let mut trouble = Vec::new();
        if command == "health" {
            trouble.extend((!codes.is_empty()).then_some(Event::Late));
        } else {
            trouble.extend(codes.iter().any(|code| *code != 3).then_some(Event::Failure));
            trouble.extend(codes.contains(&DAMAGED).then_some(Event::Damage));
            trouble.extend(codes.contains(&3).then_some(Event::Problems));
            trouble.extend(has_copy_errors.then_some(Event::Copy));
        }
        let mut plain = Vec::new();
        // Whoever wants to know of problems decides whether it is one. It is no trouble that lasts.
        plain.extend(parts.iter().any(|part| part.notice.outcome == GONE).then_some(Event::Problems));
        plain.extend(parts.iter().any(|part| part.good.is_some()).then_some(Event::Success));
        plain.extend((command == "restore" && codes.is_empty() && !parts.is_empty()).then_some(Event::Restore));
        plain.extend(copies.iter().any(|copy| copy.copied > 0).then_some(Event::Copy));

        let good = parts.iter().filter_map(|part| Some((name_of(part), part.good.clone()?))).collect();
        parts.sort_by_key(|part| (part.code.is_none(), part.notice.outcome != GONE));
        let notice = Notice {
            command: command.to_owned(),
            failed_sets: parts.iter().filter(|part| part.code.is_some()).count() as u64,
            more_sets: parts.len().saturating_sub(crate::report::notice::NAMED) as u64,
            sets: parts.into_iter().take(crate::report::notice::NAMED).map(|part| part.notice).collect(),
            copies,
            removed,
            error,
            hint,
            ..Notice::default()
        };
        Summary { notice, ended, plain, trouble, good, verified }
    }
}

/// What a trouble of a command is called: health finds late backups.
fn kind_of(command: &str) -> &str {
    if command == "health" { "late" } else { command }
}

fn name_of(part: &Part) -> String {
    part.notice.set.clone().unwrap_or_default()
}
