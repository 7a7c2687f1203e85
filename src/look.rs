//! What can be told about the state of a database without reading it. Pure: no files, no clock.
//!
//! Two looks of the same [`State`] mean the same content only if every change between them would show: a write that
//! falls into the same tick of the clock as the one before it leaves the times of a file as they are. So a look proves
//! something only if it is settled: the newest time in it is old enough that any later change gets another one.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// How old the newest time must be if only the times of files show a change, in nanoseconds: file systems round to up
/// to 2 s, and the clock of a server may differ.
const SETTLED_BY_TIMES: i64 = 5_000_000_000;
/// The same if the `-shm` shows every commit: several ticks of the clock, for changes that are not made through SQLite.
const SETTLED_BY_INDEX: i64 = 100_000_000;

/// A look at a database: its files as they were, and when that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When it was taken, by the clock that stamps files, in nanoseconds of Unix time.
    pub taken: i64,
    /// What was seen.
    pub state: State,
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The path without links.
    pub path: String,
    /// The boot of the machine: after a crash, times and the `-shm` prove nothing.
    pub boot: Option<String>,
    /// What shows a change.
    pub sight: Sight,
    /// The main file, with its header.
    pub main: Part,
    /// The `-wal`, with its header.
    pub wal: Option<Part>,
    /// The `-journal`, with its first bytes.
    pub journal: Option<Part>,
    /// The digest of the header of the `-shm`.
    pub index: Option<Sha256>,
}

/// What shows that a database changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// The `-shm`, in which every commit shows.
    Index,
    /// The times of the files.
    Times,
    /// Nothing: whether a journal counts may depend on a file elsewhere.
    Nothing,
}

/// One file of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its device and inode.
    pub id: (u64, u64),
    /// Its size.
    pub bytes: u64,
    /// When its contents were last written, in nanoseconds of Unix time.
    pub modified: i64,
    /// When its contents, rights or names last changed, in nanoseconds of Unix time.
    pub changed: i64,
    /// The digest of its header.
    pub header: Sha256,
}

impl Look {
    /// Returns whether the database holds what it held when `recorded` was taken. If not, it may still hold the same.
    pub fn is_unchanged_since(&self, recorded: &Look) -> bool {
        recorded.is_settled() && self.state == recorded.state
    }

    /// Returns whether every change after this look shows in a later one.
    pub fn is_settled(&self) -> bool {
        let margin = match self.state.sight {
            Sight::Index => SETTLED_BY_INDEX,
            Sight::Times => SETTLED_BY_TIMES,
            Sight::Nothing => return false,
        };
        self.taken.saturating_sub(self.state.newest()) >= margin
    }
}

impl State {
    /// Returns the newest time of all files: one in the future is never settled.
    fn newest(&self) -> i64 {
        let parts = [Some(&self.main), self.wal.as_ref(), self.journal.as_ref()].into_iter().flatten();
        parts.map(|part| part.modified.max(part.changed)).max().unwrap_or(i64::MAX)
    }

    /// Returns when the contents were last written, in nanoseconds of Unix time.
    pub fn last_write(&self) -> i64 {
        let wal = self.wal.as_ref().filter(|wal| wal.bytes > 0);
        wal.map_or(self.main.modified, |wal| wal.modified.max(self.main.modified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn look(sight: Sight, age: i64) -> Look {
        let header = Sha256::of(b"header");
        let main = Part { id: (1, 2), bytes: 4096, modified: 10 * SECOND, changed: 20 * SECOND, header };
        let state = State { path: "/a".into(), boot: None, sight, main, wal: None, journal: None, index: None };
        Look { taken: 20 * SECOND + age, state }
    }

    #[test]
    fn a_look_proves_nothing_until_its_times_are_old_enough() {
        for (sight, age, is_settled) in [
            (Sight::Times, 5 * SECOND - 1, false),
            (Sight::Times, 5 * SECOND, true),
            (Sight::Index, SECOND / 10 - 1, false),
            (Sight::Index, SECOND / 10, true),
            (Sight::Nothing, 3600 * SECOND, false),
            (Sight::Times, -SECOND, false),
        ] {
            let recorded = look(sight, age);
            let later = Look { taken: recorded.taken + 60 * SECOND, ..recorded.clone() };
            assert_eq!(later.is_unchanged_since(&recorded), is_settled, "{sight:?} {age}");
        }
        let mut wal = look(Sight::Times, 60 * SECOND);
        wal.state.wal = Some(Part { changed: 76 * SECOND, ..wal.state.main.clone() });
        assert!(!wal.is_settled(), "the newest time of all files counts");
    }

    #[test]
    fn whatever_differs_is_a_change() {
        let recorded = look(Sight::Times, 60 * SECOND);
        let differs = |change: &dyn Fn(&mut State)| {
            let mut later = recorded.clone();
            change(&mut later.state);
            !later.is_unchanged_since(&recorded)
        };
        assert!(!differs(&|_| {}));
        assert!(differs(&|state| state.main.id = (1, 3)));
        assert!(differs(&|state| state.main.bytes += 1));
        assert!(differs(&|state| state.main.modified += 1));
        assert!(differs(&|state| state.main.changed += 1));
        assert!(differs(&|state| state.main.header = Sha256::of(b"other")));
        assert!(differs(&|state| state.wal = Some(state.main.clone())));
        assert!(differs(&|state| state.journal = Some(state.main.clone())));
        assert!(differs(&|state| state.index = Some(Sha256::of(b"index"))));
        assert!(differs(&|state| state.boot = Some("another".into())));
        assert!(differs(&|state| state.path = "/b".into()));
    }
}
