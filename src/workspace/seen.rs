//! Which archive holds the state that a database was last seen in: `seen/activity-ID.json` in the workspace, one for
//! each database.
//!
//! A cache: a lost or unreadable record means that nothing is known, and the database is copied and compared.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::digest::Sha256;
use crate::look::Look;
use crate::names::{ArchiveId, ArchiveName, Name};
use crate::platform::private_file_anew;
use crate::streams::Stream;

/// The folder inside the workspace.
const FOLDER: &str = "seen";

/// The last backup of a database, and what it was when it held what the backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The stream of the archive.
    pub stream: Stream,
    /// The name of the database in the set.
    pub database: Name,
    /// Its path, absolute, as it was given.
    pub source: String,
    /// The newest archive of the stream.
    pub archive: ArchiveName,
    /// Its identity.
    pub id: Option<ArchiveId>,
    /// Its size.
    pub bytes: u64,
    /// The instant of its snapshot.
    pub created_at: DateTime<Utc>,
    /// For whom the archive is encrypted; empty if it is not.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// When the database was last found to hold what the archive holds.
    pub confirmed_at: DateTime<Utc>,
    /// The digest of the copy that the archive was made from; `None` if it was vacuumed and nobody asked.
    pub copied: Option<Sha256>,
    /// The database; `None` if it changed while it was copied.
    pub look: Option<Look>,
}

impl Workspace {
    /// Returns the record of a stream's database, if there is one. The file of a stream does not matter.
    pub fn seen(&self, stream: &Stream) -> Option<Seen> {
        read(&self.seen_file(stream)).filter(|seen| seen.stream.same_place(stream))
    }

    /// Returns all records that can be read, by set and database.
    pub fn all_seen(&self) -> Vec<Seen> {
        let entries = fs::read_dir(self.folder.join(FOLDER)).into_iter().flatten().filter_map(Result::ok);
        let mut all: Vec<Seen> = entries.filter_map(|entry| read(&entry.path())).collect();
        all.sort_by(|a, b| (&a.stream, &a.database).cmp(&(&b.stream, &b.database)));
        all
    }

    /// Writes a record, replacing the one before.
    ///
    /// Crash in between: the record before, which claims no more than it did, and a `put-` file that the next cleanup
    /// of leftovers removes.
    pub fn record_seen(&self, seen: &Seen) -> io::Result<()> {
        self.create_subfolder(FOLDER)?;
        let path = self.seen_file(&seen.stream);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let staged = self.folder.join(format!("put-seen-{}-{name}", std::process::id()));
        let written = private_file_anew(&staged)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(seen)?))
            .and_then(|()| fs::rename(&staged, &path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })
    }

    /// Forgets what is recorded about a database.
    pub fn forget_seen(&self, stream: &Stream) -> io::Result<()> {
        match fs::remove_file(self.seen_file(stream)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }

    fn seen_file(&self, stream: &Stream) -> PathBuf {
        let key = format!("{}\0{}\0{}", stream.set, stream.host, stream.place);
        self.folder.join(FOLDER).join(format!("activity-{}.json", &Sha256::of(key.as_bytes()).to_string()[..32]))
    }
}

fn read(path: &std::path::Path) -> Option<Seen> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::HostLabel;
    use crate::streams::Place;

    #[test]
    fn a_record_counts_for_its_database_alone() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("workspace"));
        let stream = |path: &str| Stream {
            set: Name::new("app").unwrap(),
            host: HostLabel::new("here").unwrap(),
            place: Place::Path(path.into()),
            file: None,
        };
        let seen = |path: &str, archive: &str| Seen {
            stream: stream(path),
            database: Name::new("app").unwrap(),
            source: path.into(),
            archive: ArchiveName::new(archive).unwrap(),
            id: None,
            recipients: Vec::new(),
            bytes: 7,
            created_at: DateTime::UNIX_EPOCH,
            confirmed_at: DateTime::UNIX_EPOCH,
            copied: Some(Sha256::of(b"copy")),
            look: None,
        };
        assert_eq!((workspace.seen(&stream("/a")), workspace.all_seen()), (None, Vec::new()));
        let (first, second, other) = (seen("/a", "1.tar.gz"), seen("/a", "2.tar.gz"), seen("/b", "1.tar.gz"));
        for seen in [&other, &first, &second] {
            workspace.record_seen(seen).unwrap();
        }
        assert_eq!(workspace.all_seen(), [second.clone(), other.clone()]);
        assert_eq!(workspace.seen(&stream("/a")), Some(second));
        fs::write(workspace.seen_file(&stream("/a")), "{").unwrap();
        assert_eq!(workspace.seen(&stream("/a")), None, "an unreadable record is none");
        workspace.forget_seen(&stream("/b")).unwrap();
        workspace.forget_seen(&stream("/b")).unwrap();
        assert_eq!(workspace.all_seen(), []);
    }
}
