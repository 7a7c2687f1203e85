//! A store on whatever the `rclone` program reaches: drives, SFTP, WebDAV, buckets.
//!
//! A remote of rclone cannot take a free name atomically, and a transfer that was cut leaves a part under the name that
//! it was given. So a file is sent to `.NAME.part-TOKEN`, compared, and then moved to its name unless that is taken;
//! listings skip names with a dot. A bucket shows an object only when it is whole: there the file is sent to its name.
//! rclone looks first and writes then: two clients at once can both succeed, which [`Capabilities`] says.
//!
//! rclone has no place for a token beside a file. After a lost answer, a file is our own if this store sent it to its
//! name itself, and size and checksum agree; if the remote has no checksums, the file is read back and hashed.

mod listing;
mod program;
mod send;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use listing::{Abilities, Listed, SHA256};
use program::{NO_FOLDER, Program, flag};

use super::surroundings::Remote;
use super::{Capabilities, Entry, Found, ReadAt, ReadStore, Store, StoreError, Token, Upload};
use crate::digest::Hasher;
use crate::names::is_file_name;
use crate::platform::write_synced;
use crate::progress::{Progress, Silent};
use crate::store_url::StoreUrl;

/// How much one call reads: each starts a process and connects.
const BLOCK: NonZeroUsize = NonZeroUsize::new(4 << 20).expect("not zero");

/// A folder on a remote of rclone.
#[derive(Clone)]
pub struct RcloneStore(Arc<Shared>);

struct Shared {
    program: Program,
    url: StoreUrl,
    /// What the remote can do; asked once.
    abilities: OnceLock<Abilities>,
    /// The uploads that were, or may have been, given their names by this store.
    sent: Mutex<HashSet<Token>>,
}

impl RcloneStore {
    /// Opens a remote. Starts nothing.
    pub fn new(url: &StoreUrl, remote: &Remote) -> Result<Self, StoreError> {
        // Parameters behind the name can hold a password, and a location is printed.
        if url.place.contains([',', '=', ':']) {
            let why = "the remote must be a name from rclone's configuration, without parameters";
            let cause = io::Error::new(io::ErrorKind::InvalidInput, why);
            return Err(StoreError::Unreachable { location: "rclone".into(), cause });
        }
        Ok(Self(Arc::new(Shared {
            program: Program::new(remote.clone()),
            url: url.clone(),
            abilities: OnceLock::new(),
            sent: Mutex::default(),
        })))
    }
}

impl Shared {
    fn location(&self) -> String {
        self.url.to_string()
    }

    fn folder(&self) -> OsString {
        format!("{}:{}", self.url.place, self.url.prefix).into()
    }

    /// Returns the address of a file in the folder.
    fn address(&self, name: &str) -> OsString {
        let StoreUrl { place, prefix, .. } = &self.url;
        if prefix.is_empty() { format!("{place}:{name}") } else { format!("{place}:{prefix}/{name}") }.into()
    }

    /// Returns the folder above, and the name of the folder in it; `None` at the root of a remote.
    fn above(&self) -> Option<(OsString, &str)> {
        let StoreUrl { place, prefix, .. } = &self.url;
        let (above, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let above = if above.is_empty() && prefix.starts_with('/') { "/" } else { above };
        (!name.is_empty()).then(|| (format!("{place}:{above}").into(), name))
    }

    fn failed(&self, action: &'static str, name: &str, cause: io::Error) -> StoreError {
        StoreError::io(action, name, self.location(), cause)
    }

    fn unreachable(&self, cause: io::Error) -> StoreError {
        StoreError::Unreachable { location: self.location(), cause }
    }

    fn missing(&self, name: &str) -> StoreError {
        StoreError::NotFound { name: name.to_owned(), location: self.location() }
    }

    fn check(&self, name: &str) -> Result<(), StoreError> {
        let cause = || io::ErrorKind::InvalidFilename.into();
        if is_file_name(name) { Ok(()) } else { Err(self.failed("use", name, cause())) }
    }

    fn sent(&self) -> MutexGuard<'_, HashSet<Token>> {
        // A panic elsewhere cannot have left the set half changed: each change is one call.
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abilities(&self) -> Result<&Abilities, StoreError> {
        if let Some(known) = self.abilities.get() {
            return Ok(known);
        }
        let answer = self.program.call("backend", &["features".into(), self.folder()]);
        let answer = answer.map_err(|cause| self.unreachable(cause))?;
        if !answer.succeeded() {
            return Err(self.unreachable(answer.failure()));
        }
        let found = Abilities::parse(&answer.output).map_err(|cause| self.unreachable(cause))?;
        Ok(self.abilities.get_or_init(|| found))
    }

    /// Lists the folder. One that does not exist is an empty store if the folder above answers and does not hold it: it
    /// is made by the first upload. A missing bucket is an error.
    fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let unreachable = |cause| self.unreachable(cause);
        let mut all = ["files-only", "no-mimetype", "use-server-modtime"].map(|name| flag(name).into()).to_vec();
        all.push(self.folder());
        let answer = self.program.call("lsjson", &all).map_err(unreachable)?;
        if answer.succeeded() {
            return Listed::all(&answer.output).map_err(unreachable);
        }
        if answer.code == Some(NO_FOLDER) && self.was_never_made()? {
            Ok(Vec::new())
        } else {
            Err(unreachable(answer.failure()))
        }
    }

