//! `heirloom cleanup`.

use std::time::Duration;

use bytesize::ByteSize;

use super::retain::{Damaged, RetainArgs, carry_out};
use super::{Context, Outcome};
use crate::ops::jobs::retention::limits_of;
use crate::retention::{Limits, Retention};

/// Remove archives beyond a number, an age or a total size, and leftovers of interrupted runs
///
/// An archive is removed if it is beyond one of the limits. Limits apply to each stream separately: the archives of one
/// database, known by set, host label and path. Without limits only leftovers of interrupted runs are removed. With one
/// of --keep, --max-age and --max-size only the limits on the command line apply, none of the configuration. Only
/// streams of this host are touched, and with configured sets only theirs.
///
/// The newest good archive of a stream always stays, and so do pinned archives, those dated in the future, those from
/// before a shrink that was not accepted, plain databases and files that are not archives. No limit applies to safety
/// backups. On a network file system nothing younger than 24 hours is removed.
///
/// At a terminal it prints the plan and asks before it removes anything, unless --force is given; elsewhere it does not
/// ask.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom cleanup --keep 10
  heirloom cleanup --max-age 90d --max-size 20GB --dry-run
  heirloom cleanup --gone 90d    keep one archive of removed databases
  heirloom cleanup --damaged     remove archives that are damaged

Exit codes: 0 done; 2 usage, or no such set; 3 done, but an archive could not be removed, a shrink is not accepted, \
a newer heirloom wrote an archive, or HEIRLOOM_NOW is ahead of the clock; 11 locked by another run; 16 store \
unreachable")]
pub struct CleanupArgs {
    /// Keep the newest N good archives of each stream
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    keep: Option<u32>,
    /// Remove archives that are older, such as 90d
    ///
    /// If the clock is ahead, every archive appears older. On a local store this cannot be detected: archives that are
    /// too old by it are removed, down to the newest good archive of each stream. Use --keep if the clock cannot be
    /// trusted.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration, help_heading = "Limits")]
    max_age: Option<Duration>,
    /// Keep the newest archives of each stream up to this total size, such as 20GB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_size: Option<ByteSize>,
    /// Verify archives that are marked as damaged again, and remove those that are damaged
    ///
    /// The mark of a sound archive is removed. An archive without a good one of the same databases is kept.
    #[arg(long)]
    damaged: bool,
    #[command(flatten)]
    retain: RetainArgs,
}

impl CleanupArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.retain.is_read_only()
    }
}

pub(super) fn run(args: &CleanupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let damaged = if args.damaged { Damaged::Reread } else { Damaged::Leave };
    carry_out(&args.retain, Retention::Cleanup(limits(args, context)), damaged, context)
}

fn limits(args: &CleanupArgs, context: &Context) -> Limits {
    limits_of(
        Limits { keep: args.keep, max_age: args.max_age, max_size: args.max_size.map(|size| size.as_u64()) },
        &context.settings,
    )
}
