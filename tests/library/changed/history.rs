//! One history: what happens to a database, and the backups in between.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use heirloom::archive::Opener;
use heirloom::clock::Clock;
use heirloom::compression::Compression;
use heirloom::database::{Depth, Source, Timeouts};
use heirloom::metadata::Kind;
use heirloom::names::{ArchiveName, HostLabel, Name};
use heirloom::ops::Repository;
use heirloom::ops::backup::{self, IfChanged, IfMissing, Plan, Run};
use heirloom::ops::changed::{self, Listing, Watched};
use heirloom::ops::inventory::Reading;
use heirloom::ops::pack::{Host, Request};
use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::LocalStore;
use heirloom::workspace::Seen;

use super::TICKS;
use super::application::Application;
use super::live::{Live, Rows};
use crate::retention::dice::Dice;

/// What a backup came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A look was enough.
    UnchangedByLook,
    /// The copy was thrown away.
    UnchangedByCopy,
    /// An archive was made of something new.
    Changed,
    /// An archive was made although its rows are those of the one before.
    ChangedAllTheSame,
    /// The database changed during the backup.
    ChangedInBetween,
    /// It could not be backed up.
    Failed,
}

const LIMITS: Timeouts =
    Timeouts { busy: Duration::from_millis(200), stalled: Duration::from_secs(5), total: Duration::from_secs(20) };

pub struct History<'a> {
    seed: u64,
    live: Mutex<Live<'a>>,
    dice: Dice,
    _folder: tempfile::TempDir,
    repository: Repository,
    now: DateTime<Utc>,
    /// What each archive holds.
    archived: HashMap<ArchiveName, Rows>,
    newest: Option<ArchiveName>,
}

impl<'a> History<'a> {
    pub fn new(seed: u64, application: &'a mut Application) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let repository = Repository::local(LocalStore::create(&folder.path().join("store")).unwrap());
        let live = Live::begin(Dice::new(seed ^ 0x5eed), path, application);
        Self {
            seed,
            live: Mutex::new(live),
            dice: Dice::new(seed),
            _folder: folder,
            repository,
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
            archived: HashMap::new(),
            newest: None,
        }
    }

    pub fn run(mut self) -> Vec<Outcome> {
        let steps = self.dice.between(4, 14);
        let mut outcomes = Vec::new();
        for _ in 0..steps {
            for _ in 0..self.dice.between(0, 2) {
                self.live.get_mut().unwrap().step();
            }
            if self.dice.chance(40) {
                std::thread::sleep(Duration::from_nanos(TICKS.unsigned_abs() + 1_000_000));
            }
            outcomes.push(self.back_up());
        }
        self.live.get_mut().unwrap().close();
        outcomes
    }

