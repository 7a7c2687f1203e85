//! Reads the keys that the configuration names, and decides where plain data of encrypted archives lies.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::settings::Configuration;
use super::stores::{is_below, state_directory};
use crate::archive::cipher::{Identity, Keys, Recipients, RunKey, identities_in};
use crate::config::{EncryptionScope, Key, Origin, Problem, Settings};
use crate::names::HostLabel;
use crate::ops::sealing::{Encryption, KnownPlace, Sealing};
use crate::platform::{self, Links};
use crate::text::quoted;

/// The largest file with keys that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// The folder for scratch in the state directory.
const SCRATCH: &str = "scratch";

/// What the configuration says about encryption.
pub(super) struct Loaded {
    pub(super) encryption: Encryption,
    /// Where plain data lies while it is worked on, if not in the workspace.
    pub(super) scratch: Option<PathBuf>,
    /// What must be fixed before any command runs.
    pub(super) problems: Vec<Problem>,
    /// Keys that cannot be read. Commands that need none still run.
    pub(super) warnings: Vec<String>,
}

/// Reads recipients and keys. `labels` are those of this host.
pub(super) fn load(settings: &Settings, configuration: &Configuration, labels: &[&HostLabel]) -> Loaded {
    let mut loaded =
        Loaded { encryption: Encryption::default(), scratch: None, problems: Vec::new(), warnings: Vec::new() };
    let keys = identities(settings, configuration, &mut loaded);
    let recipients = match recipients(settings, configuration) {
        Ok(recipients) => recipients,
        Err(problem) => {
            loaded.problems.push(problem);
            None
        }
    };
    let sealing = recipients.map(|recipients| Sealing { recipients, run: RunKey::generate() });
    let keys = match &sealing {
        Some(sealing) => Keys::new(keys).with_run(sealing.run.clone()),
        None => Keys::new(keys),
    };
    let is_used = sealing.is_some() || !keys.is_empty();
    let store = sealing.clone().filter(|_| settings.encryption.scope == EncryptionScope::All);
    let holds_plain_archives = store.is_none() && keys.is_empty();
    if !holds_plain_archives || settings.scratch_dir.is_some() {
        match scratch(settings, configuration) {
            Ok(folder) => loaded.scratch = Some(folder),
            Err(problem) if store.is_some() || settings.scratch_dir.is_some() => loaded.problems.push(problem),
            // A host that only reads: the workspace must do.
            Err(_) => {}
        }
    }
    let places = if is_used { places(settings, labels) } else { Vec::new() };
    loaded.encryption = Encryption {
        keys,
        store,
        copies: sealing,
        trust_labels: settings.encryption.trust_labels,
        places: places.into(),
    };
    loaded
}

/// Returns the recipients; `None` if none is configured.
fn recipients(settings: &Settings, configuration: &Configuration) -> Result<Option<Recipients>, Problem> {
    let encryption = &settings.encryption;
    let problem = |key: Key, message: String| problem(configuration, key, message);
    let mut found = Vec::new();
    for text in &encryption.recipients {
        found.push(text.parse().map_err(|error| problem(Key::Recipients, format!("{error}")))?);
    }
    if let Some(path) = &encryption.recipients_file {
        let text =
            read(path).map_err(|why| problem(Key::RecipientsFile, format!("cannot read {}: {why}", quoted(path))))?;
        let of_file = Recipients::lines(&text);
        let of_file = of_file.map_err(|why| problem(Key::RecipientsFile, format!("{}: {why}", quoted(path))))?;
        if of_file.is_empty() {
            // Archives without encryption would come as a surprise.
            return Err(problem(Key::RecipientsFile, format!("{} has no recipient", quoted(path))));
        }
        found.extend(of_file);
    }
    if found.is_empty() {
        return Ok(None);
    }
    Recipients::new(found).map(Some).map_err(|error| problem(Key::Recipients, error.to_string()))
}

/// Reads the files with secret keys. One that was named on the command line must be readable; any other may be absent
/// while no archive needs it.
fn identities(settings: &Settings, configuration: &Configuration, loaded: &mut Loaded) -> Vec<Identity> {
    let is_named = matches!(configuration.effective.origin(Key::IdentityFile), Origin::Flag(_));
    let mut found = Vec::new();
    for path in &settings.encryption.identity_files {
        match identities_of(path) {
            Ok(identities) => found.extend(identities),
            Err(why) if is_named => loaded.problems.push(problem(configuration, Key::IdentityFile, why)),
            Err(why) => loaded.warnings.push(format!("{}: {why}; archives for it cannot be opened", Key::IdentityFile)),
        }
    }
    found
}

/// Reads one file with secret keys. The error names the file and quotes nothing of it.
pub(super) fn identities_of(path: &Path) -> Result<Vec<Identity>, String> {
    let text = read(path).map_err(|why| format!("cannot read {}: {why}", quoted(path)))?;
    identities_in(&text).map_err(|why| format!("{} {why}", quoted(path)))
}

fn problem(configuration: &Configuration, key: Key, message: String) -> Problem {
    let place = configuration.effective.origin(key).clone();
    Problem { place: Some(place.into()), key: key.to_string(), message, remedy: None }
}

/// Reads a small text file without waiting for the writer of a pipe.
fn read(path: &Path) -> Result<String, String> {
    let file = platform::open_at_once(path, Links::Follow).map_err(|cause| cause.to_string())?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err("it is not a regular file".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|cause: io::Error| cause.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_BYTES / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".into())
}

/// Returns the folder for plain data. It must not be in the store, which may be synchronized or shared.
fn scratch(settings: &Settings, configuration: &Configuration) -> Result<PathBuf, Problem> {
    let (folder, key) = match (&settings.scratch_dir, state_directory()) {
        (Some(folder), _) => (folder.clone(), Key::ScratchDir),
        (None, Some(state)) => (state.join(SCRATCH), Key::ScratchDir),
        (None, None) => {
            let message = "there is no HOME and no HEIRLOOM_STATE_DIR, so it must name a folder for plain copies";
            return Err(problem(configuration, Key::ScratchDir, message.into()));
        }
    };
    let is_store = settings.store.folder().is_some_and(|store| is_below(&existing(&folder), store));
    if is_store && settings.encryption.has_recipients() {
        let message = format!("{} is in the store, which must hold nothing plain", quoted(&folder));
        return Err(problem(configuration, key, message));
    }
    Ok(folder)
}

/// Returns the part of a path that exists, with symbolic links resolved, and the rest of it.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find(|part| fs::symlink_metadata(part).is_ok()).unwrap_or(Path::new("/"));
    let rest = absolute.strip_prefix(there).unwrap_or(Path::new(""));
    platform::resolved(there).join(rest)
}

/// Returns where the configured databases are.
fn places(settings: &Settings, labels: &[&HostLabel]) -> Vec<KnownPlace> {
    let mut found = Vec::new();
    for (set, of_set) in &settings.sets {
        let paths = of_set.databases.values().chain(of_set.alternatives.values().flatten());
        for path in paths {
            let path = platform::resolved(path).to_string_lossy().into_owned();
            let place = |host: &&HostLabel| KnownPlace { set: set.clone(), host: (*host).clone(), path: path.clone() };
            found.extend(labels.iter().map(place));
        }
    }
    found
}
