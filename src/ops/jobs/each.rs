//! Finds the databases of `each` patterns: those that exist, and those that only the store has.
//!
//! A database counts once its file has a header of SQLite. SQLite itself is not opened for that, and the header is read
//! while this process has no connection to the file, whose locks would be lost with the descriptor. A folder that
//! cannot be listed is a problem and never looks like a folder without databases.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::config::{EachSettings, Matched, Pattern, Settings};
use crate::database::{SourceError, probe};
use crate::metadata::Kind;
use crate::names::Name;
use crate::ops::inventory::{Foreign, Inventory};
use crate::platform::{self, resolved};
use crate::snapshot::{Brief, Snapshot};
use crate::text::quoted;

/// Makes a set of each database that a pattern of the settings matches.
pub fn find_databases(settings: &mut Settings) {
    if settings.each.is_empty() {
        return;
    }
    let mut known = BTreeMap::new();
    for (set, databases) in &settings.sets {
        let files = databases.databases.values().filter_map(|path| fs::metadata(path).ok());
        known.extend(files.map(|found| (platform::file_id(&found), set.clone())));
    }
    for index in 0..settings.each.len() {
        let mut look = Look::default();
        let pattern = settings.each[index].pattern.clone();
        look.below(pattern.fixed().to_owned(), 0, &pattern);
        settings.each[index].not_yet = look.not_yet;
        settings.each[index].problems = look.problems;
        settings.add_matched(index, look.matched, &mut known);
    }
}

/// What a look found.
#[derive(Default)]
struct Look {
    matched: Vec<Matched>,
    not_yet: Vec<PathBuf>,
    problems: Vec<String>,
}

impl Look {
    /// Looks into a folder for the component of the pattern at a depth.
    fn below(&mut self, folder: PathBuf, depth: usize, pattern: &Pattern) {
        let names = match names_in(&folder) {
            Ok(names) => names,
            // Removed since the folder above it was listed. The first one is not: without it the volume may be missing.
            Err(cause) if depth > 0 && is_gone(&cause) => return,
            Err(cause) => {
                self.problems.push(format!("{pattern} cannot be looked for: {}: {cause}", quoted(&folder)));
                return;
            }
        };
        for name in names.iter().filter(|name| pattern.fits(depth, name.as_encoded_bytes())) {
            // `./x` would be another text than what the pattern says.
            let path = if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) };
            if depth + 1 < pattern.parts().len() {
                // A link to a folder is followed, a file in its place does not match.
                if fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
                    self.below(path, depth + 1, pattern);
                }
            } else {
                self.file(path);
            }
        }
    }

    fn file(&mut self, path: PathBuf) {
        match probe(&path) {
            Err(SourceError::Missing(_) | SourceError::NotAFile { .. }) => {}
            Err(error) if is_not_yet(&error) => self.not_yet.push(path),
            // Any other error is that of its backup.
            _ => self.matched.push(Matched {
                id: fs::metadata(&path).ok().map(|found| platform::file_id(&found)),
                is_link: path.is_symlink(),
                path,
            }),
        }
    }
}

/// Returns whether an error means that a file that matches is no database yet, or none any more.
pub fn is_not_yet(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::Missing(_) | SourceError::Empty { wal_beside: false, .. } | SourceError::NotADatabase { .. }
    )
}

fn names_in(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A database that has archives and no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Where it was, as the pattern writes it.
    pub path: PathBuf,
    /// The path that its archives record, if that was a link.
    pub behind_link: Option<String>,
}

/// The archives of a store by set, for runs over many sets: it is listed once.
#[derive(Debug, Clone, Default)]
pub struct BySet {
    sets: HashMap<Name, Vec<Snapshot>>,
    foreign: Vec<Foreign>,
}

