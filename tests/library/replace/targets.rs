//! Targets of every kind: offline, in use, linked, missing, unusable, empty.

use super::*;

#[test]
fn another_text_encoding_needs_offline() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    make_with(&live, "wal", 1, 300, "PRAGMA encoding='UTF-16le'");
    make(&archive, "wal", 2, 900);
    let copy = staged(folder.path(), "s", &archive);
    let before = fs::read(&live).unwrap();

    let refused = replace(&live, &copy, &folder.path().join("safety"), Duration::ZERO).unwrap_err();
    assert!(matches!(&refused, TargetError::NeedsOffline { why, .. } if why.contains("UTF-16le")), "{refused}");
    assert_eq!(fs::read(&live).unwrap(), before);

    let offline = Offline::lock(&look_at(&live).unwrap(), Proof::NoneKnown, &limits(Duration::ZERO), &Silent).unwrap();
    let safety = folder.path().join("safety");
    offline.copy_to(&safety, &Silent).unwrap();
    assert_eq!(offline.replace(&copy, "x").unwrap().settle().unwrap(), []);
    assert_eq!((state(&live), state(&safety)), ((2, 900), (1, 300)));
    no_sidecars(&live);
}

#[test]
fn offline_refuses_while_a_process_has_it_open_even_idle() {
    for mode in ["wal", "delete"] {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live.db");
        make(&live, mode, 1, 300);
        let idle = Worker::start(
            "c.execute('SELECT 1 FROM t').fetchall()\nsay('ready')\nwhile going(): time.sleep(0.01)",
            &live,
        );
        let refused = Offline::lock(&look_at(&live).unwrap(), Proof::NoneKnown, &limits(Duration::ZERO), &Silent)
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains(&format!("process {} (python3) has it open", idle.child.id())), "{refused}");
        idle.stop();
        assert_eq!(state(&live), (1, 300));
    }
}

#[test]
fn offline_reports_if_it_cannot_prove_that_no_process_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    make(&live, "delete", 1, 300);
    let proved = Offline::lock(&look_at(&live).unwrap(), Proof::AllSeen, &limits(Duration::ZERO), &Silent);
    assert_eq!(proved.is_ok(), holders(&live).unwrap().complete);
    // An ordinary user cannot see the open files of other users.
    let refused = proved.err().map(|error| error.to_string());
    assert!(refused.is_none_or(|why| why.contains("not every process is visible")));
}

#[test]
fn offline_recovers_the_sidecars_of_a_crash() {
    for mode in ["wal", "delete"] {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, mode, 1, 300);
        make(&archive, "wal", 2, 900);
        fs::set_permissions(&live, fs::Permissions::from_mode(0o640)).unwrap();
        Worker::start(CRASHER, &live).kill();
        let offline =
            Offline::lock(&look_at(&live).unwrap(), Proof::NoneKnown, &limits(Duration::ZERO), &Silent).unwrap();
        let safety = folder.path().join("safety");
        offline.copy_to(&safety, &Silent).unwrap();
        offline.replace(&staged(folder.path(), "s", &archive), "x").unwrap().settle().unwrap();
        assert_eq!(state(&live), (2, 900));
        let kept: u32 =
            Connection::open(&safety).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, if mode == "wal" { 600 } else { 300 });
        assert_eq!(fs::metadata(&live).unwrap().mode() & 0o777, 0o640);
        no_sidecars(&live);
    }
}

/// SQLite leaves these files if leaving WAL mode failed halfway: with a rollback-mode header it treats an empty -wal as
/// missing.
#[test]
fn offline_removes_an_empty_wal_and_never_one_with_commits() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    make(&archive, "delete", 2, 900);
    let lock = || Offline::lock(&look_at(&live).unwrap(), Proof::NoneKnown, &limits(Duration::ZERO), &Silent).unwrap();

    make(&live, "delete", 1, 300);
    fs::write(folder.path().join("live.db-wal"), "").unwrap();
    fs::write(folder.path().join("live.db-shm"), [0; 32768]).unwrap();
    lock().replace(&staged(folder.path(), "s", &archive), "x").unwrap().settle().unwrap();
    assert_eq!(state(&live), (2, 900));
    no_sidecars(&live);

    // The header is in rollback mode, but the -wal contains 300 more rows: they are checkpointed.
    fs::remove_file(&live).unwrap();
    make(&live, "wal", 1, 300);
    Worker::start(CRASHER, &live).kill();
    let file = fs::OpenOptions::new().write(true).open(&live).unwrap();
    file.write_all_at(&[1, 1], 18).unwrap();
    let safety = folder.path().join("safety");
    lock().copy_to(&safety, &Silent).unwrap();
    let kept: u32 =
        Connection::open(&safety).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 600);
}

#[test]
fn a_symbolic_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link, archive) =
        (folder.path().join("real.db"), folder.path().join("link.db"), folder.path().join("archive.db"));
    make(&real, "delete", 1, 300);
    make(&archive, "delete", 2, 900);
    std::os::unix::fs::symlink("real.db", &link).unwrap();
    replace(&link, &staged(folder.path(), "s", &archive), &folder.path().join("safety"), Duration::ZERO).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(state(&real), (2, 900));

    // A dangling link names the file that is created.
    let dangling = folder.path().join("dangling.db");
    std::os::unix::fs::symlink("made.db", &dangling).unwrap();
    let target = look_at(&dangling).unwrap();
    assert!(target.path.ends_with("made.db") && matches!(target.state, TargetState::Missing { .. }));
}

