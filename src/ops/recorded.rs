//! Compares the files of a store with what this host recorded of its own archives.
//!
//! A file that was overwritten or cut off keeps its name. What is compared is the size and the beginning of the file,
//! never the whole archive, which is what `verify` does. What is found here removes nothing: a file that is not an
//! archive any more stays, and a damaged archive takes no slot.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use chrono_tz::Tz;

use crate::archive::{ArchiveError, Opener};
use crate::snapshot::Snapshot;
use crate::store::{Entry, ReadStore};
use crate::workspace::{Seen, Workspace};

/// Returns whether a file is the archive of a record, by its size and its beginning; `None` if it cannot be read.
pub fn is_recorded(store: &dyn ReadStore, entry: &Entry, seen: &Seen) -> Option<bool> {
    if entry.bytes != seen.bytes {
        return Some(false);
    }
    let source = store.open(&entry.name, Some(entry)).ok()?;
    // Without a key: the header of an encrypted archive says which one it is.
    let id = match Opener::new(Tz::UTC).open(source, &entry.name, entry.modified) {
        Ok(archive) => archive.contents().id,
        Err(ArchiveError::KeyMissing(locked)) => locked.envelope.label.map(|label| label.id),
        Err(ArchiveError::FormatTooNew { .. }) => None,
        Err(error) => return if error.is_evidence() { Some(false) } else { None },
    };
    Some(id.is_none() || seen.id.is_none() || id == seen.id)
}

/// The archives that this host knows from its records and its log.
pub(super) struct Records<'a> {
    workspace: &'a Workspace,
    seen: HashMap<String, Seen>,
    names: OnceCell<HashSet<String>>,
}

impl<'a> Records<'a> {
    pub(super) fn of(workspace: &'a Workspace) -> Self {
        let seen = workspace.all_seen().into_iter().map(|seen| (seen.archive.to_string(), seen)).collect();
        Self { workspace, seen, names: OnceCell::new() }
    }

    /// Returns whether an archive is shorter than it was made. The same description belongs to the same bytes; another
    /// id is another archive of that name.
    pub(super) fn is_cut(&self, snapshot: &Snapshot) -> bool {
        let is_cut = |seen: &Seen| seen.id.is_some() && seen.id == snapshot.id && snapshot.bytes < seen.bytes;
        self.seen.get(snapshot.name.as_str()).is_some_and(is_cut)
    }

    /// Returns whether this host made an archive of this name. Reads the log, if the newer records do not have it.
    pub(super) fn know(&self, name: &str) -> bool {
        let names = || {
            let made = self.workspace.remembered().into_iter().map(|made| made.archive.to_string());
            made.chain(self.workspace.logged_archives()).collect()
        };
        self.seen.contains_key(name) || self.names.get_or_init(names).contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::inventory::{Unusable, inventory};
    use crate::ops::test_world::{World, on_each_store, reading};
    use crate::progress::Silent;
    use crate::store::Store as _;

    on_each_store! { what_replaced_an_archive_is_damaged_if_anything_knows_it }

    fn what_replaced_an_archive_is_damaged_if_anything_knows_it(world: World) {
        let name = world.back_up("2026-03-01T03:00:00Z");
        let repository = world.repository();
        let list = || inventory(&repository, &reading(), &Silent).unwrap();
        assert!(!list().snapshots[0].damaged);
        let source = repository.store().open(name.as_str(), None).unwrap();
        let mut sound = vec![0; usize::try_from(source.bytes()).unwrap()];
        source.read_exact_at(&mut sound, 0).unwrap();
        let replace = |content: &[u8]| {
            world.store.remove(name.as_str()).unwrap();
            world.store.put(name.as_str(), content).unwrap();
        };
        let is_same = |seen| {
            let entry = repository.store().stat(name.as_str()).unwrap().unwrap();
            is_recorded(repository.store(), &entry, seen)
        };
        let [seen] = repository.workspace().all_seen().try_into().unwrap();
        replace(&sound);
        assert_eq!((is_same(&seen), list().snapshots[0].damaged), (Some(true), false));
        replace(&sound[..sound.len() - 50]);
        assert_eq!((is_same(&seen), list().snapshots[0].damaged), (Some(false), true));
        replace(&vec![0xa5; sound.len()]);
        assert_eq!((is_same(&seen), list().foreign[0].state.clone()), (Some(false), Unusable::Damaged));

        // Without its records, this host knows only what it read before.
        repository.workspace().forget_seen(&seen.stream).unwrap();
        repository.workspace().forget(&name);
        let versions = repository.store().list().unwrap().iter().any(|entry| entry.version.is_some());
        assert_eq!(list().foreign[0].state == Unusable::Damaged, versions);
    }
}
