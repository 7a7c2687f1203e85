//! What was reported to whom, what waits to be sent, and which troubles last: `notices.db`.
//!
//! It belongs to the user of this host and lies in the state directory: a store that is away is the very thing to
//! report. It may be deleted at any time; then a trouble that was reported is reported once more.
//!
//! A notice and its deliveries are written in one transaction with the troubles that it reports, before anything is
//! sent. If the process dies before the commit, nothing was decided and the next round decides the same. After the
//! commit, the deliveries wait, and the next run sends them. If it dies between sending and the note that it was sent,
//! the next run sends it again, with the same id: twice is better than never. A run claims what it sends for a minute,
//! so that two runs at once do not both send it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::notices::{Decision, Trouble};
use crate::platform::{create_private_folders, private_file, set_mode};
use crate::report::notice::{Notice, Safe};

/// The name of the ledger.
const FILE: &str = "notices.db";
/// How long to wait for another run that writes.
const BUSY: Duration = Duration::from_secs(2);
/// How long what could not be delivered is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);
/// How many undelivered notices a receiver may have; the oldest ones are given up.
const UNDELIVERED: i64 = 10;
/// How long the history is.
const HISTORY: TimeDelta = TimeDelta::days(90);
/// How long what is being sent belongs to the run that sends it.
const CLAIM: TimeDelta = TimeDelta::seconds(60);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS notices(
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, at INTEGER NOT NULL,
        trouble INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS deliveries(
        notice TEXT NOT NULL, receiver TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
        answer TEXT, at INTEGER NOT NULL, claimed INTEGER NOT NULL, PRIMARY KEY(notice, receiver));
    CREATE TABLE IF NOT EXISTS troubles(
        scope TEXT NOT NULL, subject TEXT NOT NULL, code INTEGER NOT NULL, since INTEGER NOT NULL, reported INTEGER,
        times INTEGER NOT NULL, PRIMARY KEY(scope, subject, code));
    CREATE TABLE IF NOT EXISTS good(
        scope TEXT NOT NULL, set_name TEXT NOT NULL, archive TEXT NOT NULL, at INTEGER NOT NULL, verified INTEGER,
        PRIMARY KEY(scope, set_name));";

/// The ledger of one configuration.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    /// Whose: the configuration, the host and the store.
    scope: String,
}

/// A notice that waits to be sent to a receiver.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The receiver.
    pub receiver: String,
    /// The notice.
    pub notice: Notice,
}

/// How far a delivery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent.
    Sent,
    /// It waits for the next run.
    Pending,
}

impl Delivery {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Pending => "pending",
        }
    }
}

/// A line of the history.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The notice.
    pub notice: Notice,
    /// The receiver.
    pub receiver: String,
    /// `sent`, `pending` or `given up`.
    pub state: String,
    /// How often it was tried.
    pub tries: u32,
    /// What the other side answered last, or why there was no answer.
    pub answer: Option<String>,
}

/// The ledger cannot be used.
#[derive(Debug)]
pub struct LedgerError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    Sqlite(rusqlite::Error),
}

impl std::fmt::Display for LedgerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot use \"{}\"", self.path.display())
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match &self.cause {
            Cause::Io(cause) => cause,
            Cause::Sqlite(cause) => cause,
        })
    }
}

type Result<T> = std::result::Result<T, LedgerError>;

impl Ledger {
    /// Opens the ledger in a folder, and makes both if they are missing. A damaged one is renamed and a new one
    /// started.
    pub fn open(folder: &Path, scope: &str) -> Result<Self> {
        let path = folder.join(FILE);
        let connection = match connect(folder, &path) {
            Err(Cause::Sqlite(cause)) if super::activity::is_damage(&cause) => {
                // Crash here: no ledger, which is the same as an empty one.
                super::activity::put_aside(&path).map_err(Cause::from).and_then(|()| connect(folder, &path))
            }
            other => other,
        };
        let connection = connection.map_err(|cause| LedgerError { path: path.clone(), cause })?;
        Ok(Self { connection, scope: scope.to_owned() })
    }

