//! The lease of `run` in a remote store: one run at a time writes the history of a set of a host label.
//!
//! Stores never replace a file, so a lease is a row of small hidden files: `.heirloom-lease-KEY-GENERATION`. The one
//! with the highest generation G says who holds it. Whoever takes, renews or releases the lease puts G+1, which the
//! store gives to one of them only. Two rules make that safe:
//!
//! - The highest generation is never removed, so it never falls. A file that somebody puts late, after an old listing,
//!   is below the highest one, and means nothing. That is why a listing after the put decides who has taken the lease.
//! - Files are removed in ascending order, each after all lower ones are gone. So a holder at G that has put G+1, and
//!   then still finds its own file G, knows that no G+1 existed before (it could not have been removed before G):
//!   nobody was in between. It needs no clock for that, however long it was suspended. If its G is gone, another run
//!   took the lease.
//!
//! A lease has expired if its highest generation stayed the same for [`EXPIRY`] of the observer's own time. The clock
//! of the other host is never read, and an observer that was suspended only waits longer.
//!
//! A process that dies at any moment leaves files below the highest, which the next holder removes, or its own as the
//! highest, which expires. A lost answer to a put is found out at the next attempt: the file names its run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::store::{Store, StoreError};

/// How long a lease stays valid without being renewed.
pub const EXPIRY: Duration = Duration::from_secs(60);
/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(20);

/// The most of a file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// What a generation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// A random id of the run.
    pub run: String,
    /// How the run describes itself.
    pub holder: String,
    /// The host label.
    pub host: String,
    /// The set.
    pub set: String,
    /// The local lock that the run holds, as an id that no other file on any machine has; it ends with the run.
    #[serde(default)]
    pub lock: Option<String>,
    /// Whether the lease is free.
    pub released: bool,
}

/// The lease of a set of a host label, as one run sees it.
pub struct Lease {
    store: Arc<dyn Store>,
    prefix: String,
    claim: Claim,
    seen: Option<Seen>,
    held: Option<u64>,
    /// Own generations that could not be removed yet, in ascending order.
    below: Vec<u64>,
}

struct Seen {
    generation: u64,
    since: Instant,
    claim: Claim,
}

/// Whether this run has the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has.
    Held,
    /// Another run has.
    Other {
        /// How that describes itself.
        holder: String,
    },
}

impl Lease {
    /// Names a lease. Sends no request.
    pub fn new(store: Arc<dyn Store>, claim: Claim) -> Self {
        let key = Sha256::of(format!("{}\0{}", claim.host, claim.set).as_bytes()).to_string();
        let prefix = format!(".heirloom-lease-{}-", &key[..16]);
        Self { store, prefix, claim, seen: None, held: None, below: Vec::new() }
    }

    /// Returns whether the store can hold leases. May try that with a hidden file.
    pub fn is_possible(store: &dyn Store) -> Result<bool, StoreError> {
        store.prepare(0)?;
        Ok(store.capabilities().atomic_commit)
    }

    /// Tries once to take the lease: if it is free, or the run that had it is dead or did not renew it for [`EXPIRY`].
    ///
    /// Crash in between: this run has it until it expires, or nothing happened.
    pub fn try_take(&mut self) -> Result<Standing, StoreError> {
        self.try_take_at(Instant::now, EXPIRY)
    }

    fn try_take_at(&mut self, now: impl Fn() -> Instant, expiry: Duration) -> Result<Standing, StoreError> {
        // Before the listing and after it: what was observed lasted at least from one to the other.
        let asked = now();
        let Some(highest) = self.generations()?.last().copied() else { return self.put_and_settle(1) };
        if self.seen.as_ref().is_none_or(|seen| seen.generation != highest) {
            let since = now();
            let claim = match self.read(highest)? {
                Some(claim) => claim,
                // It was renewed at this moment.
                None => return Ok(self.other()),
            };
            self.seen = Some(Seen { generation: highest, since, claim });
        }
        let Some(seen) = &self.seen else { return Ok(self.other()) };
        if seen.claim.run == self.claim.run && !seen.claim.released {
            // The answer to an earlier put was lost.
            return self.settle(highest);
        }
        // Both have, or had, the same local lock, which this run holds.
        let is_dead = self.claim.lock.is_some() && seen.claim.lock == self.claim.lock;
        if seen.claim.released || is_dead || asked.saturating_duration_since(seen.since) >= expiry {
            return self.put_and_settle(highest + 1);
        }
        Ok(self.other())
    }

    fn other(&self) -> Standing {
        let holder = self.seen.as_ref().map_or_else(|| "another run".into(), |seen| seen.claim.holder.clone());
        Standing::Other { holder }
    }

    fn put_and_settle(&mut self, generation: u64) -> Result<Standing, StoreError> {
        match self.put(generation, false) {
            Ok(()) => self.settle(generation),
            // Another run was faster. The next attempt sees which.
            Err(StoreError::Exists { .. }) => Ok(self.other()),
            Err(error) => Err(error),
        }
    }

