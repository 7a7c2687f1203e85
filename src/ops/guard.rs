//! What stands behind `guard`: a backup before a command, a look at the databases after it, and the way back.
//!
//! The way back is the archive made before, restored as every archive is: what the command left goes into a safety backup
//! first, live databases are replaced from inside, several of a set all or none. A database that holds what it held
//! before is left alone.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use anyhow::Context as _;

use super::backup::{self, Plan, Run};
use super::inventory::Reading;
use super::pack::Packed;
use super::resolve::in_store;
use super::restore::{self, Method, Options, Report};
use crate::database::{self, Depth, Effort, Source, SourceError, difference, pin};
use crate::digest::{Hasher, Sha256};
use crate::metadata::{DatabaseMetadata, Integrity};
use crate::names::{Name, printable};
use crate::progress::{Progress, Stage};
use crate::scratch::Scratch;
use crate::store::LocalStore;

/// A set as it was before the command.
pub struct Before {
    /// The archive of it.
    pub packed: Packed,
    /// The databases in that archive, in its order.
    pub sources: Vec<Source>,
    /// The databases that did not exist. What the command makes of them is nobody's old state, so that they are never taken back.
    pub missing: Vec<Source>,
    /// Owner and mode of each database, for one that has to be made anew.
    files: Vec<Option<Metadata>>,
}

/// What became of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It holds what it held before.
    Same,
    /// It is sound and holds something else.
    Changed,
    /// It is there and is no sound database any more.
    Damaged(String),
    /// It is not there any more, or is no file, or an empty one.
    Gone(String),
}

/// One database after the command.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The database.
    pub source: Source,
    /// What became of it.
    pub state: State,
}

impl Seen {
    /// Says what is wrong with it, if anything is.
    pub fn trouble(&self) -> Option<String> {
        let path = printable(&self.source.path.to_string_lossy()).into_owned();
        match &self.state {
            State::Same | State::Changed => None,
            State::Damaged(why) => Some(format!("\"{path}\" is damaged: {why}")),
            State::Gone(why) => Some(why.clone()),
        }
    }
}

