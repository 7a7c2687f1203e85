//! Decides whether a database still holds what its newest archive holds.
//!
//! First by a look, which reads nothing of the database and is compared with the record of the last backup; else by the
//! digest of a copy. "Unchanged" needs a positive answer: whatever cannot be read, compared or found is a change, and a
//! change makes an archive. So does a new recipient: whoever throws an old key away relies on an archive for the new
//! one.
//!
//! A look is recorded only if it was the same before the database was pinned and after it was copied: else a commit
//! between the two would count as saved.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::inventory::DAMAGED;
use super::reading::Reading;
use super::recorded::is_recorded;
use super::resolve::in_store;
use crate::database::{self, Source, SourceError, Timeouts, refuse_unlinked};
use crate::digest::{Hasher, Sha256};
use crate::look::Look;
use crate::names::{ArchiveId, ArchiveName};
use crate::ops::Repository;
use crate::progress::{Interrupted, Progress};
use crate::snapshot::Snapshot;
use crate::store::{Entry, StoreError};
use crate::streams::Stream;
use crate::workspace::Seen;

/// A database with the stream of its archives.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The database.
    pub source: Source,
    /// Its stream.
    pub stream: Stream,
}

/// A database that was copied.
pub struct CopyOf<'a> {
    /// The database.
    pub source: &'a Source,
    /// Its stream.
    pub stream: &'a Stream,
    /// The copy, as it was taken.
    pub copy: &'a Path,
    /// The size of the copy.
    pub bytes: u64,
    /// The look that holds for the copy, if there is one.
    pub look: Option<&'a Look>,
}

/// The archive that holds a database.
pub struct ArchivedIn<'a> {
    /// Its name.
    pub archive: &'a ArchiveName,
    /// Its identity.
    pub id: Option<ArchiveId>,
    /// Its size.
    pub bytes: u64,
    /// The instant of its snapshot.
    pub created_at: DateTime<Utc>,
    /// For whom it is encrypted; empty if it is not.
    pub recipients: &'a [String],
}

/// Looks at databases; `None` for one of which nothing can be told.
pub fn look_at(
    sources: &[Source],
    limits: &Timeouts,
    progress: &dyn Progress,
) -> Result<Vec<Option<Look>>, Interrupted> {
    let look = |source| match database::look(source, limits, progress) {
        Ok(look) => Ok(Some(look)),
        Err(SourceError::Interrupted(interrupted)) => Err(interrupted),
        // The backup finds it again, and reports it.
        Err(_) => Ok(None),
    };
    sources.iter().map(look).collect()
}

/// Returns the looks that hold for the copies between them: those that are the same before and after.
pub fn agreed(before: Vec<Option<Look>>, after: &[Option<Look>]) -> Vec<Option<Look>> {
    let agrees = |(before, after): (Option<Look>, &Option<Look>)| {
        // The earlier one: whether it is settled decides about what came right after it.
        before.filter(|before| after.as_ref().is_some_and(|after| after.state == before.state))
    };
    before.into_iter().zip(after).map(agrees).collect()
}

/// What is in a store, listed when it is first needed: once for all sets of a round.
#[derive(Debug, Default)]
pub struct Listing {
    found: OnceCell<HashMap<String, Entry>>,
}

