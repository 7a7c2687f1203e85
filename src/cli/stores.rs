//! The stores that this user has used on this host, and their bookkeeping at the end of a run.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Ui;
use super::settings::{Configuration, variable};
use crate::config::{Origin, Settings};
use crate::digest::Sha256;
use crate::failure::Failure;
use crate::identity::StoreId;
use crate::latest::Remembered;
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::reach::{self, Expected};
use crate::platform;
use crate::store::remote::{self, Remote};
use crate::store::{Access, Examination, ListedStore, LocalStore, Store, StoreError, identity, try_out};
use crate::store_url::{Location, StoreUrl};
use crate::workspace::Workspace;
use crate::workspace::known::KnownStores;
use crate::workspace::verified::{self, Counts, VerifiedStore};

/// The folder of the state directory with the workspaces of remote stores.
const WORKSPACES: &str = "workspaces";

/// How long a request for a lease is tried.
const LEASE_REQUEST: Duration = Duration::from_secs(10);
/// How long a request is tried for somebody who looks at a page. One attempt may take half of that: a slow store is not
/// one that is away.
const VIEW_REQUEST: Duration = Duration::from_secs(10);

/// What opening a store depends on.
pub(super) struct Scene<'a> {
    /// The settings in force.
    pub(super) settings: &'a Settings,
    /// Where the settings come from.
    pub(super) configuration: &'a Configuration,
    /// The terminal.
    pub(super) ui: &'a Ui,
}

/// What a run knows of stores.
pub struct Stores {
    /// The folder for what outlives a run and belongs to no local store; `None` if there is no place for one.
    state: Option<PathBuf>,
    /// Whether any store at the path is accepted (`--new-store`).
    accepts_new: Cell<bool>,
    /// Whether the warning about an unusable memory was printed.
    warned: Cell<bool>,
    /// The stores that were opened for writing.
    written: RefCell<Vec<Written>>,
    /// The connections to remote stores. One that failed is kept: it knows that its store does not answer.
    connected: RefCell<Vec<(StoreUrl, Repository)>>,
    /// The remote stores that were opened, for all parts of the run: what answered is the expected store.
    opened: RefCell<Vec<(StoreUrl, Repository)>>,
    /// Whether somebody waits for a view of the page: a request is tried for a short time.
    is_view: Cell<bool>,
    /// The requests to remote stores that were repeated.
    repeated: Arc<Mutex<Vec<String>>>,
}

/// Opens a remote store.
pub(super) struct Opener {
    url: StoreUrl,
    remote: Remote,
    expected: Expected,
    workspace: Option<Workspace>,
}

impl Opener {
    /// Opens it, if it is the one that this host used before.
    pub(super) fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        let store = remote::open(&self.url, &self.remote)?;
        if let Some(workspace) = &self.workspace {
            self.expected.open_remote(Repository::remote(store.clone(), workspace.clone(), self.url.clone()))?;
        }
        Ok(store)
    }
}

struct Written {
    location: Location,
    store: Repository,
    /// Whether this run made its folder.
    made: bool,
    /// Whether it had an id before.
    had_id: bool,
    /// Whether its archives are copied to further stores.
    has_copies: bool,
}

impl Stores {
    pub(super) fn new() -> Self {
        Self {
            state: state_directory(),
            accepts_new: Cell::new(false),
            warned: Cell::new(false),
            written: RefCell::default(),
            connected: RefCell::default(),
            opened: RefCell::default(),
            is_view: Cell::new(false),
            repeated: Arc::default(),
        }
    }

    /// Tries requests to remote stores for a short time from now on.
    pub(super) fn serve_a_view(&self) {
        self.is_view.set(true);
    }

    /// Accepts the store at the path as new, or as another known store there.
    pub(super) fn accept_new(&self) {
        self.accepts_new.set(true);
    }

    pub(super) fn open(&self, location: &Location, scene: &Scene<'_>) -> Result<Repository, StoreError> {
        // An unknown group gets no access; reading still works.
        let access = access(scene).unwrap_or_default();
        let expected = self.expected(location, access, scene);
        match location {
            Location::Folder(root) => expected.open(root),
            Location::Remote(url) => self.remote(url, &expected, scene),
        }
    }

