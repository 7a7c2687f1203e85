use chrono_tz::Tz;

use super::*;
use crate::compression::Compression;
use crate::config::DotEnv;
use crate::store_url::Location;

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
    let environment: &[(&str, &str)] = &[("BACKUP_DIR", "env"), ("HEIRLOOM_DIR", "strong"), ("COMPRESS_BACKUPS", "No")];
    let found = |host: Host| {
        let effective = host.merge();
        assert_eq!(effective.problems, []);
        (effective.settings.store.to_string(), effective.origin(Key::StoreDir).to_string())
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
    assert_eq!(found(Host { file, dotenv, environment, flags: dir_flag(), ..Host::default() }), pair("flag", "--dir"));

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
            ("AUTO_BACKUP_ENABLED", text),
            ("AUTO_BACKUP_INTERVAL_HOURS", "24"),
            ("BACKUP_ON_STARTUP", "true"),
            ("MAX_DATABASE_BACKUPS", " 10 "),
            ("BACKUP_DIR", ""),
        ]);
        let effective = Host { environment, ..Host::default() }.merge();
        assert_eq!(effective.problems, []);
        let expected = if compressed { Compression::DEFAULT } else { Compression::None };
        assert_eq!(effective.settings.backup.compression, expected, "{text}");
        assert_eq!(effective.settings.schedule.enabled, compressed, "{text}");
        assert_eq!(effective.settings.schedule.every, std::time::Duration::from_secs(86_400));
        assert_eq!(effective.settings.retention.keep, Some(10));
        assert_eq!(effective.settings.store, Location::Folder("backups".into()), "an empty variable is unset");
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
    assert_eq!(effective.settings.store, Location::Folder("x".into()));
}

#[test]
fn a_store_is_a_folder_or_a_url_and_a_flag_beats_both() {
    let store = |host: &Host| {
        let effective = host.merge();
        assert_eq!(effective.problems, []);
        (effective.settings.store.to_string(), effective.store_origin().to_string())
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    let file = "[store]\nurl = 's3://$BUCKET/{host}?region=eu'";
    let environment: &[(&str, &str)] = &[("BUCKET", "b"), ("HEIRLOOM_DIR", "gs://b/p")];
    assert_eq!(
        store(&Host { file, environment: &environment[..1], ..Host::default() }),
        pair("s3://b/{host}?region=eu", "/etc/h/heirloom.toml:2 ($BUCKET)")
    );
    assert_eq!(
        store(&Host { file, environment, ..Host::default() }),
        pair("gs://b/p", "environment variable HEIRLOOM_DIR")
    );
    assert_eq!(store(&Host { file, environment, flags: dir_flag(), ..Host::default() }), pair("flag", "--dir"));
    let both = Host { file: "[store]\ndir = 'b'\nurl = 's3://b'", ..Host::default() }.problems();
    assert!(both[0].contains("names a second store beside store.dir"), "{both:?}");
    let unset = Host { file, ..Host::default() }.problems();
    assert!(unset[0].contains("the variable BUCKET is not set"), "{unset:?}");
    let wrong = Host { environment: &[("HEIRLOOM_DIR", "s3://key:hunter2@b")], ..Host::default() }.problems();
    assert!(wrong[0].contains("must look like s3://BUCKET/PREFIX") && !wrong[0].contains("hunter2"), "{wrong:?}");
}

#[test]
fn the_schedule_says_what_the_retention_means_where_nothing_else_does() {
    let merged = |file, environment| {
        let effective = Host { file, environment, ..Host::default() }.merge();
        assert_eq!(effective.problems, []);
        let of_run = effective.settings_of_run().retention.hourly;
        let Settings { retention, schedule, .. } = effective.settings.clone();
        (retention.hourly, of_run, schedule.rotate, effective.origin(Key::Hourly).to_string())
    };
    let (after, never) = (crate::schedule::Follow::AfterBackup, crate::schedule::Follow::Never);
    let default = || "default".to_owned();
    let line = |number: usize| format!("/etc/h/heirloom.toml:{number}");
    // Nobody's `rotate` changes for a schedule that was not asked for; a run has one.
    assert_eq!(merged("", &[]), (None, Some(24), after.clone(), default()));
    assert_eq!(merged("[schedule]\nevery = '1h'", &[]), (Some(24), Some(24), after.clone(), line(2)));
    let hours: &[(&str, &str)] = &[("AUTO_BACKUP_INTERVAL_HOURS", "0.5")];
    let of_variable = "environment variable AUTO_BACKUP_INTERVAL_HOURS".to_owned();
    assert_eq!(merged("", hours), (Some(24), Some(24), after.clone(), of_variable));
    assert_eq!(merged("[schedule]\nevery = '1d'", &[]), (None, None, after.clone(), default()));
    assert_eq!(merged("[schedule]\ncron = '0 3 * * *'", &[]), (None, None, after.clone(), default()));
    for rules in
        ["[retention]\nhourly = 0\n[schedule]\nevery = '1h'", "[retention]\nlast = 5\n[schedule]\nevery = '1h'"]
    {
        let (hourly, of_run, rotate, _) = merged(rules, &[]);
        assert_eq!((hourly, of_run, rotate), (None, None, after.clone()), "{rules}");
    }
    // The last 10 are the last 10.
    let keep: &[(&str, &str)] = &[("MAX_DATABASE_BACKUPS", "10"), ("AUTO_BACKUP_INTERVAL_HOURS", "1")];
    assert_eq!(merged("", keep), (None, None, never, default()));
    let (hourly, _, rotate, _) = merged("[retention]\nkeep = 10\ndaily = 7\n[schedule]\nevery = '1h'", &[]);
    assert_eq!((hourly, rotate), (Some(24), after.clone()));
    let (_, _, rotate, _) = merged("[schedule]\nrotate = 'after backup'", keep);
    assert_eq!(rotate, after);
}

#[test]
fn two_schedules_in_one_file_are_refused_and_a_variable_beats_both() {
    let file = "[schedule]\nevery = '1h'\ncron = '0 3 * * *'";
    let problems = Host { file, ..Host::default() }.problems();
    assert_eq!(
        problems,
        ["/etc/h/heirloom.toml:3: schedule.cron: is a second schedule beside schedule.every; keep one of them"]
    );
    let environment = &[("AUTO_BACKUP_INTERVAL_HOURS", "6")];
    let effective = Host { file: "[schedule]\ncron = '0 3 * * *'", environment, ..Host::default() }.merge();
    assert_eq!(effective.problems, []);
    assert_eq!((effective.settings.schedule.every.as_secs(), effective.settings.schedule.cron.len()), (21_600, 0));
    for (text, wrong) in [("soon", "not \"soon\""), ("0", "not \"0\""), ("-1", "not \"-1\""), ("0.001", "not \"4s\"")] {
        let environment: &'static [(&str, &str)] = Vec::leak(vec![("AUTO_BACKUP_INTERVAL_HOURS", text)]);
        let problems = Host { environment, ..Host::default() }.problems().join("");
        let start = "environment variable AUTO_BACKUP_INTERVAL_HOURS: schedule.every: must be an interval";
        assert!(problems.starts_with(start) && problems.contains(wrong), "{text}: {problems}");
    }
    let problems = Host { environment: &[("AUTO_BACKUP_ENABLED", "maybe")], ..Host::default() }.problems();
    assert_eq!(
        problems,
        ["environment variable AUTO_BACKUP_ENABLED: schedule.enabled: must be true or false, not \"maybe\""]
    );
}
