//! Replaces a database file that cannot be updated through SQLite: the target is missing or unusable, or `--offline`
//! was given.
//!
//! These two must never be combined: a new file with the `-wal` or `-journal` of an old one (SQLite would replay it),
//! and an old file without its own (it would lose commits, or keep half a transaction). So the old file is moved first
//! and its sidecars after it, into a folder beside the target where they stay together, and only then the new file is
//! put in place. A process that looks in between finds no database, which is an obvious error, and never a wrong one.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::live_database::copy_whole;
use super::lock_wait::LockWait;
use super::overwrite::{is_mounted, keep_copy, overwrite, rename_or_overwrite, write_into};
use super::target::Target;
use super::target_connection::{leave_wal, open_writable};
use crate::database::error::TargetError;
use crate::database::files::access::refuse_as_root;
use crate::database::files::source_file::Located;
use crate::database::format::page_checksums;
use crate::database::processes::holders::{Holder, holders, holders_of};
use crate::database::sidecars::{SIDECARS, existing, is_no_file, sidecar};
use crate::database::sqlite::transaction::begin;
use crate::database::timeouts::Timeouts;
use crate::platform::{
    FileRights, First, PositionalIo as _, Published, file_id, group, make_private_folder, open_regular, owner,
    path_bytes, path_of_bytes, publish_new,
};
use crate::progress::Progress;

/// The mode of a database that did not exist before, if no mode was recorded.
const NEW_FILE_MODE: u32 = 0o600;
/// The longest name of a file or folder, in bytes.
const MAX_FILE_NAME_BYTES: usize = 255;

/// Puts `staged`, a private file on the same file system, where no file exists, and returns the folder to which
/// leftover sidecars were moved.
///
/// `stamp` becomes part of the name of that folder. Fails if a file of that name appeared in the meantime. Without
/// recorded rights, only the owner of the folder can access the file.
pub fn place_new(
    target: &Target,
    staged: &Path,
    rights: Option<&FileRights>,
    stamp: &str,
) -> Result<Placed, TargetError> {
    let steps = Steps { path: &target.path };
    let folder = fs::metadata(steps.folder()).map_err(steps.io("look at the folder of"))?;
    let unset = match rights {
        Some(rights) => prepare(staged, rights).map_err(steps.io("prepare"))?,
        // Without root, a file in another user's folder could never be given to that user.
        None => prepare(staged, &FileRights::plain(owner(&folder), group(&folder), NEW_FILE_MODE))
            .map(|_| Vec::new())
            .map_err(steps.io("prepare"))?,
    };
    let leftovers = existing(&target.path, &SIDECARS).map_err(steps.io("look beside"))?;
    let aside = if leftovers.is_empty() { None } else { Some(steps.set_aside(&leftovers, stamp)?) };
    steps.put(staged).inspect_err(|_| aside.iter().for_each(|aside| steps.give_up(aside)))?;
    Ok(Placed { aside, unset })
}

/// A file that was put in place.
#[derive(Debug)]
pub struct Placed {
    /// The folder with the files that were moved aside.
    pub aside: Option<PathBuf>,
    /// Which of its rights could not be set.
    pub unset: Vec<String>,
}

/// Moves an unusable file and its sidecars aside, puts `staged` in its place, and returns the folder with the old ones.
///
/// Refuses while a process is known to have the old file open.
pub fn place_over_unusable(target: &Target, staged: &Path, stamp: &str) -> Result<Placed, TargetError> {
    let steps = Steps { path: &target.path };
    refuse_holders(&target.path, Proof::NoneKnown)?;
    refuse_as_root(&target.path)?;
    let old = FileRights::of(&target.path).map_err(steps.io("look at"))?;
    let unset = prepare(staged, &old).map_err(steps.io("prepare"))?;
    let mut files = vec![target.path.clone()];
    files.extend(existing(&target.path, &SIDECARS).map_err(steps.io("look beside"))?);
    let aside = match steps.set_aside(&files, stamp) {
        // The file keeps its rights.
        Err(error) if is_mounted(&error) => {
            return Ok(Placed { aside: Some(steps.replace_in_place(staged, stamp)?), unset: Vec::new() });
        }
        aside => aside?,
    };
    steps.put(staged).inspect_err(|_| steps.give_up(&aside))?;
    Ok(Placed { aside: Some(aside), unset })
}

