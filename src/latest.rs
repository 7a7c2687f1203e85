//! Which archive `latest` and `--at` mean. Pure: the archives of the store, the databases asked for and the time come in,
//! and a [`Decision`] comes out; nothing is read, asked or printed here.
//!
//! Decided by stream: the newest good archive that holds every database asked for in the host's own streams. An archive
//! of another host or of another path is never taken in silence, however new it is: two tenants may use one name.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::metadata::Kind;
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::snapshot::{Brief, Origin, Snapshot};
use crate::streams::{self, FileIdentity, OwnHost, Place, Stream};

/// How much older than the newest archive of one of its databases an archive may be, if `max_backup_age` is not set.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(26);

/// A database that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name in the set.
    pub name: Name,
    /// The resolved path where it belongs; `None` if nothing but archives knows it.
    pub path: Option<String>,
    /// Further paths of the configuration where it may have been, if nothing lies at any of them.
    pub others: Vec<String>,
    /// The file that lies at the path now.
    pub file: Option<FileIdentity>,
}

impl Asked {
    /// Makes a database that is known by its name only.
    pub fn named(name: Name) -> Self {
        Self { name, path: None, others: Vec::new(), file: None }
    }
}

/// Whose archives are meant, if not the own ones: `--from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Archives of this host label.
    pub host: Option<HostLabel>,
    /// Archives of a database at this path.
    pub path: Option<String>,
}

/// An archive that this host remembers making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The database.
    pub database: Name,
    /// The stream that it is the newest archive of.
    pub stream: Stream,
    /// The archive.
    pub archive: ArchiveName,
    /// What it is, whatever its name.
    pub id: Option<ArchiveId>,
    /// The instant of its snapshot.
    pub created_at: DateTime<Utc>,
}

/// Whether the user named the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `--to`, `--to-dir`, or no target at all because nothing is written: an archive of the only other stream does no harm.
    Explicit,
    /// The databases go where they belong.
    Known,
}

/// Whether a part of what is asked for is better than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every database must be in the archive.
    All,
    /// Those that are in none are named, and the others are restored: `--if-missing`.
    Possible,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The set.
    pub set: &'a Name,
    /// The databases. Not empty; see [`included`] if nothing names them.
    pub asked: &'a [Asked],
    /// This host.
    pub own: &'a OwnHost,
    /// Whose archives are meant instead.
    pub from: Option<&'a From>,
    /// Where they go.
    pub target: Target,
    /// Whether a part is enough.
    pub completeness: Completeness,
    /// Nothing newer than this, in whole seconds.
    pub at: Option<DateTime<Utc>>,
    /// The present: what is dated later is used only when named.
    pub now: DateTime<Utc>,
    /// By how much a database may have a newer archive than the one that holds them all.
    pub max_age: TimeDelta,
    /// What this host remembers making.
    pub remembered: &'a [Remembered],
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// An archive was chosen.
    Take(Box<Take>),
    /// Nothing of what was asked for has a backup, anywhere in this set.
    NoneYet {
        /// The databases.
        databases: Vec<Name>,
    },
    /// Only other hosts or paths have it, or several of this host's own: somebody has to say which.
    Elsewhere {
        /// Where from, the newest first.
        candidates: Vec<Candidate>,
        /// The databases.
        databases: Vec<Name>,
    },
    /// Archives exist, and none can be chosen.
    OutOfReach {
        /// Each database and why.
        databases: Vec<Absent>,
    },
}

/// An archive that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The archive.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
    /// For each database that is restored: which one asked for, and which one of the archive. They may differ in name.
    pub members: Vec<(usize, usize)>,
    /// Databases without any backup yet.
    pub none_yet: Vec<Name>,
    /// Databases that have archives and are not in this one, with [`Completeness::Possible`].
    pub out_of_reach: Vec<Absent>,
    /// Newer archives that hold only some of the databases.
    pub newer: Vec<Newer>,
    /// Whether one of those is newer by more than the limit.
    pub too_old: bool,
    /// The newest archives of the applications that share a stream and are both in use.
    pub rivals: Vec<ArchiveName>,
    /// A newer one that this host remembers making and that is not there.
    pub lost: Option<Remembered>,
    /// Whose it is, if it was not found in the own streams.
    pub origin: Option<Candidate>,
}

