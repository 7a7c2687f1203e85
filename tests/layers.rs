//! Holds the layers of `src/lib.rs`: a file uses what is below its own layer, never above, never a neighbour adapter.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first. Modules that stand in none of them are pure.
const LAYERS: [&[&str]; 4] =
    [&["platform"], &["database", "archive", "store", "activity", "holds", "known", "lock", "scratch"], &["ops"], &["cli"]];

/// The layer of the adapters, counted from 1.
const ADAPTERS: usize = 2;

/// What may be named where: crate, and the modules that may name it.
const CONFINED: [(&str, &[&str]); 7] = [
    ("rusqlite", &["database", "activity"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("flate2", &["archive"]),
    ("libdeflater", &["archive"]),
    ("tar::", &["archive"]),
];

/// The one place below the faces that asks the clock: whether a file's time is recent enough to hide a change is about the real clock.
const CLOCK: [&str; 1] = ["database/snapshot/copy_with_sidecars.rs"];

/// Adapters whose values the neighbours may use: archives are read out of stores.
const SHARED: [(&str, &str); 1] = [("archive", "store::ReadAt")];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|modules| modules.contains(&module)).map_or(0, |position| position + 1)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Returns the code of a file without its unit tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns every `crate::module::rest` that a file names, use groups expanded one level.
fn crate_paths(code: &str) -> Vec<(String, String)> {
    let word = |text: &str| text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect::<String>();
    code.match_indices("crate::")
        .map(|(at, _)| {
            let rest = &code[at + "crate::".len()..];
            let module = word(rest);
            let item = word(rest[module.len()..].trim_start_matches("::"));
            (module.clone(), format!("{module}::{item}"))
        })
        .collect()
}

fn violations(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut violations = Vec::new();
    for (file, text) in files {
        let module = file.split(['/', '.']).next().unwrap();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let code = code(text);
        for (used, path) in crate_paths(&code) {
            let (mine, theirs) = (layer(module), layer(&used));
            let neighbours = mine == ADAPTERS && theirs == ADAPTERS && used != module && !SHARED.contains(&(module, path.as_str()));
            if theirs > mine || neighbours {
                violations.push(format!("{file} uses crate::{path}"));
            }
        }
        for (name, allowed) in CONFINED {
            if code.contains(name) && !allowed.contains(&module) {
                violations.push(format!("{file} names {name}"));
            }
        }
        if layer(module) < LAYERS.len() {
            for forbidden in ["println!", "eprintln!", "Utc::now", "Local::now", "env::var", "SystemTime::now"] {
                if code.contains(forbidden) && !CLOCK.contains(&file.as_str()) {
                    violations.push(format!("{file} uses {forbidden}, which belongs to the faces"));
                }
            }
        }
    }
    violations
}

#[test]
fn every_file_keeps_to_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let files: BTreeMap<String, String> = paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect();
    assert!(files.len() > 20, "the sources were not found");
    assert_eq!(violations(&files), Vec::<String>::new());
}

#[test]
fn each_kind_of_violation_is_seen() {
    let planted = [
        ("retention.rs", "use crate::store::Store;"),
        ("ops/backup.rs", "use crate::cli::Ui;"),
        ("database/files/source_file.rs", "use crate::archive::Archive;"),
        ("archive/reader.rs", "use crate::store::LocalStore;"),
        ("ops/backup.rs", "let c = rusqlite::Connection::open(path);"),
        ("ops/verify.rs", "let now = Utc::now();"),
    ];
    for (file, text) in planted {
        let files = BTreeMap::from([(file.to_owned(), text.to_owned())]);
        assert_eq!(violations(&files).len(), 1, "{file}: {text}");
    }
}
