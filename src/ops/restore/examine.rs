//! Checks an unpacked database and compares it with what the archive records about it.

use std::fs;

use anyhow::{Context as _, anyhow};

use super::RestoreError;
use super::options::Options;
use super::replace::Work;
use crate::archive::Archive;
use crate::database::{self, Checked, Depth, Effort, SourceError};
use crate::metadata::{DatabaseMetadata, Integrity};
use crate::ops::sidecars;
use crate::ops::verify::differences;
use crate::progress::{Progress, Stage};

/// How many findings are shown for a database that is known to be damaged: each missing page causes several.
const SHOWN_OF_DAMAGE: usize = 10;

/// The size of an unpacked database and its rows, as far as they are known.
pub(super) type Examined = (u64, Option<u64>);

/// Completes an unpacked database, checks it and compares it. Findings that do not refuse it go into `warnings`.
pub(super) fn examine(
    archive: &Archive,
    work: &Work<'_>,
    options: &Options<'_>,
    progress: &dyn Progress,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Examined> {
    let step = work.step;
    let mut examination = Examination { archive, work, options, progress, warnings };
    examination.complete()?;
    let bytes = fs::metadata(&work.copy).context("cannot look at the unpacked database")?.len();
    progress.begin(Stage::Check, step.held.name.as_str(), 0);
    examination.report_damage()?;
    let checked = examination.check()?;
    if checked.integrity == Integrity::Damaged {
        examination.refuse_damaged(checked.findings)?;
        return Ok((bytes, None));
    }
    if step.damage.is_some() {
        examination.refuse(vec!["the integrity check of what was restored found nothing".into()])?;
    }
    if options.check == Depth::None && !options.rebuild_indexes {
        return Ok((bytes, step.rows_after()));
    }
    let matches = examination.compare()?;
    let rebuilt = examination.rebuild_indexes(&checked)?;
    let bytes =
        if rebuilt { fs::metadata(&work.copy).context("cannot look at the rebuilt database")?.len() } else { bytes };
    if let Some(rows) = step.rows_after().filter(|_| matches && !rebuilt) {
        return Ok((bytes, Some(rows)));
    }
    let facts = database::facts(&work.copy)?;
    let rows = database::count_rows(&work.copy, &facts.tables, progress)?;
    Ok((bytes, rows.into_iter().sum()))
}

struct Examination<'a> {
    archive: &'a Archive,
    work: &'a Work<'a>,
    options: &'a Options<'a>,
    progress: &'a dyn Progress,
    warnings: &'a mut Vec<String>,
}

