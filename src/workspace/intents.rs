//! Notes beside the targets about a restore that is under way, so that a crash is reported and can be taken back.
//!
//! One file lies in the folder of each target and names all targets, so every command on one of them finds it, also in
//! a new container or with another store. The run holds a `flock` on each: a note that nobody holds is of a run that
//! died. A note only names a restore. What is restored by an undo comes from the safety archive of that restore, never
//! from here.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Workspace, records};
use crate::metadata::ReplacedTarget;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::platform::{Links, is_trusted, open_at_once, parent, private_file_anew, resolved, sync_folder};

/// The beginning of the names of these files.
const PREFIX: &str = ".heirloom-restore-";

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The id of the restore.
    pub restore: String,
    /// The set.
    pub set: Name,
    /// The host label.
    pub host: HostLabel,
    /// The archive that is restored.
    pub archive: String,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// How far it is.
    pub phase: Phase,
    /// The store in whose workspace the safety archive is committed.
    pub store: Option<String>,
    /// The safety archive, once it is committed.
    pub safety: Option<ArchiveName>,
    /// All targets.
    pub targets: Vec<ReplacedTarget>,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No target was changed.
    Preparing,
    /// Targets may be new or old.
    Replacing,
}

/// A restore that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// What it left word of.
    pub note: Note,
    files: Vec<PathBuf>,
}

/// The notes of this run, which holds their locks.
#[derive(Debug)]
pub struct Intent {
    note: Note,
    /// The folder of a target, and the scratch folder in it.
    places: Vec<(PathBuf, PathBuf)>,
    locks: Vec<File>,
}

impl Intent {
    /// Writes the note into every folder, durably. `places` are the folders, each with a scratch folder in it.
    ///
    /// Crash in between: some folders have the note and some do not, in the phase in which no target was changed.
    pub fn write(places: Vec<(PathBuf, PathBuf)>, note: Note) -> io::Result<Self> {
        let mut intent = Self { note, places, locks: Vec::new() };
        match intent.put() {
            Ok(()) => Ok(intent),
            Err(cause) => {
                // Nothing was changed: the error that counts is the one below.
                let _ = intent.remove();
                Err(cause)
            }
        }
    }

    /// Writes down that targets are replaced from now on, and how to take that back.
    ///
    /// Crash in between: some folders say "preparing" still, and no target was changed. Whoever reads takes the later
    /// phase.
    pub fn replacing(&mut self, safety: Option<ArchiveName>) -> io::Result<()> {
        self.note.phase = Phase::Replacing;
        self.note.safety = safety.or(self.note.safety.take());
        self.put()
    }

    /// Removes the notes: everything is as it was, or everything is done.
    ///
    /// Crash in between: the notes that stay report a restore that is complete; completing or taking it back is right
    /// all the same.
    pub fn remove(&self) -> io::Result<()> {
        forget_files(self.places.iter().map(|(folder, _)| folder.join(file_name(&self.note.restore))))
    }

    fn put(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.note)?;
        for (folder, scratch) in &self.places {
            let staged = scratch.join("intent");
            let mut file = private_file_anew(&staged)?;
            file.lock()?;
            file.write_all(&text)?;
            file.sync_all()?;
            // Crash before the rename: scratch. After it: the whole note.
            fs::rename(&staged, folder.join(file_name(&self.note.restore)))?;
            sync_folder(folder)?;
            // The lock on an earlier version stays: a reader may have that one open.
            self.locks.push(file);
        }
        Ok(())
    }
}

/// Lists the restores that died and left word in these folders or beside their other targets, oldest first. Those that
/// still run are left out.
///
/// A folder that is not there holds no note. In a folder that others may write to, only notes of this user, of root and
/// of the owner of the folder count.
pub fn beside<'a>(folders: impl IntoIterator<Item = &'a Path>) -> io::Result<Vec<Interrupted>> {
    let mut found: BTreeMap<String, Option<Interrupted>> = BTreeMap::new();
    let mut looked_at: Vec<PathBuf> = Vec::new();
    let mut todo: Vec<PathBuf> = folders.into_iter().map(Path::to_owned).collect();
    while let Some(folder) = todo.pop() {
        if looked_at.contains(&folder) {
            continue;
        }
        for path in files(&folder)? {
            match read(&path, &folder)? {
                Read::Nothing => {}
                Read::Alive(note) => drop(found.insert(note.restore, None)),
                Read::Dead(note) => {
                    todo.extend(note.targets.iter().map(|target| parent(Path::new(&target.path)).to_owned()));
                    let entry = found.entry(note.restore.clone());
                    let known = entry.or_insert_with(|| Some(Interrupted { note: note.clone(), files: Vec::new() }));
                    if let Some(known) = known {
                        known.files.push(path);
                        if note.phase > known.note.phase {
                            known.note = note;
                        }
                    }
                }
            }
        }
        looked_at.push(folder);
    }
    let mut found: Vec<Interrupted> = found.into_values().flatten().collect();
    found.sort_by(|a, b| a.note.began_at.cmp(&b.note.began_at).then_with(|| a.note.restore.cmp(&b.note.restore)));
    Ok(found)
}

