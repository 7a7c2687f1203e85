//! Checks the layers of `src/lib.rs`: a file may use the layers below its own, never those above, nor another adapter
//! or face.
//!
//! `exceptions.txt` lists the current breaches. It can only shrink: a new breach fails, and so does an unnecessary
//! line. After moving files, `BLESS=1 cargo test --test layers` rewrites the list, if it does not grow.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod breaches;
mod rules;
mod source;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rules::breaches;
use tree::Tree;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Reads `src/`.
fn crate_tree() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    Tree::new(&paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect::<BTreeMap<_, _>>())
}

#[test]
fn every_file_keeps_to_its_layer() {
    let tree = crate_tree();
    assert!(tree.sources.len() > 20, "the sources were not found");
    let found = breaches(&tree);
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layers/exceptions.txt");
    let known: BTreeSet<String> = fs::read_to_string(&list).unwrap().lines().map(str::to_owned).collect();
    if std::env::var_os("BLESS").is_some() && found.len() <= known.len() {
        let lines: Vec<&str> = found.iter().map(String::as_str).collect();
        fs::write(&list, lines.join("\n") + "\n").unwrap();
        return;
    }
    let new: Vec<&String> = found.difference(&known).collect();
    let gone: Vec<&String> = known.difference(&found).collect();
    assert!(new.is_empty(), "against the layers: {new:#?}\nno longer there: {gone:#?}\ncircles: {:#?}", tree.circles());
    assert!(gone.is_empty(), "no longer there, remove it from tests/layers/exceptions.txt: {gone:#?}");
}