/// A newer archive that holds only some of the databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The database.
    pub database: Name,
    /// The newest archive that holds it.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// Archives that are not the own ones, or one of several own ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The host label.
    pub host: HostLabel,
    /// Where each database lies there.
    pub places: Vec<(Name, Place)>,
    /// The newest archive of them that can be chosen.
    pub newest: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// A database that cannot be restored although an archive of it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The database.
    pub database: Name,
    /// Why.
    pub why: Why,
}

/// Why an archive that exists is not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No archive holds it together with the others; this one holds it.
    Apart(ArchiveName),
    /// Only archives of another host or path hold it.
    Elsewhere(Candidate),
    /// The newest one that holds it is damaged.
    Damaged(ArchiveName),
    /// It is dated in the future.
    Future(ArchiveName),
    /// It is newer than what `--at` allows.
    Later(ArchiveName),
    /// It is a safety backup.
    Safety(ArchiveName),
    /// It is a file of another tool.
    Plain(ArchiveName),
    /// This host remembers making it, and it is not there.
    Lost(Remembered),
}

/// Decides. The archives are newest first.
pub fn decide(snapshots: &[Snapshot], question: &Question<'_>) -> Decision {
    Looked::new(snapshots, question).decide()
}

/// Returns the databases that the newest archive of a set names in `includes`, in it or not: the own ones come first.
pub fn included(snapshots: &[Snapshot], set: &Name, own: &OwnHost, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Name> {
    let plain = plain_counts(snapshots);
    let usable = |snapshot: &&Snapshot| snapshot.set == *set && is_usable(snapshot, plain, at, now);
    let newest = |own_only: bool| snapshots.iter().filter(usable).find(|snapshot| !own_only || own.owns(&snapshot.host));
    let newest = newest(true).or_else(|| newest(false));
    // If none can be chosen, the reasons are about the newest one of any kind.
    let newest = newest.or_else(|| snapshots.iter().find(|snapshot| snapshot.set == *set));
    newest.map(|snapshot| snapshot.set_databases.clone()).unwrap_or_default()
}

/// Which set is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetChoice {
    /// This one.
    One(Name),
    /// One of these.
    Several(Vec<Name>),
    /// None has archives that fit.
    None,
}

impl SetChoice {
    fn of(sets: BTreeSet<&Name>) -> Self {
        let mut sets = sets.into_iter();
        match (sets.next(), sets.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only.clone()),
            (Some(first), Some(second)) => Self::Several([first, second].into_iter().chain(sets).cloned().collect()),
        }
    }
}

/// Returns the set of the store: of the own archives, else of all; files of other tools only if there is nothing else.
pub fn only_set(snapshots: &[Snapshot], own: &OwnHost) -> SetChoice {
    let plain = plain_counts(snapshots);
    let good = |snapshot: &&Snapshot| snapshot.kind != Kind::Safety && (plain || !snapshot.is_plain());
    let sets = |own_only: bool| {
        let fitting = snapshots.iter().filter(good).filter(|snapshot| !own_only || own.owns(&snapshot.host));
        SetChoice::of(fitting.map(|snapshot| &snapshot.set).collect())
    };
    match sets(true) {
        SetChoice::None => sets(false),
        found => found,
    }
}

