//! When a key of this host last opened an archive: a key that nobody can find any more is noticed only when it is
//! tried.

use std::fs;
use std::io::{self, Write as _};

use chrono::{DateTime, Utc};

use super::Workspace;
use crate::metadata::rfc3339;
use crate::platform::private_file_anew;

/// The file in the workspace.
const FILE: &str = "key-used";

impl Workspace {
    /// Records that a key opened an archive.
    ///
    /// Crash before the rename: a `put-` file, which the next cleanup of leftovers removes.
    pub fn note_key_use(&self, at: DateTime<Utc>) -> io::Result<()> {
        let folder = self.create()?;
        let staged = folder.join(format!("put-{FILE}-{}", std::process::id()));
        let mut file = private_file_anew(&staged)?;
        file.write_all(format!("{}\n", rfc3339(at)).as_bytes())?;
        fs::rename(&staged, folder.join(FILE))
    }

    /// Returns when a key last opened an archive; `None` if that is not known.
    pub fn key_used(&self) -> Option<DateTime<Utc>> {
        let text = fs::read_to_string(self.folder.join(FILE)).ok()?;
        DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc())
    }
}
