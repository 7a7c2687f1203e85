//! Decides where each database goes: what the user says, else the configuration or the environment, else, where neither
//! names any database, what the archive recorded on this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RestoreError;
use crate::config::SetSettings;
use crate::names::{HostLabel, Name};
use crate::platform;
use crate::snapshot::{Contents, Held, Origin};
use crate::streams::OwnHost;

/// The target that the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// One database into this file.
    File(PathBuf),
    /// Each under its file name into this folder.
    Folder(PathBuf),
    /// To the paths recorded in the archive, on whatever host.
    Original,
    /// No target: the known ones are used.
    Known,
}

/// What is known without the archive.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Databases of the archive whose place is known by now: what was asked for had a path.
    pub assigned: &'a [(usize, PathBuf)],
    /// The configured sets.
    pub sets: &'a BTreeMap<Name, SetSettings>,
    /// The one database that the environment names.
    pub default_database: Option<&'a PathBuf>,
    /// The labels that are this host's own.
    pub host: &'a OwnHost,
}

/// Returns the target of each chosen database. `archive` is what the user would type for it.
pub fn targets(
    contents: &Contents,
    chosen: &[usize],
    place: &Where,
    known: &Known<'_>,
    archive: &str,
) -> Result<Vec<(usize, PathBuf)>, RestoreError> {
    if let (Where::File(_), [_, _, ..]) = (place, chosen) {
        return Err(RestoreError::OneFileForSeveral {
            names: chosen.iter().map(|index| contents.databases[*index].name.clone()).collect(),
        });
    }
    let target = |index: &usize| {
        let held = &contents.databases[*index];
        let found = match place {
            Where::File(path) => Some(path.clone()),
            // The name was validated as one component of a path when the archive was opened.
            Where::Folder(folder) => Some(folder.join(&held.file)),
            Where::Original => held.source.as_ref().map(PathBuf::from),
            Where::Known => assigned(*index, known)
                .or_else(|| configured(contents, held, known))
                .or_else(|| recorded_here(contents, held, known)),
        };
        found.map(|path| (*index, path)).ok_or_else(|| RestoreError::NoTarget {
            name: held.name.clone(),
            recorded: held.source.clone().zip(contents.metadata.as_ref().map(|metadata| metadata.label().to_string())),
            archive: archive.to_owned(),
        })
    };
    chosen.iter().map(target).collect()
}

fn assigned(index: usize, known: &Known<'_>) -> Option<PathBuf> {
    known.assigned.iter().find(|(assigned, _)| *assigned == index).map(|(_, path)| path.clone())
}

fn configured(contents: &Contents, held: &Held, known: &Known<'_>) -> Option<PathBuf> {
    if let Some(settings) = known.sets.get(&contents.set) {
        return settings.databases.get(&held.name).cloned();
    }
    // The archives of the old tool name no set; theirs is the only one that has a database of that name.
    let mut having = known.sets.values().filter_map(|settings| settings.databases.get(&held.name));
    match (contents.origin, having.next(), having.next()) {
        (Origin::Legacy, Some(path), None) => Some(path.clone()),
        _ => known.default_database.filter(|path| is_of_environment(path, contents, held)).cloned(),
    }
}

/// The environment stands for one path: of the only database in the archive by name, or of the one that was there.
fn is_of_environment(path: &Path, contents: &Contents, held: &Held) -> bool {
    let only = contents.databases.len() == 1 && Name::from_path(path) == held.name;
    only || held.source.as_ref().is_some_and(|source| platform::resolved(Path::new(source)) == platform::resolved(path))
}

/// Returns the recorded path, if nothing else names a database: an archive must not bring a file back that was moved.
fn recorded_here(contents: &Contents, held: &Held, known: &Known<'_>) -> Option<PathBuf> {
    if !known.sets.is_empty() || known.default_database.is_some() {
        return None;
    }
    let here = contents.metadata.as_ref().is_some_and(|metadata| {
        let label = metadata.label();
        label == known.host.label && label != HostLabel::container()
    });
    held.source.as_ref().filter(|_| here).map(PathBuf::from)
}
