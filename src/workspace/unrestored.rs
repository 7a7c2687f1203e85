//! Sets whose application runs on a database that is not theirs: it was started although nothing could be restored.
//!
//! Their archives must not stand before the real ones. The mark is `unrestored/SET` in the workspace of the state
//! directory, because the store itself was away. A mark that is lost with the disk is lost together with the database.

use std::fs;
use std::io;

use chrono::{DateTime, Utc};

use super::Workspace;
use crate::metadata::rfc3339;
use crate::names::Name;
use crate::platform::private_file_anew;

/// The folder inside the workspace.
const FOLDER: &str = "unrestored";

impl Workspace {
    /// Marks a set, unless it is marked.
    ///
    /// Crash in between: an unreadable mark, which counts from the beginning of time.
    pub fn mark_unrestored(&self, set: &Name, at: DateTime<Utc>) -> io::Result<()> {
        use std::io::Write as _;
        let (folder, _) = self.create_subfolder(FOLDER)?;
        let path = folder.join(set.as_str());
        if path.exists() {
            return Ok(());
        }
        let mut file = private_file_anew(&path)?;
        file.write_all(rfc3339(at).as_bytes())?;
        file.sync_all()
    }

    /// Returns since when a set is marked.
    pub fn unrestored(&self, set: &Name) -> Option<DateTime<Utc>> {
        let text = match fs::read_to_string(self.folder.join(FOLDER).join(set.as_str())) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => String::new(),
        };
        Some(DateTime::parse_from_rfc3339(text.trim()).map_or(DateTime::UNIX_EPOCH, |at| at.to_utc()))
    }

    /// Removes the mark of a set.
    ///
    /// Crash before this: the archives of the set stay apart until the next restore.
    pub fn clear_unrestored(&self, set: &Name) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FOLDER).join(set.as_str())) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_first_time_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("w"));
        let set = Name::new("app").unwrap();
        assert_eq!(workspace.unrestored(&set), None);
        let first = DateTime::UNIX_EPOCH + chrono::Days::new(9);
        workspace.mark_unrestored(&set, first).unwrap();
        workspace.mark_unrestored(&set, first + chrono::Days::new(1)).unwrap();
        assert_eq!(workspace.unrestored(&set), Some(first));
        workspace.clear_unrestored(&set).unwrap();
        workspace.clear_unrestored(&set).unwrap();
        assert_eq!(workspace.unrestored(&set), None);
    }
}
