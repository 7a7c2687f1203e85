//! How a command ends: its exit code, which is a stable interface, and how errors are printed.

use std::sync::LazyLock;

use super::invocation::Invocation;
use super::remedy;
use super::ui::Ui;
use crate::database::sqlite_version;
use crate::failure::is_interruption;
use crate::ops::explain::explain;
use crate::report::error::{ErrorDocument, ErrorReport};

/// What `--version` says: the release, and that of the SQLite that is linked in.
pub static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (SQLite {})", env!("CARGO_PKG_VERSION"), sqlite_version()));

/// The table that `--help` ends with.
pub const CODES: &str = "\
Exit codes:
   0  done                              13  damaged: database or archive failed its check
   1  failed                            14  target exists or is in use
   2  usage or configuration            15  not enough space
   3  done, with problems               16  store unreachable (try again)
  10  no such database                  17  key missing or wrong
  11  locked or busy (try again)    20, 21  health: warning, critical
  12  no such backup                   125  guard itself failed
                                     128+N  ended by signal N";

/// How a successful command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// Done, with reported problems.
    Problems,
    /// The command found a problem: a damaged archive, a warning.
    Found(u8),
    /// The guarded command ended with this code, or a health check failed.
    Ended(u8),
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Problems => 3,
            Self::Found(code) | Self::Ended(code) => code,
        }
    }
}

/// Returns the exit code that an error ends with; `signal` is the signal that stopped the run, if one did.
pub fn exit_code(error: &anyhow::Error, signal: Option<u8>) -> u8 {
    match signal {
        Some(signal) if is_interruption(error) => 128 + signal,
        _ => explain(error).kind.code(),
    }
}

/// Prints a clap error (also help and version, which are not errors) and returns its exit code.
pub(super) fn usage(error: &clap::Error) -> u8 {
    // Ignored: help that cannot be written harms nothing.
    let _ = error.print();
    if error.use_stderr() { 2 } else { 0 }
}

/// Returns what is reported about an error, its exit code among it.
fn error_report(error: &anyhow::Error, typed: &Invocation, ui: &Ui) -> ErrorReport {
    let code = exit_code(error, ui.signal());
    let failure = explain(error);
    let kind = if code > 128 { "interrupted" } else { failure.kind.as_str() };
    let hint = failure.remedy.map(|remedy| remedy::hint(&remedy, typed));
    ErrorReport { code, kind, message: failure.message, hint }
}

/// Prints an error, its causes and its hint, and returns the exit code.
pub(super) fn report(error: &anyhow::Error, typed: &Invocation, ui: &mut Ui) -> u8 {
    let error = error_report(error, typed, ui);
    let code = error.code;
    if ui.is_json() {
        ui.stderr_json(&ErrorDocument { error });
    } else {
        ui.error(&error.message, error.hint.as_deref());
    }
    code
}

/// Returns the exit code of a command, and what is reported about its error. Prints nothing.
pub(super) fn judged(result: anyhow::Result<Outcome>, typed: &Invocation, ui: &Ui) -> (u8, Option<ErrorReport>) {
    match result {
        Ok(outcome) => (outcome.code(), None),
        Err(error) => {
            let error = error_report(&error, typed, ui);
            (error.code, Some(error))
        }
    }
}

/// Turns the result of a command into the exit code.
pub(super) fn finish(result: anyhow::Result<Outcome>, typed: &Invocation, ui: &mut Ui) -> u8 {
    let code = match result {
        Ok(outcome) => outcome.code(),
        Err(error) => return report(&error, typed, ui),
    };
    match ui.output_failure() {
        // The work is done; only its output failed.
        Some(cause) if code == 0 => {
            ui.error(&format!("the result could not be written to standard output: {cause}"), None);
            3
        }
        _ => code,
    }
}

/// Prints an error where nothing is known of the terminal and the options.
pub(super) fn plain(message: &str) {
    use std::io::Write as _;
    // A failed write to stderr cannot be reported anywhere.
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
}
