//! Which databases of a pattern were reported as gone: `gone/activity-ID.json` in the workspace, one for each pattern
//! of a host.
//!
//! A cache: without it they are reported once more.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::Workspace;
use crate::digest::Sha256;
use crate::names::{HostLabel, Name};
use crate::platform::private_file_anew;

/// The folder inside the workspace.
const FOLDER: &str = "gone";

impl Workspace {
    /// Returns the databases of a pattern that were gone when that was last recorded; none if nothing can be read.
    pub fn known_gone(&self, host: &HostLabel, each: &Name) -> BTreeSet<Name> {
        let text = fs::read(self.gone_file(host, each)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Records the databases of a pattern that are gone and were reported. One that is there again is left out, so that
    /// it is reported when it goes the next time.
    ///
    /// Crash in between: the record before, so that some are reported once more, and a `put-` file that the next
    /// cleanup of leftovers removes.
    pub fn record_gone(&self, host: &HostLabel, each: &Name, gone: &BTreeSet<Name>) -> io::Result<()> {
        self.create_subfolder(FOLDER)?;
        let path = self.gone_file(host, each);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let staged = self.folder.join(format!("put-gone-{}-{name}", std::process::id()));
        let written = private_file_anew(&staged)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(gone)?))
            .and_then(|()| fs::rename(&staged, &path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })
    }

    fn gone_file(&self, host: &HostLabel, each: &Name) -> PathBuf {
        let key = Sha256::of(format!("{host}\0{each}").as_bytes()).to_string();
        self.folder.join(FOLDER).join(format!("activity-{}.json", &key[..32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_and_pattern_has_a_record_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("workspace"));
        let (here, there) = (HostLabel::new("here").unwrap(), HostLabel::new("there").unwrap());
        let [tenants, others, acme] = ["tenants", "others", "acme"].map(|name| Name::new(name).unwrap());
        let gone = BTreeSet::from([acme]);
        assert_eq!(workspace.known_gone(&here, &tenants), BTreeSet::new());
        workspace.record_gone(&here, &tenants, &gone).unwrap();
        assert_eq!(workspace.known_gone(&here, &tenants), gone);
        assert_eq!(workspace.known_gone(&there, &tenants), BTreeSet::new());
        assert_eq!(workspace.known_gone(&here, &others), BTreeSet::new());
        fs::write(workspace.gone_file(&here, &tenants), "{").unwrap();
        assert_eq!(workspace.known_gone(&here, &tenants), BTreeSet::new(), "an unreadable record is none");
        workspace.record_gone(&here, &tenants, &BTreeSet::new()).unwrap();
        assert_eq!(workspace.known_gone(&here, &tenants), BTreeSet::new());
    }
}
