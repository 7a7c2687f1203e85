//! Finds a program as a shell does, before anything else is done for it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};

/// Why a command cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoProgram {
    /// There is no file of this name.
    NotFound,
    /// There is one that cannot be executed.
    NotExecutable,
}

impl NoProgram {
    /// Returns the exit code that shells use.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NotFound => 127,
            Self::NotExecutable => 126,
        }
    }
}

/// Returns whether a command can be run: a path if it contains a slash, else a name in one of the folders of `path`,
/// the variable PATH.
pub fn find_program(name: &OsStr, path: Option<OsString>) -> Result<(), NoProgram> {
    let look = |file: &Path| match fs::metadata(file) {
        Ok(found) if found.is_file() && access(file, Access::EXEC_OK).is_ok() => Ok(()),
        Ok(_) => Err(NoProgram::NotExecutable),
        Err(_) => Err(NoProgram::NotFound),
    };
    if name.as_encoded_bytes().contains(&b'/') {
        return look(Path::new(name));
    }
    let path = path.unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut answer = NoProgram::NotFound;
    if name.is_empty() {
        return Err(answer);
    }
    for folder in path.as_encoded_bytes().split(|byte| *byte == b':') {
        let folder = crate::platform::path_of_bytes(folder);
        match look(&folder.join(name)) {
            Ok(()) => return Ok(()),
            Err(NoProgram::NotExecutable) => answer = NoProgram::NotExecutable,
            Err(NoProgram::NotFound) => {}
        }
    }
    Err(answer)
}
