//! Everything that a command takes from its surroundings, gathered once: clock, host, user, settings, signals.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::encryption;
use super::invocation::Invocation;
use super::record::Record;
use super::round::{Notices, Round};
use super::settings::{Configuration, variable};
use super::store_names::{ALL, MAIN, named};
use super::stores::{Opener, Scene, Stores};
use super::{GlobalArgs, Ui};
use crate::clock::Clock;
use crate::config::Settings;
use crate::database::{sqlite_is_new_enough, sqlite_version};
use crate::failure::Failure;
use crate::names::{HostLabel, Name, printable};
use crate::ops::inventory::{Inventory, Reading};
use crate::ops::jobs::Surroundings;
use crate::ops::jobs::each::BySet;
use crate::ops::pack::Host;
use crate::ops::sealing::Encryption;
use crate::ops::{Listing, Repository};
use crate::platform;
use crate::store::{Examination, StoreError};
use crate::store_url::{Location, Service, StoreUrl};
use crate::streams::OwnHost;
use crate::workspace::Workspace;

/// The surroundings of a command.
pub struct Context {
    /// The settings in force, flags of all commands included.
    pub settings: Settings,
    /// Where the settings come from.
    pub configuration: Configuration,
    /// The time at which the run began, by `clock`.
    pub now: DateTime<Utc>,
    /// The time: `HEIRLOOM_NOW` (RFC 3339) if it is set, for tests and rehearsals, else the clock of this machine.
    pub clock: Clock,
    /// Whether `HEIRLOOM_NOW` is ahead of the clock of this machine: then retention removes nothing.
    pub ahead: bool,
    /// The labels that are this host's own.
    pub host: OwnHost,
    /// The name of this machine.
    pub host_name: String,
    /// The name of the user.
    pub user: String,
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// What was typed, for commands that are printed.
    pub typed: Invocation,
    /// The keys of this run.
    pub encryption: Encryption,
    /// Where plain data lies while it is worked on, if not in the workspace.
    scratch: Option<PathBuf>,
    /// The terminal.
    pub ui: Ui,
    /// The stores that this user has used on this host.
    pub stores: Stores,
    /// The main store of the configuration.
    main: Location,
    /// The encryption of the further stores.
    copy_encryption: Encryption,
    /// Whether every store of the configuration is meant (`--store all`).
    pub all_stores: bool,
    /// Entries for the activity log: one for each archive.
    pub records: Vec<Record>,
    /// Whether `on_failure` ran for an error that ends the command.
    pub failure_hook_ran: bool,
    /// The listing of a store, for a restore of many sets.
    listing: Option<(Location, BySet)>,
    /// The listings of stores that are made once; `None` if each command lists them itself.
    listings: Option<RefCell<BTreeMap<String, Listing>>>,
    /// What this run did, for notices.
    pub round: Round,
    /// What is sent at the end.
    pub notices: Notices,
}

impl Context {
    /// Gathers everything and prints the configuration's warnings. Writes nothing. Fails if the
    /// configuration is invalid.
    pub fn new(args: &GlobalArgs, typed: &Invocation) -> anyhow::Result<Self> {
        let context = Self::gather(args, typed)?;
        context.configuration.require()?;
        for warning in &context.configuration.effective.warnings {
            context.ui.warning(warning);
        }
        Ok(context)
    }

