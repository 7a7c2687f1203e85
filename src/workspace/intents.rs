//! Notes beside the targets of a running restore, so that a crash is reported and can be undone.
//!
//! There is one file in the folder of each target, and it lists all targets, so every command on one of them finds it,
//! even in a new container or with another store. The run holds a `flock` on each: a note without a lock belongs to a
//! run that died. A note only identifies a restore. An undo restores from the safety archive of that restore, never
//! from here.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Workspace, records};
use crate::metadata::ReplacedTarget;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::platform::{Links, is_trusted, open_at_once, parent, private_file_anew, resolved, sync_folder};

/// The prefix of the names of these files.
const PREFIX: &str = ".heirloom-restore-";

/// The contents of a note.
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
    /// When it started.
    pub began_at: DateTime<Utc>,
    /// How far it has progressed.
    pub phase: Phase,
    /// The store in whose workspace the safety archive is committed.
    pub store: Option<String>,
    /// The safety archive, once it is committed.
    pub safety: Option<ArchiveName>,
    /// All targets.
    pub targets: Vec<ReplacedTarget>,
}

/// The progress of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No target was changed.
    Preparing,
    /// Targets may be old or new.
    Replacing,
}

/// A restore whose process died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterruptedRestore {
    /// The note that it left.
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

    /// Records that targets are being replaced from now on, and how to undo that.
    ///
    /// Crash in between: some folders still have "preparing", and no target was changed. Readers use the later phase.
    pub fn replacing(&mut self, safety: Option<ArchiveName>) -> io::Result<()> {
        self.note.phase = Phase::Replacing;
        self.note.safety = safety.or(self.note.safety.take());
        self.put()
    }

    /// Removes the notes: everything is unchanged, or everything is done.
    ///
    /// Crash in between: the remaining notes report a restore that is complete; completing or undoing it is still
    /// correct.
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
            // Crash before the rename: a scratch file. Crash after it: the complete note.
            fs::rename(&staged, folder.join(file_name(&self.note.restore)))?;
            sync_folder(folder)?;
            // The lock on the earlier version is kept: a reader may have that one open.
            self.locks.push(file);
        }
        Ok(())
    }
}

/// Lists the restores that died and left notes in these folders or beside their other targets, oldest first. Running
/// ones are omitted.
///
/// A missing folder contains no note. In a folder that others may write to, only notes of this user, of root and of the
/// owner of the folder count.
pub fn beside<'a>(folders: impl IntoIterator<Item = &'a Path>) -> io::Result<Vec<InterruptedRestore>> {
    let mut found: BTreeMap<String, Option<InterruptedRestore>> = BTreeMap::new();
    let mut looked_at: HashSet<PathBuf> = HashSet::new();
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
                    let known =
                        entry.or_insert_with(|| Some(InterruptedRestore { note: note.clone(), files: Vec::new() }));
                    if let Some(known) = known {
                        known.files.push(path);
                        if note.phase > known.note.phase {
                            known.note = note;
                        }
                    }
                }
            }
        }
        looked_at.insert(folder);
    }
    let mut found: Vec<InterruptedRestore> = found.into_values().flatten().collect();
    found.sort_by(|a, b| a.note.began_at.cmp(&b.note.began_at).then_with(|| a.note.restore.cmp(&b.note.restore)));
    Ok(found)
}

/// Lists the restores that died while replacing targets: those known to the workspace, and those beside `targets`.
pub fn interrupted<'a>(
    workspace: Option<&Workspace>,
    targets: impl IntoIterator<Item = &'a Path>,
) -> io::Result<Vec<InterruptedRestore>> {
    let mut folders: Vec<PathBuf> = targets.into_iter().map(|target| parent(&resolved(target)).to_owned()).collect();
    if let Some(workspace) = workspace {
        let unfinished =
            workspace.records()?.into_iter().filter(|record| record.state == records::RecordState::Unfinished);
        folders.extend(
            unfinished.flat_map(|record| record.targets).map(|target| parent(Path::new(&target.path)).to_owned()),
        );
    }
    let found = beside(folders.iter().map(PathBuf::as_path))?;
    Ok(found.into_iter().filter(|interrupted| interrupted.note.phase == Phase::Replacing).collect())
}

/// Removes the notes of an interrupted restore, after it was completed or undone.
pub fn forget(interrupted: &InterruptedRestore) -> io::Result<()> {
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
        // Another run has finished it in the meantime.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Read::Nothing),
        Err(cause) => return Err(cause),
    };
    let trusted = is_trusted(&file.metadata()?, folder)?;
    // Notes are written atomically: a file that cannot be parsed is not a note.
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
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
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
    fn a_note_of_a_dead_run_is_found_beside_every_target() {
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
        assert_eq!(found(&folders[0]), [], "an unreadable file is not a note");
    }
}
