//! Runs the tool over the corpus in `tests/corpus/`: 486 real, broken and hostile inputs, made and judged by Python
//! and its own SQLite, from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::installed;
use crate::world::World;

fn python(script: &str, args: &[&str]) -> (bool, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(script);
    let output = Command::new("python3").env("PYTHONDONTWRITEBYTECODE", "1").arg(path).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// The hostile archives are made twice: from the old tool's layout and from one of our archives.
#[test]
fn every_case_of_the_corpus_is_treated_as_it_must_be() {
    let world = World::new();
    let (good, zstd) = own_archives(&world);
    let corpus = world.path("corpus");
    let corpus = corpus.to_str().unwrap();
    // Without it, the others are still tested.
    installed("the Zstandard files of the corpus", &["zstd"]);
    let (good, zstd) = (good.to_str().unwrap(), zstd.to_str().unwrap());
    let (made, text) = python("make_corpus.py", &["--out", corpus, "--good", good, "--good-zstd", zstd]);
    assert!(made, "{text}");
    let (passed, text) = python("run_corpus.py", &["--bin", env!("CARGO_BIN_EXE_heirloom"), corpus]);
    assert!(passed, "{text}");
}

/// Makes two archives of two databases, one of each compression.
fn own_archives(world: &World) -> (PathBuf, PathBuf) {
    for name in ["first.db", "second.db"] {
        world.sql(name, "CREATE TABLE t(x); INSERT INTO t VALUES(1), (randomblob(20000)), (3);");
    }
    world.heirloom(["backup", "first.db", "second.db", "--set", "own", "--name", "good"]).success();
    let zstd = ["--compression", "zstd", "--name", "good.tar.zst"];
    world.heirloom(["backup", "first.db", "second.db", "--set", "own"].iter().chain(&zstd)).success();
    (world.path("backups/good.tar.gz"), world.path("backups/good.tar.zst"))
}
