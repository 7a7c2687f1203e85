//! What further stores held when this host last listed them: `copies/NAME.json`.
//!
//! A cache: it lets `list`, `rotate` and `health` say where archives lie without asking a store that may be far away or
//! down. A lost or unreadable record means that nothing is known.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::names::{ArchiveId, ArchiveName, Name};
use crate::platform::private_file_anew;

/// The folder inside the workspace.
const FOLDER: &str = "copies";

/// The state of a further store when it was last listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// Where the store was, as a command takes it: a record of another place counts for nothing.
    pub address: String,
    /// When it was listed.
    pub listed_at: DateTime<Utc>,
    /// Its good archives.
    pub archives: Vec<CopyEntry>,
    /// Why the last run failed; `None` if it did not.
    #[serde(default)]
    pub error: Option<String>,
}

/// An archive in a further store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyEntry {
    /// Its name there.
    pub name: ArchiveName,
    /// Its id.
    pub id: Option<ArchiveId>,
    /// Its size.
    pub bytes: u64,
    /// The instant of its snapshot.
    pub created_at: DateTime<Utc>,
}

impl Workspace {
    /// Returns the record of a further store, if there is one for this address.
    pub fn copy_record(&self, copy: &Name, address: &str) -> Option<CopyRecord> {
        let text = fs::read(self.copy_file(copy)).ok()?;
        serde_json::from_slice::<CopyRecord>(&text).ok().filter(|record| record.address == address)
    }

    /// Writes the record of a further store.
    ///
    /// Crash in between: the record before, and a `put-` file that the next cleanup of leftovers removes.
    pub fn record_copy(&self, copy: &Name, record: &CopyRecord) -> io::Result<()> {
        self.create_subfolder(FOLDER)?;
        let staged = self.folder.join(format!("put-copy-{}-{copy}", std::process::id()));
        let mut file = private_file_anew(&staged)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        fs::rename(&staged, self.copy_file(copy))
    }

    fn copy_file(&self, copy: &Name) -> PathBuf {
        self.folder.join(FOLDER).join(format!("{copy}.json"))
    }
}
