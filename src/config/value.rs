//! The values of settings: how they are read, and how they are shown.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::connect;
use crate::compression::Compression;
use crate::names::{HostLabel, printable};
use crate::store_url::{Location, StoreUrl};

/// A value as it was written, or as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A string; ages too.
    Text(String),
    /// A list of strings.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// A number of bytes.
    Bytes(u64),
    /// True or false.
    Switch(bool),
    /// A path, ready to be used.
    Path(PathBuf),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&printable(text)),
            Self::Texts(texts) => f.write_str(&printable(&texts.join(", "))),
            Self::Number(number) => number.fmt(f),
            Self::Bytes(bytes) => f.write_str(&size_text(*bytes)),
            Self::Switch(switch) => switch.fmt(f),
            Self::Path(path) => f.write_str(&printable(&path.to_string_lossy())),
        }
    }
}

/// Describes what a value must be and what it is instead.
pub(super) fn not(wanted: &str, value: &Value) -> String {
    let found = match value {
        Value::Number(number) => number.to_string(),
        Value::Switch(switch) => switch.to_string(),
        text => {
            let text = text.to_string();
            let start: String = text.chars().take(60).collect();
            if start == text { format!("\"{text}\"") } else { format!("\"{start}…\"") }
        }
    };
    format!("must be {wanted}, not {found}")
}

/// Reads where a store is: a flag and a variable take a path or a URL.
pub(super) fn location(value: &Value) -> Result<Location, String> {
    let path = path(value)?;
    match path.to_str().and_then(parsed) {
        Some(url) => url.map(Location::Remote),
        None => Ok(Location::Folder(path)),
    }
}

pub(super) fn label(value: &Value) -> Result<HostLabel, String> {
    let Value::Text(text) = value else { return Err(not("a host label", value)) };
    HostLabel::new(text.as_str()).map_err(|error| error.to_string())
}

/// The values true and false are those of `COMPRESS_BACKUPS`.
pub(super) fn compression(value: &Value) -> Result<Compression, String> {
    match value {
        Value::Switch(true) => Ok(Compression::DEFAULT),
        Value::Switch(false) => Ok(Compression::None),
        Value::Text(text) => text.parse().map_err(|_| not(Compression::FORMS, value)),
        _ => Err(not(Compression::FORMS, value)),
    }
}

pub(super) fn path(value: &Value) -> Result<PathBuf, String> {
    match value {
        Value::Path(path) if !path.as_os_str().is_empty() => Ok(path.clone()),
        Value::Text(text) if !text.is_empty() => Ok(text.into()),
        _ => Err(not("a path", value)),
    }
}

/// The mode of a file: its owner reads and writes, its group may, others read at most, and it is not executable.
pub(super) fn mode(value: &Value) -> Result<u32, String> {
    let mode = match value {
        Value::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => u32::from_str_radix(text, 8).ok(),
        _ => None,
    };
    let is_possible = |mode: &u32| mode & 0o600 == 0o600 && mode & !0o664 == 0;
    mode.filter(is_possible).ok_or_else(|| not("a mode from \"0600\" to \"0664\", such as \"0640\"", value))
}

pub(super) fn group(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) if !text.is_empty() && !text.contains([':', '\n', '\0']) => Ok(text.clone()),
        Value::Number(number) if u32::try_from(*number).is_ok() => Ok(number.to_string()),
        _ => Err(not("the name or the number of a group", value)),
    }
}

pub(super) fn switch(value: &Value) -> Result<bool, String> {
    if let Value::Switch(switch) = value { Ok(*switch) } else { Err(not("true or false", value)) }
}

pub(super) fn number<N: TryFrom<i64> + TryInto<i64> + fmt::Display + Copy + PartialOrd>(
    value: &Value,
    least: N,
    most: N,
) -> Result<N, String> {
    let fits = |number: &N| (least..=most).contains(number);
    match value {
        Value::Number(number) => N::try_from(*number).ok().filter(fits),
        _ => None,
    }
    .ok_or_else(|| not(&format!("a whole number from {least} to {most}"), value))
}

