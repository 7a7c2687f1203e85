//! The output of every command, pinned: `snapshots/*.snap`. To accept a change: `INSTA_UPDATE=always cargo test --test
//! cli snapshots`.
//!
//! [`TEXTS`] are taken at a terminal of 60, 80 and 120 columns, in one file each; helps at 80; [`DOCUMENTS`] as JSON
//! with sorted keys, so that the order of fields is no part of it. What differs from run to run is replaced by its name
//! in brackets, or by as many signs where the layout depends on it.

use std::path::Path;

use serde_json::Value;

use crate::terminal::run_at;
use crate::world::World;

const WIDTHS: [u16; 3] = [60, 80, 120];

/// A name, what is done before, and the command.
type Case = (&'static str, fn(&mut World), &'static [&'static str]);

/// Commands whose text is pinned.
const TEXTS: [Case; 44] = [
    ("text-accept", one_shrunk, &["accept", "latest"]),
    ("text-backup", one_database, &["backup", "app.db", "--note", "before the update"]),
    ("text-backup-verbose", one_database, &["backup", "app.db", "--verbose"]),
    ("text-backup-dry-run", one_database, &["backup", "app.db", "--dry-run"]),
    ("text-backup-skipped", one_backup, &["backup", "app.db", "--if-older-than", "20h"]),
    ("text-backup-unchanged", one_touch, &["backup", "app.db", "--if-changed"]),
    ("text-backup-shrunk", one_shrink, &["backup", "app.db"]),
    ("text-backup-missing", one_backup, &["backup", "nothing.db"]),
    ("text-cleanup", three_backups, &["cleanup", "--keep", "1", "--force"]),
    ("text-cleanup-dry-run", three_backups, &["cleanup", "--keep", "1", "--dry-run"]),
    ("text-config-check", one_database, &["config", "check"]),
    ("text-config-show", one_database, &["config", "show"]),
    ("text-copy", one_copy_missing, &["copy"]),
    ("text-copy-dry-run", one_copy_missing, &["copy", "--dry-run"]),
    ("text-list-copies", one_copy_missing, &["list"]),
    ("text-delete", three_backups, &["delete", "app_20260227T000000Z.tar.gz"]),
    ("text-error-no-backup", one_backup, &["restore", "nothing"]),
    ("text-guard", one_database, &["guard", "app.db", "--", "true"]),
    ("text-guard-failed", one_database, &["guard", "app.db", "--", "false"]),
    ("text-health", one_backup, &["health", "app.db"]),
    ("text-health-problems", one_shrunk, &["health", "app.db"]),
    ("text-health-verbose", one_backup, &["health", "app.db", "--verbose"]),
    ("text-key-check", one_encrypted, &["key", "check", "--identity", "key.txt"]),
    ("text-list", three_backups, &["list"]),
    ("text-list-several", several_sets, &["list"]),
    ("text-log", three_backups, &["log"]),
    ("text-log-notices", one_receiver, &["log", "--notices", "--config", "h.toml"]),
    ("text-notify-test", one_receiver, &["notify", "test", "--config", "h.toml"]),
    ("text-pin", one_backup, &["pin", "latest"]),
    ("text-restore", one_loss, &["restore", "latest"]),
    ("text-restore-plan", one_loss, &["restore", "latest", "--dry-run"]),
    ("text-restore-forced", one_loss, &["restore", "latest", "--force"]),
    ("text-restore-unchanged", one_backup, &["restore", "latest", "--force"]),
    ("text-rotate-dry-run", several_sets, &["rotate", "--keep-daily", "1", "--dry-run"]),
    ("text-rotate-dry-run-verbose", three_backups, &["rotate", "--keep-daily", "1", "--dry-run", "--verbose"]),
    ("text-rotate", three_backups, &["rotate", "--keep-daily", "1"]),
    ("text-schedule", one_schedule, &["schedule"]),
    ("text-show", one_backup, &["show", "latest"]),
    ("text-status", one_change, &["status"]),
    ("text-store-check", one_backup, &["store", "check"]),
    ("text-undo", one_restore, &["restore", "--undo", "--force"]),
    ("text-unpin", one_backup, &["unpin", "latest"]),
    ("text-verify", three_backups, &["verify", "--all"]),
    ("text-verify-verbose", one_backup, &["verify", "--verbose"]),
];

/// Commands whose document is pinned.
const DOCUMENTS: [Case; 29] = [
    ("accept", one_shrunk, &["accept", "latest"]),
    ("backup", one_database, &["backup", "app.db", "--note", "before the update"]),
    ("backup-skipped", one_backup, &["backup", "app.db", "--if-older-than", "20h"]),
    ("backup-unchanged", one_touch, &["backup", "app.db", "--if-changed"]),
    ("backup-shrunk", one_shrink, &["backup", "app.db"]),
    ("cleanup", three_backups, &["cleanup", "--keep", "1"]),
    ("config-check", one_database, &["config", "check"]),
    ("config-show", one_database, &["config", "show"]),
    ("copy", one_copy_missing, &["copy"]),
    ("list-copies", one_copy_missing, &["list"]),
    ("delete", one_backup, &["delete", "latest", "--force"]),
    ("error-no-backup", one_backup, &["restore", "nothing"]),
    ("guard", one_database, &["guard", "app.db", "--", "true"]),
    ("health", one_backup, &["health", "app.db"]),
    ("key-check", one_encrypted, &["key", "check", "--identity", "key.txt"]),
    ("list", three_backups, &["list"]),
    ("log", three_backups, &["log"]),
    ("notify-test", one_receiver, &["notify", "test", "--config", "h.toml"]),
    ("pin", one_backup, &["pin", "latest"]),
    ("restore", one_backup, &["restore", "latest", "--force"]),
    ("restore-plan", one_backup, &["restore", "latest", "--dry-run"]),
    ("rotate", three_backups, &["rotate", "--keep-daily", "1", "--dry-run"]),
    ("schedule", one_schedule, &["schedule"]),
    ("show", one_backup, &["show", "latest"]),
    ("status", one_change, &["status"]),
    ("store-check", one_backup, &["store", "check"]),
    ("undo", one_restore, &["restore", "--undo", "--force"]),
    ("unpin", one_backup, &["unpin", "latest"]),
    ("verify", three_backups, &["verify", "--all"]),
];

fn one_database(world: &mut World) {
    world.database("app.db");
}

fn one_backup(world: &mut World) {
    one_database(world);
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-01T05:00:00Z");
}

/// A database that was written after its backup.
fn one_change(world: &mut World) {
    one_copy_missing(world);
    world.sql("app.db", "DELETE FROM notes WHERE id > 90");
    touch(world);
}

/// A backup, and a database with another time that is the same.
fn one_touch(world: &mut World) {
    one_backup(world);
    touch(world);
}

/// Sets the time of the database, an hour ago.
fn touch(world: &World) {
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_337_600);
    std::fs::File::options().write(true).open(world.path("app.db")).unwrap().set_modified(written).unwrap();
}

/// An archive, and a schedule of its own.
fn one_schedule(world: &mut World) {
    one_backup(world);
    let text = "[sets.app.databases]\napp = 'app.db'\n[schedule]\nevery = '12h'\nverify = '30 4 * * SUN'\n";
    std::fs::write(world.path("heirloom.toml"), text).unwrap();
}

/// One notice that was sent, and one that was not.
fn one_receiver(world: &mut World) {
    one_database(world);
    let receivers = "[notify]\non = 'success'\n[notify.good]\ncommand = ['true']\n[notify.bad]\ncommand = ['false']\n";
    let text = format!("[sets.app.databases]\nmain = 'app.db'\n[store]\ndir = 'backups'\n{receivers}");
    std::fs::write(world.path("h.toml"), text).unwrap();
    world.heirloom(["backup", "--config", "h.toml"]).success();
    world.at("2026-03-01T05:00:00Z");
}

/// Two archives, one of which is in a further store.
fn one_copy_missing(world: &mut World) {
    one_database(world);
    let text = "[sets.app.databases]\napp = 'app.db'\n[copies.usb]\ndir = 'usb'";
    std::fs::write(world.path("heirloom.toml"), text).unwrap();
    world.at("2026-02-28").heirloom(["backup"]).success();
    world.at("2026-03-01T03:00:00Z").heirloom(["backup", "--no-copies"]).success();
    world.at("2026-03-01T05:00:00Z");
}

/// An archive that is encrypted for the key in a file. The key is that of the tests of the `age` crate.
fn one_encrypted(world: &mut World) {
    const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
    std::fs::write(world.path("key.txt"), KEY).unwrap();
    std::fs::write(world.path("heirloom.toml"), format!("[encryption]\nrecipients = ['{RECIPIENT}']\n")).unwrap();
    world.heirloom(["key", "new", "other.txt"]).success();
    one_backup(world);
}

fn three_backups(world: &mut World) {
    one_database(world);
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(["backup", "app.db", "--kind", "scheduled"]).success();
    }
    world.at("2026-03-01T05:00:00Z");
}