    /// Backs up if something changed, and checks the answer.
    fn back_up(&mut self) -> Outcome {
        self.now += TimeDelta::minutes(1);
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(_) => return Outcome::Failed,
        };
        let host = &plan.request.host.label;
        let watched = Watched {
            source: plan.sources[0].clone(),
            stream: backup::stream_of(&plan.sources[0], &plan.request.set, host),
        };
        let confirmed = changed::confirmed(
            (&self.repository, &Listing::default()),
            std::slice::from_ref(&watched),
            &[],
            &LIMITS,
            &Silent,
        );
        match confirmed {
            Ok(Some(mut seen)) => {
                changed::renew(&self.repository, &mut seen, self.now);
                self.require(&seen, "a look");
                return Outcome::UnchangedByLook;
            }
            Ok(None) => {}
            Err(_) => return Outcome::Failed,
        }
        let (clock, reading) = (Clock::fixed(self.now), reading());
        let run = Run {
            clock: &clock,
            reading: &reading,
            limits: LIMITS,
            temporary: &std::env::temp_dir(),
            known: None,
            watch_shrinks: false,
            hold: None,
        };
        // Half of the backups meet a change in their middle.
        let at = if self.dice.chance(50) { self.dice.between(1, 12) } else { u64::MAX };
        let during = During { live: &self.live, calls: Mutex::new(0), at, before: Mutex::new(None) };
        let done = backup::execute_if_changed(&self.repository, &plan, &run, &during);
        let before = during.before.into_inner().unwrap();
        self.settle(&watched);
        match done {
            Ok(IfChanged::Unchanged(seen)) => {
                // A change in the middle may be in the copy, or not.
                match before {
                    None => self.require(&seen, "a copy"),
                    Some(before) => {
                        let (held, now) = (self.rows_of(&seen[0].archive), self.rows());
                        assert!(held == before || held == now, "seed {}: the copy was of neither state", self.seed);
                    }
                }
                Outcome::UnchangedByCopy
            }
            Ok(IfChanged::Made(made)) => {
                let (archive, now) = (made.packed.archive.clone(), self.rows());
                let held = self.rows_of(&archive);
                let previous = self.newest.replace(archive).map(|previous| self.rows_of(&previous));
                match before {
                    Some(before) => {
                        assert!(held == before || held == now, "seed {}: the archive is of neither state", self.seed);
                        Outcome::ChangedInBetween
                    }
                    None => {
                        assert_eq!(held, now, "seed {}: the archive is not what the database holds", self.seed);
                        if previous.as_ref() == Some(&held) { Outcome::ChangedAllTheSame } else { Outcome::Changed }
                    }
                }
            }
            Err(_) => Outcome::Failed,
        }
    }

    /// Requires that what is called unchanged is what its archive holds.
    #[track_caller]
    fn require(&mut self, seen: &[Seen], by: &str) {
        let archive = &seen[0].archive;
        let (held, now) = (self.rows_of(archive), self.rows());
        assert_eq!(held, now, "seed {}: unchanged by {by}, but {archive} does not hold it", self.seed);
    }

    /// Makes a record settled whose newest time is some ticks old. The real margins are seconds.
    fn settle(&self, watched: &Watched) {
        let Some(mut seen) = self.repository.workspace().seen(&watched.stream) else { return };
        let Some(look) = &mut seen.look else { return };
        let state = &look.state;
        let parts = [Some(&state.main), state.wal.as_ref(), state.journal.as_ref()].into_iter().flatten();
        let newest = parts.map(|part| part.modified.max(part.changed)).max().unwrap();
        look.taken = if look.taken - newest >= TICKS { newest + 60_000_000_000 } else { newest };
        self.repository.workspace().record_seen(&seen).unwrap();
    }

    fn rows(&self) -> Rows {
        self.live.lock().unwrap().rows.clone()
    }

    fn rows_of(&mut self, archive: &ArchiveName) -> Rows {
        let read = || {
            let source = self.repository.store().open(archive.as_str(), None).unwrap();
            let opened = Opener::new(chrono_tz::Tz::UTC).open(source, archive.as_str(), self.now).unwrap();
            let copy = tempfile::NamedTempFile::new().unwrap();
            opened.unpack(&[(0, copy.as_file())], NonZeroUsize::MIN, &Silent).unwrap();
            rows_in(copy.path())
        };
        if let Some(known) = self.archived.get(archive) {
            return known.clone();
        }
        let rows = read();
        self.archived.insert(archive.clone(), rows.clone());
        rows
    }

    fn plan(&self) -> Result<Plan, heirloom::database::SourceError> {
        let name = Name::new("app").unwrap();
        let path = self.live.lock().unwrap().path.clone();
        let request = Request {
            digits: None,
            set: name.clone(),
            kind: Kind::Manual,
            name: None,
            note: None,
            host: Host { name: "here".into(), label: HostLabel::new("here").unwrap() },
            created_at: self.now,
            replaces: None,
            consistent: true,
            absent: Vec::new(),
            check: Depth::None,
            keep_damaged: false,
            vacuum: false,
            compression: Compression::None,
            sealing: None,
            threads: NonZeroUsize::MIN,
            lock_wait: Duration::from_secs(5),
        };
        backup::plan(vec![Source { name, path }], IfMissing::Fail, request)
    }
}

fn reading() -> Reading {
    Reading {
        opener: Opener::new(chrono_tz::Tz::UTC),
        host: HostLabel::new("here").unwrap(),
        encryption: Default::default(),
    }
}

/// Reads the rows of a private copy.
fn rows_in(path: &Path) -> Rows {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT id, v FROM t").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Changes the database at one of the moments at which the backup asks whether it should stop.
struct During<'a, 'b> {
    live: &'a Mutex<Live<'b>>,
    calls: Mutex<u64>,
    at: u64,
    /// What the database held before.
    before: Mutex<Option<Rows>>,
}

impl Progress for During<'_, '_> {
    fn begin(&self, _: Stage, _: &str, _: u64) {
        self.cancelled();
    }

    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        if *calls == self.at {
            let mut live = self.live.lock().unwrap();
            let rows = live.rows.clone();
            live.write();
            if live.rows != rows {
                *self.before.lock().unwrap() = Some(rows);
            }
        }
        false
    }
}
