//! What the store knows of the last backups, for the decisions of `schedule/`.

use chrono::{DateTime, Utc};

use super::{Chosen, Surroundings};
use crate::ops::backup::own_stream;
use crate::schedule::Last;
use crate::snapshot::Snapshot;

/// Returns the last good backup of a set: that of its database whose last one is the oldest. Archives are newest first.
pub fn last(chosen: &Chosen, archives: &[Snapshot], around: &Surroundings<'_>, now: DateTime<Utc>) -> Last {
    let of_source = |source| {
        let stream = own_stream(source, &chosen.set, &around.host.label, archives, now);
        let of_stream = |snapshot: &&Snapshot| snapshot.databases.iter().any(|brief| brief.stream == stream);
        let dates = archives.iter().filter(|snapshot| snapshot.is_good()).filter(of_stream);
        Last::of(dates.map(|snapshot| snapshot.created_at), now)
    };
    // `None` is less than any date: a database without a backup decides.
    let lasts: Vec<Last> = chosen.sources.iter().map(of_source).collect();
    Last {
        at: lasts.iter().map(|last| last.at).min().flatten(),
        ahead: lasts.iter().filter_map(|last| last.ahead).max(),
        running: false,
    }
}
