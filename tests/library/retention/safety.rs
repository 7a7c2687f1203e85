//! Safety backups, which no rule removes and each new one thins out: tests `superfluous_safety` against the sentences
//! of its contract.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use chrono_tz::Tz;
use heirloom::metadata::Kind;
use heirloom::retention::superfluous_safety;
use heirloom::snapshot::Snapshot;
use heirloom::streams::Stream;

use super::dice::Dice;
use super::histories::{archive, each, utc};
use super::slow::{Store, brief, in_a_burst};

type Names = BTreeSet<String>;

fn thinned(
    archives: &[Snapshot],
    streams: &[Stream],
    last: u32,
    now: chrono::DateTime<chrono::Utc>,
    zone: Tz,
) -> Names {
    superfluous_safety(archives, streams, last, now, zone).into_iter().map(|name| name.as_str().to_owned()).collect()
}

/// The slow second implementation.
fn expected(
    archives: &[Snapshot],
    streams: &[Stream],
    last: u32,
    now: chrono::DateTime<chrono::Utc>,
    zone: Tz,
) -> Names {
    let store = Store::new(archives);
    let is_safety = |archive: &&Snapshot| archive.kind == Kind::Safety && !archive.is_plain();
    let is_needed = |archive: &Snapshot, stream: &Stream| {
        let with_damaged = store.damaged(archive);
        let counts = |other: &&Snapshot| {
            is_safety(other)
                && brief(other, stream).is_some()
                && store.is_first(other)
                && !store.pinned(other)
                && other.created_at <= now
                && (with_damaged || !store.damaged(other))
        };
        in_a_burst(store.first(archive), archives.iter().filter(counts).collect(), last as usize, now, zone)
    };
    let goes = |archive: &&Snapshot| {
        is_safety(archive)
            && !store.pinned(archive)
            && !store.held(archive)
            && archive.created_at <= now
            && archive
                .databases
                .iter()
                .all(|brief| streams.contains(&brief.stream) && !is_needed(archive, &brief.stream))
    };
    archives.iter().filter(goes).map(|archive| archive.name.as_str().to_owned()).collect()
}

/// The histories with additional safety backups, and the streams of one restore.
fn each_with_streams(mut test: impl FnMut(u64, &[Snapshot], &[Stream], u32, chrono::DateTime<chrono::Utc>, Tz)) {
    each(|history| {
        let mut dice = Dice::new(history.seed ^ 0x5afe);
        let mut archives = history.archives.clone();
        for archive in &mut archives {
            // By id, so that copies stay copies.
            let id = archive.id.map_or(0, |id| id.to_string().bytes().map(u64::from).sum());
            if !archive.is_plain() && !(id + history.seed).is_multiple_of(3) {
                archive.kind = Kind::Safety;
            }
        }
        let one = dice.pick(&archives);
        let mut streams: Vec<Stream> = one.databases.iter().map(|brief| brief.stream.clone()).collect();
        if dice.chance(30) {
            streams =
                archives.iter().flat_map(|archive| &archive.databases).map(|brief| brief.stream.clone()).collect();
        }
        let last = dice.pick(&[1, 2, 5]);
        test(history.seed, &archives, &streams, last, history.scene.now, history.scene.zone);
    });
}

#[test]
fn only_archives_that_no_stream_needs_are_superfluous() {
    let mut count = 0;
    each_with_streams(|seed, archives, streams, last, now, zone| {
        let superfluous = thinned(archives, streams, last, now, zone);
        assert_eq!(
            superfluous,
            expected(archives, streams, last, now, zone),
            "seed {seed}: the last {last}, {streams:?}"
        );
        count += superfluous.len();
        for archive in archives.iter().filter(|archive| superfluous.contains(archive.name.as_str())) {
            assert!(
                archive.kind == Kind::Safety && !archive.pinned && !archive.held && !archive.is_plain(),
                "seed {seed}"
            );
            assert!(
                archive.databases.iter().all(|brief| streams.contains(&brief.stream)),
                "seed {seed}: of another stream"
            );
        }
        let left: Vec<Snapshot> =
            archives.iter().filter(|archive| !superfluous.contains(archive.name.as_str())).cloned().collect();
        assert_eq!(thinned(&left, streams, last, now, zone), Names::new(), "seed {seed}: a second run removes more");
        assert_bounded(seed, &left, streams, last, now, zone);
    });
    println!("{count} superfluous safety backups");
    assert!(count > 10_000, "the histories are too uniform");
}

/// A single stream is left with no more than the last few archives and one for every hour of 14 days.
fn assert_bounded(
    seed: u64,
    left: &[Snapshot],
    streams: &[Stream],
    last: u32,
    now: chrono::DateTime<chrono::Utc>,
    zone: Tz,
) {
    let store = Store::new(left);
    for stream in streams {
        let counts = |archive: &&Snapshot| {
            archive.kind == Kind::Safety
                && archive.created_at <= now
                && !archive.damaged
                && store.is_first(archive)
                && !archive.is_plain()
        };
        let alone = |archive: &&Snapshot| archive.databases.len() == 1 && archive.databases[0].stream == *stream;
        let unmarked = |archive: &&Snapshot| !store.pinned(archive) && !store.held(archive) && !store.damaged(archive);
        let old = left
            .iter()
            .filter(counts)
            .filter(alone)
            .filter(unmarked)
            .filter(|archive| now - archive.created_at > TimeDelta::days(15));
        assert!(old.count() <= last as usize, "seed {seed}: old ones of {stream:?} are kept in {zone}");
    }
}

#[test]
fn a_crash_loop_of_restores_keeps_the_first_of_every_hour_and_the_last_five() {
    let start = utc("2026-03-01T00:02:00Z");
    let mut store: Vec<Snapshot> = Vec::new();
    // Every 5 minutes for 3 days, thinning out each time.
    for number in 0..3 * 24 * 12 {
        let at = start + TimeDelta::minutes(5 * number);
        let made = Snapshot { kind: Kind::Safety, ..archive("app", &["app"], at) };
        let streams = [made.databases[0].stream.clone()];
        store.push(made);
        let superfluous = thinned(&store, &streams, 5, at, Tz::UTC);
        store.retain(|archive| !superfluous.contains(archive.name.as_str()));
        assert!(store.len() <= 72 + 5, "{} at {at}", store.len());
    }
    assert_eq!(store[0].created_at, start, "the state before the first of them");
    assert_eq!(store.len(), 72 + 5);
}
