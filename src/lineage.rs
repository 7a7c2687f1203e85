//! What the archives of a stream show about its next backup, and which applications share a stream. Pure: no files, no
//! clock.
//!
//! Two applications can end up in one stream: containers without a `host`, clones, replicas with a copied
//! configuration. They use different files, so an archive records which file it was copied from ([`FileIdentity`]). If
//! a backup finds an archive of its own file and a newer one of another file (x, y, x), it belongs to another
//! application, and from then on its archives form a separate stream for that file.

use std::borrow::Borrow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::metadata::{Extent, Kind};
use crate::names::{ArchiveName, HostLabel, Name};
use crate::snapshot::{Brief, Snapshot};
use crate::streams::{BOTH_IN_USE, FileIdentity, Place, Stream};

/// Gives archives without a resolved path the path that later archives of the same host and path resolved to.
///
/// Releases before streams recorded the path as typed. If it was resolved to several paths (a database inside a release
/// folder), the right one is unknown, and the archives stay a separate stream.
pub fn unite_resolved(snapshots: &mut [Snapshot]) {
    let key = |brief: &Brief| Some((brief.stream.set.clone(), brief.stream.host.clone(), brief.source.clone()?));
    let mut resolved: HashMap<(Name, HostLabel, String), Option<Place>> = HashMap::new();
    for brief in snapshots.iter().flat_map(|snapshot| &snapshot.databases).filter(|brief| brief.resolved) {
        if let Some(key) = key(brief) {
            let place = resolved.entry(key).or_insert_with(|| Some(brief.stream.place.clone()));
            if place.as_ref() != Some(&brief.stream.place) {
                *place = None;
            }
        }
    }
    if resolved.is_empty() {
        return;
    }
    for brief in snapshots.iter_mut().flat_map(|snapshot| &mut snapshot.databases).filter(|brief| !brief.resolved) {
        if let Some(Some(place)) = key(brief).and_then(|key| resolved.get(&key)) {
            brief.stream.place = place.clone();
        }
    }
}

/// What the existing archives show about a new backup of one database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// Whether the new archive forms a stream by its file, because another application uses the same set, host and
    /// path.
    pub by_file: bool,
    /// The newest recent archive that another application made with the same set, host and path.
    pub rival: Option<String>,
    /// The maximum that the stream contained since its last shrink.
    pub previous: Option<Extent>,
    /// The newest archive of the stream, after which a new backup must be dated.
    pub newest: Option<DateTime<Utc>>,
    /// Another path with archives of this set, host and database name, if this backup starts a new stream.
    pub other_path: Option<String>,
}

/// Examines the archives before a backup of the database of `stream`, copied from `file`. The archives are newest
/// first.
pub fn before(
    snapshots: &[impl Borrow<Snapshot>],
    stream: &Stream,
    database: &Name,
    file: Option<&FileIdentity>,
    now: DateTime<Utc>,
) -> Before {
    let snapshots: Vec<&Snapshot> = snapshots.iter().map(Borrow::borrow).collect();
    let of_place = |snapshot: &Snapshot| snapshot.databases.iter().position(|brief| brief.stream.same_place(stream));
    let mut family: Vec<(&Snapshot, &Brief)> = snapshots
        .iter()
        .copied()
        .filter(|snapshot| snapshot.kind != Kind::Safety && !snapshot.is_plain() && !snapshot.is_closed())
        .filter_map(|snapshot| of_place(snapshot).map(|index| (snapshot, &snapshot.databases[index])))
        .collect();
    // Plain archives among encrypted ones count as long as there is nothing else: somebody may have put them there, so
    // that a loss of rows is not noticed.
    if family.iter().any(|(snapshot, _)| snapshot.is_trusted()) {
        family.retain(|(snapshot, _)| snapshot.is_trusted());
    }
    let by_file = file.is_some_and(|file| belongs_to_another(&family, file, now));
    let marker = if by_file { file.cloned() } else { None };
    let own = |brief: &Brief| brief.stream.file == marker;
    let recent = |snapshot: &Snapshot| snapshot.created_at <= now && now - snapshot.created_at < BOTH_IN_USE;
    // The first archives of this application can be in the stream that both shared.
    let is_rival =
        |(snapshot, brief): &&(&Snapshot, &Brief)| recent(snapshot) && !own(brief) && brief.file.as_ref() != file;
    let rival = family.iter().find(is_rival);
    let mut stream_archives = family.iter().filter(|(_, brief)| own(brief));
    let newest = stream_archives.clone().next().map(|(snapshot, _)| snapshot.created_at);
    let last = stream_archives.find(|(snapshot, _)| snapshot.created_at <= now && !snapshot.damaged);
    let other_path = if family.is_empty() {
        let of_set = |snapshot: &&Snapshot| {
            snapshot.set == stream.set && snapshot.host == stream.host && snapshot.kind != Kind::Safety
        };
        let others = snapshots.iter().copied().filter(of_set);
        others
            .flat_map(|snapshot| &snapshot.databases)
            .find(|brief| brief.name == *database && brief.stream.path().is_some())
            .and_then(|brief| brief.stream.path().map(str::to_owned))
    } else {
        None
    };
    Before {
        by_file,
        rival: rival.map(|(snapshot, _)| snapshot.name.as_str().to_owned()),
        previous: last.and_then(|(_, brief)| crate::retention::most_since_shrink(brief)),
        newest,
        other_path,
    }
}