/// Moves a database and its sidecars aside, puts nothing in its place, and returns the folder with them. A mount point
/// cannot be moved: it is copied aside and emptied, and an empty file counts as a missing database.
///
/// Refuses if a process is known to have it open. Crash in between: see [`place_over_unusable`]; nothing is ever
/// deleted.
pub fn set_aside(target: &Target, stamp: &str) -> Result<PathBuf, TargetError> {
    refuse_holders(&target.path, Proof::NoneKnown)?;
    let steps = Steps { path: &target.path };
    let mut files = vec![target.path.clone()];
    files.extend(existing(&target.path, &SIDECARS).map_err(steps.io("look beside"))?);
    match steps.set_aside(&files, stamp) {
        // Replaced with an empty file.
        Err(error) if is_mounted(&error) => steps.replace_in_place(Path::new("/dev/null"), stamp),
        aside => aside,
    }
}

/// Undoes [`set_aside`].
pub fn bring_back(target: &Target, aside: &Path) -> Result<(), TargetError> {
    let steps = Steps { path: &target.path };
    // An emptied mount point still exists. Its content is restored before the sidecars: SQLite would delete them beside
    // an empty file.
    match fs::symlink_metadata(&target.path) {
        Ok(found) if found.is_file() && found.len() == 0 => steps.bring_back_in_place(aside),
        Err(cause) if !is_no_file(&cause) => Err(steps.io("look at")(cause)),
        _ => steps.bring_home(aside),
    }
}

/// Undoes [`place_new`] or [`place_over_unusable`]: moves the new file to `away` in scratch, and the old files from
/// `aside` back.
pub fn take_away(target: &Target, away: &Path, aside: Option<&Path>) -> Result<(), TargetError> {
    let steps = Steps { path: &target.path };
    match (fs::rename(&target.path, away), aside) {
        (Err(cause), Some(aside)) if cause.kind() == io::ErrorKind::ResourceBusy => {
            return steps.bring_back_in_place(aside);
        }
        (moved, _) => moved.map_err(steps.io("take back"))?,
    }
    steps.sync()?;
    aside.map_or(Ok(()), |aside| steps.bring_home(aside))
}

/// Undoes [`Offline::replace`]: puts the copy of the old state in place of the new file. A process can have opened the
/// new file only by chance.
pub fn exchange(target: &Target, copy: &Path) -> Result<(), TargetError> {
    let steps = Steps { path: &target.path };
    let now = FileRights::of(&target.path).map_err(steps.io("look at"))?;
    prepare(copy, &now).map_err(steps.io("prepare"))?;
    rename_or_overwrite(copy, &target.path, "put back")?;
    steps.sync()
}

/// A database that no process has open, locked so that its file can be replaced.
pub struct Offline {
    // The order matters: closing the descriptor drops the locks of the connection.
    connection: Connection,
    // After the connection, whose locks it would drop.
    file: File,
    path: PathBuf,
    old: Metadata,
    _located: Located,
}

