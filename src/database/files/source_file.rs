//! Finds a source and opens it without changing anything.
//!
//! Nothing is opened before `stat` said that it is a regular file: a pipe would hang, a device is endless.
//! Nothing is given to SQLite before its header was seen: SQLite takes an empty file for a healthy database
//! and deletes the `-wal` beside it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
use rustix::thread::{CapabilitySet, capabilities};

use crate::database::{SourceError, TargetError};

/// The size of the header of a database, in bytes.
pub(in crate::database) const HEADER_BYTES: usize = 100;
/// The first bytes of every database.
pub(in crate::database) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long SQLite itself waits for a lock; longer waits are loops of ours, which can be interrupted.
pub(in crate::database) const LOCK_WAIT: Duration = Duration::from_millis(250);

/// A file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::database) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(in crate::database) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The files to which this process has, or is about to have, SQLite connections.
static CLAIMED: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

/// The sole right of this process to a file.
///
/// POSIX locks belong to the process: whoever opens and closes a file drops the locks of every connection to it. So one
/// part of the program at a time works on a file, and only it knows when no connection is open.
#[derive(Debug)]
struct Claim(FileId);

impl Claim {
    /// Claims a file; `None` where another part of this process has it.
    fn new(id: FileId) -> Option<Self> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.contains(&id) {
            return None;
        }
        claimed.push(id);
        Some(Self(id))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != self.0);
    }
}

/// Looks whether a path is a file that looks like a database, without opening it as one. Fails as capturing it would.
///
/// Only for a caller that has no connection to it: the file is opened and closed.
pub fn probe(path: &Path) -> Result<(), SourceError> {
    Located::find(path).map(drop)
}

/// Returns whether a file has no bytes and nothing beside it that could hold some: an application made it and wrote nothing yet.
pub fn is_blank(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.len() > 0 {
        return Ok(false);
    }
    let path = fs::canonicalize(path)?;
    for ending in ["-wal", "-journal"] {
        match fs::metadata(sidecar(&path, ending)) {
            Ok(beside) if beside.len() > 0 => return Ok(false),
            Ok(_) => {}
            Err(cause) if is_no_file(&cause) => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(true)
}

/// A source that was found to be a file that looks like a database, and is this part of the process's alone.
#[derive(Debug)]
pub(in crate::database) struct Located {
    /// The path as it was given, for messages.
    pub(in crate::database) given: PathBuf,
    /// The path without links: the sidecars lie beside this one.
    pub(in crate::database) path: PathBuf,
    /// The file; sets are locked in this order.
    pub(in crate::database) id: FileId,
    claim: Claim,
}

impl Located {
    /// Finds a source and refuses what is not a database, before SQLite sees it.
    pub(in crate::database) fn find(given: &Path) -> Result<Self, SourceError> {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => SourceError::Missing(given.to_owned()),
            _ => SourceError::Io { path: given.to_owned(), action: "open", cause },
        };
        let metadata = fs::metadata(given).map_err(failed)?;
        if let Some(what) = oddity(&metadata) {
            return Err(SourceError::NotAFile { path: given.to_owned(), what });
        }
        let path = fs::canonicalize(given).map_err(failed)?;
        if metadata.len() == 0 {
            let wal_beside = fs::metadata(sidecar(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
            return Err(SourceError::Empty { path: given.to_owned(), wal_beside });
        }
        let id = FileId::of(&metadata);
        let claim = Claim::new(id).ok_or_else(|| {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "the same file is in use under another name in this run");
            SourceError::Io { path: given.to_owned(), action: "open", cause }
        })?;
        let located = Self { given: given.to_owned(), path, id, claim };
        located.header()?;
        Ok(located)
    }

    /// Reads the header of the main file as it lies on the disk, without what is in a `-wal`.
    ///
    /// The claim makes this safe; it is called only while this part of the process has no connection to the file.
    pub(in crate::database) fn header(&self) -> Result<[u8; HEADER_BYTES], SourceError> {
        debug_assert_eq!(self.claim.0, self.id);
        let file = self.open_file()?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|cause| self.io("read", cause))?;
        let refused = |why: String| SourceError::NotADatabase { path: self.given.clone(), why };
        if !header.starts_with(MAGIC) {
            return Err(refused("its first bytes are not those of a SQLite database".into()));
        }
        let bytes = header.len();
        header.try_into().map_err(|_| refused(format!("it is cut off within its header, after {bytes} bytes")))
    }

    /// Opens the main file for plain reading; never blocks on what was put in its place.
    pub(in crate::database) fn open_file(&self) -> Result<File, SourceError> {
        let file = open_regular(&self.path).map_err(|cause| self.io("open", cause))?;
        let metadata = file.metadata().map_err(|cause| self.io("read", cause))?;
        if FileId::of(&metadata) == self.id {
            Ok(file)
        } else {
            let why = "it was replaced by another file at this moment".into();
            Err(SourceError::Busy { path: self.given.clone(), why })
        }
    }

    /// Makes an error about this source.
    pub(in crate::database) fn io(&self, action: &'static str, cause: io::Error) -> SourceError {
        SourceError::Io { path: self.given.clone(), action, cause }
    }
}

/// Opens a regular file for reading, and nothing else: no link, no pipe.
pub(in crate::database) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")) }
}

