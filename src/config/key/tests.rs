use std::time::Duration;

use super::super::value::{Value, age_text, mode, parse_age, parse_size, size_text};
use super::*;
use crate::config::Settings;

#[test]
fn ages_and_sizes_read_as_they_were_written() {
    for text in ["90d", "26h", "45m", "7s", "1d"] {
        assert_eq!(age_text(parse_age(text).unwrap()), text);
    }
    for text in ["20GB", "512MiB", "1TB", "1KiB", "7B"] {
        assert_eq!(size_text(parse_size(text).unwrap()), text);
    }
    assert_eq!(parse_age("1h 30m").unwrap(), Duration::from_secs(5400));
    for wrong in ["", "90", "0d", "-1d", "soon", "1e400d"] {
        assert!(parse_age(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "0", "0GB", "-1GB", "20XB", "GB"] {
        assert!(parse_size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_set_is_what_is_got() {
    let text = |text: &str| Value::Text(text.into());
    for (key, value) in [
        (Key::StoreDir, Value::Path("/b".into())),
        (Key::StoreUrl, text("s3://b/p?region=eu")),
        (Key::LimitUpload, Value::Bytes(2_000_000)),
        (Key::VerifyCopies, text("full")),
        (Key::StoreMount, Value::Path("/mnt/usb".into())),
        (Key::StoreMode, text("0640")),
        (Key::StoreGroup, text("backup")),
        (Key::ScratchDir, Value::Path("/scratch".into())),
        (Key::Recipients, Value::Texts(vec!["age1x".into()])),
        (Key::RecipientsFile, Value::Path("/r".into())),
        (Key::IdentityFile, Value::Texts(vec!["/a".into(), "/b".into()])),
        (Key::EncryptionScope, text("copies")),
        (Key::TrustLabels, Value::Switch(true)),
        (Key::KeyChecked, text("2026-03-01")),
        (Key::Check, text("quick")),
        (Key::Vacuum, Value::Switch(true)),
        (Key::Compression, text("zstd:7")),
        (Key::CompressionLevel, Value::Number(12)),
        (Key::Threads, Value::Number(3)),
        (Key::Keep, Value::Number(10)),
        (Key::MaxAge, text("90d")),
        (Key::MaxSize, Value::Bytes(20_000_000_000)),
        (Key::Last, Value::Number(2)),
        (Key::Hourly, Value::Number(3)),
        (Key::Daily, Value::Number(4)),
        (Key::Weekly, Value::Number(5)),
        (Key::Monthly, Value::Number(6)),
        (Key::Yearly, Value::Number(7)),
        (Key::Safety, Value::Number(8)),
        (Key::TimeZone, text("Europe/Berlin")),
        (Key::Scheduled, Value::Switch(false)),
        (Key::Every, text("90m")),
        (Key::Cron, Value::Texts(vec!["0 3 * * *".into(), "@hourly".into()])),
        (Key::IfChanged, Value::Switch(false)),
        (Key::CheckEvery, text("30s")),
        (Key::OnStart, Value::Switch(false)),
        (Key::Final, Value::Switch(false)),
        (Key::RotateAt, text("0 4 * * *")),
        (Key::CleanupAt, text("never")),
        (Key::VerifyAt, text("@daily")),
        (Key::VerifyParts, Value::Number(7)),
        (Key::MaxBackupAge, text("26h")),
        (Key::RunRestore, text("never")),
        (Key::RestoreWait, text("5m")),
        (Key::StartTimeout, text("20s")),
        (Key::FirstDeployment, Value::Switch(true)),
        (Key::StartWithoutRestore, Value::Switch(true)),
        (Key::LeaseWait, text("90s")),
        (Key::Grace, text("30s")),
        (Key::SignalGroup, Value::Switch(true)),
        (Key::PassEnv, Value::Texts(vec!["AWS_*".into()])),
        (Key::BeforeBackup, Value::Texts(vec!["/bin/before".into(), "x".into()])),
        (Key::AfterBackup, Value::Texts(vec!["after".into()])),
        (Key::AfterRestore, Value::Texts(vec!["restored".into()])),
        (Key::OnFailure, Value::Texts(vec!["alert".into()])),
        (Key::HookTimeout, text("10m")),
        (Key::HookPassEnv, Value::Texts(vec!["AWS_*".into()])),
        (Key::ServerListen, text("127.0.0.1:8419")),
        (Key::PublicUrl, text("https://backups.example/x/")),
        (Key::TrustedProxy, Value::Texts(vec!["127.0.0.1".into()])),
        (Key::ServerDownload, Value::Switch(false)),
        (Key::LegacyPaths, Value::Switch(true)),
        (Key::MetricsOpen, Value::Switch(true)),
        (Key::StopTimeout, text("1m")),
    ] {
        let mut settings = Settings::default();
        let written = if let Value::Bytes(bytes) = value { text(&size_text(bytes)) } else { value.clone() };
        key.set(&written, &mut settings).unwrap();
        assert_ne!(settings, Settings::default(), "{key} was set nowhere");
        assert_eq!(key.get(&settings), Some(value), "{key}");
    }
}

#[test]
fn a_mode_is_octal_and_opens_the_archives_to_no_writer_but_the_group() {
    let of = |text: &str| mode(&Value::Text(text.into()));
    assert_eq!((of("640"), of("0640"), of("0644"), of("0660")), (Ok(0o640), Ok(0o640), Ok(0o644), Ok(0o660)));
    for wrong in ["0440", "0700", "0666", "4640", "rw-r-----", "", "+640", "0o640", "99999999999999999999"] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    assert!(mode(&Value::Number(640)).is_err(), "a number without quotes would be decimal");
}

#[test]
fn a_rule_of_zero_is_switched_off() {
    let mut settings = Settings::default();
    Key::Daily.set(&Value::Number(0), &mut settings).unwrap();
    assert_eq!(settings.retention.daily, None);
    assert!(Key::Keep.set(&Value::Number(0), &mut settings).is_err(), "keep nothing is no policy");
}
