//! What a listing of a store finds, and a listing that several commands of one process share.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{ArchiveName, HostLabel, Name, time_in_name};
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// The archives of a store, and the files that look like archives but are not.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The archives, newest first, equal times by name.
    pub snapshots: Vec<Snapshot>,
    /// Files with the ending of an archive that cannot be read as one. Nothing ever removes them.
    pub foreign: Vec<Foreign>,
    /// Encrypted archives with a label that cannot be right, and why.
    pub doubts: Vec<(ArchiveName, String)>,
}

/// A file that is not proven to be a heirloom archive or one of a known tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its name, as the store has it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Why it is not an archive.
    pub why: String,
    /// What that means.
    pub state: Unusable,
}

/// Why a file of a store cannot be used as an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// It is not an archive.
    Foreign,
    /// It seems to be a damaged archive rather than something else: its name carries a time, and there is evidence. Or
    /// this host knows an archive of that name.
    Damaged,
    /// The system failed to read it, which says nothing about what it is.
    Unread,
    /// It is encrypted, and no key at hand opens it.
    KeyMissing,
    /// A newer release of heirloom wrote it.
    Newer(Newer),
}

impl Foreign {
    /// Returns whether it seems to be a damaged archive.
    pub fn is_damaged(&self) -> bool {
        self.state == Unusable::Damaged
    }

    /// Returns whether the system failed to read it.
    pub fn is_unread(&self) -> bool {
        self.state == Unusable::Unread
    }

    /// Returns whether it is encrypted and no key at hand opens it.
    pub fn lacks_key(&self) -> bool {
        self.state == Unusable::KeyMissing
    }

    /// Returns whose it is, if a newer release of heirloom wrote it.
    pub fn newer(&self) -> Option<&Newer> {
        match &self.state {
            Unusable::Newer(newer) => Some(newer),
            _ => None,
        }
    }
}

/// What is known of an archive that a newer release wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Its set: out of its description, else out of its name.
    pub set: Name,
    /// Its host label; `None` if it cannot be read, so it may be any.
    pub host: Option<HostLabel>,
}

impl Inventory {
    /// Returns the sets that have an archive in a newer format under one of these host labels, or under one that is not
    /// known.
    pub fn sets_of_newer_formats(&self, of_host: impl Fn(&HostLabel) -> bool) -> BTreeSet<Name> {
        let newer = self.foreign.iter().filter_map(Foreign::newer);
        newer.filter(|newer| newer.host.as_ref().is_none_or(&of_host)).map(|newer| newer.set.clone()).collect()
    }

    /// Returns an archive that the system failed to read and that may be as new as `than`, and no newer than `until`.
    ///
    /// Every choice of the newest archive must check this: an older one in its place would be the wrong state. A time
    /// in a name is in UTC or, for old tools, in an unknown zone.
    pub fn unread_as_new_as(&self, than: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Option<&Foreign> {
        let (zones, unread) = (TimeDelta::days(1), self.foreign.iter().filter(|foreign| foreign.is_unread()));
        let stated = |foreign: &Foreign| time_in_name(&foreign.name).map(|time| time.and_utc());
        let matters = |time: DateTime<Utc>| {
            than.is_none_or(|than| time > than - zones) && until.is_none_or(|until| time < until + zones)
        };
        unread.into_iter().find(|foreign| stated(foreign).is_none_or(matters))
    }
}

/// The listing of a store for commands that change nothing: it is made once.
#[derive(Debug, Clone, Default)]
pub struct Listing(Arc<Mutex<Option<Found>>>);

/// What was found; the same error again is as good as asking again.
type Found = Result<Arc<Inventory>, Outage>;

/// The store was unreachable. Asking it again would take as long as the first time.
#[derive(Debug)]
struct Outage {
    location: String,
    cause: Arc<io::Error>,
}

impl Listing {
    /// Returns the listing; makes it if nobody did. Other errors than an unreachable store are not kept.
    pub(super) fn get(&self, read: impl FnOnce() -> anyhow::Result<Inventory>) -> anyhow::Result<Arc<Inventory>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.take() {
            Some(found) => found,
            None => match read().map_err(anyhow::Error::downcast) {
                Ok(found) => Ok(Arc::new(found)),
                Err(Ok(StoreError::Unreachable { location, cause })) => {
                    Err(Outage { location, cause: Arc::new(cause) })
                }
                Err(Ok(error)) => return Err(error.into()),
                Err(Err(error)) => return Err(error),
            },
        };
        let again = match &found {
            Ok(found) => Ok(Arc::clone(found)),
            Err(outage) => Err(outage.error().into()),
        };
        *kept = Some(found);
        again
    }
}

