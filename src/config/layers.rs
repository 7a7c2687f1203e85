//! Which value wins: default, file, `.env`, environment, flag, each overrides the one before; with the origin of each
//! value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::{FileDatabase, FileEach};
use super::{
    EachSettings, Expanded, FileLayer, Key, Origin, Pattern, Problem, Settings, ShrinkWatch, Value, Variables, connect,
    database_path, expand, local_zone,
};
use crate::failure::Remedy;
use crate::names::{Name, printable};

/// What exists at a path, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing, for certain.
    Missing,
    /// Something, or something that cannot be inspected; with device and inode if known.
    There(Option<(u64, u64)>),
}

/// A value of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// What it sets.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// The flag, with its dashes.
    pub name: &'static str,
}

/// The sources of settings.
pub struct Layers<'a> {
    /// The configuration file, if there is one.
    pub file: Option<&'a FileLayer>,
    /// The environment and the `.env` file.
    pub variables: &'a Variables<'a>,
    /// The command line.
    pub flags: &'a [Flag],
    /// Looks at a path.
    pub look: &'a dyn Fn(&Path) -> Look,
    /// Asks the host for the name of its time zone.
    pub system_zone: &'a dyn Fn() -> Option<String>,
}

/// The settings in force, and where they come from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The settings. If there are problems, the values without one.
    pub settings: Settings,
    origins: BTreeMap<Key, Origin>,
    databases: BTreeMap<(Name, Name), Origin>,
    copy_origins: BTreeMap<Name, Origin>,
    each_origins: BTreeMap<Name, Origin>,
    receiver_origins: BTreeMap<Name, Origin>,
    /// The origin of `default_database`.
    pub default_database: Origin,
    /// Why `DATABASE_PATH` or `DATABASE_URL` cannot be used. A problem only for a command that needs it: an
    /// application's `DATABASE_URL` may well mean another kind of database.
    pub refused_database: Option<Problem>,
    /// Warnings that do not affect the settings.
    pub warnings: Vec<String>,
    /// What must be fixed before any command runs.
    pub problems: Vec<Problem>,
}

impl Effective {
    /// Returns the origin of a setting.
    pub fn origin(&self, key: Key) -> &Origin {
        self.origins.get(&key).unwrap_or(&Origin::Default)
    }

    pub(super) fn set_origin(&mut self, key: Key, origin: Origin) {
        self.origins.insert(key, origin);
    }

    /// Returns the origin of the store.
    pub fn store_origin(&self) -> &Origin {
        self.origin(if self.settings.store.url().is_some() && self.origins.contains_key(&Key::StoreUrl) {
            Key::StoreUrl
        } else {
            Key::StoreDir
        })
    }

    /// Returns the origin of a copy.
    pub fn copy_origin(&self, copy: &Name) -> &Origin {
        self.copy_origins.get(copy).unwrap_or(&Origin::Default)
    }

    /// Returns the origin of a receiver of notices.
    pub fn receiver_origin(&self, receiver: &Name) -> &Origin {
        self.receiver_origins.get(receiver).unwrap_or(&Origin::Default)
    }

    /// Returns the origin of a database of a set.
    pub fn database_origin(&self, set: &Name, database: &Name) -> &Origin {
        let of_pattern = || self.settings.each_of(set).map(|each| self.each_origin(&each.name));
        let origin = self.databases.get(&(set.clone(), database.clone())).or_else(of_pattern);
        origin.unwrap_or(&Origin::Default)
    }

    /// Returns the origin of a pattern.
    pub fn each_origin(&self, each: &Name) -> &Origin {
        self.each_origins.get(each).unwrap_or(&Origin::Default)
    }
}

