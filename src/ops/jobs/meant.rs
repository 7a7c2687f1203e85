//! Finds the databases that `latest` is for: those of the configuration, the environment or an argument, else those
//! that the archives name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::Surroundings;
use crate::config::SetSettings;
use crate::failure::{Failure, Remedy};
use crate::latest::{Asked, SetChoice, adopt_old_archives, included, only_set, set_of_path};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::{Inventory, Reading, inventory};
use crate::platform;
use crate::progress::Progress;
use crate::snapshot::Snapshot;

/// A database that is known without its archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name in the set.
    pub name: Name,
    /// Where it belongs, as it was given.
    pub path: Option<PathBuf>,
    /// The other candidate paths, if nothing exists at any of them.
    pub alternatives: Vec<PathBuf>,
}

/// What is known without the archives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meant {
    /// The set, if it is known.
    pub set: Option<Name>,
    /// The databases; empty if the archives name them.
    pub databases: Vec<Database>,
    /// The configured sets it may be, if it is not known.
    pub one_of: Vec<Name>,
    /// Whether there is one database, named by its path, which determines the set.
    pub by_path: bool,
}

/// The set and its databases, once known.
pub struct Settled {
    /// The set.
    pub set: Name,
    /// The databases. Not empty, unless the set has no archives.
    pub databases: Vec<Database>,
}

impl Database {
    fn named(name: &Name) -> Self {
        Self { name: name.clone(), path: None, alternatives: Vec::new() }
    }

    /// Makes a database of the configuration.
    fn configured(settings: &SetSettings, name: &Name) -> Self {
        let path = settings.databases.get(name).cloned();
        Self { name: name.clone(), path, alternatives: settings.alternatives.get(name).cloned().unwrap_or_default() }
    }

    /// Makes a database that a path names.
    pub fn at(path: &Path) -> Self {
        Self { name: Name::from_path(path), path: Some(path.to_owned()), alternatives: Vec::new() }
    }

    /// Returns what the decision about the archive needs.
    pub fn asked(&self) -> Asked {
        let file = self.path.as_ref().and_then(|path| platform::file_identity(path).ok().flatten());
        Asked {
            name: self.name.clone(),
            path: self.path.as_deref().map(resolved),
            typed: self
                .path
                .as_deref()
                .and_then(|path| Some(std::path::absolute(path).ok()?.to_string_lossy().into_owned())),
            others: self.alternatives.iter().map(|path| resolved(path)).collect(),
            file,
        }
    }
}

/// Returns a path as streams record it.
pub fn resolved(path: &Path) -> String {
    platform::resolved(path).to_string_lossy().into_owned()
}

/// Returns what the configuration and the environment say, for a command without an argument.
pub fn meant(set: Option<&Name>, only: &[Name], around: &Surroundings<'_>) -> Meant {
    let configured = &around.settings.sets;
    let fits = |(name, settings): &(&Name, &SetSettings)| {
        set.is_none_or(|set| set == *name) && only.iter().all(|only| settings.databases.contains_key(only))
    };
    let fitting: Vec<&Name> = configured.iter().filter(fits).map(|(name, _)| name).collect();
    match fitting.as_slice() {
        [only_one] => of_set(only_one, only, around),
        [] => match (&around.settings.default_database, only) {
            (Some(path), []) if configured.is_empty() => {
                Meant { set: set.cloned(), databases: vec![Database::at(path)], by_path: true, ..Meant::default() }
            }
            (Some(path), [name]) if configured.is_empty() && *name == Name::from_path(path) => {
                Meant { set: set.cloned(), databases: vec![Database::at(path)], by_path: true, ..Meant::default() }
            }
            _ => {
                // A database that was removed from the configuration is found through its archives.
                let set = set.cloned().or_else(|| configured.keys().next().filter(|_| configured.len() == 1).cloned());
                let of = set.as_ref().and_then(|set| configured.get(set));
                let database = |name: &Name| {
                    of.map_or_else(|| Database::named(name), |settings| Database::configured(settings, name))
                };
                Meant { set, databases: only.iter().map(database).collect(), ..Meant::default() }
            }
        },
        several => Meant {
            databases: only.iter().map(Database::named).collect(),
            one_of: several.iter().map(|name| (*name).clone()).collect(),
            ..Meant::default()
        },
    }
}

