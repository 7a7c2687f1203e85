//! Finds the archive that the user names: by a path, by its name, or by the beginning of its name.
//!
//! A partial name never selects a safety backup or a damaged archive: those must be named in full. What `latest` means
//! is decided in [`crate::latest`].

use std::fmt;
use std::path::Path;

use super::inventory::{Foreign, Inventory, Reading, inventory};
use super::open_archive::at_path;
pub use super::open_archive::{Place, Selected, in_store};
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A path, a name or its beginning.
    pub text: String,
    /// Only archives of this set.
    pub set: Option<Name>,
}

/// Why no archive was chosen.
#[derive(Debug)]
pub enum ResolveError {
    /// Nothing matches.
    NotFound {
        /// What was looked for.
        what: String,
        /// Where.
        location: String,
        /// What exists instead, newest first.
        available: Vec<String>,
    },
    /// The beginning of a name matches only archives that must be named in full.
    Excluded {
        /// What the user typed.
        text: String,
        /// The newest match.
        name: String,
        /// Why it must be named in full.
        why: String,
        /// Whether it can be read, so that using its full name helps.
        readable: bool,
    },
    /// The beginning of a name matches several.
    Ambiguous {
        /// What the user typed.
        text: String,
        /// The matches.
        choices: Vec<String>,
    },
    /// The system failed to read one that may be the one that is meant. An older one in its place would be the wrong
    /// state.
    Unread {
        /// The one that could not be read.
        name: String,
        /// The error of the system.
        why: String,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { what, location, .. } => {
                write!(f, "no {} in the store \"{}\"", printable(what), printable(location))
            }
            Self::Excluded { text, name, why, .. } => {
                write!(f, "no archive for \"{}\" can be taken: {} {why}", printable(text), printable(name))
            }
            Self::Ambiguous { text, .. } => write!(f, "\"{}\" is the beginning of several archives", printable(text)),
            Self::Unread { name, why } => {
                write!(f, "\"{}\" may be the archive that is meant, and cannot be read: {why}", printable(name))
            }
        }
    }
}

impl std::error::Error for ResolveError {}

impl From<&Foreign> for ResolveError {
    fn from(unread: &Foreign) -> Self {
        Self::Unread { name: unread.name.clone(), why: unread.why.clone() }
    }
}

/// Finds and opens the archive. `open_store` is only called if the store is needed.
pub fn resolve(
    open_store: impl FnOnce() -> Result<Repository, StoreError>,
    wanted: &Wanted,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<Selected> {
    match wanted.text.as_str() {
        text if text.contains('/') => at_path(Path::new(text), reading),
        text => match open_store() {
            Ok(store) => match store.store().stat(text)? {
                Some(_) if ArchiveName::new(text).is_ok() => in_store(&store, text, reading),
                None if let Some(pending) = super::pending::open(&store, text, reading)? => Ok(pending),
                _ if is_file(Path::new(text)) => at_path(Path::new(text), reading),
                _ => {
                    let name = beginning_with(&store, text, wanted, reading, progress)?;
                    in_store(&store, name.as_str(), reading)
                }
            },
            // An archive at a path needs no store.
            Err(_) if is_file(Path::new(text)) => at_path(Path::new(text), reading),
            Err(error) => Err(error.into()),
        },
    }
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file())
}

fn beginning_with(
    repository: &Repository,
    text: &str,
    wanted: &Wanted,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<ArchiveName> {
    let found = inventory(repository, reading, progress)?;
    let all = &found.snapshots;
    // Named in full without the ending: exactly that one, even if other names begin with it.
    let mut named = all.iter().filter(|snapshot| snapshot.name.stem() == text);
    if let (Some(only), None) = (named.next(), named.next()) {
        return Ok(only.name.clone());
    }
    let fits = |snapshot: &&Snapshot| {
        !text.is_empty()
            && snapshot.name.as_str().starts_with(text)
            && snapshot.kind != Kind::Safety
            && !snapshot.damaged
            && wanted.set.as_ref().is_none_or(|set| *set == snapshot.set)
    };
    if let Some(unread) = found.foreign.iter().find(|foreign| foreign.is_unread() && foreign.name.starts_with(text)) {
        return Err(ResolveError::from(unread).into());
    }
    let fitting: Vec<&Snapshot> = all.iter().filter(fits).collect();
    match fitting.as_slice() {
        [only] => Ok(only.name.clone()),
        [] if !text.is_empty()
            && let Some(excluded) = excluded(&found, text) =>
        {
            Err(excluded.into())
        }
        [] => {
            let available = all.iter().take(5).map(|snapshot| snapshot.name.to_string()).collect();
            Err(ResolveError::NotFound {
                what: format!("archive \"{text}\""),
                location: repository.location(),
                available,
            }
            .into())
        }
        several => {
            let choices = several.iter().take(5).map(|snapshot| snapshot.name.to_string()).collect();
            Err(ResolveError::Ambiguous { text: text.to_owned(), choices }.into())
        }
    }
}

/// Returns the newest archive whose name begins like this but which must be named in full, and why.
fn excluded(found: &Inventory, text: &str) -> Option<ResolveError> {
    let error = |name: &str, why, readable| ResolveError::Excluded {
        text: text.to_owned(),
        name: name.to_owned(),
        why,
        readable,
    };
    if let Some(snapshot) = found.snapshots.iter().find(|snapshot| snapshot.name.as_str().starts_with(text)) {
        let why = match snapshot {
            Snapshot { damaged: true, .. } => "is marked as damaged".to_owned(),
            Snapshot { kind: Kind::Safety, .. } => "is a safety backup, which only its full name means".to_owned(),
            other => format!("is of the set \"{}\"", other.set),
        };
        return Some(error(snapshot.name.as_str(), why, true));
    }
    let foreign = found.foreign.iter().find(|foreign| foreign.name.starts_with(text))?;
    let what = if foreign.is_damaged() { "is damaged" } else { "cannot be used" };
    let why = foreign.why.strip_prefix("the archive is damaged: ").unwrap_or(&foreign.why);
    Some(error(&foreign.name, format!("{what}: {why}"), false))
}