/// Says what a thing is that is not a regular file.
pub(in crate::database) fn oddity(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Way {
    /// In place, by a connection that cannot write: a rollback-mode database. It needs no sidecars, and meets a hot
    /// journal with an error instead of rolling it back.
    ReadOnly,
    /// In place, by a connection that could write: a WAL database, whose `-shm` every reader must write.
    Wal(Sidecars),
    /// From a private copy of the file and its sidecars.
    Staged,
}

/// Whose the sidecars of a WAL database are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Sidecars {
    /// There were none: SQLite makes them for us, and they go with us.
    Ours,
    /// An application's, living or dead: they stay as they are.
    Theirs,
}

/// Chooses how a source is read from what lies there now.
///
/// In place needs a WAL database whose sidecars are both there and writable, or both absent and ours to make: made by
/// another user than the owner they would lock the application out. A lone `-wal` belongs to nobody who lives, and a
/// connection would leave a `-shm` beside it; a `-journal` beside a WAL database would be rolled back in place.
pub(in crate::database) fn way(located: &Located) -> Result<Way, SourceError> {
    let find = |ending| find_sidecar(&located.path, ending).map_err(|cause| located.io("read the sidecars of", cause));
    let (wal, shm, journal) = (find("-wal")?, find("-shm")?, find("-journal")?);
    let header = located.header()?;
    // SQLite uses a `-wal` that is there, whatever the header says.
    if header[19] != 2 && wal.is_none() {
        return Ok(Way::ReadOnly);
    }
    if let Some(path) = journal
        && begins_with_data(&path).map_err(|cause| located.io("read the -journal of", cause))?
    {
        return Ok(Way::Staged);
    }
    let folder = located.path.parent().unwrap_or(Path::new("/"));
    if !may(&located.path, Access::READ_OK | Access::WRITE_OK) || !may(folder, Access::WRITE_OK | Access::EXEC_OK) {
        return Ok(Way::Staged);
    }
    match (wal, shm) {
        (None, None) if is_owner(&located.path) => Ok(Way::Wal(Sidecars::Ours)),
        (Some(wal), Some(shm)) if [&wal, &shm].iter().all(|path| may(path, Access::READ_OK | Access::WRITE_OK)) => {
            Ok(Way::Wal(Sidecars::Theirs))
        }
        _ => Ok(Way::Staged),
    }
}

/// Says whether a source has a `-wal`, and no journal of a transaction that goes on or died.
pub(in crate::database) fn has_only_a_wal(located: &Located) -> Result<bool, SourceError> {
    let find = |ending| find_sidecar(&located.path, ending).map_err(|cause| located.io("read the sidecars of", cause));
    let hot = |path: PathBuf| begins_with_data(&path).map_err(|cause| located.io("read the -journal of", cause));
    Ok(find("-wal")?.is_some() && !find("-journal")?.map(hot).transpose()?.unwrap_or(false))
}

/// Returns the path of a sidecar where it exists. One that is not a regular file is an error: SQLite would hang on a pipe.
fn find_sidecar(path: &Path, ending: &str) -> io::Result<Option<PathBuf>> {
    let path = sidecar(path, ending);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(path)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("its {ending} is not a regular file"))),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says whether an error about a sidecar proves that there is none: nothing has the name, or it is too long for a file to have it.
pub(in crate::database) fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

/// Says whether a journal has content: SQLite's own test for a hot one (a finished one is zeroed or empty).
fn begins_with_data(journal: &Path) -> io::Result<bool> {
    let mut first = [0];
    match open_regular(journal).and_then(|mut file| file.read(&mut first)) {
        Ok(bytes) => Ok(bytes == 1 && first[0] != 0),
        Err(error) if is_no_file(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks the kernel for a permission of the effective user; a read-only mount and an immutable file refuse writing.
fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// Says whether sidecars that SQLite makes will belong to the owner of the file. As root it gives them to the owner, which needs
/// CAP_CHOWN: a unit of systemd or a container often runs without it, and SQLite does not report that it failed.
fn is_owner(path: &Path) -> bool {
    let user = rustix::process::geteuid();
    (user.is_root() && can_give_away()) || fs::metadata(path).is_ok_and(|metadata| metadata.uid() == user.as_raw())
}

/// Says whether this process may give files to other users.
fn can_give_away() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::CHOWN))
}