    fn was_never_made(&self) -> Result<bool, StoreError> {
        let Some((above, name)) = self.above() else { return Ok(false) };
        if self.abilities()?.is_bucket() {
            return Ok(false);
        }
        let arguments = [flag("dirs-only").into(), flag("no-mimetype").into(), above];
        let answer = self.program.call("lsjson", &arguments).map_err(|cause| self.unreachable(cause))?;
        if !answer.succeeded() {
            return Ok(false);
        }
        let folders = Listed::all(&answer.output).map_err(|cause| self.unreachable(cause))?;
        Ok(folders.iter().all(|folder| folder.name != name))
    }

    /// Looks one file up, with its checksum if a kind is named. "Missing" comes from a listing of the folder: rclone
    /// answers a request about one file in the same way if the file is missing and if it must not be looked at.
    fn look_at(&self, name: &str, checksum: Option<&str>) -> Result<Option<Listed>, StoreError> {
        let mut arguments: Vec<OsString> = vec![flag("stat").into(), flag("no-mimetype").into()];
        match checksum {
            Some(kind) => arguments.extend([flag("hash"), flag("hash-type"), kind.to_owned()].map(OsString::from)),
            None => arguments.push(flag("use-server-modtime").into()),
        }
        arguments.push(self.address(name));
        let answer = self.program.call("lsjson", &arguments).map_err(|cause| self.unreachable(cause))?;
        let found = if answer.succeeded() {
            Listed::one(&answer.output).map_err(|cause| self.failed("look up", name, cause))?
        } else {
            None
        };
        if found.is_some() {
            return Ok(found);
        }
        match self.list()?.into_iter().find(|listed| listed.name == name) {
            Some(_) => Err(self.failed("look up", name, answer.failure())),
            None => Ok(None),
        }
    }

    /// Compares a file in the remote with one that was sent there.
    fn is_same(&self, name: &str, found: &Listed, upload: &Upload, kind: Option<&str>) -> Result<bool, StoreError> {
        if found.bytes() != Some(upload.bytes()) {
            return Ok(false);
        }
        let failed = |cause| self.failed("compare", name, cause);
        match kind.and_then(|kind| Some((kind, found.checksum(kind)?))) {
            Some((SHA256, theirs)) => Ok(theirs == upload.sha256().map_err(failed)?.to_string()),
            Some((kind, theirs)) => Ok(Some(theirs) == self.local_checksum(kind, upload.path()).map_err(failed)?),
            None => {
                let mut hasher = Hasher::default();
                let answer = self.program.stream("cat", &[self.address(name)], &mut |bytes| hasher.update(bytes));
                let answer = answer.map_err(failed)?;
                if !answer.succeeded() {
                    return Err(failed(answer.failure()));
                }
                Ok(hasher.finish() == upload.sha256().map_err(failed)?)
            }
        }
    }

    /// Lets rclone compute a checksum of a local file: each service has its own kind.
    fn local_checksum(&self, kind: &str, path: &Path) -> io::Result<Option<String>> {
        let path = std::path::absolute(path)?;
        let arguments = [flag("stat"), flag("hash"), flag("hash-type"), kind.to_owned()].map(OsString::from);
        let answer = self.program.call("lsjson", &[&arguments[..], &[path.into_os_string()]].concat())?;
        if !answer.succeeded() {
            return Err(answer.failure());
        }
        Ok(Listed::one(&answer.output)?.and_then(|found| found.checksum(kind)))
    }
}

