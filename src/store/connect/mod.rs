//! A store in a pin on a Posit Connect server: its versions are the archives.
//!
//! A version is a bundle of files that was uploaded and then deployed; the newest deployed one is active, and cannot be
//! removed. Beside an archive, a version holds a description with our token and digest, so that after a lost answer our
//! own archive is recognized. There is no place for small files: no marks, and the id of the store is that of the pin.
//! Two clients at once can deploy two versions with the same name; then both are listed, the later one with its number.
//!
//! Versions of other clients are listed too, if they hold one file that a store lists as an archive: the tool that this
//! one replaces made versions of plain databases.

mod api;
mod bundle;
mod description;
mod file;
mod pin;
mod upload;

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use self::api::{Api, Fault};
use self::bundle::Frame;
use self::description::Described;
use self::file::VersionFile;
use self::pin::{Pin, Version, block_on};
use super::surroundings::Remote;
use super::{Capabilities, Entry, Found, Kept, ReadAt, ReadStore, Store, StoreError, Token, Upload};
use crate::digest::Sha256;
use crate::identity::{Identity, StoreId};
use crate::names::ArchiveName;
use crate::net;
use crate::platform::modified;
use crate::progress::{Progress, Silent, Stage};
use crate::store_url::StoreUrl;

/// The variable that holds the key.
const KEY: &str = "CONNECT_API_KEY";

/// A pin on a server.
#[derive(Clone)]
pub struct ConnectStore {
    pin: Pin,
    url: StoreUrl,
}

/// What is to become a version.
struct Archive<'a> {
    content: &'a mut (dyn Read + Send),
    kept: Kept,
    created: DateTime<Utc>,
}

impl ConnectStore {
    /// Opens a pin. Sends no request. Fails with [`StoreError::NoCredentials`] if there is no key.
    pub fn open(url: &StoreUrl, remote: &Remote) -> Result<Self, StoreError> {
        let location = url.to_string();
        let wrong = |why: &'static str| {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, why);
            StoreError::Unreachable { location: location.clone(), cause }
        };
        let Some(key) = (remote.variable)(KEY).filter(|key| !key.trim().is_empty()) else {
            return Err(StoreError::NoCredentials { location, variable: KEY });
        };
        let (user, name) = url.prefix.split_once('/').ok_or_else(|| wrong("the URL must name a user and a pin"))?;
        let base = url.option("endpoint").map_or_else(|| format!("https://{}", url.place), str::to_owned);
        let client = net::client().map_err(|cause| StoreError::Unreachable { location: location.clone(), cause })?;
        let api = Api::new(&base, key.trim(), client, remote).map_err(wrong)?;
        Ok(Self { pin: Pin::new(api, user, name), url: url.clone() })
    }

    fn failed(&self, action: &'static str, name: &str, fault: Fault) -> StoreError {
        fault.at(action, name, self.location())
    }

    fn missing(&self, name: &str) -> StoreError {
        StoreError::NotFound { name: name.to_owned(), location: self.location() }
    }

    /// Returns the pin's guid and its versions; `None` if there is no pin yet.
    fn versions(&self) -> Result<Option<(String, Vec<Version>)>, Fault> {
        let Some(content) = block_on(self.pin.content())? else { return Ok(None) };
        let versions = self.pin.versions(&content.guid)?;
        Ok(Some((content.guid, versions)))
    }

    /// Looks a version up by the name of its file in the store.
    fn find(&self, action: &'static str, name: &str) -> Result<Option<(String, Version)>, StoreError> {
        let found = self.versions().map_err(|fault| self.failed(action, name, fault))?;
        let Some((guid, versions)) = found else { return Ok(None) };
        Ok(versions.into_iter().find(|version| version.entry.name == name).map(|version| (guid, version)))
    }

    fn check(&self, name: &str) -> Result<(), StoreError> {
        let why = "a pin on Posit Connect keeps archives, and no other files";
        let refused =
            || StoreError::io("write", name, self.location(), io::Error::new(io::ErrorKind::Unsupported, why));
        if ArchiveName::new(name).is_ok() { Ok(()) } else { Err(refused()) }
    }

    /// Makes an archive the active version.
    ///
    /// Crash before the deployment: the version has no files, so it is not listed. Crash after it: the archive is
    /// there.
    fn place(&self, name: &str, archive: Archive<'_>, progress: &dyn Progress) -> Result<(), StoreError> {
        self.check(name)?;
        let Archive { content, kept, created } = archive;
        let failed = |fault| self.failed("write", name, fault);
        let guid = block_on(self.pin.content_or_new()).map_err(failed)?.guid;
        let versions = self.pin.versions(&guid).map_err(failed)?;
        if versions.iter().any(|version| version.entry.name == name) {
            return Err(StoreError::Exists { name: name.to_owned(), location: self.location() });
        }
        progress.begin(Stage::Upload, name, kept.bytes);
        let frame = Frame::new(name, kept.bytes, &Described::write(name, &kept, created));
        let id =
            upload::send(&self.pin, &guid, &frame, content, progress).map_err(|fault| self.open_end(name, fault))?;
        // From here on, the version may be there.
        let deployed = match progress.checkpoint() {
            Err(_) => Err(Fault::Stopped),
            Ok(()) => block_on(self.pin.deploy(&guid, id)),
        };
        match deployed {
            Ok(()) => Ok(()),
            Err(fault @ (Fault::Stopped | Fault::Refused(_) | Fault::Denied(_))) => {
                // It has no files, and nobody will deploy it. If this fails, the server removes it with the oldest.
                let _ = block_on(self.pin.remove(&guid, id));
                Err(failed(fault))
            }
            Err(fault) => Err(self.open_end(name, fault)),
        }
    }

    /// Returns the error of a write that may have succeeded, if the fault leaves that open.
    fn open_end(&self, name: &str, fault: Fault) -> StoreError {
        match fault {
            Fault::Passing(text, _) => {
                let (name, location) = (name.to_owned(), self.location());
                StoreError::Unanswered { name, location, cause: io::Error::other(text) }
            }
            fault => self.failed("write", name, fault),
        }
    }
}

