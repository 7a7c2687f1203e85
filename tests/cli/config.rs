//! The configuration as a user sees it: files, `.env`, variables and flags, and the three commands around them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use heirloom::config::{EXAMPLE, Key};
use serde_json::Value;

use crate::world::{Ran, World};

fn write(world: &World, name: &str, text: &str) {
    fs::write(world.path(name), text).unwrap();
}

/// What `config show` prints for one setting: its value and its origin.
fn setting(ran: &Ran, key: &str) -> (Value, String) {
    let document = ran.json();
    let found = document["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {document}"));
    (found["value"].clone(), found["origin"].as_str().unwrap().to_owned())
}

fn shown(world: &World) -> Ran {
    world.heirloom(["config", "show", "--json"]).success()
}

#[test]
fn a_wrong_file_stops_every_command_and_names_file_line_and_key() {
    for (text, says) in [
        ("[retention]\nkep = 3\n", "heirloom.toml:2: retention.kep: is not a setting; did you mean \"keep\"?"),
        ("[retention]\nkeep = 0\n", "heirloom.toml:2: retention.keep: must be a whole number from 1"),
        (
            "[backup]\n\ncompression_level = 13\n",
            "heirloom.toml:3: backup.compression_level: must be a whole number from 1 to 12, not 13",
        ),
        (
            "[backup]\ncompress = true\ncompression = 'gzip'\n",
            "heirloom.toml:3: backup.compression: is set twice, as \"compression\" and by its former name",
        ),
        (
            "[backup]\ncompression = 'zstd:20'\n",
            "heirloom.toml:2: backup.compression: must be \"gzip\", \"zstd\" or \"none\"",
        ),
        (
            "[sets.a.databases]\nx = '$NOT_SET'\n",
            "heirloom.toml:2: sets.a.databases.x: no usable path: NOT_SET not set",
        ),
        ("[sets.a.databases]\n'../x' = 'y'\n", "heirloom.toml:2: sets.a.databases.../x: \"../x\" cannot be a name"),
        (
            "[sets.a.databases]\nx = 'app.db'\ny = './app.db'\n",
            "heirloom.toml:3: sets.a.databases.y: is the same file as \"x\"",
        ),
        ("[store\n", "heirloom.toml:1: "),
        ("[store]\nx = 1\n[bakcup]\ny = 2\n", "heirloom.toml:2: store.x: is not a setting (and 1 more problem)"),
        ("[store]\ndir = '\u{1b}[2J'\nx = 1", "heirloom.toml:2: "),
    ] {
        let world = World::new();
        world.database("app.db");
        write(&world, "heirloom.toml", text);
        for command in [&["backup", "app.db"][..], &["list"], &["config", "show"]] {
            world.heirloom(command).exits(2).says(says);
        }
        let checked = world.heirloom(["config", "check"]).exits(2);
        assert!(checked.stdout.contains(says.split(" (and").next().unwrap()), "{}", checked.stdout);
        assert!(!checked.stdout.contains('\u{1b}'));
        assert_eq!(world.files("backups"), [""; 0], "nothing was made");
    }
}