impl Listing {
    /// Returns whether the archive of a record is there, with its size, and not marked as damaged. On a disk, where
    /// bytes may change by themselves, its beginning is read, too.
    fn has(&self, seen: &Seen, repository: &Repository) -> Result<bool, StoreError> {
        let found = match self.found.get() {
            Some(found) => found,
            None => {
                let entries = repository.store().list()?;
                self.found.get_or_init(|| entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
            }
        };
        let archive = seen.archive.as_str();
        let Some(entry) = found.get(archive).filter(|entry| entry.bytes == seen.bytes) else { return Ok(false) };
        let store = repository.store();
        let is_intact = || store.folder().is_none() || is_recorded(store, entry, seen) == Some(true);
        Ok(!found.contains_key(&format!("{archive}{DAMAGED}")) && is_intact())
    }
}

/// Returns the records of databases if a look shows that all of them hold what their archives hold, and the archives
/// are in the store. Changes nothing; see [`renew`].
///
/// `recipients` asks for archives that each of these can open; none of them asks for nothing. Fails like a backup if a
/// process writes to deleted files of a database.
pub fn confirmed(
    (repository, listing): (&Repository, &Listing),
    databases: &[Watched],
    recipients: &[String],
    limits: &Timeouts,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Vec<Seen>>> {
    let sources: Vec<Source> = databases.iter().map(|watched| watched.source.clone()).collect();
    let mut all = Vec::with_capacity(databases.len());
    for watched in databases {
        let Some(seen) = repository.workspace().seen(&watched.stream) else { return Ok(None) };
        if seen.look.is_none() || !is_for(&seen, recipients) {
            return Ok(None);
        }
        all.push(seen);
    }
    let looks = look_at(&sources, limits, progress)?;
    let is_unchanged = |(seen, look): (&Seen, &Option<Look>)| {
        let (Some(recorded), Some(look)) = (&seen.look, look) else { return false };
        look.is_unchanged_since(recorded)
    };
    if databases.is_empty() || !all.iter().zip(&looks).all(is_unchanged) {
        return Ok(None);
    }
    for source in &sources {
        refuse_unlinked(&source.path)?;
    }
    for seen in &all {
        if !listing.has(seen, repository)? {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// Returns whether each of these can open the archive of a record.
fn is_for(seen: &Seen, recipients: &[String]) -> bool {
    recipients.iter().all(|recipient| seen.recipients.contains(recipient))
}

/// Records that databases were found unchanged at a time.
pub fn renew(repository: &Repository, all: &mut [Seen], now: DateTime<Utc>) {
    for seen in all {
        seen.confirmed_at = now;
        // Without it, the next run finds the older time.
        let _ = repository.workspace().record_seen(seen);
    }
}

/// Returns new records of databases if their copies are what the newest archives of their streams were made from.
/// `known` are the archives, newest first; those dated after `now` prove nothing. `recipients` as for [`confirmed`]:
/// only the record of an archive shows for whom this host encrypted it.
pub fn archived(
    repository: &Repository,
    copies: &[CopyOf<'_>],
    (known, recipients): (&[Snapshot], &[String]),
    now: DateTime<Utc>,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Vec<Seen>>> {
    let mut all = Vec::with_capacity(copies.len());
    for copy in copies {
        let is_newest = |snapshot: &&Snapshot| {
            let of_stream = snapshot.databases.iter().any(|brief| brief.stream == *copy.stream);
            of_stream && snapshot.is_good() && snapshot.created_at <= now
        };
        let Some(newest) = known.iter().find(is_newest) else { return Ok(None) };
        let recorded = repository.workspace().seen(copy.stream);
        let recorded = recorded.filter(|seen| seen.archive == newest.name && seen.bytes == newest.bytes);
        if !recipients.is_empty() && recorded.as_ref().is_none_or(|seen| !is_for(seen, recipients)) {
            return Ok(None);
        }
        let Some(digest) = digest_of(repository, newest, copy, recorded.as_ref(), reading) else { return Ok(None) };
        if digest != hash(copy.copy, progress)? {
            return Ok(None);
        }
        let archive = ArchivedIn {
            archive: &newest.name,
            id: newest.id,
            bytes: newest.bytes,
            created_at: newest.created_at,
            recipients: recorded.as_ref().map_or(&[], |seen| &seen.recipients),
        };
        all.push(record_of(copy, &archive, Some(digest), now));
    }
    Ok((!all.is_empty()).then_some(all))
}

/// How many archives of a stream a copy is compared with: each may be a request to the store.
const MOST_COMPARED: usize = 100;

/// The archive that holds what a database holds.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// The archive; of several, the newest.
    pub archive: &'a Snapshot,
    /// The newest archive of its stream.
    pub newest: &'a Snapshot,
}

impl Held<'_> {
    /// Returns whether it is the newest one of its stream.
    pub fn is_newest(self) -> bool {
        self.archive.name == self.newest.name
    }
}

/// Returns the archive of its stream that holds what a copy holds. `known` are the archives, newest first; those dated
/// after `now` prove nothing. The copy is read only if one of them has its size.
pub fn held<'a>(
    repository: &Repository,
    copy: &CopyOf<'_>,
    known: &'a [Snapshot],
    now: DateTime<Utc>,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Held<'a>>> {
    let counts = |snapshot: &&Snapshot| {
        let of_stream = snapshot.databases.iter().any(|brief| brief.stream == *copy.stream);
        of_stream && snapshot.is_good() && snapshot.created_at <= now
    };
    let mut of_stream = known.iter().filter(counts).peekable();
    let Some(newest) = of_stream.peek().copied() else { return Ok(None) };
    let recorded = repository.workspace().seen(copy.stream);
    let mut own = None;
    for archive in of_stream.take(MOST_COMPARED) {
        let recorded = recorded.as_ref().filter(|seen| seen.archive == archive.name && seen.bytes == archive.bytes);
        let Some(digest) = digest_of(repository, archive, copy, recorded, reading) else { continue };
        let own = match own {
            Some(own) => own,
            None => *own.insert(hash(copy.copy, progress)?),
        };
        if digest == own {
            return Ok(Some(Held { archive, newest }));
        }
    }
    Ok(None)
}

/// Returns the digest of the copy that an archive was made from, as far as it can be one of this size. `recorded` is
/// the record of the archive.
fn digest_of(
    repository: &Repository,
    newest: &Snapshot,
    copy: &CopyOf<'_>,
    recorded: Option<&Seen>,
    reading: &Reading,
) -> Option<Sha256> {
    if let Some(digest) = recorded.and_then(|seen| seen.copied) {
        return Some(digest);
    }
    let index = newest.databases.iter().position(|brief| brief.stream == *copy.stream)?;
    // One that was vacuumed has another size.
    if newest.databases[index].bytes != Some(copy.bytes) {
        return None;
    }
    let selected = in_store(repository, newest.name.as_str(), reading).ok()?;
    selected.archive.contents().metadata.as_ref()?.databases.get(index).map(|database| database.sha256)
}

/// Hashes a copy.
pub fn hash(copy: &Path, progress: &dyn Progress) -> anyhow::Result<Sha256> {
    let mut file = File::open(copy)?;
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 20]);
    loop {
        progress.checkpoint()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause.into()),
        }
    }
}

