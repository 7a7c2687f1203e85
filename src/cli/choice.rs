//! Which databases the commands that read them mean: those on the command line, else those of the configuration.

use std::path::{Path, PathBuf};

use super::Context;
use super::exit::Usage;
use crate::database::Source;
use crate::names::Name;
use crate::ops::backup;

/// The arguments that choose databases.
#[derive(clap::Args, Debug)]
pub(super) struct ChoiceArgs {
    /// Database files, or names of configured databases; by default all configured ones
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// The configured set, or a name for several files together
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<Name>,
    /// Only this database of the set; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<Name>,
}

/// A set with the databases that were chosen and the names of those that were not.
pub(super) struct Chosen {
    pub(super) set: Name,
    pub(super) sources: Vec<Source>,
    pub(super) absent: Vec<Name>,
}

impl ChoiceArgs {
    /// Says whether neither files nor the configuration nor a variable say which databases are meant.
    pub(super) fn is_open(&self, context: &Context) -> bool {
        self.databases.is_empty()
            && context.settings.sets.is_empty()
            && context.settings.default_database.is_none()
            && context.configuration.refused_database().is_none()
    }

    /// Decides which sets and databases the arguments mean. At least one set, each with at least one database.
    pub(super) fn choose(&self, context: &Context) -> anyhow::Result<Vec<Chosen>> {
        let configured = &context.settings.sets;
        let named = |argument: &Path| -> Option<(Name, Name)> {
            let name = Name::new(argument.to_str()?).ok()?;
            let mut sets = configured
                .iter()
                .filter(|(set, settings)| self.set.as_ref().is_none_or(|wanted| wanted == *set) && settings.databases.contains_key(&name));
            sets.next().map(|(set, _)| (set.clone(), name))
        };
        let by_name: Option<Vec<(Name, Name)>> = self.databases.iter().map(|argument| named(argument)).collect();
        match by_name {
            Some(names) if !names.is_empty() => {
                let set = names[0].0.clone();
                if names.iter().any(|(other, _)| *other != set) {
                    return Err(Usage::new("the databases belong to different sets", "back up one set at a time, with `--set NAME`").into());
                }
                let only: Vec<Name> = names.into_iter().map(|(_, name)| name).chain(self.only.iter().cloned()).collect();
                if let Some(unknown) = only.iter().find(|name| !configured[&set].databases.contains_key(name)) {
                    return Err(no_such_database(context, unknown));
                }
                Ok(vec![from_settings(context, &set, &only)?])
            }
            Some(_) if !configured.is_empty() => {
                let sets: Vec<&Name> = configured.keys().filter(|set| self.set.as_ref().is_none_or(|wanted| wanted == *set)).collect();
                if sets.is_empty() {
                    let known: Vec<&str> = configured.keys().map(Name::as_str).collect();
                    return Err(Usage::new("no such set in the configuration", format!("there are: {}", known.join(", "))).into());
                }
                let holds = |set: &Name, name: &Name| configured[set].databases.contains_key(name);
                // One name too many is an error: leaving it out would silently back up less.
                if let Some(unknown) = self.only.iter().find(|name| !sets.iter().any(|set| holds(set, name))) {
                    return Err(no_such_database(context, unknown));
                }
                let matching = sets.iter().filter(|set| self.only.is_empty() || self.only.iter().any(|name| holds(set, name)));
                matching.map(|set| from_settings(context, set, &self.only)).collect()
            }
            Some(_) => match &context.settings.default_database {
                Some(path) => from_paths(self, std::slice::from_ref(path)),
                None => {
                    if let Some(refused) = context.configuration.refused_database() {
                        return Err(refused.into());
                    }
                    let hint =
                        "name a file (`heirloom backup app.db`), set DATABASE_PATH, or write a configuration with `heirloom config init`";
                    Err(Usage::new("no database to back up", hint).into())
                }
            },
            None => from_paths(self, &self.databases),
        }
    }
}

fn from_paths(args: &ChoiceArgs, paths: &[PathBuf]) -> anyhow::Result<Vec<Chosen>> {
    let mut sources = backup::name_sources(paths);
    let mut absent = Vec::new();
    if !args.only.is_empty() {
        let known: Vec<Name> = sources.iter().map(|source| source.name.clone()).collect();
        if let Some(unknown) = args.only.iter().find(|name| !known.contains(name)) {
            return Err(Usage::new(
                format!("no database \"{unknown}\" among those given"),
                "a file is named by its file name without ending",
            )
            .into());
        }
        (sources, absent) = split(sources, &args.only);
    }
    let set = match (&args.set, sources.as_slice()) {
        (Some(set), _) => set.clone(),
        (None, [only]) if absent.is_empty() => only.name.clone(),
        (None, _) => Name::new("databases")?,
    };
    Ok(vec![Chosen { set, sources, absent }])
}

fn from_settings(context: &Context, set: &Name, only: &[Name]) -> anyhow::Result<Chosen> {
    let databases = &context.settings.sets[set].databases;
    let sources = databases.iter().map(|(name, path)| Source { name: name.clone(), path: path.clone() }).collect();
    let (sources, absent) = if only.is_empty() { (sources, Vec::new()) } else { split(sources, only) };
    Ok(Chosen { set: set.clone(), sources, absent })
}

fn split(sources: Vec<Source>, only: &[Name]) -> (Vec<Source>, Vec<Name>) {
    let (chosen, left): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(|source| only.contains(&source.name));
    (chosen, left.into_iter().map(|source| source.name).collect())
}

fn no_such_database(context: &Context, name: &Name) -> anyhow::Error {
    let known: Vec<String> = context
        .settings
        .sets
        .iter()
        .flat_map(|(set, settings)| settings.databases.keys().map(move |name| format!("{set}/{name}")))
        .collect();
    Usage::new(format!("no database \"{name}\" in the configuration"), format!("there are: {}", known.join(", "))).into()
}
