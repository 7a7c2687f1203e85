//! Maps typed errors to their kind and to a remedy. The command line words the result.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::archive::ArchiveError;
use crate::database::{SourceError, TargetError};
use crate::failure::{Failure, FailureKind, Remedy, Unplaced, message};
use crate::ops::resolve::ResolveError;
use crate::ops::restore::RestoreError;
use crate::store::{StoreError, Strangeness};
use crate::store_url::StoreUrl;
use crate::text::{shell_word, unexpanded};
use crate::workspace::LockError;

/// A kind and a remedy, if there is one.
type Meaning = (FailureKind, Option<Remedy>);

/// Returns what an error means.
pub fn explain(error: &anyhow::Error) -> Failure {
    let stated = error.downcast_ref::<Failure>();
    let (kind, remedy) = meaning_of_chain(error);
    Failure {
        kind: stated.map_or(kind, |stated| stated.kind),
        message: message(error),
        remedy: stated.and_then(|stated| stated.remedy.clone()).or(remedy),
    }
}

/// Finds the first error of the chain that has a meaning of its own.
fn meaning_of_chain(error: &anyhow::Error) -> Meaning {
    // A full disk wins anywhere in the chain: the remedy is the same.
    if error.chain().any(is_no_space) {
        let restore = error.chain().find_map(|cause| cause.downcast_ref::<RestoreError>());
        let remedy =
            restore.filter(|error| matches!(error, RestoreError::NoRoom { .. })).and_then(|error| of_restore(error).1);
        return (FailureKind::NoSpace, Some(remedy.unwrap_or(Remedy::FreeSpace)));
    }
    error.chain().find_map(meaning_of).unwrap_or((FailureKind::Failed, None))
}

