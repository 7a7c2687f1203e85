//! The command line of `heirloom restore`.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use super::check_arg::CheckArg;
use crate::names::Name;
use crate::ops::jobs::restore::Wish;
use crate::ops::restore::Where;

/// Restore databases from an archive
///
/// Prints the plan, and unpacks the databases. Each is proved by its SHA-256 if the archive records a check of these
/// bytes, and checked otherwise. Databases to be replaced are saved in a safety backup first, for `heirloom restore
/// --undo`. A database that an application has open is replaced in one
/// transaction: readers and writers see the old state or the new one. Of several databases all are replaced, or none. A
/// symbolic link stays, and the file that it names is replaced. If the archive is named by a path, the safety backup is
/// stored in the configured store, or without one in the folder of that archive.
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = "Examples:
  heirloom restore           the newest archive
  heirloom restore --at '2026-03-01 03:00' --dry-run
  heirloom restore latest --only user --to /tmp/look.db
  heirloom restore app.db    the newest archive of this database
  heirloom restore --if-missing --if-backup-exists
  heirloom restore --undo

`latest` is the newest good archive of this host that holds every database asked for: those of the configuration or \
of `--only`, else those that the newest archive names. An archive of another host or path is taken only with \
`--from`, or with `--to` or `--to-dir` if there is one such origin.

Exit codes: 0 done; 2 usage, or no target known; 3 restored, but with damage, not all that was asked for, with \
the safety backup not in the store yet, or nothing because the key of the store is not set and `--if-missing` was \
given; 11 locked or busy; 12 no such backup, none that may be taken unasked, or \
nothing that can be undone; 13 damaged; 14 the target exists, or cannot be replaced in this way; 15 not enough \
space; 16 store unreachable")]
pub struct RestoreArgs {
    /// A path, a name, the beginning of a name, or `latest` (the default); or a database, as for `heirloom backup`: its
    /// latest archive
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    pub(super) archive: Option<String>,
    /// The newest archive at or before this time: 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end
    /// of that day
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// With `latest` or --at: archives of another host, of a database at another path, or both: HOST, PATH or HOST:PATH
    #[arg(long, value_name = "HOST|PATH", conflicts_with = "fresh")]
    pub(super) from: Option<String>,
    /// First deployment: ignore archives of other hosts and paths, and restore nothing if there are no others
    #[arg(long)]
    pub(super) fresh: bool,
    /// Restore the newest archive of the store although this host has made a newer one
    #[arg(long)]
    pub(super) accept_older: bool,
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<Name>,
    /// Restore one database into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to_dir", "to_original"])]
    pub(super) to: Option<PathBuf>,
    /// Restore each database under its file name into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "to_original")]
    pub(super) to_dir: Option<PathBuf>,
    /// Restore to the paths recorded in the archive, not the configured ones
    #[arg(long)]
    pub(super) to_original: bool,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<Name>,
    /// Replace what exists without asking
    #[arg(long)]
    pub(super) force: bool,
    /// Restore a damaged archive as far as it can be read; pages that cannot be read become zeros
    #[arg(long)]
    pub(super) allow_damaged: bool,
    /// Restore a plain archive of a store whose archives are encrypted; anybody who can write to the store can have put
    /// it there
    #[arg(long)]
    pub(super) allow_plain: bool,
    /// Rebuild damaged indexes in the copy before it replaces the database
    #[arg(long)]
    pub(super) rebuild_indexes: bool,
    /// Check every unpacked database to this depth, even if its SHA-256 proves it
    ///
    /// Without this, a full check runs on databases that nothing proves: those of other tools, plain ones, and those
    /// that were saved without a full check or with findings. A database is proved if the archive records a full check
    /// without findings, and the restored file has the SHA-256 that was recorded with it. That protects against faults
    /// of disks and networks. Whoever makes an archive can record a check that never ran: use `full` for archives from
    /// people you do not trust.
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(super) check: Option<CheckArg>,
    /// Print what would be done, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Take no safety backup; such a restore cannot be undone
    #[arg(long)]
    pub(super) no_safety_backup: bool,
    /// Replace the file itself after checking that no process has it open
    #[arg(long)]
    pub(super) offline: bool,
    /// With `--offline`: continue although not every process could be checked
    #[arg(long, requires = "offline")]
    pub(super) assume_unused: bool,
    /// Restore only what does not exist
    #[arg(long)]
    pub(super) if_missing: bool,
    /// Succeed if there is no backup yet
    #[arg(long)]
    pub(super) if_backup_exists: bool,
    /// Undo the newest restore or rollback, or the one that ARCHIVE, a safety backup, was taken before
    #[arg(long, conflicts_with_all = ["at", "from", "fresh", "only", "if_missing", "if_backup_exists"])]
    pub(super) undo: bool,
    /// Time zone of times without one, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<Tz>,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) busy_timeout: Duration,
}

impl RestoreArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.dry_run
    }

    /// Returns whether this is an undo, which an interrupted restore needs.
    pub(super) fn is_undo(&self) -> bool {
        self.undo
    }

    /// Returns whether a safety backup was declined.
    pub(super) fn wish(&self) -> Wish {
        if self.no_safety_backup { Wish::NoWayBack } else { Wish::Safe }
    }

    pub(super) fn place(&self) -> Where {
        match (&self.to, &self.to_dir) {
            (Some(file), _) => Where::File(file.clone()),
            (_, Some(folder)) => Where::Folder(folder.clone()),
            _ if self.to_original => Where::Original,
            _ => Where::Known,
        }
    }
}