/// A rule of `rotate`: 0 turns it off.
pub(super) fn rule(value: &Value) -> Result<Option<u32>, String> {
    number(value, 0, u32::MAX).map(|count| Some(count).filter(|count| *count > 0))
}

pub(super) fn age(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Text(text) => parse_age(text).ok(),
        _ => None,
    }
    .ok_or_else(|| not("an age like \"90d\", \"26h\" or \"1h 30m\"", value))
}

pub(super) fn size(value: &Value) -> Result<u64, String> {
    match value {
        Value::Text(text) => parse_size(text).ok(),
        Value::Number(number) => u64::try_from(*number).ok().filter(|bytes| *bytes > 0),
        _ => None,
    }
    .ok_or_else(|| not("a size like \"20GB\" or \"512MiB\", or a number of bytes", value))
}

/// Reads an age: `90d`, `26h`, `1h 30m`; greater than 0. Also for flags.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(age) if age > Duration::ZERO => Ok(age),
        Ok(_) => Err("an age must be more than 0".into()),
        Err(error) => Err(format!("{error}; write it as 90d, 26h or \"1h 30m\"")),
    }
}

/// Reads a size in bytes: `20GB` (powers of 1000), `512MiB` (powers of 1024), `1048576`; greater than 0. Also for
/// flags.
pub fn parse_size(text: &str) -> Result<u64, String> {
    match text.trim().parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        Ok(_) => Err("a size must be more than 0".into()),
        Err(_) => Err("write a size as 20GB, 512MiB or 1048576".into()),
    }
}

/// Writes an age in the largest unit that needs no fraction, so that it reads as it was written: `90d`, `26h`.
pub fn age_text(age: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let seconds = age.as_secs();
    if age.subsec_nanos() != 0 || seconds == 0 {
        return humantime::format_duration(age).to_string();
    }
    let (unit, letter) = UNITS.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "s"));
    format!("{}{letter}", seconds / unit)
}

/// Writes a size in the largest unit that needs no fraction.
pub(super) fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 8] = [
        (1_000_000_000_000, "TB"),
        (1 << 40, "TiB"),
        (1_000_000_000, "GB"),
        (1 << 30, "GiB"),
        (1_000_000, "MB"),
        (1 << 20, "MiB"),
        (1_000, "KB"),
        (1 << 10, "KiB"),
    ];
    let (unit, letters) =
        UNITS.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)).unwrap_or((1, "B"));
    format!("{}{letters}", bytes / unit)
}

/// Reads the URL of a store.
pub(super) fn url(value: &Value) -> Result<StoreUrl, String> {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Path(path) => path.to_string_lossy().into_owned(),
        other => return Err(not("the URL of a store", other)),
    };
    parsed(&text).unwrap_or_else(|| Err(not_a_url(&text)))
}

/// Parses the URL of a store; `None` if the text is a path. The short form of a pin gets its defaults.
pub(super) fn parsed(text: &str) -> Option<Result<StoreUrl, String>> {
    match connect::completed(text, |_| None) {
        Some(completed) => Some(completed.map(|(url, _)| url)),
        None => StoreUrl::parse(text),
    }
}

pub(super) fn not_a_url(text: &str) -> String {
    not("the URL of a store, such as s3://BUCKET/PREFIX", &Value::Text(text.to_owned()))
}

/// Reads a number of bytes per second.
pub(super) fn limit(value: &Value) -> Result<NonZeroU64, String> {
    let bytes = size(value)?;
    NonZeroU64::new(bytes).ok_or_else(|| not("a number of bytes per second, such as \"2MB\"", value))
}

/// Reads `AUTO_BACKUP_INTERVAL_HOURS`: a number of hours, also a fraction. Anything else stays as it is written.
pub(super) fn hours(text: &str) -> Value {
    let seconds = text.parse::<f64>().ok().map(|hours| (hours * 3600.0).round());
    match seconds.filter(|seconds| (1.0..1e12).contains(seconds)) {
        Some(seconds) => Value::Text(age_text(Duration::from_secs(seconds as u64))),
        None => Value::Text(text.to_owned()),
    }
}
