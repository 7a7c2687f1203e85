//! `heirloom accept`.

use std::time::Duration;

use super::{Context, Outcome, copies, text};
use crate::ops::inventory::{Inventory, inventory};
use crate::ops::jobs::retention::shrinks_off;
use crate::ops::resolve::{Place, ResolveError};
use crate::report::archives::Accepted;
use crate::retention::{Limits, Retention, Scene, Shrink, accepted_with};
use crate::store::StoreError;

/// Accept that an archive holds far fewer rows than the ones before it
///
/// An archive with less than half of the rows that its database held before is a shrink. Until it is accepted, or until
/// a later archive holds half of the rows again, nothing from before it is removed, and `rotate` and `health` report
/// it. Accepting it creates an empty `ARCHIVE.accepted` beside it; earlier shrinks of the same databases are accepted
/// with it. Nothing happens if there is no shrink to accept.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  heirloom accept shop_20260301T030000Z

Exit codes: 0 done, or nothing to accept; 11 locked; 12 no such backup; 16 store unreachable")]
pub struct AcceptArgs {
    /// A name, the beginning of a name, or `latest`
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archive: String,
}

pub(super) fn run(args: &AcceptArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let store = context.store()?;
    let (selected, place) = super::latest::find_to_mark(&args.archive, "accept", context)?;
    if place != Place::Store {
        return Err(StoreError::NotFound { name: args.archive.clone(), location: store.location() }.into());
    }
    let name = selected.name.clone();
    let locked = store.lock(Duration::from_secs(60), &context.ui.progress())?;
    let Inventory { snapshots, foreign, .. } = inventory(&store, &context.reading(), &context.ui.progress())?;
    let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.name == name) else {
        // The listing does not contain it if another read of it failed or if it was removed meanwhile.
        let unread = foreign.iter().find(|foreign| foreign.name == name.as_str());
        let gone = || StoreError::NotFound { name: name.to_string(), location: store.location() };
        return Err(unread.map_or_else(|| gone().into(), |unread| ResolveError::from(unread).into()));
    };
    let scene = Scene {
        shrinks_off: shrinks_off(&context.settings),
        ..Scene::new(context.clock.now(), context.settings.time_zone)
    };
    let open = Retention::Cleanup(Limits::default()).plan(&snapshots, &scene).open_shrinks;
    // This archive and earlier ones of the same databases.
    let concerned = |shrink: &&Shrink| {
        shrink.created_at <= snapshot.created_at && snapshot.databases.iter().any(|brief| brief.stream == shrink.stream)
    };
    let accepted: Vec<&Shrink> = open.iter().filter(concerned).collect();
    let (mut changed, mut failed) = (false, false);
    if !accepted.is_empty() {
        // Oldest first: if we die in between, the shrink of the requested archive is still open, and the next run
        // accepts the rest.
        for older in accepted_with(&snapshots, snapshot) {
            locked.accept(&older)?;
        }
        changed = locked.accept(&name)?;
        let older = accepted_with(&snapshots, snapshot);
        drop(locked);
        for one in snapshots.iter().filter(|one| one.name == name || older.contains(&one.name)) {
            failed |= copies::mark(&store, one, &|locked, name| locked.accept(name), context);
        }
    }
    let outcome = if failed { Outcome::Problems } else { Outcome::Done };
    if context.ui.is_json() {
        let shrinks = accepted.into_iter().map(Into::into).collect();
        context.ui.document(&Accepted { archive: name, accepted: snapshot.accepted || changed, changed, shrinks });
        return Ok(outcome);
    }
    if accepted.is_empty() {
        let why =
            if snapshot.accepted { "it was accepted before" } else { "it is not a shrink, and none before it is open" };
        context.ui.note(format!("nothing to accept in {name}: {why}"));
        return Ok(Outcome::Done);
    }
    for shrink in accepted {
        let (age, fell) = (text::age(shrink.created_at, context.now), text::fell(&shrink.before, &shrink.after));
        context.ui.line(format!("accepted {} ({age}): {}, {fell}", shrink.archive, text::stream(&shrink.stream)));
    }
    context.ui.note("retention applies to earlier archives again");
    Ok(outcome)
}