    fn failed(&self, cause: rusqlite::Error) -> LedgerError {
        let path = self.connection.path().map(PathBuf::from).unwrap_or_else(|| FILE.into());
        LedgerError { path, cause: Cause::Sqlite(cause) }
    }

    /// Decides about a round and writes what follows, in one transaction: `decide` gets the troubles that last and the
    /// number of those reported within the last hour, and returns the decision with the notice and its receivers.
    pub fn settle(
        &mut self,
        now: DateTime<Utc>,
        decide: impl FnOnce(&[Trouble], usize) -> (Decision, Option<(Notice, Vec<String>)>),
    ) -> Result<()> {
        let scope = self.scope.clone();
        let settled = (|| {
            let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let known = {
                let mut statement =
                    change.prepare("SELECT subject, code, since, reported, times FROM troubles WHERE scope = ?1")?;
                let rows = statement.query_map([&scope], |row| {
                    Ok(Trouble {
                        subject: row.get(0)?,
                        code: row.get(1)?,
                        since: time(row.get(2)?),
                        reported: row.get::<_, Option<i64>>(3)?.map(time),
                        times: row.get(4)?,
                    })
                })?;
                rows.collect::<rusqlite::Result<Vec<_>>>()?
            };
            let hour = (now - TimeDelta::hours(1)).timestamp();
            let recent: i64 = change.query_row(
                "SELECT count(*) FROM notices WHERE scope = ?1 AND trouble AND at > ?2 AND at <= ?3",
                params![scope, hour, now.timestamp()],
                |row| row.get(0),
            )?;
            let (decision, notice) = decide(&known, usize::try_from(recent).unwrap_or(usize::MAX));
            if decision.troubles != known {
                change.execute("DELETE FROM troubles WHERE scope = ?1", [&scope])?;
                for trouble in &decision.troubles {
                    change.execute(
                        "INSERT INTO troubles(scope, subject, code, since, reported, times) VALUES(?1, ?2, ?3, ?4, ?5, \
                         ?6)",
                        params![
                            scope,
                            trouble.subject,
                            trouble.code,
                            trouble.since.timestamp(),
                            trouble.reported.map(|at| at.timestamp()),
                            trouble.times
                        ],
                    )?;
                }
            }
            if let Some((notice, receivers)) = notice {
                let body = serde_json::to_string(&notice)
                    .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
                change.execute(
                    "INSERT INTO notices(id, scope, at, trouble, body) VALUES(?1, ?2, ?3, ?4, ?5)",
                    params![notice.id, scope, now.timestamp(), notice.is_trouble(), body],
                )?;
                for receiver in receivers {
                    change.execute(
                        "INSERT INTO deliveries(notice, receiver, state, at, claimed) VALUES(?1, ?2, 'pending', ?3, 0)",
                        params![notice.id, receiver, now.timestamp()],
                    )?;
                }
            }
            change.commit()
        })();
        settled.map_err(|cause| self.failed(cause))
    }

