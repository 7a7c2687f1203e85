//! Determines the set of a database, if neither the configuration nor a flag gives it.

use std::collections::BTreeSet;

use super::search::plain_counts;
use crate::metadata::Kind;
use crate::names::Name;
use crate::snapshot::{Origin, Snapshot};
use crate::streams::OwnHost;

/// The determined set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetChoice {
    /// This one.
    One(Name),
    /// One of these.
    Several(Vec<Name>),
    /// None has matching archives.
    None,
}

impl SetChoice {
    fn of(sets: BTreeSet<&Name>) -> Self {
        let mut sets = sets.into_iter();
        match (sets.next(), sets.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only.clone()),
            (Some(first), Some(second)) => Self::Several([first, second].into_iter().chain(sets).cloned().collect()),
        }
    }
}

/// Returns whether labels that nothing vouches for name the sets: they do only where there is nothing else.
fn closed_counts(snapshots: &[Snapshot]) -> bool {
    snapshots.iter().all(|snapshot| snapshot.is_plain() || snapshot.is_closed())
}

/// Returns the only set of the store: of the own archives, or else of all; files of other tools count only if there is
/// nothing else.
pub fn only_set(snapshots: &[Snapshot], own: &OwnHost) -> SetChoice {
    let plain = plain_counts(snapshots);
    let closed = closed_counts(snapshots);
    let good = |snapshot: &&Snapshot| {
        snapshot.kind != Kind::Safety && (plain || !snapshot.is_plain()) && (closed || !snapshot.is_closed())
    };
    let sets = |own_only: bool| {
        let fitting = snapshots.iter().filter(good).filter(|snapshot| !own_only || own.owns(&snapshot.host));
        SetChoice::of(fitting.map(|snapshot| &snapshot.set).collect())
    };
    match sets(true) {
        SetChoice::None => sets(false),
        found => found,
    }
}

/// Returns the set of the database at a resolved path: one whose archives of this host record the path, or else the set
/// `name`, or else the only one with a database of that name.
pub fn set_of_path(snapshots: &[Snapshot], own: &OwnHost, path: &str, name: &Name) -> SetChoice {
    let closed = closed_counts(snapshots);
    let known = || {
        let counts = move |snapshot: &&Snapshot| {
            !snapshot.is_plain() && snapshot.kind != Kind::Safety && (closed || !snapshot.is_closed())
        };
        snapshots.iter().filter(counts)
    };
    let records = |snapshot: &&Snapshot| snapshot.databases.iter().any(|brief| brief.stream.path() == Some(path));
    let by_path: BTreeSet<&Name> =
        known().filter(|snapshot| own.owns(&snapshot.host)).filter(records).map(|snapshot| &snapshot.set).collect();
    if by_path.contains(name) {
        return SetChoice::One(name.clone());
    }
    if !by_path.is_empty() {
        return SetChoice::of(by_path);
    }
    if known().any(|snapshot| snapshot.set == *name) {
        return SetChoice::One(name.clone());
    }
    SetChoice::of(
        known()
            .filter(|snapshot| records(snapshot) || snapshot.brief(name.as_str()).is_some())
            .map(|found| &found.set)
            .collect(),
    )
}

/// Assigns archives of the old tool, which records no set, to the only configured set that has databases of those
/// names.
pub fn adopt_old_archives<'a>(
    snapshots: &mut [Snapshot],
    sets: impl Iterator<Item = (&'a Name, Vec<&'a Name>)> + Clone,
) {
    for snapshot in snapshots.iter_mut().filter(|snapshot| snapshot.origin == Origin::Legacy) {
        let held = |names: &[&Name]| snapshot.databases.iter().all(|brief| names.contains(&&brief.name));
        let mut fitting = sets.clone().filter(|(_, names)| held(names));
        if let (Some((set, _)), None) = (fitting.next(), fitting.next()) {
            snapshot.set = set.clone();
            snapshot.databases.iter_mut().for_each(|brief| brief.stream.set = set.clone());
        }
    }
}
