//! Makes an archive out of private copies: checks, hashes and compresses them at the same time, reads the
//! result back, and commits it. Every archive is made here: backups, safety backups, backups before an update.
//!
//! The archive counts from one instant on: the link of the finished, synced and read-back file into the store.
//! Before it, all there is lies in scratch; a run that dies leaves nothing that `list` would show.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, SubsecRound as _, Utc};
use chrono_tz::Tz;

use crate::archive::{Compression, FileSink, Opener, WriteOptions, Writer, metadata_room};
use crate::database::{self, Checked, Depth, Effort, Facts, SourceError};
use crate::digest::Sha256;
use crate::metadata::{DatabaseMetadata, Extent, FORMAT, Integrity, Kind, Metadata, RecordedRights, Replaces, TableMetadata};
use crate::names::{ArchiveName, HostLabel, Name, entry_name};
use crate::ops::syncing::while_syncing;
use crate::ops::{Repository, Taken};
use crate::platform;
use crate::platform::OpenFile;
use crate::progress::{Progress, Stage};
use crate::streams::FileIdentity;
use crate::workspace::Scratch;

/// How many bytes of findings the metadata of one database may hold; the rest is counted.
const FINDINGS_BYTES: usize = 4096;

/// A private copy that is to be archived.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The database's name in the set.
    pub name: Name,
    /// Where it came from.
    pub source: PathBuf,
    /// The copy.
    pub copy: PathBuf,
    /// The size of the copy.
    pub bytes: u64,
    /// Whose database it is.
    pub provenance: Provenance,
    /// What is damaged in the source, and no longer shows in the copy.
    pub damage: Vec<String>,
}

impl Staged {
    /// Checks the copy, and adds what was found when it was made.
    fn check(&self, depth: Depth, effort: Effort, progress: &dyn Progress) -> Result<Checked, SourceError> {
        let mut checked = database::check(&self.copy, depth, effort, progress).map_err(|error| error.of(&self.source))?;
        if !self.damage.is_empty() {
            checked.integrity = Integrity::Damaged;
            checked.findings.splice(0..0, self.damage.iter().cloned());
        }
        Ok(checked)
    }
}

/// What is recorded about where a copy came from, besides the path as it was given.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// The path with symbolic links followed.
    pub resolved: Option<String>,
    /// The file.
    pub file: Option<FileIdentity>,
    /// Whether its archives form a stream by file.
    pub by_file: bool,
    /// The most that the stream held since its last shrink.
    pub previous: Option<Extent>,
    /// The rights of the file.
    pub rights: Option<RecordedRights>,
}

impl Provenance {
    /// Looks a database up. A file that cannot be looked up has no identity and no rights.
    pub fn of(path: &Path) -> Self {
        let resolved = Some(platform::resolved(path).to_string_lossy().into_owned());
        let rights = platform::FileRights::of(path).ok().map(|rights| rights.record());
        Self { resolved, file: platform::file_identity(path).ok().flatten(), rights, ..Self::default() }
    }
}

/// Where archives are made: recorded in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name of the machine.
    pub name: String,
    /// The label that archives are kept under.
    pub label: HostLabel,
}

/// What archive to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// The set.
    pub set: Name,
    /// Why it is made.
    pub kind: Kind,
    /// The name the user chose; without one it is made of set and time.
    pub name: Option<ArchiveName>,
    /// What the user wants to remember.
    pub note: Option<String>,
    /// The host.
    pub host: Host,
    /// When the snapshot was pinned.
    pub created_at: DateTime<Utc>,
    /// The restore that a safety archive is made before.
    pub replaces: Option<Replaces>,
    /// Whether the copies show one point in time.
    pub consistent: bool,
    /// Databases of the set that are not in the archive.
    pub absent: Vec<Name>,
    /// How thoroughly the copies are checked.
    pub check: Depth,
    /// Whether a damaged copy is archived, marked, instead of refused.
    pub keep_damaged: bool,
    /// Whether the copies are vacuumed.
    pub vacuum: bool,
    /// How the archive is compressed.
    pub compression: Compression,
    /// How many threads compress and decompress.
    pub threads: NonZeroUsize,
    /// How long to wait for the store's lock at the commit.
    pub lock_wait: Duration,
}

/// An archive that was made and committed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its name in the store.
    pub archive: ArchiveName,
    /// Its size.
    pub bytes: u64,
    /// Its metadata.
    pub metadata: Metadata,
}

impl Packed {
    /// Says whether a damaged database was archived.
    pub fn is_damaged(&self) -> bool {
        self.metadata.databases.iter().any(|database| database.integrity == Integrity::Damaged)
    }
}

