//! The decisions of `guard`: what is backed up before the command, what is done about the databases after it, and the
//! way back of one set.

use std::time::Duration;

use super::{Chosen, Surroundings};
use crate::config::Check;
use crate::database::{Depth, SourceError, Timeouts, is_blank, probe};
use crate::failure::{Failure, Remedy, Unrestored};
use crate::metadata::Kind;
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::backup::{self, IfMissing, LeftOut, Plan, Run};
use crate::ops::guard::{self, Before, Seen};
use crate::ops::inventory::Reading;
use crate::ops::pack::Request;
use crate::ops::pending::Upkeep;
use crate::ops::restore::{CheckPolicy, Options, Report, Safety};
use crate::progress::Silent;
use crate::snapshot::Snapshot;

/// Returns how thoroughly guard checks: sound databases afterwards are half of its purpose.
pub fn depth(configured: Check) -> Depth {
    match configured {
        Check::Full => Depth::Full,
        Check::Quick | Check::None => Depth::Quick,
    }
}

/// Plans the backup before the command. Fails if a database that exists or existed could not be rolled back. `known`
/// are the archives of the set.
pub fn plan(
    chosen: Chosen,
    note: String,
    if_missing: IfMissing,
    wait: Duration,
    known: &[Snapshot],
    around: &Surroundings<'_>,
) -> anyhow::Result<Plan> {
    let settings = &around.settings.backup;
    let request = Request {
        digits: None,
        set: chosen.set,
        kind: Kind::PreUpdate,
        name: None,
        note: Some(note),
        host: around.host_names(),
        created_at: around.clock.now(),
        replaces: None,
        consistent: true,
        absent: chosen.absent,
        check: depth(settings.check),
        keep_damaged: false,
        // The databases are compared with the archive afterwards, page by page.
        vacuum: false,
        compression: settings.compression,
        sealing: around.encryption.store.clone(),
        threads: around.threads,
        lock_wait: wait,
    };
    let plan = backup::plan(chosen.sources, if_missing, request)?;
    // There is nothing to roll back to.
    if let Some(empty) = plan.empty.first() {
        return Err(SourceError::Empty { path: empty.path.clone(), wal_beside: !is_blank(&empty.path)? }.into());
    }
    if let Some(LeftOut { source, why, .. }) = plan.unreadable.first() {
        probe(&source.path)?;
        return Err(SourceError::NotADatabase { path: source.path.clone(), why: why.clone() }.into());
    }
    if let Some((source, archive)) = backup::lost(&plan.missing, &plan.request.set, around.host, known).first() {
        let target = source.path.to_string_lossy().into_owned();
        let message = format!("no database at \"{}\", but archives of it exist", printable(&target));
        let lost = Unrestored { archive: archive.to_string(), database: source.name.clone(), target };
        return Err(Failure::usage(message, Remedy::RestoreLost(Box::new(lost))).into());
    }
    Ok(plan)
}

/// How the backup, the check and the rollback are done.
pub struct How<'a> {
    around: Surroundings<'a>,
    reading: Reading,
    wait: Duration,
}

impl<'a> How<'a> {
    /// Waits for locks for at most `wait`.
    pub fn new(around: Surroundings<'a>, wait: Duration) -> Self {
        Self { reading: around.reading(None), around, wait }
    }

    fn limits(&self) -> Timeouts {
        Timeouts { busy: self.wait, ..Timeouts::default() }
    }

    /// Returns how the backup before the command is made: `known` are the archives of the set, newest first.
    pub fn run_with<'r>(&'r self, known: &'r [Snapshot]) -> Run<'r> {
        Run { known: Some(known), ..self.run() }
    }

    fn run(&self) -> Run<'_> {
        Run {
            clock: self.around.clock,
            reading: &self.reading,
            limits: self.limits(),
            temporary: self.around.temporary,
            watch_shrinks: false,
            known: None,
            hold: None,
        }
    }

    /// Checks the databases of a set after the command.
    pub fn look(&self, repository: &Repository, before: &Before) -> anyhow::Result<Vec<Seen>> {
        guard::look(repository, before, depth(self.around.settings.backup.check), &self.run(), &Silent)
    }

    fn options<'r>(&self, repository: &'r Repository, before: &Before) -> Options<'r> {
        Options {
            archive: before.packed.archive.as_str().to_owned(),
            set: before.packed.metadata.set.clone(),
            // The archive was checked to this depth when it was made; one that is reused perhaps was not.
            check: CheckPolicy::Unproved(depth(self.around.settings.backup.check)),
            allow_damaged: false,
            rebuild_indexes: false,
            safety: Safety::Into(repository),
            workspace: Some(repository),
            takes_back: None,
            upkeep: Upkeep {
                last: self.around.settings.retention.safety,
                reading: self.around.reading(None),
                ahead: self.around.ahead,
            },
            limits: self.limits(),
            temporary: self.around.temporary.to_owned(),
            threads: self.around.threads,
            host: self.around.host_names(),
            clock: self.around.clock.clone(),
        }
    }

    /// Rolls a set back.
    pub fn roll_back(&self, repository: &Repository, touched: &Touched<'_>) -> anyhow::Result<Report> {
        let options = self.options(repository, touched.before);
        guard::roll_back(repository, touched.before, touched.seen, &options, &self.run())
    }

    /// Records that the changes of the command were kept.
    pub fn record_not_rolled_back(&self, repository: &Repository, touched: &Touched<'_>) -> anyhow::Result<()> {
        let options = self.options(repository, touched.before);
        guard::record_not_rolled_back(repository, touched.before, touched.seen, &options)
    }
}

/// A set with a database that changed.
pub struct Touched<'a> {
    /// The set before the command.
    pub before: &'a Before,
    /// Its databases after it.
    pub seen: &'a [Seen],
}

/// What happens to the databases.
pub enum Answer<'a> {
    /// Nothing failed: they keep the changes of the command.
    NotNeeded,
    /// Something failed, and they are unchanged.
    NothingChanged,
    /// Something failed, and the user decides about these.
    Leave(Vec<Touched<'a>>),
    /// These are rolled back.
    RollBack(Vec<Touched<'a>>),
}

/// What was found after the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The command succeeded and everything is healthy.
    Good,
    /// The command failed, or something is not healthy.
    Bad,
}

/// Whether databases are rolled back without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// They are.
    Wanted,
    /// The user decides.
    Declined,
}

/// Decides about the databases; `seen` has those of each set of `before`.
pub fn answer<'a>(health: Health, rollback: Rollback, before: &'a [Before], seen: &'a [Vec<Seen>]) -> Answer<'a> {
    if health == Health::Good {
        return Answer::NotNeeded;
    }
    let sets = before.iter().zip(seen).map(|(before, seen)| Touched { before, seen });
    let touched: Vec<Touched<'_>> = sets.filter(|set| !guard::changed(set.seen).is_empty()).collect();
    match rollback {
        _ if touched.is_empty() => Answer::NothingChanged,
        Rollback::Declined => Answer::Leave(touched),
        Rollback::Wanted => Answer::RollBack(touched),
    }
}
