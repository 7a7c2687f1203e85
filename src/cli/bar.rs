//! Shows progress as a bar on stderr, and passes on that a signal came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::names::printable;
use crate::progress::{Progress, Stage};

/// A bar, or nothing to see.
pub(super) struct Bar {
    bar: ProgressBar,
    signal: Arc<AtomicUsize>,
}

impl Bar {
    pub(super) fn new(visible: bool, signal: Arc<AtomicUsize>) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bar: ProgressBar::with_draw_target(None, target), signal }
    }
}

impl Progress for Bar {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        let verb = match stage {
            Stage::Copy => "copying",
            Stage::Pack => "packing",
            Stage::ReadBack => "reading back",
            Stage::Unpack => "unpacking",
            Stage::Check => "checking",
            Stage::Replace => "replacing",
            Stage::Upload => "sending",
            Stage::Archives => "archives",
        };
        let template = match (stage, total) {
            (_, 0) => "{spinner} {msg} {elapsed}",
            (Stage::Archives, _) => "{msg} {wide_bar} {pos}/{len} {eta}",
            _ => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        };
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(format!("{verb} {}", printable(subject)));
        // The tick is a thread: none for a bar that nobody sees.
        if total == 0 && !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            self.bar.disable_steady_tick();
        }
    }

    fn advance(&self, units: u64) {
        self.bar.inc(units);
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