/// A database that lost rows and tables after its backup.
fn one_loss(world: &mut World) {
    one_database(world);
    world.sql(
        "app.db",
        "CREATE TABLE settings(name, value); CREATE TABLE invoices(id, total); INSERT INTO settings VALUES ('theme', \
         'dark')",
    );
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-01T05:00:00Z");
    world.sql("app.db", "DELETE FROM notes WHERE id > 40; DROP TABLE invoices; CREATE TABLE drafts(id)");
}

/// Two sets, one of two databases with long names, and a file that is not an archive.
fn several_sets(world: &mut World) {
    one_database(world);
    world.database("customers-and-their-orders.db");
    for day in ["2026-01-15", "2026-02-26", "2026-02-27", "2026-02-28"] {
        world
            .at(day)
            .heirloom(["backup", "app.db", "customers-and-their-orders.db", "--set", "online-shop-of-the-company"])
            .success();
        world.heirloom(["backup", "app.db", "--kind", "scheduled"]).success();
    }
    world.heirloom(["pin", "app_20260227T000000Z.tar.gz"]).success();
    std::fs::write(world.path("backups/notes-about-the-backups.txt"), "keep").unwrap();
    world.at("2026-03-01T05:00:00Z");
}

fn one_restore(world: &mut World) {
    one_backup(world);
    world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    world.heirloom(["restore", "latest", "--force"]).success();
    world.at("2026-03-01T06:00:00Z");
}

