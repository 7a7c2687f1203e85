//! Encrypts a finished archive.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

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
/// How many encrypted chunks may wait to be written.
const WAITING: usize = 4;

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
    thread::scope(|scope| {
        let (sender, blocks) = mpsc::sync_channel(WAITING);
        // Encrypting takes longer than writing and hashing, which is done meanwhile.
        let writer = thread::Builder::new().spawn_scoped(scope, move || write_and_hash(out, blocks))?;
        let sent = send(plain, encryptor, Blocks(sender), progress);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // If writing failed, sending did too, because nobody received.
        written.map_err(ArchiveError::from).and_then(|encrypted| sent.map(|()| encrypted))
    })
}

/// Encrypts what is in `plain`, and sends it off.
fn send(plain: &File, encryptor: Encryptor, blocks: Blocks, progress: &dyn Progress) -> Result<(), ArchiveError> {
    let mut written = encryptor.wrap_output(BufWriter::with_capacity(CHUNK, blocks))?;
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
    Ok(written.finish()?.flush()?)
}

/// Writes blocks into an empty file, one after the other.
fn write_and_hash(out: &File, blocks: Receiver<Vec<u8>>) -> io::Result<Encrypted> {
    let mut hasher = Hasher::default();
    let mut at = 0;
    for block in blocks {
        write_at(out, &block, at)?;
        hasher.update(&block);
        at += block.len() as u64;
    }
    Ok(Encrypted { bytes: at, sha256: hasher.finish() })
}

/// The way to the thread that writes.
struct Blocks(SyncSender<Vec<u8>>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