impl Layers<'_> {
    /// Merges the layers into the effective settings. Never fails: invalid values are reported as problems.
    pub fn merge(&self) -> Effective {
        let mut effective = Effective {
            settings: Settings::default(),
            origins: BTreeMap::new(),
            databases: BTreeMap::new(),
            copy_origins: BTreeMap::new(),
            each_origins: BTreeMap::new(),
            receiver_origins: BTreeMap::new(),
            default_database: Origin::Default,
            refused_database: None,
            warnings: Vec::new(),
            problems: Vec::new(),
        };
        for (line, why) in &self.variables.dotenv.warnings {
            effective.warnings.push(format!(".env:{line} {why}; the line is ignored"));
        }
        for key in Key::ALL {
            if let Err(problem) = self.scalar(key, &mut effective) {
                effective.problems.push(problem);
            }
        }
        effective.settle_schedule();
        for database in self.file.iter().flat_map(|file| &file.databases) {
            if let Err(problem) = self.database(database, &mut effective) {
                effective.problems.push(problem);
            }
        }
        for each in self.file.iter().flat_map(|file| &file.each) {
            if let Err(problem) = self.each(each, &mut effective) {
                effective.problems.push(problem);
            }
        }
        effective.settings.server.tokens = self.file.iter().flat_map(|file| file.tokens.clone()).collect();
        for (set, watch) in self.file.iter().flat_map(|file| &file.shrinks) {
            if let Some(each) = effective.settings.each.iter_mut().find(|each| each.name == *set) {
                each.shrink = *watch;
            }
            if let Some(settings) = effective.settings.sets.get_mut(set) {
                settings.shrink = *watch;
            }
        }
        for copy in self.file.iter().flat_map(|file| &file.copies) {
            match self.copy(copy) {
                Ok((copy, origin)) => {
                    effective.copy_origins.insert(copy.name.clone(), origin);
                    effective.settings.copies.push(copy);
                }
                Err(problem) => effective.problems.push(problem),
            }
        }
        for receiver in self.file.iter().flat_map(|file| &file.receivers) {
            match self.receiver(receiver) {
                Ok((receiver, origin)) => {
                    effective.receiver_origins.insert(receiver.name.clone(), origin);
                    effective.settings.receivers.push(receiver);
                }
                Err(problem) => effective.problems.push(problem),
            }
        }
        self.default_database(&mut effective);
        effective
    }

    /// Finds the strongest value of a setting. Weaker ones are not read, so a flag overrides an invalid variable.
    fn winner(&self, key: Key) -> Result<Option<(Value, Origin)>, Problem> {
        if let Some(flag) = self.flags.iter().rfind(|flag| flag.key == key) {
            return Ok(Some((flag.value.clone(), Origin::Flag(flag.name))));
        }
        if let Some((text, origin)) = self.variables.first(key.variables()) {
            let value =
                if key == Key::StoreDir { Value::Path(text.into()) } else { key.value_of(&text.to_string_lossy()) };
            return Ok(Some((value, origin)));
        }
        let Some(file) = self.file else { return Ok(None) };
        let Some((_, value, line)) = file.settings.iter().find(|(found, _, _)| *found == key) else { return Ok(None) };
        let expanded = |text: &str| -> Result<(PathBuf, Vec<String>), Problem> {
            let problem = |message| Problem {
                place: Some(file.origin(*line, Vec::new()).into()),
                key: key.to_string(),
                message,
                remedy: None,
            };
            match expand(text, |name| self.lookup(name)).map_err(problem)? {
                Expanded::Path(path, variables) => {
                    let path = if key == Key::StoreUrl { path } else { file.folder().join(path) };
                    Ok((path, variables))
                }
                Expanded::Unset(variable) => Err(Problem {
                    remedy: Some(match key {
                        Key::StoreDir | Key::StoreUrl => Remedy::SetVariableOrNameStore { variable: variable.clone() },
                        _ => Remedy::Advice(format!("set {variable}")),
                    }),
                    ..problem(format!("the variable {variable} is not set"))
                }),
            }
        };
        match (key, value) {
            (
                Key::StoreDir
                | Key::StoreUrl
                | Key::StoreMount
                | Key::ScratchDir
                | Key::RecipientsFile
                | Key::IdentityFile,
                Value::Text(text),
            ) => {
                let (path, variables) = expanded(text)?;
                Ok(Some((Value::Path(path), file.origin(*line, variables))))
            }
            (Key::IdentityFile, Value::Texts(texts)) => {
                let (mut paths, mut used) = (Vec::new(), Vec::new());
                for text in texts {
                    let (path, variables) = expanded(text)?;
                    paths.push(path.to_string_lossy().into_owned());
                    used.extend(variables);
                }
                Ok(Some((Value::Texts(paths), file.origin(*line, used))))
            }
            (key, Value::Texts(words)) if Key::HOOKS.contains(&key) => {
                Ok(Some((Value::Texts(program_of(file, words)), file.origin(*line, Vec::new()))))
            }
            _ => Ok(Some((value.clone(), file.origin(*line, Vec::new())))),
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(|(value, _)| value)
    }

    /// Completes the short form of the URL of a pin, also with what the `.env` file holds; any other value stays. With
    /// the variables that were used.
    pub(super) fn completed(&self, value: Value) -> Result<(Value, Vec<String>), String> {
        let text = match &value {
            Value::Text(text) => Some(text.as_str()),
            Value::Path(path) => path.to_str(),
            _ => None,
        };
        match text.and_then(|text| connect::completed(text, |name| self.lookup(name))) {
            Some(completed) => completed.map(|(url, used)| (Value::Text(url.text()), used)),
            None => Ok((value, Vec::new())),
        }
    }

    fn scalar(&self, key: Key, effective: &mut Effective) -> Result<(), Problem> {
        let winner = self.winner(key)?;
        let local = winner.as_ref().is_none_or(|(value, _)| *value == Value::Text("local".into()));
        if key == Key::TimeZone && local {
            let zone = local_zone(self.variables, self.system_zone);
            effective.settings.time_zone = zone.zone;
            effective.warnings.extend(zone.warning);
            effective.origins.insert(key, zone.origin);
        } else if let Some((mut value, mut origin)) = winner {
            if matches!(key, Key::StoreDir | Key::StoreUrl) {
                let (completed, used) = self.completed(value).map_err(|message| Problem {
                    place: Some(origin.clone().into()),
                    key: key.to_string(),
                    message,
                    remedy: None,
                })?;
                value = completed;
                if let Origin::File { variables, .. } = &mut origin {
                    variables.extend(used);
                }
            }
            if key == Key::StoreUrl {
                match effective.origin(Key::StoreDir) {
                    Origin::Default => {}
                    Origin::File { .. } => {
                        return Err(Problem {
                            place: Some(origin.into()),
                            key: key.to_string(),
                            message: "names a second store beside store.dir; keep one of them".into(),
                            remedy: Some("to keep copies elsewhere, add a table [copies.NAME] with that url".into()),
                        });
                    }
                    // A flag or a variable names another store.
                    _ => return Ok(()),
                }
            }
            if key == Key::Cron {
                match effective.origin(Key::Every) {
                    Origin::Default => {}
                    Origin::File { .. } => {
                        return Err(Problem {
                            place: Some(origin.into()),
                            key: key.to_string(),
                            message: "is a second schedule beside schedule.every; keep one of them".into(),
                            remedy: None,
                        });
                    }
                    // A variable names another interval.
                    _ => return Ok(()),
                }
            }
            key.set(&value, &mut effective.settings).map_err(|message| Problem {
                place: Some(origin.clone().into()),
                key: key.to_string(),
                message,
                remedy: None,
            })?;
            effective.origins.insert(key, origin);
        }
        Ok(())
    }

    /// Chooses the path of a database: the first candidate that exists, else the last whose variables are set.
    fn database(&self, database: &FileDatabase, effective: &mut Effective) -> Result<(), Problem> {
        let Some(file) = self.file else { return Ok(()) };
        let problem = |message: String, remedy: Option<Remedy>| Problem {
            place: Some(file.origin(database.line, Vec::new()).into()),
            key: database.key(),
            message,
            remedy,
        };
        let mut unset = Vec::new();
        let mut chosen: Option<(PathBuf, Vec<String>, Look)> = None;
        let mut passed: Vec<PathBuf> = Vec::new();
        for candidate in &database.candidates {
            match expand(candidate, |name| self.lookup(name)).map_err(|message| problem(message, None))? {
                Expanded::Unset(variable) => unset.push(variable),
                Expanded::Path(path, variables) => {
                    let path = file.folder().join(path);
                    let found = (self.look)(&path);
                    passed.extend(chosen.take().map(|(path, _, _)| path));
                    chosen = Some((path, variables, found));
                    if found != Look::Missing {
                        break;
                    }
                }
            }
        }
        let Some((path, variables, found)) = chosen else {
            // Leaving the database out would make a backup that silently contains less.
            let hint = format!("set {}, or add a path at the end of the list", unset.join(" or "));
            return Err(problem(format!("no usable path: {} not set", unset.join(", ")), Some(hint.into())));
        };
        let set = effective.settings.sets.entry(database.set.clone()).or_default();
        let same = |other: &PathBuf| {
            other == &path || matches!(found, Look::There(Some(id)) if (self.look)(other) == Look::There(Some(id)))
        };
        if let Some((other, _)) = set.databases.iter().find(|(_, other)| same(other)) {
            let path = printable(&path.to_string_lossy()).into_owned();
            return Err(problem(format!("is the same file as \"{other}\" of this set (\"{path}\")"), None));
        }
        set.databases.insert(database.name.clone(), path);
        if found == Look::Missing && !passed.is_empty() {
            set.alternatives.insert(database.name.clone(), passed);
        }
        effective
            .databases
            .insert((database.set.clone(), database.name.clone()), file.origin(database.line, variables));
        Ok(())
    }

    /// Takes a pattern over, with its variables expanded. One whose variable is not set is a problem: leaving it out
    /// would back up less in silence.
    fn each(&self, each: &FileEach, effective: &mut Effective) -> Result<(), Problem> {
        let Some(file) = self.file else { return Ok(()) };
        let problem = |message: String, remedy: Option<Remedy>| Problem {
            place: Some(file.origin(each.line, Vec::new()).into()),
            key: format!("sets.{}.each", each.set),
            message,
            remedy,
        };
        match expand(&each.pattern, |name| self.lookup(name)).map_err(|message| problem(message, None))? {
            Expanded::Unset(variable) => {
                let message = format!("the variable {variable} is not set");
                Err(problem(message, Some(format!("set {variable}").into())))
            }
            Expanded::Path(path, variables) => {
                let pattern = Pattern::new(&file.folder().join(path)).map_err(|message| problem(message, None))?;
                let settings = EachSettings::new(each.set.clone(), pattern, ShrinkWatch::default());
                effective.settings.each.push(settings);
                effective.each_origins.insert(each.set.clone(), file.origin(each.line, variables));
                Ok(())
            }
        }
    }

    /// `DATABASE_PATH` overrides `DATABASE_URL`, which may be meant for the application alone.
    fn default_database(&self, effective: &mut Effective) {
        let Some((value, origin)) = self.variables.first(&["DATABASE_PATH", "DATABASE_URL"]) else { return };
        let is_url = match &origin {
            Origin::Environment { variable } | Origin::DotEnv { variable, .. } => variable == "DATABASE_URL",
            _ => false,
        };
        let path = match (is_url, value.to_str()) {
            (false, _) if value == ":memory:" => Err("is an in-memory database; there is no file to back up"),
            (false, _) => Ok(value.into()),
            (true, Some(url)) => database_path(url),
            (true, None) => Err("is not UTF-8"),
        };
        match path {
            Ok(path) => effective.settings.default_database = Some(path),
            Err(why) => {
                effective.refused_database = Some(Problem {
                    place: Some(origin.clone().into()),
                    key: String::new(),
                    message: why.to_owned(),
                    remedy: Some(
                        "name the database on the command line, in DATABASE_PATH, or in a set of the configuration"
                            .into(),
                    ),
                });
            }
        }
        effective.default_database = origin;
    }
}

/// Lets the path of a program start from the folder of the file, and not from wherever a command is run. A name without
/// a slash is looked up in PATH.
fn program_of(file: &FileLayer, words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = file.folder().join(program.as_str()).to_string_lossy().into_owned();
    }
    words
}

#[cfg(test)]
mod tests;