    /// Gathers everything; the command decides what to do about an invalid configuration.
    pub fn gather(args: &GlobalArgs, typed: &Invocation) -> anyhow::Result<Self> {
        let ui = Ui::new(args);
        if !sqlite_is_new_enough() {
            anyhow::bail!(
                "SQLite {} is too old: it can damage a database in WAL mode; 3.51.3 or newer is needed",
                sqlite_version()
            );
        }
        // The flag stops the run at its next checkpoint; its scratch is removed.
        platform::note_signals(&ui.signal_flag())?;

        let mut configuration = Configuration::load(args);
        let mut settings = configuration.effective.settings.clone();
        let set_time = set_time()?;
        let clock = set_time.map_or_else(|| Clock::new(Utc::now), Clock::fixed);
        let host_name = platform::host_name();
        let label = match &settings.host {
            Some(label) => label.clone(),
            None if in_container() => label_in_container(&settings, typed)?,
            None => HostLabel::from_host_name(&host_name),
        };
        refuse_as_main(&settings.store)?;
        settings.store = settings.store.of_host(&label);
        for copy in &mut settings.copies {
            copy.location = copy.location.of_host(&label);
        }
        let main = settings.store.clone();
        let all_stores =
            args.store.as_deref() == Some(ALL) && typed.is_one_of(&["list", "verify", "rotate", "cleanup"]);
        if let Some(name) = args.store.as_deref().filter(|name| *name != MAIN && !all_stores) {
            choose_store(name, &mut settings)?;
        }
        let host = OwnHost { label, former: settings.former_hosts.clone() };
        let labels: Vec<&HostLabel> = std::iter::once(&host.label).chain(&host.former).collect();
        let loaded = encryption::load(&settings, &configuration, &labels);
        configuration.effective.problems.extend(loaded.problems);
        configuration.effective.warnings.extend(loaded.warnings);
        let copy_encryption = loaded.encryption.of_copies();
        Ok(Self {
            host,
            encryption: loaded.encryption,
            scratch: loaded.scratch,
            settings,
            configuration,
            now: clock.now(),
            ahead: set_time.is_some_and(|time| time > Utc::now()),
            clock,
            host_name,
            user: user(),
            temporary: std::env::temp_dir(),
            typed: typed.clone(),
            stores: Stores::new(),
            ui,
            all_stores,
            main,
            copy_encryption,
            records: Vec::new(),
            failure_hook_ran: false,
            listing: None,
            listings: None,
            round: Round::default(),
            notices: Notices::default(),
        })
    }

    /// Keeps the listing of a store for all sets that are restored from it.
    pub(super) fn keep_listing(&mut self, store: Location, listing: BySet) {
        self.listing = Some((store, listing));
    }

    /// Returns what was kept of a set in the store of the settings.
    pub(super) fn kept_listing(&self, set: &Name) -> Option<Inventory> {
        self.listing.as_ref().filter(|(store, _)| *store == self.settings.store).map(|(_, listing)| listing.of(set))
    }

    /// Opens the store for reading. It must exist and be the one that this host used at this path before.
    pub fn store(&self) -> Result<Repository, StoreError> {
        self.open_store(&self.settings.store)
    }

    /// Opens the store for writing, and creates its folder if the parent exists. A store that gets no archive is
    /// removed at the end.
    pub fn store_for_writing(&self) -> anyhow::Result<Repository> {
        self.create_store(&self.settings.store)
    }

    /// Opens a store.
    pub fn open_store(&self, location: &Location) -> Result<Repository, StoreError> {
        let store = self.stores.open(location, &self.scene())?.with_scratch(self.scratch.clone());
        Ok(match &self.listings {
            Some(listings) => {
                store.with_listing(listings.borrow_mut().entry(location.to_string()).or_default().clone())
            }
            None => store,
        })
    }

    /// From now on lists each store once, for several commands, and waits for a remote store that does not answer only
    /// as long as somebody does who looks at a page. None of the commands may change a store.
    pub(super) fn serve_a_view(&mut self) {
        self.stores.serve_a_view();
        self.listings = Some(RefCell::default());
    }

    /// Opens a store for writing, and makes its folder if only that is missing.
    pub fn create_store(&self, location: &Location) -> anyhow::Result<Repository> {
        self.stores.create(location, &self.scene()).map(|store| store.with_scratch(self.scratch.clone()))
    }

    /// Returns the workspace of the store for the lock of `run`, without a request to the store; `None` if the store
    /// was not made yet, or its disk is away.
    pub(super) fn run_workspace(&self) -> Option<Workspace> {
        self.stores.run_workspace(&self.settings.store, &self.scene())
    }

    /// Returns the workspaces whose `run` has jobs with the databases of this command: that of the store in use, and
    /// that of the main store, which may be away.
    pub(super) fn workspaces_of_runs(&self) -> Vec<Workspace> {
        let mut stores = vec![&self.settings.store];
        stores.extend(Some(&self.main).filter(|main| **main != self.settings.store));
        stores.into_iter().filter_map(|store| self.stores.unseen_workspace(store)).collect()
    }

    /// Returns the workspace of the state directory for the store, which is there if the store is away.
    pub(super) fn state_workspace(&self) -> Option<Workspace> {
        self.stores.state_workspace(&self.settings.store)
    }

    /// Returns how to open a remote store for its lease.
    pub(super) fn lease_opener(&self, url: &StoreUrl) -> Opener {
        self.stores.opener(url, &self.scene())
    }

    /// Returns where plain data lies while it is worked on, if not in the workspace.
    pub(super) fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// Tries everything that a store is needed for.
    pub(super) fn examine(&self, location: &Location) -> anyhow::Result<Examination> {
        self.stores.examine(location, self.clock.now(), &self.scene())
    }