impl Offline {
    /// Takes a database out of use: its sidecars are applied to it, and no other process can open it.
    ///
    /// Refuses if a process has it open, or if it cannot be proved that none does.
    pub fn lock(
        target: &Target,
        proof: Proof,
        timeouts: &Timeouts,
        progress: &dyn Progress,
    ) -> Result<Self, TargetError> {
        let path = target.path.clone();
        let failed = |error: rusqlite::Error| TargetError::from_sqlite(&path, "lock", &error);
        refuse_holders(&path, proof)?;
        refuse_as_root(&path)?;
        let located = Located::find(&path, timeouts, progress)?;
        let old = fs::metadata(&path).map_err(Steps { path: &path }.io("look at"))?;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Steps { path: &path }.io("open"))?;
        let waiting = LockWait::new(&path, timeouts, progress);
        // Leaving WAL mode changes the header, and page 1 may have a checksum.
        let has_checksum =
            page_checksums::first_page(&file).ok().flatten().is_some_and(|page| page_checksums::holds(&page));
        let connection = waiting.get(|| open_writable(&path))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        // Leaving WAL mode checkpoints the -wal and removes it. Crash after that: the old content, in rollback mode.
        waiting
            .until(|| Ok(leave_wal(&connection)? && begin(&connection, "BEGIN EXCLUSIVE; COMMIT;").map(|()| true)?))?;
        Steps { path: &path }.remove_left_wal()?;
        if has_checksum {
            // Crash before this: the old content in rollback mode; an application that verifies checksums rejects its
            // page 1.
            page_checksums::set_first_in(&file).map_err(Steps { path: &path }.io("write"))?;
        }
        Ok(Self { connection, file, path, old, _located: located })
    }

    /// Copies the old state into a new file (mode 0600), and returns its size.
    pub fn copy_to(&self, copy: &Path, progress: &dyn Progress) -> Result<u64, TargetError> {
        copy_whole(&self.connection, copy, &self.path, progress)
    }

    /// Puts `staged` in place of the file. This is final and survives a power cut once [`Replaced::settle`] has
    /// returned.
    ///
    /// Crash before the rename: the old file, which has no sidecars. Crash after this: the new one. A mount point is
    /// not renamed: its old content is copied into a folder whose name contains `stamp`, and then replaced, see
    /// `overwrite.rs`.
    pub fn replace(self, staged: &Path, stamp: &str) -> Result<Replaced, TargetError> {
        let steps = Steps { path: &self.path };
        let rights = FileRights::of(&self.path).map_err(steps.io("look at"))?;
        let unset = prepare(staged, &rights).map_err(steps.io("prepare"))?;
        steps.remove_empty_journal()?;
        match fs::rename(staged, &self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::ResourceBusy => {
                let aside = steps.keep_aside(stamp)?;
                // The connection holds the lock; the descriptor was opened before it and is closed after it.
                let written = write_into(&self.file, staged).map_err(steps.io("write"));
                let way_back = |_: &TargetError| drop(write_into(&self.file, &steps.in_folder(&aside)));
                written.inspect_err(way_back)?;
                Ok(Replaced { offline: self, unset: Vec::new(), aside: Some(aside) })
            }
            renamed => {
                renamed.map_err(steps.io("replace"))?;
                Ok(Replaced { offline: self, unset, aside: None })
            }
        }
    }
}

/// A database whose file was replaced. The old one is still locked.
pub struct Replaced {
    offline: Offline,
    /// Which rights of the old file could not be set on the new one.
    pub unset: Vec<String>,
    /// The folder that holds a copy of the old content, if the file is a mount point.
    pub aside: Option<PathBuf>,
}

impl Replaced {
    /// Makes it durable, and returns the processes that opened the old file at this very moment and must be restarted.
    ///
    /// After an error the new file is still in place: [`exchange`] undoes that.
    pub fn settle(self) -> Result<Vec<Holder>, TargetError> {
        let Offline { old, path, .. } = &self.offline;
        Steps { path }.sync()?;
        // The lock on the old file is still held: processes that opened it are waiting, and can be found before they
        // continue.
        Ok(holders_of(&[file_id(old)]).processes)
    }
}

/// How certain it must be that no process has a database open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// No process is known to have it open.
    NoneKnown,
    /// Every process was inspected.
    AllSeen,
}

fn refuse_holders(path: &Path, proof: Proof) -> Result<(), TargetError> {
    let found = holders(path).map_err(Steps { path }.io("look for users of"))?;
    if let Some(Holder { pid, name }) = found.processes.first() {
        let others = found.processes.len() - 1;
        let others = if others == 0 { String::new() } else { format!(" and {others} more") };
        let why = format!("process {pid} ({name}){others} has it open; stop it first");
        return Err(TargetError::Refused { path: path.to_owned(), why });
    }
    if proof == Proof::AllSeen && !found.complete {
        return Err(TargetError::Unproved { path: path.to_owned() });
    }
    Ok(())
}

/// Sets the rights of a finished file and syncs it. Returns those that could not be set.
fn prepare(staged: &Path, rights: &FileRights) -> io::Result<Vec<String>> {
    let file = File::open(staged)?;
    let unset = rights.apply(&file)?;
    file.sync_all()?;
    Ok(unset)
}

/// The steps in the folder of one target.
struct Steps<'a> {
    path: &'a Path,
}

