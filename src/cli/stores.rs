//! The stores that this user has used on this host, and their bookkeeping at the end of a run.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use super::Ui;
use super::settings::{Configuration, variable};
use crate::config::{Key, Origin, Settings};
use crate::failure::Failure;
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::reach::{self, Expected};
use crate::platform;
use crate::store::{Access, StoreError, identity};
use crate::workspace::known::KnownStores;

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
    /// The memory; `None` if there is no place for one.
    known: Option<KnownStores>,
    /// Whether any store at the path is accepted (`--new-store`).
    accepts_new: Cell<bool>,
    /// Whether the warning about an unusable memory was printed.
    warned: Cell<bool>,
    /// The stores that were opened for writing.
    written: RefCell<Vec<Written>>,
}

struct Written {
    root: PathBuf,
    store: Repository,
    /// Whether this run made its folder.
    made: bool,
    /// Whether it had an id before.
    had_id: bool,
}

impl Stores {
    pub(super) fn new() -> Self {
        Self {
            known: state_directory().map(KnownStores::new),
            accepts_new: Cell::new(false),
            warned: Cell::new(false),
            written: RefCell::default(),
        }
    }

    /// Accepts the store at the path as new, or as another known store there.
    pub(super) fn accept_new(&self) {
        self.accepts_new.set(true);
    }

    pub(super) fn open(&self, root: &Path, scene: &Scene<'_>) -> Result<Repository, StoreError> {
        // An unknown group gets no access; reading still works.
        let access = access(scene).unwrap_or_default();
        self.expected(root, access, scene).open(root)
    }

    pub(super) fn create(&self, root: &Path, scene: &Scene<'_>) -> anyhow::Result<Repository> {
        let (store, made) = self.expected(root, access(scene)?, scene).create(root)?;
        let had_id = identity(store.store())?.is_some();
        self.written.borrow_mut().push(Written { root: root.to_owned(), store: store.clone(), made, had_id });
        Ok(store)
    }

    fn expected(&self, root: &Path, access: Access, scene: &Scene<'_>) -> Expected {
        let mut expected = Expected { mount: mount(root, scene), access, ..Expected::default() };
        if let Some(known) = self.known.as_ref().filter(|_| !self.accepts_new.get()) {
            match known.at(&platform::resolved(root)) {
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

    /// Removes stores that this run created and that got no archive, and remembers the others.
    pub(super) fn settle(&self, ui: &Ui) {
        for Written { root, store, made, had_id } in self.written.take() {
            if made && let Err(cause) = reach::unmake(&store) {
                ui.detail(format!("an empty store stays: {cause}"));
            }
            let Ok(Some(identity)) = identity(store.store()) else { continue };
            let remembered = match &self.known {
                Some(known) => known.remember(&platform::resolved(&root), &identity.id),
                None => {
                    Err(std::io::Error::new(std::io::ErrorKind::NotFound, "there is no HOME and no HEIRLOOM_STATE_DIR"))
                }
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

/// Returns whether an error is about permissions and not about a disk.
fn is_lasting(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(cause.kind(), NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem)
}

/// Returns this user's folder for state that outlives a run and belongs to no store.
fn state_directory() -> Option<PathBuf> {
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
fn mount(root: &Path, scene: &Scene<'_>) -> Option<PathBuf> {
    let mount = scene.settings.store_mount.clone()?;
    let is_configured = root == scene.settings.store
        && matches!(scene.configuration.effective.origin(Key::StoreDir), Origin::File { .. });
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