impl ReadStore for RcloneStore {
    fn location(&self) -> String {
        self.0.location()
    }

    /// Removed files cannot be read to their ends, and two clients at once can take the same name.
    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_commit: false, checksums: false, ..Capabilities::OF_OBJECTS }
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(self.0.list()?.into_iter().filter_map(Listed::entry).collect())
    }

    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        let found = self.stat(name)?.filter(|found| known.is_none_or(|known| known.bytes == found.bytes));
        let bytes = found.ok_or_else(|| self.0.missing(name))?.bytes;
        Ok(Arc::new(RemoteFile { store: self.0.clone(), name: name.to_owned(), bytes }))
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.0.check(name)?;
        Ok(self.0.look_at(name, None)?.and_then(|found| {
            Some(Entry { name: name.to_owned(), bytes: found.bytes()?, modified: found.modified, version: None })
        }))
    }
}

impl Store for RcloneStore {
    /// Crash in between: as for an archive, and perhaps a small file in the temporary folder.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.0.check(name)?;
        let failed = |cause| self.0.failed("write", name, cause);
        // rclone sends a stream only under its final name, and whatever is there.
        let folder = self.0.program.variable("TMPDIR").filter(|folder| !folder.is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let path = folder.join(format!("heirloom-put-{}", Token::random()));
        write_synced(&path, &mut &*content).map_err(failed)?;
        let placed = Upload::of(&path).map_err(failed).and_then(|upload| self.0.place(name, &upload, &Silent));
        // It is small, and in the temporary folder.
        let _ = fs::remove_file(&path);
        placed
    }

    /// Killed in between: no file of this name, or the whole one.
    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.0.check(name)?;
        let failed = |cause| self.0.failed("remove", name, cause);
        let answer = self.0.program.call("deletefile", &[self.0.address(name)]).map_err(failed)?;
        if answer.succeeded() {
            return Ok(());
        }
        // rclone says "is a directory or doesn't exist" for a bucket that it must not read, too.
        match self.0.look_at(name, None)? {
            None => Err(self.0.missing(name)),
            Some(_) => Err(failed(answer.failure())),
        }
    }

    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        self.0.place(name, upload, progress)
    }

    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        self.0.check(name)?;
        self.0.find(name, upload)
    }
}

/// A file that is read by one call per range.
struct RemoteFile {
    store: Arc<Shared>,
    name: String,
    bytes: u64,
}

impl ReadAt for RemoteFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = (buffer.len() as u64).min(self.bytes.saturating_sub(offset)) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        let mut read = 0;
        let arguments = [flag("offset"), offset.to_string(), flag("count"), wanted.to_string()].map(OsString::from);
        let arguments = [&arguments[..], &[self.store.address(&self.name)]].concat();
        let answer = self.store.program.stream("cat", &arguments, &mut |bytes| {
            let count = bytes.len().min(wanted - read);
            buffer[read..read + count].copy_from_slice(&bytes[..count]);
            read += count;
        })?;
        if !answer.succeeded() {
            return Err(answer.failure());
        }
        // A bucket says "nothing" for an object that is gone.
        if read < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was removed or became shorter"));
        }
        Ok(read)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn block_bytes(&self) -> Option<NonZeroUsize> {
        Some(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(url: &str) -> RcloneStore {
        RcloneStore::new(&StoreUrl::parse(url).unwrap().unwrap(), &Remote::new(|_| None)).unwrap()
    }

    #[test]
    fn addresses_are_those_of_rclone() {
        for (url, file, above) in [
            ("rclone:drive:", "drive:a", None),
            ("rclone:drive:x", "drive:x/a", Some(("drive:", "x"))),
            ("rclone:drive:x/y", "drive:x/y/a", Some(("drive:x", "y"))),
            ("rclone:nas:/x", "nas:/x/a", Some(("nas:/", "x"))),
            ("rclone:nas:/x/y", "nas:/x/y/a", Some(("nas:/x", "y"))),
        ] {
            assert_eq!(store(url).0.address("a"), file);
            assert_eq!(store(url).0.above(), above.map(|(folder, name)| (folder.into(), name)), "{url}");
        }
    }

    #[test]
    fn parameters_that_could_hold_a_password_are_refused_and_not_repeated() {
        let url = StoreUrl::parse("rclone:drive,client_secret=hunter2:x").unwrap().unwrap();
        let error = RcloneStore::new(&url, &Remote::new(|_| None)).err().unwrap();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
