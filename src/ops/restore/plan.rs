//! Decides what a restore is going to do. Looks at the targets and changes nothing.

use std::path::{Path, PathBuf};

use super::{Damage, RestoreError};
use crate::database::{self, Holders, Proof, SourceError, Target, TargetState, Unlinked, refuse_unlinked};
use crate::metadata::total_rows;
use crate::names::Name;
use crate::platform::parent;
use crate::schema_diff::Difference;
use crate::snapshot::{Contents, Held};

/// What a restore is going to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The databases that are restored, in the order of the archive.
    pub steps: Vec<Step>,
    /// Databases that are moved aside, because there was none before.
    pub removals: Vec<Removal>,
    /// Files to be moved aside that do not exist.
    pub gone: Vec<PathBuf>,
    /// Targets that are skipped because they exist, if that was requested.
    pub skipped: Vec<(Name, PathBuf)>,
}

/// One database and its target.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its index in the archive.
    pub index: usize,
    /// What the archive records about it.
    pub held: Held,
    /// Where it goes, and what is there.
    pub target: Target,
    /// How it gets there.
    pub method: Method,
    /// Who has the target open.
    pub holders: Holders,
    /// Its unreadable parts, if they were looked for.
    pub damage: Option<Damage>,
    /// How it changes the schema of what it replaces, where that was looked for and is known.
    pub schema: Option<Difference>,
}

/// A database that is moved aside with its sidecars.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub target: Target,
    /// Who has it open.
    pub holders: Holders,
}

/// How a database gets to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A new file is created.
    Create,
    /// A live database is replaced from inside.
    Inside,
    /// The file is replaced, after proof that no process has it open.
    Offline(Proof),
    /// The existing file is not a database: it is moved aside, and a new file is put in its place.
    SetAside,
}

impl Plan {
    /// Returns whether something that exists is going to be replaced, so that the user should be asked.
    pub fn replaces(&self) -> bool {
        let exists = |target: &Target| !matches!(target.state, TargetState::Missing { .. } | TargetState::Empty);
        self.steps.iter().any(|step| exists(&step.target)) || !self.removals.is_empty()
    }

    /// Returns whether something known to be damaged is going to be restored.
    pub fn is_damaged(&self) -> bool {
        self.steps.iter().any(|step| step.damage.is_some())
    }

    /// Returns whether a safety backup is needed.
    pub fn needs_safety_backup(&self) -> bool {
        let holds_data = |removal: &Removal| matches!(removal.target.state, TargetState::Database(_));
        self.steps.iter().any(Step::needs_safety_backup) || self.removals.iter().any(holds_data)
    }

    /// Returns every target, those of removals last.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.steps.iter().map(|step| &step.target).chain(self.removals.iter().map(|removal| &removal.target))
    }
}

impl Step {
    /// Says whether what it replaces can be backed up first: a missing or empty file holds nothing, an unusable one is
    /// kept beside.
    pub fn needs_safety_backup(&self) -> bool {
        matches!(self.target.state, TargetState::Database(_))
    }

    /// Returns the rows of the existing database, if they can be counted.
    pub fn rows_before(&self) -> Option<u64> {
        match &self.target.state {
            TargetState::Database(facts) => facts.rows,
            _ => None,
        }
    }

    /// Returns the rows that the archive records, if any.
    pub fn rows_after(&self) -> Option<u64> {
        total_rows(self.held.tables.as_ref()?)
    }
}

/// Returns the databases of an archive that were asked for; all if none was named.
pub fn choose(contents: &Contents, only: &[Name]) -> Result<Vec<usize>, RestoreError> {
    let available = || contents.databases.iter().map(|held| held.name.clone()).collect::<Vec<_>>();
    if let Some(unknown) = only.iter().find(|name| contents.databases.iter().all(|held| held.name != **name)) {
        return Err(RestoreError::NoSuchDatabase { name: unknown.clone(), available: available() });
    }
    let wanted = |index: &usize| only.is_empty() || only.contains(&contents.databases[*index].name);
    Ok((0..contents.databases.len()).filter(wanted).collect())
}

/// Makes the plan. With `if_missing`, targets that exist are left alone.
pub fn plan(
    contents: &Contents,
    targets: Vec<(usize, PathBuf)>,
    offline: Option<Proof>,
    if_missing: bool,
) -> anyhow::Result<Plan> {
    let mut plan = Plan { steps: Vec::new(), removals: Vec::new(), gone: Vec::new(), skipped: Vec::new() };
    for (index, path) in targets {
        let held = contents.databases[index].clone();
        let folder = parent(&path);
        if let Err(cause) = std::fs::metadata(folder)
            && cause.kind() == std::io::ErrorKind::NotFound
        {
            return Err(RestoreError::NoFolder { path: folder.to_owned() }.into());
        }
        // Its process would go on and write pages of its own -wal over what was restored. One whose whole file is gone
        // writes nothing here.
        if !if_missing
            && let Err(error @ SourceError::Unlinked { found: Unlinked { main: None, .. }, .. }) =
                refuse_unlinked(&path)
        {
            return Err(error.into());
        }
        let target = database::look_at(&path)?;
        let method = match (&target.state, offline) {
            (TargetState::Missing { .. }, _) => Method::Create,
            // A file of 0 bytes with nothing beside it also counts as missing: an application would start empty.
            (state, _) if if_missing && *state != TargetState::Empty => {
                plan.skipped.push((held.name, path));
                continue;
            }
            (TargetState::Unusable { .. }, _) => Method::SetAside,
            (TargetState::Database(_), Some(proof)) => Method::Offline(proof),
            (TargetState::Database(_) | TargetState::Empty, _) => Method::Inside,
        };
        let holders = database::holders(&target.path).unwrap_or_default();
        plan.steps.push(Step { index, held, target, method, holders, damage: None, schema: None });
    }
    refuse_collisions(&plan)?;
    Ok(plan)
}

/// Adds databases that are moved aside. One that is not there needs nothing.
pub fn plan_removals(plan: &mut Plan, removals: Vec<(Name, PathBuf)>) -> anyhow::Result<()> {
    for (name, path) in removals {
        let target = database::look_at(&path)?;
        if matches!(target.state, TargetState::Missing { .. }) {
            plan.gone.push(target.path);
            continue;
        }
        let holders = database::holders(&target.path).unwrap_or_default();
        plan.removals.push(Removal { name, target, holders });
    }
    Ok(())
}

/// Refuses two databases at one file, and one at the sidecar of another or of a database that is there.
fn refuse_collisions(plan: &Plan) -> Result<(), RestoreError> {
    let base = |path: &Path| -> Option<PathBuf> {
        let text = path.to_str()?;
        ["-wal", "-shm", "-journal"].iter().find_map(|ending| text.strip_suffix(ending)).map(PathBuf::from)
    };
    for (number, step) in plan.steps.iter().enumerate() {
        let path = &step.target.path;
        let twice = plan.steps[..number].iter().any(|other| other.target.same_file(&step.target));
        let beside = base(path).is_some_and(|base| {
            plan.steps.iter().any(|other| other.target.path == base) || std::fs::symlink_metadata(&base).is_ok()
        });
        if twice || beside {
            return Err(RestoreError::Collision { path: path.clone() });
        }
    }
    Ok(())
}
