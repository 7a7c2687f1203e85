//! The metadata of an archive: a draft with a placeholder for everything that is not known yet, then what was found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::SubsecRound as _;

use super::check::Examined;
use super::request::{Provenance, Request, Staged};
use super::vacuum::Vacuumed;
use crate::archive::Added;
use crate::database::{self, Depth, Facts, SourceError};
use crate::digest::Sha256;
use crate::metadata::{CheckDepth, DatabaseMetadata, FORMAT, Integrity, Metadata, TableMetadata};
use crate::names::{Name, entry_name};

/// How many bytes of findings the metadata of one database may hold; the rest is counted.
const FINDINGS_BYTES: usize = 4096;

/// Reads the facts of a copy; of a damaged one that is to be kept, as far as they can be read.
pub(super) fn draft(staged: &Staged, keep_damaged: bool) -> Result<Facts, SourceError> {
    match database::facts(&staged.copy) {
        Err(SourceError::Damaged { .. } | SourceError::NotADatabase { .. } | SourceError::Unsupported { .. })
            if keep_damaged =>
        {
            Ok(Facts::unknown())
        }
        other => other.map_err(|error| error.of(&staged.source)),
    }
}

/// Puts the metadata together, with everything that is not known yet at a placeholder of the same type.
pub(super) fn describe(databases: &[Staged], facts: Vec<Facts>, request: &Request, backup_name: &str) -> Metadata {
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
            offset: None,
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
            check: depth(request.check),
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
    let includes: BTreeMap<Name, bool> =
        request.absent.iter().map(|name| (name.clone(), false)).chain(present).collect();
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

/// Returns how the metadata names the depth of a check.
fn depth(check: Depth) -> Option<CheckDepth> {
    match check {
        Depth::None => None,
        Depth::Quick => Some(CheckDepth::Quick),
        Depth::Full | Depth::Deep => Some(CheckDepth::Full),
    }
}

/// Makes a path absolute without touching the disk, so that it means the same from another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Enters what writing and checking gave into the metadata.
pub(super) fn enter(described: &mut DatabaseMetadata, added: Added, examined: Examined, vacuumed: &Vacuumed) {
    described.sha256 = added.sha256;
    described.offset = added.offset;
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
