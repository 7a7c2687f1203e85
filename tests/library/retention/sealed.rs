//! Encrypted archives that nothing vouches for, and plain ones among encrypted ones: neither removes any other.

use std::collections::BTreeSet;

use heirloom::metadata::Kind;
use heirloom::names::{ArchiveId, ArchiveName, HostLabel, Name};
use heirloom::snapshot::{Seal, Snapshot};

use super::dice::{DAY, Dice, seconds};
use super::histories::each;
use super::properties::{Names, removed};

/// Makes an archive as somebody would who knows all of the store: a copy of one of its archives with another date, set,
/// host, size, kind, or the same.
fn lie(dice: &mut Dice, archives: &[Snapshot], number: usize) -> Snapshot {
    let mut lie = dice.pick(archives);
    lie.name = ArchiveName::new(format!("lie-{number}.tar.gz.age")).unwrap();
    lie.seal = Seal::Closed;
    (lie.pinned, lie.held) = (false, false);
    lie.id = lie.id.filter(|_| dice.chance(50)).or_else(|| dice.chance(50).then(|| ArchiveId::of_metadata(b"lie")));
    match dice.between(0, 5) {
        0 => lie.created_at += seconds(dice.between(0, 400 * DAY)),
        1 => lie.created_at -= seconds(dice.between(0, 400 * DAY)),
        2 => lie.set = Name::new("other").unwrap(),
        3 => lie.host = HostLabel::new("elsewhere").unwrap(),
        4 => lie.kind = dice.pick(&[Kind::Manual, Kind::Safety, Kind::PreUpdate, Kind::Final]),
        _ => lie.damaged = !lie.damaged,
    }
    for brief in &mut lie.databases {
        if dice.chance(30) {
            brief.rows = Some(dice.between(0, 1_000_000));
            brief.bytes = Some(dice.between(0, u64::MAX - 1));
        }
        brief.stream.set = lie.set.clone();
        brief.stream.host = lie.host.clone();
    }
    lie
}

#[test]
fn archives_of_which_only_a_label_is_known_change_no_plan_and_stay() {
    let mut count = 0;
    each(|history| {
        let mut dice = Dice::new(history.seed);
        let mut all = history.archives.clone();
        for number in 0..dice.between(1, 20) as usize {
            let lie = lie(&mut dice, &history.archives, number);
            all.insert(dice.index(all.len() + 1), lie);
        }
        for decider in history.both() {
            let expected = removed(&decider.plan(&history.archives, &history.scene()));
            let plan = decider.plan(&all, &history.scene());
            assert_eq!(removed(&plan), expected, "seed {}: {decider:?}", history.seed);
            count += expected.len();
        }
    });
    assert!(count > 1000, "{count} removals");
}

#[test]
fn plain_archives_take_no_slot_from_encrypted_ones() {
    let (mut sealed_count, mut exposed_count) = (0, 0);
    each(|history| {
        let mut dice = Dice::new(history.seed);
        // Copies of one archive are plain or encrypted together.
        let exposed: BTreeSet<Option<ArchiveId>> =
            history.archives.iter().map(|archive| archive.id).filter(|_| dice.chance(40)).collect();
        let mut all = history.archives.clone();
        for archive in all.iter_mut().filter(|archive| !archive.is_plain()) {
            let is_exposed = if archive.id.is_some() { exposed.contains(&archive.id) } else { dice.chance(40) };
            archive.seal = if is_exposed { Seal::Missing } else { Seal::Known };
        }
        let sealed: Vec<Snapshot> = all.iter().filter(|archive| archive.seal != Seal::Missing).cloned().collect();
        let is_sealed = |name: &String| sealed.iter().any(|archive| archive.name.as_str() == name);
        for decider in history.both() {
            let expected = removed(&decider.plan(&sealed, &history.scene()));
            let (of_sealed, of_exposed): (Names, Names) =
                removed(&decider.plan(&all, &history.scene())).into_iter().partition(is_sealed);
            assert_eq!(of_sealed, expected, "seed {}: {decider:?}", history.seed);
            sealed_count += of_sealed.len();
            exposed_count += of_exposed.len();
        }
    });
    assert!(sealed_count > 1000 && exposed_count > 1000, "{sealed_count} and {exposed_count} removals");
}
