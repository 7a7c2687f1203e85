//! The settings one by one: their names in the file, their variables, and which values they accept.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono_tz::Tz;

use super::value::{
    Value, age, age_text, compression, group, hours, label, limit, location, mode, not, number, path, rule, size,
    switch, url,
};
use super::{Check, Settings, VerifyCopies};
use crate::compression::Compression;
use crate::store_url::Location;

/// One setting. The databases of the sets are not settings: the user names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the man page heirloom.toml(5) and the fields of `Settings` say what each means")]
pub enum Key {
    Host,
    FormerHosts,
    StoreDir,
    StoreUrl,
    LimitUpload,
    StoreMount,
    StoreMode,
    StoreGroup,
    ScratchDir,
    Check,
    Vacuum,
    Compression,
    CompressionLevel,
    Threads,
    VerifyCopies,
    Recipients,
    RecipientsFile,
    IdentityFile,
    EncryptionScope,
    TrustLabels,
    KeyChecked,
    Keep,
    MaxAge,
    MaxSize,
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
    Safety,
    TimeZone,
    Scheduled,
    Every,
    Cron,
    IfChanged,
    CheckEvery,
    OnStart,
    Final,
    RotateAt,
    CleanupAt,
    VerifyAt,
    VerifyParts,
    MaxBackupAge,
    RunRestore,
    RestoreWait,
    StartTimeout,
    FirstDeployment,
    StartWithoutRestore,
    LeaseWait,
    Grace,
    SignalGroup,
    PassEnv,
    BeforeBackup,
    AfterBackup,
    AfterRestore,
    OnFailure,
    HookTimeout,
    HookPassEnv,
    ServerListen,
    PublicUrl,
    TrustedProxy,
    ServerDownload,
    LegacyPaths,
    MetricsOpen,
    StopTimeout,
}

impl Key {
    /// All settings, in the order of the file.
    pub const ALL: [Self; 66] = [
        Self::Host,
        Self::FormerHosts,
        Self::StoreDir,
        Self::StoreUrl,
        Self::LimitUpload,
        Self::StoreMount,
        Self::StoreMode,
        Self::StoreGroup,
        Self::ScratchDir,
        Self::Check,
        Self::Vacuum,
        Self::Compression,
        Self::CompressionLevel,
        Self::Threads,
        Self::VerifyCopies,
        Self::Recipients,
        Self::RecipientsFile,
        Self::IdentityFile,
        Self::EncryptionScope,
        Self::TrustLabels,
        Self::KeyChecked,
        Self::Keep,
        Self::MaxAge,
        Self::MaxSize,
        Self::Last,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
        Self::Safety,
        Self::TimeZone,
        Self::Scheduled,
        Self::Every,
        Self::Cron,
        Self::IfChanged,
        Self::CheckEvery,
        Self::OnStart,
        Self::Final,
        Self::RotateAt,
        Self::CleanupAt,
        Self::VerifyAt,
        Self::VerifyParts,
        Self::MaxBackupAge,
        Self::RunRestore,
        Self::RestoreWait,
        Self::StartTimeout,
        Self::FirstDeployment,
        Self::StartWithoutRestore,
        Self::LeaseWait,
        Self::Grace,
        Self::SignalGroup,
        Self::PassEnv,
        Self::BeforeBackup,
        Self::AfterBackup,
        Self::AfterRestore,
        Self::OnFailure,
        Self::HookTimeout,
        Self::HookPassEnv,
        Self::ServerListen,
        Self::PublicUrl,
        Self::TrustedProxy,
        Self::ServerDownload,
        Self::LegacyPaths,
        Self::MetricsOpen,
        Self::StopTimeout,
    ];

    /// The hooks themselves.
    pub const HOOKS: [Self; 4] = [Self::BeforeBackup, Self::AfterBackup, Self::AfterRestore, Self::OnFailure];

