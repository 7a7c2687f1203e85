//! Applications on several hosts that back up into one store, with everything that can go wrong: clocks that step, rows
//! that are lost and come back, databases that join or leave a set, files that are replaced, two applications that
//! share a stream without knowing, marks, pins, holds, copies, and files of other tools.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use heirloom::lineage;
use heirloom::metadata::Kind;
use heirloom::names::{ArchiveId, ArchiveName, HostLabel, Name};
use heirloom::snapshot::{Brief, Origin, Snapshot};
use heirloom::streams::{FileIdentity, Place, Stream};

use super::dice::{DAY, Dice, HOUR, MINUTE, seconds};
use super::histories::utc;

const ZONES: [Tz; 9] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Sydney,
    // Half an hour of daylight saving.
    Tz::Australia__Lord_Howe,
    // Set back at midnight: a day with 23:30 twice.
    Tz::America__Santiago,
    Tz::America__St_Johns,
    Tz::Asia__Kolkata,
    // Skips 2011-12-30.
    Tz::Pacific__Apia,
];

/// A time shortly before something odd happens, and the zone.
const STARTS: [(&str, Tz); 17] = [
    ("2025-03-29T12:00:00Z", Tz::Europe__Berlin),
    ("2025-10-25T12:00:00Z", Tz::Europe__Berlin),
    ("2025-03-08T20:00:00Z", Tz::America__New_York),
    ("2025-11-01T20:00:00Z", Tz::America__New_York),
    ("2025-04-05T06:00:00Z", Tz::Australia__Sydney),
    ("2025-10-04T06:00:00Z", Tz::Australia__Sydney),
    ("2025-04-05T06:00:00Z", Tz::Australia__Lord_Howe),
    ("2025-04-05T18:00:00Z", Tz::America__Santiago),
    ("2025-09-06T18:00:00Z", Tz::America__Santiago),
    ("2010-11-06T18:00:00Z", Tz::America__St_Johns),
    ("2011-12-28T20:00:00Z", Tz::Pacific__Apia),
    ("2024-02-28T01:00:00Z", Tz::UTC),
    ("2000-02-28T01:00:00Z", Tz::Asia__Kolkata),
    ("2024-12-29T03:00:00Z", Tz::UTC),
    ("2020-12-26T03:00:00Z", Tz::Europe__Berlin),
    ("2027-12-31T20:00:00Z", Tz::Asia__Kolkata),
    ("2026-01-25T03:00:00Z", Tz::UTC),
];

/// The probability of problems, in percent of the backups.
#[derive(Debug, Clone, Copy)]
pub struct Troubles {
    pub clock: u64,
    /// Pins, damage, holds.
    pub marks: u64,
    pub shrinks: u64,
    /// Files that are replaced.
    pub files: u64,
    /// Databases that join or leave a set, and partial backups.
    pub sets: u64,
    pub copies: u64,
    /// Files of other tools.
    pub plain: u64,
    /// Safety backups, and backups before updates.
    pub kinds: u64,
}

/// A database of an application.
struct Database {
    name: Name,
    path: String,
    /// Its rows in normal times.
    usual: u64,
    rows: u64,
    file: Option<FileIdentity>,
}

/// One configured backup of a set.
struct App {
    host: HostLabel,
    set: Name,
    databases: Vec<Database>,
    /// The old tool, which recorded neither path nor file.
    is_old_tool: bool,
}

