//! Selects the databases to back up, guard or watch: those that were named, else those of the settings.

use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::database::Source;
use crate::failure::{Failure, FailureKind, Remedy};
use crate::names::Name;
use crate::ops::backup;

/// How many names a hint lists at most.
const MOST_NAMES: usize = 20;

/// What was named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Database files, or names of databases of the settings.
    pub databases: &'a [PathBuf],
    /// The set: a configured one, or a name for several files.
    pub set: Option<&'a Name>,
    /// Only these databases of the set.
    pub only: &'a [Name],
}

/// A set with the databases that were chosen and the names of those that were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The set.
    pub set: Name,
    /// Its databases that were chosen, at least one.
    pub sources: Vec<Source>,
    /// The names of those that were not.
    pub absent: Vec<Name>,
}

impl Selection<'_> {
    /// Returns whether neither an argument nor the settings name a database.
    pub fn is_open(&self, settings: &Settings) -> bool {
        let is_configured = !settings.sets.is_empty() || !settings.each.is_empty();
        self.databases.is_empty() && !is_configured && settings.default_database.is_none()
    }

    /// Decides which sets and databases are meant. At least one set, each with at least one database.
    pub fn choose(&self, settings: &Settings) -> Result<Vec<Chosen>, Failure> {
        let by_name: Option<Vec<(Name, Name)>> =
            self.databases.iter().map(|argument| self.configured(argument, settings)).collect();
        match by_name {
            Some(names) if !names.is_empty() => {
                let set = names[0].0.clone();
                if names.iter().any(|(other, _)| *other != set) {
                    return Err(Failure::usage("the databases belong to different sets", Remedy::OneSetAtATime));
                }
                let only: Vec<Name> =
                    names.into_iter().map(|(_, name)| name).chain(self.only.iter().cloned()).collect();
                if let Some(unknown) = only.iter().find(|name| !settings.sets[&set].databases.contains_key(name)) {
                    return Err(no_such_database(settings, unknown));
                }
                Ok(vec![of_settings(settings, &set, &only)])
            }
            Some(_) if !settings.sets.is_empty() || !settings.each.is_empty() => self.of_sets(settings),
            Some(_) => match &settings.default_database {
                Some(path) => self.of_paths(std::slice::from_ref(path)),
                None => Err(Failure::usage("no database to back up", Remedy::NameDatabase)),
            },
            None => self.of_paths(self.databases),
        }
    }

    /// Returns the configured database that an argument names, with its set.
    fn configured(&self, argument: &Path, settings: &Settings) -> Option<(Name, Name)> {
        let name = Name::new(argument.to_str()?).ok()?;
        let is_meant = |set: &Name| self.set.is_none_or(|wanted| wanted == set);
        let mut sets =
            settings.sets.iter().filter(|(set, settings)| is_meant(set) && settings.databases.contains_key(&name));
        sets.next().map(|(set, _)| (set.clone(), name))
    }

    fn of_sets(&self, settings: &Settings) -> Result<Vec<Chosen>, Failure> {
        let configured = &settings.sets;
        let pattern = self.set.and_then(|wanted| settings.each.iter().find(|each| each.name == *wanted));
        let is_meant = |set: &Name| match (self.set, pattern) {
            (None, _) => true,
            (Some(_), Some(each)) => each.sets.contains(set),
            (Some(wanted), None) => wanted == set,
        };
        let sets: Vec<&Name> = configured.keys().filter(|set| is_meant(set)).collect();
        if let (true, Some(each)) = (sets.is_empty(), pattern.or(settings.each.first().filter(|_| self.set.is_none())))
        {
            let message = match each.problems.first() {
                Some(problem) => problem.clone(),
                None => format!("no database matches {} yet", each.pattern),
            };
            return Err(Failure::new(FailureKind::NoDatabase, message).remedy(Remedy::CheckPath));
        }
        if sets.is_empty() {
            let names = settings.each.iter().map(|each| &each.name).chain(configured.keys());
            let known = names.take(MOST_NAMES).map(ToString::to_string).collect();
            let message = match self.set {
                Some(wanted) => format!("there is no set \"{wanted}\" in the configuration"),
                None => "there is no set in the configuration".to_owned(),
            };
            return Err(Failure::usage(message, Remedy::ChooseFrom(known)));
        }
        let holds = |set: &Name, name: &Name| configured[set].databases.contains_key(name);
        // An unknown name is an error: ignoring it would silently back up less.
        if let Some(unknown) = self.only.iter().find(|name| !sets.iter().any(|set| holds(set, name))) {
            return Err(no_such_database(settings, unknown));
        }
        let matching = sets.iter().filter(|set| self.only.is_empty() || self.only.iter().any(|name| holds(set, name)));
        Ok(matching.map(|set| of_settings(settings, set, self.only)).collect())
    }

    fn of_paths(&self, paths: &[PathBuf]) -> Result<Vec<Chosen>, Failure> {
        let mut sources = backup::name_sources(paths);
        let mut absent = Vec::new();
        if !self.only.is_empty() {
            if let Some(unknown) = self.only.iter().find(|name| !sources.iter().any(|source| source.name == **name)) {
                let message = format!("no database \"{unknown}\" among those given");
                return Err(Failure::usage(message, "a file is named by its file name without ending"));
            }
            (sources, absent) = split(sources, self.only);
        }
        let set = match (self.set, sources.as_slice()) {
            (Some(set), _) => set.clone(),
            (None, [only]) if absent.is_empty() => only.name.clone(),
            (None, _) => Name::from_path(Path::new("databases")),
        };
        Ok(vec![Chosen { set, sources, absent }])
    }
}