/// Makes the record of a database that an archive holds.
pub fn record_of(copy: &CopyOf<'_>, archive: &ArchivedIn<'_>, copied: Option<Sha256>, now: DateTime<Utc>) -> Seen {
    let path = std::path::absolute(&copy.source.path).unwrap_or_else(|_| copy.source.path.clone());
    Seen {
        stream: copy.stream.clone(),
        database: copy.source.name.clone(),
        source: path.to_string_lossy().into_owned(),
        archive: archive.archive.clone(),
        id: archive.id,
        bytes: archive.bytes,
        created_at: archive.created_at,
        recipients: archive.recipients.to_vec(),
        confirmed_at: now,
        copied,
        look: copy.look.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{Part, Sight, State};

    #[test]
    fn a_look_counts_only_if_it_is_the_same_before_and_after() {
        let look = |taken, bytes| {
            let main = Part { id: (1, 2), bytes, modified: 0, changed: 0, header: Sha256::of(b"header") };
            let (path, sight) = ("/a".to_owned(), Sight::Times);
            Some(Look { taken, state: State { path, boot: None, sight, main, wal: None, journal: None, index: None } })
        };
        assert_eq!(agreed(vec![look(1, 7)], &[look(2, 7)]), [look(1, 7)], "the earlier one");
        assert_eq!(agreed(vec![look(1, 7)], &[look(2, 8)]), [None], "it changed in between");
        assert_eq!(agreed(vec![None, look(1, 7)], &[look(2, 7), None]), [None, None]);
    }
}