pub struct World {
    pub dice: Dice,
    pub troubles: Troubles,
    pub zone: Tz,
    pub clock: DateTime<Utc>,
    pub step: u64,
    apps: Vec<App>,
    /// The contents of the store, newest first.
    pub store: Vec<Snapshot>,
    /// The names of all archives in order of creation.
    pub order: Vec<ArchiveName>,
    made: u64,
    files: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (start, there) = dice.pick(&STARTS);
        let elsewhere = dice.pick(&ZONES);
        let zone = if dice.chance(75) { there } else { elsewhere };
        let step = dice.pick(&[20 * MINUTE, HOUR, HOUR, 6 * HOUR, DAY, DAY, DAY, 7 * DAY, 20 * DAY]);
        let troubles = Troubles {
            clock: dice.pick(&[0, 0, 3, 15, 40]),
            marks: dice.pick(&[0, 0, 8, 30]),
            shrinks: dice.pick(&[0, 0, 5, 20]),
            files: dice.pick(&[0, 0, 5, 30]),
            sets: dice.pick(&[0, 0, 10, 30]),
            copies: dice.pick(&[0, 0, 10]),
            plain: dice.pick(&[0, 0, 10]),
            kinds: dice.pick(&[0, 5, 30, 70]),
        };
        let mut world = Self {
            dice,
            troubles,
            zone,
            clock: utc(start),
            step,
            apps: Vec::new(),
            store: Vec::new(),
            order: Vec::new(),
            made: 0,
            files: 0,
        };
        world.settle();
        world
    }

    /// Creates the applications: one, and by chance others that differ from it in one respect.
    fn settle(&mut self) {
        self.settle_app("web", "/srv/one", "shop", false);
        let others = [
            // Another host, another path, the same application twice, another set, and the old tool before all of them.
            ("db", "/srv/one", "shop", false),
            ("web", "/srv/two", "shop", false),
            ("web", "/srv/one", "shop", false),
            ("web", "/srv/one", "blog", false),
            ("web", "/srv/one", "shop", true),
        ];
        for (host, folder, set, is_old_tool) in others {
            if self.dice.chance(20) {
                self.settle_app(host, folder, set, is_old_tool);
            }
        }
    }

    fn settle_app(&mut self, host: &str, folder: &str, set: &str, is_old_tool: bool) {
        let names: &[&str] = if set == "blog" { &["users"] } else { &["orders", "users"] };
        let databases = names.iter().map(|name| self.database(folder, name, is_old_tool)).collect();
        self.apps.push(App {
            host: HostLabel::new(host).unwrap(),
            set: Name::new(set).unwrap(),
            databases,
            is_old_tool,
        });
    }

    fn database(&mut self, folder: &str, name: &str, is_old_tool: bool) -> Database {
        let usual = self.dice.pick(&[50, 1500, 20_000, 1_000_000]);
        let file = (!is_old_tool && self.dice.chance(90)).then(|| self.new_file());
        Database { name: Name::new(name).unwrap(), path: format!("{folder}/{name}.db"), usual, rows: usual, file }
    }

    fn new_file(&mut self) -> FileIdentity {
        self.files += 1;
        FileIdentity(format!("file {}", self.files))
    }

    /// Advances the time to the next backup.
    pub fn wait(&mut self) {
        let step = self.step;
        self.clock += seconds(step);
        if self.dice.chance(self.troubles.clock) {
            match self.dice.between(1, 6) {
                1 => self.clock += seconds(self.dice.between(DAY, 400 * DAY)),
                2 => self.clock += seconds(self.dice.between(1, 3 * step)),
                3 => self.clock -= seconds(step),
                4 => self.clock -= seconds(self.dice.between(0, step)),
                5 => self.clock -= seconds(self.dice.between(HOUR, 20 * DAY)),
                _ => self.clock -= seconds(self.dice.between(step.saturating_sub(300), step)),
            }
        }
    }

    /// Backs up one application in its current state.
    pub fn backup(&mut self) -> Snapshot {
        let number = self.dice.index(self.apps.len());
        self.change(number);
        let is_partial = self.dice.chance(self.troubles.sets);
        let kind = if self.dice.chance(self.troubles.kinds) {
            self.dice.pick(&[Kind::PreUpdate, Kind::Safety])
        } else {
            Kind::Manual
        };
        let app = &self.apps[number];
        let only = is_partial.then(|| self.dice.index(app.databases.len()));
        let brief = |database: &Database| {
            let place =
                if app.is_old_tool { Place::Name(database.name.clone()) } else { Place::Path(database.path.clone()) };
            let stream = Stream { set: app.set.clone(), host: app.host.clone(), place, file: None };
            let before = lineage::before(&self.store, &stream, &database.name, database.file.as_ref(), self.clock);
            Brief {
                bytes: Some(database.rows * 90),
                // An index of a module that only the application has: the rows are unknown.
                rows: (database.usual != 1500 || database.rows.is_multiple_of(2)).then_some(database.rows),
                stream: Stream { file: database.file.clone().filter(|_| before.by_file), ..stream },
                source: (!app.is_old_tool).then(|| database.path.clone()),
                file: database.file.clone(),
                previous: before.previous.filter(|_| !app.is_old_tool),
                ..Brief::simulated(&app.set, &app.host, &database.name)
            }
        };
        let chosen = app.databases.iter().enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index));
        let databases: Vec<Brief> = chosen.map(|(_, database)| brief(database)).collect();
        self.made += 1;
        let mut made = Snapshot {
            host: app.host.clone(),
            origin: if app.is_old_tool { Origin::Legacy } else { Origin::Format1 },
            id: Some(ArchiveId::of_metadata(&self.made.to_be_bytes())),
            kind,
            set_databases: app.databases.iter().map(|database| database.name.clone()).collect(),
            databases,
            ..Snapshot::simulated(&app.set, self.clock)
        };
        made.bytes = self.dice.between(0, 2000);
        made.damaged = self.dice.chance(self.troubles.marks);
        self.free_name(&mut made);
        self.put(made.clone());
        made
    }

    /// Changes rows, files and databases.
    fn change(&mut self, number: usize) {
        let Troubles { shrinks, files, sets, .. } = self.troubles;
        if self.dice.chance(sets / 2) {
            let app = &mut self.apps[number];
            match app.databases.iter().position(|database| database.name.as_str() == "logs") {
                Some(index) => drop(app.databases.remove(index)),
                None => {
                    let (folder, is_old_tool) =
                        (app.databases[0].path.rsplit_once('/').unwrap().0.to_owned(), app.is_old_tool);
                    let logs = self.database(&folder, "logs", is_old_tool);
                    self.apps[number].databases.push(logs);
                }
            }
        }
        let new_file = self.dice.chance(files).then(|| self.new_file());
        for database in &mut self.apps[number].databases {
            if self.dice.chance(shrinks) {
                let is_small = database.rows < database.usual / 2;
                database.rows = if is_small { database.usual } else { database.usual / self.dice.between(3, 100) };
            } else {
                database.rows += self.dice.between(0, database.rows / 20 + 1);
                if self.dice.chance(shrinks) {
                    database.rows = database.rows * 7 / 10;
                }
            }
            if database.file.is_some() && new_file.is_some() {
                database.file.clone_from(&new_file);
            }
        }
    }

    /// The actions of people and other tools between two backups.
    pub fn meddle(&mut self) {
        let Troubles { marks, shrinks, copies, plain, .. } = self.troubles;
        if self.dice.chance(plain) {
            self.drop_plain_file();
        }
        if self.store.is_empty() {
            return;
        }
        if self.dice.chance(copies) {
            let mut copy = self.dice.pick(&self.store);
            if !copy.is_plain() {
                copy.name = ArchiveName::new(format!("{}copy.tar.gz", self.dice.pick(&["a-", "z-"]))).unwrap();
                (copy.pinned, copy.held) = (self.dice.chance(marks / 2), self.dice.chance(marks / 4));
                copy.damaged = self.dice.chance(marks);
                self.free_name(&mut copy);
                self.put(copy);
            }
        }
        let index = self.dice.index(self.store.len());
        let archive = &mut self.store[index];
        if self.dice.chance(marks) {
            match self.dice.between(1, 4) {
                1 => archive.pinned = !archive.pinned,
                2 => archive.held = !archive.held,
                _ => archive.damaged = !archive.damaged,
            }
        }
        // Rarely, or there would be no open shrinks.
        archive.accepted |= self.dice.chance(shrinks / 5);
    }

    fn drop_plain_file(&mut self) {
        let (set, host) = (Name::new("shop").unwrap(), HostLabel::new("web").unwrap());
        let brief = Brief::simulated(&set, &host, &Name::new(self.dice.pick(&["orders", "users"])).unwrap());
        let name = ArchiveName::automatic(&set, self.clock, ".db");
        let databases = vec![brief];
        let mut plain = Snapshot {
            name,
            host,
            origin: Origin::Plain,
            databases,
            bytes: 500,
            ..Snapshot::simulated(&set, self.clock)
        };
        self.free_name(&mut plain);
        self.put(plain);
    }

    fn free_name(&self, archive: &mut Snapshot) {
        let first = archive.name.clone();
        for number in 2.. {
            if !self.store.iter().any(|other| other.name == archive.name) {
                break;
            }
            archive.name = first.numbered(number);
        }
    }

    fn put(&mut self, archive: Snapshot) {
        let at = self.store.partition_point(|other| other.newest_first(&archive).is_lt());
        self.order.push(archive.name.clone());
        self.store.insert(at, archive);
    }
}
