//! Checks an unpacked database, unless its digest proves it, and compares it with what the archive records about it.

use std::fs;

use anyhow::{Context as _, anyhow};

use super::RestoreError;
use super::options::Options;
use super::proof::{CheckPolicy, ProvedBy, is_proved};
use super::replace::Work;
use crate::archive::{Archive, ReadDatabase};
use crate::database::{self, Checked, Depth, Effort, SourceError};
use crate::metadata::{DatabaseMetadata, Integrity};
use crate::ops::sidecars;
use crate::ops::verify::{differences, different_facts};
use crate::progress::{Progress, Stage};

/// How many findings are shown for a database that is known to be damaged: each missing page causes several.
const SHOWN_OF_DAMAGE: usize = 10;

/// What is known about an unpacked database.
pub(super) struct Examined {
    /// Its size.
    pub(super) bytes: u64,
    /// Its rows, if they can be counted.
    pub(super) rows: Option<u64>,
    /// What shows that it is sound.
    pub(super) proof: ProvedBy,
}

/// Completes an unpacked database, checks it and compares it. Findings that do not refuse it go into `warnings`.
///
/// `read` is what was found in the file after unpacking; `None` if only parts of it could be read.
pub(super) fn examine(
    archive: &Archive,
    work: &Work<'_>,
    read: Option<&ReadDatabase>,
    options: &Options<'_>,
    progress: &dyn Progress,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Examined> {
    let step = work.step;
    let mut examination = Examination { archive, work, options, progress, warnings };
    let completed = examination.complete()?;
    let bytes = fs::metadata(&work.copy).context("cannot look at the unpacked database")?.len();
    if completed == Completed::AsUnpacked && read.is_some_and(|read| examination.is_proved(read)) {
        return Ok(Examined { bytes, rows: examination.compare_facts()?, proof: ProvedBy::Digest });
    }
    progress.begin(Stage::Check, step.held.name.as_str(), 0);
    examination.report_damage()?;
    let checked = examination.check()?;
    if checked.integrity == Integrity::Damaged {
        examination.refuse_damaged(checked.findings)?;
        return Ok(Examined { bytes, rows: None, proof: ProvedBy::Check(examination.depth(), Integrity::Damaged) });
    }
    if step.damage.is_some() {
        examination.refuse(vec!["the integrity check of what was restored found nothing".into()])?;
    }
    if checked.integrity == Integrity::Unchecked {
        return Ok(Examined { bytes, rows: step.rows_after(), proof: ProvedBy::Nothing });
    }
    let matches = examination.compare()?;
    // What could not be read may have been in pages that nothing uses.
    let integrity = if step.damage.is_some() { Integrity::Damaged } else { checked.integrity };
    let proof = ProvedBy::Check(examination.depth(), integrity);
    let Some(again) = examination.rebuild_indexes(&checked)? else {
        let rows = step.rows_after().filter(|_| matches);
        return Ok(Examined {
            bytes,
            rows: rows.map_or_else(|| examination.count_rows(), |rows| Ok(Some(rows)))?,
            proof,
        });
    };
    let bytes = fs::metadata(&work.copy).context("cannot look at the rebuilt database")?.len();
    Ok(Examined { bytes, rows: examination.count_rows()?, proof: ProvedBy::Check(Depth::Full, again) })
}

/// Whether an unpacked database was changed before it is examined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completed {
    /// It holds what the archive holds.
    AsUnpacked,
    /// Something was added, and its digest proves nothing any more.
    Changed,
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

    /// Returns whether the digest proves the database, so that no check is needed.
    ///
    /// With `allow_damaged` it does not: somebody has found damage that the metadata knows nothing about.
    fn is_proved(&self, read: &ReadDatabase) -> bool {
        let CheckPolicy::Unproved(depth) = self.options.check else { return false };
        let is_ruled_out =
            self.options.allow_damaged || self.options.rebuild_indexes || self.work.step.damage.is_some();
        !is_ruled_out && self.recorded().is_some_and(|recorded| is_proved(recorded, read, depth))
    }

    /// Compares header and schema of a database that is proved, which is cheap, and returns the recorded rows: the
    /// metadata was taken from these very bytes.
    fn compare_facts(&mut self) -> anyhow::Result<Option<u64>> {
        if self.options.check.depth() != Depth::None {
            let step = self.work.step;
            let differences = different_facts(&self.work.copy, &step.held, self.recorded());
            self.refuse_differences(differences.map_err(|error| self.without_path(error))?)?;
        }
        match self.work.step.rows_after() {
            Some(rows) => Ok(Some(rows)),
            None => self.count_rows(),
        }
    }

    fn count_rows(&self) -> anyhow::Result<Option<u64>> {
        let facts = database::facts(&self.work.copy)?;
        let rows = database::count_rows(&self.work.copy, &facts.tables, self.progress)?;
        Ok(rows.into_iter().sum())
    }

    /// Applies the sidecars in the archive, and sets a page checksum that an older release left out.
    fn complete(&mut self) -> anyhow::Result<Completed> {
        let step = self.work.step;
        let mut completed = Completed::AsUnpacked;
        if step.damage.is_some() && !step.held.sidecars.is_empty() {
            self.warn(["its sidecars were not applied, because it is damaged".into()]);
        } else {
            if !step.held.sidecars.is_empty() {
                completed = Completed::Changed;
            }
            let done =
                sidecars::recover(self.archive, step.index, &self.work.copy, &self.options.limits, self.progress)
                    .with_context(|| format!("cannot recover \"{}\" from its sidecars", step.held.name))?;
            self.warn(done);
        }
        if step.damage.is_none() && database::set_missing_checksum(&self.work.copy, self.progress)? {
            self.warn(["the page checksum of page 1 was set, which an older release had left out".into()]);
            completed = Completed::Changed;
        }
        Ok(completed)
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
        database::check(&self.work.copy, self.depth(), Effort::threads(self.options.threads), self.progress)
            .map_err(|error| self.without_path(error))
    }

    fn depth(&self) -> Depth {
        let asked = self.options.check.depth();
        let full = self.work.step.damage.is_some() && asked == Depth::None || self.options.rebuild_indexes;
        if full { Depth::Full } else { asked }
    }

    /// Names the database instead of the copy in scratch, whose path does not help the user.
    fn without_path(&self, error: SourceError) -> anyhow::Error {
        match error {
            SourceError::NotADatabase { why, .. }
            | SourceError::Damaged { why, .. }
            | SourceError::Unsupported { why, .. } => {
                RestoreError::Unsound { name: self.work.step.held.name.clone(), findings: vec![why] }.into()
            }
            error => anyhow!(error),
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
        self.refuse_differences(differences)?;
        Ok(matches)
    }

    fn refuse_differences(&mut self, differences: Vec<String>) -> anyhow::Result<()> {
        if self.recorded().is_some() && !differences.is_empty() {
            // Our metadata was taken from these very bytes.
            self.refuse(differences)
        } else {
            // The old tool counted in the live file, while it went on.
            self.warn(differences);
            Ok(())
        }
    }

    /// Rebuilds the indexes that the check names, if that was asked for, and checks again. Returns the new result if it
    /// did.
    ///
    /// Nothing refers to the copy yet.
    fn rebuild_indexes(&mut self, checked: &Checked) -> anyhow::Result<Option<Integrity>> {
        if checked.integrity != Integrity::Indexes {
            return Ok(None);
        }
        if !self.options.rebuild_indexes {
            self.warn(checked.findings.iter().cloned());
            return Ok(None);
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
        Ok(Some(again.integrity))
    }
}
