//! Databases of any content: checking and describing them always returns a result.

use std::io::Write as _;

use heirloom::database::{self, Depth, Effort};
use heirloom::names::printable;
use heirloom::progress::Silent;

const THREADS: std::num::NonZeroUsize = std::num::NonZeroUsize::new(2).unwrap();

/// Checks one file as verify does with one that it unpacked.
pub fn check(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path();
    let checked = database::check(path, Depth::Full, Effort::threads(THREADS), &Silent);
    if let Ok(checked) = &checked {
        assert!(
            checked.findings.iter().all(|finding| printable(finding) == *finding),
            "a finding contains terminal controls"
        );
    }
    if let Ok(facts) = database::facts(path)
        && let Ok(rows) = database::count_rows(path, &facts.tables, &Silent)
    {
        assert_eq!(rows.len(), facts.tables.len());
    }
    let beside = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten();
    let name = path.file_name().unwrap().to_string_lossy().into_owned() + "-";
    assert!(
        !beside.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&name)),
        "a sidecar was left"
    );
}