/// A database that lost most of its rows after its backup.
fn one_shrink(world: &mut World) {
    one_database(world);
    world.sql(
        "app.db",
        "WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO notes SELECT i, \
         i FROM n",
    );
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-01T05:00:00Z");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
}

fn one_shrunk(world: &mut World) {
    one_shrink(world);
    world.heirloom(["backup", "app.db"]).exits(3);
    world.at("2026-03-01T06:00:00Z");
}

/// Compares with `snapshots/NAME.snap`, all cases before it fails.
fn compare(cases: &[Case], output: impl Fn(&Case) -> String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots"));
    let failed: Vec<&str> = cases
        .iter()
        .filter(|case| {
            let compared = || {
                let (name, text) = (case.0, output(case));
                settings.bind(|| insta::assert_snapshot!(name, text));
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(compared)).is_err()
        })
        .map(|case| case.0)
        .collect();
    assert!(failed.is_empty(), "changed; INSTA_UPDATE=always accepts it: {failed:?}");
}

/// Returns what is left on a terminal of this many columns. Prompts are answered with yes.
fn screen(columns: u16, prepare: fn(&mut World), args: &[&str]) -> String {
    let mut world = World::new();
    prepare(&mut world);
    // The age of the database is shown too, and its file was written by the clock of this machine.
    touch(&world);
    let args: Vec<&str> = args[..1].iter().chain(&PLAIN).chain(&args[1..]).copied().collect();
    let screen = run_at(columns, &mut world.command(&args), "y\n");
    // What is typed is not shown, not even the end of its line.
    let text = screen.text.replace("[y/N] ", "[y/N] y\n");
    let too_wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > usize::from(columns)).collect();
    assert_eq!(too_wide, [""; 0], "{args:?} is wider than {columns} columns:\n{text}");
    format!("{columns} columns, exit {}\n{}", screen.code, masked(&text, &world))
}