    /// Holds the lease if the generation that was put is the highest, and removes all others.
    fn settle(&mut self, own: u64) -> Result<Standing, StoreError> {
        let generations = self.generations()?;
        if generations.last() != Some(&own) {
            if generations.last().is_some_and(|highest| *highest > own) {
                // It means nothing, and whoever takes the lease next removes it, too.
                let _ = self.store.remove(&self.name(own));
            }
            return Ok(self.other());
        }
        for lower in generations.iter().filter(|generation| **generation < own) {
            // Crash in between, or an error: the lease is ours until it expires, and the next attempt goes on here.
            self.remove(*lower)?;
        }
        self.held = Some(own);
        self.below.clear();
        Ok(Standing::Held)
    }

    /// Renews the lease if this run has it, or finds out that another one took it. After an error it is as it was.
    ///
    /// Crash in between: it expires.
    pub fn renew(&mut self) -> Result<Standing, StoreError> {
        self.advance(false)
    }

    /// Gives the lease back. The last file stays: it says that the lease is free.
    ///
    /// Crash in between: it expires.
    pub fn release(&mut self) -> Result<(), StoreError> {
        let done = self.advance(true).map(drop);
        if done.is_ok() {
            self.held = None;
        }
        done
    }

    fn advance(&mut self, released: bool) -> Result<Standing, StoreError> {
        let Some(held) = self.held else { return Ok(self.other()) };
        let next = held + 1;
        match self.put(next, released) {
            Ok(()) => {}
            Err(StoreError::Exists { .. }) => match self.read(next)? {
                // The answer to an earlier put was lost, or what followed it failed.
                Some(claim) if claim.run == self.claim.run && claim.released == released => {}
                Some(claim) if claim.run == self.claim.run && self.is_own(held)? => {
                    self.held = Some(next);
                    self.below.push(held);
                    return self.advance(released);
                }
                found => return Ok(self.lost(next, found)),
            },
            Err(error) => return Err(error),
        }
        if !self.is_own(held)? {
            // The file just put is below the highest, so it means nothing.
            let _ = self.store.remove(&self.name(next));
            return Ok(self.lost(next, None));
        }
        self.held = Some(next);
        self.below.push(held);
        while let Some(lower) = self.below.first().copied() {
            self.remove(lower)?;
            self.below.remove(0);
        }
        Ok(Standing::Held)
    }

    fn lost(&mut self, generation: u64, found: Option<Claim>) -> Standing {
        self.held = None;
        self.below.clear();
        self.seen = found.map(|claim| Seen { generation, since: Instant::now(), claim });
        self.other()
    }

    /// Returns the generations that exist, in ascending order.
    fn generations(&self) -> Result<Vec<u64>, StoreError> {
        let names = self.store.hidden(&self.prefix)?;
        let number = |name: &String| name.strip_prefix(&self.prefix)?.parse().ok();
        let mut generations: Vec<u64> = names.iter().filter_map(number).collect();
        generations.sort_unstable();
        Ok(generations)
    }

    fn name(&self, generation: u64) -> String {
        format!("{}{generation:012}", self.prefix)
    }

    fn put(&self, generation: u64, released: bool) -> Result<(), StoreError> {
        let name = self.name(generation);
        let text = serde_json::to_vec(&Claim { released, ..self.claim.clone() })
            .map_err(|cause| StoreError::io("write", &name, self.store.location(), cause.into()))?;
        self.store.put(&name, &text)
    }

