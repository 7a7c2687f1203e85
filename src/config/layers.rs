//! Which value wins: default, file, `.env`, environment, flag, each stronger than the one before, and who said it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::FileDatabase;
use super::{Expanded, FileLayer, Key, Settings, Value, Variables, database_path, expand, local_zone};
use crate::names::{Name, printable};

/// Who said a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The variables that the line mentions and that went into the value.
        variables: Vec<String>,
    },
    /// A line of the `.env` file.
    DotEnv {
        /// The line, from 1.
        line: usize,
        /// The variable.
        variable: String,
    },
    /// A variable of the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// The command line.
    Flag(&'static str),
    /// The host.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, variables } => {
                write!(f, "{}:{line}", printable(&path.to_string_lossy()))?;
                if !variables.is_empty() {
                    write!(f, " (${})", variables.join(", $"))?;
                }
                Ok(())
            }
            Self::DotEnv { line, variable } => write!(f, ".env:{line} ({variable})"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::System => f.write_str("this host"),
        }
    }
}

/// Something in the configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; `None` where the message says it.
    pub place: Option<Origin>,
    /// The key, `retention.keep`; empty where it is about none.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do, as a sentence.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// What lies at a path, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Positively nothing.
    Missing,
    /// Something, or something that cannot be seen; with device and inode where the system tells.
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

/// Everything that settings are made of.
pub struct Layers<'a> {
    /// The configuration file, where there is one.
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
    /// The settings. Where there are problems, the values that have none.
    pub settings: Settings,
    origins: BTreeMap<Key, Origin>,
    databases: BTreeMap<(Name, Name), Origin>,
    /// Who said `default_database`.
    pub default_database: Origin,
    /// Why `DATABASE_PATH` or `DATABASE_URL` cannot be used. A problem only for a command that needs it: an application's
    /// `DATABASE_URL` may well mean another kind of database.
    pub refused_database: Option<Problem>,
    /// What a person should know and that changes nothing.
    pub warnings: Vec<String>,
    /// What must be repaired before any command runs.
    pub problems: Vec<Problem>,
}

impl Effective {
    /// Returns who said a setting.
    pub fn origin(&self, key: Key) -> &Origin {
        self.origins.get(&key).unwrap_or(&Origin::Default)
    }

    /// Returns who named a database of a set.
    pub fn database_origin(&self, set: &Name, database: &Name) -> &Origin {
        self.databases.get(&(set.clone(), database.clone())).unwrap_or(&Origin::Default)
    }
}

