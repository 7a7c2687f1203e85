//! Shows progress as a bar on stderr, and cancels the operation after a signal.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::table::shortened;
use crate::names::printable;
use crate::progress::{Progress, Stage};

/// The stages of a backup.
pub(super) const BACKUP: &[Stage] = &[Stage::Copy, Stage::Pack, Stage::ReadBack, Stage::Commit];
/// The stages of a restore that replaces something and takes a safety backup first.
pub(super) const REPLACE: &[Stage] =
    &[Stage::Unpack, Stage::Check, Stage::Copy, Stage::Pack, Stage::ReadBack, Stage::Replace];
/// The stages of a restore that takes no safety backup.
pub(super) const RESTORE: &[Stage] = &[Stage::Unpack, Stage::Check, Stage::Replace];

/// Maximum width of a stage's subject: the bar must still fit at 60 columns.
const SUBJECT: usize = 20;

/// The operation that a bar is part of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Overall {
    /// Unknown.
    Unknown,
    /// An operation of these stages, in this order.
    Stages(&'static [Stage]),
    /// One archive of several.
    Archive {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// Not at all.
    Hidden,
    /// As a bar.
    Bar,
    /// As lines of JSON.
    Json,
}

/// How often a line is printed while a stage goes on.
const LINES_EVERY: Duration = Duration::from_millis(200);

/// A stage as lines of JSON.
struct Lines {
    stage: Stage,
    subject: String,
    done: u64,
    total: u64,
    printed: Instant,
}

impl Lines {
    fn print(&mut self) {
        self.printed = Instant::now();
        let Self { stage, subject, done, total, .. } = self;
        let line = json!({ "stage": stage.as_str(), "subject": subject, "done": done, "total": total });
        // One write, because stderr has no buffer and each write wakes the reader. Nobody reads it if that is gone.
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// A progress bar, a hidden one, or lines.
pub(super) struct Bar {
    bar: ProgressBar,
    display: Display,
    lines: Mutex<Option<Lines>>,
    signal: Arc<AtomicUsize>,
    overall: Overall,
    /// How many stages of [`Overall::Stages`] have begun.
    reached: AtomicUsize,
}

impl Bar {
    pub(super) fn new(display: Display, signal: Arc<AtomicUsize>, overall: Overall) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, display, lines: Mutex::default(), signal, overall, reached: AtomicUsize::new(0) }
    }

    /// Returns the position in the whole operation: `2/4 `. An uncounted stage belongs to the one before it.
    fn position(&self, stage: Stage) -> String {
        let (number, of) = match self.overall {
            Overall::Unknown => return String::new(),
            Overall::Archive { number, of } => (number, of),
            Overall::Stages(stages) => {
                let number = stages.iter().position(|one| *one == stage).map_or(0, |index| index + 1);
                (self.reached.fetch_max(number, Ordering::Relaxed).max(number), stages.len())
            }
        };
        if number == 0 || of == 1 { String::new() } else { format!("{number}/{of} ") }
    }
}

impl Progress for Bar {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        if self.display == Display::Json {
            let subject = printable(subject).into_owned();
            let mut lines = Lines { stage, subject, done: 0, total, printed: Instant::now() };
            lines.print();
            *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines);
            return;
        }
        let position = self.position(stage);
        // Hidden until fully set up, so that no bar shows the numbers of another stage.
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        if self.display == Display::Hidden || (stage, total) == (Stage::Archives, 0) {
            return;
        }
        let verb = match stage {
            Stage::Lock => "locking",
            Stage::Copy => "copying",
            Stage::Pack => "checking and packing",
            Stage::Encrypt => "encrypting",
            Stage::ReadBack => "reading back",
            Stage::Unpack => "unpacking",
            Stage::Check => "checking",
            Stage::Replace => "replacing",
            Stage::Commit => "committing",
            Stage::Upload => "uploading",
            Stage::Download => "downloading",
            Stage::Archives => "reading archives of",
        };
        let template = match (stage, total) {
            (_, 0) => "{spinner} {msg} {elapsed}",
            (Stage::Archives, _) => "{msg} {wide_bar} {pos}/{len} {eta}",
            _ => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
        };
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(format!("{position}{verb} {}", shortened(&printable(subject), SUBJECT)));
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.tick();
        // Ticking needs a thread: none for a hidden bar.
        if total == 0 && !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    fn advance(&self, units: u64) {
        if self.display != Display::Json {
            return self.bar.inc(units);
        }
        if let Some(lines) = &mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner) {
            lines.done += units;
            if lines.printed.elapsed() >= LINES_EVERY {
                lines.print();
            }
        }
    }

    fn cancelled(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_in_an_operation_never_goes_back() {
        let bar = |overall| Bar::new(Display::Hidden, Arc::default(), overall);
        let replace = bar(Overall::Stages(REPLACE));
        let stages = [
            Stage::Archives,
            Stage::Unpack,
            Stage::Check,
            Stage::Copy,
            Stage::Check,
            Stage::ReadBack,
            Stage::Replace,
            Stage::Upload,
        ];
        assert_eq!(
            stages.map(|stage| replace.position(stage)),
            ["", "1/6 ", "2/6 ", "3/6 ", "3/6 ", "5/6 ", "6/6 ", "6/6 "]
        );
        assert_eq!(bar(Overall::Archive { number: 3, of: 12 }).position(Stage::Check), "3/12 ");
        assert_eq!(bar(Overall::Archive { number: 1, of: 1 }).position(Stage::Check), "");
        assert_eq!(bar(Overall::Unknown).position(Stage::Check), "");
    }
}
