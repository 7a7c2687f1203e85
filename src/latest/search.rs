//! Searches the archive: what the relevant streams contain of each database, and why other archives are not chosen.

use chrono::{DateTime, Utc};

use super::{Absent, Asked, Candidate, Completeness, Decision, From, Newer, Question, Remembered, Take, Target, Why};
use crate::lineage;
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::snapshot::{Brief, Seal, Snapshot};
use crate::streams::{FileIdentity, PathId, Place, Stream};

/// Returns whether files of other tools may be chosen: they are never the newest if there are archives.
pub(super) fn plain_counts(snapshots: &[Snapshot]) -> bool {
    snapshots.iter().all(Snapshot::is_plain)
}

/// Returns whether an archive may be chosen without being named.
pub(super) fn is_usable(snapshot: &Snapshot, plain: bool, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    (plain || !snapshot.is_plain())
        && !snapshot.is_locked()
        && snapshot.is_trusted()
        && !snapshot.damaged
        && snapshot.kind != Kind::Safety
        && snapshot.created_at <= now
        && !is_later(snapshot, at)
}

/// Compares whole seconds, so that the time in an archive's own name finds it.
fn is_later(snapshot: &Snapshot, at: Option<DateTime<Utc>>) -> bool {
    at.is_some_and(|at| snapshot.created_at.timestamp() > at.timestamp())
}

/// A requested database, and its archives.
struct Holding<'a> {
    asked: &'a Asked,
    index: usize,
    /// The usable archives of its stream, newest first, and the index of the database in each.
    usable: Vec<(&'a Snapshot, usize)>,
}

/// A request and the archives of its set.
pub(super) struct Search<'a> {
    /// The archives of the set.
    snapshots: Vec<&'a Snapshot>,
    plain: bool,
    question: &'a Question<'a>,
}

impl<'a> Search<'a> {
    pub(super) fn new(snapshots: &'a [Snapshot], question: &'a Question<'a>) -> Self {
        let of_set = snapshots.iter().filter(|snapshot| snapshot.set == *question.set).collect();
        Self { snapshots: of_set, plain: plain_counts(snapshots), question }
    }