impl Layers<'_> {
    /// Makes the effective settings. Never fails: what cannot be used is among the problems.
    pub fn merge(&self) -> Effective {
        let mut effective = Effective {
            settings: Settings::default(),
            origins: BTreeMap::new(),
            databases: BTreeMap::new(),
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
        for database in self.file.iter().flat_map(|file| &file.databases) {
            if let Err(problem) = self.database(database, &mut effective) {
                effective.problems.push(problem);
            }
        }
        self.default_database(&mut effective);
        effective
    }

    /// Finds the strongest value of a setting. Weaker ones are not looked at: a flag gets one past a wrong variable.
    fn winner(&self, key: Key) -> Result<Option<(Value, Origin)>, Problem> {
        if let Some(flag) = self.flags.iter().rfind(|flag| flag.key == key) {
            return Ok(Some((flag.value.clone(), Origin::Flag(flag.name))));
        }
        if let Some((text, origin)) = self.variables.first(key.variables()) {
            let value = if key == Key::StoreDir { Value::Path(text.into()) } else { key.value_of(&text.to_string_lossy()) };
            return Ok(Some((value, origin)));
        }
        let Some(file) = self.file else { return Ok(None) };
        let Some((_, value, line)) = file.settings.iter().find(|(found, _, _)| *found == key) else { return Ok(None) };
        match (key, value) {
            (Key::StoreDir, Value::Text(text)) => {
                let problem = |message| Problem { place: Some(file.origin(*line, Vec::new())), key: key.to_string(), message, hint: None };
                match expand(text, |name| self.lookup(name)).map_err(problem)? {
                    Expanded::Path(path, variables) => Ok(Some((Value::Path(file.folder().join(path)), file.origin(*line, variables)))),
                    Expanded::Unset(variable) => Err(Problem {
                        hint: Some(format!("Set {variable}, or name the store with `--dir`.")),
                        ..problem(format!("the variable {variable} is not set"))
                    }),
                }
            }
            _ => Ok(Some((value.clone(), file.origin(*line, Vec::new())))),
        }
    }

    fn lookup(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(|(value, _)| value)
    }

    fn scalar(&self, key: Key, effective: &mut Effective) -> Result<(), Problem> {
        let winner = self.winner(key)?;
        let local = winner.as_ref().is_none_or(|(value, _)| *value == Value::Text("local".into()));
        if key == Key::TimeZone && local {
            let zone = local_zone(self.variables, self.system_zone);
            effective.settings.time_zone = zone.zone;
            effective.warnings.extend(zone.warning);
            effective.origins.insert(key, zone.origin);
        } else if let Some((value, origin)) = winner {
            key.set(&value, &mut effective.settings).map_err(|message| Problem {
                place: Some(origin.clone()),
                key: key.to_string(),
                message,
                hint: None,
            })?;
            effective.origins.insert(key, origin);
        }
        Ok(())
    }

    /// Chooses the path of a database: the first candidate where something lies, else the last that can be made.
    fn database(&self, database: &FileDatabase, effective: &mut Effective) -> Result<(), Problem> {
        let Some(file) = self.file else { return Ok(()) };
        let problem = |message: String, hint: Option<String>| Problem {
            place: Some(file.origin(database.line, Vec::new())),
            key: database.key(),
            message,
            hint,
        };
        let mut unset = Vec::new();
        let mut chosen = None;
        for candidate in &database.candidates {
            match expand(candidate, |name| self.lookup(name)).map_err(|message| problem(message, None))? {
                Expanded::Unset(variable) => unset.push(variable),
                Expanded::Path(path, variables) => {
                    let path = file.folder().join(path);
                    let found = (self.look)(&path);
                    chosen = Some((path, variables, found));
                    if found != Look::Missing {
                        break;
                    }
                }
            }
        }
        let Some((path, variables, found)) = chosen else {
            // Leaving the database out instead would be a backup that silently holds less.
            let hint = format!("Set {}, or add a path as the last of the list.", unset.join(" or "));
            return Err(problem(format!("no path can be made: {} not set", unset.join(", ")), Some(hint)));
        };
        let set = effective.settings.sets.entry(database.set.clone()).or_default();
        let same =
            |other: &PathBuf| other == &path || matches!(found, Look::There(Some(id)) if (self.look)(other) == Look::There(Some(id)));
        if let Some((other, _)) = set.databases.iter().find(|(_, other)| same(other)) {
            let path = printable(&path.to_string_lossy()).into_owned();
            return Err(problem(format!("is the same file as \"{other}\" of this set (\"{path}\")"), None));
        }
        set.databases.insert(database.name.clone(), path);
        effective.databases.insert((database.set.clone(), database.name.clone()), file.origin(database.line, variables));
        Ok(())
    }

    /// `DATABASE_PATH` is stronger than `DATABASE_URL`, which may be there for the application alone.
    fn default_database(&self, effective: &mut Effective) {
        let Some((value, origin)) = self.variables.first(&["DATABASE_PATH", "DATABASE_URL"]) else { return };
        let is_url = matches!(&origin, Origin::Environment { variable } | Origin::DotEnv { variable, .. } if variable == "DATABASE_URL");
        let path = match (is_url, value.to_str()) {
            (false, _) if value == ":memory:" => Err("means a database in memory, and there is no file to back up"),
            (false, _) => Ok(value.into()),
            (true, Some(url)) => database_path(url),
            (true, None) => Err("is not UTF-8"),
        };
        match path {
            Ok(path) => effective.settings.default_database = Some(path),
            Err(why) => {
                effective.refused_database = Some(Problem {
                    place: Some(origin.clone()),
                    key: String::new(),
                    message: why.to_owned(),
                    hint: Some("Name the database on the command line, in DATABASE_PATH, or in a set of the configuration.".into()),
                });
            }
        }
        effective.default_database = origin;
    }
}