/// Says whether the sidecars of a database belong to this user and the database to another one, whose applications they lock out.
///
/// They are this process's then: the last connection of an application took the old ones away after [`way`] had seen them.
pub(in crate::database) fn locks_out_owner(path: &Path) -> bool {
    let owner = |path: &Path| fs::symlink_metadata(path).map(|metadata| metadata.uid()).ok();
    let user = rustix::process::geteuid().as_raw();
    owner(&sidecar(path, "-shm")) == Some(user) && owner(path).is_some_and(|owner| owner != user)
}

/// Says why a database must not be replaced by this process, as far as that is a matter of owners: a journal, a `-wal` or a new file
/// of root's would keep the owner's applications from opening it, after a kill for good.
///
/// With both sidecars of WAL mode there, none is made.
pub(in crate::database) fn refuse_as_root(path: &Path) -> Result<(), TargetError> {
    let failed = |cause| TargetError::Io { path: path.to_owned(), action: "look at", cause };
    if !rustix::process::geteuid().is_root() || is_owner(path) {
        return Ok(());
    }
    let there = |ending| find_sidecar(path, ending).map(|found| found.is_some());
    if there("-wal").map_err(failed)? && there("-shm").map_err(failed)? {
        return Ok(());
    }
    Err(TargetError::NotOwner { path: path.to_owned(), owner: fs::metadata(path).map_err(failed)?.uid() })
}

/// Returns the path of a sidecar: the path with an ending behind it.
pub(in crate::database) fn sidecar(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// A connection to a source, or to a private copy of it. Closing it leaves no sidecar that SQLite made for it, and checkpoints nothing.
pub(in crate::database) struct Live {
    connection: Option<Connection>,
    path: PathBuf,
    sidecars: Sidecars,
}

impl Live {
    /// Opens a database that exists.
    pub(in crate::database) fn open(path: &Path, way: Way) -> rusqlite::Result<Self> {
        let (mode, access, sidecars) = match way {
            Way::ReadOnly => ("ro", OpenFlags::SQLITE_OPEN_READ_ONLY, Sidecars::Theirs),
            Way::Wal(sidecars) => ("rw", OpenFlags::SQLITE_OPEN_READ_WRITE, sidecars),
            Way::Staged => ("rw", OpenFlags::SQLITE_OPEN_READ_WRITE, Sidecars::Ours),
        };
        let connection = connect(path, &format!("mode={mode}"), access)?;
        // The close that follows would otherwise checkpoint and delete the -wal of an application that crashed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(Self { connection: Some(connection), path: path.to_owned(), sidecars })
    }

    /// Returns the connection.
    pub(in crate::database) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is taken by drop alone")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // An ordinary close removes the sidecars, if nobody else is connected, after a checkpoint. While the -wal is empty that
        // checkpoint has nothing to write. Where an application came, wrote and left meanwhile, its -wal stays with what it holds.
        let empty = match fs::symlink_metadata(sidecar(&self.path, "-wal")) {
            Ok(wal) => wal.len() == 0,
            Err(error) => is_no_file(&error),
        };
        if (self.sidecars == Sidecars::Ours || locks_out_owner(&self.path)) && empty {
            // Where this fails the sidecars stay, empty and harmless.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
        drop(connection);
    }
}

/// Opens a private copy for reading only; nothing beside it is looked at or made.
pub(in crate::database) fn open_private(copy: &Path) -> rusqlite::Result<Connection> {
    connect(copy, "mode=ro&immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a private copy so that SQLite sees its CHECK constraints, which it leaves out of a schema that it can only read.
///
/// Nothing is written all the same. A copy in WAL mode gets a `-wal` for the time of the connection, without content.
pub(in crate::database) fn open_private_with_checks(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON;")?;
    Ok(connection)
}

/// Opens a private copy to change it, or to run a command that could. Nothing else may work on it as a database meanwhile.
///
/// A copy in WAL mode gets a `-wal` for the time of the connection, which is merged into it at the close.
pub(in crate::database) fn open_private_to_write(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE;")?;
    Ok(connection)
}

/// Says whether nothing lies beside a copy that a connection could apply to it.
pub(in crate::database) fn lies_alone(copy: &Path) -> bool {
    ["-wal", "-journal"].iter().all(|ending| matches!(find_sidecar(copy, ending), Ok(None)))
}

/// Opens a database that exists, and makes the connection safe for files of uncertain origin.
///
/// See "Defense Against The Dark Arts" (sqlite.org/security.html). None of this reads the file.
pub(in crate::database) fn connect(path: &Path, parameters: &str, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("{}?{parameters}", uri(path)), flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.execute_batch("PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;")?;
    Ok(connection)
}

/// Writes a path as a `file:` URI; every byte that could mean something else is escaped.
fn uri(path: &Path) -> String {
    // What follows two slashes is an authority: a relative path must not stand there.
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes everything");
        }
    }
    uri
}
