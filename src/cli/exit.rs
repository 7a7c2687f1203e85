//! Exit codes, a public promise, and the one place where errors get theirs.

use std::io;
use std::sync::LazyLock;

use serde_json::json;

use super::ui::Ui;
use crate::archive::ArchiveError;
use crate::database::{SourceError, TargetError, sqlite_version};
use crate::names::printable;
use crate::ops::resolve::ResolveError;
use crate::ops::restore::RestoreError;
use crate::progress::Interrupted;
use crate::store::{StoreError, Strangeness};
use crate::text::{shell_word, unexpanded};
use crate::workspace::LockError;

/// What `--version` says: the release, and that of the SQLite that is linked in.
pub static VERSION: LazyLock<String> = LazyLock::new(|| format!("{} (SQLite {})", env!("CARGO_PKG_VERSION"), sqlite_version()));

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

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// It was done, with problems that were reported.
    Problems,
    /// The command found what it looks for: a damaged archive, a warning.
    Found(u8),
    /// A command that was run ended with this code, or what it did is not healthy.
    Ended(u8),
}

/// A wrong command line or configuration: exit code 2.
#[derive(Debug)]
pub struct Usage {
    /// What is wrong.
    pub message: String,
    /// What to type instead.
    pub hint: Option<String>,
}

impl Usage {
    /// Makes an error with a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Usage {}

/// No archive can be taken for what was asked: exit code 12.
#[derive(Debug)]
pub struct NoBackup {
    /// What was asked for, and why it is not there.
    pub message: String,
    /// What to type instead.
    pub hint: String,
}

impl std::fmt::Display for NoBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NoBackup {}

/// An error of the layers below with a hint that names a whole command, which only the face can.
#[derive(Debug)]
pub struct Advised<E> {
    /// The error.
    pub error: E,
    /// What to type.
    pub hint: String,
}

impl<E: std::fmt::Display> std::fmt::Display for Advised<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Advised<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A file is in the way that this command never replaces: exit code 14.
#[derive(Debug)]
pub struct InTheWay(pub std::path::PathBuf);

impl std::fmt::Display for InTheWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\" is already there and was not changed", printable(&self.0.to_string_lossy()))
    }
}

impl std::error::Error for InTheWay {}

/// Something stays as it is because nothing could replace it: exit code 14.
#[derive(Debug)]
pub struct Refused {
    /// What stays, and why.
    pub message: String,
    /// What to type instead.
    pub hint: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

/// `guard` could not do its part: exit code 125, whatever the cause. Says what state things are in.
#[derive(Debug)]
pub struct GuardFailed {
    state: String,
    hint: Option<String>,
}

impl GuardFailed {
    /// Says what state things are in.
    pub fn new(state: impl Into<String>) -> Self {
        Self { state: state.into(), hint: None }
    }

    /// Says what to type; else the hint of the cause counts.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for GuardFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.state)
    }
}

/// What an error means to the outside.
struct Meaning {
    code: u8,
    kind: &'static str,
    hint: Option<String>,
}

/// Finds the first error of the chain that has a meaning of its own.
fn meaning(error: &anyhow::Error) -> Meaning {
    if let Some(guard) = error.downcast_ref::<GuardFailed>() {
        let hint = guard.hint.clone().or_else(|| meaning_of_cause(error).hint);
        return Meaning { code: 125, kind: "guard_failed", hint };
    }
    meaning_of_cause(error)
}

/// Finds the meaning of what went wrong underneath.
fn meaning_of_cause(error: &anyhow::Error) -> Meaning {
    // A full disk decides wherever in the chain it stands: the cure is the same.
    if error.chain().any(is_no_space) {
        let hint = match error.chain().find_map(|cause| cause.downcast_ref::<RestoreError>()) {
            Some(error @ RestoreError::NoRoom { .. }) => error.hint(),
            _ => "free some space on the disk of that file (`df -h`), or use a folder on another disk with `--dir`; \
                  nothing that was there before was changed"
                .into(),
        };
        return Meaning { code: 15, kind: "no_space", hint: Some(hint) };
    }
    error.chain().find_map(meaning_of).unwrap_or(Meaning { code: 1, kind: "failed", hint: None })
}

