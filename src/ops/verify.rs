//! Proves that an archive can be restored, by doing what a restore does up to the last step.
//!
//! What is found is a value. Only evidence about the bytes themselves counts as damage; an error in reaching them (a
//! disk that does not answer) leaves the archive unmarked and is returned as an error.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::archive::{Archive, ArchiveError, ReadDatabase};
use crate::database::{self, Depth, Effort, SourceError, Timeouts};
use crate::digest::Sha256;
use crate::metadata::{DatabaseMetadata, Integrity, total_rows};
use crate::names::{Name, printable};
use crate::ops::sidecars;
use crate::platform::private_file;
use crate::progress::{Progress, Stage};
use crate::snapshot::Held;

/// How thoroughly verify checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyDepth {
    /// Structure and digests.
    Quick,
    /// Unpacked, integrity checked, facts compared with the metadata.
    Standard,
    /// Also reads every row.
    Deep,
}

impl VerifyDepth {
    /// Returns the word that flags, JSON and marks use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Deep => "deep",
        }
    }

    /// Returns this depth and those it includes: what a clean check of this depth can refute.
    pub fn and_shallower(self) -> Vec<&'static str> {
        [Self::Quick, Self::Standard, Self::Deep].into_iter().filter(|depth| *depth <= self).map(Self::as_str).collect()
    }
}

/// The result of verifying an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The verdict.
    pub state: ArchiveState,
    /// What is wrong or odd, one printable line each.
    pub findings: Vec<String>,
    /// What was read and checked in each database, in the order of the archive; empty if the archive cannot be read to
    /// its end.
    pub examined: Vec<Examined>,
    /// The size of the file, if only its digest was compared, because no key here opens it.
    pub by_digest_only: Option<u64>,
}

/// What was read and checked of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Its name.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
    /// The digest of what was read.
    pub sha256: Sha256,
    /// Whether the archive records that digest, so that it was compared.
    pub is_compared: bool,
    /// The result of the integrity check; `None` if it was not unpacked.
    pub integrity: Option<Integrity>,
    /// The number of its tables and of their rows, if the archive records them and both were counted again and are the
    /// same.
    pub counted: Option<(u64, u64)>,
}

/// The verdict about an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// It can be restored.
    Good,
    /// It is damaged, on positive evidence.
    Damaged,
}

impl ArchiveState {
    /// Returns the word that text and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Damaged => "damaged",
        }
    }
}

impl Verified {
    /// Turns the error that ended the reading of an archive into a verdict about it, if it is evidence; passes on every
    /// other error.
    pub fn refused(error: anyhow::Error) -> anyhow::Result<Self> {
        // The callers' messages name the archive already.
        let error = error.downcast::<ArchiveError>().map_or_else(|error| error, anyhow::Error::from);
        evidence(error).map(|finding| Self {
            state: ArchiveState::Damaged,
            findings: vec![finding],
            examined: Vec::new(),
            by_digest_only: None,
        })
    }
}

/// Returns what an error says about the bytes of an archive; errors on the way to them are passed on. The one place
/// that decides what counts as damage.
fn evidence(error: anyhow::Error) -> anyhow::Result<String> {
    let shown = |error: &dyn std::error::Error| Ok(printable(&error.to_string()).into_owned());
    match (error.downcast_ref::<ArchiveError>(), error.downcast_ref::<SourceError>()) {
        (Some(evidence), _) if evidence.is_evidence() => shown(evidence),
        (_, Some(evidence @ (SourceError::Damaged { .. } | SourceError::NotADatabase { .. }))) => shown(evidence),
        _ => Err(error),
    }
}

