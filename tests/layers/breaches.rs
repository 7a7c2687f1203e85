//! Planted breaches: one of each kind, in each way in which a file can name a module, and code that is not a breach.

use std::collections::BTreeMap;

use crate::rules::breaches;
use crate::tree::Tree;

/// A small crate with one file of each layer.
const CRATE: [(&str, &str); 13] = [
    ("main.rs", "fn main() { heirloom::cli::main() }"),
    (
        "lib.rs",
        "pub mod archive; pub mod cli; pub mod database; pub mod names; pub mod ops; pub mod platform; pub mod server; \
         pub mod store;",
    ),
    ("archive/mod.rs", "mod reader; pub use reader::Archive;"),
    ("archive/reader.rs", "use crate::store::ReadAt; pub struct Archive;"),
    ("cli/mod.rs", "mod ui; pub fn main() { ui::print() }"),
    ("cli/ui.rs", "pub fn print() { println!(\"{}\", std::env::args().count()) }"),
    ("database/mod.rs", "pub mod check;"),
    ("database/check.rs", "use rusqlite::Connection; use super::super::names::Name;"),
    ("names.rs", "pub struct Name;"),
    ("ops/mod.rs", "pub mod backup;"),
    ("ops/backup.rs", "use crate::{archive::Archive, database::check, store::LocalStore};"),
    ("platform/mod.rs", "use std::os::unix::fs::MetadataExt; fn f() { std::fs::read(\"/proc/locks\"); }"),
    ("store/mod.rs", "pub struct LocalStore; pub trait ReadAt {}"),
];

fn found(file: &str, text: &str) -> Vec<String> {
    let mut files: BTreeMap<String, String> =
        CRATE.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect();
    files.insert("server/mod.rs".into(), String::new());
    files.insert(file.into(), text.into());
    breaches(&Tree::new(&files)).into_iter().collect()
}

#[test]
fn a_crate_that_keeps_its_layers_has_no_breach() {
    assert_eq!(found("names.rs", CRATE[8].1), [""; 0]);
}