fn of_settings(settings: &Settings, set: &Name, only: &[Name]) -> Chosen {
    let databases = &settings.sets[set].databases;
    let sources = databases.iter().map(|(name, path)| Source { name: name.clone(), path: path.clone() }).collect();
    let (sources, absent) = if only.is_empty() { (sources, Vec::new()) } else { split(sources, only) };
    Chosen { set: set.clone(), sources, absent }
}

fn split(sources: Vec<Source>, only: &[Name]) -> (Vec<Source>, Vec<Name>) {
    let (chosen, left): (Vec<Source>, Vec<Source>) =
        sources.into_iter().partition(|source| only.contains(&source.name));
    (chosen, left.into_iter().map(|source| source.name).collect())
}

fn no_such_database(settings: &Settings, name: &Name) -> Failure {
    let of_set = |(set, databases): (&Name, _)| -> Vec<String> {
        let settings: &crate::config::SetSettings = databases;
        settings.databases.keys().map(|name| format!("{set}/{name}")).collect()
    };
    let known = settings.sets.iter().flat_map(of_set).collect();
    Failure::usage(format!("no database \"{name}\" in the configuration"), Remedy::ChooseFrom(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Two sets: `shop` with the databases `app` and `log`, and `blog` with `posts`.
    fn settings() -> Settings {
        let mut settings = Settings::default();
        for (set, databases) in [("shop", ["app", "log"].as_slice()), ("blog", ["posts"].as_slice())] {
            let paths = databases
                .iter()
                .map(|database| (name(database), PathBuf::from(format!("/srv/{database}.db"))))
                .collect();
            settings.sets.entry(name(set)).or_default().databases = paths;
        }
        settings
    }

    fn shown(chosen: Vec<Chosen>) -> Vec<String> {
        let names =
            |sources: &[Source]| sources.iter().map(|source| source.name.to_string()).collect::<Vec<_>>().join("+");
        chosen.iter().map(|chosen| format!("{}: {}", chosen.set, names(&chosen.sources))).collect()
    }

    #[test]
    fn without_a_name_all_sets_are_meant_and_else_those_that_hold_it() {
        let settings = settings();
        let all = Selection::default();
        assert_eq!(shown(all.choose(&settings).unwrap()), ["blog: posts", "shop: app+log"]);
        let only = [name("log")];
        let chosen = Selection { only: &only, ..all }.choose(&settings).unwrap();
        assert_eq!(chosen[0].absent, [name("app")]);
        assert_eq!(shown(chosen), ["shop: log"]);
        let databases = ["app".into()];
        assert_eq!(shown(Selection { databases: &databases, ..all }.choose(&settings).unwrap()), ["shop: app"]);
        let databases = ["app.db".into(), "other.db".into()];
        assert_eq!(
            shown(Selection { databases: &databases, ..all }.choose(&settings).unwrap()),
            ["databases: app+other"]
        );
    }

    #[test]
    fn a_name_too_many_is_refused_and_not_left_out() {
        let settings = settings();
        let all = Selection::default();
        let only = [name("log"), name("lgo")];
        let refused = Selection { only: &only, ..all }.choose(&settings).unwrap_err();
        assert_eq!(
            refused.remedy,
            Some(Remedy::ChooseFrom(vec!["blog/posts".into(), "shop/app".into(), "shop/log".into()]))
        );
        let databases = ["app".into(), "posts".into()];
        let refused = Selection { databases: &databases, ..all }.choose(&settings).unwrap_err();
        assert_eq!(refused.remedy, Some(Remedy::OneSetAtATime));
        Selection { set: Some(&name("none")), ..all }.choose(&settings).unwrap_err();
        let nothing = Settings::default();
        assert!(all.is_open(&nothing) && !all.is_open(&settings));
        assert_eq!(all.choose(&nothing).unwrap_err().remedy, Some(Remedy::NameDatabase));
    }
}
