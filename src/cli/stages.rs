//! Measures the stages of an operation for `--verbose`. A stage ends where the next one begins.

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::text;
use crate::names::printable;
use crate::progress::{Progress, Stage};

/// The line by which a job of `run` reports that the application may write.
pub(super) const CAPTURED: &str = r#"{"captured":true}"#;

/// A stage that began.
#[derive(Debug, Clone)]
struct Begun {
    stage: Stage,
    subject: String,
    total: u64,
    at: Instant,
}

/// Progress that also remembers when each stage began.
pub(super) struct Stages<P> {
    progress: P,
    /// Whether a line on stderr reports that the databases are captured.
    reports_captured: bool,
    begun: Mutex<Vec<Begun>>,
}

impl<P: Progress> Stages<P> {
    pub(super) fn new(progress: P) -> Self {
        Self { progress, reports_captured: false, begun: Mutex::default() }
    }

    /// Prints [`CAPTURED`] on stderr when the databases are captured.
    pub(super) fn report_captured(self) -> Self {
        Self { reports_captured: true, ..self }
    }

    /// Ends the last stage. Returns each stage's duration and label; `label` gets its subject and size.
    pub(super) fn end(self, label: impl Fn(Stage, &str, u64) -> String) -> Vec<(Duration, String)> {
        let now = Instant::now();
        let begun = self.begun.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ends = begun.iter().skip(1).map(|next| next.at).chain([now]);
        begun.iter().zip(ends).map(|(one, end)| (end - one.at, label(one.stage, &one.subject, one.total))).collect()
    }
}

impl<P: Progress> Progress for Stages<P> {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        let begun = Begun { stage, subject: printable(subject).into_owned(), total, at: Instant::now() };
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(begun);
        self.progress.begin(stage, subject, total);
    }

    fn captured(&self) {
        self.progress.captured();
        if self.reports_captured {
            // Nobody reads it if the supervisor is gone; the backup is as good.
            let _ = writeln!(io::stderr(), "{CAPTURED}");
        }
    }

    fn advance(&self, units: u64) {
        self.progress.advance(units);
    }

    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}

/// Returns the lines about stages: how long each took, and what it did.
pub(super) fn lines(stages: &[(Duration, String)]) -> impl Iterator<Item = String> + use<'_> {
    stages.iter().map(|(took, label)| format!("  {:>8}  {label}", text::took(*took)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn every_stage_has_its_own_time_and_none_is_lost() {
        let stages = Stages::new(Silent);
        let started = Instant::now();
        stages.begin(Stage::Copy, "app", 10);
        stages.begin(Stage::Copy, "users", 20);
        stages.begin(Stage::Commit, "app", 0);
        let ended = stages.end(|stage, subject, total| format!("{stage:?} {subject} {total}"));
        let labels: Vec<&str> = ended.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["Copy app 10", "Copy users 20", "Commit app 0"]);
        assert!(ended.iter().map(|(took, _)| *took).sum::<Duration>() <= started.elapsed());
        assert_eq!(
            lines(&[(Duration::from_millis(1234), "copy app".into())]).collect::<Vec<_>>(),
            ["     1.2 s  copy app"]
        );
    }
}