#[test]
fn folders_and_pipes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(look_at(folder.path()), Err(TargetError::Refused { .. })));
    let pipe = folder.path().join("pipe.db");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(look_at(&pipe), Err(TargetError::Refused { .. })));
    assert!(matches!(look_at(&folder.path().join("no/such.db")), Err(TargetError::Io { .. })));
}

#[test]
fn sidecars_of_a_missing_database_are_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    make(&live, "wal", 1, 300);
    make(&archive, "wal", 2, 900);
    Worker::start(CRASHER, &live).kill();
    let wal = fs::read(live.with_file_name("live.db-wal")).unwrap();
    fs::remove_file(&live).unwrap();

    let target = look_at(&live).unwrap();
    let aside =
        place_new(&target, &staged(folder.path(), "s", &archive), None, "20260301T030000Z").unwrap().aside.unwrap();

    assert_eq!(aside, folder.path().canonicalize().unwrap().join("live.db.replaced-20260301T030000Z"));
    assert_eq!(fs::read(aside.join("live.db-wal")).unwrap(), wal);
    no_sidecars(&live);
    assert_eq!(state(&live), (2, 900));
    assert_eq!(fs::metadata(&live).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_new_file_never_replaces_one_that_appeared_in_the_meantime() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    make(&archive, "delete", 2, 900);
    let target = look_at(&live).unwrap();
    make(&live, "delete", 1, 300);
    assert!(matches!(
        place_new(&target, &staged(folder.path(), "s", &archive), None, "x"),
        Err(TargetError::Refused { .. })
    ));
    assert_eq!(state(&live), (1, 300));
}

#[test]
fn an_unusable_file_is_kept_as_evidence_with_its_sidecars() {
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("header", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; 100], 0).unwrap();
        }),
        ("cut off", |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap()),
        ("text", |path| fs::write(path, "this is no database").unwrap()),
        ("empty", |path| fs::write(path, "").unwrap()),
    ];
    for (what, spoil) in spoil {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, "delete", 1, 300);
        make(&archive, "wal", 2, 900);
        spoil(&live);
        if what == "empty" {
            fs::write(folder.path().join("live.db-wal"), "the data").unwrap();
        }
        fs::set_permissions(&live, fs::Permissions::from_mode(0o644)).unwrap();
        let evidence = fs::read(&live).unwrap();
        let target = look_at(&live).unwrap();
        assert!(matches!(target.state, TargetState::Unusable { .. }), "{what}: {:?}", target.state);

        let aside = place_over_unusable(&target, &staged(folder.path(), "s", &archive), "x").unwrap().aside.unwrap();

        assert_eq!(fs::read(aside.join("live.db")).unwrap(), evidence);
        if what == "empty" {
            assert_eq!(fs::read(aside.join("live.db-wal")).unwrap(), b"the data");
        }
        no_sidecars(&live);
        assert_eq!(state(&live), (2, 900), "{what}");
        assert_eq!(fs::metadata(&live).unwrap().mode() & 0o777, 0o644);
    }
}

#[test]
fn a_database_with_damage_further_inside_can_be_replaced() {
    for mode in ["wal", "delete"] {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, mode, 1, 300);
        make(&archive, mode, 2, 900);
        let mut bytes = fs::read(&live).unwrap();
        // The schema page after its header, and a page of a table.
        bytes[100..140].fill(0x55);
        bytes[3 * 4096..4 * 4096].fill(0xaa);
        fs::write(&live, &bytes).unwrap();
        let safety = folder.path().join("safety");
        assert_eq!(
            replace(&live, &staged(folder.path(), "s", &archive), &safety, Duration::ZERO).unwrap(),
            Compared::Same
        );
        assert_eq!(state(&live), (2, 900));
        assert_eq!(
            fs::read(&safety).unwrap()[3 * 4096..4 * 4096],
            bytes[3 * 4096..4 * 4096],
            "the safety copy is the evidence"
        );
    }
}

#[test]
fn an_empty_file_that_an_application_has_open_is_filled_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    fs::write(&live, "").unwrap();
    make(&archive, "delete", 2, 900);
    let application = Worker::start(
        "c.execute('SELECT 1')\nsay('ready')\nwhile going(): time.sleep(0.01)\nsay(c.execute('SELECT count(*) FROM \
         t').fetchone()[0])",
        &live,
    );
    let target = look_at(&live).unwrap();
    assert_eq!(target.state, TargetState::Empty);
    replace(&live, &staged(folder.path(), "s", &archive), &folder.path().join("safety"), Duration::ZERO).unwrap();
    assert_eq!(application.stop(), ["900"]);
}

#[test]
fn targets_are_ordered_and_recognised_by_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.db"), folder.path().join("two.db"));
    make(&one, "delete", 1, 1);
    fs::hard_link(&one, &two).unwrap();
    let (one, two): (Target, Target) = (look_at(&one).unwrap(), look_at(&two).unwrap());
    assert!(one.same_file(&two));
}
