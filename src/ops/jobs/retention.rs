//! Builds the request of a run that removes archives: its scope, rules and options.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::Surroundings;
use super::meant::refuse_unknown_set;
use crate::config::{CopySettings, Settings, ShrinkWatch};
use crate::failure::Failure;
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::backup::Made;
use crate::ops::copies::Known;
use crate::ops::inventory::inventory;
use crate::ops::retain::{self, Asked, Plain, Report, Request};
use crate::platform::resolved;
use crate::progress::Progress;
use crate::retention::{GoneReach, Limits, Policy, Reach, Retention, Scope};

/// How long another run may hold the lock; it is held for commits and removals only.
pub const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Returns the rules of the settings.
pub fn configured_rules(settings: &Settings) -> Reach {
    let settings = &settings.retention;
    Reach {
        last: settings.last.unwrap_or_default(),
        hourly: settings.hourly.unwrap_or_default(),
        daily: settings.daily.unwrap_or_default(),
        weekly: settings.weekly.unwrap_or_default(),
        monthly: settings.monthly.unwrap_or_default(),
        yearly: settings.yearly.unwrap_or_default(),
    }
}

/// Returns the policy of the settings. Fails if it keeps nothing.
pub fn configured_policy(settings: &Settings) -> Result<Policy, Failure> {
    let advice = "set a rule in the section [retention] of the configuration";
    Policy::new(configured_rules(settings)).map_err(|error| Failure::usage(error.to_string(), advice))
}

/// Returns the limits that were given, or those of the settings if none was.
pub fn limits_of(given: Limits, settings: &Settings) -> Limits {
    let settings = &settings.retention;
    let configured = Limits { keep: settings.keep, max_age: settings.max_age, max_size: settings.max_size };
    if given == Limits::default() { configured } else { given }
}

/// Returns the sets with `shrink = "off"`.
pub fn shrinks_off(settings: &Settings) -> BTreeSet<Name> {
    let off = settings.sets.iter().filter(|(_, set)| set.shrink == ShrinkWatch::Off);
    off.map(|(name, _)| name.clone()).collect()
}

/// Returns every configured database.
pub fn configured_databases(settings: &Settings) -> Vec<PathBuf> {
    let databases = settings.sets.values().flat_map(|set| set.databases.values());
    databases.chain(&settings.default_database).cloned().collect()
}

/// Returns the rules of a further store: its own, else those of the main store.
pub fn rules_of(copy: &CopySettings, settings: &Settings) -> Retention {
    let own = copy.retention.as_ref().map(|retention| Settings { retention: retention.clone(), ..Settings::default() });
    own_rules(own.as_ref().unwrap_or(settings))
}

/// Returns the rules of the main store.
pub fn own_rules(settings: &Settings) -> Retention {
    let rules = configured_rules(settings);
    match Policy::new(rules) {
        Ok(policy) if rules != Reach::default() => Retention::Rotate(policy),
        _ => Retention::Cleanup(limits_of(Limits::default(), settings)),
    }
}

/// Returns the limits of a further store: its own, else those of the main store.
pub fn limits_at(copy: &CopySettings, settings: &Settings) -> Limits {
    let own = copy.retention.as_ref().map(|retention| Settings { retention: retention.clone(), ..Settings::default() });
    limits_of(Limits::default(), own.as_ref().unwrap_or(settings))
}

/// Returns what this host remembers of each further store, in their order.
pub fn known(main: &Repository, around: &Surroundings<'_>) -> Vec<Known> {
    let known = |copy: &CopySettings| Known {
        record: main.workspace().copy_record(&copy.name, &copy.location.to_string()),
        retention: rules_of(copy, around.settings),
    };
    around.settings.copies.iter().map(known).collect()
}

/// The scope of a run.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Only those of these database files, or of these databases of the settings; empty for all.
    pub databases: &'a [PathBuf],
    /// Only those of this set; else those of the configured ones.
    pub set: Option<&'a Name>,
    /// Of which hosts.
    pub hosts: Hosts,
}