impl Examination<'_> {
    fn warn(&mut self, lines: impl IntoIterator<Item = String>) {
        let name = &self.work.step.held.name;
        self.warnings.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
    }

    /// Refuses the database; with `allow_damaged` the findings become warnings.
    fn refuse(&mut self, findings: Vec<String>) -> anyhow::Result<()> {
        if self.options.allow_damaged {
            self.warn(findings);
            return Ok(());
        }
        Err(RestoreError::Unsound { name: self.work.step.held.name.clone(), findings }.into())
    }

    /// Returns what the archive records about the database.
    fn recorded(&self) -> Option<&DatabaseMetadata> {
        self.archive.contents().metadata.as_ref()?.databases.get(self.work.step.index)
    }

    /// Applies the sidecars in the archive, and sets a page checksum that an older release left out.
    fn complete(&mut self) -> anyhow::Result<()> {
        let step = self.work.step;
        if step.damage.is_some() && !step.held.sidecars.is_empty() {
            self.warn(["its sidecars were not applied, because it is damaged".into()]);
        } else {
            let done =
                sidecars::recover(self.archive, step.index, &self.work.copy, &self.options.limits, self.progress)
                    .with_context(|| format!("cannot recover \"{}\" from its sidecars", step.held.name))?;
            self.warn(done);
        }
        if step.damage.is_none() && database::set_missing_checksum(&self.work.copy, self.progress)? {
            self.warn(["the page checksum of page 1 was set, which an older release had left out".into()]);
        }
        Ok(())
    }

    /// Reports the damage that the plan names.
    fn report_damage(&mut self) -> anyhow::Result<()> {
        let step = self.work.step;
        let Some(damage) = &step.damage else { return Ok(()) };
        if let Err(SourceError::NotADatabase { why, .. }) = database::probe(&self.work.copy) {
            return Err(RestoreError::NothingLeft {
                name: step.held.name.clone(),
                why: format!("{} ({why})", damage.lost()),
            }
            .into());
        }
        let zero = if damage.unreadable.is_empty() { "" } else { "; they are zero" };
        self.refuse(vec![format!("{}{zero} ({})", damage.lost(), damage.why)])
    }

    /// Runs the integrity check; that of a database that is known to be damaged is a part of the result and always
    /// runs.
    fn check(&self) -> anyhow::Result<Checked> {
        let step = self.work.step;
        let full = step.damage.is_some() && self.options.check == Depth::None || self.options.rebuild_indexes;
        let depth = if full { Depth::Full } else { self.options.check };
        match database::check(&self.work.copy, depth, Effort::threads(self.options.threads), self.progress) {
            // Without the path of the copy in scratch, which does not help the user.
            Err(
                SourceError::NotADatabase { why, .. }
                | SourceError::Damaged { why, .. }
                | SourceError::Unsupported { why, .. },
            ) => Err(RestoreError::Unsound { name: step.held.name.clone(), findings: vec![why] }.into()),
            Err(error) => Err(anyhow!(error)),
            Ok(checked) => Ok(checked),
        }
    }

    fn refuse_damaged(&mut self, mut findings: Vec<String>) -> anyhow::Result<()> {
        let more = findings.len().saturating_sub(SHOWN_OF_DAMAGE);
        if self.work.step.damage.is_some() && more > 0 {
            findings.truncate(SHOWN_OF_DAMAGE);
            findings.push(format!("the integrity check found more ({more} lines that are not shown)"));
        }
        self.refuse(findings)
    }

    /// Compares tables, rows and header fields with what the archive records; returns whether all are equal.
    fn compare(&mut self) -> anyhow::Result<bool> {
        let differences = differences(&self.work.copy, &self.work.step.held, self.recorded(), self.progress)?;
        let matches = differences.is_empty();
        if self.recorded().is_some() && !matches {
            // Our metadata was taken from these very bytes.
            self.refuse(differences)?;
        } else {
            // The old tool counted in the live file, while it went on.
            self.warn(differences);
        }
        Ok(matches)
    }

    /// Rebuilds the indexes that the check names, if that was asked for, and checks again. Returns whether it did.
    ///
    /// Nothing refers to the copy yet.
    fn rebuild_indexes(&mut self, checked: &Checked) -> anyhow::Result<bool> {
        if checked.integrity != Integrity::Indexes {
            return Ok(false);
        }
        if !self.options.rebuild_indexes {
            self.warn(checked.findings.iter().cloned());
            return Ok(false);
        }
        let (work, progress) = (self.work, self.progress);
        let name = &work.step.held.name;
        let failed = |cause: anyhow::Error| RestoreError::NotRebuilt { name: name.clone(), cause };
        let named = |error: SourceError| error.of(&work.step.target.given);
        database::rebuild(&work.copy, &checked.rebuild, progress)
            .map_err(named)
            .map_err(|error| failed(error.into()))?;
        progress.begin(Stage::Check, name.as_str(), 0);
        let again =
            database::check(&work.copy, Depth::Full, Effort::threads(self.options.threads), progress).map_err(named)?;
        if matches!(again.integrity, Integrity::Damaged | Integrity::Indexes) {
            let unsound = RestoreError::Unsound { name: name.clone(), findings: again.findings };
            return Err(failed(unsound.into()).into());
        }
        self.warn(checked.rebuild.iter().map(|statement| format!("rebuilt with: {statement}")));
        Ok(true)
    }
}
