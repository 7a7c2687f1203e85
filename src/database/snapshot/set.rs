//! Pins all databases of a set at one point in time.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::pinned::SetDatabase;
use crate::clock::Clock;
use crate::database::error::SourceError;
use crate::database::files::access::{Sidecars, Way};
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::transaction::{PIN, begin, is_busy, needs_private_copy, roll_back};
use crate::database::timeouts::{Timeouts, pause};
use crate::progress::Progress;

/// Pins all at one point in time, and returns whether that succeeded; if a lock is impossible, they are pinned one by
/// one.
///
/// A database whose pin blocks its writers needs no lock: it is pinned before the first lock is taken and cannot change
/// until after the last.
pub(super) fn pin_together(
    members: &[SetDatabase],
    clock: &Clock,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<(DateTime<Utc>, bool), SourceError> {
    let mut order: Vec<&SetDatabase> = members.iter().collect();
    order.sort_by_key(|member| member.located.id);
    let mut lockers = Vec::with_capacity(order.len());
    for member in &order {
        lockers.push(Locker::open(member)?);
    }
    let started = Instant::now();
    let at = loop {
        progress.checkpoint()?;
        let (member, error) = match attempt(&order, &mut lockers, clock) {
            Ok(at) => break at,
            Err(refused) => refused,
        };
        for locker in lockers.iter().flat_map(Locker::connection) {
            roll_back(locker).map_err(|error| SourceError::from_sqlite(&member.located.given, "unlock", &error))?;
        }
        for member in &order {
            member.unpin()?;
        }
        if !is_busy(&error) {
            return Err(SourceError::from_sqlite(&member.located.given, "lock", &error));
        }
        if started.elapsed() > timeouts.busy {
            let why = format!("another process has held a lock on it for {:?}", timeouts.busy);
            return Err(SourceError::Busy { path: member.located.given.clone(), why });
        }
        // Random, so that two processes that want the same locks do not collide again.
        pause(Duration::from_millis(5 + RandomState::new().build_hasher().finish() % 50), progress)?;
    };
    Ok((at, lockers.iter().all(|locker| !matches!(locker, Locker::Impossible))))
}

/// Tries once to lock and pin all. On success all are pinned and all locks released; on failure the caller releases
/// everything.
fn attempt<'a>(
    order: &[&'a SetDatabase],
    lockers: &mut [Locker],
    clock: &Clock,
) -> Result<DateTime<Utc>, (&'a SetDatabase, rusqlite::Error)> {
    for (member, locker) in order.iter().zip(&*lockers) {
        if matches!(locker, Locker::Needless) {
            member.pin().map_err(|error| (*member, error))?;
        }
    }
    for (member, locker) in order.iter().zip(&mut *lockers) {
        if let Locker::Ready(live) = locker {
            begin(live.connection(), "BEGIN IMMEDIATE").map_err(|error| (*member, error))?;
        }
    }
    for (member, locker) in order.iter().zip(&*lockers) {
        if !matches!(locker, Locker::Needless) {
            member.pin().map_err(|error| (*member, error))?;
        }
    }
    let at = clock.now();
    for (member, locker) in order.iter().zip(&*lockers) {
        if let Some(connection) = locker.connection() {
            roll_back(connection).map_err(|error| (*member, error))?;
        }
    }
    Ok(at)
}

/// What keeps writers out of one database for a moment.
enum Locker {
    /// A second connection, which can take the write lock. On a read-only one, `BEGIN IMMEDIATE` succeeds and locks
    /// nothing.
    Ready(Live),
    /// Nothing is needed: the pin does it.
    Needless,
    /// Nothing is possible.
    Impossible,
}

impl Locker {
    fn open(member: &SetDatabase) -> Result<Self, SourceError> {
        if member.staged.is_some() {
            return Ok(Self::Impossible);
        }
        let instead = if member.freezes() { Self::Needless } else { Self::Impossible };
        // The pin's connection, which is closed later, cleans up for both.
        let opened = Live::open(&member.located.path, Way::Wal(Sidecars::Theirs));
        match opened.and_then(|live| Ok((live.connection().is_readonly("main")?, live))) {
            // The header can forbid writing (a newer write version), which shows only after reading it.
            Ok((false, live)) => match begin(live.connection(), PIN) {
                Ok(()) => {
                    roll_back(live.connection())
                        .map_err(|error| SourceError::from_sqlite(&member.located.given, "unlock", &error))?;
                    Ok(if live.connection().is_readonly("main").unwrap_or(true) { instead } else { Self::Ready(live) })
                }
                Err(error) if is_busy(&error) => Ok(Self::Ready(live)),
                Err(error) => Err(SourceError::from_sqlite(&member.located.given, "open", &error)),
            },
            Ok((true, _)) => Ok(instead),
            Err(error) if needs_private_copy(&error) => Ok(instead),
            Err(error) => Err(SourceError::from_sqlite(&member.located.given, "open", &error)),
        }
    }

    fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Ready(live) => Some(live.connection()),
            Self::Needless | Self::Impossible => None,
        }
    }
}