/// The hosts whose archives are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Of this one, under all of its labels.
    Own,
    /// Of every one.
    All,
}

impl Whose<'_> {
    /// Returns whose archives may be removed: this host's, of the sets or files that were named, else of those
    /// configured.
    pub fn scope(&self, around: &Surroundings<'_>) -> Scope {
        let own = around.host.former.iter().chain([&around.host.label]).cloned().collect();
        let configured = &around.settings.sets;
        Scope {
            hosts: (self.hosts == Hosts::Own).then_some(own),
            sets: match self.set {
                Some(set) => Some(BTreeSet::from([set.clone()])),
                None if !self.databases.is_empty() || configured.is_empty() => None,
                None => Some(configured.keys().cloned().collect()),
            },
            paths: (!self.databases.is_empty())
                .then(|| self.databases.iter().map(|given| self.path(given, around.settings)).collect()),
            streams: None,
        }
    }

    /// Returns the resolved path of a database that was named by its path, or by its name in the settings.
    fn path(&self, given: &Path, settings: &Settings) -> String {
        let sets = settings.sets.iter().filter(|(set, _)| self.set.is_none_or(|wanted| wanted == *set));
        let mut databases = sets.flat_map(|(_, set)| &set.databases);
        let is_file = std::fs::symlink_metadata(given).is_ok();
        let named = databases
            .find(|(name, _)| !is_file && given.to_str() == Some(name.as_str()))
            .map(|(_, path)| path.as_path());
        resolved(named.unwrap_or(given)).to_string_lossy().into_owned()
    }

    /// Refuses a set or a database that there is no archive of: a typo must not look like an empty store.
    pub fn refuse_unknown(
        &self,
        repository: &Repository,
        zone: Option<Tz>,
        around: &Surroundings<'_>,
        progress: &dyn Progress,
    ) -> anyhow::Result<()> {
        if self.set.is_none() && self.databases.is_empty() {
            return Ok(());
        }
        let found = inventory(repository, &around.reading(zone), progress)?;
        refuse_unknown_set(self.set, &found, around)?;
        let streams = || found.snapshots.iter().flat_map(|snapshot| &snapshot.databases).map(|brief| &brief.stream);
        for given in self.databases {
            let path = self.path(given, around.settings);
            if !streams().any(|stream| stream.path() == Some(path.as_str())) {
                let known: BTreeSet<&str> = streams().filter_map(|stream| stream.path()).collect();
                let known: Vec<_> = known.into_iter().map(printable).collect();
                let location = repository.location();
                let message =
                    format!("no archive of \"{}\" in the store \"{}\"", printable(&path), printable(&location));
                let advice = match known.as_slice() {
                    [] => "the store has no archives".into(),
                    known => format!("there are archives of: {}", known.join(", ")),
                };
                return Err(Failure::usage(message, advice).into());
            }
        }
        Ok(())
    }
}

/// The options of a run that removes archives.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The rules.
    pub retention: Retention,
    /// Its scope.
    pub whose: Whose<'a>,
    /// Databases that are gone and got no archive for this long are reduced to this.
    pub gone: Option<(Duration, GoneReach)>,
    /// Whether plain databases are counted and removed.
    pub plain: PlainFiles,
    /// Where days begin, if that is not the zone of the settings.
    pub zone: Option<Tz>,
}

/// What happens to plain databases and archives of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainFiles {
    /// They are left alone.
    Leave,
    /// They are counted and removed.
    Include,
}