    /// Returns what waits for these receivers, oldest first, and claims it. Gives up what is too old or too much.
    pub fn claim(&mut self, receivers: &[String], now: DateTime<Utc>) -> Result<Vec<Waiting>> {
        let scope = self.scope.clone();
        let claimed = (|| {
            let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute(
                "UPDATE deliveries SET state = 'given up' WHERE state = 'pending' AND notice IN
                 (SELECT id FROM notices WHERE scope = ?1 AND at < ?2)",
                params![scope, (now - KEPT).timestamp()],
            )?;
            let mut waiting = Vec::new();
            for receiver in receivers {
                change.execute(
                    "UPDATE deliveries SET state = 'given up' WHERE receiver = ?2 AND state = 'pending' AND notice IN
                     (SELECT id FROM notices JOIN deliveries ON notice = id WHERE scope = ?1 AND receiver = ?2
                      AND state = 'pending' ORDER BY number DESC LIMIT -1 OFFSET ?3)",
                    params![scope, receiver, UNDELIVERED],
                )?;
                let mut statement = change.prepare(
                    "SELECT body FROM notices JOIN deliveries ON notice = id WHERE scope = ?1 AND receiver = ?2
                     AND state = 'pending' AND (claimed < ?3 OR claimed > ?4) ORDER BY number",
                )?;
                let until = now + CLAIM;
                let rows = statement
                    .query_map(params![scope, receiver, now.timestamp(), (until + CLAIM).timestamp()], |row| {
                        row.get::<_, String>(0)
                    })?;
                for body in rows {
                    // One of a newer release that cannot be read is given up in a day.
                    let Ok(notice) = serde_json::from_str::<Notice>(&body?) else { continue };
                    change.execute(
                        "UPDATE deliveries SET claimed = ?3 WHERE notice = ?1 AND receiver = ?2",
                        params![notice.id, receiver, until.timestamp()],
                    )?;
                    waiting.push(Waiting { receiver: receiver.clone(), notice });
                }
            }
            change.commit()?;
            Ok(waiting)
        })();
        claimed.map_err(|cause| self.failed(cause))
    }

    /// Notes the result of a delivery, and ends its claim.
    pub fn note(
        &mut self,
        notice: &str,
        receiver: &str,
        state: Delivery,
        tries: u32,
        answer: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.connection
            .execute(
                "UPDATE deliveries SET state = ?3, tries = tries + ?4, answer = ?5, at = ?6, claimed = 0
                 WHERE notice = ?1 AND receiver = ?2",
                params![notice, receiver, state.as_str(), tries, answer, now.timestamp()],
            )
            .map(|_| ())
            .map_err(|cause| self.failed(cause))
    }

    /// Remembers a good backup of a set.
    pub fn note_good(&mut self, set: &str, good: &Safe) -> Result<()> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO good(scope, set_name, archive, at, verified) VALUES(?1, ?2, ?3, ?4, ?5)",
                params![self.scope, set, good.archive, good.at.timestamp(), good.verified_at.map(|at| at.timestamp())],
            )
            .map(|_| ())
            .map_err(|cause| self.failed(cause))
    }

    /// Remembers that an archive was verified; one that was found damaged is no good backup any more.
    pub fn note_verified(&mut self, archive: &str, good: bool, now: DateTime<Utc>) -> Result<()> {
        let change = if good {
            "UPDATE good SET verified = ?3 WHERE scope = ?1 AND archive = ?2"
        } else {
            "DELETE FROM good WHERE scope = ?1 AND archive = ?2 AND ?3 IS NOT NULL"
        };
        self.connection
            .execute(change, params![self.scope, archive, now.timestamp()])
            .map(|_| ())
            .map_err(|cause| self.failed(cause))
    }

    /// Returns the last good backup of a set that this host made.
    pub fn good(&self, set: &str) -> Option<Safe> {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Safe {
                archive: row.get(0)?,
                at: time(row.get(1)?),
                verified_at: row.get::<_, Option<i64>>(2)?.map(time),
            })
        };
        let query = "SELECT archive, at, verified FROM good WHERE scope = ?1 AND set_name = ?2";
        self.connection.query_row(query, params![self.scope, set], row).ok()
    }

    /// Returns how many notices wait to be sent.
    pub fn undelivered(&self) -> Result<u64> {
        let query =
            "SELECT count(*) FROM deliveries JOIN notices ON id = notice WHERE scope = ?1 AND state = 'pending'";
        let count: rusqlite::Result<i64> = self.connection.query_row(query, [&self.scope], |row| row.get(0));
        count.map(|count| count.unsigned_abs()).map_err(|cause| self.failed(cause))
    }

    /// Returns the history, newest first.
    pub fn history(&self, since: Option<DateTime<Utc>>) -> Result<Vec<Delivered>> {
        let read = (|| {
            let mut statement = self.connection.prepare(
                "SELECT body, receiver, state, tries, answer FROM notices JOIN deliveries ON notice = id
                 WHERE scope = ?1 AND notices.at >= ?2 ORDER BY number DESC, receiver",
            )?;
            let since = since.map_or(i64::MIN, |since| since.timestamp());
            let rows = statement.query_map(params![self.scope, since], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            let mut history = Vec::new();
            for row in rows {
                let (body, receiver, state, tries, answer) = row?;
                if let Ok(notice) = serde_json::from_str(&body) {
                    history.push(Delivered { notice, receiver, state, tries, answer });
                }
            }
            Ok(history)
        })();
        read.map_err(|cause| self.failed(cause))
    }

    /// Removes what is older than the history reaches. A failure only leaves it for the next time.
    pub fn prune(&mut self, now: DateTime<Utc>) {
        let before = (now - HISTORY).timestamp();
        let _ = self.connection.execute("DELETE FROM notices WHERE at < ?1", [before]);
        let _ = self.connection.execute("DELETE FROM deliveries WHERE notice NOT IN (SELECT id FROM notices)", []);
    }
}