    fn usable(&self) -> impl Iterator<Item = &'a Snapshot> + use<'a, '_> {
        let question = self.question;
        self.snapshots
            .iter()
            .copied()
            .filter(move |snapshot| is_usable(snapshot, self.plain, question.at, question.now))
    }

    pub(super) fn decide(&self) -> Decision {
        match self.question.from {
            Some(from) => self.decide_from(from),
            None => self.decide_own(),
        }
    }

    fn decide_own(&self) -> Decision {
        let holdings: Vec<Holding<'a>> =
            self.question.asked.iter().enumerate().map(|(index, asked)| self.own_holding(index, asked)).collect();
        let (found, empty): (Vec<Holding<'a>>, Vec<Holding<'a>>) =
            holdings.into_iter().partition(|holding| !holding.usable.is_empty());
        let (mut none_yet, mut absent) = (Vec::new(), Vec::new());
        for holding in &empty {
            match self.why(holding.asked) {
                None => none_yet.push(holding.asked.name.clone()),
                Some(why) => absent.push(Absent { database: holding.asked.name.clone(), why }),
            }
        }
        if found.is_empty() {
            return self.decide_without_own(none_yet, absent, &empty);
        }
        if !absent.is_empty() && self.question.completeness == Completeness::All {
            absent.extend(found.iter().map(Holding::apart));
            return Decision::OutOfReach { databases: absent };
        }
        if let Some(candidates) = self.ambiguous(&found) {
            let databases = found.iter().map(|holding| holding.asked.name.clone()).collect();
            return Decision::Elsewhere { candidates, databases };
        }
        match newest_of_all(&found) {
            Some((snapshot, members)) => {
                let mut take = self.take(snapshot, members, &found);
                (take.none_yet, take.out_of_reach) = (none_yet, absent);
                Decision::Take(Box::new(take))
            }
            None => {
                absent.extend(found.iter().map(Holding::apart));
                Decision::OutOfReach { databases: absent }
            }
        }
    }

    /// If the own streams have nothing: archives of others are only used if the target was given and there is exactly
    /// one candidate.
    fn decide_without_own(&self, none_yet: Vec<Name>, absent: Vec<Absent>, empty: &[Holding<'a>]) -> Decision {
        if absent.is_empty() {
            return Decision::NoneYet { databases: none_yet };
        }
        let elsewhere = |asked: &Asked| {
            absent.iter().any(|absent| absent.database == asked.name && matches!(absent.why, Why::Elsewhere(_)))
        };
        let wanted: Vec<(usize, &Asked)> = empty
            .iter()
            .filter(|holding| elsewhere(holding.asked))
            .map(|holding| (holding.index, holding.asked))
            .collect();
        if wanted.is_empty() || (wanted.len() < absent.len() && self.question.completeness == Completeness::All) {
            return Decision::OutOfReach { databases: absent };
        }
        let candidates = self.candidates(&wanted, None);
        match candidates.as_slice() {
            [] => Decision::OutOfReach { databases: absent },
            [only] if self.question.target == Target::Explicit => {
                let mut take = self.take_candidate(only, &wanted, None);
                let rest = absent.into_iter().filter(|absent| !matches!(absent.why, Why::Elsewhere(_)));
                (take.none_yet, take.out_of_reach) = (none_yet, rest.collect());
                Decision::Take(Box::new(take))
            }
            _ => Decision::Elsewhere {
                candidates,
                databases: wanted.iter().map(|(_, asked)| asked.name.clone()).collect(),
            },
        }
    }

    fn decide_from(&self, from: &From) -> Decision {
        let all: Vec<(usize, &Asked)> = self.question.asked.iter().enumerate().collect();
        let held =
            |asked: &Asked| self.usable().any(|snapshot| self.member_from(snapshot, asked, Some(from)).is_some());
        let (wanted, empty): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, asked)| held(asked));
        let (mut none_yet, mut absent) = (Vec::new(), Vec::new());
        for (_, asked) in &empty {
            match self.why(asked) {
                None => none_yet.push(asked.name.clone()),
                Some(why) => absent.push(Absent { database: asked.name.clone(), why }),
            }
        }
        let candidates = if wanted.is_empty() { Vec::new() } else { self.candidates(&wanted, Some(from)) };
        match candidates.as_slice() {
            [] => {
                let all: Vec<(usize, &Asked)> = self.question.asked.iter().enumerate().collect();
                let databases = self.question.asked.iter().map(|asked| asked.name.clone()).collect();
                match self.candidates(&all, None) {
                    candidates if candidates.is_empty() && absent.is_empty() => Decision::NoneYet { databases },
                    candidates if candidates.is_empty() => Decision::OutOfReach { databases: absent },
                    candidates => Decision::Elsewhere { candidates, databases },
                }
            }
            [_] if !absent.is_empty() && self.question.completeness == Completeness::All => {
                Decision::OutOfReach { databases: absent }
            }
            [only] => {
                let mut take = self.take_candidate(only, &wanted, Some(from));
                (take.none_yet, take.out_of_reach) = (none_yet, absent);
                Decision::Take(Box::new(take))
            }
            _ => Decision::Elsewhere {
                candidates,
                databases: wanted.iter().map(|(_, asked)| asked.name.clone()).collect(),
            },
        }
    }

    /// Returns the archives of a database in its stream.
    fn own_holding(&self, index: usize, asked: &'a Asked) -> Holding<'a> {
        let with = |path: Option<&str>| -> Vec<(&'a Snapshot, usize)> {
            let own = self.usable().filter(|snapshot| self.question.own.owns(&snapshot.host));
            own.filter_map(|snapshot| position(snapshot, asked, path).map(|member| (snapshot, member))).collect()
        };
        let mut usable = with(asked.path.as_deref());
        for other in &asked.others {
            if usable.is_empty() {
                usable = with(Some(other));
            }
        }
        if asked.path.is_none()
            && let Some((newest, member)) = usable.first()
        {
            // The newest one gives its location.
            let place = newest.databases[*member].stream.place.clone();
            usable.retain(|(snapshot, member)| snapshot.databases[*member].stream.place == place);
        }
        of_own_application(&mut usable, asked.file.as_ref());
        Holding { asked, index, usable }
    }

    /// Returns the own streams among which only the user can choose: a target was given, the databases are known only
    /// by name, and this host has several paths for one of them.
    fn ambiguous(&self, found: &[Holding<'a>]) -> Option<Vec<Candidate>> {
        let by_name = |holding: &&Holding<'a>| holding.asked.path.is_none();
        if self.question.target == Target::Known || !found.iter().any(|holding| by_name(&holding)) {
            return None;
        }
        let wanted: Vec<(usize, &Asked)> = found.iter().map(|holding| (holding.index, holding.asked)).collect();
        let mut candidates = self.candidates(&wanted, None);
        candidates.retain(|candidate| self.question.own.owns(&candidate.host));
        let places = |candidate: &Candidate| candidate.places.clone();
        let different = candidates.iter().any(|candidate| places(candidate) != places(&candidates[0]));
        different.then_some(candidates)
    }

    /// Returns the streams of other hosts and paths, and the own ones, that contain all of these databases: newest
    /// first.
    fn candidates(&self, wanted: &[(usize, &Asked)], from: Option<&From>) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for snapshot in self.usable() {
            let places: Option<Vec<(Name, Place)>> = wanted
                .iter()
                .map(|(_, asked)| {
                    let member = self.member_from(snapshot, asked, from)?;
                    Some((asked.name.clone(), snapshot.databases[member].stream.place.clone()))
                })
                .collect();
            let Some(places) = places else { continue };
            if !candidates.iter().any(|candidate| candidate.host == snapshot.host && candidate.places == places) {
                let (host, newest) = (snapshot.host.clone(), snapshot.name.clone());
                candidates.push(Candidate { host, places, newest, created_at: snapshot.created_at });
            }
        }
        candidates
    }

    /// Returns the requested database of an archive, whatever its host: by path, or else by name.
    fn member_from(&self, snapshot: &Snapshot, asked: &Asked, from: Option<&From>) -> Option<usize> {
        let Some(from) = from else {
            return position(snapshot, asked, asked.path.as_deref()).or_else(|| named(snapshot, &asked.name));
        };
        if from.host.as_ref().is_some_and(|host| *host != snapshot.host) {
            return None;
        }
        let Some(path) = &from.path else {
            return position(snapshot, asked, asked.path.as_deref()).or_else(|| named(snapshot, &asked.name));
        };
        let at_path = |brief: &Brief| brief.stream.path() == Some(path) || brief.source.as_ref() == Some(path);
        let member = snapshot.databases.iter().position(at_path)?;
        // One database of a set is enough to identify the archives; the others are found by name.
        if self.question.asked.len() == 1 { Some(member) } else { named(snapshot, &asked.name) }
    }

    fn take_candidate(&self, candidate: &Candidate, wanted: &[(usize, &'a Asked)], from: Option<&From>) -> Take {
        let usable = |asked: &Asked| -> Vec<(&'a Snapshot, usize)> {
            let place = candidate.places.iter().find(|(name, _)| *name == asked.name).map(|(_, place)| place);
            let of_candidate = self.usable().filter(|snapshot| snapshot.host == candidate.host);
            let members = of_candidate
                .filter_map(|snapshot| self.member_from(snapshot, asked, from).map(|member| (snapshot, member)));
            members.filter(|(snapshot, member)| Some(&snapshot.databases[*member].stream.place) == place).collect()
        };
        let found: Vec<Holding<'a>> =
            wanted.iter().map(|(index, asked)| Holding { asked, index: *index, usable: usable(asked) }).collect();
        let (snapshot, members) = newest_of_all(&found).expect("a candidate holds all of them");
        Take { origin: Some(candidate.clone()), ..self.take(snapshot, members, &found) }
    }

    fn take(&self, chosen: &Snapshot, members: Vec<(usize, usize)>, found: &[Holding<'a>]) -> Take {
        let newer: Vec<Newer> = found
            .iter()
            .filter_map(|holding| holding.usable.first().map(|(newest, _)| (holding, newest)))
            .filter(|(_, newest)| newest.created_at > chosen.created_at)
            .map(|(holding, newest)| Newer {
                database: holding.asked.name.clone(),
                archive: newest.name.clone(),
                created_at: newest.created_at,
            })
            .collect();
        let too_old = newer.iter().any(|newer| newer.created_at - chosen.created_at > self.question.max_age);
        let streams = members.iter().map(|(_, member)| &chosen.databases[*member].stream);
        let mut rivals: Vec<ArchiveName> = Vec::new();
        for stream in streams.clone() {
            for rival in self.in_use(stream) {
                if !rivals.contains(&rival) {
                    rivals.push(rival);
                }
            }
        }
        let lost = streams
            .filter_map(|stream| self.lost(|known| known.stream.same_place(stream)))
            .max_by_key(|lost| lost.created_at);
        Take {
            archive: chosen.name.clone(),
            created_at: chosen.created_at,
            members,
            none_yet: Vec::new(),
            out_of_reach: Vec::new(),
            newer,
            too_old,
            rivals,
            lost: lost.filter(|lost| lost.created_at > chosen.created_at),
            origin: None,
        }
    }

    /// Returns the newest archive of each application that shares a stream, if several are in use.
    fn in_use(&self, stream: &Stream) -> Vec<ArchiveName> {
        let until = self.question.at.map_or(self.question.now, |at| at.min(self.question.now));
        lineage::in_use(self.snapshots.iter().copied(), stream, until)
    }

    /// Returns the newest archive that this host recorded, that could be chosen, and that is missing from the store.
    fn lost(&self, fits: impl Fn(&Remembered) -> bool) -> Option<Remembered> {
        let question = self.question;
        let is_there = |known: &Remembered| {
            self.snapshots.iter().any(|snapshot| match (known.id, snapshot.id) {
                (Some(known), Some(there)) => known == there,
                _ => known.archive == snapshot.name,
            })
        };
        let in_time = |known: &&Remembered| {
            known.created_at <= question.now
                && question.at.is_none_or(|at| known.created_at.timestamp() <= at.timestamp())
        };
        let of_set = question.remembered.iter().filter(|known| known.stream.set == *question.set).filter(in_time);
        of_set.filter(|known| fits(known) && !is_there(known)).max_by_key(|known| known.created_at).cloned()
    }

    /// Returns why no archive can be chosen for a database; `None` if no archive of the set contains it.
    fn why(&self, asked: &Asked) -> Option<Why> {
        let question = self.question;
        let path = asked.path.as_deref();
        let is_own = |snapshot: &&&Snapshot| question.own.owns(&snapshot.host);
        let reason = |snapshot: &Snapshot| {
            let name = snapshot.name.clone();
            if snapshot.created_at > question.now {
                Why::Future(name)
            } else if is_later(snapshot, question.at) {
                Why::Later(name)
            } else if snapshot.kind == Kind::Safety {
                Why::Safety(name)
            } else if snapshot.is_plain() {
                Why::Plain(name)
            } else if snapshot.damaged {
                Why::Damaged(name)
            } else if snapshot.is_locked() {
                Why::Locked(name)
            } else if snapshot.seal == Seal::Missing {
                Why::Exposed(name)
            } else {
                Why::Damaged(name)
            }
        };
        let holders = || self.snapshots.iter();
        // A damaged one is more informative than a safety backup.
        let telling = |why: &Why| matches!(why, Why::Damaged(_) | Why::Later(_) | Why::Future(_) | Why::Locked(_));
        let own: Vec<Why> = holders()
            .filter(is_own)
            .filter(|snapshot| position(snapshot, asked, path).is_some())
            .map(|snapshot| reason(snapshot))
            .collect();
        if let Some(why) = own.iter().find(|why| telling(why)).or(own.first()) {
            return Some(why.clone());
        }
        let owned = |known: &Remembered| {
            let here = question.own.owns(&known.stream.host);
            here && path.map_or(known.database == asked.name, |path| known.stream.path() == Some(path))
        };
        if let Some(lost) = self.lost(owned) {
            return Some(Why::Lost(lost));
        }
        if let Some(candidate) = self.candidates(&[(0, asked)], None).into_iter().next() {
            return Some(Why::Elsewhere(candidate));
        }
        let others: Vec<Why> = holders()
            .filter(|snapshot| self.member_from(snapshot, asked, None).is_some())
            .map(|snapshot| reason(snapshot))
            .collect();
        others.iter().find(|why| telling(why)).or(others.first()).cloned()
    }
}

impl Holding<'_> {
    fn apart(&self) -> Absent {
        let newest = self.usable[0].0.name.clone();
        Absent { database: self.asked.name.clone(), why: Why::Apart(newest) }
    }
}

/// Returns the requested database of an archive: by path if both have one, or else by name.
fn position(snapshot: &Snapshot, asked: &Asked, path: Option<&str>) -> Option<usize> {
    let fits = |brief: &Brief| match (&brief.stream.place, path) {
        (Place::Path(recorded), Some(path)) => {
            recorded == path || (!brief.resolved && Some(recorded) == asked.typed.as_ref())
        }
        (Place::Name(name), Some(_)) => *name == asked.name,
        (Place::Hidden(id), Some(path)) => *id == PathId::of(&brief.stream.set, &brief.stream.host, path),
        (_, None) => brief.name == asked.name,
    };
    snapshot.databases.iter().position(fits)
}

fn named(snapshot: &Snapshot, name: &Name) -> Option<usize> {
    snapshot.databases.iter().position(|brief| brief.name == *name)
}

/// Keeps only the archives of the application that has the file, if the applications of a stream can be distinguished.
fn of_own_application(usable: &mut Vec<(&Snapshot, usize)>, file: Option<&FileIdentity>) {
    let marker = |(snapshot, member): &(&Snapshot, usize)| snapshot.databases[*member].stream.file.clone();
    let (Some(file), true) = (file, usable.iter().any(|found| marker(found).is_some())) else { return };
    let own = usable.iter().any(|found| marker(found).as_ref() == Some(file)).then(|| file.clone());
    usable.retain(|found| marker(found) == own);
}

/// Returns the newest archive that contains all of the databases, and the index of each in it.
fn newest_of_all<'a>(found: &[Holding<'a>]) -> Option<(&'a Snapshot, Vec<(usize, usize)>)> {
    let (first, rest) = found.split_first()?;
    first.usable.iter().find_map(|(snapshot, member)| {
        let others = rest.iter().map(|holding| {
            let member =
                holding.usable.iter().find(|(other, _)| other.name == snapshot.name).map(|(_, member)| *member)?;
            Some((holding.index, member))
        });
        let members: Option<Vec<(usize, usize)>> =
            std::iter::once(Some((first.index, *member))).chain(others).collect();
        members.map(|members| (*snapshot, members))
    })
}