fn is_no_space(cause: &(dyn Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
}

fn meaning_of(cause: &(dyn Error + 'static)) -> Option<Meaning> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some((failure.kind, failure.remedy.clone()));
    }
    if let Some(error) = cause.downcast_ref() {
        return of_source(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return of_target(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return of_archive(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return of_lock(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return of_store(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(of_resolve(error));
    }
    cause.downcast_ref().map(of_restore)
}

/// Returns what an error about a database means; `None` if it was only asked to stop.
fn of_source(error: &SourceError) -> Option<Meaning> {
    let kind = match error {
        SourceError::Missing(_) | SourceError::NotAFile { .. } | SourceError::Empty { .. } => FailureKind::NoDatabase,
        SourceError::NotADatabase { .. }
        | SourceError::Damaged { .. }
        | SourceError::Contradicted { .. }
        | SourceError::Unsupported { .. }
        | SourceError::Unlinked { .. } => FailureKind::Damaged,
        SourceError::Busy { .. } | SourceError::Exclusive { .. } => FailureKind::Busy,
        SourceError::Io { .. } => FailureKind::Failed,
        SourceError::Interrupted(_) => return None,
    };
    Some((kind, remedy_for_source(error)))
}

/// Returns what can be done about an error about a database.
pub(crate) fn remedy_for_source(error: &SourceError) -> Option<Remedy> {
    let advice = match error {
        SourceError::Unlinked { path, found } => found.rescue(path),
        SourceError::Missing(path) => return Some(remedy_for_missing(path)),
        SourceError::Empty { wal_beside: true, .. } => {
            "its -wal may hold the data: copy both files away before anything opens them, since SQLite would \
             delete the -wal"
                .into()
        }
        SourceError::Empty { .. } => "an application that was never started leaves such a file; there is nothing \
         in it to back up"
            .into(),
        SourceError::NotADatabase { why, .. } if why.contains("truncated") => return Some(Remedy::RestoreCutOff),
        SourceError::NotADatabase { path, .. } => {
            format!(
                "if it is encrypted, back it up with its application; else see what it is with `file {}`",
                shown(path)
            )
        }
        SourceError::Damaged { why, .. } if why.contains("its -wal") => return Some(Remedy::CopyAwayAndRestore),
        SourceError::Damaged { .. } => return Some(Remedy::RestoreOrKeepDamaged),
        SourceError::Contradicted { path, rebuild, .. } => {
            let rebuild = format!("sqlite3 {} {}", shown(path), shell_word(&rebuild.join("; ")));
            return Some(Remedy::CompareOrRebuild { rebuild });
        }
        SourceError::Unsupported { .. } => {
            "only the application has what is missing here: use the application's own tool for this step".into()
        }
        SourceError::Busy { .. } => {
            "try again when the application is less busy; in `locking_mode=EXCLUSIVE` it keeps the lock: stop it \
             for that time"
                .into()
        }
        SourceError::Exclusive { holder, .. } => format!(
            "in `locking_mode=EXCLUSIVE` a process keeps the lock, and waiting does not help: stop process {} for \
             the time of the \
             backup, or set `PRAGMA locking_mode=NORMAL` in it",
            holder.pid
        ),
        SourceError::NotAFile { .. } | SourceError::Io { .. } | SourceError::Interrupted(_) => return None,
    };
    Some(Remedy::Advice(advice))
}

/// Returns a hint for a path at which nothing exists: often it is nearly right.
fn remedy_for_missing(path: &Path) -> Remedy {
    if let Some(advice) = unexpanded(path) {
        return Remedy::Advice(advice);
    }
    let absolute = Path::new("/").join(path);
    if path.is_relative() && absolute.is_file() {
        let absolute = shown(&absolute);
        return Remedy::Advice(format!(
            "{absolute} exists: an absolute path begins with a slash, and in a URL that makes four \
             (sqlite:///{absolute}), since \
             three make a path relative to the working folder"
        ));
    }
    Remedy::CheckPath
}

fn of_target(error: &TargetError) -> Option<Meaning> {
    Some(match error {
        TargetError::Busy { .. } => (
            FailureKind::Busy,
            Some(
                "stop what uses it, or try again later; in `locking_mode=EXCLUSIVE` an application keeps the lock"
                    .into(),
            ),
        ),
        TargetError::Refused { .. } => (FailureKind::TargetInUse, None),
        TargetError::NeedsOffline { .. } => (FailureKind::TargetInUse, Some(Remedy::ReplaceOffline)),
        TargetError::Unproved { .. } => (FailureKind::TargetInUse, Some(Remedy::ProveUnused)),
        TargetError::NotOwner { owner, .. } => (FailureKind::TargetInUse, Some(Remedy::RunAsOwner { owner: *owner })),
        TargetError::Failed { .. } => (FailureKind::Failed, Some(Remedy::ReplaceOffline)),
        TargetError::Io { .. } => (FailureKind::Failed, None),
        TargetError::Source(_) | TargetError::Interrupted(_) => return None,
    })
}

fn of_archive(error: &ArchiveError) -> Option<Meaning> {
    Some(match error {
        ArchiveError::FormatTooNew { .. } => (FailureKind::Damaged, Some(Remedy::UpdateHeirloom)),
        ArchiveError::NotAnArchive { .. } => (FailureKind::Damaged, Some(Remedy::ListArchives)),
        ArchiveError::Damaged { .. } | ArchiveError::DigestMismatch { .. } | ArchiveError::Hostile { .. } => {
            (FailureKind::Damaged, Some(Remedy::ChooseAnotherArchive { unchanged: false }))
        }
        ArchiveError::WindowTooLarge { .. } => (FailureKind::Failed, Some(Remedy::Decompress)),
        ArchiveError::KeyMissing(_) => (FailureKind::KeyMissing, Some(Remedy::NameKey)),
        // A remote store puts its error into the one of the read.
        ArchiveError::Io(cause) => match cause.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => return of_store(error),
            None => (FailureKind::Failed, None),
        },
        ArchiveError::MetadataTooLarge { .. } | ArchiveError::NotWritten { .. } => (FailureKind::Failed, None),
        ArchiveError::Interrupted(_) => return None,
    })
}

fn of_lock(error: &LockError) -> Option<Meaning> {
    match error {
        LockError::Held { .. } => Some((FailureKind::Busy, Some(Remedy::WaitAndTryAgain))),
        LockError::Io { .. } => Some((FailureKind::Failed, None)),
        LockError::Interrupted(_) => None,
    }
}

fn of_store(error: &StoreError) -> Option<Meaning> {
    Some(match error {
        StoreError::Unreachable { location, cause } => {
            (FailureKind::StoreUnreachable, Some(remedy_for_unreachable(location, cause)))
        }
        StoreError::NoCredentials { variable, .. } => {
            (FailureKind::StoreUnreachable, Some(Remedy::Advice(format!("set {variable} in the environment"))))
        }
        StoreError::Denied { .. } => {
            (FailureKind::Usage, Some("check the credentials for the store, and which rights they have".into()))
        }
        StoreError::Clock { .. } => (FailureKind::StoreUnreachable, Some("set the clock of this host".into())),
        StoreError::Strange { why: Strangeness::NotMounted(_), .. } => {
            (FailureKind::StoreUnreachable, Some("mount it and try again".into()))
        }
        StoreError::Strange { location, .. } if StoreUrl::parse(location).is_some() => {
            (FailureKind::StoreUnreachable, Some(Remedy::CheckUrlOrNewStore))
        }
        StoreError::Strange { .. } => (FailureKind::StoreUnreachable, Some(Remedy::MountOrNewStore)),
        StoreError::NotFound { location, .. } => {
            let advice = unexpanded(Path::new(location)).map(Remedy::Advice);
            (FailureKind::NoBackup, Some(advice.unwrap_or(Remedy::ListArchives)))
        }
        StoreError::Exists { .. } => (FailureKind::TargetExists, Some(Remedy::ChooseAnotherName)),
        StoreError::Unanswered { .. } => (FailureKind::StoreUnreachable, Some(Remedy::ListWhetherCommitted)),
        StoreError::Interrupted(_) => return None,
        // The service has no such thing, as a pin has no place for marks.
        StoreError::Io { cause, .. } if cause.kind() == io::ErrorKind::Unsupported => (FailureKind::Usage, None),
        StoreError::Unsafe { .. } | StoreError::Io { .. } => (FailureKind::Failed, None),
    })
}

/// Returns a hint for a store that cannot be reached: not every store is a volume to mount.
fn remedy_for_unreachable(location: &str, cause: &io::Error) -> Remedy {
    let path = Path::new(location);
    if let Some(advice) = unexpanded(path) {
        return Remedy::Advice(advice);
    }
    match cause.kind() {
        io::ErrorKind::NotADirectory => {
            let file = path.ancestors().find(|part| part.is_file()).unwrap_or(path);
            Remedy::NotAFolder { file: file.to_owned() }
        }
        io::ErrorKind::PermissionDenied => Remedy::StoreRights { folder: location.to_owned() },
        _ if StoreUrl::parse(location).is_some() => {
            "check the network and the address in its URL, and try again".into()
        }
        _ => Remedy::MountOrNameStore,
    }
}

fn of_resolve(error: &ResolveError) -> Meaning {
    match error {
        ResolveError::NotFound { available, .. } if available.is_empty() => {
            (FailureKind::NoBackup, Some(Remedy::NameAnotherStore))
        }
        ResolveError::NotFound { available, .. } => {
            (FailureKind::NoBackup, Some(Remedy::ChooseFrom(available.clone())))
        }
        ResolveError::Excluded { name, readable: true, .. } => {
            (FailureKind::NoBackup, Some(Remedy::NameInFull { archive: name.clone() }))
        }
        ResolveError::Excluded { .. } => {
            (FailureKind::NoBackup, Some(Remedy::ChooseAnotherArchive { unchanged: false }))
        }
        ResolveError::Ambiguous { choices, .. } => (FailureKind::Usage, Some(Remedy::TypeMore(choices.clone()))),
        ResolveError::Unread { .. } => (FailureKind::Failed, Some(Remedy::TryAgainOrNameInFull)),
    }
}

fn of_restore(error: &RestoreError) -> Meaning {
    let (kind, remedy) = match error {
        RestoreError::NoSuchDatabase { available, .. } => {
            (FailureKind::NoBackup, Remedy::ChooseFrom(available.iter().map(ToString::to_string).collect()))
        }
        RestoreError::NoTarget { name, recorded, archive } => {
            let example = recorded.as_ref().map_or_else(|| format!("{name}.db"), |(path, _)| path.clone());
            let (archive, database) = (archive.clone(), name.clone());
            (
                FailureKind::Usage,
                Remedy::NameTarget(Box::new(Unplaced { archive, database, example, recorded: recorded.is_some() })),
            )
        }
        RestoreError::OneFileForSeveral { names } => match names.first() {
            Some(first) => (FailureKind::Usage, Remedy::ChooseDatabaseOrFolder { database: first.clone() }),
            None => return (FailureKind::Usage, None),
        },
        RestoreError::Collision { .. } => (FailureKind::Usage, Remedy::RestoreOneByOne),
        RestoreError::SourceIsTarget { .. } => (FailureKind::Usage, Remedy::NameAnotherTarget),
        RestoreError::NoFolder { path } => {
            let advice = unexpanded(path).unwrap_or_else(|| format!("make it first: mkdir -p {}", shown(path)));
            (FailureKind::Usage, Remedy::Advice(advice))
        }
        RestoreError::Damaged { .. } => (FailureKind::Damaged, Remedy::ChooseAnotherOrDamaged { unchanged: false }),
        RestoreError::Unsound { .. } => (FailureKind::Damaged, Remedy::ChooseAnotherOrDamaged { unchanged: true }),
        RestoreError::NothingLeft { .. } => (FailureKind::Damaged, Remedy::ChooseAnotherArchive { unchanged: true }),
        RestoreError::NotRebuilt { cause, .. } => (explain(cause).kind, Remedy::LeaveIndexes),
        RestoreError::NotConfirmed { .. } => (FailureKind::TargetExists, Remedy::ConfirmReplacing),
        RestoreError::NoRoom { folder, needed, free, .. } => (
            FailureKind::NoSpace,
            Remedy::FreeTargetSpace { folder: folder.clone(), missing: needed.saturating_sub(*free) },
        ),
        RestoreError::NoSafetyStore { .. } => (FailureKind::Failed, Remedy::NameStoreOrNoSafety),
        RestoreError::CannotUndo { remedy, .. } => (FailureKind::NoBackup, remedy.clone()),
        RestoreError::AmbiguousUndo { remedy, .. } => (FailureKind::Usage, remedy.clone()),
        RestoreError::NothingToUndo { .. } => (FailureKind::NoBackup, Remedy::NothingToUndo),
    };
    (kind, Some(remedy))
}

fn shown(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_store_that_fails_is_told_apart_from_one_that_denies() {
        let location = || "s3://bucket/prefix".to_owned();
        let cause = || io::Error::other("planted");
        let denied =
            || StoreError::Denied { action: "list", name: String::new(), location: location(), cause: cause() };
        let unreachable = || StoreError::Unreachable { location: location(), cause: cause() };
        let code = |error: anyhow::Error| explain(&error).kind.code();
        assert_eq!(code(denied().into()), 2);
        assert_eq!(code(unreachable().into()), 16);
        assert_eq!(code(StoreError::Clock { location: location(), ahead: Some(1_200) }.into()), 16);
        // The same in the middle of reading an archive.
        let read = |error: StoreError| ArchiveError::Io(io::Error::new(io::ErrorKind::ConnectionReset, error));
        assert_eq!(code(read(unreachable()).into()), 16);
        assert_eq!(code(read(denied()).into()), 2);
        assert_eq!(code(ArchiveError::Io(cause()).into()), 1);
    }
}