impl BySet {
    /// Sorts a listing by set. The archives of a set keep their order.
    pub fn new(inventory: Inventory) -> Self {
        let mut by_set = Self { foreign: inventory.foreign, ..Self::default() };
        for snapshot in inventory.snapshots {
            by_set.sets.entry(snapshot.set.clone()).or_default().push(snapshot);
        }
        by_set
    }

    /// Returns whether there is no archive.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Returns the archives of a set, newest first.
    pub fn archives(&self, set: &Name) -> &[Snapshot] {
        self.sets.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the listing as far as it concerns a set, with everything of which the set is not known.
    pub fn of(&self, set: &Name) -> Inventory {
        let (snapshots, foreign) = (self.archives(set).to_vec(), self.foreign.clone());
        Inventory { snapshots, foreign, doubts: Vec::new() }
    }

    /// Returns the databases of a pattern that have archives of this host and no file, by set.
    pub fn without_file(&self, each: &EachSettings, around: &Surroundings<'_>) -> BTreeMap<Name, Gone> {
        let patterns = absolute(&each.pattern);
        let gone = |(set, snapshots): (&Name, &Vec<Snapshot>)| {
            if around.settings.sets.contains_key(set) {
                return None;
            }
            let newest = snapshots.iter().find(|snapshot| is_own(snapshot, around))?;
            let [brief] = newest.databases.as_slice() else { return None };
            let path = path_in(&patterns, set, brief)?;
            // As the configuration writes it.
            let path = each.pattern.fixed().join(path);
            if !platform::is_missing(&path).unwrap_or(false) {
                return None;
            }
            let is_there = brief.stream.path().is_none_or(|recorded| Path::new(recorded) == resolved(&path));
            let behind_link = brief.stream.path().filter(|_| !is_there).map(str::to_owned);
            Some((set.clone(), Gone { path, behind_link }))
        };
        self.sets.iter().filter_map(gone).collect()
    }

    /// Returns the files that match a pattern and are no databases, although this host has archives of them.
    pub fn emptied<'a>(&self, each: &'a EachSettings, around: &Surroundings<'_>) -> Vec<(Name, &'a Path)> {
        let emptied = |path: &'a PathBuf| {
            let set = each.pattern.name_of(path)?;
            let is_known = self.archives(&set).iter().any(|snapshot| is_own(snapshot, around));
            is_known.then_some((set, path.as_path()))
        };
        each.not_yet.iter().filter_map(emptied).collect()
    }
}

/// Returns whether a name of a set means an archive: that of its set, or that of the pattern that its path matches.
pub fn means(wanted: &Name, snapshot: &Snapshot, settings: &Settings) -> bool {
    let Some(each) = settings.each.iter().find(|each| each.name == *wanted) else { return *wanted == snapshot.set };
    let patterns = absolute(&each.pattern);
    snapshot.databases.iter().any(|brief| path_in(&patterns, &snapshot.set, brief).is_some())
}

/// Returns a pattern as the paths of archives match it: as typed, and without links.
fn absolute(pattern: &Pattern) -> [Pattern; 2] {
    let typed = std::path::absolute(pattern.fixed()).unwrap_or_else(|_| pattern.fixed().to_owned());
    [pattern.below(typed), pattern.below(resolved(pattern.fixed()))]
}

/// Returns the path of a database below the fixed part of the pattern, if its set is the one of that path.
fn path_in(patterns: &[Pattern], set: &Name, brief: &Brief) -> Option<PathBuf> {
    let paths = [brief.source.as_deref(), brief.stream.path()];
    paths.into_iter().flatten().map(Path::new).find_map(|path| {
        let pattern = patterns.iter().find(|pattern| pattern.name_of(path).as_ref() == Some(set))?;
        Some(path.strip_prefix(pattern.fixed()).ok()?.to_owned())
    })
}

fn is_own(snapshot: &Snapshot, around: &Surroundings<'_>) -> bool {
    around.host.owns(&snapshot.host) && snapshot.kind != Kind::Safety && !snapshot.is_plain()
}