fn is_no_space(cause: &(dyn std::error::Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
}

fn meaning_of(cause: &(dyn std::error::Error + 'static)) -> Option<Meaning> {
    let own = |code, kind, hint: Option<&str>| Some(Meaning { code, kind, hint: hint.map(str::to_owned) });
    if let Some(usage) = cause.downcast_ref::<Usage>() {
        return own(2, "usage", usage.hint.as_deref());
    }
    if let Some(none) = cause.downcast_ref::<NoBackup>() {
        return own(12, "no_backup", Some(&none.hint));
    }
    if let Some(Advised { error, hint }) = cause.downcast_ref::<Advised<RestoreError>>() {
        return meaning_of(error).map(|meaning| Meaning { hint: Some(hint.clone()), ..meaning });
    }
    if cause.is::<InTheWay>() {
        return own(14, "target_exists", Some("name another file, or move this one away first"));
    }
    if let Some(source) = cause.downcast_ref::<SourceError>() {
        let (code, kind) = match source {
            SourceError::Missing(_) | SourceError::NotAFile { .. } | SourceError::Empty { .. } => (10, "no_database"),
            SourceError::NotADatabase { .. }
            | SourceError::Damaged { .. }
            | SourceError::Contradicted { .. }
            | SourceError::Unsupported { .. }
            | SourceError::Unlinked { .. } => (13, "damaged"),
            SourceError::Busy { .. } | SourceError::Exclusive { .. } => (11, "busy"),
            SourceError::Io { .. } => (1, "failed"),
            SourceError::Interrupted(_) => return None,
        };
        return own(code, kind, source.hint().as_deref());
    }
    if let Some(target) = cause.downcast_ref::<TargetError>() {
        let (code, kind) = match target {
            TargetError::Busy { .. } => (11, "busy"),
            TargetError::Refused { .. } | TargetError::NotOwner { .. } => (14, "target_in_use"),
            TargetError::Failed { .. } | TargetError::Io { .. } => (1, "failed"),
            TargetError::Source(_) | TargetError::Interrupted(_) => return None,
        };
        return own(code, kind, target.hint().as_deref());
    }
    if let Some(archive) = cause.downcast_ref::<ArchiveError>() {
        let (code, kind) = match archive {
            ArchiveError::FormatTooNew { .. }
            | ArchiveError::NotAnArchive { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::Hostile { .. } => (13, "damaged"),
            ArchiveError::MetadataTooLarge { .. } | ArchiveError::Io(_) => (1, "failed"),
            ArchiveError::KeyMissing => (17, "key_missing"),
            ArchiveError::Interrupted(_) => return None,
        };
        return own(code, kind, archive.hint());
    }
    if let Some(store) = cause.downcast_ref::<StoreError>() {
        return match store {
            StoreError::Unreachable { location, cause } => own(16, "store_unreachable", Some(&hint_for_unreachable(location, cause))),
            StoreError::Strange { why: Strangeness::NotMounted(_), .. } => own(16, "store_unreachable", Some("mount it and try again")),
            StoreError::Strange { .. } => own(
                16,
                "store_unreachable",
                Some("mount the disk it is on; if this is meant to be a new store, run `heirloom backup --new-store` once"),
            ),
            StoreError::NotFound { location, .. } => {
                let hint = unexpanded(std::path::Path::new(location));
                own(12, "no_backup", Some(hint.as_deref().unwrap_or("run `heirloom list` to see which archives there are")))
            }
            StoreError::Exists { .. } => own(14, "target_exists", Some("choose another `--name`")),
            StoreError::Unanswered { .. } => own(16, "store_unreachable", Some("run `heirloom list` to see whether the store has it")),
            StoreError::Interrupted(_) => None,
            StoreError::Unsafe { .. } | StoreError::Io { .. } => own(1, "failed", None),
        };
    }
    if let Some(resolve) = cause.downcast_ref::<ResolveError>() {
        let (code, kind) = match resolve {
            ResolveError::NotFound { .. } | ResolveError::Excluded { .. } => (12, "no_backup"),
            ResolveError::Unread { .. } => (1, "failed"),
            ResolveError::Ambiguous { .. } => (2, "usage"),
        };
        return own(code, kind, Some(&resolve.hint()));
    }
    if let Some(restore) = cause.downcast_ref::<RestoreError>() {
        let (code, kind) = match restore {
            RestoreError::NoTarget { .. }
            | RestoreError::OneFileForSeveral { .. }
            | RestoreError::Collision { .. }
            | RestoreError::NoFolder { .. }
            | RestoreError::SourceIsTarget { .. }
            | RestoreError::AmbiguousUndo { .. } => (2, "usage"),
            RestoreError::NoSuchDatabase { .. } | RestoreError::NothingToUndo { .. } | RestoreError::CannotUndo { .. } => (12, "no_backup"),
            RestoreError::Damaged { .. } | RestoreError::Unsound { .. } | RestoreError::NothingLeft { .. } => (13, "damaged"),
            RestoreError::NotConfirmed { .. } => (14, "target_exists"),
            RestoreError::NoSafetyStore { .. } => (1, "failed"),
            RestoreError::NoRoom { .. } => (15, "no_space"),
        };
        return own(code, kind, Some(&restore.hint()));
    }
    if let Some(refused) = cause.downcast_ref::<Refused>() {
        return own(14, "target_in_use", Some(&refused.hint));
    }
    if let Some(lock) = cause.downcast_ref::<LockError>() {
        return match lock {
            LockError::Held { .. } => own(11, "busy", Some("wait for the other run to end and try again")),
            LockError::Io { .. } => own(1, "failed", None),
            LockError::Interrupted(_) => None,
        };
    }
    None
}

/// Returns the hint about a store that cannot be reached: not each is a volume to mount.
fn hint_for_unreachable(location: &str, cause: &io::Error) -> String {
    let path = std::path::Path::new(location);
    match cause.kind() {
        _ if unexpanded(path).is_some() => unexpanded(path).unwrap_or_default(),
        io::ErrorKind::NotADirectory => {
            let file = path.ancestors().find(|part| part.is_file()).unwrap_or(path);
            format!("{} is a file: name a folder with `--dir`", shell_word(&file.to_string_lossy()))
        }
        io::ErrorKind::PermissionDenied => {
            format!("see who may use it with `ls -ld {}`, or name another folder with `--dir`", shell_word(location))
        }
        _ => "mount it, or name another folder with `--dir`".to_owned(),
    }
}

/// Returns the exit code that an error ends with; `signal` is the signal that stopped the run, if one did.
pub fn exit_code(error: &anyhow::Error, signal: Option<u8>) -> u8 {
    match signal {
        Some(signal) if error.chain().any(|cause| cause.is::<Interrupted>()) => 128 + signal,
        _ => meaning(error).code,
    }
}

/// Prints the clap error (help and version too, which are no errors) and returns its exit code.
pub(super) fn usage(error: &clap::Error) -> u8 {
    // Help that cannot be written is nobody's loss.
    let _ = error.print();
    if error.use_stderr() { 2 } else { 0 }
}

/// Returns an error with its causes as one line of text that can be shown.
pub(super) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // A layer that only repeats the one below adds nothing for the reader.
        if !message.ends_with(&cause) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&cause);
        }
    }
    printable(&message).into_owned()
}

/// Returns what to do about an error, where that is known.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    meaning(error).hint
}

/// Prints an error, its causes and its hint, and returns the exit code.
pub(super) fn report(error: &anyhow::Error, ui: &mut Ui) -> u8 {
    let code = exit_code(error, ui.signal());
    let Meaning { kind, hint, .. } = meaning(error);
    let kind = if code > 128 { "interrupted" } else { kind };
    let message = message(error);
    if ui.is_json() {
        ui.stderr_json(&json!({"error": {"code": code, "kind": kind, "message": message, "hint": hint}}));
    } else {
        ui.error(&message, hint.as_deref());
    }
    code
}

/// Turns the result of a command into the exit code.
pub(super) fn finish(result: anyhow::Result<Outcome>, ui: &mut Ui) -> u8 {
    let code = match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Problems) => 3,
        Ok(Outcome::Found(code) | Outcome::Ended(code)) => code,
        Err(error) => return report(&error, ui),
    };
    match ui.output_failure() {
        // The work is done and stays done; only the telling failed.
        Some(cause) if code == 0 => {
            ui.error(&format!("the result could not be written to standard output: {cause}"), None);
            3
        }
        _ => code,
    }
}