    pub(super) fn create(&self, location: &Location, scene: &Scene<'_>) -> anyhow::Result<Repository> {
        let expected = self.expected(location, access(scene)?, scene);
        let (store, made) = match location {
            Location::Folder(root) => expected.create(root)?,
            Location::Remote(url) => (self.remote(url, &expected, scene)?, false),
        };
        let had_id = identity(store.store())?.is_some();
        let has_copies = *location == scene.settings.store && !scene.settings.copies.is_empty();
        let written = Written { location: location.clone(), store: store.clone(), made, had_id, has_copies };
        self.written.borrow_mut().push(written);
        Ok(store)
    }

    /// Opens a remote store, with the workspace of this host for it: once in a run.
    fn remote(&self, url: &StoreUrl, expected: &Expected, scene: &Scene<'_>) -> Result<Repository, StoreError> {
        let used = |stores: &RefCell<Vec<(StoreUrl, Repository)>>| {
            stores.borrow().iter().find(|(used, _)| used == url).map(|(_, repository)| repository.clone())
        };
        if let Some(repository) = used(&self.opened) {
            return Ok(repository);
        }
        let connection = match used(&self.connected) {
            Some(connection) => connection,
            None => {
                let connection = self.connect(url, scene)?;
                self.connected.borrow_mut().push((url.clone(), connection.clone()));
                connection
            }
        };
        let repository = expected.open_remote(connection)?;
        self.opened.borrow_mut().push((url.clone(), repository.clone()));
        Ok(repository)
    }

    /// Connects to a remote store. Sends no request.
    fn connect(&self, url: &StoreUrl, scene: &Scene<'_>) -> Result<Repository, StoreError> {
        let unreachable = |cause| StoreError::Unreachable { location: url.to_string(), cause };
        let state = self.state.as_ref().ok_or_else(|| unreachable(no_state()))?;
        let remote = self.surroundings(url, scene);
        platform::create_private_folders(&state.join(WORKSPACES)).map_err(unreachable)?;
        let workspace = workspace(state, &key(&Location::Remote(url.clone())));
        let store = ListedStore::new(remote::open(url, &remote)?);
        Ok(Repository::remote(Arc::new(store), workspace, url.clone()))
    }

    /// Returns the workspace of the state directory for a store, without a request to it. Nothing of it need exist.
    pub(super) fn state_workspace(&self, location: &Location) -> Option<Workspace> {
        self.state.as_ref().map(|state| workspace(state, &key(location)))
    }

    /// Returns how to open a remote store for its lease, from any thread: without the listing and the workspace of a
    /// job.
    pub(super) fn opener(&self, url: &StoreUrl, scene: &Scene<'_>) -> Opener {
        let location = Location::Remote(url.clone());
        let expected = self.expected(&location, Access::default(), scene);
        let workspace = self.state.as_ref().map(|state| workspace(state, &key(&location)));
        // Several attempts must fit into the time after which the lease expires.
        let remote = Remote { request: LEASE_REQUEST, ..self.surroundings(url, scene) };
        Opener { url: url.clone(), remote, expected, workspace }
    }

    /// Returns the workspace of a store without a look at either. Nothing of it need exist, and the store may be
    /// another one than this host used before: only for what a lock in the workspace proves.
    pub(super) fn unseen_workspace(&self, location: &Location) -> Option<Workspace> {
        match location.folder() {
            Some(root) => Some(Workspace::at(LocalStore::private_in(root))),
            None => self.state_workspace(location),
        }
    }

    /// Returns the workspace of a store without a request to it; `None` if the store was not made yet, or is away.
    pub(super) fn run_workspace(&self, location: &Location, scene: &Scene<'_>) -> Option<Workspace> {
        match location {
            Location::Folder(_) => {
                let workspace = self.open(location, scene).ok()?.workspace().clone();
                workspace.folder().is_dir().then_some(workspace)
            }
            Location::Remote(_) => {
                platform::create_private_folders(&self.state.as_ref()?.join(WORKSPACES)).ok()?;
                self.state_workspace(location)
            }
        }
    }

