//! Runs the tool over the corpus in `tests/corpus/`: 413 real, broken and hostile inputs, made and judged by Python
//! and its own SQLite, from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn python(script: &str, args: &[&str]) -> (bool, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(script);
    let output = Command::new("python3").env("PYTHONDONTWRITEBYTECODE", "1").arg(path).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_heirloom")
}

/// The hostile archives are made twice: out of the old tool's layout, and out of an archive of our own.
#[test]
fn every_case_of_the_corpus_is_treated_as_it_must_be() {
    let folder = tempfile::tempdir().unwrap();
    let good = own_archive(folder.path());
    let corpus = folder.path().join("corpus");
    let corpus = corpus.to_str().unwrap();
    let (made, text) = python("make_corpus.py", &["--out", corpus, "--good", good.to_str().unwrap()]);
    assert!(made, "{text}");
    let (passed, text) = python("run_corpus.py", &["--bin", binary(), corpus]);
    assert!(passed, "{text}");
}

/// Makes an archive of two databases.
fn own_archive(folder: &Path) -> PathBuf {
    for name in ["first.db", "second.db"] {
        let connection = rusqlite::Connection::open(folder.join(name)).unwrap();
        connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1), (randomblob(20000)), (3);").unwrap();
    }
    let args = ["backup", "first.db", "second.db", "--set", "own", "--name", "good"];
    assert!(
        Command::new(binary()).args(args).current_dir(folder).env("HEIRLOOM_STATE_DIR", folder.join("state")).status().unwrap().success()
    );
    folder.join("backups/good.tar.gz")
}