fn connect(folder: &Path, path: &Path) -> std::result::Result<Connection, Cause> {
    create_private_folders(folder)?;
    // We create it with its mode, before SQLite could create it with the umask's.
    match private_file(path) {
        Ok(file) => set_mode(&file, 0o600)?,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(cause.into()),
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

impl From<rusqlite::Error> for Cause {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

impl From<io::Error> for Cause {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::{Ended, decide};

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn report(ledger: &mut Ledger, id: &str, minute: i64) {
        let ended = [Ended { subject: id.into(), code: Some(16) }];
        let notice = Notice { id: id.into(), events: vec!["failure".into()], at: at(minute), ..Notice::default() };
        ledger
            .settle(at(minute), |known, recent| {
                let decision = decide(known, &ended, recent, at(minute));
                let notice = decision.report.then(|| (notice, vec!["phone".to_owned()]));
                (decision, notice)
            })
            .unwrap();
    }

    #[test]
    fn what_was_not_delivered_waits_a_day_and_is_claimed_by_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let phone = ["phone".to_owned()];
        let mut ledger = Ledger::open(folder.path(), "one").unwrap();
        report(&mut ledger, "a", 0);
        let ids = |waiting: Vec<Waiting>| waiting.into_iter().map(|one| one.notice.id).collect::<Vec<_>>();
        assert_eq!(ids(ledger.claim(&phone, at(0)).unwrap()), ["a"]);
        let mut second = Ledger::open(folder.path(), "one").unwrap();
        assert!(second.claim(&phone, at(0)).unwrap().is_empty(), "the first run sends it");
        let mut other = Ledger::open(folder.path(), "other").unwrap();
        assert!(other.claim(&phone, at(60)).unwrap().is_empty(), "another configuration has another phone");
        // The first run died.
        report(&mut second, "b", 2);
        assert_eq!(ids(second.claim(&phone, at(2)).unwrap()), ["a", "b"]);
        second.note("a", "phone", Delivery::Sent, 1, "200", at(2)).unwrap();
        second.note("b", "phone", Delivery::Pending, 3, "500", at(2)).unwrap();
        assert_eq!(second.undelivered().unwrap(), 1);
        assert!(second.claim(&phone, at(2 + 24 * 60 + 1)).unwrap().is_empty());
        let states: Vec<_> = second.history(None).unwrap().into_iter().map(|one| (one.notice.id, one.state)).collect();
        assert_eq!(states, [("b".into(), "given up".into()), ("a".into(), "sent".to_owned())]);
    }

    #[test]
    fn a_damaged_ledger_is_renamed_and_a_new_one_started() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "no database ".repeat(100)).unwrap();
        let mut ledger = Ledger::open(folder.path(), "one").unwrap();
        report(&mut ledger, "a", 0);
        assert_eq!(ledger.undelivered().unwrap(), 1);
    }
}
