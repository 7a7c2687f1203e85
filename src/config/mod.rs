//! The settings: their values, the text of `heirloom.toml`, the variables, and which of them wins.
//!
//! Everything here is pure: the text of the file, the variables and what exists on the disk are arguments that tests
//! can set. [`Layers::merge`] returns the [`Effective`] settings with the [`Origin`] of each; the face finds and reads
//! the files (`cli/settings.rs`).
//!
//! Nothing is guessed: an unknown key, an invalid value and a missing variable are [`Problem`]s that name their place,
//! because a backup that ran with the wrong settings is noticed only on the day of the restore.

mod by_chance;
mod connect;
mod copies;
mod copy_tables;
mod dotenv;
mod each;
mod encryption;
mod file;
mod hooks;
mod key;
mod layers;
mod notify;
mod notify_tables;
mod origin;
mod run;
mod schedule;
mod server;
mod server_tables;
mod url;
mod value;
mod variables;
mod zone;

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use crate::compression::Compression;
use crate::names::{HostLabel, Name};
use crate::store_url::Location;

pub use by_chance::refuse_by_chance;
pub use copies::CopySettings;
pub use dotenv::DotEnv;
pub use each::{EachSettings, Matched, Pattern};
pub use encryption::{EncryptionScope, EncryptionSettings};
pub use file::FileLayer;
pub use hooks::HookSettings;
pub use key::Key;
pub use layers::{Effective, Flag, Layers, Look};
pub use notify::{Detail, Event, Hidden, MailSecurity, MailServer, Receiver, Secret, Way, check_address};
pub use origin::{Origin, Problem};
pub use run::{RestoreAtStart, RunSettings};
pub use schedule::ScheduleSettings;
pub use server::{Role, ServerSettings, ServerToken, TokenSource, is_address, is_local};
pub use url::database_path;
pub use value::{Value, age_text, parse_age, parse_size};
pub use variables::{Expanded, Variables, expand};
pub use zone::{LocalZone, local_zone};

/// The commented file that `heirloom config init` writes: every key, set to its default.
pub const EXAMPLE: &str = include_str!("example.toml");

/// All effective settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The host label; unset, it follows from the host name.
    pub host: Option<HostLabel>,
    /// Earlier labels of this host.
    pub former_hosts: Vec<HostLabel>,
    /// The sets by name.
    pub sets: BTreeMap<Name, SetSettings>,
    /// The patterns of which each file is a set, in the order of the file. What they match is among the sets.
    pub each: Vec<EachSettings>,
    /// The database that `DATABASE_PATH` or `DATABASE_URL` names: it stands for one path argument.
    pub default_database: Option<PathBuf>,
    /// Where the archives are kept.
    pub store: Location,
    /// How many bytes per second are sent to a remote store at most.
    pub limit_upload: Option<NonZeroU64>,
    /// The further stores that get a copy of each archive, in the order of the file.
    pub copies: Vec<CopySettings>,
    /// How much of a copy is read back.
    pub verify_copies: VerifyCopies,
    /// What must be mounted before the store is used.
    pub store_mount: Option<PathBuf>,
    /// The mode of archives.
    pub store_mode: Option<u32>,
    /// The group of archives: its name or its number.
    pub store_group: Option<String>,
    /// The folder for plain data while it is worked on; unset, the workspace, or the state directory if archives are
    /// encrypted.
    pub scratch_dir: Option<PathBuf>,
    /// How archives are encrypted.
    pub encryption: EncryptionSettings,
    /// How backups are made.
    pub backup: BackupSettings,
    /// What is kept.
    pub retention: RetentionSettings,
    /// When `heirloom run` works by itself.
    pub schedule: ScheduleSettings,
    /// What health watches.
    pub health: HealthSettings,
    /// What `run` does around an application.
    pub run: RunSettings,
    /// What is run before and after backups and restores.
    pub hooks: HookSettings,
    /// The admin server.
    pub server: ServerSettings,
    /// Who hears of what, in the order of the file.
    pub receivers: Vec<Receiver>,
    /// The zone of the host, or the one that was set: for retention periods and for times that carry none.
    pub time_zone: Tz,
}

/// The databases of one set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetSettings {
    /// Name and path of each database, in the order of their names. The path is the first candidate that exists, else
    /// the last one.
    pub databases: BTreeMap<Name, PathBuf>,
    /// The other candidates of databases that exist at none of their candidates.
    pub alternatives: BTreeMap<Name, Vec<PathBuf>>,
    /// Whether a backup with less than half of the previous content is reported.
    pub shrink: ShrinkWatch,
}

/// Whether a backup with less than half of the previous content is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShrinkWatch {
    /// It is reported, and nothing from before it is removed until it is accepted.
    #[default]
    Warn,
    /// It is not reported: for queues and caches, which are emptied on purpose.
    Off,
}

/// How much of a copy is read back before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyCopies {
    /// Its first and its last part.
    #[default]
    Ends,
    /// All of it.
    Full,
}

/// How backups are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// How thoroughly copies are checked.
    pub check: Check,
    /// Whether copies are vacuumed.
    pub vacuum: bool,
    /// How archives are compressed.
    pub compression: Compression,
    /// How many threads compress; unset, all cores.
    pub threads: Option<NonZeroUsize>,
}

/// How thoroughly copies are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// `integrity_check`, complete.
    #[default]
    Full,
    /// `quick_check`.
    Quick,
    /// Not at all.
    None,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionSettings {
    /// `cleanup`: how many archives of each group.
    pub keep: Option<u32>,
    /// `cleanup`: the maximum age of an archive.
    pub max_age: Option<Duration>,
    /// `cleanup`: the maximum size of all archives of a group, in bytes.
    pub max_size: Option<u64>,
    /// `rotate`: the newest archives, whatever their age.
    pub last: Option<u32>,
    /// `rotate`: one per hour, for this many hours.
    pub hourly: Option<u32>,
    /// `rotate`: one per day, for this many days.
    pub daily: Option<u32>,
    /// `rotate`: one per week, for this many weeks.
    pub weekly: Option<u32>,
    /// `rotate`: one per month, for this many months.
    pub monthly: Option<u32>,
    /// `rotate`: one per year, for this many years.
    pub yearly: Option<u32>,
    /// How many safety backups of each group.
    pub safety: u32,
}

/// What health watches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthSettings {
    /// How old the newest good backup may be; unset, the usual interval decides.
    pub max_backup_age: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            former_hosts: Vec::new(),
            sets: BTreeMap::new(),
            each: Vec::new(),
            default_database: None,
            store: Location::Folder("backups".into()),
            limit_upload: None,
            copies: Vec::new(),
            verify_copies: VerifyCopies::Ends,
            store_mount: None,
            store_mode: None,
            store_group: None,
            scratch_dir: None,
            encryption: EncryptionSettings::default(),
            backup: BackupSettings {
                check: Check::Full,
                vacuum: false,
                compression: Compression::DEFAULT,
                threads: None,
            },
            retention: RetentionSettings {
                keep: None,
                max_age: None,
                max_size: None,
                last: None,
                hourly: None,
                daily: Some(7),
                weekly: Some(4),
                monthly: Some(12),
                yearly: None,
                safety: 5,
            },
            schedule: ScheduleSettings::default(),
            health: HealthSettings::default(),
            run: RunSettings::default(),
            hooks: HookSettings::default(),
            server: ServerSettings::default(),
            receivers: Vec::new(),
            time_zone: Tz::UTC,
        }
    }
}