    /// Tries everything that a store is needed for.
    pub(super) fn examine(
        &self,
        location: &Location,
        now: DateTime<Utc>,
        scene: &Scene<'_>,
    ) -> anyhow::Result<Examination> {
        match location {
            // Only what is there is tried: a store is made by its first backup.
            Location::Folder(root) => {
                self.open(location, scene)?;
                Ok(try_out(&LocalStore::open(root)?.with_access(access(scene)?)))
            }
            Location::Remote(url) => Ok(remote::examine(url, &self.surroundings(url, scene), now)?),
        }
    }

    /// Returns what a remote store depends on besides its URL.
    fn surroundings(&self, url: &StoreUrl, scene: &Scene<'_>) -> Remote {
        let dotenv = scene.configuration.dotenv.clone();
        let repeated = self.repeated.clone();
        let remote = Remote::new(move |name| {
            let set = variable(name).and_then(|value| value.into_string().ok());
            set.or_else(|| dotenv.get(name).map(|(value, _)| value.to_owned()))
        });
        Remote {
            upload_limit: limit(url, scene.settings),
            request: if self.is_view.get() { VIEW_REQUEST } else { remote.request },
            memory: self.state.clone(),
            repeated: Arc::new(move |line| {
                repeated.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
            }),
            ..remote
        }
    }

    /// Returns the newest archives that this host made in a store, as far as it remembers. The store may be away.
    pub(super) fn remembered(&self, location: &Location) -> Vec<Remembered> {
        self.state.as_ref().map(|state| workspace(state, &key(location)).remembered()).unwrap_or_default()
    }

    /// Returns the workspace of a remote store, without a request. Nothing in it need exist.
    pub(super) fn recorded(&self, location: &Location) -> Option<Workspace> {
        location.url()?;
        self.state.as_ref().map(|state| workspace(state, &key(location)))
    }

    /// Keeps what a local store remembers where it is found if its disk is away. Without it, less is restored unasked.
    fn remember_made(&self, written: &Written) {
        let Some(state) = self.state.as_ref().filter(|_| written.has_copies) else { return };
        if written.location.folder().is_some() && platform::create_private_folders(&state.join(WORKSPACES)).is_ok() {
            let _ = workspace(state, &key(&written.location)).remember(&written.store.workspace().remembered());
        }
    }

    fn known(&self) -> Option<KnownStores> {
        self.state.clone().map(KnownStores::new)
    }

    fn expected(&self, location: &Location, access: Access, scene: &Scene<'_>) -> Expected {
        let mut expected = Expected { mount: mount(location, scene), access, ..Expected::default() };
        if let Some(known) = self.known().filter(|_| !self.accepts_new.get()) {
            match known.at(&key(location)) {
                Ok(ids) => expected.ids = ids,
                Err(cause) => {
                    if !self.warned.replace(true) {
                        scene.ui.warning(format!("cannot read which store was used before: {cause}"));
                    }
                    // If this user may not read the memory, nothing was stored in it either.
                    if !is_lasting(&cause) {
                        expected.unread = Some(cause.to_string());
                    }
                }
            }
        }
        expected
    }

    /// Returns the id of a store, without a request: that of a remote one as this host remembers it.
    pub(super) fn id(&self, location: &Location, repository: &Repository) -> Option<StoreId> {
        if location.folder().is_some() {
            return identity(repository.store()).ok()?.map(|identity| identity.id);
        }
        match self.known()?.at(&key(location)).ok()?.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// Remembers that archives of a store were verified. A cache: without it, only `health` does not know.
    pub(super) fn note_verified(
        &self,
        location: &Location,
        repository: &Repository,
        counts: Counts,
        at: DateTime<Utc>,
    ) {
        let (Some(state), Ok(Some(identity))) = (&self.state, identity(repository.store())) else { return };
        let record = VerifiedStore { id: identity.id, place: key(location), at, counts };
        let _ = verified::record(state, &record);
    }

    /// Returns when the store at a place was last verified, as far as this host remembers.
    pub(super) fn last_verified(&self, location: &Location) -> Option<VerifiedStore> {
        let ids = self.known()?.at(&key(location)).unwrap_or_default();
        verified::last(self.state.as_ref()?, &ids, &key(location))
    }

    /// Removes stores that this run created and that got no archive, and remembers the others.
    pub(super) fn settle(&self, ui: &Ui) {
        for line in self.repeated.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            ui.detail(line);
        }
        for written in self.written.take() {
            self.remember_made(&written);
            let Written { location, store, made, had_id, .. } = written;
            if made && let Err(cause) = reach::unmake(&store) {
                ui.detail(format!("an empty store stays: {cause}"));
            }
            let Ok(Some(identity)) = identity(store.store()) else { continue };
            let remembered = match self.known() {
                Some(known) => known.remember(&key(&location), &identity.id),
                None => Err(no_state()),
            };
            if let Err(cause) = remembered {
                let said = format!(
                    "cannot remember this store ({cause}): a later run will not notice if its disk is not mounted; \
                     set HEIRLOOM_STATE_DIR to a folder that can be written, or require a mount point with store.mount"
                );
                // Only when the store gets its id: later runs of a user who may not write would repeat it.
                if had_id && is_lasting(&cause) { ui.detail(said) } else { ui.warning(said) }
            }
        }
    }
}