#[test]
fn each_kind_of_breach_is_found() {
    for (file, text, expected) in [
        // Upwards, and beside.
        ("names.rs", "use crate::store::LocalStore;", "uses crate::store::LocalStore, which is above it"),
        ("platform/mod.rs", "use crate::database::check;", "uses crate::database::check, which is above it"),
        ("ops/backup.rs", "use crate::cli::main;", "uses crate::cli::main, which is above it"),
        (
            "database/check.rs",
            "use crate::archive::Archive;",
            "uses crate::archive::reader::Archive, an adapter beside it",
        ),
        ("archive/reader.rs", "use crate::store::LocalStore;", "uses crate::store::LocalStore, an adapter beside it"),
        ("server/mod.rs", "use crate::cli::main;", "uses crate::cli::main, another face"),
        ("cli/ui.rs", "use crate::server::Router;", "uses crate::server::Router, another face"),
        // Every way to write it.
        ("archive/reader.rs", "use crate::{store::LocalStore};", "uses crate::store::LocalStore, an adapter beside it"),
        (
            "archive/reader.rs",
            "use crate::{names, store::{ReadAt, LocalStore as S}};",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        (
            "archive/reader.rs",
            "use super::super::store::LocalStore;",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        (
            "archive/reader.rs",
            "pub use crate::store::LocalStore;",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        ("archive/reader.rs", "pub(crate) use crate::store::*;", "uses crate::store::*, an adapter beside it"),
        (
            "archive/reader.rs",
            "fn f() { use crate::store; store::LocalStore; }",
            "uses crate::store, an adapter beside it",
        ),
        (
            "archive/reader.rs",
            "fn f(s: &crate::store::LocalStore) {}",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        (
            "archive/reader.rs",
            "fn f(s: &super::super::store::LocalStore) {}",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        (
            "archive/mod.rs",
            "use self::super::store::LocalStore;",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        (
            "archive/reader.rs",
            "use heirloom::store::LocalStore;",
            "uses crate::store::LocalStore, an adapter beside it",
        ),
        ("archive/reader.rs", "use crate::*;", "uses crate::*"),
        ("archive/reader.rs", "use crate as all;", "uses the root of the crate under another name"),
        ("archive/reader.rs", "use crate::{self as all};", "uses the root of the crate under another name"),
        ("archive/reader.rs", "use super::super as all;", "uses the root of the crate under another name"),
        (
            "archive/reader.rs",
            "mod inner { use super::super::super::store; }",
            "uses a module inside the file, which this test does not follow",
        ),
        (
            "archive/mod.rs",
            "#[path = \"../store/mod.rs\"] mod theirs;",
            "uses #[path], which this test does not follow",
        ),
        // After tests, comments and texts.
        (
            "ops/backup.rs",
            "#[cfg(test)] use a::b; fn f() { crate::cli::main() }",
            "uses crate::cli::main, which is above it",
        ),
        (
            "ops/backup.rs",
            "#[cfg(test)] mod tests { fn f() {} } fn f() { crate::cli::main() }",
            "uses crate::cli::main, which is above it",
        ),
        (
            "ops/backup.rs",
            "const A: char = '\"'; /* \" */ use crate::cli::main; // \"",
            "uses crate::cli::main, which is above it",
        ),
        (
            "ops/backup.rs",
            "const A: &str = r#\"\"\"#; use crate::cli::main;",
            "uses crate::cli::main, which is above it",
        ),
        // External crates and modules.
        ("ops/backup.rs", "fn f() { rusqlite::Connection::open(path); }", "names rusqlite"),
        ("ops/backup.rs", "use ::rusqlite::Connection;", "names rusqlite"),
        ("ops/backup.rs", "use rusqlite as sql;", "names rusqlite"),
        ("ops/backup.rs", "use clap::Parser;", "names clap"),
        ("cli/ui.rs", "use {std::os::unix::fs::MetadataExt as _, std::fs};", "names std::os"),
        ("database/check.rs", "use std::{fs, os::unix::fs::symlink};", "names std::os"),
        ("store/mod.rs", "use std::os::fd::AsFd;", "names std::os"),
        ("store/mod.rs", "fn f() { rustix::fs::sync(); }", "names rustix"),
        ("cli/ui.rs", "use signal_hook::flag;", "names signal_hook"),
        (
            "database/check.rs",
            "fn f() { std::fs::read(format!(\"/proc/{pid}/fd\")); }",
            "names /proc, which belongs to platform/",
        ),
        (
            "database/check.rs",
            "const HINT: &str = \"stop what uses it, then add `--offline`\";",
            "names the flag --offline, which belongs to the faces",
        ),
        (
            "ops/backup.rs",
            "fn f() -> String { format!(r#\"{name} --no-safety-backup\"#) }",
            "names the flag --no-safety-backup, which belongs to the faces",
        ),
        ("names.rs", "const HINT: &str = \"--force\";", "names the flag --force, which belongs to the faces"),
        // Reserved for the faces, or forbidden in pure modules.
        ("ops/backup.rs", "fn f() { println!(\"done\"); }", "uses println!, which belongs to the faces"),
        ("ops/backup.rs", "fn f() { std::eprintln!(\"done\"); }", "uses eprintln!, which belongs to the faces"),
        ("ops/backup.rs", "fn f() { chrono::Utc::now(); }", "names chrono::Utc::now, which belongs to the faces"),
        (
            "ops/backup.rs",
            "use chrono::Utc as Zulu; fn f() { Zulu::now(); }",
            "names chrono::Utc::now, which belongs to the faces",
        ),
        ("ops/backup.rs", "use std::env; fn f() { env::var(\"HOME\"); }", "names std::env, which belongs to the faces"),
        (
            "ops/backup.rs",
            "use std::time::SystemTime; fn f() { SystemTime::now(); }",
            "names std::time::SystemTime::now, which belongs to the faces",
        ),
        ("names.rs", "use std::fs; fn f() { fs::read(path); }", "names std::fs, but is pure"),
        ("names.rs", "fn f() { std::process::Command::new(program); }", "names std::process, but is pure"),
    ] {
        let found = found(file, text);
        assert!(found.contains(&format!("{file}: {expected}")), "{file}: {text}\n{found:#?}");
    }
}

#[test]
fn circles_are_found_through_the_re_exports_of_their_folder() {
    let with = |first: &str, second: &str| {
        let text = |text: &str| text.to_owned();
        let files = BTreeMap::from([
            (text("database/mod.rs"), text("mod pin; mod stage; pub use pin::Pin; pub use stage::Stage;")),
            (text("database/pin.rs"), text(first)),
            (text("database/stage.rs"), text(second)),
        ]);
        breaches(&Tree::new(&files)).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(
        with("use super::Stage;", "use super::Pin;"),
        ["database/: pin is in a circle", "database/: stage is in a circle"]
    );
    assert_eq!(
        with("use super::stage::Stage;", "fn f(pin: super::Pin) {}"),
        ["database/: pin is in a circle", "database/: stage is in a circle"]
    );
    assert_eq!(with("use super::Stage;", ""), [""; 0]);
}

#[test]
fn tests_comments_and_texts_are_not_breaches() {
    for text in [
        "// use crate::cli::main;",
        "/* use crate::cli::main; */",
        "const A: &str = \"use crate::cli::main;\";",
        "const A: &str = \"SELECT 1 -- one\"; const B: &str = \"a--b\"; const C: &str = \"----force\"; const D: &str = \
         \"-- \";",
        "/// Adds `--force`.\nfn f() { /* --force */ }",
        "#[cfg(test)] mod tests { use crate::cli::main; }",
        "#[cfg(test)] use crate::cli::main;",
        "pub(crate) fn f() {} pub(super) struct A;",
        "fn f<'a>(a: &'a str) -> char { 'c' }",
    ] {
        assert_eq!(found("ops/backup.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn the_file_of_a_test_module_is_not_read() {
    let files = BTreeMap::from(
        [("ops/mod.rs", "#[cfg(test)] mod tests;"), ("ops/tests.rs", "use crate::cli::main;"), ("cli/mod.rs", "")]
            .map(|(file, text)| (file.to_owned(), text.to_owned())),
    );
    assert!(breaches(&Tree::new(&files)).is_empty());
}
