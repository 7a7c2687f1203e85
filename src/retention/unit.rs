//! One archive with all its names: copies with the same id take one slot and have one verdict.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::metadata::Kind;
use crate::names::ArchiveId;
use crate::snapshot::{Seal, Snapshot};

/// One archive with all its names.
pub(super) struct Unit<'a> {
    /// The copies, sorted by name; never empty.
    pub(super) names: Vec<&'a Snapshot>,
    /// Whether one of them is pinned.
    pub(super) pinned: bool,
    /// Whether one of them is held.
    pub(super) held: bool,
    /// Whether all of them are damaged.
    pub(super) damaged: bool,
    /// Whether its shrink is accepted, under any name.
    pub(super) accepted: bool,
    /// Whether it is dated in the future.
    pub(super) future: bool,
    /// Whether all of them are plain in a store of encrypted archives.
    pub(super) exposed: bool,
}

impl<'a> Unit<'a> {
    /// Returns the first of the copies, which represents all.
    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.names[0]
    }

    /// Returns whether rules, floors and shrinks consider it. If it is not damaged either, it is good.
    pub(super) fn is_eligible(&self) -> bool {
        !self.future && self.snapshot().kind != Kind::Safety
    }
}

/// Groups archives into units, newest first.
pub(super) fn units<'a>(snapshots: impl Iterator<Item = &'a Snapshot>, now: DateTime<Utc>) -> Vec<Unit<'a>> {
    let mut order: Vec<&Snapshot> = snapshots.collect();
    order.sort_by(|a, b| a.newest_first(b));
    let mut by_id: HashMap<ArchiveId, usize> = HashMap::new();
    let mut units: Vec<Unit<'a>> = Vec::with_capacity(order.len());
    for snapshot in order {
        let index = snapshot.id.map_or(units.len(), |id| *by_id.entry(id).or_insert(units.len()));
        if let Some(unit) = units.get_mut(index) {
            unit.names.push(snapshot);
            unit.pinned |= snapshot.pinned;
            unit.held |= snapshot.held;
            unit.damaged &= snapshot.damaged;
            unit.accepted |= snapshot.accepted;
            unit.exposed &= snapshot.seal == Seal::Missing;
        } else {
            units.push(Unit {
                names: vec![snapshot],
                pinned: snapshot.pinned,
                held: snapshot.held,
                damaged: snapshot.damaged,
                accepted: snapshot.accepted,
                future: snapshot.created_at > now,
                exposed: snapshot.seal == Seal::Missing,
            });
        }
    }
    units
}