/// Returns the set of the database at a resolved path: one whose archives of this host record the path; else the set of
/// `name`; else the only one that has a database of that name.
pub fn set_of_path(snapshots: &[Snapshot], own: &OwnHost, path: &str, name: &Name) -> SetChoice {
    let known = || snapshots.iter().filter(|snapshot| !snapshot.is_plain() && snapshot.kind != Kind::Safety);
    let records = |snapshot: &&Snapshot| snapshot.databases.iter().any(|brief| brief.stream.path() == Some(path));
    let by_path: BTreeSet<&Name> =
        known().filter(|snapshot| own.owns(&snapshot.host)).filter(records).map(|snapshot| &snapshot.set).collect();
    if by_path.contains(name) {
        return SetChoice::One(name.clone());
    }
    if !by_path.is_empty() {
        return SetChoice::of(by_path);
    }
    if known().any(|snapshot| snapshot.set == *name) {
        return SetChoice::One(name.clone());
    }
    SetChoice::of(known().filter(|snapshot| records(snapshot) || snapshot.brief(name.as_str()).is_some()).map(|found| &found.set).collect())
}

/// Puts archives of the old tool, which names no set, into the configured set that alone has databases of those names.
pub fn adopt_old_archives<'a>(snapshots: &mut [Snapshot], sets: impl Iterator<Item = (&'a Name, Vec<&'a Name>)> + Clone) {
    for snapshot in snapshots.iter_mut().filter(|snapshot| snapshot.origin == Origin::Legacy) {
        let held = |names: &[&Name]| snapshot.databases.iter().all(|brief| names.contains(&&brief.name));
        let mut fitting = sets.clone().filter(|(_, names)| held(names));
        if let (Some((set, _)), None) = (fitting.next(), fitting.next()) {
            snapshot.set = set.clone();
            snapshot.databases.iter_mut().for_each(|brief| brief.stream.set = set.clone());
        }
    }
}

/// Returns whether files of other tools may be chosen: they are never the newest beside archives.
fn plain_counts(snapshots: &[Snapshot]) -> bool {
    snapshots.iter().all(Snapshot::is_plain)
}

/// Returns whether an archive may be chosen without being named.
fn is_usable(snapshot: &Snapshot, plain: bool, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    (plain || !snapshot.is_plain())
        && !snapshot.damaged
        && snapshot.kind != Kind::Safety
        && snapshot.created_at <= now
        && !is_later(snapshot, at)
}

/// Whole seconds: the time in an archive's own name finds it.
fn is_later(snapshot: &Snapshot, at: Option<DateTime<Utc>>) -> bool {
    at.is_some_and(|at| snapshot.created_at.timestamp() > at.timestamp())
}

/// One database asked for, and what there is of it.
struct Holding<'a> {
    asked: &'a Asked,
    index: usize,
    /// The usable archives of the stream that is meant, newest first, and the database in each.
    usable: Vec<(&'a Snapshot, usize)>,
}

struct Looked<'a> {
    /// The archives of the set.
    snapshots: Vec<&'a Snapshot>,
    plain: bool,
    question: &'a Question<'a>,
}

impl<'a> Looked<'a> {
    fn new(snapshots: &'a [Snapshot], question: &'a Question<'a>) -> Self {
        let of_set = snapshots.iter().filter(|snapshot| snapshot.set == *question.set).collect();
        Self { snapshots: of_set, plain: plain_counts(snapshots), question }
    }

