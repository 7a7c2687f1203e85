//! Decides where each database goes: what the user says, else the configuration, else what the archive recorded on this host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::RestoreError;
use crate::config::SetSettings;
use crate::names::{HostLabel, Name};
use crate::snapshot::{Contents, Held, Origin};
use crate::streams::OwnHost;

/// What the user said about where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// One database into this file.
    File(PathBuf),
    /// Each under its file name into this folder.
    Folder(PathBuf),
    /// To the paths recorded in the archive, on whatever host.
    Original,
    /// Nothing: what is known decides.
    Known,
}

/// What is known without the archive.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
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
            Where::Known => configured(contents, held, known).or_else(|| recorded_here(contents, held, known)),
        };
        found.map(|path| (*index, path)).ok_or_else(|| RestoreError::NoTarget {
            name: held.name.clone(),
            recorded: held.source.clone().zip(contents.metadata.as_ref().map(|metadata| metadata.label().to_string())),
            archive: archive.to_owned(),
        })
    };
    chosen.iter().map(target).collect()
}

fn configured(contents: &Contents, held: &Held, known: &Known<'_>) -> Option<PathBuf> {
    if let Some(settings) = known.sets.get(&contents.set) {
        return settings.databases.get(&held.name).cloned();
    }
    // The archives of the old tool name no set; theirs is the only one that has a database of that name.
    let mut having = known.sets.values().filter_map(|settings| settings.databases.get(&held.name));
    match (contents.origin, having.next(), having.next()) {
        (Origin::Legacy, Some(path), None) => Some(path.clone()),
        _ => known.default_database.filter(|path| contents.databases.len() == 1 && Name::from_path(path) == held.name).cloned(),
    }
}

fn recorded_here(contents: &Contents, held: &Held, known: &Known<'_>) -> Option<PathBuf> {
    let here = contents.metadata.as_ref().is_some_and(|metadata| {
        let label = metadata.label();
        label == known.host.label && label != HostLabel::container()
    });
    held.source.as_ref().filter(|_| here).map(PathBuf::from)
}