impl Steps<'_> {
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn io(&self, action: &'static str) -> impl Fn(io::Error) -> TargetError + use<> {
        let path = self.path.to_owned();
        move |cause| TargetError::Io { path: path.clone(), action, cause }
    }

    fn sync(&self) -> Result<(), TargetError> {
        File::open(self.folder()).and_then(|folder| folder.sync_all()).map_err(self.io("sync the folder of"))
    }

    /// Moves files into a new private folder beside the target, in this order: the main file before its sidecars.
    ///
    /// Crash in between: the main file is gone from its path, so half of it cannot be opened; the moved files are in
    /// the folder, the others still beside the path. If the file system allows it, each is first hard-linked into the
    /// folder, so that the folder is complete before anything is removed: an application that starts at this moment
    /// would delete a lone `-wal`.
    fn set_aside(&self, files: &[PathBuf], stamp: &str) -> Result<PathBuf, TargetError> {
        let aside = self.make_folder(stamp)?;
        self.move_into(&aside, files).inspect_err(|_| self.give_up(&aside))?;
        Ok(aside)
    }

    fn move_into(&self, aside: &Path, files: &[PathBuf]) -> Result<(), TargetError> {
        let place = |file: &PathBuf| aside.join(file.file_name().expect("a resolved path has a file name"));
        let mut linked = Vec::new();
        for file in files {
            linked.push(fs::hard_link(file, place(file)).is_ok());
        }
        File::open(aside).and_then(|folder| folder.sync_all()).map_err(self.io("sync the folder beside"))?;
        for (file, linked) in files.iter().zip(linked) {
            let moved = if linked { fs::remove_file(file) } else { fs::rename(file, place(file)) };
            match moved {
                Ok(()) => {}
                // The -shm disappears with the last connection of a reader that was just there.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(self.io("move aside")(cause)),
            }
            // One after the other, to be safe in a power cut: the main file must not reappear without its sidecars.
            self.sync()?;
        }
        Ok(())
    }

    /// Removes what an earlier run could not remove after leaving WAL mode: a `-wal` of 0 bytes and its index.
    ///
    /// SQLite treats an empty `-wal` as missing, and leaves it; it contains no commit. Crash in between: the old file,
    /// which needs neither. The folder is synced before the new file is put in place, so that no power cut brings back
    /// an older state of them beside it.
    fn remove_left_wal(&self) -> Result<(), TargetError> {
        for left in existing(self.path, &["-wal", "-shm"]).map_err(self.io("look beside"))? {
            if left == sidecar(self.path, "-wal")
                && fs::symlink_metadata(&left).map_err(self.io("look beside"))?.len() > 0
            {
                let why = format!("\"{}\" is still beside it", left.display());
                return Err(TargetError::Refused { path: self.path.to_owned(), why });
            }
            fs::remove_file(&left).map_err(self.io("remove the sidecars of"))?;
        }
        Ok(())
    }

    /// Removes the journal that locking left, with its header zeroed. If the disk lost those zeros, a power cut would
    /// bring back a journal of the old file, and it would be rolled back into the new one. An earlier run may have
    /// removed it, and failed to sync.
    fn remove_empty_journal(&self) -> Result<(), TargetError> {
        let journal = sidecar(self.path, "-journal");
        let mut first = [0];
        match open_regular(&journal).and_then(|file| file.read_at(&mut first, 0)) {
            Ok(_) if first == [0] => fs::remove_file(&journal).map_err(self.io("remove the -journal of"))?,
            Ok(_) => {
                let why = format!("\"{}\" contains an unfinished transaction", journal.display());
                return Err(TargetError::Refused { path: self.path.to_owned(), why });
            }
            Err(cause) if is_no_file(&cause) => {}
            Err(cause) => return Err(self.io("read the -journal of")(cause)),
        }
        self.sync()
    }

    /// Returns the path of the main file in a folder beside the target.
    fn in_folder(&self, aside: &Path) -> PathBuf {
        aside.join(self.path.file_name().expect("a resolved path has a file name"))
    }

    /// Copies a main file that cannot be moved into a new folder beside it, durably.
    fn keep_aside(&self, stamp: &str) -> Result<PathBuf, TargetError> {
        let aside = self.make_folder(stamp)?;
        let kept = keep_copy(self.path, &self.in_folder(&aside)).and_then(|()| File::open(&aside)?.sync_all());
        kept.map_err(self.io("copy aside"))?;
        Ok(aside)
    }

    /// Replaces the content of a file that is a mount point and that no process has open, and returns the folder with
    /// the old content and the sidecars.
    ///
    /// The sidecars are moved before the content is replaced: they must not be combined with the new one. Crash before
    /// that: the old file, whose sidecars are beside it or in the folder, with a copy of it. Crash later: see
    /// [`super::overwrite`].
    fn replace_in_place(&self, staged: &Path, stamp: &str) -> Result<PathBuf, TargetError> {
        let aside = self.keep_aside(stamp)?;
        let sidecars = existing(self.path, &SIDECARS).map_err(self.io("look beside"))?;
        let written = self.move_into(&aside, &sidecars).and_then(|()| overwrite(self.path, staged));
        written.inspect_err(|_| {
            // Files that cannot be moved back stay in the folder.
            let _ = self.bring_back_in_place(&aside);
        })?;
        Ok(aside)
    }

    /// Undoes [`Steps::replace_in_place`]: restores the old content first, then its sidecars.
    ///
    /// Crash in between: no database, or the old one without its sidecars; the missing files are in the folder.
    fn bring_back_in_place(&self, aside: &Path) -> Result<(), TargetError> {
        let copy = self.in_folder(aside);
        overwrite(self.path, &copy)?;
        fs::remove_file(&copy).map_err(self.io("remove the copy of"))?;
        self.bring_home(aside)
    }

    /// Moves the files that were set aside back after a failure. Files that cannot be moved stay in the folder,
    /// complete.
    fn give_up(&self, aside: &Path) {
        let _ = self.bring_home(aside);
    }

    /// Moves the files of a folder beside the target back to it.
    ///
    /// Crash in between: no main file, with its sidecars beside the target or in the folder. The main file is moved
    /// last, when its sidecars are there.
    fn bring_home(&self, aside: &Path) -> Result<(), TargetError> {
        let main = aside.join(self.path.file_name().expect("a resolved path has a file name"));
        for (ending, old) in SIDECARS.iter().map(|ending| (*ending, sidecar(&main, ending))).chain([("", main.clone())])
        {
            let home = sidecar(self.path, ending);
            // A file that was linked but not yet removed is in both places: renaming one onto the other would do
            // nothing.
            let is_there = |path: &Path| fs::symlink_metadata(path).map(|found| file_id(&found)).ok();
            let moved = match is_there(&old) {
                Some(file) if is_there(&home) == Some(file) => fs::remove_file(&old),
                _ => fs::rename(&old, &home),
            };
            match moved {
                Ok(()) => self.sync()?,
                Err(cause) if is_no_file(&cause) => {}
                Err(cause) => return Err(self.io("put back")(cause)),
            }
        }
        // Empty now; harmless if it stays.
        let _ = fs::remove_dir(aside);
        Ok(())
    }

    fn make_folder(&self, stamp: &str) -> Result<PathBuf, TargetError> {
        for number in 1..100 {
            let ending = if number == 1 { format!(".replaced-{stamp}") } else { format!(".replaced-{stamp}-{number}") };
            let name = path_bytes(self.path.file_name().expect("a resolved path has a file name").as_ref());
            // Shortened if the whole name would be too long.
            let name = &name[..name.len().min(MAX_FILE_NAME_BYTES - ending.len())];
            let folder = self.folder().join(path_of_bytes(&[name, ending.as_bytes()].concat()));
            match make_private_folder(&folder) {
                Ok(()) => {
                    self.sync()?;
                    return Ok(folder);
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(self.io("make a folder beside")(cause)),
            }
        }
        Err(self.io("make a folder beside")(io::ErrorKind::AlreadyExists.into()))
    }

    /// Gives the new file its name, never over another file, and syncs the folder. On an error the name is free again.
    fn put(&self, staged: &Path) -> Result<(), TargetError> {
        // No sidecar of an older database may be there now: an application could have created one.
        if let Some(left) = existing(self.path, &["-wal", "-journal"]).map_err(self.io("look beside"))?.first() {
            let why = format!("\"{}\" appeared in the meantime", left.display());
            return Err(TargetError::Refused { path: self.path.to_owned(), why });
        }
        let appeared = || TargetError::Refused {
            path: self.path.to_owned(),
            why: "a file of that name appeared in the meantime".into(),
        };
        match publish_new(staged, self.path, First::Rename) {
            // No success was reported yet. If it cannot be undone, the new file is in place, and complete.
            Ok(published) => {
                self.sync().inspect_err(|_| {
                    let _ = match published {
                        Published::Linked => fs::remove_file(self.path),
                        Published::Renamed => fs::rename(self.path, staged),
                    };
                    let _ = self.sync();
                })?;
                if published == Published::Linked {
                    // Harmless if it stays: the scratch folder is removed with it.
                    let _ = fs::remove_file(staged);
                }
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Err(appeared()),
            Err(cause) => Err(self.io("create")(cause)),
        }
    }
}