    /// Returns what opening a store depends on.
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene { settings: &self.settings, configuration: &self.configuration, ui: &self.ui }
    }

    /// Returns what the jobs of this run need.
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            settings: &self.settings,
            host: &self.host,
            host_name: &self.host_name,
            clock: &self.clock,
            ahead: self.ahead,
            temporary: &self.temporary,
            threads: self.threads(),
            encryption: if self.settings.store == self.main { &self.encryption } else { &self.copy_encryption },
        }
    }

    /// Returns how to read archives that record no zone or host: on a local store they belong to this host.
    pub fn reading(&self) -> Reading {
        self.reading_in(None)
    }

    /// Returns the same, with the zone of a flag if given.
    pub fn reading_in(&self, zone: Option<Tz>) -> Reading {
        self.surroundings().reading(zone)
    }

    /// Returns what archives record about this host.
    pub fn host_names(&self) -> Host {
        self.surroundings().host_names()
    }

    /// Returns a command that can be pasted, with the `--config` and `--dir` of this run.
    pub fn command_line<S: AsRef<str>>(&self, words: &[S]) -> String {
        self.typed.command(words)
    }

    /// Returns the number of worker threads.
    pub fn threads(&self) -> std::num::NonZeroUsize {
        self.settings
            .backup
            .threads
            .unwrap_or_else(|| thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN))
    }
}

/// Returns the label of a container without a configured one. Its host name changes with every deployment, so what it
/// wrote before would be another host's: a pin has one application, a folder is the container's own, and any other
/// store needs a label.
fn label_in_container(settings: &Settings, typed: &Invocation) -> Result<HostLabel, Failure> {
    let is_shared = |location: &Location| location.url().is_some_and(|url| url.service != Service::Connect);
    if let Some(url) = settings.store.url().filter(|url| url.service == Service::Connect) {
        let name = url.prefix.rsplit('/').next().unwrap_or(&url.prefix);
        return Ok(HostLabel::from_host_name(name));
    }
    let mut stores = std::iter::once(&settings.store).chain(settings.copies.iter().map(|copy| &copy.location));
    match stores.find(|store| is_shared(store)) {
        Some(store) if typed.is_one_of(&["backup", "run", "rotate", "cleanup", "copy"]) => Err(Failure::usage(
            format!(
                "this is a container, whose host name changes with every deployment, and the store \"{}\" may hold the \
                 archives of other hosts",
                printable(&store.to_string())
            ),
            "name this application once and for all: add the line host = \"NAME\" at the beginning of the \
             configuration, or set HEIRLOOM_HOST",
        )),
        _ => Ok(HostLabel::container()),
    }
}

/// Refuses a main store that can only hold copies.
fn refuse_as_main(store: &Location) -> Result<(), Failure> {
    match store.url() {
        Some(url) if url.service == Service::Rclone => Err(Failure::usage(
            format!("\"{}\" can hold copies only", printable(&url.to_string())),
            "name a folder or another store, and add a table [copies.NAME] with this url to the configuration",
        )),
        _ => Ok(()),
    }
}

/// Makes a further store the only one, with its own rules.
fn choose_store(name: &str, settings: &mut Settings) -> Result<(), Failure> {
    let copy = named(name, &settings.copies)?.clone();
    settings.store = copy.location;
    settings.limit_upload = copy.limit_upload;
    if let Some(retention) = copy.retention {
        settings.retention = retention;
    }
    settings.copies.clear();
    Ok(())
}

fn set_time() -> anyhow::Result<Option<DateTime<Utc>>> {
    match variable("HEIRLOOM_NOW").map(|text| text.to_string_lossy().into_owned()) {
        None => Ok(None),
        Some(text) => DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(time.to_utc()))
            .map_err(|error| {
                Failure::usage(
                    format!("cannot parse HEIRLOOM_NOW=\"{}\" as a time: {error}", printable(&text)),
                    "write it as 2026-03-01T03:00:00Z",
                )
            })
            .context("cannot determine the time"),
    }
}

/// Returns whether this process runs in a container, whose host name changes with every deployment.
fn in_container() -> bool {
    // Marker files of Docker and Podman.
    let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|marker| std::fs::symlink_metadata(marker).is_ok());
    marked || variable("KUBERNETES_SERVICE_HOST").is_some()
}

fn user() -> String {
    let from_environment =
        ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let id = platform::user_id();
    // cron and containers often set neither.
    from_environment.or_else(|| platform::user_name(id)).unwrap_or_else(|| format!("uid {id}"))
}
