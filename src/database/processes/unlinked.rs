//! Finds deleted files of a database that a process still writes to.
//!
//! Deleting the `-wal` and `-shm` of a running application, or replacing its database with another file, leaves the
//! application with deleted files. It continues and every commit succeeds, but the path has an old state, or an empty
//! one. Only the open files of the processes show this, and only to root and to the user of the process: problems that
//! cannot be seen are not reported.
//!
//! Opens none of these files; scanning 10,000 descriptors takes 20 ms of CPU time (measured).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::holders::name;
use crate::database::sidecars::sidecar;
use crate::platform::{
    deleted_file_written, deleted_files, descriptor_path, names_open, other_processes, record_locks,
};

/// A process that writes to deleted files of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlinked {
    /// Its PID.
    pub pid: u32,
    /// Its name, safe for a terminal; empty if it cannot be read.
    pub process: String,
    /// Its descriptor of the deleted main file.
    pub main: Option<u32>,
    /// Its descriptor of the deleted `-wal`.
    pub wal: Option<u32>,
    /// Its descriptor of the deleted `-shm`. This alone loses nothing, but the next program to open the database
    /// creates another one, and both write to the `-wal` without coordination.
    pub shm: Option<u32>,
}

/// The processes that have deleted files open, read once for databases that are looked at one right after the other.
#[derive(Debug, Default)]
pub struct DeletedFiles {
    /// When reading them ended: of very many open files that takes longer than what was read is used.
    read: Option<(Instant, Vec<Suspect>)>,
}

/// A process, and the former names of its deleted files.
type Suspect = (u32, Vec<PathBuf>);

/// How long what was read is used. Files can be deleted at any time after a database was checked, which is used for
/// longer than this: a few more milliseconds before the check change nothing.
const SHARED_FOR: Duration = Duration::from_millis(100);

impl DeletedFiles {
    /// Inspects the open files of all other processes. Whatever is found is as it is now.
    pub(in crate::database) fn find(&mut self, path: &Path, main: (u64, u64)) -> Option<Unlinked> {
        let (wal_path, shm_path) = (sidecar(path, "-wal"), sidecar(path, "-shm"));
        let wanted = [path, &wal_path, &shm_path].map(Path::file_name);
        let is_suspect = |(_, names): &&Suspect| names.iter().any(|name| wanted.contains(&name.file_name()));
        self.processes().iter().filter(is_suspect).find_map(|(pid, _)| in_process(*pid, path, main))
    }

    fn processes(&mut self) -> &[Suspect] {
        let read = self.read.take().filter(|(at, _)| at.elapsed() < SHARED_FOR);
        let names = |pid| {
            let names: Vec<PathBuf> = deleted_files(pid).ok()?.into_iter().map(|(_, named)| named).collect();
            (!names.is_empty()).then_some((pid, names))
        };
        let read = read.unwrap_or_else(|| {
            let found = other_processes().filter_map(names).collect();
            (Instant::now(), found)
        });
        &self.read.insert(read).1
    }
}

fn in_process(pid: u32, path: &Path, main: (u64, u64)) -> Option<Unlinked> {
    let (wal_path, shm_path) = (sidecar(path, "-wal"), sidecar(path, "-shm"));
    let (mut deleted_main, mut deleted_wal, mut deleted_shm) = (None, None, None);
    let (mut foreign_wal, mut foreign_shm, mut main_inode) = (Vec::new(), Vec::new(), main.1);
    for (descriptor, named) in deleted_files(pid).ok()? {
        let (is_main, is_shm) = (named == path, named.file_name() == shm_path.file_name());
        if !is_main && !is_shm && named.file_name() != wal_path.file_name() {
            continue;
        }
        let Some((_, inode)) = deleted_file_written(pid, descriptor).filter(|(device, _)| *device == main.0) else {
            continue;
        };
        if is_main {
            deleted_main = Some(descriptor);
            main_inode = inode;
        } else if named == wal_path {
            deleted_wal = Some(descriptor);
        } else if named == shm_path {
            deleted_shm = Some(descriptor);
        } else if is_shm {
            foreign_shm.push((descriptor, named));
        } else {
            foreign_wal.push((descriptor, named));
        }
    }
    // In a container the same file has another path: then the process must have this very database open, and beside it.
    // The databases of tenants may all have one name.
    if deleted_wal.or(deleted_shm).is_none() && !(foreign_wal.is_empty() && foreign_shm.is_empty()) {
        let names = names_open(pid, main).unwrap_or_default();
        let beside = |found: Vec<(u32, PathBuf)>, ending: &str| {
            let is_beside = |(_, named): &(u32, PathBuf)| names.iter().any(|name| sidecar(name, ending) == *named);
            found.into_iter().find(is_beside).map(|(descriptor, _)| descriptor)
        };
        (deleted_wal, deleted_shm) = (beside(foreign_wal, "-wal"), beside(foreign_shm, "-shm"));
    }
    // SQLite keeps a lock on the main file while it uses a -wal. A child that inherited the descriptors has none.
    deleted_wal = deleted_wal.filter(|_| has_lock(pid, main_inode));
    deleted_shm = deleted_shm.filter(|_| reads(pid, main_inode));
    let found = Unlinked { pid, process: String::new(), main: deleted_main, wal: deleted_wal, shm: deleted_shm };
    (found.main.or(found.wal).or(found.shm).is_some()).then(|| Unlinked { process: name(pid), ..found })
}

