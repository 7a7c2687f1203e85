//! Examples of decisions, with fictional archives.

use chrono::TimeDelta;

use super::*;
use crate::metadata::Kind;
use crate::snapshot::{Brief, Origin};

/// An archive of the set `shop` in an example store.
struct Example {
    snapshot: Snapshot,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn hour(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
}

/// Makes an archive unusable.
type Change = fn(&mut Snapshot);

/// Creates an archive that a host made at an hour, of databases at paths.
fn archive(host: &str, hours: i64, databases: &[(&str, &str)]) -> Example {
    let set = name("shop");
    let host = HostLabel::new(host).unwrap();
    let brief = |(database, path): &(&str, &str)| {
        let mut brief = Brief::simulated(&set, &host, &name(database));
        if !path.is_empty() {
            brief.stream.place = Place::Path((*path).to_owned());
        }
        brief
    };
    let mut snapshot = Snapshot::simulated(&set, hour(hours));
    snapshot.name = ArchiveName::new(format!("{host}-{hours}.tar.gz")).unwrap();
    snapshot.databases = databases.iter().map(brief).collect();
    snapshot.set_databases = snapshot.databases.iter().map(|brief| brief.name.clone()).collect();
    snapshot.host = host;
    Example { snapshot }
}

impl Example {
    fn but(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self.snapshot);
        self
    }

    fn of_file(self, file: &str, by_file: bool) -> Self {
        self.but(|snapshot| {
            let file = Some(FileIdentity(file.into()));
            snapshot.databases[0].file = file.clone();
            snapshot.databases[0].stream.file = file.filter(|_| by_file);
        })
    }
}

fn at(database: &str, path: &str) -> Asked {
    Asked { path: Some(path.into()), ..Asked::named(name(database)) }
}

