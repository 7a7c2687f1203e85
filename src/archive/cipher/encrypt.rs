//! Encrypts a finished archive.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};

use age::Encryptor;
use age_core::format::{FileKey, Stanza};

use super::header::LABEL_STANZA;
use super::keys::RunKey;
use super::recipients::Recipients;
use crate::archive::error::ArchiveError;
use crate::archive::positional_write::write_at;
use crate::digest::{Hasher, Sha256};
use crate::label::Label;
use crate::platform::PositionalIo as _;
use crate::progress::Progress;

/// How many bytes are encrypted at once.
const CHUNK: usize = 1024 * 1024;

/// An encrypted archive that is complete, and not synced yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// Its size.
    pub bytes: u64,
    /// The digest of the whole file, as it was written.
    pub sha256: Sha256,
}

/// Encrypts the archive in `plain` into the empty file `out`. The recipients can open it, and so can the run. Syncs
/// nothing; advances `progress` by bytes of the plain archive.
pub fn encrypt(
    plain: &File,
    out: &File,
    recipients: &Recipients,
    run: &RunKey,
    label: &Label,
    progress: &dyn Progress,
) -> Result<Encrypted, ArchiveError> {
    let label = Stamp(label.to_json());
    let run = run.recipient();
    let real = recipients.iter().chain([&run]).map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(real.chain([&label as &dyn age::Recipient]))
        .map_err(|error| io::Error::other(format!("cannot encrypt: {error}")))?;
    let mut written = encryptor.wrap_output(Hashed { file: out, at: 0, hasher: Hasher::default() })?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        progress.checkpoint()?;
        let count = match plain.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        written.write_all(&buffer[..count])?;
        at += count as u64;
        progress.advance(count as u64);
    }
    let Hashed { at, hasher, .. } = written.finish()?;
    Ok(Encrypted { bytes: at, sha256: hasher.finish() })
}

/// The label as a recipient: it wraps nothing, and adds its stanza.
struct Stamp(Vec<u8>);

impl age::Recipient for Stamp {
    fn wrap_file_key(&self, _: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let (tag, argument) = LABEL_STANZA;
        let stanza = Stanza { tag: tag.into(), args: vec![argument.into()], body: self.0.clone() };
        Ok((vec![stanza], HashSet::new()))
    }
}

/// Writes a file by `pwrite` and hashes it.
struct Hashed<'a> {
    file: &'a File,
    at: u64,
    hasher: Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_at(self.file, bytes, self.at)?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
