//! The reports of `rotate` and `cleanup`.

use std::time::Duration;

use chrono_tz::Tz;

use crate::names::ArchiveName;
use crate::ops::retain::{Fate, Seen};
use crate::ops::stale::{Stale, Whereabouts};
use crate::report::retain as report;
use crate::retention::{Plan, Simulation};
use crate::store::Removal;

/// A plan, and its results so far.
pub struct Progressed<'a> {
    /// The store.
    pub store: String,
    /// The plan.
    pub plan: &'a Plan,
    /// What was done, oldest first; `None` as long as nothing was.
    pub fates: Option<&'a [(ArchiveName, Fate)]>,
    /// What else was found.
    pub seen: &'a Seen,
    /// How many leftovers of interrupted runs were removed, or would be.
    pub leftovers: usize,
    /// Where days, weeks, months and years begin.
    pub zone: Tz,
    /// What became of the bytes of removed archives.
    pub removal: Removal,
}

impl Progressed<'_> {
    /// Returns the result of a removal of the plan.
    pub fn fate(&self, removal: usize) -> Option<&Fate> {
        self.fates.and_then(|fates| fates.get(removal)).map(|(_, fate)| fate)
    }

    /// Returns the bytes of the archives that were removed, or that would be.
    pub fn removed_bytes(&self) -> u64 {
        let gone = |removal: usize| self.fates.is_none() || matches!(self.fate(removal), Some(Fate::Removed));
        self.plan.removed().enumerate().filter(|(removal, _)| gone(*removal)).map(|(_, verdict)| verdict.bytes).sum()
    }
}

/// Reports a plan and its results.
pub fn retained(progressed: &Progressed<'_>) -> report::Retained {
    let Progressed { plan, seen, .. } = progressed;
    let removals = plan.removed().enumerate().map(|(removal, verdict)| {
        let fate = progressed.fate(removal);
        report::Removal {
            verdict: verdict.into(),
            removed: matches!(fate, Some(Fate::Removed)),
            outcome: fate.filter(|fate| !matches!(fate, Fate::Removed)).map(ToString::to_string),
        }
    });
    let foreign = seen.foreign.iter().map(|foreign| report::ForeignFile {
        file: foreign.name.clone(),
        bytes: foreign.bytes,
        why: foreign.why.clone(),
    });
    let plain_kept =
        seen.spared.iter().map(|(archive, why)| report::PlainKept { archive: archive.clone(), why: why.to_string() });
    let is_hidden = progressed.fates.is_some() && progressed.removal == Removal::Hidden;
    report::Retained {
        store: progressed.store.clone(),
        dry_run: progressed.fates.is_none(),
        time_zone: progressed.zone.name().to_owned(),
        keep: plan.kept().map(Into::into).collect(),
        remove: removals.collect(),
        freed_bytes: if is_hidden { 0 } else { progressed.removed_bytes() },
        hidden_bytes: if is_hidden { progressed.removed_bytes() } else { 0 },
        oldest: plan.oldest().map(|verdict| verdict.created_at),
        left_alone: plan.left_alone,
        open_shrinks: plan.open_shrinks.iter().map(Into::into).collect(),
        leftovers: progressed.leftovers,
        foreign: foreign.collect(),
        plain_kept: plain_kept.collect(),
        stale: seen.stale.iter().map(stale).collect(),
        newer_format: seen.sealed.iter().cloned().collect(),
        copies: Vec::new(),
    }
}

fn stale(stale: &Stale) -> report::StaleStream {
    report::StaleStream {
        set: stale.stream.set.clone(),
        host: stale.stream.host.clone(),
        path: stale.stream.path().map(str::to_owned),
        newest: stale.newest,
        superfluous: stale.superfluous,
        database: match stale.database {
            Whereabouts::There => "there",
            Whereabouts::Gone => "gone",
            Whereabouts::Unknown => "unknown",
        },
    }
}

/// Reports a simulation.
pub fn simulated(played: &Simulation, every: Duration, zone: Tz) -> report::Simulated {
    let keep = played.plan.kept().map(|verdict| report::SimulatedBackup {
        date: verdict.created_at,
        reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
    });
    report::Simulated {
        simulated: report::Schedule {
            from: played.from,
            to: played.to,
            every_seconds: every.as_secs_f64(),
            backups: played.made,
            time_zone: zone.name().to_owned(),
        },
        keep: keep.collect(),
        counts: played
            .counts
            .iter()
            .map(|(date, archives)| report::SimulatedCount { date: *date, archives: *archives })
            .collect(),
        oldest: played.plan.oldest().map(|verdict| verdict.created_at),
    }
}
