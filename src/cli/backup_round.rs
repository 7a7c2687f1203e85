//! What the sets of one backup run share: one listing of the store, one rotation, and one line for each pattern.
//!
//! With thousands of sets nothing here may cost the same again for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;

use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::config::EachSettings;
use crate::database::SourceError;
use crate::failure::is_interruption;
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::backup::Made;
use crate::ops::changed::Listing;
use crate::ops::inventory::inventory;
use crate::ops::jobs::Chosen;
use crate::ops::jobs::backup::remove_leftovers;
use crate::ops::jobs::each::{BySet, is_not_yet};
use crate::ops::jobs::first_deployment::was_never_made;
use crate::snapshot::Snapshot;
use crate::streams::Stream;
use crate::text::quoted;

/// How many names a line lists.
const MOST_NAMES: usize = 10;

/// How long to wait for another run.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The results of the sets of one pattern.
#[derive(Debug, Default)]
struct Tally {
    made: u64,
    bytes: u64,
    recent: u64,
    gone: u64,
}

/// A run over several sets.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Whether several sets are meant, or a pattern, however many databases it matches.
    many: bool,
    listing: Option<BySet>,
    /// What is in the store, for looks.
    names: Listing,
    tallies: BTreeMap<Name, Tally>,
    /// What was made, for one rotation at the end.
    streams: BTreeSet<Stream>,
    last: Option<ArchiveName>,
    /// The databases that have archives and no file.
    gone: Vec<Name>,
    /// Those of them that no earlier run reported.
    newly_gone: Vec<Name>,
    /// Whether it was reported that archives have not the mode or group that they should have.
    pub(super) denied: bool,
}

impl Round {
    /// Begins a run over these sets. `named` is the set that was named; a database may have been named as well.
    pub(super) fn new(chosen: &[Chosen], named: Option<&Name>, names_one: bool, context: &Context) -> Self {
        let each = &context.settings.each;
        let of_pattern = match named {
            Some(named) => each.iter().any(|each| each.name == *named),
            None => !names_one && !each.is_empty(),
        };
        Self { many: of_pattern || chosen.len() != 1, ..Self::default() }
    }

    pub(super) fn is_many(&self) -> bool {
        self.many
    }

    /// Returns whether a set is one of the many of a pattern.
    pub(super) fn is_member(&self, set: &Name, context: &Context) -> bool {
        self.many && context.settings.each_of(set).is_some()
    }

    /// Returns whether results are kept until the end for one rotation.
    pub(super) fn is_joint(&self) -> bool {
        self.many
    }

    /// Lists the store, once.
    pub(super) fn list(&mut self, store: &Repository, chosen: &[Chosen], context: &Context) -> anyhow::Result<()> {
        if self.many {
            let found = inventory(store, &context.reading(), &context.ui.progress())?;
            self.listing = Some(BySet::new(found));
            remove_leftovers(chosen, store, &context.ui.progress());
        }
        Ok(())
    }

    /// Returns the archives of a set, if the store was listed.
    pub(super) fn known(&self, set: &Name) -> Option<&[Snapshot]> {
        self.listing.as_ref().map(|listing| listing.archives(set))
    }

    /// Returns what is in the store, which the first look lists.
    pub(super) fn names(&self) -> &Listing {
        &self.names
    }

    /// Counts an archive of a set.
    pub(super) fn made(&mut self, made: &Made, context: &Context) {
        let set = &made.packed.metadata.set;
        if let Some(each) = context.settings.each_of(set) {
            let tally = self.tallies.entry(each.name.clone()).or_default();
            tally.made += 1;
            tally.bytes += made.packed.bytes;
        }
        if self.is_joint() && !made.packed.is_damaged() {
            self.streams.extend(made.streams.iter().cloned());
            self.last = Some(made.packed.archive.clone());
        }
    }

    /// Counts a set that has a recent backup.
    pub(super) fn recent(&mut self, set: &Name, context: &Context) {
        if let Some(each) = context.settings.each_of(set) {
            self.tallies.entry(each.name.clone()).or_default().recent += 1;
        }
    }

    /// Counts a database that went away, or is none any more, between the look and its backup; returns whether it is
    /// one of a pattern and that was the error.
    pub(super) fn went_away(&mut self, set: &Name, error: &anyhow::Error, context: &Context) -> bool {
        let not_yet = error.chain().any(|cause| cause.downcast_ref::<SourceError>().is_some_and(is_not_yet));
        if !not_yet || is_interruption(error) || !self.is_member(set, context) {
            return false;
        }
        context.ui.detail(format!("{set} is not backed up: {error:#}"));
        if let Some(each) = context.settings.each_of(set) {
            self.tallies.entry(each.name.clone()).or_default().gone += 1;
        }
        true
    }

    /// Returns the databases that have archives and no file, once they were reported; and those of them that no earlier
    /// run reported.
    pub(super) fn take_gone(&mut self) -> (Vec<Name>, Vec<Name>) {
        (std::mem::take(&mut self.gone), std::mem::take(&mut self.newly_gone))
    }

    /// Returns what one rotation at the end is about.
    pub(super) fn take_made(&mut self) -> Option<(BTreeSet<Stream>, ArchiveName)> {
        Some((std::mem::take(&mut self.streams), self.last.take()?))
    }

