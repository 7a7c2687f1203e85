use super::*;

#[test]
fn names_that_could_leave_the_folder_are_refused() {
    for wrong in ["", ".", "..", ".hidden", "-rf", "a/b", "a b", "ä", "a\n", &"x".repeat(65)] {
        assert!(Name::new(wrong).is_err(), "{wrong:?}");
    }
    for wrong in ["", "..", "../a.tar.gz", ".a.tar.gz", "a.txt", ".tar.gz", "a\n.tar.gz"] {
        assert!(ArchiveName::new(wrong).is_err(), "{wrong:?}");
    }
    assert!(Name::new("archerytools-2.x_y").is_ok());
}

#[test]
fn any_file_name_gives_a_database_name() {
    for (path, name) in [
        ("/x/user_data.db", "user_data"),
        ("-rf.db", "rf"),
        (":memory:", "_memory_"),
        ("/", "database"),
        (".hidden.db", "hidden"),
        ("ünï☃.db", "_n__"),
    ] {
        assert_eq!(Name::from_path_without_digest(Path::new(path)).as_str(), name);
        let made = Name::from_path(Path::new(path));
        let suffix = made.as_str().strip_prefix(name).unwrap();
        let kept = ["user_data"].contains(&name);
        assert!(if kept { suffix.is_empty() } else { suffix.len() == 7 && suffix.starts_with('-') }, "{made}");
        assert_eq!(Name::new(made.as_str()), Ok(made));
    }
}

#[test]
fn files_of_one_folder_never_share_a_name_because_a_character_was_replaced() {
    let long = |last: char| format!("{}{last}.db", "x".repeat(70));
    let files = ["日本.db", "中国.db", "a b.db", "a_b.db", "-x.db", "x.db", ".x.db", &long('1'), &long('2')];
    let names: std::collections::BTreeSet<Name> = files.iter().map(|file| Name::from_path(Path::new(file))).collect();
    assert_eq!(names.len(), files.len(), "{names:?}");
}

#[test]
fn a_host_label_can_be_part_of_a_path_on_every_system() {
    for wrong in ["", "a b", "../x", "con", "NUL", "com1.lan", "LPT9", "-x", ".x", &"x".repeat(65), "a/b"] {
        assert!(HostLabel::new(wrong).is_err(), "{wrong}");
        assert!(HostLabel::new(HostLabel::from_host_name(wrong).as_str()).is_ok(), "{wrong}");
    }
    for right in ["web-1", "api.example.com", "console", "com10"] {
        assert_eq!(HostLabel::from_host_name(right).as_str(), right);
    }
}

#[test]
fn an_id_is_sixteen_hex_digits() {
    let id = ArchiveId::of_metadata(b"{}");
    assert_eq!(id.to_string(), "44136fa355b3678a");
    assert_eq!(id.to_string().parse::<ArchiveId>().unwrap(), id);
    assert!("44136fa355b3678".parse::<ArchiveId>().is_err() && "+4136fa355b3678a".parse::<ArchiveId>().is_err());
}

#[test]
fn a_taken_archive_name_gets_a_number_before_its_ending() {
    let name = ArchiveName::new("a_20250804T163829Z.tar.gz").unwrap();
    assert_eq!(name.numbered(2).as_str(), "a_20250804T163829Z-2.tar.gz");
    assert_eq!(name.stem(), "a_20250804T163829Z");
}

#[test]
fn two_databases_of_one_file_name_get_two_entries() {
    let name = |text: &str| Name::new(text).unwrap();
    let first = entry_name(Path::new("/1/app.db"), &name("one"), &[]);
    let second = entry_name(Path::new("/2/app.db"), &name("two"), std::slice::from_ref(&first));
    assert_eq!((first.as_str(), second.as_str()), ("app.db", "two_app.db"));
    assert_eq!(entry_name(Path::new("/1/new\nline.db"), &name("x"), &[]), "x.db");
    assert_eq!(entry_name(Path::new("RESTORE.txt"), &name("x"), &[]), "x_RESTORE.txt");
}

#[test]
fn times_are_found_in_the_names_of_all_tools() {
    for name in
        ["app_20250804T163829Z.tar.gz", "archerytools_backup_20250804_163829.tar.gz", "backup-2025-08-04-163829.db"]
    {
        assert_eq!(time_in_name(name).map(|time| time.to_string()).as_deref(), Some("2025-08-04 16:38:29"), "{name}");
    }
    assert_eq!(time_in_name("ünï☃.db"), None);
}

#[test]
fn terminal_control_sequences_are_not_printed() {
    assert_eq!(printable("a\u{1b}[31m\nb\u{202e}"), "a?[31m?b?");
}
