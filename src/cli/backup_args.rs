//! The command line of `heirloom backup`.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::Invocation;
use super::check_arg::CheckArg;
use super::choice::ChoiceArgs;
use super::invocation::COMPARE;
use crate::compression::Compression;
use crate::metadata::Kind;

/// Back up databases into one verified archive
///
/// Copies each database as it is at one point in time while applications keep writing, checks the copy, compresses it,
/// reads the archive back, and only then gives it its name. The databases themselves are not changed.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom backup app.db                         back up one file into ./backups
  heirloom backup users.db orders.db --set shop  two databases, one archive, one point in time
  heirloom backup --only user --note 'before the migration'
  heirloom backup --kind scheduled --if-older-than 20h --rotate
  heirloom backup --kind scheduled --if-changed  every few minutes, from cron

Exit codes: 0 done; 3 one of several sets failed, a damaged database was kept, one is empty, unreadable or lost, \
indexes must be rebuilt, most rows are gone, the key of the store is not set, the clock is behind the newest archive, \
or another application uses the same set, host and path; 10 no such database; 11 locked or busy; 13 damaged, nothing \
kept; 14 name taken; 15 not enough space; 16 store unreachable")]
pub struct BackupArgs {
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// Name of the archive; by default made of set and time
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Store a note in the archive
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// Why the archive is made
    #[arg(long, value_enum, value_name = "KIND", default_value = "manual")]
    pub(super) kind: KindArg,
    /// How thoroughly the copy is checked
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(super) check: Option<CheckArg>,
    /// Leave free pages out of the copy (VACUUM)
    #[arg(long, overrides_with = "no_vacuum")]
    pub(super) vacuum: bool,
    /// Copy the database page by page as it is
    #[arg(long)]
    pub(super) no_vacuum: bool,
    /// Keep a damaged database, marked as damaged, instead of refusing it
    #[arg(long)]
    pub(super) keep_damaged: bool,
    /// Succeed if a database does not exist yet, for a first deployment
    #[arg(long)]
    pub(super) if_exists: bool,
    /// Do nothing if every database has a good archive younger than this, such as 20h
    ///
    /// Makes a second schedule harmless. Only archives of the same set, host and path count. Plain databases and
    /// archives of other tools do not count, nor do safety backups, damaged archives and those dated in the future.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub(super) if_older_than: Option<Duration>,
    /// Do nothing if no database changed since its last backup
    ///
    /// Compares size, times and headers of the files with what the last backup recorded, which takes milliseconds. If
    /// that proves nothing, the database is copied, and the copy is thrown away if the newest archive was made from the
    /// same. An unchanged database counts as backed up at this time, for `heirloom health` too.
    #[arg(long)]
    pub(super) if_changed: bool,
    /// Print what would be backed up, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to compress: gzip, zstd or none, with a level if wanted: zstd:9
    ///
    /// gzip (1 to 12) can be read on every machine. zstd (1 to 19) is several times as fast, and smaller; the archive
    /// ends in .tar.zst, and `tar --zstd` reads it. A store may hold both.
    #[arg(long, value_name = "KIND[:LEVEL]", conflicts_with_all = ["compression_level", "no_compress"])]
    pub(super) compression: Option<Compression>,
    /// Level of the configured compression, 1 (fast) to 12 (small)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
    pub(super) compression_level: Option<u8>,
    /// Write a plain tar, like `--compression none`
    #[arg(long, conflicts_with = "compression_level")]
    pub(super) no_compress: bool,
    /// Threads that compress; by default one for each core
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// After a good backup, remove what the rotation policy of the configuration does not keep (see `heirloom rotate`)
    #[arg(long, conflicts_with = "cleanup")]
    pub(super) rotate: bool,
    /// After a good backup, remove what is beyond the limits (see `heirloom cleanup`)
    #[arg(long)]
    pub(super) cleanup: bool,
    /// With --cleanup: keep the newest N archives
    #[arg(long, value_name = "N", requires = "cleanup", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) keep: Option<u32>,
    /// Leave the other stores of the configuration out: copy nothing to them
    #[arg(long)]
    pub(super) no_copies: bool,
    /// Accept a new or another store at the path of the store
    #[arg(long)]
    pub(super) new_store: bool,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(super) busy_timeout: Duration,
}

impl BackupArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.dry_run
    }

    /// Returns whether no archive is to be made.
    pub(super) fn makes_nothing(&self, typed: &Invocation) -> bool {
        self.dry_run || typed.has(COMPARE)
    }
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
pub(super) enum KindArg {
    Manual,
    Scheduled,
    PreUpdate,
    Final,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Manual => Kind::Manual,
            KindArg::Scheduled => Kind::Scheduled,
            KindArg::PreUpdate => Kind::PreUpdate,
            KindArg::Final => Kind::Final,
        }
    }
}