/// Returns the newest archive of each application that shares a stream with others, if several of them made one in the
/// last days before `now`; nothing if there is only one application. The archives are newest first.
pub fn in_use<'a>(
    snapshots: impl Iterator<Item = &'a Snapshot>,
    stream: &Stream,
    now: DateTime<Utc>,
) -> Vec<ArchiveName> {
    let of_place = |snapshot: &'a Snapshot| {
        snapshot.databases.iter().find(|brief| brief.stream.same_place(stream)).map(|brief| (snapshot, brief))
    };
    let family: Vec<(&Snapshot, &Brief)> = snapshots
        .filter(|snapshot| snapshot.kind != Kind::Safety && !snapshot.is_plain() && snapshot.is_trusted())
        .filter(|snapshot| snapshot.created_at <= now)
        .filter_map(of_place)
        .collect();
    if family.iter().all(|(_, brief)| brief.stream.file.is_none()) {
        return Vec::new();
    }
    let mut newest: Vec<(&FileIdentity, &ArchiveName)> = Vec::new();
    for (snapshot, brief) in family.iter().filter(|(snapshot, _)| now - snapshot.created_at < BOTH_IN_USE) {
        if let Some(file) = &brief.file
            && newest.iter().all(|(known, _)| *known != file)
        {
            newest.push((file, &snapshot.name));
        }
    }
    if newest.len() > 1 { newest.into_iter().map(|(_, name)| name.clone()).collect() } else { Vec::new() }
}

