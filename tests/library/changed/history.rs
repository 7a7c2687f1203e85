//! One history: what happens to a database, and the backups in between.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
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

type Rows = BTreeMap<u64, String>;

const LIMITS: Timeouts =
    Timeouts { busy: Duration::from_millis(200), stalled: Duration::from_secs(5), total: Duration::from_secs(20) };

/// The database, its application, and what it holds.
struct Live<'a> {
    application: &'a mut Application,
    dice: Dice,
    path: PathBuf,
    is_open: bool,
    rows: Rows,
    /// Copies of the file that were set aside, with what they hold.
    saved: Vec<(Vec<u8>, Rows)>,
}

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
        let mut live = Live {
            application,
            dice: Dice::new(seed ^ 0x5eed),
            path,
            is_open: false,
            rows: Rows::new(),
            saved: Vec::new(),
        };
        live.begin();
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

impl Live<'_> {
    fn begin(&mut self) {
        assert!(self.application.open(&self.path));
        let mode = self.dice.pick(&["WAL", "WAL", "DELETE", "TRUNCATE", "PERSIST"]);
        assert!(self.application.does(&format!("PRAGMA journal_mode={mode}")));
        assert!(self.application.does("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"));
        self.is_open = true;
        for _ in 0..6 {
            self.insert();
        }
        if self.dice.chance(50) {
            self.close();
        }
    }

    fn value(&mut self) -> String {
        format!("{:016x}", self.dice.between(0, u64::MAX - 1))
    }

    fn insert(&mut self) {
        let (id, value) = (self.rows.keys().last().map_or(1, |last| last + 1), self.value());
        if self.application.does(&format!("INSERT INTO t VALUES({id}, '{value}')")) {
            self.rows.insert(id, value);
        }
    }

    fn update(&mut self) {
        let ids: Vec<u64> = self.rows.keys().copied().collect();
        if ids.is_empty() {
            return self.insert();
        }
        let (id, value) = (self.dice.pick(&ids), self.value());
        if self.application.does(&format!("UPDATE t SET v = '{value}' WHERE id = {id}")) {
            self.rows.insert(id, value);
        }
    }

    fn delete(&mut self) {
        let ids: Vec<u64> = self.rows.keys().copied().collect();
        if ids.len() > 2 {
            let id = self.dice.pick(&ids);
            if self.application.does(&format!("DELETE FROM t WHERE id = {id}")) {
                self.rows.remove(&id);
            }
        }
    }

    fn open(&mut self) {
        if !self.is_open {
            self.is_open = self.application.open(&self.path);
        }
    }

    fn close(&mut self) {
        if self.is_open {
            assert!(self.application.does("close"));
            self.is_open = false;
        }
    }

    /// Writes, without opening or closing anything: the moment may be in the middle of a backup.
    fn write(&mut self) {
        if self.is_open {
            match self.dice.between(1, 10) {
                1..=6 => self.update(),
                7..=8 => self.insert(),
                9 => self.delete(),
                _ => {
                    let _ = self.application.does("PRAGMA wal_checkpoint(TRUNCATE)");
                }
            }
        } else {
            self.edit();
        }
    }

    /// Something happens to the database.
    fn step(&mut self) {
        match self.dice.between(1, 24) {
            1..=4 => {
                self.open();
                self.update();
            }
            5 => {
                self.open();
                self.insert();
            }
            6 => {
                self.open();
                self.delete();
            }
            7 | 8 => {
                self.open();
                let mode = self.dice.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
                let _ = self.application.does(&format!("PRAGMA wal_checkpoint({mode})"));
            }
            9 => {
                self.open();
                let _ = self.application.does("VACUUM");
            }
            10 => {
                self.open();
                let mode = self.dice.pick(&["WAL", "DELETE", "TRUNCATE", "PERSIST"]);
                let _ = self.application.does(&format!("PRAGMA journal_mode={mode}"));
            }
            11 => {
                self.open();
                let _ = self.application.does("BEGIN;UPDATE t SET v = 'never';ROLLBACK");
            }
            12 => {
                self.open();
                let _ = self.application.does("SELECT count(*) FROM t");
            }
            13 => self.open(),
            14 | 15 => self.close(),
            16 => {
                self.open();
                self.application.crash();
                self.is_open = false;
            }
            17 => self.save(),
            18..=20 => self.restore(),
            21 | 22 => self.edit(),
            23 => {
                let _ = File::open(&self.path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
            }
            _ => {
                // The same file under the same name.
                let aside = self.path.with_extension("aside");
                if !self.is_open {
                    fs::rename(&self.path, &aside).unwrap();
                    fs::rename(&aside, &self.path).unwrap();
                }
            }
        }
    }

    /// Returns whether the file is all there is, and nobody uses it.
    fn lies_alone(&self) -> bool {
        let beside = |ending: &str| self.path.with_file_name(format!("app.db{ending}")).exists();
        !self.is_open && !beside("-wal") && !beside("-shm") && !beside("-journal")
    }

    fn save(&mut self) {
        self.close();
        if self.lies_alone() {
            self.saved.push((fs::read(&self.path).unwrap(), self.rows.clone()));
        }
    }

    /// Puts an earlier state there, in one of the ways in which people and tools do.
    fn restore(&mut self) {
        self.close();
        if self.saved.is_empty() || !self.lies_alone() {
            return;
        }
        let index = self.dice.index(self.saved.len());
        let (bytes, rows) = self.saved[index].clone();
        let found = fs::metadata(&self.path).unwrap();
        let kept = FileTimes::new().set_modified(found.modified().unwrap());
        let written = match self.dice.between(1, 3) {
            1 => {
                let mut file = OpenOptions::new().write(true).truncate(true).open(&self.path).unwrap();
                file.write_all(&bytes).unwrap();
                file
            }
            2 => {
                let file = OpenOptions::new().write(true).open(&self.path).unwrap();
                file.write_all_at(&bytes, 0).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
                file
            }
            _ => {
                let new = self.path.with_extension("new");
                fs::write(&new, &bytes).unwrap();
                fs::rename(&new, &self.path).unwrap();
                OpenOptions::new().write(true).open(&self.path).unwrap()
            }
        };
        if self.dice.chance(60) {
            written.set_times(kept).unwrap();
        }
        self.rows = rows;
    }

    /// Changes a value in the file without SQLite, and mostly keeps its time: size and change counter stay.
    fn edit(&mut self) {
        if !self.is_open {
            let bytes = fs::read(&self.path).unwrap();
            let wal = fs::metadata(self.path.with_file_name("app.db-wal")).map_or(0, |wal| wal.len());
            let found = fs::metadata(&self.path).unwrap().modified().unwrap();
            let value = self.value();
            // Only where no commit in a -wal hides it, and where it is not in a free page too.
            let place = self.rows.iter().find_map(|(id, old)| {
                let mut places = bytes.windows(old.len()).enumerate().filter(|(_, part)| *part == old.as_bytes());
                let first = places.next()?.0;
                (places.next().is_none() && wal == 0).then_some((*id, first))
            });
            if let Some((id, at)) = place {
                let file = OpenOptions::new().write(true).open(&self.path).unwrap();
                file.write_all_at(value.as_bytes(), at as u64).unwrap();
                if self.dice.chance(80) {
                    file.set_times(FileTimes::new().set_modified(found)).unwrap();
                }
                self.rows.insert(id, value);
            }
        }
    }
}