#[test]
fn each_layer_beats_the_one_before() {
    let mut world = World::new();
    assert_eq!(setting(&shown(&world), "store.dir"), ("backups".into(), "default".into()));
    write(
        &world,
        "heirloom.toml",
        "[store]\ndir = 'file'\n[retention]\nkeep = 3\nmax_age = '90d'\nmax_size = '20GB'\n",
    );
    let ran = shown(&world);
    assert_eq!(setting(&ran, "store.dir"), ("file".into(), "file".into()));
    assert_eq!(setting(&ran, "retention.max_size"), (20_000_000_000_u64.into(), "file".into()));
    assert_eq!(setting(&ran, "retention.max_age").0, "90d");
    write(
        &world,
        ".env",
        "# settings of the application\nSECRET=hunter2\nexport BACKUP_DIR=\"dot\" # here\nMAX_DATABASE_BACKUPS=4\n",
    );
    let ran = shown(&world);
    assert_eq!(setting(&ran, "store.dir"), ("dot".into(), "dotenv".into()));
    assert_eq!(setting(&ran, "retention.keep"), (4.into(), "dotenv".into()));
    world.env("BACKUP_DIR", "env");
    assert_eq!(setting(&shown(&world), "store.dir"), ("env".into(), "environment".into()));
    world.env("HEIRLOOM_DIR", "strong");
    assert_eq!(setting(&shown(&world), "store.dir"), ("strong".into(), "environment".into()));
    let ran = world.heirloom(["config", "show", "--dir", "flag"]).success();
    let line = ran.stdout.lines().find(|line| line.contains("store.dir")).unwrap();
    assert!(line.contains("flag") && line.ends_with("--dir"), "{line}");
    assert!(ran.stdout.contains(".env:4 (MAX_DATABASE_BACKUPS)"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
}

#[test]
fn the_first_file_that_exists_is_the_only_one() {
    let mut world = World::new();
    let home = world.work().join("../home");
    let config = home.join(".config/heirloom");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("heirloom.toml"), "[retention]\nkeep = 1\n[store]\ndir = 'archives'\n").unwrap();
    let ran = shown(&world);
    assert_eq!(setting(&ran, "retention.keep").0, 1);
    let (dir, _) = setting(&ran, "store.dir");
    assert!(
        dir.as_str().unwrap().ends_with("/home/.config/heirloom/archives"),
        "relative to the folder of the file: {dir}"
    );

    let xdg = world.path("xdg");
    fs::create_dir_all(xdg.join("heirloom")).unwrap();
    fs::write(xdg.join("heirloom/heirloom.toml"), "[retention]\nkeep = 2").unwrap();
    world.env("XDG_CONFIG_HOME", xdg.to_str().unwrap());
    assert_eq!(setting(&shown(&world), "retention.keep").0, 2);
    write(&world, "heirloom.toml", "[retention]\nkeep = 3");
    assert_eq!(setting(&shown(&world), "retention.keep").0, 3);
    write(&world, "other.toml", "[retention]\nkeep = 4");
    world.env("HEIRLOOM_CONFIG", "other.toml");
    assert_eq!(setting(&shown(&world), "retention.keep").0, 4);
    let ran = world.heirloom(["config", "show", "--json", "--config", "heirloom.toml"]).success();
    assert_eq!(setting(&ran, "retention.keep").0, 3);
    let ran = world.heirloom(["config", "show", "--json", "--config", "/dev/null"]).success();
    assert_eq!((setting(&ran, "retention.keep").0, ran.json()["file"].clone()), (Value::Null, Value::Null));
    world
        .heirloom(["list", "--config", "nope.toml"])
        .exits(2)
        .says("--config: there is no configuration file \"nope.toml\"");
    world.env("HEIRLOOM_CONFIG", "nope.toml");
    world
        .heirloom(["list"])
        .exits(2)
        .says("environment variable HEIRLOOM_CONFIG: there is no configuration file \"nope.toml\"");
    world.env("HEIRLOOM_CONFIG", "");
    assert_eq!(setting(&shown(&world), "retention.keep").0, 3, "an empty variable is unset");
}

#[test]
fn a_file_that_is_not_text_is_refused_at_once() {
    let world = World::new();
    let config = world.path("heirloom.toml");
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    world.heirloom(["list"]).exits(2).says("\"heirloom.toml\": it is not a regular file");
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    world.heirloom(["list"]).exits(2).says("it is not a regular file");
    fs::remove_dir(&config).unwrap();
    fs::write(&config, b"[store]\ndir = '\xff'\n").unwrap();
    world.heirloom(["list"]).exits(2).says("line 2 is not UTF-8");
    fs::write(&config, vec![b'\n'; (1 << 20) + 1]).unwrap();
    world.heirloom(["list"]).exits(2).says("it is larger than 1024 KiB");
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/nowhere/heirloom.toml", &config).unwrap();
    world.heirloom(["list"]).exits(2).says("cannot use the configuration file \"heirloom.toml\"");
    fs::remove_file(&config).unwrap();

    let dotenv = world.path(".env");
    fs::create_dir(&dotenv).unwrap();
    assert_eq!(shown(&world).stderr, "", "a folder .env is none of our business");
    fs::remove_dir(&dotenv).unwrap();
    assert!(Command::new("mkfifo").arg(&dotenv).status().unwrap().success());
    world
        .heirloom(["config", "show"])
        .success()
        .says("warning: cannot use \".env\": it is not a regular file; it is ignored");
}

#[test]
fn root_uses_no_file_that_others_may_change() {
    if !crate::tools::have("root uses no file that others may change", &[]) {
        return;
    }
    let world = World::new();
    let open_to = |name: &str, mode: u32| fs::set_permissions(world.path(name), Permissions::from_mode(mode)).unwrap();
    write(&world, "heirloom.toml", "");
    open_to("heirloom.toml", 0o664);
    world
        .heirloom(["list"])
        .exits(2)
        .says("\"heirloom.toml\" is not safe to use as root: its group may change it")
        .says("chmod go-w");
    open_to("heirloom.toml", 0o602);
    world.heirloom(["list"]).exits(2).says("everybody may change it");
    open_to("heirloom.toml", 0o644);
    shown(&world);
    write(&world, ".env", "OTHER=1\n");
    open_to(".env", 0o666);
    shown(&world);
    write(&world, ".env", "BACKUP_DIR=/tmp\n");
    world.heirloom(["list"]).exits(2).says("\".env\" is not safe to use as root");
}

#[test]
fn database_path_and_url_stand_for_the_argument_of_backup() {
    for (name, value) in [
        ("DATABASE_PATH", "app.db"),
        ("DATABASE_URL", "sqlite:///app.db"),
        ("DATABASE_URL", "sqlite+aiosqlite:///./app.db"),
    ] {
        let mut world = World::new();
        world.database("app.db");
        world.env(name, value);
        assert_eq!(setting(&shown(&world), "default_database").1, "environment");
        let planned = world.heirloom(["backup", "--dry-run"]).success();
        assert!(planned.stdout.contains("app.db"), "{name}={value}: {}", planned.stdout);
    }
    let mut world = World::new();
    world.env("DATABASE_URL", "postgres://app:hunter2@db/app");
    let refused = world.heirloom(["backup"]).exits(2).says("environment variable DATABASE_URL: is not a SQLite URL");
    assert!(!refused.stderr.contains("hunter2"));
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dry-run"]).success();
    world.env("DATABASE_URL", "sqlite:///:memory:");
    world.heirloom(["backup"]).exits(2).says("is an in-memory database");
}

#[test]
fn the_databases_of_a_set_come_from_variables_and_paths() {
    let mut world = World::new();
    world.database("dev.db");
    let text =
        "[sets.archerytools.databases]\nuser = ['$USER_DATABASE_PATH', '/app/user_data/user_data.db', 'dev.db']\n";
    write(&world, "heirloom.toml", text);
    let key = "sets.archerytools.databases.user";
    assert_eq!(setting(&shown(&world), key).0, "dev.db");
    world.database("live.db");
    write(&world, ".env", "USER_DATABASE_PATH=live.db\n");
    let ran = world.heirloom(["config", "show"]).success();
    let line = ran.stdout.lines().find(|line| line.contains(key)).unwrap();
    assert!(line.contains("live.db") && line.ends_with("heirloom.toml:2 ($USER_DATABASE_PATH)"), "{line}");
    world.env("USER_DATABASE_PATH", "gone.db");
    assert_eq!(setting(&shown(&world), key).0, "dev.db", "a path where nothing lies is passed over");
}

#[test]
fn check_lists_everything_that_is_wrong_and_writes_nothing() {
    let mut world = World::new();
    world.database("good.db");
    world.heirloom(["config", "check"]).success();
    write(
        &world,
        "text.db",
        "this is no database, and longer than a header of a hundred bytes would be if it were one, which it is not",
    );
    write(&world, "empty.db", "");
    let set = "[sets.a.databases]\ngood = 'good.db'\n";
    write(&world, "heirloom.toml", set);
    let checked = world.heirloom(["config", "check"]).success();
    assert!(
        checked.stdout.contains("\"good.db\" looks like a database") && checked.stdout.contains("does not exist yet"),
        "{}",
        checked.stdout
    );
    assert_eq!(world.heirloom(["config", "check", "--quiet"]).success().stdout, "");

    write(
        &world,
        "heirloom.toml",
        &format!("{set}gone = 'gone.db'\nempty = 'empty.db'\nfolder = '.'\ntext = 'text.db'\n"),
    );
    let checked = world.heirloom(["config", "check", "--json", "--dir", "/nowhere/backups"]).exits(10);
    let document = checked.json();
    let codes: Vec<(&str, u64)> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (check["check"].as_str().unwrap(), check["code"].as_u64().unwrap()))
        .collect();
    let name = |database| format!("sets.a.databases.{database}");
    let expected = [
        ("configuration", 0),
        (&name("empty"), 10),
        (&name("folder"), 10),
        (&name("gone"), 10),
        (&name("good"), 0),
        (&name("text"), 13),
        ("store.dir", 16),
    ];
    assert_eq!(codes, expected);

    write(&world, "heirloom.toml", &format!("{set}text = 'text.db'\n"));
    world.heirloom(["config", "check"]).exits(13);
    write(&world, "heirloom.toml", set);
    world.heirloom(["config", "check", "--dir", "good.db"]).exits(16);
    fs::create_dir(world.path("open")).unwrap();
    fs::set_permissions(world.path("open"), Permissions::from_mode(0o777)).unwrap();
    world.heirloom(["config", "check", "--dir", "open"]).exits(16);
    world.env("MAX_DATABASE_BACKUPS", "ten");
    let checked = world.heirloom(["config", "check", "--dir", "/nowhere/backups"]).exits(2);
    assert!(
        checked.stdout.contains("MAX_DATABASE_BACKUPS: retention.keep") && checked.stdout.contains("/nowhere/backups")
    );
    assert_eq!(world.files("."), ["empty.db", "good.db", "heirloom.toml", "open", "text.db"]);
}