/// Returns whether a backup of `file` belongs to another application than the stream: its own archives already form a
/// stream by file, or there is an archive of its own file and a newer one of another (x, y, x). Archives dated in the
/// future are ignored.
fn belongs_to_another(family: &[(&Snapshot, &Brief)], file: &FileIdentity, now: DateTime<Utc>) -> bool {
    if family.iter().any(|(_, brief)| brief.stream.file.as_ref() == Some(file)) {
        return true;
    }
    let in_common = family.iter().filter(|(snapshot, brief)| brief.stream.file.is_none() && snapshot.created_at <= now);
    // Newest first, even within one second: whether another file precedes the first archive of this one.
    let mut known = in_common.filter_map(|(_, brief)| brief.file.as_ref());
    known.next().is_some_and(|newest| newest != file) && known.any(|other| other == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = "/srv/one/orders.db";

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00:00Z").parse().unwrap()
    }

    fn stream() -> Stream {
        let (set, host) = (Name::new("shop").unwrap(), HostLabel::new("web").unwrap());
        Stream { set, host, place: Place::Path(ORDERS.into()), file: None }
    }

    fn file(name: &str) -> FileIdentity {
        FileIdentity(name.into())
    }

    /// The archives of several applications, newest first.
    #[derive(Default)]
    struct Store(Vec<Snapshot>);

    impl Store {
        fn before(&self, name: &str, time: &str) -> Before {
            before(&self.0, &stream(), &Name::new("orders").unwrap(), Some(&file(name)), at(time))
        }

        fn back_up(&mut self, name: &str, time: &str, rows: u64) -> Before {
            let found = self.before(name, time);
            let stream = Stream { file: found.by_file.then(|| file(name)), ..stream() };
            let (set, host) = (stream.set.clone(), stream.host.clone());
            let brief = Brief {
                bytes: Some(rows * 100),
                rows: Some(rows),
                stream,
                source: Some(ORDERS.into()),
                file: Some(file(name)),
                previous: found.previous,
                ..Brief::simulated(&set, &host, &Name::new("orders").unwrap())
            };
            self.0.push(Snapshot { host, databases: vec![brief], ..Snapshot::simulated(&set, at(time)) });
            self.0.sort_by(Snapshot::newest_first);
            found
        }
    }

    #[test]
    fn alternating_applications_get_separate_streams_and_a_new_file_does_not() {
        let mut store = Store::default();
        let by_file = |before: &Before| (before.by_file, before.rival.is_some());
        assert_eq!(by_file(&store.back_up("x", "2026-03-01T01", 10)), (false, false));
        assert_eq!(
            by_file(&store.back_up("y", "2026-03-01T02", 10)),
            (false, false),
            "a deployment created a new file"
        );
        assert_eq!(by_file(&store.back_up("y", "2026-03-02T02", 10)), (false, false));
        assert_eq!(by_file(&store.back_up("x", "2026-03-03T01", 10)), (true, true), "x, y, x");
        assert_eq!(by_file(&store.back_up("y", "2026-03-03T02", 10)), (false, true), "y keeps the shared stream");
        assert_eq!(
            by_file(&store.back_up("x", "2026-03-20T01", 10)),
            (true, false),
            "y was not seen for a week, and x stays separate"
        );
        assert_eq!(by_file(&store.back_up("z", "2026-03-20T02", 10)), (false, true), "a new file of y");
    }

    #[test]
    fn an_archive_dated_in_the_future_does_not_indicate_a_second_application() {
        let mut store = Store::default();
        store.back_up("x", "2026-03-01T01", 10);
        // A clock two years ahead for one night, then a deployment, then the next two backups.
        store.back_up("x", "2028-03-02T01", 10);
        store.back_up("y", "2026-03-03T01", 10);
        assert_eq!(
            store.back_up("y", "2026-03-04T01", 10),
            Before {
                by_file: false,
                rival: None,
                previous: Some(Extent { rows: Some(10), bytes: 1000 }),
                newest: Some(at("2028-03-02T01")),
                other_path: None,
            }
        );
    }

    #[test]
    fn each_archive_records_the_maximum_since_the_last_shrink() {
        let mut store = Store::default();
        let mut previous = |time: &str, rows| store.back_up("x", time, rows).previous.and_then(|extent| extent.rows);
        assert_eq!(previous("2026-03-01T01", 10_000), None);
        assert_eq!(previous("2026-03-02T01", 8000), Some(10_000));
        assert_eq!(previous("2026-03-03T01", 6000), Some(10_000), "losses add up");
        assert_eq!(previous("2026-03-04T01", 4900), Some(10_000), "a shrink");
        assert_eq!(previous("2026-03-05T01", 4000), Some(4900));
        // Archives that are damaged, dated in the future or safety backups are left out.
        store.0[0].damaged = true;
        store.0[1].kind = Kind::Safety;
        assert_eq!(store.before("x", "2026-03-05T02").previous.and_then(|extent| extent.rows), Some(10_000));
        assert_eq!(store.before("x", "2026-03-02T02").previous.and_then(|extent| extent.rows), Some(10_000));
        assert_eq!(store.before("x", "2026-03-01T00").previous, None);
    }

    #[test]
    fn a_typed_path_joins_its_resolved_path_if_that_is_unique() {
        let typed = "/srv/app/current/orders.db";
        let archive = |time: &str, resolved: Option<&str>| {
            let mut store = Store::default();
            store.back_up("x", time, 10);
            let mut archive = store.0.remove(0);
            let brief = &mut archive.databases[0];
            brief.source = Some(typed.into());
            brief.resolved = resolved.is_some();
            brief.stream.place = Place::Path(resolved.unwrap_or(typed).into());
            archive
        };
        let united = |resolved: &[&str]| {
            let mut archives: Vec<Snapshot> =
                resolved.iter().map(|path| archive("2026-03-02T01", Some(*path))).collect();
            archives.push(archive("2026-03-01T01", None));
            unite_resolved(&mut archives);
            archives.last().unwrap().databases[0].stream.path().unwrap().to_owned()
        };
        assert_eq!(united(&["/srv/shared/orders.db"]), "/srv/shared/orders.db");
        assert_eq!(united(&["/srv/app/releases/2/orders.db", "/srv/app/releases/1/orders.db"]), typed, "ambiguous");
        assert_eq!(united(&[]), typed);
    }
}