/// Lists the restores that died while they replaced something: those that the workspace knows, and those beside
/// `targets`.
pub fn interrupted<'a>(workspace: Option<&Workspace>, targets: impl IntoIterator<Item = &'a Path>) -> io::Result<Vec<Interrupted>> {
    let mut folders: Vec<PathBuf> = targets.into_iter().map(|target| parent(&resolved(target)).to_owned()).collect();
    if let Some(workspace) = workspace {
        let unfinished = workspace.records()?.into_iter().filter(|record| record.state == records::State::Unfinished);
        folders.extend(unfinished.flat_map(|record| record.targets).map(|target| parent(Path::new(&target.path)).to_owned()));
    }
    let found = beside(folders.iter().map(PathBuf::as_path))?;
    Ok(found.into_iter().filter(|interrupted| interrupted.note.phase == Phase::Replacing).collect())
}

/// Removes the notes of an interrupted restore, after it was completed or taken back.
pub fn forget(interrupted: &Interrupted) -> io::Result<()> {
    forget_files(interrupted.files.iter().cloned())
}

enum Read {
    Nothing,
    Alive(Note),
    Dead(Note),
}

fn read(path: &Path, folder: &Path) -> io::Result<Read> {
    let file = match open_at_once(path, Links::Refuse) {
        Ok(file) => file,
        // Another run finished meanwhile.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Read::Nothing),
        Err(cause) => return Err(cause),
    };
    let trusted = is_trusted(&file.metadata()?, folder)?;
    // Written whole or not at all: what cannot be read is no note.
    let Some(note) = serde_json::from_reader::<_, Note>(io::BufReader::new(&file)).ok().filter(|_| trusted) else {
        return Ok(Read::Nothing);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Read::Dead(note)),
        Err(TryLockError::WouldBlock) => Ok(Read::Alive(note)),
        Err(TryLockError::Error(cause)) => Err(cause),
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(".json")) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn file_name(restore: &str) -> String {
    format!("{PREFIX}{restore}.json")
}

fn forget_files(files: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    for path in files {
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(parent(&path))?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(folders: &[&Path]) -> Note {
        let target = |folder: &&Path| ReplacedTarget {
            name: Name::new("app").unwrap(),
            path: folder.join("app.db").to_str().unwrap().into(),
            missing: false,
        };
        Note {
            restore: "0123".into(),
            set: Name::new("app").unwrap(),
            host: HostLabel::container(),
            archive: "a.tar.gz".into(),
            began_at: DateTime::UNIX_EPOCH,
            phase: Phase::Preparing,
            store: None,
            safety: None,
            targets: folders.iter().map(target).collect(),
        }
    }

    #[test]
    fn a_note_counts_after_its_run_died_and_is_found_beside_every_target() {
        let world = tempfile::tempdir().unwrap();
        let folders = ["one", "two"].map(|name| world.path().join(name));
        let places = folders.clone().map(|folder| (folder.clone(), folder.join("scratch")));
        places.iter().for_each(|(_, scratch)| fs::create_dir_all(scratch).unwrap());
        let mut intent = Intent::write(places.to_vec(), note(&[&folders[0], &folders[1]])).unwrap();
        let found = |folder: &Path| beside([folder]).unwrap();
        assert_eq!(found(&folders[0]), []);

        let safety = ArchiveName::new("app_1.tar.gz").unwrap();
        intent.replacing(Some(safety.clone())).unwrap();
        assert_eq!(found(&folders[1]), [], "it still runs");
        drop(intent);
        for folder in &folders {
            let found = found(folder);
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].note.phase, found[0].note.safety.as_ref()), (Phase::Replacing, Some(&safety)));
            assert_eq!(found[0].files.len(), 2, "one beside each target");
        }
        forget(&found(&folders[1])[0]).unwrap();
        assert_eq!(found(&folders[0]), []);

        fs::write(folders[0].join(format!("{PREFIX}9.json")), "{\"restore\": 1").unwrap();
        assert_eq!(found(&folders[0]), [], "what cannot be read is no note");
    }
}