/// Backs up before the command. The plan must not vacuum: the archive is compared with the database afterwards.
pub fn back_up(store: &LocalStore, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Before> {
    let files = plan.sources.iter().map(|source| fs::metadata(&source.path).ok()).collect();
    let packed = backup::execute(store, plan, run, progress)?.packed;
    Ok(Before { packed, sources: plan.sources.clone(), missing: plan.missing.clone(), files })
}

/// Looks at every database of a set: is it there, is it sound, does it hold what it held?
///
/// An error means that this could not be found out (a lock, an I/O error), not that something is wrong with a database.
pub fn look(store: &LocalStore, before: &Before, check: Depth, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Vec<Seen>> {
    let scratch = Scratch::in_store(&store.create_private()?).context("cannot make a scratch folder in the store")?;
    let mut seen = Vec::new();
    for (index, source) in before.sources.iter().enumerate() {
        let copy = scratch.path().join(format!("after-{index}.db"));
        let state = match copy_and_check(source, &copy, check, run, progress)? {
            Some(trouble) => trouble,
            None if is_same(store, before, index, &copy, scratch.path(), run.reading, progress)? => State::Same,
            None => State::Changed,
        };
        // For the room; the folder goes in any case.
        let _ = fs::remove_file(&copy);
        seen.push(Seen { source: source.clone(), state });
    }
    Ok(seen)
}

/// Copies a database as it is now, and returns what is wrong with it.
fn copy_and_check(
    source: &Source,
    copy: &Path,
    check: Depth,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> Result<Option<State>, SourceError> {
    let folder = copy.parent().expect("the copy lies in the scratch folder");
    let copied = pin(std::slice::from_ref(source), folder, run.clock, &run.limits, progress).and_then(|pinned| {
        let database = pinned.databases.into_iter().next().expect("one was pinned");
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        database.copy_to(copy, &run.limits, progress)
    });
    let checked = copied.and_then(|_| {
        progress.begin(Stage::Check, source.name.as_str(), 0);
        database::check(copy, check, Effort::single(), progress).map_err(|error| error.of(&source.path))
    });
    match checked {
        Ok(checked) if checked.integrity == Integrity::Damaged => Ok(Some(State::Damaged(checked.findings.join("; ")))),
        Ok(_) => Ok(None),
        Err(error @ (SourceError::Missing(_) | SourceError::NotAFile { .. } | SourceError::Empty { .. })) => {
            Ok(Some(State::Gone(error.to_string())))
        }
        Err(SourceError::NotADatabase { why, .. } | SourceError::Damaged { why, .. } | SourceError::Unsupported { why, .. }) => {
            Ok(Some(State::Damaged(why)))
        }
        Err(error) => Err(error),
    }
}

/// Compares a copy taken now with the one in the archive. Copies are made alike, so that equal content mostly means equal bytes.
fn is_same(
    store: &LocalStore,
    before: &Before,
    index: usize,
    copy: &Path,
    scratch: &Path,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<bool> {
    let recorded = recorded(before, index);
    let bytes = fs::metadata(copy).context("cannot look at the copy")?.len();
    if bytes != recorded.bytes {
        return Ok(false);
    }
    if digest(copy).context("cannot read the copy")? == recorded.sha256 {
        return Ok(true);
    }
    // Perhaps only the header differs, in fields that are no content: the journal mode.
    let selected = in_store(store, before.packed.archive.as_str(), reading)?;
    let old = scratch.join(format!("before-{index}.db"));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&old).context("cannot create a scratch file")?;
    progress.begin(Stage::Unpack, recorded.name.as_str(), bytes);
    selected.archive.unpack(&[(index, &file)], std::num::NonZeroUsize::MIN, progress).context("cannot unpack the archive")?;
    let found = difference(&file, &File::open(copy).context("cannot read the copy")?).context("cannot compare with the archive")?;
    let _ = fs::remove_file(&old);
    Ok(found.is_none())
}

fn recorded(before: &Before, index: usize) -> &DatabaseMetadata {
    &before.packed.metadata.databases[index]
}

fn digest(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

/// Puts the databases back that are not as they were, and looks at them again. On an error says what state they are in.
///
/// A signal does not stop this: half a way back is the worst place to be. `options.safety` must be a store.
pub fn roll_back(store: &LocalStore, before: &Before, seen: &[Seen], options: &Options<'_>, run: &Run<'_>) -> anyhow::Result<Report> {
    let reading = run.reading;
    let changed = |index: &usize| seen[*index].state != State::Same;
    let targets = (0..before.sources.len()).filter(changed).map(|index| (index, before.sources[index].path.clone())).collect();
    let selected = in_store(store, before.packed.archive.as_str(), reading)?;
    let plan = restore::plan(selected.archive.contents(), targets, None, false)?;
    let mut report = restore::execute(&selected.archive, &plan, options, &crate::progress::Silent)?;
    for step in &plan.steps {
        // A file that was gone is made anew, for its owner only: it gets what the old one had, which is no wider than it was.
        if let (Method::Create, Some(old)) = (step.method, &before.files[step.index])
            && let Err(cause) = give_back(&step.target.path, old)
        {
            report.warnings.push(format!("{}: owner and mode could not be set as they were: {cause}", step.held.name));
        }
    }
    for seen in look(store, before, options.check, run, &crate::progress::Silent)? {
        match (seen.trouble(), &seen.state) {
            (Some(trouble), _) => return Err(anyhow::anyhow!(trouble).context("put back, but not sound afterwards")),
            (None, State::Changed) => {
                report.warnings.push(format!("{}: somebody has written to it since it was put back", seen.source.name));
            }
            (None, _) => {}
        }
    }
    Ok(report)
}

fn give_back(path: &Path, old: &Metadata) -> io::Result<()> {
    let new = fs::metadata(path)?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        chown(path, Some(old.uid()), Some(old.gid()))?;
    }
    fs::set_permissions(path, Permissions::from_mode(old.mode() & 0o777))
}

/// Returns the names of the databases that are not as they were.
pub fn changed(seen: &[Seen]) -> Vec<Name> {
    seen.iter().filter(|seen| seen.state != State::Same).map(|seen| seen.source.name.clone()).collect()
}