/// Returns a configured set with the databases that were chosen.
fn of_set(set: &Name, only: &[Name], around: &Surroundings<'_>) -> Meant {
    let settings = &around.settings.sets[set];
    let chosen = settings.databases.keys().filter(|name| only.is_empty() || only.contains(name));
    Meant {
        set: Some(set.clone()),
        databases: chosen.map(|name| Database::configured(settings, name)).collect(),
        ..Meant::default()
    }
}

/// Returns the database of the configuration that an argument means: its path, or its name.
pub fn configured_database(
    text: &str,
    set: Option<&Name>,
    around: &Surroundings<'_>,
) -> Result<Option<Meant>, Failure> {
    let path = resolved(Path::new(text));
    let sets = || around.settings.sets.iter().filter(|(name, _)| set.is_none_or(|set| set == *name));
    let at_path = |(name, settings): (&Name, &SetSettings)| {
        let database =
            settings.databases.iter().find(|(_, at)| resolved(at) == path).map(|(database, _)| database.clone());
        database.map(|database| (name.clone(), database))
    };
    let by_name = |(name, settings): (&Name, &SetSettings)| {
        let database = Name::new(text).ok().filter(|database| settings.databases.contains_key(database));
        database.map(|database| (name.clone(), database))
    };
    let mut found: Vec<(Name, Name)> = sets().filter_map(at_path).collect();
    if found.is_empty() {
        found = sets().filter_map(by_name).collect();
    }
    match found.as_slice() {
        [] => Ok(None),
        [(set, database)] => Ok(Some(of_set(set, std::slice::from_ref(database), around))),
        several => {
            let choices = several.iter().map(|(set, _)| set.clone()).collect();
            Err(Failure::usage(
                format!("several sets have the database \"{}\"", printable(text)),
                Remedy::ChooseSet(choices),
            ))
        }
    }
}

/// Returns whether an archive records this path as the place of one of its databases.
pub fn is_recorded(snapshots: &[Snapshot], path: &str) -> bool {
    archives(snapshots).flat_map(|snapshot| &snapshot.databases).any(|brief| brief.stream.path() == Some(path))
}

/// Returns the archives that show where a database belongs. Safety backups do not: they may be of any restore target.
fn archives(snapshots: &[Snapshot]) -> impl Iterator<Item = &Snapshot> {
    snapshots.iter().filter(|snapshot| !snapshot.is_plain() && snapshot.kind != Kind::Safety)
}

