//! Which value wins: default, file, `.env`, environment, flag, each overrides the one before; with the origin of each
//! value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::FileDatabase;
use super::{Expanded, FileLayer, Key, Origin, Problem, Settings, Value, Variables, database_path, expand, local_zone};
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

    /// Returns the origin of a database of a set.
    pub fn database_origin(&self, set: &Name, database: &Name) -> &Origin {
        self.databases.get(&(set.clone(), database.clone())).unwrap_or(&Origin::Default)
    }
}

impl Layers<'_> {
    /// Merges the layers into the effective settings. Never fails: invalid values are reported as problems.
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
        for (set, watch) in self.file.iter().flat_map(|file| &file.shrinks) {
            if let Some(settings) = effective.settings.sets.get_mut(set) {
                settings.shrink = *watch;
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
        match (key, value) {
            (Key::StoreDir | Key::StoreMount, Value::Text(text)) => {
                let problem = |message| Problem {
                    place: Some(file.origin(*line, Vec::new()).into()),
                    key: key.to_string(),
                    message,
                    remedy: None,
                };
                match expand(text, |name| self.lookup(name)).map_err(problem)? {
                    Expanded::Path(path, variables) => {
                        Ok(Some((Value::Path(file.folder().join(path)), file.origin(*line, variables))))
                    }
                    Expanded::Unset(variable) => Err(Problem {
                        remedy: Some(match key {
                            Key::StoreDir => Remedy::SetVariableOrNameStore { variable: variable.clone() },
                            _ => Remedy::Advice(format!("set {variable}")),
                        }),
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

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::compression::Compression;
    use crate::config::DotEnv;

    /// A world without a disk, a clock or an environment of its own.
    #[derive(Default)]
    struct Host {
        file: &'static str,
        dotenv: &'static str,
        environment: &'static [(&'static str, &'static str)],
        flags: Vec<Flag>,
        /// Paths and inodes.
        disk: &'static [(&'static str, u64)],
    }

    impl Host {
        fn merge(&self) -> Effective {
            let (layer, problems) = FileLayer::parse(Path::new("/etc/h/heirloom.toml"), self.file);
            assert_eq!(problems, []);
            let environment = |name: &str| {
                self.environment.iter().find(|(found, _)| *found == name).map(|(_, value)| OsString::from(value))
            };
            let look = |path: &Path| match self.disk.iter().find(|(found, _)| path == Path::new(found)) {
                Some((_, inode)) => Look::There(Some((1, *inode))),
                None => Look::Missing,
            };
            let variables = Variables::new(&environment, DotEnv::parse(self.dotenv));
            let system_zone = || Some("Asia/Tokyo".to_owned());
            let layers = Layers {
                file: Some(&layer),
                variables: &variables,
                flags: &self.flags,
                look: &look,
                system_zone: &system_zone,
            };
            layers.merge()
        }

        fn problems(&self) -> Vec<String> {
            self.merge().problems.iter().map(ToString::to_string).collect()
        }
    }

    fn dir_flag() -> Vec<Flag> {
        vec![Flag { key: Key::StoreDir, value: Value::Path("flag".into()), name: "--dir" }]
    }

    #[test]
    fn each_layer_beats_the_one_before_and_its_origin_is_kept() {
        let file = "[store]\ndir = 'file'\n[retention]\nkeep = 3";
        let dotenv = "\nBACKUP_DIR=dot\nMAX_DATABASE_BACKUPS=4";
        let environment: &[(&str, &str)] =
            &[("BACKUP_DIR", "env"), ("HEIRLOOM_DIR", "strong"), ("COMPRESS_BACKUPS", "No")];
        let found = |host: Host| {
            let effective = host.merge();
            assert_eq!(effective.problems, []);
            (effective.settings.store.to_string_lossy().into_owned(), effective.origin(Key::StoreDir).to_string())
        };
        let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
        assert_eq!(found(Host::default()), pair("backups", "default"));
        assert_eq!(found(Host { file, ..Host::default() }), pair("/etc/h/file", "/etc/h/heirloom.toml:2"));
        assert_eq!(found(Host { file, dotenv, ..Host::default() }), pair("dot", ".env:2 (BACKUP_DIR)"));
        assert_eq!(
            found(Host { file, dotenv, environment: &[("BACKUP_DIR", "env")], ..Host::default() }),
            pair("env", "environment variable BACKUP_DIR")
        );
        assert_eq!(
            found(Host { file, dotenv, environment, ..Host::default() }),
            pair("strong", "environment variable HEIRLOOM_DIR")
        );
        assert_eq!(
            found(Host { file, dotenv, environment, flags: dir_flag(), ..Host::default() }),
            pair("flag", "--dir")
        );

        let all = Host { file, dotenv, environment, ..Host::default() }.merge();
        assert_eq!((all.settings.retention.keep, all.settings.backup.compression), (Some(4), Compression::None));
        assert_eq!(all.origin(Key::Keep), &Origin::DotEnv { line: 3, variable: "MAX_DATABASE_BACKUPS".into() });
    }

    #[test]
    fn nothing_configured_is_the_defaults() {
        let Effective { settings, warnings, problems, .. } = Host::default().merge();
        assert_eq!(settings, Settings { time_zone: Tz::Asia__Tokyo, ..Settings::default() });
        assert_eq!((warnings, problems), (vec![], vec![]));
    }

    #[test]
    fn the_variables_of_applications_are_taken_as_they_stand() {
        for (text, compressed) in
            [("true", true), ("1", true), ("YES", true), ("on", true), ("false", false), ("0", false), ("no", false)]
        {
            let environment: &'static [(&str, &str)] = Vec::leak(vec![
                ("COMPRESS_BACKUPS", text),
                ("AUTO_BACKUP_ENABLED", "maybe"),
                ("AUTO_BACKUP_INTERVAL_HOURS", "24"),
                ("BACKUP_ON_STARTUP", "true"),
                ("MAX_DATABASE_BACKUPS", " 10 "),
                ("BACKUP_DIR", ""),
            ]);
            let effective = Host { environment, ..Host::default() }.merge();
            assert_eq!(effective.problems, []);
            let expected = if compressed { Compression::DEFAULT } else { Compression::None };
            assert_eq!(effective.settings.backup.compression, expected, "{text}");
            assert_eq!(effective.settings.retention.keep, Some(10));
            assert_eq!(effective.settings.store, Path::new("backups"), "an empty variable is unset");
        }
    }

    #[test]
    fn a_wrong_variable_is_named_and_a_stronger_layer_gets_past_it() {
        let host = Host { environment: &[("MAX_DATABASE_BACKUPS", "ten")], ..Host::default() };
        let expected = "environment variable MAX_DATABASE_BACKUPS: retention.keep: must be a whole number from 1 \
         to 4294967295, not \"ten\"";
        assert_eq!(host.problems(), [expected]);
        let host = Host { dotenv: "#\nCOMPRESS_BACKUPS=perhaps", ..Host::default() };
        assert_eq!(
            host.problems(),
            [".env:2 (COMPRESS_BACKUPS): backup.compression: must be \"gzip\", \"zstd\" or \"none\", with a level if \
                 wanted: \"gzip:1\" to \"gzip:12\", \"zstd:1\" to \"zstd:19\"\
                 , not \"perhaps\""]
        );

        let file = "[store]\ndir = '$NOWHERE/x'";
        assert_eq!(
            Host { file, ..Host::default() }.problems(),
            ["/etc/h/heirloom.toml:2: store.dir: the variable NOWHERE is not set"]
        );
        assert_eq!(Host { file, flags: dir_flag(), ..Host::default() }.problems(), Vec::<String>::new());
    }

    const SET: &str = "[sets.archerytools.databases]\nuser = ['$USER_DATABASE_PATH', '/app/user.db', 'user.db']";

    fn user(host: &Host) -> (PathBuf, String) {
        let effective = host.merge();
        assert_eq!(effective.problems, []);
        let (set, databases) = effective.settings.sets.first_key_value().unwrap();
        let (name, path) = databases.databases.first_key_value().unwrap();
        (path.clone(), effective.database_origin(set, name).to_string())
    }

    #[test]
    fn the_first_path_that_exists_wins_else_the_last() {
        let line = "/etc/h/heirloom.toml:2".to_owned();
        let host = Host { file: SET, ..Host::default() };
        assert_eq!(user(&host), ("/etc/h/user.db".into(), line.clone()));
        let host = Host { file: SET, disk: &[("/app/user.db", 1), ("/etc/h/user.db", 2)], ..Host::default() };
        assert_eq!(user(&host), ("/app/user.db".into(), line.clone()));
        let host = Host {
            file: SET,
            disk: &[("/app/user.db", 1), ("/v.db", 2)],
            environment: &[("USER_DATABASE_PATH", "/v.db")],
            ..Host::default()
        };
        assert_eq!(user(&host), ("/v.db".into(), format!("{line} ($USER_DATABASE_PATH)")));
        let host = Host {
            file: SET,
            disk: &[("/app/user.db", 1), ("/d.db", 2)],
            dotenv: "USER_DATABASE_PATH=/d.db",
            ..Host::default()
        };
        assert_eq!(user(&host).0, Path::new("/d.db"));
        let host = Host {
            file: SET,
            disk: &[("/app/user.db", 1)],
            environment: &[("USER_DATABASE_PATH", "/gone.db")],
            ..Host::default()
        };
        assert_eq!(user(&host).0, Path::new("/app/user.db"));
    }

    #[test]
    fn a_database_without_any_path_is_a_problem_and_never_left_out() {
        let host = Host { file: "[sets.a.databases]\nx = '$X'\ny = ['$Y', '${Z}/z.db']", ..Host::default() };
        let expected = [
            "/etc/h/heirloom.toml:2: sets.a.databases.x: no usable path: X not set",
            "/etc/h/heirloom.toml:3: sets.a.databases.y: no usable path: Y, Z not set",
        ];
        assert_eq!(host.problems(), expected);
    }

    #[test]
    fn the_same_file_twice_in_one_set_is_refused() {
        let file = "[sets.a.databases]\nx = '/1.db'\ny = '/link.db'\n[sets.b.databases]\nx = '/1.db'";
        let host = Host { file, disk: &[("/1.db", 7), ("/link.db", 7)], ..Host::default() };
        assert_eq!(
            host.problems(),
            ["/etc/h/heirloom.toml:3: sets.a.databases.y: is the same file as \"x\" of this set (\"/link.db\")"]
        );
        let host = Host { file: "[sets.a.databases]\nx = '/1.db'\ny = '/1.db'", ..Host::default() };
        assert_eq!(host.problems().len(), 1, "also where it is not there yet");
        let host = Host { file, disk: &[("/1.db", 7), ("/link.db", 8)], ..Host::default() };
        assert_eq!(host.problems(), Vec::<String>::new());
    }

    #[test]
    fn the_default_database_comes_from_the_path_then_from_the_url() {
        let database = |environment, dotenv| {
            let effective = Host { environment, dotenv, ..Host::default() }.merge();
            assert_eq!(effective.problems, [], "another application's URL must not stop `list`");
            (effective.settings.default_database, effective.refused_database.map(|problem| problem.to_string()))
        };
        assert_eq!(database(&[], ""), (None, None));
        assert_eq!(
            database(&[("DATABASE_PATH", "a.db"), ("DATABASE_URL", "sqlite:///b.db")], ""),
            (Some("a.db".into()), None)
        );
        assert_eq!(
            database(&[("DATABASE_URL", "sqlite:///../b.db")], "DATABASE_PATH=c.db"),
            (Some("../b.db".into()), None)
        );
        assert_eq!(database(&[], "DATABASE_URL=sqlite:////c.db"), (Some("/c.db".into()), None));
        let (path, refused) = database(&[("DATABASE_URL", "postgres://app:hunter2@db/app")], "");
        assert_eq!(path, None);
        let refused = refused.unwrap();
        assert!(refused.starts_with("environment variable DATABASE_URL: is not a SQLite URL"), "{refused}");
        assert!(!refused.contains("hunter2") && !refused.contains("app"), "{refused}");
        assert!(database(&[("DATABASE_PATH", ":memory:")], "").1.is_some());
    }

    #[test]
    fn the_time_zone_is_the_named_one_else_that_of_the_host() {
        let zone = |file, environment| {
            let effective = Host { file, environment, ..Host::default() }.merge();
            (effective.settings.time_zone, effective.origin(Key::TimeZone).to_string(), effective.warnings.len())
        };
        assert_eq!(zone("", &[]), (Tz::Asia__Tokyo, "this host".into(), 0));
        assert_eq!(
            zone("[retention]\ntime_zone = 'local'", &[("TZ", "Europe/Berlin")]),
            (Tz::Europe__Berlin, "environment variable TZ".into(), 0)
        );
        assert_eq!(
            zone("[retention]\ntime_zone = 'UTC'", &[("TZ", "CET-1CEST")]),
            (Tz::UTC, "/etc/h/heirloom.toml:2".into(), 0)
        );
        assert_eq!(zone("", &[("TZ", "CET-1CEST")]), (Tz::UTC, "environment variable TZ".into(), 1));
    }

    #[test]
    fn bad_lines_of_dotenv_are_warnings_that_repeat_nothing() {
        let effective = Host { dotenv: "SECRET KEY hunter2\nBACKUP_DIR=x", ..Host::default() }.merge();
        assert_eq!(effective.warnings, [".env:1 is not NAME=value; the line is ignored"]);
        assert_eq!(effective.settings.store, Path::new("x"));
    }
}
