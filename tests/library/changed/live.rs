//! A database with its application, and what happens to it.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::application::Application;
use crate::retention::dice::Dice;

/// What a table holds, by its key.
pub type Rows = BTreeMap<u64, String>;

/// The database, its application, and what it holds.
pub struct Live<'a> {
    application: &'a mut Application,
    dice: Dice,
    pub path: PathBuf,
    is_open: bool,
    pub rows: Rows,
    /// Copies of the file that were set aside, with what they hold.
    saved: Vec<(Vec<u8>, Rows)>,
}

impl<'a> Live<'a> {
    /// Makes the database.
    pub fn begin(dice: Dice, path: PathBuf, application: &'a mut Application) -> Self {
        let mut live = Self { application, dice, path, is_open: false, rows: Rows::new(), saved: Vec::new() };
        live.make();
        live
    }

    fn make(&mut self) {
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

    pub fn close(&mut self) {
        if self.is_open {
            assert!(self.application.does("close"));
            self.is_open = false;
        }
    }

    /// Writes, without opening or closing anything: the moment may be in the middle of a backup.
    pub fn write(&mut self) {
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
    pub fn step(&mut self) {
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