/// Verifies an archive. `scratch` makes a private folder; called only if databases must be unpacked.
pub fn verify(
    archive: &Archive,
    depth: VerifyDepth,
    scratch: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> anyhow::Result<Verified> {
    let contents = archive.contents();
    let mut findings = contents.oddities.clone();
    let total = contents.databases.iter().filter_map(|database| database.bytes).fold(0, u64::saturating_add);
    let name = &contents.backup_name;

    // Most archives hold one database, which is then decompressed only once. Others are unpacked one by one to save
    // space.
    let mut unpacked =
        if depth > VerifyDepth::Quick { Some(Unpacked::new(scratch.join("verify-0.db"))?) } else { None };
    progress.begin(Stage::ReadBack, name, total);
    let mut examined: Vec<Examined> =
        match archive.read_through_into(unpacked.as_ref().map(|copy| &copy.file), threads, progress) {
            Ok(read) => {
                findings.extend(read.oddities);
                contents
                    .databases
                    .iter()
                    .zip(read.databases)
                    .map(|(held, read)| Examined::by_digest(held, read))
                    .collect()
            }
            Err(error) => {
                let refused = Verified::refused(error.into())?;
                findings.extend(refused.findings);
                return Ok(Verified { findings, ..refused });
            }
        };
    let mut damaged = false;
    for (index, held) in contents.databases.iter().enumerate() {
        let facts = contents.metadata.as_ref().and_then(|metadata| metadata.databases.get(index));
        if facts.is_some_and(|facts| facts.integrity == Integrity::Damaged) {
            damaged = true;
            findings.push(format!("{}: was damaged when it was backed up, and was kept as it is", held.name));
        }
        if depth > VerifyDepth::Quick {
            let copy = match unpacked.take() {
                Some(copy) => copy,
                None => unpack(archive, index, held, scratch, threads, progress)?,
            };
            match sidecars::recover(archive, index, &copy.path, &Timeouts::default(), progress) {
                Ok(done) => findings.extend(done.into_iter().map(|line| format!("{}: {line}", held.name))),
                Err(error) => {
                    findings.push(format!("{}: {}", held.name, evidence(error)?));
                    damaged = true;
                    continue;
                }
            }
            let (integrity, counted) = examine(&copy, held, facts, depth, threads, progress, &mut findings)?;
            damaged |= integrity == Integrity::Damaged || facts.is_some() && counted == Counted::Differs;
            if let Some(one) = examined.get_mut(index) {
                one.integrity = Some(integrity);
                one.counted = held
                    .tables
                    .as_ref()
                    .filter(|_| counted == Counted::AsRecorded)
                    .and_then(|tables| total_rows(tables).map(|rows| (tables.len() as u64, rows)));
            }
        }
    }
    let state = if damaged { ArchiveState::Damaged } else { ArchiveState::Good };
    Ok(Verified { state, findings, examined, by_digest_only: None })
}

/// Unpacks one database.
fn unpack(
    archive: &Archive,
    index: usize,
    held: &Held,
    scratch: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> anyhow::Result<Unpacked> {
    let copy = Unpacked::new(scratch.join(format!("verify-{index}.db")))?;
    progress.begin(Stage::Unpack, held.name.as_str(), held.bytes.unwrap_or(0));
    archive.unpack(&[(index, &copy.file)], threads, progress)?;
    Ok(copy)
}

/// The result of counting again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// Everything is as recorded.
    AsRecorded,
    /// Our own metadata was taken from these very bytes, so a difference is damage; the old tool counted in the live
    /// file.
    Differs,
    /// A damaged database is not counted.
    No,
}

impl Examined {
    fn by_digest(held: &Held, read: ReadDatabase) -> Self {
        let ReadDatabase { bytes, sha256 } = read;
        Self {
            name: held.name.clone(),
            bytes,
            sha256,
            is_compared: held.sha256.is_some(),
            integrity: None,
            counted: None,
        }
    }
}

/// Checks a database and compares it with the metadata.
fn examine(
    copy: &Unpacked,
    held: &Held,
    facts: Option<&DatabaseMetadata>,
    depth: VerifyDepth,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    findings: &mut Vec<String>,
) -> anyhow::Result<(Integrity, Counted)> {
    progress.begin(Stage::Check, held.name.as_str(), 0);
    let depth = if depth == VerifyDepth::Deep { Depth::Deep } else { Depth::Full };
    let checked = database::check(&copy.path, depth, Effort::threads(threads), progress)?;
    findings.extend(checked.findings.iter().map(|finding| format!("{}: {finding}", held.name)));
    if checked.integrity == Integrity::Damaged {
        return Ok((Integrity::Damaged, Counted::No));
    }
    let differences = differences(&copy.path, held, facts, progress)?;
    let counted = if differences.is_empty() { Counted::AsRecorded } else { Counted::Differs };
    findings.extend(differences.into_iter().map(|difference| format!("{}: {difference}", held.name)));
    Ok((checked.integrity, counted))
}

/// Compares a sound copy with what the metadata says of it.
pub fn differences(
    copy: &Path,
    held: &Held,
    promised: Option<&DatabaseMetadata>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<String>> {
    let mut differences = different_facts(copy, held, promised)?;
    if let Some(tables) = &held.tables {
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        let rows = database::count_rows(copy, &names, progress)?;
        for (table, found) in tables.iter().zip(rows) {
            if let (Some(promised), found) = (table.rows, found) {
                let found = found.map_or_else(|| "not countable".to_owned(), |rows| rows.to_string());
                let what = format!("the number of rows of \"{}\"", printable(&table.name));
                differences.extend(difference(&what, promised.to_string(), found));
            }
        }
    }
    Ok(differences)
}

fn difference(what: &str, promised: String, found: String) -> Option<String> {
    (promised != found).then(|| format!("{what} is {found}, the metadata says {promised}"))
}

/// Compares the header and the schema of a copy with what the metadata says of them. Counts no rows.
pub fn different_facts(
    copy: &Path,
    held: &Held,
    promised: Option<&DatabaseMetadata>,
) -> Result<Vec<String>, SourceError> {
    let facts = database::facts(copy)?;
    let mut differences = Vec::new();
    let mut compare = |what: &str, promised: String, found: String| {
        differences.extend(difference(what, promised, found));
    };
    if let Some(promised) = promised {
        compare("the page size", promised.page_size.to_string(), facts.page_size.to_string());
        compare("the page count", promised.page_count.to_string(), facts.page_count.to_string());
        compare("the encoding", promised.encoding.clone(), facts.encoding.clone());
        compare("the application id", promised.application_id.to_string(), facts.application_id.to_string());
        compare("the user version", promised.user_version.to_string(), facts.user_version.to_string());
        compare("the schema's digest", promised.schema_sha256.to_string(), facts.schema_sha256.to_string());
    }
    if let Some(count) = held.table_count {
        compare("the number of tables", count.to_string(), facts.tables.len().to_string());
    }
    Ok(differences)
}

/// A database unpacked for a look; removed when it is dropped.
struct Unpacked {
    path: PathBuf,
    file: File,
}

impl Unpacked {
    fn new(path: PathBuf) -> anyhow::Result<Self> {
        let file = private_file(&path).context("cannot create a scratch file")?;
        Ok(Self { path, file })
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // The scratch folder around it is removed anyway; this only frees the space before the next database.
        let _ = std::fs::remove_file(&self.path);
    }
}