/// Neither bars nor escape sequences.
const PLAIN: [&str; 2] = ["--progress", "never"];

/// Replaces what differs between machines and runs by signs that take as much room.
fn masked(text: &str, world: &World) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = text.replace(world.root(), &"x".repeat(world.root().len()));
    let lines =
        text.lines().map(|line| masked_line(&line.replace(&machine, "[machine]"))).collect::<Vec<_>>().join("\n");
    without_free_space(&lines)
}

/// Removes how much room the disk has, and whatever the line about it was wrapped to.
fn without_free_space(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = inside && line.starts_with("  ");
        if let Some((start, _)) = line.split_once("iB of ") {
            let kept = start.trim_end_matches(|char: char| "#., KMGT".contains(char));
            lines.push(format!("{kept} [free space]"));
            inside = true;
        } else if !inside {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

fn masked_line(line: &str) -> String {
    let mut masked = String::new();
    let words: Vec<&str> = line.split(' ').collect();
    for (index, word) in words.iter().enumerate() {
        let bare = |word: &str| word.trim_end_matches([',', ';', ':', ')']).replace('…', "");
        let next = words.get(index + 1).map_or(String::new(), |next| bare(next));
        let is_digest = bare(word).len() >= 16 && bare(word).chars().all(|char| char.is_ascii_hexdigit());
        let is_size = ["B", "KiB", "MiB", "GiB"].contains(&next.as_str());
        let is_version = index > 0 && (words[index - 1] == "heirloom" || words[index - 1] == "SQLite");
        let is_number = word.trim_start_matches(['(', '<']).starts_with(|char: char| char.is_ascii_digit());
        let shown = if is_digest {
            word.replace(|char: char| char.is_ascii_hexdigit(), "#")
        } else if is_number && (is_size || is_version) {
            word.replace(|char: char| char.is_ascii_digit(), "#")
        } else if is_number && next == "s" {
            // So long on a machine that has more to do, but as wide.
            "<#.#".to_owned()
        } else {
            (*word).to_owned()
        };
        // `<0.1 s` is aligned right with `0.2 s`.
        if shown == "<#.#" && !word.starts_with('<') && masked.ends_with("  ") {
            masked.pop();
        }
        masked.push_str(&shown);
        if index + 1 < words.len() {
            masked.push(' ');
        }
    }
    masked
}

#[test]
fn the_text_of_each_command_is_what_it_was() {
    compare(&TEXTS, |(_, prepare, args)| WIDTHS.map(|columns| screen(columns, *prepare, args)).join("\n\n"));
}

#[test]
fn no_word_is_split_where_there_is_little_room() {
    // A backslash goes on with a command, and an ellipsis shortens a name.
    let words = |text: &str| -> Vec<String> {
        let whole = |word: &&str| *word != "\\" && !word.contains('…');
        text.split_whitespace().filter(whole).map(str::to_owned).collect()
    };
    for (name, prepare, args) in TEXTS {
        let wide = words(&screen(500, prepare, args));
        for columns in WIDTHS {
            let shown = screen(columns, prepare, args);
            let split: Vec<String> = words(&shown).into_iter().skip(1).filter(|word| !wide.contains(word)).collect();
            assert_eq!(split, [""; 0], "{name} at {columns} columns:\n{shown}");
        }
    }
}

/// Every command, and that of the whole as an empty name.
fn helps() -> Vec<Vec<String>> {
    use clap::CommandFactory as _;
    let visible = |command: &clap::Command| {
        command
            .get_subcommands()
            .filter(|one| !one.is_hide_set())
            .map(|one| one.get_name().to_owned())
            .collect::<Vec<_>>()
    };
    let cli = heirloom::cli::Cli::command();
    let mut helps = vec![Vec::new()];
    for name in visible(&cli) {
        let below = cli.find_subcommand(&name).map(visible).unwrap_or_default();
        helps.push(vec![name.clone()]);
        helps.extend(below.into_iter().map(|inner| vec![name.clone(), inner]));
    }
    helps
}

#[test]
fn the_help_of_each_command_is_what_it_was() {
    let world = World::new();
    let mut all = String::new();
    for command in helps() {
        let help = |columns| run_at(columns, world.command(&command).arg("--help"), "");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let widest = words(&help(200).text);
        for columns in WIDTHS {
            let shown = help(columns);
            let too_wide: Vec<&str> =
                shown.text.lines().filter(|line| line.chars().count() > usize::from(columns)).collect();
            assert_eq!(too_wide, [""; 0], "{command:?} is wider than {columns} columns");
            assert_eq!(words(&shown.text), widest, "{command:?} splits a word at {columns} columns");
        }
        // What is the same everywhere is shown once.
        let text = help(80).text;
        let common = text.find("Common options:").unwrap();
        let rest = text[common..]
            .find("\n\nExample")
            .or_else(|| text[common..].find("\n\nExit codes"))
            .map_or("", |at| &text[common + at..]);
        let shown =
            if command.is_empty() { text.clone() } else { format!("{}[common options]{rest}", &text[..common]) };
        all += &format!("######## heirloom {}\n{shown}\n", command.join(" "));
    }
    compare(&[("helps", one_database, &[])], |_| all.clone());
}

#[test]
fn the_document_of_each_command_is_what_it_was() {
    compare(&DOCUMENTS, |(_, prepare, args)| {
        let mut world = World::new();
        prepare(&mut world);
        let ran = world.heirloom(args.iter().take(1).copied().chain(["--json"]).chain(args.iter().skip(1).copied()));
        let mut text = format!("exit {}\n", ran.code);
        for (name, output) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            if !output.is_empty() {
                let mut document = serde_json::from_str(output).unwrap_or_else(|_| Value::String(output.clone()));
                without_what_varies(&mut document);
                text += &format!("{name}: {}\n", serde_json::to_string_pretty(&document).unwrap());
            }
        }
        text
    });
}

/// Replaces what differs between machines and runs.
fn without_what_varies(value: &mut Value) {
    const VARYING: [&str; 11] = [
        "file_id",
        "group",
        "id",
        "mode",
        "owner",
        "schema_sha256",
        "seconds",
        "sha256",
        "sqlite_version",
        "store_id",
        "version",
    ];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let is_size = name.ends_with("_bytes") || ["bytes", "offset"].contains(&name.as_str());
                if !field.is_null() && (is_size || VARYING.contains(&name.as_str())) {
                    *field = Value::String(format!("[{name}]"));
                } else {
                    without_what_varies(field);
                }
            }
        }
        Value::String(text) => *text = without_sizes(text),
        Value::Array(values) => values.iter_mut().for_each(without_what_varies),
        _ => {}
    }
}

/// Replaces sizes: how well an archive is packed depends on the paths in it.
fn without_sizes(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in (1..words.len()).rev() {
        let unit = words[at].trim_end_matches([',', ';']).to_owned();
        if ["B", "KiB", "MiB", "GiB", "TiB"].contains(&unit.as_str()) {
            words[at - 1] = format!("[size]{}", &words[at][unit.len()..]);
            words.remove(at);
        }
    }
    words.join(" ")
}

#[test]
fn every_command_has_its_document_and_its_text_pinned() {
    use clap::CommandFactory as _;
    let pinned = |name: &str| [&DOCUMENTS[..], &TEXTS].iter().all(|cases| cases.iter().any(|case| case.2[0] == name));
    // The script of a shell is no document, the output of `run` is that of its application, and a token is made of
    // chance.
    let missing: Vec<String> = heirloom::cli::Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && !["completions", "run", "serve"].contains(&command.get_name()))
        .map(|command| command.get_name().to_owned())
        .filter(|name| !pinned(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}