/// Returns whether a process has the lock of a connection that stays open. The last one to close the database locks all
/// others out, deletes the `-shm`, and only then closes it.
fn reads(pid: u32, inode: u64) -> bool {
    let locks = record_locks().unwrap_or_default();
    let own = || locks.iter().filter(|lock| (lock.pid, lock.file.1) == (pid, inode));
    own().next().is_some() && own().all(|lock| !lock.is_exclusive)
}

fn has_lock(pid: u32, inode: u64) -> bool {
    record_locks().map_or(true, |locks| locks.iter().any(|lock| (lock.pid, lock.file.1) == (pid, inode)))
}

impl Unlinked {
    /// Returns how to save the data that only the process has. Its `-wal` holds the commits since the last checkpoint.
    pub fn rescue(&self, path: &Path) -> String {
        if self.main.or(self.wal).is_none() {
            return format!(
                "open it with no other program; stop process {}, so that it checkpoints its -wal into the database, \
                 and try again",
                self.pid
            );
        }
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let word = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
        let open = |descriptor: u32| descriptor_path(self.pid, descriptor);
        let copy = sidecar(&path, ".rescued");
        let main = self.main.map_or_else(|| word(&path), open);
        let mut commands = vec![format!("cp {main} {}", word(&copy))];
        commands.extend(self.wal.map(|wal| format!("cp {} {}", open(wal), word(&sidecar(&copy, "-wal")))));
        format!(
            "before process {} is stopped, and while nothing is written, save what only it has: {}; then stop it and \
             compare the copy \
             with the database",
            self.pid,
            commands.join(" && ")
        )
    }
}

impl fmt::Display for Unlinked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, process) = (self.pid, &self.process);
        if self.main.or(self.wal).is_none() {
            return write!(
                f,
                "is not safe to open: its -shm was deleted while process {pid} ({process}) uses it; another program \
                 that opens it would damage it"
            );
        }
        let files = match (self.main, self.wal) {
            (Some(_), Some(_)) => "file and its -wal were",
            (Some(_), None) => "file was",
            (None, _) => "-wal was",
        };
        write!(
            f,
            "is incomplete: its {files} deleted while process {pid} ({process}) writes to it; its commits are lost \
             when it ends"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::platform::file_id;

    #[test]
    fn what_was_read_is_shared_for_a_moment_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(folder.path()).unwrap().join("app.db");
        let script = "exec 7<>app.db; rm app.db; : >app.db; echo; read end";
        let mut application = Command::new("sh")
            .args(["-c", script])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(application.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let main = file_id(&fs::metadata(&path).unwrap());
        let found = |read: Option<Instant>| {
            let mut deleted = DeletedFiles { read: read.map(|at| (at, Vec::new())) };
            let first = deleted.find(&path, main);
            assert_eq!(deleted.find(&path, main), first);
            first.and_then(|found| Some((found.pid, found.main?)))
        };
        let expected = Some((application.id(), 7));
        assert_eq!(found(None), expected);
        assert_eq!(found(Instant::now().checked_sub(SHARED_FOR)), expected, "it was read too long ago");
        // Read so late that it is recent however long this test takes.
        assert_eq!(found(Instant::now().checked_add(Duration::from_secs(3600))), None, "it was read just now");
        // What is found is as it is now: the names do not matter.
        let mut stale = DeletedFiles::default();
        assert!(stale.find(&path, main).is_some());
        drop(application.stdin.take());
        application.wait().unwrap();
        assert_eq!(stale.find(&path, main), None);
    }
}