impl ReadStore for ConnectStore {
    fn location(&self) -> String {
        self.url.to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_commit: false,
            readable_after_removal: false,
            ranges: self.pin.ranges().unwrap_or(false),
            marks: false,
            remove_newest: false,
            checksums: false,
            takes_safety: false,
        }
    }

    fn own_id(&self) -> Result<Option<Identity>, StoreError> {
        let Some(content) = block_on(self.pin.content()).map_err(|fault| self.failed("look up", "", fault))? else {
            return Ok(None);
        };
        let made_at = content.made_at().unwrap_or(DateTime::UNIX_EPOCH);
        let id = StoreId::of_service(&[&self.url.place, &content.guid]);
        Ok(Some(Identity::of_service(id, self.location(), made_at)))
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let found = self.versions().map_err(|fault| self.failed("list", "", fault))?;
        let versions = found.into_iter().flat_map(|(_, versions)| versions);
        Ok(versions.map(|version| version.entry).collect())
    }

    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        let found = self.find("read", name)?;
        let is_known = |version: &Version| known.is_none_or(|known| known.version == version.entry.version);
        let (guid, version) = found.filter(|(_, version)| is_known(version)).ok_or_else(|| self.missing(name))?;
        Ok(Arc::new(VersionFile {
            pin: self.pin.clone(),
            guid,
            id: version.id,
            name: version.described.file,
            bytes: version.entry.bytes,
            whole: Mutex::default(),
        }))
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.find("look up", name)?.map(|(_, version)| version.entry))
    }
}

impl Store for ConnectStore {
    /// Finds out whether the server gives parts of files. Writes nothing.
    fn prepare(&self, _largest: u64) -> Result<(), StoreError> {
        self.list().map(drop)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let kept = Kept { token: Some(Token::random()), bytes: content.len() as u64, sha256: Sha256::of(content) };
        let created = block_on(self.pin.server_time()).map_err(|fault| self.failed("write", name, fault))?;
        self.place(name, Archive { content: &mut &*content, kept, created }, &Silent)
    }

    /// Killed in between: the version is there, or it is gone.
    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let (guid, version) = self.find("remove", name)?.ok_or_else(|| self.missing(name))?;
        if version.is_active {
            return Err(self.failed("remove", name, Fault::Active));
        }
        block_on(self.pin.remove(&guid, version.id)).map_err(|fault| self.failed("remove", name, fault))
    }

    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        let failed = |cause| StoreError::io("write", name, self.location(), cause);
        let mut file = File::open(upload.path()).map_err(failed)?;
        let created = modified(&file.metadata().map_err(failed)?);
        let sha256 = upload.sha256().map_err(failed)?;
        let kept = Kept { token: Some(upload.token()), bytes: upload.bytes(), sha256 };
        self.place(name, Archive { content: &mut file, kept, created }, progress)
    }

    /// A version of ours that was uploaded and not deployed is deployed.
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        let Some((guid, versions)) = self.versions().map_err(|fault| self.failed("look up", name, fault))? else {
            return Ok(Found::Absent);
        };
        let newest = versions.iter().map(|version| version.id).max();
        let Some(version) = versions.into_iter().find(|version| version.entry.name == name) else {
            return Ok(Found::Absent);
        };
        let failed = |cause| StoreError::io("look up", name, self.location(), cause);
        let found = version.described.kept().map(|kept| upload.compare(&kept)).transpose().map_err(failed)?;
        if found == Some(Found::Same) && !version.is_active && newest == Some(version.id) {
            block_on(self.pin.deploy(&guid, version.id)).map_err(|fault| self.failed("write", name, fault))?;
        }
        Ok(found.unwrap_or(Found::Other))
    }
}
