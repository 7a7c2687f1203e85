//! Whether the databases of `run` may have changed since a backup began, as far as their files show without being read.

use std::path::{Path, PathBuf};

use crate::ops::jobs::Chosen;
use crate::platform::{FileStamp, is_network_file_system, parent};

/// The files of the databases at one moment.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    files: Vec<Option<FileStamp>>,
    /// Whether these are all, on this machine: the times of a network file system may be old ones.
    trusted: bool,
}

impl Seen {
    /// Looks at them. Taken before a backup starts: what is written after that shows a later time, because a process
    /// takes longer to start than the clock of a file system takes for a step. `is_all` says that there can be no
    /// others.
    pub(super) fn now(chosen: &[Chosen], is_all: bool) -> Self {
        let paths = chosen.iter().flat_map(|set| &set.sources).map(|source| source.path.as_path());
        let stamp = |path: PathBuf| std::fs::metadata(path).ok().map(|found| FileStamp::of(&found));
        let of = |path: &Path| {
            ["", "-wal", "-journal"].map(|ending| {
                let mut name = path.as_os_str().to_owned();
                name.push(ending);
                stamp(name.into())
            })
        };
        let trusted = is_all && paths.clone().all(|path| matches!(is_network_file_system(parent(path)), Ok(false)));
        Self { files: paths.flat_map(of).collect(), trusted }
    }

    /// Returns whether nothing was written in between for certain.
    pub(super) fn is_same(&self, later: &Self) -> bool {
        self.trusted && later.trusted && self.files == later.files
    }
}
