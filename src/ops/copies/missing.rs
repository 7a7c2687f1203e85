//! What a further store lacks.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::TimeDelta;

use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::retention::{Retention, Scene};
use crate::snapshot::Snapshot;
use crate::workspace::copies::{CopyEntry, CopyRecord};

/// How long the rules of the main store spare an archive that a further store still lacks.
const PATIENCE: TimeDelta = TimeDelta::days(7);

/// Returns whether two stores hold the same archive: its id decides, and for archives without one, name and size.
pub fn is_same(here: &Snapshot, there: &Snapshot) -> bool {
    match (here.id, there.id) {
        (Some(here), Some(there)) => here == there,
        (None, None) => here.name == there.name && here.bytes == there.bytes,
        _ => false,
    }
}

/// Returns the archives that a further store lacks, newest first: those that its own rules would keep if it had all
/// archives of the store.
///
/// Safety backups serve an undo on this host, and databases of other tools are not ours: neither is copied unless it is
/// named. Damaged archives are not copied.
pub fn missing(here: &[Snapshot], there: &[Snapshot], retention: &Retention, scene: &Scene<'_>) -> Vec<ArchiveName> {
    // A damaged copy is none.
    let good = || there.iter().filter(|snapshot| !snapshot.damaged);
    let ids: HashSet<_> = good().filter_map(|snapshot| snapshot.id).collect();
    let is_there = |snapshot: &Snapshot| match snapshot.id {
        Some(id) => ids.contains(&id),
        None => good().any(|other| is_same(snapshot, other)),
    };
    let is_copied = |snapshot: &&Snapshot| {
        let is_ours = snapshot.databases.iter().any(|brief| scene.scope.covers(&brief.stream));
        is_ours && !snapshot.is_plain() && !snapshot.damaged && !snapshot.pending && snapshot.kind != Kind::Safety
    };
    let mut taken: HashSet<ArchiveName> = there.iter().map(|snapshot| snapshot.name.clone()).collect();
    let mut original = HashMap::new();
    let mut all = there.to_vec();
    for snapshot in here.iter().filter(is_copied).filter(|snapshot| !is_there(snapshot)) {
        // Another archive may have the name there; the copy gets the next one.
        let mut name = snapshot.name.clone();
        for number in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = snapshot.name.numbered(number);
        }
        original.insert(name.clone(), &snapshot.name);
        all.push(Snapshot { name, held: false, ..snapshot.clone() });
    }
    all.sort_by(Snapshot::newest_first);
    let plan = retention.plan(&all, scene);
    plan.kept().filter_map(|verdict| original.get(&verdict.archive)).map(|name| (*name).clone()).collect()
}

/// What this host remembers of a further store.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its last listing; `None` if nothing is known.
    pub record: Option<CopyRecord>,
    /// Its rules.
    pub retention: Retention,
}

impl Known {
    /// Returns what the store lacks as far as this host remembers, newest first.
    pub fn missing(&self, here: &[Snapshot], scene: &Scene<'_>) -> Vec<ArchiveName> {
        let entries = self.record.iter().flat_map(|record| &record.archives);
        let there: Vec<Snapshot> = entries
            .filter_map(|CopyEntry { name, id, bytes, .. }| {
                // What lies only there displaces nothing that is here, as far as anybody remembers.
                let like = |snapshot: &&Snapshot| match id {
                    Some(id) => snapshot.id == Some(*id),
                    None => snapshot.name == *name && snapshot.bytes == *bytes,
                };
                here.iter().find(like).map(|snapshot| Snapshot { name: name.clone(), ..snapshot.clone() })
            })
            .collect();
        missing(here, &there, &self.retention, scene)
    }
}

/// Returns the archives that a further store still lacks and that the rules of the main store spare for that: those
/// that are younger than 7 days.
pub fn awaited(here: &[Snapshot], copies: &[Known], scene: &Scene<'_>) -> BTreeSet<ArchiveName> {
    let young = |name: &ArchiveName| {
        here.iter().any(|snapshot| snapshot.name == *name && scene.now - snapshot.created_at < PATIENCE)
    };
    copies.iter().flat_map(|known| known.missing(here, scene)).filter(young).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use chrono_tz::Tz;

    use super::*;
    use crate::names::{ArchiveId, Name};
    use crate::retention::{Policy, Reach};

    fn archive(set: &Name, now: DateTime<Utc>, days: i64) -> Snapshot {
        let id = ArchiveId::of_metadata(&days.to_le_bytes());
        Snapshot { id: Some(id), bytes: 7, ..Snapshot::simulated(set, now - TimeDelta::days(days)) }
    }

    #[test]
    fn a_copy_lacks_what_its_own_rules_keep_and_it_does_not_have() {
        let (set, now) = (Name::new("app").unwrap(), "2026-03-01T12:00:00Z".parse().unwrap());
        let scene = Scene::new(now, Tz::UTC);
        let daily = |daily| Retention::Rotate(Policy::new(Reach { daily, ..Reach::default() }).unwrap());
        let here: Vec<Snapshot> = (0..10).map(|days| archive(&set, now, days)).collect();
        let names = |range: std::ops::Range<usize>| here[range].iter().map(|one| one.name.clone()).collect::<Vec<_>>();

        assert_eq!(missing(&here, &[], &daily(3), &scene), names(0..3), "newest first");
        assert_eq!(missing(&here, &here[..1], &daily(3), &scene), names(1..3));
        assert_eq!(missing(&here, &here, &daily(3), &scene), []);

        // The same archive under another name is there; another one under the same name is not it.
        let mut there = vec![Snapshot { name: here[0].name.numbered(2), ..here[0].clone() }];
        assert_eq!(missing(&here[..1], &there, &daily(3), &scene), []);
        there[0] =
            Snapshot { id: Some(ArchiveId::of_metadata(b"other")), name: here[0].name.clone(), ..here[1].clone() };
        assert_eq!(missing(&here[..1], &there, &daily(3), &scene), names(0..1));

        for unfit in [
            Snapshot { damaged: true, ..here[0].clone() },
            Snapshot { pending: true, ..here[0].clone() },
            Snapshot { kind: Kind::Safety, ..here[0].clone() },
        ] {
            assert_eq!(missing(&[unfit], &[], &daily(3), &scene), []);
        }
    }
}