/// Lists a store, with the archives of the old tool in the configured sets that they belong to.
pub fn listing(
    repository: &Repository,
    reading: &Reading,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Inventory> {
    let mut found = inventory(repository, reading, progress)?;
    let sets = around.settings.sets.iter().map(|(set, settings)| (set, settings.databases.keys().collect()));
    adopt_old_archives(&mut found.snapshots, sets);
    Ok(found)
}

/// Determines the set and the databases, now that the archives are known. `to` is the file that was named as the
/// target.
pub fn settle(
    meant: Meant,
    only: &[Name],
    to: Option<&Path>,
    at: Option<DateTime<Utc>>,
    found: &Inventory,
    around: &Surroundings<'_>,
) -> anyhow::Result<Settled> {
    let snapshots = &found.snapshots;
    let meant = pinned_by_target(meant, only, to, snapshots, around);
    let set = match &meant.set {
        Some(set) => set.clone(),
        None => set_of(&meant, to, snapshots, around)?,
    };
    let mut databases = meant.databases.clone();
    if let Some(settings) = around.settings.sets.get(&set) {
        if databases.is_empty() && only.is_empty() {
            databases = of_set(&set, only, around).databases;
        }
        for database in databases.iter_mut().filter(|database| database.path.is_none()) {
            *database = Database::configured(settings, &database.name);
        }
    }
    // If the name of a file led to another set, it names no database of that set; nor if only the target is named.
    if meant.by_path && (meant.set.is_none() || to.is_some()) && !holds(snapshots, &set, &databases) {
        databases.clear();
    }
    refuse_unknown(only, &set, snapshots, around)?;
    if databases.is_empty() {
        let named = if only.is_empty() {
            included(snapshots, &set, around.host, at, around.clock.now())
        } else {
            only.to_vec()
        };
        databases = named.iter().map(Database::named).collect();
    }
    Ok(Settled { set, databases })
}

/// A target that is a database of the configuration, or one that archives of this host record, names the database.
fn pinned_by_target(
    meant: Meant,
    only: &[Name],
    to: Option<&Path>,
    snapshots: &[Snapshot],
    around: &Surroundings<'_>,
) -> Meant {
    let Some(to) = to.filter(|_| only.is_empty() && !meant.by_path) else { return meant };
    let path = resolved(to);
    for (set, settings) in
        around.settings.sets.iter().filter(|(set, _)| meant.set.as_ref().is_none_or(|meant| meant == *set))
    {
        if let Some((name, _)) = settings.databases.iter().find(|(_, at)| resolved(at) == path) {
            return of_set(set, std::slice::from_ref(name), around);
        }
    }
    if !meant.databases.is_empty() || !meant.one_of.is_empty() {
        return meant;
    }
    let own = archives(snapshots).filter(|snapshot| around.host.owns(&snapshot.host));
    let mut of_set = own.filter(|snapshot| meant.set.as_ref().is_none_or(|set| *set == snapshot.set));
    if of_set.any(|snapshot| snapshot.databases.iter().any(|brief| brief.stream.path() == Some(path.as_str()))) {
        return Meant { databases: vec![Database::at(to)], by_path: true, ..meant };
    }
    meant
}

fn set_of(meant: &Meant, to: Option<&Path>, snapshots: &[Snapshot], around: &Surroundings<'_>) -> anyhow::Result<Name> {
    if let ([Database { name, path: Some(path), .. }], true) = (meant.databases.as_slice(), meant.by_path) {
        match set_of_path(snapshots, around.host, &resolved(path), name) {
            SetChoice::One(set) => return Ok(set),
            SetChoice::Several(sets) => return Err(several_sets(&sets, around).into()),
            // It has no archive under any name. A target that was named may be filled from another one.
            SetChoice::None if to.is_none() => return Ok(name.clone()),
            SetChoice::None => {}
        }
    }
    if !meant.one_of.is_empty() {
        let there: Vec<Name> =
            meant.one_of.iter().filter(|set| snapshots.iter().any(|snapshot| snapshot.set == **set)).cloned().collect();
        return match there.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(several_sets(&meant.one_of, around).into()),
            several => Err(several_sets(several, around).into()),
        };
    }
    let named: Vec<&Name> =
        meant.databases.iter().filter(|database| database.path.is_none()).map(|database| &database.name).collect();
    let choice = match only_set(snapshots, around.host) {
        SetChoice::Several(sets) if !named.is_empty() => {
            let holds = |set: &&Name| named.iter().all(|name| names_in(set, snapshots).contains(name));
            match sets.iter().filter(holds).collect::<Vec<_>>().as_slice() {
                [] => return Err(in_no_set(&named, &sets, snapshots).into()),
                [only] => SetChoice::One((*only).clone()),
                several => SetChoice::Several(several.iter().map(|set| (*set).clone()).collect()),
            }
        }
        choice => choice,
    };
    match choice {
        SetChoice::One(set) => Ok(set),
        SetChoice::None => Ok(meant
            .databases
            .first()
            .map(|database| database.name.clone())
            .or_else(|| to.map(Name::from_path))
            .unwrap_or_else(|| Name::from_path(Path::new("databases")))),
        SetChoice::Several(sets) => {
            // The name of the target decides as `DATABASE_PATH` does.
            match to.map(|to| set_of_path(snapshots, around.host, &resolved(to), &Name::from_path(to))) {
                Some(SetChoice::One(set)) => Ok(set),
                _ => Err(several_sets(&sets, around).into()),
            }
        }
    }
}