impl Outage {
    fn error(&self) -> StoreError {
        let cause = io::Error::new(self.cause.kind(), Shared(Arc::clone(&self.cause)));
        StoreError::Unreachable { location: self.location.clone(), cause }
    }
}

/// An error that is reported more than once.
#[derive(Debug)]
struct Shared(Arc<io::Error>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_cannot_be_read_stands_in_the_way_of_an_older_one() {
        let foreign = |name: &str, state| Foreign { name: name.into(), bytes: 1, why: "why".into(), state };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let found = |foreign: Vec<Foreign>, than, until| {
            Inventory { foreign, ..Inventory::default() }
                .unread_as_new_as(than, until)
                .map(|unread| unread.name.clone())
        };
        let march = "app_20260301T000000Z.tar.gz";
        let (february, april) = (Some(at("2026-02-10T00:00:00Z")), Some(at("2026-04-01T00:00:00Z")));

        assert_eq!(found(vec![foreign(march, Unusable::Unread)], february, None).as_deref(), Some(march));
        assert_eq!(found(vec![foreign(march, Unusable::Unread)], None, None).as_deref(), Some(march));
        assert_eq!(
            found(vec![foreign("mine.tar.gz", Unusable::Unread)], april, None).as_deref(),
            Some("mine.tar.gz"),
            "its time is not known"
        );
        assert_eq!(found(vec![foreign(march, Unusable::Unread)], april, None), None, "it is older");
        assert_eq!(
            found(vec![foreign(march, Unusable::Unread)], february, Some(at("2026-02-20T00:00:00Z"))),
            None,
            "it is newer than was asked for"
        );
        assert_eq!(found(vec![foreign(march, Unusable::Damaged)], february, None), None, "it was read, and is none");
    }

    #[test]
    fn a_store_is_listed_once_even_if_it_is_unreachable() {
        let listing = Listing::default();
        let (mut count, found) = (
            0,
            Inventory { doubts: vec![(ArchiveName::new("a.tar.gz").unwrap(), "x".into())], ..Inventory::default() },
        );
        for _ in 0..3 {
            let read = || {
                count += 1;
                Ok(found.clone())
            };
            assert_eq!(listing.clone().get(read).unwrap().doubts, found.doubts);
        }
        assert_eq!(count, 1);

        let (listing, mut count) = (Listing::default(), 0);
        let unreachable = || {
            let cause = io::Error::new(io::ErrorKind::TimedOut, io::Error::from(io::ErrorKind::HostUnreachable));
            StoreError::Unreachable { location: "s3://b".into(), cause }
        };
        for _ in 0..3 {
            let read = || {
                count += 1;
                Err(unreachable().into())
            };
            let error = listing.get(read).unwrap_err();
            assert_eq!(format!("{error:#}"), format!("{:#}", anyhow::Error::from(unreachable())));
            let Ok(StoreError::Unreachable { cause, .. }) = error.downcast() else { panic!("another error") };
            assert_eq!(cause.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(count, 1);
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let listing = Listing::default();
        let missing = || StoreError::NotFound { location: "/b".into(), name: "a".into() };
        assert!(listing.get(|| Err(missing().into())).is_err_and(|error| error.is::<StoreError>()));
        assert!(listing.get(|| anyhow::bail!("interrupted")).is_err());
        assert!(listing.get(|| Ok(Inventory::default())).is_ok());
    }
}
