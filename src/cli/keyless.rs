//! A store without its key: `backup` and `restore --if-missing` warn and end with 3, so that an application that starts
//! or ends with them goes on.
//!
//! Not with 0: nothing was saved or restored, and a schedule that watches exit codes must see that. Not with 16 either:
//! trying again does not help, and an application must not depend on the place of its backups. A restore never calls it
//! a first deployment, with or without `--if-backup-exists`: nobody knows whether there is a backup. Every other
//! command ends with 16, because a person asked for what only the store knows.

use super::{Context, Outcome};
use crate::names::printable;
use crate::report::backup::{Backup, Outcome as BackupOutcome, SkippedNoKey};
use crate::report::restore::{Outcome as RestoreOutcome, Skipped};
use crate::store::StoreError;

/// Returns the missing variable and the store, if that is why a command failed.
fn missing(error: &anyhow::Error) -> Option<(&'static str, &str)> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(StoreError::NoCredentials { variable, location }) => Some((*variable, location.as_str())),
        _ => None,
    })
}

/// Returns whether a command failed because a store has no key.
pub(super) fn is_why(error: &anyhow::Error) -> bool {
    missing(error).is_some()
}

/// Ends a backup whose main store has no key.
pub(super) fn backup(result: anyhow::Result<Outcome>, context: &mut Context) -> anyhow::Result<Outcome> {
    let Err(error) = &result else { return result };
    // The key of another store is not what a backup needs.
    let main = context.settings.store.url().map(ToString::to_string);
    let Some((variable, location)) = missing(error).filter(|(_, location)| main.as_deref() == Some(location)) else {
        return result;
    };
    let warning = text(variable, location, "nothing was backed up");
    context.ui.warning(&warning);
    context.round.nothing_saved(&warning, 17);
    if context.ui.is_json() {
        let (outcome, store) = (BackupOutcome::SkippedNoKey, location.to_owned());
        let skipped = SkippedNoKey { outcome, store, variable: variable.to_owned(), warning };
        context.ui.document(&Backup::SkippedNoKey(skipped));
    }
    Ok(Outcome::Problems)
}

/// Ends a restore of what is missing, if a store that may have it has no key.
pub(super) fn restore(result: anyhow::Result<Outcome>, context: &mut Context) -> anyhow::Result<Outcome> {
    let Err(error) = &result else { return result };
    let Some((variable, location)) = missing(error) else { return result };
    let done = "nothing was restored, and it is unknown whether there is a backup; do not start with an empty database \
                unless this is the first start";
    let warning = text(variable, location, done);
    context.ui.warning(&warning);
    if context.ui.is_json() {
        let skipped = Skipped { warning: Some(warning), ..Skipped::new(RestoreOutcome::SkippedNoKey) };
        context.ui.document(&skipped);
    }
    Ok(Outcome::Problems)
}

fn text(variable: &str, location: &str, done: &str) -> String {
    format!("{variable} is not set, which the store \"{}\" needs: {done}", printable(location))
}
