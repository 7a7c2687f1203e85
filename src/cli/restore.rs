//! `heirloom restore`: what is undone, restored to a fresh disk, or restored from one archive.

use super::restore_args::RestoreArgs;
use super::restore_set::from_stores;
use super::{Context, Outcome, keyless, restore_each, undo};

pub(super) fn run(args: &RestoreArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    if args.undo {
        return undo::run(args, context);
    }
    let restored = match restore_each::run(args, context) {
        Ok(None) => from_stores(args, context),
        Ok(Some(outcome)) => Ok(outcome),
        Err(error) => Err(error),
    };
    match restored {
        result if args.if_missing => keyless::restore(result, context),
        result => result,
    }
}