/// Decides on the host `me` at hour 100.
fn decide_with(examples: Vec<Example>, asked: &[Asked], change: impl FnOnce(&mut Question<'_>)) -> Decision {
    decide_knowing(examples, asked, (None, &[]), change)
}

/// Decides with `--from` and with records of this host.
fn decide_knowing(
    examples: Vec<Example>,
    asked: &[Asked],
    (from, remembered): (Option<&From>, &[Remembered]),
    change: impl FnOnce(&mut Question<'_>),
) -> Decision {
    let mut snapshots: Vec<Snapshot> = examples.into_iter().map(|example| example.snapshot).collect();
    snapshots.sort_by(Snapshot::newest_first);
    let (set, own) = (name("shop"), OwnHost::new(HostLabel::new("me").unwrap()));
    let mut question = Question {
        set: &set,
        asked,
        own: &own,
        from,
        target: Target::Known,
        completeness: Completeness::All,
        at: None,
        now: hour(100),
        max_age: MAX_AGE,
        remembered,
    };
    change(&mut question);
    decide(&snapshots, &question)
}

#[track_caller]
fn taken(decision: Decision) -> Take {
    match decision {
        Decision::Take(take) => *take,
        other => panic!("{other:?}"),
    }
}

const BOTH: [(&str, &str); 2] = [("users", "/u.db"), ("orders", "/o.db")];

#[test]
fn the_newest_complete_archive_is_chosen_and_newer_partial_ones_are_reported() {
    let asked = [at("users", "/u.db"), at("orders", "/o.db")];
    let store = || vec![archive("me", 1, &BOTH), archive("me", 2, &BOTH), archive("me", 28, &BOTH[..1])];
    let take = taken(decide_with(store(), &asked, |_| {}));
    assert_eq!((take.archive.as_str(), take.too_old), ("me-2.tar.gz", false), "26 hours are allowed");
    assert_eq!(take.newer.iter().map(|newer| newer.database.as_str()).collect::<Vec<_>>(), ["users"]);
    assert_eq!(take.members, [(0, 0), (1, 1)]);
    assert!(taken(decide_with(store(), &asked, |question| question.max_age = TimeDelta::hours(25))).too_old);
    // A single one is restored from the partial archive.
    assert_eq!(taken(decide_with(store(), &asked[..1], |_| {})).archive.as_str(), "me-28.tar.gz");
    let at = |question: &mut Question<'_>| question.at = Some(hour(1));
    assert_eq!(taken(decide_with(store(), &asked, at)).archive.as_str(), "me-1.tar.gz");
}

#[test]
fn unusable_archives_are_never_the_latest() {
    let changes: [(&str, Change); 4] = [
        ("damaged", |snapshot| snapshot.damaged = true),
        ("safety", |snapshot| snapshot.kind = Kind::Safety),
        ("future", |snapshot| snapshot.created_at = hour(101)),
        ("plain", |snapshot| snapshot.origin = Origin::Plain),
    ];
    for (what, change) in changes {
        let asked = [at("users", "/u.db")];
        let store = vec![archive("me", 1, &BOTH), archive("me", 2, &BOTH).but(change)];
        assert_eq!(taken(decide_with(store, &asked, |_| {})).archive.as_str(), "me-1.tar.gz", "{what}");
        let alone =
            decide_with(vec![archive("me", 1, &[("x", "/x.db")]), archive("me", 2, &BOTH).but(change)], &asked, |_| {});
        assert!(matches!(alone, Decision::OutOfReach { .. }), "{what}: an archive of it exists: {alone:?}");
    }
}

#[test]
fn other_hosts_and_paths_never_replace_the_own_stream() {
    let asked = [at("users", "/u.db")];
    let others = || vec![archive("other", 50, &BOTH), archive("me", 60, &[("users", "/elsewhere.db")])];
    let mut store = others();
    store.push(archive("me", 1, &BOTH));
    assert_eq!(taken(decide_with(store, &asked, |_| {})).archive.as_str(), "me-1.tar.gz");

    let Decision::Elsewhere { candidates, .. } = decide_with(others(), &asked, |_| {}) else {
        panic!("taken in silence")
    };
    assert_eq!(
        candidates.iter().map(|candidate| candidate.newest.as_str()).collect::<Vec<_>>(),
        ["me-60.tar.gz", "other-50.tar.gz"]
    );
    let explicit = |question: &mut Question<'_>| question.target = Target::Explicit;
    assert!(matches!(decide_with(others(), &asked, explicit), Decision::Elsewhere { .. }), "one of two");
    let take = taken(decide_with(vec![archive("other", 50, &BOTH)], &asked, explicit));
    assert_eq!(take.origin.unwrap().host.as_str(), "other");
}

#[test]
fn from_selects_a_host_a_path_or_both() {
    let asked = [at("users", "/u.db")];
    let store = || vec![archive("a", 1, &BOTH), archive("a", 2, &[("users", "/x.db")]), archive("b", 3, &BOTH)];
    let from = |host: Option<&str>, path: Option<&str>| {
        let from = From { host: host.map(|host| HostLabel::new(host).unwrap()), path: path.map(str::to_owned) };
        decide_knowing(store(), &asked, (Some(&from), &[]), |_| {})
    };
    assert_eq!(taken(from(Some("b"), None)).archive.as_str(), "b-3.tar.gz");
    assert_eq!(taken(from(None, Some("/x.db"))).archive.as_str(), "a-2.tar.gz");
    assert_eq!(taken(from(Some("a"), Some("/u.db"))).archive.as_str(), "a-1.tar.gz");
    assert!(matches!(from(None, Some("/u.db")), Decision::Elsewhere { candidates, .. } if candidates.len() == 2));
    assert!(
        matches!(from(Some("c"), None), Decision::Elsewhere { candidates, .. } if candidates.len() == 3),
        "what there is"
    );
}

#[test]
fn if_some_databases_are_enough_the_others_are_reported() {
    let asked = [at("users", "/u.db"), at("orders", "/o.db"), at("new", "/n.db")];
    let store = || vec![archive("me", 1, &BOTH[..1]), archive("other", 2, &BOTH)];
    let decision = decide_with(store(), &asked, |_| {});
    assert!(matches!(decision, Decision::OutOfReach { .. }), "{decision:?}");
    let take = taken(decide_with(store(), &asked, |question| question.completeness = Completeness::Possible));
    assert_eq!((take.archive.as_str(), take.none_yet), ("me-1.tar.gz", vec![name("new")]));
    assert!(matches!(take.out_of_reach.as_slice(), [Absent { why: Why::Elsewhere(_), .. }]));
    let none = decide_with(vec![archive("me", 1, &BOTH)], &asked[2..], |_| {});
    assert_eq!(none, Decision::NoneYet { databases: vec![name("new")] });
}

#[test]
fn archives_without_a_path_are_found_by_name_and_those_with_one_by_path() {
    let asked = [at("users", "/u.db")];
    let take = taken(decide_with(vec![archive("me", 1, &[("users", "")])], &asked, |_| {}));
    assert_eq!(take.archive.as_str(), "me-1.tar.gz");
    let take = taken(decide_with(vec![archive("me", 1, &[("customers", "/u.db")])], &asked, |_| {}));
    assert_eq!(take.members, [(0, 0)], "a renamed database");
}

#[test]
fn a_database_known_only_by_name_has_the_path_of_its_newest_archive() {
    let asked = [Asked::named(name("users"))];
    let store = || vec![archive("me", 1, &[("users", "/a.db")]), archive("me", 2, &[("users", "/b.db")])];
    assert_eq!(taken(decide_with(store(), &asked, |_| {})).archive.as_str(), "me-2.tar.gz");
    let explicit = decide_with(store(), &asked, |question| question.target = Target::Explicit);
    assert!(matches!(explicit, Decision::Elsewhere { candidates, .. } if candidates.len() == 2), "two of one name");
    assert_eq!(
        included(
            &[archive("me", 1, &BOTH).snapshot],
            &name("shop"),
            &OwnHost::new(HostLabel::container()),
            None,
            hour(9)
        )
        .len(),
        2
    );
}

#[test]
fn applications_that_share_a_stream_are_distinguished_by_their_file() {
    let users = [("users", "/u.db")];
    let store = || {
        let x = archive("me", 1, &users).of_file("x", false);
        vec![x, archive("me", 2, &users).of_file("y", false), archive("me", 3, &users).of_file("x", true)]
    };
    let asked = |file: &str| [Asked { file: Some(FileIdentity(file.into())), ..at("users", "/u.db") }];
    let rivals: Vec<String> =
        taken(decide_with(store(), &asked("x"), |_| {})).rivals.iter().map(ToString::to_string).collect();
    assert_eq!(rivals, ["me-3.tar.gz", "me-2.tar.gz"]);
    let later = |question: &mut Question<'_>| question.now = hour(2 + 7 * 24);
    for (file, expected) in [("x", "me-3.tar.gz"), ("y", "me-2.tar.gz")] {
        let take = taken(decide_with(store(), &asked(file), later));
        assert_eq!((take.archive.as_str(), take.rivals.len()), (expected, 0), "{file}");
    }
    // A rolling deployment creates a new file once.
    let rolling = vec![archive("me", 1, &users).of_file("x", false), archive("me", 2, &users).of_file("y", false)];
    assert_eq!(taken(decide_with(rolling, &asked("y"), |_| {})).rivals, []);
}

#[test]
fn a_recorded_archive_is_reported_missing_if_it_could_have_been_chosen() {
    let asked = [at("users", "/u.db")];
    let there = archive("me", 5, &BOTH).snapshot;
    let remembered = |hours: i64| Remembered {
        database: name("users"),
        stream: there.databases[0].stream.clone(),
        archive: ArchiveName::new(format!("me-{hours}.tar.gz")).unwrap(),
        id: None,
        created_at: hour(hours),
    };
    let lost = |hours: i64, at: Option<DateTime<Utc>>| {
        let known = [remembered(hours)];
        let decision =
            decide_knowing(vec![archive("me", 5, &BOTH)], &asked, (None, &known), |question| question.at = at);
        taken(decision).lost.is_some()
    };
    assert!(lost(6, None));
    assert!(!lost(5, None), "it is there");
    assert!(!lost(4, None), "a newer one is there");
    assert!(!lost(101, None), "dated in the future");
    assert!(!lost(6, Some(hour(5))), "not asked for");
}

#[test]
fn a_path_finds_its_set() {
    let own = OwnHost::new(HostLabel::new("me").unwrap());
    let other_set = archive("me", 2, &[("users", "/u.db")]).but(|snapshot| snapshot.set = name("blog"));
    let snapshots = [other_set.snapshot, archive("me", 1, &BOTH).snapshot];
    assert_eq!(set_of_path(&snapshots, &own, "/o.db", &name("o")), SetChoice::One(name("shop")));
    assert_eq!(
        set_of_path(&snapshots, &own, "/u.db", &name("u")),
        SetChoice::Several(vec![name("blog"), name("shop")])
    );
    assert_eq!(set_of_path(&snapshots, &own, "/u.db", &name("blog")), SetChoice::One(name("blog")));
    assert_eq!(
        set_of_path(&snapshots, &own, "/n.db", &name("orders")),
        SetChoice::One(name("shop")),
        "by the name of a database"
    );
    assert_eq!(set_of_path(&snapshots, &own, "/n.db", &name("n")), SetChoice::None);
    assert_eq!(only_set(&snapshots[1..], &own), SetChoice::One(name("shop")));
    assert!(matches!(only_set(&snapshots, &own), SetChoice::Several(_)));
}

#[test]
fn archives_of_the_old_tool_belong_to_the_only_set_with_their_databases() {
    let legacy = |snapshot: &mut Snapshot| (snapshot.origin, snapshot.set) = (Origin::Legacy, name("backup"));
    let adopted = |sets: &[(&str, &[&str])]| {
        let mut snapshots = [archive("me", 1, &BOTH).but(legacy).snapshot];
        let sets: Vec<(Name, Vec<Name>)> = sets
            .iter()
            .map(|(set, names)| (name(set), names.iter().map(|database| name(database)).collect()))
            .collect();
        adopt_old_archives(&mut snapshots, sets.iter().map(|(set, names)| (set, names.iter().collect())));
        snapshots[0].set.to_string()
    };
    assert_eq!(adopted(&[("tools", &["users", "orders", "more"])]), "tools");
    assert_eq!(adopted(&[("tools", &["users"])]), "backup");
    assert_eq!(adopted(&[("a", &["users", "orders"]), ("b", &["users", "orders"])]), "backup");
}