#[test]
fn init_writes_a_file_that_changes_nothing_and_never_replaces_one() {
    let world = World::new();
    let before = shown(&world).json()["settings"].clone();
    world.heirloom(["config", "init"]).success();
    assert_eq!(fs::read_to_string(world.path("heirloom.toml")).unwrap(), EXAMPLE);
    assert_eq!(fs::metadata(world.path("heirloom.toml")).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(shown(&world).json()["settings"], before);
    world.heirloom(["config", "check"]).success();

    write(&world, "heirloom.toml", "[broken");
    world.heirloom(["config", "init"]).exits(14).says("\"heirloom.toml\" already exists and was not changed");
    assert_eq!(fs::read_to_string(world.path("heirloom.toml")).unwrap(), "[broken");
    std::os::unix::fs::symlink("elsewhere.toml", world.path("link.toml")).unwrap();
    world.heirloom(["config", "init", "link.toml"]).exits(14);
    assert!(!world.files(".").contains(&"elsewhere.toml".to_owned()), "written through a link");
    world.heirloom(["config", "init", "other.toml"]).success();
    world.heirloom(["config", "init", "nowhere/heirloom.toml"]).exits(2).says("folder \"nowhere\" does not exist");
}

/// The names that a man page explains: the bold heads of tagged paragraphs, by subsection.
fn explained(page: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut names = Vec::new();
    let mut tag = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix(".SS ").or_else(|| line.strip_prefix(".SH ")) {
            section = title.trim_matches(['[', ']']).to_owned();
        }
        if let (true, Some(head)) = (tag, line.strip_prefix(".BR ").or_else(|| line.strip_prefix(".B "))) {
            names.push((section.clone(), head.split(' ').next().unwrap().to_owned()));
        }
        tag = matches!(line, ".TP" | ".TQ");
    }
    names
}