/// Returns the workspace in the state directory for a store that is remembered by `key`.
fn workspace(state: &Path, key: &Path) -> Workspace {
    let digest = Sha256::of(key.as_os_str().as_encoded_bytes()).to_string();
    Workspace::at(state.join(WORKSPACES).join(&digest[..32]))
}

/// Returns what a store is remembered by: its path without links, or its URL.
fn key(location: &Location) -> PathBuf {
    match location {
        Location::Folder(root) => platform::resolved(root),
        Location::Remote(url) => url.text().into(),
    }
}

/// Returns how many bytes per second are sent to a store at most.
fn limit(url: &StoreUrl, settings: &Settings) -> Option<NonZeroU64> {
    let copy = settings.copies.iter().find(|copy| copy.location.url() == Some(url));
    copy.map_or(settings.limit_upload, |copy| copy.limit_upload)
}

fn no_state() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotFound, "there is no HOME and no HEIRLOOM_STATE_DIR")
}

/// Returns whether an error is about permissions and not about a disk.
fn is_lasting(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(cause.kind(), NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem)
}

/// Returns this user's folder for state that outlives a run and belongs to no store.
pub(super) fn state_directory() -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let of_user = || {
        // Root uses the same folder in timers and in shells.
        if platform::is_root() {
            return Some("/var/lib/heirloom".into());
        }
        let state = folder("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state =
            state.or_else(|| folder("HOME").filter(|path| path.is_absolute()).map(|home| home.join(".local/state")));
        state.map(|state| state.join("heirloom"))
    };
    folder("HEIRLOOM_STATE_DIR").or_else(of_user)
}

/// Returns the mount point that a store requires: the configured one, unless a flag or variable names a store
/// elsewhere.
fn mount(location: &Location, scene: &Scene<'_>) -> Option<PathBuf> {
    let mount = scene.settings.store_mount.clone()?;
    let root = location.folder()?;
    let is_configured = *location == scene.settings.store
        && matches!(scene.configuration.effective.store_origin(), Origin::File { .. });
    (is_configured || is_below(root, &mount)).then_some(mount)
}

/// Returns whether a store is at or below a mount point.
pub(super) fn is_below(root: &Path, mount: &Path) -> bool {
    platform::resolved(root).starts_with(platform::resolved(mount))
}

/// Returns who else may read the archives. Fails if the group does not exist.
pub(super) fn access(scene: &Scene<'_>) -> Result<Access, Failure> {
    let Some(name) = &scene.settings.store_group else {
        return Ok(Access { mode: scene.settings.store_mode, group: None });
    };
    match platform::group_id(name) {
        Ok(Some(group)) => Ok(Access { mode: scene.settings.store_mode, group: Some(group) }),
        Ok(None) => {
            let message = format!("store.group: there is no group \"{}\" in /etc/group", printable(name));
            Err(Failure::usage(message, format!("create it with `groupadd {}`, or write its number", printable(name))))
        }
        Err(cause) => Err(Failure::usage(
            format!("store.group: cannot read /etc/group: {cause}"),
            "write the number of the group",
        )),
    }
}
