//! `heirloom accept`.

use std::time::Duration;

use serde_json::json;

use super::{Context, Outcome, text};
use crate::lock::StoreLock;
use crate::ops::marks;
use crate::ops::resolve::Place;
use crate::store::{Store as _, StoreError};

/// Accept that an archive holds far less than the ones before it
///
/// An archive with less than half of the rows that its database held before is a shrink. Until it is accepted, or until a
/// later archive holds half of the rows again, nothing from before it is removed, and `rotate` and `health` report it.
/// Accepting it creates an empty `ARCHIVE.accepted` beside it; earlier shrinks of the same databases are accepted with it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  heirloom accept shop_20260301T030000Z

Exit codes: 0 done; 11 locked; 12 no such backup; 16 store unreachable")]
pub struct AcceptArgs {
    /// A name, the beginning of a name, or `latest`
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archive: String,
}

pub(super) fn run(args: &AcceptArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let selected = super::latest::find(&args.archive, None, "accept", context)?;
    let name = selected.snapshot.name;
    if selected.place != Place::Store {
        return Err(StoreError::NotFound { name: args.archive.clone(), location: store.location() }.into());
    }
    let lock = StoreLock::acquire(&store.create_private()?, Duration::from_secs(60), &context.ui.progress())?;
    let changed = marks::accept(&store, &lock, &name)?;
    if context.ui.is_json() {
        context.ui.document(&json!({"archive": name, "accepted": true, "changed": changed}));
    }
    let already = if changed { "" } else { "already " };
    context.ui.summary(format!("{name} is {already}accepted ({})", text::age(selected.snapshot.created_at, context.now)));
    Ok(Outcome::Done)
}