#[test]
fn the_man_page_explains_every_key_and_variable_and_no_other() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/heirloom.toml.5")).unwrap();
    let mut explained = explained(&page);
    // The keys above all tables.
    explained.iter_mut().filter(|(section, _)| section == "KEYS").for_each(|(section, _)| section.clear());
    let mut variables: Vec<String> =
        explained.extract_if(.., |(section, _)| section == "ENVIRONMENT").map(|(_, name)| name).collect();
    let keys: Vec<(String, String)> =
        Key::ALL.iter().map(|key| (key.section().to_owned(), key.name().to_owned())).collect();
    assert_eq!(explained, keys);

    let others = ["HEIRLOOM_CONFIG", "HEIRLOOM_NOW", "HEIRLOOM_STATE_DIR", "DATABASE_PATH", "DATABASE_URL", "TZ"];
    let mut known: Vec<&str> = Key::ALL.iter().flat_map(|key| key.variables()).copied().chain(others).collect();
    known.sort_unstable();
    variables.sort_unstable();
    assert_eq!(variables, known);
}

/// Every default on the page is the effective one.
#[test]
fn the_man_page_lists_the_defaults() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/heirloom.toml.5")).unwrap();
    let settings = heirloom::config::Settings::default();
    for key in Key::ALL {
        let head = page.lines().find(|line| line.starts_with(&format!(".BR {} ", key.name()))).unwrap();
        let told = head.split_once("default: ").unwrap().1;
        let told = told.replace("\\(dq", "").replace("\\fI", "").replace("\\fR", "");
        let default = match key.get(&settings) {
            _ if key == Key::TimeZone => "local".to_owned(),
            Some(value) => value.to_string(),
            None if key.without_value() == "off" => "0".to_owned(),
            None => continue,
        };
        assert!(told.starts_with(&default), "{key}: the page says {told}, the default is {default}");
    }
}