    /// Returns the table of the key, without brackets; empty for a key above all tables.
    pub fn section(self) -> &'static str {
        self.names().0
    }

    /// Returns the name of the key inside its table.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Host => ("", "host"),
            Self::FormerHosts => ("", "former_hosts"),
            Self::StoreDir => ("store", "dir"),
            Self::StoreUrl => ("store", "url"),
            Self::LimitUpload => ("store", "limit_upload"),
            Self::StoreMount => ("store", "mount"),
            Self::StoreMode => ("store", "mode"),
            Self::StoreGroup => ("store", "group"),
            Self::ScratchDir => ("store", "scratch_dir"),
            Self::Check => ("backup", "check"),
            Self::Vacuum => ("backup", "vacuum"),
            Self::Compression => ("backup", "compression"),
            Self::CompressionLevel => ("backup", "compression_level"),
            Self::Threads => ("backup", "threads"),
            Self::VerifyCopies => ("backup", "verify_copies"),
            Self::Recipients => ("encryption", "recipients"),
            Self::RecipientsFile => ("encryption", "recipients_file"),
            Self::IdentityFile => ("encryption", "identity_file"),
            Self::EncryptionScope => ("encryption", "scope"),
            Self::TrustLabels => ("encryption", "trust_labels"),
            Self::KeyChecked => ("encryption", "key_checked"),
            Self::Keep => ("retention", "keep"),
            Self::MaxAge => ("retention", "max_age"),
            Self::MaxSize => ("retention", "max_size"),
            Self::Last => ("retention", "last"),
            Self::Hourly => ("retention", "hourly"),
            Self::Daily => ("retention", "daily"),
            Self::Weekly => ("retention", "weekly"),
            Self::Monthly => ("retention", "monthly"),
            Self::Yearly => ("retention", "yearly"),
            Self::Safety => ("retention", "safety"),
            Self::TimeZone => ("retention", "time_zone"),
            Self::Scheduled => ("schedule", "enabled"),
            Self::Every => ("schedule", "every"),
            Self::Cron => ("schedule", "cron"),
            Self::IfChanged => ("schedule", "if_changed"),
            Self::CheckEvery => ("schedule", "check_every"),
            Self::OnStart => ("schedule", "on_start"),
            Self::Final => ("schedule", "final"),
            Self::RotateAt => ("schedule", "rotate"),
            Self::CleanupAt => ("schedule", "cleanup"),
            Self::VerifyAt => ("schedule", "verify"),
            Self::VerifyParts => ("schedule", "verify_parts"),
            Self::MaxBackupAge => ("health", "max_backup_age"),
            Self::RunRestore => ("run", "restore"),
            Self::RestoreWait => ("run", "restore_wait"),
            Self::StartTimeout => ("run", "start_timeout"),
            Self::FirstDeployment => ("run", "first_deployment"),
            Self::StartWithoutRestore => ("run", "start_without_restore"),
            Self::LeaseWait => ("run", "lease_wait"),
            Self::Grace => ("run", "grace"),
            Self::SignalGroup => ("run", "signal_group"),
            Self::PassEnv => ("run", "pass_env"),
            Self::BeforeBackup => ("hooks", "before_backup"),
            Self::AfterBackup => ("hooks", "after_backup"),
            Self::AfterRestore => ("hooks", "after_restore"),
            Self::OnFailure => ("hooks", "on_failure"),
            Self::HookTimeout => ("hooks", "timeout"),
            Self::HookPassEnv => ("hooks", "pass_env"),
            Self::ServerListen => ("server", "listen"),
            Self::PublicUrl => ("server", "public_url"),
            Self::TrustedProxy => ("server", "trusted_proxy"),
            Self::ServerDownload => ("server", "download"),
            Self::LegacyPaths => ("server", "legacy_paths"),
            Self::MetricsOpen => ("server", "metrics_open"),
            Self::StopTimeout => ("server", "stop_timeout"),
        }
    }

    /// Returns the name that it had in earlier releases, if that was another.
    pub(super) fn former_name(self) -> Option<&'static str> {
        match self {
            Self::Compression => Some("compress"),
            _ => None,
        }
    }

    /// Returns the environment variables that set it, the strongest first.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Host => &["HEIRLOOM_HOST"],
            Self::StoreDir => &["HEIRLOOM_DIR", "BACKUP_DIR"],
            Self::Keep => &["MAX_DATABASE_BACKUPS"],
            Self::Compression => &["COMPRESS_BACKUPS"],
            Self::IdentityFile => &["HEIRLOOM_IDENTITY_FILE"],
            Self::Scheduled => &["AUTO_BACKUP_ENABLED"],
            Self::Every => &["AUTO_BACKUP_INTERVAL_HOURS"],
            Self::OnStart => &["BACKUP_ON_STARTUP"],
            _ => &[],
        }
    }

    /// Returns what applies if the setting has no value.
    pub fn without_value(self) -> &'static str {
        match self {
            Self::Host => "the host name",
            Self::FormerHosts | Self::StoreMount | Self::HookPassEnv => "none",
            Self::BeforeBackup | Self::AfterBackup | Self::AfterRestore | Self::OnFailure => "nothing is run",
            Self::StoreMode => "0600, or what the folder's default ACL says",
            Self::StoreGroup => "the group of the user",
            Self::ScratchDir => "the store, or the state directory for encrypted archives",
            Self::Recipients => "archives are not encrypted",
            Self::RecipientsFile => "none",
            Self::IdentityFile => "no key",
            Self::KeyChecked => "never",
            Self::Threads => "all cores",
            Self::MaxBackupAge => "the usual interval",
            Self::RunRestore => "if-missing with a command, else never",
            Self::Grace => "what is usual on the platform",
            Self::PassEnv | Self::TrustedProxy => "none",
            Self::ServerListen => "the flag says where",
            Self::PublicUrl => "the address where it listens",
            Self::CompressionLevel => "not used without gzip",
            Self::StoreDir | Self::StoreUrl | Self::Every | Self::Cron => "not used",
            Self::Keep | Self::MaxAge | Self::MaxSize | Self::LimitUpload => "no limit",
            _ => "off",
        }
    }

    /// Sets a value, or returns what a valid one looks like. `"local"` as a time zone changes nothing: the caller knows
    /// the host's zone.
    pub fn set(self, value: &Value, settings: &mut Settings) -> Result<(), String> {
        let Settings { backup, retention, health, .. } = settings;
        match self {
            Self::Host => settings.host = Some(label(value)?),
            Self::FormerHosts => match value {
                Value::Texts(labels) => {
                    let labels = labels.iter().map(|text| label(&Value::Text(text.clone())));
                    settings.former_hosts = labels.collect::<Result<_, _>>()?;
                }
                _ => return Err(not("a list of host labels", value)),
            },
            Self::StoreDir => settings.store = location(value)?,
            Self::StoreUrl => settings.store = Location::Remote(url(value)?),
            Self::LimitUpload => settings.limit_upload = Some(limit(value)?),
            Self::StoreMount => settings.store_mount = Some(path(value)?),
            Self::StoreMode => settings.store_mode = Some(mode(value)?),
            Self::StoreGroup => settings.store_group = Some(group(value)?),
            Self::ScratchDir => settings.scratch_dir = Some(path(value)?),
            Self::Check => {
                backup.check = match value {
                    Value::Text(text) if text == "full" => Check::Full,
                    Value::Text(text) if text == "quick" => Check::Quick,
                    Value::Text(text) if text == "none" => Check::None,
                    _ => return Err(not("\"full\", \"quick\" or \"none\"", value)),
                }
            }
            Self::Vacuum => backup.vacuum = switch(value)?,
            Self::Compression => backup.compression = compression(value)?,
            Self::CompressionLevel => {
                let level = number(value, 1, 12)?;
                if let Compression::Gzip(configured) = &mut backup.compression {
                    *configured = level;
                }
            }
            Self::Threads => backup.threads = NonZeroUsize::new(number(value, 1, 1024)?),
            Self::VerifyCopies => {
                settings.verify_copies = match value {
                    Value::Text(text) if text == "ends" => VerifyCopies::Ends,
                    Value::Text(text) if text == "full" => VerifyCopies::Full,
                    _ => return Err(not("\"ends\" or \"full\"", value)),
                }
            }
            Self::Recipients
            | Self::RecipientsFile
            | Self::IdentityFile
            | Self::EncryptionScope
            | Self::TrustLabels
            | Self::KeyChecked => settings.encryption.set(self, value)?,
            Self::Keep => retention.keep = Some(number(value, 1, u32::MAX)?),
            Self::MaxAge => retention.max_age = Some(age(value)?),
            Self::MaxSize => retention.max_size = Some(size(value)?),
            Self::Last => retention.last = rule(value)?,
            Self::Hourly => retention.hourly = rule(value)?,
            Self::Daily => retention.daily = rule(value)?,
            Self::Weekly => retention.weekly = rule(value)?,
            Self::Monthly => retention.monthly = rule(value)?,
            Self::Yearly => retention.yearly = rule(value)?,
            Self::Safety => retention.safety = number(value, 1, u32::MAX)?,
            Self::TimeZone => match value {
                Value::Text(text) if text == "local" => {}
                Value::Text(text) if text.parse::<Tz>().is_ok() => settings.time_zone = text.parse().unwrap_or(Tz::UTC),
                _ => return Err(not("\"local\", \"UTC\" or a name like \"Europe/Berlin\"", value)),
            },
            Self::Scheduled
            | Self::Every
            | Self::Cron
            | Self::IfChanged
            | Self::CheckEvery
            | Self::OnStart
            | Self::Final
            | Self::RotateAt
            | Self::CleanupAt
            | Self::VerifyAt
            | Self::VerifyParts => settings.schedule.set(self, value)?,
            Self::MaxBackupAge => health.max_backup_age = Some(age(value)?),
            Self::RunRestore
            | Self::RestoreWait
            | Self::StartTimeout
            | Self::FirstDeployment
            | Self::StartWithoutRestore
            | Self::LeaseWait
            | Self::Grace
            | Self::SignalGroup
            | Self::PassEnv => settings.run.set(self, value)?,
            Self::BeforeBackup
            | Self::AfterBackup
            | Self::AfterRestore
            | Self::OnFailure
            | Self::HookTimeout
            | Self::HookPassEnv => settings.hooks.set(self, value)?,
            Self::ServerListen
            | Self::PublicUrl
            | Self::TrustedProxy
            | Self::ServerDownload
            | Self::LegacyPaths
            | Self::MetricsOpen
            | Self::StopTimeout => settings.server.set(self, value)?,
        }
        Ok(())
    }

    /// Returns the effective value; `None` if there is none, see [`without_value`](Self::without_value).
    pub fn get(self, settings: &Settings) -> Option<Value> {
        let Settings { backup, retention, health, .. } = settings;
        let number = |number: u32| Value::Number(number.into());
        let age = |age: Duration| Value::Text(age_text(age));
        match self {
            Self::Host => settings.host.as_ref().map(|host| Value::Text(host.to_string())),
            Self::FormerHosts => {
                let labels: Vec<String> = settings.former_hosts.iter().map(ToString::to_string).collect();
                Some(labels).filter(|labels| !labels.is_empty()).map(Value::Texts)
            }
            Self::StoreDir => settings.store.folder().map(|folder| Value::Path(folder.to_owned())),
            Self::StoreUrl => settings.store.url().map(|url| Value::Text(url.text())),
            Self::LimitUpload => settings.limit_upload.map(|limit| Value::Bytes(limit.get())),
            Self::StoreMount => settings.store_mount.clone().map(Value::Path),
            Self::StoreMode => settings.store_mode.map(|mode| Value::Text(format!("{mode:04o}"))),
            Self::StoreGroup => settings.store_group.clone().map(Value::Text),
            Self::ScratchDir => settings.scratch_dir.clone().map(Value::Path),
            Self::Check => Some(Value::Text(
                match backup.check {
                    Check::Full => "full",
                    Check::Quick => "quick",
                    Check::None => "none",
                }
                .into(),
            )),
            Self::Vacuum => Some(Value::Switch(backup.vacuum)),
            Self::Compression => Some(Value::Text(backup.compression.to_string())),
            Self::CompressionLevel => match backup.compression {
                Compression::Gzip(level) => Some(number(level.into())),
                Compression::Zstd(_) | Compression::None => None,
            },
            Self::Threads => backup.threads.and_then(|threads| i64::try_from(threads.get()).ok()).map(Value::Number),
            Self::VerifyCopies => Some(Value::Text(
                match settings.verify_copies {
                    VerifyCopies::Ends => "ends",
                    VerifyCopies::Full => "full",
                }
                .into(),
            )),
            Self::Recipients
            | Self::RecipientsFile
            | Self::IdentityFile
            | Self::EncryptionScope
            | Self::TrustLabels
            | Self::KeyChecked => settings.encryption.get(self),
            Self::Keep => retention.keep.map(number),
            Self::MaxAge => retention.max_age.map(age),
            Self::MaxSize => retention.max_size.map(Value::Bytes),
            Self::Last => retention.last.map(number),
            Self::Hourly => retention.hourly.map(number),
            Self::Daily => retention.daily.map(number),
            Self::Weekly => retention.weekly.map(number),
            Self::Monthly => retention.monthly.map(number),
            Self::Yearly => retention.yearly.map(number),
            Self::Safety => Some(number(retention.safety)),
            Self::TimeZone => Some(Value::Text(settings.time_zone.name().into())),
            Self::Scheduled
            | Self::Every
            | Self::Cron
            | Self::IfChanged
            | Self::CheckEvery
            | Self::OnStart
            | Self::Final
            | Self::RotateAt
            | Self::CleanupAt
            | Self::VerifyAt
            | Self::VerifyParts => settings.schedule.get(self),
            Self::MaxBackupAge => health.max_backup_age.map(age),
            Self::RunRestore
            | Self::RestoreWait
            | Self::StartTimeout
            | Self::FirstDeployment
            | Self::StartWithoutRestore
            | Self::LeaseWait
            | Self::Grace
            | Self::SignalGroup
            | Self::PassEnv => settings.run.get(self),
            Self::BeforeBackup
            | Self::AfterBackup
            | Self::AfterRestore
            | Self::OnFailure
            | Self::HookTimeout
            | Self::HookPassEnv => settings.hooks.get(self),
            Self::ServerListen
            | Self::PublicUrl
            | Self::TrustedProxy
            | Self::ServerDownload
            | Self::LegacyPaths
            | Self::MetricsOpen
            | Self::StopTimeout => settings.server.get(self),
        }
    }

    /// Reads the text of an environment variable as the kind of value that the setting accepts; anything else stays a
    /// string.
    pub(super) fn value_of(self, text: &str) -> Value {
        let trimmed = text.trim();
        let as_text = || Value::Text(trimmed.to_owned());
        match self {
            Self::Compression
            | Self::Vacuum
            | Self::TrustLabels
            | Self::Scheduled
            | Self::IfChanged
            | Self::OnStart
            | Self::Final => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Value::Switch(true),
                "false" | "0" | "no" | "off" => Value::Switch(false),
                _ => as_text(),
            },
            Self::Host
            | Self::FormerHosts
            | Self::Check
            | Self::TimeZone
            | Self::MaxAge
            | Self::MaxSize
            | Self::StoreUrl
            | Self::LimitUpload
            | Self::VerifyCopies
            | Self::MaxBackupAge
            | Self::Cron
            | Self::CheckEvery
            | Self::RotateAt
            | Self::CleanupAt
            | Self::VerifyAt => as_text(),
            Self::Every => hours(trimmed),
            Self::StoreDir | Self::StoreMount | Self::ScratchDir | Self::RecipientsFile => Value::Path(text.into()),
            Self::IdentityFile => Value::Texts(vec![text.to_owned()]),
            Self::Recipients | Self::EncryptionScope | Self::KeyChecked => as_text(),
            Self::StoreMode | Self::StoreGroup | Self::HookTimeout | Self::StopTimeout => as_text(),
            _ => trimmed.parse().map_or_else(|_| as_text(), Value::Number),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            ("", name) => f.write_str(name),
            (section, name) => write!(f, "{section}.{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
