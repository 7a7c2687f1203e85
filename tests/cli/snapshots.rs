//! The output of every command, pinned: `snapshots/*.snap`. To accept a change: `INSTA_UPDATE=always cargo test --test cli snapshots`.
//!
//! [`TEXTS`] are taken at a terminal of 60, 80 and 120 columns, in one file each; [`DOCUMENTS`] as JSON with sorted keys, so that
//! the order of fields is no part of it. What differs from run to run is replaced by its name in brackets.

use std::path::Path;

use serde_json::Value;

use crate::terminal::run_at;
use crate::world::World;

const WIDTHS: [u16; 3] = [60, 80, 120];

/// A name, what is done before, and the command.
type Case = (&'static str, fn(&mut World), &'static [&'static str]);

/// Commands whose text is pinned.
const TEXTS: [Case; 0] = [];

/// Commands whose document is pinned.
const DOCUMENTS: [Case; 21] = [
    ("accept", one_shrunk, &["accept", "latest"]),
    ("backup", one_database, &["backup", "app.db", "--note", "before the update"]),
    ("backup-skipped", one_backup, &["backup", "app.db", "--if-older-than", "20h"]),
    ("backup-shrunk", one_shrink, &["backup", "app.db"]),
    ("cleanup", three_backups, &["cleanup", "--keep", "1"]),
    ("config-check", one_database, &["config", "check"]),
    ("config-show", one_database, &["config", "show"]),
    ("delete", one_backup, &["delete", "latest", "--force"]),
    ("error-no-backup", one_backup, &["restore", "nothing"]),
    ("guard", one_database, &["guard", "app.db", "--", "true"]),
    ("health", one_backup, &["health", "app.db"]),
    ("list", three_backups, &["list"]),
    ("log", three_backups, &["log"]),
    ("pin", one_backup, &["pin", "latest"]),
    ("restore", one_backup, &["restore", "latest", "--force"]),
    ("restore-plan", one_backup, &["restore", "latest", "--dry-run"]),
    ("rotate", three_backups, &["rotate", "--keep-daily", "1", "--dry-run"]),
    ("show", one_backup, &["show", "latest"]),
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

fn three_backups(world: &mut World) {
    one_database(world);
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(["backup", "app.db", "--kind", "scheduled"]).success();
    }
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
        "WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO notes SELECT i, i FROM n",
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
            let text = output(case);
            let name = case.0;
            settings.bind(|| std::panic::catch_unwind(|| insta::assert_snapshot!(name, text)).is_err())
        })
        .map(|case| case.0)
        .collect();
    assert!(failed.is_empty(), "changed; INSTA_UPDATE=always accepts it: {failed:?}");
}

#[test]
fn the_text_of_each_command_is_what_it_was() {
    compare(&TEXTS, |(_, prepare, args)| {
        let at = |columns: u16| {
            let mut world = World::new();
            prepare(&mut world);
            let screen = run_at(columns, world.command(*args).args(["--progress", "never"]), "");
            let text = screen.text.replace(world.root(), &"x".repeat(world.root().len()));
            assert!(screen.width() <= usize::from(columns), "{args:?} is wider than {columns} columns:\n{text}");
            format!("{columns} columns, exit {}\n{text}", screen.code)
        };
        WIDTHS.map(at).join("\n")
    });
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
    const VARYING: [&str; 11] =
        ["file_id", "group", "id", "mode", "owner", "schema_sha256", "seconds", "sha256", "sqlite_version", "store_id", "version"];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let is_size = name.ends_with("_bytes") || name == "bytes";
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
fn every_command_has_its_document_pinned() {
    use clap::CommandFactory as _;
    let pinned = |name: &str| DOCUMENTS.iter().any(|case| case.2[0] == name);
    // The script of a shell is no document.
    let missing: Vec<String> = heirloom::cli::Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "completions")
        .map(|command| command.get_name().to_owned())
        .filter(|name| !pinned(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}