    fn usable(&self) -> impl Iterator<Item = &'a Snapshot> + use<'a, '_> {
        let question = self.question;
        self.snapshots.iter().copied().filter(move |snapshot| is_usable(snapshot, self.plain, question.at, question.now))
    }

    fn decide(&self) -> Decision {
        match self.question.from {
            Some(from) => self.decide_from(from),
            None => self.decide_own(),
        }
    }

    fn decide_own(&self) -> Decision {
        let holdings: Vec<Holding<'a>> =
            self.question.asked.iter().enumerate().map(|(index, asked)| self.own_holding(index, asked)).collect();
        let (found, empty): (Vec<Holding<'a>>, Vec<Holding<'a>>) = holdings.into_iter().partition(|holding| !holding.usable.is_empty());
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

    /// Nothing in the own streams: archives of others are taken only if the target was named and there is one candidate.
    fn decide_without_own(&self, none_yet: Vec<Name>, absent: Vec<Absent>, empty: &[Holding<'a>]) -> Decision {
        if absent.is_empty() {
            return Decision::NoneYet { databases: none_yet };
        }
        let elsewhere =
            |asked: &Asked| absent.iter().any(|absent| absent.database == asked.name && matches!(absent.why, Why::Elsewhere(_)));
        let wanted: Vec<(usize, &Asked)> =
            empty.iter().filter(|holding| elsewhere(holding.asked)).map(|holding| (holding.index, holding.asked)).collect();
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
            _ => Decision::Elsewhere { candidates, databases: wanted.iter().map(|(_, asked)| asked.name.clone()).collect() },
        }
    }

    fn decide_from(&self, from: &From) -> Decision {
        let all: Vec<(usize, &Asked)> = self.question.asked.iter().enumerate().collect();
        let held = |asked: &Asked| self.usable().any(|snapshot| self.member_from(snapshot, asked, Some(from)).is_some());
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
            [_] if !absent.is_empty() && self.question.completeness == Completeness::All => Decision::OutOfReach { databases: absent },
            [only] => {
                let mut take = self.take_candidate(only, &wanted, Some(from));
                (take.none_yet, take.out_of_reach) = (none_yet, absent);
                Decision::Take(Box::new(take))
            }
            _ => Decision::Elsewhere { candidates, databases: wanted.iter().map(|(_, asked)| asked.name.clone()).collect() },
        }
    }

    /// Returns what there is of a database in the stream that is meant.
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
            // The newest one says where it lies.
            let place = newest.databases[*member].stream.place.clone();
            usable.retain(|(snapshot, member)| snapshot.databases[*member].stream.place == place);
        }
        of_own_application(&mut usable, asked.file.as_ref());
        Holding { asked, index, usable }
    }

    /// Returns the own streams among which only the user can choose: a target was named, the databases are known by name
    /// only, and this host has several paths for one of them.
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

    /// Returns the streams of other hosts and paths, and the own ones, that hold all of these databases: newest first.
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

    /// Returns which database of an archive is meant, whatever its host: by path, else by name.
    fn member_from(&self, snapshot: &Snapshot, asked: &Asked, from: Option<&From>) -> Option<usize> {
        let Some(from) = from else { return position(snapshot, asked, asked.path.as_deref()).or_else(|| named(snapshot, &asked.name)) };
        if from.host.as_ref().is_some_and(|host| *host != snapshot.host) {
            return None;
        }
        let Some(path) = &from.path else {
            return position(snapshot, asked, asked.path.as_deref()).or_else(|| named(snapshot, &asked.name));
        };
        let at_path = |brief: &Brief| brief.stream.path() == Some(path) || brief.source.as_ref() == Some(path);
        let member = snapshot.databases.iter().position(at_path)?;
        // One database of a set is enough to name the archives; the others are found by name.
        if self.question.asked.len() == 1 { Some(member) } else { named(snapshot, &asked.name) }
    }

    fn take_candidate(&self, candidate: &Candidate, wanted: &[(usize, &'a Asked)], from: Option<&From>) -> Take {
        let usable = |asked: &Asked| -> Vec<(&'a Snapshot, usize)> {
            let place = candidate.places.iter().find(|(name, _)| *name == asked.name).map(|(_, place)| place);
            let of_candidate = self.usable().filter(|snapshot| snapshot.host == candidate.host);
            let members = of_candidate.filter_map(|snapshot| self.member_from(snapshot, asked, from).map(|member| (snapshot, member)));
            members.filter(|(snapshot, member)| Some(&snapshot.databases[*member].stream.place) == place).collect()
        };
        let found: Vec<Holding<'a>> = wanted.iter().map(|(index, asked)| Holding { asked, index: *index, usable: usable(asked) }).collect();
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
        let lost = streams.filter_map(|stream| self.lost(|known| known.stream.same_place(stream))).max_by_key(|lost| lost.created_at);
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
        streams::in_use(self.snapshots.iter().copied(), stream, until)
    }

    /// Returns the newest archive that this host remembers, that could be chosen, and that is not in the store.
    fn lost(&self, fits: impl Fn(&Remembered) -> bool) -> Option<Remembered> {
        let question = self.question;
        let is_there = |known: &Remembered| {
            self.snapshots.iter().any(|snapshot| match (known.id, snapshot.id) {
                (Some(known), Some(there)) => known == there,
                _ => known.archive == snapshot.name,
            })
        };
        let in_time = |known: &&Remembered| {
            known.created_at <= question.now && question.at.is_none_or(|at| known.created_at.timestamp() <= at.timestamp())
        };
        let of_set = question.remembered.iter().filter(|known| known.stream.set == *question.set).filter(in_time);
        of_set.filter(|known| fits(known) && !is_there(known)).max_by_key(|known| known.created_at).cloned()
    }

    /// Returns why nothing can be chosen for a database; `None` if no archive of the set holds it.
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
            } else {
                Why::Damaged(name)
            }
        };
        let holders = || self.snapshots.iter();
        // A damaged one says more than a safety backup does.
        let telling = |why: &Why| matches!(why, Why::Damaged(_) | Why::Later(_) | Why::Future(_));
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
        let others: Vec<Why> =
            holders().filter(|snapshot| self.member_from(snapshot, asked, None).is_some()).map(|snapshot| reason(snapshot)).collect();
        others.iter().find(|why| telling(why)).or(others.first()).cloned()
    }
}