impl Wanted<'_> {
    /// Returns the request of the run.
    pub fn request(&self, repository: &Repository, around: &Surroundings<'_>) -> anyhow::Result<Request> {
        // An age beyond what the calendar can express is never reached.
        let span = |age: Duration| TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let plain = || Plain { configured: configured_databases(around.settings) };
        Ok(Request {
            retention: self.retention,
            scope: self.whose.scope(around),
            made: None,
            shrinks_off: shrinks_off(around.settings),
            clock: around.clock.clone(),
            ahead: around.ahead,
            reading: around.reading(self.zone),
            asked: Asked {
                own: Some(around.host.clone()),
                gone: self.gone.map(|(age, reach)| (span(age), reach)),
                plain: (self.plain == PlainFiles::Include).then(plain),
                ..asked(repository, around)?
            },
        })
    }
}

/// Returns the part of the request that all runs share.
fn asked(repository: &Repository, around: &Surroundings<'_>) -> anyhow::Result<Asked> {
    let rotation = configured_policy(around.settings).ok();
    // A further store waits for no other.
    let is_copy = around.settings.copies.iter().any(|copy| repository.is_at(&copy.location));
    let is_main = !is_copy && repository.is_at(&around.settings.store);
    let copies = if is_main { known(repository, around) } else { Vec::new() };
    Ok(Asked { rotation, youngest: retain::youngest(repository)?, copies, ..Asked::default() })
}

/// Applies retention after a backup, to its own streams only.
///
/// The new archive is committed by now, whatever happens here. The plan is made under the lock, so it sees that
/// archive.
pub fn after_backup(
    retention: Retention,
    made: &Made,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let request = Request {
        retention,
        scope: Scope { streams: Some(made.streams.iter().cloned().collect()), ..Scope::everything() },
        made: Some(made.packed.archive.clone()),
        shrinks_off: shrinks_off(around.settings),
        clock: around.clock.clone(),
        ahead: around.ahead,
        reading: around.reading(None),
        asked: asked(repository, around)?,
    };
    retain::execute(repository, &request, None, LOCK_WAIT, progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::names::HostLabel;
    use crate::streams::OwnHost;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn scope(settings: &Settings, whose: Whose<'_>) -> Scope {
        let host = OwnHost { label: HostLabel::new("new").unwrap(), former: vec![HostLabel::new("old").unwrap()] };
        let clock = Clock::fixed("2026-03-01T03:00:00Z".parse().unwrap());
        let threads = std::num::NonZeroUsize::MIN;
        whose.scope(&Surroundings {
            settings,
            host: &host,
            host_name: "new",
            clock: &clock,
            ahead: false,
            temporary: &std::env::temp_dir(),
            threads,
            encryption: &Default::default(),
        })
    }

    #[test]
    fn only_archives_of_this_host_and_of_configured_sets_go_unless_others_are_named() {
        let all = Whose { databases: &[], set: None, hosts: Hosts::Own };
        let mut settings = Settings::default();
        assert_eq!(scope(&settings, all).sets, None);
        settings.sets.entry(name("shop")).or_default().databases.insert(name("app"), "/srv/app.db".into());
        let own = scope(&settings, all);
        assert_eq!(own.hosts.map(|hosts| hosts.len()), Some(2), "earlier labels are this host's, too");
        assert_eq!(own.sets, Some(BTreeSet::from([name("shop")])));
        assert_eq!(scope(&settings, Whose { hosts: Hosts::All, ..all }).hosts, None);
        assert_eq!(
            scope(&settings, Whose { set: Some(&name("other")), ..all }).sets,
            Some(BTreeSet::from([name("other")]))
        );
        let databases = ["app".into()];
        let named = scope(&settings, Whose { databases: &databases, ..all });
        assert_eq!((named.sets, named.paths), (None, Some(["/srv/app.db".to_owned()].into())));
    }

    #[test]
    fn one_limit_that_is_given_replaces_all_of_the_settings() {
        let mut settings = Settings::default();
        settings.retention.keep = Some(3);
        let given = Limits { max_age: Some(Duration::from_secs(1)), ..Limits::default() };
        assert_eq!(limits_of(given, &settings), given);
        assert_eq!(limits_of(Limits::default(), &settings).keep, Some(3));
    }
}
