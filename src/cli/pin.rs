//! `heirloom pin` and `heirloom unpin`.

use std::time::Duration;

use super::record::Record;
use super::{Context, Outcome, copies};
use crate::names::ArchiveName;
use crate::ops::LockedStore;
use crate::ops::resolve::Place;
use crate::report::archives::Pinned;
use crate::store::StoreError;

/// Protect an archive from retention
///
/// Creates an empty `ARCHIVE.keep` beside it; `touch` does the same. Its copies in other stores are pinned, too.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  heirloom pin shop_20260301T030000Z

Exit codes: 0 done; 3 a copy could not be marked; 11 locked; 12 no such backup; 16 store unreachable")]
pub struct PinArgs {
    /// A name, the beginning of a name, or `latest`
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archive: String,
}

/// Let retention remove an archive again
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  heirloom unpin shop_20260301T030000Z

Exit codes: 0 done; 3 a copy could not be marked; 11 locked; 12 no such backup; 16 store unreachable")]
pub struct UnpinArgs {
    /// A name, the beginning of a name, or `latest`
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archive: String,
}

/// Whether the archive is to be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pin {
    On,
    Off,
}

pub(super) fn run(args: &PinArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    change(&args.archive, Pin::On, context)
}

pub(super) fn run_unpin(args: &UnpinArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    change(&args.archive, Pin::Off, context)
}

fn change(text: &str, pin: Pin, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let command = if pin == Pin::On { "pin" } else { "unpin" };
    let (snapshot, place) = super::latest::find_to_mark(text, command, context)?;
    let name = snapshot.name.clone();
    if place != Place::Store {
        return Err(StoreError::NotFound { name: text.to_owned(), location: store.location() }.into());
    }
    context.records.push(Record { archive: Some(name.as_str().to_owned()), ..Record::default() });
    let locked = store.lock(Duration::from_secs(60), &context.ui.progress())?;
    let changed = match pin {
        Pin::On => locked.pin(&name)?,
        Pin::Off => locked.unpin(&name)?,
    };
    drop(locked);
    let change = |locked: &LockedStore<'_>, name: &ArchiveName| match pin {
        Pin::On => locked.pin(name),
        Pin::Off => locked.unpin(name),
    };
    let failed = copies::mark(&store, &snapshot, &change, context);
    let pinned = pin == Pin::On;
    if context.ui.is_json() {
        context.ui.document(&Pinned { archive: name.clone(), pinned, changed });
    }
    context.ui.summary(format!(
        "{name} is {}{}",
        if changed { "" } else { "already " },
        if pinned { "pinned" } else { "not pinned" }
    ));
    Ok(if failed { Outcome::Problems } else { Outcome::Done })
}