    /// Reports each pattern: what was backed up, and what could not be or has no file any more. Returns the outcome.
    /// `only` is the set that was named.
    pub(super) fn report(&mut self, only: Option<&Name>, context: &mut Context) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::Done;
        if !self.is_joint() {
            return Ok(outcome);
        }
        let listing = match self.listing.take() {
            Some(listing) => listing,
            // Nothing was backed up, so that no store was made; there may be one all the same.
            None => listing_if_any(context)?,
        };
        for each in context.settings.each.clone() {
            if only.is_some_and(|only| *only != each.name) {
                continue;
            }
            for problem in &each.problems {
                outcome = Outcome::Problems;
                context.ui.warning(format!("{}: {problem}", each.name));
            }
            let mut emptied = BTreeSet::new();
            for (set, path) in listing.emptied(&each, &context.surroundings()) {
                outcome = Outcome::Problems;
                let list = context.command_line(&["list", "--set", set.as_str()]);
                let path = quoted(path);
                context.ui.warning(format!("{path} is no database, but archives of it exist; list them with: {list}"));
                emptied.insert(set);
            }
            let gone = listing.without_file(&each, &context.surroundings()).into_keys();
            // A file of 0 bytes is there.
            let gone: BTreeSet<Name> = gone.filter(|set| !emptied.contains(set)).collect();
            self.gone.extend(gone.iter().cloned());
            if each.sets.is_empty() && !gone.is_empty() {
                // Tenants are deleted one by one; all at once is a disk that is not mounted.
                outcome = Outcome::Problems;
                context.ui.warning(gone_line(&each, &gone));
            } else {
                // One of which nobody knows whether it is there (EACCES, EIO) stays what it was.
                let may_be_gone = |set: &Name| {
                    !(each.sets.contains(set) || emptied.contains(set) || listing.archives(set).is_empty())
                };
                self.report_gone(&each, &gone, may_be_gone, context);
            }
            let line = self.tally(&each, context);
            context.ui.summary(line);
        }
        Ok(outcome)
    }

    /// Reports the databases that are gone: once as a warning, which reaches whoever reads the mail of cron, and from
    /// then on only where results are read.
    fn report_gone(
        &mut self,
        each: &EachSettings,
        gone: &BTreeSet<Name>,
        may_be_gone: impl Fn(&Name) -> bool,
        context: &mut Context,
    ) {
        let Ok(store) = context.store() else { return };
        let (workspace, host) = (store.workspace(), &context.host.label);
        let known = || workspace.known_gone(host, &each.name);
        // Of two rounds at once, the first one reports them. Without the lock, both do: twice is better than never.
        let has_news = !context.round.is_silent && !gone.is_subset(&known());
        let _lock = has_news.then(|| workspace.lock(LOCK_WAIT, &context.ui.progress()));
        let known = known();
        let new: BTreeSet<Name> = gone.difference(&known).cloned().collect();
        if !new.is_empty() {
            context.ui.warning(gone_line(each, &new));
        }
        // Crash before this, or a record that cannot be written: the next run reports them again.
        let reported: BTreeSet<Name> = known.iter().filter(|set| may_be_gone(set)).chain(gone).cloned().collect();
        if known != reported && !context.round.is_silent {
            let _ = workspace.record_gone(host, &each.name, &reported);
        }
        let before: BTreeSet<Name> = gone.difference(&new).cloned().collect();
        if !before.is_empty() {
            context.ui.summary(gone_line(each, &before));
        }
        new.iter().for_each(|set| context.round.gone(set.as_str()));
        self.newly_gone.extend(new);
    }

    /// Returns the line of a pattern.
    fn tally(&self, each: &EachSettings, context: &Context) -> String {
        let Some(tally) = self.tallies.get(&each.name) else {
            return format!("{}: no database matches {} yet", each.name, each.pattern);
        };
        let done = context.ui.paint(Tone::Good, "backed up");
        let mut line = format!("{done} {}: {}", each.name, text::count(tally.made, "database"));
        if tally.made > 0 {
            line += &format!(", packed into {} and read back", text::bytes(tally.bytes));
        }
        if tally.recent > 0 {
            line += &format!("; {} with a recent backup", text::thousands(tally.recent));
        }
        let not_yet = each.not_yet.len() as u64 + tally.gone;
        if not_yet > 0 {
            line += &format!("; {} not yet a database", text::count(not_yet, "file"));
        }
        line
    }
}

fn gone_line(each: &EachSettings, gone: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = gone.iter().take(MOST_NAMES).map(Name::as_str).collect();
    let more = if gone.len() > MOST_NAMES { ", …" } else { "" };
    let count = text::count(gone.len() as u64, "database");
    format!("{}: {count} gone, archives are kept: {}{more}", each.name, names.join(", "))
}

fn listing_if_any(context: &Context) -> anyhow::Result<BySet> {
    match context.store() {
        Ok(store) => {
            let found = inventory(&store, &context.reading(), &context.ui.progress());
            Ok(BySet::new(found.context("cannot find out which databases are gone")?))
        }
        Err(error) if was_never_made(&error, &context.surroundings()) => Ok(BySet::default()),
        Err(error) => Err(error.into()),
    }
}