    fn read(&self, generation: u64) -> Result<Option<Claim>, StoreError> {
        let name = self.name(generation);
        let failed = |cause| StoreError::io("read", &name, self.store.location(), cause);
        let file = match self.store.open(&name, None) {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let mut text = vec![0; usize::try_from(file.bytes().min(MAX_BYTES)).expect("16 KiB fit")];
        match file.read_exact_at(&mut text, 0) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(failed)?,
        }
        let claim = serde_json::from_slice(&text);
        claim.map(Some).map_err(|cause| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, cause)))
    }

    fn is_own(&self, generation: u64) -> Result<bool, StoreError> {
        Ok(self.read(generation)?.is_some_and(|claim| claim.run == self.claim.run))
    }

    fn remove(&self, generation: u64) -> Result<(), StoreError> {
        match self.store.remove(&self.name(generation)) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::store::MemoryStore;

    fn claim(run: &str) -> Claim {
        Claim {
            run: run.into(),
            holder: format!("run {run}"),
            host: "web".into(),
            set: "app".into(),
            lock: None,
            released: false,
        }
    }

    fn lease(store: &MemoryStore, run: &str) -> Lease {
        Lease::new(Arc::new(store.clone()), claim(run))
    }

    fn other(run: &str) -> Standing {
        Standing::Other { holder: format!("run {run}") }
    }

    fn files(store: &MemoryStore) -> usize {
        use crate::store::ReadStore as _;
        store.hidden(".heirloom-lease-").unwrap().len()
    }

    #[test]
    fn the_second_run_gets_the_lease_when_the_first_releases_it() {
        let store = MemoryStore::default();
        let (mut a, mut b) = (lease(&store, "a"), lease(&store, "b"));
        assert_eq!(a.try_take().unwrap(), Standing::Held);
        assert_eq!(b.try_take().unwrap(), other("a"));
        assert_eq!(a.renew().unwrap(), Standing::Held);
        assert_eq!(b.try_take().unwrap(), other("a"));
        a.release().unwrap();
        assert_eq!(b.try_take().unwrap(), Standing::Held);
        assert_ne!(a.renew().unwrap(), Standing::Held, "it has none");
        assert_eq!(a.try_take().unwrap(), other("b"));
        assert_eq!(files(&store), 1);
    }

    #[test]
    fn other_sets_and_hosts_have_leases_of_their_own() {
        let store = MemoryStore::default();
        assert_eq!(lease(&store, "a").try_take().unwrap(), Standing::Held);
        for (host, set) in [("web2", "app"), ("web", "app2"), ("we", "bapp")] {
            let claim = Claim { host: host.into(), set: set.into(), ..claim("b") };
            assert_eq!(Lease::new(Arc::new(store.clone()), claim).try_take().unwrap(), Standing::Held);
        }
    }

    #[test]
    fn a_lease_expires_if_it_stays_the_same_for_the_observer() {
        let store = MemoryStore::default();
        let (mut a, mut b) = (lease(&store, "a"), lease(&store, "b"));
        let start = Instant::now();
        let at = |seconds| move || start + Duration::from_secs(seconds);
        assert_eq!(a.try_take().unwrap(), Standing::Held);
        assert_eq!(b.try_take_at(at(100), EXPIRY).unwrap(), other("a"), "the first look starts the time");
        assert_eq!(b.try_take_at(at(159), EXPIRY).unwrap(), other("a"));
        assert_eq!(a.renew().unwrap(), Standing::Held);
        assert_eq!(b.try_take_at(at(161), EXPIRY).unwrap(), other("a"));
        assert_eq!(b.try_take_at(at(220), EXPIRY).unwrap(), other("a"));
        assert_eq!(b.try_take_at(at(221), EXPIRY).unwrap(), Standing::Held);
        assert_eq!(a.renew().unwrap(), other("b"), "the first one learns it");
        assert_eq!(b.renew().unwrap(), Standing::Held, "and leaves nothing behind that disturbs the second");
        assert_eq!(files(&store), 1);
    }

    /// The first run sleeps for longer than the second one lives: the generation that it puts next is free again.
    #[test]
    fn a_holder_that_was_suspended_does_not_take_a_lease_that_went_on_without_it() {
        for renewals in 0..4 {
            let store = MemoryStore::default();
            let (mut a, mut b) = (lease(&store, "a"), lease(&store, "b"));
            assert_eq!(a.try_take().unwrap(), Standing::Held);
            b.try_take_at(Instant::now, Duration::ZERO).unwrap();
            for _ in 0..renewals {
                assert_eq!(b.renew().unwrap(), Standing::Held);
            }
            assert_ne!(a.renew().unwrap(), Standing::Held, "{renewals}");
            assert_eq!(b.renew().unwrap(), Standing::Held, "{renewals}");
            assert_eq!(lease(&store, "c").try_take().unwrap(), other("b"));
        }
    }

    #[test]
    fn a_late_put_after_an_old_listing_means_nothing() {
        let store = MemoryStore::default();
        let (mut a, mut b, mut late) = (lease(&store, "a"), lease(&store, "b"), lease(&store, "late"));
        a.try_take().unwrap();
        b.try_take_at(Instant::now, Duration::ZERO).unwrap();
        b.renew().unwrap();
        // It has seen 1 as the highest.
        assert_eq!(late.put_and_settle(2).unwrap(), Standing::Other { holder: "another run".into() });
        assert_eq!(b.renew().unwrap(), Standing::Held);
        assert_eq!(files(&store), 1);
    }

    #[test]
    fn a_run_that_holds_the_local_lock_of_the_dead_one_does_not_wait() {
        let store = MemoryStore::default();
        let with = |run: &str, lock: Option<&str>| {
            Lease::new(Arc::new(store.clone()), Claim { lock: lock.map(Into::into), ..claim(run) })
        };
        assert_eq!(with("a", Some("here")).try_take().unwrap(), Standing::Held);
        assert_eq!(with("b", Some("there")).try_take().unwrap(), other("a"));
        assert_eq!(with("c", None).try_take().unwrap(), other("a"));
        assert_eq!(with("d", Some("here")).try_take().unwrap(), Standing::Held);
    }

    #[test]
    fn of_many_runs_one_at_a_time_has_the_lease() {
        let store = MemoryStore::default();
        let inside = Mutex::new(());
        thread::scope(|scope| {
            for number in 0..4 {
                let (store, inside) = (&store, &inside);
                scope.spawn(move || {
                    for round in 0..50 {
                        let mut lease = lease(store, &format!("{number}-{round}"));
                        while lease.try_take().unwrap() != Standing::Held {
                            thread::yield_now();
                        }
                        let alone = inside.try_lock().expect("two runs have it");
                        assert_eq!(lease.renew().unwrap(), Standing::Held);
                        drop(alone);
                        lease.release().unwrap();
                    }
                });
            }
        });
    }
}