#[test]
fn a_name_that_is_not_configured_is_never_left_out_in_silence() {
    let world = World::new();
    world.database("user.db");
    world.database("arrow.db");
    std::fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nuser = \"user.db\"\narrow = \"arrow.db\"\n")
        .unwrap();
    for args in [&["backup", "--only", "user", "--only", "typo"][..], &["backup", "user", "--only", "typo"]] {
        world.heirloom(args).exits(2).says("typo").says("shop/user");
    }
    assert_eq!(world.archives(), [""; 0]);
    world.heirloom(["backup", "--only", "user"]).success();
}

#[test]
fn a_configuration_with_the_former_name_of_the_compression_still_backs_up() {
    for (value, ending) in [("false", ".tar"), ("true", ".tar.gz")] {
        let world = World::new();
        world.sql("app.db", "CREATE TABLE t(x)");
        fs::write(world.path("heirloom.toml"), format!("[backup]\ncompress = {value}\n")).unwrap();
        let archive = world.heirloom(["backup", "app.db", "--name", "a", "--json"]).success().json();
        assert!(archive["archive"].as_str().unwrap().ends_with(&format!("/a{ending}")), "{archive}");
    }
}

#[test]
fn flags_and_variables_beat_the_configured_compression() {
    for (number, (configured, variable, flags, ending)) in [
        ("zstd", None, &[][..], "tar.zst"),
        ("zstd:7", None, &["--compression", "gzip:1"], "tar.gz"),
        ("zstd", None, &["--compression-level", "9"], "tar.zst"),
        ("none", None, &["--compression-level", "9"], "tar.gz"),
        ("zstd", None, &["--no-compress"], "tar"),
        ("zstd", Some("false"), &[], "tar"),
        ("none", Some("true"), &[], "tar.gz"),
        ("gzip", Some("no"), &["--compression", "zstd:19"], "tar.zst"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new();
        world.sql("app.db", "CREATE TABLE t(x)");
        fs::write(world.path("heirloom.toml"), format!("[backup]\ncompression = '{configured}'\n")).unwrap();
        if let Some(value) = variable {
            world.env("COMPRESS_BACKUPS", value);
        }
        let name = format!("n{number}");
        let arguments = ["backup", "app.db", "--name", &name, "--json"].into_iter().chain(flags.iter().copied());
        let archive = world.heirloom(arguments).success().json()["archive"].as_str().unwrap().to_owned();
        assert!(archive.ends_with(&format!("{name}.{ending}")), "{archive} for {configured}, {variable:?}, {flags:?}");
    }
    let world = World::new();
    world.heirloom(["backup", "app.db", "--compression", "zstd", "--no-compress"]).exits(2);
    world.heirloom(["backup", "app.db", "--compression", "lz4"]).exits(2).says("must be \"gzip\", \"zstd\" or");
}
