//! The values of settings: which ones each accepts, and what is in force.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono_tz::Tz;

use super::Key;
use crate::compression::Compression;
use crate::config::value::{
    Value, age, age_text, compression, group, hours, label, limit, location, mode, not, number, path, rule, size,
    switch, url,
};
use crate::config::{Check, Settings, VerifyCopies};
use crate::store_url::Location;

impl Key {
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
    pub(in crate::config) fn value_of(self, text: &str) -> Value {
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
