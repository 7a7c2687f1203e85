//! What a database is like after a replacement that was made, taken back, or dropped.

use super::*;

#[test]
fn a_database_with_another_page_size_is_replaced() {
    for mode in ["wal", "delete"] {
        for (old, new) in [(4096, 1024), (1024, 4096), (512, 65536), (65536, 512)] {
            let folder = tempfile::tempdir().unwrap();
            let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
            make_with(&live, mode, 1, 300, &format!("PRAGMA page_size={old}"));
            make_with(&archive, mode, 2, 900, &format!("PRAGMA page_size={new}; PRAGMA user_version=42"));
            let idle = Worker::start(
                "c.execute('SELECT * FROM t').fetchall()\nsay('ready')\nwhile going(): \
                 time.sleep(0.01)\nsay(c.execute('SELECT count(*) FROM t').fetchone()[0])",
                &live,
            );

            let safety = folder.path().join("safety");
            assert_eq!(
                replace(&live, &staged(folder.path(), "s", &archive), &safety, Duration::from_secs(5)).unwrap(),
                Compared::Same
            );

            assert_eq!(idle.stop(), ["900"], "{mode} {old} to {new}");
            assert_eq!((state(&live), state(&safety)), ((2, 900), (1, 300)));
            let connection = Connection::open(&live).unwrap();
            let pragma =
                |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0)).unwrap();
            assert_eq!(pragma("page_size"), if mode == "wal" { old } else { new });
            assert_eq!(pragma("user_version"), 42);
        }
    }
}

/// A copy could not be rewritten with the page size of its target, because the folder name had to be UTF-8.
#[test]
fn a_copy_is_rewritten_in_a_folder_whose_name_is_not_utf8() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&place).unwrap();
    let (live, archive) = (place.join("live.db"), place.join("archive.db"));
    make_with(&live, "wal", 1, 300, "PRAGMA page_size=1024");
    make_with(&archive, "wal", 2, 900, "PRAGMA page_size=4096");

    let compared = replace(&live, &staged(&place, "s", &archive), &place.join("safety"), Duration::ZERO);

    assert_eq!(compared.unwrap(), Compared::Same);
    assert_eq!(state(&live), (2, 900));
}

#[test]
fn the_journal_mode_is_taken_from_the_archive_except_that_wal_stays() {
    for (old, new, after) in
        [("wal", "delete", "wal"), ("delete", "wal", "wal"), ("delete", "delete", "delete"), ("wal", "wal", "wal")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, old, 1, 300);
        make(&archive, new, 2, 900);
        let copy = staged(folder.path(), "s", &archive);
        let target = look_at(&live).unwrap();
        assert!(matches!(
            &target.state,
            TargetState::Database(facts) if facts.rows == Some(301) && facts.journal_mode == old
        ));
        assert_eq!(
            Replacement::open(&target, &copy, &limits(Duration::ZERO), &Silent).unwrap().journal_modes().unwrap(),
            (old, after)
        );

        replace(&live, &copy, &folder.path().join("safety"), Duration::ZERO).unwrap();

        no_sidecars(&live);
        let connection = Connection::open(&live).unwrap();
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, after);
        drop(connection);
        assert_eq!(state(&live), (2, 900));
    }
}

#[test]
fn a_committed_replacement_can_be_rolled_back_from_its_safety_copy() {
    for (mode, archive_mode) in [("wal", "wal"), ("delete", "delete"), ("delete", "wal")] {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive, safety) =
            (folder.path().join("live.db"), folder.path().join("archive.db"), folder.path().join("safety"));
        make(&live, mode, 1, 300);
        make(&archive, archive_mode, 2, 900);
        let before = look_at(&live).unwrap();
        let mut replacement =
            Replacement::open(&before, &staged(folder.path(), "s", &archive), &limits(Duration::ZERO), &Silent)
                .unwrap();
        let locked = replacement.lock(&limits(Duration::ZERO), &Silent).unwrap();
        locked.copy_to(&safety, &Silent).unwrap();
        let _ = locked.write(&Silent).unwrap().commit().unwrap();
        replacement.put_back(&safety, &limits(Duration::ZERO), &Silent).unwrap();
        replacement.close().unwrap();
        assert_eq!(state(&live), (1, 300));
        no_sidecars(&live);
        assert_eq!(look_at(&live).unwrap().state, before.state, "{mode} {archive_mode}");
    }
}

#[test]
fn a_replacement_that_is_dropped_before_its_commit_changes_nothing() {
    for mode in ["wal", "delete"] {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, mode, 1, 300);
        // More than SQLite keeps in memory, so that it spills to disk.
        make(&archive, mode, 2, 30_000);
        let mut replacement = Replacement::open(
            &look_at(&live).unwrap(),
            &staged(folder.path(), "s", &archive),
            &limits(Duration::ZERO),
            &Silent,
        )
        .unwrap();
        drop(replacement.lock(&limits(Duration::ZERO), &Silent).unwrap().write(&Silent).unwrap());
        drop(replacement);
        assert_eq!(state(&live), (1, 300));
        no_sidecars(&live);
    }
}