impl Holding<'_> {
    fn apart(&self) -> Absent {
        let newest = self.usable[0].0.name.clone();
        Absent { database: self.asked.name.clone(), why: Why::Apart(newest) }
    }
}

/// Returns the database of an archive that is asked for: by path if both know one, else by name.
fn position(snapshot: &Snapshot, asked: &Asked, path: Option<&str>) -> Option<usize> {
    let fits = |brief: &Brief| match (&brief.stream.place, path) {
        (Place::Path(recorded), Some(path)) => recorded == path,
        (Place::Name(name), Some(_)) => *name == asked.name,
        (_, None) => brief.name == asked.name,
    };
    snapshot.databases.iter().position(fits)
}

fn named(snapshot: &Snapshot, name: &Name) -> Option<usize> {
    snapshot.databases.iter().position(|brief| brief.name == *name)
}

/// Leaves the archives of the application that has the file, if applications of one stream can be told apart.
fn of_own_application(usable: &mut Vec<(&Snapshot, usize)>, file: Option<&FileIdentity>) {
    let marker = |(snapshot, member): &(&Snapshot, usize)| snapshot.databases[*member].stream.file.clone();
    let (Some(file), true) = (file, usable.iter().any(|found| marker(found).is_some())) else { return };
    let own = usable.iter().any(|found| marker(found).as_ref() == Some(file)).then(|| file.clone());
    usable.retain(|found| marker(found) == own);
}

/// Returns the newest archive that holds all of the databases, and which of its databases each one is.
fn newest_of_all<'a>(found: &[Holding<'a>]) -> Option<(&'a Snapshot, Vec<(usize, usize)>)> {
    let (first, rest) = found.split_first()?;
    first.usable.iter().find_map(|(snapshot, member)| {
        let others = rest.iter().map(|holding| {
            let member = holding.usable.iter().find(|(other, _)| other.name == snapshot.name).map(|(_, member)| *member)?;
            Some((holding.index, member))
        });
        let members: Option<Vec<(usize, usize)>> = std::iter::once(Some((first.index, *member))).chain(others).collect();
        members.map(|members| (*snapshot, members))
    })
}

#[cfg(test)]
mod tests;