/// An archive that is finished, synced and read back, and has no name yet.
#[derive(Debug)]
pub struct Built {
    /// The file, in scratch.
    pub path: PathBuf,
    /// The name that it should get, where that is free.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
    /// Its metadata.
    pub metadata: Metadata,
}

/// Makes an archive and commits it to the store. On an error nothing is visible in the store, and the copies are worthless.
pub fn pack(
    repository: &Repository,
    scratch: &Scratch,
    databases: Vec<Staged>,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<Packed> {
    let built = build(scratch, databases, request, progress)?;
    let archive = commit(repository, &built.path, &built.name, request, progress)?;
    Ok(Packed { archive, bytes: built.bytes, metadata: built.metadata })
}

/// Makes an archive in scratch. Dies anywhere: scratch, which the next run removes.
pub fn build(scratch: &Scratch, mut databases: Vec<Staged>, request: &Request, progress: &dyn Progress) -> anyhow::Result<Built> {
    let ending = request.compression.ending();
    let automatic = || ArchiveName::automatic(&request.set, request.created_at, ending);
    let name = request.name.clone().unwrap_or_else(automatic);

    let mut vacuumed = vec![Vacuumed::No; databases.len()];
    if request.vacuum {
        for (index, (staged, vacuumed)) in databases.iter_mut().zip(&mut vacuumed).enumerate() {
            *vacuumed = vacuum(staged, &scratch.path().join(format!("{index}.vacuumed")), request, progress)?;
        }
    }
    let drafts = databases.iter().map(|staged| draft(staged, request.keep_damaged)).collect::<Result<Vec<_>, _>>()?;
    let mut metadata = describe(&databases, drafts, request, name.stem());

    let path = scratch.path().join("archive");
    let file = platform::private_file(&path).context("cannot create the archive")?;
    let options = WriteOptions { compression: request.compression, threads: request.threads };
    let mut writer =
        Writer::create(FileSink::new(file), &options, request.created_at, metadata_room(&metadata)).context("cannot create the archive")?;

    let total = databases.iter().map(|staged| staged.bytes).sum();
    progress.begin(Stage::Pack, request.set.as_str(), total);
    let written = File::open(&path).context("cannot open the archive")?;
    let (digests, checks) = while_syncing(&[&written], || write_and_check(&mut writer, &databases, &metadata, request, progress))?;
    for (index, (sha256, check)) in digests.into_iter().zip(checks).enumerate() {
        enter(&mut metadata.databases[index], sha256, check, &vacuumed[index]);
    }
    let finished = writer.finish(&metadata).context("cannot finish the archive")?;

    // The disk writes while the processors read: both must have ended well before the commit.
    std::thread::scope(|scope| {
        let synced = std::thread::Builder::new().spawn_scoped(scope, || finished.sync());
        let read = read_back(&path, &metadata, request, progress).context("the finished archive could not be read back");
        let synced = match synced {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that synced it panicked"))),
            // Where the system gives no thread, it is done here.
            Err(_) => finished.sync(),
        };
        read.and(synced.context("cannot sync the archive"))
    })?;
    progress.checkpoint()?;
    Ok(Built { bytes: finished.bytes(), path, name, metadata })
}

/// What became of the wish to vacuum.
#[derive(Debug, Clone)]
enum Vacuumed {
    No,
    Yes,
    Failed(String),
}

/// Checks a copy, and vacuums it where it is sound: VACUUM would hide some damage. Where SQLite cannot, the copy stays as it is.
fn vacuum(staged: &mut Staged, target: &Path, request: &Request, progress: &dyn Progress) -> anyhow::Result<Vacuumed> {
    progress.begin(Stage::Check, staged.name.as_str(), 0);
    let checked = staged.check(request.check, Effort::threads(request.threads), progress)?;
    if checked.integrity == Integrity::Damaged {
        return if request.keep_damaged {
            Ok(Vacuumed::Failed("not vacuumed: damaged".into()))
        } else {
            Err(damaged(staged, &checked).into())
        };
    }
    match database::vacuum(&staged.copy, target) {
        Ok(()) => {
            // For the room; the folder goes in any case.
            let _ = std::fs::remove_file(&staged.copy);
            target.clone_into(&mut staged.copy);
            staged.bytes = std::fs::metadata(&staged.copy).context("cannot look at the vacuumed copy")?.len();
            Ok(Vacuumed::Yes)
        }
        Err(SourceError::Interrupted(interrupted)) => Err(interrupted.into()),
        // A full disk is no reason to fail a backup that needs no VACUUM: the copy is still there as it was.
        Err(error) => Ok(Vacuumed::Failed(format!("not vacuumed: {}", error.of(&staged.source)))),
    }
}

/// Returns the error that refuses a damaged database.
fn damaged(staged: &Staged, checked: &Checked) -> SourceError {
    let mut why = checked.findings.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    if checked.findings.len() > 3 {
        why.push_str(&format!("; and {} more", checked.findings.len() - 3));
    }
    let path = staged.source.clone();
    if checked.rebuild.is_empty() {
        SourceError::Damaged { path, why }
    } else {
        SourceError::Contradicted { path, why, rebuild: checked.rebuild.clone() }
    }
}

/// Reads the facts of a copy; of a damaged one that is to be kept, as far as they can be read.
fn draft(staged: &Staged, keep_damaged: bool) -> Result<Facts, SourceError> {
    match database::facts(&staged.copy) {
        Err(SourceError::Damaged { .. } | SourceError::NotADatabase { .. } | SourceError::Unsupported { .. }) if keep_damaged => {
            Ok(Facts::unknown())
        }
        other => other.map_err(|error| error.of(&staged.source)),
    }
}

/// Puts the metadata together, with everything that is not known yet at a placeholder of the same type.
fn describe(databases: &[Staged], facts: Vec<Facts>, request: &Request, backup_name: &str) -> Metadata {
    let mut entries: Vec<String> = Vec::new();
    let mut described = Vec::new();
    for (staged, facts) in databases.iter().zip(facts) {
        let file = entry_name(&staged.source, &staged.name, &entries);
        entries.push(file.clone());
        let Provenance { resolved, file: identity, by_file, previous, rights } = staged.provenance.clone();
        described.push(DatabaseMetadata {
            name: staged.name.clone(),
            file,
            source: absolute(&staged.source).to_string_lossy().into_owned(),
            source_resolved: resolved,
            file_id: identity,
            stream_by_file: by_file,
            previous,
            owner: rights.as_ref().map(|rights| rights.owner.clone()),
            group: rights.as_ref().map(|rights| rights.group.clone()),
            mode: rights.as_ref().map(|rights| rights.mode.clone()),
            acl: rights.and_then(|rights| rights.acl),
            bytes: staged.bytes,
            sha256: Sha256::of(b""),
            page_size: facts.page_size,
            page_count: facts.page_count,
            freelist_count: facts.freelist_count,
            encoding: facts.encoding,
            journal_mode: facts.journal_mode,
            auto_vacuum: facts.auto_vacuum,
            application_id: facts.application_id,
            user_version: facts.user_version,
            schema_sha256: facts.schema_sha256,
            sqlite_version: database::sqlite_version().to_owned(),
            integrity: Integrity::Unchecked,
            findings: Vec::new(),
            foreign_key_violations: None,
            vacuumed: false,
            table_count: facts.tables.len() as u64,
            index_count: facts.index_count,
            trigger_count: facts.trigger_count,
            view_count: facts.view_count,
            tables: facts.tables.into_iter().map(|name| TableMetadata { name, rows: None }).collect(),
        });
    }
    let present = databases.iter().map(|staged| (staged.name.clone(), true));
    let includes: BTreeMap<Name, bool> = request.absent.iter().map(|name| (name.clone(), false)).chain(present).collect();
    Metadata {
        format: FORMAT,
        backup_name: backup_name.to_owned(),
        created_at: request.created_at.trunc_subsecs(6),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        set: request.set.clone(),
        kind: request.kind,
        host: request.host.name.clone(),
        host_label: Some(request.host.label.clone()),
        replaces: request.replaces.clone(),
        note: request.note.clone(),
        consistent_set: request.consistent,
        includes,
        databases: described,
    }
}

/// Makes a path absolute without touching the disk, so that it means the same from another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What the check of one copy gave.
struct Examined {
    checked: Checked,
    rows: Vec<Option<u64>>,
}

/// Writes all databases while other threads check them; the first damaged one ends both, unless damage is kept.
fn write_and_check(
    writer: &mut Writer,
    databases: &[Staged],
    metadata: &Metadata,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<(Vec<Sha256>, Vec<Examined>)> {
    let stop = AtomicBool::new(false);
    let watched = Stoppable { progress, stop: &stop };
    let next = AtomicUsize::new(0);
    let examined: Mutex<Vec<(usize, Result<Examined, SourceError>)>> = Mutex::default();
    let checkers = databases.len().min(request.threads.get());
    // Compression keeps the processors busy, too: with two, parts side by side would only cost more.
    let half = NonZeroUsize::new(request.threads.get() / 2).unwrap_or(NonZeroUsize::MIN);
    let effort = Effort::threads(half).shared(checkers);
    let check_the_rest = || {
        while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < databases.len()) {
            let result = examine(&databases[index], &metadata.databases[index], request, effort, &watched);
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            examined.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };

    let digests = std::thread::scope(|scope| {
        for _ in 0..checkers {
            // Where no thread can be had, this one checks after it has written.
            let _ = std::thread::Builder::new().spawn_scoped(scope, check_the_rest);
        }
        let digests = databases.iter().zip(&metadata.databases).map(|(staged, described)| {
            let copy = File::open(&staged.copy).context("cannot open the copy")?;
            Ok(writer.add_database(&described.file, &copy, staged.bytes, &watched)?)
        });
        let digests = digests.collect::<anyhow::Result<Vec<_>>>();
        if digests.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        check_the_rest();
        digests
    });

    let mut examined = examined.into_inner().unwrap_or_else(PoisonError::into_inner);
    examined.sort_by_key(|(index, _)| *index);
    // What the check says comes first: it is the reason why writing was stopped. An interruption of a check is only the echo of another failure.
    let mut checks = Vec::new();
    let mut interrupted = None;
    for (_, result) in examined {
        match result {
            Ok(check) => checks.push(check),
            Err(SourceError::Interrupted(cause)) => interrupted = Some(cause),
            Err(error) => return Err(error.into()),
        }
    }
    let digests = digests.context("cannot write the archive")?;
    match interrupted {
        Some(cause) => Err(cause.into()),
        None => Ok((digests, checks)),
    }
}

fn examine(
    staged: &Staged,
    described: &DatabaseMetadata,
    request: &Request,
    effort: Effort,
    progress: &dyn Progress,
) -> Result<Examined, SourceError> {
    let checked = staged.check(request.check, effort, progress)?;
    if checked.integrity == Integrity::Damaged && !request.keep_damaged {
        return Err(damaged(staged, &checked));
    }
    let tables: Vec<String> = described.tables.iter().map(|table| table.name.clone()).collect();
    let rows = database::count_rows(&staged.copy, &tables, progress).map_err(|error| error.of(&staged.source))?;
    Ok(Examined { checked, rows })
}

/// Progress that can also be stopped from inside.
struct Stoppable<'a> {
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        self.progress.begin(stage, subject, total);
    }

    fn advance(&self, units: u64) {
        self.progress.advance(units);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.cancelled()
    }
}

