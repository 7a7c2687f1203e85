//! Checks the copies: before they are vacuumed, or while they are written.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use super::request::{Request, Staged};
use crate::archive::{Added, Writer};
use crate::database::{self, Checked, Depth, Effort, SourceError};
use crate::metadata::{DatabaseMetadata, Integrity, Metadata};
use crate::processors::Processors;
use crate::progress::{Progress, Stage};

impl Staged {
    /// Checks the copy, and adds what was found when it was made.
    pub(super) fn check(
        &self,
        depth: Depth,
        effort: Effort<'_>,
        progress: &dyn Progress,
    ) -> Result<Checked, SourceError> {
        let mut checked =
            database::check(&self.copy, depth, effort, progress).map_err(|error| error.of(&self.source))?;
        if !self.damage.is_empty() {
            checked.integrity = Integrity::Damaged;
            checked.findings.splice(0..0, self.damage.iter().cloned());
        }
        Ok(checked)
    }
}

/// Returns the error that refuses a damaged database.
pub(super) fn damaged(staged: &Staged, checked: &Checked) -> SourceError {
    let mut why = checked.findings.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    if checked.findings.len() > 3 {
        why.push_str(&format!("; and {} more", checked.findings.len() - 3));
    }
    let path = staged.source.clone();
    if checked.rebuild.is_empty() {
        SourceError::Damaged { path, why }
    } else {
        SourceError::Contradicted { path, why, rebuild: checked.rebuild.clone() }
    }
}

/// The result of checking one copy.
pub(super) struct Examined {
    pub(super) checked: Checked,
    pub(super) rows: Vec<Option<u64>>,
}

/// Writes all databases while other threads check them; the first damaged one ends both, unless damage is kept.
pub(super) fn write_and_check(
    writer: &mut Writer,
    databases: &[Staged],
    metadata: &Metadata,
    request: &Request,
    processors: &Processors,
    progress: &dyn Progress,
) -> anyhow::Result<(Vec<Added>, Vec<Examined>)> {
    let stop = AtomicBool::new(false);
    let watched = Stoppable { progress, stop: &stop };
    let next = AtomicUsize::new(0);
    let examined: Mutex<Vec<(usize, Result<Examined, SourceError>)>> = Mutex::default();
    let checkers = databases.len().min(request.threads.get());
    // Compression also uses the processors, and more than two threads do part of the work twice.
    let threads = NonZeroUsize::new((request.threads.get() / 2).max(2)).unwrap_or(NonZeroUsize::MIN);
    let effort = Effort::threads(threads.min(request.threads)).shared(checkers).claiming(processors);
    let check_the_rest = || {
        while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < databases.len()) {
            let _busy = processors.claim();
            let result = examine(&databases[index], &metadata.databases[index], request, effort, &watched);
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            examined.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };

    let added = std::thread::scope(|scope| {
        for _ in 0..checkers {
            // If no thread can be spawned, this thread runs the checks after writing.
            let _ = std::thread::Builder::new().spawn_scoped(scope, check_the_rest);
        }
        let added = databases.iter().zip(&metadata.databases).map(|(staged, described)| {
            let copy = File::open(&staged.copy).context("cannot open the copy")?;
            Ok(writer.add_database(&described.file, &copy, staged.bytes, &watched)?)
        });
        let added = added.collect::<anyhow::Result<Vec<_>>>();
        if added.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        check_the_rest();
        added
    });

    let mut examined = examined.into_inner().unwrap_or_else(PoisonError::into_inner);
    examined.sort_by_key(|(index, _)| *index);
    // The error of the check comes first: it is why writing was stopped. A cancelled check is a consequence of another
    // failure, not its cause.
    let mut checks = Vec::new();
    let mut interrupted = None;
    for (_, result) in examined {
        match result {
            Ok(check) => checks.push(check),
            Err(SourceError::Interrupted(cause)) => interrupted = Some(cause),
            Err(error) => return Err(error.into()),
        }
    }
    let added = added.context("cannot write the archive")?;
    match interrupted {
        Some(cause) => Err(cause.into()),
        None => Ok((added, checks)),
    }
}

fn examine(
    staged: &Staged,
    described: &DatabaseMetadata,
    request: &Request,
    effort: Effort<'_>,
    progress: &dyn Progress,
) -> Result<Examined, SourceError> {
    let checked = staged.check(request.check, effort, progress)?;
    if checked.integrity == Integrity::Damaged && !request.keep_damaged {
        return Err(damaged(staged, &checked));
    }
    let tables: Vec<String> = described.tables.iter().map(|table| table.name.clone()).collect();
    let rows = database::count_rows(&staged.copy, &tables, progress).map_err(|error| error.of(&staged.source))?;
    Ok(Examined { checked, rows })
}

/// Progress that can also be stopped from inside.
struct Stoppable<'a> {
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        self.progress.begin(stage, subject, total);
    }

    fn advance(&self, units: u64) {
        self.progress.advance(units);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.cancelled()
    }
}