/// Returns whether an archive of the set holds one of these databases, by path or by name.
fn holds(snapshots: &[Snapshot], set: &Name, databases: &[Database]) -> bool {
    let paths: Vec<String> = databases.iter().filter_map(|database| database.path.as_deref()).map(resolved).collect();
    let of_set = snapshots.iter().filter(|snapshot| snapshot.set == *set);
    of_set.clone().next().is_none()
        || of_set.flat_map(|snapshot| &snapshot.databases).any(|brief| {
            let by_name = databases.iter().any(|database| database.name == brief.name);
            by_name || brief.stream.path().is_some_and(|path| paths.iter().any(|known| known == path))
        })
}

fn several_sets(sets: &[Name], around: &Surroundings<'_>) -> Failure {
    Failure::usage(format!("the store \"{}\" holds several sets", location(around)), Remedy::ChooseSet(sets.to_vec()))
}

/// Returns the databases that the archives of a set name.
fn names_in<'a>(set: &Name, snapshots: &'a [Snapshot]) -> BTreeSet<&'a Name> {
    let of_set = snapshots.iter().filter(|snapshot| snapshot.set == *set);
    of_set
        .flat_map(|snapshot| snapshot.databases.iter().map(|brief| &brief.name).chain(&snapshot.set_databases))
        .collect()
}

fn in_no_set(named: &[&Name], sets: &[Name], snapshots: &[Snapshot]) -> Failure {
    let names: Vec<String> = named.iter().map(|name| format!("\"{name}\"")).collect();
    let known =
        sets.iter().flat_map(|set| names_in(set, snapshots).into_iter().map(move |name| format!("{set}/{name}")));
    Failure::no_backup(format!("no set has the database {}", names.join(" and ")), Remedy::ChooseFrom(known.collect()))
}

/// Refuses a name that neither the configuration nor an archive of the set knows: a typing error, not a first
/// deployment.
fn refuse_unknown(only: &[Name], set: &Name, snapshots: &[Snapshot], around: &Surroundings<'_>) -> Result<(), Failure> {
    let mut known = names_in(set, snapshots);
    known.extend(around.settings.sets.get(set).into_iter().flat_map(|settings| settings.databases.keys()));
    match only.iter().find(|name| !known.contains(name)) {
        Some(unknown) if !known.is_empty() => {
            let known = known.iter().map(ToString::to_string).collect();
            Err(Failure::no_backup(
                format!("no database \"{unknown}\" in the set \"{set}\""),
                Remedy::ChooseFrom(known),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses a set that neither the configuration nor an archive knows, if there are archives at all.
pub fn refuse_unknown_set(set: Option<&Name>, found: &Inventory, around: &Surroundings<'_>) -> Result<(), Failure> {
    let settings = around.settings;
    let is_known = |set: &Name| settings.sets.contains_key(set) || settings.each.iter().any(|each| each.name == *set);
    let Some(set) = set.filter(|set| !is_known(set)) else { return Ok(()) };
    let newer = found.foreign.iter().filter_map(|foreign| foreign.newer()).map(|newer| &newer.set);
    let known: BTreeSet<&Name> = found.snapshots.iter().map(|snapshot| &snapshot.set).chain(newer).collect();
    if known.is_empty() || known.contains(set) {
        return Ok(());
    }
    let names: Vec<&str> = known.into_iter().map(Name::as_str).collect();
    Err(Failure::no_backup(
        format!("no archive of a set \"{set}\" in the store \"{}\"", location(around)),
        format!("there are the sets: {}", names.join(", ")),
    ))
}

/// Returns the store as messages name it.
pub fn location(around: &Surroundings<'_>) -> String {
    printable(&around.settings.store.to_string()).into_owned()
}
