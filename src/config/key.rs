//! The settings one by one: their names in the file, their variables, and what applies without a value.

mod values;

use std::fmt;

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
