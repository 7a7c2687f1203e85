//! `heirloom cleanup`.

use std::time::Duration;

use bytesize::ByteSize;

use super::retain::{RetainArgs, carry_out};
use super::{Context, Outcome};
use crate::retention::{Limits, Retention};

/// Remove archives beyond a number, an age or a total size, and what dead runs left
///
/// An archive goes when one of the limits says so. Limits hold for each set by itself. Without any, only leftovers of dead
/// runs go. With one of --keep, --max-age and --max-size only the limits on the command line hold, and none of the
/// configuration.
///
/// The newest good archive always stays, and so do pinned ones, those dated in the future, and files that are no archives.
/// Safety backups are counted by themselves.
///
/// At a terminal the plan is shown before anything is removed; without one it is carried out.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom cleanup --keep 10
  heirloom cleanup --max-age 90d --max-size 20GB --dry-run

Exit codes: 0 done; 2 usage; 3 done, but an archive could not be removed; 11 locked by another run; 16 store unreachable")]
pub struct CleanupArgs {
    /// Keep the newest N good archives of each set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    keep: Option<u32>,
    /// Remove archives that are older, such as 90d
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration, help_heading = "Limits")]
    max_age: Option<Duration>,
    /// Keep the newest archives of each set that together are no larger, such as 20GB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_size: Option<ByteSize>,
    #[command(flatten)]
    retain: RetainArgs,
}

impl CleanupArgs {
    /// Says whether nothing is to be changed.
    pub(super) fn only_looks(&self) -> bool {
        self.retain.only_looks()
    }
}

pub(super) fn run(args: &CleanupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    carry_out(&args.retain, Retention::Cleanup(limits(args, context)), context)
}

fn limits(args: &CleanupArgs, context: &Context) -> Limits {
    limits_of(Limits { keep: args.keep, max_age: args.max_age, max_size: args.max_size.map(|size| size.as_u64()) }, context)
}

/// Returns the limits on the command line, or those of the configuration where it names none.
pub(super) fn limits_of(given: Limits, context: &Context) -> Limits {
    let settings = &context.settings.retention;
    let configured = Limits { keep: settings.keep, max_age: settings.max_age, max_size: settings.max_size };
    if given == Limits::default() { configured } else { given }
}
