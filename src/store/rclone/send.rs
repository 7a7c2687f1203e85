//! Sends a file to a remote of rclone: complete under its name, or not there.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use super::super::{Found, StoreError, Upload};
use super::Shared;
use super::listing::Abilities;
use super::program::{NOTHING_TRANSFERRED, NoAnswer, flag};
use crate::digest::Sha256;
use crate::progress::{Progress, Silent, Stage};

/// The longest name that the name of a part holds, in bytes: many remotes allow 255, and encrypted ones less.
const NAME_IN_PART: usize = 110;

impl Shared {
    /// Returns the error of a call that sent something and failed: whether the remote still answers decides its kind.
    fn not_sent(&self, name: &str, cause: io::Error) -> StoreError {
        match self.list() {
            Ok(_) => self.failed("write", name, cause),
            Err(_) => self.unreachable(cause),
        }
    }

    /// Removes a part that is not needed; returns whether it was there. If that fails, it stays hidden, and the next
    /// attempt for the same name removes it.
    fn drop_part(&self, part: &str) -> bool {
        self.program.call("deletefile", &[self.address(part)]).is_ok_and(|answer| answer.succeeded())
    }

    /// Sends a file and gives it its name, unless that is taken.
    pub(super) fn place(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        self.check(name)?;
        let failed = |cause| self.failed("write", name, cause);
        // rclone would send a folder with everything in it.
        if !File::open(upload.path()).and_then(|file| file.metadata()).map_err(failed)?.is_file() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let source = std::path::absolute(upload.path()).map_err(failed)?.into_os_string();
        let abilities = self.abilities()?;
        progress.begin(Stage::Upload, name, upload.bytes());
        progress.checkpoint().map_err(StoreError::Interrupted)?;
        if abilities.writes_whole_objects() {
            self.send_object(name, source, upload, abilities, progress)
        } else if abilities.renames() {
            self.send_part(name, source, upload, abilities, progress)
        } else {
            let why = "this remote cannot rename files, and may show unfinished ones";
            Err(failed(io::Error::new(io::ErrorKind::Unsupported, why)))
        }
    }

    /// Sends an object to its name.
    ///
    /// Killed at any time: no object, or the whole one, which the next listing shows. Parts of an unfinished upload
    /// that the service keeps are removed by its lifecycle rule.
    fn send_object(
        &self,
        name: &str,
        source: OsString,
        upload: &Upload,
        abilities: &Abilities,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let is_first = self.sent().insert(upload.token());
        let arguments =
            [flag("ignore-existing").into(), flag("error-on-no-transfer").into(), source, self.address(name)];
        match self.program.send("copyto", &arguments, upload.bytes(), progress) {
            Ok(answer) if answer.succeeded() => self.confirm(name, name, upload, abilities),
            Ok(answer) if answer.code == Some(NOTHING_TRANSFERRED) => {
                if is_first {
                    self.sent().remove(&upload.token());
                }
                Err(self.taken(name))
            }
            Ok(answer) => self.resolve(name, upload, answer.failure()),
            // It may have been whole before it could be stopped.
            Err(NoAnswer::Interrupted(interrupted)) => match self.find(name, upload) {
                Ok(Found::Same) => Ok(()),
                _ => Err(StoreError::Interrupted(interrupted)),
            },
            Err(NoAnswer::Failed(cause)) => Err(self.unreachable(cause)),
        }
    }

    /// Sends a file under a hidden name, compares it, and moves it to its name.
    ///
    /// Killed before the move: a hidden part, which the next attempt for this name removes. Killed in the move: the
    /// part or the archive, both complete.
    fn send_part(
        &self,
        name: &str,
        source: OsString,
        upload: &Upload,
        abilities: &Abilities,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let start = part_start(name);
        for listed in self.list()? {
            if listed.name == name {
                return Err(self.taken(name));
            }
            // An archive is sent by one run at a time, and that of another host has another name: the part is a
            // leftover. Crash after this: less to remove.
            if listed.name.starts_with(&start) {
                self.drop_part(&listed.name);
            }
        }
        let part = format!("{start}{}", upload.token());
        let sent = match self.program.send("copyto", &[source, self.address(&part)], upload.bytes(), progress) {
            Ok(answer) if answer.succeeded() => self
                .confirm(name, &part, upload, abilities)
                .and_then(|()| progress.checkpoint().map_err(StoreError::Interrupted)),
            Ok(answer) => Err(self.not_sent(name, answer.failure())),
            Err(NoAnswer::Interrupted(interrupted)) => Err(StoreError::Interrupted(interrupted)),
            Err(NoAnswer::Failed(cause)) => Err(self.unreachable(cause)),
        };
        if let Err(error) = sent {
            self.drop_part(&part);
            return Err(error);
        }
        self.move_part(name, &part, upload)
    }