/// Enters what writing and checking gave into the metadata.
fn enter(described: &mut DatabaseMetadata, sha256: Sha256, examined: Examined, vacuumed: &Vacuumed) {
    described.sha256 = sha256;
    described.integrity = examined.checked.integrity;
    described.foreign_key_violations = examined.checked.foreign_key_violations;
    described.findings = examined.checked.findings;
    match vacuumed {
        Vacuumed::No => {}
        Vacuumed::Yes => described.vacuumed = true,
        Vacuumed::Failed(why) => described.findings.insert(0, why.clone()),
    }
    shorten(&mut described.findings);
    for (table, rows) in described.tables.iter_mut().zip(examined.rows) {
        table.rows = rows;
    }
}

/// Cuts findings to what the metadata has room for, and says how many are left out.
fn shorten(findings: &mut Vec<String>) {
    let mut bytes = 0;
    let fits = findings.iter().take_while(|finding| {
        // Each byte can take six when it is escaped in JSON.
        bytes += 6 * finding.len();
        bytes <= FINDINGS_BYTES
    });
    let fits = fits.count();
    if fits < findings.len() {
        let left_out = findings.len() - fits;
        findings.truncate(fits);
        findings.push(format!("and {left_out} more"));
    }
}

/// Opens the finished file as a reader would and reads every byte of it.
fn read_back(path: &Path, metadata: &Metadata, request: &Request, progress: &dyn Progress) -> anyhow::Result<()> {
    let file = OpenFile::open(path)?;
    progress.begin(Stage::ReadBack, request.set.as_str(), metadata.databases.iter().map(|database| database.bytes).sum());
    let archive = Opener::new(Tz::UTC).open(Arc::new(file), "archive", request.created_at)?;
    if archive.contents().metadata.as_ref() != Some(metadata) {
        return Err(anyhow!("its metadata is not what was written"));
    }
    archive.read_through(request.threads, progress)?;
    Ok(())
}

/// Gives the archive its name. From the return on it is durable and counts.
fn commit(
    repository: &Repository,
    path: &Path,
    name: &ArchiveName,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<ArchiveName> {
    // Another run of the same second has the automatic name; a name that the user chose is not ours to change.
    progress.begin(Stage::Commit, request.set.as_str(), 0);
    let taken = if request.name.is_none() { Taken::TryNext } else { Taken::Refuse };
    let committer = repository.committer(&request.host.label, request.created_at, request.lock_wait, progress)?;
    committer.commit(path, name, |_| Ok(taken), progress)
}