    /// Moves a part to its name, unless that is taken.
    fn move_part(&self, name: &str, part: &str, upload: &Upload) -> Result<(), StoreError> {
        let is_first = self.sent().insert(upload.token());
        let flags = ["ignore-existing", "error-on-no-transfer"].map(|name| flag(name).into());
        let arguments = [&flags[..], &[self.address(part), self.address(name)]].concat();
        let cause = match self.program.send("moveto", &arguments, 0, &Silent) {
            Ok(answer) if answer.succeeded() => return Ok(()),
            // Release 1.60 does not count a rename as a transfer.
            Ok(answer) if answer.code == Some(NOTHING_TRANSFERRED) && answer.renamed > 0 => return Ok(()),
            Ok(answer) if answer.code == Some(NOTHING_TRANSFERRED) && self.drop_part(part) => {
                if is_first {
                    self.sent().remove(&upload.token());
                }
                return Err(self.taken(name));
            }
            Ok(answer) => answer.failure(),
            Err(NoAnswer::Interrupted(interrupted)) => return Err(StoreError::Interrupted(interrupted)),
            Err(NoAnswer::Failed(cause)) => cause,
        };
        self.resolve(name, upload, cause).inspect_err(|_| {
            self.drop_part(part);
        })
    }

    /// Finds out whether a call that failed did its work.
    fn resolve(&self, name: &str, upload: &Upload, cause: io::Error) -> Result<(), StoreError> {
        match self.find(name, upload) {
            Ok(Found::Same) => Ok(()),
            Ok(Found::Other) => Err(self.taken(name)),
            Ok(Found::Absent) => Err(self.failed("write", name, cause)),
            Err(_) => Err(StoreError::Unanswered { name: name.to_owned(), location: self.location(), cause }),
        }
    }

    fn taken(&self, name: &str) -> StoreError {
        StoreError::Exists { name: name.to_owned(), location: self.location() }
    }

    /// Fails if what was sent under a name is not what the remote has. Without a checksum, the size must agree.
    fn confirm(&self, name: &str, sent: &str, upload: &Upload, abilities: &Abilities) -> Result<(), StoreError> {
        let kind = abilities.checksum();
        let differs = || {
            let why = "the remote does not hold the bytes that were sent";
            self.failed("write", name, io::Error::new(io::ErrorKind::InvalidData, why))
        };
        let found = self.look_at(sent, kind)?.ok_or_else(differs)?;
        let has_checksum = kind.is_some_and(|kind| found.checksum(kind).is_some());
        let is_same = if has_checksum {
            self.is_same(name, &found, upload, kind)?
        } else {
            found.bytes() == Some(upload.bytes())
        };
        if is_same { Ok(()) } else { Err(differs()) }
    }

    pub(super) fn find(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        let kind = self.abilities()?.checksum();
        let Some(found) = self.look_at(name, kind)? else { return Ok(Found::Absent) };
        let is_own = self.sent().contains(&upload.token()) && self.is_same(name, &found, upload, kind)?;
        Ok(if is_own { Found::Same } else { Found::Other })
    }
}

/// Returns how the names of the parts of a file begin: hidden, and different for different files.
fn part_start(name: &str) -> String {
    if name.len() <= NAME_IN_PART {
        return format!(".{name}.part-");
    }
    let start: String = name.chars().take(NAME_IN_PART / 4).collect();
    format!(".{start}-{}.part-", &Sha256::of(name.as_bytes()).to_string()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_different_files_begin_differently_and_fit() {
        let (one, other) = (format!("{}1.tar.gz", "ü".repeat(100)), format!("{}2.tar.gz", "ü".repeat(100)));
        assert_eq!(part_start("a.tar.gz"), ".a.tar.gz.part-");
        assert_ne!(part_start(&one), part_start(&other));
        assert!(part_start(&one).len() < 160 && part_start(&"a".repeat(NAME_IN_PART)).len() < 160);
    }
}
